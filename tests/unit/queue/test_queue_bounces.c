#include "queue_world.h"

/*
 * Who is told of a failure, who is not, and what becomes of the mail then.
 */

static struct envelope envelope;
static struct queue_options options;

static const struct queue_recipient plain = {.destination = BYTES("next.test"),
                                             .address = BYTES("bob@next.test"),
                                             .alias = BYTES("info@example.org"),
                                             .sender = BYTES("s@e.org")};

static int set_up(void **state)
{
    (void)state;
    world_init(1);
    envelope =
        (struct envelope){.kind = ENVELOPE_FORWARD, .sender = BYTES("Alice@Sender.test")};
    options = world_options();
    world.attempt = attempt_unknown;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_clear();
    return 0;
}

static void on_answer(void *context, const struct queue_answer *said)
{
    *(enum queue_verdict *)context = said->verdict;
}

static enum queue_verdict submit_with(uint64_t id, const struct queue_recipient *recipients,
                                      size_t count, uint64_t handoff_ms)
{
    struct content *content = content_from_bytes(BYTES("Subject: hello\r\n\r\nbody\r\n"));
    struct queue_submission submission = {.id = id,
                                          .created_ms = clock_unix_ms(),
                                          .envelope = &envelope,
                                          .content = content,
                                          .recipients = recipients,
                                          .count = count,
                                          .handoff_ms = handoff_ms};
    enum queue_verdict verdict = QUEUE_FAILED;

    queue_set_options(world.queues[0], &options);
    queue_submit(world.queues[0], &submission, on_answer, &verdict);
    content_drop(&content);
    world_run();
    return verdict;
}

static void submit(uint64_t id, const struct queue_recipient *recipient)
{
    CHECK_INT("safe", submit_with(id, recipient, 1, 0), QUEUE_SAFE);
}

static void test_only_the_proven_are_told(void **state)
{
    static const struct {
        const char *name;
        enum bounce_policy policy;
        bool is_proven, is_own, is_told;
        const char *why;
    } cases[] = {
        {"not proven", BOUNCE_PROVEN, false, true, false, "why=sender-not-proven"},
        {"proven", BOUNCE_PROVEN, true, false, true, "why=permanent-failure"},
        {"proven, not own", BOUNCE_OWN_DOMAINS, true, false, false, "why=not-own-domain"},
        {"proven and own", BOUNCE_OWN_DOMAINS, true, true, true, "why=permanent-failure"},
        {"nobody", BOUNCE_NONE, true, true, false, "why=bounces-off"},
        {"all", BOUNCE_ALL, false, false, true, "why=permanent-failure"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t held = world_lines_with("held id", cases[i].why);
        size_t bounces = world_lines_with("bounce-queued", "");

        options.bounces = cases[i].policy;
        envelope.is_proven = cases[i].is_proven;
        envelope.is_own_sender = cases[i].is_own;
        submit(i + 1, &plain);
        CHECK_INT(cases[i].name, world_lines_with("bounce-queued", "") - bounces,
                  cases[i].is_told);
        CHECK_INT(cases[i].name, world_lines_with("held id", cases[i].why) - held,
                  !cases[i].is_told);
    }
}

static void test_what_is_not_bounced_is_held_for_a_time(void **state)
{
    const struct spool_delivery *row = NULL;

    (void)state;
    world_start();
    options.bounces = BOUNCE_PROVEN;
    submit(1, &plain);
    row = &world.rows[0].delivery;
    CHECK_INT("one row", world_open_rows(), 1);
    CHECK_INT("state", row->state, SPOOL_UNBOUNCED);
    CHECK_INT("since now", row->next_attempt_ms, clock_unix_ms());
    CHECK_BYTES("reason", row->last_reply,
                BYTES("550 5.1.1 no such user (not bounced: sender not proven)"));
    CHECK_INT("no bounce", world.message_count, 1);
    for (int hours = 0; hours < 7 * 24 - 1; hours++) {
        world_advance(3600 * 1000);
    }
    CHECK_INT("still there", world_open_rows(), 1);
    CHECK_INT("tried once", world.attempts_started, 1);
    world_advance(3700 * 1000);
    world_advance(120 * 1000);
    CHECK_INT("gone", world_open_rows(), 0);
    CHECK_INT("line", world_lines_with("dropped id=0000000000001", "why=hold-over"), 1);
}

static void test_held_not_at_all(void **state)
{
    (void)state;
    options.bounces = BOUNCE_NONE;
    options.hold_ms = 0;
    submit(1, &plain);
    CHECK_INT("gone", world_open_rows(), 0);
    CHECK_INT("line", world_lines_with("dropped", "why=bounces-off"), 1);
}

static void test_only_so_many_a_day(void **state)
{
    static struct queue_recipient recipient;

    (void)state;
    recipient = plain;
    queue_set_count_bounces(world.set, (struct state_store *)&world);
    for (uint64_t id = 1; id <= WORLD_BOUNCE_LIMIT + 2; id++) {
        submit(id, &recipient);
    }
    CHECK_INT("bounces", world_lines_with("bounce-queued", ""), WORLD_BOUNCE_LIMIT);
    CHECK_INT("the rest is held", world_lines_with("held", "why=bounce-limit"), 2);
    CHECK_INT("bounces of bounces are not counted", world.state_counts, WORLD_BOUNCE_LIMIT + 2);
    world.state_status = STATE_FAILED;
    submit(100, &recipient);
    CHECK_INT("uncounted, so told", world_lines_with("bounce-queued", ""),
              WORLD_BOUNCE_LIMIT + 1);
}

static void test_those_who_want_silence_get_it(void **state)
{
    struct queue_recipient recipients[] = {plain, plain};

    (void)state;
    recipients[0].notify = DSN_NOTIFY_NEVER;
    submit(1, &recipients[0]);
    CHECK_INT("never", world_open_rows(), 0);
    CHECK_INT("line", world_lines_with("dropped", "why=not-wanted"), 1);
    recipients[0].notify = DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY;
    recipients[0].alias = BYTES("quiet@example.org");
    CHECK_INT("two", submit_with(2, recipients, 2, 0), QUEUE_SAFE);
    CHECK_INT("one bounce", world_lines_with("bounce-queued", "bounce_of=0000000000002"), 1);
    CHECK_TRUE(
        "about the other one only",
        strstr(content_memory(world.messages[world.message_count - 1].message.content).data,
               "quiet@") == NULL);
}

/* ---- what the sender wants to hear of ---- */

static bool last_message_says(const char *text)
{
    const struct world_message *message = &world.messages[world.message_count - 1];

    return strstr(content_memory(message->message.content).data, text) != NULL;
}

static void attempt_passed_on(struct delivery_attempt *attempt)
{
    attempt_sent(attempt);
    attempt->request.recipients[0].is_dsn_passed = true;
}

static void test_success_is_told_where_the_next_hop_will_not(void **state)
{
    struct queue_recipient recipient = plain;

    (void)state;
    recipient.notify = DSN_NOTIFY_SUCCESS;
    recipient.orcpt = BYTES("rfc822;info+2Bx@example.org");
    envelope.envid = BYTES("id+2B1");
    world.attempt = attempt_sent;
    CHECK_INT("written first", submit_with(1, &recipient, 1, 15000), QUEUE_SAFE);
    CHECK_INT("told", world_lines_with("bounce-queued", "why=relayed"), 1);
    CHECK_TRUE("action", last_message_says("Action: relayed\r\n"));
    CHECK_TRUE("recipient",
               last_message_says("Original-Recipient: rfc822; info+x@example.org"));
    CHECK_TRUE("envelope", last_message_says("Original-Envelope-Id: id+1\r\n"));
    CHECK_TRUE("hidden", !last_message_says("bob@next.test"));
    world.attempt = attempt_passed_on;
    submit(2, &recipient);
    CHECK_INT("told there", world_lines_with("bounce-queued", ""), 1);
    options.bounces = BOUNCE_PROVEN;
    world.attempt = attempt_sent;
    submit(3, &recipient);
    CHECK_INT("not to strangers", world_lines_with("bounce-queued", ""), 1);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void attempt_half(struct delivery_attempt *attempt)
{
    attempt_sent(attempt);
    if (attempt->request.count == 2) {
        struct delivery_recipient *recipient = &attempt->request.recipients[1];
        recipient->outcome = DELIVERY_PERMANENT;
        recipient->code = 552;
        snprintf(recipient->enhanced, sizeof recipient->enhanced, "5.2.2");
        recipient->text = BYTES("552 5.2.2 over quota");
        recipient->class = REPLY_CLASS_MAILBOX_FULL;
    }
}

static void test_one_report_tells_both(void **state)
{
    struct queue_recipient recipients[] = {plain, plain};

    (void)state;
    recipients[0].notify = DSN_NOTIFY_SUCCESS;
    recipients[1].alias = BYTES("full@example.org");
    world.attempt = attempt_half;
    CHECK_INT("two", submit_with(1, recipients, 2, 0), QUEUE_SAFE);
    CHECK_INT("one report", world_lines_with("bounce-queued", ""), 1);
    CHECK_TRUE("relayed", last_message_says("Action: relayed\r\n"));
    CHECK_TRUE("failed", last_message_says("Action: failed\r\nStatus: 5.2.2\r\n"));
    CHECK_TRUE("explained",
               last_message_says(reply_class_explanation(REPLY_CLASS_MAILBOX_FULL)));
}

/* ---- what only the log may say ---- */

static void attempt_refused_connection(struct delivery_attempt *attempt)
{
    attempt_unreachable(attempt);
    attempt->request.recipients[0].text =
        BYTES("connect: refused [mx.next.test (192.0.2.1:25)]");
    attempt->report.host = BYTES("mx.next.test");
}

static void test_our_own_reasons_name_no_target(void **state)
{
    (void)state;
    options.retry.expire_seconds = 1; /* the first attempt is the last */
    world.attempt = attempt_refused_connection;
    submit(1, &plain);
    CHECK_INT("the log has it", world_lines_with("bounced", "mx.next.test (192.0.2.1:25)"), 1);
    CHECK_TRUE("reason", last_message_says("connect: refused\r\n"));
    CHECK_TRUE("no host, no domain", !last_message_says("next.test"));
    CHECK_TRUE("no address", !last_message_says("192.0.2.1"));
}

static void attempt_too_much_for_eve(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_TEMPORARY, 421, "4.7.0",
                "421 4.7.0 no more for eve@next.test");
    attempt->report.trouble = DELIVERY_TROUBLE_CONNECTION;
    attempt->report.stage = "banner";
}

/* What is not tried any more fails with the words its destination was left with, and these may be about
 * other people. */
static void test_expired_in_a_pause_somebody_else_brought_about(void **state)
{
    struct queue_recipient eve = plain;

    (void)state;
    world_start();
    options.retry.expire_seconds = 30; /* before the pause is over */
    options.concurrency = 1;
    eve.address = BYTES("eve@next.test");
    world.attempt = attempt_too_much_for_eve;
    world.is_attempt_held = true;
    submit(1, &eve);
    submit(2, &plain); /* waits behind it */
    world.is_attempt_held = false;
    world_advance(1000);
    CHECK_INT("never tried", world_lines_with("bounced id=0000000000002", "attempts=0"), 1);
    CHECK_INT("told", world_lines_with("bounce-queued", "bounce_of=0000000000002"), 1);
    CHECK_TRUE("of this one", last_message_says("X-Postilion-Message-ID: 0000000000002"));
    CHECK_TRUE("reason", last_message_says("the next hop took no mail"));
    CHECK_TRUE("names nobody else", !last_message_says("eve@"));
}

/* ---- fallback ---- */

static void attempt_by_address(struct delivery_attempt *attempt)
{
    if (bytes_equal(attempt->request.recipients[0].address, BYTES("bob@next.test"))) {
        attempt_unknown(attempt);
    } else {
        attempt_sent(attempt);
    }
}

static struct queue_recipient with_fallback(void)
{
    struct queue_recipient recipient = plain;

    recipient.fallback = BYTES("box@other.test");
    return recipient;
}

static void test_refused_goes_to_the_fallback(void **state)
{
    struct queue_recipient recipient = with_fallback();

    (void)state;
    world_start();
    world.attempt = attempt_by_address;
    submit(1, &recipient);
    world_advance(1000);
    CHECK_INT("two attempts", world.attempts_started, 2);
    CHECK_INT("delivered there",
              world_lines_with("delivered", "to=<box@other.test> orig_to=<info@example.org>"),
              1);
    CHECK_INT("line", world_lines_with("redirected", "fallback=<box@other.test>"), 1);
    CHECK_INT("no bounce", world.message_count, 1);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_fallback_has_no_fallback(void **state)
{
    struct queue_recipient recipient = with_fallback();

    (void)state;
    world_start();
    submit(1, &recipient);
    world_advance(1000);
    CHECK_INT("once", world_lines_with("redirected", ""), 1);
    CHECK_INT("then it has failed", world_lines_with("bounced", "to=<box@other.test>"), 1);
    CHECK_TRUE("hidden", strstr(content_memory(world.messages[1].message.content).data,
                                "box@other.test") == NULL);
}

static void test_client_is_not_refused_what_has_a_fallback(void **state)
{
    struct queue_recipient recipient = with_fallback();

    (void)state;
    world_start();
    world.attempt = attempt_by_address;
    CHECK_INT("stored first", submit_with(1, &recipient, 1, 15000), QUEUE_SAFE);
    world_advance(1000);
    CHECK_INT("delivered there", world_lines_with("delivered", "to=<box@other.test>"), 1);
    CHECK_INT("rows left", world_open_rows(), 0);
}

/* Bob is unknown, the others are not. */
static void attempt_without_bob(struct delivery_attempt *attempt)
{
    attempt_sent(attempt);
    for (size_t i = 0; i < attempt->request.count; i++) {
        struct delivery_recipient *recipient = &attempt->request.recipients[i];
        if (bytes_equal(recipient->address, plain.address)) {
            recipient->outcome = DELIVERY_PERMANENT;
            recipient->code = 550;
            snprintf(recipient->enhanced, sizeof recipient->enhanced, "5.1.1");
            recipient->text = BYTES("550 5.1.1 no such user");
        }
    }
}

static void test_bounce_about_a_recipient_that_was_deleted(void **state)
{
    struct queue_recipient recipients[] = {plain, plain, plain};

    (void)state;
    envelope.is_proven = true;
    recipients[0].address = BYTES("ann@next.test");
    recipients[2].address = BYTES("carl@next.test");
    for (uint64_t is_deleted = 0; is_deleted <= 1; is_deleted++) {
        world_clear();
        world_init(1);
        world_start();
        world.attempt = attempt_without_bob;
        world.is_attempt_held = true;
        CHECK_INT("safe", submit_with(1, recipients, 3, 0), QUEUE_SAFE);
        if (is_deleted) {
            find_row(1, 1)->is_open = false;
            queue_set_refresh(world.set, 1);
        }
        world.is_attempt_held = false;
        world_advance(1000);
        CHECK_INT("told", world_lines_with("bounce-queued", ""), !is_deleted);
        CHECK_INT("the others are sent", world_lines_with("delivered", "to=<"),
                  2 + !is_deleted);
        CHECK_INT("rows left", world_open_rows(), 0);
    }
}

#define BOUNCE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOUNCE_TEST(test_only_the_proven_are_told),
        BOUNCE_TEST(test_what_is_not_bounced_is_held_for_a_time),
        BOUNCE_TEST(test_held_not_at_all),
        BOUNCE_TEST(test_only_so_many_a_day),
        BOUNCE_TEST(test_those_who_want_silence_get_it),
        BOUNCE_TEST(test_success_is_told_where_the_next_hop_will_not),
        BOUNCE_TEST(test_one_report_tells_both),
        BOUNCE_TEST(test_bounce_about_a_recipient_that_was_deleted),
        BOUNCE_TEST(test_our_own_reasons_name_no_target),
        BOUNCE_TEST(test_expired_in_a_pause_somebody_else_brought_about),
        BOUNCE_TEST(test_refused_goes_to_the_fallback),
        BOUNCE_TEST(test_fallback_has_no_fallback),
        BOUNCE_TEST(test_client_is_not_refused_what_has_a_fallback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
