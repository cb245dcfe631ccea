/*
 * Content: decoded in one piece or in pieces it is the same; the end is exactly the first
 * CRLF.CRLF; a content of CRLF lines goes through encoder and decoder unchanged. In chunks it is all
 * of the octets, and the same ones are found wrong.
 */
#include "protocol/smtp_content.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void add_octets(void *context, struct bytes octets)
{
    require(octets.len > 0);
    strbuf_add(context, octets);
}

/* Piece lengths come from the input itself, so that the fuzzer can choose the cuts. */
static size_t decode(struct smtp_content_decoder *decoder, struct bytes wire, size_t fixed_step,
                     struct strbuf *content)
{
    size_t used = 0;

    while (used < wire.len && !decoder->is_done) {
        size_t step = fixed_step != 0 ? fixed_step : 1 + ((unsigned char)wire.data[used] & 7);
        used += smtp_content_decode(decoder, bytes_first(bytes_skip(wire, used), step),
                                    add_octets, content);
    }
    return used;
}

/* The plainest possible rule for where content ends. */
static size_t find_end(struct bytes wire)
{
    size_t at;

    if (bytes_starts_with(wire, BYTES(".\r\n"))) {
        return 3;
    }
    at = bytes_find_part(wire, BYTES("\r\n.\r\n"));
    return at < wire.len ? at + 5 : wire.len;
}

/* The plainest rule again, for content whose lines end with CRLF. */
static bool has_hidden_dot(struct bytes content)
{
    while (content.len > 0) {
        size_t at = 0;

        while (at < content.len && content.data[at] == '\0') {
            at++;
        }
        if (at > 0 && at < content.len && content.data[at] == '.') {
            return true;
        }
        content = bytes_skip(content, bytes_find(content, '\n') + 1);
    }
    return false;
}

static bool is_crlf_clean(struct bytes content)
{
    char before = '\n';

    for (size_t i = 0; i < content.len; i++) {
        if ((content.data[i] == '\n') != (before == '\r')) {
            return false;
        }
        before = content.data[i];
    }
    return before == '\n';
}

static void check_round_trip(struct bytes content)
{
    struct smtp_content_encoder encoder = {0};
    struct smtp_content_decoder decoder = {0};
    struct strbuf wire, again;

    strbuf_init(&wire, 2 * content.len + 100);
    strbuf_init(&again, 2 * content.len + 100);
    for (size_t at = 0; at < content.len;) {
        size_t step = 1 + ((unsigned char)content.data[at] & 15);
        smtp_content_encode(&encoder, bytes_first(bytes_skip(content, at), step), &wire);
        at += step;
    }
    smtp_content_finish(&encoder, &wire);
    require(smtp_content_decode(&decoder, strbuf_bytes(&wire), add_octets, &again) == wire.len);
    require(decoder.is_done && !decoder.has_bare_cr_or_lf);
    require(bytes_equal(content, strbuf_bytes(&again)));
    strbuf_clear(&wire);
    strbuf_clear(&again);
}

static void check_chunks(struct bytes octets)
{
    struct smtp_content_decoder whole = {0}, pieces = {0};
    struct strbuf one, other;

    strbuf_init(&one, octets.len + 100);
    strbuf_init(&other, octets.len + 100);
    smtp_content_scan(&whole, octets, add_octets, &one);
    for (size_t at = 0; at < octets.len;) {
        size_t step = 1 + ((unsigned char)octets.data[at] & 7);
        smtp_content_scan(&pieces, bytes_first(bytes_skip(octets, at), step), add_octets,
                          &other);
        at += step;
    }
    smtp_content_scan_end(&whole, add_octets, &one);
    smtp_content_scan_end(&pieces, add_octets, &other);
    require(bytes_equal(strbuf_bytes(&one), strbuf_bytes(&other)));
    require(bytes_equal(bytes_first(strbuf_bytes(&one), octets.len), octets));
    require(one.len == octets.len || one.len == octets.len + 2);
    require(whole.octets == one.len && pieces.octets == one.len);
    require(whole.has_bare_cr_or_lf == pieces.has_bare_cr_or_lf);
    require(whole.has_nul == pieces.has_nul && whole.longest_line == pieces.longest_line);
    require(whole.has_bare_cr_or_lf != is_crlf_clean(strbuf_bytes(&one)));
    require(pieces.has_hidden_dot == whole.has_hidden_dot);
    require(whole.has_bare_cr_or_lf ||
            whole.has_hidden_dot == has_hidden_dot(strbuf_bytes(&one)));
    strbuf_clear(&one);
    strbuf_clear(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t STEPS[] = {SIZE_MAX, 1, 0};
    struct bytes wire = bytes_of(data, size);
    struct smtp_content_decoder decoders[3] = {{0}};
    struct strbuf contents[3];

    for (int i = 0; i < 3; i++) {
        strbuf_init(&contents[i], size + 100);
        require(decode(&decoders[i], wire, STEPS[i], &contents[i]) == find_end(wire));
        require(decoders[i].octets == contents[i].len);
        require(bytes_equal(strbuf_bytes(&contents[i]), strbuf_bytes(&contents[0])));
        require(decoders[i].is_done == decoders[0].is_done);
        require(decoders[i].has_bare_cr_or_lf == decoders[0].has_bare_cr_or_lf);
        require(decoders[i].has_nul == decoders[0].has_nul);
        require(decoders[i].has_bare_cr_or_lf ||
                decoders[i].has_hidden_dot == has_hidden_dot(strbuf_bytes(&contents[i])));
        require(decoders[i].longest_line == decoders[0].longest_line);
    }
    if (decoders[0].is_done) {
        require(decoders[0].has_bare_cr_or_lf != is_crlf_clean(strbuf_bytes(&contents[0])));
    }
    check_chunks(wire);
    if (is_crlf_clean(wire)) {
        check_round_trip(wire);
    }
    for (int i = 0; i < 3; i++) {
        strbuf_clear(&contents[i]);
    }
    return 0;
}
