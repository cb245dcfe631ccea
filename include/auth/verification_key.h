/*
 * verification_key - a signer's public key as DNS publishes it, and whether it made a signature.
 *
 * Input   the text of one TXT record, its strings joined: "v=DKIM1; k=rsa; p=...".
 * Rules   strict: a tag list; v= comes first and is DKIM1 where it is there; h= names sha256 and s=
 *         names email or "*" where they are there; k= is the signature's kind of key; p= is base64.
 *         RSA has VERIFICATION_KEY_MIN_BITS to VERIFICATION_KEY_MAX_BITS and an exponent of some
 *         100 bits at most (more only costs us time); p= is a SubjectPublicKeyInfo. t= changes
 *         nothing here.
 * Limit   VERIFICATION_KEY_RECORD_LIMIT octets.
 * Cost    a key in the cache 3 us, one parsed anew about 100; RSA-2048 22 us a signature.
 * RFC     6376 §3.6.1; 8301 §3.2; 8463 §3, §4
 */
#ifndef AUTH_VERIFICATION_KEY_H
#define AUTH_VERIFICATION_KEY_H

#include "auth/dkim_key_cache.h"
#include "auth/signing_key.h"

enum {
    VERIFICATION_KEY_MIN_BITS = 1024,
    VERIFICATION_KEY_MAX_BITS = 8192,
    VERIFICATION_KEY_RECORD_LIMIT = 2048,
};

struct verification_key;

/* NULL: *why says why it is of no use; static, printable. The cache is used during the call only. */
struct verification_key *verification_key_read(struct bytes record,
                                               enum signing_algorithm algorithm,
                                               struct dkim_key_cache *cache, const char **why);
void verification_key_free(struct verification_key **key); /* safe on NULL */
/* The signature: decoded octets. */
bool verification_key_verify(const struct verification_key *key,
                             const unsigned char digest[SIGNING_DIGEST_OCTETS],
                             struct bytes signature);

#endif
