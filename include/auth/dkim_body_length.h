/*
 * dkim_body_length - how long a body is once canonicalised, counted as it streams by.
 *
 * Why     a signature with l= signs only the first l octets of the canonical body; only when there
 *         are no more than these does it say anything about the whole message. The library does
 *         not tell how many there are.
 * Input   the body with CRLF lines, cut anywhere; it ends with CRLF or is empty.
 * RFC     6376 §3.4.3, §3.4.4, §8.2
 */
#ifndef AUTH_DKIM_BODY_LENGTH_H
#define AUTH_DKIM_BODY_LENGTH_H

#include "base/bytes.h"

struct dkim_body_length { /* starts all zero */
    uint64_t total;       /* octets so far */
    uint64_t simple;      /* of these, up to and with the last line that is not empty */
    uint64_t relaxed;     /* the same once canonicalised, blank lines being empty */
    uint64_t empty_lines; /* behind `relaxed` */
    uint64_t line;        /* octets of the unfinished line, canonicalised */
    bool has_octets;      /* the unfinished line is not empty as it stands */
    bool has_blank;       /* ... a run of blanks is open */
    bool has_cr;          /* ... and the last octet was CR */
};

void dkim_body_length_add(struct dkim_body_length *length, struct bytes octets);
uint64_t dkim_body_length_simple(const struct dkim_body_length *length);
uint64_t dkim_body_length_relaxed(const struct dkim_body_length *length);

#endif
