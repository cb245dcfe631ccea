/*
 * io/event_loop.h on the world's agenda: each timer is an event, and so is "somebody posted".
 */
#include "io/event_loop.h"

#include "base/memory.h"
#include "io/clock.h"
#include "sim_internal.h"

#include <assert.h>
#include <stdlib.h>

enum { WAKE_MOST_US = 60, DAY_MS = 24 * 3600 * 1000 };

struct task_queue {
    struct loop_task *first, *last;
};

struct event_loop {
    enum sim_host host;
    struct task_queue deferred, flushes, posted;
    struct sim_event wake;
    struct list garbage;
    bool is_running, is_stopping;
};

struct loop_timer {
    struct sim_event event;
};

/* ---- tasks ---- */

static void append(struct task_queue *queue, struct loop_task *task)
{
    assert(!task->is_pending);
    task->is_pending = true;
    task->next = NULL;
    if (queue->first == NULL) {
        queue->first = task;
    } else {
        queue->last->next = task;
    }
    queue->last = task;
}

static struct loop_task *take(struct task_queue *queue)
{
    struct loop_task *task = queue->first;

    if (task != NULL) {
        queue->first = task->next;
        task->is_pending = false;
    }
    return task;
}

static void free_garbage(struct event_loop *loop)
{
    while (!list_is_empty(&loop->garbage)) {
        struct sim_garbage *first = list_owner(loop->garbage.next, struct sim_garbage, link);

        list_remove(&first->link);
        first->destroy(first);
    }
}

void sim_loop_enter(struct event_loop *loop)
{
    assert(!loop->is_running);
    loop->is_running = true;
}

/* A cut in the middle ends the turn where it is. */
void sim_loop_leave(struct event_loop *loop)
{
    struct loop_task *task;

    while (sim_host_is_on(loop->host)) {
        task = take(&loop->deferred);
        if (task == NULL) {
            task = take(&loop->flushes);
        }
        if (task == NULL) {
            free_garbage(loop);
            break;
        }
        task->run(task->context);
    }
    loop->is_running = false;
}

/* The loop does something soon, should it not be at it. */
static void wake(struct event_loop *loop)
{
    if (!loop->is_running && loop->wake.place == 0) {
        sim_event_after(&loop->wake, sim_random(WAKE_MOST_US));
    }
}

static void run_posted(void *context)
{
    struct event_loop *loop = context;
    struct loop_task *task;
    struct loop_task *last = loop->posted.last;

    while ((task = take(&loop->posted)) != NULL) {
        bool is_last = task == last;

        task->run(task->context); /* may be gone after this */
        if (is_last || !sim_host_is_on(loop->host)) {
            break;
        }
    }
    if (loop->posted.first != NULL) {
        sim_event_after(&loop->wake, sim_random(WAKE_MOST_US));
    }
}

void event_loop_defer(struct event_loop *loop, struct loop_task *task)
{
    append(&loop->deferred, task);
    wake(loop);
}

void sim_loop_defer_flush(struct event_loop *loop, struct loop_task *task)
{
    append(&loop->flushes, task);
    wake(loop);
}

void event_loop_post(struct event_loop *loop, struct loop_task *task)
{
    append(&loop->posted, task);
    if (loop->wake.place == 0) {
        sim_event_after(&loop->wake, sim_random(WAKE_MOST_US));
    }
}

void sim_loop_discard(struct event_loop *loop, struct sim_garbage *garbage)
{
    list_append(&loop->garbage, &garbage->link);
    wake(loop);
}

enum sim_host sim_loop_host(const struct event_loop *loop)
{
    return loop->host;
}

/* ---- life ---- */

struct event_loop *event_loop_new(void)
{
    struct event_loop *loop = memory_zero(sizeof *loop);

    loop->host = sim_host_at_work();
    loop->wake = (struct sim_event){.loop = loop, .run = run_posted, .context = loop};
    list_init(&loop->garbage);
    return loop;
}

void event_loop_free(struct event_loop **place)
{
    if (*place != NULL) {
        sim_streams_forget_loop(*place);
        sim_event_stop(&(*place)->wake);
        free_garbage(*place);
        free(*place);
        *place = NULL;
    }
}

static bool is_stopping(void *context)
{
    return ((struct event_loop *)context)->is_stopping;
}

void event_loop_run(struct event_loop *loop)
{
    while (sim_host_is_on(loop->host) && !sim_world_run(is_stopping, loop, DAY_MS)) {
    }
    loop->is_stopping = false;
}

void event_loop_stop(struct event_loop *loop)
{
    loop->is_stopping = true;
}

uint64_t event_loop_now_ms(const struct event_loop *loop)
{
    (void)loop;
    return clock_now_ms();
}

void sim_loop_run_leftovers(struct event_loop *loop)
{
    struct loop_task *task;

    while ((task = take(&loop->posted)) != NULL) {
        task->run(task->context);
    }
}

/* ---- timers ---- */

struct loop_timer *loop_timer_new(struct event_loop *loop, void (*run)(void *context),
                                  void *context)
{
    struct loop_timer *timer = memory_zero(sizeof *timer);

    timer->event = (struct sim_event){.loop = loop, .run = run, .context = context};
    return timer;
}

/* On the full millisecond, or a little later: loops are busy with other things as well. */
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms)
{
    sim_event_set(&timer->event, (sim_now_us() / 1000 + delay_ms) * 1000 + sim_random(100));
}

void loop_timer_stop(struct loop_timer *timer)
{
    sim_event_stop(&timer->event);
}

void loop_timer_free(struct loop_timer **timer)
{
    if (*timer != NULL) {
        sim_event_stop(&(*timer)->event);
        free(*timer);
        *timer = NULL;
    }
}
