/*
 * queue_message - one message as the queue holds it in memory: envelope, prefix, content.
 *
 * Memory   one block: the message, its deliveries when it is fresh, and all their text. Counted
 *          (base/shared): a delivery in memory, a job and a ticket each hold it, on any thread.
 * Content  in memory only as long as all messages of the set stay under QUEUE_CONTENT_MEMORY;
 *          `content` NULL means: read it from the spool when it is needed.
 * Fresh    queue_message_hand_over posts one task to each loop that owns a destination of it.
 *          Until every owner has looked at it, its rows may be seen in the spool by an owner
 *          that does not know it yet; queue_set_is_handing_over tells those rows from orphans.
 */
#ifndef QUEUE_MESSAGE_H
#define QUEUE_MESSAGE_H

#include "base/list.h"

#include <stdatomic.h>
#include "queue/queue.h"

struct queue_destination;
struct queue_message;

struct queue_delivery_key {
    uint64_t message;
    uint64_t number;
};

/* One delivery that is known in memory. Everything but the texts belongs to the owner's thread.
 */
struct queue_delivery {
    struct list link; /* in the window of its destination */
    struct queue_delivery_key key;
    struct queue_destination *destination;
    struct queue_message
        *message;     /* fresh: it lies in there and holds it; NULL: read as a row */
    size_t owner;     /* index of the queue its destination belongs to */
    bool is_taken;    /* fresh: its owner has it in its window or in a job, or had it in one */
    bool is_given_up; /* fresh: its owner had it and let it go: what its row says then counts */
    bool is_settled;  /* fresh: sent before anything was written; there is no row of it */
    int64_t created_ms;
    uint32_t attempts;
    struct bytes name; /* of the destination */
    struct bytes address, alias, sender;
    unsigned notify;
    struct bytes orcpt, fallback;
    bool is_warned;
    bool must_bounce; /* an operator has given it up */
};

struct queue_handover {
    struct loop_task task;
    struct queue_message *message;
    size_t owner;
};

/* How far a fresh message has come; set by the loop it was submitted on. */
enum queue_phase {
    QUEUE_PHASE_DURABLE, /* it has its rows; also: it was read from them */
    QUEUE_PHASE_ASKING,  /* the client waits, nothing is written, or not known to be */
    QUEUE_PHASE_ANSWERED, /* delivered or refused while the client waited: nothing is to be kept */
    QUEUE_PHASE_DROPPED, /* it could not be written, the client keeps it */
};

struct queue_message {
    struct shared shared; /* first */
    struct queue_set *set;
    uint64_t id;
    int64_t created_ms;
    int64_t durable_ms;       /* fresh: when the spool had it; 0: read from the spool */
    struct bytes record;      /* the envelope as the spool keeps it */
    struct envelope envelope; /* views into record */
    bool is_readable;         /* false: the record is damaged, envelope is empty */
    struct bytes prefix;
    struct content *content;
    uint64_t content_charge; /* counted in the set */
    unsigned orders;         /* of the set, before its rows could be seen */
    /* asking first (queue_handoff.c) */
    atomic_int phase;            /* enum queue_phase */
    size_t submitter;            /* index of the queue it was submitted to */
    struct queue_ticket *ticket; /* thread of the submitter; NULL: the answer is out */
    atomic_bool is_undecided;    /* an owner has given up; said once */
    struct loop_task undecided;
    struct queue_handover *offers; /* like handovers */
    atomic_uint handovers_open;
    size_t handover_count;
    struct queue_handover *handovers;
    size_t delivery_count;
    struct queue_delivery *deliveries;
};

struct queue_message_parts {
    uint64_t id;
    int64_t created_ms;
    struct bytes record, prefix;
    struct content *content;
    const struct queue_recipient *recipients; /* none for a message read from the spool */
    size_t count;
};

/* Copies all but the content, which is held. */
struct queue_message *queue_message_new(struct queue_set *set,
                                        const struct queue_message_parts *parts);
void queue_message_hold(struct queue_message *message);
void queue_message_drop(struct queue_message **message); /* safe on NULL */
static inline enum queue_phase queue_message_phase(const struct queue_message *message)
{
    return (enum queue_phase)atomic_load_explicit(&message->phase, memory_order_acquire);
}

/* What the spool is to add: `rows` has room for all deliveries; both borrow from the message.
 * Deliveries that are settled have none: returns how many rows there are. */
size_t queue_message_rows(const struct queue_message *message, int64_t due_ms,
                          struct spool_message *out, struct spool_delivery *rows);
/* Operators may have changed its rows: they count, not what is known here. */
bool queue_message_is_overruled(const struct queue_message *message);
/* Before its rows can be seen by anybody, and when they were not written after all. */
void queue_message_announce(struct queue_message *message);
void queue_message_withdraw(struct queue_message *message);
bool queue_set_is_handing_over(struct queue_set *set, uint64_t id);
/* It is durable: keeps the content if there is room, and tells the owners. `self` is the queue
 * of the running loop. */
void queue_message_hand_over(struct queue_message *message, struct queue *self);
/* It is not durable, and its owners are to try it all the same (queue_handoff.c). */
void queue_message_offer(struct queue_message *message, struct queue *self);

#endif
