/*
 * rate - so many in so long, kept as one number.
 *
 * Shape   a bucket that holds what a whole period allows and fills evenly: the first period may see twice
 *         the count, any longer time does not. All zeros: full.
 * Limit   `count` 0: there is none, and nothing is kept. Another limit from now on is fine.
 * Time    monotonic milliseconds, of any origin.
 */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint64_t full_us; /* when it will be full again */
};

struct rate_limit {
    uint64_t count;
    uint64_t period_ms;
};

/* Is there room for `count` more? Takes nothing. */
bool rate_has(const struct rate *rate, struct rate_limit limit, uint64_t count,
              uint64_t now_ms);
/* Takes them, there or not; what was taken too much has to fill up first. */
void rate_take(struct rate *rate, struct rate_limit limit, uint64_t count, uint64_t now_ms);

/* The same for several threads at once. */
struct shared_rate {
    _Atomic uint64_t full_us;
};

/* Takes them when there is room; false: nothing was taken. */
bool shared_rate_spend(struct shared_rate *rate, struct rate_limit limit, uint64_t count,
                       uint64_t now_ms);

#endif
