/*
 * explain_report - what would happen to a message, as `postilion explain` found it, for people and for programs.
 *
 * Shape   lists in the order things happened; all of it lives in `arena`, or is static. Empty text and
 *         NULL: there is nothing to say about it.
 * Text    what strangers wrote is made printable; in JSON it stays what it is.
 */
#ifndef DAEMON_EXPLAIN_REPORT_H
#define DAEMON_EXPLAIN_REPORT_H

#include "daemon/alias_trail.h"
#include "daemon/lookup_trail.h"
#include "forward/accept_policy.h"
#include "forward/next_hop_order.h"
#include "forward/tls_policy.h"
#include "protocol/dns_facts.h"

/* One command and its answer. */
struct explain_exchange {
    struct explain_exchange *next;
    const char *stage; /* "connect", "ehlo", "mail" ... */
    struct bytes command;
    unsigned code;
    struct bytes enhanced, text;
};

struct explain_signature {
    struct explain_signature *next;
    const char *result, *why;
    struct bytes domain, selector;
};

struct explain_checks {
    bool is_known;   /* false: nobody was asked */
    bool has_author; /* what follows about the author is known, too */
    const char *iprev, *spf, *spf_why, *dmarc, *dmarc_policy, *dmarc_why, *arc, *arc_why;
    struct bytes client_name, spf_domain, spf_mechanism, author, aligned_domain;
    struct explain_signature *signatures;
};

struct explain_forecast {
    const char *result; /* NULL: there is none */
    const char *why, *manner;
    struct report_lines marks;
};

struct explain_hop {
    struct bytes host;
    struct ip_endpoint endpoint;
    uint16_t preference;
    enum tls_level tls;
};

struct explain_delivery {
    struct explain_delivery *next;
    struct bytes address, alias, sender, destination, fallback;
    struct explain_hop *hops;
    size_t hop_count;
    bool is_mx_secure, is_partial;
    struct decision failure; /* without hops; disposition ACCEPT: they were not looked for */
};

struct explain_report {
    struct arena *arena;
    struct bytes from, to, client, helo;
    bool is_made_up; /* no message was given */
    struct explain_exchange *session, **session_end;
    struct lookup_trail lookups;
    struct alias_trail aliases;
    struct explain_delivery *deliveries, **deliveries_end;
    struct report_lines log, notes;
    struct explain_checks checks;
    struct explain_forecast forecast;
    struct bytes header; /* what is put in front */
    struct report_lines removed,
        changed;     /* fields that are not sent on; new ones in the content */
    bool is_return;  /* it goes back to a sender */
    bool is_handoff; /* the next hops are asked before the answer */
    const char *held_why;
    enum disposition outcome;
    const struct explain_exchange *answer; /* that decided; NULL: the connection ended */
    struct bytes why;             /* the log's word for it, when it was refused or deferred */
    struct report_lines standing; /* what the running daemon remembers of the client */
    struct report_lines limits;   /* that the daemon counts against, and nobody here can */
};

void explain_report_init(struct explain_report *report, struct arena *arena);
/* Each is put behind the last, and is the caller's to fill in. */
struct explain_exchange *explain_report_exchange(struct explain_report *report);
struct explain_delivery *explain_report_delivery(struct explain_report *report);

const char *explain_outcome_text(enum disposition outcome); /* "accepted" ... */
void explain_report_add_text(struct strbuf *out, const struct explain_report *report);
void explain_report_add_json(struct strbuf *out, const struct explain_report *report);

#endif
