/*
 * recipient_route - from a RCPT address to what happens with it.
 *
 * Input   the address, the alias tables (forward/alias_table, an immutable snapshot), the SRS
 *         options, today. Whatever is not there is refused: nobody else's relay.
 * Order   1 address literal or domain not ours: 550 5.7.1 relay denied
 *         2 local part of SRS form in one of our SRS domains (and no alias of exactly this name):
 *           verify and reverse, only for the null sender unless `accept any`; see Return
 *         3 local part of reply form (mail/reply_address) in a domain with aliases or an SRS
 *           domain (and no alias of exactly this name): verify, on to the author, from any
 *           sender; see Reply
 *         4 <postmaster> without domain, at our host name or at an SRS domain: the first
 *           configured domain's postmaster (RFC 5321 §4.5.1)
 *         5 alias: exact, then without +tag, then regex in order, then "*" (catch-all or domain
 *           mapping); expanded through aliases of our own domains (depth 10), targets without
 *           repeats
 *         6 nothing: 550 5.1.1
 * Mixed   of several targets any `defer` defers the whole address; targets left over by refused
 *         or discarded ones are used; only refusals: the first; only discards: discard.
 * Return  not from the null sender  550 5.7.1 srs-sender-not-null
 *         forged                    550 5.7.1 srs-forged
 *         stamped in the future     550 5.7.1 srs-future
 *         expired, or its token is  550 5.1.6 srs-expired, srs-token-gone (valid once, not now)
 *         malformed                 550 5.1.3 srs-malformed
 * Reply   forged                    550 5.7.1 reply-forged
 *         stamped in the future     550 5.7.1 reply-future
 *         expired, or its token is  550 5.1.6 reply-expired, reply-token-gone
 *         malformed                 550 5.1.3 reply-malformed
 *         An author in one of our own domains (or in one that became ours since) is a local
 *         address like others: its alias says where it goes, which may be several targets, a
 *         refusal or a discard. Signed addresses are not followed once more, and neither are
 *         targets that look like them, so nothing goes round.
 * Memory  the route lives in the arena given.
 */
#ifndef FORWARD_RECIPIENT_ROUTE_H
#define FORWARD_RECIPIENT_ROUTE_H

#include "forward/decision.h"
#include "mail/srs_address.h"

struct alias_table;

enum route_kind {
    ROUTE_FORWARD,     /* to targets, sender rewritten */
    ROUTE_RETURN,      /* a bounce going back: one target, the original sender */
    ROUTE_REPLY,       /* a reply to a munged author: a forward to the author, from anybody */
    ROUTE_DISCARD,     /* accept and throw away, with a log line */
    ROUTE_REFUSE,      /* decision says how (also defer) */
    ROUTE_NEEDS_TOKEN, /* look `token` up in the state store and call again with the answer */
};

struct route_options {
    const struct alias_table *aliases;
    const struct srs_options *srs;
    struct bytes srs_domain; /* default; a domain may have its own (alias_table knows) */
    bool accept_any_return;  /* SRS addresses from senders other than null */
};

struct route_token {
    bool is_known;        /* the store has been asked */
    struct bytes address; /* what it said; empty: not there (or expired) */
};

struct recipient_route {
    enum route_kind kind;
    struct decision decision;     /* ROUTE_REFUSE; DEFER or REFUSE */
    struct smtp_mailbox *targets; /* FORWARD, RETURN and REPLY */
    size_t target_count;
    const struct bytes
        *fallbacks;          /* FORWARD and REPLY: of each target, "local@domain" or empty;
                                    * may be NULL */
    struct bytes alias;      /* the address as the client wrote it, normalised: logs, bounces */
    struct bytes srs_domain; /* where forwards of this alias have their SRS address */
    struct bytes token;      /* NEEDS_TOKEN */
};

void recipient_route_find(const struct route_options *options, uint32_t today,
                          const struct smtp_mailbox *sender,
                          const struct smtp_mailbox *recipient, const struct route_token *token,
                          struct arena *arena, struct recipient_route *route);

#endif
