#include "mail/queue_listing.h"

#include "base/calendar.h"
#include "base/json.h"
#include "base/utf8.h"
#include "mail/header_block.h"
#include "mail/message_id.h"

#include <inttypes.h>

/* "45s", "12m", "3h20m", "2d04h": short, and never more than six characters for years. */
static void add_span(struct strbuf *out, int64_t span_ms)
{
    int64_t seconds = span_ms < 0 ? 0 : span_ms / 1000;

    if (seconds < 60) {
        strbuf_addf(out, "%" PRId64 "s", seconds);
    } else if (seconds < 3600) {
        strbuf_addf(out, "%" PRId64 "m", seconds / 60);
    } else if (seconds < 86400) {
        strbuf_addf(out, "%" PRId64 "h%02" PRId64 "m", seconds / 3600, seconds / 60 % 60);
    } else {
        strbuf_addf(out, "%" PRId64 "d%02" PRId64 "h", seconds / 86400, seconds / 3600 % 24);
    }
}

static void add_padded(struct strbuf *out, size_t start, size_t width)
{
    while (out->len - start < width && !out->overflowed) {
        strbuf_add_char(out, ' ');
    }
    strbuf_add_char(out, ' ');
}

static void add_next_attempt(struct strbuf *out, const struct queue_listing_row *row,
                             int64_t now_ms)
{
    if (row->is_held) {
        strbuf_add_text(out, "held");
    } else if (row->is_given_up) {
        strbuf_add_text(out, "bounce");
    } else if (row->next_attempt_ms <= now_ms) {
        strbuf_add_text(out, "now");
    } else {
        add_span(out, row->next_attempt_ms - now_ms);
    }
}

static void add_mailbox(struct strbuf *out, struct bytes address)
{
    strbuf_add_char(out, '<');
    utf8_add_printable(out, address);
    strbuf_add_char(out, '>');
}

void queue_listing_add_header(struct strbuf *out)
{
    strbuf_add_text(out, "ID            AGE     SIZE       TRIES NEXT    FROM, TO AND WHY\n");
}

void queue_listing_add_row(struct strbuf *out, const struct queue_listing_row *row,
                           int64_t now_ms)
{
    size_t start = out->len;

    strbuf_add_text(out, message_id_text(row->id).text);
    add_padded(out, start, MESSAGE_ID_LENGTH);
    start = out->len;
    add_span(out, now_ms - row->created_ms);
    add_padded(out, start, 7);
    start = out->len;
    strbuf_add_u64(out, row->size);
    add_padded(out, start, 10);
    start = out->len;
    strbuf_add_u64(out, row->attempts);
    add_padded(out, start, 5);
    start = out->len;
    add_next_attempt(out, row, now_ms);
    add_padded(out, start, 7);
    add_mailbox(out, row->sender);
    strbuf_add_text(out, " ");
    add_mailbox(out, row->alias);
    strbuf_add_text(out, " -> ");
    add_mailbox(out, row->recipient);
    strbuf_add_text(out, " at ");
    utf8_add_printable(out, row->destination);
    if (row->last_reply.len > 0) {
        strbuf_add_text(out, "\n              ");
        utf8_add_printable(out, row->last_reply);
    }
    strbuf_add_char(out, '\n');
}

void queue_listing_add_end(struct strbuf *out, uint64_t rows)
{
    if (rows == 0) {
        strbuf_add_text(out, "The queue is empty.\n");
        return;
    }
    strbuf_addf(out, "%" PRIu64 " deliver%s\n", rows, rows == 1 ? "y" : "ies");
}

void queue_listing_add_more(struct strbuf *out, uint64_t rows, uint64_t id, uint32_t number)
{
    strbuf_addf(out, "%" PRIu64 " deliver%s; for more: --after %s/%" PRIu32 "\n", rows,
                rows == 1 ? "y" : "ies", message_id_text(id).text, number);
}

static void add_row_members(struct strbuf *out, const struct queue_listing_row *row,
                            int64_t now_ms)
{
    strbuf_addf(out, "{\"id\":\"%s\",\"number\":%" PRIu32, message_id_text(row->id).text,
                row->number);
    json_time(out, "created", row->created_ms);
    strbuf_addf(out, ",\"age_seconds\":%" PRId64 ",\"size\":%" PRIu64,
                now_ms > row->created_ms ? (now_ms - row->created_ms) / 1000 : 0, row->size);
    json_text(out, "sender", row->sender);
    json_text(out, "alias", row->alias);
    json_text(out, "recipient", row->recipient);
    json_text(out, "destination", row->destination);
    strbuf_addf(out, ",\"state\":\"%s\",\"attempts\":%" PRIu32, row->is_held ? "held" : "due",
                row->attempts);
    json_time(out, "next_attempt", row->next_attempt_ms);
    json_text(out, "last_reply", row->last_reply);
    if (row->is_given_up) {
        strbuf_add_text(out, ",\"given_up\":true");
    }
    if (row->fallback.len > 0) {
        json_text(out, "fallback", row->fallback);
    }
}

void queue_listing_add_row_json(struct strbuf *out, const struct queue_listing_row *row,
                                int64_t now_ms)
{
    add_row_members(out, row, now_ms);
    strbuf_add_text(out, "}\n");
}

static void add_field(struct strbuf *out, const char *name, struct bytes text)
{
    if (text.len > 0) {
        strbuf_add_text(out, name);
        utf8_add_printable(out, text);
        strbuf_add_char(out, '\n');
    }
}

/* Each field of ours that says who the sender is, unfolded. */
static void add_results(struct strbuf *out, struct bytes prefix, bool is_json)
{
    struct header_field field;
    struct strbuf value;

    while (header_field_next(&prefix, &field)) {
        if (!bytes_equal_nocase(field.name, BYTES("Authentication-Results"))) {
            continue;
        }
        strbuf_init(&value, 64 * 1024);
        header_value_add(&value, field.value);
        if (is_json) {
            json_text(out, NULL, strbuf_bytes(&value));
        } else {
            add_field(out, "results   ", strbuf_bytes(&value));
        }
        strbuf_clear(&value);
    }
}

static void add_attempts(struct strbuf *out, const struct queue_listing_message *message,
                         uint32_t number)
{
    for (size_t i = 0; i < message->attempt_count; i++) {
        const struct queue_listing_attempt *attempt = &message->attempts[i];

        if (attempt->number != number) {
            continue;
        }
        strbuf_add_text(out, "    ");
        calendar_add_timestamp(out, attempt->at_ms);
        strbuf_add_char(out, ' ');
        utf8_add_printable(out, attempt->host.len > 0 ? attempt->host : BYTES("-"));
        strbuf_add_text(out, ": ");
        utf8_add_printable(out, attempt->reply);
        strbuf_add_char(out, '\n');
    }
}

static void add_attempts_json(struct strbuf *out, const struct queue_listing_message *message,
                              uint32_t number)
{
    json_open_array(out, "history");
    for (size_t i = 0; i < message->attempt_count; i++) {
        const struct queue_listing_attempt *attempt = &message->attempts[i];

        if (attempt->number != number) {
            continue;
        }
        json_open_object(out, NULL);
        json_time(out, "at", attempt->at_ms);
        json_text(out, "host", attempt->host);
        json_text(out, "reply", attempt->reply);
        json_close_object(out);
    }
    json_close_array(out);
}

static bool is_plain(struct bytes address)
{
    for (size_t i = 0; i < address.len; i++) {
        if (!ascii_is_alnum((unsigned char)address.data[i]) &&
            memchr("@._+-=", address.data[i], 6) == NULL) {
            return false;
        }
    }
    return address.len > 0 && address.data[0] != '-';
}

/* What to type next. An address that means something to a shell is not put into a command: strangers choose the
 * addresses that bounces go back to. */
static void add_hint(struct strbuf *out, const struct queue_listing_row *row)
{
    if (row->attempts > 0 && is_plain(row->recipient)) {
        strbuf_add_text(out, "    to see what its next hop says now: postilion probe ");
        strbuf_add(out, row->recipient);
        strbuf_add_text(out, row->sender.len == 0 ? " --from '<>'\n" : "\n");
    }
}

void queue_listing_add_message(struct strbuf *out, const struct queue_listing_message *message,
                               const struct queue_listing_row *rows, size_t count,
                               int64_t now_ms)
{
    strbuf_addf(out, "message   %s\narrived   ", message_id_text(message->id).text);
    calendar_add_timestamp(out, message->created_ms);
    strbuf_add_text(out, " (");
    add_span(out, now_ms - message->created_ms);
    strbuf_addf(out, " ago)\nsize      %" PRIu64 "\nfrom      ", message->size);
    add_mailbox(out, message->sender);
    strbuf_add_char(out, '\n');
    add_field(out, "client    ", message->client_ip);
    add_field(out, "helo      ", message->client_helo);
    add_field(out, "session   ", message->session);
    add_results(out, message->prefix, false);
    strbuf_add_char(out, '\n');
    queue_listing_add_header(out);
    for (size_t i = 0; i < count; i++) {
        queue_listing_add_row(out, &rows[i], now_ms);
        add_field(out, "    fallback ", rows[i].fallback);
        add_attempts(out, message, rows[i].number);
        add_hint(out, &rows[i]);
    }
}

void queue_listing_add_message_json(struct strbuf *out,
                                    const struct queue_listing_message *message,
                                    const struct queue_listing_row *rows, size_t count,
                                    int64_t now_ms)
{
    strbuf_addf(out, "{\"id\":\"%s\"", message_id_text(message->id).text);
    json_time(out, "created", message->created_ms);
    strbuf_addf(out, ",\"size\":%" PRIu64, message->size);
    json_text(out, "sender", message->sender);
    json_text(out, "client_ip", message->client_ip);
    json_text(out, "client_helo", message->client_helo);
    json_text(out, "session", message->session);
    strbuf_add_text(out, ",\"results\":[");
    add_results(out, message->prefix, true);
    strbuf_add_text(out, "],\"deliveries\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            strbuf_add_char(out, ',');
        }
        add_row_members(out, &rows[i], now_ms);
        add_attempts_json(out, message, rows[i].number);
        strbuf_add_char(out, '}');
    }
    strbuf_add_text(out, "]}\n");
}
