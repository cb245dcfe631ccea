/*
 * tls_peer - the certificates a server shows, for commands that show them in turn.
 *
 * Use      stream_tls_options.peer: what the server shows is copied while it is verified, whatever the verdict,
 *          so it is known also of a handshake that failed for it. A resumed session shows nothing.
 * Output   the server's own first, then those that vouch for it, in the order they came.
 * Limit    TLS_PEER_LIMIT certificates, TLS_PEER_NAMES names of one; what is more is only counted.
 * Memory   all text lives in `arena`. It is as the certificate has it: fit to be shown only by utf8_add_printable.
 */
#ifndef IO_TLS_PEER_H
#define IO_TLS_PEER_H

#include "base/arena.h"

enum { TLS_PEER_LIMIT = 8, TLS_PEER_NAMES = 20 };

struct tls_peer_certificate {
    struct bytes subject, issuer; /* "CN=mx.example.net,O=Example" */
    struct bytes names[TLS_PEER_NAMES];
    size_t name_count;       /* of those above */
    size_t more_names;       /* that are not there */
    int64_t begins, expires; /* seconds since 1970 */
    const char *key;         /* "RSA"; static */
    int key_bits;
};

struct tls_peer {
    struct arena *arena; /* the caller's */
    struct tls_peer_certificate certificates[TLS_PEER_LIMIT];
    size_t count;
};

#endif
