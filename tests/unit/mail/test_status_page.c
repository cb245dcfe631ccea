#include "support/check.h"

#include "mail/page_frame.h"
#include "mail/page_health.h"
#include "mail/status_json.h"

#include <jansson.h>

#define NOW_MS INT64_C(1795339953000)
#define DAY_S INT64_C(86400)

enum { TEXT_LIMIT = 4 << 20 };

static const struct bytes HOSTILE = BYTES("\"'><script>alert(1)</script>\xE2\x80\xAE\xFF\0=`&");

static struct status_page plain_page(void)
{
    return (struct status_page){.health = {.version = "0.1",
                                           .hostname = BYTES("mx.own.test"),
                                           .now_ms = NOW_MS,
                                           .started_ms = NOW_MS - 3600000}};
}

static void test_moods(void **state)
{
    static const struct {
        const char *name;
        int64_t days;
        enum page_mood want;
    } certificates[] = {
        {"expired", -1, MOOD_BAD},  {"today", 0, MOOD_BAD},       {"six", 6, MOOD_BAD},
        {"seven", 7, MOOD_WARNING}, {"twenty", 20, MOOD_WARNING}, {"plenty", 21, MOOD_GOOD},
    };
    static const struct {
        uint64_t free;
        enum page_mood want;
    } disks[] = {{0, MOOD_BAD},       {100, MOOD_BAD},  {101, MOOD_WARNING},
                 {200, MOOD_WARNING}, {202, MOOD_GOOD}, {UINT64_MAX, MOOD_GOOD}};
    struct page_health health = {.now_ms = NOW_MS};

    (void)state;
    CHECK_INT("no certificate", page_health_certificate(&health), MOOD_PLAIN);
    health.has_certificate = true;
    for (size_t i = 0; i < COUNT_OF(certificates); i++) {
        health.certificate_expires = NOW_MS / 1000 + certificates[i].days * DAY_S;
        CHECK_INT(certificates[i].name, page_health_certificate(&health), certificates[i].want);
    }
    CHECK_INT("no disk", page_health_disk(&health), MOOD_PLAIN);
    health.knows_disk = true;
    health.disk_floor = 100;
    for (size_t i = 0; i < COUNT_OF(disks); i++) {
        health.disk_free = disks[i].free;
        CHECK_INT("disk", page_health_disk(&health), disks[i].want);
    }
    CHECK_INT("empty queue", page_health_queue(&health), MOOD_GOOD);
    health.oldest_ms = NOW_MS - DAY_S * 1000;
    CHECK_INT("a day", page_health_queue(&health), MOOD_GOOD);
    health.oldest_ms--;
    CHECK_INT("more than a day", page_health_queue(&health), MOOD_WARNING);
}

static void test_spans_and_sizes(void **state)
{
    static const struct {
        int64_t seconds;
        const char *want;
    } spans[] = {
        {-5, "0 s"},          {0, "0 s"},          {119, "119 s"},         {120, "2 min"},
        {7199, "119 min"},    {7200, "2 h 0 min"}, {86399, "23 h 59 min"}, {86400, "1 d 0 h"},
        {1500000, "17 d 8 h"}};
    static const struct {
        uint64_t octets;
        const char *want;
    } sizes[] = {
        {0, "0 B"},       {999, "999 B"},         {1000, "1.0 KB"},      {9990, "9.9 KB"},
        {10000, "10 KB"}, {48300000000, "48 GB"}, {UINT64_MAX, "1.8 EB"}};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 100);
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        strbuf_reset(&out);
        page_health_add_span(&out, spans[i].seconds);
        CHECK_TEXT("span", strbuf_text(&out), spans[i].want);
    }
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        strbuf_reset(&out);
        page_health_add_octets(&out, sizes[i].octets);
        CHECK_TEXT("size", strbuf_text(&out), sizes[i].want);
    }
    strbuf_clear(&out);
}

/* Every tag that is opened is closed, innermost first; attributes are quoted. */
static void check_nesting(const char *html)
{
    static const char *const VOID[] = {"meta", "link", "input"};
    const char *open[64];
    size_t lengths[64], depth = 0;

    for (const char *at = html; (at = strchr(at, '<')) != NULL;) {
        const char *end = strchr(at, '>');
        assert_non_null(end);
        if (at[1] == '!') {
            at = end;
            continue;
        }
        bool is_end = at[1] == '/';
        const char *name = at + 1 + is_end;
        size_t len = strcspn(name, " >/");
        bool is_void = end[-1] == '/';
        for (size_t i = 0; i < COUNT_OF(VOID); i++) {
            is_void |= strlen(VOID[i]) == len && memcmp(VOID[i], name, len) == 0;
        }
        if (is_end) {
            assert_true(depth > 0);
            depth--;
            if (lengths[depth] != len || memcmp(open[depth], name, len) != 0) {
                fail_msg("</%.*s> closes <%.*s>", (int)len, name, (int)lengths[depth],
                         open[depth]);
            }
        } else if (!is_void) {
            assert_true(depth < COUNT_OF(open));
            open[depth] = name;
            lengths[depth++] = len;
        }
        at = end;
    }
    CHECK_INT("open at the end", depth, 0);
}

static void check_both(const char *name, const struct status_page *page, const char *shown)
{
    struct strbuf out;
    json_error_t error;

    strbuf_init(&out, TEXT_LIMIT);
    status_page_add(&out, page);
    assert_false(out.overflowed);
    check_nesting(strbuf_text(&out));
    assert_null(strstr(strbuf_text(&out), "<script"));
    assert_null(strstr(strbuf_text(&out), "\xE2\x80\xAE"));
    if (shown != NULL && strstr(strbuf_text(&out), shown) == NULL) {
        fail_msg("%s: the page does not say %s", name, shown);
    }
    strbuf_reset(&out);
    status_json_add(&out, page);
    json_t *json = json_loadb(out.data, out.len, JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        fail_msg("%s: %s", name, error.text);
    }
    json_decref(json);
    strbuf_clear(&out);
}

static void test_with_nothing_and_with_the_worst(void **state)
{
    static const uint64_t values[] = {1, UINT64_MAX};
    static const struct chart_series series[] = {{"s", TONE_BAD, values}};
    static const bool unknown[] = {true, false};
    static const struct chart chart = {.title = "t",
                                       .series = series,
                                       .series_count = 1,
                                       .count = 2,
                                       .is_unknown = unknown,
                                       .start_ms = NOW_MS,
                                       .step_ms = 60000};
    static const struct chart_part parts[] = {{"p", TONE_GOOD, 3}};
    static const struct page_shares shares[] = {{"t", parts, 1}};
    const struct page_pause pauses[] = {{"inbound", BYTES(""), 1},
                                        {"destination", HOSTILE, NOW_MS}};
    const struct page_failing failing[] = {{.destination = HOSTILE,
                                            .failures = 1,
                                            .last_ms = NOW_MS,
                                            .since_ms = 1,
                                            .kind = HOSTILE,
                                            .reply = HOSTILE,
                                            .relay = HOSTILE,
                                            .tls = HOSTILE}};
    const struct page_finding findings[] = {
        {MOOD_BAD, HOSTILE, HOSTILE, HOSTILE, HOSTILE},
        {MOOD_GOOD, HOSTILE, BYTES(""), BYTES(""), BYTES("")}};
    const struct chart_rank ranks[] = {{HOSTILE, HOSTILE, 4}};
    struct status_page page = plain_page();

    (void)state;
    check_both("nothing", &page, "Nobody was refused");
    check_both("nothing", &page, "could not be read");
    page.ages = queue_ages_new(0);
    check_both("an empty queue", &page, "Nothing waits");
    queue_ages_add(page.ages, &(struct queue_ages_row){
                                  .destination = HOSTILE, .due = {1, 2, 3}, .held = 7});
    page.health.hostname = HOSTILE;
    page.health.pauses = pauses;
    page.health.pause_count = COUNT_OF(pauses);
    page.health.reload_failed = true;
    page.health.reload_ms = 1;
    page.health.oldest_ms = 1;
    page.health.knows_disk = true;
    page.health.disk_floor = 1;
    page.health.has_certificate = true;
    page.health.validates = PAGE_NO;
    page.flow[0] = page.authentication[0] = (struct page_charts){&chart, 1};
    page.failing = failing;
    page.failing_count = 1;
    page.arrival = page.afterwards = page.tls = page.returns = (struct page_group){shares, 1};
    page.refusals = (struct page_ranking){ranks, 1};
    page.findings_ms = 1;
    page.findings = findings;
    page.finding_count = COUNT_OF(findings);
    page.health.keeps_history = true;
    check_both("the worst", &page, "The last reload failed");
    check_both("the worst", &page, "There is no space for mail");
    check_both("the worst", &page, "no space");
    check_both("the worst", &page, "expired");
    queue_ages_free(&page.ages);
}

/* The hash in the policy is that of the stylesheet in the page, or no browser would use it. */
static void test_policy_allows_the_stylesheet(void **state)
{
    struct strbuf policy;

    (void)state;
    strbuf_init(&policy, 1000);
    page_frame_policy(&policy);
    assert_true(bytes_starts_with(strbuf_bytes(&policy), BYTES("style-src 'sha256-")));
    CHECK_INT("44 digits of base64 and the rest",
              bytes_find(bytes_skip(strbuf_bytes(&policy), 18), '\''), 44);
    strbuf_clear(&policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moods),
        cmocka_unit_test(test_spans_and_sizes),
        cmocka_unit_test(test_with_nothing_and_with_the_worst),
        cmocka_unit_test(test_policy_allows_the_stylesheet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
