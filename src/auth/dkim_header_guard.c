#include "auth/dkim_header_guard.h"

/* A CR or LF alone: the library and a next hop would not see the same lines. */
static bool has_bare_line_end(struct bytes header)
{
    const char *at = header.data;
    const char *end = header.data + header.len;

    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((lf == NULL ? end : lf) - at);
        const char *cr = memchr(at, '\r', length);

        if (lf == NULL) {
            return cr != NULL;
        }
        if (cr == NULL || cr + 1 != lf) {
            return true;
        }
        at = lf + 1;
    }
    return false;
}

const char *dkim_header_refusal(struct bytes header)
{
    struct bytes rest = header;
    struct header_field field;
    size_t count = 0;

    if (header.len > DKIM_HEADER_LIMIT) {
        return "header too long";
    }
    if (header.len != 0 && memchr(header.data, '\0', header.len) != NULL) {
        return "NUL in the header";
    }
    if (has_bare_line_end(header)) {
        return "bare CR or LF in the header";
    }
    while (header_field_next(&rest, &field)) {
        if (++count > DKIM_FIELD_LIMIT) {
            return "too many header fields";
        }
    }
    if (rest.len != 0 && !bytes_equal(rest, BYTES("\r\n"))) {
        return "a line in the header is no field";
    }
    return NULL;
}

static struct bytes skip_blanks(struct bytes text)
{
    size_t count = 0;

    while (count < text.len && (unsigned char)text.data[count] <= ' ') {
        count++;
    }
    return bytes_skip(text, count);
}

static bool names_sha1(struct bytes value)
{
    for (size_t i = 0; i + 4 <= value.len; i++) {
        if (bytes_starts_with_nocase(bytes_skip(value, i), BYTES("sha1"))) {
            return true;
        }
    }
    return false;
}

/* A rough look at the tags, only to count: seeing one too many is harmless. What a signature says
 * is asked of the library, which alone decides what it verifies. */
static bool needs_extra_hash(struct bytes value)
{
    while (value.len != 0) {
        struct bytes tag = skip_blanks(bytes_cut(&value, ';'));
        struct bytes name = bytes_first(tag, 1);
        struct bytes rest = skip_blanks(bytes_skip(tag, 1));

        if (!bytes_starts_with(rest, BYTES("="))) {
            continue;
        }
        if (bytes_equal_nocase(name, BYTES("l")) ||
            (bytes_equal_nocase(name, BYTES("a")) && names_sha1(rest))) {
            return true;
        }
    }
    return false;
}

enum dkim_field dkim_header_guard_next(struct dkim_header_guard *guard,
                                       const struct header_field *field)
{
    if (!bytes_equal_nocase(field->name, BYTES("DKIM-Signature"))) {
        return DKIM_FIELD_PLAIN;
    }
    if (++guard->signatures > DKIM_SIGNATURE_LIMIT) {
        return DKIM_FIELD_ONE_TOO_MANY;
    }
    if (field->whole.len > DKIM_SIGNATURE_OCTETS) {
        return DKIM_FIELD_TOO_LONG;
    }
    if (needs_extra_hash(field->value) && ++guard->extra_hashes > DKIM_EXTRA_HASH_LIMIT) {
        return DKIM_FIELD_TOO_COSTLY;
    }
    return DKIM_FIELD_SIGNATURE;
}

struct bytes dkim_header_guard_text(const struct header_field *field)
{
    struct bytes text = field->whole;

    if (bytes_ends_with_nocase(text, BYTES("\r\n"))) {
        text.len -= 2;
    }
    return text;
}
