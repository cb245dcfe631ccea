/* The ledger as several loops use it at the same time. */
#include "support/check.h"

#include "inbound/inbound_ledger.h"
#include "io/process.h"

#include <stdatomic.h>
#include <stdio.h>

enum { THREADS = 4, ROUNDS = 20000, HELD = 8 };

struct shared_world {
    struct inbound_ledger *ledger;
    struct client_limits limits;
    atomic_uint welcome, messages, forwards;
};

static struct ip_address address_of(const char *text)
{
    struct ip_address address;

    assert_true(ip_address_parse(bytes_from_text(text), &address));
    return address;
}

/* Clients of one /24 and of one /48, so that all share rows. */
static void come_and_go(void *context)
{
    struct shared_world *world = context;
    struct ledger_stay stays[HELD] = {{.row = NULL}};

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct ledger_stay *stay = &stays[i % HELD];
        char text[64];
        struct ip_address address;
        snprintf(text, sizeof text, i % 2 ? "192.0.2.%u" : "2001:db8::%u:0:0:0:1", i % 5);
        address = address_of(text);
        ledger_stay_end(stay);
        if (inbound_ledger_enter(world->ledger, &address, &world->limits, i, stay) ==
            CLIENT_WELCOME) {
            ledger_stay_praise(stay, 1, i);
            ledger_stay_blame(stay, &world->limits, CLIENT_UNKNOWN_RECIPIENT, i);
        }
    }
    for (unsigned i = 0; i < HELD; i++) {
        ledger_stay_end(&stays[i]);
    }
}

static void use_up(void *context)
{
    struct shared_world *world = context;
    struct ip_address address = address_of("198.51.100.1");
    struct ledger_stay stay;

    for (unsigned i = 0; i < 1000; i++) {
        if (inbound_ledger_enter(world->ledger, &address, &world->limits, 0, &stay) ==
            CLIENT_WELCOME) {
            atomic_fetch_add(&world->welcome, 1);
            atomic_fetch_add(&world->messages,
                             ledger_stay_spend(&stay, &world->limits, CLIENT_SENDS_MESSAGE,
                                               0) == CLIENT_WELCOME);
        }
        ledger_stay_end(&stay);
    }
}

static void run_threads(struct shared_world *world, void (*run)(void *context))
{
    struct process_thread *threads[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = process_thread_start("client", run, world);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        process_thread_join(&threads[i]);
    }
}

static void test_counts_come_back(void **state)
{
    struct shared_world world = {.ledger = inbound_ledger_new(),
                                 .limits = {.sessions = 3, .unknown_recipients = 1}};

    struct ip_address address = address_of("192.0.2.1");
    struct ledger_stay stays[3];

    (void)state;
    /* All that this client may have is taken, whether the threads meet or not. */
    for (unsigned i = 0; i < COUNT_OF(stays); i++) {
        CHECK_INT("let in",
                  inbound_ledger_enter(world.ledger, &address, &world.limits, 0, &stays[i]),
                  CLIENT_WELCOME);
    }
    run_threads(&world, come_and_go);
    CHECK_INT("sessions of the one", inbound_ledger_sessions(world.ledger), 3);
    for (unsigned i = 0; i < COUNT_OF(stays); i++) {
        ledger_stay_end(&stays[i]);
    }
    CHECK_INT("sessions", inbound_ledger_sessions(world.ledger), 0);
    CHECK_TRUE("some were too many", inbound_ledger_noted(world.ledger, LEDGER_SESSIONS) > 0);
    CHECK_INT("clients and neighbourhoods", inbound_ledger_size(world.ledger), 10 + 2);
    inbound_ledger_free(&world.ledger);
}

/* Exactly as much as is allowed, whoever asks first. */
static void test_nothing_is_counted_twice(void **state)
{
    struct shared_world world = {.ledger = inbound_ledger_new(),
                                 .limits = {.connections = 1500, .messages = 700}};

    (void)state;
    run_threads(&world, use_up);
    CHECK_INT("connections", atomic_load(&world.welcome), 1500);
    CHECK_INT("messages", atomic_load(&world.messages), 700);
    CHECK_INT("refused", inbound_ledger_noted(world.ledger, LEDGER_CONNECTION_RATE),
              THREADS * 1000 - 1500);
    inbound_ledger_free(&world.ledger);
}

static void crowd_in(void *context)
{
    struct shared_world *world = context;
    struct crowd_limits limits = {.messages = 900, .recipients = 0};
    struct ledger_crowd *crowd = inbound_ledger_everybody(world->ledger);

    for (unsigned i = 0; i < 1000; i++) {
        atomic_fetch_add(&world->messages,
                         ledger_crowd_spend(crowd, &limits, CLIENT_SENDS_MESSAGE, 0));
        atomic_fetch_add(&world->welcome,
                         ledger_crowd_spend(crowd, &limits, CLIENT_NAMES_RECIPIENT, 0));
        atomic_fetch_add(&world->forwards, inbound_ledger_forged(world->ledger, 5000));
    }
}

static void test_all_together(void **state)
{
    struct shared_world world = {.ledger = inbound_ledger_new()};

    (void)state;
    run_threads(&world, crowd_in);
    CHECK_INT("messages", atomic_load(&world.messages), 900);
    CHECK_INT("recipients without a limit", atomic_load(&world.welcome), THREADS * 1000);
    CHECK_INT("one alarm", atomic_load(&world.forwards), 1);
    for (unsigned i = 0; i < LEDGER_FORGED_MOST; i++) {
        CHECK_TRUE("within the hour it was told",
                   !inbound_ledger_forged(world.ledger, 3604999));
    }
    for (unsigned i = 0; i < LEDGER_FORGED_MOST; i++) {
        CHECK_TRUE("another hour", !inbound_ledger_forged(world.ledger, 3605000));
    }
    CHECK_TRUE("one more", inbound_ledger_forged(world.ledger, 3605000));
    inbound_ledger_free(&world.ledger);
}

/* Each loop has a clock of its own that it reads now and then: one that is behind began the hour anew each time. */
static void test_a_loop_that_is_late_ends_no_hour(void **state)
{
    struct inbound_ledger *ledger = inbound_ledger_new();
    unsigned alarms = 0;

    (void)state;
    (void)inbound_ledger_forged(ledger, 1003);
    for (unsigned i = 0; i < LEDGER_FORGED_MOST; i++) {
        alarms += inbound_ledger_forged(ledger, i == LEDGER_FORGED_MOST / 2 ? 1000 : 1005);
    }
    CHECK_INT("alarms", alarms, 1);
    inbound_ledger_free(&ledger);
}

static void test_each_refusal_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LEDGER_REFUSALS; i++) {
        for (unsigned j = 0; j < i; j++) {
            CHECK_TRUE("its own",
                       strcmp(inbound_ledger_refusal_text((enum ledger_refusal)i),
                              inbound_ledger_refusal_text((enum ledger_refusal)j)) != 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_come_back),
        cmocka_unit_test(test_nothing_is_counted_twice),
        cmocka_unit_test(test_all_together),
        cmocka_unit_test(test_a_loop_that_is_late_ends_no_hour),
        cmocka_unit_test(test_each_refusal_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
