#include "support/check.h"

#include "auth/dkim_body_length.h"

static void test_lengths(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes body;
        uint64_t simple, relaxed;
    } cases[] = {
        {"nothing", BYTES(""), 2, 0},
        {"one empty line", BYTES("\r\n"), 2, 0},
        {"empty lines", BYTES("\r\n\r\n\r\n"), 2, 0},
        {"one line", BYTES("a\r\n"), 3, 3},
        {"empty lines at the end", BYTES("a\r\n\r\n\r\n"), 3, 3},
        {"empty lines before", BYTES("\r\n\r\na\r\n"), 7, 7},
        {"empty lines between", BYTES("a\r\n\r\n\r\nb\r\n\r\n"), 10, 10},
        {"blank line at the end", BYTES("a\r\n \t\r\n"), 7, 3},
        {"only blank lines", BYTES(" \r\n\t\t\r\n"), 7, 0},
        {"blank line between", BYTES("a\r\n \r\nb\r\n"), 9, 8},
        {"blanks at the end of a line", BYTES("a \t \r\n"), 6, 3},
        {"blanks at its start", BYTES(" \ta\r\n"), 5, 4},
        {"blanks inside", BYTES("a \t b\r\n"), 7, 5},
        {"bare CR", BYTES("a\rb\r\n"), 5, 5},
        {"CR CR LF", BYTES("a\r\r\n"), 4, 4},
        {"bare LF", BYTES("a\nb\r\n"), 5, 5},
        {"NUL", BYTES("a\0b\r\n"), 5, 5},
        {"example of RFC 6376 3.4.5", BYTES(" C \r\nD \t E\r\n\r\n\r\n"), 12, 9},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dkim_body_length whole = {0}, single = {0};

        dkim_body_length_add(&whole, cases[i].body);
        for (size_t j = 0; j < cases[i].body.len; j++) {
            dkim_body_length_add(&single, bytes_of(cases[i].body.data + j, 1));
        }
        CHECK_INT(cases[i].name, dkim_body_length_simple(&whole), cases[i].simple);
        CHECK_INT(cases[i].name, dkim_body_length_relaxed(&whole), cases[i].relaxed);
        CHECK_INT(cases[i].name, dkim_body_length_simple(&single), cases[i].simple);
        CHECK_INT(cases[i].name, dkim_body_length_relaxed(&single), cases[i].relaxed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
