#include "mail/page_trace.h"

#include "base/calendar.h"
#include "base/html.h"
#include "base/json.h"
#include "mail/page_frame.h"
#include "mail/page_health.h"
#include "mail/story_report.h"

enum { TEXT_CHARACTERS = 2000, NAME_CHARACTERS = 320, DAY_MS = 86400000 };

/* ---- times ---- */

static void add_part_of_time(struct strbuf *out, int64_t unix_ms, size_t from, size_t to)
{
    struct strbuf text;

    strbuf_init(&text, 64);
    calendar_add_timestamp(&text, unix_ms);
    strbuf_add(out, bytes_between(strbuf_bytes(&text), from, to));
    strbuf_clear(&text);
}

static void add_date(struct strbuf *out, int64_t unix_ms)
{
    add_part_of_time(out, unix_ms, 0, 10);
}

static void add_clock(struct strbuf *out, int64_t unix_ms)
{
    add_part_of_time(out, unix_ms, 11, 23);
}

/* ---- a list ---- */

static struct bytes recipient_of(const struct event_record *record)
{
    struct bytes original = event_record_get(record, "orig_to");

    return original.len > 0 ? original : event_record_get(record, "to");
}

static struct bytes name_of(const struct event_record *record)
{
    struct bytes id = event_record_get(record, "id");

    return id.len > 0 ? id : event_record_get(record, "s");
}

static void add_link(struct strbuf *out, struct bytes query)
{
    strbuf_add_text(out, "<a class=\"said\" href=\"/trace?q=");
    html_add_query_value(out, query);
    strbuf_add_text(out, "\">");
    html_add_short(out, query, NAME_CHARACTERS);
    strbuf_add_text(out, "</a>");
}

static void add_address(struct strbuf *out, struct bytes address)
{
    if (address.len == 0) {
        strbuf_add_text(out, "&lt;&gt;");
    } else {
        html_add_short(out, address, NAME_CHARACTERS);
    }
}

static void add_row(struct strbuf *out, const struct event_record *record)
{
    strbuf_add_text(out, "<tr><td class=\"when\">");
    add_date(out, record->time_ms);
    strbuf_add_char(out, ' ');
    add_part_of_time(out, record->time_ms, 11, 19);
    strbuf_add_text(out, "</td><th scope=\"row\">");
    add_link(out, name_of(record));
    strbuf_add_text(out, "</th><td data-name=\"from\">");
    add_address(out, event_record_get(record, "from"));
    strbuf_add_text(out, "</td><td data-name=\"to\">");
    add_address(out, recipient_of(record));
    strbuf_add_text(out, "</td><td><span class=\"tag\">");
    html_add_short(out, record->event, NAME_CHARACTERS);
    strbuf_add_text(out, "</span></td></tr>");
}

static void add_list(struct strbuf *out, const struct page_trace *trace)
{
    strbuf_addf(out, "<section><h2>%s%zu messages <small>newest first</small></h2>",
                trace->has_more ? "The last " : "", trace->count);
    strbuf_add_text(out,
                    "<div class=\"scroll\"><table class=\"stack\"><thead><tr><th scope=\"col\">"
                    "Last event</th><th scope=\"col\">Id</th><th scope=\"col\">From</th>"
                    "<th scope=\"col\">To</th><th scope=\"col\">What it was</th></tr></thead>"
                    "<tbody>");
    for (size_t i = trace->count; i-- > 0;) {
        add_row(out, &trace->rows[i]);
    }
    strbuf_add_text(out, "</tbody></table></div></section>");
}

/* ---- a story ---- */

static enum page_mood mood_of(enum story_state state)
{
    switch (state) {
    case STORY_DELIVERED:
        return MOOD_GOOD;
    case STORY_WAITING:
    case STORY_HELD:
    case STORY_DEFERRED:
    case STORY_MIXED:
        return MOOD_WARNING;
    case STORY_BOUNCED:
    case STORY_DROPPED:
    case STORY_REFUSED:
        return MOOD_BAD;
    case STORY_UNKNOWN:
    case STORY_DISCARDED:
    case STORY_DELETED:
    case STORY_MOVED:
        break;
    }
    return MOOD_PLAIN;
}

static void add_fact(struct strbuf *out, const char *name, struct bytes value)
{
    if (value.len > 0) {
        strbuf_addf(out, "<div><dt>%s</dt><dd>", name);
        html_add_short(out, value, NAME_CHARACTERS);
        strbuf_add_text(out, "</dd></div>");
    }
}

static void add_links(struct strbuf *out, const char *name, const struct story_word *words)
{
    for (; words != NULL; words = words->next) {
        strbuf_addf(out, "<div><dt>%s</dt><dd>", name);
        add_link(out, words->text);
        strbuf_add_text(out, "</dd></div>");
    }
}

static void add_facts(struct strbuf *out, const struct event_story *story)
{
    strbuf_add_text(out, "<dl class=\"facts\">");
    add_fact(out, "Id", story->id);
    add_fact(out, "Session", story->session);
    add_fact(out, "Client", story->client);
    add_fact(out, "Calls itself", story->helo);
    if (story->has_from) {
        strbuf_add_text(out, "<div><dt>From</dt><dd>");
        add_address(out, story->from);
        strbuf_add_text(out, "</dd></div>");
    }
    for (const struct story_word *at = story->recipients; at != NULL; at = at->next) {
        add_fact(out, "To", at->text);
    }
    add_fact(out, "Message-ID", story->message_id);
    if (story->bounce_of.len > 0) {
        struct story_word of = {.text = story->bounce_of};
        add_links(out, "Bounce of", &of);
    }
    add_links(out, "Bounce", story->bounces);
    add_links(out, "Came back", story->returns);
    add_links(out, "May be about", story->origins);
    strbuf_add_text(out, "</dl>");
}

static void add_deliveries(struct strbuf *out, const struct event_story *story)
{
    if (story->deliveries == NULL) {
        return;
    }
    strbuf_add_text(out, "<ul class=\"findings\">");
    for (const struct story_delivery *at = story->deliveries; at != NULL; at = at->next) {
        strbuf_addf(out, "<li class=\"%s\"><h3>", page_mood_class(mood_of(at->state)));
        add_address(out, at->to);
        strbuf_addf(out, " <span class=\"tag\">%s</span></h3>", story_state_text(at->state));
        if (at->orig_to.len > 0 || at->sender.len > 0) {
            strbuf_add_text(out, "<p>");
            if (at->orig_to.len > 0) {
                strbuf_add_text(out, "for ");
                html_add_short(out, at->orig_to, NAME_CHARACTERS);
            }
            if (at->sender.len > 0) {
                strbuf_add_text(out, at->orig_to.len > 0 ? ", sent as " : "sent as ");
                html_add_short(out, at->sender, NAME_CHARACTERS);
            }
            strbuf_add_text(out, "</p>");
        }
        strbuf_add_text(out, "</li>");
    }
    strbuf_add_text(out, "</ul>");
}

static const char *step_class(const struct story_step *step)
{
    static const struct {
        const char *outcome, *class_name;
    } classes[] = {
        {"accepted", "m-good"}, {"delivered", "m-good"}, {"deferred", "m-warn"},
        {"held", "m-warn"},     {"refused", "m-bad"},    {"bounced", "m-bad"},
        {"dropped", "m-bad"},
    };

    for (size_t i = 0; step->outcome != NULL && i < sizeof classes / sizeof classes[0]; i++) {
        if (strcmp(step->outcome, classes[i].outcome) == 0) {
            return classes[i].class_name;
        }
    }
    return "m-plain";
}

static void add_step(struct strbuf *out, const struct story_step *step)
{
    strbuf_addf(out, "<li class=\"%s\"><span class=\"at\">", step_class(step));
    if (step->time_ms == 0) {
        strbuf_add_text(out, "now");
    } else {
        add_clock(out, step->time_ms);
    }
    strbuf_addf(out, "</span><span class=\"tag\">%s</span><div>", step->kind);
    for (const struct story_line *line = step->lines; line != NULL; line = line->next) {
        strbuf_add_text(out, "<p>");
        html_add_short(out, line->text, TEXT_CHARACTERS);
        strbuf_add_text(out, "</p>");
    }
    strbuf_add_text(out, "</div></li>");
}

static void add_steps(struct strbuf *out, const struct event_story *story)
{
    int64_t day = -1;

    strbuf_add_text(out, "<section><h2>What happened</h2><div class=\"card\">");
    if (story->steps_left_out > 0) {
        strbuf_addf(out, "<p class=\"note\">%zu earlier steps are left out.</p>",
                    story->steps_left_out);
    }
    for (const struct story_step *step = story->steps; step != NULL; step = step->next) {
        if (day == -1 || (step->time_ms != 0 && step->time_ms / DAY_MS != day)) {
            strbuf_add_text(out, day == -1 ? "<h3 class=\"day\">" : "</ol><h3 class=\"day\">");
            day = step->time_ms / DAY_MS;
            add_date(out, step->time_ms);
            strbuf_add_text(out, "</h3><ol class=\"steps\">");
        }
        add_step(out, step);
    }
    strbuf_add_text(out,
                    day == -1 ? "<p>Nothing.</p></div></section>" : "</ol></div></section>");
}

static void add_story(struct strbuf *out, const struct event_story *story)
{
    strbuf_addf(out, "<div class=\"verdict %s\"><h1>%s</h1>",
                page_mood_class(mood_of(story->state)), story_state_text(story->state));
    if (story->verdict.len > 0) {
        strbuf_add_text(out, "<p>");
        html_add_short(out, story->verdict, TEXT_CHARACTERS);
        strbuf_add_text(out, "</p>");
    }
    if (story->read_next.len > 0) {
        strbuf_add_text(out, "<p><b>Read next:</b> ");
        html_add_short(out, story->read_next, TEXT_CHARACTERS);
        strbuf_add_text(out, "</p>");
    }
    strbuf_add_text(out, "</div><section><div class=\"grid pair loose\"><div class=\"card\">");
    add_facts(out, story);
    strbuf_add_text(out, "</div>");
    if (story->deliveries != NULL) {
        strbuf_add_text(out, "<div class=\"card\">");
        add_deliveries(out, story);
        strbuf_add_text(out, "</div>");
    }
    strbuf_add_text(out, "</div></section>");
    add_steps(out, story);
}

/* ---- the page ---- */

static void add_card(struct strbuf *out, const char *title, const char *text, struct bytes more)
{
    strbuf_addf(out, "<h1>%s</h1><section><div class=\"card\"><p>%s", title, text);
    html_add_short(out, more, TEXT_CHARACTERS);
    strbuf_add_text(out, "</p></div></section>");
}

static void add_result(struct strbuf *out, const struct page_trace *trace)
{
    switch (trace->result) {
    case PAGE_TRACE_EMPTY:
        add_card(out, "Trace a message",
                 "Ask for the address of a sender or a recipient, for an id of the log (of a "
                 "message "
                 "or a session), or for a Message-ID.",
                 BYTES(""));
        return;
    case PAGE_TRACE_NOTHING:
        add_card(out, "Nothing is known of it",
                 "The history has no line about: ", trace->query);
        return;
    case PAGE_TRACE_ONE:
        add_story(out, trace->story);
        return;
    case PAGE_TRACE_SEVERAL:
        add_list(out, trace);
        return;
    case PAGE_TRACE_FAILED:
        add_card(out, "The history cannot be read", "", trace->why);
        return;
    case PAGE_TRACE_OFF:
        add_card(out, "No history is kept",
                 "The option \xE2\x80\x9Chistory\xE2\x80\x9D is off.", BYTES(""));
        return;
    }
}

void page_trace_add(struct strbuf *out, const struct page_trace *trace)
{
    struct strbuf again;
    struct page_frame frame = {.hostname = trace->hostname,
                               .title = "Trace",
                               .query = trace->query,
                               .has_trace = true,
                               .now_ms = trace->now_ms};

    strbuf_init(&again, 8192);
    strbuf_add_text(&again, "/trace?q=");
    html_add_query_value(&again, trace->query);
    frame.again = strbuf_text(&again);
    page_frame_open(out, &frame);
    add_result(out, trace);
    page_frame_close(out);
    strbuf_clear(&again);
}

/* ---- JSON ---- */

static const char *result_text(enum page_trace_result result)
{
    switch (result) {
    case PAGE_TRACE_EMPTY:
    case PAGE_TRACE_NOTHING:
        break;
    case PAGE_TRACE_ONE:
        return "one";
    case PAGE_TRACE_SEVERAL:
        return "several";
    case PAGE_TRACE_FAILED:
        return "failed";
    case PAGE_TRACE_OFF:
        return "off";
    }
    return "nothing";
}

static void add_row_json(struct strbuf *out, const struct event_record *record)
{
    json_open_object(out, NULL);
    json_time(out, "time", record->time_ms);
    json_text(out, "id", event_record_get(record, "id"));
    json_text(out, "session", event_record_get(record, "s"));
    json_text(out, "event", record->event);
    json_text(out, "from", event_record_get(record, "from"));
    json_text(out, "to", recipient_of(record));
    json_close_object(out);
}

void page_trace_add_json(struct strbuf *out, const struct page_trace *trace)
{
    json_open_object(out, NULL);
    json_text(out, "query", trace->query);
    json_words(out, "result", result_text(trace->result));
    if (trace->result == PAGE_TRACE_ONE) {
        strbuf_add_text(out, ",\"story\":");
        story_report_add_json(out, trace->story);
    } else if (trace->result == PAGE_TRACE_SEVERAL) {
        json_bool(out, "has_more", trace->has_more);
        json_open_array(out, "messages");
        for (size_t i = trace->count; i-- > 0;) {
            add_row_json(out, &trace->rows[i]);
        }
        json_close_array(out);
    } else if (trace->result == PAGE_TRACE_FAILED) {
        json_text(out, "why", trace->why);
    }
    json_close_object(out);
    strbuf_add_char(out, '\n');
}
