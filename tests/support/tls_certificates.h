/*
 * tls_certificates - certificates for tests, made on the spot: PEM text in strbufs.
 */
#ifndef TESTS_SUPPORT_TLS_CERTIFICATES_H
#define TESTS_SUPPORT_TLS_CERTIFICATES_H

#include "base/strbuf.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

struct test_certificate {
    X509 *x509;
    EVP_PKEY *key;
    struct strbuf chain, key_text; /* PEM */
};

static inline void add_pem(struct strbuf *text, BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    strbuf_add(text, bytes_of(data, (size_t)len));
    BIO_free(bio);
}

static inline void add_extension(X509 *x509, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);

    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

/* `names`: "DNS:mx.example", "IP:127.0.0.1", or NULL for an authority; `issuer` NULL: signs
 * itself. It is good from an hour ago to `hours` from now. */
static inline void make_certificate(struct test_certificate *made, const char *names,
                                    const struct test_certificate *issuer, bool is_rsa,
                                    int hours)
{
    static long serial = 1;
    X509_NAME *name;
    BIO *bio;

    made->key = is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    made->x509 = X509_new();
    X509_set_version(made->x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made->x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made->x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made->x509), 3600L * hours);
    X509_set_pubkey(made->x509, made->key);
    name = X509_get_subject_name(made->x509);
    X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC,
        (const unsigned char *)(names == NULL ? "test authority" : names), -1, -1, 0);
    X509_set_issuer_name(made->x509,
                         issuer == NULL ? name : X509_get_subject_name(issuer->x509));
    if (names == NULL) {
        add_extension(made->x509, NID_basic_constraints, "critical,CA:TRUE");
    } else {
        add_extension(made->x509, NID_subject_alt_name, names);
    }
    X509_sign(made->x509, issuer == NULL ? made->key : issuer->key, EVP_sha256());
    strbuf_init(&made->chain, 65536);
    strbuf_init(&made->key_text, 65536);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, made->x509);
    add_pem(&made->chain, bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, made->key, NULL, NULL, 0, NULL, NULL);
    add_pem(&made->key_text, bio);
}

static inline void clear_certificate(struct test_certificate *made)
{
    X509_free(made->x509);
    EVP_PKEY_free(made->key);
    strbuf_clear(&made->chain);
    strbuf_clear(&made->key_text);
}

#endif
