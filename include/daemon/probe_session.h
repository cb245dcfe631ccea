/*
 * probe_session - speaks with the next hops of an address as a delivery would, and shows what is said.
 *
 * Input   a configuration, an address, and what shall be other than for a delivery.
 * Output  the report, and its text piece by piece while it happens. Nothing is written; nothing is sent but the
 *         dialogue up to RCPT, and with `is_data` a test message.
 * Same    as a delivery: aliases, routes, next hops and their order, addresses that are never connected to, our
 *         address and name, TLS policy, dialogue (outbound/delivery_attempt is what runs it).
 * Differs new connections only, nothing is remembered of other deliveries; deadlines; a test message has no ARC
 *         set, only the DKIM signatures that our bounces have.
 */
#ifndef DAEMON_PROBE_SESSION_H
#define DAEMON_PROBE_SESSION_H

#include "daemon/config.h"
#include "daemon/probe_report.h"

enum { PROBE_TARGETS = 20 }; /* of an alias; others are only counted */

struct probe_order {
    struct config *config;               /* *takes* it */
    const struct ip_endpoint *resolvers; /* none: those of the configuration */
    size_t resolver_count;
    struct bytes address; /* "local@domain" */
    bool has_sender;
    struct bytes sender; /* "local@domain"; empty: null */
    struct bytes host;   /* in the place of the next hops of the domain; empty: those */
    int tls;             /* enum tls_level, or -1: the policy of the configuration */
    bool is_all, is_data;
    uint64_t timeout_ms; /* of each wait */
    /* Each piece of the text as it comes; NULL: nobody reads along. */
    void (*show)(void *context, struct bytes text);
    void *context;
};

/* False: *why; the report then says nothing. */
bool probe_session_run(const struct probe_order *request, struct probe_report *report,
                       struct strbuf *why);

#endif
