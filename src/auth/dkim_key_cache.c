#include "auth/dkim_key_cache.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"

#include <assert.h>
#include <openssl/asn1.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

struct cached_key {
    struct list by_use;
    EVP_PKEY *key;
    size_t len;
    char der[]; /* what it was parsed from: the key in the table */
};

struct dkim_key_cache {
    struct hash_table *table; /* of struct cached_key */
    struct list by_use;       /* the longest unused first */
    struct dkim_key_cache_counts counts;
};

/* A symbol that libopendkim calls can be given nothing else by us. */
static _Thread_local struct dkim_key_cache *entered;

struct dkim_key_cache *dkim_key_cache_new(void)
{
    struct dkim_key_cache *cache = memory_zero(sizeof *cache);
    struct siphash_key key = {{0, 0}};

    /* It decides where in the table a key stands and nothing else; without random octets the
     * table is as right, and with so few keys hardly slower. */
    (void)RAND_bytes((unsigned char *)&key, sizeof key);
    cache->table = hash_table_new(key);
    list_init(&cache->by_use);
    return cache;
}

static struct bytes der_of(const struct cached_key *cached)
{
    return bytes_of(cached->der, cached->len);
}

static void drop(struct dkim_key_cache *cache, struct cached_key *cached)
{
    (void)hash_table_remove(cache->table, der_of(cached));
    list_remove(&cached->by_use);
    EVP_PKEY_free(cached->key);
    free(cached);
}

static struct cached_key *longest_unused(struct dkim_key_cache *cache)
{
    return list_owner(cache->by_use.next, struct cached_key, by_use);
}

void dkim_key_cache_free(struct dkim_key_cache **cache)
{
    if (*cache == NULL) {
        return;
    }
    while (!list_is_empty(&(*cache)->by_use)) {
        drop(*cache, longest_unused(*cache));
    }
    hash_table_free(&(*cache)->table);
    free(*cache);
    *cache = NULL;
}

void dkim_key_cache_enter(struct dkim_key_cache *cache)
{
    assert(entered == NULL);
    entered = cache;
}

void dkim_key_cache_leave(void)
{
    entered = NULL;
}

struct dkim_key_cache_counts dkim_key_cache_counts(const struct dkim_key_cache *cache)
{
    struct dkim_key_cache_counts counts = cache->counts;

    counts.keys = hash_table_count(cache->table);
    return counts;
}

static void keep(struct dkim_key_cache *cache, struct bytes der, EVP_PKEY *key)
{
    struct cached_key *cached;

    if (hash_table_count(cache->table) == DKIM_KEY_CACHE_LIMIT) {
        drop(cache, longest_unused(cache));
    }
    if (EVP_PKEY_up_ref(key) != 1) {
        return;
    }
    cached = memory_alloc(sizeof *cached + der.len);
    cached->key = key;
    cached->len = der.len;
    memcpy(cached->der, der.data, der.len);
    list_append(&cache->by_use, &cached->by_use);
    (void)hash_table_put(cache->table, der_of(cached), cached);
}

/* With a reference for the caller; or NULL. */
static EVP_PKEY *find(struct dkim_key_cache *cache, struct bytes der)
{
    struct cached_key *cached = hash_table_get(cache->table, der);

    if (cached == NULL || EVP_PKEY_up_ref(cached->key) != 1) {
        return NULL;
    }
    list_remove(&cached->by_use);
    list_append(&cache->by_use, &cached->by_use);
    return cached->key;
}

/* libcrypto's own d2i_PUBKEY_bio, by the public function it is made of. */
static EVP_PKEY *parse(BIO *input, EVP_PKEY **key)
{
    return ASN1_d2i_bio_of(EVP_PKEY, EVP_PKEY_new, d2i_PUBKEY, input, key);
}

static EVP_PKEY *parse_and_keep(struct dkim_key_cache *cache, struct bytes der, BIO *input,
                                EVP_PKEY **key)
{
    char copy[DKIM_KEY_CACHE_OCTETS]; /* reading may move or clear what the BIO holds */
    EVP_PKEY *parsed;

    memcpy(copy, der.data, der.len);
    parsed = parse(input, key);
    cache->counts.misses++;
    /* What stands behind a key is left for the next reader: only the parser knows where it is. */
    if (parsed != NULL && BIO_pending(input) == 0) {
        keep(cache, bytes_of(copy, der.len), parsed);
    }
    return parsed;
}

static void consume(BIO *input, size_t len)
{
    char sink[DKIM_KEY_CACHE_OCTETS];

    (void)BIO_read(input, sink, (int)len);
}

/* Declared in openssl/x509.h. */
EVP_PKEY *d2i_PUBKEY_bio(BIO *input, EVP_PKEY **key)
{
    struct dkim_key_cache *cache = entered;
    char *data = NULL;
    long len;
    EVP_PKEY *found;

    if (cache == NULL || BIO_method_type(input) != BIO_TYPE_MEM) {
        return parse(input, key);
    }
    len = BIO_get_mem_data(input, &data);
    if (len <= 0 || len > DKIM_KEY_CACHE_OCTETS || data == NULL) {
        return parse(input, key);
    }
    found = find(cache, bytes_of(data, (size_t)len));
    if (found == NULL) {
        return parse_and_keep(cache, bytes_of(data, (size_t)len), input, key);
    }
    cache->counts.hits++;
    consume(input, (size_t)len);
    if (key != NULL) {
        EVP_PKEY_free(*key);
        *key = found;
    }
    return found;
}
