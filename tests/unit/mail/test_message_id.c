#include "support/check.h"

#include "mail/message_id.h"

static void test_text(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        uint64_t id;
        const char *want;
    } cases[] = {
        {"zero", 0, "0000000000000"},
        {"one", 1, "0000000000001"},
        {"last digit", 31, "000000000000z"},
        {"carry", 32, "0000000000010"},
        {"largest", UINT64_MAX, "fzzzzzzzzzzzz"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct message_id_text text = message_id_text(cases[i].id);
        uint64_t back = 77;

        CHECK_TEXT(cases[i].name, text.text, cases[i].want);
        CHECK_TRUE(cases[i].name, message_id_parse(bytes_from_text(text.text), &back));
        CHECK_TRUE(cases[i].name, back == cases[i].id);
    }
}

static void test_parse(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes text;
        bool want;
        uint64_t id;
    } cases[] = {
        {"upper case", BYTES("000000000000Z"), true, 31},
        {"look-alikes", BYTES("OoOoOoOo000iL"), true, 33},
        {"u is no digit", BYTES("000000000000u"), false, 0},
        {"too large", BYTES("g000000000000"), false, 0},
        {"short", BYTES("000000000000"), false, 0},
        {"long", BYTES("00000000000000"), false, 0},
        {"empty", BYTES(""), false, 0},
        {"NUL inside", BYTES("000000\0" "000000"), false, 0},
        {"blank", BYTES("000000000000 "), false, 0},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t id = 0;

        CHECK_INT(cases[i].name, message_id_parse(cases[i].text, &id), cases[i].want);
        CHECK_TRUE(cases[i].name, id == cases[i].id);
    }
}

static void test_ids_only_grow(void **state)
{
    struct message_id_source source = {.loop = 5};
    uint64_t before = 0;

    (void)state;
    /* The clock stands still for more ids than the counter has, then goes back, then on. */
    for (int i = 0; i < 200000; i++) {
        int64_t clock = i < 150000   ? 1700000000000
                        : i < 160000 ? 1600000000000
                                     : 1700000000000 + i;
        uint64_t id = message_id_next(&source, clock);

        CHECK_TRUE("grows", id > before);
        CHECK_INT("loop", id >> 16 & 63, 5);
        before = id;
    }
    CHECK_INT("time", before >> 22, 1700000000000 + 199999);
}

static void test_loops_differ(void **state)
{
    struct message_id_source a = {.loop = 0}, b = {.loop = 63};

    (void)state;
    CHECK_TRUE("differ", message_id_next(&a, 1) != message_id_next(&b, 1));
    CHECK_TRUE("before 1970", message_id_next(&a, -1) > 0);
}

static void test_zero_clock(void **state)
{
    struct message_id_source source = {.loop = 0};
    uint64_t first = message_id_next(&source, 5);

    (void)state;
    CHECK_TRUE("counter", message_id_next(&source, 5) == first + 1);
    CHECK_TRUE("next millisecond", message_id_next(&source, 6) == (uint64_t)6 << 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),          cmocka_unit_test(test_parse),
        cmocka_unit_test(test_ids_only_grow), cmocka_unit_test(test_loops_differ),
        cmocka_unit_test(test_zero_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
