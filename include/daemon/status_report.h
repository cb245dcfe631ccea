/*
 * status_report - the daemon at a glance, as text or as one JSON object.
 */
#ifndef DAEMON_STATUS_REPORT_H
#define DAEMON_STATUS_REPORT_H

#include "daemon/pauses.h"
#include "inbound/inbound_ledger.h"
#include "io/history.h"

struct doctor_result;

struct status_report {
    int64_t now_ms, started_ms; /* unix */
    int64_t pid;
    uint64_t sessions; /* clients that are connected */
    uint64_t messages, deliveries, held;
    int64_t oldest_ms; /* when the oldest message came; 0: the queue is empty */
    const struct pauses *pauses;
    struct inbound_ledger *ledger;             /* NULL: nothing was refused */
    const struct client_limits *client_limits; /* with it */
    struct history_numbers history;            /* all 0: it is off */
    const struct doctor_result *doctor;        /* the last one, or NULL */
    bool has_doctor;                           /* somebody looks */
};

void status_report_add(struct strbuf *out, const struct status_report *report, bool is_json);

#endif
