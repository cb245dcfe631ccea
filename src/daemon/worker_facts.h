/*
 * worker_facts - how the worker is: what its main thread knows, for status, metrics and the status page.
 *
 * Private to room daemon. Main thread.
 */
#ifndef DAEMON_WORKER_FACTS_H
#define DAEMON_WORKER_FACTS_H

#include "worker_loop.h"

#include "daemon/metrics_report.h"
#include "daemon/status_report.h"
#include "mail/status_page.h"

struct worker_facts {
    const struct config *config;
    const struct pauses *pauses;
    struct inbound_ledger *ledger;
    const struct worker_loop *loops;
    size_t loop_count;
    int64_t started_ms; /* unix, as below */
    int64_t reload_ms;  /* of the last one; 0: there was none */
    bool reload_failed;
    struct history_numbers history;
    const struct doctor_result *doctor; /* or NULL */
};

void worker_facts_for_status(const struct worker_facts *facts, struct status_report *report);
void worker_facts_for_metrics(const struct worker_facts *facts, struct metrics_facts *metrics);
/* Text lives in `arena`. */
void worker_facts_for_page(const struct worker_facts *facts, struct arena *arena,
                           struct page_health *health);

#endif
