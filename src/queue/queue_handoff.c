/*
 * Asking before answering, in the order it happens (S: the submitter's thread, O: an owner's):
 *
 *   1 queue_handoff_begin    S  every owner is offered the message, though it is not durable
 *   2 queue_accept_offer     O  into the window, or given up at once
 *   3 queue_handoff_settle   O  an attempt has ended: its job is parked with the submitter
 *   4 decide                 S  all sent, all refused: that is the answer. No such answer to be had:
 *                               queue_ticket_write
 *   5 queue_handoff_end      S  the phase is final, parked jobs go back
 *   6 on_verdict             O  the outcome is recorded, or there is nothing to record
 */
#include "queue_handoff.h"

#include "mail/hidden_address.h"
#include "queue_outcome.h"
#include "queue_provider.h"

#include <assert.h>

enum { REFUSAL_LIMIT = 900 };

static void run_on(struct queue_set *set, size_t index, struct queue *self,
                   struct loop_task *task)
{
    if (self->index == index) {
        event_loop_defer(self->loop, task);
    } else {
        event_loop_post(set->event_loops[index], task);
    }
}

/* ---- owners ------------------------------------------------------------------------------ */

static void on_report(void *context);

/* How long it is parked depends on the other destinations of its message: neither its connection nor
 * its place may wait for them, or one that is slow would hold up those that are not. */
static void park(struct queue_job *job)
{
    struct queue_message *message = job->message;

    queue_job_step_aside(job);
    job->task = (struct loop_task){.run = on_report, .context = job};
    run_on(message->set, message->submitter, job->queue, &job->task);
}

static void settle_by_phase(struct queue_job *job, enum queue_phase phase)
{
    switch (phase) {
    case QUEUE_PHASE_DURABLE:
        queue_record_outcome(job);
        return;
    case QUEUE_PHASE_ASKING:
        park(job);
        return;
    case QUEUE_PHASE_ANSWERED:
    case QUEUE_PHASE_DROPPED:
        queue_record_nothing(job);
        return;
    }
}

void queue_handoff_settle(struct queue_job *job)
{
    settle_by_phase(job, queue_message_phase(job->message));
}

static void on_verdict(void *context)
{
    struct queue_job *job = context;

    if (job->queue == NULL) {
        queue_job_free(job);
        return;
    }
    queue_job_step_back(job);
    settle_by_phase(job, queue_message_phase(job->message));
}

static void on_undecided(void *context);

static void give_up(struct queue *queue, struct queue_message *message)
{
    /* Nobody is there to be told when the loops have stopped and their queues go one by one. */
    if (message->set->queues[message->submitter] == NULL ||
        atomic_exchange(&message->is_undecided, true)) {
        return;
    }
    queue_message_hold(message);
    message->undecided = (struct loop_task){.run = on_undecided, .context = message};
    run_on(message->set, message->submitter, queue, &message->undecided);
}

void queue_handoff_give_up(struct queue_delivery *delivery)
{
    struct queue_message *message = delivery->message;

    if (message == NULL) {
        return;
    }
    delivery->is_taken = false;
    delivery->is_given_up = true;
    if (queue_message_phase(message) == QUEUE_PHASE_ASKING) {
        give_up(delivery->destination->queue, message);
    }
}

/* Attempts that do not end: the next one would not, either. */
static bool is_silent(const struct queue_destination *destination)
{
    return queue_destination_is_silent(destination) ||
           (destination->provider != NULL && queue_provider_is_silent(destination->provider));
}

/* Whoever waits behind a backlog, or for a destination in trouble, would wait too long. */
static bool may_be_asked(const struct queue_destination *destination)
{
    return destination->failures == 0 && !destination->has_more &&
           !queue_destination_is_paused(destination) && !is_silent(destination) &&
           destination->waiting < QUEUE_ASK_BACKLOG && queue_destination_room(destination) > 0;
}

void queue_accept_offer(struct queue *queue, struct queue_message *message)
{
    for (size_t i = 0; i < message->delivery_count; i++) {
        struct queue_delivery *delivery = &message->deliveries[i];
        struct queue_destination *destination;
        if (delivery->owner != queue->index) {
            continue;
        }
        destination = queue->is_draining ? NULL : queue_destination_make(queue, delivery->name);
        if (destination == NULL) {
            give_up(queue, message);
            continue;
        }
        if (may_be_asked(destination)) {
            delivery->is_taken = true;
            queue_message_hold(message);
            queue_delivery_know(destination, delivery);
            queue_delivery_wait(delivery);
        } else {
            give_up(queue, message);
        }
        queue_destination_review(destination);
    }
}

/* ---- submitter --------------------------------------------------------------------------- */

void queue_handoff_begin(struct queue_ticket *ticket, uint64_t wait_ms)
{
    struct queue *queue = ticket->queue;
    struct queue_message *message = ticket->message;

    ticket->stage = TICKET_ASKING;
    ticket->until_ms = queue_now_ms(queue) + wait_ms;
    ticket->open = message->delivery_count;
    message->ticket = ticket;
    message->submitter = queue->index;
    message->durable_ms = message->created_ms;
    atomic_store_explicit(&message->phase, QUEUE_PHASE_ASKING, memory_order_release);
    list_append(&queue->asking, &ticket->asking);
    queue_wake_at(queue, ticket->until_ms);
    queue_message_offer(message, queue);
}

void queue_handoff_review(struct queue *queue)
{
    uint64_t now = queue_now_ms(queue);

    while (!list_is_empty(&queue->asking)) {
        struct queue_ticket *first =
            list_owner(queue->asking.next, struct queue_ticket, asking);
        if (first->until_ms > now && !queue->is_asking_stopped) {
            queue_wake_at(queue, first->until_ms);
            return;
        }
        queue_ticket_write(first);
    }
}

void queue_handoff_hurry(struct queue_ticket *ticket)
{
    struct queue *queue = ticket->queue;

    list_remove(&ticket->asking);
    list_insert(&queue->asking, &ticket->asking);
    ticket->until_ms = queue_now_ms(queue);
    queue_wake_at(queue, ticket->until_ms);
}

void queue_stop_asking(struct queue *queue)
{
    queue->is_asking_stopped = true;
    queue_handoff_review(queue);
}

/* The first refusal in the order of the jobs: in whose words the client is told. */
static const struct delivery_recipient *first_refusal(const struct queue_ticket *ticket)
{
    const struct queue_job *job = list_owner(ticket->parked.next, struct queue_job, parked);

    return &job->recipients[0];
}

/* "550 5.1.1 no such user" without its codes. */
static struct bytes without_codes(const struct delivery_recipient *refusal)
{
    struct bytes text = refusal->text;
    struct bytes enhanced = bytes_from_text(refusal->enhanced);

    if (refusal->code == 0) {
        return hidden_names_without(text);
    }
    text = bytes_skip(text, text.len < 4 ? text.len : 4);
    if (bytes_starts_with(text, enhanced)) {
        text = bytes_trim(bytes_skip(text, enhanced.len));
    }
    return text;
}

static void answer_refused(struct queue_ticket *ticket)
{
    const struct delivery_recipient *refusal = first_refusal(ticket);
    struct queue_answer answer = {
        .verdict = QUEUE_REFUSED,
        .code = refusal->code >= 500 ? refusal->code : 550,
        .enhanced = refusal->enhanced,
    };
    struct strbuf text;

    strbuf_init(&text, REFUSAL_LIMIT);
    strbuf_add_text(&text,
                    refusal->code == 0 ? "cannot be delivered: " : "refused by the next hop: ");
    hidden_address_add(&text, bytes_first(without_codes(refusal), REFUSAL_LIMIT / 2),
                       refusal->address, refusal->alias);
    answer.text = strbuf_bytes(&text);
    queue_ticket_answer(ticket, &answer);
    strbuf_clear(&text);
}

static void decide(struct queue_ticket *ticket)
{
    if (ticket->is_undecided || (ticket->has_sent && ticket->has_refused)) {
        queue_ticket_write(ticket);
    } else if (ticket->open == 0 && ticket->has_sent) {
        queue_ticket_answer(ticket, &(struct queue_answer){.verdict = QUEUE_DELIVERED});
    } else if (ticket->open == 0) {
        answer_refused(ticket);
    }
}

static void tally(struct queue_ticket *ticket, const struct queue_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        switch (job->recipients[i].outcome) {
        case DELIVERY_SENT:
            job->entries[i].delivery->is_settled = true;
            ticket->has_sent = true;
            break;
        case DELIVERY_TEMPORARY:
            ticket->is_undecided = true;
            break;
        case DELIVERY_PERMANENT:
            /* Its fallback is asked when the message is safe. */
            ticket->is_undecided |= job->entries[i].delivery->fallback.len > 0;
            ticket->has_refused = true;
            break;
        }
    }
    ticket->open -= job->count;
}

static void send_back(struct queue_job *job)
{
    struct queue_message *message = job->message;
    size_t owner = job->entries[0].delivery->owner;

    job->task = (struct loop_task){.run = on_verdict, .context = job};
    run_on(message->set, owner, message->set->queues[message->submitter], &job->task);
}

static void on_report(void *context)
{
    struct queue_job *job = context;
    struct queue_ticket *ticket = job->message->ticket;

    if (job->queue == NULL) {
        queue_job_free(job);
        return;
    }
    if (ticket == NULL) {
        send_back(job);
        return;
    }
    list_append(&ticket->parked, &job->parked);
    if (ticket->stage == TICKET_ASKING) {
        tally(ticket, job);
        decide(ticket);
    }
}

static void on_undecided(void *context)
{
    struct queue_message *message = context;
    struct queue_ticket *ticket = message->ticket;

    if (ticket != NULL && ticket->stage == TICKET_ASKING) {
        ticket->is_undecided = true;
        queue_ticket_write(ticket);
    }
    queue_message_drop(&message);
}

void queue_handoff_end(struct queue_ticket *ticket, enum queue_phase phase)
{
    ticket->message->ticket = NULL;
    atomic_store_explicit(&ticket->message->phase, (int)phase, memory_order_release);
    while (!list_is_empty(&ticket->parked)) {
        struct queue_job *job = list_owner(ticket->parked.next, struct queue_job, parked);
        list_remove(&job->parked);
        send_back(job);
    }
}
