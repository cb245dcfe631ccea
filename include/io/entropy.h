/*
 * entropy - unpredictable octets from the system (getrandom); never fails, never falls back.
 */
#ifndef IO_ENTROPY_H
#define IO_ENTROPY_H

#include "base/siphash.h"
#include "base/strbuf.h"

void entropy_fill(void *data, size_t len);
uint32_t entropy_u32(void);
/* A secret for people's files: 32 octets as base64, and a line end. The caller wipes it. */
void entropy_add_secret(struct strbuf *out);
struct siphash_key entropy_hash_key(void);

#endif
