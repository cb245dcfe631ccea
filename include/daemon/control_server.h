/*
 * control_server - the operator's commands, over a Unix socket.
 *
 * Wire     one order a connection, in one line; then lines out, then '+' or '-' and the end, as in
 *          mail/queue_order.h. File rights of the socket decide who may.
 * Orders   "queue ..." (mail/queue_order.h, queue/queue_clerk.h),
 *          "pause WHAT" and "resume WHAT", WHAT being inbound, outbound or a destination (daemon/pauses.h),
 *          "reload" and "restart": asked for, not waited for,
 *          "client ADDRESS": what is remembered of one (forward/client_rates), in sentences,
 *          "status [--json]" (daemon/status_report.h), "status --metrics" (daemon/metrics_report.h).
 * Limits   CONTROL_CLIENTS at once, CONTROL_TIMEOUT_MS for an order to come and for each page to be
 *          taken; listings are read from the spool a page at a time, as fast as the client takes them.
 */
#ifndef DAEMON_CONTROL_SERVER_H
#define DAEMON_CONTROL_SERVER_H

#include "daemon/metrics_board.h"
#include "daemon/pauses.h"
#include "daemon/status_report.h"
#include "io/listener.h"
#include "queue/queue.h"

enum { CONTROL_CLIENTS = 32, CONTROL_TIMEOUT_MS = 60000 };

enum control_request { CONTROL_RELOAD, CONTROL_RESTART };

struct control_server_options {
    struct spool *spool;
    struct queue_set *queues;
    struct pauses *pauses;
    struct metrics_board *metrics; /* NULL: there are none */
    /* Fills in what the server does not know itself: the process and its sessions. */
    void (*describe)(void *context, struct status_report *report);
    /* What is done later and by others; the log says how it went. */
    void (*request)(void *context, enum control_request request);
    void *context;
};

struct control_server;

/* Accepts on `listener` (borrowed), on the main loop. */
struct control_server *control_server_new(struct event_loop *loop, struct listener *listener,
                                          const struct control_server_options *options);
/* Closes all clients; requests of theirs that are still in the spool are let go: free the server
 * only when the loop runs no more, and close the spool before the loop is freed. Safe on NULL. */
void control_server_free(struct control_server **server);

#endif
