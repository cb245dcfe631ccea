/*
 * From start to finish, in the order it happens:
 *
 *   1 delivery_attempt_start  takes a connection that rests, and goes on with 5; otherwise
 *   2 find_next_hops          remembered ones, or DNS by replay (on_dns_done asks again); now that they
 *                             are known, one that was made for another domain may rest: 5
 *   3 try_next_host           connects to the next one, until one greets
 *   4 on_broken               a host that fails before the envelope is answered: 3 again
 *   5 start_transaction       MAIL, RCPT ..., DATA, content
 *   6 on_results              per recipient; those whom LIMITS or "too many recipients" left over: 5
 *                             again; 4xx: one more host is asked, 3 again
 *   7 settle                  who got no answer gets the last trouble; on_done, a loop turn
 * later 8 delivery_attempt_finish gives the connection back, unless _give_back has done so
 */
#include "outbound/delivery_attempt.h"

#include "base/memory.h"
#include "io/entropy.h"
#include "io/log.h"
#include "outbound/delivery_result.h"
#include "outbound/delivery_transaction.h"
#include "outbound/destination_pool.h"

#include <assert.h>
#include <stdlib.h>

enum {
    DNS_DEADLINE_MS = 30 * 1000,
    DNS_ROUNDS = 16, /* MX, CNAME chain, addresses: more is a loop in disguise */
};

struct outbound {
    struct event_loop *loop;
    struct dns_resolver *resolver;
    struct outbound_options options;
    struct destination_pool *pool;
    struct tls_memory *tls_memory;
    struct content_scratch scratch;
};

struct delivery_attempt {
    struct outbound *outbound;
    struct outbound_options options; /* of its start; snapshot held */
    struct delivery_request request;
    struct arena *arena;
    struct delivery_report report;
    enum recipient_state *states;
    struct delivery_result trouble; /* the last, for those without an answer */
    bool is_every_host_final;       /* all so far greeted 521 */

    struct destination *destination;
    struct next_hops *hops; /* being made, or shared; or NULL */
    bool is_tried[NEXT_HOP_LIMIT];
    uint8_t order[NEXT_HOP_LIMIT]; /* of `hops`, for this attempt */
    struct ip_endpoint preferred;  /* where a kept connection turned out dead; or IP_NONE */
    struct bytes answered_host;    /* with is_second_opinion: the host that said 4xx */
    bool is_second_opinion;
    bool is_admitted; /* may_connect said yes */
    bool has_set_out; /* a connection was taken or made */

    struct dns_facts *facts;   /* during look-ups */
    struct dns_lookup *lookup; /* pending, or NULL */
    unsigned dns_rounds;
    uint32_t shuffle;

    struct next_hop_connection *connection; /* or NULL */
    struct transaction transaction;
    uint64_t connect_began_ms, transfer_began_ms;

    struct loop_task done_task;
    void (*on_done)(void *context); /* NULL: aborted while the task waited */
    void *context;
    bool is_over;
};

static void find_next_hops(struct delivery_attempt *attempt);
static void try_next_host(struct delivery_attempt *attempt);
static void start_transaction(struct delivery_attempt *attempt);
static void settle(struct delivery_attempt *attempt);
static void on_connection_event(void *context, enum connection_event event);

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

static bool is_admitted(struct delivery_attempt *attempt)
{
    const struct delivery_request *request = &attempt->request;

    if (!attempt->is_admitted && request->may_connect != NULL) {
        attempt->is_admitted =
            request->may_connect(attempt->context, destination_hosts(attempt->destination));
        return attempt->is_admitted;
    }
    return true;
}

static void put_off(struct delivery_attempt *attempt)
{
    attempt->report.is_put_off = true;
    attempt->report.stage = "waiting";
    settle(attempt);
}

static enum tls_level level_for(const struct delivery_attempt *attempt, struct bytes host)
{
    return tls_policy_find(&attempt->options.tls_policies, attempt->options.routes,
                           attempt->request.destination, host);
}

/* Another domain with the same hosts may have wanted less. */
static bool is_protected_enough(void *context, const struct next_hop_connection *connection)
{
    return next_hop_connection_fulfils(connection,
                                       level_for(context, bytes_from_text(connection->host)));
}

static bool use_kept_connection(struct delivery_attempt *attempt)
{
    attempt->connection = destination_take(attempt->destination, is_protected_enough,
                                           on_connection_event, attempt);
    if (attempt->connection == NULL) {
        return false;
    }
    attempt->has_set_out = true;
    attempt->report.is_reused = true;
    start_transaction(attempt);
    return true;
}

/* The next hops are known. */
static void set_out(struct delivery_attempt *attempt)
{
    if (!is_admitted(attempt)) {
        put_off(attempt);
    } else if (attempt->has_set_out || !use_kept_connection(attempt)) {
        try_next_host(attempt);
    }
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
    if (destination_hosts(attempt->destination).len == 0) {
        find_next_hops(attempt);
    } else if (!is_admitted(attempt)) {
        put_off(attempt);
    } else if (!use_kept_connection(attempt)) {
        find_next_hops(attempt);
    }
    return attempt;
}

/* ---- 2 next hops ---- */

static void on_dns_done(void *context);

static void fail_next_hops(struct delivery_attempt *attempt, const struct decision *decision)
{
    attempt->trouble = delivery_result_of_decision(decision, attempt->arena);
    next_hops_drop(&attempt->hops);
    settle(attempt);
}

static void look_up(struct delivery_attempt *attempt)
{
    struct decision in_circles = {
        .disposition = DECISION_DEFER,
        .enhanced = "4.4.3",
        .text = BYTES("DNS asks for ever more"),
    };

    if (++attempt->dns_rounds > DNS_ROUNDS) {
        dns_facts_free(&attempt->facts);
        fail_next_hops(attempt, &in_circles);
        return;
    }
    attempt->lookup = dns_lookup_start(
        attempt->outbound->resolver, attempt->facts,
        event_loop_now_ms(attempt->outbound->loop) + DNS_DEADLINE_MS, on_dns_done, attempt);
}

static void order_next_hops(struct delivery_attempt *attempt)
{
    const struct outbound_options *options = &attempt->options;
    struct bytes key = attempt->request.destination;
    const struct delivery_route *route = NULL;
    struct next_hops *hops = attempt->hops;

    if (options->routes != NULL) {
        route = delivery_route_by_destination(options->routes, key);
    }
    arena_reset(hops->arena);
    memset(&hops->list, 0, sizeof hops->list);
    switch (next_hop_order(&options->next_hops, key, route, attempt->facts, attempt->shuffle,
                           hops->arena, &hops->list)) {
    case NEXT_HOP_FOUND:
        dns_facts_free(&attempt->facts);
        for (size_t i = 0; i < hops->list.count; i++) {
            enum tls_level level = level_for(attempt, hops->list.hops[i].host);

            hops->level = level > hops->level ? level : hops->level;
        }
        destination_remember(attempt->outbound->pool, attempt->destination, hops);
        destination_order_hops(attempt->destination, &hops->list, attempt->order);
        set_out(attempt);
        return;
    case NEXT_HOP_NEEDS_DNS:
        look_up(attempt);
        return;
    case NEXT_HOP_FAILED:
        dns_facts_free(&attempt->facts);
        fail_next_hops(attempt, &hops->list.failure);
        return;
    }
    abort();
}

static void find_next_hops(struct delivery_attempt *attempt)
{
    if (attempt->hops == NULL) {
        attempt->hops = destination_next_hops(attempt->outbound->pool, attempt->destination);
        if (attempt->hops != NULL) {
            destination_order_hops(attempt->destination, &attempt->hops->list, attempt->order);
        }
    }
    if (attempt->hops != NULL) {
        set_out(attempt);
        return;
    }
    attempt->hops = next_hops_new();
    attempt->facts = dns_facts_new();
    attempt->shuffle = entropy_u32();
    attempt->dns_rounds = 0;
    order_next_hops(attempt);
}

static void on_dns_done(void *context)
{
    struct delivery_attempt *attempt = context;

    attempt->lookup = NULL;
    order_next_hops(attempt);
}

/* ---- 3 hosts ---- */

static bool may_try(const struct delivery_attempt *attempt, size_t index)
{
    const struct next_hop *hop = &attempt->hops->list.hops[index];

    return !attempt->is_tried[index] &&
           !(attempt->is_second_opinion &&
             bytes_equal_nocase(hop->host, attempt->answered_host));
}

/* The host of a kept connection that died, then the list in its order, then those that failed a
 * moment ago. NULL: none is left. */
static const struct next_hop *choose_host(struct delivery_attempt *attempt)
{
    const struct next_hop_list *list = &attempt->hops->list;
    size_t chosen = list->count, failed = list->count;

    for (size_t turn = 0; turn < list->count; turn++) {
        size_t i = attempt->order[turn];
        const struct ip_endpoint *endpoint = &list->hops[i].endpoint;

        if (!may_try(attempt, i)) {
            continue;
        }
        if (endpoint->port == attempt->preferred.port &&
            ip_address_equal(&endpoint->address, &attempt->preferred.address)) {
            chosen = i;
            break;
        }
        if (destination_has_failed(attempt->destination, endpoint)) {
            failed = failed == list->count ? i : failed;
        } else if (chosen == list->count) {
            chosen = i;
        }
    }
    chosen = chosen == list->count ? failed : chosen;
    if (chosen == list->count) {
        return NULL;
    }
    attempt->is_tried[chosen] = true;
    return &list->hops[chosen];
}

static void try_next_host(struct delivery_attempt *attempt)
{
    const struct outbound_options *options = &attempt->options;
    const struct next_hop *hop = choose_host(attempt);
    struct connection_settings settings = {
        .helo_name = options->helo_name,
        .times = {options->connect_timeout_ms, options->command_timeout_ms,
                  options->data_timeout_ms, options->block_timeout_ms, options->dot_timeout_ms,
                  options->handshake_timeout_ms},
        .tls = {.context = options->tls_context, .memory = attempt->outbound->tls_memory},
    };
    const struct ip_address *source;

    if (hop == NULL) {
        settle(attempt);
        return;
    }
    source = hop->endpoint.address.family == IP_V6 ? &options->source_v6 : &options->source_v4;
    settings.source = source->family == IP_NONE ? NULL : source;
    settings.tls.level = level_for(attempt, hop->host);
    attempt->connect_began_ms = event_loop_now_ms(attempt->outbound->loop);
    attempt->report.is_reused = false;
    attempt->report.stage = "connect";
    attempt->connection =
        next_hop_connection_new(attempt->outbound->loop, &attempt->outbound->scratch, &settings,
                                hop, on_connection_event, attempt);
    attempt->has_set_out = true;
    destination_note_try(attempt->destination, &hop->endpoint);
    destination_own(attempt->destination, attempt->connection);
}

/* ---- 4 broken connections ---- */

static void report_connection(struct delivery_attempt *attempt)
{
    const struct next_hop_connection *connection = attempt->connection;
    struct delivery_report *report = &attempt->report;

    report->host = arena_copy(attempt->arena, bytes_from_text(connection->host));
    report->endpoint = connection->endpoint;
    report->tls = connection->tls;
    report->local = (struct bytes){"", 0};
    if (connection->local.address.family != IP_NONE) {
        struct ip_text text = ip_address_text(&connection->local.address);

        report->local = arena_copy(attempt->arena, bytes_from_text(text.text));
    }
}

/* Nothing of the content has left, so another connection may take the transaction over. */
static bool is_before_content(const struct next_hop_connection *connection)
{
    switch (connection->stage) {
    case SMTP_STAGE_BANNER:
    case SMTP_STAGE_EHLO:
    case SMTP_STAGE_STARTTLS:
    case SMTP_STAGE_MAIL:
    case SMTP_STAGE_RCPT:
    case SMTP_STAGE_DATA:
    case SMTP_STAGE_RSET:
    case SMTP_STAGE_IDLE:
    case SMTP_STAGE_QUIT:
        return connection->fault != CONNECTION_FAULT_CONTENT;
    case SMTP_STAGE_CONTENT:
    case SMTP_STAGE_DOT:
        return false;
    }
    abort();
}

/* A negative answer to its RCPT is an answer, even when the connection breaks behind it. A 4xx
 * is kept only when no other host is going to be asked. */
static void keep_answers(struct delivery_attempt *attempt, bool is_last)
{
    struct transaction *transaction = &attempt->transaction;

    for (size_t i = 0; i < transaction->count && !attempt->is_second_opinion; i++) {
        const struct smtp_exchange_recipient *asked = &transaction->recipients[i];
        struct delivery_result result;

        if (!asked->is_answered || asked->reply.code == 421) {
            continue;
        }
        result = delivery_result_of_answer(asked, false, attempt->arena);
        if (result.outcome == DELIVERY_PERMANENT || is_last) {
            delivery_result_give(&result,
                                 &attempt->request.recipients[transaction->indexes[i]]);
            attempt->states[transaction->indexes[i]] = RECIPIENT_CLOSED;
        }
    }
    transaction->count = 0;
}

static bool has_state(const struct delivery_attempt *attempt, enum recipient_state state)
{
    for (size_t i = 0; i < attempt->request.count; i++) {
        if (attempt->states[i] == state) {
            return true;
        }
    }
    return false;
}

static void replace_state(struct delivery_attempt *attempt, enum recipient_state from,
                          enum recipient_state to)
{
    for (size_t i = 0; i < attempt->request.count; i++) {
        if (attempt->states[i] == from) {
            attempt->states[i] = to;
        }
    }
}

/* The last trouble is told; but a 521 greeting is final only when every host says it. */
static void note_trouble(struct delivery_attempt *attempt)
{
    struct delivery_result trouble =
        delivery_result_of_fault(attempt->connection, attempt->arena);

    /* ... and there is none whose address could not be looked up. */
    if (trouble.outcome == DELIVERY_PERMANENT && attempt->hops != NULL &&
        attempt->hops->list.is_partial) {
        trouble.outcome = DELIVERY_TEMPORARY;
        trouble.trouble = DELIVERY_TROUBLE_CONNECTION;
        trouble.enhanced[0] = '4';
    }
    if (trouble.outcome == DELIVERY_TEMPORARY || attempt->is_every_host_final) {
        attempt->trouble = trouble;
    }
    attempt->is_every_host_final =
        attempt->is_every_host_final && trouble.outcome == DELIVERY_PERMANENT;
}

static void log_tls_failure(const struct delivery_attempt *attempt)
{
    const struct next_hop_connection *connection = attempt->connection;
    struct ip_text endpoint = ip_endpoint_text(&connection->endpoint);
    struct log_line line;

    log_begin(&line, LOG_WARNING, "tls-failed");
    log_text(&line, "host", connection->host);
    log_text(&line, "endpoint", endpoint.text);
    log_text(&line, "why", connection->tls_trouble);
    log_text(&line, "next", "clear");
    log_end(&line);
}

/* The next connection goes to the same host as this one. */
static void prefer_same_host(struct delivery_attempt *attempt)
{
    attempt->preferred = attempt->connection->endpoint;
    for (size_t i = 0; attempt->hops != NULL && i < attempt->hops->list.count; i++) {
        const struct ip_endpoint *endpoint = &attempt->hops->list.hops[i].endpoint;

        if (endpoint->port == attempt->preferred.port &&
            ip_address_equal(&endpoint->address, &attempt->preferred.address)) {
            attempt->is_tried[i] = false;
        }
    }
}

/* To the host whose TLS failed, once more: it is remembered, so this time in clear. */
static void retry_in_clear(struct delivery_attempt *attempt)
{
    log_tls_failure(attempt);
    prefer_same_host(attempt);
    next_hop_connection_abort(&attempt->connection);
    find_next_hops(attempt);
}

static void on_broken(struct delivery_attempt *attempt)
{
    struct next_hop_connection *connection = attempt->connection;
    bool is_harmless = is_before_content(connection);

    keep_answers(attempt, !is_harmless);
    replace_state(attempt, RECIPIENT_TOO_MANY, RECIPIENT_DEFERRED);
    if (attempt->report.is_reused && is_harmless && has_state(attempt, RECIPIENT_OPEN)) {
        /* The other side had closed it meanwhile: no failure of anybody. */
        attempt->preferred = connection->endpoint;
        next_hop_connection_abort(&attempt->connection);
        find_next_hops(attempt);
        return;
    }
    if (connection->may_be_retried_in_clear && attempt->hops != NULL) {
        retry_in_clear(attempt);
        return;
    }
    report_connection(attempt);
    attempt->report.stage = connection->fault == CONNECTION_FAULT_CONNECT
                                ? "connect"
                                : smtp_stage_text(connection->stage);
    attempt->report.is_in_doubt = connection->is_in_doubt;
    note_trouble(attempt);
    if (is_harmless) {
        destination_note_failure(attempt->destination, &connection->endpoint);
    }
    next_hop_connection_abort(&attempt->connection);
    if (is_harmless && has_state(attempt, RECIPIENT_OPEN) && !attempt->is_second_opinion) {
        find_next_hops(attempt);
    } else {
        settle(attempt);
    }
}

/* ---- 5 the transaction ---- */

/* The message itself cannot go there, whoever it is for. */
static void refuse_unsent(struct delivery_attempt *attempt,
                          const struct delivery_result *result)
{
    for (size_t i = 0; i < attempt->request.count && !attempt->is_second_opinion; i++) {
        if (attempt->states[i] == RECIPIENT_OPEN || attempt->states[i] == RECIPIENT_TOO_MANY) {
            delivery_result_give(result, &attempt->request.recipients[i]);
            attempt->states[i] = RECIPIENT_CLOSED;
        }
    }
    attempt->transaction.count = 0;
    attempt->report.stage = "envelope";
    report_connection(attempt);
    settle(attempt);
}

/* Without SMTPUTF8: false when nothing can be sent, and it is settled. */
static bool can_go_without_utf8(struct delivery_attempt *attempt)
{
    struct transaction *transaction = &attempt->transaction;
    struct delivery_result refusal =
        delivery_result_of_announcement("5.6.7", "the next hop does not take SMTPUTF8");
    size_t *left_out, count;

    if (transaction_needs_utf8(&attempt->request)) {
        refuse_unsent(attempt, &refusal);
        return false;
    }
    left_out = arena_alloc(attempt->arena, (transaction->count + 1) * sizeof *left_out);
    count = transaction_leave_out_utf8(transaction, left_out);
    for (size_t i = 0; i < count && !attempt->is_second_opinion; i++) {
        delivery_result_give(&refusal, &attempt->request.recipients[left_out[i]]);
        attempt->states[left_out[i]] = RECIPIENT_CLOSED;
    }
    if (transaction->count == 0) {
        refuse_unsent(attempt, &refusal);
        return false;
    }
    return true;
}

static void begin_mail(struct delivery_attempt *attempt)
{
    const struct smtp_extensions *extensions =
        next_hop_connection_extensions(attempt->connection);
    struct transaction *transaction = &attempt->transaction;
    struct delivery_result refusal;
    uint64_t size;

    if (!extensions->smtputf8 && !can_go_without_utf8(attempt)) {
        return;
    }
    transaction_keep_to_limits(transaction, extensions);
    transaction_write_head(transaction, &attempt->request, &attempt->options, attempt->arena);
    size = transaction->head.len + content_size(attempt->request.content);
    if (extensions->size && extensions->size_limit > 0 && size > extensions->size_limit) {
        refusal = delivery_result_of_announcement("5.3.4", "larger than the next hop's limit");
        refuse_unsent(attempt, &refusal);
        return;
    }
    transaction_write_mail_line(transaction, &attempt->request, extensions, size);
    transaction_write_rcpt_parameters(transaction, &attempt->request, extensions,
                                      attempt->arena);
    attempt->transfer_began_ms = event_loop_now_ms(attempt->outbound->loop);
    next_hop_connection_mail(attempt->connection, strbuf_bytes(&transaction->mail_line),
                             transaction->recipients, transaction->count,
                             strbuf_bytes(&transaction->head), attempt->request.content);
}

/* Of whom there are any: those nobody has been asked about, then those who were too many. */
static enum recipient_state next_wanted(const struct delivery_attempt *attempt)
{
    if (attempt->is_second_opinion) {
        return RECIPIENT_SECOND;
    }
    return has_state(attempt, RECIPIENT_OPEN) ? RECIPIENT_OPEN : RECIPIENT_TOO_MANY;
}

static void start_transaction(struct delivery_attempt *attempt)
{
    transaction_choose(&attempt->transaction, &attempt->request, attempt->states,
                       next_wanted(attempt), attempt->arena);
    begin_mail(attempt);
}

/* ---- 6 results ---- */

static void take_result(struct delivery_attempt *attempt, size_t position, bool is_any_accepted)
{
    const struct smtp_exchange_recipient *asked = &attempt->transaction.recipients[position];
    size_t index = attempt->transaction.indexes[position];
    bool is_after_content = attempt->connection->sender.is_finished && !is_any_accepted;
    struct delivery_result result =
        delivery_result_of_answer(asked, is_after_content, attempt->arena);

    /* The first host said 4xx: what the second one says counts only when it takes the message,
     * or a temporary failure would become a permanent one. */
    if (attempt->is_second_opinion && result.outcome != DELIVERY_SENT) {
        attempt->states[index] = RECIPIENT_DEFERRED;
        return;
    }
    delivery_result_give(&result, &attempt->request.recipients[index]);
    attempt->request.recipients[index].is_dsn_passed =
        result.outcome == DELIVERY_SENT &&
        next_hop_connection_extensions(attempt->connection)->dsn;
    switch (result.outcome) {
    case DELIVERY_SENT:
    case DELIVERY_PERMANENT:
        attempt->states[index] = RECIPIENT_CLOSED;
        break;
    case DELIVERY_TEMPORARY:
        attempt->states[index] = is_any_accepted && delivery_result_is_too_many(&asked->reply)
                                     ? RECIPIENT_TOO_MANY
                                     : RECIPIENT_DEFERRED;
        break;
    }
}

static void ask_another_host(struct delivery_attempt *attempt)
{
    attempt->is_second_opinion = true;
    replace_state(attempt, RECIPIENT_DEFERRED, RECIPIENT_SECOND);
    attempt->answered_host = attempt->report.host;
    attempt->preferred = (struct ip_endpoint){.port = 0};
    next_hop_connection_free(&attempt->connection);
    find_next_hops(attempt);
}

/* Those whom LIMITS left over, and those who were too many though nothing was announced. Each
 * transaction answers for one at least, so there is an end. False: not over this connection, and no
 * new one is worth it. */
static bool go_on_with_the_rest(struct delivery_attempt *attempt)
{
    if (next_hop_connection_is_usable(attempt->connection)) {
        start_transaction(attempt);
        return true;
    }
    if (!next_hop_connection_is_used_up(attempt->connection) || attempt->is_second_opinion) {
        return false;
    }
    prefer_same_host(attempt);
    next_hop_connection_free(&attempt->connection);
    find_next_hops(attempt);
    return true;
}

static bool is_worth_asking_another(const struct delivery_attempt *attempt)
{
    const struct next_hop_list *list;

    if (attempt->is_second_opinion || !has_state(attempt, RECIPIENT_DEFERRED)) {
        return false;
    }
    if (attempt->hops == NULL) {
        return true; /* a kept connection: the list must be found first */
    }
    list = &attempt->hops->list;
    for (size_t i = 0; i < list->count; i++) {
        if (!attempt->is_tried[i] &&
            !bytes_equal_nocase(list->hops[i].host, attempt->report.host)) {
            return true;
        }
    }
    return false;
}

static void on_results(struct delivery_attempt *attempt)
{
    struct transaction *transaction = &attempt->transaction;
    bool is_content_sent = attempt->connection->sender.is_finished;
    bool is_any_accepted = false;

    attempt->report.transfer_ms +=
        event_loop_now_ms(attempt->outbound->loop) - attempt->transfer_began_ms;
    attempt->report.stage = is_content_sent ? "dot" : "envelope";
    report_connection(attempt);
    for (size_t i = 0; i < transaction->count; i++) {
        is_any_accepted = is_any_accepted || transaction->recipients[i].is_accepted;
    }
    for (size_t i = 0; i < transaction->count; i++) {
        take_result(attempt, i, is_any_accepted);
    }
    transaction->count = 0;
    if (has_state(attempt, next_wanted(attempt)) && go_on_with_the_rest(attempt)) {
        return;
    }
    replace_state(attempt, RECIPIENT_TOO_MANY, RECIPIENT_DEFERRED);
    /* With a 4xx to the dot the content has been judged; another host would judge it the same.
     */
    if ((is_any_accepted || !is_content_sent) && is_worth_asking_another(attempt)) {
        ask_another_host(attempt);
    } else {
        settle(attempt);
    }
}

static void on_connection_event(void *context, enum connection_event event)
{
    struct delivery_attempt *attempt = context;

    if (attempt->is_over) {
        return; /* finish looks whether the connection is still good */
    }
    switch (event) {
    case CONNECTION_READY:
        attempt->report.connect_ms =
            event_loop_now_ms(attempt->outbound->loop) - attempt->connect_began_ms;
        destination_note_success(attempt->destination, &attempt->connection->endpoint);
        start_transaction(attempt);
        return;
    case CONNECTION_DONE:
        on_results(attempt);
        return;
    case CONNECTION_RESTED:
        return;
    case CONNECTION_BROKEN:
        on_broken(attempt);
        return;
    }
    abort();
}

/* ---- 7 the end ---- */

static void settle(struct delivery_attempt *attempt)
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
    attempt->is_over = true;
    event_loop_defer(attempt->outbound->loop, &attempt->done_task);
}

const struct delivery_report *delivery_attempt_report(const struct delivery_attempt *attempt)
{
    return &attempt->report;
}

/* ---- 8 finish ---- */

static void give_connection_back(struct delivery_attempt *attempt)
{
    const struct outbound_options *options = &attempt->options;
    uint64_t age_ms = event_loop_now_ms(attempt->outbound->loop) - attempt->connection->made_ms;
    bool may_rest = attempt->connection->messages < options->reuse_messages &&
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
