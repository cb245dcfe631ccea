/*
 * page_events - the parts of the status page that come from the log: charts, shares, refusals, destinations
 * that fail.
 *
 * Input   counters (mail/event_counts), values by the minute (mail/event_series), failures (mail/event_failures).
 * Output  parts of a status_page; copied into the arena, so that who counts is held up only for the call.
 * Charts  an hour by minutes, a day by quarters of an hour, a week by hours; the last column is the last one that
 *         has begun and is known. What nobody counted is unknown, not 0.
 */
#ifndef MAIL_PAGE_EVENTS_H
#define MAIL_PAGE_EVENTS_H

#include "base/arena.h"
#include "mail/event_failures.h"
#include "mail/event_series.h"
#include "mail/status_page.h"

struct page_sources {
    const struct event_counts *counts;
    const struct event_series *series;
    const struct event_failures *failures;
};

/* All but page->health and what is not from the log; page->health.now_ms is the time. */
void page_events_fill(struct status_page *page, const struct page_sources *sources,
                      struct arena *arena);

#endif
