/*
 * acceptor - takes connections and hands each to the loop with the fewest sessions.
 *
 * Limits   connections in all and per client (an IPv4 address, an IPv6 /64); above them 421 and a log line.
 * Threads  lives on the main loop; hands over by event_loop_post. Clients are counted with atomics,
 *          so that the end of a session wakes nobody.
 */
#ifndef DAEMON_ACCEPTOR_H
#define DAEMON_ACCEPTOR_H

#include "inbound/inbound_server.h"
#include "io/listener.h"

struct acceptor_target {
    struct event_loop *loop;
    struct inbound_server *server;
};

struct acceptor_limits {
    size_t connections;
    unsigned per_client;
};

struct acceptor;

/* `targets` are borrowed and must live until acceptor_free. */
struct acceptor *acceptor_new(struct event_loop *loop, const struct acceptor_target *targets,
                              size_t target_count, const struct acceptor_limits *limits);
/* Begins to accept on a listener (borrowed). Where a PROXY header comes first there are many clients
 * behind one address, so they are not counted by it. */
void acceptor_add(struct acceptor *acceptor, struct listener *listener,
                  const struct inbound_door *door);
void acceptor_set_limits(struct acceptor *acceptor, const struct acceptor_limits *limits);
/* After all sessions have ended and all loops have stopped. */
void acceptor_free(struct acceptor **acceptor);

#endif
