/* A history on clocks of the test's own: they take the place of io/clock in this program. */
#include "support/check.h"

#include "../../../src/io/history_files.h"
#include "io/clock.h"
#include "io/history.h"
#include "io/history_search.h"
#include "io/log.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS };

static _Atomic int64_t unix_ms = INT64_C(1795334400000); /* 2026-11-22 08:00 UTC */
static _Atomic uint64_t now_ms = 5000;

uint64_t clock_now_ms(void)
{
    return now_ms;
}

int64_t clock_unix_ms(void)
{
    return unix_ms;
}

int64_t clock_unix_seconds(void)
{
    return unix_ms / 1000;
}

/* The wall clock is set back by an hour after each look at it. */
int clock_gettime(clockid_t which, struct timespec *when)
{
    long result = syscall(SYS_clock_gettime, which, when);

    if (result == 0 && which == CLOCK_REALTIME) {
        when->tv_sec += 3600;
    }
    return (int)result;
}

static void let_pass(int64_t ms)
{
    unix_ms += ms;
    now_ms += (uint64_t)ms;
}

static const struct history_settings SETTINGS = {.span_ms = 14ULL * DAY_MS,
                                                 .size = 64 * 1024 * 1024};

struct place {
    char root[40], directory[60];
    struct history *history;
};

static bool describe(struct bytes line, struct arena *arena, struct history_facts *facts)
{
    (void)arena;
    facts->time_ms = clock_unix_ms();
    facts->keys[facts->count++] = (struct history_key){HISTORY_MESSAGE, line};
    return true;
}

static void make_place(struct place *place)
{
    *place = (struct place){.root = "/tmp/test-history-XXXXXX"};
    assert_non_null(mkdtemp(place->root));
    snprintf(place->directory, sizeof place->directory, "%s/history", place->root);
    place->history = history_new(place->directory, &SETTINGS, describe);
}

static void remove_place(struct place *place)
{
    char command[80];

    history_free(&place->history);
    snprintf(command, sizeof command, "rm -rf %s", place->root);
    assert_int_equal(system(command), 0);
}

static void take(struct place *place, const char *line)
{
    char whole[40];

    snprintf(whole, sizeof whole, "%s\n", line);
    history_take(place->history, bytes_from_text(whole));
    assert_true(history_flush(place->history, 10000));
}

static bool is_kept(struct place *place, const char *line)
{
    struct history_question question = {.key = {HISTORY_MESSAGE, bytes_from_text(line)}};
    struct history_answer answer;
    struct arena *arena = arena_new();
    struct strbuf why;

    strbuf_init(&why, 1000);
    assert_true(history_search(place->directory, &question, arena, &answer, &why));
    CHECK_INT(line, answer.damaged, 0);
    arena_free(&arena);
    strbuf_clear(&why);
    return answer.count > 0;
}

static void test_a_file_a_day_until_it_is_too_old(void **state)
{
    struct history_files files;
    struct place place;
    char line[20];

    (void)state;
    make_place(&place);
    for (unsigned day = 0; day < 40; day++) {
        snprintf(line, sizeof line, "day %u", day);
        take(&place, line);
        CHECK_TRUE(line, is_kept(&place, line));
        if (day >= 14) {
            snprintf(line, sizeof line, "day %u", day - 14);
            CHECK_TRUE(line, is_kept(&place, line));
            history_files_list(&files, place.directory);
            CHECK_INT(line, files.count, 15);
            history_files_clear(&files);
        }
        if (day >= 15) {
            snprintf(line, sizeof line, "day %u", day - 15);
            CHECK_TRUE(line, !is_kept(&place, line));
        }
        let_pass(DAY_MS);
    }
    remove_place(&place);
}

static void test_since_reads_the_days_in_question(void **state)
{
    struct history_question question = {.key = {HISTORY_MESSAGE, BYTES("always")}};
    struct arena *arena = arena_new();
    struct history_answer answer;
    struct place place;
    struct strbuf why;

    (void)state;
    make_place(&place);
    for (unsigned day = 0; day < 10; day++) {
        take(&place, "always");
        let_pass(DAY_MS);
    }
    strbuf_init(&why, 1000);
    question.since_ms = clock_unix_ms() - 3LL * DAY_MS;
    assert_true(history_search(place.directory, &question, arena, &answer, &why));
    CHECK_INT("lines", answer.count, 3);
    CHECK_INT("days, and the one before", answer.segments, 4);
    question.limit = 2;
    assert_true(history_search(place.directory, &question, arena, &answer, &why));
    CHECK_INT("the newest", answer.count, 2);
    CHECK_TRUE("there are more", answer.has_more);
    CHECK_TRUE("in order", answer.lines[0].time_ms == answer.lines[1].time_ms - DAY_MS);
    strbuf_clear(&why);
    arena_free(&arena);
    remove_place(&place);
}

/* A clock that was set wrong, and is set right again within the hour, costs nothing. */
static void test_a_clock_that_jumps_deletes_nothing(void **state)
{
    struct place place;

    (void)state;
    make_place(&place);
    take(&place, "before");
    let_pass(2 * MINUTE_MS);
    unix_ms += 300LL * DAY_MS;
    take(&place, "in the future");
    let_pass(30 * MINUTE_MS);
    take(&place, "still there");
    CHECK_TRUE("nothing is too old for now", is_kept(&place, "before"));
    CHECK_TRUE("what comes is kept", is_kept(&place, "in the future"));
    unix_ms -= 300LL * DAY_MS;
    let_pass(2 * HOUR_MS);
    take(&place, "set right");
    CHECK_TRUE("all is there", is_kept(&place, "before"));
    CHECK_TRUE("and goes on", is_kept(&place, "set right"));
    CHECK_TRUE("also what says it is of later", is_kept(&place, "in the future"));
    remove_place(&place);
}

static void test_a_clock_that_was_slow_ages_after_an_hour(void **state)
{
    struct place place;

    (void)state;
    make_place(&place);
    take(&place, "before");
    let_pass(2 * MINUTE_MS);
    unix_ms += 30LL * DAY_MS;
    take(&place, "after");
    let_pass(59 * MINUTE_MS);
    take(&place, "within the hour");
    CHECK_TRUE("not yet", is_kept(&place, "before"));
    let_pass(2 * MINUTE_MS);
    take(&place, "behind it");
    CHECK_TRUE("now", !is_kept(&place, "before"));
    CHECK_TRUE("the rest stays", is_kept(&place, "after"));
    remove_place(&place);
}

static atomic_bool was_seen;

static void see_lines(void *context, struct bytes lines)
{
    (void)context;
    (void)lines;
    was_seen = true;
}

/* They waited until the clock was again where it had been. */
static void test_lines_do_not_wait_for_a_clock_that_was_set_back(void **state)
{
    struct place place;
    struct log_line line;
    int tries = 0;

    (void)state;
    make_place(&place);
    history_take(place.history, BYTES("one\n"));
    log_start();
    log_watch(see_lines, NULL);
    log_begin_unseen(&line, "test");
    log_end(&line);
    while (tries++ < 1000 && (!was_seen || history_numbers_now(place.history).kept == 0)) {
        usleep(10000);
    }
    CHECK_TRUE("the log's watch", was_seen);
    CHECK_INT("kept", history_numbers_now(place.history).kept, 1);
    log_watch(NULL, NULL);
    log_stop();
    remove_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_a_day_until_it_is_too_old),
        cmocka_unit_test(test_since_reads_the_days_in_question),
        cmocka_unit_test(test_a_clock_that_jumps_deletes_nothing),
        cmocka_unit_test(test_lines_do_not_wait_for_a_clock_that_was_set_back),
        cmocka_unit_test(test_a_clock_that_was_slow_ages_after_an_hour),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
