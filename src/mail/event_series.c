#include "mail/event_series.h"

#include "base/memory.h"

#include <stdlib.h>

enum { MINUTE_MS = 60000, TEN_MINUTES_MS = 600000, WEEK_MS = 7 * 24 * 3600 * 1000 };

/* What is summed up for one value; a row without words is the end. */
struct part {
    enum event_count which;
    const char *first, *second; /* NULL: any */
};

enum { PARTS = 4 };

/* clang-format off */

static const struct {
    const char *name;
    size_t count;
    struct part parts[PARTS];
} VALUES[EVENT_SERIES] = {
    [SERIES_SESSIONS] = {"sessions", 1, {{COUNT_SESSIONS, NULL, NULL}}},
    [SERIES_SESSIONS_TLS] = {"sessions-tls", 3,
        {{COUNT_SESSIONS, "TLSv1.2", NULL}, {COUNT_SESSIONS, "TLSv1.3", NULL}, {COUNT_SESSIONS, "other", NULL}}},
    [SERIES_CONNECTIONS_REFUSED] = {"connections-refused", 1, {{COUNT_CONNECTIONS_REFUSED, NULL, NULL}}},
    [SERIES_ACCEPTED] = {"accepted", 1, {{COUNT_ACCEPTED, NULL, NULL}}},
    [SERIES_REFUSED] = {"refused", 1, {{COUNT_REFUSED, NULL, NULL}}},
    [SERIES_DEFERRED] = {"deferred", 1, {{COUNT_DEFERRED, NULL, NULL}}},
    [SERIES_RECIPIENTS_REFUSED] = {"recipients-refused", 1, {{COUNT_RECIPIENTS_REFUSED, NULL, NULL}}},
    [SERIES_DELIVERED] = {"delivered", 1, {{COUNT_DELIVERIES, "delivered", NULL}}},
    [SERIES_DELIVERED_TLS] = {"delivered-tls", 3,
        {{COUNT_DELIVERY_TLS, "TLSv1.2", NULL}, {COUNT_DELIVERY_TLS, "TLSv1.3", NULL}, {COUNT_DELIVERY_TLS, "other", NULL}}},
    [SERIES_DELIVERIES_DEFERRED] = {"deliveries-deferred", 1, {{COUNT_DELIVERIES, "deferred", NULL}}},
    [SERIES_DELIVERIES_REFUSED] = {"deliveries-refused", 1, {{COUNT_DELIVERIES, "refused", NULL}}},
    [SERIES_BOUNCED] = {"bounced", 3,
        {{COUNT_DELIVERIES, "bounced", NULL}, {COUNT_DELIVERIES, "dropped", NULL}, {COUNT_DELIVERIES, "held", NULL}}},
    [SERIES_SPF_PASS] = {"spf-pass", 1, {{COUNT_AUTHENTICATION, "spf", "pass"}}},
    [SERIES_SPF_FAIL] = {"spf-fail", 2, {{COUNT_AUTHENTICATION, "spf", "fail"}, {COUNT_AUTHENTICATION, "spf", "softfail"}}},
    [SERIES_DKIM_PASS] = {"dkim-pass", 1, {{COUNT_AUTHENTICATION, "dkim", "pass"}}},
    [SERIES_DKIM_FAIL] = {"dkim-fail", 1, {{COUNT_AUTHENTICATION, "dkim", "fail"}}},
    [SERIES_DMARC_PASS] = {"dmarc-pass", 1, {{COUNT_AUTHENTICATION, "dmarc", "pass"}}},
    [SERIES_DMARC_FAIL] = {"dmarc-fail", 1, {{COUNT_AUTHENTICATION, "dmarc", "fail"}}},
    [SERIES_ARC_PASS] = {"arc-pass", 1, {{COUNT_AUTHENTICATION, "arc", "pass"}}},
    [SERIES_ARC_FAIL] = {"arc-fail", 1, {{COUNT_AUTHENTICATION, "arc", "fail"}}},
    [SERIES_FORECAST_PASS] = {"forecast-pass", 1, {{COUNT_FORECASTS, "pass", NULL}}},
    [SERIES_FORECAST_FAIL] = {"forecast-fail", 1, {{COUNT_FORECASTS, "fail", NULL}}},
    [SERIES_FORECAST_VOUCHED] = {"forecast-vouched", 1, {{COUNT_FORECASTS, "vouched", NULL}}},
    [SERIES_MUNGED] = {"munged", 1, {{COUNT_MANNERS, "munged", NULL}}},
    [SERIES_SRS_ACCEPTED] = {"srs-accepted", 1, {{COUNT_SRS_RETURNS, "accepted", NULL}}},
    [SERIES_SRS_REFUSED] = {"srs-refused", 1, {{COUNT_SRS_RETURNS, NULL, NULL}}}, /* less those accepted, below */
    [SERIES_TEMPERROR] = {"temperror", 1, {{COUNT_AUTHENTICATION, NULL, "temperror"}}},
    [SERIES_QUEUE] = {"queue", 0, {{0}}},
};

/* clang-format on */

/* Slot `number % count` is about the minute (ten minutes) `number` since 1970. */
struct slot {
    int64_t number; /* 0: about none */
    uint32_t values[EVENT_SERIES];
};

struct event_series {
    struct slot minutes[SERIES_MINUTES];
    struct slot tens[SERIES_TENS];
};

struct event_series *event_series_new(void)
{
    return memory_zero(sizeof(struct event_series));
}

void event_series_free(struct event_series **series)
{
    free(*series);
    *series = NULL;
}

const char *event_series_name(enum event_value which)
{
    return VALUES[which].name;
}

static bool is_gauge(size_t which)
{
    return VALUES[which].count == 0;
}

void event_series_totals(const struct event_counts *counts, uint64_t queue,
                         uint64_t totals[EVENT_SERIES])
{
    for (size_t i = 0; i < EVENT_SERIES; i++) {
        totals[i] = 0;
        for (size_t part = 0; part < VALUES[i].count; part++) {
            const struct part *words = &VALUES[i].parts[part];
            totals[i] += event_counts_get(counts, words->which, words->first, words->second);
        }
    }
    totals[SERIES_SRS_REFUSED] -= totals[SERIES_SRS_ACCEPTED];
    totals[SERIES_QUEUE] = queue;
}

void event_series_fields(const uint64_t before[EVENT_SERIES], const uint64_t now[EVENT_SERIES],
                         void (*field)(void *context, const char *name, uint64_t value),
                         void *context)
{
    for (size_t i = 0; i < EVENT_SERIES; i++) {
        uint64_t value = is_gauge(i) ? now[i] : now[i] - before[i];

        if (value > 0) {
            field(context, VALUES[i].name, value);
        }
    }
}

static void add(uint32_t *place, uint64_t value, bool is_highest)
{
    uint64_t sum = is_highest ? (value > *place ? value : *place) : *place + value;

    *place = sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

/* A number beyond `newest` was made by a clock that was wrong, and holds no place. */
static void put(struct slot *slots, size_t count, int64_t number, int64_t newest,
                const uint64_t values[EVENT_SERIES])
{
    struct slot *slot = &slots[(size_t)(number % (int64_t)count)];

    if (number > newest || number <= newest - (int64_t)count ||
        (slot->number > number && slot->number <= newest)) {
        return;
    }
    if (slot->number != number) {
        *slot = (struct slot){.number = number};
    }
    for (size_t i = 0; i < EVENT_SERIES; i++) {
        add(&slot->values[i], values[i], is_gauge(i));
    }
}

static void read_values(const struct event_record *record, uint64_t values[EVENT_SERIES])
{
    for (size_t i = 0; i < EVENT_SERIES; i++) {
        values[i] = event_record_number(record, VALUES[i].name);
        if (values[i] > UINT32_MAX) {
            values[i] = UINT32_MAX;
        }
    }
}

bool event_series_take(struct event_series *series, const struct event_record *record,
                       int64_t now_ms)
{
    uint64_t values[EVENT_SERIES], start;
    int64_t time_ms;

    if (!event_record_is(record, "minute")) {
        return false;
    }
    start = event_record_number(record, "start");
    if (start == 0 || start > INT64_MAX / 1000) {
        return false;
    }
    time_ms = (int64_t)start * 1000;
    if (time_ms > now_ms || now_ms - time_ms > WEEK_MS) {
        return false;
    }
    read_values(record, values);
    put(series->minutes, SERIES_MINUTES, time_ms / MINUTE_MS, now_ms / MINUTE_MS, values);
    put(series->tens, SERIES_TENS, time_ms / TEN_MINUTES_MS, now_ms / TEN_MINUTES_MS, values);
    return true;
}

bool event_series_get(const struct event_series *series, enum series_step step, int64_t time_ms,
                      enum event_value which, uint64_t *value)
{
    const struct slot *slot = NULL;
    int64_t number = 0;

    if (time_ms < TEN_MINUTES_MS) {
        return false;
    }
    switch (step) {
    case SERIES_MINUTE:
        number = time_ms / MINUTE_MS;
        slot = &series->minutes[number % SERIES_MINUTES];
        break;
    case SERIES_TEN_MINUTES:
        number = time_ms / TEN_MINUTES_MS;
        slot = &series->tens[number % SERIES_TENS];
        break;
    }
    if (slot->number != number) {
        return false;
    }
    *value = slot->values[which];
    return true;
}
