/*
 * From a message that came in to its owners, in the order it happens:
 *
 *   1 queue_submit            copies it and asks the spool to add it
 *   2 on_added                it is durable: whoever submitted it hears so ...
 *   3 queue_message_hand_over ... and each loop that owns a destination of it gets one task
 *   4 queue_accept_handover   the owner puts its deliveries into their windows, if they have room
 */
#include "base/memory.h"
#include "io/clock.h"
#include "queue_state.h"

#include <assert.h>
#include <stdlib.h>

enum { RECORD_LIMIT = 64 * 1024 };

struct queue_ticket {
    struct list link;    /* queue->tickets */
    struct queue *queue; /* NULL: it is gone */
    struct queue_message *message;
    spool_done done; /* NULL: abandoned */
    void *context;
    struct spool_change change;
    struct spool_message spooled;
    struct spool_delivery rows[];
};

static void on_added(void *context, enum spool_status status);

static struct queue_message *copy_submission(struct queue_set *set,
                                             const struct queue_submission *submission)
{
    struct strbuf record;

    strbuf_init(&record, RECORD_LIMIT);
    envelope_record_write(&record, submission->envelope);
    assert(!record.overflowed);
    struct queue_message *message = queue_message_new(
        set, &(struct queue_message_parts){.id = submission->id,
                                           .created_ms = submission->created_ms,
                                           .record = strbuf_bytes(&record),
                                           .prefix = submission->prefix,
                                           .content = submission->content,
                                           .recipients = submission->recipients,
                                           .count = submission->count});
    strbuf_clear(&record);
    assert(message->is_readable);
    return message;
}

struct queue_ticket *queue_submit(struct queue *queue,
                                  const struct queue_submission *submission, spool_done done,
                                  void *context)
{
    struct queue_ticket *ticket =
        memory_alloc(sizeof *ticket + submission->count * sizeof ticket->rows[0]);

    assert(submission->count > 0);
    ticket->queue = queue;
    ticket->message = copy_submission(queue->set, submission);
    ticket->done = done;
    ticket->context = context;
    queue_message_rows(ticket->message, clock_unix_ms(), &ticket->spooled, ticket->rows);
    ticket->change = (struct spool_change){.kind = SPOOL_ADD,
                                           .id = submission->id,
                                           .message = &ticket->spooled,
                                           .deliveries = ticket->rows,
                                           .delivery_count = submission->count};
    list_append(&queue->tickets, &ticket->link);
    queue_message_announce(ticket->message);
    spool_commit(queue->set->spool, queue->loop, &ticket->change, 1, on_added, ticket);
    return ticket;
}

void queue_ticket_abandon(struct queue_ticket **ticket)
{
    if (*ticket != NULL) {
        (*ticket)->done = NULL;
        *ticket = NULL;
    }
}

static enum spool_status submission_status(enum spool_status status)
{
    return status == SPOOL_OK || status == SPOOL_FULL ? status : SPOOL_FAILED;
}

static void on_added(void *context, enum spool_status status)
{
    struct queue_ticket *ticket = context;
    struct queue *queue = ticket->queue;

    list_remove(&ticket->link);
    if (ticket->done != NULL) {
        ticket->done(ticket->context, submission_status(status));
    }
    if (status == SPOOL_OK && queue != NULL) {
        ticket->message->durable_ms = clock_unix_ms();
        queue_message_hand_over(ticket->message, queue);
    } else {
        queue_message_withdraw(ticket->message);
    }
    queue_message_drop(&ticket->message);
    free(ticket);
    if (queue != NULL) {
        queue_check_idle(queue);
    }
}

void queue_tickets_forget(struct queue *queue)
{
    while (!list_is_empty(&queue->tickets)) {
        struct queue_ticket *ticket =
            list_owner(queue->tickets.next, struct queue_ticket, link);
        list_remove(&ticket->link);
        ticket->queue = NULL;
        ticket->done = NULL;
    }
}

static bool may_wait(const struct queue_destination *destination)
{
    return queue_destination_room(destination) > 0 &&
           queue_now_ms(destination->queue) >= destination->paused_until_ms;
}

void queue_accept_handover(struct queue *queue, struct queue_message *message)
{
    if (queue->is_draining) {
        return;
    }
    for (size_t i = 0; i < message->delivery_count; i++) {
        struct queue_delivery *delivery = &message->deliveries[i];
        if (delivery->owner != queue->index ||
            queue_delivery_is_known(queue, message->id, (uint32_t)i)) {
            continue;
        }
        struct queue_destination *destination = queue_destination_make(queue, delivery->name);
        if (destination == NULL) {
            continue; /* too many: the scan finds it */
        }
        if (may_wait(destination)) {
            queue_message_hold(message);
            queue_delivery_know(destination, delivery);
            queue_delivery_wait(delivery);
        } else {
            destination->has_more = true;
        }
        queue_destination_review(destination);
    }
}
