/*
 * tls_certificate - certificates and keys out of PEM text, and what they say.
 *
 * Private to room io (tls_context).
 */
#ifndef IO_TLS_CERTIFICATE_H
#define IO_TLS_CERTIFICATE_H

#include "io/tls_context.h"

#include <openssl/x509.h>

/* A certificate with its key, and those that vouch for it. */
struct tls_identity {
    X509 *own;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

/* False and *why: one of the parts is not there, or they do not belong together. */
bool tls_identity_read(struct tls_identity *identity, const struct tls_certificate *certificate,
                       struct strbuf *why);
void tls_identity_clear(struct tls_identity *identity);
/* Since 1970. */
int64_t tls_certificate_seconds(const ASN1_TIME *moment, int64_t otherwise);
int64_t tls_identity_expires(const struct tls_identity *identity);
bool tls_identity_has_name(const struct tls_identity *identity, struct bytes name);

/* All certificates of a text, in their order; NULL and *why. */
STACK_OF(X509) *
    tls_certificates_read(struct bytes text, const char *whose, struct strbuf *why);
/* The words of OpenSSL's first error, then forgets them all. */
const char *tls_error_reason(void);

#endif
