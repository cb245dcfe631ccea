/* Lines of the log, counted: whatever they say, the text has the same places, sums agree, memory is bounded. */
#include "base/memory.h"
#include "mail/event_counts.h"
#include "mail/event_failures.h"
#include "mail/event_series.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_LIMIT = 1024 * 1024, NOW_MS_STEP = 1000 };

static void need(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* How many lines there are, and that each ends in a number. */
static size_t count_places(const struct event_counts *counts)
{
    struct strbuf text;
    struct bytes rest;
    size_t places = 0;

    strbuf_init(&text, TEXT_LIMIT);
    event_counts_add_prometheus(&text, counts);
    need(!text.overflowed);
    for (rest = strbuf_bytes(&text); rest.len > 0; places++) {
        struct bytes line = bytes_cut(&rest, '\n');
        size_t blank = bytes_find_last(line, ' ');

        need(blank < line.len);
        need(line.data[0] == '#' || ascii_is_digit((unsigned char)line.data[blank + 1]));
    }
    strbuf_clear(&text);
    return places;
}

static void check_histograms(const struct event_counts *counts)
{
    for (unsigned i = 0; i < EVENT_HISTOGRAMS; i++) {
        struct event_buckets buckets;
        uint64_t before = 0;

        event_counts_histogram(counts, (enum event_histogram)i, &buckets);
        for (size_t at = 0; at < buckets.bound_count; at++) {
            need(buckets.up_to[at] >= before);
            before = buckets.up_to[at];
        }
        need(before <= buckets.count);
    }
}

static void check_failures(const struct event_failures *failures, int64_t now_ms)
{
    struct event_failure list[EVENT_FAILURES];
    size_t count = event_failures_list(failures, now_ms, list);

    for (size_t i = 0; i < count; i++) {
        need(list[i].domain.len > 0 && list[i].domain.len <= EVENT_FAILURE_TEXT);
        need(list[i].failures > 0 && (i == 0 || list[i].failures <= list[i - 1].failures));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_counts *counts = event_counts_new();
    struct event_failures *failures = event_failures_new();
    struct event_series *series = event_series_new();
    struct arena *arena = arena_new();
    struct bytes rest = bytes_of(data, size);
    static size_t places; /* there are at first */
    uint64_t lines = 0, totals[EVENT_SERIES];
    int64_t now_ms = 0;

    if (places == 0) {
        places = count_places(counts);
    }
    while (rest.len > 0) {
        struct event_record record;
        struct bytes line = bytes_cut(&rest, '\n');

        arena_reset(arena);
        if (event_record_read(&record, line, arena)) {
            lines++;
            now_ms = record.time_ms + NOW_MS_STEP;
            event_counts_take(counts, &record);
            event_failures_take(failures, &record);
            event_series_take(series, &record, now_ms);
        }
    }
    need(event_counts_get(counts, COUNT_LOG_LINES, NULL, NULL) == lines);
    need(event_counts_get(counts, COUNT_SESSIONS, NULL, NULL) ==
         event_counts_get(counts, COUNT_SESSION_ENDS, NULL, NULL));
    need(count_places(counts) == places);
    event_series_totals(counts, 0, totals);
    need(totals[SERIES_SRS_REFUSED] <= event_counts_get(counts, COUNT_SRS_RETURNS, NULL, NULL));
    check_histograms(counts);
    check_failures(failures, now_ms);
    arena_free(&arena);
    event_counts_free(&counts);
    event_failures_free(&failures);
    event_series_free(&series);
    return 0;
}
