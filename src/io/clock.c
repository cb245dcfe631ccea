#include "io/clock.h"

#include <time.h>

static int64_t read_clock_ms(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t clock_now_ms(void)
{
    return (uint64_t)read_clock_ms(CLOCK_MONOTONIC);
}

int64_t clock_unix_ms(void)
{
    return read_clock_ms(CLOCK_REALTIME);
}

int64_t clock_unix_seconds(void)
{
    return clock_unix_ms() / 1000;
}
