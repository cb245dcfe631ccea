/*
 * What SQLite itself cannot be made to do in time: two connections that sync the log at once, a cut that
 * fails half way.
 */
#include "support/check.h"

#include "support/memory_disk.h"

#include "io/spool_vfs.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <time.h>

#define DATABASE "/spool.db"

enum { LOG_FLAGS = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_WAL };

struct log_file {
    union {
        sqlite3_file base;
        char space[256];
    } as;
};

static atomic_int syncs_begun;
static atomic_bool is_commit_answered;

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* The first sync hangs until the second has been answered, or long enough to see that it waits. */
static void hang_first_sync(void)
{
    if (atomic_fetch_add(&syncs_begun, 1) == 0) {
        for (int i = 0; i < 200 && !atomic_load(&is_commit_answered); i++) {
            wait_a_moment();
        }
    }
}

static void open_log(struct spool_vfs *vfs, struct log_file *log)
{
    sqlite3_vfs *base = sqlite3_vfs_find(spool_vfs_name(vfs));

    assert_true((size_t)base->szOsFile <= sizeof log->as.space);
    CHECK_INT("open", base->xOpen(base, DATABASE "-wal", &log->as.base, LOG_FLAGS, NULL),
              SQLITE_OK);
}

static int write_log(struct log_file *log, sqlite3_int64 offset)
{
    static const char frame[512];

    return log->as.base.pMethods->xWrite(&log->as.base, frame, sizeof frame, offset);
}

static int sync_log(struct log_file *log)
{
    return log->as.base.pMethods->xSync(&log->as.base, SQLITE_SYNC_NORMAL);
}

static void close_log(struct log_file *log)
{
    log->as.base.pMethods->xClose(&log->as.base);
}

static void *checkpoint_in_thread(void *context)
{
    (void)sync_log(context);
    return NULL;
}

/* A commit has written its frames; a checkpoint beside it takes them along in its own sync. */
static void sync_twice(enum disk_status first, int want)
{
    struct spool_vfs *vfs;
    struct log_file writer, helper;
    pthread_t thread;
    int code;

    memory_disk_reset(1);
    vfs = spool_vfs_new();
    open_log(vfs, &writer);
    open_log(vfs, &helper);
    CHECK_INT("write", write_log(&writer, 0), SQLITE_OK);
    atomic_store(&syncs_begun, 0);
    atomic_store(&is_commit_answered, false);
    memory_disk.before_sync = hang_first_sync;
    memory_disk.fail_at = first == DISK_OK ? 0 : memory_disk.operations + 2; /* write, sync */
    memory_disk.failure = first;
    pthread_create(&thread, NULL, checkpoint_in_thread, &helper);
    while (atomic_load(&syncs_begun) == 0) {
        wait_a_moment();
    }
    code = sync_log(&writer);
    atomic_store(&is_commit_answered, true);
    CHECK_INT("answer of the commit", code, want);
    CHECK_INT("syncs ended before it", (int)memory_disk.syncs, 1);
    pthread_join(thread, NULL);
    memory_disk.before_sync = NULL;
    close_log(&writer);
    close_log(&helper);
    spool_vfs_free(&vfs);
}

static void test_commit_was_answered_during_the_sync_of_a_checkpoint(void **state)
{
    (void)state;
    sync_twice(DISK_OK, SQLITE_OK);
}

static void test_failed_sync_of_a_checkpoint_was_not_told_to_the_commit(void **state)
{
    (void)state;
    sync_twice(DISK_FAILED, SQLITE_IOERR_FSYNC);
}

/* The octets were synced, the name was not: the answer is that it failed. */
static void test_cut_that_was_not_synced_was_undone_by_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct spool_vfs *vfs = spool_vfs_new();
        struct log_file log;
        uint64_t size = 1;
        int handle;

        memory_disk_reset(seed);
        open_log(vfs, &log);
        CHECK_INT("write", write_log(&log, 0), SQLITE_OK);
        memory_disk.fail_at = memory_disk.operations + 3; /* write, sync, directory */
        memory_disk.failure = DISK_FAILED;
        CHECK_INT("sync", sync_log(&log), SQLITE_IOERR_FSYNC);
        close_log(&log);
        memory_disk.fail_at = memory_disk.operations + 2; /* truncate, sync */
        CHECK_INT("cut", spool_vfs_cut_log(vfs, DATABASE), DISK_FAILED);
        CHECK_INT("cut again", spool_vfs_cut_log(vfs, DATABASE), DISK_OK);
        spool_vfs_free(&vfs);
        memory_disk_cut();
        if (disk_open(DATABASE "-wal", false, &handle) == DISK_OK) {
            disk_size(handle, &size);
            CHECK_INT("octets of the log", size, 0);
            disk_close(handle);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_was_answered_during_the_sync_of_a_checkpoint),
        cmocka_unit_test(test_failed_sync_of_a_checkpoint_was_not_told_to_the_commit),
        cmocka_unit_test(test_cut_that_was_not_synced_was_undone_by_a_power_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
