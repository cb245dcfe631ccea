#include "support/check.h"

#include "forward/reply_text.h"

static void strangers_words(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes foreign;
        size_t limit;
        const char *without, *want;
    } cases[] = {
        {"as it is",            BYTES("a b~ \"c\\\""),      100, "",     "a b~ \"c\\\""},
        {"line ends",           BYTES("a\r\n250 ok"),       100, "",     "a??250 ok"},
        {"NUL",                 BYTES("a\0b"),              100, "",     "a?b"},
        {"NUL, with a list",    BYTES("a\0b"),              100, "\"",   "a?b"},
        {"DEL and UTF-8",       BYTES("\x7f\xc3\xa4"),      100, "",     "???"},
        {"in quotes",           BYTES("a\"b\\c d"),         100, "\"\\", "a?b?c d"},
        {"one word",            BYTES("a b"),               100, " ",    "a?b"},
        {"cut",                 BYTES("abcdef"),            3,   "",     "abc"},
        {"empty",               BYTES(""),                  3,   "",     ""},
    };
    /* clang-format on */
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_BYTES(cases[i].name,
                    reply_text_clean(arena, cases[i].foreign, cases[i].limit, cases[i].without),
                    bytes_from_text(cases[i].want));
    }
    CHECK_BYTES("in its place", reply_text_make(arena, "what % is", BYTES("x")),
                BYTES("what x is"));
    CHECK_BYTES("the first place only", reply_text_make(arena, "%%", BYTES("x")), BYTES("x%"));
    CHECK_BYTES("no place", reply_text_make(arena, "what", BYTES("x")), BYTES("what"));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(strangers_words)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
