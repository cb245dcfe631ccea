/* Writes the status page of a day that never was, for screenshots (make screenshots). */
#include "mail/status_page.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW_MS INT64_C(1795339953000)

enum { COLUMNS = 96, STEP_MS = 900000 };

/* The same on every run. */
static unsigned next(unsigned most)
{
    static unsigned seed = 20261122;

    seed = seed * 1103515245u + 12345u;
    return most == 0 ? 0 : (seed >> 16) % most;
}

/* More by day than by night, in hundredths. */
static unsigned tide(size_t column)
{
    unsigned hour = (unsigned)(column / 4 + 8) % 24;

    return hour < 6    ? 12
           : hour < 8  ? 40
           : hour < 12 ? 100
           : hour < 18 ? 80
           : hour < 22 ? 50
                       : 22;
}

static void fill(uint64_t *values, unsigned most)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        values[i] = (uint64_t)tide(i) * most / 200 + next(tide(i) * most / 200 + 1);
    }
}

static struct queue_ages *sample_ages(void)
{
    static const struct queue_ages_row rows[] = {
        {BYTES("gmail.example"), {14, 9, 4, 0, 0, 0, 0, 0, 0, 0}, 0},
        {BYTES("corp.example"), {2, 3, 5, 9, 22, 31, 18, 6, 0, 0}, 0},
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
    static uint64_t delivered[COLUMNS], deferred[COLUMNS], bounced[COLUMNS], refused[COLUMNS];
    static uint64_t clear[COLUMNS], encrypted[COLUMNS], pass[COLUMNS], fail[COLUMNS],
        none[COLUMNS];
    const struct chart_series flow[] = {{"delivered", TONE_GOOD, delivered},
                                        {"deferred", TONE_WAIT, deferred},
                                        {"bounced", TONE_SPECIAL, bounced},
                                        {"refused", TONE_BAD, refused}};
    const struct chart_series sessions[] = {{"encrypted", TONE_GOOD, encrypted},
                                            {"in clear", TONE_WAIT, clear}};
    const struct chart_series dmarc[] = {
        {"pass", TONE_GOOD, pass}, {"none", TONE_NONE, none}, {"fail", TONE_BAD, fail}};
    struct chart charts[] = {
        {"Messages", NULL, flow, COUNT(flow), COLUMNS, NOW_MS - COLUMNS * (int64_t)STEP_MS,
         STEP_MS},
        {"Sessions", NULL, sessions, COUNT(sessions), COLUMNS,
         NOW_MS - COLUMNS * (int64_t)STEP_MS, STEP_MS},
        {"DMARC of what came in", NULL, dmarc, COUNT(dmarc), COLUMNS,
         NOW_MS - COLUMNS * (int64_t)STEP_MS, STEP_MS},
    };
    static const struct chart_part spf[] = {{"pass", TONE_GOOD, 18230},
                                            {"none", TONE_NONE, 1211},
                                            {"softfail", TONE_WAIT, 402},
                                            {"fail", TONE_BAD, 377}};
    static const struct chart_part dkim[] = {
        {"pass", TONE_GOOD, 17904}, {"none", TONE_NONE, 1630}, {"fail", TONE_BAD, 686}};
    static const struct chart_part dm[] = {
        {"pass", TONE_GOOD, 16988}, {"none", TONE_NONE, 2470}, {"fail", TONE_BAD, 762}};
    static const struct chart_part arc[] = {
        {"pass", TONE_GOOD, 2104}, {"none", TONE_NONE, 18022}, {"fail", TONE_BAD, 94}};
    static const struct page_shares arrival[] = {{"SPF", spf, COUNT(spf)},
                                                 {"DKIM", dkim, COUNT(dkim)},
                                                 {"DMARC", dm, COUNT(dm)},
                                                 {"ARC", arc, COUNT(arc)}};
    static const struct chart_part forecast[] = {
        {"passes by its DKIM signature", TONE_GOOD, 15112},
        {"passes, From is ours", TONE_SOFT, 640},
        {"vouched for by ARC", TONE_SPECIAL, 301},
        {"would fail", TONE_BAD, 188},
        {"no policy", TONE_NONE, 3979}};
    static const struct chart_part manner[] = {{"as it came", TONE_GOOD, 20020},
                                               {"From said in our name", TONE_SPECIAL, 181},
                                               {"held", TONE_WAIT, 19}};
    static const struct page_shares after[] = {
        {"DMARC at the next hop", forecast, COUNT(forecast)},
        {"How it was sent on", manner, COUNT(manner)}};
    static const struct chart_part tls_in[] = {
        {"TLSv1.3", TONE_GOOD, 17211}, {"TLSv1.2", TONE_SOFT, 2406}, {"clear", TONE_WAIT, 603}};
    static const struct chart_part tls_out[] = {{"TLSv1.3, verified", TONE_GOOD, 19877},
                                                {"TLSv1.2", TONE_SOFT, 311},
                                                {"clear", TONE_WAIT, 32}};
    static const struct page_shares tls[] = {{"Sessions of clients", tls_in, COUNT(tls_in)},
                                             {"Deliveries", tls_out, COUNT(tls_out)}};
    static const struct chart_part returned[] = {
        {"led back", TONE_GOOD, 204}, {"expired", TONE_WAIT, 11}, {"forged", TONE_BAD, 37}};
    static const struct chart_part bounces[] = {{"sent", TONE_GOOD, 41},
                                                {"nobody may be told", TONE_WAIT, 12}};
    static const struct page_shares srs[] = {
        {"Mail to our SRS addresses", returned, COUNT(returned)},
        {"Bounces of ours", bounces, COUNT(bounces)}};
    static const struct chart_rank refusals[] = {
        {BYTES("unknown-recipient"), BYTES("last: <sales@example.org> from 203.0.113.9"), 4821},
        {BYTES("blocklist"), BYTES("last: 198.51.100.23, zen.blocklist.example"), 2207},
        {BYTES("doomed"), BYTES("last: From news@bank.example, p=reject"), 188},
        {BYTES("own-domain-spoof"), BYTES(""), 91},
        {BYTES("spf-fail"), BYTES(""), 64},
        {BYTES("virus"), BYTES("last: Win.Test.EICAR_HDB-1"), 3},
    };
    static const struct page_failing failing[] = {
        {BYTES("corp.example"), 212, NOW_MS - 9800000, NOW_MS - 95000, BYTES("rate-limit"),
         BYTES("421 4.7.0 [192.0.2.10] Our system has detected an unusual rate of mail from "
               "your address. Try again later."),
         BYTES(""), BYTES("")},
        {BYTES("old.example"), 31, NOW_MS - 172800000, NOW_MS - 3100000, BYTES("connection"),
         BYTES("connect to mx.old.example[203.0.113.80]:25: timed out"), BYTES(""), BYTES("")},
    };
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
        .health = {.version = "0.9.0",
                   .hostname = BYTES("mx.example.org"),
                   .now_ms = NOW_MS,
                   .started_ms = NOW_MS - INT64_C(1500000000),
                   .sessions = 14,
                   .messages = 151,
                   .deliveries = 171,
                   .held = 3,
                   .oldest_ms = NOW_MS - INT64_C(158000000),
                   .has_certificate = true,
                   .certificate_expires = NOW_MS / 1000 + 61 * 86400,
                   .validates = PAGE_YES,
                   .knows_disk = true,
                   .disk_free = UINT64_C(48300000000),
                   .disk_floor = 100 << 20,
                   .reload_ms = NOW_MS - 7500000},
        .span = PAGE_DAY,
        .charts = charts,
        .chart_count = COUNT(charts),
        .failing = failing,
        .failing_count = COUNT(failing),
        .arrival = {arrival, COUNT(arrival)},
        .afterwards = {after, COUNT(after)},
        .tls = {tls, COUNT(tls)},
        .returns = {srs, COUNT(srs)},
        .refusals = {refusals, COUNT(refusals)},
        .findings_ms = NOW_MS - 31000000,
        .findings = findings,
        .finding_count = COUNT(findings),
        .has_trace = true,
    };
    struct strbuf out;

    fill(delivered, 420), fill(deferred, 38), fill(bounced, 5), fill(refused, 160);
    fill(encrypted, 300), fill(clear, 14), fill(pass, 330), fill(none, 60), fill(fail, 22);
    page.ages = sample_ages();
    strbuf_init(&out, 4 << 20);
    status_page_add(&out, &page);
    fwrite(out.data, 1, out.len, stdout);
    strbuf_clear(&out);
    queue_ages_free(&page.ages);
    return 0;
}
