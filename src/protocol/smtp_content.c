#include "protocol/smtp_content.h"

enum decoder_state {
    LINE_START,
    IN_LINE,
    AFTER_CR,
    AFTER_DOT,    /* at a line's start; the dot is dropped whatever follows */
    AFTER_DOT_CR, /* the CR is held back: it belongs to the content or to the end */
};

struct taker {
    void (*take)(void *context, struct bytes octets);
    void *context;
};

static void hand_out(struct smtp_content_decoder *decoder, struct bytes run, struct taker taker)
{
    if (run.len > 0) {
        decoder->octets += run.len;
        taker.take(taker.context, run);
    }
}

/* Does the line begin with NULs, and what comes behind them? */
static void look_behind_nuls(struct smtp_content_decoder *decoder, struct bytes text)
{
    size_t at = 0;

    while (at < text.len && text.data[at] == '\0') {
        at++;
    }
    decoder->is_all_nul = at == text.len;
    decoder->has_hidden_dot |= at < text.len && text.data[at] == '.';
}

/* Octets up to the next CR: only behind one can a line end. One look for each kind of octet, so
 * that a flood of one of them costs no more than text. */
static size_t pass_line(struct smtp_content_decoder *decoder, struct bytes rest)
{
    size_t end = bytes_find(rest, '\r');
    struct bytes text = bytes_first(rest, end);

    if (!decoder->has_bare_cr_or_lf && bytes_find(text, '\n') < text.len) {
        decoder->has_bare_cr_or_lf = true;
    }
    if (!decoder->has_nul && bytes_find(text, '\0') < text.len) {
        decoder->has_nul = true;
    }
    if (decoder->line == 0) {
        decoder->is_all_nul = text.len > 0 && text.data[0] == '\0';
    }
    if (decoder->is_all_nul && text.len > 0) {
        look_behind_nuls(decoder, text);
    }
    decoder->line += end;
    if (decoder->line > decoder->longest_line) {
        decoder->longest_line = decoder->line;
    }
    return end;
}

size_t smtp_content_decode(struct smtp_content_decoder *decoder, struct bytes input,
                           void (*take)(void *context, struct bytes octets), void *context)
{
    struct taker taker = {take, context};
    size_t at = 0, run = 0; /* input from `run` to `at` is content not yet handed out */

    while (at < input.len && !decoder->is_done) {
        char octet = input.data[at];

        switch ((enum decoder_state)decoder->state) {
        case LINE_START:
            decoder->state = IN_LINE;
            if (octet == '.') {
                hand_out(decoder, bytes_between(input, run, at), taker);
                run = ++at;
                decoder->state = AFTER_DOT;
            }
            break;
        case IN_LINE:
            at += pass_line(decoder, bytes_skip(input, at));
            if (at < input.len) {
                at++;
                decoder->state = AFTER_CR;
            }
            break;
        case AFTER_CR:
            if (octet == '\n') {
                at++;
                decoder->line = 0;
                decoder->state = LINE_START;
            } else {
                decoder->has_bare_cr_or_lf = true;
                decoder->line++;
                decoder->state = IN_LINE;
            }
            break;
        case AFTER_DOT:
            decoder->state = IN_LINE;
            if (octet == '\r') {
                run = ++at;
                decoder->state = AFTER_DOT_CR;
            }
            break;
        case AFTER_DOT_CR:
            if (octet == '\n') {
                run = ++at;
                decoder->is_done = true;
            } else {
                hand_out(decoder, BYTES("\r"), taker);
                decoder->state = AFTER_CR; /* which finds that it was a bare one */
            }
            break;
        }
    }
    hand_out(decoder, bytes_between(input, run, at), taker);
    return at;
}

void smtp_content_scan(struct smtp_content_decoder *decoder, struct bytes input,
                       void (*take)(void *context, struct bytes octets), void *context)
{
    size_t at = 0;

    while (at < input.len) {
        if (decoder->state == AFTER_CR) {
            decoder->state = IN_LINE;
            if (input.data[at] == '\n') {
                at++;
                decoder->line = 0;
                decoder->state = LINE_START;
            } else {
                decoder->has_bare_cr_or_lf = true;
                decoder->line++;
            }
            continue;
        }
        decoder->state = IN_LINE;
        at += pass_line(decoder, bytes_skip(input, at));
        if (at < input.len) {
            at++;
            decoder->state = AFTER_CR;
        }
    }
    hand_out(decoder, input, (struct taker){take, context});
}

void smtp_content_scan_end(struct smtp_content_decoder *decoder,
                           void (*take)(void *context, struct bytes octets), void *context)
{
    if (decoder->state == AFTER_CR) {
        decoder->has_bare_cr_or_lf = true;
    }
    if (decoder->state != LINE_START) {
        hand_out(decoder, BYTES("\r\n"), (struct taker){take, context});
        decoder->line = 0;
        decoder->state = LINE_START;
    }
    decoder->is_done = true;
}

enum encoder_state {
    SENT_CRLF, /* also: nothing sent yet */
    SENT_TEXT,
    SENT_CR,
    /* Cannot come from content that the decoder passed. If it does, a dot behind it is stuffed
     * too, because a next hop may be careless enough to see the start of a line there. */
    SENT_BARE_LF,
};

void smtp_content_encode(struct smtp_content_encoder *encoder, struct bytes input,
                         struct strbuf *out)
{
    size_t at = 0, run = 0;

    while (at < input.len) {
        size_t end;

        if ((encoder->state == SENT_CRLF || encoder->state == SENT_BARE_LF) &&
            input.data[at] == '.') {
            strbuf_add(out, bytes_between(input, run, at));
            strbuf_add_char(out, '.');
            run = at;
        }
        end = at + bytes_find(bytes_skip(input, at), '\n');
        if (end < input.len) {
            bool has_cr = end > at ? input.data[end - 1] == '\r' : encoder->state == SENT_CR;
            encoder->state = has_cr ? SENT_CRLF : SENT_BARE_LF;
            at = end + 1;
        } else {
            encoder->state = input.data[input.len - 1] == '\r' ? SENT_CR : SENT_TEXT;
            at = end;
        }
    }
    strbuf_add(out, bytes_between(input, run, at));
}

void smtp_content_finish(struct smtp_content_encoder *encoder, struct strbuf *out)
{
    strbuf_add_text(out, encoder->state == SENT_CRLF ? ".\r\n" : "\r\n.\r\n");
    encoder->state = SENT_CRLF;
}
