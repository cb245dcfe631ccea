/*
 * loop_internal - what the other files of io need from the loop.
 *
 * Turn     a libevent callback of ours stands between event_loop_enter and event_loop_leave.
 *          Enter marks the loop as awake (posters then spare the system call) and takes the
 * time; leave runs deferred tasks, then flushes, then frees garbage. A callback without them
 *          works too: the loop does the same before it waits again.
 * Heavy    work of much CPU time (a handshake) is done LOOP_HEAVY_A_TURN times a turn; what comes above
 *          that waits in line, and everybody else is looked after in between.
 * Garbage  things that may still be on the call stack are freed by leave, not before.
 */
#ifndef IO_LOOP_INTERNAL_H
#define IO_LOOP_INTERNAL_H

#include "base/list.h"
#include "io/event_loop.h"

#include <stddef.h>

struct event_base;

enum { LOOP_SCRATCH_SIZE = 64 * 1024, LOOP_HEAVY_A_TURN = 1 };

/* Something the loop frees: at the end of the turn (garbage) or with the loop (ward). */
struct loop_owned {
    struct list link;
    void (*destroy)(struct loop_owned *owned);
};

/* Heavy work in line; list_remove takes it out. */
struct loop_heavy {
    struct list link;
    void (*run)(void *context);
    void *context;
};

struct loop_timer {
    struct event_loop *loop;
    void (*run)(void *context);
    void *context;
    uint64_t deadline_ms; /* when it shall run; UINT64_MAX: not at all */
    uint64_t place_ms;    /* where it stands in the heap: never after deadline_ms */
    uint64_t order;       /* first armed runs first */
    size_t index;         /* in the heap + 1; 0: not in it */
};

struct event_base *event_loop_base(struct event_loop *loop);
void event_loop_enter(struct event_loop *loop);
void event_loop_leave(struct event_loop *loop); /* the caller's object may be gone after this */
/* Runs after all deferred tasks, before the loop waits: one write for all that was collected.
 */
void event_loop_defer_flush(struct event_loop *loop, struct loop_task *task);
void event_loop_discard(struct event_loop *loop, struct loop_owned *owned); /* frees it later */
void event_loop_adopt(struct event_loop *loop, struct loop_owned *owned); /* until discarded */
char *
event_loop_scratch(struct event_loop *loop); /* LOOP_SCRATCH_SIZE octets for this callback */
/* Counts the times the loop has waited. */
uint64_t event_loop_turn(const struct event_loop *loop);

/* True: heavy work may be done at once, and has been counted. */
bool event_loop_may_be_heavy(struct event_loop *loop);
/* It is run in one of the next turns. */
void event_loop_wait_in_line(struct event_loop *loop, struct loop_heavy *heavy);

/* Timers as members. */
void loop_timer_init(struct loop_timer *timer, struct event_loop *loop,
                     void (*run)(void *context), void *context);
void loop_timer_clear(struct loop_timer *timer);

#endif
