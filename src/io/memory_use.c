#include "io/memory_use.h"

#include <stdatomic.h>
#include <stdint.h>

static atomic_size_t used;
static atomic_size_t most = SIZE_MAX;

void memory_use_change(size_t before, size_t now)
{
    if (before != now) {
        /* Modulo arithmetic: less is added as a very large number. */
        atomic_fetch_add_explicit(&used, now - before, memory_order_relaxed);
    }
}

size_t memory_use_now(void)
{
    return atomic_load_explicit(&used, memory_order_relaxed);
}

void memory_use_set_limit(size_t limit)
{
    atomic_store_explicit(&most, limit, memory_order_relaxed);
}

size_t memory_use_limit(void)
{
    return atomic_load_explicit(&most, memory_order_relaxed);
}

bool memory_use_is_over(void)
{
    return memory_use_now() > memory_use_limit();
}
