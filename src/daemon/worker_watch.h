/*
 * worker_watch - who is told what the log says: the history.
 *
 * Private to room daemon. Main thread; what it starts is told on the log's thread.
 */
#ifndef DAEMON_WORKER_WATCH_H
#define DAEMON_WORKER_WATCH_H

#include "daemon/config.h"

struct worker_watch {
    struct history *history;
};

void worker_watch_start(struct worker_watch *watch, const struct config *config);
/* A new configuration is in force. */
void worker_watch_reload(struct worker_watch *watch, const struct config *config);
/* When the log has stopped. */
void worker_watch_stop(struct worker_watch *watch);

/* Where the history is; to be freed. */
char *worker_watch_directory(const struct config *config);

#endif
