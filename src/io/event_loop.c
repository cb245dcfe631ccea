#include "io/event_loop.h"

#include "base/memory.h"
#include "io/clock.h"
#include "loop_internal.h"

#include <assert.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SETTLE_LIMIT = 4096 }; /* deferred tasks at one go, then sockets are looked at again */
static const uint64_t TIMER_OFF = UINT64_MAX;

struct task_queue {
    struct loop_task *first;
    struct loop_task *last;
};

struct event_loop {
    struct event_base *base;
    struct task_queue deferred;
    struct task_queue flushes;
    struct list garbage;
    struct list wards;
    struct list heavy;   /* in line */
    unsigned heavy_left; /* of this turn */
    uint64_t now_ms;
    uint64_t turn;
    bool is_waiting; /* or not told yet that it is awake: now_ms is old */

    /* Other threads: a stack of tasks, last posted first. */
    _Atomic(struct loop_task *) posted;
    atomic_bool is_asleep; /* whoever turns it off writes to wake_fd */
    atomic_bool is_stopping;
    int wake_fd;
    struct event *wake_event;

    struct loop_timer **heap;
    size_t heap_len;
    size_t heap_capacity;
    uint64_t timers_armed;
    struct event *alarm;
    uint64_t alarm_ms; /* what the alarm is set to */

    char *scratch;
    struct event_loop *left_before; /* in left_loops */
};

/* Loops that were freed with tasks still in them. A hard stop runs these tasks no more, as what they
 * are about may be gone; from here a leak checker finds them, and knows that nothing was forgotten.
 */
static _Atomic(struct event_loop *) left_loops;

/* ---- tasks ---- */

static void queue_append(struct task_queue *queue, struct loop_task *task)
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

static struct loop_task *queue_take(struct task_queue *queue)
{
    struct loop_task *task = queue->first;

    if (task != NULL) {
        queue->first = task->next;
        task->is_pending = false;
    }
    return task;
}

void event_loop_defer(struct event_loop *loop, struct loop_task *task)
{
    queue_append(&loop->deferred, task);
}

void event_loop_defer_flush(struct event_loop *loop, struct loop_task *task)
{
    queue_append(&loop->flushes, task);
}

static void free_owned(struct list *owned)
{
    while (!list_is_empty(owned)) {
        struct loop_owned *first = list_owner(owned->next, struct loop_owned, link);

        list_remove(&first->link);
        first->destroy(first);
    }
}

/* Deferred tasks first: what they write goes out together with what was written before. */
static void settle(struct event_loop *loop)
{
    for (unsigned count = 0; count < SETTLE_LIMIT; count++) {
        struct loop_task *task = queue_take(&loop->deferred);

        if (task == NULL) {
            task = queue_take(&loop->flushes);
        }
        if (task == NULL) {
            /* No task points to garbage any more. */
            free_owned(&loop->garbage);
            return;
        }
        task->run(task->context);
    }
}

void event_loop_discard(struct event_loop *loop, struct loop_owned *owned)
{
    list_remove(&owned->link);
    list_append(&loop->garbage, &owned->link);
}

void event_loop_adopt(struct event_loop *loop, struct loop_owned *owned)
{
    list_append(&loop->wards, &owned->link);
}

/* ---- heavy work ---- */

bool event_loop_may_be_heavy(struct event_loop *loop)
{
    if (loop->heavy_left == 0 || !list_is_empty(&loop->heavy)) {
        return false;
    }
    loop->heavy_left--;
    return true;
}

void event_loop_wait_in_line(struct event_loop *loop, struct loop_heavy *heavy)
{
    list_append(&loop->heavy, &heavy->link);
}

static void run_heavy(struct event_loop *loop)
{
    for (; loop->heavy_left > 0 && !list_is_empty(&loop->heavy); loop->heavy_left--) {
        struct loop_heavy *first = list_owner(loop->heavy.next, struct loop_heavy, link);

        list_remove(&first->link);
        first->run(first->context);
        settle(loop);
    }
}

/* ---- other threads ---- */

/* Sequentially consistent on both sides: the poster puts its task in and then looks whether the
 * loop sleeps; the loop says that it sleeps and then looks for tasks. One of them sees the
 * other. */
static void wake(struct event_loop *loop)
{
    static const uint64_t ONE = 1;

    if (atomic_load(&loop->is_asleep) && atomic_exchange(&loop->is_asleep, false)) {
        ssize_t written = write(loop->wake_fd, &ONE, sizeof ONE);

        assert(written == sizeof ONE);
    }
}

void event_loop_post(struct event_loop *loop, struct loop_task *task)
{
    struct loop_task *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);

    task->is_pending = true;
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak(&loop->posted, &head, task));
    wake(loop);
}

void event_loop_stop(struct event_loop *loop)
{
    atomic_store(&loop->is_stopping, true);
    wake(loop);
}

static void run_posted(struct event_loop *loop)
{
    struct loop_task *stack = atomic_exchange(&loop->posted, NULL);
    struct loop_task *in_order = NULL;

    while (stack != NULL) {
        struct loop_task *next = stack->next;

        stack->next = in_order;
        in_order = stack;
        stack = next;
    }
    while (in_order != NULL) {
        struct loop_task *task = in_order;

        in_order = task->next;
        task->is_pending = false;
        task->run(task->context);
    }
}

/* ---- timers: a binary heap by (place_ms, order) ---- */

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->place_ms < b->place_ms || (a->place_ms == b->place_ms && a->order < b->order);
}

static void heap_put(struct event_loop *loop, size_t index, struct loop_timer *timer)
{
    loop->heap[index] = timer;
    timer->index = index + 1;
}

static void sift_up(struct event_loop *loop, size_t index, struct loop_timer *timer)
{
    while (index > 0 && is_before(timer, loop->heap[(index - 1) / 2])) {
        heap_put(loop, index, loop->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_put(loop, index, timer);
}

static void sift_down(struct event_loop *loop, size_t index, struct loop_timer *timer)
{
    for (;;) {
        size_t child = 2 * index + 1;

        if (child + 1 < loop->heap_len && is_before(loop->heap[child + 1], loop->heap[child])) {
            child++;
        }
        if (child >= loop->heap_len || !is_before(loop->heap[child], timer)) {
            break;
        }
        heap_put(loop, index, loop->heap[child]);
        index = child;
    }
    heap_put(loop, index, timer);
}

static void heap_remove(struct event_loop *loop, struct loop_timer *timer)
{
    size_t index = timer->index - 1;
    struct loop_timer *last = loop->heap[--loop->heap_len];

    timer->index = 0;
    if (last == timer) {
        return;
    }
    if (is_before(last, timer)) {
        sift_up(loop, index, last);
    } else {
        sift_down(loop, index, last);
    }
}

static void heap_add(struct event_loop *loop, struct loop_timer *timer)
{
    if (loop->heap_len == loop->heap_capacity) {
        loop->heap_capacity = loop->heap_capacity == 0 ? 64 : 2 * loop->heap_capacity;
        loop->heap = memory_resize(loop->heap, loop->heap_capacity, sizeof *loop->heap);
    }
    timer->place_ms = timer->deadline_ms;
    timer->order = loop->timers_armed++;
    sift_up(loop, loop->heap_len++, timer);
}

void loop_timer_init(struct loop_timer *timer, struct event_loop *loop,
                     void (*run)(void *context), void *context)
{
    *timer = (struct loop_timer){
        .loop = loop, .run = run, .context = context, .deadline_ms = TIMER_OFF};
}

struct loop_timer *loop_timer_new(struct event_loop *loop, void (*run)(void *context),
                                  void *context)
{
    struct loop_timer *timer = memory_alloc(sizeof *timer);

    loop_timer_init(timer, loop, run, context);
    return timer;
}

/* A deadline that moves back (the usual case: a peer was heard again) is only noted; the timer
 * finds its new place when the old one comes up. So is a stop. */
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms)
{
    uint64_t now_ms = event_loop_now_ms(timer->loop);

    timer->deadline_ms = delay_ms < TIMER_OFF - 1 - now_ms ? now_ms + delay_ms : TIMER_OFF - 1;
    if (timer->index != 0 && timer->place_ms <= timer->deadline_ms) {
        return;
    }
    if (timer->index != 0) {
        heap_remove(timer->loop, timer);
    }
    heap_add(timer->loop, timer);
}

void loop_timer_stop(struct loop_timer *timer)
{
    timer->deadline_ms = TIMER_OFF;
}

void loop_timer_clear(struct loop_timer *timer)
{
    timer->deadline_ms = TIMER_OFF;
    if (timer->index != 0) {
        heap_remove(timer->loop, timer);
    }
}

void loop_timer_free(struct loop_timer **timer)
{
    if (*timer != NULL) {
        loop_timer_clear(*timer);
        free(*timer);
        *timer = NULL;
    }
}

/* Timers that are set by the ones that run now wait for the next turn, whatever their delay. */
static void run_due_timers(struct event_loop *loop)
{
    uint64_t armed_before = loop->timers_armed;

    while (loop->heap_len > 0) {
        struct loop_timer *timer = loop->heap[0];
        bool is_due = timer->deadline_ms <= loop->now_ms;

        if (timer->place_ms > loop->now_ms || timer->order >= armed_before) {
            return;
        }
        heap_remove(loop, timer);
        if (is_due) {
            timer->deadline_ms = TIMER_OFF;
            timer->run(timer->context);
            settle(loop);
        } else if (timer->deadline_ms != TIMER_OFF) {
            heap_add(loop, timer);
        }
    }
}

/* The one timer libevent knows. True: no need to wait, a timer is due. */
static bool set_alarm(struct event_loop *loop)
{
    uint64_t next_ms = loop->heap_len == 0 ? TIMER_OFF : loop->heap[0]->place_ms;
    uint64_t delay_ms;
    struct timeval delay;

    if (next_ms <= loop->now_ms) {
        return true;
    }
    if (next_ms == loop->alarm_ms) {
        return false;
    }
    loop->alarm_ms = next_ms;
    if (next_ms == TIMER_OFF) {
        event_del(loop->alarm);
        return false;
    }
    delay_ms = next_ms - loop->now_ms;
    if (delay_ms > 3600 * 1000) {
        delay_ms = 3600 * 1000;
    }
    delay.tv_sec = (time_t)(delay_ms / 1000);
    delay.tv_usec = (suseconds_t)(delay_ms % 1000 * 1000);
    event_add(loop->alarm, &delay);
    return false;
}

/* ---- the loop ---- */

static void on_wake(evutil_socket_t handle, short what, void *context)
{
    (void)handle, (void)what;
    /* Edge-triggered: the counter is never read, each write is an edge. */
    event_loop_enter(context);
}

static void on_alarm(evutil_socket_t handle, short what, void *context)
{
    struct event_loop *loop = context;

    (void)handle, (void)what;
    loop->alarm_ms = TIMER_OFF;
    event_loop_enter(loop);
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    assert(config != NULL);
    /* One thread uses it: others come through wake_fd. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_require_features(config, EV_FEATURE_ET);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct event_loop *event_loop_new(void)
{
    struct event_loop *loop = memory_zero(sizeof *loop);

    list_init(&loop->garbage);
    list_init(&loop->wards);
    list_init(&loop->heavy);
    loop->is_waiting = true;
    loop->alarm_ms = TIMER_OFF;
    loop->scratch = memory_alloc(LOOP_SCRATCH_SIZE);
    loop->base = new_base();
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(loop->base != NULL && loop->wake_fd >= 0);
    loop->wake_event =
        event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST | EV_ET, on_wake, loop);
    loop->alarm = event_new(loop->base, -1, 0, on_alarm, loop);
    assert(loop->wake_event != NULL && loop->alarm != NULL);
    event_add(loop->wake_event, NULL);
    return loop;
}

static bool has_tasks(struct event_loop *loop)
{
    return loop->deferred.first != NULL || loop->flushes.first != NULL ||
           atomic_load(&loop->posted) != NULL;
}

void event_loop_free(struct event_loop **loop_place)
{
    struct event_loop *loop = *loop_place;

    if (loop == NULL) {
        return;
    }
    free_owned(&loop->wards);
    free_owned(&loop->garbage);
    for (size_t i = 0; i < loop->heap_len; i++) {
        loop->heap[i]->index = 0; /* may still be freed */
    }
    event_free(loop->wake_event);
    event_free(loop->alarm);
    event_base_free(loop->base);
    close(loop->wake_fd);
    free(loop->heap);
    free(loop->scratch);
    *loop_place = NULL;
    if (!has_tasks(loop)) {
        free(loop);
        return;
    }
    loop->left_before = atomic_load(&left_loops);
    while (!atomic_compare_exchange_weak(&left_loops, &loop->left_before, loop)) {
    }
}

void event_loop_enter(struct event_loop *loop)
{
    if (loop->is_waiting) {
        loop->is_waiting = false;
        atomic_store_explicit(&loop->is_asleep, false, memory_order_relaxed);
        loop->now_ms = clock_now_ms();
    }
}

void event_loop_leave(struct event_loop *loop)
{
    settle(loop);
}

static bool has_work(struct event_loop *loop)
{
    return has_tasks(loop) || !list_is_empty(&loop->heavy) || atomic_load(&loop->is_stopping);
}

static void wait_for_events(struct event_loop *loop)
{
    bool is_busy = set_alarm(loop);

    loop->turn++;
    loop->heavy_left = LOOP_HEAVY_A_TURN;
    loop->is_waiting = true;
    if (!is_busy) {
        atomic_store(&loop->is_asleep, true);
        is_busy = has_work(loop);
    }
    if (is_busy) {
        atomic_store_explicit(&loop->is_asleep, false, memory_order_relaxed);
    }
    event_base_loop(loop->base, EVLOOP_ONCE | (is_busy ? EVLOOP_NONBLOCK : 0));
    loop->is_waiting = true;
    event_loop_enter(loop);
}

void event_loop_run(struct event_loop *loop)
{
    loop->is_waiting = true;
    event_loop_enter(loop);
    while (!atomic_load(&loop->is_stopping)) {
        run_due_timers(loop);
        run_posted(loop);
        settle(loop);
        run_heavy(loop);
        wait_for_events(loop);
    }
    run_posted(loop);
    settle(loop);
    loop->is_waiting = true;
    atomic_store(&loop->is_stopping, false);
}

uint64_t event_loop_now_ms(const struct event_loop *loop)
{
    return loop->is_waiting ? clock_now_ms() : loop->now_ms;
}

struct event_base *event_loop_base(struct event_loop *loop)
{
    return loop->base;
}

char *event_loop_scratch(struct event_loop *loop)
{
    return loop->scratch;
}

uint64_t event_loop_turn(const struct event_loop *loop)
{
    return loop->turn;
}
