/*
 * What an operator has paused: one destination, or all. Each queue keeps its own list, which comes
 * and goes by mailbox; what waits stays in the spool.
 */
#include "base/memory.h"
#include "io/entropy.h"
#include "queue_state.h"

#include <stdlib.h>

/* To every queue: a pause, its end, or rows that have changed. */
struct notice {
    struct loop_task task;
    struct queue_set *set;
    size_t index;
    void (*use)(struct queue *queue, const struct notice *notice);
    bool is_paused; /* pauses */
    bool is_retry;  /* rows */
    struct bytes destination;
    char text[];
};

static void on_notice(void *context)
{
    struct notice *notice = context;
    struct queue *queue = notice->set->queues[notice->index];

    if (queue != NULL && !queue->is_draining) {
        notice->use(queue, notice);
    }
    free(notice);
}

static void post_all(struct queue_set *set, const struct notice *what)
{
    size_t length = what->destination.len;

    for (size_t i = 0; i < set->loops; i++) {
        struct notice *notice = memory_zero(sizeof *notice + length);
        *notice = *what;
        if (length > 0) {
            memcpy(notice->text, what->destination.data, length);
        }
        notice->destination = bytes_of(notice->text, length);
        notice->task = (struct loop_task){.run = on_notice, .context = notice};
        notice->set = set;
        notice->index = i;
        event_loop_post(set->event_loops[i], &notice->task);
    }
}

/* ---- rows that have changed ---- */

/* May free it. */
static void look_again_at(struct queue_destination *destination, bool is_retry)
{
    queue_destination_forget_waiting(destination, 0);
    if (is_retry) {
        queue_destination_resume(destination);
    }
    destination->has_more = true;
    destination->must_look_again = destination->jobs_open > 0;
    queue_destination_sweep(destination);
    queue_destination_review(destination);
}

static void look_again(struct queue *queue, const struct notice *notice)
{
    size_t count;
    struct queue_destination **all;

    if (notice->destination.len > 0) {
        struct queue_destination *destination =
            queue_owner(queue->set, notice->destination) != queue->index
                ? NULL
                : queue_destination_make(queue, notice->destination);
        if (destination != NULL) {
            look_again_at(destination, notice->is_retry);
        }
        return;
    }
    all = queue_destination_list(queue, &count);
    for (size_t i = 0; i < count; i++) {
        look_again_at(all[i], notice->is_retry);
    }
    free(all);
    queue_scan_again(queue);
}

void queue_set_look_again(struct queue_set *set, struct bytes destination, bool is_retry)
{
    atomic_fetch_add(&set->orders, 1);
    post_all(set, &(struct notice){
                      .use = look_again, .is_retry = is_retry, .destination = destination});
}

/* ---- pauses ---- */

struct pause {
    struct bytes name;
    char text[];
};

static void add_pause(struct queue *queue, struct bytes name)
{
    struct pause *pause;

    if (queue->pauses == NULL) {
        queue->pauses = hash_table_new(entropy_hash_key());
    }
    if (hash_table_get(queue->pauses, name) != NULL) {
        return;
    }
    pause = memory_alloc(sizeof *pause + name.len);
    memcpy(pause->text, name.data, name.len);
    pause->name = bytes_of(pause->text, name.len);
    hash_table_put(queue->pauses, pause->name, pause);
}

static void stop_waiting(struct queue *queue)
{
    size_t count;
    struct queue_destination **all = queue_destination_list(queue, &count);

    for (size_t i = 0; i < count; i++) {
        if (queue_is_paused(queue, all[i]->name)) {
            queue_destination_drop_window(all[i]);
            queue_destination_review(all[i]);
        }
    }
    free(all);
}

static void use_pause(struct queue *queue, const struct notice *notice)
{
    if (notice->destination.len == 0) {
        queue->is_paused = notice->is_paused;
    } else if (notice->is_paused) {
        add_pause(queue, notice->destination);
    } else if (queue->pauses != NULL) {
        free(hash_table_remove(queue->pauses, notice->destination));
    }
    if (notice->is_paused) {
        stop_waiting(queue);
    } else {
        look_again(queue, notice);
    }
}

void queue_set_pause(struct queue_set *set, struct bytes destination, bool is_paused)
{
    post_all(set, &(struct notice){.use = use_pause,
                                   .is_paused = is_paused,
                                   .is_retry = true,
                                   .destination = destination});
}

bool queue_is_paused(const struct queue *queue, struct bytes destination)
{
    return queue->is_paused ||
           (queue->pauses != NULL && hash_table_get(queue->pauses, destination) != NULL);
}

void queue_pauses_forget(struct queue *queue)
{
    size_t position = 0;
    struct pause *pause;

    while (queue->pauses != NULL &&
           (pause = hash_table_next(queue->pauses, &position)) != NULL) {
        free(hash_table_remove(queue->pauses, pause->name));
        position = 0;
    }
    hash_table_free(&queue->pauses);
}
