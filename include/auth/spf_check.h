/*
 * spf_check - may this client send for this domain? SPF over the DNS answers already known.
 *
 * Shape   libspf2's interpreter decides: order, qualifiers, networks, a, mx, exists, include,
 *         redirect. It never sees an octet of a stranger: we select and parse the record,
 *         expand macros, walk ptr, count the limits, and hand it a record rewritten in a closed
 *         alphabet where every domain is a token (auth/spf_rewrite.h says why).
 * Replay  AUTH_NEEDS_DNS: dns_facts_wanted() lists the questions; call again when some or all
 *         are answered. Everything a record names is asked for at once, so a chain of records
 *         takes as many rounds as it is deep. Hosts of an MX answer come in one round, too.
 * Limits  10 terms that need DNS and 2 that find nothing, over the whole evaluation; 10 MX and
 *         10 PTR hosts; records of SPF_RECORD_LIMIT octets. Time is the caller's business.
 * Scope   for MAIL FROM <> the identity is postmaster@HELO (RFC 7208 §2.4). What is no host
 *         name with a dot gives "none" without a look-up.
 * Threads one checker for each.
 * RFC     7208
 */
#ifndef AUTH_SPF_CHECK_H
#define AUTH_SPF_CHECK_H

#include "auth/auth_result.h"
#include "protocol/dns_facts.h"
#include "protocol/smtp_path.h"

enum { SPF_EXPLANATION_LIMIT = 400 };

struct spf_identity {
    struct ip_address client;
    struct bytes helo;
    struct smtp_mailbox sender;
    struct bytes receiver; /* our name, for %{r} */
    int64_t unix_seconds;  /* for %{t} */
};

enum spf_scope { SPF_HELO, SPF_MAIL_FROM };

struct spf_verdict {
    enum auth_result result;  /* never AUTH_POLICY */
    struct bytes domain;      /* whose policy it is; empty when there is no domain to ask */
    struct bytes mechanism;   /* the term that matched as published, "default" when none did,
                               * empty without a verdict of a record */
    struct bytes explanation; /* fail only: one line of printable ASCII, or empty */
    const char *why;          /* none, temperror, permerror: what is wrong, in words; static */
    unsigned terms;           /* how many that need DNS were evaluated, out of 10 */
};

struct spf_checker;

struct spf_checker *spf_checker_new(void);
void spf_checker_free(struct spf_checker **checker); /* safe on NULL */

/* For those who want to see how it came about (a command, tests); members may be NULL. */
struct spf_watcher {
    void *context;
    /* A record was reached: by the domain itself (depth 0), or through includes. */
    void (*on_record)(void *context, unsigned depth, struct bytes domain, struct bytes record);
    /* Text that goes to libspf2, or comes back from it as the name to look up. */
    void (*on_library_text)(void *context, const char *text);
};
/* *borrows* the watcher until it is replaced; NULL: nobody watches. */
void spf_checker_watch(struct spf_checker *checker, const struct spf_watcher *watcher);

/* The verdict's texts live in the arena. */
enum auth_status spf_check(struct spf_checker *checker, const struct spf_identity *identity,
                           enum spf_scope scope, struct dns_facts *facts, struct arena *arena,
                           struct spf_verdict *verdict);

#endif
