/*
 * The spool with its threads: answers come to the loop that asked, and nothing that was
 * answered is lost when the process dies.
 */
#include "support/check.h"

#include "base/memory.h"
#include "io/spool.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct place {
    char directory[40];
};

static struct place make_place(void)
{
    struct place place = {.directory = "/tmp/test-spool-XXXXXX"};

    assert_non_null(mkdtemp(place.directory));
    return place;
}

static void remove_place(struct place *place)
{
    char command[80];

    snprintf(command, sizeof(command), "rm -rf %s", place->directory);
    assert_int_equal(system(command), 0);
}

static struct spool *open_spool(const struct place *place)
{
    struct spool_options options = {.directory = place->directory};
    enum spool_status status;
    struct strbuf why;
    struct spool *spool;

    strbuf_init(&why, 1000);
    spool = spool_open(&options, &status, &why);
    if (spool == NULL) {
        fail_msg("not opened: %s", strbuf_text(&why));
    }
    strbuf_clear(&why);
    return spool;
}

/* One loop that adds messages and closes every second one, `width` at a time. */
struct worker {
    struct spool *spool;
    struct event_loop *loop;
    struct content *small, *large;
    uint64_t first_id, next_id, last_id;
    unsigned width, open;
    int report; /* where acknowledged ids are written to, or -1 */
    bool closes_may_wait;
    unsigned added, closed;
};

struct life {
    struct worker *worker;
    struct spool_message message;
    struct spool_delivery delivery;
    struct spool_change change;
};

static void start_lives(struct worker *worker);

static void end_life(struct life *life)
{
    struct worker *worker = life->worker;

    free(life);
    worker->open--;
    start_lives(worker);
}

static void report(struct worker *worker, uint64_t id, char what)
{
    struct {
        uint64_t id;
        char what;
    } record;

    memset(&record, 0, sizeof(record));
    record.id = id;
    record.what = what;
    if (worker->report >= 0) {
        assert(write(worker->report, &record, sizeof(record)) == sizeof(record));
    }
}

static void on_closed(void *context, enum spool_status status)
{
    struct life *life = context;

    CHECK_INT("close", status, SPOOL_OK);
    life->worker->closed++;
    end_life(life);
}

static void on_added(void *context, enum spool_status status)
{
    struct life *life = context;

    CHECK_INT("add", status, SPOOL_OK);
    life->worker->added++;
    report(life->worker, life->message.id, 'a');
    if (life->message.id % 2 == 0) {
        end_life(life);
        return;
    }
    report(life->worker, life->message.id, 'c'); /* before: it may be gone from here on */
    life->change = (struct spool_change){
        .kind = SPOOL_CLOSE, .id = life->message.id, .may_wait = life->worker->closes_may_wait};
    spool_commit(life->worker->spool, life->worker->loop, &life->change, 1, on_closed, life);
}

static void start_life(struct worker *worker)
{
    struct life *life = memory_zero(sizeof(*life));
    uint64_t id = worker->next_id++;

    life->worker = worker;
    life->message =
        (struct spool_message){.id = id,
                               .created_ms = 5,
                               .envelope = BYTES("e"),
                               .content = id % 64 == 6 ? worker->large : worker->small};
    life->delivery = (struct spool_delivery){
        .message = id, .destination = BYTES("d.example"), .next_attempt_ms = (int64_t)id};
    life->change = (struct spool_change){.kind = SPOOL_ADD,
                                         .message = &life->message,
                                         .deliveries = &life->delivery,
                                         .delivery_count = 1};
    spool_commit(worker->spool, worker->loop, &life->change, 1, on_added, life);
}

static void start_lives(struct worker *worker)
{
    while (worker->open < worker->width && worker->next_id <= worker->last_id) {
        worker->open++;
        start_life(worker);
    }
    if (worker->open == 0) {
        event_loop_stop(worker->loop);
    }
}

static void on_start(void *context)
{
    start_lives(context);
}

static void *run_worker(void *context)
{
    struct worker *worker = context;
    struct loop_task start = {.run = on_start, .context = worker};

    worker->loop = event_loop_new();
    event_loop_post(worker->loop, &start);
    event_loop_run(worker->loop);
    return NULL; /* the loop goes after the spool: its thread may be about to wake it once more
                  */
}

static struct content *content_of_size(size_t size)
{
    char *octets = memory_alloc(size);
    struct content *content;

    memset(octets, 'x', size);
    content = content_from_bytes(bytes_of(octets, size));
    free(octets);
    return content;
}

static struct worker make_worker(struct spool *spool, uint64_t first_id, uint64_t count)
{
    return (struct worker){.spool = spool,
                           .small = content_of_size(4096),
                           .large = content_of_size(CONTENT_MEMORY_LIMIT + 5000),
                           .first_id = first_id,
                           .next_id = first_id,
                           .last_id = first_id + count - 1,
                           .width = 20,
                           .report = -1};
}

static void clear_worker(struct worker *worker)
{
    content_drop(&worker->small);
    content_drop(&worker->large);
}

/* ---- reading, as the queue does ---- */

struct listing {
    struct spool *spool;
    struct event_loop *loop;
    struct loop_task start;
    uint64_t after;
    bool *found; /* by id */
    size_t size, count;
};

static void on_row_page(void *context, enum spool_status status,
                        const struct spool_delivery *rows, size_t count);

static void on_message(void *context, enum spool_status status,
                       const struct spool_message *message,
                       const struct spool_delivery *deliveries, size_t count)
{
    struct listing *listing = context;

    CHECK_INT("message", status, SPOOL_OK);
    CHECK_INT("deliveries", count, 1);
    CHECK_INT("same", deliveries[0].message == message->id, 1);
    CHECK_INT("size", content_size(message->content),
              message->id % 64 == 6 ? CONTENT_MEMORY_LIMIT + 5000 : 4096);
    listing->after = message->id;
    spool_read_all(listing->spool, listing->loop, NULL, listing->after, 0, 7, on_row_page,
                   listing);
}

static void on_row_page(void *context, enum spool_status status,
                        const struct spool_delivery *rows, size_t count)
{
    struct listing *listing = context;

    CHECK_INT("rows", status, SPOOL_OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(rows[i].message < listing->size);
        listing->found[rows[i].message] = true;
        listing->count++;
    }
    if (count < 7) {
        event_loop_stop(listing->loop);
        return;
    }
    listing->after = rows[count - 1].message;
    spool_read_message(listing->spool, listing->loop, listing->after, true, on_message,
                       listing);
}

static void on_listing_start(void *context)
{
    struct listing *listing = context;

    spool_read_all(listing->spool, listing->loop, NULL, 0, 0, 7, on_row_page, listing);
}

static void read_listing(struct listing *listing, struct spool *spool, size_t size)
{
    *listing = (struct listing){.spool = spool, .size = size};
    listing->loop = event_loop_new();
    listing->found = memory_zero(size);
    listing->start = (struct loop_task){.run = on_listing_start, .context = listing};
    event_loop_post(listing->loop, &listing->start);
    event_loop_run(listing->loop);
}

static void clear_listing(struct listing *listing)
{
    event_loop_free(&listing->loop);
    free(listing->found);
}

/* ---- tests ---- */

static void several_loops_share_it(void **state)
{
    enum { LOOPS = 3, LIVES = 2000 };
    struct place place = make_place();
    struct spool *spool = open_spool(&place);
    struct worker workers[LOOPS];
    pthread_t threads[LOOPS];
    struct listing listing;
    struct spool_counters counters;

    (void)state;
    for (size_t i = 0; i < LOOPS; i++) {
        workers[i] = make_worker(spool, 1 + i * LIVES, LIVES);
        pthread_create(&threads[i], NULL, run_worker, &workers[i]);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT("added", workers[i].added, LIVES);
        CHECK_INT("closed", workers[i].closed, LIVES / 2);
    }
    counters = spool_count(spool);
    CHECK_INT("messages", counters.messages, LOOPS * LIVES / 2);
    CHECK_INT("changes", counters.changes, LOOPS * LIVES * 3 / 2);
    CHECK_TRUE("grouped", counters.commits < counters.changes / 2);
    spool_close(&spool);
    for (size_t i = 0; i < LOOPS; i++) {
        event_loop_free(&workers[i].loop);
        clear_worker(&workers[i]);
    }
    spool = open_spool(&place);
    read_listing(&listing, spool, LOOPS * LIVES + 1);
    CHECK_INT("left", listing.count, LOOPS * LIVES / 2);
    for (size_t id = 1; id <= LOOPS * LIVES; id++) {
        CHECK_INT("the even ones", listing.found[id], id % 2 == 0);
    }
    spool_close(&spool);
    clear_listing(&listing);
    remove_place(&place);
}

/* With one life at a time nothing comes that would take them along; with more, much does. */
static void closes_that_may_wait_are_made_all_the_same(void **state)
{
    static const unsigned widths[] = {1, 2, 20};

    (void)state;
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        struct place place = make_place();
        struct spool *spool = open_spool(&place);
        struct worker worker = make_worker(spool, 1, 100);

        worker.width = widths[i];
        worker.closes_may_wait = true;
        run_worker(&worker);
        CHECK_INT("closed", worker.closed, 50);
        CHECK_INT("left", spool_count(spool).messages, 50);
        spool_close(&spool);
        event_loop_free(&worker.loop);
        clear_worker(&worker);
        remove_place(&place);
    }
}

/* Closing waits for what was handed in; the answers are on their loop. */
static void closing_commits_what_waits(void **state)
{
    struct place place = make_place();
    struct spool *spool = open_spool(&place);
    struct worker worker = make_worker(spool, 2, 1);

    (void)state;
    worker.loop = event_loop_new();
    start_lives(&worker);
    spool_close(&spool);
    CHECK_INT("not from inside", worker.added, 0);
    event_loop_run(worker.loop);
    CHECK_INT("answered", worker.added, 1);
    event_loop_free(&worker.loop);
    clear_worker(&worker);
    spool = open_spool(&place);
    CHECK_INT("there", spool_count(spool).messages, 1);
    spool_close(&spool);
    remove_place(&place);
}

/* ---- kill -9 ---- */

enum { KILLS = 25, IDS = 1000000 };

static void child_under_load(const struct place *place, int report_to, uint64_t first_id)
{
    struct worker worker = make_worker(open_spool(place), first_id, IDS);

    worker.report = report_to;
    run_worker(&worker);
    _exit(0);
}

static uint64_t collect(int from, char *fates)
{
    struct {
        uint64_t id;
        char what;
    } record;
    uint64_t last = 0;

    while (read(from, &record, sizeof(record)) == sizeof(record)) {
        assert_true(record.id < IDS);
        fates[record.id] = record.what;
        last = record.id > last ? record.id : last;
    }
    return last;
}

/* One child's life: its first id is above everything the one before may have tried. */
static uint64_t kill_once(const struct place *place, char *fates, uint64_t first_id,
                          unsigned round)
{
    struct timespec pause = {.tv_nsec = 100000L * ((round * 7919) % 300)};
    struct pollfd first_answer = {.events = POLLIN};
    int ends[2];
    uint64_t last;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        child_under_load(place, ends[1], first_id);
    }
    close(ends[1]);
    first_answer.fd = ends[0];
    poll(&first_answer, 1, 10000);
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    last = collect(ends[0], fates);
    close(ends[0]);
    waitpid(child, NULL, 0);
    return last > first_id ? last : first_id;
}

static void nothing_answered_is_lost(void **state)
{
    struct place place = make_place();
    char *fates = memory_zero(IDS);
    uint64_t id = 1;
    unsigned acknowledged = 0;
    struct listing listing;
    struct spool *spool;

    (void)state;
    for (unsigned round = 0; round < KILLS; round++) {
        id = kill_once(&place, fates, id, round) + 100;
    }
    spool = open_spool(&place);
    read_listing(&listing, spool, IDS);
    for (uint64_t at = 1; at < IDS; at++) {
        acknowledged += fates[at] == 'a' ? 1 : 0;
        if (fates[at] == 'a' && !listing.found[at]) {
            fail_msg("message %u was acknowledged and is lost", (unsigned)at);
        }
    }
    CHECK_TRUE("there was load", acknowledged > KILLS);
    free(fates);
    spool_close(&spool);
    clear_listing(&listing);
    remove_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_answered_is_lost), /* first: it forks */
        cmocka_unit_test(several_loops_share_it),
        cmocka_unit_test(closes_that_may_wait_are_made_all_the_same),
        cmocka_unit_test(closing_commits_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
