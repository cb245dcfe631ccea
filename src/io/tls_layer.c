#include "tls_layer.h"

#include "base/memory.h"
#include "protocol/ip_address.h"
#include "tls_certificate.h"
#include "tls_peer_copy.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { NAME_LIMIT = 255, ERROR_LIMIT = 300 };

struct tls_layer {
    SSL *ssl;
    struct tls_context *context;
    enum stream_tls_verify verify;
    void (*sink)(void *owner, struct bytes octets);
    void *owner;
    struct bytes fed;      /* not used yet: lent, or in `kept` */
    char *kept;            /* or NULL */
    struct tls_peer *peer; /* to be told what the other side shows, or NULL */
    size_t silent;         /* octets fed since the last that were for the caller */
    SSL_SESSION *session;  /* the last one given, or NULL */
    struct stream_tls_facts facts;
    struct strbuf error;
    bool is_secure;
    bool has_failed;
};

/* ---- the BIO: octets come from what was fed and go to the sink ---- */

static int read_fed(BIO *bio, char *to, size_t room, size_t *got)
{
    struct tls_layer *layer = BIO_get_data(bio);
    struct bytes octets = bytes_first(layer->fed, room);

    BIO_clear_retry_flags(bio);
    *got = octets.len;
    if (octets.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, octets.data, octets.len);
    layer->fed = bytes_skip(layer->fed, octets.len);
    return 1;
}

static int write_to_sink(BIO *bio, const char *octets, size_t count, size_t *taken)
{
    struct tls_layer *layer = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    layer->sink(layer->owner, bytes_of(octets, count));
    *taken = count;
    return 1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_layer_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tls_layer");

    if (method != NULL) {
        BIO_meth_set_read_ex(method, read_fed);
        BIO_meth_set_write_ex(method, write_to_sink);
        BIO_meth_set_ctrl(method, control);
    }
    return method;
}

/* ---- life ---- */

/* The name for SNI and the one to be verified; an address has no SNI (RFC 6066 §3). */
static bool set_name(struct tls_layer *layer, struct bytes name)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(layer->ssl);
    struct ip_address address;
    struct strbuf text;
    bool is_set;

    if (name.len > 0 && name.data[name.len - 1] == '.') {
        name.len--;
    }
    if (name.len == 0) {
        return true;
    }
    strbuf_init(&text, NAME_LIMIT);
    strbuf_add(&text, name);
    if (text.overflowed || memchr(name.data, '\0', name.len) != NULL) {
        is_set = false;
    } else if (ip_address_parse(name, &address)) {
        is_set = X509_VERIFY_PARAM_set1_ip_asc(parameters, strbuf_text(&text)) == 1;
    } else {
        X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        is_set = X509_VERIFY_PARAM_set1_host(parameters, strbuf_text(&text), 0) == 1 &&
                 SSL_set_tlsext_host_name(layer->ssl, strbuf_text(&text)) == 1;
    }
    strbuf_clear(&text);
    return is_set;
}

/* Looks at what is verified, and leaves the verdict as it is. */
static int copy_peer(int verdict, X509_STORE_CTX *verification)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_layer *layer = BIO_get_data(SSL_get_rbio(ssl));

    if (layer->peer->count == 0) {
        tls_peer_copy(layer->peer, X509_STORE_CTX_get0_untrusted(verification));
    }
    return verdict;
}

static void prepare_client(struct tls_layer *layer, const struct stream_tls_options *options)
{
    SSL_set_connect_state(layer->ssl);
    if (options->verify == STREAM_TLS_VERIFY_NAME) {
        SSL_set_verify(layer->ssl, SSL_VERIFY_PEER, NULL);
    } else {
        SSL_set_security_level(layer->ssl, 1);
    }
    if (options->peer != NULL) {
        options->peer->count = 0;
        SSL_set_verify(layer->ssl, SSL_get_verify_mode(layer->ssl), copy_peer);
    }
    if (!set_name(layer, options->name) ||
        (options->verify == STREAM_TLS_VERIFY_NAME && options->name.len == 0)) {
        tls_layer_fail(layer, "", "there is no name to verify");
    }
    if (options->session != NULL && SSL_SESSION_is_resumable(options->session->session)) {
        SSL_set_session(layer->ssl, options->session->session);
    }
}

struct tls_layer *tls_layer_new(const struct stream_tls_options *options,
                                void (*sink)(void *owner, struct bytes octets), void *owner)
{
    struct tls_layer *layer = memory_zero(sizeof *layer);
    BIO *bio;

    ERR_clear_error();
    strbuf_init(&layer->error, ERROR_LIMIT);
    layer->context = tls_context_hold(options->context);
    layer->verify = options->verify;
    layer->peer = options->peer;
    layer->sink = sink;
    layer->owner = owner;
    layer->facts.why_unverified = "not asked";
    layer->ssl = tls_context_connection(layer->context);
    bio = BIO_new(tls_context_bio_method(layer->context));
    if (layer->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        tls_layer_fail(layer, "", "OpenSSL has no memory");
        return layer;
    }
    BIO_set_data(bio, layer);
    BIO_set_init(bio, 1);
    SSL_set_bio(layer->ssl, bio, bio);
    SSL_set_app_data(layer->ssl, &layer->session);
    if (tls_context_role(layer->context) == TLS_CLIENT) {
        prepare_client(layer, options);
    } else {
        SSL_set_accept_state(layer->ssl);
    }
    return layer;
}

void tls_layer_free(struct tls_layer **place)
{
    struct tls_layer *layer = *place;

    *place = NULL;
    if (layer == NULL) {
        return;
    }
    if (layer->ssl != NULL && !layer->has_failed) {
        /* OpenSSL takes a session back whose connection it has not seen closed. */
        SSL_set_shutdown(layer->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(layer->ssl);
    SSL_SESSION_free(layer->session);
    tls_context_drop(&layer->context);
    strbuf_clear(&layer->error);
    free(layer->kept);
    free(layer);
}

void tls_layer_fail(struct tls_layer *layer, const char *when, const char *error)
{
    if (!layer->has_failed) {
        layer->has_failed = true;
        strbuf_add_text(&layer->error, when);
        strbuf_add_text(&layer->error, error);
    }
}

/* ---- octets ---- */

void tls_layer_feed(struct tls_layer *layer, struct bytes octets)
{
    assert(layer->fed.len == 0);
    layer->silent += octets.len;
    layer->fed = octets;
}

void tls_layer_keep(struct tls_layer *layer)
{
    char *kept = NULL;

    if (layer->fed.len > 0) {
        kept = memory_alloc(layer->fed.len);
        memcpy(kept, layer->fed.data, layer->fed.len);
        layer->fed.data = kept;
    }
    free(layer->kept);
    layer->kept = kept;
}

size_t tls_layer_unread(const struct tls_layer *layer)
{
    return layer->has_failed ? 0 : layer->fed.len + (size_t)SSL_pending(layer->ssl);
}

static void note_failure(struct tls_layer *layer, const char *when)
{
    long verdict = SSL_get_verify_result(layer->ssl);

    if (!layer->has_failed) {
        layer->has_failed = true;
        strbuf_add_text(&layer->error, when);
        if (layer->verify == STREAM_TLS_VERIFY_NAME && verdict != X509_V_OK) {
            strbuf_add_text(&layer->error, "certificate not verified: ");
            strbuf_add_text(&layer->error, X509_verify_cert_error_string(verdict));
            ERR_clear_error();
        } else {
            strbuf_add_text(&layer->error, tls_error_reason());
        }
    }
}

/* What a call that did not succeed means. */
static enum tls_layer_status status_of(struct tls_layer *layer, const char *when, int result)
{
    switch (SSL_get_error(layer->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_LAYER_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_LAYER_END;
    default:
        note_failure(layer, when);
        return TLS_LAYER_FAILED;
    }
}

static void note_facts(struct tls_layer *layer)
{
    long verdict = SSL_get_verify_result(layer->ssl);

    layer->facts.version = SSL_get_version(layer->ssl);
    layer->facts.cipher = SSL_get_cipher_name(layer->ssl);
    layer->facts.is_resumed = SSL_session_reused(layer->ssl);
    if (tls_context_role(layer->context) == TLS_SERVER) {
        return;
    }
    layer->facts.is_verified = verdict == X509_V_OK && SSL_get0_peer_certificate(layer->ssl);
    layer->facts.why_unverified =
        layer->facts.is_verified ? NULL : X509_verify_cert_error_string(verdict);
}

enum tls_layer_status tls_layer_handshake(struct tls_layer *layer)
{
    int result;

    if (layer->has_failed) {
        return TLS_LAYER_FAILED;
    }
    ERR_clear_error();
    result = SSL_do_handshake(layer->ssl);
    if (result != 1) {
        enum tls_layer_status status = status_of(layer, "handshake: ", result);

        if (status == TLS_LAYER_END) {
            tls_layer_fail(layer, "handshake: ", "closed by the other side");
            return TLS_LAYER_FAILED;
        }
        return status;
    }
    note_facts(layer);
    /* A resumed session brings the verdict of the handshake that began it, and nobody looks. */
    if (layer->verify == STREAM_TLS_VERIFY_NAME && !layer->facts.is_verified) {
        note_failure(layer, "handshake: ");
        return TLS_LAYER_FAILED;
    }
    layer->is_secure = true;
    layer->silent = 0;
    return TLS_LAYER_OK;
}

enum tls_layer_status tls_layer_read(struct tls_layer *layer, char *to, size_t room,
                                     size_t *got)
{
    *got = 0;
    if (layer->has_failed) {
        return TLS_LAYER_FAILED;
    }
    ERR_clear_error();
    if (SSL_read_ex(layer->ssl, to, room, got) == 1) {
        layer->silent = 0;
        return TLS_LAYER_OK;
    }
    if (layer->silent > TLS_LAYER_SILENT) {
        tls_layer_fail(layer, "", "too much that is no data");
        return TLS_LAYER_FAILED;
    }
    return status_of(layer, "", 0);
}

bool tls_layer_write(struct tls_layer *layer, struct bytes octets)
{
    size_t written = 0;

    if (layer->has_failed || !layer->is_secure || octets.len == 0) {
        return !layer->has_failed;
    }
    ERR_clear_error();
    if (SSL_write_ex(layer->ssl, octets.data, octets.len, &written) != 1) {
        note_failure(layer, "");
        return false;
    }
    return true;
}

void tls_layer_close(struct tls_layer *layer)
{
    if (layer->is_secure && !layer->has_failed) {
        ERR_clear_error();
        SSL_shutdown(layer->ssl);
        ERR_clear_error();
    }
}

/* ---- what is known ---- */

const struct stream_tls_facts *tls_layer_facts(const struct tls_layer *layer)
{
    return &layer->facts;
}

const char *tls_layer_error(const struct tls_layer *layer)
{
    return strbuf_text(&layer->error);
}

struct tls_session *tls_layer_session(const struct tls_layer *layer)
{
    struct tls_session *session;

    if (layer->session == NULL || !SSL_SESSION_is_resumable(layer->session)) {
        return NULL;
    }
    session = memory_zero(sizeof *session);
    session->session = layer->session;
    SSL_SESSION_up_ref(session->session);
    return session;
}
