#include "support/check.h"

#include "protocol/smtp_content.h"

/* clang-format off */
static const struct {
    const char *name;
    struct bytes wire;
    struct bytes want; /* the content */
    size_t want_used;  /* up to and with the end */
    bool want_done, want_bare, want_nul;
} CASES[] = {
    {"plain", BYTES("a\r\nb\r\n.\r\nQUIT\r\n"), BYTES("a\r\nb\r\n"), 9, true, false, false},
    {"nothing at all", BYTES(".\r\n"), BYTES(""), 3, true, false, false},
    {"an empty line", BYTES("\r\n.\r\n"), BYTES("\r\n"), 5, true, false, false},
    {"stuffed dot", BYTES("..a\r\n.\r\n"), BYTES(".a\r\n"), 8, true, false, false},
    {"only a stuffed dot", BYTES("..\r\n.\r\n"), BYTES(".\r\n"), 7, true, false, false},
    {"dot that should have been stuffed", BYTES(".a\r\n.\r\n"), BYTES("a\r\n"), 7, true, false, false},
    {"dot in the line", BYTES("a.\r\n.\r\n"), BYTES("a.\r\n"), 7, true, false, false},
    {"cut before the end", BYTES("a\r\n."), BYTES("a\r\n"), 4, false, false, false},
    {"NUL", BYTES("a\0b\r\n.\r\n"), BYTES("a\0b\r\n"), 8, true, false, true},
    /* smuggling: what some server took for an end, and none of it is one */
    {"LF . LF", BYTES("a\n.\nb\r\n.\r\n"), BYTES("a\n.\nb\r\n"), 10, true, true, false},
    {"LF . CRLF", BYTES("a\n.\r\nb\r\n.\r\n"), BYTES("a\n.\r\nb\r\n"), 11, true, true, false},
    {"CRLF . LF", BYTES("a\r\n.\nb\r\n.\r\n"), BYTES("a\r\n\nb\r\n"), 11, true, true, false},
    {"CRLF . CR", BYTES("a\r\n.\rb\r\n.\r\n"), BYTES("a\r\n\rb\r\n"), 11, true, true, false},
    {"CR . CR", BYTES("a\r.\rb\r\n.\r\n"), BYTES("a\r.\rb\r\n"), 10, true, true, false},
    {"CR . CRLF", BYTES("a\r.\r\nb\r\n.\r\n"), BYTES("a\r.\r\nb\r\n"), 11, true, true, false},
    {"CR . LF", BYTES("a\r.\nb\r\n.\r\n"), BYTES("a\r.\nb\r\n"), 10, true, true, false},
    {"LF . CR", BYTES("a\n.\rb\r\n.\r\n"), BYTES("a\n.\rb\r\n"), 10, true, true, false},
    {"LF CR . CRLF", BYTES("a\n\r.\r\nb\r\n.\r\n"), BYTES("a\n\r.\r\nb\r\n"), 12, true, true, false},
    {"CRLF . CR CRLF", BYTES("a\r\n.\r\r\nb\r\n.\r\n"), BYTES("a\r\n\r\r\nb\r\n"), 13, true, true, false},
    {"CRLF . CR CR", BYTES("a\r\n.\r\rb\r\n.\r\n"), BYTES("a\r\n\r\rb\r\n"), 12, true, true, false},
    {"CRLF . NUL CRLF", BYTES("a\r\n.\0\r\nb\r\n.\r\n"), BYTES("a\r\n\0\r\nb\r\n"), 13, true, false, true},
    {"CR NUL LF . CRLF", BYTES("a\r\0\n.\r\nb\r\n.\r\n"), BYTES("a\r\0\n.\r\nb\r\n"), 13, true, true, true},
    {"CR CRLF . CRLF is the end", BYTES("a\r\r\n.\r\nb"), BYTES("a\r\r\n"), 7, true, true, false},
    {"LF CRLF . CRLF is the end", BYTES("a\n\r\n.\r\nb"), BYTES("a\n\r\n"), 7, true, true, false},
    {"LF before the first line", BYTES("\n.\r\nb\r\n.\r\n"), BYTES("\n.\r\nb\r\n"), 10, true, true, false},
    {"first dot then LF", BYTES(".\nb\r\n.\r\n"), BYTES("\nb\r\n"), 8, true, true, false},
    {"CR at a line's start", BYTES("\rb\r\n.\r\n"), BYTES("\rb\r\n"), 7, true, true, false},
};
/* clang-format on */

static void add_octets(void *context, struct bytes octets)
{
    strbuf_add(context, octets);
}

/* Feeds the wire in pieces of `step` octets and returns how many were used up. */
static size_t decode(struct smtp_content_decoder *decoder, struct bytes wire, size_t step,
                     struct strbuf *content)
{
    size_t used = 0;

    while (used < wire.len && !decoder->is_done) {
        struct bytes piece = bytes_first(bytes_skip(wire, used), step);
        size_t taken = smtp_content_decode(decoder, piece, add_octets, content);

        CHECK_TRUE("all used unless done", taken == piece.len || decoder->is_done);
        used += taken;
    }
    return used;
}

static void contents_are_decoded_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        for (size_t step = 1; step <= CASES[i].wire.len; step++) {
            struct smtp_content_decoder decoder = {0};
            struct strbuf content;

            strbuf_init(&content, 1000);
            CHECK_INT(CASES[i].name, decode(&decoder, CASES[i].wire, step, &content),
                      CASES[i].want_used);
            CHECK_BYTES(CASES[i].name, strbuf_bytes(&content), CASES[i].want);
            CHECK_INT(CASES[i].name, decoder.is_done, CASES[i].want_done);
            CHECK_INT(CASES[i].name, decoder.has_bare_cr_or_lf, CASES[i].want_bare);
            CHECK_INT(CASES[i].name, decoder.has_nul, CASES[i].want_nul);
            CHECK_INT(CASES[i].name, decoder.octets, CASES[i].want.len);
            strbuf_clear(&content);
        }
    }
}

static void longest_line_is_measured(void **state)
{
    static const struct bytes WIRE = BYTES("ab\r\n..cdefg\r\nh\r\n.\r\n");

    (void)state;
    for (size_t step = 1; step <= WIRE.len; step++) {
        struct smtp_content_decoder decoder = {0};
        struct strbuf content;

        strbuf_init(&content, 1000);
        decode(&decoder, WIRE, step, &content);
        CHECK_INT("without CRLF and stuffing", decoder.longest_line, 6);
        strbuf_clear(&content);
    }
}

static void count_runs(void *context, struct bytes octets)
{
    (void)octets;
    ++*(int *)context;
}

static void lines_come_in_one_run(void **state)
{
    struct smtp_content_decoder decoder = {0};
    int runs = 0;

    (void)state;
    smtp_content_decode(&decoder, BYTES("a\r\nb\r\n\r\nc\r\n.\r\n"), count_runs, &runs);
    CHECK_INT("one call for all lines", runs, 1);
}

static void contents_are_encoded_however_they_are_cut(void **state)
{
    static const struct {
        const char *name;
        struct bytes content, want;
    } CONTENTS[] = {
        {"plain", BYTES("a\r\nb\r\n"), BYTES("a\r\nb\r\n.\r\n")},
        {"empty", BYTES(""), BYTES(".\r\n")},
        {"dots", BYTES(".\r\n..a\r\nb.\r\n"), BYTES("..\r\n...a\r\nb.\r\n.\r\n")},
        {"no CRLF at the end", BYTES("a"), BYTES("a\r\n.\r\n")},
        {"dot behind a bare LF", BYTES("a\n.\r\n"), BYTES("a\n..\r\n.\r\n")},
        {"bare LF at the end", BYTES("a\n"), BYTES("a\n\r\n.\r\n")},
        {"CR at the end", BYTES("a\r"), BYTES("a\r\r\n.\r\n")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CONTENTS); i++) {
        for (size_t step = 1; step <= CONTENTS[i].content.len + 1; step++) {
            struct smtp_content_encoder encoder = {0};
            struct bytes rest = CONTENTS[i].content;
            struct strbuf wire;

            strbuf_init(&wire, 1000);
            for (; rest.len > 0; rest = bytes_skip(rest, step)) {
                smtp_content_encode(&encoder, bytes_first(rest, step), &wire);
            }
            smtp_content_finish(&encoder, &wire);
            CHECK_BYTES(CONTENTS[i].name, strbuf_bytes(&wire), CONTENTS[i].want);
            strbuf_clear(&wire);
        }
    }
}

/* clang-format off */
static const struct {
    const char *name;
    struct bytes chunks;
    struct bytes want;
    uint64_t want_longest;
    bool want_bare, want_nul;
} CHUNKS[] = {
    {"nothing", BYTES(""), BYTES(""), 0, false, false},
    {"lines", BYTES("a\r\nbcd\r\n"), BYTES("a\r\nbcd\r\n"), 3, false, false},
    {"no CRLF at the end", BYTES("a\r\nbcd"), BYTES("a\r\nbcd\r\n"), 3, false, false},
    {"dots stay, and end nothing", BYTES("..a\r\n.\r\n.\r\nQUIT\r\n"), BYTES("..a\r\n.\r\n.\r\nQUIT\r\n"), 4, false, false},
    {"an empty line", BYTES("\r\n"), BYTES("\r\n"), 0, false, false},
    {"NUL", BYTES("a\0b\r\n"), BYTES("a\0b\r\n"), 3, false, true},
    {"bare LF", BYTES("a\nb\r\n"), BYTES("a\nb\r\n"), 3, true, false},
    {"bare LF first", BYTES("\nb\r\n"), BYTES("\nb\r\n"), 2, true, false},
    {"bare LF last", BYTES("a\r\n\n"), BYTES("a\r\n\n\r\n"), 1, true, false},
    {"bare CR", BYTES("a\rb\r\n"), BYTES("a\rb\r\n"), 3, true, false},
    {"CR CRLF", BYTES("a\r\r\n"), BYTES("a\r\r\n"), 2, true, false},
    {"CR last", BYTES("a\r"), BYTES("a\r\r\n"), 1, true, false},
    {"LF . CRLF", BYTES("a\n.\r\n"), BYTES("a\n.\r\n"), 3, true, false},
    {"LF CR", BYTES("a\n\rb\r\n"), BYTES("a\n\rb\r\n"), 4, true, false},
};
/* clang-format on */

static void chunks_are_looked_at_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CHUNKS); i++) {
        for (size_t step = 1; step <= CHUNKS[i].chunks.len + 1; step++) {
            struct smtp_content_decoder decoder = {0};
            struct bytes rest = CHUNKS[i].chunks;
            struct strbuf content;

            strbuf_init(&content, 1000);
            for (; rest.len > 0; rest = bytes_skip(rest, step)) {
                smtp_content_scan(&decoder, bytes_first(rest, step), add_octets, &content);
            }
            CHECK_TRUE(CHUNKS[i].name, !decoder.is_done);
            smtp_content_scan_end(&decoder, add_octets, &content);
            CHECK_BYTES(CHUNKS[i].name, strbuf_bytes(&content), CHUNKS[i].want);
            CHECK_INT(CHUNKS[i].name, decoder.octets, CHUNKS[i].want.len);
            CHECK_INT(CHUNKS[i].name, decoder.longest_line, CHUNKS[i].want_longest);
            CHECK_INT(CHUNKS[i].name, decoder.has_bare_cr_or_lf, CHUNKS[i].want_bare);
            CHECK_INT(CHUNKS[i].name, decoder.has_nul, CHUNKS[i].want_nul);
            CHECK_TRUE(CHUNKS[i].name, decoder.is_done);
            strbuf_clear(&content);
        }
    }
}

/* A next hop that throws NULs away would see a dot at the start of a line that nobody has stuffed. */
static void dots_behind_nuls_are_found(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct bytes content;
        bool want;
    } cases[] = {
        {"CRLF NUL . CRLF", BYTES("a\r\n\0.\r\n"), true},
        {"first line", BYTES("\0.\r\n"), true},
        {"many", BYTES("a\r\n\0\0\0.b\r\n"), true},
        {"NUL in the line", BYTES("a\0.\r\n"), false},
        {"no dot", BYTES("\0a.\r\n"), false},
        {"NULs alone", BYTES("\0\0\r\n.\r\n"), false},
        {"the next line", BYTES("\0\r\n\0b\r\n"), false},
        {"no NUL", BYTES("a\r\n.\r\n"), false},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct smtp_content_encoder encoder = {0};
        struct strbuf wire;

        strbuf_init(&wire, 1000);
        smtp_content_encode(&encoder, cases[i].content, &wire);
        smtp_content_finish(&encoder, &wire);
        for (size_t step = 1; step <= wire.len; step++) {
            struct smtp_content_decoder decoder = {0}, chunks = {0};
            struct strbuf content;

            strbuf_init(&content, 1000);
            decode(&decoder, strbuf_bytes(&wire), step, &content);
            CHECK_INT(cases[i].name, decoder.has_hidden_dot, cases[i].want);
            for (size_t at = 0; at < cases[i].content.len; at += step) {
                smtp_content_scan(&chunks, bytes_first(bytes_skip(cases[i].content, at), step),
                                  add_octets, &content);
            }
            CHECK_INT(cases[i].name, chunks.has_hidden_dot, cases[i].want);
            strbuf_clear(&content);
        }
        strbuf_clear(&wire);
    }
}

/* The dot that is taken away stood before them. */
static void unstuffing_uncovers_a_hidden_dot(void **state)
{
    struct smtp_content_decoder decoder = {0};
    struct strbuf content;

    (void)state;
    strbuf_init(&content, 1000);
    decode(&decoder, BYTES("a\r\n.\0.\r\nMAIL FROM:<x@y>\r\n.\r\n"), 1, &content);
    CHECK_TRUE("found", decoder.has_hidden_dot);
    strbuf_clear(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_are_decoded_however_they_are_cut),
        cmocka_unit_test(longest_line_is_measured),
        cmocka_unit_test(lines_come_in_one_run),
        cmocka_unit_test(contents_are_encoded_however_they_are_cut),
        cmocka_unit_test(chunks_are_looked_at_however_they_are_cut),
        cmocka_unit_test(dots_behind_nuls_are_found),
        cmocka_unit_test(unstuffing_uncovers_a_hidden_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
