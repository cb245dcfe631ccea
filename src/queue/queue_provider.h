/*
 * queue_provider - the destinations of one queue whose mail goes to the same hosts, and how many attempts
 * they may have open together.
 *
 * Who       known when an attempt has found the next hops (delivery_request.may_connect); until then a
 *           destination has QUEUE_WINDOW_START attempts of its own. Ten thousand domains of one provider
 *           are one provider.
 * Window    begins at QUEUE_WINDOW_START; grows by one each time as many attempts as it is wide have
 *           succeeded while it was full, up to the option `concurrency`; is halved when the connection
 *           fails or the other side says that it is too much, once a round; one attempt after a pause, until
 *           something gets through.
 * Pause     all its destinations pause together: their hosts cannot be reached, whoever asked.
 * Loops     each queue has its own window; all of them together have `concurrency` attempts open with a
 *           provider, counted in the set (by a hash of the hosts: a collision only makes it slower). One
 *           attempt is always free to each queue, so no queue ever waits for another: at most concurrency +
 *           loops - 1.
 * Memory    a provider without destinations keeps its window; QUEUE_PROVIDERS_KEPT of them.
 */
#ifndef QUEUE_PROVIDER_H
#define QUEUE_PROVIDER_H

#include "queue_job.h"

struct queue_provider {
    struct queue *queue;
    struct bytes hosts;  /* lies behind the struct */
    struct list members; /* destinations: `member` */
    struct list blocked; /* those that wait for a place: `ready` */
    struct list idle; /* in queue->idle_providers while it has neither members nor attempts */
    size_t slot;      /* of set->attempts_open */
    size_t member_count;
    unsigned attempts_open;
    unsigned window;
    unsigned successes;       /* with the window full, since it changed */
    unsigned still_old;       /* attempts that began before the window was halved */
    unsigned failures;        /* times in a row that it could not be reached */
    uint64_t paused_until_ms; /* 0: not paused */
    uint64_t progress_ms;     /* when an attempt last ended, or began with no other open */
    uint64_t
        suspect; /* the message that failed last in a way that may be its own fault; 0: none */
    struct strbuf trouble; /* why */
};

/* delivery_request.may_connect, of a job. */
bool queue_provider_admit(void *context, struct bytes hosts);
bool queue_provider_has_room(const struct queue_provider *provider);
/* Attempts are open, and none has ended for a while: the next one would not, either. */
bool queue_provider_is_silent(const struct queue_provider *provider);
/* A place for the attempt of a job; gives it back (nothing when it has none). */
void queue_provider_take(struct queue_job *job, struct queue_provider *provider);
void queue_provider_leave(struct queue_job *job);
/* An attempt of the job's got through, or was too much. */
void queue_provider_widen(struct queue_provider *provider);
void queue_provider_narrow(struct queue_provider *provider);

/* Its destination goes. */
void queue_provider_drop_member(struct queue_destination *destination);
void queue_providers_free(struct queue *queue);

#endif
