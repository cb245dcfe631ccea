#include "support/check.h"

#include "daemon/probe_report.h"

#include "base/utf8.h"

/* What a stranger may say: an escape sequence, a line end, half a character, quotes. */
#define EVIL "x\033[31m\r\n\"\\\xc3"

enum { NOW = 1700000000, DAY = 86400 };

struct fixture {
    struct arena *arena;
    struct probe_report report;
    struct probe_host *host;
    struct strbuf out;
};

static void begin(struct fixture *fixture)
{
    fixture->arena = arena_new();
    probe_report_init(&fixture->report, fixture->arena);
    fixture->report.unix_seconds = NOW;
    strbuf_init(&fixture->out, 1024 * 1024);
}

static void end(struct fixture *fixture)
{
    strbuf_clear(&fixture->out);
    arena_free(&fixture->arena);
}

static void fill(struct fixture *fixture, struct bytes foreign)
{
    static struct probe_hop hops[1] = {
        {.preference = 10, .endpoint = {.port = 25}, .tls_level = TLS_LEVEL_REQUIRED}};
    static struct alias_step alias;
    struct dns_answer answer = {.status = DNS_NODATA, .is_secure = true};
    struct probe_report *report = &fixture->report;
    struct probe_target *target = probe_report_target(report);
    struct probe_host *host = probe_report_host(report, target);

    report->asked = report->helo = foreign;
    alias = (struct alias_step){
        .address = foreign, .how = "exact", .action = "forward", .value = foreign};
    report->aliases.first = &alias;
    lookup_trail_add(&report->lookups, "next-hop", foreign, DNS_TYPE_MX, &answer);
    *target = (struct probe_target){.address = foreign,
                                    .sender = foreign,
                                    .destination = foreign,
                                    .by = "MX",
                                    .hops = hops,
                                    .hop_count = 1,
                                    .hosts = host,
                                    .hosts_end = target->hosts_end};
    hops[0].host = foreign;
    host->host = foreign;
    host->tls_level = TLS_LEVEL_OPPORTUNISTIC;
    host->tls = (struct stream_tls_facts){
        .version = "TLSv1.3", .cipher = "AES", .why_unverified = "self-signed certificate"};
    host->peer.count = 2;
    host->peer.certificates[0] = (struct tls_peer_certificate){.subject = foreign,
                                                               .issuer = foreign,
                                                               .names = {foreign},
                                                               .name_count = 1,
                                                               .more_names = 3,
                                                               .begins = NOW - DAY,
                                                               .expires = NOW + 40 * DAY,
                                                               .key = "EC",
                                                               .key_bits = 256};
    host->peer.certificates[1] = host->peer.certificates[0];
    host->peer.certificates[1].expires = NOW - 1;
    probe_report_line(report, host, PROBE_WE, 12, foreign);
    probe_report_line(report, host, PROBE_THEY, 1234, foreign);
    probe_report_stage(report, host, "connect", 12, 0);
    probe_report_stage(report, host, "banner", 61002, 220);
    host->verdict = (struct probe_finding){
        .outcome = PROBE_OUTCOME_REFUSED,
        .stage = "RCPT",
        .code = 550,
        .reply = foreign,
        .class = "unknown-user",
        .means = "the mailbox is not there",
        .who = "you",
        .advice = "ask, and do not wonder about lines that are longer than a terminal is wide, "
                  "because "
                  "they are broken into several",
    };
    target->verdict = host->verdict;
    report_lines_add(&report->notes, fixture->arena, foreign);
    fixture->host = host;
}

/* As the command shows it. */
static void add_all(struct fixture *fixture)
{
    const struct probe_report *report = &fixture->report;
    struct strbuf *out = &fixture->out;

    probe_report_add_head(out, report);
    probe_report_add_target(out, report, report->targets);
    probe_report_add_lookup(out, report->lookups.first);
    probe_report_add_hops(out, report->targets);
    probe_report_add_host(out, fixture->host);
    for (const struct probe_line *line = fixture->host->lines; line != NULL;
         line = line->next) {
        probe_report_add_line(out, line);
    }
    probe_report_write_tls(out, report, fixture->host);
    strbuf_add_char(out, '\n');
    probe_report_add_host_end(out, fixture->host);
    probe_report_add_target_end(out, report->targets);
    probe_report_add_end(out, report);
}

static void test_text_is_printable(void **state)
{
    struct fixture fixture;
    struct bytes rest;

    (void)state;
    begin(&fixture);
    fill(&fixture, BYTES(EVIL));
    add_all(&fixture);
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

static void check_has(const struct fixture *fixture, const char *line)
{
    if (strstr(strbuf_text(&fixture->out), line) == NULL) {
        fail_msg("no \"%s\" in\n%s", line, strbuf_text(&fixture->out));
    }
}

static void test_what_it_says(void **state)
{
    static const char *const lines[] = {
        "probe of a@b: up to RCPT, nothing is sent\n",
        "\nan address of ours; its aliases\n  a@b (exact): forward a@b\n",
        "\nto <a@b> from <a@b> by MX a@b\n",
        "  MX    a@b  nodata: no such record (DNSSEC)\n",
        "       10 a@b ",
        "TLS required\n          the MX records are not validated (no DNSSEC)\n",
        "    0.012 > a@b\n    1.234 < a@b\n",
        "TLSv1.3 AES; certificate not verified: self-signed certificate (good enough for the "
        "policy \"opportunistic\")\n",
        "certificate of a@b, EC 256 bits, 40 day(s) left, until 2023-12-24\nfor a@b and 3 "
        "more\n",
        "and of a@b, EC 256 bits, EXPIRED 2023-11-14\n",
        "  took        connect 0.012s, banner 61.002s\n",
        "  refused at RCPT: 550 a@b\n  class       unknown-user\n",
        "  means       the mailbox is not there\n  who acts    you\n",
        "  what to do  ask, and do not wonder about lines that are longer than a terminal is "
        "wide, "
        "because\n              they are broken into several\n",
        "\nrefused\n  <a@b> refused at RCPT\n  a@b\n",
    };
    struct fixture fixture;

    (void)state;
    begin(&fixture);
    fill(&fixture, BYTES("a@b"));
    add_all(&fixture);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        check_has(&fixture, lines[i]);
    }
    end(&fixture);
}

static void test_no_host(void **state)
{
    struct fixture fixture;
    struct probe_target *target;

    (void)state;
    begin(&fixture);
    target = probe_report_target(&fixture.report);
    target->by = "MX";
    target->verdict = (struct probe_finding){.outcome = PROBE_OUTCOME_NO_HOST,
                                             .stage = "dns",
                                             .reply = BYTES("does not exist"),
                                             .class = "dns"};
    probe_report_add_target_end(&fixture.out, target);
    check_has(&fixture, "  no-host at dns: does not exist\n");
    end(&fixture);
}

/* The worst of all targets; what our own aliases say comes before. */
static void test_outcome(void **state)
{
    static const struct {
        const char *name;
        enum probe_outcome targets[2], want;
        enum disposition refusal;
    } cases[] = {
        {"both",
         {PROBE_OUTCOME_ACCEPTED, PROBE_OUTCOME_ACCEPTED},
         PROBE_OUTCOME_ACCEPTED,
         DECISION_ACCEPT},
        {"one later",
         {PROBE_OUTCOME_TEMPORARY, PROBE_OUTCOME_ACCEPTED},
         PROBE_OUTCOME_TEMPORARY,
         DECISION_ACCEPT},
        {"one nowhere",
         {PROBE_OUTCOME_TEMPORARY, PROBE_OUTCOME_NO_HOST},
         PROBE_OUTCOME_NO_HOST,
         DECISION_ACCEPT},
        {"one never",
         {PROBE_OUTCOME_REFUSED, PROBE_OUTCOME_NO_HOST},
         PROBE_OUTCOME_REFUSED,
         DECISION_ACCEPT},
        {"deferred here",
         {PROBE_OUTCOME_ACCEPTED, PROBE_OUTCOME_ACCEPTED},
         PROBE_OUTCOME_TEMPORARY,
         DECISION_DEFER},
        {"refused here",
         {PROBE_OUTCOME_ACCEPTED, PROBE_OUTCOME_ACCEPTED},
         PROBE_OUTCOME_REFUSED,
         DECISION_REFUSE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture fixture;

        begin(&fixture);
        probe_report_target(&fixture.report)->verdict.outcome = cases[i].targets[0];
        probe_report_target(&fixture.report)->verdict.outcome = cases[i].targets[1];
        fixture.report.refusal.disposition = cases[i].refusal;
        CHECK_INT(cases[i].name, probe_report_outcome(&fixture.report), cases[i].want);
        end(&fixture);
    }
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
    probe_report_add_json(&fixture.out, &fixture.report);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_printable), cmocka_unit_test(test_what_it_says),
        cmocka_unit_test(test_no_host),           cmocka_unit_test(test_outcome),
        cmocka_unit_test(test_json_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
