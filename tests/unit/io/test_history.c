/* Real files in a directory of their own. Lines are "KIND:VALUE KIND:VALUE ... text". */
#include "support/check.h"

#include "../../../src/io/history_files.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/history.h"
#include "io/history_search.h"
#include "io/log.h"
#include "io/process.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct history_settings DEFAULTS = {.span_ms = 14 * 86400000ULL,
                                                 .size = 64 * 1024 * 1024};

enum { PATIENCE_MS = 10000 };

struct place {
    char root[40], directory[60];
    struct history *history;
    struct arena *arena;
    struct strbuf why;
};

static const char KINDS[] = "isame"; /* in the order of enum history_kind */

static bool read_key(struct bytes word, struct history_key *key)
{
    const char *kind = word.len > 2 ? strchr(KINDS, word.data[0]) : NULL;

    if (kind == NULL || word.data[1] != ':') {
        return false;
    }
    *key = (struct history_key){(enum history_kind)(kind - KINDS), bytes_skip(word, 2)};
    return true;
}

static bool describe(struct bytes line, struct arena *arena, struct history_facts *facts)
{
    struct bytes rest = line;

    (void)arena;
    facts->time_ms = clock_unix_ms();
    while (rest.len > 0 && facts->count < HISTORY_KEYS) {
        facts->count += read_key(bytes_cut(&rest, ' '), &facts->keys[facts->count]);
    }
    return facts->count > 0;
}

static void make_place(struct place *place, const struct history_settings *settings)
{
    *place = (struct place){.root = "/tmp/test-history-XXXXXX"};
    assert_non_null(mkdtemp(place->root));
    snprintf(place->directory, sizeof place->directory, "%s/history", place->root);
    place->arena = arena_new();
    strbuf_init(&place->why, 1000);
    place->history = history_new(place->directory, settings, describe);
}

static void remove_place(struct place *place)
{
    char command[80];

    history_free(&place->history);
    snprintf(command, sizeof command, "rm -rf %s", place->root);
    assert_int_equal(system(command), 0);
    arena_free(&place->arena);
    strbuf_clear(&place->why);
}

static void take(struct place *place, const char *lines)
{
    history_take(place->history, bytes_from_text(lines));
    CHECK_TRUE(lines, history_flush(place->history, PATIENCE_MS));
}

static struct history_answer ask_all(struct place *place, struct history_question question)
{
    struct history_answer answer;

    if (!history_search(place->directory, &question, place->arena, &answer, &place->why)) {
        fail_msg("%s", strbuf_text(&place->why));
    }
    return answer;
}

static struct history_answer ask(struct place *place, const char *key)
{
    struct history_question question = {.limit = 0};

    assert_true(read_key(bytes_from_text(key), &question.key));
    return ask_all(place, question);
}

/* The only segment there is, or the last. */
static char *last_segment(struct place *place)
{
    struct history_files files;
    char *path;

    history_files_list(&files, place->directory);
    assert_true(files.count > 0);
    path = history_files_path(place->directory, files.files[files.count - 1].name);
    history_files_clear(&files);
    return path;
}

static size_t count_segments(struct place *place)
{
    struct history_files files;
    size_t count;

    history_files_list(&files, place->directory);
    count = files.count;
    history_files_clear(&files);
    return count;
}

static void test_found_by_every_key(void **state)
{
    static const struct {
        const char *key;
        const char *first, *last;
        size_t count;
    } cases[] = {
        {"i:one", "i:one s:S a:x@a one", "i:one i:bounce returned", 3},
        {"i:bounce", "i:one i:bounce returned", "i:one i:bounce returned", 1},
        {"i:two", "i:two s:S a:y@a a:x@a m:<1@a> two", "i:two s:S a:y@a a:x@a m:<1@a> two", 1},
        {"s:S", "i:one s:S a:x@a one", "s:S e:session-end end", 3},
        {"a:x@a", "i:one s:S a:x@a one", "i:two s:S a:y@a a:x@a m:<1@a> two", 3},
        {"m:<1@a>", "i:two s:S a:y@a a:x@a m:<1@a> two", "i:two s:S a:y@a a:x@a m:<1@a> two",
         1},
        {"e:session-end", "s:S e:session-end end", "s:S e:session-end end", 1},
    };
    struct place place;

    (void)state;
    make_place(&place, &DEFAULTS);
    take(&place, "i:one s:S a:x@a one\ni:one a:x@a sent\nno keys at all\n");
    take(&place, "i:two s:S a:y@a a:x@a m:<1@a> two\ns:S e:session-end end\n"
                 "i:one i:bounce returned\n");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct history_answer answer = ask(&place, cases[i].key);

        CHECK_INT(cases[i].key, answer.count, cases[i].count);
        CHECK_BYTES(cases[i].key, answer.lines[0].line, bytes_from_text(cases[i].first));
        CHECK_BYTES(cases[i].key, answer.lines[answer.count - 1].line,
                    bytes_from_text(cases[i].last));
        CHECK_TRUE(cases[i].key, !answer.has_more);
        CHECK_INT(cases[i].key, answer.segments, 1);
    }
    CHECK_INT("an address is no id", ask(&place, "i:x@a").count, 0);
    CHECK_INT("part of a value", ask(&place, "a:x@").count, 0);
    CHECK_INT("lines", history_numbers_now(place.history).kept, 5);
    remove_place(&place);
}

/* The end of the daemon waited for a search through all there is. */
static void test_search_ends_when_nobody_waits(void **state)
{
    atomic_bool is_stopped;
    struct history_question question = {.is_stopped = &is_stopped};
    struct history_answer answer;
    struct place place;

    (void)state;
    make_place(&place, &DEFAULTS);
    take(&place, "i:one s:S a:x@a one\n");
    assert_true(read_key(BYTES("i:one"), &question.key));
    atomic_init(&is_stopped, false);
    CHECK_INT("waited for", ask_all(&place, question).count, 1);
    atomic_store(&is_stopped, true);
    answer = ask_all(&place, question);
    CHECK_INT("stopped", answer.count, 0);
    CHECK_TRUE("there may be more", answer.has_more);
    remove_place(&place);
}

static void test_newest_of_each_message(void **state)
{
    struct history_question question = {
        .key = {HISTORY_ADDRESS, BYTES("x@a")}, .is_distinct = true, .limit = 2};
    struct history_answer answer;
    struct place place;

    (void)state;
    make_place(&place, &DEFAULTS);
    take(&place, "i:1 a:x@a in\ni:2 a:x@a in\ni:1 a:x@a out\ni:3 a:x@a in\ni:3 a:x@a out\n");
    answer = ask_all(&place, question);
    CHECK_INT("two", answer.count, 2);
    CHECK_BYTES("older", answer.lines[0].line, BYTES("i:1 a:x@a out"));
    CHECK_BYTES("newer", answer.lines[1].line, BYTES("i:3 a:x@a out"));
    CHECK_TRUE("there is another", answer.has_more);
    question.limit = 3;
    answer = ask_all(&place, question);
    CHECK_INT("three", answer.count, 3);
    CHECK_TRUE("these are all", !answer.has_more);
    question.since_ms = clock_unix_ms() + 1000;
    CHECK_INT("none since then", ask_all(&place, question).count, 0);
    remove_place(&place);
}

static void count_name(void *context, const char *name)
{
    (void)name;
    (*(size_t *)context)++;
}

static size_t count_names(struct place *place)
{
    size_t count = 0;

    assert_int_equal(disk_list(place->directory, count_name, &count), DISK_OK);
    return count;
}

static void test_goes_on_after_restart(void **state)
{
    struct place place;
    char *path;

    (void)state;
    make_place(&place, &DEFAULTS);
    take(&place, "i:1 before\n");
    history_free(&place.history);
    path = last_segment(&place);
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(chmod(place.directory, 0500), 0);
    CHECK_INT("read while nobody writes", ask(&place, "i:1").count, 1);
    CHECK_INT("nothing is made beside it", count_names(&place), 1);
    assert_int_equal(chmod(place.directory, 0700), 0);
    assert_int_equal(chmod(path, 0600), 0);
    free(path);
    place.history = history_new(place.directory, &DEFAULTS, describe);
    take(&place, "i:1 after\n");
    CHECK_INT("both", ask(&place, "i:1").count, 2);
    CHECK_INT("one file", count_segments(&place), 1);
    remove_place(&place);
}

static void test_off_writes_nothing(void **state)
{
    struct history_settings off = {.span_ms = 0, .size = DEFAULTS.size};
    struct place place;

    (void)state;
    make_place(&place, &off);
    take(&place, "i:1 off\n");
    CHECK_TRUE("not even a directory", access(place.directory, F_OK) != 0);
    CHECK_INT("no history is an empty one", ask(&place, "i:1").segments, 0);
    history_set(place.history, &DEFAULTS);
    take(&place, "i:1 on\n");
    CHECK_INT("switched on", ask(&place, "i:1").count, 1);
    history_set(place.history, &off);
    take(&place, "i:1 off again\n");
    CHECK_INT("and off", ask(&place, "i:1").count, 1);
    remove_place(&place);
}

static void test_for_its_owner_only(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct place place;
    struct stat facts;
    char *path;

    (void)state;
    make_place(&place, &DEFAULTS);
    take(&place, "i:1 private\n");
    assert_int_equal(stat(place.directory, &facts), 0);
    CHECK_INT("directory", facts.st_mode & 0777, 0700);
    path = last_segment(&place);
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        char name[120];

        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        assert_int_equal(stat(name, &facts), 0);
        CHECK_INT(name, facts.st_mode & 0777, 0600);
    }
    free(path);
    remove_place(&place);
}

struct reading {
    struct place *place;
    atomic_bool is_over;
    size_t rounds, damaged, most;
    bool has_shrunk;
};

static void read_on(void *context)
{
    struct reading *reading = context;
    struct history_question question = {.key = {HISTORY_MESSAGE, BYTES("1")}};

    do {
        struct arena *arena = arena_new();
        struct history_answer answer;
        struct strbuf why;

        strbuf_init(&why, 1000);
        assert_true(history_search(reading->place->directory, &question, arena, &answer, &why));
        reading->rounds++;
        reading->damaged += answer.damaged;
        reading->has_shrunk = reading->has_shrunk || answer.count < reading->most;
        reading->most = answer.count;
        strbuf_clear(&why);
        arena_free(&arena);
    } while (!atomic_load(&reading->is_over));
}

/* One thread writes segment after segment, two look. */
static void test_read_while_it_is_written(void **state)
{
    struct history_settings settings = {.span_ms = DEFAULTS.span_ms, .size = 4 * 1024 * 1024};
    struct place place;
    struct reading readings[2] = {{.place = &place}, {.place = &place}};
    struct process_thread *threads[2];
    char text[64 * 100];

    (void)state;
    make_place(&place, &settings);
    for (size_t i = 0; i < sizeof text; i += 64) {
        memset(text + i, 'x', 64);
        memcpy(text + i, "i:1 ", 4);
        text[i + 63] = '\n';
    }
    take(&place, "i:1 first\n");
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        threads[i] = process_thread_start("reader", read_on, &readings[i]);
    }
    for (unsigned i = 0; i < 150; i++) {
        history_take(place.history, bytes_of(text, sizeof text));
        assert_true(history_flush(place.history, PATIENCE_MS));
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        atomic_store(&readings[i].is_over, true);
        process_thread_join(&threads[i]);
        CHECK_INT("whole", readings[i].damaged, 0);
        CHECK_TRUE("nothing goes away", !readings[i].has_shrunk);
    }
    CHECK_INT("all in the end", ask(&place, "i:1").count, 15001);
    CHECK_INT("nothing was lost", history_numbers_now(place.history).dropped, 0);
    CHECK_TRUE("several files", count_segments(&place) > 1);
    remove_place(&place);
}

/* ---- ages and sizes ---- */

static void make_file(struct place *place, const char *name, size_t size)
{
    char *path = history_files_path(place->directory, name);
    FILE *file;

    mkdir(place->directory, 0700);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)size), 0);
    fclose(file);
    free(path);
}

static bool is_there(struct place *place, const char *name)
{
    char *path = history_files_path(place->directory, name);
    bool is_so = access(path, F_OK) == 0;

    free(path);
    return is_so;
}

static void test_bounds(void **state)
{
    /* 2026-11-22 08:00 UTC */
    static const int64_t NOW = 1795334400000, DAY = 86400000;
    static const char *const names[] = {
        "2026-11-19.0001.db", "2026-11-20.0001.db",     "2026-11-20.0002.db",
        "2026-11-21.0001.db", "2026-11-22.0001.db",     "2026-11-23.0001.db",
        "2031-01-01.0001.db", "2026-11-20.0001.db-wal", "notes.db",
    };
    static const struct {
        const char *name;
        struct history_bounds bounds;
        const char *left; /* a letter for each name */
        uint64_t octets;
    } cases[] = {
        {"all fits", {NOW, 14 * DAY, 9000, NULL}, "yyyyyyyyy", 8000},
        {"too old: whole days", {NOW, 2 * DAY, 9000, NULL}, "nyyyyyyyy", 7000},
        {"and what stands beside", {NOW, DAY, 9000, NULL}, "nnnyyyyny", 4000},
        {"the current one stays",
         {NOW + 9 * DAY, DAY, 9000, "2026-11-22.0001.db"},
         "nnnnynyny",
         2000},
        {"no ageing", {NOW, 0, 9000, NULL}, "yyyyyyyyy", 8000},
        {"too much: of days to come first", {NOW, 0, 7999, NULL}, "yyyyyynyy", 7000},
        {"then the oldest", {NOW, 0, 4000, NULL}, "nnyyyynny", 4000},
        {"never the current one", {NOW, 0, 0, "2026-11-20.0002.db"}, "nnynnnnny", 1000},
        {"a clock at its beginning", {0, 14 * DAY, 9000, NULL}, "yyyyyyyyy", 8000},
    };
    struct place place;

    (void)state;
    make_place(&place, &DEFAULTS);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t j = 0; j < COUNT_OF(names); j++) {
            make_file(&place, names[j], 1000);
        }
        CHECK_INT(cases[i].name, history_files_trim(place.directory, &cases[i].bounds),
                  cases[i].octets);
        for (size_t j = 0; j < COUNT_OF(names); j++) {
            if (is_there(&place, names[j]) != (cases[i].left[j] == 'y')) {
                fail_msg("%s: %s, want %c", cases[i].name, names[j], cases[i].left[j]);
            }
        }
    }
    remove_place(&place);
}

static void test_size_is_kept(void **state)
{
    struct history_settings settings = {.span_ms = DEFAULTS.span_ms, .size = 2 * 1024 * 1024};
    struct history_files files;
    struct place place;
    char lines[100 * 1024];

    (void)state;
    make_place(&place, &settings);
    memset(lines, 'x', sizeof lines);
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned j = 0; j < 200; j++) {
            int len = snprintf(lines + j * 512, 40, "i:%u", i);
            lines[j * 512 + (unsigned)len] = ' ';
            lines[j * 512 + 511] = '\n';
        }
        history_take(place.history, bytes_of(lines, sizeof lines));
        assert_true(history_flush(place.history, PATIENCE_MS));
        history_files_list(&files, place.directory);
        /* Beside the size a batch, in the log of the database and in its index. */
        if (history_files_octets(&files) > settings.size + 400 * 1024) {
            fail_msg("batch %u: %lu octets", i, (unsigned long)history_files_octets(&files));
        }
        history_files_clear(&files);
    }
    CHECK_INT("the last is there", ask(&place, "i:99").count, 200);
    CHECK_INT("of lately", ask(&place, "i:88").count, 200);
    CHECK_INT("the first is not", ask(&place, "i:0").count, 0);
    CHECK_INT("nothing was lost", history_numbers_now(place.history).dropped, 0);
    remove_place(&place);
}

/* ---- trouble ---- */

static struct {
    pthread_mutex_t mutex;
    struct strbuf text;
} logged = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void on_log_line(void *context, struct bytes line)
{
    (void)context;
    pthread_mutex_lock(&logged.mutex);
    strbuf_add(&logged.text, line);
    strbuf_add_char(&logged.text, '\n');
    pthread_mutex_unlock(&logged.mutex);
}

static void watch_log(void)
{
    strbuf_init(&logged.text, 100000);
    log_divert(on_log_line, NULL);
}

static unsigned count_logged(const char *event)
{
    struct bytes rest;
    unsigned count = 0;

    pthread_mutex_lock(&logged.mutex);
    rest = strbuf_bytes(&logged.text);
    while (rest.len > 0) {
        struct bytes line = bytes_cut(&rest, '\n');
        count += bytes_find_part(line, bytes_from_text(event)) < line.len;
    }
    pthread_mutex_unlock(&logged.mutex);
    return count;
}

static void stop_watching(void)
{
    log_divert(NULL, NULL);
    strbuf_clear(&logged.text);
}

static void test_deleted_while_it_runs(void **state)
{
    char command[80];
    struct place place;
    char *path;

    (void)state;
    make_place(&place, &DEFAULTS);
    take(&place, "i:1 first\n");
    path = last_segment(&place);
    assert_int_equal(unlink(path), 0); /* but not what stands beside it */
    free(path);
    take(&place, "i:2 second\n");
    CHECK_INT("goes on", ask(&place, "i:2").count, 1);
    CHECK_INT("gone is gone", ask(&place, "i:1").count, 0);
    snprintf(command, sizeof command, "rm -rf %s", place.directory);
    assert_int_equal(system(command), 0);
    take(&place, "i:3 third\n");
    CHECK_INT("without its directory", ask(&place, "i:3").count, 1);
    CHECK_INT("nothing was lost", history_numbers_now(place.history).dropped, 0);
    remove_place(&place);
}

static void overwrite(const char *path, long offset, size_t size)
{
    FILE *file = fopen(path, "r+");

    assert_non_null(file);
    fseek(file, offset, SEEK_SET);
    for (size_t i = 0; i < size; i++) {
        fputc((int)(i * 7 + 3), file);
    }
    fclose(file);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *other;

    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
}

static void test_damaged_or_foreign_files(void **state)
{
    static const struct {
        const char *name;
        const char *sql; /* changes the file, or */
        long offset;     /* where octets of no sense begin; -1: the file is made anew */
        size_t size;
    } cases[] = {
        {"not a database", NULL, 0, 5000},
        {"a page of no sense", NULL, 4096, 16 * 4096},
        {"another program's", "CREATE TABLE t(x); PRAGMA application_id=7", -1, 0},
        {"no tables of ours",
         "CREATE TABLE t(x); PRAGMA application_id=1347643497; PRAGMA user_version=1", -1, 0},
        {"of a version to come", "PRAGMA user_version=99", 0, 0},
        {"with the tables of ours", "PRAGMA application_id=7", 0, 0},
        {"without the key of its hashes", "DELETE FROM meta", 0, 0},
        {"with half a key", "UPDATE meta SET hash_key=x'00'", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct history_answer answer;
        struct place place;
        char *path;

        make_place(&place, &DEFAULTS);
        take(&place, "i:1 first\n");
        history_free(&place.history);
        path = last_segment(&place);
        if (cases[i].sql != NULL) {
            if (cases[i].offset < 0) {
                assert_int_equal(unlink(path), 0);
            }
            run_sql(path, cases[i].sql);
        } else {
            overwrite(path, cases[i].offset, cases[i].size);
        }
        place.history = history_new(place.directory, &DEFAULTS, describe);
        take(&place, "i:1 second\n");
        answer = ask(&place, "i:1");
        CHECK_INT(cases[i].name, answer.count, 1);
        CHECK_BYTES(cases[i].name, answer.lines[0].line, BYTES("i:1 second"));
        CHECK_INT(cases[i].name, answer.damaged, 1);
        CHECK_INT(cases[i].name, history_numbers_now(place.history).dropped, 0);
        CHECK_INT(cases[i].name, count_segments(&place), 2);
        free(path);
        remove_place(&place);
    }
}

static void test_damaged_while_it_runs(void **state)
{
    struct place place;
    char *path;

    (void)state;
    watch_log();
    make_place(&place, &DEFAULTS);
    take(&place, "i:1 first\n");
    path = last_segment(&place);
    run_sql(path, "DROP TABLE key");
    take(&place, "i:2 second\ni:2 third\n");
    CHECK_INT("kept in another file", ask(&place, "i:2").count, 2);
    CHECK_INT("that one is left out", ask(&place, "i:2").damaged, 1);
    CHECK_INT("nothing was lost", history_numbers_now(place.history).dropped, 0);
    CHECK_INT("no trouble", count_logged("history-trouble"), 0);
    free(path);
    remove_place(&place);
    stop_watching();
}

static void test_trouble_is_said_once(void **state)
{
    struct history_numbers numbers;
    struct place place;
    FILE *file;

    (void)state;
    watch_log();
    make_place(&place, &DEFAULTS);
    file = fopen(place.directory, "w"); /* where the directory is to be */
    assert_non_null(file);
    fclose(file);
    take(&place, "i:1 lost\n");
    take(&place, "i:1 lost\ni:2 lost\n");
    numbers = history_numbers_now(place.history);
    CHECK_INT("lost", numbers.dropped, 3);
    CHECK_INT("kept", numbers.kept, 0);
    CHECK_TRUE("in trouble", numbers.is_in_trouble);
    history_set(place.history, &DEFAULTS);
    take(&place, "i:1 tried again and lost\n");
    CHECK_INT("said once", count_logged("history-trouble"), 1);
    assert_int_equal(unlink(place.directory), 0);
    take(&place, "i:1 not tried yet\n");
    CHECK_INT("not with every line", history_numbers_now(place.history).dropped, 5);
    history_set(place.history, &DEFAULTS);
    take(&place, "i:1 kept\n");
    CHECK_INT("found", ask(&place, "i:1").count, 1);
    CHECK_INT("said", count_logged("history-resumed lost=5"), 1);
    CHECK_TRUE("no more trouble", !history_numbers_now(place.history).is_in_trouble);
    remove_place(&place);
    stop_watching();
}

static void test_stops_before_the_disk_is_full(void **state)
{
    struct history_settings settings = DEFAULTS;
    struct place place;

    (void)state;
    watch_log();
    settings.free_space = UINT64_MAX;
    make_place(&place, &DEFAULTS);
    take(&place, "i:1 kept\n");
    history_set(place.history, &settings);
    take(&place, "i:2 lost\n");
    CHECK_INT("kept", history_numbers_now(place.history).kept, 1);
    CHECK_INT("lost", history_numbers_now(place.history).dropped, 1);
    CHECK_INT("said", count_logged("free-space"), 1);
    CHECK_INT("what is there is read", ask(&place, "i:1").count, 1);
    remove_place(&place);
    stop_watching();
}

/* Takes longer than its writers may wait, and less than the thread does. */
static void test_full_disk(void **state)
{
    enum { LIMIT = 300 * 1024, LINE = 512 };
    static char lines[200 * LINE];
    const struct rlimit small = {LIMIT, RLIM_INFINITY};
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    struct history_numbers numbers;
    struct place place;

    (void)state;
    watch_log();
    make_place(&place, &DEFAULTS);
    take(&place, "i:1 kept\n");
    memset(lines, 'x', sizeof lines);
    for (size_t i = 0; i < sizeof lines; i += LINE) {
        memcpy(lines + i, "i:2 ", 4);
        lines[i + LINE - 1] = '\n';
    }
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (unsigned i = 0; i < 10; i++) {
        history_take(place.history, bytes_of(lines, sizeof lines));
        assert_true(history_flush(place.history, PATIENCE_MS));
    }
    numbers = history_numbers_now(place.history);
    CHECK_TRUE("some were lost", numbers.dropped > 0);
    CHECK_INT("each was kept or counted", numbers.kept + numbers.dropped, 2001);
    CHECK_INT("said once", count_logged("history-trouble"), 1);
    CHECK_INT("what was kept is there", ask(&place, "i:2").count, numbers.kept - 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    history_set(place.history, &DEFAULTS);
    take(&place, "i:3 again\n");
    CHECK_INT("goes on", ask(&place, "i:3").count, 1);
    CHECK_INT("whole batches", (numbers.kept - 1) % 200, 0);
    remove_place(&place);
    stop_watching();
}

static void test_never_waits_for_the_disk(void **state)
{
    enum { LINE = 1024 };
    static char lines[256 * LINE], overlong[HISTORY_QUEUE + 1] = "i:4 ";
    uint64_t began_ms, taken = 0;
    char said[60];
    struct place place;
    sqlite3 *other;
    char *path;

    (void)state;
    watch_log();
    make_place(&place, &DEFAULTS);
    take(&place, "i:1 first\n");
    path = last_segment(&place);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    memset(lines, 'x', sizeof lines);
    for (size_t i = 0; i < sizeof lines; i += LINE) {
        memcpy(lines + i, "i:2 ", 4);
        lines[i + LINE - 1] = '\n';
    }
    began_ms = clock_now_ms();
    for (unsigned i = 0; i < 4 * HISTORY_QUEUE / sizeof lines; i++) {
        history_take(place.history, bytes_of(lines, sizeof lines));
        taken += sizeof lines / LINE;
    }
    CHECK_TRUE("does not wait", clock_now_ms() - began_ms < 1000);
    CHECK_TRUE("it hangs", !history_flush(place.history, 300));
    CHECK_TRUE("some were dropped", history_numbers_now(place.history).dropped > 0);
    CHECK_INT("none was kept", history_numbers_now(place.history).kept, 1);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    CHECK_TRUE("goes on", history_flush(place.history, PATIENCE_MS));
    CHECK_INT("each was kept or counted",
              history_numbers_now(place.history).kept +
                  history_numbers_now(place.history).dropped,
              taken + 1);
    CHECK_TRUE("what waited was kept", history_numbers_now(place.history).kept > 1000);
    snprintf(said, sizeof said, "history-dropped lines=%lu",
             (unsigned long)history_numbers_now(place.history).dropped);
    CHECK_INT("said, with their number", count_logged(said), 1);
    history_take(place.history, bytes_of(overlong, sizeof overlong));
    take(&place, "i:3 z\n");
    CHECK_INT("one more", count_logged("history-dropped"), 1);
    free(path);
    remove_place(&place);
    stop_watching();
}

static void test_overlong_line_is_dropped_whole(void **state)
{
    static char lines[HISTORY_QUEUE + 100];
    struct place place;

    (void)state;
    make_place(&place, &DEFAULTS);
    memset(lines, 'x', sizeof lines);
    memcpy(lines, "i:1 y\ni:2 ", 10);
    lines[sizeof lines - 1] = '\n';
    history_take(place.history, bytes_of(lines, sizeof lines));
    take(&place, "i:3 z\n");
    CHECK_INT("before it", ask(&place, "i:1").count, 1);
    CHECK_INT("too long", ask(&place, "i:2").count, 0);
    CHECK_INT("behind it", ask(&place, "i:3").count, 1);
    CHECK_INT("counted", history_numbers_now(place.history).dropped, 1);
    memcpy(lines, "i:4 y xxxx", 10);
    history_take(place.history, bytes_of(lines, sizeof lines));
    take(&place, "i:5 z\n");
    CHECK_INT("nothing but it", ask(&place, "i:4").count, 0);
    CHECK_INT("and behind it", ask(&place, "i:5").count, 1);
    remove_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_by_every_key),
        cmocka_unit_test(test_search_ends_when_nobody_waits),
        cmocka_unit_test(test_newest_of_each_message),
        cmocka_unit_test(test_goes_on_after_restart),
        cmocka_unit_test(test_off_writes_nothing),
        cmocka_unit_test(test_for_its_owner_only),
        cmocka_unit_test(test_read_while_it_is_written),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_size_is_kept),
        cmocka_unit_test(test_deleted_while_it_runs),
        cmocka_unit_test(test_damaged_or_foreign_files),
        cmocka_unit_test(test_damaged_while_it_runs),
        cmocka_unit_test(test_trouble_is_said_once),
        cmocka_unit_test(test_stops_before_the_disk_is_full),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_never_waits_for_the_disk),
        cmocka_unit_test(test_overlong_line_is_dropped_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
