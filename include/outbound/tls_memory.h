/*
 * tls_memory - what is remembered of TLS with the hosts of one loop: sessions to resume, and with
 * whom a handshake failed a moment ago.
 *
 * Key      name and port of the host: addresses of one name share their sessions.
 * Failure  for TLS_FAILURE_MS clear text is what an opportunistic delivery gets, so that a host whose
 *          TLS is broken does not cost two connections a message; then it is tried again.
 * Limit    TLS_HOSTS_KEPT hosts, the longest unused goes first. The hash is keyed.
 */
#ifndef OUTBOUND_TLS_MEMORY_H
#define OUTBOUND_TLS_MEMORY_H

#include "io/event_loop.h"
#include "io/tls_context.h"

enum { TLS_FAILURE_MS = 10 * 60 * 1000, TLS_HOSTS_KEPT = 1000 };

struct tls_memory;

struct tls_memory *tls_memory_new(struct event_loop *loop);
void tls_memory_free(struct tls_memory **memory);
/* The trust or our certificate may be another one now. */
void tls_memory_forget(struct tls_memory *memory);

/* Borrowed until the next call of any function here, or NULL. */
const struct tls_session *tls_memory_session(struct tls_memory *memory, struct bytes host,
                                             uint16_t port);
/* *Takes* the session; NULL changes nothing. */
void tls_memory_keep_session(struct tls_memory *memory, struct bytes host, uint16_t port,
                             struct tls_session *session);
void tls_memory_note_failure(struct tls_memory *memory, struct bytes host, uint16_t port);
void tls_memory_note_success(struct tls_memory *memory, struct bytes host, uint16_t port);
bool tls_memory_has_failed(struct tls_memory *memory, struct bytes host, uint16_t port);

#endif
