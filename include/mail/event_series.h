/*
 * event_series - what happened in each minute, for charts: a day by minutes, a week by ten minutes.
 *
 * Input    once a minute the totals of mail/event_counts (event_series_totals); the difference to those of the
 *          minute before becomes a line of the log, `event=minute start=UNIX-SECONDS NAME=VALUE ...` (what is
 *          0 is left out), and that line, fresh or read back from the history, is taken here.
 * Output   values by time; a minute nobody wrote about is unknown, which is not 0.
 * Order    any; two lines about a minute (a restart) are added up. Gauges (queue) keep the highest value.
 * Memory   one block of constant size.
 */
#ifndef MAIL_EVENT_SERIES_H
#define MAIL_EVENT_SERIES_H

#include "mail/event_counts.h"

enum event_value {
    SERIES_SESSIONS,
    SERIES_SESSIONS_TLS,
    SERIES_CONNECTIONS_REFUSED,
    SERIES_ACCEPTED,
    SERIES_REFUSED,
    SERIES_DEFERRED,
    SERIES_RECIPIENTS_REFUSED,
    SERIES_DELIVERED,
    SERIES_DELIVERED_TLS,
    SERIES_DELIVERIES_DEFERRED,
    SERIES_DELIVERIES_REFUSED, /* by the next hop, while the client waited */
    SERIES_BOUNCED,            /* failed for good later: bounced, dropped and held */
    SERIES_SPF_PASS,
    SERIES_SPF_FAIL, /* softfail, too */
    SERIES_DKIM_PASS,
    SERIES_DKIM_FAIL,
    SERIES_DMARC_PASS,
    SERIES_DMARC_FAIL,
    SERIES_ARC_PASS,
    SERIES_ARC_FAIL,
    SERIES_FORECAST_PASS,
    SERIES_FORECAST_FAIL,
    SERIES_FORECAST_VOUCHED,
    SERIES_MUNGED,
    SERIES_SRS_ACCEPTED,
    SERIES_SRS_REFUSED,
    SERIES_TEMPERROR, /* verdicts without an answer of DNS */
    SERIES_QUEUE,     /* messages; a gauge: given beside the totals */
};

enum { EVENT_SERIES = SERIES_QUEUE + 1 };

enum series_step { SERIES_MINUTE, SERIES_TEN_MINUTES };

enum {
    SERIES_MINUTES = 24 * 60 + 1,
    SERIES_TENS = 7 * 24 * 6 + 1
}; /* the one that runs included */

struct event_series;

struct event_series *event_series_new(void);
void event_series_free(struct event_series **series); /* safe on NULL */

/* As they stand now, with the gauge. */
void event_series_totals(const struct event_counts *counts, uint64_t queue,
                         uint64_t totals[EVENT_SERIES]);
/* Calls `field` for each value that is not 0: what has been added since `before`, and the gauge. */
void event_series_fields(const uint64_t before[EVENT_SERIES], const uint64_t now[EVENT_SERIES],
                         void (*field)(void *context, const char *name, uint64_t value),
                         void *context);

/* False: no line about a minute, or not of the last seven days. */
bool event_series_take(struct event_series *series, const struct event_record *record,
                       int64_t now_ms);

/* `time_ms` lies in the minute, or ten minutes, that is asked for. False: it is not known. */
bool event_series_get(const struct event_series *series, enum series_step step, int64_t time_ms,
                      enum event_value which, uint64_t *value);

/* "sessions", "spf-pass" ... */
const char *event_series_name(enum event_value which);

#endif
