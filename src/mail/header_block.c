#include "mail/header_block.h"

/* Octets of the first line with its CRLF, or all when no CRLF comes. A bare LF ends nothing. */
static size_t line_length(struct bytes text)
{
    const char *start = text.data;
    const char *end = text.data + text.len;
    const char *from = start;

    while (from < end) {
        const char *lf = memchr(from, '\n', (size_t)(end - from));

        if (lf == NULL) {
            break;
        }
        if (lf > start && lf[-1] == '\r') {
            return (size_t)(lf + 1 - start);
        }
        from = lf + 1;
    }
    return text.len;
}

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

/* Octets of the field name at the start, 0 when the line is no field; *colon: where it stands.
 */
static size_t name_length(struct bytes line, size_t *colon)
{
    size_t name = 0;
    size_t at;

    while (name < line.len && line.data[name] > ' ' && line.data[name] < 127 &&
           line.data[name] != ':') {
        name++;
    }
    /* Blanks before the colon are obsolete syntax that is still seen (RFC 5322 §4.5). */
    for (at = name; at < line.len && is_blank(line.data[at]); at++) {
    }
    if (at == line.len || line.data[at] != ':') {
        return 0;
    }
    *colon = at;
    return name;
}

bool header_field_next(struct bytes *rest, struct header_field *field)
{
    size_t length, name, colon;

    if (rest->len == 0) {
        return false;
    }
    length = line_length(*rest);
    name = name_length(bytes_first(*rest, length), &colon);
    if (name == 0) {
        return false;
    }
    while (length < rest->len && is_blank(rest->data[length])) {
        length += line_length(bytes_skip(*rest, length));
    }
    field->whole = bytes_first(*rest, length);
    field->name = bytes_first(*rest, name);
    field->value = bytes_skip(field->whole, colon + 1);
    *rest = bytes_skip(*rest, length);
    return true;
}

size_t header_block_length(struct bytes message)
{
    struct bytes rest = message;
    struct header_field field;

    while (header_field_next(&rest, &field)) {
    }
    return message.len - rest.len;
}

size_t header_block_count(struct bytes header, struct bytes name)
{
    struct header_field field;
    size_t count = 0;

    while (header_field_next(&header, &field)) {
        count += bytes_equal_nocase(field.name, name);
    }
    return count;
}

bool header_block_find(struct bytes header, struct bytes name, struct header_field *field)
{
    struct header_field candidate;

    while (header_field_next(&header, &candidate)) {
        if (bytes_equal_nocase(candidate.name, name)) {
            *field = candidate;
            return true;
        }
    }
    return false;
}

void header_value_add(struct strbuf *out, struct bytes value)
{
    struct bytes rest = bytes_trim(value);

    while (rest.len != 0) {
        size_t part = 0;

        while (part < rest.len && rest.data[part] != '\r' && rest.data[part] != '\n') {
            part++;
        }
        strbuf_add(out, bytes_first(rest, part));
        /* Line ends go, the blanks behind them stay (RFC 5322 §2.2.3). */
        rest = bytes_skip(rest, part + 1);
    }
}
