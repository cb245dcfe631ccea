#include "support/check.h"

#include "protocol/rspamd_reply.h"

static void test_replies(void **state)
{
    (void)state;
    static const struct {
        const char *name, *json;
        bool is_read;
        enum rspamd_action action;
        const char *score, *symbols;
    } cases[] = {
        {"nothing to say",
         "{\"is_skipped\":false,\"score\":-0.5,\"required_score\":15.0,\"action\":\"no "
         "action\","
         "\"symbols\":{}}",
         true, RSPAMD_NO_ACTION, "-0.50/15.00", ""},
        {"spam",
         "{\"action\":\"reject\",\"score\":16,\"required_score\":15,"
         "\"symbols\":{\"GTUBE\":{\"name\":\"GTUBE\",\"score\":0},\"B C\":{}}}",
         true, RSPAMD_REJECT, "16.00/15.00", "GTUBE,B?C"},
        {"the action alone", "{\"action\":\"add header\"}", true, RSPAMD_ADD_HEADER, "", ""},
        {"a subject", "{\"action\":\"rewrite subject\",\"score\":7.155}", true,
         RSPAMD_REWRITE_SUBJECT, "7.16", ""},
        {"later", "{\"action\":\"soft reject\"}", true, RSPAMD_SOFT_REJECT, "", ""},
        {"greylist", "{\"action\":\"greylist\"}", true, RSPAMD_GREYLIST, "", ""},
        {"quarantine", "{\"action\":\"quarantine\"}", true, RSPAMD_QUARANTINE, "", ""},
        {"nothing is ever discarded", "{\"action\":\"discard\"}", true, RSPAMD_REJECT, "", ""},
        {"numbers as large as they get", "{\"action\":\"reject\",\"score\":1e300}", true,
         RSPAMD_REJECT, "99999.00", ""},
        {"symbols of another kind", "{\"action\":\"reject\",\"symbols\":[1,2]}", true,
         RSPAMD_REJECT, "", ""},
        {"controls in a name", "{\"action\":\"reject\",\"symbols\":{\"a\\r\\nb\\u00e9\":1}}",
         true, RSPAMD_REJECT, "", "a??b??"},
        {"an action of its own", "{\"action\":\"juggle\"}", false, RSPAMD_NO_ACTION, "", ""},
        {"an action that is no text", "{\"action\":1}", false, RSPAMD_NO_ACTION, "", ""},
        {"two actions", "{\"action\":\"reject\",\"action\":\"no action\"}", false,
         RSPAMD_NO_ACTION, "", ""},
        {"no action", "{\"score\":1}", false, RSPAMD_NO_ACTION, "", ""},
        {"an error", "{\"error\":\"invalid command\"}", false, RSPAMD_NO_ACTION, "", ""},
        {"no object", "[\"action\",\"reject\"]", false, RSPAMD_NO_ACTION, "", ""},
        {"not whole", "{\"action\":\"reject\"", false, RSPAMD_NO_ACTION, "", ""},
        {"nothing", "", false, RSPAMD_NO_ACTION, "", ""},
        {"no JSON", "<html>", false, RSPAMD_NO_ACTION, "", ""},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new();
        struct rspamd_reply reply;

        CHECK_INT(cases[i].name,
                  rspamd_reply_read(bytes_from_text(cases[i].json), arena, &reply),
                  cases[i].is_read);
        CHECK_INT(cases[i].name, reply.action, cases[i].action);
        CHECK_BYTES(cases[i].name, reply.score, bytes_from_text(cases[i].score));
        CHECK_BYTES(cases[i].name, reply.symbols, bytes_from_text(cases[i].symbols));
        arena_free(&arena);
    }
}

static void test_deep_and_long_replies(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct rspamd_reply reply;
    struct strbuf json;

    strbuf_init(&json, 1000000);
    for (unsigned i = 0; i < 200000; i++) {
        strbuf_add_char(&json, '[');
    }
    CHECK_TRUE("deep", !rspamd_reply_read(strbuf_bytes(&json), arena, &reply));
    strbuf_reset(&json);
    strbuf_add_text(&json, "{\"action\":\"reject\",\"symbols\":{");
    for (unsigned i = 0; i < 1000; i++) {
        strbuf_addf(&json, "%s\"NAME_%03u\":1", i > 0 ? "," : "", i);
    }
    strbuf_add_text(&json, "}}");
    CHECK_TRUE("many", rspamd_reply_read(strbuf_bytes(&json), arena, &reply));
    CHECK_TRUE("within the limit", reply.symbols.len <= RSPAMD_SYMBOLS_LIMIT);
    CHECK_TRUE("as many as fit", reply.symbols.len > RSPAMD_SYMBOLS_LIMIT - 10);
    CHECK_BYTES("whole names", bytes_skip(reply.symbols, reply.symbols.len - 8),
                BYTES("NAME_043"));
    strbuf_clear(&json);
    arena_free(&arena);
}

static void test_the_question(void **state)
{
    (void)state;
    const struct bytes recipients[] = {BYTES("a@example.org"), BYTES("b@example.org")};
    struct rspamd_question question = {
        .size = 1234,
        .sender = BYTES("x@example.net"),
        .recipients = recipients,
        .recipient_count = 2,
        .ip = BYTES("192.0.2.1"),
        .helo = BYTES("evil\r\nSettings: {\"actions\":{}}\r\n\r\nx"),
        .id = BYTES("5KX2"),
    };
    struct strbuf out;

    strbuf_init(&out, 4096);
    rspamd_question_add(&out, &question);
    CHECK_TEXT("whole", strbuf_text(&out),
               "POST /checkv2 HTTP/1.1\r\nHost: rspamd\r\nUser-Agent: postilion\r\n"
               "Connection: close\r\nContent-Length: 1234\r\nFrom: x@example.net\r\n"
               "Rcpt: a@example.org\r\nRcpt: b@example.org\r\nIP: 192.0.2.1\r\n"
               "Helo: evil??Settings: {\"actions\":{}}????x\r\nQueue-Id: 5KX2\r\n\r\n");
    strbuf_reset(&out);
    question = (struct rspamd_question){.size = 0};
    rspamd_question_add(&out, &question);
    CHECK_TRUE("the null sender", strstr(strbuf_text(&out), "\r\nFrom: <>\r\n\r\n") != NULL);
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_deep_and_long_replies),
        cmocka_unit_test(test_the_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
