#include "support/check.h"

#include "mail/results_field.h"

#define ID BYTES("mx.example.org")

static const struct result_property mail_from = {"smtp", "mailfrom", {"a@b.example", 11}};

static void check_written(const char *name, const struct result_entry *entries, size_t count,
                          const char *want)
{
    struct strbuf out;

    strbuf_init(&out, 65536);
    results_field_add(&out, ID, entries, count);
    CHECK_TEXT(name, strbuf_text(&out), want);
    CHECK_TRUE(name, results_field_names_us(bytes_skip(strbuf_bytes(&out), 23), ID));
    strbuf_clear(&out);
}

static void test_writing(void **state)
{
    const struct result_property signature[] = {{"header", "d", BYTES("b.example")},
                                                {"header", "s", BYTES("sel2026")},
                                                {"header", "b", BYTES("aB3/+x=")}};
    const struct result_entry entries[] = {
        {"spf", "pass", {0}, {0}, &mail_from, 1},
        {"dkim", "fail", BYTES("body hash did not verify"), BYTES("altered"), signature, 3},
        {"iprev", "permerror", {0}, {0}, NULL, 0},
    };

    (void)state;
    check_written("nothing", NULL, 0, "Authentication-Results: mx.example.org; none\r\n");
    check_written(
        "three", entries, 3,
        "Authentication-Results: mx.example.org;\r\n"
        "\tspf=pass smtp.mailfrom=a@b.example;\r\n"
        "\tdkim=fail (body hash did not verify) reason=\"altered\" header.d=b.example\r\n"
        "\theader.s=sel2026 header.b=\"aB3/+x=\";\r\n"
        "\tiprev=permerror\r\n");
}

static void test_values(void **state)
{
    /* clang-format off */
    static const struct {
        struct bytes value;
        const char *want;
    } cases[] = {
        {BYTES("b.example"), "b.example"},
        {BYTES("a@b.example"), "a@b.example"},
        {BYTES("@b.example"), "@b.example"},
        {BYTES("2001:db8::1"), "\"2001:db8::1\""},
        {BYTES(""), "\"\""},
        {BYTES("a b"), "\"a b\""},
        {BYTES("a;b"), "\"a;b\""},
        {BYTES("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {BYTES("x\r\nSubject: y"), "\"x??Subject: y\""},
        {BYTES("x\0y"), "\"x?y\""},
        {BYTES("\xc3\xa4@b.example"), "\"??@b.example\""},
        {BYTES("\"a b\"@b.example"), "\"\\\"a b\\\"@b.example\""},
        {BYTES("a@b@c"), "\"a@b@c\""},
        {BYTES("a@"), "\"a@\""},
        {BYTES("a..b@c.example"), "\"a..b@c.example\""},
        {BYTES("a@b (c)"), "\"a@b (c)\""},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct result_property property = {"smtp", "x", cases[i].value};
        struct result_entry entry = {"spf", "pass", {0}, {0}, &property, 1};
        char want[256];

        (void)snprintf(want, sizeof want,
                       "Authentication-Results: mx.example.org;\r\n\tspf=pass smtp.x=%s\r\n",
                       cases[i].want);
        check_written(cases[i].value.data, &entry, 1, want);
    }
}

static void test_comments(void **state)
{
    struct result_entry entry = {"spf", "fail", BYTES("a) (b\\ \r\nc  d"), {0}, NULL, 0};

    (void)state;
    check_written("escaped", &entry, 1,
                  "Authentication-Results: mx.example.org;\r\n"
                  "\tspf=fail (a\\) \\(b\\\\ ??c d)\r\n");
    entry.comment = BYTES(" x ");
    check_written("blanks at the ends", &entry, 1,
                  "Authentication-Results: mx.example.org;\r\n\tspf=fail (x)\r\n");
    entry.comment = BYTES(" ");
    check_written("blanks only", &entry, 1,
                  "Authentication-Results: mx.example.org;\r\n\tspf=fail\r\n");
}

/* Long text folds; a word that is too long stands alone and is cut. */
static void test_lengths(void **state)
{
    char text[2000];
    struct result_property properties[2] = {{"smtp", "a", bytes_of(text, sizeof text)},
                                            {"smtp", "b", BYTES("short")}};
    struct result_entry entry = {"spf", "fail",     bytes_of(text, sizeof text),
                                 {0},   properties, 2};
    struct strbuf out;
    struct bytes rest;

    (void)state;
    strbuf_init(&out, 65536);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 8 == 7 ? ' ' : '"';
    }
    results_field_add(&out, ID, &entry, 1);
    for (rest = strbuf_bytes(&out); rest.len != 0;) {
        struct bytes line = bytes_cut(&rest, '\n');

        CHECK_TRUE("line length", line.len <= 998);
        CHECK_TRUE("line length", line.len <= 79 || bytes_find(line, '=') < line.len);
    }
    CHECK_TRUE("ends well", bytes_ends_with_nocase(strbuf_bytes(&out), BYTES("b=short\r\n")));
    strbuf_clear(&out);
}

static void test_received_spf(void **state)
{
    struct received_spf facts = {.result = "fail",
                                 .comment = BYTES("mx.example.org: not a sender of b.example"),
                                 .client_ip = BYTES("2001:db8::1"),
                                 .envelope_from = BYTES("a@b.example"),
                                 .helo = BYTES("h;\r\n.example"),
                                 .receiver = ID,
                                 .identity = "mailfrom",
                                 .mechanism = BYTES("-all")};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    results_field_add_received_spf(&out, &facts);
    CHECK_TEXT(
        "whole", strbuf_text(&out),
        "Received-SPF: fail (mx.example.org: not a sender of b.example)\r\n"
        "\tclient-ip=\"2001:db8::1\"; envelope-from=\"a@b.example\"; helo=\"h;??.example\";\r\n"
        "\tmechanism=-all; identity=mailfrom; receiver=mx.example.org\r\n");
    strbuf_clear(&out);
}

static void test_finding(void **state)
{
    /* clang-format off */
    static const struct {
        struct bytes value;
        bool want;
    } cases[] = {
        {BYTES(" mx.example.org; spf=pass\r\n"), true},
        {BYTES("mx.example.org"), true},
        {BYTES(" MX.Example.ORG; none\r\n"), true},
        {BYTES("\r\n\t mx.example.org\r\n ; none\r\n"), true},
        {BYTES(" mx.example.org 1; none\r\n"), true},
        {BYTES(" mx.example.org/1; none\r\n"), true},
        {BYTES(" mx.example.org(c) 1 (d); none\r\n"), true},
        {BYTES(" (a (nested \\) ) one) mx.example.org; none\r\n"), true},
        {BYTES("(a)\r\n (b)\r\n mx.example.org; none\r\n"), true},
        {BYTES(" \"mx.example.org\"; none\r\n"), true},
        {BYTES(" \"m\\x.Example.org\"; none\r\n"), true},
        {BYTES(" \"mx.\r\nexample.org\"; none\r\n"), true},
        {BYTES(" mx.example.org.; none\r\n"), true},
        {BYTES(" \"mx.example.org.\"; none\r\n"), true},
        {BYTES(" mx.example.org spf=pass\r\n"), true},
        {BYTES(" mx.example.org=x\r\n"), true},
        {BYTES("\0\x0b\x7f mx.example.org; none\r\n"), true},
        {BYTES(" ; mx.example.org; spf=pass\r\n"), true},
        {BYTES(" (open mx.example.org; spf=pass\r\n"), true},
        {BYTES(" \"open; mx.EXAMPLE.org; spf=pass\r\n"), true},
        {BYTES(" \"mx.example.org"), true},
        {BYTES(" other.example; spf=pass\r\n"), false},
        {BYTES(" other.example (via mx.example.org); spf=pass smtp.helo=mx.example.org\r\n"), false},
        {BYTES(" (mx.example.org) other.example; none\r\n"), false},
        {BYTES(" \"other.example\"; mx.example.org\r\n"), false},
        {BYTES(" \"mx.example.orgx\"; none\r\n"), false},
        {BYTES(" \"mx.example\"; mx.example.org\r\n"), false},
        {BYTES(" \"mx.example.org..\"; none\r\n"), false},
        {BYTES(" mx.example.org.evil.example; none\r\n"), false},
        {BYTES(" amx.example.org; none\r\n"), false},
        {BYTES(" mx.example.or; none\r\n"), false},
        {BYTES(" example.org; none\r\n"), false},
        {BYTES("\x0b other.example (mx.example.org); none\r\n"), false},
        {BYTES(" (open other.example; spf=pass\r\n"), false},
        {BYTES("\r\n"), false},
        {BYTES(""), false},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].value.data, results_field_names_us(cases[i].value, ID),
                  cases[i].want);
    }
    CHECK_TRUE("no name", !results_field_names_us(BYTES(" ; none"), BYTES("")));
}

static void test_removal(void **state)
{
    struct bytes header =
        BYTES("Received: x\r\n"
              "Authentication-Results: mx.example.org; spf=pass\r\n"
              "Authentication-Results: other.example; spf=pass\r\n"
              "authentication-RESULTS \t:\r\n (c)\r\n \"mx.example.org\"\r\n ; dkim=pass\r\n"
              "X-Authentication-Results: mx.example.org; spf=pass\r\n"
              "ARC-Authentication-Results: i=1; mx.example.org; spf=pass\r\n"
              "Authentication-Results: mx.example.org\r\n"
              "\r\n"
              "Authentication-Results: mx.example.org; spf=pass\r\n");
    static const struct bytes want[] = {
        BYTES("Authentication-Results: mx.example.org; spf=pass\r\n"),
        BYTES("authentication-RESULTS \t:\r\n (c)\r\n \"mx.example.org\"\r\n ; dkim=pass\r\n"),
        BYTES("Authentication-Results: mx.example.org\r\n"),
    };
    struct bytes field;
    size_t count = 0;

    (void)state;
    while (results_field_next_ours(&header, ID, &field)) {
        CHECK_TRUE("no more than three", count < COUNT_OF(want));
        CHECK_BYTES("field", field, want[count]);
        count++;
    }
    CHECK_INT("three", count, COUNT_OF(want));
}

/* Above any line limit: still found. */
static void test_oversized(void **state)
{
    struct strbuf header;
    struct bytes rest, field;

    (void)state;
    strbuf_init(&header, 1 << 20);
    strbuf_add_text(&header, "Authentication-Results: ");
    for (size_t i = 0; i < 20000; i++) {
        strbuf_add_text(&header, i % 100 == 99 ? "(xx)\r\n " : "(xx) ");
    }
    strbuf_add_text(&header, "mx.example.org; spf=pass\r\n\r\n");
    rest = strbuf_bytes(&header);
    CHECK_TRUE("found", results_field_next_ours(&rest, ID, &field));
    CHECK_INT("whole", field.len, header.len - 2);
    strbuf_clear(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writing),      cmocka_unit_test(test_values),
        cmocka_unit_test(test_comments),     cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_received_spf), cmocka_unit_test(test_finding),
        cmocka_unit_test(test_removal),      cmocka_unit_test(test_oversized),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
