#include "support/check.h"

#include "mail/page_trace.h"

#include <jansson.h>

enum { TEXT_LIMIT = 4 << 20 };

static const struct bytes HOSTILE = BYTES("\"'><script>alert(1)</script>\xE2\x80\xAE\xFF=`&");

static void check(const char *name, const struct page_trace *trace, const char *shown,
                  const char *result)
{
    struct strbuf out;
    json_error_t error;

    strbuf_init(&out, TEXT_LIMIT);
    page_trace_add(&out, trace);
    if (strstr(strbuf_text(&out), shown) == NULL) {
        fail_msg("%s: the page does not say %s", name, shown);
    }
    assert_null(strstr(strbuf_text(&out), "<script"));
    assert_null(strstr(strbuf_text(&out), "\xE2\x80\xAE"));
    strbuf_reset(&out);
    page_trace_add_json(&out, trace);
    json_t *json = json_loadb(out.data, out.len, JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        fail_msg("%s: %s: %s", name, error.text, strbuf_text(&out));
    }
    CHECK_TEXT(name, json_string_value(json_object_get(json, "result")), result);
    json_decref(json);
    strbuf_clear(&out);
}

static void test_every_result(void **state)
{
    struct page_trace trace = {.hostname = BYTES("mx.own.test"),
                               .now_ms = INT64_C(1795339953000)};

    (void)state;
    check("nothing asked", &trace, "Trace a message", "nothing");
    trace.query = HOSTILE;
    trace.result = PAGE_TRACE_NOTHING;
    check("nothing found", &trace, "no line about: &quot;", "nothing");
    trace.result = PAGE_TRACE_OFF;
    check("off", &trace, "No history is kept", "off");
    trace.result = PAGE_TRACE_FAILED;
    trace.why = HOSTILE;
    check("failed", &trace, "cannot be read", "failed");
}

static void test_a_list(void **state)
{
    const struct event_field fields[] = {
        {BYTES("id"), HOSTILE}, {BYTES("from"), BYTES("")}, {BYTES("to"), HOSTILE}};
    const struct event_record rows[] = {
        {.time_ms = 1, .event = HOSTILE, .fields = fields, .count = 3},
        {.time_ms = INT64_C(1795339953000),
         .event = BYTES("accepted"),
         .fields = fields + 1,
         .count = 2}};
    struct page_trace trace = {.query = HOSTILE,
                               .result = PAGE_TRACE_SEVERAL,
                               .rows = rows,
                               .count = 2,
                               .has_more = true};

    (void)state;
    check("list", &trace, "The last 2 messages", "several");
    check("a link back", &trace, "href=\"/trace?q=%22%27%3E%3Cscript%3E", "several");
    check("the null sender", &trace, "&lt;&gt;", "several");
}

static void test_a_story(void **state)
{
    struct event_record record = {.time_ms = 5, .event = BYTES("delivered")};
    struct story_line second = {.text = HOSTILE}, first = {.text = HOSTILE, .next = &second};
    struct story_step now = {.kind = "queue", .lines = &second};
    struct story_step attempt = {.time_ms = INT64_C(1795339953000),
                                 .kind = "attempt",
                                 .outcome = "delivered",
                                 .lines = &first,
                                 .record = &record,
                                 .next = &now};
    struct story_step answer = {.time_ms = 5,
                                .kind = "answer",
                                .outcome = "refused",
                                .lines = &first,
                                .next = &attempt};
    struct story_delivery delivery = {
        .to = HOSTILE, .orig_to = HOSTILE, .sender = HOSTILE, .state = STORY_HELD};
    struct story_word word = {.text = HOSTILE};
    struct event_story story = {.id = HOSTILE,
                                .session = HOSTILE,
                                .client = HOSTILE,
                                .helo = HOSTILE,
                                .from = HOSTILE,
                                .message_id = HOSTILE,
                                .bounce_of = HOSTILE,
                                .has_from = true,
                                .recipients = &word,
                                .deliveries = &delivery,
                                .bounces = &word,
                                .returns = &word,
                                .origins = &word,
                                .steps = &answer,
                                .steps_left_out = 3,
                                .state = STORY_MIXED,
                                .verdict = HOSTILE,
                                .read_next = HOSTILE};
    struct page_trace trace = {.query = HOSTILE, .result = PAGE_TRACE_ONE, .story = &story};

    (void)state;
    check("story", &trace, "3 earlier steps are left out", "one");
    check("a step that went wrong", &trace,
          "<li class=\"m-bad\"><span class=\"at\">00:00:00.005</span><span "
          "class=\"tag\">answer</span>",
          "one");
    check("another day", &trace,
          "<h3 class=\"day\">2026-11-22</h3><ol class=\"steps\"><li class=\"m-good\">", "one");
    check("what is so now", &trace, "<span class=\"at\">now</span>", "one");
    check("its end", &trace, "<div class=\"verdict m-warn\"><h1>mixed</h1>", "one");
    story = (struct event_story){.state = STORY_UNKNOWN};
    check("an empty one", &trace, "Nothing.", "one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_result),
        cmocka_unit_test(test_a_list),
        cmocka_unit_test(test_a_story),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
