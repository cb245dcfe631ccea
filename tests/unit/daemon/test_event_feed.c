/* From the log's own lines, written by its thread, to counters, charts and whoever keeps them. */
#include "support/check.h"

#include "daemon/event_feed.h"
#include "io/clock.h"
#include "io/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MINUTE = 60000 };
static int64_t start_ms; /* a minute that began two minutes ago */

static struct strbuf kept; /* the receiver's; the log's thread */

static void keep(void *context, struct bytes lines)
{
    (void)context;
    strbuf_add(&kept, lines);
}

static void log_session(const char *tls)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "session-end");
    log_text(&line, "s", "1");
    if (tls != NULL) {
        log_text(&line, "tls", tls);
    }
    log_text(&line, "why", "quit");
    log_end(&line);
}

struct seen {
    uint64_t sessions, encrypted, lines;
    size_t failing;
    bool has_minute;
    uint64_t minute_sessions, minute_queue;
    int64_t at_ms;
};

static void look(void *context, const struct event_view *view)
{
    struct seen *seen = context;
    struct event_failure list[EVENT_FAILURES];

    seen->sessions = event_counts_get(view->counts, COUNT_SESSIONS, NULL, NULL);
    seen->encrypted = event_counts_get(view->counts, COUNT_SESSIONS, "TLSv1.3", NULL);
    seen->lines = event_counts_get(view->counts, COUNT_LOG_LINES, NULL, NULL);
    seen->failing = event_failures_list(view->failures, seen->at_ms, list);
    seen->has_minute = event_series_get(view->series, SERIES_MINUTE, seen->at_ms,
                                        SERIES_SESSIONS, &seen->minute_sessions) &&
                       event_series_get(view->series, SERIES_MINUTE, seen->at_ms, SERIES_QUEUE,
                                        &seen->minute_queue);
}

static struct seen see(struct event_feed *feed, int64_t at_ms)
{
    struct seen seen = {.at_ms = at_ms};

    log_flush();
    event_feed_look(feed, look, &seen);
    return seen;
}

/* The log goes nowhere meanwhile: what the target gets is test_log's business. */
static int silence(void)
{
    int before = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    assert_true(before >= 0 && nowhere >= 0);
    fflush(stderr);
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
    return before;
}

static void speak(int before)
{
    dup2(before, STDERR_FILENO);
    close(before);
}

static void check_lines_of(enum log_level level, enum log_format format)
{
    struct log_options options = {.level = level, .format = format, .target = LOG_STDERR};
    int stderr_before = silence();
    struct event_feed *feed;
    struct log_line line;
    struct seen seen;

    strbuf_init(&kept, 100000);
    log_configure(&options);
    feed = event_feed_start(keep, NULL);
    log_start();
    log_session("TLSv1.3");
    log_session(NULL);
    log_begin(&line, LOG_INFO, "deferred");
    log_address(&line, "to", BYTES("a@dest.example"));
    log_text(&line, "class", "dns");
    log_end(&line);
    seen = see(feed, start_ms);
    event_feed_stop(feed);
    log_session(NULL);
    log_stop();
    speak(stderr_before);
    CHECK_INT("sessions", seen.sessions, 2);
    CHECK_INT("encrypted", seen.encrypted, 1);
    CHECK_INT("lines", seen.lines, 3);
    CHECK_INT("failing", seen.failing, 1);
    CHECK_INT("kept", bytes_find_part(strbuf_bytes(&kept), BYTES("session-end")) < kept.len, 1);
    seen = see(feed, start_ms);
    CHECK_INT("none after the end", seen.sessions, 2);
    event_feed_free(&feed);
    strbuf_clear(&kept);
}

static void lines_of_either_form_and_any_level(void **state)
{
    (void)state;
    check_lines_of(LOG_INFO, LOG_LOGFMT);
    check_lines_of(LOG_INFO, LOG_JSON);
    check_lines_of(LOG_ERROR, LOG_LOGFMT);
    check_lines_of(LOG_ERROR, LOG_JSON);
}

/* The feed itself began at the real time; from then on the test says what it is. */
static void each_minute_becomes_a_line(void **state)
{
    struct log_options options = {.level = LOG_INFO, .format = LOG_LOGFMT};
    int stderr_before = silence();
    struct event_feed *feed, *next;
    uint64_t pause_ms;
    struct seen seen, later;

    (void)state;
    strbuf_init(&kept, 100000);
    log_configure(&options);
    feed = event_feed_start(keep, NULL);
    log_start();
    event_feed_minute(feed, start_ms + 10, 0, true); /* from here on */
    log_session("TLSv1.3");
    log_session(NULL);
    log_flush();
    pause_ms = event_feed_minute(feed, start_ms + 30000, 5, false);
    CHECK_INT("the minute is not over", pause_ms, 30020);
    pause_ms = event_feed_minute(feed, start_ms + MINUTE + 20, 5, false);
    CHECK_INT("the next", pause_ms, MINUTE);
    log_session(NULL);
    log_flush();
    event_feed_minute(feed, start_ms + MINUTE + 5000, 6, true);
    seen = see(feed, start_ms);
    later = see(feed, start_ms + MINUTE);
    event_feed_stop(feed);
    log_stop();
    speak(stderr_before);
    CHECK_TRUE("minute", seen.has_minute);
    CHECK_INT("sessions", seen.minute_sessions, 2);
    CHECK_INT("queue", seen.minute_queue, 5);
    CHECK_TRUE("the last one", later.has_minute);
    CHECK_INT("its sessions", later.minute_sessions, 1);
    event_feed_free(&feed);

    /* Another process reads them back. */
    next = event_feed_start(NULL, NULL);
    for (struct bytes rest = strbuf_bytes(&kept); rest.len > 0;) {
        event_feed_recall(next, bytes_cut(&rest, '\n'));
    }
    event_feed_stop(next);
    event_feed_recall(next, BYTES("no line of ours"));
    seen = see(next, start_ms);
    CHECK_TRUE("read back", seen.has_minute);
    CHECK_INT("the same", seen.minute_sessions, 2);
    CHECK_INT("nothing is counted twice", seen.sessions, 0);
    event_feed_free(&next);
    strbuf_clear(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_either_form_and_any_level),
        cmocka_unit_test(each_minute_becomes_a_line),
    };

    start_ms = (clock_unix_ms() / MINUTE - 2) * MINUTE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
