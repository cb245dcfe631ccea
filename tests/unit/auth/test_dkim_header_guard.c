#include "support/check.h"

#include "auth/dkim_header_guard.h"
#include "base/memory.h"

#include <stdlib.h>

static void test_refusal(void **state)
{
    static const struct {
        const char *name;
        struct bytes header;
        const char *want; /* NULL: may be fed */
    } cases[] = {
        {"nothing", BYTES(""), NULL},
        {"one field", BYTES("A: b\r\n"), NULL},
        {"the empty line behind", BYTES("A: b\r\n\r\n"), NULL},
        {"folded", BYTES("A: b\r\n c\r\n\td\r\nE:\r\n"), NULL},
        {"blank before the colon", BYTES("A \t: b\r\n"), NULL},
        {"no value", BYTES("A:\r\n"), NULL},
        {"no final CRLF", BYTES("A: b"), NULL},
        {"8-bit", BYTES("A: \xff\x80\r\n"), NULL},
        {"NUL", BYTES("A: b\0c\r\n"), "NUL in the header"},
        {"NUL in a name", BYTES("A\0: b\r\n"), "NUL in the header"},
        {"bare CR", BYTES("A: b\rc\r\n"), "bare CR or LF in the header"},
        {"CR CR LF", BYTES("A: b\r\r\n"), "bare CR or LF in the header"},
        {"bare LF", BYTES("A: b\nB: c\r\n"), "bare CR or LF in the header"},
        {"LF first", BYTES("\nA: b\r\n"), "bare CR or LF in the header"},
        {"CR last", BYTES("A: b\r\nB: c\r"), "bare CR or LF in the header"},
        {"no colon", BYTES("A: b\r\nrubbish\r\n"), "a line in the header is no field"},
        {"empty name", BYTES(": b\r\n"), "a line in the header is no field"},
        {"control in a name", BYTES("A\x01: b\r\n"), "a line in the header is no field"},
        {"folded at once", BYTES(" A: b\r\n"), "a line in the header is no field"},
        {"text behind the empty line", BYTES("A: b\r\n\r\nc"),
         "a line in the header is no field"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_TEXT(cases[i].name, dkim_header_refusal(cases[i].header), cases[i].want);
    }
}

static void test_size(void **state)
{
    struct strbuf header;

    (void)state;
    strbuf_init(&header, DKIM_HEADER_LIMIT + 1);
    for (int i = 0; i < DKIM_FIELD_LIMIT; i++) {
        strbuf_add_text(&header, "A: b\r\n");
    }
    CHECK_TEXT("as many as may be", dkim_header_refusal(strbuf_bytes(&header)), NULL);
    strbuf_add_text(&header, "A: b\r\n");
    CHECK_TEXT("one more", dkim_header_refusal(strbuf_bytes(&header)),
               "too many header fields");
    strbuf_reset(&header);
    strbuf_add_text(&header, "A: ");
    while (header.len < DKIM_HEADER_LIMIT - 2) {
        strbuf_add_char(&header, 'x');
    }
    strbuf_add_text(&header, "\r\n");
    CHECK_TEXT("as long as may be", dkim_header_refusal(strbuf_bytes(&header)), NULL);
    strbuf_add_char(&header, 'x');
    CHECK_TEXT("one more", dkim_header_refusal(strbuf_bytes(&header)), "header too long");
    strbuf_clear(&header);
}

static enum dkim_field next_of(struct dkim_header_guard *guard, struct bytes text)
{
    struct header_field field;

    CHECK_TRUE("is a field", header_field_next(&text, &field));
    return dkim_header_guard_next(guard, &field);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        struct bytes field;
        enum dkim_field want;
    } cases[] = {
        {"plain", BYTES("From: a\r\n"), DKIM_FIELD_PLAIN},
        {"signature", BYTES("DKIM-Signature: v=1\r\n"), DKIM_FIELD_SIGNATURE},
        {"any case", BYTES("dkim-SIGNATURE: v=1\r\n"), DKIM_FIELD_SIGNATURE},
        {"blank before the colon", BYTES("DKIM-Signature : v=1\r\n"), DKIM_FIELD_SIGNATURE},
        {"longer name", BYTES("DKIM-Signature2: v=1\r\n"), DKIM_FIELD_PLAIN},
        {"other name", BYTES("X-DKIM-Signature: v=1\r\n"), DKIM_FIELD_PLAIN},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dkim_header_guard guard = {0};

        CHECK_INT(cases[i].name, next_of(&guard, cases[i].field), cases[i].want);
    }
}

/* What makes the body be hashed once more: seen on the third, which is one too many. */
static void test_extra_hashes(void **state)
{
    static const struct {
        const char *name;
        struct bytes field;
        enum dkim_field want;
    } cases[] = {
        {"none", BYTES("DKIM-Signature: v=1; a=rsa-sha256\r\n"), DKIM_FIELD_SIGNATURE},
        {"l=", BYTES("DKIM-Signature: v=1; l=5; b=x\r\n"), DKIM_FIELD_TOO_COSTLY},
        {"l= first", BYTES("DKIM-Signature:l=5\r\n"), DKIM_FIELD_TOO_COSTLY},
        {"l= folded", BYTES("DKIM-Signature: v=1;\r\n\tl\r\n = 5\r\n"), DKIM_FIELD_TOO_COSTLY},
        {"capital l", BYTES("DKIM-Signature: v=1; L=5\r\n"), DKIM_FIELD_TOO_COSTLY},
        {"vertical tab", BYTES("DKIM-Signature: v=1;\vl=5\r\n"), DKIM_FIELD_TOO_COSTLY},
        {"l in a value", BYTES("DKIM-Signature: v=1; z=l=5\r\n"), DKIM_FIELD_SIGNATURE},
        {"longer name", BYTES("DKIM-Signature: v=1; ll=5; bl=5\r\n"), DKIM_FIELD_SIGNATURE},
        {"SHA-1", BYTES("DKIM-Signature: a = rsa-SHA1\r\n"), DKIM_FIELD_TOO_COSTLY},
        {"SHA-1 elsewhere", BYTES("DKIM-Signature: a=rsa-sha256; x=sha1\r\n"),
         DKIM_FIELD_SIGNATURE},
        {"two a=", BYTES("DKIM-Signature: a=rsa-sha256; a=rsa-sha1\r\n"),
         DKIM_FIELD_TOO_COSTLY},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dkim_header_guard guard = {0};

        for (int j = 0; j < DKIM_EXTRA_HASH_LIMIT; j++) {
            CHECK_INT(cases[i].name, next_of(&guard, cases[i].field), DKIM_FIELD_SIGNATURE);
        }
        CHECK_INT(cases[i].name, next_of(&guard, cases[i].field), cases[i].want);
    }
}

static void test_count_and_length(void **state)
{
    struct dkim_header_guard guard = {0};
    struct strbuf field;

    (void)state;
    strbuf_init(&field, DKIM_SIGNATURE_OCTETS + 1);
    strbuf_add_text(&field, "DKIM-Signature: ");
    while (field.len < DKIM_SIGNATURE_OCTETS - 2) {
        strbuf_add_char(&field, 'x');
    }
    strbuf_add_text(&field, "\r\n");
    CHECK_INT("as long as may be", next_of(&guard, strbuf_bytes(&field)), DKIM_FIELD_SIGNATURE);
    strbuf_truncate(&field, field.len - 2);
    strbuf_add_text(&field, "x\r\n");
    CHECK_INT("one more", next_of(&guard, strbuf_bytes(&field)), DKIM_FIELD_TOO_LONG);
    strbuf_clear(&field);
    for (int i = 2; i < DKIM_SIGNATURE_LIMIT; i++) {
        CHECK_INT("few", next_of(&guard, BYTES("DKIM-Signature: v=1\r\n")),
                  DKIM_FIELD_SIGNATURE);
    }
    CHECK_INT("too many", next_of(&guard, BYTES("DKIM-Signature: v=1\r\n")),
              DKIM_FIELD_ONE_TOO_MANY);
    CHECK_INT("others", next_of(&guard, BYTES("From: a\r\n")), DKIM_FIELD_PLAIN);
}

static void test_text(void **state)
{
    struct bytes text = BYTES("A: b\r\n c\r\nB:\r\nC: d");
    struct header_field field;

    (void)state;
    CHECK_TRUE("first", header_field_next(&text, &field));
    CHECK_BYTES("folded", dkim_header_guard_text(&field), BYTES("A: b\r\n c"));
    CHECK_TRUE("second", header_field_next(&text, &field));
    CHECK_BYTES("no value", dkim_header_guard_text(&field), BYTES("B:"));
    CHECK_TRUE("third", header_field_next(&text, &field));
    CHECK_BYTES("no CRLF", dkim_header_guard_text(&field), BYTES("C: d"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusal), cmocka_unit_test(test_size),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_extra_hashes),
        cmocka_unit_test(test_text),    cmocka_unit_test(test_count_and_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
