#include "support/check.h"

#include "daemon/metrics_report.h"

static const struct metrics_facts FACTS = {
    .now_ms = 1000500,
    .started_ms = 1000,
    .sessions = 3,
    .spool = {.messages = 4, .deliveries = 5, .commits = 6, .changes = 7},
    .held = 2,
    .oldest_ms = 400,
    .has_ages = true,
    .due = {1, 2, 0, 0, 0, 0, 0, 0, 0, 9},
    .is_outbound_paused = true,
    .destinations_paused = 8,
    .has_free_space = true,
    .free_space = 123456,
    .free_space_floor = 1000,
    .clients_memory_limit = UINT64_MAX,
    .process = {.resident = 4096, .descriptors = 30, .descriptor_limit = 1024, .cpu_ms = 1234},
    .certificate_count = 2,
    .certificates = {1800000000, 1900000000},
    .reload_ms = 2500,
    .has_reload_failed = true,
    .has_history = true,
    .history = {.kept = 10, .dropped = 11, .octets = 12, .is_in_trouble = true},
    .findings_ms = 3000,
    .findings = {13, 0, 0, 14, 15},
};

/* clang-format off */
static const char *const WANTED[] = {
    "process_start_time_seconds 1\n",
    "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.234\n",
    "process_resident_memory_bytes 4096\n",
    "process_open_fds 30\n",
    "process_max_fds 1024\n",
    "postilion_sessions_open 3\n",
    "postilion_paused{what=\"inbound\"} 0\npostilion_paused{what=\"outbound\"} 1\n",
    "postilion_destinations_paused 8\n",
    "postilion_clients_memory_limit_bytes 9223372036854775807\n",
    "postilion_queue_messages 4\n",
    "postilion_queue_deliveries 5\n",
    "postilion_queue_held_deliveries 2\n",
    "postilion_queue_oldest_age_seconds 1000\n",
    "postilion_queue_due_deliveries{age=\"5m\"} 1\npostilion_queue_due_deliveries{age=\"10m\"} 2\n",
    "postilion_queue_due_deliveries{age=\"1280m\"} 0\npostilion_queue_due_deliveries{age=\"more\"} 9\n",
    "# TYPE postilion_spool_commits_total counter\npostilion_spool_commits_total 6\n",
    "postilion_spool_free_bytes 123456\n",
    "postilion_spool_free_floor_bytes 1000\n",
    "postilion_last_reload_successful 0\n",
    "postilion_last_reload_timestamp_seconds 2.5\n",
    "postilion_certificate_expiry_timestamp_seconds{certificate=\"1\"} 1800000000\n"
    "postilion_certificate_expiry_timestamp_seconds{certificate=\"2\"} 1900000000\n",
    "postilion_history_lines_dropped_total 11\n",
    "postilion_history_in_trouble 1\n",
    "postilion_doctor_run_timestamp_seconds 3\n",
    "postilion_doctor_findings{severity=\"ok\"} 13\npostilion_doctor_findings{severity=\"note\"} 0\n",
    "postilion_doctor_findings{severity=\"warning\"} 14\npostilion_doctor_findings{severity=\"error\"} 15\n",
};
/* What is not known is not there. */
static const char *const UNKNOWN[] = {
    "postilion_queue_due_deliveries", "postilion_spool_free_bytes", "postilion_history",
    "postilion_certificate_expiry_timestamp_seconds{",
};
/* clang-format on */

static void every_fact_is_said(void **state)
{
    struct strbuf text;

    (void)state;
    strbuf_init(&text, METRICS_TEXT_LIMIT);
    metrics_report_add(&text, &FACTS);
    for (size_t i = 0; i < COUNT_OF(WANTED); i++) {
        CHECK_TRUE(WANTED[i], strstr(strbuf_text(&text), WANTED[i]) != NULL);
    }
    strbuf_clear(&text);
}

static void what_is_not_known_is_left_out(void **state)
{
    struct metrics_facts facts = {.now_ms = 5000, .started_ms = 1000, .oldest_ms = 6000};
    struct strbuf text;

    (void)state;
    strbuf_init(&text, METRICS_TEXT_LIMIT);
    metrics_report_add(&text, &facts);
    for (size_t i = 0; i < COUNT_OF(UNKNOWN); i++) {
        struct strbuf line;

        strbuf_init(&line, 200);
        strbuf_addf(&line, "\n%s", UNKNOWN[i]);
        CHECK_TRUE(UNKNOWN[i], strstr(strbuf_text(&text), strbuf_text(&line)) == NULL);
        strbuf_clear(&line);
    }
    CHECK_TRUE("a clock that was set back",
               strstr(strbuf_text(&text), "postilion_queue_oldest_age_seconds 0\n") != NULL);
    CHECK_TRUE("the start was the last",
               strstr(strbuf_text(&text), "postilion_last_reload_timestamp_seconds 1\n") !=
                   NULL);
    strbuf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fact_is_said),
        cmocka_unit_test(what_is_not_known_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
