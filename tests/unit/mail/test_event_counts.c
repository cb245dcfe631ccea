#include "support/check.h"

#include "mail/event_counts.h"

#include <stdio.h>

static void take(struct event_counts *counts, struct bytes line)
{
    struct arena *arena = arena_new();
    struct event_record record;

    assert_true(event_record_read(&record, line, arena));
    event_counts_take(counts, &record);
    arena_free(&arena);
}

/* A line of this event with these fields. */
static void take_event(struct event_counts *counts, const char *event, const char *fields)
{
    struct strbuf line;

    strbuf_init(&line, 100000);
    strbuf_addf(&line, "ts=2026-11-22T08:00:00.000Z level=info event=%s %s\n", event, fields);
    take(counts, strbuf_bytes(&line));
    strbuf_clear(&line);
}

#define ACCEPTED                                                                               \
    "s=7f3a.1 id=0ABC client=192.0.2.1 helo=a.example tls=TLSv1.3 cipher=x "                   \
    "from=<a@b.example> "                                                                      \
    "orig_to=<c@d.example> rcpts=3 deliveries=4 how=delivered size=5000 ms=900 answer_ms=300 " \
    "spf=softfail dkim=pass dmarc=pass author=b.example arc=none iprev=temperror mark=iprev "  \
    "mark=auth-temperror forecast=fail forecast-why=spf-only manner=munged"
#define DELIVERED                                                                              \
    "id=0ABC from=<a@b.example> sender=<SRS0=x@d.example> to=<e@f.example> status=sent "       \
    "relay=mx.f.example[192.0.2.9]:25 tls=TLSv1.2 cipher=y verified=yes dsn=2.0.0 delay=12.3 " \
    "delays=0.0/0.1/0.2/12.0 attempts=1 reply=\"250 2.0.0 ok why=spam\""

struct event_case {
    const char *name, *event, *fields;
    enum event_count which;
    const char *first, *second;
    uint64_t want;
};

static const struct event_case CASES[] = {
    {"any line", "listening", "address=x", COUNT_LOG_LINES, "info", NULL, 1},
    {"lines lost", "log-dropped", "lines=17", COUNT_LOG_LOST, NULL, NULL, 17},
    {"session in clear", "session-end", "s=1 why=quit", COUNT_SESSIONS, "none", NULL, 1},
    {"session with TLS", "session-end", "s=1 tls=TLSv1.3 cipher=x why=quit", COUNT_SESSIONS,
     "TLSv1.3", NULL, 1},
    {"how a session ended", "session-end", "s=1 why=too-many-errors", COUNT_SESSION_ENDS,
     "too-many-errors", NULL, 1},
    {"connection", "connection-refused", "why=per-client", COUNT_CONNECTIONS_REFUSED,
     "per-client", NULL, 1},
    {"proxy", "proxy-refused", "why=proxy-header", COUNT_CONNECTIONS_REFUSED, "proxy-header",
     NULL, 1},
    {"penalty", "client-penalised", "seconds=3600 why=bad-signatures", COUNT_CLIENTS_PENALISED,
     "bad-signatures", NULL, 1},
    {"limit", "client-limited", "why=message-rate", COUNT_CLIENTS_LIMITED, "message-rate", NULL,
     1},
    {"handshake with a client", "client-tls-failed", "why=\"bad record\"",
     COUNT_HANDSHAKES_FAILED, "client", NULL, 1},
    {"handshake with a next hop", "tls-failed", "host=a why=x next=clear",
     COUNT_HANDSHAKES_FAILED, "next-hop", NULL, 1},
    {"accepted", "accepted", ACCEPTED, COUNT_ACCEPTED, "delivered", NULL, 1},
    {"its recipients", "accepted", ACCEPTED, COUNT_RECIPIENTS_ACCEPTED, NULL, NULL, 3},
    {"spf", "accepted", ACCEPTED, COUNT_AUTHENTICATION, "spf", "softfail", 1},
    {"dkim", "accepted", ACCEPTED, COUNT_AUTHENTICATION, "dkim", "pass", 1},
    {"dmarc", "accepted", ACCEPTED, COUNT_AUTHENTICATION, "dmarc", "pass", 1},
    {"arc", "accepted", ACCEPTED, COUNT_AUTHENTICATION, "arc", "none", 1},
    {"iprev", "accepted", ACCEPTED, COUNT_AUTHENTICATION, "iprev", "temperror", 1},
    {"nothing else", "accepted", ACCEPTED, COUNT_AUTHENTICATION, NULL, NULL, 5},
    {"first mark", "accepted", ACCEPTED, COUNT_MARKS, "iprev", NULL, 1},
    {"second mark", "accepted", ACCEPTED, COUNT_MARKS, "auth-temperror", NULL, 1},
    {"forecast", "accepted", ACCEPTED, COUNT_FORECASTS, "fail", "spf-only", 1},
    {"manner", "accepted", ACCEPTED, COUNT_MANNERS, "munged", NULL, 1},
    {"a bounce comes back", "accepted", "from=<> rcpts=1 returns=1 how=stored",
     COUNT_SRS_RETURNS, "accepted", NULL, 1},
    {"its manner", "accepted", "from=<> rcpts=1 returns=1 how=stored", COUNT_MANNERS, NULL,
     NULL, 0},
    {"refused", "message-refused", "code=550 why=hidden-dot", COUNT_REFUSED, "hidden-dot", NULL,
     1},
    {"its verdicts", "message-refused",
     "code=550 why=doomed spf=pass forecast=fail "
     "forecast-why=dkim-broken",
     COUNT_FORECASTS, "fail", "dkim-broken", 1},
    {"deferred", "message-deferred", "code=451 why=dkim-temperror dkim=temperror",
     COUNT_DEFERRED, "dkim-temperror", NULL, 1},
    {"recipient", "recipient-refused",
     "to=<why=greylisted@d.example> code=550 "
     "why=unknown-recipient",
     COUNT_RECIPIENTS_REFUSED, "unknown-recipient", NULL, 1},
    {"recipient deferred", "recipient-deferred", "code=450 why=greylisted",
     COUNT_RECIPIENTS_DEFERRED, "greylisted", NULL, 1},
    {"SRS, bad tag", "recipient-refused", "code=550 why=srs-forged", COUNT_SRS_RETURNS,
     "forged", NULL, 1},
    {"the same as a recipient", "recipient-refused", "code=550 why=srs-forged",
     COUNT_RECIPIENTS_REFUSED, "srs-forged", NULL, 1},
    {"SRS, too old", "recipient-refused", "code=550 why=srs-expired", COUNT_SRS_RETURNS,
     "expired", NULL, 1},
    {"no SRS", "recipient-refused", "code=550 why=reply-forged", COUNT_SRS_RETURNS, NULL, NULL,
     0},
    {"discarded", "discarded", "from=<a@b>", COUNT_RECIPIENTS_ENDED, "discarded", NULL, 1},
    {"finding with a word", "client-judged",
     "found=helo:bare-address found=blocklist:z.example "
     "points=9 verdict=refuse",
     COUNT_FINDINGS, "helo", NULL, 1},
    {"finding with a zone", "client-judged",
     "found=helo:bare-address found=blocklist:z.example "
     "points=9 verdict=refuse",
     COUNT_FINDINGS, "blocklist", NULL, 1},
    {"verdict", "client-judged", "found=pipelining points=1 verdict=tag", COUNT_VERDICTS, "tag",
     NULL, 1},
    {"list", "list-trouble", "zone=x why=lists-everybody", COUNT_LIST_TROUBLES,
     "lists-everybody", NULL, 1},
    {"verify", "verify-down", "destination=x why=timeout", COUNT_VERIFY_TROUBLES, "verify-down",
     NULL, 1},
    {"virus", "scanned", "scan=clamd ms=20 result=virus virus=Eicar", COUNT_SCANS, "clamd",
     "virus", 1},
    {"spam", "scanned", "scan=rspamd ms=20 result=reject", COUNT_SCANS, "rspamd", "reject", 1},
    {"no scan", "scan-failed", "scan=rspamd ms=20 why=timeout", COUNT_SCAN_FAILURES, "rspamd",
     "timeout", 1},
    {"no signature", "seal-failed", "domain=x", COUNT_SEAL_FAILURES, NULL, NULL, 1},
    {"delivered", "delivered", DELIVERED, COUNT_DELIVERIES, "delivered", NULL, 1},
    {"protected", "delivered", DELIVERED, COUNT_DELIVERY_TLS, "TLSv1.2", "yes", 1},
    {"no failure", "delivered", DELIVERED, COUNT_DELIVERY_FAILURES, NULL, NULL, 0},
    {"delivered in clear", "delivered", "tls=none delay=0.1", COUNT_DELIVERY_TLS, "none", "no",
     1},
    {"to be tried again", "deferred", "class=greylist why=reply", COUNT_DELIVERY_FAILURES,
     "deferred", "greylist", 1},
    {"outcome", "deferred", "class=greylist why=reply", COUNT_DELIVERIES, "deferred", NULL, 1},
    {"bounced", "bounced", "class=unknown-user why=permanent-failure", COUNT_DELIVERY_FAILURES,
     "bounced", "unknown-user", 1},
    {"dropped", "dropped", "class=content why=null-sender", COUNT_UNREPORTED, "dropped",
     "null-sender", 1},
    {"held", "held", "class=policy why=sender-not-proven", COUNT_UNREPORTED, "held",
     "sender-not-proven", 1},
    {"moved", "rerouted", "why=route-changed", COUNT_DELIVERIES, "rerouted", NULL, 1},
    {"bounce", "bounce-queued", "why=expired", COUNT_BOUNCES, "expired", NULL, 1},
    {"pause", "destination-paused", "destination=x", COUNT_DESTINATION_PAUSES, NULL, NULL, 1},
    {"spool", "message-not-read", "id=x", COUNT_STORAGE_TROUBLES, "message-not-read", NULL, 1},
    {"reload", "reload-failed", "why=\"it has errors\"", COUNT_RELOADS, "reload-failed", NULL,
     1},
    /* words nobody has heard of */
    {"unknown reason", "message-refused", "why=because", COUNT_REFUSED, "other", NULL, 1},
    {"no reason", "message-refused", "code=550", COUNT_REFUSED, "other", NULL, 1},
    {"part of a word", "message-refused", "why=viru", COUNT_REFUSED, "other", NULL, 1},
    {"more than a word", "message-refused", "why=viruses", COUNT_REFUSED, "other", NULL, 1},
    {"another case", "message-refused", "why=Virus", COUNT_REFUSED, "other", NULL, 1},
    {"unknown event", "postilion", "why=virus", COUNT_REFUSED, NULL, NULL, 0},
    {"forecast without its reason", "accepted", "forecast=pass", COUNT_FORECASTS, NULL, NULL,
     0},
    {"reason without its forecast", "accepted", "forecast-why=p-none", COUNT_FORECASTS, "other",
     "p-none", 1},
};

static void each_event_is_counted_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const struct event_case *test = &CASES[i];
        struct event_counts *counts = event_counts_new();

        take_event(counts, test->event, test->fields);
        CHECK_INT(test->name, event_counts_get(counts, test->which, test->first, test->second),
                  test->want);
        CHECK_INT(test->name, event_counts_get(counts, COUNT_LOG_LINES, NULL, NULL), 1);
        event_counts_free(&counts);
    }
}

static void add_text(struct strbuf *out, const struct event_counts *counts)
{
    strbuf_init(out, 10 * 1024 * 1024);
    event_counts_add_prometheus(out, counts);
    assert_false(out->overflowed);
}

/* The text without its values. */
static void remove_values(struct strbuf *text)
{
    struct bytes rest = strbuf_bytes(text);
    struct strbuf out;

    strbuf_init(&out, text->limit);
    while (rest.len > 0) {
        struct bytes line = bytes_cut(&rest, '\n');

        strbuf_add(&out,
                   line.data[0] == '#' ? line : bytes_first(line, bytes_find_last(line, ' ')));
        strbuf_add_char(&out, '\n');
    }
    strbuf_clear(text);
    *text = out;
}

static const char *const EVENTS[] = {
    "session-end",
    "accepted",
    "delivered",
    "deferred",
    "recipient-refused",
    "message-refused",
    "client-judged",
    "connection-refused",
    "scanned",
    "scan-failed",
    "bounced",
    "dropped",
    "bounce-queued",
    "client-limited",
    "destination-paused",
    "reloaded",
};
static const char *const NAMES[] = {"why",      "spf",         "tls",  "how",      "mark",
                                    "forecast", "class",       "scan", "verified", "found",
                                    "result",   "manner",      "size", "ms",       "delay",
                                    "verdict",  "forecast-why"};

static void nothing_a_peer_says_makes_a_label(void **state)
{
    struct event_counts *counts = event_counts_new();
    struct strbuf before, after;

    (void)state;
    add_text(&before, counts);
    remove_values(&before);
    for (unsigned i = 0; i < 20000; i++) {
        struct strbuf fields;

        strbuf_init(&fields, 4000);
        for (unsigned n = 0; n < COUNT_OF(NAMES); n++) {
            strbuf_addf(&fields, "%s=\"evil%u\\\"} 1\\nx{y=\\\"%u\\\"}\" ", NAMES[n], i, n);
        }
        take_event(counts, EVENTS[i % COUNT_OF(EVENTS)], strbuf_text(&fields));
        strbuf_clear(&fields);
    }
    add_text(&after, counts);
    assert_null(strstr(strbuf_text(&after), "evil"));
    CHECK_INT("lines", event_counts_get(counts, COUNT_LOG_LINES, NULL, NULL), 20000);
    remove_values(&after);
    CHECK_TEXT("the places", strbuf_text(&after), strbuf_text(&before));
    strbuf_clear(&before);
    strbuf_clear(&after);
    event_counts_free(&counts);
}

static void histograms(void **state)
{
    struct event_counts *counts = event_counts_new();
    struct event_buckets buckets;

    (void)state;
    take_event(counts, "accepted", "how=stored size=1000 answer_ms=5");
    take_event(counts, "accepted", "how=stored size=1001 answer_ms=5");
    take_event(counts, "accepted", "how=stored size=64000001");
    take_event(counts, "accepted", "how=stored size=18446744073709551615");
    take_event(counts, "accepted", "how=stored size=-1");
    event_counts_histogram(counts, HISTOGRAM_MESSAGE_SIZE, &buckets);
    CHECK_INT("sizes", buckets.count, 3);
    CHECK_INT("sum", buckets.sum, 1000 + 1001 + 64000001);
    CHECK_INT("at the bound", buckets.up_to[0], 1);
    CHECK_INT("above it", buckets.up_to[1], 2);
    CHECK_INT("above all bounds", buckets.up_to[buckets.bound_count - 1], 2);
    event_counts_histogram(counts, HISTOGRAM_ANSWER, &buckets);
    CHECK_INT("answers", buckets.count, 2);

    take_event(counts, "delivered", "delay=1.0");
    take_event(counts, "delivered", "delay=1.1");
    take_event(counts, "delivered", "delay=3");
    take_event(counts, "delivered", "delay=0.07");
    take_event(counts, "delivered", "delay=0.1239");
    take_event(counts, "delivered", "delay=");
    take_event(counts, "delivered", "delay=1.x");
    take_event(counts, "delivered", "delay=99999999999999999999.0");
    event_counts_histogram(counts, HISTOGRAM_DELIVERY_DELAY, &buckets);
    CHECK_INT("delays", buckets.count, 5);
    CHECK_INT("sum in ms", buckets.sum, 5293);
    CHECK_INT("up to a second", buckets.up_to[0], 3);
    event_counts_free(&counts);
}

static void check_has(const struct strbuf *text, const char *part)
{
    if (strstr(strbuf_text(text), part) == NULL) {
        fail_msg("not in the text: %s", part);
    }
}

static void prometheus_text(void **state)
{
    struct event_counts *counts = event_counts_new();
    struct strbuf text;

    (void)state;
    take_event(counts, "session-end", "s=1 tls=TLSv1.3 why=quit");
    take_event(counts, "scanned", "scan=rspamd ms=30 result=reject");
    take_event(counts, "delivered", DELIVERED);
    add_text(&text, counts);
    check_has(&text,
              "# HELP postilion_sessions_total SMTP sessions that have ended, by the TLS "
              "they had.\n"
              "# TYPE postilion_sessions_total counter\n"
              "postilion_sessions_total{tls=\"none\"} 0\n"
              "postilion_sessions_total{tls=\"TLSv1.2\"} 0\n"
              "postilion_sessions_total{tls=\"TLSv1.3\"} 1\n"
              "postilion_sessions_total{tls=\"other\"} 0\n");
    check_has(&text, "\npostilion_recipients_accepted_total 0\n");
    check_has(&text, "postilion_scans_total{scanner=\"rspamd\",result=\"reject\"} 1\n");
    check_has(&text, "# TYPE postilion_scan_seconds histogram\n"
                     "postilion_scan_seconds_bucket{scanner=\"clamd\",le=\"0.01\"} 0\n");
    check_has(&text, "postilion_scan_seconds_bucket{scanner=\"rspamd\",le=\"0.025\"} 0\n"
                     "postilion_scan_seconds_bucket{scanner=\"rspamd\",le=\"0.05\"} 1\n");
    check_has(&text, "postilion_scan_seconds_bucket{scanner=\"rspamd\",le=\"+Inf\"} 1\n"
                     "postilion_scan_seconds_sum{scanner=\"rspamd\"} 0.03\n"
                     "postilion_scan_seconds_count{scanner=\"rspamd\"} 1\n");
    check_has(&text, "postilion_delivery_delay_seconds_sum 12.3\n");
    strbuf_clear(&text);
    event_counts_free(&counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_is_counted_once),
        cmocka_unit_test(nothing_a_peer_says_makes_a_label),
        cmocka_unit_test(histograms),
        cmocka_unit_test(prometheus_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
