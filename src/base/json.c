#include "base/json.h"

#include "base/calendar.h"
#include "base/utf8.h"

#include <inttypes.h>

/* Where no comma is due. Texts end in quotes, so that their octets are never taken for these. */
static void begin(struct strbuf *out, const char *key)
{
    if (out->len > 0 && memchr("{[:,\n", out->data[out->len - 1], 5) == NULL) {
        strbuf_add_char(out, ',');
    }
    if (key != NULL) {
        strbuf_addf(out, "\"%s\":", key);
    }
}

void json_open_object(struct strbuf *out, const char *key)
{
    begin(out, key);
    strbuf_add_char(out, '{');
}

void json_close_object(struct strbuf *out)
{
    strbuf_add_char(out, '}');
}

void json_open_array(struct strbuf *out, const char *key)
{
    begin(out, key);
    strbuf_add_char(out, '[');
}

void json_close_array(struct strbuf *out)
{
    strbuf_add_char(out, ']');
}

static void add_character(struct strbuf *out, struct bytes character)
{
    unsigned char first = (unsigned char)character.data[0];

    if (first == '"' || first == '\\') {
        strbuf_add_char(out, '\\');
    }
    if (utf8_is_control(character)) {
        strbuf_addf(out, "\\u%04x", (unsigned)(unsigned char)character.data[character.len - 1]);
    } else {
        strbuf_add(out, character);
    }
}

void json_text(struct strbuf *out, const char *key, struct bytes text)
{
    begin(out, key);
    strbuf_add_char(out, '"');
    while (text.len > 0) {
        size_t length = utf8_length(text);

        if (length == 0) {
            strbuf_add(out, BYTES("\xef\xbf\xbd")); /* U+FFFD */
            length = 1;
        } else {
            add_character(out, bytes_first(text, length));
        }
        text = bytes_skip(text, length);
    }
    strbuf_add_char(out, '"');
}

void json_words(struct strbuf *out, const char *key, const char *text)
{
    if (text == NULL) {
        json_null(out, key);
    } else {
        json_text(out, key, bytes_from_text(text));
    }
}

void json_number(struct strbuf *out, const char *key, int64_t number)
{
    begin(out, key);
    strbuf_addf(out, "%" PRId64, number);
}

void json_bool(struct strbuf *out, const char *key, bool value)
{
    begin(out, key);
    strbuf_add_text(out, value ? "true" : "false");
}

void json_null(struct strbuf *out, const char *key)
{
    begin(out, key);
    strbuf_add_text(out, "null");
}

void json_time(struct strbuf *out, const char *key, int64_t unix_ms)
{
    begin(out, key);
    strbuf_add_char(out, '"');
    calendar_add_timestamp(out, unix_ms);
    strbuf_add_char(out, '"');
}
