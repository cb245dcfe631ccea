#include "base/html.h"

#include "base/utf8.h"

static const struct bytes REPLACEMENT = BYTES("\xEF\xBF\xBD");

static const char *reference(char octet)
{
    switch (octet) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '`':
        return "&#96;";
    case '=':
        return "&#61;";
    default:
        return NULL;
    }
}

/* One character; returns how many octets it was. */
static size_t add_character(struct strbuf *out, struct bytes text)
{
    size_t len = utf8_length(text);
    struct bytes character = bytes_first(text, len);
    const char *instead = reference(text.data[0]);

    if (len == 0) {
        strbuf_add(out, REPLACEMENT);
        return 1;
    }
    if (instead != NULL) {
        strbuf_add_text(out, instead);
    } else if (text.data[0] != '\n' && text.data[0] != '\t' &&
               (utf8_is_control(character) || utf8_turns_direction(character))) {
        strbuf_add(out, REPLACEMENT);
    } else {
        strbuf_add(out, character);
    }
    return len;
}

void html_add_short(struct strbuf *out, struct bytes text, size_t characters)
{
    for (size_t count = 0; text.len > 0; count++) {
        if (count == characters) {
            strbuf_add_text(out, "\xE2\x80\xA6");
            return;
        }
        text = bytes_skip(text, add_character(out, text));
    }
}

void html_add(struct strbuf *out, struct bytes text)
{
    html_add_short(out, text, SIZE_MAX);
}

void html_add_query_value(struct strbuf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        if (ascii_is_alnum(octet) || (octet != 0 && strchr("-._~", octet) != NULL)) {
            strbuf_add_char(out, (char)octet);
        } else {
            strbuf_addf(out, "%%%02X", octet);
        }
    }
}
