#include "support/check.h"

#include "daemon/explain_report.h"

#include "base/utf8.h"

/* What a stranger may write: an escape sequence, a line end, half a character, quotes. */
#define EVIL "x\033[31m\r\n\"\\\xc3"

struct fixture {
    struct arena *arena;
    struct explain_report report;
    struct strbuf out;
};

static void begin(struct fixture *fixture)
{
    fixture->arena = arena_new();
    explain_report_init(&fixture->report, fixture->arena);
    strbuf_init(&fixture->out, 1024 * 1024);
}

static void end(struct fixture *fixture)
{
    strbuf_clear(&fixture->out);
    arena_free(&fixture->arena);
}

static void add_exchange(struct fixture *fixture, const char *stage, const char *command,
                         unsigned code, struct bytes text)
{
    struct explain_exchange *exchange = explain_report_exchange(&fixture->report);

    exchange->stage = stage;
    exchange->command = bytes_from_text(command);
    exchange->code = code;
    exchange->enhanced = BYTES("2.0.0");
    exchange->text = text;
    fixture->report.answer = exchange;
}

static void fill(struct fixture *fixture, struct bytes foreign)
{
    static struct explain_hop hops[2] = {
        {.preference = 10, .endpoint = {.port = 25}, .tls = TLS_LEVEL_VERIFIED},
        {.preference = 20, .endpoint = {.port = 26}, .tls = TLS_LEVEL_OFF}};
    static struct explain_signature signature = {.result = "pass"};
    struct explain_report *report = &fixture->report;
    static struct alias_step alias;
    struct dns_answer answer = {.status = DNS_OK};
    struct explain_delivery *delivery;

    report->from = report->to = report->helo = foreign;
    add_exchange(fixture, "ehlo", "EHLO x", 250, BYTES("mx / SIZE / HELP"));
    report->session->enhanced = BYTES("");
    add_exchange(fixture, "rcpt", "RCPT TO:<b@c>", 250, foreign);
    lookup_trail_add(&report->lookups, "mail", foreign, DNS_TYPE_TXT, &answer);
    report_lines_add(&report->lookups.first->records, fixture->arena, foreign);
    alias = (struct alias_step){.address = foreign,
                                .name = foreign,
                                .how = "exact",
                                .action = "forward",
                                .value = foreign};
    report->aliases.first = &alias;
    signature.domain = signature.selector = foreign;
    report->checks = (struct explain_checks){.is_known = true,
                                             .has_author = true,
                                             .iprev = "pass",
                                             .spf = "fail",
                                             .dmarc = "none",
                                             .arc = "none",
                                             .spf_domain = foreign,
                                             .spf_mechanism = foreign,
                                             .client_name = foreign,
                                             .author = foreign,
                                             .signatures = &signature};
    report->forecast.result = "pass";
    report->forecast.why = "spf-only";
    report_lines_add(&report->forecast.marks, fixture->arena, BYTES("spf-fail"));
    hops[0].host = hops[1].host = foreign;
    delivery = explain_report_delivery(report);
    *delivery = (struct explain_delivery){.address = foreign,
                                          .alias = foreign,
                                          .sender = foreign,
                                          .destination = foreign,
                                          .fallback = foreign,
                                          .hops = hops,
                                          .hop_count = 2};
    delivery = explain_report_delivery(report);
    delivery->address = foreign;
    delivery->failure = (struct decision){
        .disposition = DECISION_REFUSE, .enhanced = "5.1.10", .text = foreign};
    report->header = foreign;
    report_lines_add(&report->removed, fixture->arena, foreign);
    report_lines_add(&report->changed, fixture->arena, foreign);
    report_lines_add(&report->log, fixture->arena, foreign);
    report_lines_add(&report->notes, fixture->arena, foreign);
    report_lines_add(&report->limits, fixture->arena, foreign);
    report->why = BYTES("spf-fail");
}

/* Wherever a stranger's text stands, nothing but printable lines come out. */
static void test_text_is_printable(void **state)
{
    struct fixture fixture;
    struct bytes rest;

    (void)state;
    begin(&fixture);
    fill(&fixture, BYTES(EVIL));
    explain_report_add_text(&fixture.out, &fixture.report);
    CHECK_TRUE("something", fixture.out.len > 500);
    rest = strbuf_bytes(&fixture.out);
    while (rest.len > 0) {
        size_t length = utf8_length(rest);
        CHECK_TRUE("UTF-8", length > 0);
        CHECK_TRUE(rest.data,
                   rest.data[0] == '\n' || !utf8_is_control(bytes_first(rest, length)));
        rest = bytes_skip(rest, length);
    }
    end(&fixture);
}

/* As a program reads it: strings end where they end, braces close. */
static void test_json_is_closed(void **state)
{
    struct fixture fixture;
    int depth = 0;
    bool is_text = false;

    (void)state;
    begin(&fixture);
    fill(&fixture, BYTES(EVIL));
    explain_report_add_json(&fixture.out, &fixture.report);
    for (size_t i = 0; i + 1 < fixture.out.len; i++) {
        char octet = fixture.out.data[i];
        CHECK_TRUE("no control", (unsigned char)octet >= ' ');
        if (is_text && octet == '\\') {
            i++;
        } else if (octet == '"') {
            is_text = !is_text;
        } else if (!is_text) {
            depth += octet == '{' || octet == '[' ? 1 : octet == '}' || octet == ']' ? -1 : 0;
            CHECK_TRUE("inside", depth > 0 || i + 2 == fixture.out.len);
        }
    }
    CHECK_INT("depth", depth, 0);
    CHECK_TRUE("strings", !is_text);
    end(&fixture);
}

static void check_has(const struct fixture *fixture, const char *line)
{
    if (strstr(strbuf_text(&fixture->out), line) == NULL) {
        fail_msg("no \"%s\" in\n%s", line, strbuf_text(&fixture->out));
    }
}

static void test_what_it_says(void **state)
{
    static const char *const lines[] = {
        "  from         <a@b>\n",
        "  > RCPT TO:<b@c>\n  < 250 2.0.0 a@b\n",
        "look-ups\n  (mail)\n  TXT   a@b  ok\n          a@b\n",
        "  SPF          fail a@b\n    by         a@b\n",
        "  DKIM         pass a@b\n",
        "  forecast     pass (spf-only)\n",
        "  mark         spf-fail\n",
        "  a@b (exact: a@b): forward a@b\n",
        "  to           <a@b>\n    from       <a@b>\n    fallback   a@b\n    next hop   a@b\n",
        "       10 a@b ",
        "TLS verified\n",
        "    never, 5.1.10 a@b\n",
        "\nheader fields that are put in front\n  a@b\n",
        "  outcome      refused at rcpt: 250 2.0.0 a@b\n",
        "    means      it passes here by SPF alone, and after forwarding",
        "  < 250-mx\n  < 250-SIZE\n  < 250 HELP\n",
        "\n  at most a@b\n",
        "  why          spf-fail\n  means        SPF of the sender's domain says",
        "\n  decided by   \"policy { spf-fail }\"",
        "\nfields that are left out\n  a@b\n",
        "\nrefused\n  rcpt         250 2.0.0 a@b\n",
    };
    struct fixture fixture;

    (void)state;
    begin(&fixture);
    fill(&fixture, BYTES("a@b"));
    fixture.report.outcome = DECISION_REFUSE;
    explain_report_add_text(&fixture.out, &fixture.report);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        check_has(&fixture, lines[i]);
    }
    end(&fixture);
}

static void test_nothing_known(void **state)
{
    struct fixture fixture;

    (void)state;
    begin(&fixture);
    fixture.report.outcome = DECISION_DEFER;
    explain_report_add_text(&fixture.out, &fixture.report);
    check_has(&fixture, "nobody was asked who sent it");
    check_has(&fixture, "\ndeferred\n  the connection ended without an answer\n");
    strbuf_reset(&fixture.out);
    explain_report_add_json(&fixture.out, &fixture.report);
    check_has(&fixture, "\"reply\":null");
    check_has(&fixture, "\"checks\":null");
    check_has(&fixture, "\"forecast\":null");
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_printable),
        cmocka_unit_test(test_json_is_closed),
        cmocka_unit_test(test_what_it_says),
        cmocka_unit_test(test_nothing_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
