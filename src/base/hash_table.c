#include "base/hash_table.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

struct slot {
    uint64_t hash;
    struct bytes key;
    void *value; /* NULL: free */
};

struct hash_table {
    struct siphash_key key;
    struct slot *slots;
    size_t size; /* a power of two */
    size_t count;
};

struct hash_table *hash_table_new(struct siphash_key key)
{
    struct hash_table *table = memory_zero(sizeof *table);

    table->key = key;
    table->size = 16;
    table->slots = memory_zero(table->size * sizeof *table->slots);
    return table;
}

void hash_table_free(struct hash_table **table)
{
    if (*table != NULL) {
        free((*table)->slots);
        free(*table);
        *table = NULL;
    }
}

size_t hash_table_count(const struct hash_table *table)
{
    return table->count;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct slot *find_slot(const struct hash_table *table, uint64_t hash, struct bytes key)
{
    size_t at = hash & (table->size - 1);

    while (table->slots[at].value != NULL &&
           (table->slots[at].hash != hash || !bytes_equal(table->slots[at].key, key))) {
        at = (at + 1) & (table->size - 1);
    }
    return &table->slots[at];
}

static void grow(struct hash_table *table)
{
    struct slot *old = table->slots;
    size_t old_size = table->size;

    table->size *= 2;
    table->slots = memory_zero(table->size * sizeof *table->slots);
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].value != NULL) {
            *find_slot(table, old[i].hash, old[i].key) = old[i];
        }
    }
    free(old);
}

void *hash_table_get(const struct hash_table *table, struct bytes key)
{
    return find_slot(table, siphash(&table->key, key), key)->value;
}

void *hash_table_put(struct hash_table *table, struct bytes key, void *value)
{
    uint64_t hash = siphash(&table->key, key);
    struct slot *slot = find_slot(table, hash, key);
    void *before = slot->value;

    assert(value != NULL);
    *slot = (struct slot){hash, key, value};
    if (before == NULL && ++table->count * 4 > table->size * 3) {
        grow(table);
    }
    return before;
}

void *hash_table_remove(struct hash_table *table, struct bytes key)
{
    struct slot *slot = find_slot(table, siphash(&table->key, key), key);
    void *before = slot->value;
    size_t mask = table->size - 1;
    size_t hole = (size_t)(slot - table->slots);

    if (before == NULL) {
        return NULL;
    }
    /* Close the gap, so that no run of slots is cut in two by a free one. */
    for (size_t at = (hole + 1) & mask; table->slots[at].value != NULL; at = (at + 1) & mask) {
        size_t home = table->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole] = (struct slot){0};
    table->count--;
    return before;
}

void *hash_table_next(const struct hash_table *table, size_t *position)
{
    while (*position < table->size) {
        void *value = table->slots[(*position)++].value;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}
