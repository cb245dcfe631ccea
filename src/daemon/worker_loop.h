/*
 * worker_loop - one loop thread of the worker and all that lives on it.
 *
 * Private to room daemon. Made, started, told and freed by the main thread (worker.c); everything on
 * the loop is touched by its own thread while it runs.
 */
#ifndef DAEMON_WORKER_LOOP_H
#define DAEMON_WORKER_LOOP_H

#include "daemon/snapshot.h"
#include "io/process.h"

#include <stdatomic.h>

struct worker_loop {
    size_t index;
    struct event_loop *main_loop;
    struct event_loop *loop;
    struct process_thread *thread;
    struct dns_resolver *resolver;
    struct outbound *outbound;
    struct recipient_prober *prober;
    struct queue *queue;
    struct inbound_server *inbound;
    struct message_id_source ids;
    struct loop_task start_task, drain_task, drained_task, turn_task, taken_task;
    atomic_bool has_turned;            /* since it was asked to */
    void (*on_drained)(void *context); /* on the main loop */
    void *on_drained_context;
    void (*on_taken)(void *context); /* on the main loop */
    void *on_taken_context;
};

struct worker_loop_parts {
    struct event_loop *main_loop;
    struct queue_set *queues;
    struct state_store *state;
    struct inbound_ledger *ledger;
    const struct snapshot *snapshot;
};

/* False: the resolver would not start; *why says why. */
bool worker_loop_init(struct worker_loop *loop, size_t index,
                      const struct worker_loop_parts *parts, struct strbuf *why);
void worker_loop_start(struct worker_loop *loop);
/* Hands a new configuration over; the snapshot is held until the loop has taken it. Then on_taken runs
 * on the main loop; until then there is no other one. */
void worker_loop_set_snapshot(struct worker_loop *loop, struct snapshot *snapshot,
                              void (*on_taken)(void *context), void *context);
/* Whether mail is taken; before worker_loop_start: from the start. */
void worker_loop_pause_inbound(struct worker_loop *loop, bool is_paused);
/* No new mail, open work is finished; then on_drained runs on the main loop. */
void worker_loop_drain(struct worker_loop *loop, void (*on_drained)(void *context),
                       void *context);
/* A sign of life: asked for, the loop turns as soon as it can. */
void worker_loop_ask_for_turn(struct worker_loop *loop);
bool worker_loop_has_turned(const struct worker_loop *loop);
/* Stops the thread and waits for it. */
void worker_loop_stop(struct worker_loop *loop);
/* After all loops have stopped. */
void worker_loop_clear(struct worker_loop *loop);

#endif
