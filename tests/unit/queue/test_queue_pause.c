/*
 * What an operator has paused or given up.
 */
#include "queue_world.h"

#include "mail/envelope_record.h"

static enum queue_verdict verdict;

static void on_answer(void *context, const struct queue_answer *answer)
{
    (void)context;
    verdict = answer->verdict;
}

static void submit_with(uint64_t id, struct bytes destination, uint64_t handoff_ms)
{
    struct content *content = content_from_bytes(BYTES("Subject: x\r\n\r\n"));
    struct envelope envelope = {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")};
    struct strbuf address;
    strbuf_init(&address, 100);
    strbuf_add_text(&address, "bob@");
    strbuf_add(&address, destination);
    struct queue_recipient recipient = {.destination = destination,
                                        .address = strbuf_bytes(&address),
                                        .alias = BYTES("info@example.org"),
                                        .fallback = BYTES("f@next.test")};
    struct queue_submission submission = {.id = id,
                                          .created_ms = clock_unix_ms(),
                                          .envelope = &envelope,
                                          .content = content,
                                          .recipients = &recipient,
                                          .count = 1,
                                          .handoff_ms = handoff_ms};

    verdict = QUEUE_FAILED;
    queue_submit(world.queues[0], &submission, on_answer, NULL);
    content_drop(&content);
    strbuf_clear(&address);
    world_run();
}

static void submit(uint64_t id, struct bytes destination)
{
    submit_with(id, destination, 0);
    CHECK_INT("submitted", verdict, QUEUE_SAFE);
}

static int set_up(void **state)
{
    (void)state;
    world_init(2);
    world_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_clear();
    return 0;
}

static void pause(struct bytes destination, bool is_paused)
{
    queue_set_pause(world.set, destination, is_paused);
    world_run();
}

static void test_one_destination_waits_and_others_do_not(void **state)
{
    (void)state;
    pause(BYTES("next.test"), true);
    submit(1, BYTES("next.test"));
    submit(2, BYTES("other.test"));
    world_advance(3 * 86400 * INT64_C(1000));
    CHECK_INT("the other", world_lines_with("delivered", "id=0000000000002"), 1);
    CHECK_INT("no attempt", world.attempts_started, 1);
    CHECK_INT("not expired", world_open_rows(), 1);
    pause(BYTES("next.test"), false);
    CHECK_INT("at once", world_lines_with("delivered", "id=0000000000001"), 1);
    CHECK_INT("rows left", world_open_rows(), 0);
    pause(BYTES("never.test"), false);
}

static void test_all_wait(void **state)
{
    (void)state;
    pause(BYTES(""), true);
    submit(1, BYTES("next.test"));
    submit(2, BYTES("other.test"));
    world_advance(3600 * 1000);
    CHECK_INT("no attempt", world.attempts_started, 0);
    pause(BYTES(""), false);
    CHECK_INT("rows left", world_open_rows(), 0);
}

/* Two reasons: the end of one is not the end of the other. */
static void test_one_pause_within_another(void **state)
{
    (void)state;
    pause(BYTES("next.test"), true);
    pause(BYTES(""), true);
    submit(1, BYTES("next.test"));
    submit(2, BYTES("other.test"));
    pause(BYTES(""), false);
    CHECK_INT("the other", world.attempts_started, 1);
    pause(BYTES("next.test"), false);
    CHECK_INT("both", world.attempts_started, 2);
}

static void test_nobody_is_asked_while_it_is_paused(void **state)
{
    (void)state;
    pause(BYTES("next.test"), true);
    submit_with(1, BYTES("next.test"), 15000);
    CHECK_INT("written at once", verdict, QUEUE_SAFE);
    CHECK_INT("no attempt", world.attempts_started, 0);
    CHECK_INT("a row", world_open_rows(), 1);
}

/* What waits in memory when the pause begins goes back to being rows. */
static void test_what_waits_is_let_go(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 30; id++) {
        submit(id, BYTES("next.test"));
    }
    size_t started = world.attempts_started;
    pause(BYTES("next.test"), true);
    world.is_attempt_held = false;
    world_advance(600 * 1000);
    CHECK_INT("what was open has ended, nothing was begun", world.attempts_started, started);
    CHECK_INT("the rest waits", world_open_rows(), 30 - started);
    pause(BYTES("next.test"), false);
    world_advance(1000);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void give_up(uint64_t id)
{
    struct world_row *row = find_row(id, 0);

    row->delivery.is_given_up = true;
    row->delivery.next_attempt_ms = clock_unix_ms();
    queue_set_refresh(world.set, id);
    world_run();
}

static void check_given_up(size_t attempts)
{
    CHECK_INT("attempts", world.attempts_started, attempts);
    CHECK_INT("bounced", world_lines_with("bounced", "given up by the operator"), 1);
    CHECK_INT("a bounce", world_lines_with("bounce-queued", "bounce_of=0000000000001"), 1);
}

static void test_given_up_is_a_bounce(void **state)
{
    (void)state;
    world.attempt = attempt_greylisted;
    submit(1, BYTES("next.test"));
    world.attempt = attempt_sent;
    give_up(1);
    check_given_up(2); /* the first, and the bounce's */
    CHECK_INT("not to the fallback", world_lines_with("delivered", "f@next.test"), 0);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_given_up_while_it_is_paused(void **state)
{
    (void)state;
    pause(BYTES("next.test"), true);
    submit(1, BYTES("next.test"));
    submit(2, BYTES("next.test"));
    give_up(1);
    check_given_up(1); /* the bounce's */
    CHECK_INT("the other waits", world_open_rows(), 1);
}

static void test_given_up_many(void **state)
{
    (void)state;
    pause(BYTES("next.test"), true);
    for (uint64_t id = 1; id <= 3; id++) {
        submit(id, BYTES("next.test"));
        find_row(id, 0)->delivery.is_given_up = true;
    }
    queue_set_look_again(world.set, BYTES("next.test"), true);
    world_run();
    CHECK_INT("all", world_lines_with("bounced", "given up by the operator"), 3);
    CHECK_INT("rows left", world_open_rows(), 0);
}

/* An operator's hold is seen before the next attempt of what was waiting in memory. */
static void test_rows_are_read_anew(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 30; id++) {
        submit(id, BYTES("next.test"));
    }
    size_t started = world.attempts_started;
    for (uint64_t id = started + 1; id <= 30; id++) {
        find_row(id, 0)->delivery.state = SPOOL_HELD;
    }
    queue_set_look_again(world.set, BYTES(""), false);
    world_run();
    world.is_attempt_held = false;
    world_advance(600 * 1000);
    CHECK_INT("none of them", world.attempts_started, started);
    CHECK_INT("held", world_open_rows(), 30 - started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_destination_waits_and_others_do_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_all_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_pause_within_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_is_asked_while_it_is_paused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_is_let_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given_up_is_a_bounce, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given_up_while_it_is_paused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given_up_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_are_read_anew, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
