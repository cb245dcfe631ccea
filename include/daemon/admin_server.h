/*
 * admin_server - the status page over HTTP (option admin): what is served under which path.
 *
 *   /             the page (mail/status_page); ?span=1h|24h|7d
 *   /status.json  the same as one JSON object
 *   /metrics      for Prometheus (daemon/metrics_board)
 *   /trace?q=, /trace.json?q=   what the history knows of a message (daemon/admin_trace)
 *
 * Threads  requests are answered on the HTTP server's thread. What only the main loop knows is asked
 *          for by a task and comes back by another; the spool is read by its own thread for long
 *          readings. No delivery and no session waits for any of it.
 * Cost     what is gathered serves everybody who asks within ADMIN_FRESH_MS, or ten times as long as gathering
 *          took: a page that is asked for a thousand times a second reads the spool as often as one that is asked
 *          for once, and a queue of a million keeps the disk busy for a tenth of the time at most.
 */
#ifndef DAEMON_ADMIN_SERVER_H
#define DAEMON_ADMIN_SERVER_H

#include "daemon/config.h"
#include "daemon/metrics_board.h"
#include "io/listener.h"
#include "io/spool.h"
#include "mail/status_page.h"

enum { ADMIN_FRESH_MS = 1000 };

struct admin_server_options {
    const struct config *config; /* what only a restart changes is read from it; not kept */
    struct spool *spool;
    struct event_feed *feed; /* *borrowed*, as the next one */
    struct metrics_board *metrics;
    struct event_loop *main_loop;
    /* On the main loop: what is known there. Text lives in `arena`. */
    void (*describe)(void *context, struct arena *arena, struct page_health *health);
    /* The same for what the doctor found. */
    void (*describe_findings)(void *context, struct arena *arena, struct status_page *page);
    void *context;
};

struct admin_server;

/* Serves at once. `listener` is *borrowed*. */
struct admin_server *admin_server_new(struct listener *listener,
                                      const struct admin_server_options *options);
/* How long what took so long to gather is shown. */
uint64_t admin_fresh_ms(uint64_t took_ms);
/* The configuration has changed: names it may be called by, too. From the main loop. Safe on NULL. */
void admin_server_reloaded(struct admin_server *server);
/* No callback after this. From the thread of the main loop. Safe on NULL, and twice. */
void admin_server_stop(struct admin_server *server);
/* After the spool has been closed, before the main loop is freed. Safe on NULL. */
void admin_server_free(struct admin_server **server);

#endif
