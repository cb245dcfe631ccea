/*
 * smtp_content - the octets between DATA and its final dot, in both directions; and chunks of BDAT.
 *
 * Decoding incremental: takes any cut of the stream, removes the stuffed dots, finds the end.
 *          Only CRLF "." CRLF ends the content. A bare CR or LF (also before or behind a dot)
 *          is remembered in `has_bare_cr_or_lf` and passed over: the content is read to its
 *          true end and then refused, never repaired. NUL octets are told by `has_nul`; NULs at the
 *          start of a line with a dot behind them by `has_hidden_dot`: who throws NULs away would see
 *          an end there that could not be stuffed.
 * Encoding incremental: adds the stuffed dots; smtp_content_finish adds the end. The input must
 *          be made of CRLF lines (the decoder proved it); a content without CRLF at its end
 *          gets one, because there is no other way to send it.
 * Chunks   smtp_content_scan looks at content that is framed by its size: no dots are removed and none
 *          ends it, all else is the same. Its lines may be cut anywhere between two chunks;
 *          smtp_content_scan_end says that the last one has come: a CR at the very end is a bare one,
 *          and a last line without CRLF gets one, so that what follows need not know how it came.
 * RFC      5321 §4.5.2, §4.1.1.4; 3030 §2
 */
#ifndef PROTOCOL_SMTP_CONTENT_H
#define PROTOCOL_SMTP_CONTENT_H

#include "base/strbuf.h"

struct smtp_content_decoder {
    int state; /* private; 0 is the start of the first line */
    bool has_bare_cr_or_lf;
    bool has_nul;
    bool has_hidden_dot;
    bool is_done;          /* the final dot has been read */
    uint64_t octets;       /* decoded so far */
    uint64_t longest_line; /* without CRLF */
    uint64_t line;         /* private: length of the line so far */
    bool is_all_nul;       /* private: it is made of NULs, and there are some */
};

/* Decodes from `input` and hands decoded runs to `take` (views of the input or static memory).
 * Returns the octets used up: all of them unless the final dot was found inside. */
size_t smtp_content_decode(struct smtp_content_decoder *decoder, struct bytes input,
                           void (*take)(void *context, struct bytes octets), void *context);

/* All octets are content. Do not mix with smtp_content_decode. */
void smtp_content_scan(struct smtp_content_decoder *decoder, struct bytes input,
                       void (*take)(void *context, struct bytes octets), void *context);
void smtp_content_scan_end(struct smtp_content_decoder *decoder,
                           void (*take)(void *context, struct bytes octets), void *context);

struct smtp_content_encoder {
    int state; /* private; 0 is the start of a line */
};

void smtp_content_encode(struct smtp_content_encoder *encoder, struct bytes input,
                         struct strbuf *out);
void smtp_content_finish(struct smtp_content_encoder *encoder, struct strbuf *out);

#endif
