#include "support/check.h"

#include "mail/header_block.h"
#include "mail/trace_field.h"

static const struct received_facts usual = {
    .helo = {"mail.example.net", 16},
    .client_name = {"out.example.net", 15},
    .client = {IP_V4, {192, 0, 2, 7}},
    .our_name = {"mx.example.org", 14},
    .protocol = {"ESMTP", 5},
    .id = {"0123456789abc", 13},
    .recipient = {"info@example.org", 16},
    .unix_seconds = 1795299990,
};

static void test_received(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    trace_field_add_received(&out, &usual);
    CHECK_BYTES("usual", strbuf_bytes(&out),
                BYTES("Received: from mail.example.net (out.example.net [192.0.2.7])\r\n"
                      "\tby mx.example.org with ESMTP id 0123456789abc\r\n"
                      "\tfor <info@example.org>;\r\n"
                      "\tSat, 21 Nov 2026 22:26:30 +0000\r\n"));
    strbuf_clear(&out);
}

static void test_received_over_tls(void **state)
{
    struct received_facts facts = usual;
    struct strbuf out;

    (void)state;
    facts.protocol = BYTES("ESMTPS");
    facts.tls_version = BYTES("TLSv1.3");
    facts.tls_cipher = BYTES("TLS_AES_256_GCM_SHA384");
    strbuf_init(&out, 4096);
    trace_field_add_received(&out, &facts);
    CHECK_BYTES("TLS", strbuf_bytes(&out),
                BYTES("Received: from mail.example.net (out.example.net [192.0.2.7])\r\n"
                      "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
                      "\tby mx.example.org with ESMTPS id 0123456789abc\r\n"
                      "\tfor <info@example.org>;\r\n"
                      "\tSat, 21 Nov 2026 22:26:30 +0000\r\n"));
    strbuf_clear(&out);
}

static void test_received_of_strange_clients(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes helo, client_name, recipient, protocol;
        struct bytes want_start, want_for;
    } cases[] = {
        {"no names", BYTES(""), BYTES(""), BYTES(""), BYTES("SMTP"),
         BYTES("Received: from unknown (unknown [IPv6:2001:db8::1])\r\n\tby "), BYTES("abc;\r\n\t")},
        {"address literal", BYTES("[192.0.2.9]"), BYTES(""), BYTES("a@b.example"), BYTES("ESMTP"),
         BYTES("Received: from [192.0.2.9] (unknown ["), BYTES("abc\r\n\tfor <a@b.example>;\r\n\t")},
        {"a field of its own", BYTES("x\r\nReceived: from y"), BYTES(""), BYTES(""), BYTES("SMTP"),
         BYTES("Received: from x??Received:?from?y (unknown ["), BYTES("abc;\r\n")},
        {"comment and clause", BYTES("a) by b; (\\"), BYTES("c(d"), BYTES(""), BYTES("SMTP"),
         BYTES("Received: from a??by?b???? (c?d ["), BYTES("abc;\r\n")},
        {"8-bit greeting", BYTES("\xc3\xa4.example"), BYTES(""), BYTES(""), BYTES("UTF8SMTP"),
         BYTES("Received: from ??.example (unknown ["), BYTES("abc;\r\n")},
        {"UTF-8 recipient", BYTES("a"), BYTES(""), BYTES("j\xc3\xb6@b.example"), BYTES("UTF8SMTP"),
         BYTES("Received: from a ("), BYTES("abc\r\n\tfor <j\xc3\xb6@b.example>;")},
        {"8-bit recipient in an ASCII message", BYTES("a"), BYTES(""), BYTES("j\xc3\xb6@b.example"),
         BYTES("ESMTP"), BYTES("Received: from a ("), BYTES("abc;\r\n")},
        {"line end in the recipient", BYTES("a"), BYTES(""), BYTES("j\r\n@b.example"),
         BYTES("ESMTP"), BYTES("Received: from a ("), BYTES("abc;\r\n")},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct received_facts facts = usual;
        struct header_field field;
        struct bytes rest;
        struct strbuf out;

        facts.helo = cases[i].helo;
        facts.client_name = cases[i].client_name;
        facts.recipient = cases[i].recipient;
        facts.protocol = cases[i].protocol;
        facts.client = (struct ip_address){IP_V6, {0x20, 1, 0xd, 0xb8, [15] = 1}};
        strbuf_init(&out, 4096);
        trace_field_add_received(&out, &facts);
        CHECK_BYTES(cases[i].name, bytes_first(strbuf_bytes(&out), cases[i].want_start.len),
                    cases[i].want_start);
        CHECK_TRUE(cases[i].name,
                   bytes_find_part(strbuf_bytes(&out), cases[i].want_for) < out.len);
        rest = strbuf_bytes(&out);
        CHECK_TRUE(cases[i].name, header_field_next(&rest, &field));
        CHECK_INT(cases[i].name, rest.len, 0);
        strbuf_clear(&out);
    }
}

static void test_received_is_bounded(void **state)
{
    static char many[5000];
    struct received_facts facts = usual;
    struct strbuf out;

    (void)state;
    memset(many, 'x', sizeof many);
    facts.helo = bytes_of(many, sizeof many);
    facts.client_name = facts.helo;
    facts.recipient = facts.helo;
    strbuf_init(&out, 4096);
    trace_field_add_received(&out, &facts);
    CHECK_TRUE("bounded", !out.overflowed && out.len < 998);
    strbuf_clear(&out);
}

static void test_loop_mark(void **state)
{
    struct bytes secret = BYTES("0123456789abcdef");
    struct loop_mark info = trace_field_loop_mark(secret, BYTES("info@example.org"));
    struct loop_mark shouted = trace_field_loop_mark(secret, BYTES("INFO@Example.ORG"));
    struct loop_mark other = trace_field_loop_mark(secret, BYTES("anna@example.org"));
    struct loop_mark stranger =
        trace_field_loop_mark(BYTES("0123456789abcdeF"), BYTES("info@example.org"));

    (void)state;
    CHECK_INT("length", strlen(info.text), LOOP_MARK_LENGTH);
    CHECK_TEXT("case", shouted.text, info.text);
    CHECK_TRUE("address", strcmp(other.text, info.text) != 0);
    CHECK_TRUE("secret", strcmp(stranger.text, info.text) != 0);
}

static void test_loop_field(void **state)
{
    struct loop_mark marks[20], absent;
    struct strbuf out;
    struct bytes secret = BYTES("0123456789abcdef");
    struct header_field field;
    struct bytes rest;

    (void)state;
    strbuf_init(&out, 4096);
    strbuf_add_text(&out, "Subject: before\r\n");
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        char digit = (char)('a' + i);

        marks[i] = trace_field_loop_mark(secret, bytes_of(&digit, 1));
    }
    absent = trace_field_loop_mark(secret, BYTES("absent"));
    trace_field_add_loop(&out, BYTES("mx.example.org"), marks, COUNT_OF(marks));
    rest = strbuf_bytes(&out);
    CHECK_TRUE("subject", header_field_next(&rest, &field));
    CHECK_TRUE("mark", header_field_next(&rest, &field));
    CHECK_BYTES("name", field.name, BYTES("X-Postilion-Loop"));
    CHECK_INT("one field", rest.len, 0);
    CHECK_TRUE("folded", bytes_find_part(field.value, BYTES("\r\n\t")) < 80);
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        CHECK_TRUE("found", trace_field_has_loop_mark(strbuf_bytes(&out), &marks[i]));
    }
    CHECK_TRUE("absent", !trace_field_has_loop_mark(strbuf_bytes(&out), &absent));
    strbuf_add_text(&out, "\r\nX-Postilion-Loop: mx ");
    strbuf_add_text(&out, absent.text);
    strbuf_add_text(&out, "\r\n");
    CHECK_TRUE("not in the body", !trace_field_has_loop_mark(strbuf_bytes(&out), &absent));
    strbuf_clear(&out);
}

static void test_loop_field_form(void **state)
{
    struct loop_mark mark = {"ABCDEFGHIJKLMNOP"};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    trace_field_add_loop(&out, BYTES("mx.example.org"), &mark, 1);
    CHECK_BYTES("form", strbuf_bytes(&out),
                BYTES("X-Postilion-Loop: mx.example.org ABCDEFGHIJKLMNOP\r\n"));
    CHECK_TRUE(
        "part of a word is no mark",
        !trace_field_has_loop_mark(BYTES("X-Postilion-Loop: m xABCDEFGHIJKLMNOP\r\n"), &mark));
    strbuf_clear(&out);
}

static void test_any_loop_mark(void **state)
{
    (void)state;
    CHECK_TRUE("somebody's",
               trace_field_has_loop_marks(BYTES("From: a\r\nX-postilion-LOOP: m x\r\n")));
    CHECK_TRUE("none", !trace_field_has_loop_marks(BYTES("From: a\r\nX-Loop: m x\r\n")));
    CHECK_TRUE("empty", !trace_field_has_loop_marks(BYTES("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_loop_mark),
        cmocka_unit_test(test_received),
        cmocka_unit_test(test_received_over_tls),
        cmocka_unit_test(test_received_of_strange_clients),
        cmocka_unit_test(test_received_is_bounded),
        cmocka_unit_test(test_loop_mark),
        cmocka_unit_test(test_loop_field),
        cmocka_unit_test(test_loop_field_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
