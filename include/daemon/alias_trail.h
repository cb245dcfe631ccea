/*
 * alias_trail - which aliases an address leads through: the look-ups of forward/recipient_route once more, one
 * step each. What comes of them says the route; this says why.
 *
 * Memory  steps and their text live in the arena given, or are static.
 * Text    what operators and strangers wrote is made printable; in JSON it stays what it is.
 */
#ifndef DAEMON_ALIAS_TRAIL_H
#define DAEMON_ALIAS_TRAIL_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "forward/alias_table.h"

/* An alias that matched, and below it those that its targets led to. */
struct alias_step {
    struct alias_step *next;
    unsigned depth;
    struct bytes address; /* what was looked for */
    struct bytes name;    /* what matched */
    const char *how;      /* "exact", "without +tag", "regex", "any name" */
    const char *action;   /* "forward" ... */
    struct bytes value;   /* targets, or the reply's text */
    struct bytes fallback;
};

struct alias_trail {
    struct arena *arena;
    struct alias_step *first, **end; /* private: &first when there is none */
};

void alias_trail_init(struct alias_trail *trail, struct arena *arena);
/* Adds what `address` leads through; nothing when it is no alias. */
void alias_trail_follow(struct alias_trail *trail, const struct alias_table *aliases,
                        struct bytes address);
void alias_trail_add_text(struct strbuf *out, const struct alias_trail *trail);
/* The array "aliases". */
void alias_trail_add_json(struct strbuf *out, const struct alias_trail *trail);

#endif
