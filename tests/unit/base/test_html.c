#include "support/check.h"

#include "base/html.h"
#include "base/utf8.h"

static void check(const char *name, struct bytes text, const char *want)
{
    struct strbuf out;

    strbuf_init(&out, 4096);
    html_add(&out, text);
    CHECK_TEXT(name, strbuf_text(&out), want);
    strbuf_clear(&out);
}

static void test_text_of_strangers(void **state)
{
    (void)state;
    check("empty", BYTES(""), "");
    check("plain", BYTES("421 4.7.0 slow down\n\tplease"), "421 4.7.0 slow down\n\tplease");
    check("a tag", BYTES("<script>"), "&lt;script&gt;");
    check("out of an attribute", BYTES("\" onclick='a'`="),
          "&quot; onclick&#61;&#39;a&#39;&#96;&#61;");
    check("a reference", BYTES("&lt;"), "&amp;lt;");
    check("characters",
          BYTES("b\xC3\xBC"
                "cher \xE2\x82\xAC \xF0\x9F\x93\xAF"),
          "b\xC3\xBC"
          "cher \xE2\x82\xAC \xF0\x9F\x93\xAF");
    check("no character", BYTES("a\xFF\xC3<"), "a\xEF\xBF\xBD\xEF\xBF\xBD&lt;");
    check("cut in the middle", BYTES("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");
    check("controls", BYTES("a\0b\x1b[31m\x7f\r"),
          "a\xEF\xBF\xBD"
          "b\xEF\xBF\xBD[31m\xEF\xBF\xBD\xEF\xBF\xBD");
    check("C1", BYTES("\xC2\x9B"), "\xEF\xBF\xBD");
    check("turned around", BYTES("a\xE2\x80\xAEgnp.exe\xE2\x81\xA9\xD8\x9C\xE2\x80\x8F"),
          "a\xEF\xBF\xBDgnp.exe\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    check("dashes are no such marks", BYTES("\xE2\x80\x93\xE2\x80\xA6\xE2\x81\x84"),
          "\xE2\x80\x93\xE2\x80\xA6\xE2\x81\x84");
}

static void test_short(void **state)
{
    static const struct {
        const char *name;
        struct bytes text;
        size_t characters;
        const char *want;
    } cases[] = {
        {"fits", BYTES("abc"), 3, "abc"},
        {"one too many", BYTES("abcd"), 3, "abc\xE2\x80\xA6"},
        {"counted as characters", BYTES("\xC3\xBC<\xC3\xBC\xC3\xBC"), 3,
         "\xC3\xBC&lt;\xC3\xBC\xE2\x80\xA6"},
        {"nothing of something", BYTES("a"), 0, "\xE2\x80\xA6"},
        {"nothing of nothing", BYTES(""), 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf out;
        strbuf_init(&out, 4096);
        html_add_short(&out, cases[i].text, cases[i].characters);
        CHECK_TEXT(cases[i].name, strbuf_text(&out), cases[i].want);
        strbuf_clear(&out);
    }
}

static void test_query_value(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    html_add_query_value(&out, BYTES("<a+b@x-1.example>&=\0\xC3\xBC~_"));
    CHECK_TEXT("query", strbuf_text(&out), "%3Ca%2Bb%40x-1.example%3E%26%3D%00%C3%BC~_");
    strbuf_clear(&out);
}

/* Every octet, alone and in pairs: nothing that could open a tag or leave an attribute gets through, and
 * what comes out is UTF-8. */
static void test_no_octet_gets_through(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    for (unsigned i = 0; i < 65536; i++) {
        char pair[2] = {(char)(i >> 8), (char)i};
        strbuf_reset(&out);
        html_add(&out, bytes_of(pair, 2));
        if (strpbrk(strbuf_text(&out), "<>\"'`=") != NULL ||
            !utf8_is_valid(strbuf_bytes(&out)) || out.len == 0) {
            fail_msg("0x%04x becomes %s", i, strbuf_text(&out));
        }
    }
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_of_strangers),
        cmocka_unit_test(test_short),
        cmocka_unit_test(test_query_value),
        cmocka_unit_test(test_no_octet_gets_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
