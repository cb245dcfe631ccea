/*
 * loop_driver - runs a loop in a test until a condition holds (or 10 s are over: the test
 * fails).
 *
 * Use     `is_done` is asked every millisecond and may play the peer meanwhile.
 */
#ifndef TESTS_LOOP_DRIVER_H
#define TESTS_LOOP_DRIVER_H

#include "io/clock.h"
#include "io/event_loop.h"

#include <sys/socket.h>
#include <unistd.h>

struct loop_driver {
    struct event_loop *loop;
    struct loop_timer *timer;
    bool (*is_done)(void *context);
    void *context;
    uint64_t deadline_ms;
    bool was_done;
};

static void drive(void *context)
{
    struct loop_driver *driver = context;

    driver->was_done = driver->is_done(driver->context);
    if (driver->was_done || clock_now_ms() > driver->deadline_ms) {
        event_loop_stop(driver->loop);
        return;
    }
    loop_timer_set(driver->timer, 1);
}

static bool run_until(struct event_loop *loop, bool (*is_done)(void *context), void *context)
{
    struct loop_driver driver = {.loop = loop, .is_done = is_done, .context = context};

    driver.deadline_ms = clock_now_ms() + 10000;
    driver.timer = loop_timer_new(loop, drive, &driver);
    loop_timer_set(driver.timer, 0);
    event_loop_run(loop);
    loop_timer_free(&driver.timer);
    return driver.was_done;
}

static bool after_time(void *context)
{
    return clock_now_ms() >= *(uint64_t *)context;
}

static __attribute__((unused)) void run_for(struct event_loop *loop, uint64_t ms)
{
    uint64_t until_ms = clock_now_ms() + ms;

    run_until(loop, after_time, &until_ms);
}

#endif
