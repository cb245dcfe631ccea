/*
 * A job, in the order it happens:
 *
 *   1 queue_job_start      takes what waits of one message for one destination and one sender
 *   2 read_message         if the message is not in memory; rows that are gone are left out
 *   3 start_attempt        hands it to outbound ...
 *   4 on_attempt_done      ... which says for each recipient what became of it
 *   5 queue_handoff_settle while the client waits for its answer: what does it come to?
 *     queue_record_outcome makes that durable, however often it must be tried
 *   6 queue_job_end        only now the connection may be used again
 *
 * A job that only expires deliveries of an unreachable destination skips 3 and 4.
 */
#include "queue_job.h"

#include "base/memory.h"
#include "io/clock.h"
#include "queue_bounce.h"
#include "queue_handoff.h"
#include "queue_log.h"
#include "queue_outcome.h"
#include "queue_provider.h"
#include "queue_route.h"

#include <assert.h>
#include <stdlib.h>

static void on_message_read(void *context, enum spool_status status,
                            const struct spool_message *message,
                            const struct spool_delivery *deliveries, size_t count);
static void on_attempt_done(void *context);

/* One block for the job and all its arrays. */
static struct queue_job *new_job(struct queue_destination *destination, size_t count)
{
    struct queue *queue = destination->queue;
    size_t entries_size = count * sizeof(struct queue_job_entry);
    size_t recipients_size = count * sizeof(struct delivery_recipient);
    char *block = memory_zero(sizeof(struct queue_job) + entries_size + recipients_size +
                              (count + 1) * sizeof(struct spool_change));
    struct queue_job *job = (struct queue_job *)(void *)block;

    job->queue = queue;
    job->destination = destination;
    job->count = count;
    job->recipients = (struct delivery_recipient *)(void *)(block + sizeof *job + entries_size);
    job->changes =
        (struct spool_change *)(void *)(block + sizeof *job + entries_size + recipients_size);
    job->started_ms = clock_unix_ms();
    list_init(&job->waiting);
    list_init(&job->parked);
    list_init(&job->fresh);
    list_append(&queue->jobs, &job->link);
    queue->job_count++;
    return job;
}

static void read_message(struct queue_job *job)
{
    job->is_with_spool = true;
    spool_read_message(job->queue->set->spool, job->queue->loop,
                       job->entries[0].delivery->key.message, true, on_message_read, job);
}

static void start_attempt(struct queue_job *job)
{
    const struct queue_message *message = job->message;
    struct queue *queue = job->queue;

    for (size_t i = 0; i < job->count; i++) {
        const struct queue_delivery *delivery = job->entries[i].delivery;
        job->recipients[i] = (struct delivery_recipient){.address = delivery->address,
                                                         .alias = delivery->alias,
                                                         .notify = delivery->notify,
                                                         .orcpt = delivery->orcpt};
    }
    struct delivery_request request = {
        .id = message->id,
        .destination = job->destination->name,
        .sender = job->entries[0].delivery->sender,
        .is_8bit = message->envelope.is_8bit,
        .is_utf8 = message->envelope.is_utf8,
        .is_utf8_header = message->envelope.is_utf8_header,
        .requires_tls = message->envelope.requires_tls,
        .ret = message->envelope.ret,
        .envid = message->envelope.envid,
        .prefix = message->prefix,
        .content = message->content,
        .recipients = job->recipients,
        .count = job->count,
        .may_connect = queue_provider_admit,
    };
    job->attempt = delivery_attempt_start(queue->outbound, &request, on_attempt_done, job);
}

static bool belongs_together(const struct queue_delivery *a, const struct queue_delivery *b)
{
    return a->key.message == b->key.message && bytes_equal(a->sender, b->sender);
}

/* What waits of one message stands together in the window; its senders may take turns. */
static size_t gather(struct queue_destination *destination, struct queue_delivery **found)
{
    struct list *node = destination->window.next;
    struct queue_delivery *first = list_owner(node, struct queue_delivery, link);
    size_t count = 0;

    while (node != &destination->window && count < QUEUE_GROUP) {
        struct queue_delivery *delivery = list_owner(node, struct queue_delivery, link);
        node = node->next;
        if (delivery->key.message != first->key.message) {
            break;
        }
        if (belongs_together(first, delivery)) {
            found[count++] = delivery;
        }
    }
    for (size_t i = 0; i < count; i++) {
        queue_delivery_unwait(found[i]);
    }
    return count;
}

void queue_job_start(struct queue_destination *destination)
{
    struct queue_delivery *found[QUEUE_GROUP];
    size_t count = gather(destination, found);
    struct queue_job *job = new_job(destination, count);

    for (size_t i = 0; i < count; i++) {
        job->entries[i].delivery = found[i];
    }
    if (destination->provider != NULL) {
        queue_provider_take(job, destination->provider);
    }
    queue_slot_take(job);
    if (destination->jobs_open++ == 0) {
        destination->progress_ms = queue_now_ms(destination->queue);
    }
    struct queue_message *message = found[0]->message;
    if (message != NULL && queue_message_phase(message) == QUEUE_PHASE_DROPPED) {
        queue_job_end(job, false);
        return;
    }
    if (message != NULL && message->content != NULL) {
        queue_message_hold(message);
        job->message = message;
        start_attempt(job);
    } else {
        read_message(job);
    }
    queue_destination_review(destination);
}

void queue_job_expire(struct queue_destination *destination, struct queue_delivery **deliveries,
                      size_t count)
{
    struct queue_job *job = new_job(destination, count);

    for (size_t i = 0; i < count; i++) {
        job->entries[i].delivery = deliveries[i];
    }
    job->is_expiry = true;
    destination->jobs_open++;
    destination->sweep_jobs++;
    read_message(job);
}

static bool is_still_due(const struct queue_job *job, uint64_t number,
                         const struct spool_delivery *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].number == number) {
            return rows[i].state == SPOOL_DUE && rows[i].next_attempt_ms <= job->started_ms;
        }
    }
    return false;
}

/* Since the rows were read, another attempt may have closed them or put them off (the read and its
 * commit crossed), or an operator deleted or held them. What the spool says now counts. */
static void leave_out_gone(struct queue_job *job, const struct spool_delivery *rows,
                           size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < job->count; i++) {
        struct queue_delivery *delivery = job->entries[i].delivery;
        if (is_still_due(job, delivery->key.number, rows, count)) {
            job->entries[kept++].delivery = delivery;
        } else {
            queue_delivery_release(delivery);
        }
    }
    job->count = kept;
}

/* What outbound would have said, for deliveries that are not tried any more. */
static void fill_expired(struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        const struct queue_delivery *delivery = job->entries[i].delivery;
        job->recipients[i] =
            (struct delivery_recipient){.address = delivery->address,
                                        .alias = delivery->alias,
                                        .outcome = DELIVERY_TEMPORARY,
                                        .enhanced = "4.4.7",
                                        .text = strbuf_bytes(&job->destination->trouble)};
        if (delivery->must_bounce) {
            job->recipients[i].outcome = DELIVERY_PERMANENT;
            memcpy(job->recipients[i].enhanced, "5.0.0", sizeof "5.0.0");
            job->recipients[i].text = BYTES("given up by the operator");
        }
    }
}

static void use_message(struct queue_job *job, const struct spool_message *row)
{
    job->message = queue_message_new(
        job->queue->set, &(struct queue_message_parts){.id = row->id,
                                                       .created_ms = row->created_ms,
                                                       .record = row->envelope,
                                                       .prefix = row->prefix,
                                                       .content = row->content});
    if (job->arena == NULL) {
        job->arena = arena_new();
    }
    queue_bounce_keep_history(job, row);
    if (!job->message->is_readable || job->message->content == NULL) {
        queue_record_hold(job);
    } else if (job->is_expiry) {
        fill_expired(job);
        queue_record_outcome(job);
    } else if (queue_route_find_moved(job)) {
        queue_record_move(job);
    } else {
        start_attempt(job);
    }
}

static void on_message_read(void *context, enum spool_status status,
                            const struct spool_message *message,
                            const struct spool_delivery *deliveries, size_t count)
{
    struct queue_job *job = context;

    job->is_with_spool = false;
    if (job->queue == NULL) {
        queue_job_free(job);
        return;
    }
    if (status == SPOOL_GONE) {
        queue_job_end(job, false);
        return;
    }
    if (status != SPOOL_OK) {
        queue_log_unread(job, status);
        queue_job_end(job, true);
        return;
    }
    leave_out_gone(job, deliveries, count);
    if (job->count == 0 || job->queue->is_draining) {
        queue_job_end(job, job->count > 0);
        return;
    }
    use_message(job, message);
}

/* Nothing was tried: its provider has no place now. It stands where it stood. */
static void put_back(struct queue_job *job)
{
    struct queue_destination *destination = job->destination;
    bool is_paused = queue_now_ms(job->queue) < destination->provider->paused_until_ms;

    while (job->count > 0) {
        struct queue_delivery *delivery = job->entries[--job->count].delivery;
        queue_delivery_wait_first(delivery);
    }
    if (is_paused) {
        queue_destination_pause_too(destination);
    } else if (job->queue->is_draining) {
        queue_destination_drop_window(destination);
    }
    queue_job_end(job, false);
}

static void on_attempt_done(void *context)
{
    struct queue_job *job = context;

    queue_slot_leave(job);
    if (delivery_attempt_report(job->attempt)->is_put_off) {
        put_back(job);
        return;
    }
    job->destination->progress_ms = queue_now_ms(job->queue);
    queue_judge_attempt(job);
    /* The pause, or its end, counts from now, not from when the outcome is recorded. */
    queue_destination_review(job->destination);
    queue_handoff_settle(job);
}

void queue_job_step_aside(struct queue_job *job)
{
    struct queue *queue = job->queue;

    delivery_attempt_give_back(job->attempt);
    job->is_parked = true;
    queue_provider_leave(job);
    job->destination->jobs_open--;
    queue->job_count--;
    queue_destination_review(job->destination); /* its deliveries are known: it stays */
    queue_pump_if_ready(queue);
}

void queue_job_step_back(struct queue_job *job)
{
    job->is_parked = false;
    job->destination->jobs_open++;
    job->queue->job_count++;
}

void queue_job_free(struct queue_job *job)
{
    arena_free(&job->arena);
    queue_message_drop(&job->bounce);
    queue_message_drop(&job->message);
    free(job);
}

/* What was open then is a row again, and may be what the operator meant. */
static void look_again(struct queue_destination *destination)
{
    if (destination->must_look_again) {
        destination->must_look_again = destination->jobs_open > 0;
        destination->has_more = true;
        queue_destination_sweep(destination);
    }
}

void queue_job_end(struct queue_job *job, bool is_in_spool)
{
    struct queue *queue = job->queue;
    struct queue_destination *destination = job->destination;

    delivery_attempt_finish(&job->attempt);
    for (size_t i = 0; i < job->count; i++) {
        queue_delivery_release(job->entries[i].delivery);
    }
    list_remove(&job->link);
    list_remove(&job->waiting);
    queue_slot_leave(job);
    queue->job_count--;
    queue_provider_leave(job);
    destination->jobs_open--;
    if (job->is_expiry) {
        destination->sweep_jobs--;
    }
    if (is_in_spool) {
        uint64_t again = queue_now_ms(queue) + QUEUE_RETRY_MS;
        destination->due_ms = again < destination->due_ms ? again : destination->due_ms;
    }
    queue_job_free(job);
    look_again(destination);
    queue_destination_review(destination);
    queue_pump_if_ready(queue);
    queue_check_idle(queue);
}

/* The queue goes: attempts are aborted. What the spool or a loop still has of a job lives until
 * they are done with it. */
void queue_jobs_forget(struct queue *queue)
{
    while (!list_is_empty(&queue->jobs)) {
        struct queue_job *job = list_owner(queue->jobs.next, struct queue_job, link);
        delivery_attempt_finish(&job->attempt);
        for (size_t i = 0; i < job->count; i++) {
            queue_delivery_release(job->entries[i].delivery);
        }
        list_remove(&job->link);
        list_remove(&job->waiting);
        queue_slot_leave(job);
        queue_provider_leave(job);
        job->destination->jobs_open -= !job->is_parked;
        job->destination = NULL;
        job->queue = NULL;
        if (!job->is_with_spool && !(job->is_parked && job->task.is_pending)) {
            list_remove(&job->parked);
            queue_job_free(job);
        }
    }
}
