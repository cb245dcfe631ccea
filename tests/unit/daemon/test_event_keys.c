#include "support/check.h"

#include "daemon/event_keys.h"

#include "base/strbuf.h"

#define HEAD "ts=2009-02-13T23:31:30.123Z level=info event="

static const char KINDS[] = "isame"; /* in the order of enum history_kind */

/* clang-format off */
static const struct {
    const char *name, *line;
    const char *want; /* NULL: not kept */
} cases[] = {
    {"a session's end", HEAD "session-end s=7F3A client=192.0.2.1 helo=a.test", "s:7F3A e:session-end"},
    {"a message", HEAD "accepted s=7F3A client=192.0.2.1 id=5kx2 from=<Ann@A.Test> orig_to=<x@own.test> orig_to=<y@own.test> message-id=<1.Q@a.test>",
     "i:5kx2 s:7F3A a:ann@a.test a:x@own.test a:y@own.test m:1.Q@a.test e:accepted"},
    {"a delivery", HEAD "delivered id=5kx2 from=<ann@a.test> sender=<SRS0=x@own.test> to=<bob@b.test> orig_to=<x@own.test>",
     "i:5kx2 a:ann@a.test a:bob@b.test a:x@own.test a:srs0=x@own.test e:delivered"},
    {"a bounce", HEAD "bounce-queued id=6abc bounce_of=5kx2 from=<> to=<ann@a.test>", "i:6abc i:5kx2 a:ann@a.test e:bounce-queued"},
    {"neither message nor session", HEAD "ready pid=1", "e:ready"},
    {"JSON", "{\"ts\":\"2009-02-13T23:31:30.123Z\",\"level\":\"info\",\"event\":\"held\",\"id\":\"5kx2\"}", "i:5kx2 e:held"},
    {"syslog", "<22>postilion[42]: " HEAD "held id=5kx2", "i:5kx2 e:held"},
    {"an attack", HEAD "connection-refused client=192.0.2.1 why=per-client", NULL},
    {"refused in a session", HEAD "connection-refused s=7F3A client=192.0.2.1 why=per-client", "s:7F3A e:connection-refused"},
    {"for programmers", "ts=2009-02-13T23:31:30.123Z level=debug event=x id=5kx2", NULL},
    {"no line of ours", "Killed", NULL},
};
/* clang-format on */

static void test_keys(void **state)
{
    struct arena *arena = arena_new();
    struct strbuf got;

    (void)state;
    strbuf_init(&got, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct history_facts facts = {.count = 0};
        bool is_kept = event_keys_describe(bytes_from_text(cases[i].line), arena, &facts);

        CHECK_TRUE(cases[i].name, is_kept == (cases[i].want != NULL));
        if (!is_kept) {
            continue;
        }
        strbuf_reset(&got);
        for (size_t j = 0; j < facts.count; j++) {
            strbuf_addf(&got, "%s%c:" BYTES_FMT, j == 0 ? "" : " ", KINDS[facts.keys[j].kind],
                        BYTES_ARG(facts.keys[j].value));
        }
        CHECK_TEXT(cases[i].name, strbuf_text(&got), cases[i].want);
        CHECK_BYTES(cases[i].name, facts.line, bytes_from_text(cases[i].line));
        CHECK_INT(cases[i].name, facts.time_ms, 1234567890123);
    }
    strbuf_clear(&got);
    arena_free(&arena);
}

/* More recipients than a line may have keys. */
static void test_too_many_keys(void **state)
{
    struct history_facts facts = {.count = 0};
    struct arena *arena = arena_new();
    struct strbuf line;

    (void)state;
    strbuf_init(&line, 10000);
    strbuf_add_text(&line, HEAD "accepted id=5kx2");
    for (unsigned i = 0; i < 2 * HISTORY_KEYS; i++) {
        strbuf_addf(&line, " to=<%u@b.test>", i);
    }
    CHECK_TRUE("kept", event_keys_describe(strbuf_bytes(&line), arena, &facts));
    CHECK_INT("keys", facts.count, HISTORY_KEYS);
    strbuf_clear(&line);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_too_many_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
