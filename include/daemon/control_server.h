/*
 * control_server - the operator's commands, over a Unix socket.
 *
 * Wire     mail/queue_order.h: one line in, lines out, then '+' or '-' and the end. File rights of
 *          the socket decide who may.
 * Limits   CONTROL_CLIENTS at once, CONTROL_TIMEOUT_MS for one order or one page; listings are read from the
 *          spool a page at a time, as fast as the client takes them.
 */
#ifndef DAEMON_CONTROL_SERVER_H
#define DAEMON_CONTROL_SERVER_H

#include "io/listener.h"
#include "queue/queue.h"

enum { CONTROL_CLIENTS = 32, CONTROL_TIMEOUT_MS = 60000, CONTROL_PAGE = 500 };

struct control_server;

/* Accepts on `listener` (borrowed), on the main loop. */
struct control_server *control_server_new(struct event_loop *loop, struct listener *listener,
                                          struct spool *spool, struct queue_set *queues);
/* Closes all clients; requests of theirs that are still in the spool are let go: free the server
 * only when the loop runs no more, and close the spool before the loop is freed. Safe on NULL. */
void control_server_free(struct control_server **server);

#endif
