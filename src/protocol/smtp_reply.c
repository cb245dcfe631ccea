#include "protocol/smtp_reply.h"

#include "base/utf8.h"

#include "protocol/smtp_path.h"

enum { WRITTEN_LINE_LIMIT = 512, CODE_LEN = 3 };

/* --- writing --- */

void smtp_reply_add_line(struct strbuf *out, unsigned code, bool is_last, struct bytes text)
{
    size_t start;

    strbuf_add_u64(out, code);
    if (!is_last || text.len > 0) {
        strbuf_add_char(out, is_last ? ' ' : '-');
    }
    start = out->len;
    strbuf_add(out, text);
    for (size_t i = start; i < out->len; i++) {
        if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f) {
            out->data[i] = '?';
        }
    }
    strbuf_add(out, BYTES("\r\n"));
}

/* Octets of the text for one line of `room`: up to a blank when there is one in the second
 * half, and never half a UTF-8 character. */
static size_t fitting_part(struct bytes text, size_t room)
{
    size_t blank, end = room;

    if (text.len <= room) {
        return text.len;
    }
    blank = bytes_find_last(bytes_first(text, room), ' ');
    if (blank < room && blank > room / 2) {
        return blank + 1;
    }
    while (end > room - 4 && ((unsigned char)text.data[end] & 0xc0) == 0x80) {
        end--;
    }
    return end;
}

void smtp_reply_add(struct strbuf *out, unsigned code, const char *enhanced, struct bytes text)
{
    struct bytes status = bytes_from_text(enhanced);
    size_t room = WRITTEN_LINE_LIMIT - CODE_LEN - 1 - 2 - (status.len > 0 ? status.len + 1 : 0);
    char line[WRITTEN_LINE_LIMIT];

    do {
        struct bytes part = bytes_first(text, fitting_part(text, room));
        size_t len = status.len;

        text = bytes_skip(text, part.len);
        if (status.len > 0) {
            memcpy(line, status.data, status.len);
            if (part.len > 0) {
                line[len++] = ' ';
            }
        }
        if (part.len > 0) {
            memcpy(line + len, part.data, part.len);
        }
        smtp_reply_add_line(out, code, text.len == 0, bytes_of(line, len + part.len));
    } while (text.len > 0);
}

/* --- reading --- */

static unsigned code_of(struct bytes line)
{
    if (line.len < CODE_LEN || line.data[0] < '2' || line.data[0] > '5' ||
        !ascii_is_digit((unsigned char)line.data[1]) ||
        !ascii_is_digit((unsigned char)line.data[2])) {
        return 0;
    }
    return (unsigned)(line.data[0] - '0') * 100 + (unsigned)(line.data[1] - '0') * 10 +
           (unsigned)(line.data[2] - '0');
}

/* Digits at `at`, one to three; returns where they end, or 0. */
static size_t skip_number(struct bytes text, size_t at)
{
    size_t end = at;

    while (end < text.len && ascii_is_digit((unsigned char)text.data[end])) {
        end++;
    }
    return end > at && end <= at + 3 ? end : 0;
}

/* Length of an enhanced code of the reply's class at the start of the text, or 0 (RFC 2034 §4:
 * the class must be the one of the code). */
static size_t enhanced_code(struct bytes text, unsigned code)
{
    size_t end;

    if (text.len < 5 || (unsigned)(text.data[0] - '0') != code / 100 || text.data[1] != '.') {
        return 0;
    }
    end = skip_number(text, 2);
    if (end == 0 || end == text.len || text.data[end] != '.') {
        return 0;
    }
    end = skip_number(text, end + 1);
    return end != 0 && (end == text.len || text.data[end] == ' ') ? end : 0;
}

/* Octets of one printable character at the start of the text, or 0 for what is none. */
static size_t printable_character(struct bytes text)
{
    unsigned char lead = (unsigned char)text.data[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead < ' ' || lead == 0x7f || text.len < len ||
        !utf8_is_valid(bytes_first(text, len))) {
        return 0;
    }
    /* U+0080 to U+009F are control characters too. */
    return lead == 0xc2 && (unsigned char)text.data[1] < 0xa0 ? 0 : len;
}

static void keep_text(struct smtp_reply *reply, struct bytes text)
{
    while (text.len > 0 && !reply->was_cut) {
        size_t len = printable_character(text);
        struct bytes character = len == 0 ? BYTES("?") : bytes_first(text, len);

        if (reply->text_len + character.len > SMTP_REPLY_TEXT_KEPT) {
            reply->was_cut = true;
            break;
        }
        memcpy(reply->text + reply->text_len, character.data, character.len);
        reply->text_len += character.len;
        text = bytes_skip(text, character.len);
    }
    reply->text[reply->text_len] = '\0';
}

static void keep_line(struct smtp_reply *reply, struct bytes text)
{
    size_t len = enhanced_code(text, reply->code);

    if (len > 0) {
        if (reply->enhanced[0] == '\0') {
            memcpy(reply->enhanced, text.data, len);
            reply->enhanced[len] = '\0';
        }
        text = bytes_skip(text, len);
    }
    text = bytes_trim(text);
    if (text.len > 0) {
        keep_text(reply, reply->text_len > 0 ? BYTES(" / ") : BYTES(""));
        keep_text(reply, text);
    }
}

static void clear_reply(struct smtp_reply *reply)
{
    reply->code = 0;
    reply->enhanced[0] = '\0';
    reply->text[0] = '\0';
    reply->text_len = 0;
    reply->was_cut = false;
}

static enum smtp_reply_result malformed(struct bytes input, struct smtp_reply *reply)
{
    clear_reply(reply);
    keep_text(reply, bytes_trim(bytes_first(input, SMTP_REPLY_TEXT_KEPT)));
    return SMTP_REPLY_MALFORMED;
}

static struct bytes without_line_end(struct bytes line)
{
    line.len--;
    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

static struct bytes text_of(struct bytes line)
{
    return bytes_skip(line, CODE_LEN + 1);
}

enum smtp_reply_result smtp_reply_next(struct bytes input, struct smtp_reply *reply,
                                       size_t *used)
{
    struct bytes rest = input;

    clear_reply(reply);
    for (int count = 0; count < SMTP_REPLY_LINES; count++) {
        size_t end = bytes_find(bytes_first(rest, SMTP_REPLY_LINE_LIMIT), '\n');
        struct bytes line;
        unsigned code;
        bool is_last;

        if (end == rest.len) {
            return rest.len < SMTP_REPLY_LINE_LIMIT ? SMTP_REPLY_NEED_MORE
                                                    : malformed(input, reply);
        }
        if (end == SMTP_REPLY_LINE_LIMIT) {
            return malformed(input, reply);
        }
        line = without_line_end(bytes_first(rest, end + 1));
        rest = bytes_skip(rest, end + 1);
        code = code_of(line);
        is_last = line.len <= CODE_LEN || line.data[CODE_LEN] == ' ';
        if (code == 0 || (count > 0 && code != reply->code) ||
            (!is_last && line.data[CODE_LEN] != '-')) {
            return malformed(input, reply);
        }
        reply->code = code;
        keep_line(reply, text_of(line));
        if (is_last) {
            *used = input.len - rest.len;
            return SMTP_REPLY_READY;
        }
    }
    return malformed(input, reply);
}

void smtp_reply_each_line(struct bytes reply_octets,
                          void (*line)(void *context, struct bytes text), void *context)
{
    while (reply_octets.len > 0) {
        size_t end = bytes_find(reply_octets, '\n');

        if (end == reply_octets.len) {
            return;
        }
        line(context, text_of(without_line_end(bytes_first(reply_octets, end + 1))));
        reply_octets = bytes_skip(reply_octets, end + 1);
    }
}

const char *smtp_reply_enhanced(const struct smtp_reply *reply)
{
    if (reply->enhanced[0] != '\0') {
        return reply->enhanced;
    }
    switch (reply->code / 100) {
    case 2:
    case 3:
        return "2.0.0";
    case 5:
        return "5.0.0";
    default:
        return "4.0.0"; /* also for garbage: what is unclear is temporary */
    }
}
