/*
 * queue - a message from acceptance to its end: durable rows, scheduling, retries, bounces.
 *
 * Threads  one `queue` per loop over one shared spool. A destination belongs to the queue
 *          siphash(destination) mod loops: its window, back-off and connections live there. A
 *          message may be submitted on any loop; its deliveries are posted to their owners.
 * Submit   queue_submit makes the message durable (group commit), then answers on the loop it was
 *          submitted on. Answered OK, the queue owns it until every delivery is closed.
 * Window   per destination at most QUEUE_WINDOW deliveries wait in memory; the rest is read
 *          from the spool by index when there is room. Fresh messages keep their content in memory
 *          as long as all of them together stay under QUEUE_CONTENT_MEMORY.
 * Share    attempts, memory and places for destinations are limited per queue (queue_state.h), and no
 *          few destinations can take all of them.
 * Retry    forward/retry_schedule per delivery; a destination that cannot be reached pauses as a
 *          whole; expiry makes a bounce (forward/bounce_rule). Nothing expires for an hour after the
 *          wall clock has jumped by more than one.
 * Bounces  one message per failed message and attempt, in the same commit that closes the deliveries.
 *          Their deliveries have no alias.
 * Failure  an outcome that cannot be recorded (disk full) is kept and tried again; it is never
 *          delivered a second time because of that.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include "base/shared.h"
#include "forward/retry_schedule.h"
#include "io/spool.h"
#include "mail/envelope_record.h"
#include "mail/message_id.h"
#include "outbound/delivery_attempt.h"

enum { QUEUE_WINDOW = 1000, QUEUE_CONTENT_MEMORY = 64 * 1024 * 1024 };

struct queue_options {
    struct shared *snapshot; /* what the rest points into */
    struct retry_schedule retry;
    unsigned concurrency;     /* attempts at once per destination */
    struct bytes our_name;    /* Reporting-MTA, Received of bounces */
    struct bytes bounce_from; /* "postmaster@..." */
    /* For bounces: sender's domain to destination. Never NULL. */
    const struct delivery_route_table *routes;
};

/* All queues of a process. */
struct queue_set;

struct queue_set *queue_set_new(struct spool *spool, size_t loops);
void queue_set_free(struct queue_set **set); /* after all its queues */

struct queue;

/* `index` 0..loops-1; each on its own loop, all made before any loop runs. */
struct queue *queue_new(struct queue_set *set, size_t index, struct event_loop *loop,
                        struct outbound *outbound, struct message_id_source *ids,
                        const struct queue_options *options);
void queue_set_options(struct queue *queue, const struct queue_options *options);
/* Begins to read what the spool holds from earlier runs. */
void queue_start(struct queue *queue);
/* Starts nothing new; on_idle runs when no attempt and no commit is open any more. */
void queue_drain(struct queue *queue, void (*on_idle)(void *context), void *context);
void queue_free(
    struct queue **queue); /* aborts what is open; what is durable stays in the spool */

struct queue_recipient {
    struct bytes destination;
    struct bytes address;
    struct bytes alias;
    struct bytes sender; /* envelope sender of this delivery */
};

/* A message on its way in. Everything is *copied* but the content, which is held. */
struct queue_submission {
    uint64_t id;
    int64_t created_ms;
    const struct envelope *envelope;
    struct bytes prefix;
    struct content *content;
    const struct queue_recipient *recipients;
    size_t count;
};

struct queue_ticket; /* a pending submission */

/* done: SPOOL_OK, SPOOL_FULL (452) or SPOOL_FAILED (451). Never from inside. */
struct queue_ticket *queue_submit(struct queue *queue,
                                  const struct queue_submission *submission, spool_done done,
                                  void *context);
/* The client is gone: done will not run; the message may be durable all the same, and then it is
 * delivered. Safe on NULL. */
void queue_ticket_abandon(struct queue_ticket **ticket);

/* Operator: rows were changed through the spool (retry, delete ...). The queue forgets what it has
 * in memory of this message (0: of everything that waits) and reads it anew. Any thread. */
void queue_set_refresh(struct queue_set *set, uint64_t id);

#endif
