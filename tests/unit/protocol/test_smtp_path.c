#include "support/check.h"

#include "base/utf8.h"

#include "protocol/smtp_path.h"

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define A63 A60 "aaa"
#define A64 A60 "aaaa"
#define LABELS_185 A60 "." A60 "." A63
#define UTF8_NAME "\xd0\xb8\xd0\xbc\xd1\x8f"

enum { ASCII_ONLY, WITH_UTF8 };

/* clang-format off */
static const struct {
    const char *name;
    struct bytes input;
    bool allow_utf8;
    enum smtp_path_result want;
    struct bytes want_local, want_domain, want_written;
} CASES[] = {
    {"plain", BYTES("<a@b.example>"), 0, SMTP_PATH_OK, BYTES("a"), BYTES("b.example"), BYTES("<a@b.example>")},
    {"something behind", BYTES("<a@b> SIZE=1"), 0, SMTP_PATH_OK, BYTES("a"), BYTES("b"), BYTES("<a@b>")},
    {"null path", BYTES("<>"), 0, SMTP_PATH_OK, BYTES(""), BYTES(""), BYTES("<>")},
    {"bare postmaster", BYTES("<PostMaster>"), 0, SMTP_PATH_OK, BYTES("PostMaster"), BYTES(""), BYTES("<PostMaster>")},
    {"another bare name", BYTES("<root>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"no brackets", BYTES("a@b"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"nothing", BYTES(""), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"only an opening bracket", BYTES("<"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"no closing bracket", BYTES("<a@b"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"all of atext", BYTES("<!#$%&'*+-/=?^_`{|}~.0@b>"), 0, SMTP_PATH_OK, BYTES("!#$%&'*+-/=?^_`{|}~.0"), BYTES("b"), BYTES("<!#$%&'*+-/=?^_`{|}~.0@b>")},
    {"dot first", BYTES("<.a@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"dot last", BYTES("<a.@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"two dots", BYTES("<a..c@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"blank in the local part", BYTES("<a c@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"two at signs", BYTES("<a@b@c>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"no local part", BYTES("<@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"no domain", BYTES("<a@>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"NUL", BYTES("<a\0@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"NUL in quotes", BYTES("<\"a\0\"@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"quoted without need", BYTES("<\"abc\"@b>"), 0, SMTP_PATH_OK, BYTES("abc"), BYTES("b"), BYTES("<abc@b>")},
    {"quoted blank", BYTES("<\"a c\"@b>"), 0, SMTP_PATH_OK, BYTES("a c"), BYTES("b"), BYTES("<\"a c\"@b>")},
    {"quoted bracket and at", BYTES("<\"a>@c\"@b>"), 0, SMTP_PATH_OK, BYTES("a>@c"), BYTES("b"), BYTES("<\"a>@c\"@b>")},
    {"quoted pairs", BYTES("<\"\\a\\\"\\\\\"@b>"), 0, SMTP_PATH_OK, BYTES("a\"\\"), BYTES("b"), BYTES("<\"a\\\"\\\\\"@b>")},
    {"quoted dots", BYTES("<\"a..\"@b>"), 0, SMTP_PATH_OK, BYTES("a.."), BYTES("b"), BYTES("<\"a..\"@b>")},
    {"empty quotes", BYTES("<\"\"@b>"), 0, SMTP_PATH_OK, BYTES(""), BYTES("b"), BYTES("<\"\"@b>")},
    {"quotes not closed", BYTES("<\"a@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"backslash at the end", BYTES("<\"a\\"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"quotes then more", BYTES("<\"a\"c@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"tab in quotes", BYTES("<\"a\tc\"@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"CRLF in quotes", BYTES("<\"a\r\nc\"@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"quoted pair of a control octet", BYTES("<\"a\\\r\"@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"IPv4 literal", BYTES("<a@[192.0.2.1]>"), 0, SMTP_PATH_OK, BYTES("a"), BYTES("192.0.2.1"), BYTES("<a@[192.0.2.1]>")},
    {"IPv6 literal", BYTES("<a@[IPv6:2001:db8::1]>"), 0, SMTP_PATH_OK, BYTES("a"), BYTES("IPv6:2001:db8::1"), BYTES("<a@[IPv6:2001:db8::1]>")},
    {"literal without its end", BYTES("<a@[192.0.2.1"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"general literal", BYTES("<a@[x400:foo]>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"bad literal", BYTES("<a@[300.1.1.1]>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"empty literal", BYTES("<a@[]>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"source route", BYTES("<@x.example,@y:a@b>"), 0, SMTP_PATH_OK, BYTES("a"), BYTES("b"), BYTES("<a@b>")},
    {"source route without a mailbox", BYTES("<@x:>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"source route without at", BYTES("<@x,y:a@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"source route with a bad domain", BYTES("<@-x:a@b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"source route that ends", BYTES("<@x"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"percent hack is just a name", BYTES("<a%c@b>"), 0, SMTP_PATH_OK, BYTES("a%c"), BYTES("b"), BYTES("<a%c@b>")},
    {"underscore in the domain", BYTES("<a@_b.c_d>"), 0, SMTP_PATH_OK, BYTES("a"), BYTES("_b.c_d"), BYTES("<a@_b.c_d>")},
    {"trailing dot", BYTES("<a@b.>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"empty label", BYTES("<a@b..c>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"hyphen first", BYTES("<a@-b>"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"hyphen last", BYTES("<a@b->"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"label of 63", BYTES("<a@" A63 ">"), 0, SMTP_PATH_OK, BYTES("a"), BYTES(A63), BYTES("<a@" A63 ">")},
    {"label of 64", BYTES("<a@" A64 ">"), 0, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"local part of 64", BYTES("<" A64 "@b>"), 0, SMTP_PATH_OK, BYTES(A64), BYTES("b"), BYTES("<" A64 "@b>")},
    {"local part of 65", BYTES("<" A64 "a@b>"), 0, SMTP_PATH_TOO_LONG, BYTES(""), BYTES(""), BYTES("")},
    {"local part of 64 when decoded", BYTES("<\"" A63 "\\ \"@b>"), 0, SMTP_PATH_OK, BYTES(A63 " "), BYTES("b"), BYTES("<\"" A63 " \"@b>")},
    {"path of 256", BYTES("<" A64 "@" LABELS_185 ".aaa>"), 0, SMTP_PATH_OK, BYTES(A64), BYTES(LABELS_185 ".aaa"), BYTES("<" A64 "@" LABELS_185 ".aaa>")},
    {"path of 257", BYTES("<" A64 "@" LABELS_185 ".aaaa>"), 0, SMTP_PATH_TOO_LONG, BYTES(""), BYTES(""), BYTES("")},
    {"8 bit without UTF-8", BYTES("<" UTF8_NAME "@b>"), ASCII_ONLY, SMTP_PATH_SYNTAX, BYTES(""), BYTES(""), BYTES("")},
    {"UTF-8 names", BYTES("<" UTF8_NAME "@" UTF8_NAME ".example>"), WITH_UTF8, SMTP_PATH_OK, BYTES(UTF8_NAME), BYTES(UTF8_NAME ".example"), BYTES("<" UTF8_NAME "@" UTF8_NAME ".example>")},
    {"UTF-8 in quotes", BYTES("<\"" UTF8_NAME " x\"@b>"), WITH_UTF8, SMTP_PATH_OK, BYTES(UTF8_NAME " x"), BYTES("b"), BYTES("<\"" UTF8_NAME " x\"@b>")},
    {"not UTF-8", BYTES("<\xff@b>"), WITH_UTF8, SMTP_PATH_BAD_UTF8, BYTES(""), BYTES(""), BYTES("")},
    {"UTF-8 cut off", BYTES("<a@b\xd0>"), WITH_UTF8, SMTP_PATH_BAD_UTF8, BYTES(""), BYTES(""), BYTES("")},
};
/* clang-format on */

static void check_written(const char *name, const struct smtp_mailbox *mailbox,
                          struct bytes want)
{
    struct strbuf written;

    strbuf_init(&written, 1000);
    smtp_path_add(&written, mailbox);
    CHECK_BYTES(name, strbuf_bytes(&written), want);
    strbuf_clear(&written);
}

static void paths_are_parsed_and_written(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct smtp_mailbox mailbox;
        size_t used = 0;
        enum smtp_path_result result =
            smtp_path_parse(CASES[i].input, CASES[i].allow_utf8, arena, &mailbox, &used);

        CHECK_INT(CASES[i].name, result, CASES[i].want);
        if (result == SMTP_PATH_OK) {
            CHECK_BYTES(CASES[i].name, mailbox.local, CASES[i].want_local);
            CHECK_BYTES(CASES[i].name, mailbox.domain, CASES[i].want_domain);
            CHECK_INT(CASES[i].name, mailbox.is_utf8, CASES[i].allow_utf8);
            CHECK_INT(CASES[i].name, used, bytes_find_last(CASES[i].input, '>') + 1);
            check_written(CASES[i].name, &mailbox, CASES[i].want_written);
        }
    }
    arena_free(&arena);
}

static void mailboxes_fill_the_whole_input(void **state)
{
    static const struct {
        const char *text;
        bool long_local;
        enum smtp_path_result want;
    } MAILBOXES[] = {
        {"a@b.example", false, SMTP_PATH_OK},
        {"\"a b\"@b.example", false, SMTP_PATH_OK},
        {"a@b.example ", false, SMTP_PATH_SYNTAX},
        {"<a@b>", false, SMTP_PATH_SYNTAX},
        {"@x:a@b", false, SMTP_PATH_SYNTAX},
        {"postmaster", false, SMTP_PATH_SYNTAX},
        {"", false, SMTP_PATH_SYNTAX},
        {A64 "a@b", false, SMTP_PATH_TOO_LONG},
        {A64 "a@b", true, SMTP_PATH_OK},
    };
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(MAILBOXES); i++) {
        struct smtp_mailbox mailbox;

        CHECK_INT(MAILBOXES[i].text,
                  smtp_mailbox_parse(bytes_from_text(MAILBOXES[i].text), false,
                                     MAILBOXES[i].long_local, arena, &mailbox),
                  MAILBOXES[i].want);
    }
    arena_free(&arena);
}

static void mailboxes_are_compared(void **state)
{
    struct smtp_mailbox plain = {.local = BYTES("Ann"), .domain = BYTES("b.example")};
    struct smtp_mailbox other = plain;

    (void)state;
    other.domain = BYTES("B.EXAMPLE");
    CHECK_TRUE("case of the domain", smtp_mailbox_equal(&plain, &other));
    other.local = BYTES("ann");
    CHECK_TRUE("case of the local part", !smtp_mailbox_equal(&plain, &other));
    other = plain;
    other.is_literal = true;
    CHECK_TRUE("literal", !smtp_mailbox_equal(&plain, &other));
}

static void utf8_is_checked(void **state)
{
    static const struct {
        const char *name;
        struct bytes text;
        bool want;
    } TEXTS[] = {
        {"ascii", BYTES("abc"), true},
        {"empty", BYTES(""), true},
        {"two octets", BYTES("\xc3\xa9"), true},
        {"over-long slash", BYTES("\xc0\xaf"), false},
        {"over-long in three", BYTES("\xe0\x80\xaf"), false},
        {"surrogate", BYTES("\xed\xa0\x80"), false},
        {"last before the surrogates", BYTES("\xed\x9f\xbf"), true},
        {"four octets", BYTES("\xf0\x9f\x93\xa7"), true},
        {"above U+10FFFF", BYTES("\xf4\x90\x80\x80"), false},
        {"lone continuation", BYTES("\x80"), false},
        {"cut off", BYTES("\xf0\x9f\x93"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        CHECK_INT(TEXTS[i].name, utf8_is_valid(TEXTS[i].text), TEXTS[i].want);
    }
}

static void domains_are_checked(void **state)
{
    (void)state;
    CHECK_TRUE("plain", smtp_domain_is_valid(BYTES("a-b.example"), false));
    CHECK_TRUE("empty", !smtp_domain_is_valid(BYTES(""), false));
    CHECK_TRUE("literal", !smtp_domain_is_valid(BYTES("[192.0.2.1]"), false));
    CHECK_TRUE("blank", !smtp_domain_is_valid(BYTES("a b"), false));
    CHECK_TRUE("utf-8 not allowed", !smtp_domain_is_valid(BYTES(UTF8_NAME), false));
    CHECK_TRUE("utf-8 allowed", smtp_domain_is_valid(BYTES(UTF8_NAME), true));
    CHECK_TRUE("not utf-8", !smtp_domain_is_valid(BYTES("a\xff"), true));
    CHECK_TRUE("255", smtp_domain_is_valid(BYTES(LABELS_185 "." A60 ".aaaaaaaa"), false));
    CHECK_TRUE("256", !smtp_domain_is_valid(BYTES(LABELS_185 "." A60 ".aaaaaaaaa"), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_parsed_and_written),
        cmocka_unit_test(mailboxes_fill_the_whole_input),
        cmocka_unit_test(mailboxes_are_compared),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(domains_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
