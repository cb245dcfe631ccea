#include "support/check.h"

static const struct bytes NOTHING = {NULL, 0};

static void parts_of_views(void **state)
{
    struct bytes view = BYTES("abcdef");

    (void)state;
    CHECK_BYTES("first", bytes_first(view, 2), BYTES("ab"));
    CHECK_BYTES("first of too few", bytes_first(view, 9), view);
    CHECK_BYTES("skip", bytes_skip(view, 2), BYTES("cdef"));
    CHECK_INT("skip too many", bytes_skip(view, 9).len, 0);
    CHECK_INT("skip in nothing", bytes_skip(NOTHING, 9).len, 0);
    CHECK_BYTES("between", bytes_between(view, 1, 3), BYTES("bc"));
    CHECK_INT("between, turned around", bytes_between(view, 3, 1).len, 0);
    CHECK_BYTES("between, end too far", bytes_between(view, 4, 99), BYTES("ef"));
    CHECK_INT("text of NULL", bytes_from_text(NULL).len, 0);
}

static void comparisons(void **state)
{
    (void)state;
    CHECK_TRUE("equal", bytes_equal(BYTES("a\0b"), BYTES("a\0b")));
    CHECK_TRUE("behind a NUL", !bytes_equal(BYTES("a\0b"), BYTES("a\0c")));
    CHECK_TRUE("nothing", bytes_equal(NOTHING, BYTES("")));
    CHECK_TRUE("prefix is not equal", !bytes_equal(BYTES("ab"), BYTES("abc")));
    CHECK_TRUE("nocase", bytes_equal_nocase(BYTES("aZ[@"), BYTES("Az[@")));
    CHECK_TRUE("nocase folds letters only", !bytes_equal_nocase(BYTES("["), BYTES("{")));
    CHECK_TRUE("nocase leaves 8 bit alone", !bytes_equal_nocase(BYTES("\xc0"), BYTES("\xe0")));
    CHECK_TRUE("less", bytes_compare(BYTES("a"), BYTES("b")) < 0);
    CHECK_TRUE("8 bit is more", bytes_compare(BYTES("\xff"), BYTES("b")) > 0);
    CHECK_TRUE("prefix first", bytes_compare(BYTES("a"), BYTES("ab")) < 0);
    CHECK_INT("same", bytes_compare(BYTES("a"), BYTES("a")), 0);
    CHECK_INT("both nothing", bytes_compare(NOTHING, NOTHING), 0);
    CHECK_TRUE("starts", bytes_starts_with(BYTES("abc"), BYTES("ab")));
    CHECK_TRUE("starts, case", !bytes_starts_with(BYTES("abc"), BYTES("AB")));
    CHECK_TRUE("starts, nocase", bytes_starts_with_nocase(BYTES("abc"), BYTES("AB")));
    CHECK_TRUE("starts, too long", !bytes_starts_with(BYTES("a"), BYTES("ab")));
    CHECK_TRUE("ends", bytes_ends_with_nocase(BYTES("x.EXAMPLE"), BYTES(".example")));
    CHECK_TRUE("ends, too long", !bytes_ends_with_nocase(BYTES("a"), BYTES("ba")));
    CHECK_TRUE("constant time", bytes_equal_constant_time(BYTES("abc"), BYTES("abc")));
    CHECK_TRUE("constant time, last", !bytes_equal_constant_time(BYTES("abc"), BYTES("abd")));
    CHECK_TRUE("constant time, length", !bytes_equal_constant_time(BYTES("ab"), BYTES("abc")));
}

static void searches(void **state)
{
    (void)state;
    CHECK_INT("first", bytes_find(BYTES("a.b.c"), '.'), 1);
    CHECK_INT("last", bytes_find_last(BYTES("a.b.c"), '.'), 3);
    CHECK_INT("none", bytes_find(BYTES("abc"), '.'), 3);
    CHECK_INT("none from behind", bytes_find_last(BYTES("abc"), '.'), 3);
    CHECK_INT("in nothing", bytes_find(NOTHING, '.'), 0);
    CHECK_INT("8 bit", bytes_find(BYTES("a\xff"), '\xff'), 1);
    CHECK_INT("part", bytes_find_part(BYTES("aababc"), BYTES("abc")), 3);
    CHECK_INT("part at the start", bytes_find_part(BYTES("abc"), BYTES("ab")), 0);
    CHECK_INT("part at the end", bytes_find_part(BYTES("aab"), BYTES("ab")), 1);
    CHECK_INT("part cut off", bytes_find_part(BYTES("xab"), BYTES("abc")), 3);
    CHECK_INT("repeated start", bytes_find_part(BYTES("aaaab"), BYTES("aab")), 2);
    CHECK_INT("empty part", bytes_find_part(BYTES("a"), BYTES("")), 0);
    CHECK_INT("part longer than all", bytes_find_part(BYTES("a"), BYTES("ab")), 1);
}

static void cutting_and_trimming(void **state)
{
    struct bytes rest = BYTES("a=b=c");

    (void)state;
    CHECK_BYTES("cut", bytes_cut(&rest, '='), BYTES("a"));
    CHECK_BYTES("rest", rest, BYTES("b=c"));
    CHECK_BYTES("not there", bytes_cut(&rest, ';'), BYTES("b=c"));
    CHECK_INT("nothing left", rest.len, 0);
    CHECK_BYTES("trim", bytes_trim(BYTES(" \t\r\na b\n ")), BYTES("a b"));
    CHECK_INT("only blanks", bytes_trim(BYTES(" \t ")).len, 0);
}

static void decimal_numbers(void **state)
{
    static const struct {
        struct bytes text;
        bool want;
        uint64_t want_value;
    } CASES[] = {
        {BYTES("0"), true, 0},
        {BYTES("0042"), true, 42},
        {BYTES("18446744073709551615"), true, UINT64_MAX},
        {BYTES("18446744073709551616"), false, 0},
        {BYTES("99999999999999999999"), false, 0},
        {BYTES(""), false, 0},
        {BYTES("-1"), false, 0},
        {BYTES("+1"), false, 0},
        {BYTES(" 1"), false, 0},
        {BYTES("1x"), false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        uint64_t value = 0;

        CHECK_INT(CASES[i].text.data, bytes_to_u64(CASES[i].text, &value), CASES[i].want);
        if (CASES[i].want) {
            CHECK_TRUE(CASES[i].text.data, value == CASES[i].want_value);
        }
    }
}

static void ascii_is_told(void **state)
{
    (void)state;
    CHECK_TRUE("nothing", bytes_is_ascii(BYTES("")));
    CHECK_TRUE("all of it", bytes_is_ascii(BYTES("\0 ~\x7f")));
    CHECK_TRUE("128", !bytes_is_ascii(BYTES("a\x80")));
    CHECK_TRUE("255", !bytes_is_ascii(BYTES("\xff"
                                            "a")));
}

static void letters_are_folded(void **state)
{
    char text[] = "MiXed [\\]^_ \xC3\x84 @Z{";

    (void)state;
    bytes_fold(text, bytes_of(text, 2));
    assert_string_equal(text, "miXed [\\]^_ \xC3\x84 @Z{");
    bytes_fold(text, bytes_from_text(text));
    assert_string_equal(text, "mixed [\\]^_ \xC3\x84 @z{");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_views),     cmocka_unit_test(comparisons),
        cmocka_unit_test(searches),           cmocka_unit_test(cutting_and_trimming),
        cmocka_unit_test(decimal_numbers),    cmocka_unit_test(ascii_is_told),
        cmocka_unit_test(letters_are_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
