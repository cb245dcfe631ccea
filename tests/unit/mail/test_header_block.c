#include "support/check.h"

#include "mail/header_block.h"

static void test_length(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes message;
        size_t fields;
        size_t want;
    } cases[] = {
        {"plain", BYTES("A: 1\r\nB: 2\r\n\r\nbody\r\n"), 2, 12},
        {"folded", BYTES("A: 1\r\n 2\r\n\t3\r\nB: 2\r\n\r\n"), 2, 20},
        {"blank continuation is no end", BYTES("A: 1\r\n \r\nB: 2\r\n\r\n"), 2, 15},
        {"no body", BYTES("A: 1\r\n"), 1, 6},
        {"no header", BYTES("\r\nA: 1\r\n"), 0, 0},
        {"nothing", BYTES(""), 0, 0},
        {"a line that is no field", BYTES("A: 1\r\nhello\r\nB: 2\r\n"), 1, 6},
        {"starts folded", BYTES(" x: 1\r\nB: 2\r\n"), 0, 0},
        {"mbox line", BYTES("From a@b Mon\r\nB: 2\r\n"), 0, 0},
        {"blank before the colon", BYTES("A \t: 1\r\n\r\n"), 1, 8},
        {"blank inside the name", BYTES("A b: 1\r\n\r\n"), 0, 0},
        {"empty name", BYTES(": 1\r\n\r\n"), 0, 0},
        {"8-bit name", BYTES("\xc3\xa4: 1\r\n\r\n"), 0, 0},
        {"bare LF ends nothing", BYTES("A: 1\nB: 2\r\n\r\n"), 1, 11},
        {"bare LF LF", BYTES("A: 1\n\nB: 2\r\n\r\n"), 1, 12},
        {"bare LF first", BYTES("\nA: 1\r\n"), 0, 0},
        {"bare CR ends nothing", BYTES("A: 1\rB: 2\r\n\r\n"), 1, 11},
        {"cut off", BYTES("A: 1\r\nB: 2"), 2, 10},
        {"cut in the fold", BYTES("A: 1\r\n 2"), 1, 8},
        {"empty value", BYTES("A:\r\nB:\r\n\r\n"), 2, 8},
        {"NUL in the value", BYTES("A: \0\r\n\r\n"), 1, 6},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes rest = cases[i].message;
        struct header_field field;
        size_t fields = 0, octets = 0;

        while (header_field_next(&rest, &field)) {
            CHECK_TRUE(cases[i].name, field.whole.data == cases[i].message.data + octets);
            octets += field.whole.len;
            fields++;
        }
        CHECK_INT(cases[i].name, fields, cases[i].fields);
        CHECK_INT(cases[i].name, octets, cases[i].want);
        CHECK_INT(cases[i].name, header_block_length(cases[i].message), cases[i].want);
        CHECK_INT(cases[i].name, rest.len, cases[i].message.len - cases[i].want);
    }
}

static void test_parts(void **state)
{
    struct bytes rest = BYTES("Subject \t:  a\r\n\tb:c \r\nTo:x\r\n\r\n");
    struct header_field field;

    (void)state;
    CHECK_TRUE("first", header_field_next(&rest, &field));
    CHECK_BYTES("name", field.name, BYTES("Subject"));
    CHECK_BYTES("value", field.value, BYTES("  a\r\n\tb:c \r\n"));
    CHECK_BYTES("whole", field.whole, BYTES("Subject \t:  a\r\n\tb:c \r\n"));
    CHECK_TRUE("second", header_field_next(&rest, &field));
    CHECK_BYTES("name", field.name, BYTES("To"));
    CHECK_BYTES("value", field.value, BYTES("x\r\n"));
    CHECK_TRUE("end", !header_field_next(&rest, &field));
    CHECK_BYTES("rest", rest, BYTES("\r\n"));
}

static void test_find_and_count(void **state)
{
    struct bytes header = BYTES(
        "Received: 1\r\nRECEIVED: 2\r\nX-Received: 3\r\n received: 4\r\n\r\nReceived: 5\r\n");
    struct header_field field = {.name = BYTES("untouched")};

    (void)state;
    CHECK_INT("count", header_block_count(header, BYTES("received")), 2);
    CHECK_TRUE("not found", !header_block_find(header, BYTES("Receive"), &field));
    CHECK_BYTES("untouched", field.name, BYTES("untouched"));
    CHECK_TRUE("found", header_block_find(header, BYTES("x-received"), &field));
    CHECK_BYTES("value", field.value, BYTES(" 3\r\n received: 4\r\n"));
    CHECK_TRUE("first of two", header_block_find(header, BYTES("Received"), &field));
    CHECK_BYTES("value", field.value, BYTES(" 1\r\n"));
}

static void test_value(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes value;
        struct bytes want;
    } cases[] = {
        {"plain", BYTES(" a\r\n"), BYTES("a")},
        {"folded", BYTES(" a\r\n b\r\n\t c\r\n"), BYTES("a b\t c")},
        {"first line empty", BYTES("\r\n a\r\n"), BYTES("a")},
        {"empty", BYTES("\r\n"), BYTES("")},
        {"nothing", BYTES(""), BYTES("")},
        {"no bare line ends come through", BYTES(" a\nb\rc\r\n"), BYTES("abc")},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf out;

        strbuf_init(&out, 100);
        header_value_add(&out, cases[i].value);
        CHECK_BYTES(cases[i].name, strbuf_bytes(&out), cases[i].want);
        strbuf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_find_and_count),
        cmocka_unit_test(test_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
