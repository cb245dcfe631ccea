/*
 * mime_decoding - the octets behind a transfer encoding, as they stream.
 *
 * Input   encoded text, cut anywhere; what does not belong to the alphabet is passed over, as mail
 *         clients do, and data goes on behind base64 padding.
 * Output  never more octets than went in, but for three that the cut before may have kept back.
 * RFC     2045 §6.7, §6.8
 */
#ifndef MAIL_MIME_DECODING_H
#define MAIL_MIME_DECODING_H

#include "base/bytes.h"

enum mime_encoding {
    MIME_IDENTITY,
    MIME_BASE64,
    MIME_QUOTED_PRINTABLE,
    MIME_UUENCODE, /* what stands between "begin" and "end" */
};

enum { MIME_DECODING_EXCESS = 3, MIME_ENCODINGS = 4 };

/* {.encoding = ...} is a fresh one. */
struct mime_decoding {
    enum mime_encoding encoding;
    uint32_t bits;
    unsigned count; /* characters of a group; behind "=": what has come of its hex digits */
    unsigned left;  /* uuencode: octets the line still has; quoted-printable: the first digit */
    bool is_in_line;
};

/* Writes what `encoded` stands for; `out` has room for encoded.len + MIME_DECODING_EXCESS. */
size_t mime_decode(struct mime_decoding *decoding, struct bytes encoded, char *out);

#endif
