/* Writes the status page of a week that never was, for screenshots (make screenshots): from lines of a log, as
 * the daemon's own page. */
#include "mail/page_events.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW_MS INT64_C(1795339953000)

enum { MINUTES = 7 * 24 * 60, TEXT_LIMIT = 8 << 20 };

struct sample {
    struct event_counts *counts;
    struct event_series *series;
    struct event_failures *failures;
    struct arena *arena;
};

/* The same on every run. */
static unsigned next(unsigned most)
{
    static unsigned seed = 20261122;

    seed = seed * 1103515245u + 12345u;
    return most == 0 ? 0 : (seed >> 16) % most;
}

static void take(struct sample *sample, const char *text, unsigned times)
{
    struct event_record record;

    arena_reset(sample->arena);
    if (!event_record_read(&record, bytes_from_text(text), sample->arena)) {
        fprintf(stderr, "page_sample: no line of the log: %s\n", text);
        exit(1);
    }
    for (unsigned i = 0; i < times; i++) {
        event_counts_take(sample->counts, &record);
        event_failures_take(sample->failures, &record);
    }
    event_series_take(sample->series, &record, NOW_MS);
}

/* More by day than by night, less on Sunday; of a hundred. */
static unsigned tide(int64_t unix_s)
{
    static const unsigned hours[24] = {9,  7,  6,  6,  8,  14, 28, 52, 84, 100, 97, 92,
                                       80, 86, 94, 90, 82, 66, 52, 46, 40, 32,  22, 14};
    bool is_weekend = (unix_s / 86400 + 4) % 7 == 0 || (unix_s / 86400 + 4) % 7 == 6;

    return hours[unix_s / 3600 % 24] * (is_weekend ? 45 : 100) / 100;
}

static void add(struct strbuf *line, const char *name, unsigned most)
{
    unsigned value = most / 200 + next(most / 100 + 1);

    /* What is rare comes now and then. */
    if (value > 0 || next(200) < most % 200) {
        strbuf_addf(line, " %s=%u", name, value > 0 ? value : 1);
    }
}

static void take_minutes(struct sample *sample)
{
    struct strbuf line;

    strbuf_init(&line, 4096);
    for (int64_t i = MINUTES; i > 0; i--) {
        int64_t start = NOW_MS / 60000 * 60 - i * 60;
        unsigned level = tide(start);
        if (i > 3000 && i < 3150) {
            continue; /* it was off */
        }
        strbuf_reset(&line);
        strbuf_addf(&line, "ts=2026-11-22T09:00:00.000Z level=info event=minute start=%lld",
                    (long long)start);
        add(&line, "sessions", level * 26), add(&line, "connections-refused", level * 3);
        add(&line, "accepted", level * 19), add(&line, "refused", level);
        add(&line, "recipients-refused", level * 6), add(&line, "deferred", level / 2);
        add(&line, "delivered", level * 22);
        add(&line, "deliveries-deferred", i < 420 && i > 180 ? level * 9 : level * 2);
        add(&line, "bounced", level / 2), add(&line, "deliveries-refused", level / 3);
        add(&line, "spf-pass", level * 17), add(&line, "spf-fail", level);
        add(&line, "dkim-pass", level * 17), add(&line, "dkim-fail", level);
        add(&line, "dmarc-pass", level * 15), add(&line, "dmarc-fail", level * 2);
        add(&line, "forecast-pass", level * 14), add(&line, "forecast-vouched", level);
        add(&line, "forecast-fail", level), add(&line, "srs-accepted", level / 2);
        add(&line, "srs-refused", level / 5);
        strbuf_addf(&line, " queue=%u",
                    40 + level / 4 + (i < 420 && i > 60 ? (unsigned)(420 - i) / 4 : 0));
        take(sample, strbuf_text(&line), 0);
    }
    strbuf_clear(&line);
}

#define HEAD "ts=2026-11-22T09:30:58.000Z level=info event="

static void take_lines(struct sample *sample)
{
    static const struct {
        unsigned times;
        const char *text;
    } lines[] = {
        {14800,
         HEAD "accepted how=delivered rcpts=1 size=20000 spf=pass dkim=pass dmarc=pass "
              "arc=none iprev=pass forecast=pass forecast-why=aligned-dkim manner=as-it-is"},
        {2104, HEAD "accepted how=delivered rcpts=1 spf=pass dkim=pass dmarc=pass arc=pass "
                    "iprev=pass forecast=pass forecast-why=aligned-dkim manner=as-it-is"},
        {301, HEAD "accepted how=stored rcpts=1 spf=softfail dkim=fail dmarc=fail arc=pass "
                   "iprev=pass forecast=vouched forecast-why=arc-trusted manner=as-it-is"},
        {181, HEAD "accepted how=stored rcpts=1 spf=pass dkim=none dmarc=pass arc=none "
                   "iprev=pass forecast=fail forecast-why=spf-only manner=munged"},
        {1630, HEAD "accepted how=delivered rcpts=1 spf=none dkim=none dmarc=none arc=none "
                    "iprev=fail forecast=none forecast-why=no-record manner=as-it-is"},
        {204, HEAD "accepted how=delivered rcpts=1 returns=1"},
        {2104, HEAD "recipient-refused why=unknown-recipient"},
        {1207, HEAD "recipient-refused why=blocklist"},
        {91, HEAD "message-refused why=own-domain-spoof spf=fail dkim=none dmarc=fail arc=none "
                  "iprev=fail"},
        {188,
         HEAD "message-refused why=doomed spf=pass dkim=none dmarc=pass arc=none iprev=pass"},
        {37, HEAD "recipient-refused why=srs-forged"},
        {11, HEAD "recipient-refused why=srs-expired"},
        {412, HEAD "recipient-deferred why=greylisted"},
        {3, HEAD "message-refused why=virus"},
        {640, HEAD "connection-refused why=penalty"},
        {17211, HEAD "session-end tls=TLSv1.3 why=quit"},
        {2406, HEAD "session-end tls=TLSv1.2 why=quit"},
        {603, HEAD "session-end why=quit"},
        {17877, HEAD "delivered to=<a@gmail.example> tls=TLSv1.3 verified=yes"},
        {1311, HEAD "delivered to=<a@corp.example> tls=TLSv1.2 verified=no"},
        {32, HEAD "delivered to=<a@old.example> tls=none"},
        {1, "ts=2026-11-22T06:48:00.000Z level=info event=deferred to=<b@corp.example> "
            "status=deferred class=rate-limit relay=mx.corp.example[192.0.2.80]:25 reply=\"421 "
            "4.7.0 slow down\""},
        {211, "ts=2026-11-22T09:31:02.000Z level=info event=deferred to=<b@corp.example> "
              "status=deferred class=rate-limit relay=mx.corp.example[192.0.2.80]:25 "
              "reply=\"421 4.7.0 [192.0.2.10] Our system has detected an unusual rate of mail "
              "from your address. Try again later.\""},
        {1, "ts=2026-11-21T20:14:00.000Z level=info event=deferred to=<c@old.example> "
            "status=deferred class=connection relay=none reply=\"connect: timed out\""},
        {30, "ts=2026-11-22T08:40:00.000Z level=info event=deferred to=<c@old.example> "
             "status=deferred class=connection relay=none "
             "reply=\"mx.old.example[203.0.113.80]:25: the connection timed out\""},
        {41, HEAD "bounce-queued why=permanent-failure"},
        {12,
         HEAD "held why=sender-not-proven status=held to=<x@old.example> class=unknown-user"},
    };

    for (size_t i = 0; i < COUNT(lines); i++) {
        take(sample, lines[i].text, lines[i].times);
    }
}

static struct queue_ages *sample_ages(void)
{
    static const struct queue_ages_row rows[] = {
        {BYTES("gmail.example"), {14, 9, 4, 0, 0, 0, 0, 0, 0, 0}, 0},
        {BYTES("corp.example"), {2, 3, 5, 9, 22, 31, 0, 0, 0, 0}, 0},
        {BYTES("slow-university.example"), {1, 0, 2, 1, 4, 3, 7, 5, 2, 1}, 0},
        {BYTES("old.example"), {0, 0, 0, 0, 0, 0, 0, 0, 1, 12}, 3},
        {BYTES("xn--bcher-kva.example"), {1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0},
    };
    struct queue_ages *ages = queue_ages_new(0);

    for (size_t i = 0; i < COUNT(rows); i++) {
        queue_ages_add(ages, &rows[i]);
    }
    return ages;
}

int main(void)
{
    static const struct page_finding findings[] = {
        {MOOD_WARNING, BYTES("The SPF record of srs.example.org does not name 2001:db8::25"),
         BYTES("Mail goes out from 2001:db8::25, and v=spf1 ip4:192.0.2.10 -all says that it "
               "may not."),
         BYTES("Next hops that ask SPF refuse what is forwarded over IPv6."),
         BYTES("srs.example.org. TXT \"v=spf1 ip4:192.0.2.10 ip6:2001:db8::25 -all\"")},
        {MOOD_GOOD, BYTES("MX, A, AAAA and PTR agree with mx.example.org"), BYTES(""),
         BYTES(""), BYTES("")},
        {MOOD_GOOD, BYTES("The resolver at 127.0.0.1 validates DNSSEC"), BYTES(""), BYTES(""),
         BYTES("")},
    };
    struct status_page page = {
        .health = {.version = "0.1.0",
                   .hostname = BYTES("mx.example.org"),
                   .now_ms = NOW_MS,
                   .started_ms = NOW_MS - INT64_C(1500000000),
                   .sessions = 14,
                   .messages = 127,
                   .deliveries = 143,
                   .held = 3,
                   .oldest_ms = NOW_MS - INT64_C(158000000),
                   .has_certificate = true,
                   .certificate_expires = NOW_MS / 1000 + 61 * 86400,
                   .validates = PAGE_YES,
                   .knows_disk = true,
                   .disk_free = UINT64_C(48300000000),
                   .disk_floor = 100 << 20,
                   .keeps_history = true,
                   .reload_ms = NOW_MS - 7500000},
        .span = PAGE_DAY,
        .findings_ms = NOW_MS - 31000000,
        .findings = findings,
        .finding_count = COUNT(findings),
    };
    struct sample sample = {event_counts_new(), event_series_new(), event_failures_new(),
                            arena_new()};
    struct page_sources sources = {sample.counts, sample.series, sample.failures};
    struct arena *arena = arena_new();
    struct strbuf out;

    take_minutes(&sample);
    take_lines(&sample);
    page_events_fill(&page, &sources, arena);
    page.ages = sample_ages();
    strbuf_init(&out, TEXT_LIMIT);
    status_page_add(&out, &page);
    fwrite(out.data, 1, out.len, stdout);
    strbuf_clear(&out);
    queue_ages_free(&page.ages);
    arena_free(&arena);
    arena_free(&sample.arena);
    event_counts_free(&sample.counts);
    event_series_free(&sample.series);
    event_failures_free(&sample.failures);
    return 0;
}
