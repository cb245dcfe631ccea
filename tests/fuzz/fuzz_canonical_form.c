/* Properties: the cuts of a body do not matter to its hash, and neither does a CRLF more at its end
 * nor, relaxed, what the relaxed form does to white space anywhere; the relaxed form of a field is
 * its own relaxed form, without folds or two blanks; without a b= a signature is the field.
 * Input: the first two octets choose the cuts; the rest is a message. */
#include "auth/canonical_form.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

struct digest {
    unsigned char octets[BODY_HASH_OCTETS];
};

static struct digest hash_body(enum canonical_form form, struct bytes body, size_t first,
                               size_t then)
{
    struct body_hash *hash = body_hash_new(form);
    struct digest digest;

    for (size_t cut = first; body.len != 0; cut = then) {
        body_hash_add(hash, bytes_first(body, cut));
        body = bytes_skip(body, cut);
    }
    body_hash_finish(hash, digest.octets);
    body_hash_free(&hash);
    return digest;
}

static bool is_same(struct digest a, struct digest b)
{
    return memcmp(a.octets, b.octets, sizeof a.octets) == 0;
}

/* The same body for relaxed: blanks double, TAB for space, blanks before line ends. */
static void spread(struct bytes body, struct strbuf *out)
{
    for (size_t i = 0; i < body.len; i++) {
        char octet = body.data[i];

        if (octet == ' ' || octet == '\t') {
            strbuf_add_text(out, octet == ' ' ? "\t " : "  \t");
        } else if (octet == '\r' && i + 1 < body.len && body.data[i + 1] == '\n') {
            strbuf_add_text(out, i % 2 == 0 ? " \r\n" : "\t\t\r\n");
            i++;
        } else {
            strbuf_add_char(out, octet);
        }
    }
}

static void check_body(struct bytes body, size_t first, size_t then)
{
    struct strbuf other;

    for (enum canonical_form form = CANONICAL_SIMPLE; form <= CANONICAL_RELAXED; form++) {
        struct digest whole = hash_body(form, body, SIZE_MAX, SIZE_MAX);

        demand(is_same(whole, hash_body(form, body, first, then)));
        demand(is_same(whole, hash_body(form, body, 1, 1)));
        strbuf_init(&other, body.len + 8);
        strbuf_add(&other, body);
        strbuf_add_text(&other, "\r\n");
        demand(is_same(whole, hash_body(form, strbuf_bytes(&other), then, first)));
        strbuf_clear(&other);
    }
    strbuf_init(&other, 4 * body.len + 8);
    spread(body, &other);
    demand(is_same(hash_body(CANONICAL_RELAXED, body, SIZE_MAX, SIZE_MAX),
                   hash_body(CANONICAL_RELAXED, strbuf_bytes(&other), first, then)));
    strbuf_clear(&other);
}

static void check_relaxed_text(struct bytes text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        demand(text.data[i] != '\t');
        demand(text.data[i] != ' ' || text.data[i + 1] != ' ');
        demand(text.data[i] != '\r' || text.data[i + 1] != '\n' || i + 2 == text.len);
    }
}

static void check_field(const struct header_field *field)
{
    struct strbuf once, twice;
    struct bytes rest;
    struct header_field again;

    strbuf_init(&once, field->whole.len + 8);
    strbuf_init(&twice, field->whole.len + 8);
    canonical_field_add(&once, CANONICAL_RELAXED, field);
    demand(!once.overflowed);
    check_relaxed_text(strbuf_bytes(&once));
    rest = strbuf_bytes(&once);
    demand(header_field_next(&rest, &again) && rest.len == 0);
    canonical_field_add(&twice, CANONICAL_RELAXED, &again);
    demand(bytes_equal(strbuf_bytes(&once), strbuf_bytes(&twice)));
    strbuf_reset(&twice);
    canonical_signature_add(&twice, CANONICAL_RELAXED, field);
    demand(!twice.overflowed && twice.len + 2 <= once.len);
    if (bytes_find(field->value, '=') == field->value.len) {
        demand(
            bytes_equal(bytes_first(strbuf_bytes(&once), once.len - 2), strbuf_bytes(&twice)));
    }
    strbuf_reset(&twice);
    canonical_signature_add(&twice, CANONICAL_SIMPLE, field);
    demand(!twice.overflowed && twice.len <= field->whole.len);
    strbuf_clear(&once);
    strbuf_clear(&twice);
}

/* All fields, each by its name, are the header from the bottom up. */
static void check_names(struct bytes header)
{
    struct strbuf names, by_name, by_field;
    struct bytes rest = header;
    struct header_field field;

    strbuf_init(&names, 4 * header.len + 8);
    strbuf_init(&by_name, 2 * header.len + 8);
    strbuf_init(&by_field, 2 * header.len + 8);
    while (header_field_next(&rest, &field)) {
        strbuf_add(&names, field.name);
        strbuf_add_char(&names, ':');
        canonical_field_add(&by_field, CANONICAL_SIMPLE, &field);
    }
    for (rest = header; header_field_next(&rest, &field);) { /* once more: they are all taken */
        strbuf_add(&names, field.name);
        strbuf_add_char(&names, ':');
    }
    canonical_header_add(&by_name, CANONICAL_SIMPLE, header, strbuf_bytes(&names));
    demand(by_name.len == by_field.len);
    strbuf_clear(&names);
    strbuf_clear(&by_name);
    strbuf_clear(&by_field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes message = bytes_skip(bytes_of(data, size), 2);
    size_t first = size > 0 ? data[0] + 1u : 1, then = size > 1 ? data[1] + 1u : 1;
    struct bytes header = bytes_first(message, header_block_length(message));
    struct bytes rest = header;
    struct header_field field;

    while (header_field_next(&rest, &field)) {
        check_field(&field);
    }
    check_names(header);
    check_body(message, first, then);
    check_body(bytes_skip(message, header.len + 2), first, then);
    return 0;
}
