#include "daemon/metrics_report.h"

#include "daemon/version_command.h"
#include "mail/metrics_text.h"

#include <inttypes.h>

static void add_gauge(struct strbuf *out, const char *name, const char *help, uint64_t value)
{
    /* A limit there is none of is the highest number. */
    metrics_text_gauge(out, name, help, value > INT64_MAX ? INT64_MAX : (int64_t)value, 1);
}

static void add_counter(struct strbuf *out, const char *name, const char *help, uint64_t value,
                        unsigned unit)
{
    metrics_text_head(out, name, "counter", help);
    metrics_text_value(out, name, NULL, (int64_t)value, unit);
}

/* One value of a metric with one label. */
static void add_labelled(struct strbuf *out, const char *name, const char *label,
                         const char *word, int64_t value)
{
    struct metric_label labels[METRIC_LABELS] = {{label, bytes_from_text(word)}};

    metrics_text_value(out, name, labels, value, 1);
}

static void add_program(struct strbuf *out, const struct metrics_facts *facts)
{
    static const char BUILD[] = "postilion_build_info";

    metrics_text_head(out, BUILD, "gauge", "Always 1; the label says what runs.");
    add_labelled(out, BUILD, "version", POSTILION_VERSION, 1);
    metrics_text_gauge(out, "process_start_time_seconds", "When the process was started.",
                       facts->started_ms, 1000);
    add_counter(out, "process_cpu_seconds_total", "Time of the processors used.",
                facts->process.cpu_ms, 1000);
    add_gauge(out, "process_resident_memory_bytes", "Memory in use.", facts->process.resident);
    add_gauge(out, "process_virtual_memory_bytes", "Address space in use.",
              facts->process.virtual_size);
    add_gauge(out, "process_open_fds", "Open descriptors.", facts->process.descriptors);
    add_gauge(out, "process_max_fds", "How many there may be.",
              facts->process.descriptor_limit);
    add_gauge(out, "process_threads", "Threads.", facts->process.threads);
}

static void add_sessions(struct strbuf *out, const struct metrics_facts *facts)
{
    static const char PAUSED[] = "postilion_paused";

    add_gauge(out, "postilion_sessions_open", "SMTP sessions that are open.", facts->sessions);
    add_gauge(out, "postilion_clients_memory_bytes", "Memory that clients make us hold.",
              facts->clients_memory);
    add_gauge(out, "postilion_clients_memory_limit_bytes", "limits.memory: then mail gets 452.",
              facts->clients_memory_limit);
    metrics_text_head(out, PAUSED, "gauge", "1: paused by an operator.");
    add_labelled(out, PAUSED, "what", "inbound", facts->is_inbound_paused);
    add_labelled(out, PAUSED, "what", "outbound", facts->is_outbound_paused);
    add_gauge(out, "postilion_destinations_paused", "Destinations paused by an operator.",
              facts->destinations_paused);
}

/* "5m", "10m" ... and all that is older. */
static void add_ages(struct strbuf *out, const struct metrics_facts *facts)
{
    static const char NAME[] = "postilion_queue_due_deliveries";
    unsigned minutes = SPOOL_AGE_FIRST_MS / 60000;

    if (!facts->has_ages) {
        return;
    }
    metrics_text_head(out, NAME, "gauge",
                      "Deliveries that are not held, by how old their message is: up to this, "
                      "and above the one before.");
    for (size_t i = 0; i < SPOOL_AGES; i++, minutes *= 2) {
        struct strbuf word;

        strbuf_init(&word, 40);
        if (i + 1 < SPOOL_AGES) {
            strbuf_addf(&word, "%um", minutes);
        } else {
            strbuf_add_text(&word, "more");
        }
        add_labelled(out, NAME, "age", strbuf_text(&word), (int64_t)facts->due[i]);
        strbuf_clear(&word);
    }
}

static void add_queue(struct strbuf *out, const struct metrics_facts *facts)
{
    int64_t age_ms = facts->oldest_ms == 0 || facts->now_ms < facts->oldest_ms
                         ? 0
                         : facts->now_ms - facts->oldest_ms;

    add_gauge(out, "postilion_queue_messages", "Messages in the queue.", facts->spool.messages);
    add_gauge(out, "postilion_queue_deliveries", "Deliveries that are open.",
              facts->spool.deliveries);
    add_gauge(out, "postilion_queue_held_deliveries", "Deliveries that wait for an operator.",
              facts->held);
    add_gauge(out, "postilion_queue_oldest_age_seconds",
              "Age of the oldest message; 0: the queue is empty.", (uint64_t)age_ms / 1000);
    add_ages(out, facts);
    add_counter(out, "postilion_spool_commits_total", "Commits to stable storage.",
                facts->spool.commits, 1);
    add_counter(out, "postilion_spool_changes_total", "What was changed by them.",
                facts->spool.changes, 1);
    if (facts->has_free_space) {
        add_gauge(out, "postilion_spool_free_bytes", "Free space of the spool's file system.",
                  facts->free_space);
    }
    add_gauge(out, "postilion_spool_free_floor_bytes",
              "limits.free-space: below it no mail is taken.", facts->free_space_floor);
}

static void add_certificates(struct strbuf *out, const struct metrics_facts *facts)
{
    static const char NAME[] = "postilion_certificate_expiry_timestamp_seconds";

    metrics_text_head(out, NAME, "gauge",
                      "When our certificates end, in the order of the configuration.");
    for (size_t i = 0; i < facts->certificate_count; i++) {
        struct strbuf word;

        strbuf_init(&word, 40);
        strbuf_add_u64(&word, i + 1);
        add_labelled(out, NAME, "certificate", strbuf_text(&word), facts->certificates[i]);
        strbuf_clear(&word);
    }
}

static void add_configuration(struct strbuf *out, const struct metrics_facts *facts)
{
    add_gauge(out, "postilion_last_reload_successful",
              "0: the configuration on the disk has errors, the one before is in force.",
              !facts->has_reload_failed);
    metrics_text_gauge(out, "postilion_last_reload_timestamp_seconds",
                       "When a configuration was last read, the start included.",
                       facts->reload_ms != 0 ? facts->reload_ms : facts->started_ms, 1000);
    add_certificates(out, facts);
}

static void add_history(struct strbuf *out, const struct metrics_facts *facts)
{
    if (!facts->has_history) {
        return;
    }
    add_counter(out, "postilion_history_lines_kept_total", "Lines kept in the history.",
                facts->history.kept, 1);
    add_counter(out, "postilion_history_lines_dropped_total", "Lines the history did not keep.",
                facts->history.dropped, 1);
    add_gauge(out, "postilion_history_bytes", "Size of the history's files.",
              facts->history.octets);
    add_gauge(out, "postilion_history_in_trouble", "1: nothing can be written to it now.",
              facts->history.is_in_trouble);
}

static void add_findings(struct strbuf *out, const struct metrics_facts *facts)
{
    static const char NAME[] = "postilion_doctor_findings";

    metrics_text_gauge(out, "postilion_doctor_run_timestamp_seconds",
                       "When the daemon last examined its installation; 0: not yet.",
                       facts->findings_ms, 1000);
    metrics_text_head(out, NAME, "gauge", "What it found.");
    for (size_t i = 0; i < FINDING_SEVERITIES; i++) {
        add_labelled(out, NAME, "severity", finding_severity_text((enum finding_severity)i),
                     (int64_t)facts->findings[i]);
    }
}

void metrics_report_add(struct strbuf *out, const struct metrics_facts *facts)
{
    add_program(out, facts);
    add_sessions(out, facts);
    add_queue(out, facts);
    add_configuration(out, facts);
    add_history(out, facts);
    add_findings(out, facts);
}
