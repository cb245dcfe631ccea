#include "support/check.h"

#include "base/calendar.h"
#include "base/strbuf.h"
#include "mail/event_failures.h"

enum { START_MS = 1000000000 };

static void take(struct event_failures *failures, int64_t time_ms, const char *rest)
{
    struct arena *arena = arena_new();
    struct event_record record;
    struct strbuf line;

    strbuf_init(&line, 10000);
    strbuf_add_text(&line, "ts=");
    calendar_add_timestamp(&line, time_ms);
    strbuf_addf(&line, " level=info %s\n", rest);
    assert_true(event_record_read(&record, strbuf_bytes(&line), arena));
    event_failures_take(failures, &record);
    strbuf_clear(&line);
    arena_free(&arena);
}

static void a_destination_that_fails(void **state)
{
    struct event_failures *failures = event_failures_new();
    struct event_failure list[EVENT_FAILURES];

    (void)state;
    take(failures, START_MS, "event=delivered to=<a@dest.example> tls=none");
    take(failures, START_MS + 1,
         "event=deferred to=<a@Dest.Example> relay=mx[192.0.2.1]:25 tls=none class=greylist "
         "reply=first");
    take(failures, START_MS + 2, "event=delivered to=<b@dest.example>");
    take(failures, START_MS + 3, "event=delivered to=<b@other.example>");
    take(failures, START_MS + 4,
         "event=refused to=<\"x@y\"@dest.example> relay=none class=reputation "
         "reply=\"550 5.7.1 blocked\\nevent=x\"");
    CHECK_INT("count", event_failures_list(failures, START_MS + 5, list), 1);
    CHECK_BYTES("domain", list[0].domain, BYTES("dest.example"));
    CHECK_BYTES("class", list[0].class, BYTES("reputation"));
    CHECK_BYTES("relay", list[0].relay, BYTES("none"));
    CHECK_BYTES("tls", list[0].tls, BYTES(""));
    CHECK_BYTES("reply", list[0].reply, BYTES("550 5.7.1 blocked\nevent=x"));
    CHECK_INT("failures", list[0].failures, 2);
    CHECK_INT("delivered", list[0].delivered, 1);
    CHECK_INT("since", list[0].since_ms, START_MS + 1);
    CHECK_INT("last", list[0].last_ms, START_MS + 4);
    event_failures_free(&failures);
}

static void what_says_nothing_about_a_destination(void **state)
{
    static const char *const LINES[] = {
        "event=bounced to=<a@dest.example> class=unknown-user",
        "event=deferred to=<a@dest.example> class=mailbox-full",
        "event=deferred to=<a@dest.example> class=mailbox-busy",
        "event=bounced to=<a@dest.example> class=too-big",
        "event=held to=<a@dest.example> why=content-missing",
        "event=recipient-refused to=<a@dest.example> class=policy",
        "event=rerouted to=<a@dest.example> status=deferred",
        "event=deferred to=<postmaster> class=policy",
        "event=deferred class=policy",
    };
    struct event_failures *failures = event_failures_new();
    struct event_failure list[EVENT_FAILURES];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        take(failures, START_MS, LINES[i]);
        CHECK_INT(LINES[i], event_failures_list(failures, START_MS, list), 0);
    }
    event_failures_free(&failures);
}

static void failures_age(void **state)
{
    struct event_failures *failures = event_failures_new();
    struct event_failure list[EVENT_FAILURES];
    int64_t later_ms = START_MS + EVENT_FAILURE_MS + 1;

    (void)state;
    take(failures, START_MS, "event=deferred to=<a@dest.example> class=dns");
    CHECK_INT("a day", event_failures_list(failures, START_MS + EVENT_FAILURE_MS, list), 1);
    CHECK_INT("more", event_failures_list(failures, later_ms, list), 0);
    take(failures, later_ms, "event=deferred to=<a@dest.example> class=dns");
    CHECK_INT("again", event_failures_list(failures, later_ms, list), 1);
    CHECK_INT("from the start", list[0].failures, 1);
    CHECK_INT("since", list[0].since_ms, later_ms);
    event_failures_free(&failures);
}

/* However many domains a stranger makes us fail at, those that fail most stay. */
static void strangers_push_nobody_out(void **state)
{
    struct event_failures *failures = event_failures_new();
    struct event_failure list[EVENT_FAILURES];
    char text[600];
    size_t count;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        take(failures, START_MS, "event=deferred to=<a@dest.example> class=connection");
    }
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(text, sizeof text, "event=deferred to=<a@n%u.%0300u> class=dns", i, 0u);
        take(failures, START_MS + i, text);
    }
    count = event_failures_list(failures, START_MS + 10000, list);
    CHECK_INT("bounded", count, EVENT_FAILURES);
    CHECK_BYTES("the first", list[0].domain, BYTES("dest.example"));
    CHECK_INT("cut", list[1].domain.len, EVENT_FAILURE_TEXT);
    for (size_t i = 1; i < count; i++) {
        CHECK_TRUE("falling", list[i].failures <= list[i - 1].failures);
    }
    /* One that failed often, but long ago, makes place. */
    for (unsigned i = 0; i < EVENT_FAILURES; i++) {
        snprintf(text, sizeof text, "event=deferred to=<a@n%u.example> class=dns", i);
        take(failures, START_MS + EVENT_FAILURE_MS + 20000, text);
    }
    count = event_failures_list(failures, START_MS + EVENT_FAILURE_MS + 20000, list);
    CHECK_INT("all are new", count, EVENT_FAILURES);
    event_failures_free(&failures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_destination_that_fails),
        cmocka_unit_test(what_says_nothing_about_a_destination),
        cmocka_unit_test(failures_age),
        cmocka_unit_test(strangers_push_nobody_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
