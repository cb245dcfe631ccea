#include "io/tls_context.h"

#include "base/memory.h"
#include "base/shared.h"
#include "tls_layer.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

/* A name for our sessions, which OpenSSL wants of servers that ask for certificates. */
static const unsigned char SESSION_CONTEXT[] = "postilion";

struct tls_context {
    struct shared shared; /* first */
    enum tls_role role;
    SSL_CTX *ssl;
    BIO_METHOD *bio_method;
    int64_t expires;
};

static void destroy_context(struct shared *shared)
{
    struct tls_context *context = (struct tls_context *)(void *)shared;

    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->bio_method);
    free(context);
}

struct tls_context *tls_context_hold(struct tls_context *context)
{
    if (context != NULL) {
        shared_hold(&context->shared);
    }
    return context;
}

void tls_context_drop(struct tls_context **context)
{
    if (*context != NULL) {
        shared_drop(&(*context)->shared);
        *context = NULL;
    }
}

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

/* All certificates of a text, in their order; NULL and *why. */
static STACK_OF(X509) *
    read_certificates(struct bytes text, const char *whose, struct strbuf *why)
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

static int64_t end_of(const X509 *certificate)
{
    struct tm end;

    return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) ? (int64_t)timegm(&end)
                                                                  : INT64_MAX;
}

/* ---- the parts of a context ---- */

static bool use_certificate(struct tls_context *context,
                            const struct tls_certificate *certificate, struct strbuf *why)
{
    STACK_OF(X509) *chain = read_certificates(certificate->chain, "certificate file", why);
    EVP_PKEY *key = chain == NULL ? NULL : read_key(certificate->key, why);
    bool is_good = false;
    X509 *own;

    if (key == NULL) {
        goto cleanup;
    }
    own = sk_X509_shift(chain);
    if (X509_check_private_key(own, key) != 1) {
        strbuf_add_text(why, "the key is not the one of the certificate");
    } else if (SSL_CTX_use_cert_and_key(context->ssl, own, key, chain, 1) != 1) {
        strbuf_addf(why, "the certificate cannot be used: %s", tls_error_reason());
    } else {
        int64_t end = end_of(own);

        context->expires = end < context->expires ? end : context->expires;
        is_good = true;
    }
    X509_free(own);
cleanup:
    ERR_clear_error();
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    return is_good;
}

static bool use_trusted(struct tls_context *context, struct bytes trusted, struct strbuf *why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    STACK_OF(X509) * authorities;

    if (trusted.len == 0) {
        SSL_CTX_set_default_verify_paths(context->ssl); /* missing ones are an empty store */
        ERR_clear_error();
        return true;
    }
    authorities = read_certificates(trusted, "file of authorities", why);
    if (authorities == NULL) {
        return false;
    }
    for (int i = 0; i < sk_X509_num(authorities); i++) {
        X509_STORE_add_cert(store, sk_X509_value(authorities, i));
    }
    /* One that is trusted is an anchor, whether it signed itself or not. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    sk_X509_pop_free(authorities, X509_free);
    return true;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **place = SSL_get_app_data(ssl);

    SSL_SESSION_free(*place);
    *place = session;
    return 1; /* ours now */
}

static void set_rules(struct tls_context *context)
{
    SSL_CTX *ssl = context->ssl;

    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    if (context->role == TLS_CLIENT) {
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ssl, keep_session);
    } else {
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets do without */
        SSL_CTX_set_session_id_context(ssl, SESSION_CONTEXT, sizeof SESSION_CONTEXT - 1);
    }
}

struct tls_context *tls_context_new(const struct tls_context_options *options,
                                    struct strbuf *why)
{
    struct tls_context *context = memory_zero(sizeof *context);
    bool is_good = true;

    shared_init(&context->shared, destroy_context);
    context->role = options->role;
    context->expires = INT64_MAX;
    context->bio_method = tls_layer_bio_method();
    context->ssl =
        SSL_CTX_new(options->role == TLS_CLIENT ? TLS_client_method() : TLS_server_method());
    if (context->ssl == NULL || context->bio_method == NULL) {
        strbuf_addf(why, "OpenSSL cannot be used: %s", tls_error_reason());
        tls_context_drop(&context);
        return NULL;
    }
    set_rules(context);
    for (size_t i = 0; i < options->certificate_count && is_good; i++) {
        is_good = use_certificate(context, &options->certificates[i], why);
    }
    if (is_good && options->role == TLS_SERVER && options->certificate_count == 0) {
        strbuf_add_text(why, "a server needs a certificate");
        is_good = false;
    }
    if (is_good && options->role == TLS_CLIENT) {
        is_good = use_trusted(context, options->trusted, why);
    }
    if (!is_good) {
        tls_context_drop(&context);
    }
    return context;
}

int64_t tls_context_expires(const struct tls_context *context)
{
    return context->expires;
}

SSL *tls_context_connection(const struct tls_context *context)
{
    return SSL_new(context->ssl);
}

const BIO_METHOD *tls_context_bio_method(const struct tls_context *context)
{
    return context->bio_method;
}

enum tls_role tls_context_role(const struct tls_context *context)
{
    return context->role;
}

void tls_session_free(struct tls_session **session)
{
    if (*session != NULL) {
        SSL_SESSION_free((*session)->session);
        free(*session);
        *session = NULL;
    }
}
