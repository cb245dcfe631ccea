/*
 * Rows that would be waited for in vain: their route has changed, their content is gone, their time
 * was set by a clock that was wrong.
 */
#include "queue_world.h"

#include "mail/envelope_record.h"

static void on_answer(void *context, const struct queue_answer *answer)
{
    *(enum queue_verdict *)context = answer->verdict;
}

static void submit(uint64_t id, struct bytes destination)
{
    struct content *content = content_from_bytes(BYTES("Subject: x\r\n\r\n"));
    struct envelope envelope = {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")};
    struct queue_recipient recipients[] = {
        {.destination = destination,
         .address = BYTES("bob@next.test"),
         .alias = BYTES("info@example.org")},
        {.destination = destination,
         .address = BYTES("eve@other.test"),
         .alias = BYTES("info@example.org")},
    };
    struct queue_submission submission = {.id = id,
                                          .created_ms = clock_unix_ms(),
                                          .envelope = &envelope,
                                          .content = content,
                                          .recipients = recipients,
                                          .count = 2};
    enum queue_verdict verdict = QUEUE_FAILED;

    queue_submit(world.queues[0], &submission, on_answer, &verdict);
    content_drop(&content);
    world_run();
    CHECK_INT("submitted", verdict, QUEUE_SAFE);
}

static int set_up(void **state)
{
    (void)state;
    world_init(1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_routes = (struct delivery_route_table){0};
    world_clear();
    return 0;
}

static void restart_after_stop(size_t loops)
{
    world_forget_counts();
    world_boot(loops);
    world.is_attempt_held = false;
    world_start();
    world_run();
}

static void restart(size_t loops)
{
    world_stop();
    restart_after_stop(loops);
}

static void check_moved(size_t lines)
{
    CHECK_INT("said", world_lines_with("rerouted", "why=route-changed"), lines);
    CHECK_INT("by its domain", world_lines_with("delivered", "bob@next.test"), 1);
    CHECK_INT("by its domain", world_lines_with("delivered", "eve@other.test"), 1);
    CHECK_INT("no attempt counted", world_lines_with("delivered", "attempts=1"), 2);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_route_that_is_gone_was_waited_for_for_ever(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    submit(1, BYTES("route:smart.test"));
    restart(2); /* the new owners may be other loops */
    check_moved(2);
    CHECK_INT("an attempt for each domain", world.attempts_started, 2);
}

static void test_route_that_is_new_was_not_taken(void **state)
{
    static const struct delivery_route routes[] = {
        {.domain = BYTES("next.test"), .destination = BYTES("smart.test")}};

    (void)state;
    world.is_attempt_held = true;
    submit(1, BYTES("other.test")); /* right for one of the two only */
    world_routes = (struct delivery_route_table){routes, 1};
    restart(1);
    world_advance(2000);
    check_moved(2);
    CHECK_INT("to", world_lines_with("rerouted", "destination=route:smart.test"), 1);
    CHECK_INT("to", world_lines_with("rerouted", "destination=other.test"), 1);
}

static void test_reload_without_a_dead_route_waited_for_its_pause(void **state)
{
    static const struct delivery_route routes[] = {
        {.domain = BYTES("*"), .destination = BYTES("smart.test")}};
    struct queue_options options;
    void (*attempt_well)(struct delivery_attempt * attempt) = world.attempt;

    (void)state;
    world_start();
    world_routes = (struct delivery_route_table){routes, 1};
    world.attempt = attempt_unreachable;
    submit(1, BYTES("route:smart.test"));
    submit(2, BYTES("route:smart.test"));
    CHECK_INT("paused", world_lines_with("destination-paused", "route:smart.test"), 1);
    CHECK_INT("one attempt", world.attempts_started, 1);
    world.attempt = attempt_well;
    world_routes = (struct delivery_route_table){0};
    options = world_options();
    queue_set_options(world.queues[0], &options);
    world_run();
    CHECK_INT("the second did not wait", world_lines_with("delivered", "attempts=1"), 2);
    world_advance(120 * 1000);
    CHECK_INT("the first in its time", world_lines_with("delivered", "attempts=2"), 2);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_content_that_is_gone_was_read_every_second(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    submit(1, BYTES("next.test"));
    world_stop();
    content_drop(&world.messages[0].message.content);
    world_forget_counts();
    world_boot(1);
    world_start();
    world_advance(10 * 1000);
    CHECK_INT("not tried", world.attempts_started, 0);
    CHECK_INT("said once for each", world_lines_with("held", "why=content-missing"), 2);
    CHECK_INT("rows stay", world_open_rows(), 2);
}

/* The clock stood in the next year when they were put off; now it is right. */
static void test_attempt_set_by_a_clock_ahead_was_waited_for(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    submit(1, BYTES("next.test"));
    world_stop();
    for (size_t i = 0; i < world.row_count; i++) {
        world.rows[i].delivery.next_attempt_ms += INT64_C(365) * 86400 * 1000;
    }
    restart_after_stop(1);
    CHECK_INT("said", world_lines_with("brought-forward", "destination=next.test"), 1);
    world_advance(60 * 1000 + 1000);
    CHECK_INT("delivered", world_lines_with("delivered", "attempts=1"), 2);
    CHECK_INT("rows left", world_open_rows(), 0);
}

#define ROUTE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTE_TEST(test_route_that_is_gone_was_waited_for_for_ever),
        ROUTE_TEST(test_route_that_is_new_was_not_taken),
        ROUTE_TEST(test_reload_without_a_dead_route_waited_for_its_pause),
        ROUTE_TEST(test_content_that_is_gone_was_read_every_second),
        ROUTE_TEST(test_attempt_set_by_a_clock_ahead_was_waited_for),
    };

    return cmocka_run_group_tests_name("queue_route", tests, NULL, NULL);
}
