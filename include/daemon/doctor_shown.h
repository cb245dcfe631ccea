/*
 * doctor_shown - what the daemon's own examination found, for status, metrics and the status page.
 *
 * Result   NULL (there is none yet, it is off): nothing is filled in.
 */
#ifndef DAEMON_DOCTOR_SHOWN_H
#define DAEMON_DOCTOR_SHOWN_H

#include "daemon/metrics_report.h"
#include "mail/finding.h"
#include "mail/status_page.h"

struct doctor_result {
    struct arena *arena;
    int64_t at_ms; /* unix */
    struct findings findings;
};

/* "doctor     1 error, 3 ok, at TIME", and what is not well, one line each. */
void doctor_shown_add_text(struct strbuf *out, const struct doctor_result *result);
/* A member "doctor" of the object that is open: {"at", numbers, "findings": what is not ok}, or null. */
void doctor_shown_add_json(struct strbuf *out, const struct doctor_result *result);
void doctor_shown_fill_metrics(struct metrics_facts *facts, const struct doctor_result *result);
/* What is not ok, the worst first; in the arena. */
void doctor_shown_fill_page(struct status_page *page, struct arena *arena,
                            const struct doctor_result *result);

#endif
