/*
 * queue_state - what the files of this room share, and how they call each other.
 *
 * A delivery is known (in queue->known) from the moment its owner hears of it until it is
 * closed or put off in the spool. What is not known in memory is found again in the spool: by
 * `has_more` or `due_ms` of its destination, or by the scan, which lists every destination with
 * something due once a minute. So anything may be forgotten at any time, and nothing is lost.
 */
#ifndef QUEUE_STATE_H
#define QUEUE_STATE_H

#include "base/hash_table.h"
#include "queue/queue_agenda.h"
#include "queue_message.h"

enum {
    QUEUE_ATTEMPTS = 1000,          /* open at once, per queue ... */
    QUEUE_ATTEMPTS_SLOW = 1000,     /* ... beside as many that are slow (queue_slots.c) */
    QUEUE_SLOW_MS = 2000,           /* which they are when they have been open for as long */
    QUEUE_WAITING = 20 * 1000,      /* deliveries waiting in memory, per queue */
    QUEUE_DESTINATIONS = 10 * 1000, /* in memory, per queue; more are left in the spool */
    QUEUE_SHARE = 10,  /* waiting deliveries that each destination may have in any case */
    QUEUE_GROUP = 100, /* recipients of one attempt */
    QUEUE_ASK_BACKLOG =
        200, /* as many deliveries waiting for a destination: nobody is asked first */
    QUEUE_ASK_SILENCE_MS =
        5 * 1000,                 /* attempts open, and none has ended for as long: the same */
    QUEUE_SCAN_MS = 60 * 1000,    /* between two scans ... */
    QUEUE_HORIZON_MS = 75 * 1000, /* ... each of which looks so far ahead */
    QUEUE_SCAN_ROWS = 500,
    QUEUE_SWEEP_ROWS = 200,
    QUEUE_RETRY_MS = 1000,        /* after a failed commit or read, or when memory is full */
    QUEUE_HANDOVER_WAIT_MS = 200, /* rows seen before their hand-over came */
    QUEUE_CLOCK_JUMP_MS = 3600 * 1000, /* nothing expires for as long after such a jump */
    QUEUE_HANDOVER_SLOTS = 4096,
    QUEUE_WINDOW_START =
        5, /* attempts at once with a provider, to begin with (queue_provider.h) */
    QUEUE_PROVIDERS_KEPT = 500,
    QUEUE_PROVIDER_SLOTS = 4096,
};

#define QUEUE_NEVER UINT64_MAX

struct queue_set {
    struct spool *spool;
    struct state_store *state; /* or NULL */
    size_t loops;
    struct siphash_key key; /* who owns a destination */
    struct queue **queues;  /* each slot is used by its own loop only, once they run */
    struct event_loop **event_loops;
    _Atomic uint64_t content_memory;
    atomic_uint orders; /* of operators, about rows: counted, before any loop hears of one */
    /* Messages being handed over, counted by a hash of their id: no lock, no allocation; a
     * collision only delays a row that was read from the spool. */
    atomic_uint handing_over[QUEUE_HANDOVER_SLOTS];
    atomic_uint
        attempts_open[QUEUE_PROVIDER_SLOTS]; /* of providers, by a hash of their hosts */
};

struct queue_destination {
    struct queue *queue;
    struct bytes name;  /* lies behind the struct */
    struct list ready;  /* in queue->ready or queue->troubled while an attempt may start, or in
                          provider->blocked */
    struct list window; /* waiting, first come first served */
    struct queue_provider *provider; /* NULL: not known yet */
    struct list member;              /* of it */
    bool is_blocked;                 /* another destination has to leave a place first */
    bool is_troubled;                /* it stands in queue->troubled */

    size_t waiting; /* in window */
    size_t known;   /* in window and in jobs */
    unsigned jobs_open;
    unsigned failures;        /* times in a row that it could not be reached */
    uint64_t paused_until_ms; /* 0: not paused */
    uint64_t due_ms;          /* the spool has something for it from then on, or QUEUE_NEVER */
    uint64_t progress_ms;     /* when an attempt last ended, or began with no other open */
    bool has_more;            /* the spool has something due that is not known here */
    bool is_reading;
    bool must_look_again; /* an operator changed something while attempts were open */
    bool is_sweeping;     /* paused, and looking through the spool for what has expired */
    unsigned sweep_jobs;
    int64_t sweep_after_ms; /* where the sweep stands */
    uint64_t sweep_after_message;
    uint32_t sweep_after_number;
    struct queue_agenda_item wake;
    struct strbuf trouble; /* why it could not be reached */
};

/* Tasks that may still be pending when their queue goes: they outlive it until they have run.
 */
struct queue_tasks {
    struct queue *queue; /* NULL: it is gone */
    struct loop_task pump, idle;
};

struct queue {
    struct queue_set *set;
    size_t index;
    struct event_loop *loop;
    struct outbound *outbound;
    struct message_id_source *ids;
    struct queue_options options;
    struct hash_table *destinations; /* by name */
    struct hash_table *known;        /* deliveries by key */
    size_t waiting;                  /* in all windows */
    struct list ready;               /* destinations, served in turn */
    struct list troubled;            /* the same, of those that could not be reached lately */
    struct hash_table *providers;    /* by hosts */
    struct list idle_providers;      /* longest idle first */
    size_t idle_provider_count;
    struct list jobs, unrecorded, tickets, reads;
    struct list asking; /* tickets whose next hops are being asked, oldest first */
    bool is_asking_stopped;
    size_t job_count;
    struct list fresh;          /* attempts that are not slow yet, oldest first */
    size_t slow_count;          /* attempts that are */
    struct queue_agenda agenda; /* destinations by the time they want to be looked at */
    struct loop_timer *timer;
    uint64_t timer_at_ms; /* what the timer is set to, or QUEUE_NEVER */
    struct queue_tasks *tasks;
    /* scan */
    bool is_started, is_scanning;
    uint64_t scan_at_ms; /* when it begins or goes on */
    uint64_t scan_began_ms;
    int64_t scanned_until_ms; /* unix: what is due before was or will be found by this scan */
    struct strbuf scan_after;
    uint64_t record_again_ms; /* when unrecorded outcomes are tried again, or QUEUE_NEVER */
    /* the wall clock against the monotonic one */
    int64_t clock_offset_ms;
    uint64_t no_expiry_until_ms;
    /* drain */
    bool is_draining, is_idle_said;
    /* pauses (queue_pause.c) */
    bool is_paused;            /* all */
    struct hash_table *pauses; /* some; NULL: none ever */
    void (*on_idle)(void *context);
    void *on_idle_context;
    struct strbuf scratch; /* for one log line */
};

/* queue.c */
uint64_t queue_now_ms(const struct queue *queue);
void queue_pump(struct queue *queue); /* soon, not from inside */
void queue_pump_if_ready(struct queue *queue);
void queue_wake_at(struct queue *queue, uint64_t when_ms);
void queue_check_idle(struct queue *queue); /* when something that was open is not any more */
bool queue_is_expired(struct queue *queue, int64_t created_ms, int64_t next_ms);
size_t queue_owner(const struct queue_set *set, struct bytes destination);

/* queue_submission.c */
void queue_tickets_forget(struct queue *queue);
void queue_accept_handover(struct queue *queue, struct queue_message *message);

/* queue_handoff.c */
/* The answer may wait no longer: what has waited too long is written. */
void queue_handoff_review(struct queue *queue);

/* queue_destination.c */
struct queue_destination *queue_destination_get(struct queue *queue, struct bytes name);
struct queue_destination *queue_destination_make(struct queue *queue, struct bytes name);
/* The only function that decides what a destination does next. May free it. */
void queue_destination_review(struct queue_destination *destination);
/* With all that have the same hosts; or alone, when it is its own DNS that fails. */
void queue_destination_pause(struct queue_destination *destination, struct bytes why);
void queue_destination_pause_alone(struct queue_destination *destination, struct bytes why);
/* The hosts of its provider cannot be reached: it waits with the others. */
void queue_destination_pause_too(struct queue_destination *destination);
bool queue_destination_may_start(const struct queue_destination *destination);
size_t queue_destination_room(const struct queue_destination *destination);
/* Attempts are open, and none has ended for a while: the next one would not, either. */
bool queue_destination_is_silent(const struct queue_destination *destination);
void queue_destination_reached(struct queue_destination *destination); /* it answered */
void queue_destination_resume(struct queue_destination *destination);  /* try it now */
void queue_destination_drop_window(struct queue_destination *destination);
void queue_destination_free(struct queue_destination *destination);
/* All of them; the table may change while they are gone through. Free it. */
struct queue_destination **queue_destination_list(struct queue *queue, size_t *count);
void queue_due_at(struct queue_destination *destination, int64_t due_unix_ms);
bool queue_delivery_is_known(struct queue *queue, uint64_t message, uint32_t number);
struct queue_delivery *queue_delivery_from_row(struct queue_destination *destination,
                                               const struct spool_delivery *row);
void queue_delivery_know(struct queue_destination *destination,
                         struct queue_delivery *delivery);
void queue_delivery_wait(struct queue_delivery *delivery); /* into the window */
void queue_delivery_wait_first(struct queue_delivery *delivery);
void queue_delivery_unwait(struct queue_delivery *delivery); /* out of it */
/* Not known any more. */
void queue_delivery_release(struct queue_delivery *delivery);

/* It could not be reached lately, or an operator wants it so. */
bool queue_destination_is_paused(const struct queue_destination *destination);
/* While it is paused: look for what is not to wait for the end of that. */
void queue_destination_sweep(struct queue_destination *destination);
void queue_destination_forget_waiting(struct queue_destination *destination, uint64_t id);

/* queue_pause.c */
bool queue_is_paused(const struct queue *queue, struct bytes destination);
void queue_pauses_forget(struct queue *queue);

/* queue_reading.c */
void queue_scan_again(struct queue *queue); /* from the start, now */
void queue_scan(struct queue *queue);
void queue_read_due(struct queue_destination *destination);
void queue_reads_forget(struct queue *queue);
void queue_refresh(struct queue *queue, uint64_t id);

/* queue_slots.c */
struct queue_job;
bool queue_has_slot(struct queue *queue);      /* may an attempt begin now? */
bool queue_has_slow_slot(struct queue *queue); /* ... where the last one failed? */
bool queue_is_crowded(const struct queue *queue);
void queue_slot_take(struct queue_job *job);
void queue_slot_leave(
    struct queue_job *job); /* its attempt has ended; nothing if it had none */

/* queue_judgement.c */
/* What the end of an attempt says about its destination. */
void queue_judge_attempt(struct queue_job *job);

/* queue_job.c */
/* What comes first in the window. Reviews the destination, so it may free it. */
void queue_job_start(struct queue_destination *destination);
void queue_job_expire(struct queue_destination *destination, struct queue_delivery **deliveries,
                      size_t count);
void queue_jobs_forget(struct queue *queue);

#endif
