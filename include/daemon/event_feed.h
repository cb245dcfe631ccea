/*
 * event_feed - each line of the log, once written, to all who live on it: counters (mail/event_counts), charts
 * (mail/event_series), destinations that fail (mail/event_failures) and the history (io/history).
 *
 * Threads  lines are taken on the log's writer thread; no session and no delivery waits for it. Anybody may look:
 *          the writer waits meanwhile, so what is looked at is copied or printed, no more.
 * Minutes  event_feed_minute makes the line `event=minute`, which no target of the log gets to see; it comes
 *          back as a line. event_feed_recall reads those of before from the history.
 */
#ifndef DAEMON_EVENT_FEED_H
#define DAEMON_EVENT_FEED_H

#include "mail/event_counts.h"
#include "mail/event_failures.h"
#include "mail/event_series.h"

/* Good during the look. */
struct event_view {
    const struct event_counts *counts;
    const struct event_series *series;
    const struct event_failures *failures;
};

struct event_feed;

/* `take` gets the same lines, first; or NULL. Begins at once, and needs log_start. */
struct event_feed *event_feed_start(void (*take)(void *context, struct bytes lines),
                                    void *context);
/* No line is taken after this. Safe on NULL. */
void event_feed_stop(struct event_feed *feed);
void event_feed_free(struct event_feed **feed); /* stopped before; safe on NULL */

/* Any thread. */
void event_feed_look(struct event_feed *feed,
                     void (*look)(void *context, const struct event_view *view), void *context);

/* To be called at the end of each minute, and when the daemon ends (is_end); from one thread. `queue` is how many
 * messages there are. Returns after how many ms it wants to be called again. */
uint64_t event_feed_minute(struct event_feed *feed, int64_t now_ms, uint64_t queue,
                           bool is_end);

/* A line of event minute from before this process. Any thread. */
void event_feed_recall(struct event_feed *feed, struct bytes line);

#endif
