/*
 * explain_report - what would happen to a message, as `postilion explain` found it, for people and for programs.
 *
 * Shape   lists in the order things happened; all of it lives in `arena`, or is static. Empty text and
 *         NULL: there is nothing to say about it.
 * Text    what strangers wrote is made printable; in JSON it stays what it is.
 */
#ifndef DAEMON_EXPLAIN_REPORT_H
#define DAEMON_EXPLAIN_REPORT_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "forward/accept_policy.h"
#include "forward/next_hop_order.h"
#include "forward/tls_policy.h"
#include "protocol/dns_facts.h"

/* One line each: of the log, of a header, a note. */
struct explain_line {
    struct explain_line *next;
    struct bytes text;
};

struct explain_lines {
    struct explain_line *first, **end; /* private: &first when there is none */
};

/* One command and its answer. */
struct explain_exchange {
    struct explain_exchange *next;
    const char *stage; /* "connect", "ehlo", "mail" ... */
    struct bytes command;
    unsigned code;
    struct bytes enhanced, text;
};

struct explain_lookup {
    struct explain_lookup *next;
    const char *stage; /* when the answer came; "next-hop" */
    struct bytes name;
    uint16_t type;
    const char *status, *why;
    bool is_secure;
    struct explain_lines records;
};

/* An alias that matched, and below it those that its targets led to. */
struct explain_alias {
    struct explain_alias *next;
    unsigned depth;
    struct bytes address; /* what was looked for */
    struct bytes name;    /* what matched */
    const char *how;      /* "exact", "without +tag", "regex", "any" */
    const char *action;   /* "forward" ... */
    struct bytes value;   /* targets, or the reply's text */
    struct bytes fallback;
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
    struct explain_lines marks;
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
    struct explain_lookup *lookups, **lookups_end;
    struct explain_alias *aliases, **aliases_end;
    struct explain_delivery *deliveries, **deliveries_end;
    struct explain_lines log, notes;
    struct explain_checks checks;
    struct explain_forecast forecast;
    struct bytes header; /* what is put in front */
    struct explain_lines removed,
        changed;     /* fields that are not sent on; new ones in the content */
    bool is_return;  /* it goes back to a sender */
    bool is_handoff; /* the next hops are asked before the answer */
    const char *held_why;
    enum disposition outcome;
    const struct explain_exchange *answer; /* that decided; NULL: the connection ended */
};

void explain_report_init(struct explain_report *report, struct arena *arena);
/* Copies the text. */
void explain_lines_add(struct explain_lines *lines, struct arena *arena, struct bytes text);
/* Each is put behind the last, and is the caller's to fill in. */
struct explain_exchange *explain_report_exchange(struct explain_report *report);
struct explain_lookup *explain_report_lookup(struct explain_report *report);
struct explain_alias *explain_report_alias(struct explain_report *report);
struct explain_delivery *explain_report_delivery(struct explain_report *report);

const char *explain_outcome_text(enum disposition outcome); /* "accepted" ... */
void explain_report_add_text(struct strbuf *out, const struct explain_report *report);
void explain_report_add_json(struct strbuf *out, const struct explain_report *report);

#endif
