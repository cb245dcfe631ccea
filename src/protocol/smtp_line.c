#include "protocol/smtp_line.h"

enum smtp_line_result smtp_line_next(struct bytes input, size_t limit, struct bytes *line,
                                     size_t *used)
{
    size_t end = bytes_find(bytes_first(input, limit), '\n');
    struct bytes text;

    if (end >= limit) {
        *used = limit; /* the LF, wherever it is, is left for smtp_line_skip */
        return SMTP_LINE_TOO_LONG;
    }
    if (end >= input.len) {
        return SMTP_LINE_NEED_MORE;
    }
    *used = end + 1;
    if (end == 0 || input.data[end - 1] != '\r') {
        return SMTP_LINE_BARE_LF;
    }
    text = bytes_first(input, end - 1);
    if (bytes_find(text, '\r') < text.len) {
        return SMTP_LINE_BARE_CR;
    }
    if (bytes_find(text, '\0') < text.len) {
        return SMTP_LINE_NUL;
    }
    *line = text;
    return SMTP_LINE_READY;
}

size_t smtp_line_skip(struct bytes input, bool *found)
{
    size_t end = bytes_find(input, '\n');

    *found = end < input.len;
    return *found ? end + 1 : input.len;
}
