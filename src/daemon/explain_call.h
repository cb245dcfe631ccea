/*
 * explain_call - one rehearsal while it runs.
 *
 * Private to room daemon. Files: explain_session.c (server, client and what they show), explain_limits.c (what only the
 * daemon knows), explain_hops.c (where it would be sent).
 */
#ifndef DAEMON_EXPLAIN_CALL_H
#define DAEMON_EXPLAIN_CALL_H

#include "daemon/explain_session.h"
#include "daemon/snapshot.h"
#include "inbound/inbound_rehearsal.h"
#include "io/state_copy.h"
#include "outbound/recipient_probe.h"

enum explain_stage {
    EXPLAIN_CONNECT,
    EXPLAIN_EHLO,
    EXPLAIN_MAIL,
    EXPLAIN_RCPT,
    EXPLAIN_DATA,
    EXPLAIN_CONTENT,
    EXPLAIN_QUIT,
};

struct explain_call {
    const struct explain_request *request;
    struct explain_report *report;
    struct event_loop *loop;
    struct dns_resolver *resolver;
    struct snapshot *snapshot;
    struct message_id_source ids;
    struct inbound_rehearsal rehearsal;
    struct outbound *outbound; /* or NULL: nobody is asked */
    struct recipient_prober *prober;
    struct inbound_server *server;
    struct stream *client;
    enum explain_stage stage;
    const char *stage_text;   /* of the look-ups that are under way; static */
    struct bytes command;     /* the last one said */
    bool is_utf8;             /* SMTPUTF8 is needed */
    struct state_copy *state; /* NULL: nothing was asked of it, or ... */
    bool has_no_state;        /* ... it cannot be read, and that has been told */
};

/* explain_limits.c */
/* What else decides, and is not known here: notes, and the limits the daemon counts. */
void explain_limits_find(struct explain_call *call);

/* explain_hops.c */
/* The next hops of each delivery of the report. */
void explain_hops_find(struct explain_call *call);

#endif
