#include "mail/story_report.h"

#include "base/calendar.h"
#include "base/json.h"
#include "base/utf8.h"

enum {
    WIDTH = 100,
    INDENT = 25,
    LABEL = 12,
    DATE_LENGTH = 10,
    CLOCK_FROM = 11,
    CLOCK_LENGTH = 12
};

/* ---- text -------------------------------------------------------------------------------- */

/* Characters, not octets: for columns. */
static size_t columns(struct bytes text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

static void add_blanks(struct strbuf *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        strbuf_add_char(out, ' ');
    }
}

/* Words up to the width; the next lines begin at the indent. */
static void add_wrapped(struct strbuf *out, struct bytes text, size_t indent)
{
    size_t column = indent;

    while (text.len > 0) {
        struct bytes word = bytes_cut(&text, ' ');
        size_t width = columns(word);

        if (column > indent) {
            if (column + 1 + width > WIDTH) {
                strbuf_add_char(out, '\n');
                add_blanks(out, indent);
                column = indent;
            } else {
                strbuf_add_char(out, ' ');
                column++;
            }
        }
        utf8_add_printable(out, word);
        column += width;
    }
    strbuf_add_char(out, '\n');
}

static void add_label(struct strbuf *out, const char *label, struct bytes text)
{
    if (text.len > 0) {
        strbuf_addf(out, "%-*s", LABEL, label);
        add_wrapped(out, text, LABEL);
    }
}

static void add_address_label(struct strbuf *out, const char *label, struct bytes address)
{
    strbuf_addf(out, "%-*s<", LABEL, label);
    utf8_add_printable(out, address);
    strbuf_add_text(out, ">\n");
}

static void add_time(struct strbuf *out, int64_t time_ms, size_t from, size_t length)
{
    struct strbuf text;

    strbuf_init(&text, 64);
    calendar_add_timestamp(&text, time_ms);
    strbuf_add(out, bytes_first(bytes_skip(strbuf_bytes(&text), from), length));
    strbuf_clear(&text);
}

static void add_words(struct strbuf *out, const char *label, const struct story_word *words)
{
    for (; words != NULL; words = words->next) {
        add_label(out, label, words->text);
    }
}

static void add_head(struct strbuf *out, const struct event_story *story)
{
    add_label(out, "message", story->id);
    add_label(out, "session", story->session);
    add_label(out, "Message-ID", story->message_id);
    if (story->has_from) {
        add_address_label(out, "from", story->from);
    }
    for (const struct story_word *at = story->recipients; at != NULL; at = at->next) {
        add_address_label(out, "to", at->text);
    }
    add_label(out, "bounce of", story->bounce_of);
    add_words(out, "bounce", story->bounces);
    add_words(out, "came back", story->returns);
    add_words(out, "may be of", story->origins);
}

static void add_step(struct strbuf *out, const struct story_step *step, int64_t *day)
{
    const char *kind = step->kind;
    bool has_time = step->time_ms != 0;
    int64_t today = step->time_ms / 86400000;

    if (has_time && today != *day) {
        *day = today;
        strbuf_add_char(out, '\n');
        add_time(out, step->time_ms, 0, DATE_LENGTH);
        strbuf_add_text(out, " (UTC)\n");
    }
    for (const struct story_line *line = step->lines; line != NULL; line = line->next) {
        size_t start = out->len;

        if (line == step->lines && has_time) {
            add_time(out, step->time_ms, CLOCK_FROM, CLOCK_LENGTH);
        } else if (line == step->lines) {
            strbuf_add_text(out, "now");
        }
        add_blanks(out, CLOCK_LENGTH + 2 - (out->len - start));
        strbuf_addf(out, "%-*s", INDENT - CLOCK_LENGTH - 2, line == step->lines ? kind : "");
        add_wrapped(out, line->text, INDENT);
    }
}

static void add_deliveries(struct strbuf *out, const struct event_story *story)
{
    for (const struct story_delivery *at = story->deliveries; at != NULL; at = at->next) {
        size_t start = out->len;

        strbuf_addf(out, "  %-10s <", story_state_text(at->state));
        utf8_add_printable(out, at->to);
        strbuf_add_char(out, '>');
        if (at->orig_to.len > 0) {
            strbuf_add_text(out, out->len - start > 50 ? "\n             for <" : " for <");
            utf8_add_printable(out, at->orig_to);
            strbuf_add_char(out, '>');
        }
        strbuf_add_char(out, '\n');
    }
}

void story_report_add_text(struct strbuf *out, const struct event_story *story)
{
    int64_t day = -1;

    add_head(out, story);
    if (story->steps_left_out > 0) {
        strbuf_addf(out, "\n(%zu earlier steps are left out)\n", story->steps_left_out);
    }
    for (const struct story_step *step = story->steps; step != NULL; step = step->next) {
        add_step(out, step, &day);
    }
    strbuf_addf(out, "\nIn the end: %s\n", story_state_text(story->state));
    add_deliveries(out, story);
    add_wrapped(out, story->verdict, 0);
    if (story->read_next.len > 0) {
        add_label(out, "Read next:", story->read_next);
    }
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void add_json_words(struct strbuf *out, const char *key, const struct story_word *words)
{
    json_open_array(out, key);
    for (; words != NULL; words = words->next) {
        json_text(out, NULL, words->text);
    }
    json_close_array(out);
}

static void add_json_some(struct strbuf *out, const char *key, struct bytes text)
{
    if (text.len > 0) {
        json_text(out, key, text);
    } else {
        json_null(out, key);
    }
}

static size_t count_names(const struct event_record *record, struct bytes name, size_t until)
{
    size_t count = 0;

    for (size_t i = 0; i < until; i++) {
        count += bytes_equal(record->fields[i].name, name);
    }
    return count;
}

/* The key as a text of C: names are words of at most so many octets. */
static void add_json_field(struct strbuf *out, const struct event_record *record, size_t index)
{
    struct bytes name = record->fields[index].name;
    struct strbuf key;

    if (count_names(record, name, index) > 0) {
        return; /* stands in the array of the first */
    }
    strbuf_init(&key, EVENT_LINE_LIMIT);
    strbuf_add(&key, name);
    if (count_names(record, name, record->count) == 1) {
        json_text(out, strbuf_text(&key), record->fields[index].value);
    } else {
        json_open_array(out, strbuf_text(&key));
        for (size_t i = index; i < record->count; i++) {
            if (bytes_equal(record->fields[i].name, name)) {
                json_text(out, NULL, record->fields[i].value);
            }
        }
        json_close_array(out);
    }
    strbuf_clear(&key);
}

static void add_json_record(struct strbuf *out, const char *key,
                            const struct event_record *record)
{
    json_open_object(out, key);
    json_time(out, "ts", record->time_ms);
    json_text(out, "level", record->level);
    json_text(out, "event", record->event);
    for (size_t i = 0; i < record->count; i++) {
        add_json_field(out, record, i);
    }
    json_close_object(out);
}

static void add_json_step(struct strbuf *out, const struct story_step *step)
{
    json_open_object(out, NULL);
    if (step->time_ms != 0) {
        json_time(out, "time", step->time_ms);
    } else {
        json_null(out, "time");
    }
    json_words(out, "step", step->kind);
    json_words(out, "outcome", step->outcome);
    json_open_array(out, "text");
    for (const struct story_line *line = step->lines; line != NULL; line = line->next) {
        json_text(out, NULL, line->text);
    }
    json_close_array(out);
    if (step->record != NULL) {
        add_json_record(out, "line", step->record);
    } else {
        json_null(out, "line");
    }
    json_close_object(out);
}

static void add_json_delivery(struct strbuf *out, const struct story_delivery *delivery)
{
    json_open_object(out, NULL);
    json_text(out, "to", delivery->to);
    add_json_some(out, "orig_to", delivery->orig_to);
    add_json_some(out, "sender", delivery->sender);
    json_words(out, "state", story_state_text(delivery->state));
    json_number(out, "attempts", (int64_t)delivery->attempts);
    json_close_object(out);
}

void story_report_add_json(struct strbuf *out, const struct event_story *story)
{
    json_open_object(out, NULL);
    add_json_some(out, "id", story->id);
    add_json_some(out, "session", story->session);
    add_json_some(out, "message_id", story->message_id);
    if (story->has_from) {
        json_text(out, "from", story->from);
    } else {
        json_null(out, "from");
    }
    add_json_words(out, "to", story->recipients);
    add_json_some(out, "client", story->client);
    add_json_some(out, "helo", story->helo);
    json_words(out, "state", story_state_text(story->state));
    json_words(out, "failed_side", event_side_text(story->side));
    json_text(out, "verdict", story->verdict);
    add_json_some(out, "read_next", story->read_next);
    json_open_array(out, "deliveries");
    for (const struct story_delivery *at = story->deliveries; at != NULL; at = at->next) {
        add_json_delivery(out, at);
    }
    json_close_array(out);
    add_json_some(out, "bounce_of", story->bounce_of);
    add_json_words(out, "bounces", story->bounces);
    add_json_words(out, "returns", story->returns);
    json_bool(out, "is_return_shared", story->is_return_shared);
    add_json_words(out, "origins", story->origins);
    json_number(out, "steps_left_out", (int64_t)story->steps_left_out);
    json_open_array(out, "steps");
    for (const struct story_step *step = story->steps; step != NULL; step = step->next) {
        add_json_step(out, step);
    }
    json_close_array(out);
    json_close_object(out);
}

/* ---- rows -------------------------------------------------------------------------------- */

static void add_padded(struct strbuf *out, struct bytes text, size_t width)
{
    size_t used = columns(text);

    utf8_add_printable(out, text);
    add_blanks(out, used < width ? width - used : 0);
    strbuf_add_char(out, ' ');
}

static struct bytes row_recipient(const struct event_record *record)
{
    struct bytes written = event_record_get(record, "orig_to");

    return written.len > 0 ? written : event_record_get(record, "to");
}

void story_report_add_row(struct strbuf *out, const struct event_record *record)
{
    struct bytes id = event_record_get(record, "id");

    add_time(out, record->time_ms, 0, DATE_LENGTH);
    strbuf_add_char(out, ' ');
    add_time(out, record->time_ms, CLOCK_FROM, 8);
    strbuf_add_char(out, ' ');
    add_padded(out, id.len > 0 ? id : event_record_get(record, "s"), 14);
    add_padded(out, record->event, 17);
    strbuf_add_char(out, '<');
    utf8_add_printable(out, event_record_get(record, "from"));
    strbuf_add_text(out, "> -> <");
    utf8_add_printable(out, row_recipient(record));
    strbuf_add_text(out, ">\n");
}

void story_report_add_row_json(struct strbuf *out, const struct event_record *record)
{
    json_open_object(out, NULL);
    json_time(out, "time", record->time_ms);
    add_json_some(out, "id", event_record_get(record, "id"));
    add_json_some(out, "session", event_record_get(record, "s"));
    json_text(out, "event", record->event);
    json_text(out, "from", event_record_get(record, "from"));
    json_text(out, "to", row_recipient(record));
    json_close_object(out);
    strbuf_add_char(out, '\n');
}

/* ---- lines ------------------------------------------------------------------------------- */

static bool is_plain(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char octet = (unsigned char)value.data[i];

        if (octet <= ' ' || octet == '"' || octet == '\\' || octet == '=' || octet == 0x7f) {
            return false;
        }
    }
    return value.len > 0 && utf8_is_valid(value);
}

static void add_value(struct strbuf *out, struct bytes value)
{
    struct strbuf shown;

    if (is_plain(value)) {
        utf8_add_printable(out, value);
        return;
    }
    strbuf_init(&shown, 8 * EVENT_LINE_LIMIT);
    strbuf_add_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        char octet = value.data[i];

        if (octet == '"' || octet == '\\') {
            strbuf_add_char(&shown, '\\');
        }
        strbuf_add_char(&shown, octet);
    }
    utf8_add_printable(out, strbuf_bytes(&shown));
    strbuf_add_char(out, '"');
    strbuf_clear(&shown);
}

void story_report_add_line(struct strbuf *out, const struct event_record *record)
{
    strbuf_add_text(out, "ts=");
    calendar_add_timestamp(out, record->time_ms);
    strbuf_add_text(out, " level=");
    strbuf_add(out, record->level);
    strbuf_add_text(out, " event=");
    strbuf_add(out, record->event);
    for (size_t i = 0; i < record->count; i++) {
        strbuf_add_char(out, ' ');
        strbuf_add(out, record->fields[i].name);
        strbuf_add_char(out, '=');
        add_value(out, record->fields[i].value);
    }
    strbuf_add_char(out, '\n');
}
