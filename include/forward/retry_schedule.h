/*
 * retry_schedule - when to try again, and when to give up.
 *
 * Rules   the n-th pause is the n-th of `pauses` (the last one repeats), spread by jitter of
 *         +-20 %; a message is given up when its next attempt would come after created +
 *         expire. A temporary failure never becomes a permanent one before that (promise 6).
 *         Destinations that cannot be reached at all pause by the same schedule as one.
 * Class   who greylists wants us back soon: the first three pauses are at most 1, 5 and 10 minutes. A
 *         mailbox that is full is not emptied soon: its pauses begin in the middle of the schedule.
 *         No pause is ever longer than the longest of the schedule.
 */
#ifndef FORWARD_RETRY_SCHEDULE_H
#define FORWARD_RETRY_SCHEDULE_H

#include "base/bytes.h"
#include "forward/reply_class.h"

enum { RETRY_PAUSES = 16 };

struct retry_schedule {
    uint32_t pauses_seconds[RETRY_PAUSES];
    size_t count; /* at least one */
    uint32_t expire_seconds;
};

/* Milliseconds until the next attempt after `attempts` failed ones (>= 1); `random` is any
 * number. */
uint64_t retry_schedule_pause_ms(const struct retry_schedule *schedule, unsigned attempts,
                                 uint32_t random);
/* The same for a message that failed in this way the last time. */
uint64_t retry_schedule_class_pause_ms(const struct retry_schedule *schedule,
                                       enum reply_class class, unsigned attempts,
                                       uint32_t random);
/* When to try again (unix milliseconds) after `attempts` failed ones, the last of them now. A pause
 * that would end after the message's life is cut, so that it is tried once more at its very end,
 * unless that is nearer than the shortest pause: then what comes out is past the end (expired). */
int64_t retry_schedule_next_ms(const struct retry_schedule *schedule, enum reply_class class,
                               int64_t created_ms, int64_t now_ms, unsigned attempts,
                               uint32_t random);
/* The end of a message's life, unix milliseconds. */
int64_t retry_schedule_end_ms(const struct retry_schedule *schedule, int64_t created_ms);
bool retry_schedule_is_expired(const struct retry_schedule *schedule, int64_t created_ms,
                               int64_t next_attempt_ms);

#endif
