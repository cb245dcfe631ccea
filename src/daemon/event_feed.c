#include "daemon/event_feed.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/lock.h"
#include "io/log.h"

#include <stdlib.h>

enum { MINUTE_MS = 60000, LATE_MS = 20 /* timers and the wall clock do not agree to the ms */ };

struct event_feed {
    void (*take)(void *context, struct bytes lines);
    void *context;
    struct arena *arena; /* of the line that is read; the writer's */
    struct lock lock;    /* of what follows */
    struct event_counts *counts;
    struct event_series *series;
    struct event_failures *failures;
    /* of the thread that calls event_feed_minute */
    int64_t begun_ms; /* of the minute that runs; unix */
    uint64_t totals[EVENT_SERIES];
};

static void take_line(struct event_feed *feed, struct bytes line)
{
    struct event_record record;

    arena_reset(feed->arena);
    if (!event_record_read(&record, line, feed->arena)) {
        return;
    }
    lock_take(&feed->lock);
    event_counts_take(feed->counts, &record);
    event_failures_take(feed->failures, &record);
    event_series_take(feed->series, &record, clock_unix_ms());
    lock_give(&feed->lock);
}

static void take_lines(void *context, struct bytes lines)
{
    struct event_feed *feed = context;

    if (feed->take != NULL) {
        feed->take(feed->context, lines);
    }
    while (lines.len > 0) {
        take_line(feed, bytes_cut(&lines, '\n'));
    }
}

struct event_feed *event_feed_start(void (*take)(void *context, struct bytes lines),
                                    void *context)
{
    struct event_feed *feed = memory_zero(sizeof *feed);

    feed->take = take;
    feed->context = context;
    feed->arena = arena_new();
    lock_init(&feed->lock);
    feed->counts = event_counts_new();
    feed->series = event_series_new();
    feed->failures = event_failures_new();
    feed->begun_ms = clock_unix_ms();
    log_watch(take_lines, feed);
    return feed;
}

void event_feed_stop(struct event_feed *feed)
{
    if (feed != NULL) {
        log_watch(NULL, NULL);
    }
}

void event_feed_free(struct event_feed **feed_place)
{
    struct event_feed *feed = *feed_place;

    if (feed == NULL) {
        return;
    }
    event_counts_free(&feed->counts);
    event_series_free(&feed->series);
    event_failures_free(&feed->failures);
    lock_clear(&feed->lock);
    arena_free(&feed->arena);
    free(feed);
    *feed_place = NULL;
}

void event_feed_look(struct event_feed *feed,
                     void (*look)(void *context, const struct event_view *view), void *context)
{
    struct event_view view;

    lock_take(&feed->lock);
    view = (struct event_view){
        .counts = feed->counts, .series = feed->series, .failures = feed->failures};
    look(context, &view);
    lock_give(&feed->lock);
}

/* ---- minutes ---- */

static void add_field(void *context, const char *name, uint64_t value)
{
    log_number(context, name, (int64_t)value);
}

static void log_minute(struct event_feed *feed, uint64_t queue)
{
    uint64_t now[EVENT_SERIES];
    struct log_line line;

    lock_take(&feed->lock);
    event_series_totals(feed->counts, queue, now);
    lock_give(&feed->lock);
    log_begin_unseen(&line, "minute");
    log_number(&line, "start", feed->begun_ms / MINUTE_MS * (MINUTE_MS / 1000));
    event_series_fields(feed->totals, now, add_field, &line);
    log_end(&line);
    memcpy(feed->totals, now, sizeof now);
}

/* The line is about the minute in which the time it covers began. */
uint64_t event_feed_minute(struct event_feed *feed, int64_t now_ms, uint64_t queue, bool is_end)
{
    if (is_end || now_ms / MINUTE_MS != feed->begun_ms / MINUTE_MS) {
        log_minute(feed, queue);
        feed->begun_ms = now_ms;
    }
    return (uint64_t)(MINUTE_MS - now_ms % MINUTE_MS) + LATE_MS;
}

void event_feed_recall(struct event_feed *feed, struct bytes line)
{
    struct arena *arena = arena_new();
    struct event_record record;

    if (event_record_read(&record, line, arena)) {
        lock_take(&feed->lock);
        event_series_take(feed->series, &record, clock_unix_ms());
        lock_give(&feed->lock);
    }
    arena_free(&arena);
}
