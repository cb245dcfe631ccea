/*
 * encoding - octets as text and back: base32, base64, hexadecimal.
 *
 * Source  RFC 4648 §4, §5, §6, §8; no line breaks. Decoders are strict: every octet must belong to
 *         the alphabet, left-over bits must be zero.
 */
#ifndef BASE_ENCODING_H
#define BASE_ENCODING_H

#include "base/bytes.h"
#include "base/strbuf.h"

void encoding_base32_add(struct strbuf *out, struct bytes octets);  /* A-Z2-7, no padding */
bool encoding_base32_decode(struct bytes text, struct strbuf *out); /* either case */
void encoding_base64_add(struct strbuf *out, struct bytes octets);  /* +/, padded */
bool encoding_base64_decode(struct bytes text, struct strbuf *out); /* +/, padded */
void encoding_hex_add(struct strbuf *out, struct bytes octets);     /* lower case */
bool encoding_hex_decode(struct bytes text, struct strbuf *out);    /* either case */

#endif
