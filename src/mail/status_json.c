#include "mail/status_json.h"

#include "base/json.h"

enum { QUEUE_ROWS = 200 };

static void add_time(struct strbuf *out, const char *key, int64_t unix_ms)
{
    if (unix_ms == 0) {
        json_null(out, key);
    } else {
        json_time(out, key, unix_ms);
    }
}

static void add_health(struct strbuf *out, const struct page_health *health)
{
    json_open_object(out, "health");
    json_words(out, "version", health->version);
    json_text(out, "hostname", health->hostname);
    json_time(out, "time", health->now_ms);
    json_time(out, "started", health->started_ms);
    json_number(out, "uptime_seconds", (health->now_ms - health->started_ms) / 1000);
    json_number(out, "sessions", (int64_t)health->sessions);
    json_number(out, "messages", (int64_t)health->messages);
    json_number(out, "deliveries", (int64_t)health->deliveries);
    json_number(out, "held", (int64_t)health->held);
    add_time(out, "oldest", health->oldest_ms);
    add_time(out, "certificate_expires",
             health->has_certificate ? health->certificate_expires * 1000 : 0);
    if (health->validates == PAGE_UNKNOWN) {
        json_null(out, "resolver_validates");
    } else {
        json_bool(out, "resolver_validates", health->validates == PAGE_YES);
    }
    if (health->knows_disk) {
        json_number(out, "disk_free", (int64_t)health->disk_free);
    } else {
        json_null(out, "disk_free");
    }
    json_number(out, "disk_floor", (int64_t)health->disk_floor);
    add_time(out, "reloaded", health->reload_ms);
    json_bool(out, "reload_failed", health->reload_failed);
    json_open_array(out, "paused");
    for (size_t i = 0; i < health->pause_count; i++) {
        json_open_object(out, NULL);
        json_words(out, "what", health->pauses[i].kind);
        if (health->pauses[i].destination.len > 0) {
            json_text(out, "destination", health->pauses[i].destination);
        }
        json_time(out, "since", health->pauses[i].since_ms);
        json_close_object(out);
    }
    json_close_array(out);
    json_close_object(out);
}

static void add_chart(struct strbuf *out, const struct chart *chart)
{
    json_open_object(out, NULL);
    json_words(out, "title", chart->title);
    json_time(out, "start", chart->start_ms);
    json_number(out, "step_seconds", chart->step_ms / 1000);
    json_open_array(out, "series");
    for (size_t i = 0; i < chart->series_count; i++) {
        json_open_object(out, NULL);
        json_words(out, "name", chart->series[i].name);
        json_open_array(out, "values");
        for (size_t j = 0; j < chart->count; j++) {
            if (chart->is_unknown != NULL && chart->is_unknown[j]) {
                json_null(out, NULL);
            } else {
                json_number(out, NULL, (int64_t)chart->series[i].values[j]);
            }
        }
        json_close_array(out);
        json_close_object(out);
    }
    json_close_array(out);
    json_close_object(out);
}

static void add_flow(struct strbuf *out, const struct status_page *page)
{
    const struct page_charts *all[] = {&page->flow[page->span],
                                       &page->authentication[page->span]};

    json_open_array(out, "flow");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (size_t j = 0; j < all[i]->count; j++) {
            add_chart(out, &all[i]->charts[j]);
        }
    }
    json_close_array(out);
}

/* "due" by the ages of mail/queue_ages. */
static void add_queue(struct strbuf *out, struct queue_ages *ages)
{
    struct queue_ages_row row;

    if (ages == NULL) {
        json_null(out, "queue");
        return;
    }
    json_open_array(out, "queue");
    for (size_t i = 0; i < QUEUE_ROWS && queue_ages_get(ages, i, &row); i++) {
        json_open_object(out, NULL);
        json_text(out, "destination", row.destination);
        json_open_array(out, "due");
        for (size_t j = 0; j < QUEUE_AGES_BUCKETS; j++) {
            json_number(out, NULL, (int64_t)row.due[j]);
        }
        json_close_array(out);
        json_number(out, "held", (int64_t)row.held);
        json_close_object(out);
    }
    json_close_array(out);
}

static void add_failing(struct strbuf *out, const struct status_page *page)
{
    json_open_array(out, "failing");
    for (size_t i = 0; i < page->failing_count; i++) {
        const struct page_failing *row = &page->failing[i];
        json_open_object(out, NULL);
        json_text(out, "destination", row->destination);
        json_number(out, "failures", (int64_t)row->failures);
        add_time(out, "since", row->since_ms);
        add_time(out, "last", row->last_ms);
        json_text(out, "class", row->kind);
        json_text(out, "reply", row->reply);
        json_text(out, "relay", row->relay);
        json_text(out, "tls", row->tls);
        json_close_object(out);
    }
    json_close_array(out);
}

static void add_group(struct strbuf *out, const char *key, const struct page_group *group)
{
    json_open_array(out, key);
    for (size_t i = 0; i < group->count; i++) {
        json_open_object(out, NULL);
        json_words(out, "title", group->shares[i].title);
        json_open_array(out, "parts");
        for (size_t j = 0; j < group->shares[i].count; j++) {
            json_open_object(out, NULL);
            json_words(out, "name", group->shares[i].parts[j].name);
            json_number(out, "value", (int64_t)group->shares[i].parts[j].value);
            json_close_object(out);
        }
        json_close_array(out);
        json_close_object(out);
    }
    json_close_array(out);
}

static void add_refusals(struct strbuf *out, const struct page_ranking *refusals)
{
    json_open_array(out, "refusals");
    for (size_t i = 0; i < refusals->count; i++) {
        json_open_object(out, NULL);
        json_text(out, "why", refusals->ranks[i].name);
        json_number(out, "count", (int64_t)refusals->ranks[i].value);
        if (refusals->ranks[i].note.len > 0) {
            json_text(out, "note", refusals->ranks[i].note);
        }
        json_close_object(out);
    }
    json_close_array(out);
}

static const char *mood_text(enum page_mood mood)
{
    switch (mood) {
    case MOOD_GOOD:
        return "good";
    case MOOD_PLAIN:
        return "plain";
    case MOOD_WARNING:
        return "warning";
    case MOOD_BAD:
        break;
    }
    return "bad";
}

static void add_doctor(struct strbuf *out, const struct status_page *page)
{
    json_open_object(out, "doctor");
    add_time(out, "looked", page->findings_ms);
    json_open_array(out, "findings");
    for (size_t i = 0; i < page->finding_count; i++) {
        json_open_object(out, NULL);
        json_words(out, "severity", mood_text(page->findings[i].mood));
        json_text(out, "title", page->findings[i].title);
        json_text(out, "what", page->findings[i].what);
        json_text(out, "why", page->findings[i].why);
        json_text(out, "fix", page->findings[i].fix);
        json_close_object(out);
    }
    json_close_array(out);
    json_close_object(out);
}

void status_json_add(struct strbuf *out, const struct status_page *page)
{
    json_open_object(out, NULL);
    add_health(out, &page->health);
    add_flow(out, page);
    add_queue(out, page->ages);
    add_failing(out, page);
    add_group(out, "arrival", &page->arrival);
    add_group(out, "forwarding", &page->afterwards);
    add_group(out, "tls", &page->tls);
    add_group(out, "returns", &page->returns);
    add_refusals(out, &page->refusals);
    add_doctor(out, page);
    json_close_object(out);
    strbuf_add_char(out, '\n');
}
