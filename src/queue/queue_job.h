/*
 * queue_job - one attempt at one message for one destination, from the window to the record.
 *
 * Steps   see queue_job.c. The outcome of all its recipients is recorded in one commit
 *         (queue_outcome); until that is done the job exists and nothing is tried again.
 */
#ifndef QUEUE_JOB_H
#define QUEUE_JOB_H

#include "queue_state.h"

enum queue_result {
    QUEUE_RESULT_SENT,
    QUEUE_RESULT_DEFERRED,
    QUEUE_RESULT_FAILED,     /* for good: bounced or dropped */
    QUEUE_RESULT_EXPIRED,    /* the same, for its age */
    QUEUE_RESULT_HELD,       /* its envelope cannot be read, or its content is gone */
    QUEUE_RESULT_REFUSED,    /* for good, and the client was told so */
    QUEUE_RESULT_MOVED,      /* not tried: its message has rows that belong elsewhere now */
    QUEUE_RESULT_REDIRECTED, /* refused for good: from now on it goes to its fallback */
};

struct queue_job_entry {
    struct queue_delivery *delivery;
    enum queue_result result;
    int64_t next_ms;       /* DEFERRED, MOVED, REDIRECTED: unix; is_unbounced: now */
    struct bytes moved_to; /* MOVED, REDIRECTED: its destination now; empty: as before */
    bool is_unbounced;     /* FAILED, EXPIRED: nobody is told, it is held */
    bool is_late;          /* DEFERRED: the sender is told so */
};

struct queue_job {
    struct list link;    /* queue->jobs */
    struct list waiting; /* queue->unrecorded, while its commit has to be tried again */
    struct list fresh;   /* queue->fresh */
    bool is_slow;        /* counted in queue->slow_count */
    uint64_t began_ms;   /* with one of these */
    struct queue *queue; /* NULL: it is gone, and somebody still has something of ours */
    struct queue_destination *destination;
    struct queue_message *message; /* NULL until read */
    struct delivery_attempt *attempt;
    struct queue_provider *provider; /* where it has a place, or NULL */
    bool is_expiry;                  /* no attempt is made */
    bool is_with_spool;              /* a read or a commit of it is open */
    bool is_parked;                  /* with whoever submitted its message (queue_handoff.c) */
    struct list parked;              /* thread of the submitter */
    struct loop_task task;           /* to the submitter and back */
    bool is_failure_said;            /* the log has a line about its failed commit */
    int64_t started_ms;              /* unix */
    struct arena *arena;             /* rows to update, the bounce; made when needed */
    struct queue_message *bounce;    /* or NULL */
    uint64_t bounces_added;          /* 0: what it tells of was gone */
    const struct spool_attempt *history; /* of all its deliveries, by number; from the spool */
    size_t history_count;
    const char *why;              /* why there is one, or none */
    bool is_bounce_limit_reached; /* the sender has had enough of them */
    struct spool_change *changes;
    size_t change_count;
    struct delivery_recipient *recipients;
    size_t count;
    struct queue_job_entry entries[];
};

/* The end of a job: gives back the connection and everything else. `is_in_spool`: it ended
 * without an outcome, and its deliveries are to be found in the spool again. May free the
 * destination. */
void queue_job_end(struct queue_job *job, bool is_in_spool);
/* While it is parked it has no connection, and no place among the attempts that are open. */
void queue_job_step_aside(struct queue_job *job);
void queue_job_step_back(struct queue_job *job);
/* Only the memory, for a job whose queue is gone. */
void queue_job_free(struct queue_job *job);

#endif
