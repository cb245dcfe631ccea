#include "dns_cache.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"

#include <stdalign.h>
#include <stdlib.h>

enum { TABLE_OCTETS = 64 }; /* an entry's share of the hash table, and of the allocator's own */

/* One block of memory: this, the answer's copy, the key. */
struct entry {
    struct list lru;
    struct bytes key;
    uint64_t expires_ms;
    size_t octets;
    struct dns_answer answer;
    alignas(max_align_t) char data[];
};

struct dns_cache {
    struct hash_table *table;
    struct list lru; /* most recently used first */
    size_t octets, limit;
};

struct dns_cache *dns_cache_new(struct siphash_key key, size_t limit_octets)
{
    struct dns_cache *cache = memory_zero(sizeof *cache);

    cache->table = hash_table_new(key);
    cache->limit = limit_octets;
    list_init(&cache->lru);
    return cache;
}

static void drop(struct dns_cache *cache, struct entry *entry)
{
    (void)hash_table_remove(cache->table, entry->key);
    list_remove(&entry->lru);
    cache->octets -= entry->octets;
    free(entry);
}

void dns_cache_free(struct dns_cache **cache)
{
    if (*cache == NULL) {
        return;
    }
    while (!list_is_empty(&(*cache)->lru)) {
        drop(*cache, list_owner((*cache)->lru.next, struct entry, lru));
    }
    hash_table_free(&(*cache)->table);
    free(*cache);
    *cache = NULL;
}

void dns_cache_key(struct bytes name, uint16_t type, struct dns_cache_key *key)
{
    name = bytes_first(name, DNS_NAME_LIMIT);
    key->octets[0] = (char)(type >> 8);
    key->octets[1] = (char)(type & 0xff);
    memcpy(key->octets + 2, name.len > 0 ? name.data : "", name.len);
    key->len = name.len + 2;
}

bool dns_cache_get(struct dns_cache *cache, const struct dns_cache_key *key, uint64_t now_ms,
                   struct dns_answer *answer)
{
    struct entry *entry = hash_table_get(cache->table, bytes_of(key->octets, key->len));

    if (entry == NULL) {
        return false;
    }
    if (entry->expires_ms <= now_ms) {
        drop(cache, entry);
        return false;
    }
    list_remove(&entry->lru);
    list_insert(&cache->lru, &entry->lru);
    *answer = entry->answer;
    answer->ttl = (uint32_t)((entry->expires_ms - now_ms) / 1000);
    return true;
}

static uint32_t clamp_ttl(uint32_t ttl)
{
    if (ttl < DNS_TTL_MIN) {
        return DNS_TTL_MIN;
    }
    return ttl < DNS_TTL_MAX ? ttl : DNS_TTL_MAX;
}

void dns_cache_put(struct dns_cache *cache, const struct dns_cache_key *key, uint64_t now_ms,
                   const struct dns_answer *answer)
{
    size_t answer_octets = dns_answer_size(answer);
    size_t octets = sizeof(struct entry) + answer_octets + key->len;
    struct entry *entry = hash_table_get(cache->table, bytes_of(key->octets, key->len));

    if (entry != NULL) {
        drop(cache, entry);
    }
    if (answer->status == DNS_TEMPFAIL || octets + TABLE_OCTETS > cache->limit / 8) {
        return;
    }
    entry = memory_alloc(octets);
    *entry = (struct entry){.octets = octets + TABLE_OCTETS};
    entry->expires_ms = now_ms + clamp_ttl(answer->ttl) * (uint64_t)1000;
    dns_answer_copy(answer, entry->data, &entry->answer);
    memcpy(entry->data + answer_octets, key->octets, key->len);
    entry->key = bytes_of(entry->data + answer_octets, key->len);
    (void)hash_table_put(cache->table, entry->key, entry);
    list_insert(&cache->lru, &entry->lru);
    cache->octets += entry->octets;
    while (cache->octets > cache->limit) {
        drop(cache, list_owner(cache->lru.previous, struct entry, lru));
    }
}

size_t dns_cache_entries(const struct dns_cache *cache)
{
    return hash_table_count(cache->table);
}

size_t dns_cache_octets(const struct dns_cache *cache)
{
    return cache->octets;
}
