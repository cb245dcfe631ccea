#include "forward/retry_schedule.h"

#include <assert.h>

enum { JITTER_PERCENT = 20 };

uint64_t retry_schedule_pause_ms(const struct retry_schedule *schedule, unsigned attempts,
                                 uint32_t random)
{
    size_t index = attempts == 0 ? 0 : attempts - 1;
    uint64_t pause_ms, lowest, spread;

    assert(schedule->count > 0 && schedule->count <= RETRY_PAUSES);
    if (index >= schedule->count) {
        index = schedule->count - 1;
    }
    pause_ms = schedule->pauses_seconds[index] * (uint64_t)1000;
    /* Messages that failed together must not come back together. */
    lowest = pause_ms / 100 * (100 - JITTER_PERCENT);
    spread = pause_ms / 100 * (2 * JITTER_PERCENT);
    return lowest +
           (spread / 65536 * (random >> 16) + (spread % 65536) * (random >> 16) / 65536);
}

bool retry_schedule_is_expired(const struct retry_schedule *schedule, int64_t created_ms,
                               int64_t next_attempt_ms)
{
    return next_attempt_ms - created_ms > schedule->expire_seconds * (int64_t)1000;
}

int64_t retry_schedule_next_ms(const struct retry_schedule *schedule, int64_t created_ms,
                               int64_t now_ms, unsigned attempts, uint32_t random)
{
    int64_t next_ms = now_ms + (int64_t)retry_schedule_pause_ms(schedule, attempts, random);
    int64_t end_ms = created_ms + schedule->expire_seconds * (int64_t)1000;
    int64_t shortest_ms = (int64_t)retry_schedule_pause_ms(schedule, 1, 0);

    if (next_ms > end_ms && end_ms - now_ms >= shortest_ms) {
        return end_ms;
    }
    return next_ms;
}
