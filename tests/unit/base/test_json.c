#include "support/check.h"

#include "base/json.h"
#include "base/utf8.h"

static void members_are_separated(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 1000);
    json_open_object(&out, NULL);
    json_text(&out, "text", BYTES("{["));
    json_open_array(&out, "list");
    json_text(&out, NULL, BYTES("a,"));
    json_number(&out, NULL, -3);
    json_open_object(&out, NULL);
    json_close_object(&out);
    json_open_array(&out, NULL);
    json_close_array(&out);
    json_close_array(&out);
    json_bool(&out, "yes", true);
    json_words(&out, "none", NULL);
    json_time(&out, "at", 0);
    json_close_object(&out);
    assert_string_equal(
        strbuf_text(&out),
        "{\"text\":\"{[\",\"list\":[\"a,\",-3,{},[]],\"yes\":true,\"none\":null,"
        "\"at\":\"1970-01-01T00:00:00.000Z\"}");
    strbuf_clear(&out);
}

static void texts_of_strangers(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes text;
        const char *json, *printable;
    } cases[] = {
        {"plain",                    BYTES("abc"),              "\"abc\"",              "abc"},
        {"empty",                    BYTES(""),                 "\"\"",                 ""},
        {"quotes and backslash",     BYTES("a\"\\"),            "\"a\\\"\\\\\"",        "a\"\\"},
        {"controls and NUL",         BYTES("\0\x1b\x7f\n"),     "\"\\u0000\\u001b\\u007f\\u000a\"", "\\x00\\x1b\\x7f\\x0a"},
        {"a C1 control in UTF-8",    BYTES("\xc2\x9b"),         "\"\\u009b\"",          "\\xc2\\x9b"},
        {"two, three, four octets",  BYTES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"marks that turn direction", BYTES("a\xe2\x80\xaez\xd8\x9c\xe2\x81\xa6"), "\"a\xe2\x80\xaez\xd8\x9c\xe2\x81\xa6\"", "a\\xe2\\x80\\xaez\\xd8\\x9c\\xe2\\x81\\xa6"},
        {"an octet that is no UTF-8", BYTES("a\xe4z"),          "\"a\xef\xbf\xbdz\"",   "a\\xe4z"},
        {"overlong",                 BYTES("\xc0\xaf"),         "\"\xef\xbf\xbd\xef\xbf\xbd\"", "\\xc0\\xaf"},
        {"half of a pair",           BYTES("\xed\xa0\x80"),     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "\\xed\\xa0\\x80"},
        {"cut off",                  BYTES("\xe2\x82"),         "\"\xef\xbf\xbd\xef\xbf\xbd\"", "\\xe2\\x82"},
        {"beyond the last",          BYTES("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "\\xf4\\x90\\x80\\x80"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf out;

        strbuf_init(&out, 1000);
        json_text(&out, NULL, cases[i].text);
        CHECK_TEXT(cases[i].name, strbuf_text(&out), cases[i].json);
        strbuf_reset(&out);
        utf8_add_printable(&out, cases[i].text);
        CHECK_TEXT(cases[i].name, strbuf_text(&out), cases[i].printable);
        strbuf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_separated),
        cmocka_unit_test(texts_of_strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
