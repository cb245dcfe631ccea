/*
 * tls_context - what TLS connections of one kind have in common: role, certificates, whom to trust.
 *
 * Use      made once and never changed; threads share it and count their holds. io/stream runs the
 *          connections (stream_start_tls).
 * Input    PEM text in memory: the configuration reads the files. Private keys have no pass phrase.
 * Rules    TLS 1.2 or newer; no compression, no renegotiation. Where nothing is verified weaker
 *          keys are taken, too (security level 1): the other choice would be clear text.
 * Client   trusts the authorities given, or the system's; may have a certificate of its own.
 * Server   needs a certificate. Several with keys of different kinds (ECDSA, RSA) stand side by
 *          side; of several with one kind of key, the first one is for everybody and the others
 *          are for clients that ask for a name (SNI) they are good for.
 * Tickets  a server's sessions are resumed by tickets, nothing is kept. Their key is made with the
 *          context, seals for TLS_TICKET_KEY_SECONDS and opens for as long again; threads share it.
 * Session  what a client may resume later; it belongs to one thread at a time. The next
 *          connection checks again whether the session was verified.
 * Errors   NULL, and *why says what is wrong with which part.
 * RFC      8446, 5246, 5077, 7435
 */
#ifndef IO_TLS_CONTEXT_H
#define IO_TLS_CONTEXT_H

#include "base/strbuf.h"

enum tls_role { TLS_CLIENT, TLS_SERVER };

enum { TLS_TICKET_KEY_SECONDS = 6 * 3600 };

struct tls_certificate {
    struct bytes chain; /* PEM: the certificate, then those that vouch for it */
    struct bytes key;   /* PEM */
};

struct tls_context_options {
    enum tls_role role;
    const struct tls_certificate *certificates;
    size_t certificate_count;
    struct bytes trusted; /* PEM of authorities; empty: the system's */
};

struct tls_context;
struct tls_session;

struct tls_context *tls_context_new(const struct tls_context_options *options,
                                    struct strbuf *why);
struct tls_context *tls_context_hold(struct tls_context *context); /* safe on NULL */
void tls_context_drop(struct tls_context **context);               /* safe on NULL */
/* Seconds since 1970 when the first of its own certificates ends; INT64_MAX: it has none. */
int64_t tls_context_expires(const struct tls_context *context);

/* Before it is used: goes on with the ticket keys of the one it replaces. Safe on NULL. */
void tls_context_take_tickets(struct tls_context *context, const struct tls_context *before);

enum tls_chain {
    TLS_CHAIN_GOOD,
    TLS_CHAIN_DISORDERED, /* one of them did not sign the one before it */
    TLS_CHAIN_ALONE,      /* and the system does not know who signed it */
};

struct tls_certificate_facts {
    int64_t begins, expires; /* seconds since 1970 */
    enum tls_chain chain;
    bool has_name; /* it is good for the name asked about */
};

/* What is to be known of a certificate before it is used. False and *why: it cannot be used. */
bool tls_certificate_look(const struct tls_certificate *certificate, struct bytes name,
                          struct tls_certificate_facts *facts, struct strbuf *why);

/* Is the first certificate of the PEM text good for the name? False, too, when it cannot be read. */
bool tls_certificate_is_for(struct bytes chain, struct bytes name);

void tls_session_free(struct tls_session **session); /* safe on NULL */

#endif
