#include "support/check.h"

#include "base/strbuf.h"
#include "mail/event_record.h"

#define HEAD "ts=2009-02-13T23:31:30.123Z level=info event=delivered"
#define JSON_HEAD                                                                              \
    "{\"ts\":\"2009-02-13T23:31:30.123Z\",\"level\":\"info\",\"event\":\"delivered\""

static struct arena *arena;

/* The fields as "name=value|name=value|". */
static const char *show(const struct event_record *record)
{
    struct strbuf text;
    const char *shown;

    strbuf_init(&text, 10000);
    for (size_t i = 0; i < record->count; i++) {
        strbuf_add(&text, record->fields[i].name);
        strbuf_add_char(&text, '=');
        strbuf_add(&text, record->fields[i].value);
        strbuf_add_char(&text, '|');
    }
    shown = arena_copy_text(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return shown;
}

/* clang-format off */
static const struct {
    const char *name, *line;
    const char *want; /* NULL: not a line of ours */
} lines[] = {
    {"logfmt", HEAD " id=4F3G5H6J7K8M9 to=<bob@corp.example> attempts=1", "id=4F3G5H6J7K8M9|to=<bob@corp.example>|attempts=1|"},
    {"with its end", HEAD " id=A\n", "id=A|"},
    {"with a line end of another kind", HEAD " id=A\r\n", "id=A|"},
    {"nothing but the head", HEAD, ""},
    {"quotes and escapes", HEAD " reply=\"550 5.7.1 say \\\"please\\\"\\r\\n\\tC:\\\\ \\x00\\xff a=b\"", "reply=550 5.7.1 say \"please\"\r\n\tC:\\ "},
    {"an address that needs quotes", HEAD " to=\"<\\\"a b\\\"@corp.example>\"", "to=<\"a b\"@corp.example>|"},
    {"empty", HEAD " helo=\"\" s=1", "helo=|s=1|"},
    {"null sender", HEAD " from=<> s=1", "from=<>|s=1|"},
    {"UTF-8", HEAD " to=<j\xc3\xbcrgen@corp.example>", "to=<j\xc3\xbcrgen@corp.example>|"},
    {"a name twice", HEAD " mark=spf-fail mark=iprev", "mark=spf-fail|mark=iprev|"},
    {"a brace in a value", HEAD " reply=\"550 {a}\"", "reply=550 {a}|"},
    {"peers cannot make fields", HEAD " reply=\"x\\\" event=bounced id=B\"", "reply=x\" event=bounced id=B|"},
    {"JSON", JSON_HEAD ",\"id\":\"A\",\"to\":\"<bob@corp.example>\",\"attempts\":1}", "id=A|to=<bob@corp.example>|attempts=1|"},
    {"JSON with blanks", "{ \"ts\" : \"2009-02-13T23:31:30.123Z\", \"level\":\"info\" , \"event\":\"delivered\", \"ok\": true }", "ok=true|"},
    {"JSON sorted by a collector", "{\"event\":\"delivered\",\"id\":\"A\",\"level\":\"info\",\"ts\":\"2009-02-13T23:31:30.123Z\"}", "id=A|"},
    {"JSON escapes", JSON_HEAD ",\"reply\":\"\\\"a\\\" \\\\xff \\/ \\u00fc\\u20ac \\ud83d\\ude00 \\ud83d!\"}", "reply=\"a\" \\xff / \xc3\xbc\xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbd!|"},
    {"JSON with the end of logfmt in it", JSON_HEAD ",\"reply\":\"ts=1 level=x\"}", "reply=ts=1 level=x|"},
    {"syslog", "Nov 22 07:54:37 mx postilion[42]: " HEAD " id=A", "id=A|"},
    {"journald with a zone", "2026-11-22T07:54:37+0000 mx postilion[42]: " HEAD " id=A", "id=A|"},
    {"syslog on the wire", "<22>postilion[42]: " HEAD " id=A", "id=A|"},
    {"a container's time", "2026-11-22T07:54:37.123456789Z " HEAD " id=A", "id=A|"},
    {"compose", "mx-1  | " HEAD " id=A", "id=A|"},
    {"syslog and JSON", "Nov 22 07:54:37 mx postilion[42]: " JSON_HEAD ",\"id\":\"A\"}", "id=A|"},
    {"cut inside of quotes", HEAD " id=A reply=\"550 no", "id=A|"},
    {"cut behind a backslash", HEAD " id=A reply=\"550 no\\", "id=A|"},
    {"cut inside of a name", HEAD " id=A repl", "id=A|"},
    {"cut behind a blank", HEAD " id=A ", "id=A|"},
    {"JSON cut inside of a value", JSON_HEAD ",\"id\":\"A\",\"reply\":\"550 no", "id=A|"},
    {"JSON cut inside of a name", JSON_HEAD ",\"id\":\"A\",\"rep", "id=A|"},
    {"JSON cut inside of a number", JSON_HEAD ",\"id\":\"A\",\"n\":12", "id=A|"},
    {"JSON cut behind a comma", JSON_HEAD ",\"id\":\"A\",", "id=A|"},
    {"JSON cut behind a colon", JSON_HEAD ",\"id\":\"A\",\"n\":", "id=A|"},
    {"JSON without its end", JSON_HEAD ",\"id\":\"A\"", "id=A|"},

    {"another program that was told to say it", "Nov 22 07:54:37 mx sshd[7]: Invalid user " HEAD, NULL},
    {"the same with a colon", "Nov 22 07:54:37 mx sshd[7]: error: " HEAD, NULL},
    {"nothing", "", NULL},
    {"another program", "Nov 22 07:54:37 mx sshd[7]: Invalid user", NULL},
    {"no level", "ts=2009-02-13T23:31:30.123Z event=delivered", NULL},
    {"no event", "ts=2009-02-13T23:31:30.123Z level=info", NULL},
    {"no time", "ts=yesterday level=info event=delivered", NULL},
    {"time behind", "x=1 ts=2009-02-13T23:31:30.123Z level=info event=delivered", ""},
    {"a word alone", HEAD " a/b c=d", NULL},
    {"no name", HEAD " =d", NULL},
    {"quotes with something behind", HEAD " a=\"b\"c", NULL},
    {"an escape we do not write", HEAD " a=\"\\q\"", NULL},
    {"half an octet", HEAD " a=\"\\x1\" b=c", NULL},
    {"two blanks", HEAD "  a=b", NULL},
    {"JSON with an object in it", JSON_HEAD ",\"a\":{\"b\":1}}", NULL},
    {"JSON with an array in it", JSON_HEAD ",\"a\":[1]}", NULL},
    {"JSON with something behind", JSON_HEAD "} x", NULL},
    {"JSON without a colon", JSON_HEAD ",\"a\" \"b\"}", NULL},
    {"JSON with a name of blanks", JSON_HEAD ",\"a b\":\"c\"}", NULL},
    {"JSON with half an escape", JSON_HEAD ",\"a\":\"\\u12\"}", NULL},
    {"JSON of somebody else", "{\"time\":1}", NULL},
    {"JSON, an empty object", "{}", NULL},
};
/* clang-format on */

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        const char *name = lines[i].name;
        struct event_record record;
        bool is_ours = event_record_read(&record, bytes_from_text(lines[i].line), arena);

        CHECK_INT(name, is_ours, lines[i].want != NULL);
        if (is_ours) {
            CHECK_TEXT(name, show(&record), lines[i].want);
            CHECK_INT(name, record.time_ms, 1234567890123);
            CHECK_BYTES(name, record.level, BYTES("info"));
            CHECK_BYTES(name, record.event, BYTES("delivered"));
        }
        arena_reset(arena);
    }
}

static void test_octets_that_are_no_text(void **state)
{
    struct event_record record;

    (void)state;
    CHECK_TRUE("ours",
               event_record_read(&record, BYTES(HEAD " reply=\"a\\x00\\xffb\""), arena));
    CHECK_BYTES("octets", event_record_get(&record, "reply"),
                BYTES("a\0\xff"
                      "b"));
    arena_reset(arena);
}

static void test_asking(void **state)
{
    struct event_record record;
    size_t position = 0;

    (void)state;
    CHECK_TRUE("ours",
               event_record_read(&record,
                                 BYTES(HEAD " from=<> to=<a@b.example> found=x found=<y>"
                                            " ms=17 delay=0.4 why=\"<\""),
                                 arena));
    CHECK_TRUE("what it is", event_record_is(&record, "delivered"));
    CHECK_TRUE("what it is not", !event_record_is(&record, "deliver"));
    CHECK_BYTES("without brackets", event_record_get(&record, "to"), BYTES("a@b.example"));
    CHECK_BYTES("null sender", event_record_get(&record, "from"), BYTES(""));
    CHECK_TRUE("null sender is there", event_record_get(&record, "from").data != NULL);
    CHECK_TRUE("not there", event_record_get(&record, "sender").data == NULL);
    CHECK_BYTES("half a bracket", event_record_get(&record, "why"), BYTES("<"));
    CHECK_BYTES("one of two", event_record_next(&record, "found", &position), BYTES("x"));
    CHECK_BYTES("two of two", event_record_next(&record, "found", &position), BYTES("y"));
    CHECK_TRUE("the end", event_record_next(&record, "found", &position).data == NULL);
    CHECK_INT("number", event_record_number(&record, "ms"), 17);
    CHECK_INT("no whole number", event_record_number(&record, "delay"), 0);
    CHECK_INT("no number", event_record_number(&record, "next"), 0);
    arena_reset(arena);
}

static void test_more_than_there_may_be(void **state)
{
    struct event_record record;
    struct strbuf line;

    (void)state;
    strbuf_init(&line, EVENT_LINE_LIMIT + 100);
    strbuf_add_text(&line, HEAD);
    for (size_t i = 3; i < EVENT_FIELD_LIMIT; i++) {
        strbuf_add_text(&line, " a=b");
    }
    CHECK_TRUE("all", event_record_read(&record, strbuf_bytes(&line), arena));
    CHECK_INT("all of them", record.count, EVENT_FIELD_LIMIT - 3);
    strbuf_add_text(&line, " a=b");
    CHECK_TRUE("one more", !event_record_read(&record, strbuf_bytes(&line), arena));
    strbuf_reset(&line);
    strbuf_add_text(&line, HEAD " a=");
    while (line.len < EVENT_LINE_LIMIT) {
        strbuf_add_char(&line, 'b');
    }
    CHECK_TRUE("as long as it may be", event_record_read(&record, strbuf_bytes(&line), arena));
    strbuf_add_char(&line, 'b');
    CHECK_TRUE("longer", !event_record_read(&record, strbuf_bytes(&line), arena));
    strbuf_clear(&line);
    arena_reset(arena);
}

/* However short a line is cut: what is left are the first fields of the whole. */
static void test_cut_anywhere(void **state)
{
    struct bytes all[] = {
        BYTES(HEAD " id=A why=\"a b\" n=1 reply=\"\\\"x\\x00\""),
        BYTES(JSON_HEAD ",\"id\":\"A\",\"why\":\"a b\",\"n\":1,\"reply\":\"\\\"x\"}")};
    struct event_record whole, part;

    (void)state;
    for (size_t which = 0; which < COUNT_OF(all); which++) {
        assert_true(event_record_read(&whole, all[which], arena));
        CHECK_INT("whole", whole.count, 4);
        for (size_t len = 0; len < all[which].len; len++) {
            if (!event_record_read(&part, bytes_first(all[which], len), arena)) {
                CHECK_TRUE("only without its head", len < sizeof HEAD + 20);
                continue;
            }
            CHECK_TRUE("no more", part.count <= whole.count);
            for (size_t i = 0; i + 1 < part.count; i++) {
                CHECK_BYTES("name", part.fields[i].name, whole.fields[i].name);
                CHECK_BYTES("value", part.fields[i].value, whole.fields[i].value);
            }
        }
    }
    arena_reset(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),        cmocka_unit_test(test_octets_that_are_no_text),
        cmocka_unit_test(test_asking),       cmocka_unit_test(test_more_than_there_may_be),
        cmocka_unit_test(test_cut_anywhere),
    };
    int failed;

    arena = arena_new();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
