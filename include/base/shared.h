/*
 * shared - a count of holders, for values that several threads read and nobody changes.
 *
 * Use     first member of the value; shared_init sets the count to one. Whoever drops the last
 *         hold runs `destroy` on its own thread.
 */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include <stdatomic.h>

struct shared {
    atomic_int holders;
    void (*destroy)(struct shared *value);
};

static inline void shared_init(struct shared *value, void (*destroy)(struct shared *value))
{
    atomic_init(&value->holders, 1);
    value->destroy = destroy;
}

static inline void shared_hold(struct shared *value)
{
    atomic_fetch_add_explicit(&value->holders, 1, memory_order_relaxed);
}

static inline void shared_drop(struct shared *value)
{
    if (atomic_fetch_sub_explicit(&value->holders, 1, memory_order_acq_rel) == 1) {
        value->destroy(value);
    }
}

#endif
