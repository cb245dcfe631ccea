/*
 * alias_import_internal.h - what the files of alias_import share.
 *
 *   alias_import.c          rows, names, the order of things
 *   alias_import_targets.c  what stands behind a name
 */
#ifndef FORWARD_ALIAS_IMPORT_INTERNAL_H
#define FORWARD_ALIAS_IMPORT_INTERNAL_H

#include "base/arena.h"
#include "base/hash_table.h"
#include "base/strbuf.h"
#include "forward/alias_import.h"
#include "forward/import_pattern.h"

#define NO_DOMAIN ((size_t)-1)

struct import_row {
    struct alias_import_entry entry; /* name empty: only comments, or left out */
    enum alias_import_kind kind;
    enum alias_name_kind name_kind;
    bool has_domain;       /* the name said one */
    struct bytes text;     /* as written, joined */
    struct bytes value;    /* behind the name */
    struct bytes local;    /* EXACT: decoded; REGEX: the pattern */
    struct bytes comments; /* above it */
    size_t first_problem, problem_count;
};

struct import_domain {
    struct bytes name;
};

struct alias_import {
    struct alias_import_options options;
    struct arena *arena;
    struct import_row **lines;
    size_t line_count, line_capacity;
    struct import_domain *domains;
    size_t domain_count;
    struct hash_table *domain_numbers; /* to the number plus one */
    struct hash_table *names;          /* "local@domain", folded, to struct import_row */
    struct import_pattern_list patterns;
    struct alias_import_problem *problems;
    size_t problem_count, problem_capacity;
    const struct alias_import_entry **entries;
    size_t entry_count;
    struct strbuf comments; /* waiting for the line below them */
};

/* One line's value on its way to our action. */
struct import_reading {
    struct alias_import *import;
    struct import_row *line;
    struct strbuf targets;
    size_t count;
};

/* A problem of the row: told, and not part of what comes out. */
void alias_import_leave_out(struct alias_import *import, struct import_row *line,
                            struct bytes text, const char *why);
struct bytes alias_import_plain_domain(struct alias_import *import, struct bytes name);
/* "local@domain", folded: what `names` is asked for. */
struct bytes alias_import_name_key(struct alias_import *import, struct bytes local,
                                   struct bytes domain);
bool alias_import_read_local(struct alias_import *import, struct bytes text,
                             struct bytes *local);
size_t alias_import_name_length(struct bytes text, const char *ends);

/* alias_import_targets.c: a value that is a list of addresses; one that is an action (false: it is none). */
void alias_import_take_targets(struct import_reading *reading);
bool alias_import_take_action(struct import_reading *reading);

#endif
