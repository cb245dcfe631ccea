/*
 * acceptor - takes connections and hands each to the loop with the fewest sessions.
 *
 * Limits   connections at a time and a minute: in all, by a listener, of a client (inbound/inbound_ledger);
 *          above them 421 and a log line.
 * Threads  lives on the main loop; hands over by event_loop_post. The end of a session wakes nobody.
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
    size_t connections;       /* at a time */
    uint64_t connection_rate; /* a minute; 0: no limit */
    struct client_limits client;
};

/* What is special about one listener; 0: nothing. */
struct listener_limits {
    uint64_t connections;     /* at a time */
    uint64_t connection_rate; /* a minute */
    struct crowd_limits crowd;
};

struct acceptor;

/* `targets` and the ledger are borrowed and must live until acceptor_free. */
struct acceptor *acceptor_new(struct event_loop *loop, const struct acceptor_target *targets,
                              size_t target_count, struct inbound_ledger *ledger,
                              const struct acceptor_limits *limits);
/* Begins to accept on a listener (borrowed). Where a PROXY header comes first there are many clients
 * behind one address: the session counts its client when that is known. */
void acceptor_add(struct acceptor *acceptor, struct listener *listener,
                  const struct inbound_door *door, const struct listener_limits *limits);
/* What the limits point to is borrowed, until others are set. */
void acceptor_set_limits(struct acceptor *acceptor, const struct acceptor_limits *limits);
/* After all sessions have ended and all loops have stopped. */
void acceptor_free(struct acceptor **acceptor);

#endif
