/*
 * worker_watch - who is told what the log says: the history, and the counters and charts of daemon/event_feed.
 *
 * Private to room daemon. Main thread; what it starts is told on the log's thread. What charts had before this
 * process is read from the history by a thread of its own.
 */
#ifndef DAEMON_WORKER_WATCH_H
#define DAEMON_WORKER_WATCH_H

#include "daemon/config.h"
#include "daemon/event_feed.h"

#include <stdatomic.h>

struct worker_watch {
    struct history *history;
    struct event_feed *feed;
    atomic_bool is_kept; /* in the history; else it is off */
    struct arena *arena;
    const char *directory; /* of the history */
    int64_t started_ms;    /* unix */
    struct process_thread *recall;
    atomic_bool is_stopping; /* recall ends early */
};

void worker_watch_start(struct worker_watch *watch, const struct config *config);
/* A new configuration is in force. */
void worker_watch_reload(struct worker_watch *watch, const struct config *config);
/* When the log has stopped. */
void worker_watch_stop(struct worker_watch *watch);

#endif
