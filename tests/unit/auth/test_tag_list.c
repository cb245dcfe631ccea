#include "support/check.h"

#include "auth/tag_list.h"

struct row {
    const char *name;
    struct bytes text;
    const char *want; /* "name=value|..."; NULL: no tag list */
};

/* clang-format off */
static const struct row rows[] = {
    {"one tag", BYTES("a=b"), "a=b|"},
    {"three, one \";\" at the end", BYTES("v=1; a=rsa-sha256;d=example.org;"), "v=1|a=rsa-sha256|d=example.org|"},
    {"blanks around all", BYTES("  v = 1 ; a\t=\t2 "), "v=1|a=2|"},
    {"folds around all", BYTES("\r\n v\r\n =\r\n 1\r\n ;\r\n\ta=2\r\n"), "v=1|a=2|"},
    {"fold inside a value stays", BYTES("b=ab\r\n\tcd; c=1"), "b=ab\r\n\tcd|c=1|"},
    {"blanks inside a value stay", BYTES("n=two  words "), "n=two  words|"},
    {"the end of the field", BYTES(" a=1;\r\n"), "a=1|"},
    {"white space behind the last \";\"", BYTES("a=1; \r\n\t\r\n"), "a=1|"},
    {"empty value", BYTES("b=; a="), "b=|a=|"},
    {"equals in the value", BYTES("p=abc==; x=y=z"), "p=abc==|x=y=z|"},
    {"names differ by case", BYTES("a=1; A=2"), "a=1|A=2|"},
    {"digits and \"_\" in a name", BYTES("a_1=x"), "a_1=x|"},
    {"UTF-8 value", BYTES("d=b\xc3\xbc" "cher.example"), "d=b\xc3\xbc" "cher.example|"},
    {"nothing", BYTES(""), NULL},
    {"only blanks", BYTES(" \r\n "), NULL},
    {"only \";\"", BYTES(";"), NULL},
    {"\";\" first", BYTES("; a=1"), NULL},
    {"two \";\" at the end", BYTES("a=1;;"), NULL},
    {"two \";\" in the middle", BYTES("a=1;;b=2"), NULL},
    {"no \"=\"", BYTES("a=1; b"), NULL},
    {"no name", BYTES("=1"), NULL},
    {"a name begins with a digit", BYTES("1a=1"), NULL},
    {"a name begins with \"_\"", BYTES("_a=1"), NULL},
    {"\"-\" in a name", BYTES("a-b=1"), NULL},
    {"blank in a name", BYTES("a b=1"), NULL},
    {"high octet in a name", BYTES("a\xc3\xbc=1"), NULL},
    {"a name twice", BYTES("a=1; b=2; a=1"), NULL},
    {"not UTF-8", BYTES("a=\xff"), NULL},
    {"half of a UTF-8 character", BYTES("a=\xc3; b=1"), NULL},
    {"NUL", BYTES("a=1\0"), NULL},
    {"DEL", BYTES("a=\x7f"), NULL},
    {"control", BYTES("a=\x01"), NULL},
    {"lone CR", BYTES("a=1\r2"), NULL},
    {"lone LF", BYTES("a=1\n 2"), NULL},
    {"CRLF without a blank behind", BYTES("a=1\r\nb=2"), NULL},
    {"two ends of a field", BYTES("a=1\r\n\r\n"), NULL},
};
/* clang-format on */

static void check_row(const struct row *row)
{
    struct tag_list list;
    struct strbuf got;
    bool is_list = tag_list_parse(row->text, &list);

    CHECK_INT(row->name, is_list, row->want != NULL);
    strbuf_init(&got, 4096);
    for (size_t i = 0; i < list.count; i++) {
        strbuf_add(&got, list.tags[i].name);
        strbuf_add_char(&got, '=');
        strbuf_add(&got, list.tags[i].value);
        strbuf_add_char(&got, '|');
    }
    CHECK_TEXT(row->name, strbuf_text(&got), row->want == NULL ? "" : row->want);
    strbuf_clear(&got);
}

static void lists_are_read_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(&rows[i]);
    }
}

static void too_many_tags_are_no_list(void **state)
{
    struct tag_list list;
    struct strbuf text;

    (void)state;
    strbuf_init(&text, 4096);
    for (unsigned i = 0; i < TAG_LIST_LIMIT; i++) {
        strbuf_addf(&text, "t%u=%u; ", i, i);
    }
    CHECK_TRUE("as many as allowed", tag_list_parse(strbuf_bytes(&text), &list));
    CHECK_INT("as many as allowed", list.count, TAG_LIST_LIMIT);
    strbuf_add_text(&text, "u=1");
    CHECK_TRUE("one more", !tag_list_parse(strbuf_bytes(&text), &list));
    strbuf_clear(&text);
}

static void tags_are_found_by_name(void **state)
{
    struct tag_list list;

    (void)state;
    CHECK_TRUE("parse", tag_list_parse(BYTES("bh=1; b=2; B=3"), &list));
    CHECK_BYTES("b", tag_list_value(&list, "b"), BYTES("2"));
    CHECK_BYTES("bh", tag_list_find(&list, "bh")->value, BYTES("1"));
    CHECK_TRUE("not there", tag_list_find(&list, "h") == NULL);
    CHECK_BYTES("not there", tag_list_value(&list, "h"), BYTES(""));
}

static void white_space_goes_from_base64(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 100);
    tag_value_add_packed(&out, BYTES(" ab\r\n\tcd ef\t\r\n g== "));
    CHECK_TEXT("packed", strbuf_text(&out), "abcdefg==");
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_as_the_table_says),
        cmocka_unit_test(too_many_tags_are_no_list),
        cmocka_unit_test(tags_are_found_by_name),
        cmocka_unit_test(white_space_goes_from_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
