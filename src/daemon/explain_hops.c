#include "explain_call.h"

enum {
    DNS_DEADLINE_MS = 30 * 1000, /* as a delivery has */
    DNS_ROUNDS = 16,
};

static void on_looked_up(void *context)
{
    struct explain_call *call = context;

    event_loop_stop(call->loop);
}

/* False: DNS asks for ever more. */
static bool order_hops(struct explain_call *call, const struct explain_delivery *delivery,
                       struct next_hop_list *list)
{
    const struct outbound_options *options = &call->snapshot->outbound;
    const struct delivery_route *route =
        delivery_route_by_destination(options->routes, delivery->destination);
    struct dns_facts *facts = dns_facts_new();
    enum next_hop_status status = NEXT_HOP_NEEDS_DNS;

    for (unsigned round = 0; round < DNS_ROUNDS && status == NEXT_HOP_NEEDS_DNS; round++) {
        if (round > 0) {
            (void)dns_lookup_start(call->resolver, facts,
                                   event_loop_now_ms(call->loop) + DNS_DEADLINE_MS,
                                   on_looked_up, call);
            event_loop_run(call->loop);
        }
        *list = (struct next_hop_list){.count = 0};
        status = next_hop_order(&options->next_hops, delivery->destination, route, facts, 0,
                                call->report->arena, list);
    }
    dns_facts_free(&facts);
    return status != NEXT_HOP_NEEDS_DNS;
}

static void keep_hops(struct explain_call *call, struct explain_delivery *delivery,
                      const struct next_hop_list *list)
{
    const struct outbound_options *options = &call->snapshot->outbound;

    delivery->hops =
        arena_alloc(call->report->arena, (list->count + 1) * sizeof *delivery->hops);
    delivery->hop_count = list->count;
    delivery->is_mx_secure = list->is_mx_secure;
    delivery->is_partial = list->is_partial;
    delivery->failure = list->failure;
    for (size_t i = 0; i < list->count; i++) {
        delivery->hops[i] = (struct explain_hop){
            .host = list->hops[i].host,
            .endpoint = list->hops[i].endpoint,
            .preference = list->hops[i].preference,
            .tls = options->tls_context == NULL
                       ? TLS_LEVEL_OFF
                       : tls_policy_find(&options->tls_policies, options->routes,
                                         delivery->destination, list->hops[i].host),
        };
    }
}

/* Another address at the same destination: found there already. */
static bool take_known_hops(struct explain_call *call, struct explain_delivery *delivery)
{
    const struct explain_delivery *at = call->report->deliveries;

    while (at != delivery && !bytes_equal(at->destination, delivery->destination)) {
        at = at->next;
    }
    delivery->hops = at->hops;
    delivery->hop_count = at->hop_count;
    delivery->is_mx_secure = at->is_mx_secure;
    delivery->is_partial = at->is_partial;
    delivery->failure = at->failure;
    return at != delivery;
}

void explain_hops_find(struct explain_call *call)
{
    call->stage_text = "next-hop";
    for (struct explain_delivery *at = call->report->deliveries; at != NULL; at = at->next) {
        struct next_hop_list list;

        if (take_known_hops(call, at)) {
            continue;
        }
        if (order_hops(call, at, &list)) {
            keep_hops(call, at, &list);
        } else {
            at->failure = (struct decision){.disposition = DECISION_DEFER,
                                            .enhanced = "4.4.3",
                                            .text = BYTES("DNS asks for ever more")};
        }
    }
}
