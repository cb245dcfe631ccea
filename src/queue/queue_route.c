#include "queue_route.h"

#include "base/memory.h"
#include "forward/delivery_route.h"
#include "io/clock.h"
#include "protocol/smtp_path.h"

#include <stdlib.h>

/* By the same parser as when it came in, so that one domain has one key. */
struct bytes queue_route_destination(const struct queue *queue, struct bytes address,
                                     struct arena *arena)
{
    struct smtp_mailbox mailbox;

    if (smtp_mailbox_parse(address, true, true, arena, &mailbox) != SMTP_PATH_OK) {
        mailbox.domain = bytes_skip(address, bytes_find_last(address, '@') + 1);
    }
    return delivery_route_destination(queue->options.routes, mailbox.domain, arena);
}

bool queue_route_find_moved(struct queue_job *job)
{
    bool has_moved = false;

    for (size_t i = 0; i < job->count; i++) {
        struct queue_job_entry *entry = &job->entries[i];
        struct bytes key =
            queue_route_destination(job->queue, entry->delivery->address, job->arena);

        entry->moved_to = bytes_equal(key, job->destination->name) ? BYTES("") : key;
        has_moved = has_moved || entry->moved_to.len > 0;
    }
    for (size_t i = 0; i < job->count && has_moved; i++) {
        job->entries[i].result = QUEUE_RESULT_MOVED;
        job->entries[i].next_ms = job->started_ms; /* as due as it was */
    }
    return has_moved;
}

/* -- the new owner -- */

struct look {
    struct loop_task task;
    struct queue_set *set;
    size_t owner;
    struct bytes name; /* lies behind the struct */
};

static void on_look(void *context)
{
    struct look *look = context;
    struct queue *queue = look->set->queues[look->owner];
    struct queue_destination *destination =
        queue == NULL || queue->is_draining ? NULL : queue_destination_make(queue, look->name);

    if (destination != NULL) { /* otherwise the scan finds it */
        destination->has_more = true;
        queue_destination_review(destination);
    }
    free(look);
}

static void post_look(struct queue_set *set, struct bytes name)
{
    struct look *look = memory_alloc(sizeof *look + name.len);

    memcpy(look + 1, name.data, name.len);
    *look = (struct look){.task = {.run = on_look, .context = look},
                          .set = set,
                          .owner = queue_owner(set, name),
                          .name = bytes_of(look + 1, name.len)};
    event_loop_post(set->event_loops[look->owner], &look->task);
}

void queue_route_tell_owners(const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        struct bytes name = job->entries[i].moved_to;

        if (name.len > 0 && (i == 0 || !bytes_equal(name, job->entries[i - 1].moved_to))) {
            post_look(job->queue->set, name);
        }
    }
}

/* -- new options -- */

static bool has_moved(const struct queue_destination *destination, struct arena *arena)
{
    const struct delivery_route_table *routes = destination->queue->options.routes;
    struct bytes name = destination->name;

    if (delivery_route_is_static_key(name)) {
        return delivery_route_by_destination(routes, name) == NULL;
    }
    return !bytes_equal(delivery_route_destination(routes, name, arena), name);
}

void queue_route_review(struct queue *queue)
{
    struct arena *arena = arena_new();
    size_t count;
    struct queue_destination **all = queue_destination_list(queue, &count);

    for (size_t i = 0; i < count; i++) {
        if (has_moved(all[i], arena)) {
            queue_destination_drop_window(all[i]);
            queue_destination_resume(all[i]);
            all[i]->has_more = true;
            queue_destination_review(all[i]);
        }
    }
    free(all);
    arena_free(&arena);
}
