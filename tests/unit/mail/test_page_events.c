#include "support/check.h"

#include "mail/page_events.h"

/* Sun, 22 Nov 2026 09:32:33 UTC */
#define NOW_MS INT64_C(1795339953000)
#define NOW_MINUTE (NOW_MS / 60000 * 60)

struct world {
    struct event_counts *counts;
    struct event_series *series;
    struct event_failures *failures;
    struct arena *lines, *arena;
    struct status_page page;
};

static void set_up(struct world *world)
{
    *world = (struct world){.counts = event_counts_new(),
                            .series = event_series_new(),
                            .failures = event_failures_new(),
                            .lines = arena_new(),
                            .arena = arena_new(),
                            .page.health.now_ms = NOW_MS};
}

static void clear(struct world *world)
{
    event_counts_free(&world->counts);
    event_series_free(&world->series);
    event_failures_free(&world->failures);
    arena_free(&world->lines);
    arena_free(&world->arena);
}

static void take(struct world *world, const char *line)
{
    struct event_record record;

    assert_true(event_record_read(&record, bytes_from_text(line), world->lines));
    event_counts_take(world->counts, &record);
    event_failures_take(world->failures, &record);
    event_series_take(world->series, &record, NOW_MS);
}

static void take_minute(struct world *world, int64_t minutes_ago, const char *values)
{
    char line[300];

    snprintf(line, sizeof line,
             "ts=2026-11-22T09:00:00.000Z level=info event=minute start=%lld %s",
             (long long)(NOW_MINUTE - minutes_ago * 60), values);
    take(world, line);
}

static const struct status_page *fill(struct world *world)
{
    struct page_sources sources = {world->counts, world->series, world->failures};

    page_events_fill(&world->page, &sources, world->arena);
    return &world->page;
}

static const struct chart *chart_named(const struct page_charts *charts, const char *title)
{
    for (size_t i = 0; i < charts->count; i++) {
        if (strcmp(charts->charts[i].title, title) == 0) {
            return &charts->charts[i];
        }
    }
    fail_msg("no chart is called %s", title);
    return NULL;
}

static void test_minutes_become_columns(void **state)
{
    struct world world;

    (void)state;
    set_up(&world);
    take_minute(&world, 1, "delivered=3 bounced=1 deliveries-refused=2 queue=9");
    take_minute(&world, 2, "delivered=4 queue=70");
    take_minute(&world, 60, "delivered=5 queue=1");
    take_minute(&world, 61, "delivered=1000");
    const struct status_page *page = fill(&world);

    const struct chart *hour = chart_named(&page->flow[PAGE_HOUR], "Deliveries");
    CHECK_INT("columns of an hour", hour->count, 60);
    CHECK_INT("the last minute that has ended", hour->series[0].values[59], 3);
    CHECK_INT("bounced, and refused by the next hop", hour->series[2].values[59], 3);
    CHECK_INT("two minutes ago", hour->series[0].values[58], 4);
    CHECK_INT("an hour ago", hour->series[0].values[0], 5);
    CHECK_INT("what nobody counted", hour->is_unknown[57], true);
    CHECK_INT("known", hour->is_unknown[58], false);
    CHECK_INT("it begins", hour->start_ms, (NOW_MINUTE - 3600) * 1000);

    /* 09:30 has begun two and a half minutes ago: 09:31 and 09:30 are in its quarter. */
    const struct chart *day = chart_named(&page->flow[PAGE_DAY], "Deliveries");
    CHECK_INT("columns of a day", day->count, 96);
    CHECK_INT("the quarter that runs", day->series[0].values[95], 7);
    CHECK_INT("08:30, with the one before it", day->series[0].values[91], 1005);
    CHECK_INT("a quarter begins at one", day->start_ms % 900000, 0);

    const struct chart *week = chart_named(&page->flow[PAGE_WEEK], "Deliveries");
    CHECK_INT("columns of a week", week->count, 168);
    CHECK_INT("this hour", week->series[0].values[167], 7);
    CHECK_INT("the hour before", week->series[0].values[166], 1005);

    const struct chart *queue = chart_named(&page->flow[PAGE_DAY], "Messages in the queue");
    CHECK_INT("a level is not summed up", queue->series[0].values[95], 70);
    clear(&world);
}

static const struct chart_part *part_named(const struct page_group *group, const char *title,
                                           const char *name)
{
    for (size_t i = 0; i < group->count; i++) {
        for (size_t j = 0; j < group->shares[i].count; j++) {
            if (strcmp(group->shares[i].title, title) == 0 &&
                strcmp(group->shares[i].parts[j].name, name) == 0) {
                return &group->shares[i].parts[j];
            }
        }
    }
    fail_msg("no part is called %s: %s", title, name);
    return NULL;
}

#define HEAD "ts=2026-11-22T09:30:00.000Z level=info event="

static void test_shares(void **state)
{
    struct world world;

    (void)state;
    set_up(&world);
    take(&world,
         HEAD "accepted how=stored rcpts=1 returns=1 spf=pass dkim=fail dmarc=none arc=pass "
              "forecast=fail forecast-why=spf-only manner=munged");
    take(&world, HEAD "accepted how=stored rcpts=1 spf=temperror dkim=pass dmarc=pass arc=none "
                      "forecast=pass forecast-why=aligned-dkim manner=as-it-is");
    take(&world, HEAD "session-end tls=TLSv1.3 why=quit");
    take(&world, HEAD "session-end why=quit");
    take(&world, HEAD "delivered to=<a@x.example> tls=TLSv1.2 verified=yes");
    take(&world, HEAD "bounce-queued why=expired");
    const struct status_page *page = fill(&world);

    CHECK_INT("SPF", part_named(&page->arrival, "SPF", "pass")->value, 1);
    CHECK_INT("SPF", part_named(&page->arrival, "SPF", "no answer of DNS")->value, 1);
    CHECK_INT("DKIM", part_named(&page->arrival, "DKIM", "fail")->value, 1);
    CHECK_INT("ARC", part_named(&page->arrival, "ARC", "none")->value, 1);
    CHECK_INT("forecast",
              part_named(&page->afterwards, "DMARC of our copy at the next hop",
                         "fails: lived by SPF alone")
                  ->value,
              1);
    CHECK_INT("manner",
              part_named(&page->afterwards, "How it was sent on", "its author said in our name")
                  ->value,
              1);
    CHECK_INT("TLS in", part_named(&page->tls, "Sessions of clients", "in clear")->value, 1);
    CHECK_INT("TLS out",
              part_named(&page->tls, "Deliveries", "TLS 1.2, certificate verified")->value, 1);
    CHECK_INT("SRS", part_named(&page->returns, "Mail to our SRS addresses", "led back")->value,
              1);
    CHECK_INT("bounces", part_named(&page->returns, "Bounces of ours", "too old")->value, 1);
    clear(&world);
}

static void test_refusals_the_most_first(void **state)
{
    struct world world;

    (void)state;
    set_up(&world);
    CHECK_INT("nobody", fill(&world)->refusals.count, 0);
    take(&world, HEAD "message-refused why=virus");
    for (int i = 0; i < 3; i++) {
        take(&world, HEAD "recipient-refused why=unknown-recipient");
    }
    take(&world, HEAD "connection-refused why=penalty");
    take(&world, HEAD "connection-refused why=penalty");
    const struct page_ranking *refusals = &fill(&world)->refusals;
    CHECK_INT("reasons", refusals->count, 3);
    CHECK_BYTES("first", refusals->ranks[0].name, BYTES("unknown-recipient"));
    CHECK_INT("how often", refusals->ranks[0].value, 3);
    CHECK_BYTES("what", refusals->ranks[1].note, BYTES("connections turned away"));
    CHECK_BYTES("last", refusals->ranks[2].name, BYTES("virus"));
    clear(&world);
}

static void test_failing_destinations_are_copies(void **state)
{
    struct world world;

    (void)state;
    set_up(&world);
    take(&world, HEAD "deferred to=<a@x.example> status=deferred class=connection relay=none "
                      "reply=\"timed out\"");
    const struct status_page *page = fill(&world);
    take(&world, HEAD "deferred to=<b@x.example> status=deferred class=tls relay=none "
                      "reply=\"quite another\"");
    CHECK_INT("destinations", page->failing_count, 1);
    CHECK_BYTES("name", page->failing[0].destination, BYTES("x.example"));
    CHECK_BYTES("class", page->failing[0].kind, BYTES("connection"));
    CHECK_BYTES("reply", page->failing[0].reply, BYTES("timed out"));
    CHECK_INT("failures", page->failing[0].failures, 1);
    clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minutes_become_columns),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_refusals_the_most_first),
        cmocka_unit_test(test_failing_destinations_are_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
