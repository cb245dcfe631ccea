#include "support/check.h"

#include "../../../src/ctl/trace_bundle.h"

#define HEAD "ts=2026-11-22T08:00:00.000Z level=info event="

static bool holds(const struct strbuf *text, const char *part)
{
    return strstr(strbuf_text(text), part) != NULL;
}

/* A message that is held, or whose turn has not come, stands in the queue with a target that no line has: it was shown. */
static void test_a_target_that_was_not_tried_yet_is_hidden(void **state)
{
    static const struct trace_command_options OPTIONS = {.version = "1"};
    struct story_waiting waiting[] = {
        {.recipient = BYTES("bert@dest.test"),
         .written = BYTES("info@fwd.test"),
         .is_held = true},
        {.recipient = BYTES("anna@sender.test"),
         .written = BYTES("SRS0=P35JO7MP=JL=sender.test=anna@srs.fwd.test")},
    };
    struct arena *arena = arena_new();
    struct event_record record;
    struct story_input input = {
        .records = &record,
        .count = 1,
        .id = BYTES("6h04s18km0000"),
        .queue = STORY_QUEUE_THERE,
        .waiting = waiting,
        .waiting_count = COUNT_OF(waiting),
    };

    (void)state;
    assert_true(event_record_read(
        &record,
        BYTES(HEAD "accepted s=65b2122d000000 id=6h04s18km0000 client=192.0.2.7 "
                   "from=<anna@sender.test> orig_to=<info@fwd.test> rcpts=1 how=stored"),
        arena));
    for (int is_json = 0; is_json < 2; is_json++) {
        struct event_story story;
        struct strbuf out;

        event_story_tell(&input, arena, &story);
        strbuf_init(&out, 1000000);
        assert_true(trace_bundle_add(&out, &input, &story, &OPTIONS, is_json, arena));
        CHECK_TRUE("no local part", !holds(&out, "bert"));
        CHECK_TRUE("no domain", !holds(&out, "dest.test"));
        CHECK_TRUE("its mask", holds(&out, "target-1@hidden-1.invalid"));
        CHECK_TRUE("the recipient", holds(&out, "info@fwd.test"));
        CHECK_TRUE("the sender's own", holds(&out, "anna@sender.test"));
        CHECK_TRUE("our hash", !holds(&out, "P35JO7MP"));
        strbuf_clear(&out);
    }
    arena_free(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_target_that_was_not_tried_yet_is_hidden),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
