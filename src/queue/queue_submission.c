/*
 * From a message that came in to its owners, in the order it happens:
 *
 *   1 queue_submit            copies it and asks the spool to add it; or the next hops first
 *                             (queue_handoff.c)
 *   2 on_added                it is durable: whoever submitted it hears so ...
 *   3 queue_message_hand_over ... and each loop that owns a destination of it gets one task
 *   4 queue_accept_handover   the owner puts its deliveries into their windows, if they have room
 */
#include "base/memory.h"
#include "io/clock.h"
#include "queue_handoff.h"

#include <assert.h>
#include <stdlib.h>

enum { RECORD_LIMIT = 64 * 1024 };

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

static void hold_rows(struct queue_ticket *ticket, size_t count, const char *why)
{
    for (size_t i = 0; i < count; i++) {
        ticket->rows[i].state = SPOOL_HELD;
        ticket->rows[i].last_reply = bytes_from_text(why);
    }
}

void queue_ticket_write(struct queue_ticket *ticket)
{
    struct queue *queue = ticket->queue;
    size_t count =
        queue_message_rows(ticket->message, clock_unix_ms(), &ticket->spooled, ticket->rows);

    assert(count > 0);
    list_remove(&ticket->asking);
    ticket->stage = TICKET_WRITING;
    if (ticket->held_why != NULL) {
        hold_rows(ticket, count, ticket->held_why);
    }
    ticket->change = (struct spool_change){.kind = SPOOL_ADD,
                                           .id = ticket->message->id,
                                           .message = &ticket->spooled,
                                           .deliveries = ticket->rows,
                                           .delivery_count = count};
    queue_message_announce(ticket->message);
    spool_commit(queue->set->spool, queue->loop, &ticket->change, 1, on_added, ticket);
}

/* Who wants to hear of success hears it from us where the next hop says nothing: a message of ours in the
 * spool, which must not depend on a client that waits. */
static bool may_ask_first(const struct queue_submission *submission)
{
    for (size_t i = 0; i < submission->count; i++) {
        if (dsn_wants_success(submission->recipients[i].notify)) {
            return false;
        }
    }
    return submission->handoff_ms > 0 && submission->held_why == NULL;
}

struct queue_ticket *queue_submit(struct queue *queue,
                                  const struct queue_submission *submission, queue_done done,
                                  void *context)
{
    struct queue_ticket *ticket =
        memory_zero(sizeof *ticket + submission->count * sizeof ticket->rows[0]);

    assert(submission->count > 0);
    ticket->queue = queue;
    ticket->message = copy_submission(queue->set, submission);
    ticket->held_why = submission->held_why;
    ticket->done = done;
    ticket->context = context;
    list_init(&ticket->asking);
    list_init(&ticket->parked);
    list_append(&queue->tickets, &ticket->link);
    if (may_ask_first(submission) && !queue->is_draining && !queue->is_asking_stopped) {
        queue_handoff_begin(ticket, submission->handoff_ms);
    } else {
        queue_ticket_write(ticket);
    }
    return ticket;
}

void queue_ticket_hurry(struct queue_ticket *ticket)
{
    if (ticket != NULL && ticket->stage == TICKET_ASKING && ticket->queue != NULL) {
        queue_handoff_hurry(ticket);
    }
}

void queue_ticket_abandon(struct queue_ticket **pointer)
{
    struct queue_ticket *ticket = *pointer;

    if (ticket == NULL) {
        return;
    }
    *pointer = NULL;
    ticket->done = NULL;
    queue_ticket_hurry(ticket);
}

static enum queue_verdict verdict_of(enum spool_status status)
{
    return status == SPOOL_OK ? QUEUE_SAFE : status == SPOOL_FULL ? QUEUE_FULL : QUEUE_FAILED;
}

/* The answer goes out before anything else happens to the message. */
static void tell(struct queue_ticket *ticket, const struct queue_answer *answer)
{
    list_remove(&ticket->link);
    list_remove(&ticket->asking);
    if (ticket->done != NULL) {
        ticket->done(ticket->context, answer);
    }
}

static void end(struct queue_ticket *ticket)
{
    struct queue *queue = ticket->queue;

    queue_message_drop(&ticket->message);
    free(ticket);
    if (queue != NULL) {
        queue_check_idle(queue);
    }
}

void queue_ticket_answer(struct queue_ticket *ticket, const struct queue_answer *answer)
{
    tell(ticket, answer);
    queue_handoff_end(ticket, QUEUE_PHASE_ANSWERED);
    end(ticket);
}

static void on_added(void *context, enum spool_status status)
{
    struct queue_ticket *ticket = context;
    struct queue_answer answer = {.verdict = verdict_of(status)};

    tell(ticket, &answer);
    if (status == SPOOL_OK) {
        ticket->message->durable_ms = clock_unix_ms();
    }
    if (ticket->queue != NULL) {
        queue_handoff_end(ticket,
                          status == SPOOL_OK ? QUEUE_PHASE_DURABLE : QUEUE_PHASE_DROPPED);
    }
    if (status == SPOOL_OK && ticket->queue != NULL && ticket->held_why == NULL) {
        queue_message_hand_over(ticket->message, ticket->queue);
    } else {
        queue_message_withdraw(ticket->message);
    }
    end(ticket);
}

/* What is asked about is nobody's any more; what the spool has it answers in its own time. */
void queue_tickets_forget(struct queue *queue)
{
    while (!list_is_empty(&queue->tickets)) {
        struct queue_ticket *ticket =
            list_owner(queue->tickets.next, struct queue_ticket, link);
        list_remove(&ticket->link);
        list_remove(&ticket->asking);
        while (!list_is_empty(&ticket->parked)) {
            list_remove(ticket->parked.next); /* its owner has it, too */
        }
        ticket->message->ticket = NULL;
        ticket->queue = NULL;
        ticket->done = NULL;
        if (ticket->stage == TICKET_ASKING) {
            end(ticket);
        }
    }
}

/* What its owner has let go while the client waited (a pause, another route, an operator's word)
 * comes back as a row, like all that was let go. So does what an operator may have deleted or held between
 * its commit and now: the order may have been heard here before the message was. */
static bool may_wait(const struct queue_destination *destination,
                     const struct queue_delivery *delivery)
{
    return !delivery->is_given_up && !queue_message_is_overruled(delivery->message) &&
           queue_destination_room(destination) > 0 && !queue_destination_is_paused(destination);
}

void queue_accept_handover(struct queue *queue, struct queue_message *message)
{
    if (queue->is_draining) {
        return;
    }
    for (size_t i = 0; i < message->delivery_count; i++) {
        struct queue_delivery *delivery = &message->deliveries[i];
        if (delivery->owner != queue->index || delivery->is_taken || delivery->is_settled ||
            queue_delivery_is_known(queue, message->id, (uint32_t)i)) {
            continue;
        }
        struct queue_destination *destination = queue_destination_make(queue, delivery->name);
        if (destination == NULL) {
            continue; /* too many: the scan finds it */
        }
        if (may_wait(destination, delivery)) {
            queue_message_hold(message);
            queue_delivery_know(destination, delivery);
            queue_delivery_wait(delivery);
        } else {
            destination->has_more = true;
        }
        queue_destination_review(destination);
    }
}
