/*
 * signing_key - a private key of ours, parsed once, and what DNS is to say of it.
 *
 * Kinds   RSA (2048 to 4096 bits; less is refused) and Ed25519, as unencrypted PEM (PKCS #8 or
 *         PKCS #1).
 * Threads a key may sign on any number of threads at once.
 * Secret  the key's octets are wiped when it is freed.
 * RFC     6376 §3.3, §3.6.1; 8301; 8463
 */
#ifndef AUTH_SIGNING_KEY_H
#define AUTH_SIGNING_KEY_H

#include "base/strbuf.h"

enum signing_algorithm { SIGNING_RSA_SHA256, SIGNING_ED25519_SHA256 };

enum { SIGNING_DIGEST_OCTETS = 32, SIGNING_RSA_BITS = 2048 };

struct signing_key;

/* NULL: *why says what is wrong with it, for the operator; static. */
struct signing_key *signing_key_read(struct bytes pem, const char **why);
/* A new one. RSA has SIGNING_RSA_BITS. NULL: the crypto library failed. */
struct signing_key *signing_key_make(enum signing_algorithm algorithm);
void signing_key_free(struct signing_key **key); /* safe on NULL */

enum signing_algorithm signing_key_algorithm(const struct signing_key *key);
const char *signing_algorithm_text(enum signing_algorithm algorithm); /* "rsa-sha256" ... */
/* PEM, PKCS #8. The caller wipes it. */
void signing_key_add_pem(const struct signing_key *key, struct strbuf *out);
/* "v=DKIM1; k=rsa; p=...": the TXT record for SELECTOR._domainkey.DOMAIN, in one piece. */
void signing_key_add_record(const struct signing_key *key, struct strbuf *out);
/* The same as a line of a zone, without a line end:
 * SELECTOR._domainkey.DOMAIN. IN TXT ( "v=DKIM1; ..." "..." ), each string of at most 255 octets.
 * Without a domain the name is relative to the zone's own. */
void signing_key_add_zone_line(const struct signing_key *key, struct bytes selector,
                               struct bytes domain, struct strbuf *out);
/* The signature over a SHA-256 digest, as base64 without breaks. False: the crypto library
 * failed (nothing is added). */
bool signing_key_sign(const struct signing_key *key,
                      const unsigned char digest[SIGNING_DIGEST_OCTETS], struct strbuf *out);

enum key_publication {
    KEY_PUBLISHED,
    KEY_NOT_A_RECORD, /* what stands there cannot be read as a key record */
    KEY_REVOKED,      /* p= is empty */
    KEY_OTHER,        /* a key, but not this one */
    KEY_RESTRICTED,   /* this one, but s=, h= or k= keep it from being used for mail */
};

/* Does this TXT record (its strings joined) publish the key? */
enum key_publication signing_key_compare(const struct signing_key *key, struct bytes record);

#endif
