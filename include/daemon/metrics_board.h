/*
 * metrics_board - how things stand, gathered by the main loop, for whoever wants metrics.
 *
 * Facts    the spool is asked every METRICS_REFRESH_MS, about ages less often when the answer takes long (a
 *          queue of a million); what is cheap is looked up when the text is made.
 * Minutes  the same timer's work: event_feed_minute, so that charts go on.
 * Threads  metrics_board_add may be called by any thread, as often as it likes; it waits for nothing but short
 *          locks. The rest belongs to the main loop.
 */
#ifndef DAEMON_METRICS_BOARD_H
#define DAEMON_METRICS_BOARD_H

#include "base/list.h"
#include "daemon/event_feed.h"
#include "daemon/metrics_report.h"
#include "daemon/pauses.h"

enum { METRICS_REFRESH_MS = 15000, METRICS_AGES_MS = 60000 };

struct metrics_board_options {
    struct event_loop *loop; /* the main one */
    struct spool *spool;
    const char *spool_directory; /* copied */
    struct event_feed *feed;     /* *borrowed* */
    const struct pauses *pauses; /* *borrowed* */
    /* On the main loop: what only the daemon knows (sessions, certificates, reload, history, findings). */
    void (*describe)(void *context, struct metrics_facts *facts);
    void *context;
};

struct metrics_board;

/* Asks for the first facts at once. */
struct metrics_board *metrics_board_new(const struct metrics_board_options *options);
/* Nobody looks any more. The last minute is logged: before event_feed_stop. Safe on NULL. */
void metrics_board_stop(struct metrics_board *board);
/* After the spool has been closed, before the loop is freed. Safe on NULL. */
void metrics_board_free(struct metrics_board **board);

/* The whole text, as of the last time facts were gathered; METRICS_TEXT_LIMIT is enough. Any thread. */
void metrics_board_add(struct metrics_board *board, struct strbuf *out);

/* Somebody who waits; it must stay where it is until `done` has run. */
struct metrics_wait {
    struct list node; /* private */
    void (*done)(void *context);
    void *context;
};

/* `done` runs once, on the main loop, when facts have been gathered that are newer than this call. */
void metrics_board_refresh(struct metrics_board *board, struct metrics_wait *wait);

#endif
