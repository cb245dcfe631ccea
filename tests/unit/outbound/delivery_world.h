/*
 * delivery_world - one outbound, up to two next hops behind a static route, one message.
 *
 * Use     world_init, add_hop, deliver; then look at world.recipients and the report. CONTENT is the
 *         message, STUFFED what DATA makes of it.
 */
#ifndef TESTS_DELIVERY_WORLD_H
#define TESTS_DELIVERY_WORLD_H

#include "support/check.h"

#include "outbound/delivery_attempt.h"
#include "scripted_hop.h"

enum { GUARD_MS = 20000 };

#define CONTENT "From: a\r\n\r\n.dot\r\n..\r\n.\r\nend\r\n"
#define STUFFED "From: a\r\n\r\n..dot\r\n...\r\n..\r\nend\r\n.\r\n"

struct world {
    struct event_loop *loop;
    struct scripted_hop hops[2];
    size_t hop_count;
    struct delivery_route route;
    struct delivery_route_table routes;
    struct outbound_options options;
    struct outbound *outbound;
    struct arena *arena;
    struct content *content;
    struct delivery_recipient recipients[4];
    struct delivery_request request;
    struct delivery_attempt *attempt;
    struct loop_timer *guard;
    bool is_done, is_stuck;
};

static const struct hop_script usual = {.banner = NULL};

static inline void on_guard(void *context)
{
    struct world *world = context;

    world->is_stuck = true;
    event_loop_stop(world->loop);
}

static inline void on_done(void *context)
{
    struct world *world = context;

    world->is_done = true;
    event_loop_stop(world->loop);
}

static inline void add_hop(struct world *world, const struct hop_script *scripts, size_t count)
{
    static const char *const addresses[] = {"127.0.0.1:0", "127.0.0.2:0"};
    struct scripted_hop *hop = &world->hops[world->hop_count];
    struct route_hop *target = &world->route.hops[world->hop_count];
    struct ip_endpoint endpoint;

    hop_open(hop, world->loop, addresses[world->hop_count], scripts, count);
    endpoint = listener_address(hop->listener);
    target->address = endpoint.address;
    target->port = endpoint.port;
    world->route.hop_count = ++world->hop_count;
}

static inline void set_recipient(struct world *world, size_t index, const char *address,
                                 const char *alias)
{
    world->recipients[index] = (struct delivery_recipient){.address = bytes_from_text(address),
                                                           .alias = bytes_from_text(alias)};
    world->request.count = index + 1;
}

static inline void world_init(struct world *world)
{
    *world = (struct world){.loop = event_loop_new(), .arena = arena_new()};
    world->guard = loop_timer_new(world->loop, on_guard, world);
    world->route.domain = BYTES("*");
    world->route.destination = BYTES("hops");
    world->routes = (struct delivery_route_table){&world->route, 1};
    world->options = (struct outbound_options){
        .helo_name = BYTES("mx.example.org"),
        .loop_secret = BYTES("secret"),
        .routes = &world->routes,
        .next_hops = {.port = 25, .use_ipv4 = true, .use_ipv6 = true},
        .reuse_messages = 100,
        .reuse_idle_ms = 10000,
        .connect_timeout_ms = 5000,
        .command_timeout_ms = 5000,
        .data_timeout_ms = 5000,
        .block_timeout_ms = 5000,
        .dot_timeout_ms = 5000,
    };
    world->content = content_from_bytes(BYTES(CONTENT));
    world->request = (struct delivery_request){
        .id = 1,
        .sender = BYTES("s@example.org"),
        .prefix = BYTES("Received: by us\r\n"),
        .recipients = world->recipients,
    };
    world->request.destination =
        delivery_route_destination(&world->routes, BYTES("d.example"), world->arena);
    set_recipient(world, 0, "one@d.example", "");
}

static inline void start(struct world *world)
{
    if (world->outbound == NULL) {
        world->outbound = outbound_new(world->loop, NULL, &world->options);
    }
    world->request.content = world->content;
    world->is_done = false;
    world->attempt = delivery_attempt_start(world->outbound, &world->request, on_done, world);
    CHECK_TRUE("never from inside", !world->is_done);
}

static inline void run(struct world *world)
{
    loop_timer_set(world->guard, GUARD_MS);
    event_loop_run(world->loop);
    loop_timer_stop(world->guard);
}

static inline void run_for(struct world *world, uint64_t ms)
{
    loop_timer_set(world->guard, ms);
    event_loop_run(world->loop);
    world->is_stuck = false;
}

static inline const struct delivery_report *deliver(struct world *world)
{
    start(world);
    run(world);
    CHECK_TRUE("done in time", world->is_done && !world->is_stuck);
    return delivery_attempt_report(world->attempt);
}

static inline void world_clear(struct world *world)
{
    delivery_attempt_finish(&world->attempt);
    outbound_free(&world->outbound);
    for (size_t i = 0; i < world->hop_count; i++) {
        hop_clear(&world->hops[i]);
    }
    run_for(world, 0); /* deferred work of what was closed */
    loop_timer_free(&world->guard);
    content_drop(&world->content);
    arena_free(&world->arena);
    event_loop_free(&world->loop);
}

static inline struct bytes commands(const struct world *world, size_t hop)
{
    return strbuf_bytes(&world->hops[hop].commands);
}

#endif
