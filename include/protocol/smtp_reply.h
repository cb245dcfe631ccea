/*
 * smtp_reply - replies: written by a server, read by a client.
 *
 * Writing one function; text is made printable (control octets and DEL become "?"), long text
 *         is broken over lines of at most 512 octets, each with its code and enhanced code.
 * Reading incremental, sans I/O: give it what has arrived, it says when a whole reply is there.
 *         Tolerates a missing text and a bare code, "250-" and "250 " lines, differing enhanced
 *         codes, lines that end in LF alone (nothing but our own view of the server hangs on
 *         where they end); refuses codes that change inside a reply, lines of
 *         SMTP_REPLY_LINE_LIMIT octets or more, more than SMTP_REPLY_LINES lines, anything not
 *         starting with a code 200..599.
 * RFC     5321 §4.2, 2034, 3463
 */
#ifndef PROTOCOL_SMTP_REPLY_H
#define PROTOCOL_SMTP_REPLY_H

#include "base/strbuf.h"

enum { SMTP_REPLY_LINE_LIMIT = 2048, SMTP_REPLY_LINES = 128, SMTP_REPLY_TEXT_KEPT = 1000 };

/* "550 5.1.1 text\r\n"; `enhanced` may be NULL (then none is written). */
void smtp_reply_add(struct strbuf *out, unsigned code, const char *enhanced, struct bytes text);
/* One line of a reply written line by line, as the answer to EHLO: "250-text", and "250 text"
 * when it is the last. The caller keeps it within 512 octets. */
void smtp_reply_add_line(struct strbuf *out, unsigned code, bool is_last, struct bytes text);

struct smtp_reply {
    unsigned code;                       /* 200..599 */
    char enhanced[12];                   /* "5.1.1", or "" when the server gave none */
    char text[SMTP_REPLY_TEXT_KEPT + 1]; /* printable ASCII or UTF-8; lines joined by " / ",
                                            without the codes; what is over the limit is cut,
                                            what is not printable is "?" */
    size_t text_len;
    bool was_cut;
};

enum smtp_reply_result { SMTP_REPLY_READY, SMTP_REPLY_NEED_MORE, SMTP_REPLY_MALFORMED };

/* Looks for one whole reply at the start of input. READY: *reply and *used are set.
 * NEED_MORE: *reply means nothing. MALFORMED: the connection cannot be used any more; *reply
 * holds what could be read as text, code 0. */
enum smtp_reply_result smtp_reply_next(struct bytes input, struct smtp_reply *reply,
                                       size_t *used);
/* Calls `line` for each line of the reply that smtp_reply_next found (its first *used octets),
 * without code and CRLF: how EHLO keywords are read. */
void smtp_reply_each_line(struct bytes reply_octets,
                          void (*line)(void *context, struct bytes text), void *context);
/* "4.7.1" out of the text or made from the code ("5.0.0"): never empty. */
const char *smtp_reply_enhanced(const struct smtp_reply *reply);

#endif
