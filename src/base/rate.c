#include "base/rate.h"

static uint64_t owed_us(const struct rate *rate, uint64_t now_ms)
{
    uint64_t now_us = now_ms * 1000;

    return rate->full_us > now_us ? rate->full_us - now_us : 0;
}

static uint64_t cost_us(struct rate_limit limit, uint64_t count)
{
    return limit.period_ms * 1000 / limit.count * count;
}

bool rate_has(const struct rate *rate, struct rate_limit limit, uint64_t count, uint64_t now_ms)
{
    return limit.count == 0 ||
           owed_us(rate, now_ms) + cost_us(limit, count) <= limit.period_ms * 1000;
}

void rate_take(struct rate *rate, struct rate_limit limit, uint64_t count, uint64_t now_ms)
{
    if (limit.count > 0) {
        rate->full_us = now_ms * 1000 + owed_us(rate, now_ms) + cost_us(limit, count);
    }
}

bool shared_rate_spend(struct shared_rate *rate, struct rate_limit limit, uint64_t count,
                       uint64_t now_ms)
{
    uint64_t seen;

    if (limit.count == 0) {
        return true;
    }
    seen = atomic_load_explicit(&rate->full_us, memory_order_relaxed);
    for (;;) {
        struct rate mine = {.full_us = seen};

        if (!rate_has(&mine, limit, count, now_ms)) {
            return false;
        }
        rate_take(&mine, limit, count, now_ms);
        if (atomic_compare_exchange_weak_explicit(&rate->full_us, &seen, mine.full_us,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
}
