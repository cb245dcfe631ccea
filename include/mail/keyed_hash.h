/*
 * keyed_hash - short text tags that only the holder of a secret can make.
 *
 * Output  the first `digits` digits of HMAC(secret, text): base32 (A-Z2-7) of HMAC-SHA256, or
 *         base64 (+/) of HMAC-SHA1 for tags that other programs must understand.
 * Cost    about 0.4 us, no allocation, no lock: each forwarded address needs one.
 * RFC     2104, 4648
 */
#ifndef MAIL_KEYED_HASH_H
#define MAIL_KEYED_HASH_H

#include "base/bytes.h"

enum { KEYED_HASH_DIGITS = 26 }; /* the most that can be asked for: all of SHA-1 in base64 */

/* Writes `digits` characters to `out`, no NUL. */
void keyed_hash_sha256_base32(struct bytes secret, struct bytes text, char *out, size_t digits);
void keyed_hash_sha1_base64(struct bytes secret, struct bytes text, char *out, size_t digits);

#endif
