#include "mail/event_counts.h"

#include "base/memory.h"
#include "mail/metrics_text.h"

#include <stdlib.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* clang-format off */

/* ---- the words of labels; the last one of each list is what stands for all that are not in it ---- */

#define OTHER "other"

static const char *const NONE[] = {""}; /* there is no such label */
static const char *const LEVEL[] = {"debug", "info", "warning", "error", "fatal", OTHER};
static const char *const TLS[] = {"none", "TLSv1.2", "TLSv1.3", OTHER};
static const char *const VERIFIED[] = {"yes", "no", OTHER};
static const char *const SESSION_END[] = {
    "quit", "closed", "reset", "timeout", "too-many-errors", "too-many-commands", "unknown-recipients",
    "bad-signatures", "per-client", "connection-rate", "penalty", "line-too-long", "bare-cr-or-lf", "hidden-dot",
    "storage-timeout", "dns-timeout", "too-large", "bad-chunk", "early-talker", "proxy-not-trusted", "proxy-header",
    "tls", "starttls-injection", "drain", "stopped", OTHER};
static const char *const CONNECTION[] = {
    "connections", "total-connection-rate", "listener-connections", "listener-connection-rate", "per-client",
    "connection-rate", "penalty", "descriptors", "proxy-not-trusted", "proxy-header", OTHER};
static const char *const PENALTY[] = {"unknown-recipients", "bad-signatures", OTHER};
static const char *const LIMIT[] = {
    "message-rate", "recipient-rate", "listener-message-rate", "listener-recipient-rate",
    "total-message-rate", "total-recipient-rate", OTHER};
static const char *const SIDE[] = {"client", "next-hop", OTHER};
static const char *const HOW[] = {"stored", "delivered", "discarded", OTHER};
static const char *const MESSAGE[] = {
    "bare-cr-or-lf", "hidden-dot", "too-large", "header-too-large", "too-many-fields", "field-too-large",
    "blocked-file", "blocked-type", "mime-unreadable", "header-nul", "header-duplicate", "header-no-from",
    "header-8bit", "virus", "spam", "spam-later", "scan-failed", "scan-too-large", "hops", "loop", "from-field",
    "own-domain-spoof", "dmarc-reject", "dmarc-quarantine", "spf-fail", "iprev", "doomed", "own-domain-temperror",
    "dmarc-temperror", "dkim-temperror", "spf-temperror", "iprev-temperror", "arc-temperror", "refused-by-next-hop",
    "storage-full", "forward-budget", "destination-budget", "return-rate", "return-used-up", "content-failed",
    "storage-failed", "sender-store-failed", OTHER};
static const char *const RECIPIENT[] = {
    "relay-denied", "unknown-recipient", "alias-refuse", "alias-defer", "alias-depth", "srs-forged", "srs-expired",
    "srs-future", "srs-malformed", "srs-token-gone", "srs-sender-not-null", "reply-forged", "reply-expired",
    "reply-future", "reply-malformed", "reply-token-gone", "sender-too-long", "sender-domain-unusable",
    "early-talker", "pipelining", "helo", "helo-local", "reverse-name", "reverse-name-temperror", "blocklist",
    "sender-domain", "sender-domain-temperror", "client-score", "forward-budget", "destination-budget",
    "recipient-unknown-there", "recipient-refused-there", "recipient-unverified", "greylisted", "spf-fail", "iprev",
    "spf-temperror", "iprev-temperror", OTHER};
static const char *const ENDED[] = {"discarded", "loop-stopped", OTHER};
static const char *const METHOD[] = {"spf", "dkim", "dmarc", "arc", "iprev", OTHER};
static const char *const RESULT[] = {
    "none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror", OTHER};
static const char *const MARK[] = {
    "from-field", "own-domain-spoof", "dmarc-reject", "dmarc-quarantine", "spf-fail", "iprev", "auth-temperror",
    "doomed", "blocked-file", "blocked-type", "mime-unreadable", "header-nul", "header-duplicate", "header-no-from",
    "virus", "add-header", "rewrite-subject", "quarantine", "soft-reject", "reject", "header-8bit", "arc-trusted",
    OTHER};
static const char *const FORECAST[] = {"pass", "fail", "vouched", "none", OTHER};
static const char *const FORECAST_WHY[] = {
    "aligned-dkim", "own-sender", "spf-only", "dkim-broken", "failed-on-arrival", "arc-trusted", "p-none",
    "no-record", "temperror", "permerror", "unknown", OTHER};
static const char *const MANNER[] = {"as-it-is", "munged", "held", OTHER};
static const char *const FINDING[] = {
    "early-talker", "pipelining", "helo", "helo-local", "reverse-name", "blocklist", "sender-domain", OTHER};
static const char *const VERDICT[] = {"accept", "tag", "defer", "refuse", OTHER};
static const char *const LIST_TROUBLE[] = {"query-refused", "lists-everybody", "no-test-entry", OTHER};
static const char *const VERIFY_TROUBLE[] = {"verify-down", "verify-unanswered", OTHER};
static const char *const SCANNER[] = {"clamd", "rspamd", OTHER};
static const char *const SCAN_RESULT[] = {
    "clean", "virus", "no-action", "greylist", "add-header", "rewrite-subject", "quarantine", "soft-reject",
    "reject", "too-large", OTHER};
static const char *const SCAN_FAILURE[] = {
    "timeout", "no-place", "closed", "malformed", "answer-too-large", "answered-too-early", "error",
    "content-unreadable", "refused", "reset", OTHER};
static const char *const SRS_RETURN[] = {
    "accepted", "forged", "expired", "future", "malformed", "token-gone", "sender-not-null", OTHER};
static const char *const OUTCOME[] = {
    "delivered", "deferred", "bounced", "dropped", "refused", "held", "redirected", "rerouted", OTHER};
static const char *const FAILURE[] = {"deferred", "bounced", "dropped", "refused", "held", OTHER};
static const char *const CLASS[] = {
    "dns", "connection", "tls", "greylist", "rate-limit", "mailbox-busy", "mailbox-full", "unknown-user",
    "authentication", "reputation", "content", "too-big", "loop", "policy", "server", OTHER};
static const char *const BOUNCE[] = {"permanent-failure", "expired", OTHER};
static const char *const UNREPORTED[] = {"held", "dropped", OTHER};
static const char *const UNREPORTED_WHY[] = {
    "null-sender", "double-bounce", "sender-not-proven", "not-own-domain", "bounces-off", "bounce-limit",
    "not-wanted", "hold-over", "damaged-envelope", "content-missing", OTHER};
static const char *const STORAGE_TROUBLE[] = {
    "outcome-not-recorded", "message-not-read", "spool-read-failed", "memory-short", OTHER};
static const char *const RELOAD[] = {"reloaded", "reload-failed", OTHER};

/* ---- what is counted: COUNT_..., name, words of the two labels, their names, what it is ---- */

#define METRICS(M)                                                                                                   \
    M(LOG_LINES, "log_lines_total", LEVEL, NONE, "level", "", "Lines of the log, those that its level leaves out included.") \
    M(LOG_LOST, "log_lines_lost_total", NONE, NONE, "", "", "Lines that the log's sink did not take.")                \
    M(SESSIONS, "sessions_total", TLS, NONE, "tls", "", "SMTP sessions that have ended, by the TLS they had.")        \
    M(SESSION_ENDS, "session_ends_total", SESSION_END, NONE, "reason", "", "SMTP sessions that have ended, by how.")  \
    M(CONNECTIONS_REFUSED, "connections_refused_total", CONNECTION, NONE, "reason", "", "Connections refused before the banner, or when a relay named the client.") \
    M(CLIENTS_PENALISED, "clients_penalised_total", PENALTY, NONE, "reason", "", "Clients kept out for a while.")     \
    M(FORGERY_ALARMS, "forgery_alarms_total", NONE, NONE, "", "", "Hours in which more than 1,000 forged SRS or reply addresses came.") \
    M(CLIENTS_LIMITED, "clients_limited_total", LIMIT, NONE, "reason", "", "MAIL or RCPT answered 451 for a client's rate.") \
    M(HANDSHAKES_FAILED, "tls_handshakes_failed_total", SIDE, NONE, "side", "", "TLS that failed: with a client, or with a next hop that then got clear text.") \
    M(ACCEPTED, "messages_accepted_total", HOW, NONE, "how", "", "Messages answered 250, by what that rests on.")     \
    M(REFUSED, "messages_refused_total", MESSAGE, NONE, "reason", "", "Messages answered 5xx after the final dot.")   \
    M(DEFERRED, "messages_deferred_total", MESSAGE, NONE, "reason", "", "Messages answered 4xx after the final dot.") \
    M(RECIPIENTS_ACCEPTED, "recipients_accepted_total", NONE, NONE, "", "", "Recipients of messages answered 250.")   \
    M(RECIPIENTS_REFUSED, "recipients_refused_total", RECIPIENT, NONE, "reason", "", "RCPT answered 5xx.")            \
    M(RECIPIENTS_DEFERRED, "recipients_deferred_total", RECIPIENT, NONE, "reason", "", "RCPT answered 4xx.")          \
    M(RECIPIENTS_ENDED, "recipients_ended_total", ENDED, NONE, "reason", "", "Recipients accepted to whom nothing is sent.") \
    M(AUTHENTICATION, "authentication_total", METHOD, RESULT, "method", "result", "Verdicts on messages.")            \
    M(MARKS, "marks_total", MARK, NONE, "mark", "", "What the policy only noted about messages.")                     \
    M(FORECASTS, "forecasts_total", FORECAST, FORECAST_WHY, "forecast", "reason", "What DMARC of the copy will be at the next hop.") \
    M(MANNERS, "forwards_total", MANNER, NONE, "manner", "", "Messages forwarded, by how.")                          \
    M(FINDINGS, "client_findings_total", FINDING, NONE, "finding", "", "What speaks against clients.")                \
    M(VERDICTS, "clients_judged_total", VERDICT, NONE, "verdict", "", "Clients something speaks against, by what follows.") \
    M(LIST_TROUBLES, "dns_list_troubles_total", LIST_TROUBLE, NONE, "reason", "", "Block lists that were not believed.") \
    M(VERIFY_TROUBLES, "verify_troubles_total", VERIFY_TROUBLE, NONE, "event", "", "Questions about recipients without an answer.") \
    M(SCANS, "scans_total", SCANNER, SCAN_RESULT, "scanner", "result", "Messages that a scanner has looked at.")      \
    M(SCAN_FAILURES, "scan_failures_total", SCANNER, SCAN_FAILURE, "scanner", "reason", "Messages that a scanner gave no answer about.") \
    M(SEAL_FAILURES, "seal_failures_total", NONE, NONE, "", "", "Messages that went on without our signature.")       \
    M(SRS_RETURNS, "srs_returns_total", SRS_RETURN, NONE, "result", "", "Recipients that are SRS addresses.")         \
    M(DELIVERIES, "deliveries_total", OUTCOME, NONE, "outcome", "", "Attempts at deliveries, one for each recipient.") \
    M(DELIVERY_FAILURES, "delivery_failures_total", FAILURE, CLASS, "outcome", "class", "Attempts that failed, by kind of failure.") \
    M(DELIVERY_TLS, "delivered_tls_total", TLS, VERIFIED, "tls", "verified", "Deliveries that succeeded, by how the connection was protected.") \
    M(BOUNCES, "bounces_queued_total", BOUNCE, NONE, "reason", "", "Bounces made.")                                   \
    M(UNREPORTED, "unreported_failures_total", UNREPORTED, UNREPORTED_WHY, "outcome", "reason", "Deliveries that failed and nobody was told of.") \
    M(DESTINATION_PAUSES, "destination_pauses_total", NONE, NONE, "", "", "Destinations that were found not to be reached.") \
    M(STORAGE_TROUBLES, "storage_troubles_total", STORAGE_TROUBLE, NONE, "event", "", "Trouble with the spool, or too little memory.") \
    M(RELOADS, "reloads_total", RELOAD, NONE, "result", "", "Configurations read while running.")

/* Where the places of each counter begin in the one array of them. */
enum {
#define PLACE(id, name, first, second, first_label, second_label, help) \
    PLACE_##id, LAST_##id = PLACE_##id + LENGTH(first) * LENGTH(second) - 1,
    METRICS(PLACE)
#undef PLACE
    PLACES
};

static const struct metric {
    const char *name, *help;
    const char *first_label, *second_label; /* empty: there is none */
    const char *const *first, *const *second;
    size_t first_count, second_count, place;
} METRIC[EVENT_COUNTS] = {
#define ROW(id, name, first, second, first_label, second_label, help) \
    [COUNT_##id] = {"postilion_" name, help, first_label, second_label, first, second, LENGTH(first), LENGTH(second), PLACE_##id},
    METRICS(ROW)
#undef ROW
};

#define MS(seconds) ((seconds) * 1000)

static const struct histogram {
    const char *name, *label; /* NULL: no label */
    struct bytes word;        /* of the label */
    const char *help;
    unsigned unit; /* how many of what is counted make one of what is shown */
    uint64_t bounds[EVENT_BUCKETS]; /* 0: no more */
} HISTOGRAM[EVENT_HISTOGRAMS] = {
    [HISTOGRAM_MESSAGE_SIZE] = {
        "postilion_message_size_bytes", NULL, {"", 0}, "Sizes of messages answered 250.", 1,
        {1000, 4000, 16000, 64000, 256000, 1000000, 4000000, 16000000, 64000000}},
    [HISTOGRAM_ANSWER] = {
        "postilion_answer_seconds", NULL, {"", 0}, "From the final dot to its answer.", 1000,
        {10, 25, 50, 100, 250, 500, MS(1), 2500, MS(5), MS(10), MS(20), MS(40), MS(60)}},
    [HISTOGRAM_CLAMD] = {
        "postilion_scan_seconds", "scanner", {"clamd", 5}, "From the final dot to what a scanner says.", 1000,
        {10, 25, 50, 100, 250, 500, MS(1), 2500, MS(5), MS(10), MS(20), MS(40), MS(60)}},
    [HISTOGRAM_RSPAMD] = {
        "postilion_scan_seconds", "scanner", {"rspamd", 6}, "From the final dot to what a scanner says.", 1000,
        {10, 25, 50, 100, 250, 500, MS(1), 2500, MS(5), MS(10), MS(20), MS(40), MS(60)}},
    [HISTOGRAM_DELIVERY_DELAY] = {
        "postilion_delivery_delay_seconds", NULL, {"", 0}, "From a message's arrival to its delivery, one for each recipient.", 1000,
        {MS(1), 2500, MS(5), MS(10), MS(30), MS(60), MS(300), MS(1800), MS(3600), MS(4 * 3600), MS(12 * 3600),
         MS(24 * 3600), MS(48 * 3600)}},
};

/* clang-format on */

struct event_counts {
    uint64_t places[PLACES];
    struct {
        uint64_t count, sum;
        uint64_t within[EVENT_BUCKETS]; /* above the bound before it */
    } histograms[EVENT_HISTOGRAMS];
};

struct event_counts *event_counts_new(void)
{
    return memory_zero(sizeof(struct event_counts));
}

void event_counts_free(struct event_counts **counts)
{
    free(*counts);
    *counts = NULL;
}

/* ---- counting ---- */

static size_t find_word(const char *const *words, size_t count, struct bytes word)
{
    for (size_t i = 0; i + 1 < count; i++) {
        if (word.len > 0 && words[i][0] == word.data[0] &&
            bytes_equal(bytes_from_text(words[i]), word)) {
            return i;
        }
    }
    return count - 1;
}

static void add(struct event_counts *counts, enum event_count which, struct bytes first,
                struct bytes second, uint64_t amount)
{
    const struct metric *metric = &METRIC[which];
    size_t row = find_word(metric->first, metric->first_count, first);
    size_t column = find_word(metric->second, metric->second_count, second);

    counts->places[metric->place + row * metric->second_count + column] += amount;
}

static void count_one(struct event_counts *counts, enum event_count which, struct bytes word)
{
    add(counts, which, word, BYTES(""), 1);
}

static void observe(struct event_counts *counts, enum event_histogram which, uint64_t value)
{
    const struct histogram *histogram = &HISTOGRAM[which];
    size_t i = 0;

    while (i < EVENT_BUCKETS && histogram->bounds[i] != 0 && value > histogram->bounds[i]) {
        i++;
    }
    if (i < EVENT_BUCKETS && histogram->bounds[i] != 0) {
        counts->histograms[which].within[i]++;
    }
    counts->histograms[which].count++;
    counts->histograms[which].sum += value;
}

/* ---- what each event says ---- */

static struct bytes get(const struct event_record *record, const char *name)
{
    return event_record_get(record, name);
}

static struct bytes why(const struct event_record *record)
{
    return get(record, "why");
}

/* What is no number, or larger than anything real, is not observed: a sum could overflow. */
static void observe_number(struct event_counts *counts, enum event_histogram which,
                           struct bytes text)
{
    uint64_t value;

    if (bytes_to_u64(text, &value) && value < UINT64_C(1) << 40) {
        observe(counts, which, value);
    }
}

/* "12.34": as ms; digits beyond them are left out. */
static void observe_seconds(struct event_counts *counts, enum event_histogram which,
                            struct bytes text)
{
    struct bytes whole = bytes_cut(&text, '.');
    uint64_t seconds, fraction = 0;

    text = bytes_first(text, 3);
    if (!bytes_to_u64(whole, &seconds) || seconds >= UINT64_C(1) << 30 ||
        (text.len > 0 && !bytes_to_u64(text, &fraction))) {
        return;
    }
    for (size_t digits = text.len; digits < 3; digits++) {
        fraction *= 10;
    }
    observe(counts, which, seconds * 1000 + fraction);
}

/* A session or a delivery without the field was in clear text. */
static struct bytes tls_of(const struct event_record *record)
{
    struct bytes tls = get(record, "tls");

    return tls.len > 0 ? tls : BYTES("none");
}

/* What accepted, refused and deferred messages have in common, in one walk: the line is long. */
static void count_verdicts(struct event_counts *counts, const struct event_record *record)
{
    struct bytes forecast = {NULL, 0};

    for (size_t i = 0; i < record->count; i++) {
        struct bytes name = record->fields[i].name, value = record->fields[i].value;

        if (bytes_equal(name, BYTES("spf")) || bytes_equal(name, BYTES("dkim")) ||
            bytes_equal(name, BYTES("dmarc")) || bytes_equal(name, BYTES("arc")) ||
            bytes_equal(name, BYTES("iprev"))) {
            add(counts, COUNT_AUTHENTICATION, name, value, 1);
        } else if (bytes_equal(name, BYTES("mark"))) {
            count_one(counts, COUNT_MARKS, value);
        } else if (bytes_equal(name, BYTES("forecast"))) {
            forecast = value;
        } else if (bytes_equal(name, BYTES("forecast-why"))) {
            add(counts, COUNT_FORECASTS, forecast, value, 1);
        } else if (bytes_equal(name, BYTES("answer_ms"))) {
            observe_number(counts, HISTOGRAM_ANSWER, value);
        }
    }
}

static void take_accepted(struct event_counts *counts, const struct event_record *record)
{
    struct bytes manner = get(record, "manner");
    uint64_t recipients, returns;

    count_one(counts, COUNT_ACCEPTED, get(record, "how"));
    if (bytes_to_u64(get(record, "rcpts"), &recipients)) {
        add(counts, COUNT_RECIPIENTS_ACCEPTED, BYTES(""), BYTES(""), recipients);
    }
    if (bytes_to_u64(get(record, "returns"), &returns)) {
        add(counts, COUNT_SRS_RETURNS, BYTES("accepted"), BYTES(""), returns);
    }
    if (manner.len > 0) {
        count_one(counts, COUNT_MANNERS, manner);
    }
    observe_number(counts, HISTOGRAM_MESSAGE_SIZE, get(record, "size"));
    count_verdicts(counts, record);
}

static void take_refused(struct event_counts *counts, const struct event_record *record)
{
    count_one(counts, COUNT_REFUSED, why(record));
    count_verdicts(counts, record);
}

static void take_deferred(struct event_counts *counts, const struct event_record *record)
{
    count_one(counts, COUNT_DEFERRED, why(record));
    count_verdicts(counts, record);
}

static void count_recipient(struct event_counts *counts, const struct event_record *record,
                            enum event_count which)
{
    struct bytes reason = why(record);

    count_one(counts, which, reason);
    if (bytes_starts_with(reason, BYTES("srs-"))) {
        count_one(counts, COUNT_SRS_RETURNS, bytes_skip(reason, 4));
    }
}

static void take_recipient_refused(struct event_counts *counts,
                                   const struct event_record *record)
{
    count_recipient(counts, record, COUNT_RECIPIENTS_REFUSED);
}

static void take_recipient_deferred(struct event_counts *counts,
                                    const struct event_record *record)
{
    count_recipient(counts, record, COUNT_RECIPIENTS_DEFERRED);
}

static void take_session_end(struct event_counts *counts, const struct event_record *record)
{
    count_one(counts, COUNT_SESSIONS, tls_of(record));
    count_one(counts, COUNT_SESSION_ENDS, why(record));
}

/* "helo:bare-address", "blocklist:ZONE": what stands before the colon. */
static void take_judged(struct event_counts *counts, const struct event_record *record)
{
    for (size_t i = 0; i < record->count; i++) {
        struct bytes value = record->fields[i].value;

        if (bytes_equal(record->fields[i].name, BYTES("found"))) {
            count_one(counts, COUNT_FINDINGS, bytes_cut(&value, ':'));
        }
    }
    count_one(counts, COUNT_VERDICTS, get(record, "verdict"));
}

static void take_scanned(struct event_counts *counts, const struct event_record *record)
{
    struct bytes scanner = get(record, "scan");

    add(counts, COUNT_SCANS, scanner, get(record, "result"), 1);
    if (bytes_equal(scanner, BYTES("clamd"))) {
        observe_number(counts, HISTOGRAM_CLAMD, get(record, "ms"));
    } else if (bytes_equal(scanner, BYTES("rspamd"))) {
        observe_number(counts, HISTOGRAM_RSPAMD, get(record, "ms"));
    }
}

static void take_scan_failed(struct event_counts *counts, const struct event_record *record)
{
    add(counts, COUNT_SCAN_FAILURES, get(record, "scan"), why(record), 1);
}

static void take_delivered(struct event_counts *counts, const struct event_record *record)
{
    struct bytes tls = tls_of(record);
    struct bytes verified = get(record, "verified");

    count_one(counts, COUNT_DELIVERIES, record->event);
    add(counts, COUNT_DELIVERY_TLS, tls, verified.len > 0 ? verified : BYTES("no"), 1);
    observe_seconds(counts, HISTOGRAM_DELIVERY_DELAY, get(record, "delay"));
}

static void take_moved(struct event_counts *counts, const struct event_record *record)
{
    count_one(counts, COUNT_DELIVERIES, record->event);
}

static void take_failed(struct event_counts *counts, const struct event_record *record)
{
    count_one(counts, COUNT_DELIVERIES, record->event);
    add(counts, COUNT_DELIVERY_FAILURES, record->event, get(record, "class"), 1);
}

static void take_unreported(struct event_counts *counts, const struct event_record *record)
{
    take_failed(counts, record);
    add(counts, COUNT_UNREPORTED, record->event, why(record), 1);
}

static void take_log_lost(struct event_counts *counts, const struct event_record *record)
{
    uint64_t lines;

    if (bytes_to_u64(get(record, "lines"), &lines)) {
        add(counts, COUNT_LOG_LOST, BYTES(""), BYTES(""), lines);
    }
}

static void take_client_tls_failed(struct event_counts *counts,
                                   const struct event_record *record)
{
    (void)record;
    count_one(counts, COUNT_HANDSHAKES_FAILED, BYTES("client"));
}

static void take_tls_failed(struct event_counts *counts, const struct event_record *record)
{
    (void)record;
    count_one(counts, COUNT_HANDSHAKES_FAILED, BYTES("next-hop"));
}

/* clang-format off */

/* Either a function of its own, or one place of a counter by the field (`event`: the event itself). */
static const struct event_rule {
    const char *event;
    void (*take)(struct event_counts *counts, const struct event_record *record);
    enum event_count which;
    const char *field;
} RULES[] = {
    {"session-end", take_session_end, 0, NULL},
    {"accepted", take_accepted, 0, NULL},
    {"delivered", take_delivered, 0, NULL},
    {"deferred", take_failed, 0, NULL},
    {"recipient-refused", take_recipient_refused, 0, NULL},
    {"message-refused", take_refused, 0, NULL},
    {"message-deferred", take_deferred, 0, NULL},
    {"recipient-deferred", take_recipient_deferred, 0, NULL},
    {"client-judged", take_judged, 0, NULL},
    {"connection-refused", NULL, COUNT_CONNECTIONS_REFUSED, "why"},
    {"proxy-refused", NULL, COUNT_CONNECTIONS_REFUSED, "why"},
    {"scanned", take_scanned, 0, NULL},
    {"scan-failed", take_scan_failed, 0, NULL},
    {"bounced", take_failed, 0, NULL},
    {"refused", take_failed, 0, NULL},
    {"dropped", take_unreported, 0, NULL},
    {"held", take_unreported, 0, NULL},
    {"redirected", take_moved, 0, NULL},
    {"rerouted", take_moved, 0, NULL},
    {"bounce-queued", NULL, COUNT_BOUNCES, "why"},
    {"discarded", NULL, COUNT_RECIPIENTS_ENDED, "event"},
    {"loop-stopped", NULL, COUNT_RECIPIENTS_ENDED, "event"},
    {"client-limited", NULL, COUNT_CLIENTS_LIMITED, "why"},
    {"client-penalised", NULL, COUNT_CLIENTS_PENALISED, "why"},
    {"client-tls-failed", take_client_tls_failed, 0, NULL},
    {"tls-failed", take_tls_failed, 0, NULL},
    {"list-trouble", NULL, COUNT_LIST_TROUBLES, "why"},
    {"verify-down", NULL, COUNT_VERIFY_TROUBLES, "event"},
    {"verify-unanswered", NULL, COUNT_VERIFY_TROUBLES, "event"},
    {"seal-failed", NULL, COUNT_SEAL_FAILURES, "event"},
    {"forgery-alarm", NULL, COUNT_FORGERY_ALARMS, "event"},
    {"destination-paused", NULL, COUNT_DESTINATION_PAUSES, "event"},
    {"outcome-not-recorded", NULL, COUNT_STORAGE_TROUBLES, "event"},
    {"message-not-read", NULL, COUNT_STORAGE_TROUBLES, "event"},
    {"spool-read-failed", NULL, COUNT_STORAGE_TROUBLES, "event"},
    {"memory-short", NULL, COUNT_STORAGE_TROUBLES, "event"},
    {"reloaded", NULL, COUNT_RELOADS, "event"},
    {"reload-failed", NULL, COUNT_RELOADS, "event"},
    {"log-dropped", take_log_lost, 0, NULL},
};

/* clang-format on */

void event_counts_take(struct event_counts *counts, const struct event_record *record)
{
    count_one(counts, COUNT_LOG_LINES, record->level);
    for (size_t i = 0; i < LENGTH(RULES); i++) {
        const struct event_rule *rule = &RULES[i];

        if (!bytes_equal(bytes_from_text(rule->event), record->event)) {
            continue;
        }
        if (rule->take != NULL) {
            rule->take(counts, record);
        } else if (strcmp(rule->field, "event") == 0) {
            count_one(counts, rule->which, record->event);
        } else {
            count_one(counts, rule->which, get(record, rule->field));
        }
        return;
    }
}

/* ---- looking ---- */

bool event_counts_place(const struct event_counts *counts, enum event_count which, size_t index,
                        struct event_place *place)
{
    const struct metric *metric = &METRIC[which];

    if (index >= metric->first_count * metric->second_count) {
        return false;
    }
    *place = (struct event_place){.value = counts->places[metric->place + index]};
    if (metric->first_label[0] != '\0') {
        place->first = metric->first[index / metric->second_count];
    }
    if (metric->second_label[0] != '\0') {
        place->second = metric->second[index % metric->second_count];
    }
    return true;
}

static bool is_wanted(const char *wanted, const char *word)
{
    return wanted == NULL || (word != NULL && strcmp(wanted, word) == 0);
}

uint64_t event_counts_get(const struct event_counts *counts, enum event_count which,
                          const char *first, const char *second)
{
    struct event_place place;
    uint64_t sum = 0;

    for (size_t i = 0; event_counts_place(counts, which, i, &place); i++) {
        if (is_wanted(first, place.first) && is_wanted(second, place.second)) {
            sum += place.value;
        }
    }
    return sum;
}

void event_counts_histogram(const struct event_counts *counts, enum event_histogram which,
                            struct event_buckets *buckets)
{
    uint64_t up_to = 0;

    *buckets = (struct event_buckets){.count = counts->histograms[which].count,
                                      .sum = counts->histograms[which].sum};
    for (size_t i = 0; i < EVENT_BUCKETS && HISTOGRAM[which].bounds[i] != 0; i++) {
        up_to += counts->histograms[which].within[i];
        buckets->bounds[i] = HISTOGRAM[which].bounds[i];
        buckets->up_to[i] = up_to;
        buckets->bound_count = i + 1;
    }
}

/* ---- as text ---- */

static struct metric_label label_of(const char *name, const char *word)
{
    return word == NULL ? (struct metric_label){NULL, {NULL, 0}}
                        : (struct metric_label){name, bytes_from_text(word)};
}

static void add_counter(struct strbuf *out, const struct event_counts *counts,
                        enum event_count which)
{
    const struct metric *metric = &METRIC[which];
    struct event_place place;

    metrics_text_head(out, metric->name, "counter", metric->help);
    for (size_t i = 0; event_counts_place(counts, which, i, &place); i++) {
        struct metric_label labels[METRIC_LABELS] = {
            label_of(metric->first_label, place.first),
            label_of(metric->second_label, place.second)};

        metrics_text_value(out, metric->name, labels, (int64_t)place.value, 1);
    }
}

/* name_part{labels,le="bound"} value */
static void add_part(struct strbuf *out, const struct histogram *histogram, const char *part,
                     struct bytes bound, int64_t value, unsigned unit)
{
    struct metric_label labels[METRIC_LABELS] = {{histogram->label, histogram->word},
                                                 {bound.len > 0 ? "le" : NULL, bound}};
    struct strbuf name;

    strbuf_init(&name, 256);
    strbuf_addf(&name, "%s_%s", histogram->name, part);
    metrics_text_value(out, strbuf_text(&name), labels, value, unit);
    strbuf_clear(&name);
}

static void add_histogram(struct strbuf *out, const struct event_counts *counts,
                          enum event_histogram which)
{
    const struct histogram *histogram = &HISTOGRAM[which];
    struct event_buckets buckets;
    struct strbuf bound;

    strbuf_init(&bound, 64);
    event_counts_histogram(counts, which, &buckets);
    for (size_t i = 0; i < buckets.bound_count; i++) {
        strbuf_reset(&bound);
        metrics_text_number(&bound, (int64_t)buckets.bounds[i], histogram->unit);
        add_part(out, histogram, "bucket", strbuf_bytes(&bound), (int64_t)buckets.up_to[i], 1);
    }
    add_part(out, histogram, "bucket", BYTES("+Inf"), (int64_t)buckets.count, 1);
    add_part(out, histogram, "sum", BYTES(""), (int64_t)buckets.sum, histogram->unit);
    add_part(out, histogram, "count", BYTES(""), (int64_t)buckets.count, 1);
    strbuf_clear(&bound);
}

void event_counts_add_prometheus(struct strbuf *out, const struct event_counts *counts)
{
    for (unsigned i = 0; i < EVENT_COUNTS; i++) {
        add_counter(out, counts, (enum event_count)i);
    }
    for (unsigned i = 0; i < EVENT_HISTOGRAMS; i++) {
        if (i == 0 || strcmp(HISTOGRAM[i].name, HISTOGRAM[i - 1].name) != 0) {
            metrics_text_head(out, HISTOGRAM[i].name, "histogram", HISTOGRAM[i].help);
        }
        add_histogram(out, counts, (enum event_histogram)i);
    }
}
