/*
 * dkim_memory - the memory libopendkim works in: what it gives back is kept for its next message.
 *
 * Why     a verification takes and gives back dozens of blocks, some of them of several KB, which
 *         the system's allocator splits and joins each time.
 * Padding each block has DKIM_MEMORY_PADDING octets more than asked for: libopendkim 2.11 writes one
 *         pointer behind an array when h= names every field and one more (dkim_canon_selecthdrs).
 * Limit   DKIM_MEMORY_KEPT octets in blocks of each size up to DKIM_MEMORY_BLOCK octets are kept, at
 *         most 2.3 MB in all; larger ones, and all under AddressSanitizer, come from the system and go
 *         back to it. A message takes about 60 blocks, 40 of them of the smallest size, 48 KB
 *         together: there is enough for 10 to 100 at a time.
 * Threads a memory belongs to one, and so does whatever was allocated with it.
 */
#ifndef AUTH_DKIM_MEMORY_H
#define AUTH_DKIM_MEMORY_H

#include <stddef.h>

enum { DKIM_MEMORY_PADDING = 16, DKIM_MEMORY_BLOCK = 16 * 1024, DKIM_MEMORY_KEPT = 256 * 1024 };

struct dkim_memory;

struct dkim_memory *dkim_memory_new(void);
/* After everything allocated with it. */
void dkim_memory_free(struct dkim_memory **memory);

/* As dkim_init wants them; the closure is a struct dkim_memory, or NULL: the system's allocator. */
void *dkim_memory_take(void *closure, size_t size);
void dkim_memory_give(void *closure, void *block);

#endif
