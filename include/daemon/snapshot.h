/*
 * snapshot - one configuration, as the rooms want it: immutable, counted, swapped whole.
 *
 * Shape   made by snapshot_new from a loaded configuration (daemon/config); every room's options
 *         point into it, and whoever uses them holds it (`shared`).
 */
#ifndef DAEMON_SNAPSHOT_H
#define DAEMON_SNAPSHOT_H

#include "daemon/acceptor.h"
#include "daemon/config.h"
#include "inbound/inbound_server.h"

struct snapshot {
    struct shared shared; /* first: rooms hold it by this */
    struct config *config;
    struct inbound_options inbound;
    struct outbound_options outbound;
    struct queue_options queue;
    struct acceptor_limits limits;
    struct strbuf loop_secret;
    struct strbuf bounce_from;
};

/* *takes* the configuration. `listening`: the addresses we really listen on. */
struct snapshot *snapshot_new(struct config *config, const struct ip_endpoint *listening,
                              size_t listening_count);
void snapshot_drop(struct snapshot **snapshot); /* safe on NULL */

#endif
