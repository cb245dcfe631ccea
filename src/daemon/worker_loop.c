#include "worker_loop.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct handover {
    struct loop_task task;
    struct worker_loop *loop;
    struct snapshot *snapshot;
};

static void take_snapshot(void *context)
{
    struct handover *handover = context;
    struct worker_loop *loop = handover->loop;
    struct snapshot *snapshot = handover->snapshot;

    outbound_set_options(loop->outbound, &snapshot->outbound);
    recipient_prober_forget(loop->prober);
    queue_set_options(loop->queue, &snapshot->queue);
    inbound_server_set_options(loop->inbound, &snapshot->inbound);
    shared_drop(&snapshot->shared);
    free(handover);
    event_loop_post(loop->main_loop, &loop->taken_task);
}

static void report_taken(void *context)
{
    struct worker_loop *loop = context;

    loop->on_taken(loop->on_taken_context);
}

static void start_queue(void *context)
{
    struct worker_loop *loop = context;

    queue_start(loop->queue);
}

static void report_drained(void *context)
{
    struct worker_loop *loop = context;

    loop->on_drained(loop->on_drained_context);
}

static void note_turn(void *context)
{
    struct worker_loop *loop = context;

    atomic_store(&loop->has_turned, true);
}

static void on_queue_idle(void *context)
{
    struct worker_loop *loop = context;

    outbound_close_idle(loop->outbound);
    event_loop_post(loop->main_loop, &loop->drained_task);
}

static void on_sessions_gone(void *context)
{
    struct worker_loop *loop = context;

    queue_drain(loop->queue, on_queue_idle, loop);
}

static void begin_drain(void *context)
{
    struct worker_loop *loop = context;

    queue_stop_asking(loop->queue); /* sessions end when they have their answers */
    inbound_drain(loop->inbound, on_sessions_gone, loop);
}

bool worker_loop_init(struct worker_loop *loop, size_t index,
                      const struct worker_loop_parts *parts, struct strbuf *why)
{
    const struct snapshot *snapshot = parts->snapshot;
    struct dns_resolver_options dns = {.servers = snapshot->config->resolvers.items,
                                       .server_count = snapshot->config->resolvers.count};

    *loop = (struct worker_loop){.index = index, .main_loop = parts->main_loop};
    loop->ids.loop = (unsigned)index;
    loop->start_task = (struct loop_task){.run = start_queue, .context = loop};
    loop->turn_task = (struct loop_task){.run = note_turn, .context = loop};
    loop->taken_task = (struct loop_task){.run = report_taken, .context = loop};
    atomic_init(&loop->has_turned, true);
    loop->drain_task = (struct loop_task){.run = begin_drain, .context = loop};
    loop->drained_task = (struct loop_task){.run = report_drained, .context = loop};
    loop->loop = event_loop_new();
    loop->resolver = dns_resolver_new(loop->loop, &dns, why);
    if (loop->resolver == NULL) {
        event_loop_free(&loop->loop);
        return false;
    }
    loop->outbound = outbound_new(loop->loop, loop->resolver, &snapshot->outbound);
    loop->queue = queue_new(parts->queues, index, loop->loop, loop->outbound, &loop->ids,
                            &snapshot->queue);
    loop->inbound = inbound_server_new(loop->loop, loop->queue, &loop->ids, parts->state,
                                       &snapshot->inbound);
    loop->prober = recipient_prober_new(loop->loop, loop->outbound);
    inbound_server_set_resolver(loop->inbound, loop->resolver);
    inbound_server_set_prober(loop->inbound, loop->prober);
    inbound_server_set_ledger(loop->inbound, parts->ledger);
    return true;
}

static void run_loop(void *context)
{
    struct worker_loop *loop = context;

    event_loop_run(loop->loop);
}

void worker_loop_start(struct worker_loop *loop)
{
    char name[16];

    snprintf(name, sizeof name, "loop-%zu", loop->index);
    event_loop_post(loop->loop, &loop->start_task);
    loop->thread = process_thread_start(name, run_loop, loop);
}

void worker_loop_set_snapshot(struct worker_loop *loop, struct snapshot *snapshot,
                              void (*on_taken)(void *context), void *context)
{
    struct handover *handover = memory_zero(sizeof *handover);

    loop->on_taken = on_taken;
    loop->on_taken_context = context;
    shared_hold(&snapshot->shared);
    handover->loop = loop;
    handover->snapshot = snapshot;
    handover->task = (struct loop_task){.run = take_snapshot, .context = handover};
    event_loop_post(loop->loop, &handover->task);
}

struct inbound_notice {
    struct loop_task task;
    struct inbound_server *inbound;
    bool is_paused;
};

static void take_notice(void *context)
{
    struct inbound_notice *notice = context;

    inbound_pause(notice->inbound, notice->is_paused);
    free(notice);
}

void worker_loop_pause_inbound(struct worker_loop *loop, bool is_paused)
{
    struct inbound_notice *notice = memory_zero(sizeof *notice);

    notice->inbound = loop->inbound;
    notice->is_paused = is_paused;
    notice->task = (struct loop_task){.run = take_notice, .context = notice};
    event_loop_post(loop->loop, &notice->task);
}

void worker_loop_drain(struct worker_loop *loop, void (*on_drained)(void *context),
                       void *context)
{
    loop->on_drained = on_drained;
    loop->on_drained_context = context;
    event_loop_post(loop->loop, &loop->drain_task);
}

void worker_loop_ask_for_turn(struct worker_loop *loop)
{
    atomic_store(&loop->has_turned, false);
    event_loop_post(loop->loop, &loop->turn_task);
}

bool worker_loop_has_turned(const struct worker_loop *loop)
{
    return atomic_load(&loop->has_turned);
}

void worker_loop_stop(struct worker_loop *loop)
{
    event_loop_stop(loop->loop);
    process_thread_join(&loop->thread);
}

void worker_loop_clear(struct worker_loop *loop)
{
    inbound_server_free(&loop->inbound);
    recipient_prober_free(&loop->prober);
    queue_free(&loop->queue);
    outbound_free(&loop->outbound);
    dns_resolver_free(&loop->resolver);
    event_loop_free(&loop->loop);
}
