#include "tls_certificate.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

const char *tls_error_reason(void)
{
    unsigned long error = ERR_peek_error();
    const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);

    ERR_clear_error();
    return reason != NULL ? reason : "no reason known";
}

/* ---- PEM ---- */

static BIO *open_pem(struct bytes text)
{
    return BIO_new_mem_buf(text.data, text.len > INT_MAX ? INT_MAX : (int)text.len);
}

static int refuse_pass_phrase(char *buffer, int size, int is_writing, void *context)
{
    (void)buffer, (void)size, (void)is_writing;
    *(bool *)context = true;
    return -1;
}

/* NULL and *why. */
static EVP_PKEY *read_key(struct bytes text, struct strbuf *why)
{
    BIO *pem = open_pem(text);
    bool wants_pass_phrase = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, refuse_pass_phrase, &wants_pass_phrase);

    BIO_free(pem);
    if (key == NULL) {
        strbuf_add_text(why, wants_pass_phrase
                                 ? "the key has a pass phrase"
                                 : "there is no private key in PEM form in the key file");
    }
    ERR_clear_error();
    return key;
}

STACK_OF(X509) * tls_certificates_read(struct bytes text, const char *whose, struct strbuf *why)
{
    STACK_OF(X509) *found = sk_X509_new_null();
    BIO *pem = open_pem(text);
    X509 *certificate;
    unsigned long error;

    while ((certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL) {
        sk_X509_push(found, certificate);
    }
    error = ERR_peek_last_error();
    BIO_free(pem);
    /* "No start line" is the end of the text; anything else is a certificate cut in two. */
    if (ERR_GET_REASON(error) == PEM_R_NO_START_LINE && sk_X509_num(found) > 0) {
        ERR_clear_error();
        return found;
    }
    if (ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
        strbuf_addf(why, "there is no certificate in PEM form in the %s", whose);
        ERR_clear_error();
    } else {
        strbuf_addf(why, "a certificate in the %s is damaged: %s", whose, tls_error_reason());
    }
    sk_X509_pop_free(found, X509_free);
    return NULL;
}

/* ---- a certificate and its key ---- */

bool tls_identity_read(struct tls_identity *identity, const struct tls_certificate *certificate,
                       struct strbuf *why)
{
    *identity = (struct tls_identity){.own = NULL};
    identity->chain = tls_certificates_read(certificate->chain, "certificate file", why);
    identity->key = identity->chain == NULL ? NULL : read_key(certificate->key, why);
    if (identity->key == NULL) {
        tls_identity_clear(identity);
        return false;
    }
    identity->own = sk_X509_shift(identity->chain);
    if (X509_check_private_key(identity->own, identity->key) != 1) {
        ERR_clear_error();
        strbuf_add_text(why, "the key is not the one of the certificate");
        tls_identity_clear(identity);
        return false;
    }
    return true;
}

void tls_identity_clear(struct tls_identity *identity)
{
    X509_free(identity->own);
    EVP_PKEY_free(identity->key);
    sk_X509_pop_free(identity->chain, X509_free);
    *identity = (struct tls_identity){.own = NULL};
}

int64_t tls_certificate_seconds(const ASN1_TIME *moment, int64_t otherwise)
{
    struct tm time;

    return ASN1_TIME_to_tm(moment, &time) ? (int64_t)timegm(&time) : otherwise;
}

int64_t tls_identity_expires(const struct tls_identity *identity)
{
    return tls_certificate_seconds(X509_get0_notAfter(identity->own), INT64_MAX);
}

static bool has_name(X509 *certificate, struct bytes name)
{
    return name.len > 0 && X509_check_host(certificate, name.data, name.len,
                                           X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

bool tls_identity_has_name(const struct tls_identity *identity, struct bytes name)
{
    return has_name(identity->own, name);
}

bool tls_certificate_is_for(struct bytes chain, struct bytes name)
{
    BIO *pem = open_pem(chain);
    X509 *certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    bool is_for = certificate != NULL && has_name(certificate, name);

    X509_free(certificate);
    BIO_free(pem);
    ERR_clear_error();
    return is_for;
}

/* ---- what is to be known of it ---- */

/* Does the system know who signed it? Then nothing is to be sent along. */
static bool is_of_known_authority(X509 *certificate)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *search = X509_STORE_CTX_new();
    X509 *issuer = NULL;
    bool is_known = false;

    if (store != NULL && search != NULL && X509_STORE_set_default_paths(store) == 1 &&
        X509_STORE_CTX_init(search, store, certificate, NULL) == 1) {
        is_known = X509_STORE_CTX_get1_issuer(&issuer, search, certificate) == 1;
    }
    X509_free(issuer);
    X509_STORE_CTX_free(search);
    X509_STORE_free(store);
    ERR_clear_error();
    return is_known;
}

static enum tls_chain look_at_chain(const struct tls_identity *identity)
{
    X509 *signed_one = identity->own;

    for (int i = 0; i < sk_X509_num(identity->chain); i++) {
        X509 *signer = sk_X509_value(identity->chain, i);
        if (X509_check_issued(signer, signed_one) != X509_V_OK) {
            return TLS_CHAIN_DISORDERED;
        }
        signed_one = signer;
    }
    if (sk_X509_num(identity->chain) == 0 &&
        X509_check_issued(identity->own, identity->own) != X509_V_OK &&
        !is_of_known_authority(identity->own)) {
        return TLS_CHAIN_ALONE;
    }
    return TLS_CHAIN_GOOD;
}

bool tls_certificate_look(const struct tls_certificate *certificate, struct bytes name,
                          struct tls_certificate_facts *facts, struct strbuf *why)
{
    struct tls_identity identity;

    if (!tls_identity_read(&identity, certificate, why)) {
        return false;
    }
    *facts = (struct tls_certificate_facts){
        .begins = tls_certificate_seconds(X509_get0_notBefore(identity.own), INT64_MIN),
        .expires = tls_identity_expires(&identity),
        .chain = look_at_chain(&identity),
        .has_name = tls_identity_has_name(&identity, name),
    };
    ERR_clear_error();
    tls_identity_clear(&identity);
    return true;
}
