/*
 * arena - memory that is given back all at once.
 *
 * Use     one per lifetime (transaction, delivery attempt, parsed answer). Plain data only:
 *         sockets and library handles are never put in here.
 * Limit   none of its own; whoever stores what a peer sends checks sizes first.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

struct arena;

struct arena *arena_new(void);         /* allocates nothing but itself until first use */
void arena_free(struct arena **arena); /* safe on NULL */
/* The same for one that holds secrets: overwritten first. */
void arena_free_wiped(struct arena **arena);
/* Gives back everything; keeps the first block for reuse. */
void arena_reset(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t size); /* aligned for any type, cleared to 0 */
struct bytes arena_copy(struct arena *arena, struct bytes view);
struct bytes arena_copy_lower(struct arena *arena,
                              struct bytes view);              /* ASCII letters folded */
char *arena_copy_text(struct arena *arena, struct bytes view); /* NUL-terminated */
/* Octets handed out since the last reset. */
size_t arena_used(const struct arena *arena);

#endif
