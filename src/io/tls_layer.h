/*
 * tls_layer - TLS between octets and octets; it knows no socket.
 *
 * Input    tls_layer_feed lends octets from the network until tls_layer_keep, which copies what
 *          was not used.
 * Output   octets for the network go to the sink, from inside of handshake, read, write and close.
 * Calls    handshake until OK; then read and write. After FAILED nothing but error, facts, free.
 * Limit    TLS_LAYER_SILENT octets in a row without one for the caller (key updates, tickets,
 *          alerts): so a peer cannot keep us busy, nor make us answer, without end.
 */
#ifndef IO_TLS_LAYER_H
#define IO_TLS_LAYER_H

#include "io/stream.h"
#include "io/tls_context.h"

#include <openssl/ssl.h>

enum { TLS_LAYER_SILENT = 256 * 1024 };

enum tls_layer_status {
    TLS_LAYER_OK,   /* the handshake is done; there are octets */
    TLS_LAYER_WAIT, /* feed more */
    TLS_LAYER_END,  /* the peer said close_notify */
    TLS_LAYER_FAILED,
};

struct tls_layer;

struct tls_layer *tls_layer_new(const struct stream_tls_options *options,
                                void (*sink)(void *owner, struct bytes octets), void *owner);
void tls_layer_free(struct tls_layer **layer); /* safe on NULL */
void tls_layer_feed(struct tls_layer *layer, struct bytes octets);
void tls_layer_keep(struct tls_layer *layer);
/* Octets that were fed and not read: decrypted or not. */
size_t tls_layer_unread(const struct tls_layer *layer);
enum tls_layer_status tls_layer_handshake(struct tls_layer *layer);
enum tls_layer_status tls_layer_read(struct tls_layer *layer, char *to, size_t room,
                                     size_t *got);
bool tls_layer_write(struct tls_layer *layer, struct bytes octets); /* false: failed */
void tls_layer_close(struct tls_layer *layer);                      /* close_notify */
void tls_layer_fail(struct tls_layer *layer, const char *when,
                    const char *error); /* if it has not yet */
const struct stream_tls_facts *tls_layer_facts(const struct tls_layer *layer);
const char *tls_layer_error(const struct tls_layer *layer); /* "" when there is none */
struct tls_session *tls_layer_session(const struct tls_layer *layer);

/* ---- between tls_layer.c and tls_context.c ---- */

BIO_METHOD *tls_layer_bio_method(void); /* new */

struct tls_session {
    SSL_SESSION *session;
};

SSL *tls_context_connection(const struct tls_context *context);
const BIO_METHOD *tls_context_bio_method(const struct tls_context *context);
enum tls_role tls_context_role(const struct tls_context *context);

#endif
