/*
 * The spool on a disk that fails: every operation in turn, full disks, power cuts. What was
 * answered SPOOL_OK is there, what was answered otherwise did not happen, and the next one
 * works.
 */
#include "support/check.h"

#include "support/memory_disk.h"

#include "io/spool_database.h"

#include <time.h>

enum { MESSAGES = 40, LARGE_SIZE = CONTENT_MEMORY_LIMIT + 1000 };

enum fate { FATE_NONE, FATE_ADDED, FATE_CLOSED, FATE_UNKNOWN };

struct run {
    struct spool_database *database;
    enum fate fates[MESSAGES + 1];
    struct content *small, *large;
    unsigned failed;
};

static struct spool_database *open_database(enum spool_status *status)
{
    struct spool_options options = {.directory = "/spool", .free_space_floor = 1000};
    struct strbuf why;
    struct spool_database *database;

    strbuf_init(&why, 1000);
    database = spool_database_open(&options, status, &why);
    strbuf_clear(&why);
    return database;
}

static struct content *content_of_size(size_t size)
{
    char *octets = memory_alloc(size);
    struct content *content;

    for (size_t i = 0; i < size; i++) {
        octets[i] = (char)(i * 7);
    }
    content = content_from_bytes(bytes_of(octets, size));
    free(octets);
    return content;
}

static bool is_large(uint64_t id)
{
    return id % 10 == 3;
}

static void start_run(struct run *run, uint64_t seed)
{
    enum spool_status status;

    memory_disk_reset(seed);
    *run = (struct run){.small = content_of_size(3000), .large = content_of_size(LARGE_SIZE)};
    run->database = open_database(&status);
    CHECK_INT("open", status, SPOOL_OK);
}

static void end_run(struct run *run)
{
    spool_database_close(&run->database);
    content_drop(&run->small);
    content_drop(&run->large);
}

static enum spool_status change(struct run *run, uint64_t id, bool add)
{
    struct spool_message message = {.id = id,
                                    .created_ms = 5,
                                    .envelope = BYTES("envelope"),
                                    .prefix = BYTES("prefix"),
                                    .content = is_large(id) ? run->large : run->small};
    struct spool_delivery delivery = {
        .message = id, .destination = BYTES("d.example"), .next_attempt_ms = 10};
    struct spool_change adds = {
        .kind = SPOOL_ADD, .message = &message, .deliveries = &delivery, .delivery_count = 1};
    struct spool_change closes = {.kind = SPOOL_CLOSE, .id = id};
    struct spool_request request = {.changes = add ? &adds : &closes, .count = 1};
    struct spool_request *requests[] = {&request};

    spool_database_commit(run->database, requests, 1);
    return request.status;
}

static void try_change(struct run *run, uint64_t id, bool add)
{
    enum spool_status status = change(run, id, add);

    if (status == SPOOL_OK) {
        run->fates[id] = add ? FATE_ADDED : FATE_CLOSED;
        return;
    }
    run->failed++;
    if (status != SPOOL_FULL && status != SPOOL_FAILED) {
        fail_msg("message %u: answered %s", (unsigned)id, spool_status_text(status));
    }
}

/* Adds all, closes every third, moves the log now and then. */
static void live(struct run *run)
{
    for (uint64_t id = 1; id <= MESSAGES; id++) {
        try_change(run, id, true);
        if (id > 6 && id % 3 == 0 && run->fates[id - 6] == FATE_ADDED) {
            try_change(run, id - 6, false);
        }
        if (id % 15 == 0) {
            spool_database_checkpoint(run->database);
        }
        if (id % 13 == 0) {
            spool_database_checkpoint_beside(run->database);
        }
    }
}

static void check_message(struct run *run, const char *name, uint64_t id, bool exactly)
{
    struct arena *arena = arena_new();
    struct spool_message message;
    struct spool_delivery *rows;
    size_t count;
    enum spool_status status =
        spool_database_read_message(run->database, arena, id, true, &message, &rows, &count);

    if (run->fates[id] == FATE_ADDED) {
        CHECK_INT(name, status, SPOOL_OK);
        CHECK_INT(name, count, 1);
        CHECK_INT(name, content_size(message.content), is_large(id) ? LARGE_SIZE : 3000);
    } else if (exactly && status != SPOOL_GONE) {
        fail_msg("%s: message %u is there and should not be", name, (unsigned)id);
    }
    content_drop(&message.content);
    arena_free(&arena);
}

static void check_all(struct run *run, const char *name, bool exactly)
{
    for (uint64_t id = 1; id <= MESSAGES; id++) {
        check_message(run, name, id, exactly);
    }
}

static void reopen(struct run *run, const char *name)
{
    enum spool_status status;

    run->database = open_database(&status);
    CHECK_INT(name, status, SPOOL_OK);
}

/* The process goes with the power: closing gives back its memory, but reaches no disk. */
static void cut_power(struct run *run)
{
    memory_disk.fail_at = memory_disk.operations + 1;
    memory_disk.fail_on = true;
    memory_disk.failure = DISK_FAILED;
    spool_database_close(&run->database);
    memory_disk_cut();
}

/* ---- tests ---- */

static unsigned long operations_of_a_life(void)
{
    struct run run;
    unsigned long operations;

    start_run(&run, 1);
    live(&run);
    operations = memory_disk.operations;
    CHECK_INT("nothing failed", run.failed, 0);
    end_run(&run);
    return operations;
}

static void fail_each(enum disk_status failure, bool cut_after)
{
    unsigned long last = operations_of_a_life();

    for (unsigned long n = 1; n <= last; n++) {
        struct run run;
        char name[80];

        snprintf(name, sizeof(name), "operation %lu of %lu fails", n, last);
        start_run(&run, n);
        memory_disk.fail_at = memory_disk.operations + n;
        memory_disk.failure = failure;
        live(&run);
        if (run.failed > 2) {
            fail_msg("%s: %u requests failed", name, run.failed);
        }
        if (cut_after) {
            cut_power(&run);
            reopen(&run, name);
            check_all(&run, name, false);
        } else {
            check_all(&run, name, true);
            spool_database_close(&run.database);
            memory_disk.fail_at = 0;
            reopen(&run, name);
            check_all(&run, name, true);
        }
        end_run(&run);
    }
}

static void each_operation_fails_once(void **state)
{
    (void)state;
    fail_each(DISK_FAILED, false);
}

static void each_operation_finds_the_disk_full(void **state)
{
    (void)state;
    fail_each(DISK_FULL, false);
}

static void failing_then_power_cut(void **state)
{
    (void)state;
    fail_each(DISK_FAILED, true);
}

/* From the n-th operation on everything fails, then the power is cut: what was answered is
 * there. */
static void power_cut_at_each_operation(void **state)
{
    unsigned long last = operations_of_a_life();

    (void)state;
    for (unsigned long n = 1; n <= last; n++) {
        struct run run;
        char name[80];

        snprintf(name, sizeof(name), "power cut at operation %lu", n);
        start_run(&run, n);
        memory_disk.fail_at = memory_disk.operations + n;
        memory_disk.fail_on = true;
        memory_disk.failure = DISK_FAILED;
        live(&run);
        cut_power(&run);
        reopen(&run, name);
        check_all(&run, name, false);
        /* And it can be used. */
        CHECK_INT(name, change(&run, 1000, true), SPOOL_OK);
        end_run(&run);
    }
}

static void power_cut_while_it_is_made(void **state)
{
    (void)state;
    for (unsigned long n = 1; n <= 40; n++) {
        enum spool_status status;
        struct run run = {.small = content_of_size(3000)};
        char name[80];

        snprintf(name, sizeof(name), "power cut at operation %lu of the first start", n);
        memory_disk_reset(n);
        memory_disk.fail_at = n;
        memory_disk.fail_on = true;
        memory_disk.failure = DISK_FAILED;
        run.database = open_database(&status);
        spool_database_close(&run.database);
        memory_disk_cut();
        reopen(&run, name);
        CHECK_INT(name, change(&run, 1, true), SPOOL_OK);
        end_run(&run);
    }
}

static void disk_full_for_a_while(void **state)
{
    struct run run;

    (void)state;
    start_run(&run, 7);
    try_change(&run, 1, true);
    memory_disk.fail_at = memory_disk.operations + 1;
    memory_disk.fail_on = true;
    memory_disk.failure = DISK_FULL;
    CHECK_INT("full", change(&run, 2, true), SPOOL_FULL);
    CHECK_INT("still full", change(&run, 3, true), SPOOL_FULL);
    memory_disk.fail_at = 0;
    CHECK_INT("space again", change(&run, 4, true), SPOOL_OK);
    run.fates[4] = FATE_ADDED;
    check_all(&run, "after", true);
    end_run(&run);
}

/* The log could not be cut, for the disk went on failing; then nobody asked for anything until the
 * program was stopped. */
static void test_what_had_failed_was_there_after_a_restart(void **state)
{
    unsigned long last = operations_of_a_life();

    (void)state;
    for (unsigned long n = 1; n <= last; n++) {
        struct run run;
        char name[80];

        snprintf(name, sizeof(name), "operation %lu of %lu and what follows fails", n, last);
        start_run(&run, n);
        memory_disk.fail_at = memory_disk.operations + n;
        memory_disk.fail_on = true;
        memory_disk.failure = n % 2 == 0 ? DISK_FULL : DISK_FAILED;
        for (uint64_t id = 1; id <= MESSAGES && run.failed == 0; id++) {
            try_change(&run, id, true);
            if (id % 3 == 0 && run.failed == 0) {
                try_change(&run, id - 1, false);
            }
        }
        memory_disk.fail_at = 0;
        memory_disk.fail_on = false;
        spool_database_close(&run.database);
        reopen(&run, name);
        check_all(&run, name, true);
        end_run(&run);
    }
}

static void free_space_floor(void **state)
{
    struct run run;

    (void)state;
    start_run(&run, 8);
    try_change(&run, 1, true);
    memory_disk.free_space = 999;
    for (int waits = 0; waits < 3; waits++) {
        struct timespec pause = {.tv_nsec = 15000000};

        nanosleep(&pause, NULL); /* the floor is looked at every 20 ms */
    }
    CHECK_INT("adding", change(&run, 2, true), SPOOL_FULL);
    CHECK_INT("closing", change(&run, 1, false), SPOOL_OK);
    end_run(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_fails_once),
        cmocka_unit_test(each_operation_finds_the_disk_full),
        cmocka_unit_test(failing_then_power_cut),
        cmocka_unit_test(power_cut_at_each_operation),
        cmocka_unit_test(power_cut_while_it_is_made),
        cmocka_unit_test(disk_full_for_a_while),
        cmocka_unit_test(test_what_had_failed_was_there_after_a_restart),
        cmocka_unit_test(free_space_floor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
