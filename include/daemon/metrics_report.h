/*
 * metrics_report - all metrics as Prometheus' text: what was counted from the log, and how things stand now.
 *
 * Input   plain facts; no label has words of a peer, and there are as many as the configuration has places for.
 * Names   are an interface, listed in docs/METRICS.md.
 */
#ifndef DAEMON_METRICS_REPORT_H
#define DAEMON_METRICS_REPORT_H

#include "base/strbuf.h"
#include "io/history.h"
#include "io/process_use.h"
#include "io/spool.h"
#include "mail/finding.h"

enum { METRICS_CERTIFICATES = 16, METRICS_TEXT_LIMIT = 1024 * 1024 };

struct metrics_facts {
    int64_t now_ms, started_ms; /* unix */
    uint64_t sessions;
    struct spool_counters spool;
    uint64_t held;     /* deliveries */
    int64_t oldest_ms; /* when the oldest message came; 0: the queue is empty */
    bool has_ages;
    uint64_t due[SPOOL_AGES]; /* deliveries by age, of all destinations */
    bool is_inbound_paused, is_outbound_paused;
    uint64_t destinations_paused;
    bool has_free_space;
    uint64_t free_space,
        free_space_floor; /* of the spool's file system; below the floor: no mail */
    uint64_t clients_memory, clients_memory_limit;
    struct process_use process;
    size_t certificate_count;
    int64_t certificates
        [METRICS_CERTIFICATES]; /* when they end, seconds since 1970, as configured */
    int64_t reload_ms;          /* unix, of the last one; 0: none */
    bool has_reload_failed;
    bool has_history;
    struct history_numbers history;
    int64_t findings_ms;                   /* unix, when `doctor` last looked; 0: not yet */
    uint64_t findings[FINDING_SEVERITIES]; /* by severity */
};

void metrics_report_add(struct strbuf *out, const struct metrics_facts *facts);

#endif
