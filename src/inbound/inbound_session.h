/*
 * inbound_session - one client's connection: what it has said, and what it is owed.
 *
 * Private to room inbound. Files: inbound_session.c (life, deadlines, lines),
 * inbound_commands.c (one function per command), inbound_recipient.c (RCPT and its controls), inbound_parameters.c (what MAIL and RCPT say beside
 * their addresses), inbound_content.c (the content up to its answer), inbound_outcome.c (what the log says of that), inbound_trace.c and inbound_deliveries.c (what goes out of it, and to whom), inbound_chunks.c (BDAT),
 * inbound_auth.c (who sent it), inbound_rules.c (what it carries), inbound_scan.c (what scanners say; scan_call.c is one question), inbound_seal.c (what we sign it with), inbound_greylist.c (who is to come again),
 * inbound_trust.c (relays that name their client), inbound_tls.c (STARTTLS), inbound_memory.c (what it holds),
 * inbound_verify.c (whether the servers behind a recipient take it),
 * inbound_banner.c (the wait before the greeting), inbound_standing.c (what is thought of the client),
 * inbound_limits.c (how much a client may do), inbound_budget.c (how much is sent on).
 */
#ifndef INBOUND_SESSION_H
#define INBOUND_SESSION_H

#include "auth/message_check.h"
#include "base/arena.h"
#include "base/hash_table.h"
#include "base/list.h"
#include "forward/client_conduct.h"
#include "inbound/inbound_rehearsal.h"
#include "inbound/inbound_server.h"
#include "io/log.h"
#include "mail/received_client.h"
#include "mail/results_field.h"
#include "protocol/smtp_content.h"
#include "protocol/smtp_dialogue.h"

enum {
    INBOUND_LINE_LIMIT = 2048,      /* RFC 5321 §4.5.3.1.4 plus what our extensions add */
    INBOUND_SWALLOW_LIMIT = 65536,  /* octets of one over-long line before we hang up */
    INBOUND_COMMANDS_PER_TURN = 64, /* then other sessions get their turn */
    INBOUND_IDLE_COMMANDS =
        1000, /* without a message, and two for each recipient it may have */
    /* Without a message; who goes on has its senders looked up when it waits for the answer, not
     * before: RSET would leave look-ups behind that take the place of other people's. */
    INBOUND_EAGER_COMMANDS = 40,
    INBOUND_FREE_CHUNK = 512, /* octets; smaller ones count as commands that bring nothing */
    INBOUND_EXCESS = 4,       /* times the size limit are read, then we hang up */
    INBOUND_ROUTE_MEMORY = 4 * 1024 * 1024, /* octets a transaction's routes may take */
};

struct inbound_recipient {
    struct recipient_route route;
    struct rewrite_plan plan;
    struct forward_limits budget; /* of each of its targets */
    unsigned notify;              /* enum dsn_notify */
    struct bytes orcpt;           /* as the client wrote it, or empty */
};

/* Reset whole by transaction_reset: a member added later is reset too. */
struct inbound_transaction {
    struct arena *arena; /* everything below lives here, but the content */
    struct smtp_mailbox sender;
    struct bytes sender_text; /* "local@domain", quoted as needed */
    bool is_8bit;
    bool is_utf8;      /* SMTPUTF8 was said */
    bool requires_tls; /* REQUIRETLS was said */
    uint64_t declared_size;
    enum dsn_return ret;
    struct bytes envid;
    unsigned asked_notify; /* of the RCPT being looked at */
    struct bytes asked_orcpt;
    struct inbound_recipient *recipients;
    size_t recipient_count;
    size_t recipient_room;
    /* the content phase */
    uint64_t id;        /* of the message; 0 before DATA */
    int64_t started_ms; /* unix */
    uint64_t begun_ms;  /* the same moment on the clock of the loop, for deadlines */
    uint64_t ended_ms;  /* its end was read; clock of the loop, 0: not yet */
    bool is_chunked;    /* it comes by BDAT */
    struct smtp_content_decoder decoder;
    struct content *content;
    enum content_status content_status;
    struct strbuf header; /* the header, while it comes in and afterwards; as it came */
    bool has_header;      /* it is whole; what follows is body */
    bool is_header_too_large;
    bool has_forged_results; /* results that claim to be ours, which are not kept */
    uint64_t size_limit;
    bool is_too_big;
    bool is_auto_submitted;
    size_t deliveries;
    /* who sent it (inbound_auth.c) */
    struct message_check *check; /* NULL: nobody is asked */
    struct message_check_facts facts;
    bool is_client_known;     /* or it is given up */
    struct bytes client_text; /* whose SPF it is: not the peer when that is a trusted relay */
    const struct accept_policy *policy; /* of the first recipient's domain; NULL: the default */
    uint64_t sender_until_ms;           /* clock of the loop; no recipient waits longer */
    uint64_t auth_until_ms; /* clock of the loop; then what is open reads temperror */
    unsigned evaluations;
    bool is_settled; /* nothing is open, or time is up */
    bool is_judged;
    struct accept_answer judgement;
    /* what it carries (inbound_rules.c) */
    struct mime_walk *walk;          /* NULL: nothing is looked for, or it has been found */
    struct inbound_carried *carried; /* what is known of that; NULL before DATA */
    struct inbound_scan *scan;       /* NULL: no scanner is asked (inbound_scan.c) */
    /* what it is signed with (inbound_seal.c) */
    struct bytes own_domain; /* of the first recipient: the one that answers for it */
    const struct seal *seal; /* of that domain; NULL: none */
    struct body_hash *seal_hash;
    bool is_munged;
    struct bytes reply_token, reply_author; /* to be stored; empty: nothing */
    size_t tokens_open;                     /* over-long addresses being stored */
    size_t counted;       /* recipients whose use was counted (inbound_returns.c) */
    bool is_rate_counted; /* the next one's, of this hour */
    bool tokens_failed;
};

struct inbound_server {
    struct event_loop *loop;
    struct queue *queue;
    struct message_id_source *ids;
    struct state_store *state;
    struct dns_resolver *resolver; /* NULL: nobody is authenticated */
    struct message_checker *checker;
    struct recipient_prober *prober; /* NULL: nobody is asked about recipients */
    struct inbound_ledger *ledger;   /* NULL: clients are not counted */
    const struct inbound_options *options;
    const struct inbound_rehearsal *rehearsal; /* NULL: all of it is meant */
    struct list sessions;
    atomic_size_t session_count;
    uint32_t session_seed; /* session ids: this and a counter */
    uint64_t next_session;
    struct arena *command_arena; /* the command being looked at; reset for each */
    struct siphash_key hash_key;
    struct list waiting_scans; /* messages that no scanner has a place for */
    size_t scans;              /* being looked at */
    uint64_t memory_said_ms;   /* when the log last said that it is short; 0: never */
    bool is_draining;
    bool is_paused; /* by an operator */
    bool is_idle;   /* has been told to on_idle, which runs once */
    /* Clock of the loop: until then the log has been told that a list does not work. */
    uint64_t blocklists_told_ms[DNS_LIST_LIMIT], allowlists_told_ms[DNS_LIST_LIMIT];
    bool is_stopped; /* the loop runs no more */
    void (*on_idle)(void *context);
    void *on_idle_context;
    struct loop_task idle_task;
};

/* One BDAT. Its octets are read whatever the answer will be: they are never commands. */
struct inbound_chunk {
    bool is_open; /* they are being read */
    bool is_last;
    uint64_t size, left;
    uint64_t begun_ms;    /* clock of the loop */
    unsigned code;        /* not 0: they go nowhere, and this is the answer */
    const char *enhanced; /* static */
    const char *text;
};

/* How far greylisting is with a recipient. */
struct inbound_grey {
    enum { INBOUND_GREY_UNASKED, INBOUND_GREY_FINE, INBOUND_GREY_LATER } stage;
    struct grey_answer answer;
};

/* How far the servers behind a recipient have been asked. */
struct inbound_verify {
    bool is_done;
    size_t next;                   /* target */
    uint64_t until_ms;             /* clock of the loop */
    struct recipient_probe *probe; /* pending, or NULL */
    struct recipient_findings findings;
};

/* A RCPT on its way to its answer; good while that is open. */
struct inbound_asked {
    struct smtp_mailbox recipient; /* as the client said it */
    struct recipient_route route;
    struct smtp_mailbox ruling; /* the address whose rules hold: that of an alias of ours */
    const struct accept_policy *policy; /* NULL: the default */
    size_t gate;                        /* the control whose turn it is */
    struct inbound_verify verify;
    struct inbound_grey grey;
};

/* What a control says of a recipient. It may be asked several times about one. */
enum inbound_gate {
    INBOUND_GATE_OPEN,  /* it has nothing against it */
    INBOUND_GATE_WAITS, /* it has begun a wait, and ends it by inbound_recipient_go_on */
    INBOUND_GATE_SHUT,  /* the decision says why */
};

/* What the session is waiting for; while it is not NOTHING no command is looked at. */
enum inbound_wait {
    INBOUND_WAITS_NOTHING,
    INBOUND_WAITS_SENDER, /* DNS: is this client allowed to send for that sender? */
    INBOUND_WAITS_BANNER, /* time: does it speak before us? */
    INBOUND_WAITS_CLIENT, /* DNS: lists, the client's name, the sender's domain */
    INBOUND_WAITS_AUTH,   /* DNS: the rest of what is asked about the message; scanners */
    INBOUND_WAITS_TOKEN,  /* state store: the address behind a stored SRS token */
    INBOUND_WAITS_STORE,  /* state store: over-long senders being made durable */
    INBOUND_WAITS_GATE,   /* a control of a recipient */
    INBOUND_WAITS_TARPIT, /* the answer to a recipient that should not have been asked for */
    INBOUND_WAITS_TLS,    /* the handshake */
    INBOUND_WAITS_QUEUE,  /* the message is on its way to stable storage */
};

struct inbound_session {
    struct list node;
    struct inbound_server *server;
    const struct inbound_options *options; /* of the snapshot held */
    struct ledger_stay stay;           /* of whoever connected, or whom a PROXY header named */
    struct ledger_stay named;          /* of whom XCLIENT named */
    struct inbound_door_use *door_use; /* of the listener, or NULL */
    struct client_conduct conduct;
    struct decision late;         /* what INBOUND_WAITS_TARPIT is about */
    enum client_offence late_end; /* the session ends with it, because of that */
    struct stream *stream;
    struct loop_timer *timer;
    char id[20];
    struct ip_endpoint peer; /* the client, as a trusted relay says it or as it connected */
    struct ip_text peer_text;
    struct ip_endpoint relay;   /* who speaks: the peer, until XCLIENT names another one */
    struct ip_address via;      /* who named the client; IP_NONE: nobody */
    struct ip_address proxy;    /* who did so by a PROXY header; IP_NONE: nobody */
    struct strbuf relayed_helo; /* XCLIENT's; stands for that of later greetings */
    uint64_t banner_wait_ms;    /* of the listener */
    enum inbound_tls tls;       /* of the listener */
    const char *tls_version;    /* NULL: all is in clear; static */
    const char *tls_cipher;     /* static */
    struct smtp_dialogue dialogue;
    struct strbuf helo;
    struct inbound_transaction transaction;
    enum inbound_wait wait;
    struct inbound_standing *standing; /* NULL: nothing was asked about the client */
    struct dns_asker *asker;           /* NULL: nobody has been authenticated yet */
    struct queue_ticket *ticket;       /* pending, or NULL */
    struct inbound_lookup *lookup;     /* pending state store request, or NULL */
    struct inbound_asked asked;        /* the RCPT being looked at */
    struct inbound_chunk chunk;
    uint64_t swallowed; /* octets of an over-long line; 0: none is being read */
    unsigned errors;
    unsigned commands; /* since the last message */
    unsigned messages;
    unsigned refused;
    uint64_t started_ms;
    size_t counted_memory;  /* octets, as inbound_memory_count last told */
    struct loop_task again; /* goes on with input that waits, on the next turn */
    struct loop_task bury;  /* frees the session after this turn */
    bool awaits_proxy_header;
    bool may_xclient;
    bool has_talked_early; /* before our greeting */
    bool has_hurried;      /* sent commands behind HELO or EHLO */
    bool was_offered_starttls;
    bool was_offered_requiretls; /* behind this EHLO */
    bool is_esmtp;
    bool has_peer_ended; /* it closed its side; what it said before still counts */
    bool is_closed;
    bool is_again_pending;
};

/* inbound_server.c */
/* Draining, and the last session has gone? */
void inbound_server_look_idle(struct inbound_server *server);

/* inbound_session.c */
struct inbound_session *inbound_session_new(struct inbound_server *server,
                                            const struct stream_accepted *accepted,
                                            const struct ledger_stay *stay,
                                            const struct inbound_door *door);
/* The banner. */
void inbound_session_greet(struct inbound_session *session);
/* Goes on with what the client has already sent; call after a wait has ended. */
void inbound_session_go_on(struct inbound_session *session);
/* One reply; codes of 500 and above count as errors, too many of them end the session. */
void inbound_session_reply(struct inbound_session *session, unsigned code, const char *enhanced,
                           struct bytes text);
/* The same, but no error is counted: it was counted elsewhere. */
void inbound_session_reply_free(struct inbound_session *session, unsigned code,
                                const char *enhanced, struct bytes text);
/* The last reply of a session: what waits goes out, then the connection is closed. */
void inbound_session_bye(struct inbound_session *session, unsigned code, const char *enhanced,
                         const char *text, const char *why);
/* The only way a session ends. Safe to call twice, and from inside any callback. */
void inbound_session_close(struct inbound_session *session, const char *why);
/* Between messages: the configuration may have changed. Views of the old one are not to be kept. */
void inbound_session_take_options(struct inbound_session *session);
/* Between messages, when no more are taken: 421. */
bool inbound_session_bye_if_draining(struct inbound_session *session);
/* Frees it: only after it was closed, when nobody holds the pointer any more. */
void inbound_session_bury(struct inbound_session *session);
/* A reply has been written by hand: the next command gets its full time. */
void inbound_session_rearm(struct inbound_session *session);
/* Content is on its way: there is time as long as enough of it comes. */
void inbound_session_extend(struct inbound_session *session);
void inbound_session_begin_wait(struct inbound_session *session, enum inbound_wait wait);
/* Starts a log line about this session. */
void inbound_session_log(const struct inbound_session *session, struct log_line *line,
                         enum log_level level, const char *event);

/* inbound_commands.c */
void inbound_command(struct inbound_session *session, struct bytes line);
void inbound_transaction_reset(struct inbound_session *session);

/* Keeps an address in the transaction, its domain as DNS knows it. False: that is none. */
bool inbound_keep_mailbox(struct inbound_session *session, const struct smtp_mailbox *mailbox,
                          struct smtp_mailbox *kept);

/* inbound_recipient.c */
void inbound_answer_rcpt(struct inbound_session *session, const struct smtp_command *command);
/* The control that made the recipient wait is asked again, and the session goes on. */
void inbound_recipient_go_on(struct inbound_session *session);

/* inbound_parameters.c */
/* False: refused, the answer has gone out. */
bool inbound_take_mail_parameters(struct inbound_session *session,
                                  const struct smtp_command *command);
bool inbound_take_rcpt_parameters(struct inbound_session *session,
                                  const struct smtp_command *command);

/* inbound_chunks.c */
/* A BDAT line has come; `result`: what the parser says of it. */
void inbound_chunk_begin(struct inbound_session *session, const struct smtp_command *command,
                         enum smtp_command_result result);
/* Would a line that is none have been a BDAT? Then its octets may follow, and the session has ended. */
bool inbound_chunk_is_lost(struct inbound_session *session, struct bytes line);
/* Takes octets of the open chunk; returns how many. When none is left, what was used is consumed and
 * inbound_chunk_end called. */
size_t inbound_chunk_input(struct inbound_session *session, struct bytes input);
void inbound_chunk_end(struct inbound_session *session);

/* inbound_auth.c */
/* At MAIL: look-ups begin. */
void inbound_auth_begin(struct inbound_session *session);
/* A recipient is about to wait: look-ups begin if they have not yet. */
void inbound_auth_ask_sender(struct inbound_session *session);
/* Stops asking and forgets; safe at any time. */
void inbound_auth_reset(struct inbound_session *session);
/* The session is over. */
void inbound_auth_close(struct inbound_session *session);
void inbound_auth_header(struct inbound_session *session, struct bytes header);
void inbound_auth_body(struct inbound_session *session, struct bytes octets);
/* The content is whole. True: all is known. False: inbound_content_learned is called when it is. */
bool inbound_auth_end(struct inbound_session *session);
bool inbound_auth_is_done(const struct inbound_session *session);
/* True: the verdict about the sender is there (or nobody asks). False: inbound_recipient_go_on
 * is called when it is. */
bool inbound_auth_knows_sender(struct inbound_session *session);
/* One answer stands for the whole message: may this recipient share it with those before? */
bool inbound_auth_may_join(const struct inbound_session *session,
                           const struct accept_policy *policy, bool is_return);
/* Does the policy of the recipients so far want the sender's verdict before the content? */
bool inbound_auth_needs_sender(const struct inbound_session *session);
/* The decision about a recipient before the content is seen; arena of the transaction. */
struct decision inbound_auth_judge_sender(struct inbound_session *session);
/* The decision about the message; sets transaction.judgement. */
struct decision inbound_auth_judge(struct inbound_session *session);
/* May a failure be told to the sender? After the content has been judged. */
bool inbound_auth_is_proven(const struct inbound_session *session);
/* What is known of the sender now. */
struct sender_facts inbound_auth_sender_facts(const struct inbound_session *session);
bool inbound_auth_is_own_sender(const struct inbound_session *session);
/* Authentication-Results and what belongs to it. */
void inbound_auth_add_results(struct inbound_session *session, struct strbuf *prefix);
/* The client's name, when its address confirms it; else empty. */
struct bytes inbound_auth_client_name(const struct inbound_session *session);
void inbound_auth_log(const struct inbound_session *session, struct log_line *line);

/* inbound_banner.c */
/* It is known who the client is, and TLS is there where it comes first. */
void inbound_banner_begin(struct inbound_session *session);
/* While it waits: something may have come. */
void inbound_banner_input(struct inbound_session *session);
void inbound_banner_end(struct inbound_session *session);

/* inbound_standing.c */
/* Nothing is asked about who is trusted or comes from a network that is allowed. */
bool inbound_standing_is_exempt(const struct inbound_session *session);
/* The rules have changed: what they said of the client is not theirs any more. */
void inbound_standing_forget(struct inbound_session *session);
/* At MAIL: look-ups begin. */
void inbound_standing_begin(struct inbound_session *session);
/* Stops asking; what is known about the client stays. Safe at any time. */
void inbound_standing_reset(struct inbound_session *session);
/* The session is over. */
void inbound_standing_close(struct inbound_session *session);
/* May this client send to this recipient? */
enum inbound_gate inbound_standing_gate(struct inbound_session *session,
                                        const struct inbound_asked *asked,
                                        struct decision *decision);
/* Is it known to be good, by network or by list? Once its gate is open. */
bool inbound_standing_is_allowed(const struct inbound_session *session);
/* Authentication-Results about a client that is tagged; else nothing. */
void inbound_standing_add_results(const struct inbound_session *session, struct strbuf *out);
void inbound_standing_log(const struct inbound_session *session, struct log_line *line);

/* inbound_seal.c */
/* What forwards of one of our domains are sealed with; NULL: nothing. */
const struct seal *inbound_seal_of(const struct inbound_session *session, struct bytes domain);
void inbound_seal_begin(struct inbound_session *session);
void inbound_seal_body(struct inbound_session *session, struct bytes octets);
void inbound_seal_reset(struct inbound_session *session);
/* Has the message an author that could be said in our name, and a key to sign with? */
bool inbound_seal_can_munge(const struct inbound_session *session);
/* Writes the content anew with a munged header. False: the author cannot be munged; whether the new
 * content could be kept says transaction.content_status. */
bool inbound_seal_munge(struct inbound_session *session);
/* Our signatures over the message with `trace` (results, Received) on its top. */
void inbound_seal_add(struct inbound_session *session, struct bytes trace, struct strbuf *out);

/* inbound_rules.c */
/* May a recipient with this policy share the answer of those before? */
bool inbound_rules_may_join(const struct inbound_session *session,
                            const struct accept_policy *policy, bool is_return);
void inbound_rules_begin(struct inbound_session *session);
/* Octets of the content as they come, header and all. */
void inbound_rules_octets(struct inbound_session *session, struct bytes octets);
/* All above the empty line has come, whether it is made of fields or not. */
void inbound_rules_header(struct inbound_session *session, struct bytes top);
/* Stops looking; safe at any time. */
void inbound_rules_reset(struct inbound_session *session);
/* The content is whole. */
struct decision inbound_rules_judge(struct inbound_session *session);
bool inbound_rules_hold(const struct inbound_session *session);
/* What was let go although a rule notes it, as a field. */
void inbound_rules_add(const struct inbound_session *session, struct strbuf *prefix);
void inbound_rules_log(const struct inbound_session *session, struct log_line *line);

/* inbound_scan.c */
/* The content is whole. True: nobody is asked. False: inbound_content_learned is called when all have answered, or time
 * is up. */
bool inbound_scan_begin(struct inbound_session *session);
bool inbound_scan_is_done(const struct inbound_session *session);
/* Asks no more; safe at any time. */
void inbound_scan_reset(struct inbound_session *session);
/* Octets, at most. */
size_t inbound_scan_memory(const struct inbound_session *session);
struct decision inbound_scan_judge(struct inbound_session *session);
/* NULL: it is not held. */
const char *inbound_scan_held_why(const struct inbound_session *session);
/* What was let go although something was found, as a field. */
void inbound_scan_add(const struct inbound_session *session, struct strbuf *prefix);
void inbound_scan_log(const struct inbound_session *session, struct log_line *line);

/* inbound_returns.c */
enum inbound_return_verdict {
    INBOUND_RETURN_FINE,
    INBOUND_RETURN_TOO_OFTEN, /* within this hour */
    INBOUND_RETURN_USED_UP,
};

/* Counts the uses of addresses we signed. True: inbound_content_counted follows. */
bool inbound_returns_count(struct inbound_session *session);

/* inbound_memory.c */
/* What the session holds now; nothing when it is closed. */
void inbound_memory_count(struct inbound_session *session);
/* True: nothing new may begin. */
bool inbound_memory_is_short(struct inbound_session *session);

/* inbound_limits.c */
/* Somebody was named as the client. False: it may not come, the session has ended. */
bool inbound_limits_take_proxied(struct inbound_session *session);
bool inbound_limits_take_named(struct inbound_session *session);
/* MAIL or RCPT. False: too many, the answer has gone out. */
bool inbound_limits_spend(struct inbound_session *session, enum client_doing doing);
/* Answers a recipient that is refused or deferred, at once or later. */
void inbound_limits_refuse(struct inbound_session *session, const struct decision *decision);
void inbound_limits_answer_late(struct inbound_session *session);
/* The message was accepted. */
void inbound_limits_praise(struct inbound_session *session);
void inbound_limits_close(struct inbound_session *session);

/* inbound_budget.c */
struct forward_limits inbound_budget_of(const struct accept_policy *policy);
enum inbound_gate inbound_budget_gate(struct inbound_session *session,
                                      const struct inbound_asked *asked,
                                      struct decision *decision);
/* The message is about to be sent on. False: it cannot be now, the decision says why. */
bool inbound_budget_take(struct inbound_session *session, struct decision *decision);

/* inbound_trust.c */
bool inbound_trusts(const struct inbound_options *options, const struct ip_address *address);
/* Before the first octet: greets, or waits for a PROXY header. */
void inbound_trust_begin(struct inbound_session *session, bool is_proxied);
/* False: more must come first. */
bool inbound_proxy_input(struct inbound_session *session, struct bytes input);
void inbound_answer_xclient(struct inbound_session *session,
                            const struct smtp_command *command);
/* What XCLIENT said does not hold any more. */
void inbound_trust_forget(struct inbound_session *session);
/* The first client that is no relay of ours, from the top of the header down. False: not said in a
 * way that can be believed. */
bool inbound_trust_find_client(const struct inbound_options *options, struct bytes header,
                               struct arena *arena, struct received_client *client);

/* inbound_greylist.c */
enum inbound_gate inbound_greylist_gate(struct inbound_session *session,
                                        const struct inbound_asked *asked,
                                        struct decision *decision);

/* inbound_verify.c */
enum inbound_gate inbound_verify_gate(struct inbound_session *session,
                                      const struct inbound_asked *asked,
                                      struct decision *decision);
/* Stops asking, and forgets the answers; safe at any time. */
void inbound_verify_reset(struct inbound_session *session);

/* inbound_tls.c */
/* It is known who the client is: greets, or begins with TLS where that comes first. */
void inbound_tls_open(struct inbound_session *session);
/* Notes that STARTTLS is to be offered now, if it is. */
bool inbound_tls_offer(struct inbound_session *session);
/* The same for REQUIRETLS. */
bool inbound_tls_offer_all_the_way(struct inbound_session *session);
void inbound_answer_starttls(struct inbound_session *session,
                             const struct smtp_command *command);
/* The handshake or the protection failed. */
void inbound_tls_failed(struct inbound_session *session, const char *why);
void inbound_tls_log(const struct inbound_session *session, struct log_line *line);

/* inbound_trace.c */
void inbound_trace_add_received(struct inbound_session *session, struct strbuf *prefix);
/* In a results field of ours; nothing when there is none. */
void inbound_trace_add_marks(const struct inbound_session *session, struct strbuf *prefix,
                             const struct result_entry *entries, size_t count);

/* inbound_deliveries.c */
/* In the arena of the transaction. Who is discarded is logged. */
struct queue_recipient *inbound_gather_deliveries(struct inbound_session *session,
                                                  size_t *count);

/* inbound_outcome.c */
/* A line about a recipient of an accepted message that goes nowhere. */
void inbound_log_recipient(struct inbound_session *session,
                           const struct inbound_recipient *recipient, const char *event);
void inbound_log_accepted(struct inbound_session *session, size_t deliveries, const char *how);
void inbound_log_not_accepted(struct inbound_session *session, const struct decision *decision);
/* dsn and reply: what the client is told. */
void inbound_log_reply(struct log_line *line, const struct decision *decision);

/* inbound_content.c */
/* The part of a header that is kept: all but results that claim to be ours. */
void inbound_content_add_kept(const struct inbound_session *session, struct bytes header,
                              struct strbuf *out);
/* Something it waits for is known now: when nothing else is open, it is judged and the session goes on. */
void inbound_content_learned(struct inbound_session *session);
void inbound_content_counted(struct inbound_session *session,
                             enum inbound_return_verdict verdict);
void inbound_content_begin(struct inbound_session *session);
/* By BDAT: some of it; no more of it. */
void inbound_content_chunk(struct inbound_session *session, struct bytes octets);
void inbound_content_last_chunk(struct inbound_session *session);
/* False: what has come so far is refused, the answer has gone out. */
bool inbound_content_is_fine(struct inbound_session *session);
/* Takes content from the input; returns octets used. When the decoder is done, what was used is
 * consumed and inbound_content_end called; the answer may come later. */
size_t inbound_content_input(struct inbound_session *session, struct bytes input);
void inbound_content_end(struct inbound_session *session);

/* inbound_lookup.c: state store requests that survive their session. */
/* Is there anything that remembers? */
bool inbound_has_state(const struct inbound_session *session);
void inbound_state_read(struct inbound_session *session, struct bytes token,
                        void (*done)(struct inbound_session *session, enum state_status status,
                                     struct bytes address));
void inbound_state_write(struct inbound_session *session, struct bytes key, struct bytes value,
                         int64_t expires_ms,
                         void (*done)(struct inbound_session *session,
                                      enum state_status status));
/* The same for what may be forgotten (state_store_remember). */
void inbound_state_remember(struct inbound_session *session, struct bytes key,
                            struct bytes value, int64_t expires_ms,
                            void (*done)(struct inbound_session *session,
                                         enum state_status status));
/* The key is copied. */
void inbound_count_use(struct inbound_session *session, struct bytes key, uint64_t limit,
                       int64_t expires_ms,
                       void (*done)(struct inbound_session *session, enum state_status status,
                                    uint64_t count));
/* Their `done` will not run any more. */
void inbound_lookup_abandon(struct inbound_session *session);

#endif
