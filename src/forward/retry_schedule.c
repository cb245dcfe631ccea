#include "forward/retry_schedule.h"

#include <assert.h>

enum { JITTER_PERCENT = 20, GREYLIST_PAUSES = 3 };

/* Most greylists let a message in after one to five minutes, few after more. */
static const uint32_t greylist_seconds[GREYLIST_PAUSES] = {60, 300, 600};

static uint32_t base_seconds(const struct retry_schedule *schedule, size_t index)
{
    assert(schedule->count > 0 && schedule->count <= RETRY_PAUSES);
    return schedule->pauses_seconds[index < schedule->count ? index : schedule->count - 1];
}

static uint32_t seconds_for(const struct retry_schedule *schedule, enum reply_class class,
                            size_t index)
{
    uint32_t base = base_seconds(schedule, index);

    switch (class) {
    case REPLY_CLASS_GREYLIST:
        return index < GREYLIST_PAUSES && greylist_seconds[index] < base
                   ? greylist_seconds[index]
                   : base;
    case REPLY_CLASS_MAILBOX_FULL:
        return base_seconds(schedule, index + schedule->count / 2);
    case REPLY_CLASS_OTHER:
    case REPLY_CLASS_DNS:
    case REPLY_CLASS_CONNECTION:
    case REPLY_CLASS_TLS:
    case REPLY_CLASS_RATE_LIMIT:
    case REPLY_CLASS_MAILBOX_BUSY:
    case REPLY_CLASS_UNKNOWN_USER:
    case REPLY_CLASS_AUTHENTICATION:
    case REPLY_CLASS_REPUTATION:
    case REPLY_CLASS_CONTENT:
    case REPLY_CLASS_TOO_BIG:
    case REPLY_CLASS_LOOP:
    case REPLY_CLASS_POLICY:
    case REPLY_CLASS_SERVER:
        break;
    }
    return base;
}

/* Messages that failed together must not come back together. */
static uint64_t spread_out(uint64_t pause_ms, uint32_t random)
{
    uint64_t lowest = pause_ms / 100 * (100 - JITTER_PERCENT);
    uint64_t spread = pause_ms / 100 * (2 * JITTER_PERCENT);

    return lowest +
           (spread / 65536 * (random >> 16) + (spread % 65536) * (random >> 16) / 65536);
}

uint64_t retry_schedule_class_pause_ms(const struct retry_schedule *schedule,
                                       enum reply_class class, unsigned attempts,
                                       uint32_t random)
{
    size_t index = attempts == 0 ? 0 : attempts - 1;

    return spread_out(seconds_for(schedule, class, index) * (uint64_t)1000, random);
}

uint64_t retry_schedule_pause_ms(const struct retry_schedule *schedule, unsigned attempts,
                                 uint32_t random)
{
    return retry_schedule_class_pause_ms(schedule, REPLY_CLASS_OTHER, attempts, random);
}

int64_t retry_schedule_end_ms(const struct retry_schedule *schedule, int64_t created_ms)
{
    return created_ms + schedule->expire_seconds * (int64_t)1000;
}

bool retry_schedule_is_expired(const struct retry_schedule *schedule, int64_t created_ms,
                               int64_t next_attempt_ms)
{
    return next_attempt_ms > retry_schedule_end_ms(schedule, created_ms);
}

int64_t retry_schedule_next_ms(const struct retry_schedule *schedule, enum reply_class class,
                               int64_t created_ms, int64_t now_ms, unsigned attempts,
                               uint32_t random)
{
    int64_t next_ms =
        now_ms + (int64_t)retry_schedule_class_pause_ms(schedule, class, attempts, random);
    int64_t end_ms = retry_schedule_end_ms(schedule, created_ms);
    int64_t shortest_ms = (int64_t)retry_schedule_pause_ms(schedule, 1, 0);

    if (next_ms > end_ms && end_ms - now_ms >= shortest_ms) {
        return end_ms;
    }
    return next_ms;
}
