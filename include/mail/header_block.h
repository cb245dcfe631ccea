/*
 * header_block - the header of a message as it stands, read without changing a byte.
 *
 * Input   the octets of a message (CRLF lines). The header ends at the first empty line, at a
 *         line that is no field (then the body begins there), or at the end of the input.
 * Output  views: a field is everything from its name to and with its last CRLF, folded lines
 *         included; the value is what stands behind the colon, unfolded only on request.
 * RFC     5322 §2.2, §3.6; 6532
 */
#ifndef MAIL_HEADER_BLOCK_H
#define MAIL_HEADER_BLOCK_H

#include "base/strbuf.h"

struct header_field {
    struct bytes whole; /* name, colon, value, CRLF */
    struct bytes name;  /* without trailing blanks */
    struct bytes value; /* raw: folded, with its final CRLF */
};

/* Takes the field at the start of *rest and moves *rest behind it. False at the end of the
 * header; then *rest starts with the empty line (if there is one) or the body. */
bool header_field_next(struct bytes *rest, struct header_field *field);
/* Octets of the header, without the empty line behind it. */
size_t header_block_length(struct bytes message);
/* How many fields have this name (any case). */
size_t header_block_count(struct bytes header, struct bytes name);
/* The first field of this name; false when there is none. */
bool header_block_find(struct bytes header, struct bytes name, struct header_field *field);
/* Value unfolded (RFC 5322 §2.2.3) and trimmed. */
void header_value_add(struct strbuf *out, struct bytes value);

#endif
