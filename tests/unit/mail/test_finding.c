#include "support/check.h"

#include "mail/finding.h"

enum { TEXT_LIMIT = 65536 };

static struct arena *arena;
static struct findings findings;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    findings_init(&findings, arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void fill(void)
{
    struct finding *finding;

    findings_begin(&findings, "host", BYTES("mx.example"));
    findings_add(&findings, FINDING_OK, "clock", "it is kept in time");
    finding = findings_add(&findings, FINDING_ERROR, "srs-spf", "%s has no %s record",
                           "srs.example", "TXT");
    finding_set_why(finding, "Forwarded mail leaves with senders of this domain: without SPF "
                             "pass it is refused as forged.");
    finding_set_fix(&findings, finding, FINDING_PUBLISH,
                    BYTES("srs.example. IN TXT \"v=spf1 -all\"\n(in its place)"));
    findings_begin(&findings, "domain", BYTES("a.example"));
    finding = findings_add(&findings, FINDING_NOTE, "mx", "strange \x1b[2J \"text\"");
    finding_set_fixf(&findings, finding, FINDING_DO, "say %d words", 3);
}

static void test_text(void **state)
{
    struct strbuf text;

    (void)state;
    fill();
    strbuf_init(&text, TEXT_LIMIT);
    findings_add_text(&text, &findings, FINDING_OK);
    CHECK_TEXT("all", strbuf_text(&text),
               "host mx.example\n"
               "  ok        clock             it is kept in time\n"
               "  error     srs-spf           srs.example has no TXT record\n"
               "            why     Forwarded mail leaves with senders of this domain: without "
               "SPF pass it is\n"
               "                    refused as forged.\n"
               "            publish srs.example. IN TXT \"v=spf1 -all\"\n"
               "                    (in its place)\n"
               "\n"
               "domain a.example\n"
               "  note      mx                strange \\x1b[2J \"text\"\n"
               "            do      say 3 words\n");
    strbuf_reset(&text);
    findings_add_text(&text, &findings, FINDING_WARNING);
    CHECK_TRUE("only what is bad",
               bytes_find_part(strbuf_bytes(&text), BYTES("a.example")) == text.len);
    CHECK_TRUE("that, too", bytes_find_part(strbuf_bytes(&text), BYTES("srs-spf")) < text.len);
    strbuf_reset(&text);
    findings_add_summary(&text, &findings);
    CHECK_TEXT("summary", strbuf_text(&text), "1 error, 1 note, 1 ok");
    strbuf_clear(&text);
}

static void test_json(void **state)
{
    struct strbuf text;

    (void)state;
    fill();
    strbuf_init(&text, TEXT_LIMIT);
    strbuf_add_text(&text, "{");
    findings_add_json(&text, &findings, FINDING_NOTE);
    CHECK_TEXT(
        "json", strbuf_text(&text),
        "{\"ok\":1,\"note\":1,\"unknown\":0,\"warning\":0,\"error\":1,\"findings\":["
        "{\"severity\":\"error\",\"kind\":\"host\",\"subject\":\"mx.example\",\"check\":\"srs-"
        "spf\","
        "\"found\":\"srs.example has no TXT record\",\"why\":\"Forwarded mail leaves with "
        "senders of this domain: "
        "without SPF pass it is refused as forged.\",\"remedy\":\"publish\","
        "\"fix\":\"srs.example. IN TXT \\\"v=spf1 -all\\\"\\u000a(in its place)\"},"
        "{\"severity\":\"note\",\"kind\":\"domain\",\"subject\":\"a.example\",\"check\":\"mx\","
        "\"found\":\"strange \\u001b[2J "
        "\\\"text\\\"\",\"why\":null,\"remedy\":\"do\",\"fix\":\"say 3 words\"}]");
    strbuf_clear(&text);
}

static void test_comparing(void **state)
{
    struct findings other;
    const struct finding *ours;

    (void)state;
    fill();
    ours = findings.first->next;
    findings_init(&other, arena);
    findings_begin(&other, "host", BYTES("mx.example"));
    CHECK_TRUE("not there", !findings_has(&other, ours) && !findings_has_like(&other, ours));
    findings_add(&other, FINDING_ERROR, "srs-spf", "srs.example has TXT v=spf1 -all");
    CHECK_TRUE("changed", !findings_has(&other, ours) && findings_has_like(&other, ours));
    findings_add(&other, FINDING_WARNING, "srs-spf", "srs.example has no TXT record");
    CHECK_TRUE("another severity", !findings_has(&other, ours));
    findings_begin(&other, "domain", BYTES("mx.example"));
    findings_add(&other, FINDING_ERROR, "srs-spf", "srs.example has no TXT record");
    CHECK_TRUE("another subject", !findings_has(&other, ours));
    findings_begin(&other, "host", BYTES("mx.example"));
    findings_add(&other, FINDING_ERROR, "srs-spf", "srs.example has no TXT record");
    CHECK_TRUE("the same", findings_has(&other, ours));
}

static void test_taking_back_and_joining(void **state)
{
    struct findings before, more;
    struct strbuf text;

    (void)state;
    fill();
    before = findings;
    findings_add(&findings, FINDING_ERROR, "mx", "too early");
    findings_go_back(&findings, &before);
    CHECK_INT("errors", findings.counts[FINDING_ERROR], 1);
    findings_init(&more, arena);
    findings_join(&findings, &more);
    findings_begin(&more, "domain", BYTES("b.example"));
    findings_add(&more, FINDING_UNKNOWN, "mx", "behind it");
    findings_join(&findings, &more);
    findings_add(&findings, FINDING_OK, "dmarc", "the last");
    CHECK_TRUE("nothing is left", more.first == NULL && more.counts[FINDING_UNKNOWN] == 0);
    strbuf_init(&text, TEXT_LIMIT);
    findings_add_summary(&text, &findings);
    CHECK_TEXT("summary", strbuf_text(&text), "1 error, 1 unknown, 1 note, 2 ok");
    strbuf_reset(&text);
    findings_add_text(&text, &findings, FINDING_UNKNOWN);
    CHECK_TRUE("early", bytes_find_part(strbuf_bytes(&text), BYTES("too early")) == text.len);
    CHECK_TRUE("behind", bytes_find_part(strbuf_bytes(&text), BYTES("behind it")) < text.len);
    strbuf_clear(&text);
}

static void test_nothing(void **state)
{
    struct strbuf text;

    (void)state;
    strbuf_init(&text, TEXT_LIMIT);
    findings_add_text(&text, &findings, FINDING_OK);
    findings_add_summary(&text, &findings);
    CHECK_TEXT("nothing", strbuf_text(&text), "nothing was looked at");
    strbuf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_comparing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_taking_back_and_joining, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
