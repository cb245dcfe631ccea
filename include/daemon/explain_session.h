/*
 * explain_session - plays a client to the daemon's own sessions, and collects what they decide.
 *
 * Input   a configuration, who sends what to whom, and from where.
 * Output  the report; nothing is sent but questions to the resolver (and what was asked for: the message to scanners,
 *         questions about recipients to their servers), and nothing is written. A running daemon is asked what it
 *         remembers of the client.
 * Differs from the daemon in this: time and chance (SRS dates, the order among equal MX hosts), what is
 *         counted (rates and budgets of clients and mailboxes, uses of return addresses: the report names the
 *         limits), TLS with the client, and what the next hops will say.
 */
#ifndef DAEMON_EXPLAIN_SESSION_H
#define DAEMON_EXPLAIN_SESSION_H

#include "daemon/config.h"
#include "daemon/explain_report.h"

struct explain_request {
    struct config *config;               /* *takes* it */
    const struct ip_endpoint *resolvers; /* none: those of the configuration */
    size_t resolver_count;
    struct bytes from,
        to; /* as in MAIL and RCPT, without brackets; from: empty is the null sender */
    struct bytes helo;
    struct ip_address client; /* IP_NONE: nothing is asked about it */
    struct bytes message;     /* lines end in CRLF */
    bool asks_servers;        /* those of "verify-recipients" */
    bool shows_to_scanners;   /* who may learn from the message */
};

/* False: *why; the report then says nothing. */
bool explain_session_run(const struct explain_request *request, struct explain_report *report,
                         struct strbuf *why);

#endif
