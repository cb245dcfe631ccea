/*
 * hash_table - octets to a pointer, by a keyed hash.
 *
 * Keys    *borrowed*: the key's memory must live as long as the entry (usually it is part of the
 *         value). Compared octet by octet; fold before storing where case does not matter.
 * Values  *borrowed*, never NULL.
 * Cost    open addressing; no allocation on look-up.
 */
#ifndef BASE_HASH_TABLE_H
#define BASE_HASH_TABLE_H

#include "base/siphash.h"

struct hash_table;

struct hash_table *hash_table_new(struct siphash_key key);
void hash_table_free(
    struct hash_table **table); /* safe on NULL; values stay with their owner */
size_t hash_table_count(const struct hash_table *table);
void *hash_table_get(const struct hash_table *table, struct bytes key); /* or NULL */
/* Adds or replaces; returns what was there before, or NULL. */
void *hash_table_put(struct hash_table *table, struct bytes key, void *value);
/* Returns what was there, or NULL. */
void *hash_table_remove(struct hash_table *table, struct bytes key);
/* Walks all entries: start with *position = 0; returns NULL at the end. The table must not be
 * changed during the walk. */
void *hash_table_next(const struct hash_table *table, size_t *position);

#endif
