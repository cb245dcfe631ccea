/*
 * The next hops are asked while the client waits. What counts: nothing is answered 250 that is neither
 * delivered nor on stable storage, nothing is tried twice, nothing is written without need.
 */
#include "queue_world.h"

#include "mail/envelope_record.h"

enum { WAIT_MS = 15 * 1000, QUEUE_SILENCE_MS = 5 * 1000 };

static const struct queue_recipient one[] = {
    {.destination = BYTES("next.test"),
     .address = BYTES("bob@next.test"),
     .alias = BYTES("info@example.org"),
     .sender = BYTES("s@e.org")},
};

static const struct queue_recipient two[] = {
    {.destination = BYTES("next.test"),
     .address = BYTES("bob@next.test"),
     .alias = BYTES("info@example.org"),
     .sender = BYTES("s@e.org")},
    {.destination = BYTES("other.test"),
     .address = BYTES("eve@other.test"),
     .alias = BYTES("info@example.org"),
     .sender = BYTES("s@e.org")},
};

struct answer {
    bool is_there;
    enum queue_verdict verdict;
    unsigned code;
    char text[256];
    size_t commits, finished; /* when it came */
};

static void on_answer(void *context, const struct queue_answer *said)
{
    struct answer *answer = context;

    CHECK_TRUE("answered once", !answer->is_there);
    *answer = (struct answer){true, said->verdict, said->code,
                              "",   world.commits, world.attempts_finished};
    if (said->text.len > 0) {
        snprintf(answer->text, sizeof answer->text, "%s %.*s", said->enhanced,
                 (int)said->text.len, said->text.data);
    }
}

static struct queue_ticket *submit(uint64_t id, const struct queue_recipient *recipients,
                                   size_t count, struct answer *answer)
{
    struct content *content = content_from_bytes(BYTES("From: a@sender.test\r\n\r\nbody\r\n"));
    struct envelope envelope = {
        .kind = ENVELOPE_FORWARD, .sender = BYTES("alice@sender.test"), .session = BYTES("s1")};
    struct queue_submission submission = {.id = id,
                                          .created_ms = clock_unix_ms(),
                                          .envelope = &envelope,
                                          .content = content,
                                          .recipients = recipients,
                                          .count = count,
                                          .handoff_ms = WAIT_MS};

    struct queue_ticket *ticket = queue_submit(world.queues[0], &submission, on_answer, answer);
    content_drop(&content);
    return ticket;
}

static int set_up(void **state)
{
    (void)state;
    world_init(1);
    world_start();
    world_run();
    world_forget_counts();
    return 0;
}

static int set_up_two_loops(void **state)
{
    (void)state;
    world_init(2);
    world_start();
    world_run();
    world_forget_counts();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_clear();
    return 0;
}

static void end_attempt(struct delivery_attempt *attempt,
                        void (*outcome)(struct delivery_attempt *attempt))
{
    attempt->is_done = true;
    outcome(attempt);
    attempt->on_done(attempt->context);
    world_run();
}

static struct delivery_attempt *attempt_for(const char *destination)
{
    for (struct list *node = world.attempts.next; node != &world.attempts; node = node->next) {
        struct delivery_attempt *attempt = list_owner(node, struct delivery_attempt, link);
        if (!attempt->is_done &&
            bytes_equal(attempt->request.destination, bytes_from_text(destination))) {
            return attempt;
        }
    }
    return NULL;
}

static void test_delivered_without_writing(void **state)
{
    struct answer answer = {0};

    (void)state;
    submit(1, one, 1, &answer);
    CHECK_TRUE("not from inside", !answer.is_there);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_DELIVERED);
    CHECK_INT("the connection is still held", answer.finished, 0);
    CHECK_INT("nothing written", world.commit_tries, 0);
    CHECK_INT("attempts", world.attempts_started, 1);
    CHECK_INT("connection given back", world.attempts_finished, 1);
    CHECK_INT("line", world_lines_with("delivered id=0000000000001", "status=sent"), 1);
    world_advance(600 * 1000);
    CHECK_INT("never again", world.attempts_started, 1);
}

static void test_refused_in_the_session(void **state)
{
    struct answer answer = {0};

    (void)state;
    world.attempt = attempt_unknown;
    submit(1, one, 1, &answer);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_REFUSED);
    CHECK_INT("code", answer.code, 550);
    CHECK_TRUE("says why", strstr(answer.text, "5.1.1 refused by the next hop:") != NULL);
    CHECK_TRUE("hides the target", strstr(answer.text, "bob@next.test") == NULL);
    CHECK_INT("nothing written, no bounce", world.commit_tries, 0);
    CHECK_INT("line", world_lines_with("refused id=0000000000001", "status=refused"), 1);
    world_advance(600 * 1000);
    CHECK_INT("never again", world.attempts_started, 1);
}

static void attempt_null_mx(struct delivery_attempt *attempt)
{
    set_outcome(attempt, DELIVERY_PERMANENT, 0, "5.1.10",
                "the domain it leads to does not accept mail (null MX) [next.test]");
    attempt->report.trouble = DELIVERY_TROUBLE_DNS;
}

static void test_our_own_refusal_names_no_target(void **state)
{
    struct answer answer = {0};

    (void)state;
    world.attempt = attempt_null_mx;
    submit(1, one, 1, &answer);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_REFUSED);
    CHECK_TEXT("text", answer.text,
               "5.1.10 cannot be delivered: the domain it leads to does not accept mail "
               "(null MX)");
    CHECK_INT("the log has it", world_lines_with("refused", "[next.test]"), 1);
}

static void test_temporary_failure_is_written(void **state)
{
    struct answer answer = {0};

    (void)state;
    world.attempt = attempt_greylisted;
    submit(1, one, 1, &answer);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_SAFE);
    CHECK_INT("safe first", answer.commits, 1);
    CHECK_INT("its attempt counts", find_row(1, 0)->delivery.attempts, 1);
    CHECK_INT("next", find_row(1, 0)->delivery.next_attempt_ms, clock_unix_ms() + 60 * 1000);
    CHECK_INT("one attempt", world.attempts_started, 1);
    world.attempt = attempt_sent;
    world_advance(65 * 1000);
    CHECK_INT("then sent", world_open_rows(), 0);
    CHECK_INT("two attempts", world.attempts_started, 2);
}

static void test_mixed_result_is_written(void **state)
{
    struct answer answer = {0};

    (void)state;
    world.is_attempt_held = true;
    submit(1, two, 2, &answer);
    world_run();
    end_attempt(attempt_for("next.test"), attempt_sent);
    CHECK_TRUE("waits for the other", !answer.is_there);
    end_attempt(attempt_for("other.test"), attempt_unknown);
    CHECK_INT("verdict", answer.verdict, QUEUE_SAFE);
    CHECK_TRUE("no row for what was sent", find_row(1, 0) == NULL);
    CHECK_INT("bounced", world_lines_with("bounced id=0000000000001", "eve@other.test"), 1);
    CHECK_TRUE("the bounce is the only one left",
               world_open_rows() == 1 && attempt_for("sender.test") != NULL);
    end_attempt(attempt_for("sender.test"), attempt_sent);
    CHECK_INT("nothing left", world_open_rows(), 0);
    CHECK_INT("three attempts", world.attempts_started, 3);
}

static void test_time_is_up(void **state)
{
    struct answer answer = {0};

    (void)state;
    world.is_attempt_held = true;
    submit(1, one, 1, &answer);
    world_advance(WAIT_MS - 100);
    CHECK_TRUE("still waits", !answer.is_there && world.commit_tries == 0);
    world_advance(200);
    CHECK_INT("verdict", answer.verdict, QUEUE_SAFE);
    CHECK_INT("row", world_open_rows(), 1);
    world_advance(120 * 1000);
    CHECK_INT("the attempt goes on, alone", world.attempts_started, 1);
    end_attempt(attempt_for("next.test"), attempt_sent);
    CHECK_TEXT("closed", world.commit_kinds, "C");
    CHECK_INT("rows", world_open_rows(), 0);
}

/* It may be gone, or only have closed its side: safe first, and then it is told so. */
static void test_a_client_that_has_closed_its_side(void **state)
{
    struct answer answer = {0};
    struct queue_ticket *ticket;

    (void)state;
    world.is_attempt_held = true;
    ticket = submit(1, one, 1, &answer);
    world_run();
    queue_ticket_hurry(ticket);
    CHECK_TRUE("not from inside", !answer.is_there);
    queue_ticket_hurry(ticket);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_SAFE);
    CHECK_INT("safe first", answer.commits, 1);
    end_attempt(attempt_for("next.test"), attempt_sent);
    CHECK_INT("closed", world_open_rows(), 0);
    CHECK_INT("once", world.attempts_started, 1);
    queue_ticket_hurry(NULL);
}

static void test_ends_while_it_is_being_written(void **state)
{
    struct answer answer = {0};
    struct queue_ticket *ticket;

    (void)state;
    world.is_attempt_held = true;
    ticket = submit(1, two, 2, &answer);
    world_run();
    queue_ticket_abandon(&ticket); /* writes; the commit is not answered yet */
    struct delivery_attempt *attempt = attempt_for("next.test");
    attempt->is_done = true;
    attempt_sent(attempt);
    attempt->on_done(attempt->context);
    world_run();
    CHECK_TRUE("no answer to nobody", !answer.is_there);
    CHECK_INT("one is closed, one is open", world_open_rows(), 1);
    CHECK_TRUE("the right one", find_row(1, 0) == NULL && find_row(1, 1) != NULL);
    end_attempt(attempt_for("other.test"), attempt_sent);
    CHECK_INT("rows", world_open_rows(), 0);
    CHECK_INT("each once", world.attempts_started, 2);
}

static void test_disk_full(void **state)
{
    struct answer answer = {0};

    (void)state;
    world.is_attempt_held = true;
    world.commit_status = SPOOL_FULL;
    submit(1, two, 2, &answer);
    world_run();
    end_attempt(attempt_for("other.test"), attempt_greylisted);
    CHECK_INT("verdict", answer.verdict, QUEUE_FULL);
    world.commit_status = SPOOL_OK;
    end_attempt(attempt_for("next.test"), attempt_unknown);
    world_advance(600 * 1000);
    CHECK_INT("nothing is kept, nobody gets a bounce", world.message_count, 0);
    CHECK_INT("never again", world.attempts_started, 2);
    CHECK_INT("all ended", world.attempts_finished, 2);
}

static void test_waiting_behind_others_when_the_disk_is_full(void **state)
{
    struct answer answers[5] = {{0}};

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 5; id++) {
        submit(id, one, 1, &answers[id - 1]);
    }
    world_run();
    CHECK_INT("three at once", world.attempts_open, 3);
    world.commit_status = SPOOL_FULL;
    world_advance(WAIT_MS + 100);
    CHECK_INT("the last", answers[4].verdict, QUEUE_FULL);
    world.commit_status = SPOOL_OK;
    world.is_attempt_held = false;
    world_run();
    world_advance(600 * 1000);
    CHECK_INT("what never began never begins", world.attempts_started, 3);
    CHECK_INT("all ended", world.attempts_finished, 3);
}

static void test_waits_its_turn(void **state)
{
    struct answer answers[10] = {{0}};

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 10; id++) {
        submit(id, one, 1, &answers[id - 1]);
    }
    world_run();
    CHECK_INT("three at once", world.attempts_open, 3);
    world.is_attempt_held = false;
    world_run();
    for (size_t i = 0; i < 10; i++) {
        CHECK_INT("each", answers[i].verdict, QUEUE_DELIVERED);
    }
    CHECK_INT("nothing written", world.commit_tries, 0);
}

static void test_unreachable_destination(void **state)
{
    struct answer first = {0}, second = {0}, third = {0};

    (void)state;
    world.is_attempt_held = true;
    submit(1, one, 1, &first);
    submit(2, one, 1, &second);
    world_run();
    end_attempt(attempt_for("next.test"), attempt_unreachable);
    CHECK_INT("the first is written", first.verdict, QUEUE_SAFE);
    submit(3, one, 1, &third);
    world_run();
    CHECK_INT("the third, too, at once", third.verdict, QUEUE_SAFE);
    CHECK_TRUE("whose attempt is open waits", !second.is_there);
    end_attempt(attempt_for("next.test"), attempt_sent);
    CHECK_INT("the second", second.verdict, QUEUE_DELIVERED);
    world.is_attempt_held = false;
    world_advance(600 * 1000);
    CHECK_INT("all sent", world_open_rows(), 0);
    CHECK_INT("each as often as it had to be", world.attempts_started, 4);
}

/* What waits for its turn is put off with its destination, and nobody may wait for it. */
static void test_window_is_dropped(void **state)
{
    struct answer answers[5] = {{0}};

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 5; id++) {
        submit(id, one, 1, &answers[id - 1]);
    }
    world_run();
    end_attempt(attempt_for("next.test"), attempt_unreachable);
    CHECK_TRUE("those that waited are written",
               answers[3].is_there && answers[3].verdict == QUEUE_SAFE && answers[4].is_there);
    world.is_attempt_held = false;
    world_run();
    world_advance(600 * 1000);
    CHECK_INT("all sent", world_open_rows(), 0);
    CHECK_INT("sent lines", world_lines_with("delivered", "status=sent"), 5);
    CHECK_INT("attempts", world.attempts_started, 6);
}

static void test_part_of_one_transaction(void **state)
{
    static const struct queue_recipient pair[] = {
        {.destination = BYTES("next.test"),
         .address = BYTES("a@next.test"),
         .alias = BYTES("x@example.org"),
         .sender = BYTES("s@e.org")},
        {.destination = BYTES("next.test"),
         .address = BYTES("b@next.test"),
         .alias = BYTES("y@example.org"),
         .sender = BYTES("s@e.org")},
    };
    struct answer answer = {0};

    (void)state;
    world.is_attempt_held = true;
    submit(1, pair, 2, &answer);
    world_run();
    struct delivery_attempt *attempt = attempt_for("next.test");
    attempt->is_done = true;
    attempt_sent(attempt);
    attempt->request.recipients[1].outcome = DELIVERY_TEMPORARY;
    attempt->on_done(attempt->context);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_SAFE);
    CHECK_TRUE("a row for one", find_row(1, 0) == NULL && find_row(1, 1) != NULL);
    CHECK_TEXT("put off", world.commit_kinds, "U");
}

static void test_client_gone(void **state)
{
    struct answer answer = {0};
    struct queue_ticket *ticket;

    (void)state;
    world.is_attempt_held = true;
    ticket = submit(1, one, 1, &answer);
    world_run();
    queue_ticket_abandon(&ticket);
    world_run();
    CHECK_INT("written", world_open_rows(), 1);
    end_attempt(attempt_for("next.test"), attempt_greylisted);
    CHECK_INT("kept", world_open_rows(), 1);
    CHECK_TRUE("told nobody", !answer.is_there);
}

static void test_nobody_is_asked_when_we_stop(void **state)
{
    struct answer before = {0}, after = {0};

    (void)state;
    world.is_attempt_held = true;
    submit(1, one, 1, &before);
    world_run();
    queue_stop_asking(world.queues[0]);
    submit(2, one, 1, &after);
    world_run();
    CHECK_INT("before", before.verdict, QUEUE_SAFE);
    CHECK_INT("after", after.verdict, QUEUE_SAFE);
}

static void test_two_loops(void **state)
{
    struct answer answer = {0};

    (void)state;
    submit(1, two, 2, &answer);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_DELIVERED);
    CHECK_INT("nothing written", world.commit_tries, 0);
    world.attempt = attempt_unknown;
    answer.is_there = false;
    submit(2, two, 2, &answer);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_REFUSED);
    world.attempt = attempt_greylisted;
    answer.is_there = false;
    submit(3, two, 2, &answer);
    world_run();
    CHECK_INT("verdict", answer.verdict, QUEUE_SAFE);
    CHECK_INT("rows", world_open_rows(), 2);
    world.attempt = attempt_sent;
    world_advance(70 * 1000);
    CHECK_INT("rows", world_open_rows(), 0);
    CHECK_INT("attempts", world.attempts_started, 8);
}

static void test_the_end_while_asking(void **state)
{
    struct answer answers[6] = {{0}};

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 6; id++) {
        submit(id, two, 2, &answers[id - 1]);
    }
    world_run();
    struct delivery_attempt *attempt = attempt_for("next.test");
    attempt->is_done = true;
    attempt_sent(attempt);
    attempt->on_done(attempt->context); /* its report is on its way */
    /* tear_down stops everything here */
}

/* Behind the three attempts there may be of one destination. */
static void fill_attempts(struct answer *answers)
{
    world.is_attempt_held = true;
    for (uint64_t id = 101; id <= 103; id++) {
        submit(id, one, 1, &answers[id - 101]);
    }
    world_run();
    CHECK_INT("open", world.attempts_open, 3);
}

static void end_all_attempts(void)
{
    world.is_attempt_held = false;
    world_run();
}

static void test_operator_left_a_client_waiting(void **state)
{
    struct answer busy[3] = {{0}}, answer = {0};

    (void)state;
    fill_attempts(busy);
    submit(1, one, 1, &answer);
    world_run();
    queue_set_refresh(world.set, 0); /* "retry all" */
    world_run();
    CHECK_TRUE("written at once", answer.is_there && answer.verdict == QUEUE_SAFE);
    end_all_attempts();
    world_advance(1000);
    CHECK_INT("and delivered at once", world_open_rows(), 0);
    CHECK_INT("once", world_lines_with("delivered", "status=sent"), 4);
}

static void test_reload_sent_it_the_old_way(void **state)
{
    static const struct delivery_route routes[] = {
        {.domain = BYTES("next.test"), .destination = BYTES("smart.test")}};
    struct answer busy[3] = {{0}}, answer = {0};
    struct queue_options options;

    (void)state;
    fill_attempts(busy);
    submit(1, one, 1, &answer);
    world_run();
    world_routes = (struct delivery_route_table){routes, 1};
    options = world_options();
    queue_set_options(world.queues[0], &options);
    world_run();
    CHECK_TRUE("written", answer.is_there && answer.verdict == QUEUE_SAFE);
    end_all_attempts();
    world_advance(2000);
    world_routes = (struct delivery_route_table){0};
    CHECK_INT("moved", world_lines_with("rerouted", "destination=route:smart.test"), 1);
    CHECK_INT("rows", world_open_rows(), 0);
    CHECK_INT("attempts", world.attempts_started, 4);
}

static void test_slow_destination_held_up_a_quick_one(void **state)
{
    struct answer slow[3] = {{0}}, answer = {0};

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 3; id++) {
        submit(id, two, 2, &slow[id - 1]);
    }
    world_run();
    for (size_t i = 0; i < 3; i++) {
        end_attempt(attempt_for("next.test"), attempt_sent);
    }
    CHECK_INT("their connections are free", world.connections_back, 3);
    submit(4, one, 1, &answer);
    world_run();
    CHECK_TRUE("the next one has its turn", attempt_for("next.test") != NULL);
    end_attempt(attempt_for("next.test"), attempt_sent);
    CHECK_INT("answered", answer.verdict, QUEUE_DELIVERED);
    CHECK_TRUE("the others wait", !slow[0].is_there && !slow[1].is_there && !slow[2].is_there);
    end_all_attempts();
    CHECK_INT("at last", slow[2].verdict, QUEUE_DELIVERED);
    CHECK_INT("nothing written", world.commit_tries, 0);
}

static void test_everybody_waited_for_a_silent_next_hop(void **state)
{
    struct answer answers[3] = {{0}};

    (void)state;
    world.is_attempt_held = true;
    submit(1, one, 1, &answers[0]);
    world_advance(QUEUE_SILENCE_MS);
    submit(2, one, 1, &answers[1]);
    world_run();
    CHECK_TRUE("the second is written at once",
               answers[1].is_there && answers[1].verdict == QUEUE_SAFE);
    CHECK_TRUE("the first waits", !answers[0].is_there);
    end_attempt(attempt_for("next.test"), attempt_sent);
    submit(3, one, 1, &answers[2]);
    world_run();
    CHECK_TRUE("it has answered: asked again", !answers[2].is_there);
    end_all_attempts();
    CHECK_INT("delivered", answers[2].verdict, QUEUE_DELIVERED);
    CHECK_INT("rows", world_open_rows(), 0);
}

/* As when the process may not drain any longer: the queues go one after the other, the loops with
 * them, and what still waits has nobody to tell. */
static void test_the_end_told_a_loop_that_was_gone(void **state)
{
    struct answer answers[40] = {{0}};

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 40; id++) {
        submit(id, two, 2, &answers[id - 1]);
    }
    world_run();
    queue_free(&world.queues[0]);
    world_forget_counts();
    queue_free(&world.queues[1]);
    CHECK_INT("posts to the first", world.posts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_delivered_without_writing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_in_the_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_our_own_refusal_names_no_target, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_client_that_has_closed_its_side, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_temporary_failure_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mixed_result_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time_is_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ends_while_it_is_being_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_disk_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waiting_behind_others_when_the_disk_is_full,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waits_its_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unreachable_destination, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_window_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_part_of_one_transaction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_is_asked_when_we_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_loops, set_up_two_loops, tear_down),
        cmocka_unit_test_setup_teardown(test_mixed_result_is_written, set_up_two_loops,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_end_while_asking, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_end_while_asking, set_up_two_loops, tear_down),
        cmocka_unit_test_setup_teardown(test_operator_left_a_client_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reload_sent_it_the_old_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_destination_held_up_a_quick_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_slow_destination_held_up_a_quick_one,
                                        set_up_two_loops, tear_down),
        cmocka_unit_test_setup_teardown(test_everybody_waited_for_a_silent_next_hop, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_end_told_a_loop_that_was_gone,
                                        set_up_two_loops, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
