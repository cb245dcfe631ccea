/*
 * entropy - unpredictable octets from the system (getrandom); never fails, never falls back.
 */
#ifndef IO_ENTROPY_H
#define IO_ENTROPY_H

#include "base/siphash.h"

void entropy_fill(void *data, size_t len);
uint32_t entropy_u32(void);
struct siphash_key entropy_hash_key(void);

#endif
