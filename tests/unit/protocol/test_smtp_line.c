#include "support/check.h"

#include "protocol/smtp_line.h"

static const struct {
    const char *name;
    struct bytes input;
    size_t limit;
    enum smtp_line_result want;
    struct bytes want_line;
    size_t want_used;
} CASES[] = {
    {"plain", BYTES("NOOP\r\nQUIT\r\n"), 512, SMTP_LINE_READY, BYTES("NOOP"), 6},
    {"empty line", BYTES("\r\n"), 512, SMTP_LINE_READY, BYTES(""), 2},
    {"nothing", BYTES(""), 512, SMTP_LINE_NEED_MORE, BYTES(""), 0},
    {"no end yet", BYTES("NOOP"), 512, SMTP_LINE_NEED_MORE, BYTES(""), 0},
    {"CR at the end of what is here", BYTES("NOOP\r"), 512, SMTP_LINE_NEED_MORE, BYTES(""), 0},
    {"bare LF", BYTES("NOOP\nX"), 512, SMTP_LINE_BARE_LF, BYTES(""), 5},
    {"only LF", BYTES("\n"), 512, SMTP_LINE_BARE_LF, BYTES(""), 1},
    {"bare CR", BYTES("NO\rOP\r\n"), 512, SMTP_LINE_BARE_CR, BYTES(""), 7},
    {"CR before CRLF", BYTES("NOOP\r\r\n"), 512, SMTP_LINE_BARE_CR, BYTES(""), 7},
    {"NUL", BYTES("STARTTLS\0\r\n"), 512, SMTP_LINE_NUL, BYTES(""), 11},
    {"exactly at the limit", BYTES("NOOP\r\n"), 6, SMTP_LINE_READY, BYTES("NOOP"), 6},
    {"one over the limit", BYTES("NOOPS\r\n"), 6, SMTP_LINE_TOO_LONG, BYTES(""), 6},
    {"LF just behind the limit", BYTES("NOOPSS\n"), 6, SMTP_LINE_TOO_LONG, BYTES(""), 6},
};

static void lines_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct bytes line = BYTES("");
        size_t used = 0;

        CHECK_INT(CASES[i].name, smtp_line_next(CASES[i].input, CASES[i].limit, &line, &used),
                  CASES[i].want);
        CHECK_BYTES(CASES[i].name, line, CASES[i].want_line);
        CHECK_INT(CASES[i].name, used, CASES[i].want_used);
    }
}

/* The first answer that is not NEED_MORE is the same, however few octets arrive at a time. */
static void cuts_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        enum smtp_line_result result = SMTP_LINE_NEED_MORE;
        struct bytes line = BYTES("");
        size_t used = 0;

        for (size_t len = 0; len <= CASES[i].input.len && result == SMTP_LINE_NEED_MORE;
             len++) {
            result =
                smtp_line_next(bytes_first(CASES[i].input, len), CASES[i].limit, &line, &used);
        }
        CHECK_INT(CASES[i].name, result, CASES[i].want);
        CHECK_BYTES(CASES[i].name, line, CASES[i].want_line);
        CHECK_INT(CASES[i].name, used, CASES[i].want_used);
    }
}

static void rest_of_a_long_line_is_skipped(void **state)
{
    bool found;

    (void)state;
    CHECK_INT("to LF", smtp_line_skip(BYTES("xxx\r\nQUIT\r\n"), &found), 5);
    CHECK_TRUE("to LF", found);
    CHECK_INT("no LF", smtp_line_skip(BYTES("xxx"), &found), 3);
    CHECK_TRUE("no LF", !found);
    CHECK_INT("nothing", smtp_line_skip(BYTES(""), &found), 0);
    CHECK_TRUE("nothing", !found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found),
        cmocka_unit_test(cuts_do_not_matter),
        cmocka_unit_test(rest_of_a_long_line_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
