/*
 * The queue on real loops over a real spool; only the next hop is scripted. Once as it is with mode
 * store, once with mode handoff, where owners and submitters have most to say to each other. Run it
 * under TSan:
 *     make BUILD=build-tsan SAN=-fsanitize=thread build-tsan/unit/queue/test_queue_threads
 */
#include "support/check.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/log.h"
#include "queue/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LOOPS = 2,
    MESSAGES = 1500,
    RECIPIENTS = 3, /* at most, of a message */
    DESTINATIONS = 23,
    AT_ONCE = 50,
    ASK_MS = 4,
    SLOW_MS = 6,
};

struct delivery_attempt {
    struct loop_task task;
    struct loop_timer *timer; /* a slow next hop */
    struct delivery_request request;
    void (*on_done)(void *context);
    void *context;
    struct delivery_report report;
};

struct outbound {
    struct event_loop *loop;
    unsigned started;
};

struct worker {
    pthread_t thread;
    struct event_loop *loop;
    struct outbound outbound;
    struct message_id_source ids;
    struct queue *queue;
    struct loop_timer *timer;
    size_t submitted, answered, wanted;
    uint64_t deadline_ms;
};

static struct worker workers[LOOPS];
static struct spool *spool;
static bool is_handoff;
static atomic_uint sent[LOOPS * MESSAGES * RECIPIENTS];
static atomic_uint refused[LOOPS * MESSAGES]; /* the client was told so */
static atomic_size_t sent_count, failure_count, verdict_count[QUEUE_FAILED + 1];

/* -- what is to become of message `index` -- */

static size_t recipient_count(size_t index)
{
    return is_handoff ? 1 + index % RECIPIENTS : 1;
}

static bool is_unknown(size_t index, size_t number)
{
    return is_handoff && (index % 50 == 7 || (index % 50 == 8 && number == 1));
}

/* In its place a bounce would go to whoever is gone; asked or not, it must arrive. */
static bool is_client_gone(size_t index)
{
    return is_handoff && index % 40 == 3;
}

static size_t wanted_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < LOOPS * MESSAGES; i++) {
        for (size_t r = 0; r < recipient_count(i); r++) {
            count += !is_unknown(i, r);
        }
    }
    return count;
}

/* -- the next hop: some attempts meet a full disk, fewer meet nobody at all -- */

static void end_recipient(struct delivery_recipient *recipient, bool is_ok)
{
    unsigned long number = strtoul(recipient->address.data, NULL, 10);
    bool is_bounce = recipient->alias.len == 0;

    if (!is_bounce && is_unknown(number / RECIPIENTS, number % RECIPIENTS)) {
        recipient->outcome = DELIVERY_PERMANENT;
        recipient->code = 550;
        snprintf(recipient->enhanced, sizeof recipient->enhanced, "5.1.1");
        recipient->text = BYTES("550 5.1.1 no such user");
        return;
    }
    recipient->outcome = is_ok ? DELIVERY_SENT : DELIVERY_TEMPORARY;
    snprintf(recipient->enhanced, sizeof recipient->enhanced, is_ok ? "2.0.0" : "4.3.1");
    recipient->text = is_ok ? BYTES("250 ok") : BYTES("452 try later");
    if (is_ok && !is_bounce) {
        atomic_fetch_add(&sent[number], 1);
        atomic_fetch_add(&sent_count, 1);
    }
}

static void end_attempt(void *context)
{
    struct delivery_attempt *attempt = context;

    for (size_t i = 0; i < attempt->request.count; i++) {
        end_recipient(&attempt->request.recipients[i],
                      attempt->report.trouble == DELIVERY_TROUBLE_NONE);
    }
    attempt->on_done(attempt->context);
}

struct delivery_attempt *delivery_attempt_start(struct outbound *outbound,
                                                const struct delivery_request *request,
                                                void (*on_done)(void *context), void *context)
{
    struct delivery_attempt *attempt = memory_zero(sizeof *attempt);
    unsigned number = outbound->started++;

    attempt->request = *request;
    attempt->on_done = on_done;
    attempt->context = context;
    attempt->task = (struct loop_task){.run = end_attempt, .context = attempt};
    attempt->report.stage = "dot";
    attempt->report.trouble = number % 201 == 200 ? DELIVERY_TROUBLE_CONNECTION
                              : number % 31 == 30 ? DELIVERY_TROUBLE_REPLY
                                                  : DELIVERY_TROUBLE_NONE;
    if (is_handoff && number % 19 == 18) {
        attempt->timer = loop_timer_new(outbound->loop, end_attempt, attempt);
        loop_timer_set(attempt->timer, SLOW_MS);
    } else {
        event_loop_defer(outbound->loop, &attempt->task);
    }
    return attempt;
}

const struct delivery_report *delivery_attempt_report(const struct delivery_attempt *attempt)
{
    return &attempt->report;
}

void delivery_attempt_give_back(struct delivery_attempt *attempt)
{
    (void)attempt;
}

void delivery_attempt_finish(struct delivery_attempt **attempt)
{
    if (*attempt != NULL) {
        assert_true(!(*attempt)->task.is_pending);
        loop_timer_free(&(*attempt)->timer);
        free(*attempt);
        *attempt = NULL;
    }
}

/* -- a worker -- */

static void submit_more(struct worker *worker);

struct question {
    struct worker *worker;
    size_t index;
};

static struct question questions[LOOPS * MESSAGES];

static void on_answer(void *context, const struct queue_answer *answer)
{
    struct question *question = context;

    atomic_fetch_add(&verdict_count[answer->verdict], 1);
    switch (answer->verdict) {
    case QUEUE_SAFE:
    case QUEUE_DELIVERED:
        break;
    case QUEUE_REFUSED:
        atomic_fetch_add(&refused[question->index], 1);
        break;
    case QUEUE_FULL:
    case QUEUE_FAILED:
        atomic_fetch_add(&failure_count, 1);
        break;
    }
    question->worker->answered++;
    submit_more(question->worker);
}

static void submit_one(struct worker *worker)
{
    size_t index = (size_t)(worker - workers) * MESSAGES + worker->submitted++;
    struct content *content = content_from_bytes(BYTES("Subject: x\r\n\r\nbody\r\n"));
    struct envelope envelope = {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")};
    char destinations[RECIPIENTS][32], addresses[RECIPIENTS][32];
    struct queue_recipient recipients[RECIPIENTS];
    struct queue_submission submission = {.id = message_id_next(&worker->ids, clock_unix_ms()),
                                          .created_ms = clock_unix_ms(),
                                          .envelope = &envelope,
                                          .content = content,
                                          .recipients = recipients,
                                          .count = recipient_count(index),
                                          .handoff_ms = is_handoff ? ASK_MS : 0};
    struct queue_ticket *ticket;

    for (size_t r = 0; r < submission.count; r++) {
        snprintf(destinations[r], sizeof destinations[r], "d%zu.test",
                 (index + r * 7) % DESTINATIONS);
        snprintf(addresses[r], sizeof addresses[r], "%zu@next.test", index * RECIPIENTS + r);
        recipients[r] =
            (struct queue_recipient){.destination = bytes_from_text(destinations[r]),
                                     .address = bytes_from_text(addresses[r]),
                                     .alias = BYTES("info@example.org"),
                                     .sender = BYTES("s@example.org")};
    }
    questions[index] = (struct question){worker, index};
    ticket = queue_submit(worker->queue, &submission, on_answer, &questions[index]);
    content_drop(&content);
    if (is_client_gone(index)) {
        queue_ticket_abandon(&ticket);
        worker->answered++;
    }
}

static void submit_more(struct worker *worker)
{
    while (worker->submitted < MESSAGES && worker->submitted < worker->answered + AT_ONCE) {
        submit_one(worker);
    }
}

static void on_idle(void *context)
{
    event_loop_stop(context);
}

static void on_tick(void *context)
{
    struct worker *worker = context;

    if ((worker->answered == MESSAGES && spool_count(spool).messages == 0 &&
         atomic_load(&sent_count) >= worker->wanted) ||
        clock_now_ms() > worker->deadline_ms) {
        queue_drain(worker->queue, on_idle, worker->loop);
        return;
    }
    loop_timer_set(worker->timer, 20);
}

static void *run_worker(void *context)
{
    struct worker *worker = context;

    queue_start(worker->queue);
    submit_more(worker);
    loop_timer_set(worker->timer, 20);
    event_loop_run(worker->loop);
    return NULL;
}

static void remove_directory(const char *directory)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

static void check_each_once(void)
{
    CHECK_INT("failed", failure_count, 0);
    for (size_t i = 0; i < LOOPS * MESSAGES; i++) {
        for (size_t r = 0; r < recipient_count(i); r++) {
            CHECK_INT("each once", sent[i * RECIPIENTS + r], !is_unknown(i, r));
        }
        CHECK_TRUE("refused only what nobody took", refused[i] == 0 || i % 50 == 7);
    }
}

static void run_workers(void)
{
    char directory[] = "/tmp/test_queue_XXXXXX";
    static struct delivery_route_table routes;
    struct queue_options options = {
        .retry = {.pauses_seconds = {1}, .count = 1, .expire_seconds = 3600},
        .concurrency = 20,
        .our_name = BYTES("mx.example.org"),
        .bounces = BOUNCE_ALL,
        .bounce_from = BYTES("postmaster@example.org"),
        .routes = &routes,
    };
    struct spool_options spool_options = {.directory = directory};
    enum spool_status status;
    struct strbuf why;

    log_configure(&(struct log_options){.level = LOG_FATAL});
    strbuf_init(&why, 1024);
    assert_non_null(mkdtemp(directory));
    spool = spool_open(&spool_options, &status, &why);
    assert_non_null(spool);
    struct queue_set *set = queue_set_new(spool, LOOPS);
    for (size_t i = 0; i < LOOPS; i++) {
        struct worker *worker = &workers[i];
        memset(worker, 0, sizeof *worker);
        worker->wanted = wanted_count();
        worker->loop = event_loop_new();
        worker->outbound.loop = worker->loop;
        worker->ids.loop = (unsigned)i;
        worker->deadline_ms = clock_now_ms() + 60 * 1000;
        worker->timer = loop_timer_new(worker->loop, on_tick, worker);
        worker->queue =
            queue_new(set, i, worker->loop, &worker->outbound, &worker->ids, &options);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    CHECK_INT("messages left", spool_count(spool).messages, 0);
    for (size_t i = 0; i < LOOPS; i++) {
        loop_timer_free(&workers[i].timer);
        queue_free(&workers[i].queue);
    }
    spool_close(&spool);
    for (size_t i = 0; i < LOOPS; i++) {
        event_loop_free(&workers[i].loop);
    }
    queue_set_free(&set);
    strbuf_clear(&why);
    remove_directory(directory);
}

static void test_each_message_once(void **state)
{
    (void)state;
    run_workers();
    check_each_once();
}

static void test_each_message_once_when_the_next_hops_are_asked_first(void **state)
{
    (void)state;
    is_handoff = true;
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
        atomic_store(&sent[i], 0);
    }
    atomic_store(&sent_count, 0);
    run_workers();
    check_each_once();
    CHECK_TRUE("some delivered", verdict_count[QUEUE_DELIVERED] > 0);
    CHECK_TRUE("some refused", verdict_count[QUEUE_REFUSED] > 0);
    CHECK_TRUE("some written", verdict_count[QUEUE_SAFE] > LOOPS * MESSAGES);
    print_message("delivered %zu, refused %zu, written %zu\n",
                  (size_t)verdict_count[QUEUE_DELIVERED], (size_t)verdict_count[QUEUE_REFUSED],
                  (size_t)verdict_count[QUEUE_SAFE] - LOOPS * MESSAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_message_once),
        cmocka_unit_test(test_each_message_once_when_the_next_hops_are_asked_first),
    };

    return cmocka_run_group_tests_name("queue_threads", tests, NULL, NULL);
}
