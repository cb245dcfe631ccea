/*
 * probe_call - one probe while it runs.
 *
 * Private to room daemon. Files: probe_session.c (what is asked of whom), probe_targets.c (whom an address stands
 * for), probe_watch.c (what is seen of a connection).
 */
#ifndef DAEMON_PROBE_CALL_H
#define DAEMON_PROBE_CALL_H

#include "daemon/probe_session.h"
#include "daemon/snapshot.h"
#include "outbound/delivery_result.h"

/* A command whose answer is to come. */
struct probe_pending {
    struct probe_pending *next;
    const char *stage; /* static */
    uint64_t said_ms;
};

/* The connection that is open. */
struct probe_watch {
    struct probe_host *host; /* NULL: none is */
    uint64_t began_ms;
    uint64_t heard_ms; /* when the last answer came */
    struct probe_pending *pending, **pending_end;
    struct strbuf heard; /* what is not a whole reply yet */
    bool is_decided;     /* its verdict is there */
};

struct probe_call {
    const struct probe_order *request;
    struct probe_report *report;
    struct event_loop *loop;
    struct dns_resolver *resolver;
    struct snapshot *snapshot;
    struct outbound_options options;
    struct delivery_route_table one_route; /* to the host that was named */
    struct tls_context *own_context;       /* when the configuration has none, or NULL */
    struct probe_target *target;
    struct delivery_watch watch;
    struct probe_watch seen;
    struct ip_endpoint only; /* the host whose turn it is; IP_NONE: any */
    uint64_t message_size;
};

void probe_show(struct probe_call *call, const struct strbuf *text);

/* probe_targets.c */
/* Fills in report->targets, or report->refusal. */
void probe_targets_find(struct probe_call *call, const struct smtp_mailbox *address);

/* probe_watch.c */
void probe_watch_note(void *context, enum connection_note what,
                      const struct next_hop_connection *connection, struct bytes octets);
/* What an answer or a trouble of the delivery itself comes to. */
struct probe_finding probe_finding_of_result(struct probe_call *call, const char *stage,
                                             const struct delivery_result *result);

#endif
