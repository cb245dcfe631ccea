#include "queue/queue.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "io/log.h"
#include "queue_outcome.h"
#include "queue_provider.h"
#include "queue_route.h"
#include "queue_state.h"

#include <assert.h>
#include <stdlib.h>

struct queue_set *queue_set_new(struct spool *spool, size_t loops)
{
    struct queue_set *set = memory_zero(sizeof *set);

    assert(loops > 0);
    set->spool = spool;
    set->loops = loops;
    set->key = entropy_hash_key();
    set->queues = memory_zero(loops * sizeof(struct queue *));
    set->event_loops = memory_zero(loops * sizeof(struct event_loop *));
    return set;
}

void queue_set_count_bounces(struct queue_set *set, struct state_store *state)
{
    set->state = state;
}

void queue_set_free(struct queue_set **set)
{
    if (*set == NULL) {
        return;
    }
    free((*set)->queues);
    free((*set)->event_loops);
    free(*set);
    *set = NULL;
}

size_t queue_owner(const struct queue_set *set, struct bytes destination)
{
    return set->loops == 1 ? 0 : siphash(&set->key, destination) % set->loops;
}

uint64_t queue_now_ms(const struct queue *queue)
{
    return event_loop_now_ms(queue->loop);
}

/* The timer is only ever moved forward; when it fires too early, nothing is due and it is set
 * again. That is cheaper than following every change. */
void queue_wake_at(struct queue *queue, uint64_t when_ms)
{
    if (when_ms >= queue->timer_at_ms) {
        return;
    }
    uint64_t now = queue_now_ms(queue);

    queue->timer_at_ms = when_ms;
    loop_timer_set(queue->timer, when_ms > now ? when_ms - now : 0);
}

static int64_t clock_offset(const struct queue *queue)
{
    return clock_unix_ms() - (int64_t)queue_now_ms(queue);
}

/* A wall clock that jumps must not make everything old at once (a bounce cannot be taken back):
 * after a jump nothing expires for an hour, time enough to be seen and put right. */
static void watch_clock(struct queue *queue)
{
    int64_t offset = clock_offset(queue);
    int64_t jump = offset - queue->clock_offset_ms;

    if (jump > QUEUE_CLOCK_JUMP_MS || jump < -QUEUE_CLOCK_JUMP_MS) {
        struct log_line line;
        log_begin(&line, LOG_WARNING, "clock-jumped");
        log_number(&line, "seconds", jump / 1000);
        log_text(&line, "why", "nothing expires for an hour");
        log_end(&line);
        queue->no_expiry_until_ms = queue_now_ms(queue) + QUEUE_CLOCK_JUMP_MS;
    }
    queue->clock_offset_ms = offset;
}

bool queue_is_expired(struct queue *queue, int64_t created_ms, int64_t next_ms)
{
    if (!retry_schedule_is_expired(&queue->options.retry, created_ms, next_ms)) {
        return false;
    }
    watch_clock(queue);
    return queue_now_ms(queue) >= queue->no_expiry_until_ms;
}

static void on_timer(void *context)
{
    struct queue *queue = context;
    uint64_t now = queue_now_ms(queue);
    struct queue_agenda_item *item;

    queue->timer_at_ms = QUEUE_NEVER;
    watch_clock(queue);
    while ((item = queue_agenda_first(&queue->agenda)) != NULL && item->when_ms <= now) {
        struct queue_destination *destination =
            list_owner(item, struct queue_destination, wake);
        queue_agenda_remove(&queue->agenda, item);
        queue_destination_review(destination);
    }
    if (queue->record_again_ms <= now) {
        queue_record_again(queue);
    }
    queue_handoff_review(queue);
    queue_pump_if_ready(queue);
    if (queue->is_started && !queue->is_draining && queue->scan_at_ms <= now) {
        queue_scan(queue);
    }
    if (item != NULL) {
        queue_wake_at(queue, item->when_ms);
    }
    queue_wake_at(queue, queue->record_again_ms);
    if (queue->is_started && !queue->is_draining) {
        queue_wake_at(queue, queue->scan_at_ms);
    }
}

static void serve_first(struct list *line)
{
    struct queue_destination *destination =
        list_owner(line->next, struct queue_destination, ready);

    list_remove(&destination->ready);
    if (queue_destination_may_start(destination) &&
        (destination->failures > 0) == destination->is_troubled) {
        queue_job_start(destination); /* reviews it, and may free it */
    } else {
        queue_destination_review(destination);
    }
}

/* One attempt for each destination in turn, so that none waits behind another's backlog. */
static void pump(struct queue *queue)
{
    while (!list_is_empty(&queue->ready) && queue_has_slot(queue)) {
        serve_first(&queue->ready);
    }
    while (!list_is_empty(&queue->troubled) && queue_has_slow_slot(queue)) {
        serve_first(&queue->troubled);
    }
}

/* The queue is gone; its tasks go with the last of them that was pending. */
static void free_tasks(struct queue_tasks *tasks)
{
    if (!tasks->pump.is_pending && !tasks->idle.is_pending) {
        free(tasks);
    }
}

static void on_pump(void *context)
{
    struct queue_tasks *tasks = context;

    if (tasks->queue == NULL) {
        free_tasks(tasks);
        return;
    }
    pump(tasks->queue);
}

static void on_idle(void *context)
{
    struct queue_tasks *tasks = context;

    if (tasks->queue == NULL) {
        free_tasks(tasks);
        return;
    }
    tasks->queue->on_idle(tasks->queue->on_idle_context);
}

void queue_pump(struct queue *queue)
{
    if (!queue->tasks->pump.is_pending) {
        event_loop_defer(queue->loop, &queue->tasks->pump);
    }
}

void queue_pump_if_ready(struct queue *queue)
{
    if (!list_is_empty(&queue->ready) || !list_is_empty(&queue->troubled)) {
        queue_pump(queue);
    }
}

void queue_check_idle(struct queue *queue)
{
    if (queue->is_draining && !queue->is_idle_said && list_is_empty(&queue->jobs) &&
        list_is_empty(&queue->tickets) && list_is_empty(&queue->reads)) {
        queue->is_idle_said = true;
        event_loop_defer(queue->loop, &queue->tasks->idle);
    }
}

struct queue *queue_new(struct queue_set *set, size_t index, struct event_loop *loop,
                        struct outbound *outbound, struct message_id_source *ids,
                        const struct queue_options *options)
{
    struct queue *queue = memory_zero(sizeof *queue);

    assert(index < set->loops && set->queues[index] == NULL);
    queue->set = set;
    queue->index = index;
    queue->loop = loop;
    queue->outbound = outbound;
    queue->ids = ids;
    queue_set_options(queue, options);
    queue->destinations = hash_table_new(entropy_hash_key());
    queue->known = hash_table_new(entropy_hash_key());
    queue->providers = hash_table_new(entropy_hash_key());
    list_init(&queue->idle_providers);
    list_init(&queue->ready);
    list_init(&queue->troubled);
    list_init(&queue->fresh);
    list_init(&queue->jobs);
    list_init(&queue->unrecorded);
    list_init(&queue->tickets);
    list_init(&queue->reads);
    list_init(&queue->asking);
    queue_agenda_init(&queue->agenda);
    queue->timer = loop_timer_new(loop, on_timer, queue);
    queue->timer_at_ms = QUEUE_NEVER;
    queue->record_again_ms = QUEUE_NEVER;
    queue->scan_at_ms = QUEUE_NEVER;
    queue->tasks = memory_zero(sizeof *queue->tasks);
    queue->tasks->queue = queue;
    queue->tasks->pump = (struct loop_task){.run = on_pump, .context = queue->tasks};
    queue->tasks->idle = (struct loop_task){.run = on_idle, .context = queue->tasks};
    strbuf_init(&queue->scan_after, 1024);
    strbuf_init(&queue->scratch, LOG_LINE_LIMIT);
    queue->clock_offset_ms = clock_offset(queue);
    set->queues[index] = queue;
    set->event_loops[index] = loop;
    return queue;
}

void queue_set_options(struct queue *queue, const struct queue_options *options)
{
    struct shared *before = queue->options.snapshot;

    if (options->snapshot != NULL) {
        shared_hold(options->snapshot);
    }
    queue->options = *options;
    if (queue->destinations != NULL) {
        queue_route_review(queue);
    }
    if (before != NULL) {
        shared_drop(before);
    }
}

void queue_start(struct queue *queue)
{
    queue->is_started = true;
    queue->scan_at_ms = queue_now_ms(queue);
    queue_wake_at(queue, queue->scan_at_ms);
}

void queue_drain(struct queue *queue, void (*done)(void *context), void *context)
{
    size_t position = 0;
    struct queue_destination *destination;

    queue_stop_asking(queue);
    queue->is_draining = true;
    queue->on_idle = done;
    queue->on_idle_context = context;
    while ((destination = hash_table_next(queue->destinations, &position)) != NULL) {
        queue_destination_drop_window(destination);
    }
    queue_check_idle(queue);
}

static void free_destinations(struct queue *queue)
{
    size_t count;
    struct queue_destination **all = queue_destination_list(queue, &count);

    for (size_t i = 0; i < count; i++) {
        queue_destination_free(all[i]);
    }
    free(all);
}

void queue_free(struct queue **pointer)
{
    struct queue *queue = *pointer;

    if (queue == NULL) {
        return;
    }
    queue->is_draining = true;
    queue->is_idle_said = true;
    queue->set->queues[queue->index] = NULL;
    queue_tickets_forget(queue);
    queue_reads_forget(queue);
    queue_jobs_forget(queue);
    free_destinations(queue);
    hash_table_free(&queue->destinations);
    hash_table_free(&queue->known);
    queue_providers_free(queue);
    queue_pauses_forget(queue);
    loop_timer_free(&queue->timer);
    queue_agenda_clear(&queue->agenda);
    strbuf_clear(&queue->scan_after);
    strbuf_clear(&queue->scratch);
    if (queue->options.snapshot != NULL) {
        shared_drop(queue->options.snapshot);
    }
    queue->tasks->queue = NULL;
    free_tasks(queue->tasks);
    free(queue);
    *pointer = NULL;
}
