/*
 * dkim_key_cache - public keys that have been parsed once, for libopendkim.
 *
 * Why     libopendkim has OpenSSL parse a signature's public key each time, by d2i_PUBKEY_bio, which
 *         costs several times what the verification itself does, and it takes no parsed key. This
 *         module defines d2i_PUBKEY_bio; the definition in a program goes before that in libcrypto,
 *         when the program exports it (--export-dynamic-symbol, Makefile).
 * Scope   a cache answers only between _enter and _leave, in the thread that entered. Outside of
 *         that d2i_PUBKEY_bio does what libcrypto's does, and every call gets a key of its own.
 * Inside  what a call gives, consumes and reports is the same, but keys are shared: reference
 *         counted, and not to be changed by who gets one. libopendkim only verifies with them.
 * Limits  DKIM_KEY_CACHE_LIMIT keys, the one longest unused goes; keys whose DER has more than
 *         DKIM_KEY_CACHE_OCTETS are parsed each time. A key takes about 3 KB.
 * Threads a cache belongs to one.
 */
#ifndef AUTH_DKIM_KEY_CACHE_H
#define AUTH_DKIM_KEY_CACHE_H

#include <stddef.h>

enum { DKIM_KEY_CACHE_LIMIT = 512, DKIM_KEY_CACHE_OCTETS = 1024 };

struct dkim_key_cache;

struct dkim_key_cache *dkim_key_cache_new(void);
void dkim_key_cache_free(struct dkim_key_cache **cache); /* safe on NULL */

/* *borrows* the cache until dkim_key_cache_leave. Not nested. */
void dkim_key_cache_enter(struct dkim_key_cache *cache);
void dkim_key_cache_leave(void);

struct dkim_key_cache_counts {
    size_t keys;   /* kept now */
    size_t hits;   /* found */
    size_t misses; /* parsed */
};

struct dkim_key_cache_counts dkim_key_cache_counts(const struct dkim_key_cache *cache);

#endif
