#include "support/check.h"

#include "auth/canonical_form.h"

#include <stdlib.h>

/* --- header --- */

struct field_row {
    const char *name;
    struct bytes field;
    const char *simple, *relaxed;
};

/* clang-format off */
static const struct field_row field_rows[] = {
    /* RFC 6376 §3.4.5 */
    {"example A", BYTES("A: X\r\n"), "A: X\r\n", "a:X\r\n"},
    {"example B", BYTES("B : Y\t\r\n\tZ  \r\n"), "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
    {"no blank behind the colon", BYTES("Ab:c\r\n"), "Ab:c\r\n", "ab:c\r\n"},
    {"empty", BYTES("X:\r\n"), "X:\r\n", "x:\r\n"},
    {"blanks only", BYTES("X: \t \r\n"), "X: \t \r\n", "x:\r\n"},
    {"fold of blanks only", BYTES("X: a\r\n \r\n\tb\r\n"), "X: a\r\n \r\n\tb\r\n", "x:a b\r\n"},
    {"fold first", BYTES("X:\r\n a\r\n"), "X:\r\n a\r\n", "x:a\r\n"},
    {"fold of blanks last", BYTES("X: a\r\n  \r\n"), "X: a\r\n  \r\n", "x:a\r\n"},
    {"no CRLF at the end", BYTES("X: a "), "X: a \r\n", "x:a\r\n"},
    {"lone CR and LF are text", BYTES("X: a\rb \nc\r\r\n"), "X: a\rb \nc\r\r\n", "x:a\rb \nc\r\r\n"},
    {"8-bit and case stay", BYTES("X: \xe4 A\xc3\xbc\r\n"), "X: \xe4 A\xc3\xbc\r\n", "x:\xe4 A\xc3\xbc\r\n"},
    {"colons in the value", BYTES("X: a : b\r\n"), "X: a : b\r\n", "x:a : b\r\n"},
};

static const struct field_row signature_rows[] = {
    {"last tag", BYTES("S: a=1; b=xyz\r\n"), "S: a=1; b=", "s:a=1; b="},
    {"last tag, folded", BYTES("S: a=1;\r\n\tb= xy\r\n\tz= \r\n"), "S: a=1;\r\n\tb=", "s:a=1; b="},
    {"in the middle", BYTES("S: b= x\r\n y ; a=1\r\n"), "S: b=; a=1", "s:b=; a=1"},
    {"first and alone", BYTES("S:b=x\r\n"), "S:b=", "s:b="},
    {"blank before the equals sign stays", BYTES("S: b = x;a=1\r\n"), "S: b =;a=1", "s:b =;a=1"},
    {"other names that end in b", BYTES("S: xb=1; bb=2; b=3; c=4\r\n"), "S: xb=1; bb=2; b=; c=4", "s:xb=1; bb=2; b=; c=4"},
    {"bh is another", BYTES("S: bh=1; b=2; B=3\r\n"), "S: bh=1; b=; B=3", "s:bh=1; b=; B=3"},
    {"equals in other values", BYTES("S: bh=b=1=; b=2\r\n"), "S: bh=b=1=; b=", "s:bh=b=1=; b="},
    {"none", BYTES("S: a=1 \r\n"), "S: a=1 ", "s:a=1"},
    {"empty already", BYTES("S: a=1; b=;\r\n"), "S: a=1; b=;", "s:a=1; b=;"},
};
/* clang-format on */

typedef void add_function(struct strbuf *out, enum canonical_form form,
                          const struct header_field *field);

static void check_field(const struct field_row *row, add_function *add,
                        enum canonical_form form, const char *want)
{
    struct bytes rest = row->field;
    struct header_field field;
    struct strbuf out;

    CHECK_TRUE(row->name, header_field_next(&rest, &field) && rest.len == 0);
    strbuf_init(&out, 4096);
    add(&out, form, &field);
    CHECK_TEXT(row->name, strbuf_text(&out), want);
    strbuf_clear(&out);
}

static void fields_are_written_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(field_rows); i++) {
        const struct field_row *row = &field_rows[i];

        check_field(row, canonical_field_add, CANONICAL_SIMPLE, row->simple);
        check_field(row, canonical_field_add, CANONICAL_RELAXED, row->relaxed);
    }
}

static void a_signature_leaves_its_value_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(signature_rows); i++) {
        const struct field_row *row = &signature_rows[i];

        check_field(row, canonical_signature_add, CANONICAL_SIMPLE, row->simple);
        check_field(row, canonical_signature_add, CANONICAL_RELAXED, row->relaxed);
    }
}

static void named_fields_are_taken_from_the_bottom(void **state)
{
    struct bytes header = BYTES("A: 1\r\nB: 2\r\na: 3\r\nC: 4\r\nA: 5\r\n");
    struct {
        const char *names, *want;
    } cases[] = {
        {"a", "a:5\r\n"},
        {"a:A:a:a", "a:5\r\na:3\r\na:1\r\n"},
        {" b :\r\n\tc: x :b", "b:2\r\nc:4\r\n"},
        {"", ""},
        {"::", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf out;

        strbuf_init(&out, 4096);
        canonical_header_add(&out, CANONICAL_RELAXED, header, bytes_from_text(cases[i].names));
        CHECK_TEXT(cases[i].names, strbuf_text(&out), cases[i].want);
        strbuf_clear(&out);
    }
}

/* --- body --- */

struct body_row {
    const char *name;
    struct bytes body;
    struct bytes simple, relaxed;
};

/* clang-format off */
static const struct body_row body_rows[] = {
    /* RFC 6376 §3.4.5, §3.4.3, §3.4.4 */
    {"example", BYTES(" C \r\nD \t E\r\n\r\n\r\n"), BYTES(" C \r\nD \t E\r\n"), BYTES(" C\r\nD E\r\n")},
    {"empty", BYTES(""), BYTES("\r\n"), BYTES("")},
    {"one empty line", BYTES("\r\n"), BYTES("\r\n"), BYTES("")},
    {"many empty lines", BYTES("\r\n\r\n\r\n\r\n"), BYTES("\r\n"), BYTES("")},
    {"blanks only", BYTES(" \t\r\n \r\n"), BYTES(" \t\r\n \r\n"), BYTES("")},
    {"blanks only, no line end", BYTES(" \t "), BYTES(" \t \r\n"), BYTES("")},
    {"no line end", BYTES("a"), BYTES("a\r\n"), BYTES("a\r\n")},
    {"no line end, blanks", BYTES("a \t"), BYTES("a \t\r\n"), BYTES("a\r\n")},
    {"CR last", BYTES("a\r"), BYTES("a\r\r\n"), BYTES("a\r\r\n")},
    {"blank and CR last", BYTES("a \r"), BYTES("a \r\r\n"), BYTES("a \r\r\n")},
    {"empty lines inside", BYTES("a\r\n\r\n\r\nb\r\n\r\n"), BYTES("a\r\n\r\n\r\nb\r\n"), BYTES("a\r\n\r\n\r\nb\r\n")},
    {"lines of blanks inside", BYTES("a\r\n \t \r\nb\r\n"), BYTES("a\r\n \t \r\nb\r\n"), BYTES("a\r\n\r\nb\r\n")},
    {"lines of blanks last", BYTES("a\r\n \r\n\t\r\n"), BYTES("a\r\n \r\n\t\r\n"), BYTES("a\r\n")},
    {"leading empty lines", BYTES("\r\n\r\na\r\n"), BYTES("\r\n\r\na\r\n"), BYTES("\r\n\r\na\r\n")},
    {"leading blanks are one", BYTES(" \t a\r\n"), BYTES(" \t a\r\n"), BYTES(" a\r\n")},
    {"a TAB is a space", BYTES("a\tb\r\n"), BYTES("a\tb\r\n"), BYTES("a b\r\n")},
    {"lone LF is text", BYTES("a \n\nb\n"), BYTES("a \n\nb\n\r\n"), BYTES("a \n\nb\n\r\n")},
    {"lone CR is text", BYTES("a \r b\r\r\nc\r\n"), BYTES("a \r b\r\r\nc\r\n"), BYTES("a \r b\r\r\nc\r\n")},
    {"CR CR before text", BYTES("\r\rx"), BYTES("\r\rx\r\n"), BYTES("\r\rx\r\n")},
    {"8-bit and NUL", BYTES("\xa0 \0 \xff\r\n"), BYTES("\xa0 \0 \xff\r\n"), BYTES("\xa0 \0 \xff\r\n")},
    {"pairs at every place of a word", BYTES("abcdef  gabcde  fgabcd  efgabc  defgab  c\r\n"),
     BYTES("abcdef  gabcde  fgabcd  efgabc  defgab  c\r\n"), BYTES("abcdef gabcde fgabcd efgabc defgab c\r\n")},
    {"single spaces at every place", BYTES(" a b c d e f g h i j k l m n o p \r\n"),
     BYTES(" a b c d e f g h i j k l m n o p \r\n"), BYTES(" a b c d e f g h i j k l m n o p\r\n")},
};
/* clang-format on */

static void hash_cut(enum canonical_form form, struct bytes body, size_t cut,
                     unsigned char digest[BODY_HASH_OCTETS])
{
    struct body_hash *hash = body_hash_new(form);

    while (body.len != 0) {
        body_hash_add(hash, bytes_first(body, cut));
        body = bytes_skip(body, cut);
    }
    body_hash_finish(hash, digest);
    body_hash_free(&hash);
}

static void check_body(const char *name, enum canonical_form form, struct bytes body,
                       struct bytes want)
{
    unsigned char wanted[BODY_HASH_OCTETS], got[BODY_HASH_OCTETS];

    canonical_digest(want, wanted);
    for (size_t cut = 1; cut <= body.len + 1; cut++) {
        hash_cut(form, body, cut, got);
        if (memcmp(got, wanted, sizeof got) != 0) {
            fail_msg("%s: %s, cut %zu: another hash", name,
                     form == CANONICAL_SIMPLE ? "simple" : "relaxed", cut);
        }
    }
}

static void bodies_hash_as_the_table_says_in_any_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(body_rows); i++) {
        const struct body_row *row = &body_rows[i];

        check_body(row->name, CANONICAL_SIMPLE, row->body, row->simple);
        check_body(row->name, CANONICAL_RELAXED, row->body, row->relaxed);
    }
}

/* The rules of RFC 6376 §3.4 word by word, one pass a rule, as slow as may be. */
static void canonical_body(enum canonical_form form, struct bytes body, struct strbuf *out)
{
    while (body.len != 0) {
        size_t end = bytes_find_part(body, BYTES("\r\n"));
        struct bytes line = bytes_first(body, end);
        bool is_last = end == body.len;

        if (form == CANONICAL_RELAXED) {
            while (line.len != 0 && strchr(" \t", line.data[line.len - 1]) != NULL &&
                   line.data[line.len - 1] != '\0') {
                line.len--;
            }
        }
        for (size_t i = 0; i < line.len; i++) {
            bool is_blank = line.data[i] == ' ' || line.data[i] == '\t';

            if (form == CANONICAL_SIMPLE || !is_blank) {
                strbuf_add_char(out, line.data[i]);
            } else if (i == 0 || (line.data[i - 1] != ' ' && line.data[i - 1] != '\t')) {
                strbuf_add_char(out, ' ');
            }
        }
        body = bytes_skip(body, is_last ? body.len : end + 2);
        strbuf_add_text(out, "\r\n");
    }
    while (out->len >= 2 && memcmp(out->data + out->len - 2, "\r\n", 2) == 0) {
        strbuf_truncate(out, out->len - 2);
    }
    if (out->len != 0 || form == CANONICAL_SIMPLE) {
        strbuf_add_text(out, "\r\n");
    }
}

static void random_body(struct strbuf *body)
{
    static const char *const parts[] = {
        "\r\n", "\r\n", " ", "  ", "\t", "\r", "\n", "a", "bc", "d e f g h i j", " k"};
    size_t count = (size_t)(rand() % 60);

    strbuf_reset(body);
    for (size_t i = 0; i < count; i++) {
        if (rand() % 40 == 0) {
            for (int j = rand() % 3000; j > 0; j--) {
                strbuf_add_char(body, (char)(33 + rand() % 90));
            }
        } else {
            strbuf_add_text(body, parts[rand() % (int)COUNT_OF(parts)]);
        }
    }
}

static void random_bodies_hash_as_the_rules_say(void **state)
{
    struct strbuf body, want;

    (void)state;
    srand(20261122);
    strbuf_init(&body, 1 << 20);
    strbuf_init(&want, 1 << 20);
    for (int i = 0; i < 4000; i++) {
        enum canonical_form form = i % 2 == 0 ? CANONICAL_SIMPLE : CANONICAL_RELAXED;
        unsigned char wanted[BODY_HASH_OCTETS], got[BODY_HASH_OCTETS];
        struct body_hash *hash = body_hash_new(form);
        struct bytes rest;

        random_body(&body);
        strbuf_reset(&want);
        canonical_body(form, strbuf_bytes(&body), &want);
        canonical_digest(strbuf_bytes(&want), wanted);
        for (rest = strbuf_bytes(&body); rest.len != 0;) {
            size_t cut = (size_t)(1 + rand() % (rand() % 5 == 0 ? 5000 : 20));

            body_hash_add(hash, bytes_first(rest, cut));
            rest = bytes_skip(rest, cut);
        }
        body_hash_finish(hash, got);
        body_hash_free(&hash);
        if (memcmp(got, wanted, sizeof got) != 0) {
            fail_msg("body %d: \"%s\"", i, strbuf_text(&body));
        }
    }
    strbuf_clear(&body);
    strbuf_clear(&want);
}

static void many_held_lines_cost_nothing_but_count(void **state)
{
    struct strbuf body;

    (void)state;
    strbuf_init(&body, 1 << 20);
    for (int i = 0; i < 50000; i++) {
        strbuf_add_text(&body, "\r\n");
    }
    strbuf_add_text(&body, "x\r\n");
    for (enum canonical_form form = CANONICAL_SIMPLE; form <= CANONICAL_RELAXED; form++) {
        unsigned char wanted[BODY_HASH_OCTETS], got[BODY_HASH_OCTETS];

        canonical_digest(strbuf_bytes(&body), wanted);
        hash_cut(form, strbuf_bytes(&body), 777, got);
        assert_memory_equal(got, wanted, sizeof got);
    }
    strbuf_clear(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_written_as_the_table_says),
        cmocka_unit_test(a_signature_leaves_its_value_out),
        cmocka_unit_test(named_fields_are_taken_from_the_bottom),
        cmocka_unit_test(bodies_hash_as_the_table_says_in_any_cuts),
        cmocka_unit_test(random_bodies_hash_as_the_rules_say),
        cmocka_unit_test(many_held_lines_cost_nothing_but_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
