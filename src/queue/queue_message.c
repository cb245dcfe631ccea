#include "queue_message.h"

#include "base/memory.h"
#include "queue_handoff.h"

#include <stdlib.h>

static void destroy_message(struct shared *shared)
{
    struct queue_message *message = (struct queue_message *)(void *)shared;

    if (message->content_charge != 0) {
        atomic_fetch_sub(&message->set->content_memory, message->content_charge);
    }
    content_drop(&message->content);
    free(message);
}

static size_t text_size(const struct queue_message_parts *parts)
{
    size_t size = parts->record.len + parts->prefix.len;

    for (size_t i = 0; i < parts->count; i++) {
        const struct queue_recipient *recipient = &parts->recipients[i];
        size += recipient->destination.len + recipient->address.len + recipient->alias.len +
                recipient->sender.len + recipient->orcpt.len + recipient->fallback.len;
    }
    return size;
}

static struct bytes copy_text(char **at, struct bytes text)
{
    struct bytes copy = {*at, text.len};

    if (text.len != 0) {
        memcpy(*at, text.data, text.len);
        *at += text.len;
    }
    return copy;
}

/* One hand-over for each owner, however many deliveries it has. */
static void add_owner(struct queue_message *message, size_t owner)
{
    for (size_t i = 0; i < message->handover_count; i++) {
        if (message->handovers[i].owner == owner) {
            return;
        }
    }
    message->offers[message->handover_count] = (struct queue_handover){.owner = owner};
    message->handovers[message->handover_count++] =
        (struct queue_handover){.message = message, .owner = owner};
}

struct queue_message *queue_message_new(struct queue_set *set,
                                        const struct queue_message_parts *parts)
{
    size_t owners = parts->count < set->loops ? parts->count : set->loops;
    size_t deliveries_size = parts->count * sizeof(struct queue_delivery);
    size_t handovers_size = 2 * owners * sizeof(struct queue_handover);
    char *block = memory_alloc(sizeof(struct queue_message) + deliveries_size + handovers_size +
                               text_size(parts));
    struct queue_message *message = (struct queue_message *)(void *)block;
    char *text = block + sizeof *message + deliveries_size + handovers_size;

    *message = (struct queue_message){
        .set = set,
        .id = parts->id,
        .created_ms = parts->created_ms,
        .content = parts->content,
        .delivery_count = parts->count,
        .deliveries = (struct queue_delivery *)(void *)(block + sizeof *message),
        .handovers =
            (struct queue_handover *)(void *)(block + sizeof *message + deliveries_size),
    };
    message->offers = message->handovers + owners;
    shared_init(&message->shared, destroy_message);
    atomic_init(&message->phase, QUEUE_PHASE_DURABLE);
    atomic_init(&message->is_undecided, false);
    atomic_init(&message->handovers_open, 0);
    if (message->content != NULL) {
        content_hold(message->content);
    }
    message->record = copy_text(&text, parts->record);
    message->prefix = copy_text(&text, parts->prefix);
    message->is_readable = envelope_record_read(message->record, &message->envelope);
    for (size_t i = 0; i < parts->count; i++) {
        const struct queue_recipient *recipient = &parts->recipients[i];
        message->deliveries[i] = (struct queue_delivery){
            .key = {parts->id, i},
            .message = message,
            .owner = queue_owner(set, recipient->destination),
            .created_ms = parts->created_ms,
            .name = copy_text(&text, recipient->destination),
            .address = copy_text(&text, recipient->address),
            .alias = copy_text(&text, recipient->alias),
            .sender = copy_text(&text, recipient->sender),
            .notify = recipient->notify,
            .orcpt = copy_text(&text, recipient->orcpt),
            .fallback = copy_text(&text, recipient->fallback),
        };
        add_owner(message, message->deliveries[i].owner);
    }
    return message;
}

void queue_message_hold(struct queue_message *message)
{
    shared_hold(&message->shared);
}

void queue_message_drop(struct queue_message **message)
{
    if (*message != NULL) {
        shared_drop(&(*message)->shared);
        *message = NULL;
    }
}

size_t queue_message_rows(const struct queue_message *message, int64_t due_ms,
                          struct spool_message *out, struct spool_delivery *rows)
{
    size_t count = 0;

    *out = (struct spool_message){
        .id = message->id,
        .created_ms = message->created_ms,
        .envelope = message->record,
        .prefix = message->prefix,
        .content = message->content,
        .content_size = content_size(message->content),
    };
    for (size_t i = 0; i < message->delivery_count; i++) {
        const struct queue_delivery *delivery = &message->deliveries[i];
        if (delivery->is_settled) {
            continue;
        }
        rows[count++] = (struct spool_delivery){
            .message = message->id,
            .number = (uint32_t)i,
            .state = SPOOL_DUE,
            .destination = delivery->name,
            .recipient = delivery->address,
            .alias = delivery->alias,
            .sender = delivery->sender,
            .notify = delivery->notify,
            .orcpt = delivery->orcpt,
            .fallback = delivery->fallback,
            .next_attempt_ms = due_ms,
            .created_ms = message->created_ms,
        };
    }
    return count;
}

static atomic_uint *handing_over_slot(struct queue_set *set, uint64_t id)
{
    /* Ids count up in their low 16 bits; the loop and the time stand above. */
    return &set->handing_over[(id ^ (id >> 16)) % QUEUE_HANDOVER_SLOTS];
}

void queue_message_announce(struct queue_message *message)
{
    atomic_fetch_add(handing_over_slot(message->set, message->id), 1);
    message->orders = atomic_load(&message->set->orders);
}

bool queue_message_is_overruled(const struct queue_message *message)
{
    return message->orders != atomic_load(&message->set->orders);
}

void queue_message_withdraw(struct queue_message *message)
{
    atomic_fetch_sub(handing_over_slot(message->set, message->id), 1);
}

bool queue_set_is_handing_over(struct queue_set *set, uint64_t id)
{
    return atomic_load(handing_over_slot(set, id)) != 0;
}

/* A file costs a descriptor, which is scarcer than memory: it is charged as the largest content
 * that would have stayed in memory. */
static void charge_content(struct queue_message *message)
{
    struct queue_set *set = message->set;
    uint64_t charge = content_memory(message->content).data != NULL
                          ? content_size(message->content)
                          : CONTENT_MEMORY_LIMIT;

    /* While the next hops are being asked, attempts may be reading it. */
    if (atomic_fetch_add(&set->content_memory, charge) + charge > QUEUE_CONTENT_MEMORY &&
        message->offers[0].message == NULL) {
        atomic_fetch_sub(&set->content_memory, charge);
        content_drop(&message->content);
        return;
    }
    message->content_charge = charge;
}

static void take_handover(struct queue *queue, struct queue_handover *handover)
{
    struct queue_message *message = handover->message;

    /* A queue that is gone takes nothing: the rows are in the spool. */
    if (queue != NULL) {
        queue_accept_handover(queue, message);
    }
    if (atomic_fetch_sub(&message->handovers_open, 1) == 1) {
        queue_message_withdraw(message);
    }
    queue_message_drop(&message);
}

static void on_handover(void *context)
{
    struct queue_handover *handover = context;

    take_handover(handover->message->set->queues[handover->owner], handover);
}

void queue_message_hand_over(struct queue_message *message, struct queue *self)
{
    struct queue_set *set = message->set;

    charge_content(message);
    atomic_store(&message->handovers_open, (unsigned)message->handover_count);
    for (size_t i = 0; i < message->handover_count; i++) {
        queue_message_hold(message);
    }
    for (size_t i = 0; i < message->handover_count; i++) {
        struct queue_handover *handover = &message->handovers[i];
        if (handover->owner == self->index) {
            take_handover(self, handover);
        } else {
            handover->task = (struct loop_task){.run = on_handover, .context = handover};
            event_loop_post(set->event_loops[handover->owner], &handover->task);
        }
    }
}

static void take_offer(struct queue *queue, struct queue_handover *offer)
{
    struct queue_message *message = offer->message;

    if (queue != NULL) {
        queue_accept_offer(queue, message);
    }
    queue_message_drop(&message);
}

static void on_offer(void *context)
{
    struct queue_handover *offer = context;

    take_offer(offer->message->set->queues[offer->owner], offer);
}

void queue_message_offer(struct queue_message *message, struct queue *self)
{
    struct queue_set *set = message->set;
    size_t count = message->handover_count;

    for (size_t i = 0; i < count; i++) {
        message->offers[i].message = message;
        queue_message_hold(message);
    }
    for (size_t i = 0; i < count; i++) {
        struct queue_handover *offer = &message->offers[i];
        if (offer->owner == self->index) {
            take_offer(self, offer);
        } else {
            offer->task = (struct loop_task){.run = on_offer, .context = offer};
            event_loop_post(set->event_loops[offer->owner], &offer->task);
        }
    }
}
