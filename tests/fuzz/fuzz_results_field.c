/* Properties: taking out the fields that carry our name leaves every other octet as it was and
 * none that is found again, and whole lines only; what is written with any value reads back as
 * one field with as many results as were given, each value as it was but for octets that cannot
 * stand there. */
#include "mail/header_block.h"
#include "mail/results_field.h"

#include <stdlib.h>

#define ID BYTES("mx.example.org")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_removal(struct bytes message)
{
    struct bytes rest = message, field;
    struct strbuf kept;
    size_t at = 0, removed = 0;

    strbuf_init(&kept, message.len + 1);
    while (results_field_next_ours(&rest, ID, &field)) {
        size_t start = (size_t)(field.data - message.data);

        demand(start >= at && start + field.len <= message.len && field.len != 0);
        demand(start == 0 || message.data[start - 1] == '\n');
        demand(bytes_starts_with_nocase(field, BYTES("Authentication-Results")));
        strbuf_add(&kept, bytes_between(message, at, start));
        at = start + field.len;
        removed += field.len;
    }
    strbuf_add(&kept, bytes_skip(message, at));
    demand(kept.len == message.len - removed);
    demand(header_block_length(strbuf_bytes(&kept)) == header_block_length(message) - removed);
    rest = strbuf_bytes(&kept);
    demand(!results_field_next_ours(&rest, ID, &field));
    strbuf_clear(&kept);
}

static char as_written(char octet)
{
    return octet < ' ' || octet > 126 ? '?' : octet;
}

/* Reads what follows "=" and demands that it is `value`. */
static void demand_value(struct bytes *rest, struct bytes value)
{
    bool is_quoted = rest->len != 0 && rest->data[0] == '"';

    *rest = bytes_skip(*rest, is_quoted);
    value = bytes_first(value, RESULT_TEXT_LIMIT);
    for (size_t i = 0; i < value.len; i++) {
        if (is_quoted && rest->len != 0 && rest->data[0] == '\\') {
            *rest = bytes_skip(*rest, 1);
        } else {
            demand(rest->len != 0 && rest->data[0] != '"');
        }
        demand(rest->len != 0 && rest->data[0] == as_written(value.data[i]));
        *rest = bytes_skip(*rest, 1);
    }
    demand(!is_quoted || (rest->len != 0 && rest->data[0] == '"'));
    *rest = bytes_skip(*rest, is_quoted);
}

/* Octets outside of comments and quotes. */
static void strip(struct bytes text, struct strbuf *out)
{
    size_t depth = 0;
    bool is_quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        char octet = text.data[i];

        if (octet == '\\') {
            i++;
        } else if (octet == '"' && depth == 0) {
            is_quoted = !is_quoted;
        } else if (octet == '(' && !is_quoted) {
            depth++;
        } else if (octet == ')' && !is_quoted) {
            demand(depth-- != 0);
        } else if (depth == 0 && !is_quoted) {
            strbuf_add_char(out, octet);
        }
    }
    demand(depth == 0 && !is_quoted);
}

static void check_field(struct bytes written, size_t results)
{
    struct bytes rest = written;
    struct header_field field;
    struct strbuf bare;
    size_t found = 0;

    demand(header_field_next(&rest, &field) && rest.len == 0);
    for (size_t i = 0; i < written.len; i++) {
        unsigned char octet = (unsigned char)written.data[i];

        demand((octet >= ' ' && octet < 127) || octet == '\r' || octet == '\n' ||
               octet == '\t');
    }
    for (rest = written; rest.len != 0;) {
        demand(bytes_cut(&rest, '\n').len < 998);
    }
    strbuf_init(&bare, written.len + 1);
    strip(field.value, &bare);
    for (size_t i = 0; i < bare.len; i++) {
        found += bare.data[i] == ';';
    }
    demand(found == results);
    strbuf_clear(&bare);
}

static void check_writing(struct bytes text)
{
    struct result_property property = {"smtp", "mailfrom", text};
    struct result_entry entries[] = {{"spf", "fail", text, text, &property, 1},
                                     {"dkim", "none", {0}, {0}, &property, 1}};
    struct received_spf facts = {"fail", text, text, text, text, text, "helo", text};
    struct strbuf out;
    struct bytes rest, field;

    strbuf_init(&out, 1 << 16);
    results_field_add(&out, ID, entries, 2);
    demand(!out.overflowed);
    check_field(strbuf_bytes(&out), 2);
    rest = strbuf_bytes(&out);
    rest = bytes_skip(rest, bytes_find_part(rest, BYTES("\tdkim=none")));
    rest = bytes_skip(rest, bytes_find(rest, '.') + sizeof "mailfrom");
    rest = bytes_skip(rest, rest.len != 0 && rest.data[0] == '=');
    demand_value(&rest, text);
    demand(bytes_equal(rest, BYTES("\r\n")));
    rest = strbuf_bytes(&out);
    demand(results_field_next_ours(&rest, ID, &field) && field.len == out.len);
    strbuf_reset(&out);
    results_field_add(&out, text, entries, 1);
    check_field(strbuf_bytes(&out), 1);
    strbuf_reset(&out);
    results_field_add_received_spf(&out, &facts);
    check_field(strbuf_bytes(&out), text.len == 0 ? 4 : 5);
    strbuf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_removal(bytes_of(data, size));
    check_writing(bytes_of(data, size));
    return 0;
}
