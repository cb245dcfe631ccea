/*
 * smtp_exchange - a client's side of one SMTP connection, sans I/O.
 *
 * Use     smtp_exchange_new; then smtp_exchange_mail begins a transaction. Whenever octets
 *         arrive call smtp_exchange_input; it reads replies, appends what is to be sent to the
 *         strbuf given, and returns an event for the caller to act on. Pipelines MAIL, RCPT ...
 *         and DATA in one group when the server offers PIPELINING (RFC 2920), one at a time
 *         otherwise. The content is sent by the caller between READY_FOR_CONTENT and
 *         smtp_exchange_content_sent (dot-stuffed with smtp_content_encode, with final dot).
 * Chunks  where the server offers CHUNKING there is no DATA: READY_FOR_CONTENT comes when a recipient has
 *         been accepted, and the caller sends "BDAT size LAST" and the content as it is. Not earlier,
 *         though RFC 3030 would let it: a server that forgets to read the octets of a BDAT it refuses
 *         would take them for commands. A server that offers CHUNKING and does not know BDAT (500, 502, 503,
 *         504) has given no answer to the message: the recipients stay without one, and the next
 *         transaction goes by DATA (smtp_exchange_has_refused_chunk).
 * Early   a whole 4xx or 5xx in the middle of the content is the answer to it, though the connection is
 *         of no use any more (BROKEN): what has no end yet cannot have been taken.
 * Asking  smtp_exchange_ask says MAIL, RCPT ... and RSET, and no more: DONE tells how each recipient was
 *         answered. No server holds a transaction of ours while nothing is asked.
 * Reset   a transaction that ended without content (no recipient accepted, DATA refused) is
 *         undone by a RSET in front of the next MAIL, without the caller's doing.
 * TLS     smtp_exchange_start_tls instead of a transaction, when the server offers STARTTLS and
 *         the caller wants it; after START_TLS and the handshake smtp_exchange_secured forgets what
 *         was announced in clear, greets again, and READY comes a second time (RFC 3207 §4.2).
 * 421     at any point ends the connection (BROKEN), and is the answer of every recipient that
 *         has none yet. Other replies nobody asked for leave them unanswered.
 * Stages  each wait has a stage, so that the caller can set RFC 5321 §4.5.3.2 timeouts.
 * Limits  replies as in smtp_reply; replies that nobody asked for end the connection (a
 *         pipelined 354 when every RCPT failed is answered with a lone dot, RFC 2920 §3.1).
 * RFC     5321 §3.3, §4.2, §4.5.3.2; 2920; 1870; 3207; 6152; 6531; 9422
 */
#ifndef PROTOCOL_SMTP_EXCHANGE_H
#define PROTOCOL_SMTP_EXCHANGE_H

#include "protocol/smtp_reply.h"

enum smtp_stage {
    SMTP_STAGE_BANNER,   /* 5 min */
    SMTP_STAGE_EHLO,     /* 5 min */
    SMTP_STAGE_STARTTLS, /* its answer and the handshake */
    SMTP_STAGE_MAIL,     /* 5 min; the whole pipelined envelope group counts as one wait */
    SMTP_STAGE_RCPT,     /* 5 min */
    SMTP_STAGE_DATA,     /* 2 min: for 354 */
    SMTP_STAGE_CONTENT,  /* 3 min for each block taken */
    SMTP_STAGE_DOT,      /* 10 min */
    SMTP_STAGE_RSET,
    SMTP_STAGE_IDLE, /* between transactions: nothing is expected */
    SMTP_STAGE_QUIT,
};

enum smtp_exchange_event {
    SMTP_EXCHANGE_WAIT,              /* nothing to do until more arrives */
    SMTP_EXCHANGE_READY,             /* greeted (or RSET done): a transaction may begin */
    SMTP_EXCHANGE_READY_FOR_CONTENT, /* 354, or BDAT may begin: send the content now */
    SMTP_EXCHANGE_START_TLS, /* 220 to STARTTLS: shake hands; octets behind it came in clear */
    SMTP_EXCHANGE_TLS_REFUSED, /* 4xx or 5xx to STARTTLS (`last`); otherwise as after READY */
    SMTP_EXCHANGE_DONE,        /* the transaction is over: see the results */
    SMTP_EXCHANGE_BROKEN, /* close: garbage, 421, unexpected reply; see `last` and results */
};

struct smtp_extensions {
    bool esmtp, pipelining, size, eight_bit_mime, smtputf8, starttls, chunking, dsn,
        enhanced_status_codes, requiretls;
    uint64_t size_limit; /* 0: none told */
    /* LIMITS (RFC 9422); 0: none told */
    unsigned mail_max;        /* transactions on one connection */
    unsigned rcpt_max;        /* recipients of one transaction */
    unsigned rcpt_domain_max; /* different domains among them */
};

struct smtp_exchange_recipient {
    struct bytes path;       /* in: "local@domain" as it goes between < > (borrowed) */
    struct bytes parameters; /* in: "" or " NOTIFY=..." (borrowed) */
    struct smtp_reply reply; /* out: its own RCPT reply when that was negative, else the reply
                                that decided (MAIL, DATA or the dot); asking: its own
                                RCPT reply, or that to MAIL */
    bool is_accepted;        /* out: the dot was answered 2xx after this RCPT was; asking:
                                the RCPT was */
    bool is_own;             /* out: reply is the one to its own RCPT */
    bool is_answered;        /* out: reply is a real reply; otherwise it broke before */
};

struct smtp_exchange;

struct smtp_exchange *smtp_exchange_new(struct bytes helo_name); /* *copies* the name */
void smtp_exchange_free(struct smtp_exchange **exchange);

/* Begins a transaction; only after READY or DONE (stage IDLE). `mail_line` is what stands
 * behind "MAIL FROM:", for instance "<a@b> SIZE=123 BODY=8BITMIME" (borrowed during the call;
 * see smtp_exchange_extensions for what may be used). `recipients` is borrowed until DONE or
 * BROKEN. */
void smtp_exchange_mail(struct smtp_exchange *exchange, struct bytes mail_line,
                        struct smtp_exchange_recipient *recipients, size_t count,
                        struct strbuf *out);
/* Begins a transaction that has no content: only to hear what the server says of the recipients. */
void smtp_exchange_ask(struct smtp_exchange *exchange, struct bytes mail_line,
                       struct smtp_exchange_recipient *recipients, size_t count,
                       struct strbuf *out);
/* Uses up octets of input (*used) and says what happened. Call again with the rest
 * until WAIT. WAIT uses up everything: half a reply is kept inside. */
enum smtp_exchange_event smtp_exchange_input(struct smtp_exchange *exchange, struct bytes input,
                                             size_t *used, struct strbuf *out);
/* Writes STARTTLS; only right after READY. START_TLS, TLS_REFUSED or BROKEN follows. */
void smtp_exchange_start_tls(struct smtp_exchange *exchange, struct strbuf *out);
/* The handshake is done: writes EHLO; READY or BROKEN follows. */
void smtp_exchange_secured(struct smtp_exchange *exchange, struct strbuf *out);
/* The final dot has been handed to the network: from now on stage DOT. */
void smtp_exchange_content_sent(struct smtp_exchange *exchange);
/* Writes QUIT; only at stage IDLE. Its answer is told as BROKEN: it is time to close. */
void smtp_exchange_quit(struct smtp_exchange *exchange, struct strbuf *out);

/* Is the content of this transaction to be sent by BDAT? */
bool smtp_exchange_is_chunked(const struct smtp_exchange *exchange);
/* From now on the content goes by DATA, whatever is offered. */
void smtp_exchange_forgo_chunks(struct smtp_exchange *exchange);
/* The server does not know BDAT after all. Good until the next transaction begins. */
bool smtp_exchange_has_refused_chunk(const struct smtp_exchange *exchange);
enum smtp_stage smtp_exchange_stage(const struct smtp_exchange *exchange);
const struct smtp_extensions *smtp_exchange_extensions(const struct smtp_exchange *exchange);
/* The last reply read (banner, EHLO ...): the reason when READY never came. */
const struct smtp_reply *smtp_exchange_last(const struct smtp_exchange *exchange);
/* True when octets of the content may have reached the server's acceptance: the dot was sent
 * and its reply is missing. Retrying then may make a duplicate (RFC 1047); the log says so. */
bool smtp_exchange_is_in_doubt(const struct smtp_exchange *exchange);
const char *smtp_stage_text(enum smtp_stage stage); /* "banner" ... */

#endif
