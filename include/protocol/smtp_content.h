/*
 * smtp_content - the octets between DATA and its final dot, in both directions.
 *
 * Decoding incremental: takes any cut of the stream, removes the stuffed dots, finds the end.
 *          Only CRLF "." CRLF ends the content. A bare CR or LF (also before or behind a dot)
 *          is remembered in `has_bare_cr_or_lf` and passed over: the content is read to its
 *          true end and then refused, never repaired. NUL octets are told by `has_nul`.
 * Encoding incremental: adds the stuffed dots; smtp_content_finish adds the end. The input must
 *          be made of CRLF lines (the decoder proved it); a content without CRLF at its end
 *          gets one, because there is no other way to send it.
 * RFC      5321 §4.5.2, §4.1.1.4
 */
#ifndef PROTOCOL_SMTP_CONTENT_H
#define PROTOCOL_SMTP_CONTENT_H

#include "base/strbuf.h"

struct smtp_content_decoder {
    int state; /* private; 0 is the start of the first line */
    bool has_bare_cr_or_lf;
    bool has_nul;
    bool is_done;          /* the final dot has been read */
    uint64_t octets;       /* decoded so far */
    uint64_t longest_line; /* without CRLF */
    uint64_t line;         /* private: length of the line so far */
};

/* Decodes from `input` and hands decoded runs to `take` (views of the input or static memory).
 * Returns the octets used up: all of them unless the final dot was found inside. */
size_t smtp_content_decode(struct smtp_content_decoder *decoder, struct bytes input,
                           void (*take)(void *context, struct bytes octets), void *context);

struct smtp_content_encoder {
    int state; /* private; 0 is the start of a line */
};

void smtp_content_encode(struct smtp_content_encoder *encoder, struct bytes input,
                         struct strbuf *out);
void smtp_content_finish(struct smtp_content_encoder *encoder, struct strbuf *out);

#endif
