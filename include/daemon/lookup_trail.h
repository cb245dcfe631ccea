/*
 * lookup_trail - what was asked of DNS and what it said, in the order the answers came; for commands that
 * show it (dns_resolver_watch).
 *
 * Memory  all of it lives in the arena given, or is static.
 * Text    names and records of strangers are made printable; in JSON they stay what they are.
 */
#ifndef DAEMON_LOOKUP_TRAIL_H
#define DAEMON_LOOKUP_TRAIL_H

#include "daemon/report_lines.h"
#include "protocol/dns_facts.h"

struct lookup_note {
    struct lookup_note *next;
    const char *stage; /* when the answer came: "mail", "next-hop" ... */
    struct bytes name;
    uint16_t type;
    const char *status, *why;
    bool is_secure; /* AD: the resolver has validated it */
    struct report_lines records;
};

struct lookup_trail {
    struct arena *arena;
    struct lookup_note *first, **end; /* private: &first when there is none */
};

void lookup_trail_init(struct lookup_trail *trail, struct arena *arena);
/* Copies name and records; `stage` is static. */
const struct lookup_note *lookup_trail_add(struct lookup_trail *trail, const char *stage,
                                           struct bytes name, uint16_t type,
                                           const struct dns_answer *answer);
/* "  MX    example.net  ok (DNSSEC)", and its records below. */
void lookup_note_add_text(struct strbuf *out, const struct lookup_note *note);
/* All of them, each stage under its name. */
void lookup_trail_add_text(struct strbuf *out, const struct lookup_trail *trail);
/* The array "lookups". */
void lookup_trail_add_json(struct strbuf *out, const struct lookup_trail *trail);

#endif
