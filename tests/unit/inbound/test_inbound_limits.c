/* How much a client may do, as its sessions on several loops count it. */
#include "support/check.h"

#include "unit/inbound/inbound_world.h"

static void mail_and_rset(struct world *world, struct client *client, const char *want)
{
    say(world, client, "MAIL FROM:<a@x.test>\r\n", want);
    say(world, client, "RSET\r\n", "250/2.0.0");
}

static void test_sessions_share_what_a_client_may(void **state)
{
    struct client *first, *second;
    struct world world;

    (void)state;
    world_init(&world);
    world.options.limits.messages = 3;
    first = world_greet(&world);
    second = world_greet(&world);
    mail_and_rset(&world, first, "250/2.1.0");
    mail_and_rset(&world, second, "250/2.1.0");
    mail_and_rset(&world, first, "250/2.1.0");
    say(&world, first, "MAIL FROM:<a@x.test>\r\n", "451/4.7.1");
    say(&world, second, "MAIL FROM:<a@x.test>\r\n", "451/4.7.1");
    say(&world, second, "RCPT TO:<info@own.test>\r\n", "503/5.5.1"); /* nothing has begun */
    CHECK_INT("noted", inbound_ledger_noted(world.ledger, LEDGER_MESSAGE_RATE), 2);
    world_clear(&world);
}

static void test_recipients_a_minute(void **state)
{
    struct client *client;
    struct world world;

    (void)state;
    world_init(&world);
    world.options.limits.recipients = 2;
    client = world_greet(&world);
    say(&world, client,
        "MAIL FROM:<a@x.test>\r\nRCPT TO:<info@own.test>\r\nRCPT TO:<nobody@own.test>\r\n"
        "RCPT TO:<anna@own.test>\r\nDATA\r\n",
        "250/2.1.0 250/2.1.5 550/5.1.1 451/4.7.1 354");
    say(&world, client, "Subject: x\r\n\r\n.\r\n", "250/2.0.0"); /* for whoever was accepted */
    CHECK_INT("noted", inbound_ledger_noted(world.ledger, LEDGER_RECIPIENT_RATE), 1);
    world_clear(&world);
}

/* However a session ends, it is not counted any more (world_quiet). */
static void test_counts_come_back(void **state)
{
    struct client *client;
    struct world world;

    (void)state;
    world_init(&world);
    client = world_greet(&world);
    CHECK_INT("there", inbound_ledger_sessions(world.ledger), 1);
    say(&world, client, "QUIT\r\n", "221/2.0.0 end");
    world_quiet(&world, "quit");
    client_end(world_greet(&world));
    world_quiet(&world, "closed");
    client_reset(world_greet(&world));
    world_quiet(&world, "reset");
    world.options.limits.bad_signatures = 1;
    client = world_greet(&world);
    say(&world, client, "MAIL FROM:<>\r\nRCPT TO:<SRS0=AAAAAAAA=AA=x.test=y@srs.test>\r\n",
        "250/2.1.0 421/4.7.0 end");
    world_quiet(&world, "sent away");
    CHECK_INT("noted", inbound_ledger_noted(world.ledger, LEDGER_BAD_SIGNATURES), 1);
    world_clear(&world);
}

/* The answer waits, and with it what was said behind it; nobody else does. */
static void test_late_answers(void **state)
{
    struct client *slow, *other;
    struct world world;

    (void)state;
    world_init(&world);
    world.options.limits.unknown_recipients = 3;
    world.options.limits.delay_ms = 50;
    slow = world_greet(&world);
    other = world_greet(&world);
    say(&world, slow, "MAIL FROM:<a@x.test>\r\n", "250/2.1.0");
    client_send(&world, slow, BYTES("RCPT TO:<n1@own.test>\r\nRCPT TO:<info@own.test>\r\n"));
    say(&world, other, "NOOP\r\n", "250/2.0.0");
    hear(&world, slow, "at last", "550/5.1.1 250/2.1.5");
    client_send(&world, slow, BYTES("RCPT TO:<n2@own.test>\r\n"));
    client_reset(slow); /* while its answer waits */
    say(&world, other, "QUIT\r\n", "221/2.0.0 end");
    world_quiet(&world, "all gone");
    world_clear(&world);
}

static void test_budget_of_a_session(void **state)
{
    struct client *client;
    struct world world;

    (void)state;
    world_init(&world);
    world.options.limits.unknown_recipients = 2;
    world.options.errors = 3;
    client = world_greet(&world);
    /* One accepted recipient is worth one unknown one; none of them is an error. */
    say(&world, client,
        "MAIL FROM:<a@x.test>\r\nRCPT TO:<info@own.test>\r\nRCPT TO:<n1@own.test>\r\n"
        "RCPT TO:<n2@own.test>\r\nDATA\r\n",
        "250/2.1.0 250/2.1.5 550/5.1.1 550/5.1.1 354");
    say(&world, client, "Subject: x\r\n\r\n.\r\n", "250/2.0.0");
    say(&world, client,
        "MAIL FROM:<a@x.test>\r\nRCPT TO:<info@own.test>\r\nRCPT TO:<n3@own.test>\r\nRSET\r\n",
        "250/2.1.0 250/2.1.5 550/5.1.1 250/2.0.0");
    say(&world, client, "MAIL FROM:<a@x.test>\r\nRCPT TO:<n4@own.test>\r\n",
        "250/2.1.0 421/4.7.0 end");
    world_quiet(&world, "sent away");
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_share_what_a_client_may),
        cmocka_unit_test(test_recipients_a_minute),
        cmocka_unit_test(test_counts_come_back),
        cmocka_unit_test(test_late_answers),
        cmocka_unit_test(test_budget_of_a_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
