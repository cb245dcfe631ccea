#include "daemon/status_report.h"

#include "base/calendar.h"
#include "base/json.h"
#include "base/utf8.h"
#include "daemon/doctor_shown.h"
#include "daemon/version_command.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *kind_text(enum pause_kind kind)
{
    switch (kind) {
    case PAUSE_INBOUND:
        return "inbound";
    case PAUSE_OUTBOUND:
        return "outbound";
    case PAUSE_DESTINATION:
        return "destination";
    }
    abort();
}

static int64_t seconds_between(int64_t from_ms, int64_t to_ms)
{
    return to_ms > from_ms ? (to_ms - from_ms) / 1000 : 0;
}

static void add_span(struct strbuf *out, int64_t seconds)
{
    strbuf_addf(out, "%" PRId64 "d %02d:%02d:%02d", seconds / 86400, (int)(seconds / 3600 % 24),
                (int)(seconds / 60 % 60), (int)(seconds % 60));
}

static uint64_t refused(const struct status_report *report, unsigned which)
{
    return report->ledger == NULL
               ? 0
               : inbound_ledger_noted(report->ledger, (enum ledger_refusal)which);
}

static void add_text(struct strbuf *out, const struct status_report *report)
{
    struct pause_target target;
    int64_t since_ms;

    strbuf_addf(out, "postilion " POSTILION_VERSION ", process %" PRId64 ", up ", report->pid);
    add_span(out, seconds_between(report->started_ms, report->now_ms));
    strbuf_addf(out,
                "\nsessions   %" PRIu64 "\nqueue      %" PRIu64 " messages, %" PRIu64
                " deliveries, %" PRIu64 " of them held\n",
                report->sessions, report->messages, report->deliveries, report->held);
    if (report->oldest_ms != 0) {
        strbuf_add_text(out, "oldest     ");
        calendar_add_timestamp(out, report->oldest_ms);
        strbuf_add_char(out, '\n');
    }
    for (unsigned i = 0; i < LEDGER_REFUSALS; i++) {
        if (refused(report, i) > 0) {
            strbuf_addf(out, "refused    %" PRIu64 " by %s\n", refused(report, i),
                        inbound_ledger_refusal_text((enum ledger_refusal)i));
        }
    }
    for (size_t i = 0; pauses_get(report->pauses, i, &target, &since_ms); i++) {
        strbuf_addf(out, "paused     %s ", kind_text(target.kind));
        utf8_add_printable(out, target.destination);
        strbuf_add_text(out, target.kind == PAUSE_DESTINATION ? " since " : "since ");
        calendar_add_timestamp(out, since_ms);
        strbuf_add_char(out, '\n');
    }
}

static bool has_history(const struct status_report *report)
{
    return report->history.kept > 0 || report->history.dropped > 0;
}

static void add_history(struct strbuf *out, const struct status_report *report)
{
    if (has_history(report)) {
        strbuf_addf(
            out, "history    %" PRIu64 " lines kept, %" PRIu64 " lost, %" PRIu64 " MB%s\n",
            report->history.kept, report->history.dropped, report->history.octets / 1000000,
            report->history.is_in_trouble ? "; it cannot be written now" : "");
    }
}

static void add_json_history(struct strbuf *out, const struct status_report *report)
{
    strbuf_addf(out,
                ",\"history\":{\"kept\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"octets\":%" PRIu64
                ",\"trouble\":%s}",
                report->history.kept, report->history.dropped, report->history.octets,
                report->history.is_in_trouble ? "true" : "false");
}

static void add_json_refused(struct strbuf *out, const struct status_report *report)
{
    const char *separator = "";

    strbuf_add_text(out, ",\"refused\":{");
    for (unsigned i = 0; i < LEDGER_REFUSALS; i++) {
        if (refused(report, i) > 0) {
            strbuf_addf(out, "%s\"%s\":%" PRIu64, separator,
                        inbound_ledger_refusal_text((enum ledger_refusal)i),
                        refused(report, i));
            separator = ",";
        }
    }
    strbuf_add_char(out, '}');
}

static void add_json(struct strbuf *out, const struct status_report *report)
{
    struct pause_target target;
    int64_t since_ms;

    strbuf_addf(out,
                "{\"version\":\"" POSTILION_VERSION "\",\"pid\":%" PRId64 ",\"started\":\"",
                report->pid);
    calendar_add_timestamp(out, report->started_ms);
    strbuf_addf(out,
                "\",\"uptime_seconds\":%" PRId64 ",\"sessions\":%" PRIu64
                ",\"messages\":%" PRIu64 ",\"deliveries\":%" PRIu64 ",\"held\":%" PRIu64
                ",\"oldest\":",
                seconds_between(report->started_ms, report->now_ms), report->sessions,
                report->messages, report->deliveries, report->held);
    if (report->oldest_ms != 0) {
        strbuf_add_char(out, '"');
        calendar_add_timestamp(out, report->oldest_ms);
        strbuf_add_char(out, '"');
    } else {
        strbuf_add_text(out, "null");
    }
    add_json_refused(out, report);
    add_json_history(out, report);
    if (report->has_doctor) {
        doctor_shown_add_json(out, report->doctor);
    }
    strbuf_add_text(out, ",\"paused\":[");
    for (size_t i = 0; pauses_get(report->pauses, i, &target, &since_ms); i++) {
        strbuf_addf(out, "%s{\"what\":\"%s\"", i == 0 ? "" : ",", kind_text(target.kind));
        if (target.kind == PAUSE_DESTINATION) {
            strbuf_add_text(out, ",\"destination\":");
            json_text(out, NULL, target.destination);
        }
        strbuf_add_text(out, ",\"since\":\"");
        calendar_add_timestamp(out, since_ms);
        strbuf_add_text(out, "\"}");
    }
    strbuf_add_text(out, "]}\n");
}

void status_report_add(struct strbuf *out, const struct status_report *report, bool is_json)
{
    if (is_json) {
        add_json(out, report);
    } else {
        add_text(out, report);
        add_history(out, report);
        doctor_shown_add_text(out, report->doctor);
    }
}
