#include "delivery_world.h"

#include "outbound/recipient_probe.h"

enum { ASKERS = 24 };

#define ASKED(address) "MAIL FROM:<>\nRCPT TO:<" address ">\nRSET\n"
#define HELLO "EHLO mx.example.org\n"

struct asker {
    struct probing *probing;
    struct recipient_probe *probe; /* pending, or NULL */
    struct probe_result result;
    char text[100], enhanced[12], address[40];
    unsigned answers;
};

struct probing {
    struct world world;
    struct recipient_prober *prober;
    struct asker askers[ASKERS];
    size_t asked;
    unsigned open;
};

static void probing_init(struct probing *probing, const struct hop_script *scripts,
                         size_t count)
{
    *probing = (struct probing){.open = 0};
    world_init(&probing->world);
    add_hop(&probing->world, scripts, count);
    probing->world.outbound = outbound_new(probing->world.loop, NULL, &probing->world.options);
    probing->prober = recipient_prober_new(probing->world.loop, probing->world.outbound);
}

static void probing_clear(struct probing *probing)
{
    recipient_prober_free(&probing->prober);
    world_clear(&probing->world);
}

static void keep_result(struct asker *asker, const struct probe_result *result)
{
    asker->result = *result;
    snprintf(asker->text, sizeof asker->text, BYTES_FMT, BYTES_ARG(result->answer.text));
    snprintf(asker->enhanced, sizeof asker->enhanced, "%s",
             result->answer.enhanced == NULL ? "" : result->answer.enhanced);
    asker->answers++;
}

static void on_result(void *context, const struct probe_result *result)
{
    struct asker *asker = context;

    asker->probe = NULL;
    keep_result(asker, result);
    if (--asker->probing->open == 0) {
        event_loop_stop(asker->probing->world.loop);
    }
}

static struct asker *ask_for(struct probing *probing, const char *address, uint64_t timeout_ms,
                             uint64_t positive_ms, uint64_t negative_ms)
{
    struct asker *asker = &probing->askers[probing->asked++];
    struct probe_request request = {.destination = probing->world.request.destination,
                                    .timeout_ms = timeout_ms,
                                    .positive_ms = positive_ms,
                                    .negative_ms = negative_ms};
    struct probe_result result;

    *asker = (struct asker){.probing = probing};
    snprintf(asker->address, sizeof asker->address, "%s", address);
    request.address = bytes_from_text(asker->address);
    asker->probe = recipient_probe_start(probing->prober, &request, &result, on_result, asker);
    if (asker->probe == NULL) {
        keep_result(asker, &result);
    } else {
        CHECK_INT("never from inside", asker->answers, 0);
        probing->open++;
    }
    return asker;
}

static struct asker *ask(struct probing *probing, const char *address)
{
    return ask_for(probing, address, 5000, 60000, 60000);
}

static void wait_for_all(struct probing *probing)
{
    if (probing->open > 0) {
        run(&probing->world);
    }
    CHECK_TRUE("in time", !probing->world.is_stuck);
}

static void test_answers(void **state)
{
    static const struct {
        const char *name, *mail, *rcpt;
        enum probe_verdict want;
        unsigned want_code;
        const char *want_enhanced, *want_text;
        bool want_remembered;
    } cases[] = {
        {"taken", NULL, NULL, PROBE_ACCEPTED, 250, "2.1.5", "ok", true},
        {"unknown", NULL, "550 5.1.1 <u@d.example> unknown\r\n", PROBE_REFUSED, 550, "5.1.1",
         "<u@d.example> unknown", true},
        {"without enhanced code", NULL, "551 go away\r\n", PROBE_REFUSED, 551, "5.0.0",
         "go away", true},
        {"a code alone", NULL, "550\r\n", PROBE_REFUSED, 550, "5.0.0", "", true},
        {"several lines", NULL, "550-5.1.1 no\r\n550 5.1.1 really\r\n", PROBE_REFUSED, 550,
         "5.1.1", "no / really", true},
        {"later", NULL, "450 4.2.0 busy\r\n", PROBE_UNKNOWN, 0, "", "", false},
        {"the null sender is refused", "550 5.7.1 no bounces\r\n", NULL, PROBE_UNKNOWN, 0, "",
         "", false},
        {"we are blocked", NULL,
         "554 5.7.1 Service unavailable; Client host blocked using bl.example.net\r\n",
         PROBE_UNKNOWN, 0, "", "", false},
        {"leaves", NULL, "!421 4.3.2 going down\r\n", PROBE_UNKNOWN, 0, "", "", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct hop_script script = {.mail = cases[i].mail, .rcpt = {cases[i].rcpt}};
        struct probing probing;
        struct asker *asker;

        probing_init(&probing, &script, 1);
        asker = ask(&probing, "u@d.example");
        wait_for_all(&probing);
        CHECK_INT(cases[i].name, asker->answers, 1);
        CHECK_INT(cases[i].name, asker->result.verdict, cases[i].want);
        CHECK_INT(cases[i].name, asker->result.answer.code, cases[i].want_code);
        CHECK_TEXT(cases[i].name, asker->enhanced, cases[i].want_enhanced);
        CHECK_TEXT(cases[i].name, asker->text, cases[i].want_text);
        CHECK_INT(cases[i].name, asker->result.why == NULL, cases[i].want != PROBE_UNKNOWN);
        asker = ask(&probing, "u@d.example");
        CHECK_INT(cases[i].name, asker->result.is_remembered, cases[i].want_remembered);
        if (cases[i].want_remembered) {
            CHECK_TEXT(cases[i].name, asker->text, cases[i].want_text);
            CHECK_INT(cases[i].name, asker->result.verdict, cases[i].want);
        }
        wait_for_all(&probing);
        CHECK_INT("nothing is sent", probing.world.hops[0].wire.len, 0);
        probing_clear(&probing);
    }
}

/* A connection is used again, for DELIVERY_QUESTIONS questions. */
static void test_connections_are_kept(void **state)
{
    struct probing probing;
    char address[40];

    (void)state;
    probing_init(&probing, &usual, 1);
    ask(&probing, "a@d.example");
    wait_for_all(&probing);
    ask(&probing, "b@d.example");
    wait_for_all(&probing);
    CHECK_BYTES("said", commands(&probing.world, 0),
                BYTES(HELLO ASKED("a@d.example") ASKED("b@d.example")));
    CHECK_INT("one write each", probing.world.hops[0].reads, 3);
    for (unsigned i = 2; i < DELIVERY_QUESTIONS + 1; i++) {
        CHECK_INT("the same", probing.world.hops[0].connections, 1);
        snprintf(address, sizeof address, "%u@d.example", i);
        ask(&probing, address);
        wait_for_all(&probing);
    }
    CHECK_INT("a new one", probing.world.hops[0].connections, 2);
    probing_clear(&probing);
}

static void test_a_message_goes_over_it(void **state)
{
    struct probing probing;

    (void)state;
    probing_init(&probing, &usual, 1);
    ask(&probing, "a@d.example");
    wait_for_all(&probing);
    deliver(&probing.world);
    CHECK_INT("delivered", probing.world.recipients[0].outcome, DELIVERY_SENT);
    CHECK_BYTES("said", commands(&probing.world, 0),
                BYTES(HELLO ASKED("a@d.example") "MAIL FROM:<s@example.org> SIZE=46\n"
                                                 "RCPT TO:<one@d.example>\nDATA\n(content)\n"));
    probing_clear(&probing);
}

static void test_without_pipelining(void **state)
{
    static const struct hop_script plain = {.ehlo = "250 hop\r\n",
                                            .rcpt = {"550 5.1.1 no\r\n"}};
    struct probing probing;
    struct asker *asker;

    (void)state;
    probing_init(&probing, &plain, 1);
    asker = ask(&probing, "a@d.example");
    wait_for_all(&probing);
    CHECK_INT("refused", asker->result.verdict, PROBE_REFUSED);
    CHECK_BYTES("said", commands(&probing.world, 0), BYTES(HELLO ASKED("a@d.example")));
    CHECK_INT("one command a write", probing.world.hops[0].reads, 4);
    probing_clear(&probing);
}

static void test_many_at_a_time(void **state)
{
    struct probing probing;
    char address[40];

    (void)state;
    probing_init(&probing, &usual, 1);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(address, sizeof address, "%u@d.example", i % 10);
        ask(&probing, address);
    }
    CHECK_INT("all wait", probing.open, 20);
    wait_for_all(&probing);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_INT("answered once", probing.askers[i].answers, 1);
        CHECK_INT("taken", probing.askers[i].result.verdict, PROBE_ACCEPTED);
    }
    CHECK_INT("connections", probing.world.hops[0].connections, PROBE_CONNECTIONS);
    CHECK_INT("the same is asked once",
              bytes_find_part(
                  bytes_skip(commands(&probing.world, 0),
                             bytes_find_part(commands(&probing.world, 0), BYTES("<5@")) + 1),
                  BYTES("<5@")),
              commands(&probing.world, 0).len -
                  bytes_find_part(commands(&probing.world, 0), BYTES("<5@")) - 1);
    probing_clear(&probing);
}

static void test_memory_ends(void **state)
{
    struct probing probing;
    struct asker *asker;

    (void)state;
    probing_init(&probing, &usual, 1);
    ask_for(&probing, "a@d.example", 5000, 30, 0);
    wait_for_all(&probing);
    CHECK_TRUE("remembered", ask(&probing, "a@d.example")->result.is_remembered);
    run_for(&probing.world, 60);
    asker = ask_for(&probing, "a@d.example", 5000, 0, 60000);
    wait_for_all(&probing);
    CHECK_TRUE("asked again", !asker->result.is_remembered);
    asker = ask(&probing, "a@d.example");
    wait_for_all(&probing);
    CHECK_TRUE("0: not remembered", !asker->result.is_remembered);
    recipient_prober_forget(probing.prober);
    asker = ask(&probing, "a@d.example");
    wait_for_all(&probing);
    CHECK_TRUE("forgotten", !asker->result.is_remembered);
    probing_clear(&probing);
}

static void test_a_server_that_is_down(void **state)
{
    struct probing probing;
    struct asker *asker;

    (void)state;
    probing_init(&probing, &usual, 1);
    listener_close(&probing.world.hops[0].listener);
    for (unsigned i = 0; i < 6; i++) {
        char address[40];

        snprintf(address, sizeof address, "%u@d.example", i);
        ask(&probing, address);
    }
    wait_for_all(&probing);
    for (unsigned i = 0; i < 6; i++) {
        CHECK_INT("nobody knows", probing.askers[i].result.verdict, PROBE_UNKNOWN);
        CHECK_TEXT("why", probing.askers[i].result.why, "down");
    }
    asker = ask(&probing, "x@d.example");
    CHECK_INT("at once", asker->answers, 1);
    CHECK_TEXT("at once, why", asker->result.why, "down");
    run_for(&probing.world, PROBE_DOWN_MS + 50);
    asker = ask(&probing, "x@d.example");
    CHECK_INT("tried again", asker->answers, 0);
    wait_for_all(&probing);
    run_for(&probing.world, PROBE_DOWN_MS + 50);
    asker = ask(&probing, "x@d.example");
    CHECK_INT("the second time it is left alone for longer", asker->answers, 1);
    probing_clear(&probing);
}

static void test_a_server_that_is_silent(void **state)
{
    static const struct hop_script silent = {.rcpt = {"-"}};
    struct probing probing;
    struct asker *asker;

    (void)state;
    probing_init(&probing, &silent, 1);
    for (unsigned i = 0; i < PROBE_CONNECTIONS + 2; i++) {
        char address[40];

        snprintf(address, sizeof address, "%u@d.example", i);
        ask_for(&probing, address, 100, 60000, 60000);
    }
    wait_for_all(&probing);
    for (unsigned i = 0; i < PROBE_CONNECTIONS + 2; i++) {
        CHECK_INT("answers", probing.askers[i].answers, 1);
        CHECK_INT("nobody knows", probing.askers[i].result.verdict, PROBE_UNKNOWN);
    }
    CHECK_TEXT("the first", probing.askers[0].result.why, "timeout");
    asker = ask(&probing, "x@d.example");
    CHECK_INT("left alone", asker->answers, 1);
    probing_clear(&probing);
}

static void test_who_has_gone_is_not_told(void **state)
{
    struct probing probing;
    struct asker *asker;

    (void)state;
    probing_init(&probing, &usual, 1);
    asker = ask(&probing, "a@d.example");
    recipient_probe_cancel(&asker->probe);
    CHECK_TRUE("gone", asker->probe == NULL);
    recipient_probe_cancel(&asker->probe);
    ask(&probing, "b@d.example");
    probing.open--;
    wait_for_all(&probing);
    CHECK_INT("not told", asker->answers, 0);
    CHECK_TRUE("what was being asked is known now",
               ask(&probing, "a@d.example")->result.is_remembered);
    for (unsigned i = 0; i < PROBE_CONNECTIONS + 1; i++) {
        char address[40];

        snprintf(address, sizeof address, "%u@d.example", i);
        asker = ask(&probing, address);
    }
    recipient_probe_cancel(&asker->probe); /* in line */
    probing.open--;
    wait_for_all(&probing);
    asker = ask(&probing, asker->address);
    wait_for_all(&probing);
    CHECK_TRUE("who stood in line was never asked about", !asker->result.is_remembered);
    ask(&probing, "open@d.example"); /* open when all ends */
    probing_clear(&probing);
}

static void test_a_kept_connection_that_ended(void **state)
{
    static const struct hop_script scripts[] = {{.rcpt = {NULL}},
                                                {.rcpt = {"550 5.1.1 no\r\n"}}};
    struct probing probing;
    struct asker *asker;

    (void)state;
    probing_init(&probing, scripts, 2);
    ask(&probing, "a@d.example");
    wait_for_all(&probing);
    hop_close(probing.world.hops[0].open[0]);
    asker = ask(&probing, "b@d.example");
    wait_for_all(&probing);
    CHECK_INT("asked over a new one", asker->result.verdict, PROBE_REFUSED);
    CHECK_INT("connections", probing.world.hops[0].connections, 2);
    probing_clear(&probing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_connections_are_kept),
        cmocka_unit_test(test_a_message_goes_over_it),
        cmocka_unit_test(test_without_pipelining),
        cmocka_unit_test(test_many_at_a_time),
        cmocka_unit_test(test_memory_ends),
        cmocka_unit_test(test_a_server_that_is_down),
        cmocka_unit_test(test_a_server_that_is_silent),
        cmocka_unit_test(test_who_has_gone_is_not_told),
        cmocka_unit_test(test_a_kept_connection_that_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
