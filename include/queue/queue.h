/*
 * queue - a message from acceptance to its end: durable rows, scheduling, retries, bounces.
 *
 * Threads  one `queue` per loop over one shared spool. A destination belongs to the queue
 *          siphash(destination) mod loops: its window, back-off and connections live there. A
 *          message may be submitted on any loop; its deliveries are posted to their owners.
 * Submit   queue_submit makes the message durable (group commit), then answers on the loop it was
 *          submitted on. Answered QUEUE_SAFE, the queue owns it until every delivery is closed.
 * Handoff  with `handoff_ms` the next hops are asked first: when all of them take it, or all refuse it
 *          for good, that is the answer and nothing was ever written. It is written after all, and
 *          answered QUEUE_SAFE, at the first sign that there is no such answer: a destination that
 *          is paused, has a backlog or no room, a temporary failure, a mixed result, time that is
 *          up, a client that has gone, a process that drains. Attempts under way go on meanwhile,
 *          and what they come to is recorded when the message is safe.
 * Window   per destination at most QUEUE_WINDOW deliveries wait in memory; the rest is read
 *          from the spool by index when there is room. Fresh messages keep their content in memory
 *          as long as all of them together stay under QUEUE_CONTENT_MEMORY.
 * Share    attempts, memory and places for destinations are limited per queue (queue_state.h), and no
 *          few destinations can take all of them.
 * Retry    forward/retry_schedule per delivery; a destination that cannot be reached pauses as a
 *          whole; expiry makes a bounce (forward/bounce_rule). Nothing expires for an hour after the
 *          wall clock has jumped by more than one.
 * Bounces  one message per failed message and attempt, in the same commit that closes the deliveries.
 *          Their deliveries have no alias. What has failed and is not bounced is held in the spool
 *          (SPOOL_UNBOUNCED) until an operator has looked at it or hold_ms is over; what its sender
 *          did not want to hear of (NOTIFY) is closed. A refused delivery that has a fallback goes
 *          there instead, once.
 * Failure  an outcome that cannot be recorded (disk full) is kept and tried again; it is never
 *          delivered a second time because of that.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include "auth/message_seal.h"
#include "base/shared.h"
#include "forward/bounce_rule.h"
#include "forward/retry_schedule.h"
#include "io/spool.h"
#include "io/state_store.h"
#include "mail/envelope_record.h"
#include "mail/message_id.h"
#include "outbound/delivery_attempt.h"

enum { QUEUE_WINDOW = 1000, QUEUE_CONTENT_MEMORY = 64 * 1024 * 1024 };

struct queue_options {
    struct shared *snapshot; /* what the rest points into */
    struct retry_schedule retry;
    unsigned concurrency;       /* attempts at once per destination */
    enum bounce_policy bounces; /* to whom; what is not bounced is held ... */
    uint64_t hold_ms;           /* ... for so long; 0: not at all */
    uint64_t warn_ms; /* whose mail is older when an attempt fails is told, once; 0: never */
    unsigned bounce_limit;          /* a day, to one sender; 0: no limit */
    struct bytes our_name;          /* Reporting-MTA, Received of bounces */
    struct bytes bounce_from;       /* "postmaster@..." */
    const struct seal *bounce_seal; /* bounces are signed with it; NULL: they are not */
    /* For bounces: sender's domain to destination. Never NULL. */
    const struct delivery_route_table *routes;
};

/* All queues of a process. */
struct queue_set;

struct queue_set *queue_set_new(struct spool *spool, size_t loops);
void queue_set_free(struct queue_set **set); /* after all its queues */
/* Where bounces are counted by sender; before any loop runs. Without one there is no limit. */
void queue_set_count_bounces(struct queue_set *set, struct state_store *state);

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
    struct bytes sender;   /* envelope sender of this delivery */
    unsigned notify;       /* as in struct spool_delivery */
    struct bytes orcpt;    /* the same; may be empty */
    struct bytes fallback; /* the same */
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
    const char *held_why; /* static; not NULL: it waits for an operator, nothing is tried */
    uint64_t handoff_ms;  /* how long the next hops may be asked; 0: written first */
};

enum queue_verdict {
    QUEUE_SAFE,      /* on stable storage: the queue owns it */
    QUEUE_DELIVERED, /* the next hops have it, all of them; nothing is left here */
    QUEUE_REFUSED,   /* they will not have it; nothing is left here, no bounce */
    QUEUE_FULL,      /* no space; nothing is left here (452) */
    QUEUE_FAILED,    /* the disk failed; the same (451) */
};

struct queue_answer {
    enum queue_verdict verdict;
    /* REFUSED: what the client is to be told, without the address that is hidden behind the alias. */
    unsigned code;
    const char *enhanced;
    struct bytes text;
};

/* The answer is good during the call. */
typedef void (*queue_done)(void *context, const struct queue_answer *answer);

struct queue_ticket; /* a pending submission */

/* Never answers from inside. */
struct queue_ticket *queue_submit(struct queue *queue,
                                  const struct queue_submission *submission, queue_done done,
                                  void *context);
/* The process is about to stop: nobody is asked first any more, and whose next hops are being asked is
 * written now. */
void queue_stop_asking(struct queue *queue);
/* The client has closed its side and may be gone: its next hops are not waited for any more. It is written
 * soon, and then done runs. Safe on NULL. */
void queue_ticket_hurry(struct queue_ticket *ticket);
/* The client is gone: done will not run; the message may be durable all the same, and then it is
 * delivered. Safe on NULL. */
void queue_ticket_abandon(struct queue_ticket **ticket);

/* Operator: rows were changed through the spool (retry, delete ...). The queue forgets what it has
 * in memory of this message (0: of everything that waits) and reads it anew. Any thread. */
void queue_set_refresh(struct queue_set *set, uint64_t id);
/* The same of what waits for one destination (empty: for all). `is_retry`: it is to be tried now,
 * even if it could not be reached a moment ago. */
void queue_set_look_again(struct queue_set *set, struct bytes destination, bool is_retry);
/* Operator: no new attempts for one destination (empty: for any), until the pause is lifted. What
 * comes meanwhile is written and waits; nothing of it expires. Any thread; not remembered here. */
void queue_set_pause(struct queue_set *set, struct bytes destination, bool is_paused);

#endif
