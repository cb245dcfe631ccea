/* What the servers behind a recipient say of it, and everything that may happen meanwhile. */
#include "support/check.h"

#include "unit/inbound/inbound_world.h"

#define MAIL "MAIL FROM:<s@z.test>\r\n"
#define INFO "RCPT TO:<info@own.test>\r\n"
#define ANNA "RCPT TO:<anna@own.test>\r\n"

static const struct probe_result silence = {.verdict = PROBE_UNKNOWN, .why = "timeout"};

static struct verify_rule rules[] = {{BYTES("x.test"), VERIFY_DEFER},
                                     {BYTES("y.test"), VERIFY_DEFER}};

struct verified {
    struct world world;
    struct recipient_prober prober;
    struct client *client;
};

static void add_aliases(struct verified *verified, const char *text)
{
    struct alias_report report = {fail_on_problem, NULL};

    alias_table_add_text(verified->world.aliases, 0, 0, bytes_from_text(text), &report);
}

static void verified_init(struct verified *verified, size_t rule_count)
{
    *verified = (struct verified){.client = NULL};
    world_init(&verified->world);
    verified->world.options.verify =
        (struct verify_options){.rules = rules, .count = rule_count, .timeout_ms = 10000};
    verified->world.options.limits.unknown_recipients = 0;
    rules[0].on_failure = VERIFY_DEFER;
    inbound_server_set_prober(verified->world.server, &verified->prober);
    verified->client = world_greet(&verified->world);
}

static bool is_asked(void *context)
{
    struct recipient_prober *prober = context;

    return prober->open != NULL;
}

static void ask(struct verified *verified, const char *commands, const char *want)
{
    say(&verified->world, verified->client, commands, want);
    CHECK_TRUE("asked", turn_until(verified->world.loop, is_asked, &verified->prober));
}

static void answer(struct verified *verified, const struct probe_result *result,
                   const char *want)
{
    answer_probe(&verified->prober, result);
    hear(&verified->world, verified->client, "answer", want);
}

static void test_answers(void **state)
{
    struct verified verified;

    (void)state;
    verified_init(&verified, 2);
    ask(&verified, MAIL ANNA "RSET\r\n", "250/2.1.0"); /* what is behind it waits */
    CHECK_TEXT("asked", verified.prober.questions, "anna@x.test x.test");
    answer(&verified, &world_taken, "250/2.1.5 250/2.0.0");
    ask(&verified, MAIL ANNA, "250/2.1.0");
    answer(&verified, &world_refused, "556/5.1.99");
    CHECK_TRUE("the target is hidden",
               bytes_find_part(strbuf_bytes(&verified.client->heard),
                               BYTES("556 5.1.99 <anna@own.test> is not here\r\n")) <
                   verified.client->heard.len);
    ask(&verified, ANNA, "");
    answer(&verified, &silence, "451/4.4.3");
    CHECK_INT("noted", inbound_ledger_noted(verified.world.ledger, LEDGER_REFUSED_THERE), 1);
    CHECK_INT("noted", inbound_ledger_noted(verified.world.ledger, LEDGER_UNVERIFIED), 1);
    rules[0].on_failure = VERIFY_ACCEPT;
    ask(&verified, ANNA, "");
    answer(&verified, &silence, "250/2.1.5");
    world_clear(&verified.world);
}

static void test_nobody_is_asked(void **state)
{
    struct verified verified;

    (void)state;
    verified_init(&verified, 0);
    say(&verified.world, verified.client, MAIL ANNA INFO "RSET\r\n",
        "250/2.1.0 250/2.1.5 250/2.1.5 250/2.0.0");
    verified.world.options.verify.count = 1;
    say(&verified.world, verified.client, MAIL INFO,
        "250/2.1.0 250/2.1.5"); /* bob is elsewhere */
    say(&verified.world, verified.client,
        "RCPT TO:<void@own.test>\r\nRCPT TO:<gone@own.test>\r\n", "250/2.1.5 550/5.1.1");
    inbound_server_set_prober(verified.world.server, NULL);
    say(&verified.world, verified.client, ANNA, "250/2.1.5");
    CHECK_INT("asked", verified.prober.asked, 0);
    world_clear(&verified.world);
}

static void test_targets_in_turn(void **state)
{
    static const struct {
        const char *name;
        const struct probe_result *first, *second; /* NULL: not asked */
        const char *want;
    } cases[] = {
        {"the first takes it", &world_taken, NULL, "250/2.1.5"},
        {"the second does", &world_refused, &world_taken, "250/2.1.5"},
        {"nobody does", &world_refused, &world_refused, "556/5.1.99"},
        {"one does not say", &silence, &world_refused, "451/4.4.3"},
        {"the other one", &world_refused, &silence, "451/4.4.3"},
        {"does not matter", &silence, &world_taken, "250/2.1.5"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct verified verified;

        verified_init(&verified, 2);
        ask(&verified, MAIL INFO, "250/2.1.0");
        if (cases[i].second == NULL) {
            answer(&verified, cases[i].first, cases[i].want);
        } else {
            answer(&verified, cases[i].first, "");
            CHECK_TEXT(cases[i].name, verified.prober.questions,
                       "anna@x.test x.test\nbob@y.test y.test");
            answer(&verified, cases[i].second, cases[i].want);
        }
        world_clear(&verified.world);
    }
}

static void test_what_is_known_waits_for_nobody(void **state)
{
    struct verified verified;

    (void)state;
    verified_init(&verified, 2);
    add_aliases(&verified, "k: known@x.test\nn: known-no@x.test\n"
                           "both: known-no@x.test, known@y.test\n"
                           "mixed: known-no@x.test, carl@y.test\n");
    say(&verified.world, verified.client,
        MAIL "RCPT TO:<k@own.test>\r\nRCPT TO:<n@own.test>\r\nRCPT TO:<both@own.test>\r\n",
        "250/2.1.0 250/2.1.5 556/5.1.99 250/2.1.5");
    ask(&verified, "RCPT TO:<mixed@own.test>\r\n", "");
    answer(&verified, &world_refused, "556/5.1.99");
    world_clear(&verified.world);
}

/* A client that has gone, and a server that ends. */
static void test_sessions_that_end_meanwhile(void **state)
{
    struct verified verified;

    (void)state;
    verified_init(&verified, 2);
    ask(&verified, MAIL ANNA, "250/2.1.0");
    client_reset(verified.client);
    some_turns(&verified.world, 5);
    answer_probe(&verified.prober, &world_taken); /* nobody hears it */
    world_quiet(&verified.world, "reset");
    verified.client = world_greet(&verified.world);
    ask(&verified, MAIL ANNA, "250/2.1.0");
    world_clear(&verified.world); /* the server ends */
    CHECK_INT("cancelled", verified.prober.cancelled, 1);
    CHECK_TRUE("nothing is open", verified.prober.open == NULL);
}

/* Each refusal counts, as for an address that does not exist here. */
static void test_guessing_ends_the_session(void **state)
{
    struct verified verified;

    (void)state;
    verified_init(&verified, 2);
    verified.world.options.limits.unknown_recipients = 2;
    add_aliases(&verified, "n: known-no@x.test\n");
    say(&verified.world, verified.client, MAIL "RCPT TO:<n@own.test>\r\n",
        "250/2.1.0 556/5.1.99");
    say(&verified.world, verified.client, "RCPT TO:<n@own.test>\r\n", "421/4.7.0 end");
    world_clear(&verified.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_nobody_is_asked),
        cmocka_unit_test(test_targets_in_turn),
        cmocka_unit_test(test_what_is_known_waits_for_nobody),
        cmocka_unit_test(test_sessions_that_end_meanwhile),
        cmocka_unit_test(test_guessing_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
