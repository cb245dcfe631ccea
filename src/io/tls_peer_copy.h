/*
 * tls_peer_copy - fills a tls_peer. Private to room io (tls_layer).
 */
#ifndef IO_TLS_PEER_COPY_H
#define IO_TLS_PEER_COPY_H

#include "io/tls_peer.h"

#include <openssl/x509.h>

/* In the place of what it held. `chain` may be NULL. */
void tls_peer_copy(struct tls_peer *peer, STACK_OF(X509) * chain);

#endif
