/* When a wait ends (private to room io). Not by the wall clock: set back by an hour, it would make a wait an hour longer. */
#ifndef IO_TIME_AFTER_H
#define IO_TIME_AFTER_H

#include <time.h>

/* For pthread_cond_clockwait with CLOCK_MONOTONIC. */
static inline struct timespec time_after(unsigned ms)
{
    struct timespec when;

    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_nsec += (long)(ms % 1000) * 1000000;
    when.tv_sec += ms / 1000 + when.tv_nsec / 1000000000;
    when.tv_nsec %= 1000000000;
    return when;
}

#endif
