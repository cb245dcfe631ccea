/*
 * From start to finish, in the order it happens:
 *
 *   1 delivery_attempt_start    copies the request; delivery_find_connection (delivery_hosts.c)
 *   2 delivery_start_transaction once there is one (delivery_dialogue.c)
 *   3 delivery_settle           who got no answer gets the last trouble; on_done, a loop turn
 * later 4 delivery_attempt_finish gives the connection back, unless _give_back has done so
 */
#include "delivery_state.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* ---- outbound ---- */

static void take_options(struct outbound_options *mine, const struct outbound_options *options)
{
    *mine = *options;
    if (mine->snapshot != NULL) {
        shared_hold(mine->snapshot);
    }
}

static void drop_options(struct outbound_options *mine)
{
    if (mine->snapshot != NULL) {
        shared_drop(mine->snapshot);
        mine->snapshot = NULL;
    }
}

struct outbound *outbound_new(struct event_loop *loop, struct dns_resolver *resolver,
                              const struct outbound_options *options)
{
    struct outbound *outbound = memory_zero(sizeof *outbound);

    outbound->loop = loop;
    outbound->resolver = resolver;
    take_options(&outbound->options, options);
    outbound->pool = destination_pool_new(loop);
    outbound->tls_memory = tls_memory_new(loop);
    content_scratch_init(&outbound->scratch);
    return outbound;
}

void outbound_set_options(struct outbound *outbound, const struct outbound_options *options)
{
    struct outbound_options old = outbound->options;

    take_options(&outbound->options, options);
    drop_options(&old);
    tls_memory_forget(outbound->tls_memory);
    destination_pool_forget(outbound->pool); /* routes, sources and names may be others now */
}

void outbound_close_idle(struct outbound *outbound)
{
    destination_pool_close_idle(outbound->pool);
}

void outbound_free(struct outbound **outbound)
{
    struct outbound *gone = *outbound;

    if (gone == NULL) {
        return;
    }
    *outbound = NULL;
    destination_pool_free(&gone->pool);
    tls_memory_free(&gone->tls_memory);
    content_scratch_clear(&gone->scratch);
    drop_options(&gone->options);
    free(gone);
}

/* ---- 1 start ---- */

static void free_attempt(struct delivery_attempt *attempt)
{
    arena_free(&attempt->arena);
    drop_options(&attempt->options);
    free(attempt);
}

static void run_done(void *context)
{
    struct delivery_attempt *attempt = context;

    if (attempt->on_done == NULL) {
        free_attempt(attempt);
        return;
    }
    attempt->on_done(attempt->context);
}

static void copy_request(struct delivery_attempt *attempt,
                         const struct delivery_request *request)
{
    struct arena *arena = attempt->arena;

    attempt->request = *request;
    attempt->request.destination = arena_copy(arena, request->destination);
    attempt->request.sender = arena_copy(arena, request->sender);
    attempt->request.prefix = arena_copy(arena, request->prefix);
    attempt->states = arena_alloc(arena, request->count * sizeof *attempt->states);
}

struct delivery_attempt *delivery_attempt_start(struct outbound *outbound,
                                                const struct delivery_request *request,
                                                void (*on_done)(void *context), void *context)
{
    struct delivery_attempt *attempt = memory_zero(sizeof *attempt);

    assert(request->count > 0);
    attempt->outbound = outbound;
    take_options(&attempt->options, &outbound->options);
    attempt->arena = arena_new();
    copy_request(attempt, request);
    attempt->on_done = on_done;
    attempt->context = context;
    attempt->done_task = (struct loop_task){.run = run_done, .context = attempt};
    attempt->report.stage = "dns";
    attempt->is_every_host_final = true;
    attempt->trouble = (struct delivery_result){.outcome = DELIVERY_TEMPORARY,
                                                .trouble = DELIVERY_TROUBLE_CONNECTION,
                                                .enhanced = "4.4.1",
                                                .text = BYTES("no host to try")};
    transaction_init(&attempt->transaction, request->prefix.len);
    attempt->destination = destination_pool_hold(outbound->pool, attempt->request.destination);
    delivery_find_connection(attempt);
    return attempt;
}
/* ---- 3 the end ---- */

void delivery_settle(struct delivery_attempt *attempt)
{
    struct delivery_recipient *recipients = attempt->request.recipients;
    bool is_any_refused = false, is_any_without_answer = false;

    for (size_t i = 0; i < attempt->request.count; i++) {
        if (attempt->states[i] == RECIPIENT_OPEN) {
            delivery_result_give(&attempt->trouble, &recipients[i]);
            is_any_without_answer = true;
        } else {
            is_any_refused = is_any_refused || recipients[i].outcome != DELIVERY_SENT;
        }
        attempt->states[i] = RECIPIENT_CLOSED;
    }
    attempt->report.trouble = is_any_without_answer ? attempt->trouble.trouble
                              : is_any_refused      ? DELIVERY_TROUBLE_REPLY
                                                    : DELIVERY_TROUBLE_NONE;
    if (attempt->report.trouble == DELIVERY_TROUBLE_TLS && delivery_is_strict(attempt)) {
        attempt->report.trouble =
            DELIVERY_TROUBLE_REPLY; /* nothing to hold up other mail for */
    }
    attempt->is_over = true;
    event_loop_defer(attempt->outbound->loop, &attempt->done_task);
}

const struct delivery_report *delivery_attempt_report(const struct delivery_attempt *attempt)
{
    return &attempt->report;
}

/* ---- 4 finish ---- */

static void give_connection_back(struct delivery_attempt *attempt)
{
    const struct outbound_options *options = &attempt->options;
    uint64_t age_ms = event_loop_now_ms(attempt->outbound->loop) - attempt->connection->made_ms;
    bool may_rest = attempt->connection->messages < options->reuse_messages &&
                    attempt->connection->questions < DELIVERY_QUESTIONS &&
                    (options->reuse_ms == 0 || age_ms < options->reuse_ms);

    destination_give_back(attempt->outbound->pool, attempt->destination, &attempt->connection,
                          may_rest ? options->reuse_idle_ms : 0);
}

void delivery_attempt_give_back(struct delivery_attempt *attempt)
{
    assert(attempt->is_over);
    if (attempt->connection != NULL) {
        give_connection_back(attempt);
    }
}

void delivery_attempt_finish(struct delivery_attempt **attempt)
{
    struct delivery_attempt *finished = *attempt;

    if (finished == NULL) {
        return;
    }
    *attempt = NULL;
    dns_lookup_cancel(&finished->lookup);
    if (finished->facts != NULL) {
        dns_facts_free(&finished->facts);
    }
    if (finished->connection != NULL && finished->is_over) {
        give_connection_back(finished);
    }
    next_hop_connection_abort(&finished->connection);
    next_hops_drop(&finished->hops);
    destination_pool_release(finished->outbound->pool, &finished->destination);
    transaction_clear(&finished->transaction);
    if (finished->done_task.is_pending) {
        finished->on_done = NULL; /* the task frees it */
        return;
    }
    free_attempt(finished);
}
