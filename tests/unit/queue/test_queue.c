#include "queue_world.h"

#include "mail/envelope_record.h"

#define CONTENT "From: a@sender.test\r\nSubject: hello\r\n\r\nbody\r\n"

static const struct queue_recipient one_recipient[] = {
    {.destination = BYTES("next.test"),
     .address = BYTES("bob@next.test"),
     .alias = BYTES("info@example.org"),
     .sender = BYTES("SRS0=x@example.org")},
};

struct answer {
    bool is_there;
    enum queue_verdict verdict;
    size_t commits; /* when it came */
};

static void on_answer(void *context, const struct queue_answer *said)
{
    struct answer *answer = context;

    *answer = (struct answer){true, said->verdict, world.commits};
}

static struct bytes next_sender; /* of what submit() makes */

static struct queue_ticket *submit(size_t loop, uint64_t id,
                                   const struct queue_recipient *recipients, size_t count,
                                   struct answer *answer)
{
    struct content *content = content_from_bytes(BYTES(CONTENT));
    struct envelope envelope = {
        .kind = ENVELOPE_FORWARD, .sender = next_sender, .session = BYTES("s1")};
    struct queue_submission submission = {.id = id,
                                          .created_ms = clock_unix_ms(),
                                          .envelope = &envelope,
                                          .prefix = BYTES("Received: here\r\n"),
                                          .content = content,
                                          .recipients = recipients,
                                          .count = count};

    struct queue_ticket *ticket =
        queue_submit(world.queues[loop], &submission, on_answer, answer);
    content_drop(&content);
    return ticket;
}

static int set_up(void **state)
{
    (void)state;
    next_sender = BYTES("alice@sender.test");
    world_init(1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_clear();
    return 0;
}

static void submit_one(uint64_t id)
{
    static struct answer answer;

    submit(0, id, one_recipient, 1, &answer);
}

static void test_sent_at_once(void **state)
{
    struct answer answer = {0};

    (void)state;
    submit(0, 1, one_recipient, 1, &answer);
    CHECK_TRUE("not from inside", !answer.is_there);
    world_run();
    CHECK_INT("answer", answer.verdict, QUEUE_SAFE);
    CHECK_INT("answered after one commit", answer.commits, 1);
    CHECK_INT("add and close", world.commits, 2);
    CHECK_TEXT("kinds", world.commit_kinds, "C");
    CHECK_INT("attempts", world.attempts_started, 1);
    CHECK_INT("connection given back after the close", world.commits_when_finished, 2);
    CHECK_INT("no post to ourselves", world.posts, 0);
    CHECK_INT("rows left", world_open_rows(), 0);
    CHECK_INT("line", world_lines_with("delivered id=0000000000001", "status=sent"), 1);
    CHECK_INT("addresses",
              world_lines_with("from=<alice@sender.test> sender=<SRS0=x@example.org>",
                               "to=<bob@next.test> orig_to=<info@example.org>"),
              1);
    CHECK_INT("reply", world_lines_with("dsn=2.0.0", "reply=250 2.0.0 ok"), 1);
}

static void test_nothing_before_it_is_durable(void **state)
{
    struct answer answer = {0};

    (void)state;
    world.commit_status = SPOOL_FULL;
    submit(0, 1, one_recipient, 1, &answer);
    world_run();
    CHECK_INT("full", answer.verdict, QUEUE_FULL);
    world.commit_status = SPOOL_DAMAGED;
    submit(0, 2, one_recipient, 1, &answer);
    world_advance(600 * 1000);
    CHECK_INT("anything else", answer.verdict, QUEUE_FAILED);
    CHECK_INT("attempts", world.attempts_started, 0);
}

static void test_client_gone_is_delivered(void **state)
{
    struct answer answer = {0};
    struct queue_ticket *ticket = submit(0, 1, one_recipient, 1, &answer);

    (void)state;
    queue_ticket_abandon(&ticket);
    world_run();
    CHECK_TRUE("no answer", !answer.is_there);
    CHECK_INT("sent", world_lines_with("delivered", "sent"), 1);
    queue_ticket_abandon(&ticket);
}

static void test_temporary_failure_waits(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_greylisted;
    submit_one(1);
    world_run();
    CHECK_TEXT("kinds", world.commit_kinds, "U");
    CHECK_INT("next attempt", find_row(1, 0)->delivery.next_attempt_ms,
              clock_unix_ms() + 60 * 1000);
    CHECK_INT("attempts", find_row(1, 0)->delivery.attempts, 1);
    CHECK_BYTES("why", find_row(1, 0)->delivery.last_reply, BYTES("450 4.7.1 come back later"));
    CHECK_INT("line", world_lines_with("deferred", "status=deferred"), 1);
    world_advance(59 * 1000);
    CHECK_INT("not before", world.attempts_started, 1);
    world_advance(2 * 1000);
    CHECK_INT("the second", world.attempts_started, 2);
    CHECK_INT("second pause", find_row(1, 0)->delivery.next_attempt_ms / 10000,
              (clock_unix_ms() + 299 * 1000) / 10000);
    world.attempt = attempt_sent;
    world_advance(301 * 1000);
    CHECK_INT("rows left", world_open_rows(), 0);
    CHECK_INT("sent", world_lines_with("delivered", "attempts=3"), 1);
}

static void attempt_in_doubt(struct delivery_attempt *attempt)
{
    attempt_unreachable(attempt);
    attempt->report.is_in_doubt = true;
}

static void test_doubt_is_said(void **state)
{
    (void)state;
    world.attempt = attempt_in_doubt;
    submit_one(1);
    world_run();
    CHECK_INT("line", world_lines_with("deferred", "in_doubt=yes"), 1);
}

/* The bounce is the last message that was added. */
static const struct world_message *last_message(void)
{
    return &world.messages[world.message_count - 1];
}

static bool bounce_says(const char *text)
{
    return strstr(content_memory(last_message()->message.content).data, text) != NULL;
}

static void test_permanent_failure_bounces(void **state)
{
    struct envelope envelope;

    (void)state;
    world.attempt = attempt_unknown;
    submit_one(1);
    world.is_attempt_held = true;
    world_run();
    CHECK_TRUE("one attempt", finish_next_attempt());
    world_run();
    CHECK_INT("add, then close and bounce", world.commits, 2);
    CHECK_TEXT("one commit", world.commit_kinds, "CA");
    CHECK_INT("attempt for the bounce", world.attempts_started, 2);
    struct delivery_attempt *attempt =
        list_owner(world.attempts.next, struct delivery_attempt, link);
    CHECK_BYTES("null sender", attempt->request.sender, BYTES(""));
    CHECK_BYTES("to the original sender", attempt->request.recipients[0].address,
                BYTES("alice@sender.test"));
    CHECK_BYTES("destination", attempt->request.destination, BYTES("sender.test"));
    CHECK_TRUE("record", envelope_record_read(last_message()->message.envelope, &envelope));
    CHECK_INT("kind", envelope.kind, ENVELOPE_BOUNCE);
    CHECK_BYTES("about", envelope.bounce_of, BYTES("0000000000001"));
    CHECK_TRUE("alias", bounce_says("info@example.org"));
    CHECK_TRUE("target hidden", !bounce_says("bob@next.test"));
    CHECK_TRUE("original header", bounce_says("Subject: hello"));
    CHECK_TRUE("not the body", !bounce_says("body\r\n"));
    CHECK_INT("line", world_lines_with("bounced", "why=permanent-failure"), 1);
    CHECK_INT("bounce line", world_lines_with("bounce-queued", "bounce_of=0000000000001"), 1);
    world.attempt = attempt_sent;
    world.is_attempt_held = false;
    world_run();
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_null_sender_is_held(void **state)
{
    (void)state;
    next_sender = BYTES("");
    world.attempt = attempt_unknown;
    submit_one(1);
    world_run();
    CHECK_TEXT("its row only", world.commit_kinds, "U");
    CHECK_INT("messages", world.message_count, 1);
    CHECK_INT("line", world_lines_with("held", "why=null-sender"), 1);
}

static void test_failed_bounce_is_held(void **state)
{
    (void)state;
    world.attempt = attempt_unknown;
    submit_one(1);
    world_run();
    CHECK_INT("attempts", world.attempts_started, 2);
    CHECK_INT("line", world_lines_with("held", "why=double-bounce"), 1);
    CHECK_INT("rows left", world_open_rows(), 1);
    CHECK_INT("state", world.rows[1].delivery.state, SPOOL_UNBOUNCED);
}

static void test_expiry_bounces(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_greylisted;
    submit_one(1);
    for (int minutes = 0; minutes < 47 * 60; minutes += 10) {
        world_advance(600 * 1000);
    }
    CHECK_INT("not before its time", world_lines_with("bounced", ""), 0);
    for (int minutes = 0; minutes < 60; minutes += 10) {
        world_advance(600 * 1000);
    }
    CHECK_INT("line", world_lines_with("bounced", "why=expired"), 1);
    CHECK_INT("bounce waits", world_open_rows(), 1);
    CHECK_TRUE("kind", bounce_says("450 4.7.1 come back later"));
}

static void test_clock_jump_expires_nothing(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_greylisted;
    submit_one(1);
    world_run();
    world.unix_offset_ms += 30LL * 86400 * 1000;
    world_advance(120 * 1000);
    CHECK_TRUE("tried again", world.attempts_started > 1);
    CHECK_INT("said", world_lines_with("clock-jumped", ""), 1);
    CHECK_INT("no bounce", world_lines_with("bounced", ""), 0);
    CHECK_INT("row", world_open_rows(), 1);
}

static void test_mixed_outcomes_are_one_commit(void **state)
{
    static const struct queue_recipient recipients[] = {
        {.destination = BYTES("next.test"),
         .address = BYTES("a@next.test"),
         .alias = BYTES("x@example.org"),
         .sender = BYTES("s@e.org")},
        {.destination = BYTES("next.test"),
         .address = BYTES("b@next.test"),
         .alias = BYTES("y@example.org"),
         .sender = BYTES("s@e.org")},
        {.destination = BYTES("next.test"),
         .address = BYTES("c@next.test"),
         .alias = BYTES("z@example.org"),
         .sender = BYTES("t@e.org")},
        {.destination = BYTES("next.test"),
         .address = BYTES("d@next.test"),
         .alias = BYTES("z@example.org"),
         .sender = BYTES("s@e.org")},
    };
    struct answer answer;

    (void)state;
    world.is_attempt_held = true;
    submit(0, 1, recipients, COUNT_OF(recipients), &answer);
    world_run();
    CHECK_INT("grouped by sender", world.attempts_started, 2);
    struct delivery_attempt *attempt =
        list_owner(world.attempts.next, struct delivery_attempt, link);
    CHECK_INT("the first three", attempt->request.count, 3);
    CHECK_BYTES("order", attempt->request.recipients[2].address, BYTES("d@next.test"));
    attempt->is_done = true;
    attempt_sent(attempt);
    attempt->request.recipients[1].outcome = DELIVERY_PERMANENT;
    attempt->request.recipients[2].outcome = DELIVERY_TEMPORARY;
    attempt->on_done(attempt->context);
    world_run();
    CHECK_TEXT("kinds", world.commit_kinds, "CACU");
}

static void test_concurrency(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 10; id++) {
        submit_one(id);
    }
    world_run();
    CHECK_INT("open", world.attempts_open, 3);
    world.is_attempt_held = false;
    world_run();
    CHECK_INT("most", world.attempts_open_most, 3);
    CHECK_INT("all", world.attempts_finished, 10);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_window_overflow_is_read_again(void **state)
{
    enum { MANY = QUEUE_WINDOW + 700 };

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= MANY; id++) {
        submit_one(id);
    }
    world_run();
    CHECK_INT("no read while the window is full", world.due_reads, 0);
    world.is_attempt_held = false;
    world_run();
    world_advance(1000);
    CHECK_INT("each once", world.attempts_started, MANY);
    CHECK_INT("rows left", world_open_rows(), 0);
    CHECK_TRUE("read from the spool", world.due_reads > 0 && world.due_reads < 10);
}

static void test_unreachable_destination_pauses(void **state)
{
    static const struct queue_recipient other[] = {
        {.destination = BYTES("other.test"),
         .address = BYTES("eve@other.test"),
         .alias = BYTES("x@example.org"),
         .sender = BYTES("")},
    };
    struct answer answer;

    (void)state;
    world_start();
    world.attempt = attempt_unreachable;
    for (uint64_t id = 1; id <= 50; id++) {
        submit_one(id);
    }
    world_run();
    CHECK_INT("only those that were under way", world.attempts_started, 3);
    CHECK_INT("one pause", world_lines_with("destination-paused", "failures=1"), 1);
    submit_one(51);
    world_run();
    CHECK_INT("new mail waits too", world.attempts_started, 3);
    world.attempt = attempt_sent;
    submit(0, 60, other, 1, &answer);
    world_run();
    CHECK_INT("others go on", world_lines_with("delivered", "eve@other.test"), 1);
    world.attempt = attempt_unreachable;
    world_forget_counts();
    world_advance(62 * 1000);
    CHECK_INT("one finds out", world.attempts_started, 1);
    CHECK_INT("longer pause", world_lines_with("destination-paused", "failures=2"), 1);
    world.attempt = attempt_sent;
    world_advance(400 * 1000);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_unreachable_destination_expires(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_unreachable;
    for (uint64_t id = 1; id <= 500; id++) {
        submit_one(id);
    }
    for (int hours = 0; hours < 49; hours++) {
        world_advance(3600 * 1000);
    }
    CHECK_INT("all expired", world_lines_with("bounced", "orig_to=<info@example.org>"), 500);
    CHECK_INT("the reason is told", world_lines_with("bounced", "reply=connection refused"),
              500);
    CHECK_TRUE("few attempts", world.attempts_started < 1000);
}

static void test_failed_record_is_kept(void **state)
{
    (void)state;
    submit_one(1);
    world.is_attempt_held = true;
    world_run();
    world.commit_status = SPOOL_FULL;
    world.is_attempt_held = false;
    world_start();
    world_advance(5500);
    CHECK_INT("not recorded", world_open_rows(), 1);
    CHECK_INT("tried every second", world.commit_tries, 7);
    CHECK_INT("said once", world_lines_with("outcome-not-recorded", "why=full"), 1);
    CHECK_INT("connection kept", world.attempts_finished, 0);
    world.commit_status = SPOOL_OK;
    world_advance(120 * 1000);
    CHECK_INT("recorded", world_open_rows(), 0);
    CHECK_INT("never again", world.attempts_started, 1);
    CHECK_INT("given back", world.attempts_finished, 1);
}

static void test_recovery(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 20; id++) {
        submit_one(id);
    }
    world_run();
    world_stop();
    CHECK_INT("rows stay", world_open_rows(), 20);
    world_forget_counts();
    world_boot(1);
    world_start();
    CHECK_INT("all sent", world_open_rows(), 0);
    CHECK_INT("once", world.attempts_started, 20);
    CHECK_INT("with its envelope", world_lines_with("delivered", "from=<alice@sender.test>"),
              20);
}

static void test_slow_read_doubles_nothing(void **state)
{
    (void)state;
    world_start();
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= QUEUE_WINDOW + 10; id++) {
        submit_one(id);
    }
    world_run();
    /* The window sinks below half: a read begins, sees all the rows, and is slow. */
    world.is_read_held = true;
    world.is_attempt_held = false;
    world_run();
    CHECK_INT("a read is open", world.due_reads, 1);
    world.is_read_held = false;
    world_advance(70 * 1000);
    CHECK_INT("each once", world.attempts_started, QUEUE_WINDOW + 10);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_deleted_message_is_forgotten(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_greylisted;
    submit_one(1);
    world_run();
    world.rows[0].is_open = false;
    queue_set_refresh(world.set, 1);
    world_advance(120 * 1000);
    CHECK_INT("no second attempt", world.attempts_started, 1);
}

static void test_operator_retry(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_unreachable;
    submit_one(1);
    world_run();
    CHECK_INT("first", world.attempts_started, 1);
    world.rows[0].delivery.next_attempt_ms = clock_unix_ms();
    world.attempt = attempt_sent;
    queue_set_refresh(world.set, 1);
    world_run();
    CHECK_INT("now, in spite of the pause", world_open_rows(), 0);
}

static void test_refresh_of_all(void **state)
{
    (void)state;
    world_start();
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 50; id++) {
        submit_one(id);
    }
    world_run();
    queue_set_refresh(world.set, 0);
    world_run();
    world.is_attempt_held = false;
    world_advance(1000);
    CHECK_INT("each once", world.attempts_started, 50);
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void damage_envelope(struct world_message *message)
{
    message->message.envelope.len--;
}

static void test_damaged_envelope_is_held(void **state)
{
    (void)state;
    submit_one(1);
    world.is_attempt_held = true;
    world_run();
    world_stop();
    damage_envelope(&world.messages[0]);
    world_forget_counts();
    world_boot(1);
    world_start();
    CHECK_INT("held", find_row(1, 0)->delivery.state, SPOOL_HELD);
    CHECK_INT("not tried", world.attempts_started, 0);
    CHECK_INT("line", world_lines_with("held", "why=damaged-envelope"), 1);
}

static void on_idle(void *context)
{
    ++*(int *)context;
}

static void test_drain(void **state)
{
    int idle = 0;

    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 10; id++) {
        submit_one(id);
    }
    world_run();
    queue_drain(world.queues[0], on_idle, &idle);
    submit_one(11);
    world_run();
    CHECK_INT("attempts are open", idle, 0);
    world.is_attempt_held = false;
    world_run();
    CHECK_INT("idle once", idle, 1);
    CHECK_INT("nothing new", world.attempts_started, 3);
    CHECK_INT("safe", world_open_rows(), 8);
}

static void test_drain_when_idle(void **state)
{
    int idle = 0;

    (void)state;
    queue_drain(world.queues[0], on_idle, &idle);
    CHECK_INT("not from inside", idle, 0);
    world_run();
    CHECK_INT("idle", idle, 1);
}

static void test_each_loop_owns_its_destinations(void **state)
{
    static const char *names[] = {"a.test", "b.test", "c.test", "d.test",
                                  "e.test", "f.test", "g.test", "h.test"};
    struct queue_recipient recipients[COUNT_OF(names)];
    struct answer answer = {0};

    (void)state;
    world_clear();
    world_init(2);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        recipients[i] = one_recipient[0];
        recipients[i].destination = bytes_from_text(names[i]);
    }
    submit(1, 1, recipients, COUNT_OF(recipients), &answer);
    world_run();
    CHECK_INT("answer", answer.verdict, QUEUE_SAFE);
    CHECK_INT("one post for the other loop", world.posts, 1);
    CHECK_INT("all sent", world.attempts_started, COUNT_OF(names));
    CHECK_TRUE("some by each",
               world.outbounds[0].started > 0 && world.outbounds[1].started > 0);
    CHECK_INT("rows left", world_open_rows(), 0);
    world_start();
    world_advance(120 * 1000);
    CHECK_INT("nothing twice", world.attempts_started, COUNT_OF(names));
}

/* The commit of a fresh message is seen in the spool before its hand-over comes. */
static void test_rows_on_their_way_are_left_alone(void **state)
{
    struct answer answer = {0};
    size_t owner = 0;

    (void)state;
    world_clear();
    world_init(2);
    submit(0, 1, one_recipient, 1, &answer);
    world_run();
    owner = world.outbounds[1].started;
    world.is_post_held = true;
    submit(1 - owner, 2, one_recipient, 1, &answer);
    world_start();
    world_advance(100);
    CHECK_INT("not yet", world.attempts_started, 1);
    world.is_post_held = false;
    world_advance(120 * 1000);
    CHECK_INT("once", world.attempts_started, 2);
    CHECK_INT("rows left", world_open_rows(), 0);
}

/* The other loop hears of the order before it hears of the message. */
static void bring_order_forward(struct event_loop *loop)
{
    struct loop_task *last = loop->posted, *before = NULL;

    while (last->next != NULL) {
        before = last;
        last = last->next;
    }
    CHECK_TRUE("messages are on their way", before != NULL);
    before->next = NULL;
    loop->posted_last = &before->next;
    last->next = loop->posted;
    loop->posted = last;
}

static void test_copy_that_went_out_though_it_was_deleted(void **state)
{
    struct answer answer = {0};

    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        size_t owner;

        world_clear();
        world_init(2);
        world_start();
        submit(0, 1, one_recipient, 1, &answer);
        world_run();
        owner = world.outbounds[1].started;
        world.is_post_held = true;
        submit(1 - owner, 2, one_recipient, 1, &answer);
        submit(1 - owner, 3, one_recipient, 1, &answer);
        world_run();
        world_forget_counts();
        if (kind % 2 == 0) {
            find_row(2, 0)->is_open = false;
        } else {
            find_row(2, 0)->delivery.state = SPOOL_HELD;
        }
        if (kind < 2) {
            queue_set_refresh(world.set, 2);
        } else {
            queue_set_look_again(world.set, BYTES(""), false);
        }
        bring_order_forward(&world.loops[owner]);
        world.is_post_held = false;
        world_advance(10 * 1000);
        CHECK_INT("the other", world.attempts_started, 1);
        CHECK_TRUE("is sent", find_row(3, 0) == NULL);
        CHECK_INT("rows left", world_open_rows(), kind % 2);
    }
}

static void test_held_row_is_not_tried(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 10; id++) {
        submit_one(id);
    }
    world_run();
    world_stop();
    world_forget_counts();
    world_boot(1);
    world.is_attempt_held = true;
    world_start();
    CHECK_INT("the others wait in memory", world.attempts_started, 3);
    find_row(10, 0)->delivery.state = SPOOL_HELD;
    world.is_attempt_held = false;
    world_advance(1000);
    CHECK_INT("all but one", world.attempts_started, 9);
    CHECK_INT("it stays", world_open_rows(), 1);
}

/* Neither what comes back before the next scan nor what comes between two scans is late. */
static void test_attempts_come_in_time(void **state)
{
    struct queue_options options = world_options();

    (void)state;
    options.retry.pauses_seconds[0] = 20;
    options.retry.pauses_seconds[1] = 90;
    queue_set_options(world.queues[0], &options);
    world_start();
    world.attempt = attempt_greylisted;
    submit_one(1);
    world_advance(19 * 1000);
    CHECK_INT("not before 20 s", world.attempts_started, 1);
    world_advance(2 * 1000);
    CHECK_INT("at 20 s", world.attempts_started, 2);
    world_advance(88 * 1000);
    CHECK_INT("not before 110 s", world.attempts_started, 2);
    world_advance(2 * 1000);
    CHECK_INT("at 110 s", world.attempts_started, 3);
}

/* A read that saw a row before it was put off must not bring it back early. */
static void test_slow_read_brings_nothing_forward(void **state)
{
    (void)state;
    world_start();
    world.attempt = attempt_greylisted;
    world.is_attempt_held = true;
    world.is_read_held = true;
    submit_one(1);
    world_run();
    queue_set_refresh(world.set, 0);
    world_run();
    CHECK_INT("a read is open", world.due_reads, 1);
    world.is_attempt_held = false;
    world_run();
    CHECK_TEXT("put off", world.commit_kinds, "U");
    world.is_read_held = false;
    world_advance(50 * 1000);
    CHECK_INT("one attempt", world.attempts_started, 1);
    world_advance(20 * 1000);
    CHECK_INT("the second in its time", world.attempts_started, 2);
}

/* One message to `count` recipients at each of some destinations, named by number. */
static void submit_many(uint64_t id, size_t first, size_t destinations, size_t each)
{
    static struct answer answer;
    size_t count = destinations * each;
    char *names = memory_zero(destinations * 16);
    struct queue_recipient *recipients = memory_resize(NULL, count, sizeof *recipients);

    for (size_t i = 0; i < count; i++) {
        char *name = names + i / each * 16;
        snprintf(name, 16, "d%zu.test", first + i / each);
        recipients[i] = one_recipient[0];
        recipients[i].destination = bytes_from_text(name);
    }
    submit(0, id, recipients, count, &answer);
    free(recipients);
    free(names);
}

static void test_slow_destinations_leave_attempts_to_others(void **state)
{
    struct queue_options options = world_options();

    (void)state;
    options.concurrency = 20;
    queue_set_options(world.queues[0], &options);
    world.is_attempt_held = true;
    for (uint64_t id = 1; id <= 20; id++) {
        submit_many(id, 0, 60, 1);
    }
    world_run();
    CHECK_TRUE("some are left", world.attempts_open < 700);
    world_forget_counts();
    submit_one(21);
    world_run();
    CHECK_INT("another destination starts", world.attempts_started, 1);
    world.is_attempt_held = false;
    world_run();
    CHECK_INT("rows left", world_open_rows(), 0);
}

static void test_slow_destinations_leave_memory_to_others(void **state)
{
    (void)state;
    world.is_attempt_held = true;
    submit_many(1, 0, 25, 1100);
    world_run();
    /* Those that came late have QUEUE_SHARE recipients in memory: one attempt. */
    CHECK_INT("all start at once", world.attempts_started, 20 * 3 + 5);
    world_forget_counts();
    submit_one(2);
    world_run();
    CHECK_INT("another destination starts", world.attempts_started, 1);
}

static void test_dead_destinations_leave_places_to_others(void **state)
{
    (void)state;
    world.attempt = attempt_unreachable;
    submit_many(1, 0, 10 * 1000, 1);
    world_run();
    CHECK_INT("all paused", world_lines_with("destination-paused", ""), WORLD_LINES / 2);
    world.attempt = attempt_sent;
    submit_one(2);
    world_run();
    CHECK_INT("another destination starts", find_row(2, 0) == NULL, 1);
}

int main(void)
{
#define QUEUE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(test_sent_at_once),
        QUEUE_TEST(test_nothing_before_it_is_durable),
        QUEUE_TEST(test_client_gone_is_delivered),
        QUEUE_TEST(test_temporary_failure_waits),
        QUEUE_TEST(test_doubt_is_said),
        QUEUE_TEST(test_permanent_failure_bounces),
        QUEUE_TEST(test_null_sender_is_held),
        QUEUE_TEST(test_failed_bounce_is_held),
        QUEUE_TEST(test_expiry_bounces),
        QUEUE_TEST(test_clock_jump_expires_nothing),
        QUEUE_TEST(test_mixed_outcomes_are_one_commit),
        QUEUE_TEST(test_concurrency),
        QUEUE_TEST(test_window_overflow_is_read_again),
        QUEUE_TEST(test_unreachable_destination_pauses),
        QUEUE_TEST(test_unreachable_destination_expires),
        QUEUE_TEST(test_failed_record_is_kept),
        QUEUE_TEST(test_recovery),
        QUEUE_TEST(test_slow_read_doubles_nothing),
        QUEUE_TEST(test_deleted_message_is_forgotten),
        QUEUE_TEST(test_operator_retry),
        QUEUE_TEST(test_refresh_of_all),
        QUEUE_TEST(test_damaged_envelope_is_held),
        QUEUE_TEST(test_drain),
        QUEUE_TEST(test_drain_when_idle),
        QUEUE_TEST(test_each_loop_owns_its_destinations),
        QUEUE_TEST(test_rows_on_their_way_are_left_alone),
        QUEUE_TEST(test_copy_that_went_out_though_it_was_deleted),
        QUEUE_TEST(test_held_row_is_not_tried),
        QUEUE_TEST(test_attempts_come_in_time),
        QUEUE_TEST(test_slow_read_brings_nothing_forward),
        QUEUE_TEST(test_slow_destinations_leave_attempts_to_others),
        QUEUE_TEST(test_slow_destinations_leave_memory_to_others),
        QUEUE_TEST(test_dead_destinations_leave_places_to_others),
    };

    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
