/*
 * tls_tickets - the keys of session tickets: what a server would have to remember, the client does.
 *
 * Keys     one seals; it and the one before it open. Every TLS_TICKET_KEY_SECONDS there is a new
 *          one, so what was recorded can be read with a stolen key for twice that time only.
 * Threads  any; one lock for the time of a copy.
 * RFC      5077 §4, 8446 §4.6.1
 */
#ifndef IO_TLS_TICKETS_H
#define IO_TLS_TICKETS_H

#include <openssl/ssl.h>

struct tls_tickets;

struct tls_tickets *tls_tickets_new(void);
struct tls_tickets *tls_tickets_hold(struct tls_tickets *tickets);
void tls_tickets_drop(struct tls_tickets **tickets); /* safe on NULL */
/* The context's tickets are made with these; it must not outlive the hold. */
void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ssl);

#endif
