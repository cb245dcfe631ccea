#include "support/check.h"

#include "mail/event_series.h"

/* A full ten minutes begin here. */
enum { MINUTE = 60, START = 1795334400 };

static bool take(struct event_series *series, int64_t now_s, const char *rest)
{
    struct arena *arena = arena_new();
    struct event_record record;
    struct strbuf line;
    bool is_taken;

    strbuf_init(&line, 10000);
    strbuf_addf(&line, "ts=2026-11-22T08:00:00.000Z level=info %s\n", rest);
    assert_true(event_record_read(&record, strbuf_bytes(&line), arena));
    is_taken = event_series_take(series, &record, now_s * 1000);
    strbuf_clear(&line);
    arena_free(&arena);
    return is_taken;
}

static bool take_minute(struct event_series *series, int64_t start_s, int64_t now_s,
                        const char *values)
{
    char text[1000];

    snprintf(text, sizeof text, "event=minute start=%lld %s", (long long)start_s, values);
    return take(series, now_s, text);
}

/* -1: not known */
static int64_t get(const struct event_series *series, enum series_step step, int64_t time_s,
                   enum event_value which)
{
    uint64_t value;

    return event_series_get(series, step, time_s * 1000, which, &value) ? (int64_t)value : -1;
}

static void values_by_time(void **state)
{
    struct event_series *series = event_series_new();

    (void)state;
    assert_true(take_minute(series, START, START + 60, "accepted=5 queue=7 spf-pass=4"));
    assert_true(take_minute(series, START + 60, START + 120, "accepted=6 queue=3"));
    assert_true(take_minute(series, START + 180, START + 240, ""));
    CHECK_INT("first", get(series, SERIES_MINUTE, START, SERIES_ACCEPTED), 5);
    CHECK_INT("its end", get(series, SERIES_MINUTE, START + 59, SERIES_ACCEPTED), 5);
    CHECK_INT("another value", get(series, SERIES_MINUTE, START, SERIES_SPF_PASS), 4);
    CHECK_INT("second", get(series, SERIES_MINUTE, START + 60, SERIES_ACCEPTED), 6);
    CHECK_INT("0 is left out", get(series, SERIES_MINUTE, START + 60, SERIES_SPF_PASS), 0);
    CHECK_INT("unknown", get(series, SERIES_MINUTE, START + 120, SERIES_ACCEPTED), -1);
    CHECK_INT("nothing happened", get(series, SERIES_MINUTE, START + 180, SERIES_ACCEPTED), 0);
    CHECK_INT("before", get(series, SERIES_MINUTE, START - 1, SERIES_ACCEPTED), -1);
    CHECK_INT("ten minutes", get(series, SERIES_TEN_MINUTES, START + 599, SERIES_ACCEPTED), 11);
    CHECK_INT("highest", get(series, SERIES_TEN_MINUTES, START, SERIES_QUEUE), 7);
    CHECK_INT("the next", get(series, SERIES_TEN_MINUTES, START + 600, SERIES_QUEUE), -1);
    event_series_free(&series);
}

static void two_lines_about_a_minute_are_added_up(void **state)
{
    struct event_series *series = event_series_new();

    (void)state;
    take_minute(series, START, START + 30, "accepted=5 queue=7");
    take_minute(series, START, START + 60, "accepted=2 queue=1");
    take_minute(series, START + 60, START + 120, "accepted=4294967295");
    take_minute(series, START + 60, START + 120, "accepted=18446744073709551615");
    CHECK_INT("sum", get(series, SERIES_MINUTE, START, SERIES_ACCEPTED), 7);
    CHECK_INT("gauge", get(series, SERIES_MINUTE, START, SERIES_QUEUE), 7);
    CHECK_INT("most", get(series, SERIES_MINUTE, START + 60, SERIES_ACCEPTED), UINT32_MAX);
    event_series_free(&series);
}

static void what_is_not_taken(void **state)
{
    struct event_series *series = event_series_new();

    (void)state;
    assert_false(take(series, START + 60, "event=accepted start=1795334400 accepted=5"));
    assert_false(take(series, START + 60, "event=minute accepted=5"));
    assert_false(take(series, START + 60, "event=minute start=x accepted=5"));
    assert_false(
        take(series, START + 60, "event=minute start=18446744073709551615 accepted=5"));
    assert_false(take_minute(series, START + 61, START + 60, "accepted=5"));
    assert_false(take_minute(series, START - 7 * 86400 - 1, START, "accepted=5"));
    CHECK_INT("nothing", get(series, SERIES_MINUTE, START, SERIES_ACCEPTED), -1);
    event_series_free(&series);
}

/* A whole week, read back in whatever order, while the present goes on. */
static void a_week_read_back(void **state)
{
    struct event_series *series = event_series_new();
    int64_t now = START + 7 * 86400;

    (void)state;
    take_minute(series, now - MINUTE, now, "accepted=1");
    for (int64_t at = now - 2 * MINUTE; at >= START; at -= MINUTE) {
        assert_true(take_minute(series, at, now, "accepted=1"));
    }
    for (int64_t at = now - 86400; at < now; at += MINUTE) {
        CHECK_INT("minute", get(series, SERIES_MINUTE, at, SERIES_ACCEPTED), 1);
    }
    CHECK_INT("older", get(series, SERIES_MINUTE, now - 86400 - MINUTE, SERIES_ACCEPTED), -1);
    for (int64_t at = START; at < now; at += 10 * MINUTE) {
        CHECK_INT("ten", get(series, SERIES_TEN_MINUTES, at, SERIES_ACCEPTED), 10);
    }
    /* A day later the minutes' places are others'. */
    now += 86400;
    take_minute(series, now - MINUTE, now, "accepted=9");
    CHECK_INT("new", get(series, SERIES_MINUTE, now - MINUTE, SERIES_ACCEPTED), 9);
    assert_true(take_minute(series, now - 86400 - 2 * MINUTE, now, "accepted=3"));
    CHECK_INT("too old for a minute",
              get(series, SERIES_MINUTE, now - 86400 - 2 * MINUTE, SERIES_ACCEPTED), -1);
    event_series_free(&series);
}

static void a_clock_that_was_wrong_keeps_no_place(void **state)
{
    struct event_series *series = event_series_new();
    int64_t ahead = START + (int64_t)SERIES_MINUTES * MINUTE * 10;

    (void)state;
    take_minute(series, ahead, ahead + MINUTE, "accepted=1");
    take_minute(series, START, START + MINUTE, "accepted=2");
    CHECK_INT("right again", get(series, SERIES_MINUTE, START, SERIES_ACCEPTED), 2);
    event_series_free(&series);
}

static void add_field(void *context, const char *name, uint64_t value)
{
    strbuf_addf(context, " %s=%d", name, (int)value);
}

static void count_lines(struct event_counts *counts)
{
    static const char *const LINES[] = {
        "event=session-end tls=TLSv1.3 why=quit",
        "event=session-end why=quit",
        "event=accepted how=stored spf=softfail dkim=pass dmarc=temperror forecast=pass "
        "forecast-why=aligned-dkim manner=munged",
        "event=accepted how=stored returns=1 rcpts=1",
        "event=recipient-refused why=srs-forged",
        "event=delivered tls=TLSv1.2 verified=no delay=1.0",
        "event=dropped class=content why=null-sender",
    };

    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct arena *arena = arena_new();
        struct event_record record;
        char text[1000];

        snprintf(text, sizeof text, "ts=2026-11-22T08:00:00.000Z level=info %s", LINES[i]);
        assert_true(event_record_read(&record, bytes_from_text(text), arena));
        event_counts_take(counts, &record);
        arena_free(&arena);
    }
}

static void fields_from_counts(void **state)
{
    static const char WANT[] = " sessions=2 sessions-tls=1 accepted=2 recipients-refused=1 "
                               "delivered=1 delivered-tls=1 "
                               "bounced=1 spf-fail=1 dkim-pass=1 forecast-pass=1 munged=1 "
                               "srs-accepted=1 srs-refused=1 "
                               "temperror=1 queue=3";
    struct event_counts *counts = event_counts_new();
    struct event_series *series = event_series_new();
    uint64_t before[EVENT_SERIES], now[EVENT_SERIES];
    struct strbuf fields;

    (void)state;
    strbuf_init(&fields, 10000);
    count_lines(counts);
    event_series_totals(counts, 2, before);
    count_lines(counts);
    event_series_totals(counts, 3, now);
    event_series_fields(before, now, add_field, &fields);
    CHECK_TEXT("fields", strbuf_text(&fields), WANT);
    assert_true(take_minute(series, START, START + 60, strbuf_text(&fields) + 1));
    for (unsigned i = 0; i < EVENT_SERIES; i++) {
        int64_t want = i == SERIES_QUEUE ? 3 : (int64_t)(now[i] - before[i]);
        CHECK_INT(event_series_name((enum event_value)i),
                  get(series, SERIES_MINUTE, START, (enum event_value)i), want);
    }
    strbuf_clear(&fields);
    event_counts_free(&counts);
    event_series_free(&series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_time),
        cmocka_unit_test(two_lines_about_a_minute_are_added_up),
        cmocka_unit_test(what_is_not_taken),
        cmocka_unit_test(a_week_read_back),
        cmocka_unit_test(a_clock_that_was_wrong_keeps_no_place),
        cmocka_unit_test(fields_from_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
