/*
 * The queue on real loops over a real spool; only the next hop is scripted. Run it under TSan:
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

enum { LOOPS = 2, MESSAGES = 1500, DESTINATIONS = 23, AT_ONCE = 50 };

struct delivery_attempt {
    struct loop_task task;
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
    size_t submitted, answered;
    uint64_t deadline_ms;
};

static struct worker workers[LOOPS];
static struct spool *spool;
static atomic_uint sent[LOOPS * MESSAGES];
static atomic_size_t sent_count, failure_count;

/* -- the next hop: some attempts meet a full disk, fewer meet nobody at all -- */

static void end_attempt(void *context)
{
    struct delivery_attempt *attempt = context;
    bool is_ok = attempt->report.trouble == DELIVERY_TROUBLE_NONE;

    for (size_t i = 0; i < attempt->request.count; i++) {
        struct delivery_recipient *recipient = &attempt->request.recipients[i];
        recipient->outcome = is_ok ? DELIVERY_SENT : DELIVERY_TEMPORARY;
        snprintf(recipient->enhanced, sizeof recipient->enhanced, is_ok ? "2.0.0" : "4.3.1");
        recipient->text = is_ok ? BYTES("250 ok") : BYTES("452 try later");
        if (is_ok) {
            unsigned long index = strtoul(recipient->address.data, NULL, 10);
            atomic_fetch_add(&sent[index], 1);
            atomic_fetch_add(&sent_count, 1);
        }
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
    event_loop_defer(outbound->loop, &attempt->task);
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
    assert_true(*attempt == NULL || !(*attempt)->task.is_pending);
    free(*attempt);
    *attempt = NULL;
}

/* -- a worker -- */

static void submit_more(struct worker *worker);

static void on_answer(void *context, const struct queue_answer *answer)
{
    struct worker *worker = context;

    if (answer->verdict != QUEUE_SAFE && answer->verdict != QUEUE_DELIVERED) {
        atomic_fetch_add(&failure_count, 1);
    }
    worker->answered++;
    submit_more(worker);
}

static void submit_one(struct worker *worker)
{
    size_t index = (size_t)(worker - workers) * MESSAGES + worker->submitted++;
    struct content *content = content_from_bytes(BYTES("Subject: x\r\n\r\nbody\r\n"));
    struct envelope envelope = {.kind = ENVELOPE_FORWARD, .sender = BYTES("a@sender.test")};
    char destinations[2][32], address[32];
    struct queue_recipient recipient = {.alias = BYTES("info@example.org"),
                                        .sender = BYTES("s@example.org")};

    snprintf(destinations[0], sizeof destinations[0], "d%zu.test", index % DESTINATIONS);
    snprintf(address, sizeof address, "%zu@next.test", index);
    recipient.destination = bytes_from_text(destinations[0]);
    recipient.address = bytes_from_text(address);
    struct queue_submission submission = {.id = message_id_next(&worker->ids, clock_unix_ms()),
                                          .created_ms = clock_unix_ms(),
                                          .envelope = &envelope,
                                          .content = content,
                                          .recipients = &recipient,
                                          .count = 1};

    queue_submit(worker->queue, &submission, on_answer, worker);
    content_drop(&content);
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
         atomic_load(&sent_count) >= LOOPS * MESSAGES) ||
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

static void test_each_message_once(void **state)
{
    char directory[] = "/tmp/test_queue_XXXXXX";
    static struct delivery_route_table routes;
    struct queue_options options = {
        .retry = {.pauses_seconds = {1}, .count = 1, .expire_seconds = 3600},
        .concurrency = 20,
        .our_name = BYTES("mx.example.org"),
        .bounce_from = BYTES("postmaster@example.org"),
        .routes = &routes,
    };
    struct spool_options spool_options = {.directory = directory};
    enum spool_status status;
    struct strbuf why;

    (void)state;
    log_configure(&(struct log_options){.level = LOG_FATAL});
    strbuf_init(&why, 1024);
    assert_non_null(mkdtemp(directory));
    spool = spool_open(&spool_options, &status, &why);
    assert_non_null(spool);
    struct queue_set *set = queue_set_new(spool, LOOPS);
    for (size_t i = 0; i < LOOPS; i++) {
        struct worker *worker = &workers[i];
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
    CHECK_INT("refused", failure_count, 0);
    for (size_t i = 0; i < LOOPS * MESSAGES; i++) {
        CHECK_INT("each once", sent[i], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_message_once),
    };

    return cmocka_run_group_tests_name("queue_threads", tests, NULL, NULL);
}
