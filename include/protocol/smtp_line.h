/*
 * smtp_line - finds the next CRLF line in what has arrived so far.
 *
 * Input   everything received and not yet used; nothing is copied.
 * Output  the line without its CRLF, and how many octets it used up.
 * Limit   in octets including CRLF (512 for commands plus what extensions add, 1000 for text).
 * Errors  see enum smtp_line_result. Bare CR or LF is an error, never a line end: accepting it
 *         is how two servers come to disagree about where a message stops. NUL is an error.
 * RFC     5321 §2.3.8 (lines), §4.1.1.4 (only CRLF ends a line), §4.5.3.1 (sizes)
 */
#ifndef PROTOCOL_SMTP_LINE_H
#define PROTOCOL_SMTP_LINE_H

#include "base/bytes.h"

enum smtp_line_result {
    SMTP_LINE_READY,
    SMTP_LINE_NEED_MORE,
    SMTP_LINE_TOO_LONG, /* no CRLF within the limit; *used = octets to throw away so far */
    SMTP_LINE_BARE_CR,  /* a line ended by CRLF holds one; *used = up to and with that end */
    SMTP_LINE_BARE_LF,
    SMTP_LINE_NUL,
};

/* *line is set on READY only; *used on everything but NEED_MORE. After TOO_LONG the caller
 * throws octets away until the next LF (smtp_line_skip) and answers once. */
enum smtp_line_result smtp_line_next(struct bytes input, size_t limit, struct bytes *line,
                                     size_t *used);
/* Octets up to and with the next LF; *found tells whether there was one. */
size_t smtp_line_skip(struct bytes input, bool *found);

#endif
