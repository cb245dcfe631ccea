/*
 * queue_handoff - the next hops are asked while the client waits for its answer.
 *
 * Two threads meet here: the one the message was submitted on (it has the ticket and decides) and the
 * owners of its destinations (they try). A job that has ended is parked with the submitter until
 * the message's end is known; then it goes back to its owner, who records it or forgets it.
 */
#ifndef QUEUE_HANDOFF_H
#define QUEUE_HANDOFF_H

#include "queue_job.h"

/* Owner's thread. An attempt has ended: its outcome is recorded, or asked about first. May end the
 * job. */
void queue_handoff_settle(struct queue_job *job);
/* Owner's thread. A delivery is not tried for now, so nobody should wait for it. */
void queue_handoff_give_up(struct queue_delivery *delivery);
/* Owner's thread: takes what may start soon, gives up the rest. */
void queue_accept_offer(struct queue *queue, struct queue_message *message);

/* ---- thread of the submitter ---- */

enum ticket_stage { TICKET_ASKING, TICKET_WRITING };

struct queue_ticket {
    struct list link;    /* queue->tickets */
    struct list asking;  /* queue->asking */
    struct queue *queue; /* NULL: it is gone */
    struct queue_message *message;
    queue_done done; /* NULL: abandoned */
    void *context;
    enum ticket_stage stage;
    const char *held_why; /* static, or NULL */
    /* asking */
    uint64_t until_ms;
    size_t open; /* deliveries of which nothing is known */
    bool has_sent, has_refused, is_undecided;
    struct list parked; /* jobs that have ended */
    /* writing */
    struct spool_change change;
    struct spool_message spooled;
    struct spool_delivery rows[];
};

void queue_handoff_begin(struct queue_ticket *ticket, uint64_t wait_ms);
/* The next hops are not waited for any more: it is written soon, not from inside. When everything is being
 * taken down the spool may be closed already, and then there is nothing to keep: nobody was told. */
void queue_handoff_hurry(struct queue_ticket *ticket);
/* The phase is final: the parked jobs go back to their owners. */
void queue_handoff_end(struct queue_ticket *ticket, enum queue_phase phase);
/* queue_submission.c: writes what is not settled, then answers. Attempts go on meanwhile. */
void queue_ticket_write(struct queue_ticket *ticket);
/* queue_submission.c: tells the client and ends the ticket. */
void queue_ticket_answer(struct queue_ticket *ticket, const struct queue_answer *answer);

#endif
