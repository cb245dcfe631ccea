/*
 * import_pattern - a line of a Postfix regexp or pcre table as an alias of one domain.
 *
 * Input   "/^info-.*@example\.org$/": a pattern for whole addresses.
 * Output  the domain, and the pattern for local parts ("info-.*", as forward/alias_line wants it between slashes), or
 *         "everything".
 * Errors  IMPORT_PATTERN_OTHER with the reason: what has no equal here is left to the operator, never guessed at.
 * Source  regexp_table(5), pcre_table(5)
 */
#ifndef FORWARD_IMPORT_PATTERN_H
#define FORWARD_IMPORT_PATTERN_H

#include "base/arena.h"

struct import_pattern {
    bool is_any; /* every local part */
    struct bytes
        local; /* else: extended regular expression over whole local parts; in the arena */
    struct bytes domain; /* in the arena; empty: the pattern says none ("/^info@/") */
};

enum import_pattern_result { IMPORT_PATTERN_OK, IMPORT_PATTERN_OTHER };

/* Is this a line of such a table? */
bool import_pattern_is_meant(struct bytes line);
/* Takes the pattern off the front of *line; what is left is the value. `why` is static. */
enum import_pattern_result import_pattern_take(struct bytes *line, struct arena *arena,
                                               struct import_pattern *pattern,
                                               const char **why);

/* ---- those that were taken, in any order ----
 *
 * Postfix asks every table for the whole address, in their order: a pattern takes the mail of all that matches it and stands
 * below. With us names come before patterns, and patterns before "*". `domain` is the caller's number of one.
 */
struct import_pattern_item;
struct import_pattern_list {
    struct import_pattern_item *first;
};

void import_pattern_list_add(struct import_pattern_list *list, size_t domain,
                             const struct import_pattern *pattern);
/* Is all mail to `local` taken? NULL: all mail to the domain. */
bool import_pattern_list_takes(const struct import_pattern_list *list, size_t domain,
                               const char *local);
bool import_pattern_list_has(const struct import_pattern_list *list, size_t domain);
void import_pattern_list_clear(struct import_pattern_list *list);

#endif
