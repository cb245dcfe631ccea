#include "protocol/clamd_reply.h"

static bool cut_end(struct bytes *text, struct bytes end)
{
    if (text->len < end.len || !bytes_equal(bytes_skip(*text, text->len - end.len), end)) {
        return false;
    }
    *text = bytes_first(*text, text->len - end.len);
    return true;
}

static enum clamd_result read_verdict(struct bytes verdict, struct bytes *what)
{
    if (bytes_equal(verdict, BYTES("OK"))) {
        return CLAMD_CLEAN;
    }
    if (cut_end(&verdict, BYTES(" FOUND")) && verdict.len > 0) {
        *what = verdict;
        return CLAMD_FOUND;
    }
    return CLAMD_MALFORMED;
}

enum clamd_result clamd_reply_read(struct bytes input, struct bytes *what)
{
    size_t end = bytes_find(input, '\0');
    struct bytes text = bytes_first(input, end);
    struct bytes stream = BYTES("stream: ");

    *what = BYTES("");
    if (end >= CLAMD_REPLY_LIMIT) {
        return CLAMD_MALFORMED;
    }
    if (end == input.len) {
        return CLAMD_NEED_MORE;
    }
    if (bytes_starts_with(text, BYTES("INSTREAM size limit exceeded"))) {
        return CLAMD_TOO_LARGE;
    }
    if (cut_end(&text, BYTES(" ERROR"))) {
        *what = text;
        return CLAMD_ERROR;
    }
    return bytes_starts_with(text, stream) ? read_verdict(bytes_skip(text, stream.len), what)
                                           : CLAMD_MALFORMED;
}

void clamd_piece_head(uint32_t size, char head[CLAMD_HEAD_SIZE])
{
    for (unsigned i = 0; i < CLAMD_HEAD_SIZE; i++) {
        head[i] = (char)(size >> (8 * (CLAMD_HEAD_SIZE - 1 - i)) & 0xff);
    }
}
