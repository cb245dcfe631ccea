/*
 * Where the message goes, in the order it happens:
 *
 *   1 delivery_find_connection  takes a connection that rests; otherwise
 *   2 delivery_find_hosts       remembered ones, or DNS by replay (on_dns_done asks again); now that they
 *                               are known, a connection that was made for another domain may rest
 *   3 try_next_host             connects to the next one, until one greets (delivery_dialogue.c)
 */
#include "delivery_state.h"

#include "io/entropy.h"

#include <stdlib.h>

enum {
    DNS_DEADLINE_MS = 30 * 1000,
    DNS_ROUNDS = 16, /* MX, CNAME chain, addresses: more is a loop in disguise */
};

static void try_next_host(struct delivery_attempt *attempt);

/* ---- 1 a connection that rests ---- */

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
    delivery_settle(attempt);
}

static enum tls_level level_for(const struct delivery_attempt *attempt, struct bytes host)
{
    return tls_policy_find(&attempt->options.tls_policies, attempt->options.routes,
                           attempt->request.destination, host);
}

/* What this message wants, which may be more than the policy does. */
static enum tls_level wanted_level(const struct delivery_attempt *attempt, struct bytes host)
{
    return delivery_is_strict(attempt) ? TLS_LEVEL_VERIFIED : level_for(attempt, host);
}

/* Another domain with the same hosts may have wanted less. */
static bool is_protected_enough(void *context, const struct next_hop_connection *connection)
{
    return next_hop_connection_fulfils(
               connection, wanted_level(context, bytes_from_text(connection->host))) &&
           delivery_may_have_it(context, connection);
}

static bool use_kept_connection(struct delivery_attempt *attempt)
{
    attempt->connection = destination_take(attempt->destination, is_protected_enough,
                                           delivery_on_connection_event, attempt);
    if (attempt->connection == NULL) {
        return false;
    }
    attempt->has_set_out = true;
    attempt->report.is_reused = true;
    delivery_start_transaction(attempt);
    return true;
}

/* The next hops are known. */
static void set_out(struct delivery_attempt *attempt)
{
    if (!delivery_may_set_out(attempt)) {
        delivery_settle(attempt);
    } else if (!is_admitted(attempt)) {
        put_off(attempt);
    } else if (attempt->has_set_out || !use_kept_connection(attempt)) {
        try_next_host(attempt);
    }
}

void delivery_find_connection(struct delivery_attempt *attempt)
{
    if (destination_hosts(attempt->destination).len == 0 || delivery_is_strict(attempt)) {
        delivery_find_hosts(attempt); /* also to know how they were found */
    } else if (!is_admitted(attempt)) {
        put_off(attempt);
    } else if (!use_kept_connection(attempt)) {
        delivery_find_hosts(attempt);
    }
}

/* ---- 2 next hops ---- */

static void on_dns_done(void *context);

static void fail_next_hops(struct delivery_attempt *attempt, const struct decision *decision)
{
    attempt->trouble = delivery_result_of_decision(decision, attempt->arena);
    next_hops_drop(&attempt->hops);
    delivery_settle(attempt);
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
    attempt->lookup = dns_lookup_start(attempt->outbound->resolver, attempt->facts,
                                       event_loop_now_ms(attempt->outbound->loop) +
                                           (attempt->options.dns_timeout_ms == 0
                                                ? DNS_DEADLINE_MS
                                                : attempt->options.dns_timeout_ms),
                                       on_dns_done, attempt);
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
        if (attempt->request.watch != NULL) {
            attempt->request.watch->on_hops(attempt->request.watch->context, &hops->list);
        }
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

void delivery_find_hosts(struct delivery_attempt *attempt)
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
    const struct delivery_watch *watch = attempt->request.watch;

    if (watch != NULL && watch->may_try != NULL && !watch->may_try(watch->context, hop)) {
        return false;
    }
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
        delivery_settle(attempt);
        return;
    }
    source = hop->endpoint.address.family == IP_V6 ? &options->source_v6 : &options->source_v4;
    settings.source = source->family == IP_NONE ? NULL : source;
    settings.tls.level = wanted_level(attempt, hop->host);
    settings.watch =
        attempt->request.watch == NULL ? NULL : &attempt->request.watch->connection;
    attempt->connect_began_ms = event_loop_now_ms(attempt->outbound->loop);
    attempt->report.is_reused = false;
    attempt->report.stage = "connect";
    attempt->connection =
        next_hop_connection_new(attempt->outbound->loop, &attempt->outbound->scratch, &settings,
                                hop, delivery_on_connection_event, attempt);
    attempt->has_set_out = true;
    destination_note_try(attempt->destination, &hop->endpoint);
    destination_own(attempt->destination, attempt->connection);
}

void delivery_prefer_same_host(struct delivery_attempt *attempt)
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

void delivery_try_host_again(struct delivery_attempt *attempt)
{
    delivery_prefer_same_host(attempt);
    next_hop_connection_abort(&attempt->connection);
    delivery_find_hosts(attempt);
}
