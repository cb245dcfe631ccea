/*
 * spool_bench - what the spool costs: lives per second, CPU per life, and the wait for a
 * commit.
 *
 * Usage  spool_bench DIRECTORY batch SIZE LIVES     add SIZE 4 KB messages in a commit, later
 * close them in another; the database's part alone spool_bench DIRECTORY rate PER_SECOND
 * SECONDS   the threads too: one loop submits at this rate, prints the wait for the answer
 * System calls: strace -c -f spool_bench DIRECTORY batch 20 2000
 */
#include "base/memory.h"
#include "io/clock.h"
#include "io/spool_database.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { CONTENT_SIZE = 4096, OPEN_LIVES = 200 };

struct life {
    struct spool_message message;
    struct spool_delivery delivery;
    struct spool_change add, close;
    struct spool_request request;
    double submitted;
    struct rate_run *run;
};

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct content *make_content(void)
{
    char octets[CONTENT_SIZE];

    for (size_t i = 0; i < sizeof(octets); i++) {
        octets[i] = (char)('a' + i % 26);
    }
    return content_from_bytes(bytes_of(octets, sizeof(octets)));
}

static void fill_life(struct life *life, uint64_t number, struct content *content)
{
    static const char *const destinations[] = {"gmail.example", "corp.example", "mail.example",
                                               "other.example"};

    life->message = (struct spool_message){
        .id = (UINT64_C(1763760000000) << 22) + number,
        .created_ms = 1763760000000,
        .envelope = BYTES("an envelope record of about sixty octets, sender and client.."),
        .prefix = BYTES("Received: from client.example (client.example [192.0.2.1])\r\n"
                        "\tby mx.example.org with ESMTPS id 0123456789abc;\r\n"
                        "\tSat, 21 Nov 2026 22:06:30 +0000\r\n"),
        .content = content,
    };
    life->delivery = (struct spool_delivery){
        .message = life->message.id,
        .destination = bytes_from_text(destinations[number % 4]),
        .recipient = BYTES("anna@gmail.example"),
        .alias = BYTES("info@example.org"),
        .sender = BYTES("SRS0=abcdefgh=XY=sender.example=someone@srs.example.org"),
        .next_attempt_ms = 1763760000000 + (int64_t)number,
    };
    life->add = (struct spool_change){.kind = SPOOL_ADD,
                                      .message = &life->message,
                                      .deliveries = &life->delivery,
                                      .delivery_count = 1};
    life->close = (struct spool_change){.kind = SPOOL_CLOSE, .id = life->message.id};
}

static void commit(struct spool_database *database, struct life *lives, size_t batch,
                   bool close)
{
    struct spool_request **requests =
        memory_resize(NULL, batch, sizeof(struct spool_request *));

    for (size_t i = 0; i < batch; i++) {
        lives[i].request = (struct spool_request){
            .changes = close ? &lives[i].close : &lives[i].add, .count = 1};
        requests[i] = &lives[i].request;
    }
    spool_database_commit(database, requests, batch);
    for (size_t i = 0; i < batch; i++) {
        if (requests[i]->status != SPOOL_OK) {
            fprintf(stderr, "commit: %s\n", spool_status_text(requests[i]->status));
            exit(1);
        }
    }
    free(requests);
    if (spool_database_log_size(database) > 8 * 1024 * 1024) {
        spool_database_checkpoint(database);
    }
}

static void run_batches(const char *directory, size_t batch, size_t count)
{
    struct spool_options options = {.directory = directory};
    struct strbuf why;
    enum spool_status status;
    struct spool_database *database;
    struct content *content = make_content();
    size_t open_lives = OPEN_LIVES / batch * batch + batch, added = 0, closed = 0;
    struct life *lives = memory_resize(NULL, open_lives, sizeof(*lives));
    double started, cpu;

    strbuf_init(&why, 1000);
    database = spool_database_open(&options, &status, &why);
    if (database == NULL) {
        fprintf(stderr, "%s\n", strbuf_text(&why));
        exit(1);
    }
    started = now_seconds();
    cpu = cpu_seconds();
    while (closed < count) {
        if (added - closed == open_lives || added >= count) {
            commit(database, &lives[closed % open_lives], batch, true);
            closed += batch;
        } else {
            for (size_t i = 0; i < batch; i++) {
                fill_life(&lives[(added + i) % open_lives], added + i + 1, content);
            }
            commit(database, &lives[added % open_lives], batch, false);
            added += batch;
        }
    }
    printf("batch %zu: %.0f lives/s, %.1f us CPU a life, %.3f ms a commit\n", batch,
           (double)count / (now_seconds() - started),
           (cpu_seconds() - cpu) * 1e6 / (double)count,
           (now_seconds() - started) * 1e3 * (double)batch / (double)(2 * count));
    spool_database_close(&database);
    content_drop(&content);
    strbuf_clear(&why);
    free(lives);
}

/* ---- at a rate, with the threads ---- */

struct rate_run {
    struct spool *spool;
    struct event_loop *loop;
    struct loop_timer *timer;
    struct content *content;
    double started, per_second;
    size_t submitted, answered, closed, count;
    double *waits;
};

static void on_closed(void *context, enum spool_status status)
{
    struct life *life = context;
    struct rate_run *run = life->run;

    (void)status;
    free(life);
    if (++run->closed == run->count) {
        event_loop_stop(run->loop);
    }
}

static void on_added(void *context, enum spool_status status)
{
    struct life *life = context;
    struct rate_run *run = life->run;

    if (status != SPOOL_OK) {
        fprintf(stderr, "commit: %s\n", spool_status_text(status));
        exit(1);
    }
    run->waits[run->answered++] = now_seconds() - life->submitted;
    spool_commit(run->spool, run->loop, &life->close, 1, on_closed, life);
}

static void on_tick(void *context)
{
    struct rate_run *run = context;
    size_t due = (size_t)((now_seconds() - run->started) * run->per_second);

    while (run->submitted < due && run->submitted < run->count) {
        struct life *life = memory_zero(sizeof(*life));

        fill_life(life, ++run->submitted, run->content);
        life->run = run;
        life->submitted = now_seconds();
        spool_commit(run->spool, run->loop, &life->add, 1, on_added, life);
    }
    if (run->submitted < run->count) {
        loop_timer_set(run->timer, 1);
    }
}

static int compare_waits(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static void run_rate(const char *directory, double per_second, double seconds)
{
    struct spool_options options = {.directory = directory};
    struct strbuf why;
    enum spool_status status;
    struct rate_run run = {.per_second = per_second, .count = (size_t)(per_second * seconds)};
    double cpu;

    strbuf_init(&why, 1000);
    run.spool = spool_open(&options, &status, &why);
    if (run.spool == NULL) {
        fprintf(stderr, "%s\n", strbuf_text(&why));
        exit(1);
    }
    run.loop = event_loop_new();
    run.timer = loop_timer_new(run.loop, on_tick, &run);
    run.content = make_content();
    run.waits = memory_resize(NULL, run.count, sizeof(double));
    run.started = now_seconds();
    cpu = cpu_seconds();
    loop_timer_set(run.timer, 1);
    event_loop_run(run.loop);
    qsort(run.waits, run.count, sizeof(double), compare_waits);
    printf(
        "rate %.0f: %.0f/s, wait p50 %.2f p99 %.2f p99.9 %.2f max %.2f ms, %.1f us CPU a life, "
        "%llu commits\n",
        per_second, (double)run.count / (now_seconds() - run.started),
        run.waits[run.count / 2] * 1e3, run.waits[run.count * 99 / 100] * 1e3,
        run.waits[run.count * 999 / 1000] * 1e3, run.waits[run.count - 1] * 1e3,
        (cpu_seconds() - cpu) * 1e6 / (double)run.count,
        (unsigned long long)spool_count(run.spool).commits);
    spool_close(&run.spool);
    loop_timer_free(&run.timer);
    event_loop_free(&run.loop);
    content_drop(&run.content);
    free(run.waits);
    strbuf_clear(&why);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[2], "batch") == 0) {
        run_batches(argv[1], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
    } else if (argc == 5 && strcmp(argv[2], "rate") == 0) {
        run_rate(argv[1], strtod(argv[3], NULL), strtod(argv[4], NULL));
    } else {
        fprintf(stderr, "usage: spool_bench DIRECTORY batch SIZE LIVES\n"
                        "       spool_bench DIRECTORY rate PER_SECOND SECONDS\n");
        return 64;
    }
    return 0;
}
