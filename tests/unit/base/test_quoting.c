#include "support/check.h"

#include "base/quoting.h"

static void ends_are_found(void **state)
{
    /* clang-format off */
    static const struct {
        const char *text;
        size_t comment, string;
    } cases[] = {
        {"(a)b", 3, 0}, {"(a(b)c)d", 7, 0}, {"(a\\)b)c", 6, 0}, {"(a\\", 0, 0}, {"(", 0, 0},
        {"(a(b)", 0, 0}, {"()", 2, 0}, {"(\"))", 3, 0}, {"\"a\"b", 0, 3}, {"\"a\\\"b\"c", 0, 6},
        {"\"\"", 0, 2}, {"\"", 0, 0}, {"\"a\\", 0, 0}, {"\"(\"", 0, 3},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes text = bytes_from_text(cases[i].text);

        if (text.data[0] == '(') {
            CHECK_INT(cases[i].text, quoting_comment_length(text), cases[i].comment);
        } else {
            CHECK_INT(cases[i].text, quoting_string_length(text), cases[i].string);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ends_are_found)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
