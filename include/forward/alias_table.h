/*
 * alias_table - the addresses we take mail for, of all our domains.
 *
 * Build   add every domain and own name first, then the texts ("name: target" a line, see
 *         forward/alias_line), then run alias_check. After that nobody changes it: many
 *         threads read.
 * Memory  texts are *borrowed* and must outlive the table; beside them an exact name costs 8
 *         octets in an open-addressing table over the text, at most half full. A look-up
 *         allocates nothing.
 * Names   ASCII case does not matter. Hashes are keyed: names come from strangers.
 * Order   exact, exact without "+tag", regex in the order they were written, "*".
 * Limits  4 GiB of text a domain; ALIAS_LINE_LIMIT octets a line.
 * Errors  all of them go to the report, with the octets they are about; wrong lines are left out.
 */
#ifndef FORWARD_ALIAS_TABLE_H
#define FORWARD_ALIAS_TABLE_H

#include "base/siphash.h"
#include "forward/alias_line.h"

struct alias_table;

#define ALIAS_NO_DOMAIN ((size_t)-1)

/* Where in which text. `source` is the number the caller gave to the text. */
struct alias_place {
    unsigned source;
    size_t offset;
    size_t len;
};

struct alias_problem {
    bool is_warning;
    size_t domain;
    bool has_place; /* otherwise it is about the domain as a whole */
    struct alias_place place;
    bool has_first; /* a duplicate: where the name was set first */
    struct alias_place first;
    const char *message; /* good during the call */
    const char *hint;    /* or NULL */
};

struct alias_report {
    void (*problem)(void *context, const struct alias_problem *problem);
    void *context;
};

struct alias_table *alias_table_new(struct siphash_key key);
void alias_table_free(struct alias_table **table); /* safe on NULL */
/* `srs_domain` may be empty: the default one. Both *borrowed*. The number of the domain, or
 * ALIAS_NO_DOMAIN when it is there already. */
size_t alias_table_add_domain(struct alias_table *table, struct bytes domain,
                              struct bytes srs_domain);
/* A name of ours that has no aliases of its own: hostname, SRS domain. *borrowed* */
void alias_table_add_own_name(struct alias_table *table, struct bytes name, bool is_srs);
void alias_table_add_text(struct alias_table *table, size_t domain, unsigned source,
                          struct bytes text, const struct alias_report *report);

size_t alias_table_domain_count(const struct alias_table *table);
size_t alias_table_entry_count(const struct alias_table *table); /* of all domains */
struct bytes alias_table_domain_name(const struct alias_table *table, size_t domain);
struct bytes alias_table_srs_domain(const struct alias_table *table,
                                    size_t domain); /* or empty */
/* The domain's number, or ALIAS_NO_DOMAIN. */
size_t alias_table_find_domain(const struct alias_table *table, struct bytes domain);
/* Domains with aliases, SRS domains and own names. */
bool alias_table_is_own(const struct alias_table *table, struct bytes domain);
bool alias_table_is_srs(const struct alias_table *table, struct bytes domain);
/* The same as a callback: context is the table (srs_options.is_own_domain). */
bool alias_table_is_own_domain(void *context, struct bytes domain);

struct alias_match {
    struct alias_line line;   /* views of the text */
    struct alias_place place; /* of the name */
    size_t entry;             /* number within the domain, under alias_table_entry_limit */
};

/* `local` is decoded (no quotes). */
bool alias_table_find(const struct alias_table *table, size_t domain, struct bytes local,
                      struct alias_match *match);
/* Only an exact name, without the fall-backs. */
bool alias_table_find_exact(const struct alias_table *table, size_t domain, struct bytes local,
                            struct alias_match *match);
/* The "*" of the domain. */
bool alias_table_find_any(const struct alias_table *table, size_t domain,
                          struct alias_match *match);
/* For alias_check: numbers stay under this, and entries with targets in our own domains. */
size_t alias_table_entry_limit(const struct alias_table *table, size_t domain);
bool alias_table_nested(const struct alias_table *table, size_t domain, size_t index,
                        struct alias_match *match);

#endif
