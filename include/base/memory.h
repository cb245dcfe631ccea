/*
 * memory - allocation that does not fail.
 *
 * Rule    running out of memory ends the process with a message on standard error (the spool
 *         makes that safe, docs/decisions/out-of-memory.md); "too big" is an ordinary result and
 *         is checked where sizes come from a peer, before anything is allocated.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

void *memory_alloc(size_t size); /* new, not cleared */
void *memory_zero(size_t size);  /* new, all octets 0 */
/* Array of count elements, multiplication checked; `old` may be NULL. */
void *memory_resize(void *old, size_t count, size_t size);
/* Overwrites secrets in a way the compiler keeps. */
void memory_wipe(void *data, size_t size);

#endif
