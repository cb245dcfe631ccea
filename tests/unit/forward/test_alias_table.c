#include "support/check.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "forward/alias_check.h"

#include <stdlib.h>

static const struct siphash_key KEY = {{1, 2}};

/* All problems as lines "error 2:7 message" or "warning example.org message". */
struct notes {
    const struct alias_table *table;
    struct bytes text;
    struct strbuf out;
};

static void add_place(struct strbuf *out, struct bytes text, const struct alias_place *place)
{
    unsigned line = 1, column = 1;

    for (size_t i = 0; i < place->offset && i < text.len; i++) {
        column++;
        if (text.data[i] == '\n') {
            line++;
            column = 1;
        }
    }
    strbuf_addf(out, "%u:%u", line, column);
}

static void note(void *context, const struct alias_problem *problem)
{
    struct notes *notes = context;

    strbuf_add_text(&notes->out, problem->is_warning ? "warning " : "error ");
    if (problem->has_place) {
        assert_true(problem->place.offset + problem->place.len <= notes->text.len);
        add_place(&notes->out, notes->text, &problem->place);
    } else {
        strbuf_add(&notes->out, alias_table_domain_name(notes->table, problem->domain));
    }
    strbuf_addf(&notes->out, " %s", problem->message);
    if (problem->has_first) {
        strbuf_add_text(&notes->out, " first ");
        add_place(&notes->out, notes->text, &problem->first);
    }
    strbuf_add_char(&notes->out, '\n');
}

static struct alias_table *load(struct notes *notes, const char *text)
{
    struct alias_table *table = alias_table_new(KEY);
    struct alias_report report = {note, notes};

    *notes = (struct notes){.table = table, .text = bytes_from_text(text)};
    strbuf_init(&notes->out, 100000);
    alias_table_add_domain(table, BYTES("own.test"), BYTES(""));
    alias_table_add_domain(table, BYTES("other.test"), BYTES("srs.other.test"));
    alias_table_add_own_name(table, BYTES("mx.test"), false);
    alias_table_add_text(table, 0, 7, notes->text, &report);
    alias_table_add_text(table, 1, 8, BYTES("*: *@own.test\n"), &report);
    alias_check(table, &report);
    return table;
}

#define PM "postmaster: a@x.test\nabuse: a@x.test\n"
/* second domain: "*" maps to the first, so it has all it must */

static const struct {
    const char *name;
    const char *text;
    const char *want;
} problems[] = {
    {"good", PM "info: a@x.test, b@x.test c@y.test # both\n\n# nothing\n", ""},
    {"CR LF", "postmaster: a@x.test\r\nabuse: a@x.test\r\ninfo: b@x.test\r\n", ""},
    {"no line end", PM "info: b@x.test", ""},
    {"no postmaster", "abuse: a@x.test\n",
     "error own.test nobody reads mail to postmaster here\n"},
    {"postmaster refused", "abuse: a@x.test\npostmaster: :refuse:\n",
     "error 2:1 mail to postmaster must be taken\n"},
    {"no abuse", "postmaster: a@x.test\n",
     "warning own.test nobody reads mail to abuse here\n"},
    {"catch-all", PM "*: c@x.test\n",
     "warning 3:1 a catch-all forwards everything that is sent to invented names\n"},
    {"mapping is no catch-all", PM "*: *@x.test\n", ""},
    {"mapping for one name", PM "info: *@x.test\n",
     "error 3:7 only the name \"*\" can go to a whole domain\n"},
    {"mapping to nonsense", PM "*: *@x..test\n", "error 3:4 this is not a domain\n"},
    {"duplicate", PM "info: b@x.test\n Info: c@x.test\n",
     "error 4:2 this name is set twice first 3:1\n"},
    {"duplicate by quotes", PM "info: b@x.test\n\"in\\fo\": c@x.test\n",
     "error 4:2 this name is set twice first 3:1\n"},
    {"no colon", PM "info b@x.test\n", "error 3:6 no colon behind the name\n"},
    {"no name", PM ": b@x.test\n", "error 3:1 the name is empty\n"},
    {"no target", PM "info: # later\n", "error 3:1 this name has no target\n"},
    {"two bad targets", PM "info: b, c@\n",
     "error 3:7 this is not a mail address\nerror 3:10 this is not a mail address\n"},
    {"own domain in the name", PM "info@OWN.test: b@x.test\n", ""},
    {"other domain in the name", PM "info@x.test: b@x.test\n",
     "error 3:6 this is not the domain these aliases are for\n"},
    {"bad regex", PM "/a(/: b@x.test\n",
     "error 3:2 bad regular expression: Unmatched ( or \\(\n"},
    {"open regex", PM "/abc: b@x.test\n",
     "error 3:1 regular expression without its closing slash\n"},
    {"open quote", PM "\"abc: b@x.test\n", "error 3:1 quoted name without its closing quote\n"},
    {"long name",
     PM "a23456789012345678901234567890123456789012345678901234567890123456: b@x.test",
     "error 3:1 this name is over 64 octets\n"},
    {"refuse with 4xx", PM "x: :refuse: 450 no\n", "error 3:13 the code must be 5xx\n"},
    {"defer with 5xx", PM "x: :defer: 550 no\n", "error 3:12 the code must be 4xx\n"},
    {"codes that disagree", PM "x: :refuse: 550 4.1.1 no\n",
     "error 3:17 the enhanced code does not go with the reply code\n"},
    {"unknown action", PM "x: :drop:\n", "error 3:4 no such action\n"},
    {"NUL", PM "x: a@x.test\xff\n", "error 3:4 this address is not valid UTF-8\n"},
    {"unknown in own domain", PM "x: nobody@own.test\n",
     "error 3:4 this address is in our own domain, but no alias has it\n"},
    {"host name as target", PM "x: me@mx.test\n",
     "error 3:4 mail to our own name has nowhere to go from here\n"},
    {"itself", PM "x: x@own.test\n",
     "error 3:1 aliases go round in circles: x@own.test -> x@own.test\n"},
    {"a loop of three", PM "x: y@own.test\ny: a@x.test, Z@own.test\nz: x+t@own.test\n",
     "error 5:1 aliases go round in circles: x@own.test -> y@own.test -> Z@own.test -> "
     "x@own.test\n"},
    {"loop by regex", PM "/x.*/: xx@own.test\n",
     "error 3:2 aliases go round in circles: x.*@own.test -> x.*@own.test\n"},
    {"loop over a mapping", PM "x: x@other.test\n",
     "error 1:1 aliases go round in circles: x@own.test -> x@other.test -> x@own.test\n"},
    {"mappings in circles", PM "*: *@other.test\n",
     "error 1:1 aliases go round in circles: *@own.test -> *@other.test -> *@own.test\n"},
    {"fallback", PM "x: a@x.test, b@x.test :Fallback: c@x.test # why\n", ""},
    {"fallback of nobody", PM "x: a@x.test :fallback: # c@x.test\n",
     "error 3:13 no address behind :fallback:\n"},
    {"two fallbacks", PM "x: a@x.test :fallback: b@x.test c@x.test\n",
     "error 3:33 one address stands behind :fallback:\n"},
    {"fallback instead of a target", PM "x: :fallback: b@x.test\n",
     "error 3:4 no such action\n"},
    {"no fallback address", PM "x: a@x.test :fallback: b\n",
     "error 3:24 this is not a mail address\n"},
    {"fallback of ours", PM "x: a@x.test :fallback: postmaster@own.test\n",
     "error 3:24 a fallback in our own domain\n"},
    {"fallback to a domain", PM "*: *@x.test :fallback: *@y.test\n",
     "error 3:24 a fallback is one address\n"},
    {"ten behind each other",
     PM "a: b@own.test\nb: c@own.test\nc: d@own.test\nd: e@own.test\ne: f@own.test\n"
        "f: g@own.test\ng: h@own.test\nh: i@own.test\ni: j@own.test\nj: x@x.test\n",
     ""},
    {"eleven behind each other",
     PM
     "a: b@own.test\nb: c@own.test\nc: d@own.test\nd: e@own.test\ne: f@own.test\n"
     "f: g@own.test\ng: h@own.test\nh: i@own.test\ni: j@own.test\nj: k@own.test\nk: x@x.test",
     "error 3:1 more than 10 aliases stand behind each other here\n"},
};

static void test_problems(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(problems); i++) {
        struct notes notes;
        struct alias_table *table = load(&notes, problems[i].text);
        CHECK_TEXT(problems[i].name, strbuf_text(&notes.out), problems[i].want);
        alias_table_free(&table);
        strbuf_clear(&notes.out);
    }
}

static const char TABLE[] = PM "info: first@x.test\n"
                               "info+sales: sales@x.test\n"
                               "\"john doe\": john@x.test\n"
                               "/info-.*/: regex@x.test\n"
                               "/.*-(a|b)/: regex2@x.test\n"
                               "/a\\/b/: slash@x.test\n"
                               "/[cd]|[cd]e+|)f/: choice@x.test\n"
                               "gr\xc3\xbc\xc3\x9f: utf8@x.test\n"
                               "*: any@x.test\n";

static const struct {
    const char *name;
    struct bytes local;
    struct bytes want;
} lookups[] = {
    {"exact", BYTES("info"), BYTES("first@x.test")},
    {"case", BYTES("INFO"), BYTES("first@x.test")},
    {"sub-address of its own", BYTES("info+Sales"), BYTES("sales@x.test")},
    {"sub-address", BYTES("info+news+x"), BYTES("first@x.test")},
    {"plus first", BYTES("+info"), BYTES("any@x.test")},
    {"quoted", BYTES("John Doe"), BYTES("john@x.test")},
    {"regex", BYTES("Info-b"), BYTES("regex@x.test")},
    {"second regex", BYTES("x-b"), BYTES("regex2@x.test")},
    {"regex takes the whole name", BYTES("x-bb"), BYTES("any@x.test")},
    {"slash in regex", BYTES("a/b"), BYTES("slash@x.test")},
    {"choice, short", BYTES("c"), BYTES("choice@x.test")},
    {"choice, long", BYTES("Dee"), BYTES("choice@x.test")},
    {"choice in the middle", BYTES("xc"), BYTES("any@x.test")},
    {"UTF-8", BYTES("gr\xc3\xbc\xc3\x9f"), BYTES("utf8@x.test")},
    {"UTF-8 is not folded", BYTES("gr\xc3\x9c\xc3\x9f"), BYTES("any@x.test")},
    {"any", BYTES("zzz"), BYTES("any@x.test")},
};

static void test_lookups(void **state)
{
    struct notes notes;
    struct alias_table *table = load(&notes, TABLE);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lookups); i++) {
        struct alias_match match;
        CHECK_TRUE(lookups[i].name, alias_table_find(table, 0, lookups[i].local, &match));
        CHECK_BYTES(lookups[i].name, match.line.targets, lookups[i].want);
    }
    CHECK_INT("count", alias_table_entry_count(table), 12);
    alias_table_free(&table);
    strbuf_clear(&notes.out);
}

static void test_own_names(void **state)
{
    struct notes notes;
    struct alias_table *table = load(&notes, PM);

    (void)state;
    CHECK_INT("domain", alias_table_find_domain(table, BYTES("OTHER.test")), 1);
    CHECK_INT("unknown", alias_table_find_domain(table, BYTES("x.test")), ALIAS_NO_DOMAIN);
    CHECK_TRUE("own name", alias_table_is_own_domain(table, BYTES("Mx.test")));
    CHECK_TRUE("own name is not SRS", !alias_table_is_srs(table, BYTES("mx.test")));
    CHECK_TRUE("SRS domain", alias_table_is_srs(table, BYTES("srs.other.test")));
    CHECK_TRUE("not own", !alias_table_is_own(table, BYTES("srs.own.test")));
    CHECK_INT("again", alias_table_add_domain(table, BYTES("own.TEST"), BYTES("")),
              ALIAS_NO_DOMAIN);
    alias_table_free(&table);
    strbuf_clear(&notes.out);
}

/* Chains that go on for ever must not cost a walk from every link. */
static void test_long_chain(void **state)
{
    struct strbuf text;
    struct notes notes;
    struct alias_table *table;

    (void)state;
    strbuf_init(&text, 10000000);
    strbuf_add_text(&text, PM);
    for (unsigned i = 0; i < 50000; i++) {
        strbuf_addf(&text, "c%u: c%u@own.test, c%u@own.test\n", i, i + 1, i + 1);
    }
    strbuf_add_text(&text, "c50000: end@x.test\n");
    table = load(&notes, strbuf_text(&text));
    CHECK_TRUE("told", strstr(strbuf_text(&notes.out), "more than 10 aliases") != NULL);
    alias_table_free(&table);
    strbuf_clear(&notes.out);
    strbuf_clear(&text);
}

static void test_too_many_targets(void **state)
{
    struct strbuf text;
    struct notes notes;
    struct alias_table *table;

    (void)state;
    strbuf_init(&text, 100000);
    strbuf_add_text(&text, PM "all: a@own.test a@own.test\n");
    for (char c = 'a'; c < 'h'; c++) {
        strbuf_addf(&text, "%c: %c@own.test %c@own.test %c@own.test\n", c, c + 1, c + 1, c + 1);
    }
    strbuf_add_text(&text, "h: end@x.test\n");
    table = load(&notes, strbuf_text(&text));
    CHECK_TEXT("told once", strbuf_text(&notes.out),
               "error 4:1 more than 1000 addresses stand behind this name\n");
    alias_table_free(&table);
    strbuf_clear(&notes.out);
    strbuf_clear(&text);
}

static void test_long_list(void **state)
{
    struct strbuf text;

    (void)state;
    strbuf_init(&text, 100000);
    strbuf_add_text(&text, PM "all: ");
    for (unsigned i = 0; i < 1000; i++) {
        strbuf_addf(&text, "u%u@x.test ", i);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct notes notes;
        struct alias_table *table = load(&notes, strbuf_text(&text));
        CHECK_TEXT("a thousand, and one more", strbuf_text(&notes.out),
                   i == 0 ? "" : "error 3:1 more than 1000 addresses stand behind this name\n");
        alias_table_free(&table);
        strbuf_clear(&notes.out);
        strbuf_add_text(&text, "another@x.test");
    }
    strbuf_clear(&text);
}

static const struct {
    const char *name;
    struct bytes text;
    bool is_defer;
    unsigned want_code;
    const char *want_enhanced;
    struct bytes want_text;
} replies[] = {
    {"all given", BYTES("553 5.7.27 Go away"), false, 553, "5.7.27", BYTES("Go away")},
    {"no enhanced code", BYTES("553 Go 5.1.1"), false, 553, "5.1.1", BYTES("Go 5.1.1")},
    {"only enhanced", BYTES("5.7.1 no"), false, 550, "5.7.1", BYTES("no")},
    {"only text", BYTES("5000 moved"), false, 550, "5.1.1", BYTES("5000 moved")},
    {"nothing", BYTES(""), false, 550, "5.1.1", BYTES("This address does not take mail")},
    {"defer", BYTES("451 4.7.1 later"), true, 451, "4.7.1", BYTES("later")},
};

static void test_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(replies); i++) {
        struct alias_reply reply;
        struct alias_line_error error;
        CHECK_TRUE(replies[i].name,
                   alias_reply_parse(replies[i].text, replies[i].is_defer, &reply, &error));
        CHECK_INT(replies[i].name, reply.code, replies[i].want_code);
        CHECK_TEXT(replies[i].name, reply.enhanced, replies[i].want_enhanced);
        CHECK_BYTES(replies[i].name, reply.text, replies[i].want_text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problems),         cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_own_names),        cmocka_unit_test(test_long_chain),
        cmocka_unit_test(test_too_many_targets), cmocka_unit_test(test_replies),
        cmocka_unit_test(test_long_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
