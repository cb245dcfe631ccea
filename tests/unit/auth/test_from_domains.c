#include "support/check.h"

#include "auth/from_domains.h"
#include "auth/idn_domain.h"
#include "base/strbuf.h"

#include <stdlib.h>

static struct arena *arena;

/* "one.example two.example" */
static struct bytes list_of(const struct from_domains *found)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, 4096);
    for (size_t i = 0; i < found->count; i++) {
        strbuf_addf(&text, "%s" BYTES_FMT, i == 0 ? "" : " ", BYTES_ARG(found->domains[i]));
    }
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static void test_grammar(void **state)
{
    /* clang-format off */
    static const struct {
        const char *value;
        enum from_result want;
        const char *domains;
    } cases[] = {
        /* RFC 5322 §3.4 and appendix A */
        {" a@b.example\r\n", FROM_ONE_DOMAIN, "b.example"},
        {"a@B.Example", FROM_ONE_DOMAIN, "b.example"},
        {"John Doe <jdoe@machine.example>", FROM_ONE_DOMAIN, "machine.example"},
        {"\"Joe Q. Public\" <john.q.public@example.com>", FROM_ONE_DOMAIN, "example.com"},
        {"\"boss@bank.example\" <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"\"x\\\" <boss@bank.example>\" <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"\"a@c.example\"@b.example", FROM_ONE_DOMAIN, "b.example"},
        {"<\"a>@c.example\"@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", FROM_ONE_DOMAIN, "silly.test"},
        {"(boss@bank.example) a@b.example (c@d.example (e@f.example))", FROM_ONE_DOMAIN, "b.example"},
        {"(x (y) boss@bank.example) a@b.example", FROM_ONE_DOMAIN, "b.example"},
        {"a@b.example, c@d.example", FROM_SEVERAL_DOMAINS, "b.example d.example"},
        {"a@b.example, Other <c@B.EXAMPLE>", FROM_ONE_DOMAIN, "b.example"},
        {"A Group:Ed Jones <joe@where.test>,joe@here.test;", FROM_SEVERAL_DOMAINS, "where.test here.test"},
        {"A Group: a@b.example;", FROM_ONE_DOMAIN, "b.example"},
        {"Undisclosed recipients:;", FROM_NO_DOMAIN, ""},
        {"(nobody) Undisclosed:(c);", FROM_NO_DOMAIN, ""},
        /* folding */
        {" =?utf-8?q?J=C3=B6rg?=\r\n\t<a@b.example>\r\n", FROM_ONE_DOMAIN, "b.example"},
        {" a\r\n @\r\n b\r\n .example\r\n", FROM_ONE_DOMAIN, "b.example"},
        /* obsolete forms, RFC 5322 §4.4 */
        {"<@relay.example,@hop.example:a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"<,@hop.example:a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"Mary Smith <mary @ b . example>", FROM_ONE_DOMAIN, "b.example"},
        {"a.\"b c\".d@b.example", FROM_ONE_DOMAIN, "b.example"},
        {"a@b(x).(y)example", FROM_ONE_DOMAIN, "b.example"},
        {",, a@b.example ,", FROM_ONE_DOMAIN, "b.example"},
        {"Joe Q. Public <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"<a@b.example.>", FROM_ONE_DOMAIN, "b.example"},
        /* encoded words are no addresses */
        {"=?utf-8?q?Foo,_Inc.?= <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"=?utf-8?q?boss=40bank.example?= <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"=?utf-8?q?Foo_(Bar?= <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"=?utf-8?q?<boss@bank.example>?= <a@b.example>", FROM_SEVERAL_DOMAINS, "bank.example b.example"},
        /* looser than the grammar, seen in mail */
        {"a@b.example <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"boss@bank.example <a@b.example>", FROM_SEVERAL_DOMAINS, "bank.example b.example"},
        {"<a@b.example> <c@d.example>", FROM_SEVERAL_DOMAINS, "b.example d.example"},
        {"<a@b.example> c@d.example", FROM_SEVERAL_DOMAINS, "b.example d.example"},
        {"Foo, Inc. <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"[List] Name <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"Sale @ 50% <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"@handle <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"a@b.example; c@d.example", FROM_SEVERAL_DOMAINS, "b.example d.example"},
        {"A Group: a@b.example", FROM_ONE_DOMAIN, "b.example"},
        {"J\xc3\xb6rg <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        {"J\xf6rg <a@b.example>", FROM_ONE_DOMAIN, "b.example"},
        /* nobody's domain */
        {"", FROM_NO_DOMAIN, ""},
        {"\r\n", FROM_NO_DOMAIN, ""},
        {"<>", FROM_NO_DOMAIN, ""},
        {"root", FROM_NO_DOMAIN, ""},
        {"root (Cron Daemon)", FROM_NO_DOMAIN, ""},
        {"Cron <root>", FROM_NO_DOMAIN, ""},
        {"a@[192.0.2.1]", FROM_NO_DOMAIN, ""},
        {"<a@[IPv6:2001:db8::1]>", FROM_NO_DOMAIN, ""},
        {"a@localhost", FROM_ONE_DOMAIN, "localhost"},
        /* internationalised, RFC 6532: U-labels, A-labels, dots of other scripts */
        {"a@b\xc3\xbc" "cher.example", FROM_ONE_DOMAIN, "xn--bcher-kva.example"},
        {"<\xc3\xa4@B\xc3\x9c" "CHER.example>", FROM_ONE_DOMAIN, "xn--bcher-kva.example"},
        {"a@bu\xcc\x88" "cher.example", FROM_ONE_DOMAIN, "xn--bcher-kva.example"},
        {"a@stra\xc3\x9f" "e.example", FROM_ONE_DOMAIN, "xn--strae-oqa.example"},
        {"a@XN--Bcher-KVA.example, b@b\xc3\xbc" "cher.example", FROM_ONE_DOMAIN, "xn--bcher-kva.example"},
        {"a@b\xe3\x80\x82" "example", FROM_ONE_DOMAIN, "b.example"},
        {"a@\xef\xbd\x82.example", FROM_ONE_DOMAIN, "b.example"},
        /* malformed */
        {"a@b\xfc" "cher.example", FROM_MALFORMED, ""},
        {"a@", FROM_MALFORMED, ""},
        {"a@.example", FROM_MALFORMED, ""},
        {"a@b..example", FROM_MALFORMED, ""},
        {"<a@-b.example>", FROM_MALFORMED, ""},
        {"<a@b!.example>", FROM_MALFORMED, ""},
        {"@bank.example", FROM_MALFORMED, ""},
        {"a@b@c.example", FROM_MALFORMED, "b"},
        {"<a@b.example@c.example>", FROM_MALFORMED, "b.example"},
        {"<@c.example>", FROM_MALFORMED, ""},
        {"<a@b.example", FROM_MALFORMED, "b.example"},
        {"<<a@b.example>>", FROM_MALFORMED, ""},
        {"<a@b.example>>", FROM_MALFORMED, "b.example"},
        {"\"a <a@b.example>", FROM_MALFORMED, ""},
        {"\"a\\\" <a@b.example>", FROM_MALFORMED, ""},
        {"(a <a@b.example>", FROM_MALFORMED, ""},
        {"a@[192.0.2.1", FROM_MALFORMED, ""},
        {"a\nb@c.example", FROM_MALFORMED, ""},
        {"a@b.example\rc@d.example", FROM_MALFORMED, ""},
        {"a@a.example,a@b.example,a@c.example,a@d.example,a@e.example,a@f.example,a@g.example,"
         "a@h.example,a@i.example", FROM_MALFORMED,
         "a.example b.example c.example d.example e.example f.example g.example h.example"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes value = bytes_from_text(cases[i].value);
        struct from_domains found;

        CHECK_INT(cases[i].value, from_domains_parse(value, arena, &found), cases[i].want);
        CHECK_INT(cases[i].value, found.result, cases[i].want);
        CHECK_BYTES(cases[i].value, list_of(&found), bytes_from_text(cases[i].domains));
        CHECK_INT(cases[i].value, found.why != NULL, cases[i].want == FROM_MALFORMED);
        arena_reset(arena);
    }
}

static void test_fields(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes header;
        enum from_result want;
        size_t fields;
        const char *domains;
    } cases[] = {
        {"one", BYTES("To: x@y.example\r\nFrom: a@b.example\r\n"), FROM_ONE_DOMAIN, 1, "b.example"},
        {"blank before the colon", BYTES("fRoM \t: a@b.example\r\n"), FROM_ONE_DOMAIN, 1, "b.example"},
        {"none", BYTES("To: x@y.example\r\nX-From: a@b.example\r\n"), FROM_NO_DOMAIN, 0, ""},
        {"two", BYTES("From: a@b.example\r\nFrom: a@c.example\r\n"), FROM_SEVERAL_FIELDS, 2, "b.example c.example"},
        {"two with the same domain", BYTES("From: a@b.example\r\nFROM: a@b.example\r\n"), FROM_SEVERAL_FIELDS, 2, "b.example"},
        {"two, one malformed", BYTES("From: <a@b.example\r\nFrom: a@c.example\r\n"), FROM_SEVERAL_FIELDS, 2, "b.example c.example"},
        {"in the body", BYTES("From: a@b.example\r\n\r\nFrom: a@c.example\r\n"), FROM_ONE_DOMAIN, 1, "b.example"},
        {"NUL", BYTES("From: a@b.example\0c.example\r\n"), FROM_MALFORMED, 1, ""},
        {"NUL in a name", BYTES("From: \"x\0y\" <a@b.example>\r\n"), FROM_MALFORMED, 1, ""},
        {"Resent-From is another field", BYTES("Resent-From: a@c.example\r\nFrom: a@b.example\r\n"), FROM_ONE_DOMAIN, 1, "b.example"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct from_domains found;

        CHECK_INT(cases[i].name, from_domains_read(cases[i].header, arena, &found),
                  cases[i].want);
        CHECK_INT(cases[i].name, found.fields, cases[i].fields);
        CHECK_BYTES(cases[i].name, list_of(&found), bytes_from_text(cases[i].domains));
        CHECK_TRUE(cases[i].name, from_result_text(found.result)[0] != '\0');
        arena_reset(arena);
    }
}

/* Depth and length cost neither stack nor time beyond their octets. */
static void test_limits(void **state)
{
    struct from_domains found;
    struct strbuf value;

    (void)state;
    strbuf_init(&value, FROM_FIELD_LIMIT + 1);
    for (size_t i = 0; i < 30000; i++) {
        strbuf_add_char(&value, '(');
    }
    for (size_t i = 0; i < 30000; i++) {
        strbuf_add_char(&value, ')');
    }
    strbuf_add_text(&value, "a@b.example");
    CHECK_INT("deep comment", from_domains_parse(strbuf_bytes(&value), arena, &found),
              FROM_ONE_DOMAIN);
    while (value.len < FROM_FIELD_LIMIT) {
        strbuf_add_char(&value, ' ');
    }
    CHECK_INT("at the limit", from_domains_parse(strbuf_bytes(&value), arena, &found),
              FROM_ONE_DOMAIN);
    strbuf_add_char(&value, ' ');
    CHECK_INT("one over", from_domains_parse(strbuf_bytes(&value), arena, &found),
              FROM_MALFORMED);
    strbuf_reset(&value);
    strbuf_add_text(&value, "a@");
    for (size_t i = 0; i < 20000; i++) {
        strbuf_add_text(&value, "x.");
    }
    CHECK_INT("long domain", from_domains_parse(strbuf_bytes(&value), arena, &found),
              FROM_MALFORMED);
    strbuf_clear(&value);
}

static void test_idn_domain(void **state)
{
    /* clang-format off */
    static const struct {
        struct bytes domain;
        const char *want; /* NULL: refused */
    } cases[] = {
        {BYTES("Example.COM"), "example.com"},
        {BYTES("example.com."), "example.com"},
        {BYTES("_x.example.com"), "_x.example.com"},
        {BYTES(""), NULL},
        {BYTES("."), NULL},
        {BYTES("a..b"), NULL},
        {BYTES("a b"), NULL},
        {BYTES("a\0b"), NULL},
        {BYTES("\xc3\xbc\0b"), NULL},
        {BYTES("\xff.example"), NULL},
        {BYTES("\xc3\xbc.example."), "xn--tda.example"},
        {BYTES("x/y\xc3\xbc.example"), NULL},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes ascii;
        bool is_good = idn_domain_to_ascii(cases[i].domain, arena, &ascii);

        CHECK_INT(cases[i].domain.data, is_good, cases[i].want != NULL);
        CHECK_BYTES(cases[i].domain.data, ascii, bytes_from_text(cases[i].want));
    }
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_idn_domain),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
