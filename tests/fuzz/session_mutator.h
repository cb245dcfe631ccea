/*
 * session_mutator - changes a dialogue where it hurts: whole lines come, go, change places; line ends and
 * ends of content are replaced by what others take for them; the sizes of BDAT are put right again, or
 * wrong. Everything else is left to libFuzzer.
 */
#ifndef TESTS_FUZZ_SESSION_MUTATOR_H
#define TESTS_FUZZ_SESSION_MUTATOR_H

#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* clang-format off */
static const struct bytes PHRASES[] = {
    BYTES("EHLO c\r\n"), BYTES("HELO c\r\n"), BYTES("MAIL FROM:<s@far.test>\r\n"), BYTES("MAIL FROM:<>\r\n"),
    BYTES("RCPT TO:<info@own.test>\r\n"), BYTES("RCPT TO:<void@own.test>\r\n"), BYTES("RCPT TO:<nobody@own.test>\r\n"),
    BYTES("MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nDATA\r\n"), BYTES("DATA\r\n"), BYTES("\r\n.\r\n"), BYTES(".\r\n"),
    BYTES("BDAT 6 LAST\r\n"), BYTES("BDAT 10\r\n"), BYTES("BDAT 0 LAST\r\n"), BYTES("BDAT 600\r\n"), BYTES("RSET\r\n"), BYTES("NOOP\r\n"), BYTES("QUIT\r\n"),
    BYTES("STARTTLS\r\n"), BYTES("VRFY x\r\n"), BYTES("EXPN x\r\n"), BYTES("HELP\r\n"), BYTES("XCLIENT ADDR=192.0.2.9 HELO=x\r\n"),
    BYTES("MAIL FROM:<s@far.test> SIZE=99999\r\n"), BYTES("MAIL FROM:<s@far.test> BODY=8BITMIME SMTPUTF8\r\n"), BYTES("X\r\n"), BYTES("\r\n"),
    BYTES("RCPT TO:<later@own.test>\r\n"), BYTES("RCPT TO:<info@own.test> NOTIFY=NEVER ORCPT=rfc822;a\r\n"), BYTES("Received: x\r\n"),
    BYTES("BDAT 18446744073709551622 LAST\r\n"), BYTES("BDAT -6\r\n"), BYTES("BDAT 6\n"), BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
};
static const struct bytes ENDS[] = {
    BYTES("\r\n.\r\n"), BYTES("\n.\n"), BYTES("\n.\r\n"), BYTES("\r\n.\n"), BYTES("\r.\r"), BYTES("\r.\r\n"), BYTES("\r\n.\r"), BYTES("\n.\r"),
    BYTES("\r.\n"), BYTES("\r\n\0.\r\n"), BYTES("\r\n.\0\r\n"), BYTES("\r\0\n.\r\n"), BYTES("\r\n.\r\0\n"), BYTES("\r\n..\r\n"), BYTES("\r\r\n.\r\n"),
    BYTES("\r\n"), BYTES("\n"), BYTES("\r"), BYTES("\0\r\n"), BYTES("\r\0\n"), BYTES(" \r\n"), BYTES("\n\r"),
};
/* clang-format on */

enum { OPTION_OCTETS = 4, DIALOGUE_LIMIT = 16384 };

struct mutation {
    struct strbuf out;
    unsigned chance;
};

static unsigned draw(struct mutation *mutation, size_t below)
{
    mutation->chance = mutation->chance * 1664525U + 1013904223U;
    return (unsigned)((mutation->chance >> 8) % below);
}

/* From a drawn place up to the end of its line. */
static struct bytes draw_line(struct mutation *mutation, struct bytes text, size_t *start)
{
    size_t at = draw(mutation, text.len + 1);

    *start = at == 0 ? 0 : bytes_find_last(bytes_first(text, at), '\n') + 1;
    *start = *start > at ? 0 : *start; /* there is none before */
    return bytes_first(bytes_skip(text, *start),
                       bytes_find(bytes_skip(text, *start), '\n') + 1);
}

static void put(struct mutation *mutation, struct bytes text, size_t at, size_t drop,
                struct bytes instead)
{
    strbuf_reset(&mutation->out);
    strbuf_add(&mutation->out, bytes_first(text, at));
    strbuf_add(&mutation->out, instead);
    strbuf_add(&mutation->out, bytes_skip(text, at + drop));
}

static void change_end(struct mutation *mutation, struct bytes text)
{
    size_t start;
    struct bytes line = draw_line(mutation, text, &start);
    size_t drop = draw(mutation, 4);
    struct bytes end = ENDS[draw(mutation, sizeof ENDS / sizeof ENDS[0])];

    drop = drop > line.len ? line.len : drop;
    put(mutation, text, start + line.len - drop, drop, end);
}

static void move_line(struct mutation *mutation, struct bytes text)
{
    size_t from, to;
    struct bytes line = draw_line(mutation, text, &from);
    struct strbuf copy;

    strbuf_init(&copy, SIZE_MAX / 2);
    strbuf_add(&copy, line);
    if (draw(mutation, 2) == 0) {
        put(mutation, text, from, line.len, BYTES(""));
    } else {
        put(mutation, text, 0, 0, BYTES(""));
    }
    {
        struct strbuf rest;

        strbuf_init(&rest, SIZE_MAX / 2);
        strbuf_add(&rest, strbuf_bytes(&mutation->out));
        draw_line(mutation, strbuf_bytes(&rest), &to);
        put(mutation, strbuf_bytes(&rest), to, 0, strbuf_bytes(&copy));
        strbuf_clear(&rest);
    }
    strbuf_clear(&copy);
}

/* The octets behind a BDAT up to some line's end become its chunk, or nearly. */
static void resize_chunk(struct mutation *mutation, struct bytes text)
{
    size_t at = bytes_find_part(text, BYTES("BDAT "));
    size_t more = bytes_find_part(bytes_skip(text, at + 5), BYTES("BDAT "));
    size_t end, size, lines = 1 + draw(mutation, 3);
    char number[32];
    int len;

    if (at + 5 + more + 5 < text.len && draw(mutation, 2) == 0) {
        at += 5 + more;
    }
    end = at + bytes_find(bytes_skip(text, at), '\n') + 1;
    if (end >= text.len) {
        put(mutation, text, text.len, 0, PHRASES[11 + draw(mutation, 4)]);
        return;
    }
    for (size = 0; lines > 0 && end + size < text.len; lines--) {
        size += bytes_find(bytes_skip(text, end + size), '\n') + 1;
    }
    size = end + size > text.len ? text.len - end : size;
    size += draw(mutation, 8) == 0 ? draw(mutation, 5) : 0;
    len = snprintf(number, sizeof number, "BDAT %zu%s\r\n", size,
                   draw(mutation, 2) == 0 ? " LAST" : "");
    put(mutation, text, at, end - at, bytes_of(number, (size_t)len));
}

static void mutate_text(struct mutation *mutation, struct bytes text)
{
    size_t start;
    struct bytes line;

    switch (draw(mutation, 6)) {
    case 0:
    case 1:
        line = draw_line(mutation, text, &start);
        put(mutation, text, start, draw(mutation, 3) == 0 ? line.len : 0,
            PHRASES[draw(mutation, sizeof PHRASES / sizeof PHRASES[0])]);
        break;
    case 2:
        change_end(mutation, text);
        break;
    case 3:
        move_line(mutation, text);
        break;
    case 4:
        line = draw_line(mutation, text, &start);
        put(mutation, text, start, line.len, BYTES(""));
        break;
    default:
        resize_chunk(mutation, text);
        break;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct mutation mutation = {.chance = seed};
    size_t len;

    if (size < OPTION_OCTETS || draw(&mutation, 4) == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    strbuf_init(&mutation.out, SIZE_MAX / 2);
    mutate_text(&mutation, bytes_of(data + OPTION_OCTETS, size - OPTION_OCTETS));
    len = mutation.out.len < max_size - OPTION_OCTETS ? mutation.out.len
                                                      : max_size - OPTION_OCTETS;
    if (len > 0) {
        memcpy(data + OPTION_OCTETS, mutation.out.data, len);
    }
    strbuf_clear(&mutation.out);
    return len + OPTION_OCTETS;
}

#endif
