#include "support/check.h"

#include "base/strbuf.h"

static void text_is_put_together(void **state)
{
    struct strbuf buf;

    (void)state;
    strbuf_init(&buf, 100);
    CHECK_TEXT("empty", strbuf_text(&buf), "");
    strbuf_add(&buf, BYTES("a\0b"));
    strbuf_add_char(&buf, 'c');
    strbuf_add_text(&buf, "de");
    strbuf_add_u64(&buf, 0);
    strbuf_add_u64(&buf, UINT64_MAX);
    strbuf_addf(&buf, "%d-%s", -5, "x");
    CHECK_BYTES("all", strbuf_bytes(&buf), BYTES("a\0bcde018446744073709551615-5-x"));
    CHECK_INT("NUL behind it", buf.data[buf.len], 0);
    strbuf_drop_first(&buf, 3);
    strbuf_truncate(&buf, 2);
    CHECK_TEXT("cut at both ends", strbuf_text(&buf), "cd");
    strbuf_drop_first(&buf, 99);
    CHECK_INT("all dropped", buf.len, 0);
    strbuf_clear(&buf);
    CHECK_TEXT("usable after clear", strbuf_text(&buf), "");
    CHECK_INT("limit kept", buf.limit, 100);
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
    struct strbuf buf;

    (void)state;
    strbuf_init(&buf, 5);
    strbuf_add_text(&buf, "abc");
    strbuf_add_text(&buf, "def");
    CHECK_TEXT("not half of it", strbuf_text(&buf), "abc");
    CHECK_TRUE("told", buf.overflowed);
    strbuf_add_text(&buf, "de");
    CHECK_TRUE("still told", buf.overflowed);
    strbuf_addf(&buf, "%d", 1);
    strbuf_add(&buf, BYTES(""));
    CHECK_INT("exactly full", buf.len, 5);
    strbuf_reset(&buf);
    CHECK_TRUE("forgotten on reset", !buf.overflowed && buf.len == 0);
    strbuf_add_text(&buf, "abcde");
    CHECK_TRUE("exactly the limit", !buf.overflowed && buf.len == 5);
    strbuf_clear(&buf);
}

static void it_grows_octet_by_octet(void **state)
{
    struct strbuf buf;

    (void)state;
    strbuf_init(&buf, 10000);
    for (int i = 0; i < 10000; i++) {
        strbuf_add_char(&buf, (char)('a' + i % 26));
    }
    CHECK_TRUE("all of it", buf.len == 10000 && !buf.overflowed);
    CHECK_INT("the last", buf.data[9999], 'a' + 9999 % 26);
    strbuf_add_char(&buf, 'x');
    CHECK_TRUE("one too many", buf.len == 10000 && buf.overflowed);
    strbuf_clear(&buf);
}

/* Formatted text may come first into an empty buffer and must make room by itself. */
static void formatted_text_makes_its_own_room(void **state)
{
    struct strbuf buf;

    (void)state;
    strbuf_init(&buf, 1000);
    strbuf_addf(&buf, "%0500d", 7);
    CHECK_INT("length", buf.len, 500);
    CHECK_INT("last", buf.data[499], '7');
    strbuf_addf(&buf, "%0501d", 7);
    CHECK_TRUE("too much", buf.overflowed && buf.len == 500);
    CHECK_INT("NUL behind it", buf.data[500], 0);
    strbuf_clear(&buf);
}

static void letters_are_folded_as_they_come(void **state)
{
    struct strbuf buf;

    (void)state;
    strbuf_init(&buf, 6);
    strbuf_add_lower(&buf, BYTES(""));
    strbuf_add(&buf, BYTES("AB"));
    strbuf_add_lower(&buf, BYTES("CdE"));
    assert_string_equal(buf.data, "ABcde");
    strbuf_add_lower(&buf, BYTES("FG"));
    CHECK_TRUE("what does not fit is left out whole", buf.overflowed && buf.len == 5);
    strbuf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_put_together),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
        cmocka_unit_test(it_grows_octet_by_octet),
        cmocka_unit_test(formatted_text_makes_its_own_room),
        cmocka_unit_test(letters_are_folded_as_they_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
