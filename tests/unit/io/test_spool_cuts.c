/*
 * Power cuts, on the shipped spool and real files: all it does is recorded, and after every entry
 * of the recording the power fails. Whatever may have survived of what was not synced, a spool that
 * is opened on it
 *
 *   opens      without complaint, and its database is whole
 *   holds      what was answered, and of what was on its way all or nothing: exactly that, each
 *              delivery once, each content to the octet, no closed one, nothing that was never
 *              submitted, no file that nobody names
 *   goes on    takes more, and survives the next cut
 *
 * SPOOL_CUT_SEEDS=n for more seeds, SPOOL_CUT_FIRST=n to begin elsewhere; a failure names the seed
 * and the state, and SPOOL_CUT_SEED=n SPOOL_CUT_STATE=n is that one alone.
 */
#include "support/check.h"

#include "support/disk_recorder.h"
#include "support/spool_ledger.h"

#include "io/disk.h"
#include "io/spool_database.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdlib.h>

enum {
    BATCHES = 26,
    BATCHES_AFTER = 3,
    STEPS_MOST = 40,
    AGAIN_EACH = 24, /* each so many states the spool goes on, and there is another cut */
    AGAIN_CUTS = 6,
    WHOLE_EACH = 4, /* each so many states SQLite looks at all pages and indices */
};

/* ---- SQLite's randomness, from the seed ---- */

static uint64_t sqlite_seed;

static int fill_from_seed(sqlite3_vfs *vfs, int count, char *out)
{
    (void)vfs;
    for (int i = 0; i < count; i++) {
        out[i] = (char)recorder_random(&sqlite_seed);
    }
    return count;
}

/* It asks the usual VFS, whichever it works on. */
static void set_sqlite_seed(uint64_t seed)
{
    static sqlite3_vfs usual;

    if (usual.zName == NULL) {
        usual = *sqlite3_vfs_find("unix");
        usual.zName = "seeded";
        usual.xRandomness = fill_from_seed;
        sqlite3_vfs_register(&usual, 1);
    }
    sqlite_seed = seed;
    sqlite3_randomness(0, NULL); /* ask again */
}

/* ---- one life of a spool, recorded ---- */

struct life {
    char root[80];
    uint64_t seed;
    struct recording *recording;
    struct spool_database *database;
    struct ledger ledgers[STEPS_MOST]; /* at the start, and after each batch */
    size_t ledger_count;
};

static struct workplace {
    char base[40], live[60], after[60], again[60];
} place;

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *walk)
{
    (void)facts;
    (void)type;
    (void)walk;
    return remove(path);
}

static void empty_directory(const char *path)
{
    nftw(path, remove_one, 20, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(mkdir(path, 0700), 0);
}

static struct spool_database *open_spool(const char *root, enum spool_status *status,
                                         struct strbuf *why)
{
    char directory[100];
    struct spool_options options = {.directory = directory};

    snprintf(directory, sizeof(directory), "%s/spool", root);
    return spool_database_open(&options, status, why);
}

static void open_well(struct life *life)
{
    enum spool_status status;
    struct strbuf why;

    strbuf_init(&why, 1000);
    life->database = open_spool(life->root, &status, &why);
    if (life->database == NULL) {
        fail_msg("seed %llu: not opened: %s", (unsigned long long)life->seed,
                 strbuf_text(&why));
    }
    strbuf_clear(&why);
}

struct commit_task {
    struct life *life;
    struct batch *batch;
};

static void run_commit(void *context)
{
    struct commit_task *task = context;
    struct spool_request *requests[BATCH_REQUESTS];
    struct entry entry = {.kind = ENTRY_SUBMITTED, .file = -1, .name = -1};

    for (size_t i = 0; i < task->batch->count; i++) {
        requests[i] = &task->batch->requests[i];
    }
    recorder_note(entry);
    spool_database_commit(task->life->database, requests, task->batch->count);
    entry.kind = ENTRY_ANSWERED;
    recorder_note(entry);
    for (size_t i = 0; i < task->batch->count; i++) {
        if (task->batch->requests[i].status != SPOOL_OK) {
            fail_msg("seed %llu: a commit: %s", (unsigned long long)task->life->ledgers[0].seed,
                     spool_status_text(task->batch->requests[i].status));
        }
    }
}

static void run_checkpoint(void *context)
{
    spool_database_checkpoint_beside(((struct life *)context)->database);
}

static void run_store(void *context)
{
    struct commit_task *task = context;

    for (size_t i = 0; i < task->batch->count; i++) {
        if (spool_request_has_file(&task->batch->requests[i])) {
            spool_database_store_content(task->life->database, &task->batch->requests[i]);
        }
    }
}

static void live_through(struct life *life, struct batch *batch, struct batch *next)
{
    struct commit_task now = {life, batch}, later = {life, next};
    struct recorder_task commit = {run_commit, &now};
    uint64_t draw = recorder_random(&life->seed);

    bool is_next_stored = next != NULL && draw % 2 == 0;

    if (is_next_stored) {
        recorder_run_both(draw, commit, (struct recorder_task){run_store, &later});
    } else if (draw % 5 < 2) {
        recorder_run_both(draw, commit, (struct recorder_task){run_checkpoint, life});
    } else {
        run_commit(&now);
    }
    if (recorder_random(&life->seed) % 7 == 0) {
        spool_database_checkpoint(life->database);
    }
    if (!is_next_stored && recorder_random(&life->seed) % 7 == 0) {
        spool_database_close(&life->database);
        open_well(life);
    }
}

/* The ledger at the start is there; leaves the spool open and the recording ended. */
static void live(struct life *life, size_t batches)
{
    struct batch *batch, *next;

    for (size_t i = 0; i < batches; i++) {
        if (i == 0) {
            life->ledgers[1] = life->ledgers[0];
            batch = batch_new(&life->seed, life->root, &life->ledgers[1]);
        }
        next = NULL;
        if (i + 1 < batches) {
            life->ledgers[i + 2] = life->ledgers[i + 1];
            next = batch_new(&life->seed, life->root, &life->ledgers[i + 2]);
        }
        live_through(life, batch, next);
        batch_free(&batch);
        batch = next;
    }
    life->ledger_count = batches + 1;
    recorder_end();
}

static void end_life(struct life *life)
{
    spool_database_close(&life->database);
    recorder_free(&life->recording);
}

/* ---- the spool of an older release ---- */

static void run_sql(sqlite3 *connection, const char *sql)
{
    if (sqlite3_exec(connection, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(connection));
    }
}

/* With a log, as a daemon leaves it that was killed. */
static void make_older(const char *root)
{
    char path[120];
    sqlite3 *connection = NULL;

    snprintf(path, sizeof(path), "%s/spool/spool.db", root);
    assert_int_equal(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, "unix"),
                     SQLITE_OK);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    run_sql(connection, "BEGIN; DROP TABLE attempt; DROP TABLE setting; DROP INDEX held;"
                        "DROP INDEX due; ALTER TABLE delivery DROP COLUMN notify;"
                        "ALTER TABLE delivery DROP COLUMN orcpt;"
                        "ALTER TABLE delivery DROP COLUMN fallback;"
                        "ALTER TABLE delivery DROP COLUMN warned;"
                        "ALTER TABLE delivery DROP COLUMN given_up;"
                        "CREATE INDEX due ON"
                        " delivery(destination, state, next_attempt, message, number);"
                        "PRAGMA user_version=1; COMMIT;");
    sqlite3_close(connection);
}

static void fill_older(struct life *life)
{
    open_well(life);
    for (int i = 0; i < 4; i++) {
        struct batch *batch = batch_new_message(&life->seed, life->root, &life->ledgers[0]);
        struct spool_request *request = &batch->requests[0];

        spool_database_commit(life->database, &request, 1);
        CHECK_INT("a commit", request->status, SPOOL_OK);
        batch_free(&batch);
    }
    spool_database_close(&life->database);
    make_older(life->root);
}

static void begin_life(struct life *life, const char *root, uint64_t seed)
{
    *life = (struct life){.seed = seed};
    snprintf(life->root, sizeof(life->root), "%s", root);
    life->ledgers[0].seed = seed;
    set_sqlite_seed(seed);
}

/* From nothing, or from an older release's spool. */
static void record_life(struct life *life, uint64_t seed)
{
    empty_directory(place.live);
    begin_life(life, place.live, seed);
    if (seed % 3 == 0) {
        fill_older(life);
    }
    life->recording = recorder_begin(life->root);
    open_well(life);
    live(life, BATCHES);
}

/* ---- looking at what is left ---- */

static const char *const SURVIVALS[SURVIVAL_COUNT] = {
    [SURVIVES_ALL] = "all",         [SURVIVES_NOTHING] = "nothing",
    [SURVIVES_TORN] = "torn",       [SURVIVES_REORDERED] = "reordered",
    [SURVIVES_SECTORS] = "sectors", [SURVIVES_BY_FILE] = "by file",
};

static uint64_t states; /* looked at, of the seed under way or of all */

static void count_steps(const struct recording *recording, size_t end, size_t *answered,
                        size_t *submitted)
{
    *answered = *submitted = 0;
    for (size_t i = 0; i < end; i++) {
        *answered += recording->entries[i].kind == ENTRY_ANSWERED;
        *submitted += recording->entries[i].kind == ENTRY_SUBMITTED;
    }
}

static void first_difference(const char *got, const char *want, struct strbuf *why)
{
    while (*got != '\0' && *got == *want) {
        got++;
        want++;
    }
    strbuf_addf(why, "at: got %.200s\n want %.200s", got, want);
}

/* The ledger that the spool agrees with, or NULL. */
static const struct ledger *find_ledger(const struct life *life, size_t end,
                                        struct spool_database *database, struct strbuf *why)
{
    const struct ledger *found = NULL;
    size_t answered, submitted;
    struct strbuf got, want;

    strbuf_init(&got, SIZE_MAX / 2);
    strbuf_init(&want, SIZE_MAX / 2);
    spool_write_down(database, &got);
    count_steps(life->recording, end, &answered, &submitted);
    for (size_t i = answered; i <= submitted && found == NULL; i++) {
        strbuf_reset(&want);
        ledger_write_down(&life->ledgers[i], &want);
        if (strcmp(strbuf_text(&got), strbuf_text(&want)) == 0) {
            found = &life->ledgers[i];
        }
    }
    if (found == NULL) {
        first_difference(strbuf_text(&got), strbuf_text(&want), why);
    }
    strbuf_clear(&got);
    strbuf_clear(&want);
    return found;
}

static void count_file(void *context, const char *name)
{
    (void)name;
    ++*(size_t *)context;
}

/* The files that are named were read already: no others. */
static bool has_only_its_files(const char *root, const struct ledger *ledger,
                               struct strbuf *why)
{
    char directory[120];
    size_t files = 0;

    snprintf(directory, sizeof(directory), "%s/spool/content", root);
    disk_list(directory, count_file, &files);
    if (files != ledger_count_files(ledger)) {
        strbuf_addf(why, "%zu content files, want %zu", files, ledger_count_files(ledger));
        return false;
    }
    return true;
}

static int note_row(void *context, int count, char **values, char **names)
{
    (void)count;
    (void)names;
    strbuf_addf(context, "%s ", values[0]);
    return 0;
}

/* What the spool itself does not look at. */
static bool is_whole(const char *root, const struct ledger *ledger, struct strbuf *why)
{
    char path[140], want[60];
    sqlite3 *connection = NULL;
    struct strbuf got;
    bool is_good;

    snprintf(path, sizeof(path), "file:%s/spool/spool.db?immutable=1", root);
    assert_int_equal(
        sqlite3_open_v2(path, &connection, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, "unix"),
        SQLITE_OK);
    strbuf_init(&got, 2000);
    sqlite3_exec(connection,
                 "PRAGMA integrity_check; PRAGMA user_version; SELECT count(*) FROM message;"
                 "SELECT count(*) FROM attempt"
                 " WHERE (message, number) NOT IN (SELECT message, number FROM delivery);",
                 note_row, &got, NULL);
    snprintf(want, sizeof(want), "ok 2 %zu 0 ", ledger->count);
    is_good = strcmp(strbuf_text(&got), want) == 0;
    if (!is_good) {
        strbuf_addf(why, "the database says %s, want %s", strbuf_text(&got), want);
    }
    strbuf_clear(&got);
    sqlite3_close(connection);
    return is_good;
}

/* One state, made in `root`. `number` decides how closely it is looked at. */
static bool survives(const struct life *life, size_t end, enum survival survival,
                     uint64_t number, const char *root, struct strbuf *why)
{
    const struct ledger *ledger = NULL;
    struct spool_database *database;
    enum spool_status status;
    uint64_t seed = life->ledgers[0].seed + number * 1000003;

    empty_directory(root);
    recorder_restore(life->recording, end, survival, seed, root);
    database = open_spool(root, &status, why);
    if (database == NULL) {
        return false;
    }
    ledger = find_ledger(life, end, database, why);
    spool_database_close(&database);
    states++;
    return ledger != NULL && has_only_its_files(root, ledger, why) &&
           (number % WHOLE_EACH != 0 || is_whole(root, ledger, why));
}

/* The same state, from which the spool goes on to the next cut. */
static bool goes_on(const struct life *life, size_t end, enum survival survival,
                    uint64_t number, struct strbuf *why)
{
    uint64_t seed = life->ledgers[0].seed + number * 1000003;
    struct life *next = memory_zero(sizeof(*next));
    const struct ledger *ledger;
    bool is_good = true;

    empty_directory(place.again);
    recorder_restore(life->recording, end, survival, seed, place.again);
    begin_life(next, place.again, ~seed); /* other messages, above all */
    next->recording = recorder_begin(next->root);
    open_well(next);
    ledger = find_ledger(life, end, next->database, why);
    if (ledger != NULL) {
        next->ledgers[0] = *ledger;
        next->ledgers[0].seed = ~seed;
        live(next, BATCHES_AFTER);
    } else {
        recorder_end();
        is_good = false;
    }
    for (uint64_t i = 0; i < AGAIN_CUTS && is_good; i++) {
        size_t cut = recorder_random(&seed) % (next->recording->count + 1);
        enum survival how = recorder_random(&seed) % SURVIVAL_COUNT;

        is_good = survives(next, cut, how, i, place.after, why);
        if (!is_good) {
            strbuf_addf(why, " (second cut, after %zu, %s)", cut, SURVIVALS[how]);
        }
    }
    end_life(next);
    free(next);
    return is_good;
}

/* Nothing new can be seen after these. */
static bool is_dull(const struct recording *recording, size_t end)
{
    switch (end == 0 ? ENTRY_ANSWERED : recording->entries[end - 1].kind) {
    case ENTRY_NAME:
    case ENTRY_UNNAME:
    case ENTRY_WRITE:
    case ENTRY_LENGTH:
    case ENTRY_ANSWERED:
    case ENTRY_SYNC_DONE:
    case ENTRY_DIRECTORY_SYNC_DONE:
        return false;
    case ENTRY_SYNC_BEGUN:
    case ENTRY_DIRECTORY_SYNC_BEGUN:
    case ENTRY_SUBMITTED:
        return true;
    }
    abort();
}

static uint64_t number_of(const char *variable, uint64_t usual)
{
    const char *text = getenv(variable);

    return text == NULL ? usual : strtoull(text, NULL, 10);
}

/* Each cut with each survival. False: *why says what was found first. */
static bool survives_all_cuts(const struct life *life, uint64_t seed, struct strbuf *why)
{
    uint64_t only = number_of("SPOOL_CUT_STATE", UINT64_MAX), number = 0;

    for (size_t end = 0; end <= life->recording->count; end++) {
        bool is_in_doubt = recorder_is_in_doubt(life->recording, end);

        for (int how = 0; how < SURVIVAL_COUNT && !is_dull(life->recording, end); how++) {
            if ((how > 0 && !is_in_doubt) || (only != UINT64_MAX && number != only)) {
                number++;
                continue;
            }
            if (!survives(life, end, (enum survival)how, number, place.after, why) ||
                (number % AGAIN_EACH == 0 &&
                 !goes_on(life, end, (enum survival)how, number, why))) {
                strbuf_addf(why,
                            "\nSPOOL_CUT_SEED=%llu SPOOL_CUT_STATE=%llu: cut after %zu of %zu, "
                            "survives: %s",
                            (unsigned long long)seed, (unsigned long long)number, end,
                            life->recording->count, SURVIVALS[how]);
                return false;
            }
            number++;
        }
    }
    return true;
}

/* ---- the tests ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEEDS = 1 };
#else
enum { SEEDS = 6 };
#endif

static void every_cut_is_survived(void **state)
{
    uint64_t only = number_of("SPOOL_CUT_SEED", 0), first = number_of("SPOOL_CUT_FIRST", 1);
    uint64_t seeds = only != 0 ? 1 : number_of("SPOOL_CUT_SEEDS", SEEDS);
    struct life *life = memory_zero(sizeof(*life));
    struct strbuf why;

    (void)state;
    first = only != 0 ? only : first;
    states = 0;
    strbuf_init(&why, 4000);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        record_life(life, seed);
        if (!survives_all_cuts(life, seed, &why)) {
            fail_msg("%s", strbuf_text(&why));
        }
        end_life(life);
    }
    print_message("%llu crash states from SPOOL_CUT_FIRST=%llu\n", (unsigned long long)states,
                  (unsigned long long)first);
    if (getenv("SPOOL_CUT_STATE") == NULL) {
        assert_true(states > 1000 * seeds);
    }
    strbuf_clear(&why);
    free(life);
}

/* Until the first message is submitted, or all; `draws` of each cut. */
static void check_first_life(enum survival survival, uint64_t draws, bool is_to_the_end)
{
    struct life *life = memory_zero(sizeof(*life));
    size_t end = 0;
    struct strbuf why;

    strbuf_init(&why, 4000);
    record_life(life, 1);
    while (life->recording->entries[end].kind != ENTRY_SUBMITTED) {
        end++;
    }
    end = is_to_the_end ? life->recording->count : end;
    for (size_t cut = is_to_the_end ? end : 0; cut <= end; cut++) {
        for (uint64_t i = 0; i < draws; i++) {
            if (!survives(life, cut, survival, i, place.after, &why)) {
                fail_msg("cut after %zu: %s", cut, strbuf_text(&why));
            }
        }
    }
    strbuf_clear(&why);
    end_life(life);
    free(life);
}

static void the_name_of_a_new_spool_was_not_synced(void **state)
{
    (void)state;
    check_first_life(SURVIVES_NOTHING, 1, true);
}

static void a_log_without_a_synced_name_was_moved_to_the_database(void **state)
{
    (void)state;
    check_first_life(SURVIVES_BY_FILE, 20, false);
    check_first_life(SURVIVES_REORDERED, 20, false);
}

static void compare_one(void *context, const char *below, const char *path, bool is_directory)
{
    char other[200];
    size_t got_size, want_size;
    char *got, *want;

    (void)context;
    if (is_directory) {
        return;
    }
    snprintf(other, sizeof(other), "%s/%s", place.after, below);
    if (access(other, F_OK) != 0) {
        fail_msg("%s is not in the recording", below);
    }
    got = recorder_slurp(other, &got_size);
    want = recorder_slurp(path, &want_size);
    CHECK_INT(below, got_size, want_size);
    CHECK_TRUE(below, memcmp(got, want, want_size) == 0);
    free(got);
    free(want);
    ++*(size_t *)context;
}

/* What goes around the recorder would be proven by nothing. */
static void the_recording_is_complete(void **state)
{
    struct life *life = memory_zero(sizeof(*life));
    size_t files = 0, again = 0;

    (void)state;
    record_life(life, 5);
    empty_directory(place.after);
    recorder_restore(life->recording, life->recording->count, SURVIVES_ALL, 1, place.after);
    recorder_walk(place.live, "", compare_one, &files);
    recorder_walk(place.after, "", compare_one, &again);
    CHECK_TRUE("files", files >= 2);
    CHECK_INT("no others", again, files);
    end_life(life);
    free(life);
}

static void the_same_seed_is_the_same_recording(void **state)
{
    struct life *lives = memory_zero(2 * sizeof(*lives));
    unsigned kinds[ENTRY_ANSWERED + 1] = {0};

    (void)state;
    record_life(&lives[0], 6);
    spool_database_close(&lives[0].database);
    record_life(&lives[1], 6);
    CHECK_INT("entries", lives[0].recording->count, lives[1].recording->count);
    for (size_t i = 0; i < lives[0].recording->count; i++) {
        const struct entry *one = &lives[0].recording->entries[i];
        const struct entry *two = &lives[1].recording->entries[i];

        CHECK_INT("kind", one->kind, two->kind);
        CHECK_TRUE("place", one->offset == two->offset && one->size == two->size);
        CHECK_TRUE("data", one->data == NULL || memcmp(one->data, two->data, one->size) == 0);
        kinds[one->kind]++;
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        CHECK_TRUE("every kind is there", kinds[i] > 0);
    }
    end_life(&lives[0]);
    end_life(&lives[1]);
    free(lives);
}

/* Were it all the same whether something is synced, this proof would prove nothing. */
static void a_disk_that_lies_is_found_out(void **state)
{
    static const char *const LIES[] = {"spool/spool.db", "spool/spool.db-wal",
                                       "spool/content/*", NULL};
    struct life *life = memory_zero(sizeof(*life));
    struct strbuf why;

    (void)state;
    strbuf_init(&why, 4000);
    for (size_t i = 0; i < COUNT_OF(LIES); i++) {
        bool is_found = false;

        for (uint64_t seed = 1; seed < 5 && !is_found; seed++) {
            record_life(life, seed);
            recorder_lie = LIES[i];
            recorder_lies_about_names = LIES[i] == NULL;
            strbuf_reset(&why);
            is_found = !survives_all_cuts(life, seed, &why);
            recorder_lie = NULL;
            recorder_lies_about_names = false;
            end_life(life);
        }
        if (!is_found) {
            fail_msg("syncs of %s need not be", LIES[i] == NULL ? "directories" : LIES[i]);
        }
    }
    strbuf_clear(&why);
    free(life);
}

/* The first file that SQLite's own VFS opens in a process draws new randomness. */
static void open_one_file(void)
{
    char path[80];
    sqlite3 *connection = NULL;

    snprintf(path, sizeof(path), "%s/first", place.base);
    sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix");
    run_sql(connection, "CREATE TABLE first(x)");
    sqlite3_close(connection);
}

static int make_workplace(void **state)
{
    (void)state;
    snprintf(place.base, sizeof(place.base), "%s/test-spool-cuts-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(place.base) == NULL) {
        return -1;
    }
    open_one_file();
    snprintf(place.live, sizeof(place.live), "%s/live", place.base);
    snprintf(place.after, sizeof(place.after), "%s/after", place.base);
    snprintf(place.again, sizeof(place.again), "%s/again", place.base);
    return 0;
}

static int remove_workplace(void **state)
{
    (void)state;
    return nftw(place.base, remove_one, 20, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recording_is_complete),
        cmocka_unit_test(the_same_seed_is_the_same_recording),
        cmocka_unit_test(a_disk_that_lies_is_found_out),
        cmocka_unit_test(the_name_of_a_new_spool_was_not_synced),
        cmocka_unit_test(a_log_without_a_synced_name_was_moved_to_the_database),
        cmocka_unit_test(every_cut_is_survived),
    };

    return cmocka_run_group_tests(tests, make_workplace, remove_workplace);
}
