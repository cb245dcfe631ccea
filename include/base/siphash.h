/*
 * siphash - SipHash-2-4, a keyed hash for tables whose keys come from strangers.
 *
 * Source  Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/bytes.h"

struct siphash_key {
    uint64_t words[2];
};

uint64_t siphash(const struct siphash_key *key, struct bytes input);
/* The same with ASCII letters folded to lower case. */
uint64_t siphash_nocase(const struct siphash_key *key, struct bytes input);

#endif
