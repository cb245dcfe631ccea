/*
 * event_loop - one thread's loop: timers, work put off, work posted by other threads.
 *
 * Threads  a loop and everything made on it belong to the thread that runs it. Only
 *          event_loop_post and event_loop_stop may be called from others.
 * Tasks    intrusive and *borrowed*: a task is a member of the thing it is about and must live until it
 *          has run. A task that is pending must not be put in again. Deferred tasks run after the
 *          callback that is running now, before the loop waits again; "a completion never runs from
 *          inside the call that started it" is kept with them.
 * Cost     posting wakes the loop once however many tasks wait; timers make no system call.
 */
#ifndef IO_EVENT_LOOP_H
#define IO_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_loop;

struct loop_task {
    struct loop_task *next; /* private */
    bool is_pending;        /* private: read only by the loop's thread */
    void (*run)(void *context);
    void *context;
};

struct event_loop *event_loop_new(void);
void event_loop_free(struct event_loop **loop);
/* Runs until event_loop_stop. */
void event_loop_run(struct event_loop *loop);
void event_loop_stop(struct event_loop *loop);                          /* any thread */
void event_loop_defer(struct event_loop *loop, struct loop_task *task); /* own thread */
void event_loop_post(struct event_loop *loop, struct loop_task *task);  /* any thread */
/* Monotonic time of this turn of the loop; no system call. */
uint64_t event_loop_now_ms(const struct event_loop *loop);

struct loop_timer;

struct loop_timer *loop_timer_new(struct event_loop *loop, void (*run)(void *context),
                                  void *context);
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms); /* (re)arms it, once */
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer **timer); /* safe on NULL; never runs after this */

#endif
