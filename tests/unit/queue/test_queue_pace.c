/* How fast the queue goes: attempts at once, pauses, and nobody behind somebody else's trouble. */
#include "queue_world.h"

#include "mail/envelope_record.h"
#include "protocol/dsn_parameter.h"

static struct bytes destination_of(unsigned number)
{
    static char names[4096][24];

    snprintf(names[number], sizeof names[number], "d%u.test", number);
    return bytes_from_text(names[number]);
}

static void on_answer(void *context, const struct queue_answer *said)
{
    (void)context, (void)said;
}

static void submit(size_t loop, uint64_t id, struct bytes destination)
{
    struct content *content = content_from_bytes(BYTES("From: a\r\n\r\nbody\r\n"));
    struct envelope envelope = {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")};
    char address[64];
    struct queue_recipient recipient = {.destination = destination,
                                        .alias = BYTES("info@example.org"),
                                        .sender = BYTES("s@example.org")};
    struct queue_submission submission = {.id = id,
                                          .created_ms = clock_unix_ms(),
                                          .envelope = &envelope,
                                          .content = content,
                                          .recipients = &recipient,
                                          .count = 1};

    snprintf(address, sizeof address, "bob@" BYTES_FMT, BYTES_ARG(destination));
    recipient.address = bytes_from_text(address);
    queue_submit(world.queues[loop], &submission, on_answer, NULL);
    content_drop(&content);
}

static void set_concurrency(unsigned concurrency)
{
    struct queue_options options = world_options();

    options.concurrency = concurrency;
    for (size_t i = 0; i < WORLD_LOOPS; i++) {
        if (world.queues[i] != NULL) {
            queue_set_options(world.queues[i], &options);
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    world_init(1);
    set_concurrency(20);
    return 0;
}

static int set_up_two_loops(void **state)
{
    (void)state;
    world_init(2);
    set_concurrency(20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_clear();
    return 0;
}

static struct bytes one_provider(struct bytes destination)
{
    (void)destination;
    return BYTES("mx1.big.test:25,mx2.big.test:25");
}

/* All attempts that are open now end so. */
static void end_round(void (*attempt)(struct delivery_attempt *attempt))
{
    size_t open = world.attempts_open;

    world.attempt = attempt;
    for (size_t i = 0; i < open; i++) {
        finish_next_attempt();
    }
    world_run();
}

static void attempt_too_much(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_TEMPORARY, 421, "4.7.28", "421 4.7.28 unusual rate of mail");
}

/* It kills the connection behind DATA. */
static void attempt_broken(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_TEMPORARY, 0, "4.4.2", "connection lost in stage dot");
    attempt->report.trouble = DELIVERY_TROUBLE_CONNECTION;
    attempt->report.stage = "dot";
}

static void attempt_too_many_connections(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_TEMPORARY, 421, "4.7.0", "421 4.7.0 too many connections");
    attempt->report.trouble = DELIVERY_TROUBLE_CONNECTION;
    attempt->report.stage = "banner";
}

static void test_more_at_once_while_all_goes_well(void **state)
{
    static const unsigned want[] = {5,  6,  7,  8,  9,  10, 11, 12, 13,
                                    14, 15, 16, 17, 18, 19, 20, 20};

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 300; id++) {
        submit(0, id, BYTES("next.test"));
    }
    world_run();
    for (size_t round = 0; round < COUNT_OF(want); round++) {
        CHECK_INT("open", world.attempts_open, want[round]);
        end_round(attempt_sent);
    }
}

static void test_half_as_many_after_a_failure(void **state)
{
    (void)state;
    world_start();
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 300; id++) {
        submit(0, id, BYTES("next.test"));
    }
    world_run();
    for (size_t round = 0; round < 15; round++) {
        end_round(attempt_sent);
    }
    CHECK_INT("all that may be", world.attempts_open, 20);
    world.attempt = attempt_too_many_connections;
    finish_next_attempt(); /* two of one round: once */
    finish_next_attempt();
    end_round(attempt_sent);
    CHECK_INT("half", world.attempts_open, 10);
    CHECK_INT("no pause: the others were good", world_lines_with("destination-paused", ""), 0);
    end_round(attempt_sent);
    CHECK_INT("one more", world.attempts_open, 11);
}

static void test_a_message_that_breaks_the_connection_is_alone(void **state)
{
    (void)state;
    world_start();
    submit(0, 1, BYTES("next.test"));
    world.attempt = attempt_broken;
    world_run();
    for (unsigned hour = 0; hour < 3; hour++) {
        CHECK_INT("no pause", world_lines_with("destination-paused", ""), 0);
        world.attempt = attempt_sent;
        submit(0, 10 + hour, BYTES("next.test"));
        world_run();
        CHECK_INT("others go out at once", world_open_rows(), 1);
        world.attempt = attempt_broken;
        world_advance(3600 * 1000);
    }
    submit(0, 20, BYTES("next.test"));
    world_run();
    CHECK_INT("a second one in a row", world_lines_with("destination-paused", "failures=1"), 1);
}

static void test_too_much_pauses_all_when_a_second_hears_it(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_too_much;
    submit(0, 1, BYTES("next.test"));
    world_run();
    CHECK_INT("one", world_lines_with("destination-paused", ""), 0);
    CHECK_INT("said", world_lines_with("deferred", "class=rate-limit"), 1);
    submit(0, 2, BYTES("next.test"));
    world_run();
    CHECK_INT("two", world_lines_with("destination-paused", "failures=1"), 1);
    world_forget_counts();
    for (uint64_t id = 3; id <= 30; id++) {
        submit(0, id, BYTES("next.test"));
    }
    world_advance(30 * 1000);
    CHECK_INT("nothing meanwhile", world.attempts_started, 0);
    world_advance(40 * 1000);
    CHECK_INT("one asks again", world.attempts_started, 1);
    CHECK_INT("longer", world_lines_with("destination-paused", "failures=2"), 1);
    world.attempt = attempt_sent;
    world_advance(2000 * 1000);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_one_recipient_that_gets_too_much_stops_nobody(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_greylisted;
    for (uint64_t id = 1; id <= 20; id++) {
        submit(0, id, BYTES("next.test"));
    }
    world_run();
    CHECK_INT("all were tried", world.attempts_started, 20);
    CHECK_INT("no pause", world_lines_with("destination-paused", ""), 0);
}

static void test_domains_of_one_provider_share_its_window(void **state)
{
    (void)state;
    world.hosts = one_provider;
    world.is_attempt_held = true;
    for (unsigned i = 0; i < 400; i++) {
        submit(0, i + 1, destination_of(i));
    }
    world_run();
    CHECK_INT("as one destination", world.attempts_open, 5);
    for (size_t round = 0; round < 40 && world_open_rows() > 0; round++) {
        end_round(attempt_sent);
        CHECK_TRUE("never more than one may have", world.attempts_open <= 20);
    }
    CHECK_INT("rows left", world_open_rows(), 0);
    CHECK_INT("each once", world.attempts_started, 400);
}

static void test_loops_share_what_a_provider_takes(void **state)
{
    size_t on_first, on_second;

    (void)state;
    world.hosts = one_provider;
    world.is_attempt_held = true;
    for (unsigned i = 0; i < 1000; i++) {
        submit(i % 2, i + 1, destination_of(i));
    }
    world_run();
    for (size_t round = 0; round < 100 && world_open_rows() > 0; round++) {
        CHECK_TRUE("in all", world.attempts_open <= 20 + 1);
        end_round(attempt_sent);
    }
    on_first = world.outbounds[0].started;
    on_second = world.outbounds[1].started;
    CHECK_TRUE("both had their share", on_first > 200 && on_second > 200);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_domains_of_one_provider_pause_together(void **state)
{
    (void)state;
    world_start();
    world.hosts = one_provider;
    world.attempt = attempt_unreachable;
    for (unsigned i = 0; i < 200; i++) {
        submit(0, i + 1, destination_of(i));
    }
    world_run();
    CHECK_TRUE("few find out", world.attempts_started <= 5);
    CHECK_INT("one pause", world_lines_with("destination-paused", ""), 1);
    submit(0, 900, destination_of(900));
    world_run();
    CHECK_TRUE("one that comes later waits with them", world.attempts_started <= 5);
    world_forget_counts();
    world_advance(62 * 1000);
    CHECK_INT("one asks again", world.attempts_started, 1);
    CHECK_INT("for all", world_lines_with("destination-paused", "failures=2"), 1);
    world.attempt = attempt_sent;
    world_advance(400 * 1000);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static size_t delivered_to(const char *name)
{
    return world_lines_with("delivered", name);
}

static bool end_one_but(struct bytes slow)
{
    for (struct list *node = world.attempts.next; node != &world.attempts; node = node->next) {
        struct delivery_attempt *attempt = list_owner(node, struct delivery_attempt, link);
        if (!attempt->is_done && !bytes_equal(attempt->request.destination, slow)) {
            attempt->is_done = true;
            attempt_sent(attempt);
            attempt->on_done(attempt->context);
            return true;
        }
    }
    return false;
}

static void end_all_but(struct bytes slow)
{
    while (end_one_but(slow)) {
        world_run();
    }
}

/* A backlog of a hundred thousand for one destination that never ends an attempt, then for one that
 * cannot be reached: mail for others goes out before any time has passed. */
static void test_a_backlog_delays_nobody_else(void **state)
{
    enum { BACKLOG = 100 * 1000 };
    struct content *content = content_from_bytes(BYTES("From: a\r\n\r\n"));
    struct envelope envelope = {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")};
    struct spool_message message = {.created_ms = clock_unix_ms(), .content = content};
    struct strbuf record;
    uint64_t before;

    (void)state;
    strbuf_init(&record, 4096);
    envelope_record_write(&record, &envelope);
    message.envelope = strbuf_bytes(&record);
    for (uint32_t i = 0; i < BACKLOG; i++) {
        message.id = 1000 + i;
        world_add_message(&message);
        world_add_row(&(struct spool_delivery){.message = 1000 + i,
                                               .destination = BYTES("slow.test"),
                                               .recipient = BYTES("x@slow.test"),
                                               .created_ms = clock_unix_ms(),
                                               .next_attempt_ms = clock_unix_ms()});
    }
    strbuf_clear(&record);
    content_drop(&content);
    world.is_attempt_held = true;
    world_start();
    CHECK_INT("it is slow", world.attempts_open, 5);
    before = world.now_ms;
    for (unsigned i = 0; i < 100; i++) {
        submit(0, i + 1, destination_of(i));
    }
    world_run();
    end_all_but(BYTES("slow.test"));
    CHECK_INT("still slow", world.attempts_open, 5);
    CHECK_INT("all that are not slow", delivered_to("status=sent"), 100);
    CHECK_INT("no time has passed", world.now_ms - before, 0);
}

/* A thousand slow ones, each for itself: what comes then waits until they are known to be slow, and
 * afterwards not at all. */
static void test_a_thousand_slow_ones_delay_nobody_else(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    for (unsigned i = 0; i < 1000; i++) {
        submit(0, i + 1, destination_of(i));
    }
    world_run();
    CHECK_INT("all at once", world.attempts_open, 1000);
    submit(0, 2000, destination_of(2000));
    world_advance(1900);
    CHECK_INT("no place", world.attempts_open, 1000);
    world_advance(200);
    CHECK_INT("they are slow", world.attempts_open, 1001);
    submit(0, 2001, destination_of(2001));
    world_run();
    CHECK_INT("no time has passed", world.attempts_open, 1002);
    for (uint64_t id = 3000; id < 3010; id++) {
        submit(0, id, destination_of(2002));
    }
    world_run();
    CHECK_INT("and it has as many as ever", world.attempts_open, 1007);
    for (unsigned i = 0; i < 1500; i++) {
        submit(0, 10000 + i, destination_of(2100 + i));
    }
    world_advance(3000);
    for (unsigned i = 0; i < 400; i++) {
        submit(0, 12000 + i, destination_of(3600 + i));
    }
    world_advance(60 * 1000);
    CHECK_INT("there is an end", world.attempts_open, 2000);
    world.is_attempt_held = false;
    world_run();
    CHECK_INT("rows left", world_open_rows(), 0);
}

/* Those that could not be reached are tried again, and find out slowly. */
static void test_those_out_of_reach_leave_places_to_others(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_unreachable;
    for (unsigned i = 0; i < 1500; i++) {
        submit(0, i + 1, destination_of(i));
    }
    world_run();
    CHECK_INT("all have failed", world_lines_with("destination-paused", ""), 1500);
    world.attempt = attempt_sent;
    world.is_attempt_held = true;
    world_advance(62 * 1000);
    CHECK_INT("not all of them", world.attempts_open, 1000);
    for (unsigned i = 0; i < 100; i++) {
        submit(0, 5000 + i, destination_of(2000 + i));
    }
    world_run();
    CHECK_INT("others at once", world.attempts_open, 1100);
    world.is_attempt_held = false;
    world_advance(3600 * 1000);
    CHECK_INT("all come to it", world_open_rows(), 0);
}

static void submit_for_warning(const struct envelope *envelope, unsigned notify)
{
    struct content *content = content_from_bytes(BYTES("From: a\r\n\r\nbody\r\n"));
    struct queue_recipient recipient = {.destination = BYTES("next.test"),
                                        .address = BYTES("bob@next.test"),
                                        .alias = BYTES("info@example.org"),
                                        .sender = BYTES("s@example.org"),
                                        .notify = notify};
    struct queue_submission submission = {.id = 1,
                                          .created_ms = clock_unix_ms(),
                                          .envelope = envelope,
                                          .content = content,
                                          .recipients = &recipient,
                                          .count = 1};
    struct queue_options options = world_options();

    options.warn_ms = 4 * 3600 * 1000;
    queue_set_options(world.queues[0], &options);
    queue_submit(world.queues[0], &submission, on_answer, NULL);
    content_drop(&content);
}

static void attempt_greylisted_next(struct delivery_attempt *attempt)
{
    if (bytes_equal(attempt->request.destination, BYTES("next.test"))) {
        attempt_greylisted(attempt);
    } else {
        attempt_sent(attempt);
    }
}

static void test_senders_are_warned_once(void **state)
{
    static const struct {
        const char *name;
        struct envelope envelope;
        unsigned notify;
        size_t want;
    } cases[] = {
        {"anybody", {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")}, 0, 1},
        {"asked for it",
         {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")},
         DSN_NOTIFY_DELAY,
         1},
        {"asked for failures only",
         {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")},
         DSN_NOTIFY_FAILURE,
         0},
        {"a program",
         {.kind = ENVELOPE_FORWARD,
          .sender = BYTES("a@sender.test"),
          .is_auto_submitted = true},
         0,
         0},
        {"nobody", {.kind = ENVELOPE_FORWARD, .sender = BYTES("")}, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (i > 0) {
            world_clear();
            world_init(1);
        }
        world_start();
        world.attempt = attempt_greylisted_next;
        submit_for_warning(&cases[i].envelope, cases[i].notify);
        world_advance(4 * 3600 * 1000 - 1000);
        CHECK_INT(cases[i].name, world_lines_with("bounce-queued", ""), 0);
        world_advance(30 * 60 * 1000);
        CHECK_INT(cases[i].name, world_lines_with("bounce-queued", "why=delayed"),
                  cases[i].want);
        world_advance(24 * 3600 * 1000);
        CHECK_INT("once", world_lines_with("bounce-queued", ""), cases[i].want);
        if (cases[i].want > 0) {
            CHECK_TRUE(
                "its words",
                strstr(content_memory(world.messages[world.message_count - 1].message.content)
                           .data,
                       "Action: delayed") != NULL);
            CHECK_TRUE(
                "until when",
                strstr(content_memory(world.messages[world.message_count - 1].message.content)
                           .data,
                       "\r\nWill-Retry-Until: ") != NULL);
        }
        CHECK_INT("still tried", world_open_rows(), 1);
    }
}

#define PACE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define LOOPS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_two_loops, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PACE_TEST(test_more_at_once_while_all_goes_well),
        PACE_TEST(test_half_as_many_after_a_failure),
        PACE_TEST(test_a_message_that_breaks_the_connection_is_alone),
        PACE_TEST(test_too_much_pauses_all_when_a_second_hears_it),
        PACE_TEST(test_one_recipient_that_gets_too_much_stops_nobody),
        PACE_TEST(test_domains_of_one_provider_share_its_window),
        LOOPS_TEST(test_loops_share_what_a_provider_takes),
        PACE_TEST(test_domains_of_one_provider_pause_together),
        PACE_TEST(test_a_backlog_delays_nobody_else),
        PACE_TEST(test_a_thousand_slow_ones_delay_nobody_else),
        PACE_TEST(test_those_out_of_reach_leave_places_to_others),
        PACE_TEST(test_senders_are_warned_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
