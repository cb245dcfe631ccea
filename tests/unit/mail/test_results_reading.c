#include "support/check.h"

#include "mail/results_reading.h"

/* Everything read, one line a result: "method=result key=value", asked for by key; and how it
 * ended. */
static void read_all(struct bytes payload, const char *key, struct strbuf *out)
{
    struct results_reading reading;
    struct read_result result;
    struct strbuf value;
    enum results_reading_step step = results_reading_start(&reading, payload);

    strbuf_init(&value, 256);
    while (step == RESULTS_NEXT &&
           (step = results_reading_next(&reading, &result)) == RESULTS_NEXT) {
        strbuf_addf(out, "%s=" BYTES_FMT, result.method, BYTES_ARG(result.result));
        if (results_reading_property(&result, key, &value)) {
            strbuf_addf(out, " [%s]", strbuf_text(&value));
        }
        strbuf_add_char(out, '\n');
    }
    strbuf_add_text(out, step == RESULTS_END ? "end" : "malformed");
    strbuf_clear(&value);
}

/* clang-format off */
static const struct {
    const char *name;
    struct bytes payload;
    const char *want; /* with header.from */
} cases[] = {
    {"one result", BYTES("mx.example; dmarc=pass header.from=a.example"), "dmarc=pass [a.example]\nend"},
    {"a field's value", BYTES(" mx.example;\r\n\tdmarc=pass\r\n\theader.from=a.example\r\n"),
     "dmarc=pass [a.example]\nend"},
    {"several", BYTES("mx; spf=pass smtp.mailfrom=x@y; dkim=fail header.d=z;dmarc=none"),
     "spf=pass\ndkim=fail\ndmarc=none\nend"},
    {"none", BYTES("mx; none"), "end"},
    {"none in other case", BYTES("mx;NONE "), "end"},
    {"none with a comment", BYTES("mx; none (really)"), "end"},
    {"name alone", BYTES("mx"), "end"},
    {"last semicolon", BYTES("mx; a=b;"), "a=b\nend"},
    {"only semicolons", BYTES("mx;;;"), "end"},
    {"version", BYTES("mx 1; a=b"), "a=b\nend"},
    {"version, folded", BYTES("mx\r\n 1 (x) ; a=b"), "a=b\nend"},
    {"quoted name", BYTES("\"mx;x\"; a=b"), "a=b\nend"},
    {"comment first", BYTES("(c) mx (c;d) ; (e) a (f) = (g) b (h)"), "a=b\nend"},
    {"method with version", BYTES("mx; dmarc/1=pass"), "dmarc/1=pass\nend"},
    {"method with version, blanks", BYTES("mx; dmarc / 1 = pass"), "dmarc/1=pass\nend"},
    {"upper case", BYTES("mx; DMARC=Pass Header.FROM=A.example"), "dmarc=Pass [A.example]\nend"},
    {"blanks around a dot", BYTES("mx; a=b header . from = x"), "a=b [x]\nend"},
    {"comments around a dot", BYTES("mx; a=b header(1).(2)from(3)=(4)x(5)"), "a=b [x]\nend"},
    {"comment without blanks", BYTES("mx; dmarc=pass(p=reject) header.from=x"), "dmarc=pass [x]\nend"},
    {"reason", BYTES("mx; a=b reason=\"x; dmarc=pass header.from=y\" header.from=z"), "a=b [z]\nend"},
    {"quoted value", BYTES("mx; a=b header.from=\"x y\""), "a=b [x y]\nend"},
    {"quoted quote", BYTES("mx; a=b header.from=\"x\\\"\\\\y\""), "a=b [x\"\\y]\nend"},
    {"quoted in part", BYTES("mx; a=b header.from=\"x y\"@z"), "a=b [x y@z]\nend"},
    {"= in a value", BYTES("mx; a=b header.from=prvs=1=x@y header.b=AA=="), "a=b [prvs=1=x@y]\nend"},
    {"other properties", BYTES("mx; a=b header.fromx=1 xheader.from=2 header.from.x=3"), "a=b\nend"},
    {"twice", BYTES("mx; a=b header.from=x header.from=x"), "a=b\nend"},
    {"without type", BYTES("mx; a=b action=none header.from=x"), "a=b [x]\nend"},
    {"in a comment", BYTES("mx; a=b (header.from=x)"), "a=b\nend"},
    {"in a nested comment", BYTES("mx; a=b ((c) header.from=x) "), "a=b\nend"},
    {"quoted in a comment", BYTES("mx; a=b (\\) ; c=d header.from=x) header.from=y"), "a=b [y]\nend"},
    {"result in a comment", BYTES("mx (; a=b); c=d"), "c=d\nend"},
    {"result in quotes", BYTES("mx; a=\"b; c=d\""), "a=\"b; c=d\"\nend"},
    {"UTF-8", BYTES("mx; a=b header.from=\xc3\xa9.example"), "a=b [\xc3\xa9.example]\nend"},
    {"folded in quotes", BYTES("mx; a=b header.from=\"x\r\n y\""), "a=b [x y]\nend"},
    {"longest key", BYTES("mx; a=b xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=1"), "a=b\nend"},

    {"nothing", BYTES(""), "malformed"},
    {"only blanks", BYTES(" \r\n"), "malformed"},
    {"no name", BYTES("; a=b"), "malformed"},
    {"two names", BYTES("mx mx; a=b"), "malformed"},
    {"two versions", BYTES("mx 1 1; a=b"), "malformed"},
    {"result without name", BYTES("a=b header.from=x"), "malformed"},
    {"open comment", BYTES("mx; a=b (x"), "malformed"},
    {"open nested comment", BYTES("mx; a=b ((x) "), "malformed"},
    {"open quotes", BYTES("mx; a=b c=\"x"), "malformed"},
    {"open quotes by a quoted one", BYTES("mx; a=b c=\"x\\\""), "malformed"},
    {"open comment in the name", BYTES("mx ("), "malformed"},
    {"lone )", BYTES("mx; a=b )"), "malformed"},
    {") in a value", BYTES("mx; a=b c=d)e"), "malformed"},
    {"lone backslash", BYTES("mx; a=b c=\\d"), "malformed"},
    {"control", BYTES("mx; a=b c=\x01"), "malformed"},
    {"NUL", BYTES("mx; a=b\0c"), "malformed"},
    {"NUL as a blank", BYTES("mx; a=b \0 c=d"), "malformed"},
    {"word alone", BYTES("mx; a=b c"), "malformed"},
    {"word alone before", BYTES("mx; c a=b"), "malformed"},
    {"word behind a comment", BYTES("mx; a=b header.from=x(c)y"), "malformed"},
    {"quotes behind a blank", BYTES("mx; a=b header.from=x \"y\""), "malformed"},
    {"no value", BYTES("mx; a="), "malformed"},
    {"no value, another result", BYTES("mx; a=; c=d"), "malformed"},
    {"no key", BYTES("mx; =b"), "malformed"},
    {"dot and no more", BYTES("mx; a=b header. =x"), "malformed"},
    {"key too long", BYTES("mx; a=b xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=1"), "malformed"},
    {"good before bad", BYTES("mx; dmarc=pass header.from=x; (c"), "dmarc=pass [x]\nmalformed"},
};
/* clang-format on */

static void test_reading(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf out;

        strbuf_init(&out, 4096);
        read_all(cases[i].payload, "header.from", &out);
        CHECK_TEXT(cases[i].name, strbuf_text(&out), cases[i].want);
        strbuf_clear(&out);
    }
}

static void test_method(void **state)
{
    static const struct {
        struct bytes payload;
        bool want;
    } methods[] = {
        {BYTES("mx; dmarc=pass"), true},      {BYTES("mx; DMARC=pass"), true},
        {BYTES("mx; dmarc/1=pass"), true},    {BYTES("mx; dmarc/2=pass"), false},
        {BYTES("mx; xdmarc=pass"), false},    {BYTES("mx; dmarcx=pass"), false},
        {BYTES("mx; dmarc/1/1=pass"), false}, {BYTES("mx; dmar=pass"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        struct results_reading reading;
        struct read_result result;

        CHECK_INT("start", results_reading_start(&reading, methods[i].payload), RESULTS_NEXT);
        CHECK_INT("next", results_reading_next(&reading, &result), RESULTS_NEXT);
        CHECK_INT(methods[i].payload.data, results_reading_is_method(&result, "dmarc"),
                  methods[i].want);
        CHECK_INT("end", results_reading_next(&reading, &result), RESULTS_END);
        CHECK_INT("end again", results_reading_next(&reading, &result), RESULTS_END);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
