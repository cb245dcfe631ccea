/*
 * message_check - everything that is asked about who sent a message, in one place.
 *
 * Order    message_check_new with the envelope; header once, body in any cuts; finish. Whenever DNS
 *          answers have come, message_check_step goes on as far as it can and wants what it needs
 *          next, so look-ups start as early as their names are known and run side by side.
 * Done     message_check_step answers AUTH_DONE only after message_check_end (the content is whole).
 *          When time is up, the verdicts say "temperror" for all that is open.
 * Memory   verdicts live until message_check_free; the envelope given is *borrowed* as long.
 * Threads  one checker per loop.
 */
#ifndef AUTH_MESSAGE_CHECK_H
#define AUTH_MESSAGE_CHECK_H

#include "auth/arc_chain.h"
#include "auth/dkim_verify.h"
#include "auth/dmarc_check.h"
#include "auth/from_domains.h"
#include "auth/reverse_name.h"
#include "auth/spf_check.h"

struct message_checker;

struct message_checker *message_checker_new(void);
void message_checker_free(struct message_checker **checker);

struct message_check_facts {
    struct ip_address client;
    struct bytes helo;
    struct smtp_mailbox sender; /* null: SPF asks about postmaster@helo */
    struct bytes receiver;      /* our name */
    int64_t unix_seconds;
    bool is_client_late; /* the client is a trusted relay: message_check_client tells whose */
};

struct message_verdicts {
    struct reverse_name_verdict iprev;
    struct spf_verdict spf_helo, spf_mail_from;
    struct dkim_verdicts dkim;
    struct from_domains from;
    struct arc_verdict arc;
    struct dmarc_verdict dmarc;
    bool has_forwarded;             /* message_check_forwarded was called */
    struct dmarc_verdict forwarded; /* what the next hop's DMARC will find in our copy */
};

/* Who our copy will be from, as the next hop sees it. */
struct message_forwarding {
    struct bytes sender_domain;    /* of the envelope sender it leaves with (null: our HELO) */
    struct bytes signature_domain; /* d= of our own DKIM signature; empty: there is none */
    bool with_arc;                 /* we put an ARC set on it */
    bool loses_results; /* it came with results that claim to be ours; they are taken out */
};

struct message_check;

struct message_check *message_check_new(struct message_checker *checker,
                                        const struct message_check_facts *facts);
void message_check_free(struct message_check **check); /* safe on NULL */
/* Once, when is_client_late: who gave it to the relay. NULL: nobody knows, SPF and iprev have no
 * result. *borrows* the name. */
void message_check_client(struct message_check *check, const struct ip_address *client,
                          struct bytes helo);
/* The whole header, as it came (CRLF, folded). *Borrowed* until a step says AUTH_DONE. */
void message_check_header(struct message_check *check, struct bytes header);
/* The body, behind the empty line. */
void message_check_body(struct message_check *check, struct bytes octets);
/* Before the end: DMARC is also asked about the copy that would leave. Signatures that our own fields
 * on its top would break (h= names one of them more often than it came) count as broken. That our
 * own servers may send for `sender_domain` is taken for granted. */
void message_check_forwarded(struct message_check *check,
                             const struct message_forwarding *forwarding);
/* No more content comes. */
void message_check_end(struct message_check *check);
enum auth_status message_check_step(struct message_check *check);
/* Is the client's and the envelope sender's part of the verdicts final? */
bool message_check_knows_sender(const struct message_check *check);
/* What is known and what is wanted: for dns_lookup_start. */
struct dns_facts *message_check_dns(struct message_check *check);
const struct message_verdicts *message_check_verdicts(const struct message_check *check);

#endif
