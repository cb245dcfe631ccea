/* The acceptor between listeners and loops that the test plays. */
#include "support/check.h"

#include "base/memory.h"
#include "daemon/acceptor.h"
#include "unit/io/loop_driver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

struct inbound_server {
    size_t sessions; /* what it says it has */
    size_t accepted, proxied, secured;
    struct ledger_stay stays[4096];
    atomic_size_t *doors[4096];
};

void inbound_accept_by(struct inbound_server *server, const struct stream_accepted *accepted,
                       const struct ledger_stay *stay, const struct inbound_door *door)
{
    close(accepted->handle);
    server->sessions++;
    server->proxied += door->is_proxied;
    server->secured += door->tls == INBOUND_TLS_IMPLICIT;
    server->doors[server->accepted] = &door->use->sessions;
    server->stays[server->accepted++] = *stay;
}

size_t inbound_session_count(const struct inbound_server *server)
{
    return server->sessions;
}

struct listener {
    void (*on_accept)(void *context, const struct stream_accepted *accepted);
    void *context;
};

void listener_on_shortage(struct listener *listener,
                          void (*on_shortage)(void *context, const struct ip_endpoint *peer))
{
    (void)listener, (void)on_shortage;
}

void listener_start(struct listener *listener, struct event_loop *loop,
                    void (*on_accept)(void *context, const struct stream_accepted *accepted),
                    void *context)
{
    (void)loop;
    listener->on_accept = on_accept;
    listener->context = context;
}

static const struct inbound_door plain = {.is_proxied = false};
static const struct inbound_door proxied = {.is_proxied = true, .tls = INBOUND_TLS_IMPLICIT};

struct world {
    struct event_loop *loop;
    struct inbound_server servers[3];
    struct acceptor_target targets[3];
    struct listener listener;
    struct inbound_ledger *ledger;
    struct acceptor *acceptor;
};

static const struct listener_limits unlimited;

static void set_up_with(struct world *world, const struct acceptor_limits *limits,
                        const struct listener_limits *own)
{

    memset(world, 0, sizeof *world);
    world->loop = event_loop_new();
    for (size_t i = 0; i < 3; i++) {
        world->targets[i] = (struct acceptor_target){world->loop, &world->servers[i]};
    }
    world->ledger = inbound_ledger_new();
    world->acceptor = acceptor_new(world->loop, world->targets, 3, world->ledger, limits);
    acceptor_add(world->acceptor, &world->listener, &plain, own);
}

static void set_up(struct world *world, size_t connections, unsigned per_client)
{
    struct acceptor_limits limits = {.connections = connections,
                                     .client = {.sessions = per_client}};

    set_up_with(world, &limits, &unlimited);
}

/* One session of a loop ends. */
static void hang_up(struct inbound_server *server)
{
    server->sessions--;
    server->accepted--;
    atomic_fetch_sub(server->doors[server->accepted], 1);
    ledger_stay_end(&server->stays[server->accepted]);
}

static void hang_up_one(struct world *world)
{
    size_t target = 0;

    run_for(world->loop, 0);
    while (world->servers[target].accepted == 0) {
        target++;
    }
    hang_up(&world->servers[target]);
}

static void tear_down(struct world *world)
{
    run_for(world->loop, 0);
    acceptor_free(&world->acceptor);
    inbound_ledger_free(&world->ledger);
    event_loop_free(&world->loop);
}

/* A connection from there; what it is told at once, "" when it is taken. */
static const char *dial(struct world *world, const char *from)
{
    static char words[200];
    struct stream_accepted accepted = {.handle = -1};
    ssize_t got;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    memset(&accepted.peer, 0xa5, sizeof accepted.peer); /* nothing in it is zero by chance */
    assert_true(ip_address_parse(bytes_from_text(from), &accepted.peer.address));
    accepted.handle = pair[1];
    world->listener.on_accept(world->listener.context, &accepted);
    got = recv(pair[0], words, sizeof words - 1, MSG_DONTWAIT);
    words[got > 0 ? got : 0] = '\0';
    close(pair[0]);
    return words;
}

static size_t accepted_by(struct world *world, size_t target)
{
    run_for(world->loop, 0);
    return world->servers[target].accepted;
}

static void test_the_loop_with_the_fewest_sessions(void **state)
{
    struct world world;

    (void)state;
    set_up(&world, 100, 100);
    world.servers[0].sessions = 2;
    world.servers[2].sessions = 1;
    for (unsigned i = 0; i < 6; i++) {
        CHECK_TEXT("taken", dial(&world, "192.0.2.1"), ""); /* none has arrived yet */
    }
    CHECK_INT("first", accepted_by(&world, 0), 1);
    CHECK_INT("second", accepted_by(&world, 1), 3);
    CHECK_INT("third", accepted_by(&world, 2), 2);
    CHECK_TEXT("taken", dial(&world, "192.0.2.1"), ""); /* all have: no count has drifted */
    CHECK_INT("first", accepted_by(&world, 0), 2);
    tear_down(&world);
}

/* All clients of a balancer come from its address. */
static void test_what_comes_through_a_proxy(void **state)
{
    struct world world;

    (void)state;
    set_up(&world, 4, 1);
    acceptor_add(world.acceptor, &world.listener, &proxied, &unlimited);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_TEXT("taken", dial(&world, "192.0.2.1"), "");
    }
    CHECK_TEXT("too many in all", dial(&world, "192.0.2.1"),
               "421 4.3.2 too many connections, try again later\r\n");
    CHECK_INT("proxied",
              accepted_by(&world, 0) + accepted_by(&world, 1) + accepted_by(&world, 2), 4);
    CHECK_INT("proxied",
              world.servers[0].proxied + world.servers[1].proxied + world.servers[2].proxied,
              4);
    tear_down(&world);
}

static void test_too_many_connections(void **state)
{
    struct world world;

    (void)state;
    set_up(&world, 3, 100);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_TEXT("taken", dial(&world, "192.0.2.1"), "");
    }
    CHECK_TEXT("on the way", dial(&world, "192.0.2.2"),
               "421 4.3.2 too many connections, try again later\r\n");
    run_for(world.loop, 0);
    CHECK_TEXT("arrived", dial(&world, "192.0.2.2"),
               "421 4.3.2 too many connections, try again later\r\n");
    world.servers[1].sessions--;
    CHECK_TEXT("one has gone", dial(&world, "192.0.2.2"), "");
    tear_down(&world);
}

static void test_too_many_of_one_client(void **state)
{
    static const struct {
        const char *name, *first, *second;
        bool is_the_same;
    } cases[] = {
        {"one address", "192.0.2.1", "192.0.2.1", true},
        {"neighbours", "192.0.2.1", "192.0.2.2", false},
        {"one IPv6 address", "2001:db8::1", "2001:db8::1", true},
        {"one IPv6 network", "2001:db8::1", "2001:db8::ffff:1", true},
        {"two IPv6 networks", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        set_up(&world, 100, 2);
        CHECK_TEXT(cases[i].name, dial(&world, cases[i].first), "");
        CHECK_TEXT(cases[i].name, dial(&world, cases[i].first), "");
        CHECK_INT(cases[i].name, strncmp(dial(&world, cases[i].second), "421 4.7.0", 9) == 0,
                  cases[i].is_the_same);
        hang_up_one(&world); /* there is room again */
        CHECK_TEXT(cases[i].name, dial(&world, cases[i].first), "");
        tear_down(&world);
    }
}

static void test_new_limits(void **state)
{
    struct world world;
    struct acceptor_limits limits = {.connections = 1, .client = {.sessions = 1}};

    (void)state;
    set_up(&world, 100, 100);
    CHECK_TEXT("before", dial(&world, "192.0.2.1"), "");
    acceptor_set_limits(world.acceptor, &limits);
    CHECK_TRUE("after", dial(&world, "192.0.2.1")[0] != '\0');
    tear_down(&world);
}

/* Clients that have gone are forgotten; those with a session are not (ASan would see it). */
static void test_many_clients(void **state)
{
    struct world world;
    struct ledger_stay steady;

    (void)state;
    set_up(&world, 1000000, 1);
    CHECK_TEXT("steady", dial(&world, "192.0.2.1"), "");
    run_for(world.loop, 0);
    steady = world.servers[0].stays[--world.servers[0].accepted];
    for (unsigned i = 0; i < 60000; i++) {
        char from[64];
        snprintf(from, sizeof from, "2001:db8:%x:%x::1", i % 0x3000, i);
        CHECK_TEXT(from, dial(&world, from), "");
        hang_up_one(&world);
    }
    CHECK_TRUE("bounded", inbound_ledger_size(world.ledger) < 50000);
    CHECK_TRUE("still counted", dial(&world, "192.0.2.1")[0] != '\0');
    ledger_stay_end(&steady);
    CHECK_TEXT("and no more", dial(&world, "192.0.2.1"), "");
    tear_down(&world);
}

/* What many on different loops did is one count, and comes back when they have gone. */
static void test_counts_come_back(void **state)
{
    struct world world;

    (void)state;
    set_up(&world, 100, 5);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 5; i++) {
            CHECK_TEXT("room", dial(&world, "192.0.2.1"), "");
        }
        CHECK_TRUE("full", dial(&world, "192.0.2.1")[0] != '\0');
        CHECK_INT("counted once each", inbound_ledger_sessions(world.ledger), 5);
        CHECK_INT("on all loops",
                  accepted_by(&world, 0) > 0 && accepted_by(&world, 1) > 0 &&
                      accepted_by(&world, 2) > 0,
                  1);
        for (unsigned i = 0; i < 5; i++) {
            hang_up_one(&world);
        }
        CHECK_INT("all gone", inbound_ledger_sessions(world.ledger), 0);
    }
    CHECK_INT("noted", inbound_ledger_noted(world.ledger, LEDGER_SESSIONS), 3);
    tear_down(&world);
}

static void test_new_connections_a_minute(void **state)
{
    static const char in_all[] = "421 4.3.2 too many new connections, try again later\r\n";
    static const char of_one[] = "421 4.7.0 you connect too often, try again later\r\n";
    static const struct {
        const char *name, *other, *want, *want_other;
        uint64_t total, by_listener, of_client;
    } cases[] = {
        {"in all", "192.0.2.2", in_all, in_all, 3, 0, 0},
        {"by the listener", "192.0.2.2", in_all, in_all, 0, 3, 0},
        {"of one client", "192.0.2.2", of_one, "", 0, 0, 3},
        {"no limit", "192.0.2.2", "", "", 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct acceptor_limits limits = {
            .connections = 100,
            .connection_rate = cases[i].total,
            .client = {.connections = cases[i].of_client},
        };
        struct listener_limits own = {.connection_rate = cases[i].by_listener};
        struct world world;
        set_up_with(&world, &limits, &own);
        for (unsigned n = 0; n < 3; n++) {
            CHECK_TEXT(cases[i].name, dial(&world, "192.0.2.1"), "");
            hang_up_one(&world); /* that they have gone does not help */
        }
        CHECK_TEXT(cases[i].name, dial(&world, "192.0.2.1"), cases[i].want);
        CHECK_TEXT(cases[i].name, dial(&world, cases[i].other), cases[i].want_other);
        tear_down(&world);
    }
}

static void test_too_many_by_one_listener(void **state)
{
    struct acceptor_limits limits = {.connections = 100};
    struct listener_limits own = {.connections = 2};
    struct listener other = {NULL, NULL}, first;
    struct world world;

    (void)state;
    set_up_with(&world, &limits, &own);
    acceptor_add(world.acceptor, &other, &plain, &unlimited);
    CHECK_TEXT("one", dial(&world, "192.0.2.1"), "");
    CHECK_TEXT("two", dial(&world, "192.0.2.2"), "");
    CHECK_TEXT("three", dial(&world, "192.0.2.3"),
               "421 4.3.2 too many connections, try again later\r\n");
    first = world.listener;
    world.listener = other;
    CHECK_TEXT("by the other one", dial(&world, "192.0.2.3"), "");
    hang_up_one(&world);
    hang_up_one(&world);
    hang_up_one(&world);
    world.listener = first;
    CHECK_TEXT("room again", dial(&world, "192.0.2.3"), "");
    tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_loop_with_the_fewest_sessions),
        cmocka_unit_test(test_what_comes_through_a_proxy),
        cmocka_unit_test(test_too_many_connections),
        cmocka_unit_test(test_too_many_of_one_client),
        cmocka_unit_test(test_new_limits),
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_counts_come_back),
        cmocka_unit_test(test_new_connections_a_minute),
        cmocka_unit_test(test_too_many_by_one_listener),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
