#include "worker_facts.h"

#include "daemon/doctor_shown.h"
#include "daemon/version_command.h"

static uint64_t count_sessions(const struct worker_facts *facts)
{
    uint64_t sessions = 0;

    for (size_t i = 0; i < facts->loop_count; i++) {
        sessions += inbound_session_count(facts->loops[i].inbound);
    }
    return sessions;
}

void worker_facts_for_status(const struct worker_facts *facts, struct status_report *report)
{
    report->started_ms = facts->started_ms;
    report->pid = process_id();
    report->ledger = facts->ledger;
    report->history = facts->history;
    report->doctor = facts->doctor;
    report->has_doctor = true;
    report->sessions = count_sessions(facts);
}

void worker_facts_for_metrics(const struct worker_facts *facts, struct metrics_facts *metrics)
{
    const struct config *config = facts->config;

    metrics->started_ms = facts->started_ms;
    metrics->reload_ms = facts->reload_ms;
    metrics->has_reload_failed = facts->reload_failed;
    metrics->free_space_floor = config->limits.free_space;
    metrics->has_history = config->history.span_ms > 0;
    metrics->history = facts->history;
    doctor_shown_fill_metrics(metrics, facts->doctor);
    metrics->sessions = count_sessions(facts);
    for (size_t i = 0; i < config->certificate_count && i < METRICS_CERTIFICATES; i++) {
        metrics->certificates[metrics->certificate_count++] = config->certificates[i].expires;
    }
}

static void add_pauses(const struct pauses *from, struct arena *arena,
                       struct page_health *health)
{
    static const char *const kinds[] = {"inbound", "outbound", "destination"};
    struct pause_target target;
    struct page_pause *pauses;
    int64_t since_ms;

    while (pauses_get(from, health->pause_count, &target, &since_ms)) {
        health->pause_count++;
    }
    pauses = arena_alloc(arena, (health->pause_count + 1) * sizeof *pauses);
    for (size_t i = 0; pauses_get(from, i, &target, &since_ms); i++) {
        pauses[i] = (struct page_pause){kinds[target.kind],
                                        arena_copy(arena, target.destination), since_ms};
    }
    health->pauses = pauses;
}

void worker_facts_for_page(const struct worker_facts *facts, struct arena *arena,
                           struct page_health *health)
{
    const struct config *config = facts->config;

    health->version = POSTILION_VERSION;
    health->hostname = arena_copy(arena, config->hostname);
    health->started_ms = facts->started_ms;
    health->disk_floor = config->limits.free_space;
    health->reload_ms = facts->reload_ms;
    health->reload_failed = facts->reload_failed;
    health->keeps_history = config->history.span_ms > 0;
    health->sessions = count_sessions(facts);
    for (size_t i = 0; i < config->certificate_count; i++) {
        int64_t expires = config->certificates[i].expires;
        if (!health->has_certificate || expires < health->certificate_expires) {
            health->certificate_expires = expires;
            health->has_certificate = true;
        }
    }
    add_pauses(facts->pauses, arena, health);
}
