#include "mail/page_events.h"

#include <stdlib.h>

enum {
    MINUTE_MS = 60000,
    REFUSALS = 12,
    FAILING = 20,
    VALUES = 2, /* of the log that make one series of a chart */
};

/* ---- charts ---- */

struct span {
    enum series_step source;
    int64_t source_ms; /* a slot of the source */
    int64_t column_ms;
    size_t columns;
};

static const struct span SPANS[PAGE_SPANS] = {
    [PAGE_HOUR] = {SERIES_MINUTE, MINUTE_MS, MINUTE_MS, 60},
    [PAGE_DAY] = {SERIES_MINUTE, MINUTE_MS, INT64_C(15) * MINUTE_MS, 96},
    [PAGE_WEEK] = {SERIES_TEN_MINUTES, INT64_C(10) * MINUTE_MS, INT64_C(60) * MINUTE_MS, 168},
};

/* One of `values` twice, or what is not there: EVENT_SERIES. */
struct line {
    const char *name; /* NULL: no more */
    enum chart_tone tone;
    int values[VALUES];
};

enum { NO_VALUE = EVENT_SERIES };

struct drawing {
    const char *title, *note;
    bool is_highest; /* of a column; otherwise its sum */
    struct line lines[CHART_SERIES];
};

/* clang-format off */
static const struct drawing FLOW[] = {
    {"Deliveries", NULL, false, {
        {"delivered", TONE_GOOD, {SERIES_DELIVERED, NO_VALUE}},
        {"deferred", TONE_WAIT, {SERIES_DELIVERIES_DEFERRED, NO_VALUE}},
        {"failed for good", TONE_BAD, {SERIES_BOUNCED, SERIES_DELIVERIES_REFUSED}}}},
    {"From clients", "Messages; refused are recipients, too.", false, {
        {"taken", TONE_GOOD, {SERIES_ACCEPTED, NO_VALUE}},
        {"asked to come again", TONE_WAIT, {SERIES_DEFERRED, NO_VALUE}},
        {"refused", TONE_BAD, {SERIES_REFUSED, SERIES_RECIPIENTS_REFUSED}}}},
    {"Messages in the queue", "The most there were in each column.", true, {
        {"waiting", TONE_PLAIN, {SERIES_QUEUE, NO_VALUE}}}},
    {"Sessions", NULL, false, {
        {"all", TONE_GOOD, {SERIES_SESSIONS, NO_VALUE}},
        {"turned away before", TONE_BAD, {SERIES_CONNECTIONS_REFUSED, NO_VALUE}}}},
    {"Returns to SRS addresses", NULL, false, {
        {"led back", TONE_GOOD, {SERIES_SRS_ACCEPTED, NO_VALUE}},
        {"refused", TONE_BAD, {SERIES_SRS_REFUSED, NO_VALUE}}}},
};

static const struct drawing AUTHENTICATION[] = {
    {"SPF as mail came in", NULL, false, {
        {"pass", TONE_GOOD, {SERIES_SPF_PASS, NO_VALUE}},
        {"fail or softfail", TONE_BAD, {SERIES_SPF_FAIL, NO_VALUE}}}},
    {"DKIM as mail came in", NULL, false, {
        {"pass", TONE_GOOD, {SERIES_DKIM_PASS, NO_VALUE}},
        {"fail", TONE_BAD, {SERIES_DKIM_FAIL, NO_VALUE}}}},
    {"DMARC as mail came in", NULL, false, {
        {"pass", TONE_GOOD, {SERIES_DMARC_PASS, NO_VALUE}},
        {"fail", TONE_BAD, {SERIES_DMARC_FAIL, NO_VALUE}}}},
    {"DMARC of our copy at the next hop", NULL, false, {
        {"will pass", TONE_GOOD, {SERIES_FORECAST_PASS, NO_VALUE}},
        {"vouched for", TONE_SPECIAL, {SERIES_FORECAST_VOUCHED, NO_VALUE}},
        {"will fail", TONE_BAD, {SERIES_FORECAST_FAIL, NO_VALUE}}}},
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* All values by columns: values[which][column]. */
struct table {
    uint64_t *sums[EVENT_SERIES], *highest[EVENT_SERIES];
    bool *is_unknown;
};

static void take_slot(struct table *table, const struct event_series *series,
                      const struct span *span, int64_t time_ms, size_t column)
{
    uint64_t value;

    for (size_t which = 0; which < EVENT_SERIES; which++) {
        if (!event_series_get(series, span->source, time_ms, (enum event_value)which, &value)) {
            return;
        }
        table->is_unknown[column] = false;
        table->sums[which][column] += value;
        if (value > table->highest[which][column]) {
            table->highest[which][column] = value;
        }
    }
}

static struct table make_table(const struct event_series *series, const struct span *span,
                               int64_t start_ms, struct arena *arena)
{
    struct table table;

    table.is_unknown = arena_alloc(arena, span->columns * sizeof *table.is_unknown);
    for (size_t which = 0; which < EVENT_SERIES; which++) {
        table.sums[which] = arena_alloc(arena, span->columns * sizeof(uint64_t));
        table.highest[which] = arena_alloc(arena, span->columns * sizeof(uint64_t));
    }
    for (size_t column = 0; column < span->columns; column++) {
        int64_t column_ms = start_ms + (int64_t)column * span->column_ms;
        table.is_unknown[column] = true;
        for (int64_t at = 0; at < span->column_ms; at += span->source_ms) {
            take_slot(&table, series, span, column_ms + at, column);
        }
    }
    return table;
}

static const uint64_t *line_values(const struct table *table, const struct drawing *drawing,
                                   const struct line *line, size_t columns, struct arena *arena)
{
    uint64_t *values = arena_alloc(arena, columns * sizeof *values);

    for (size_t i = 0; i < VALUES; i++) {
        if (line->values[i] == NO_VALUE) {
            continue;
        }
        const uint64_t *from = drawing->is_highest ? table->highest[line->values[i]]
                                                   : table->sums[line->values[i]];
        for (size_t column = 0; column < columns; column++) {
            values[column] += from[column];
        }
    }
    return values;
}

static struct page_charts draw(const struct drawing *drawings, size_t count,
                               const struct table *table, const struct span *span,
                               int64_t start_ms, struct arena *arena)
{
    struct chart *charts = arena_alloc(arena, count * sizeof *charts);

    for (size_t i = 0; i < count; i++) {
        const struct drawing *drawing = &drawings[i];
        struct chart_series *series = arena_alloc(arena, CHART_SERIES * sizeof *series);
        size_t lines = 0;
        for (; lines < CHART_SERIES && drawing->lines[lines].name != NULL; lines++) {
            const struct line *line = &drawing->lines[lines];
            series[lines] =
                (struct chart_series){line->name, line->tone,
                                      line_values(table, drawing, line, span->columns, arena)};
        }
        charts[i] = (struct chart){.title = drawing->title,
                                   .note = drawing->note,
                                   .series = series,
                                   .series_count = lines,
                                   .count = span->columns,
                                   .is_unknown = table->is_unknown,
                                   .is_gauge = drawing->is_highest,
                                   .start_ms = start_ms,
                                   .step_ms = span->column_ms};
    }
    return (struct page_charts){charts, count};
}

/* The column of the last minute that has ended is the last one. */
static int64_t start_of(const struct span *span, int64_t now_ms)
{
    int64_t last_ms = now_ms - MINUTE_MS;

    return last_ms - last_ms % span->column_ms - (int64_t)(span->columns - 1) * span->column_ms;
}

static void fill_charts(struct status_page *page, const struct event_series *series,
                        struct arena *arena)
{
    for (size_t i = 0; i < PAGE_SPANS; i++) {
        const struct span *span = &SPANS[i];
        int64_t start_ms = start_of(span, page->health.now_ms);
        struct table table = make_table(series, span, start_ms, arena);
        page->flow[i] = draw(FLOW, COUNT(FLOW), &table, span, start_ms, arena);
        page->authentication[i] =
            draw(AUTHENTICATION, COUNT(AUTHENTICATION), &table, span, start_ms, arena);
    }
}

/* ---- shares ---- */

/* What of a counter makes one part; words NULL: any. */
struct portion {
    const char *name; /* NULL: no more */
    enum chart_tone tone;
    const char *first, *second;
};

enum { PORTIONS = 8 };

struct division {
    const char *title;
    enum event_count which;
    struct portion portions[PORTIONS];
};

/* clang-format off */
#define VERDICTS(title, method) \
    {title, COUNT_AUTHENTICATION, { \
        {"pass", TONE_GOOD, method, "pass"}, {"none", TONE_NONE, method, "none"}, {"neutral", TONE_NONE, method, "neutral"}, \
        {"softfail", TONE_WAIT, method, "softfail"}, {"fail", TONE_BAD, method, "fail"}, \
        {"no answer of DNS", TONE_SPECIAL, method, "temperror"}, {"broken record", TONE_SPECIAL, method, "permerror"}}}

static const struct division ARRIVAL[] = {
    VERDICTS("SPF", "spf"), VERDICTS("DKIM", "dkim"), VERDICTS("DMARC", "dmarc"), VERDICTS("ARC", "arc"),
    VERDICTS("Reverse name", "iprev"),
};

static const struct division AFTERWARDS[] = {
    {"DMARC of our copy at the next hop", COUNT_FORECASTS, {
        {"passes by its signature", TONE_GOOD, "pass", "aligned-dkim"},
        {"passes by our sender", TONE_SOFT, "pass", "own-sender"},
        {"fails, but is vouched for", TONE_SPECIAL, "vouched", NULL},
        {"fails: lived by SPF alone", TONE_BAD, "fail", "spf-only"},
        {"fails: we broke its signature", TONE_BAD, "fail", "dkim-broken"},
        {"failed before", TONE_WAIT, "fail", "failed-on-arrival"},
        {"no policy, or not known", TONE_NONE, "none", NULL}}},
    {"How it was sent on", COUNT_MANNERS, {
        {"as it is", TONE_GOOD, "as-it-is", NULL},
        {"its author said in our name", TONE_SPECIAL, "munged", NULL},
        {"held for an operator", TONE_WAIT, "held", NULL}}},
};

static const struct division TLS[] = {
    {"Sessions of clients", COUNT_SESSIONS, {
        {"TLS 1.3", TONE_GOOD, "TLSv1.3", NULL}, {"TLS 1.2", TONE_SOFT, "TLSv1.2", NULL},
        {"in clear", TONE_WAIT, "none", NULL}}},
    {"Deliveries", COUNT_DELIVERY_TLS, {
        {"TLS 1.3, certificate verified", TONE_GOOD, "TLSv1.3", "yes"},
        {"TLS 1.3", TONE_SOFT, "TLSv1.3", "no"},
        {"TLS 1.2, certificate verified", TONE_GOOD, "TLSv1.2", "yes"},
        {"TLS 1.2", TONE_SOFT, "TLSv1.2", "no"},
        {"in clear", TONE_WAIT, "none", NULL}}},
    {"Handshakes that failed", COUNT_HANDSHAKES_FAILED, {
        {"with clients", TONE_WAIT, "client", NULL}, {"with next hops", TONE_BAD, "next-hop", NULL}}},
};

static const struct division RETURNS[] = {
    {"Mail to our SRS addresses", COUNT_SRS_RETURNS, {
        {"led back", TONE_GOOD, "accepted", NULL}, {"too old", TONE_WAIT, "expired", NULL},
        {"forged", TONE_BAD, "forged", NULL}, {"from the future", TONE_BAD, "future", NULL},
        {"malformed", TONE_BAD, "malformed", NULL}, {"forgotten", TONE_WAIT, "token-gone", NULL},
        {"no bounce", TONE_WAIT, "sender-not-null", NULL}}},
    {"Bounces of ours", COUNT_BOUNCES, {
        {"refused for good", TONE_SPECIAL, "permanent-failure", NULL}, {"too old", TONE_WAIT, "expired", NULL}}},
    {"Failed, and nobody was told", COUNT_UNREPORTED, {
        {"held", TONE_WAIT, "held", NULL}, {"dropped", TONE_BAD, "dropped", NULL}}},
};
/* clang-format on */

static struct page_group divide(const struct division *divisions, size_t count,
                                const struct event_counts *counts, struct arena *arena)
{
    struct page_shares *shares = arena_alloc(arena, count * sizeof *shares);

    for (size_t i = 0; i < count; i++) {
        const struct division *division = &divisions[i];
        struct chart_part *parts = arena_alloc(arena, PORTIONS * sizeof *parts);
        size_t used = 0;
        for (; used < PORTIONS && division->portions[used].name != NULL; used++) {
            const struct portion *portion = &division->portions[used];
            parts[used] = (struct chart_part){
                portion->name, portion->tone,
                event_counts_get(counts, division->which, portion->first, portion->second)};
        }
        shares[i] = (struct page_shares){division->title, parts, used};
    }
    return (struct page_group){shares, count};
}

/* ---- refusals ---- */

static const struct {
    enum event_count which;
    const char *what;
} REFUSED[] = {
    {COUNT_RECIPIENTS_REFUSED, "recipients refused"},
    {COUNT_REFUSED, "messages refused"},
    {COUNT_CONNECTIONS_REFUSED, "connections turned away"},
    {COUNT_RECIPIENTS_DEFERRED, "recipients asked to come again"},
    {COUNT_DEFERRED, "messages asked to come again"},
};

static int compare_ranks(const void *a, const void *b)
{
    const struct chart_rank *first = a, *second = b;

    if (first->value != second->value) {
        return first->value > second->value ? -1 : 1;
    }
    return bytes_compare(first->name, second->name);
}

static size_t count_places(const struct event_counts *counts)
{
    struct event_place place;
    size_t count = 0;

    for (size_t i = 0; i < COUNT(REFUSED); i++) {
        for (size_t j = 0; event_counts_place(counts, REFUSED[i].which, j, &place); j++) {
            count += place.value > 0;
        }
    }
    return count;
}

static struct page_ranking rank_refusals(const struct event_counts *counts, struct arena *arena)
{
    size_t places = count_places(counts), count = 0;
    struct chart_rank *ranks = arena_alloc(arena, (places + 1) * sizeof *ranks);
    struct event_place place;

    for (size_t i = 0; i < COUNT(REFUSED); i++) {
        for (size_t j = 0; event_counts_place(counts, REFUSED[i].which, j, &place); j++) {
            if (place.value > 0) {
                ranks[count++] = (struct chart_rank){.name = bytes_from_text(place.first),
                                                     .note = bytes_from_text(REFUSED[i].what),
                                                     .value = place.value};
            }
        }
    }
    qsort(ranks, count, sizeof *ranks, compare_ranks);
    return (struct page_ranking){ranks, count < REFUSALS ? count : REFUSALS};
}

/* ---- destinations that fail ---- */

static void fill_failing(struct status_page *page, const struct event_failures *failures,
                         struct arena *arena)
{
    struct event_failure *list = arena_alloc(arena, EVENT_FAILURES * sizeof *list);
    size_t count = event_failures_list(failures, page->health.now_ms, list);
    struct page_failing *failing;

    count = count < FAILING ? count : FAILING;
    failing = arena_alloc(arena, (count + 1) * sizeof *failing);
    for (size_t i = 0; i < count; i++) {
        failing[i] = (struct page_failing){.destination = arena_copy(arena, list[i].domain),
                                           .failures = list[i].failures,
                                           .delivered = list[i].delivered,
                                           .since_ms = list[i].since_ms,
                                           .last_ms = list[i].last_ms,
                                           .kind = arena_copy(arena, list[i].class),
                                           .reply = arena_copy(arena, list[i].reply),
                                           .relay = arena_copy(arena, list[i].relay),
                                           .tls = arena_copy(arena, list[i].tls)};
    }
    page->failing = failing;
    page->failing_count = count;
}

void page_events_fill(struct status_page *page, const struct page_sources *sources,
                      struct arena *arena)
{
    fill_charts(page, sources->series, arena);
    page->arrival = divide(ARRIVAL, COUNT(ARRIVAL), sources->counts, arena);
    page->afterwards = divide(AFTERWARDS, COUNT(AFTERWARDS), sources->counts, arena);
    page->tls = divide(TLS, COUNT(TLS), sources->counts, arena);
    page->returns = divide(RETURNS, COUNT(RETURNS), sources->counts, arena);
    page->refusals = rank_refusals(sources->counts, arena);
    fill_failing(page, sources->failures, arena);
}
