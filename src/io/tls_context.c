#include "io/tls_context.h"

#include "base/memory.h"
#include "base/shared.h"
#include "tls_certificate.h"
#include "tls_layer.h"
#include "tls_tickets.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* A name for our sessions, which OpenSSL wants of servers that ask for certificates. */
static const unsigned char SESSION_CONTEXT[] = "postilion";

struct tls_context {
    struct shared shared; /* first */
    enum tls_role role;
    SSL_CTX *ssl;
    BIO_METHOD *bio_method;
    struct tls_identity *identities;
    size_t identity_count;
    bool has_choice;             /* more than one with the same kind of key */
    struct tls_tickets *tickets; /* a server's */
    int64_t expires;
};

static void destroy_context(struct shared *shared)
{
    struct tls_context *context = (struct tls_context *)(void *)shared;

    SSL_CTX_free(context->ssl);
    for (size_t i = 0; i < context->identity_count; i++) {
        tls_identity_clear(&context->identities[i]);
    }
    free(context->identities);
    tls_tickets_drop(&context->tickets);
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

/* ---- the parts of a context ---- */

static bool use_identity(struct tls_context *context, const struct tls_identity *identity,
                         struct strbuf *why)
{
    if (SSL_CTX_use_cert_and_key(context->ssl, identity->own, identity->key, identity->chain,
                                 1) != 1) {
        strbuf_addf(why, "the certificate cannot be used: %s", tls_error_reason());
        return false;
    }
    return true;
}

/* The first with each kind of key is for whoever asks for no name: it comes last, in the place of
 * the others. */
static bool use_certificates(struct tls_context *context,
                             const struct tls_certificate *certificates, size_t count,
                             struct strbuf *why)
{
    context->identities = memory_zero((count + 1) * sizeof *context->identities);
    for (size_t i = 0; i < count; i++) {
        struct tls_identity *identity = &context->identities[i];
        int64_t end;

        if (!tls_identity_read(identity, &certificates[i], why)) {
            return false;
        }
        context->identity_count++;
        end = tls_identity_expires(identity);
        context->expires = end < context->expires ? end : context->expires;
        for (size_t j = 0; j < i; j++) {
            context->has_choice =
                context->has_choice || EVP_PKEY_get_base_id(identity->key) ==
                                           EVP_PKEY_get_base_id(context->identities[j].key);
        }
    }
    for (size_t i = count; i > 0; i--) {
        if (!use_identity(context, &context->identities[i - 1], why)) {
            return false;
        }
    }
    return true;
}

/* All kinds of keys there are for the name; nothing changes when it has none. */
static int choose_by_name(SSL *ssl, void *argument)
{
    const struct tls_context *context = argument;
    const char *text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct bytes name = text == NULL ? BYTES("") : bytes_from_text(text);
    int taken[8];
    size_t kinds = 0;

    for (size_t i = 0; i < context->identity_count && name.len > 0; i++) {
        const struct tls_identity *identity = &context->identities[i];
        int kind = EVP_PKEY_get_base_id(identity->key);
        bool is_taken = kinds == sizeof taken / sizeof taken[0];

        for (size_t k = 0; k < kinds; k++) {
            is_taken = is_taken || taken[k] == kind;
        }
        if (is_taken || !tls_identity_has_name(identity, name)) {
            continue;
        }
        if (kinds == 0) {
            SSL_certs_clear(ssl);
        }
        if (SSL_use_cert_and_key(ssl, identity->own, identity->key, identity->chain, 1) != 1) {
            return 0;
        }
        taken[kinds++] = kind;
    }
    ERR_clear_error();
    return 1;
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
    authorities = tls_certificates_read(trusted, "file of authorities", why);
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
        /* No key exchange by RSA: whoever gets our key later could read what was recorded before.
         * Every client with TLS 1.2 has something better. */
        SSL_CTX_set_cipher_list(ssl, "DEFAULT:!kRSA");
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets do without */
        SSL_CTX_set_session_id_context(ssl, SESSION_CONTEXT, sizeof SESSION_CONTEXT - 1);
        SSL_CTX_set_num_tickets(ssl, 1); /* nobody who sends mail uses more */
        context->tickets = tls_tickets_new();
        tls_tickets_use(context->tickets, ssl);
    }
}

struct tls_context *tls_context_new(const struct tls_context_options *options,
                                    struct strbuf *why)
{
    struct tls_context *context = memory_zero(sizeof *context);
    bool is_good;

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
    is_good = use_certificates(context, options->certificates, options->certificate_count, why);
    if (is_good && options->role == TLS_SERVER && context->has_choice) {
        SSL_CTX_set_cert_cb(context->ssl, choose_by_name, context);
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

void tls_context_take_tickets(struct tls_context *context, const struct tls_context *before)
{
    if (context != NULL && before != NULL && before->tickets != NULL &&
        context->tickets != NULL) {
        tls_tickets_drop(&context->tickets);
        context->tickets = tls_tickets_hold(before->tickets);
        tls_tickets_use(context->tickets, context->ssl);
    }
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
