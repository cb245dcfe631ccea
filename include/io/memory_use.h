/*
 * memory_use - how much memory clients make this process hold: sessions, transactions, contents.
 *
 * Count   process-wide, from any thread; what is counted is told by whoever holds it, in octets asked
 *         for: what the allocator adds is not in it.
 * Limit   nothing is refused here. Above it contents go to files, and nobody begins anything new.
 */
#ifndef IO_MEMORY_USE_H
#define IO_MEMORY_USE_H

#include <stdbool.h>
#include <stddef.h>

/* Something that took `before` octets takes `now`. */
void memory_use_change(size_t before, size_t now);
size_t memory_use_now(void);
void memory_use_set_limit(size_t limit); /* at first there is none */
size_t memory_use_limit(void);
bool memory_use_is_over(void);

#endif
