/*
 * dkim_header_guard - decides which header fields libopendkim may see.
 *
 * Why     as Debian ships it the library aborts on an empty field, stops hashing at a NUL, lets one
 *         giant signature take the good ones with it, and hashes the body again for every
 *         different l=. What it cannot bear, or what costs too much, never reaches it.
 * Limits  a header of DKIM_HEADER_LIMIT octets and DKIM_FIELD_LIMIT fields; the first
 *         DKIM_SIGNATURE_LIMIT signatures, none over DKIM_SIGNATURE_OCTETS; of those that make
 *         the body be hashed once more (l=, SHA-1) DKIM_EXTRA_HASH_LIMIT.
 * RFC     6376 §3.5, §8.4 (verifiers may limit the signatures they try)
 */
#ifndef AUTH_DKIM_HEADER_GUARD_H
#define AUTH_DKIM_HEADER_GUARD_H

#include "mail/header_block.h"

enum {
    DKIM_HEADER_LIMIT = 256 * 1024,
    DKIM_FIELD_LIMIT = 1000,
    DKIM_SIGNATURE_LIMIT = 8,
    DKIM_SIGNATURE_OCTETS = 8 * 1024,
    DKIM_EXTRA_HASH_LIMIT = 2,
};

enum dkim_field {
    DKIM_FIELD_PLAIN,
    DKIM_FIELD_SIGNATURE,
    /* Signatures that must not be fed: */
    DKIM_FIELD_ONE_TOO_MANY,
    DKIM_FIELD_TOO_LONG,
    DKIM_FIELD_TOO_COSTLY,
};

struct dkim_header_guard {
    size_t signatures; /* seen so far, fed or not */
    size_t extra_hashes;
};

/* NULL when the header as a whole may be fed, or a static text that says why not. An empty line
 * at its end is allowed. */
const char *dkim_header_refusal(struct bytes header);
/* What to do with the next field of a header that is not refused; fields come in their order.
 * Start with a guard that is all zero. */
enum dkim_field dkim_header_guard_next(struct dkim_header_guard *guard,
                                       const struct header_field *field);
/* The field as the library wants it: folds inside, without its last CRLF. Never empty. */
struct bytes dkim_header_guard_text(const struct header_field *field);

#endif
