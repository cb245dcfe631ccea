/*
 * dns_cache - answers by (type, name), until their time is up or the room is needed.
 *
 * Limit   in octets, all counted; the least recently used go first. An answer larger than an
 *         eighth of the limit is not kept.
 * Times   a TTL counts as 5 seconds at least and one day at most; temporary failures are not
 * kept. Keys    dns_cache_key: octets of type and normalised name, hashed with a secret key.
 */
#ifndef IO_DNS_CACHE_H
#define IO_DNS_CACHE_H

#include "base/siphash.h"
#include "protocol/dns_message.h"

enum { DNS_TTL_MIN = 5, DNS_TTL_MAX = 86400 };

struct dns_cache;

struct dns_cache_key {
    size_t len;
    char octets[2 + DNS_NAME_LIMIT];
};

struct dns_cache *dns_cache_new(struct siphash_key key, size_t limit_octets);
void dns_cache_free(struct dns_cache **cache);
/* `name` is normalised. */
void dns_cache_key(struct bytes name, uint16_t type, struct dns_cache_key *key);
/* False: not there. *answer is good until the next put; its ttl is what is left. */
bool dns_cache_get(struct dns_cache *cache, const struct dns_cache_key *key, uint64_t now_ms,
                   struct dns_answer *answer);
/* Keeps a copy (or not, see above). */
void dns_cache_put(struct dns_cache *cache, const struct dns_cache_key *key, uint64_t now_ms,
                   const struct dns_answer *answer);
size_t dns_cache_entries(const struct dns_cache *cache);
size_t dns_cache_octets(const struct dns_cache *cache);

#endif
