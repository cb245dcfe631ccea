/*
 * stream - a connected byte stream (TCP or Unix socket) with bounded buffers.
 *
 * Input    what has arrived and was not consumed: stream_input / stream_consume. on_input runs when
 *          more has come; when the input reaches STREAM_INPUT_LIMIT reading pauses until
 *          something is consumed. Until on_input returns, the view may point into a buffer that all
 *          streams of the loop share: what is left then is kept by the stream.
 * Output   stream_write collects; it goes out in one system call after the callback that wrote it
 *          (or with stream_flush). What the socket does not take waits; on_drained runs when
 *          the waiting output has fallen under STREAM_OUTPUT_LOW after having been over
 *          STREAM_OUTPUT_HIGH. stream_output_waiting tells how much waits: whoever writes much
 *          looks at it and stops at STREAM_OUTPUT_HIGH.
 * End      on_end runs once when the peer closed its side (STREAM_END_EOF, input that came before
 *          it has been delivered; output may still be written) or the connection broke (other
 *          values). Nothing runs after stream_close.
 * Close    stream_close drops everything at once. stream_finish sends what waits, then closes
 *          gracefully (half-close and a bounded wait when input is unread or may still come,
 *          because closing with unread input resets the connection and can destroy the last
 *          reply); the stream then belongs to the loop, no callback runs any more. It
 *          closes at once (write and close only) when the peer has ended, or when all that came
 *          was used up in this very turn: a client's QUIT, a server's 221.
 * Sockets  non-blocking, close-on-exec, TCP_NODELAY.
 * TLS      stream_start_tls turns a plain stream into a protected one in place: all of the above
 *          holds for what is inside; the output waiting and sent is counted in octets of the
 *          network. Nothing that came in clear is ever taken as protected: with unread input
 *          TLS does not begin (or that is fed to the handshake: takes_unread). A peer that ends without close_notify has ended, no more: SMTP says
 *          itself where messages end. stream_finish says close_notify, stream_close does not.
 * Deadlines are the caller's: loop_timer and stream_close.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "base/bytes.h"
#include "io/event_loop.h"
#include "io/tls_context.h"
#include "io/tls_peer.h"
#include "protocol/ip_address.h"

enum {
    STREAM_INPUT_LIMIT = 64 * 1024,
    STREAM_OUTPUT_LOW = 32 * 1024,
    STREAM_OUTPUT_HIGH = 128 * 1024,
    STREAM_LINGER_MS = 2000,
};

enum stream_end {
    STREAM_END_EOF,
    STREAM_END_RESET,        /* connection reset, broken pipe */
    STREAM_END_REFUSED,      /* connect: nobody listens */
    STREAM_END_UNREACHABLE,  /* connect: no route, host or network down */
    STREAM_END_TIMEOUT,      /* connect: the time given ran out, or TCP gave up */
    STREAM_END_NO_RESOURCES, /* no file descriptor, no port */
    STREAM_END_TLS,          /* the handshake or the protection failed: stream_tls_error */
    STREAM_END_FAILED,       /* anything else */
};

struct stream_callbacks {
    void (*on_connected)(void *context); /* outgoing only; once */
    void (*on_input)(void *context);
    void (*on_drained)(void *context); /* may be NULL */
    void (*on_end)(void *context, enum stream_end end);
};

struct stream;

/* A connection a listener took, on its way to the loop that will own it. */
struct stream_accepted {
    int handle;               /* owned by whoever holds the struct; >= 0 */
    struct ip_endpoint peer;  /* family IP_NONE for Unix sockets */
    struct ip_endpoint local; /* IP_NONE when the listener has a wildcard address (no system
                                 call for each connection): stream_local knows it then */
};

struct stream *stream_from_accepted(struct event_loop *loop,
                                    const struct stream_accepted *accepted,
                                    const struct stream_callbacks *callbacks, void *context);
/* Throws an accepted connection away; `last_words` are tried to be sent first (may be empty). */
void stream_accepted_drop(const struct stream_accepted *accepted, struct bytes last_words);
/* Connects; `from` may be NULL (any). on_connected or on_end follows, never from inside. */
struct stream *stream_connect(struct event_loop *loop, const struct ip_endpoint *to,
                              const struct ip_address *from, uint64_t timeout_ms,
                              const struct stream_callbacks *callbacks, void *context);
struct stream *stream_connect_unix(struct event_loop *loop, const char *path,
                                   uint64_t timeout_ms,
                                   const struct stream_callbacks *callbacks, void *context);

struct bytes stream_input(const struct stream *stream);
void stream_consume(struct stream *stream, size_t count);
void stream_write(struct stream *stream, struct bytes octets);
void stream_flush(struct stream *stream);
size_t stream_output_waiting(const struct stream *stream);
/* Octets the socket has taken so far: progress for deadlines. */
uint64_t stream_output_sent(const struct stream *stream);
/* The local end (which address we speak from); IP_NONE before connected. */
struct ip_endpoint stream_local(const struct stream *stream);
void stream_close(struct stream **stream);  /* safe on NULL, and from inside any callback */
void stream_finish(struct stream **stream); /* the same */
const char *stream_end_text(enum stream_end end); /* "refused" ... static */

enum stream_tls_verify {
    STREAM_TLS_VERIFY_NONE, /* the facts say whether it would have been verified */
    STREAM_TLS_VERIFY_NAME, /* the chain, and that the certificate is for `name`, or it fails */
};

struct stream_tls_options {
    struct tls_context *context; /* held by the stream */
    struct bytes name;           /* client: the server's name or address, or empty */
    enum stream_tls_verify verify;
    const struct tls_session *session; /* to resume, or NULL */
    uint64_t timeout_ms;               /* for the handshake */
    struct tls_peer *peer;             /* client: what the server shows, or NULL; *borrows* */
    /* Unread input is the handshake's beginning: only where nothing but TLS may come now. */
    bool takes_unread;
    /* Once, when it is protected; otherwise on_end with STREAM_END_TLS. Never from inside
     * stream_start_tls. */
    void (*on_secure)(void *context);
};

struct stream_tls_facts {
    const char *version; /* "TLSv1.3", or NULL: not protected; static as all of these */
    const char *cipher;
    bool is_verified;           /* the chain, and the name when one was given */
    const char *why_unverified; /* NULL when it is */
    bool is_resumed;
};

/* False, and nothing was begun: octets wait unread that came in clear. Output that waits goes out
 * in clear first. Nothing is to be written until on_secure. */
bool stream_start_tls(struct stream *stream, const struct stream_tls_options *options);
struct stream_tls_facts stream_tls_facts(const struct stream *stream);
/* Why TLS failed, good until the stream is closed; "" when it did not. */
const char *stream_tls_error(const struct stream *stream);
/* The last session the server gave us to resume: new, or NULL. */
struct tls_session *stream_tls_session(const struct stream *stream);

#endif
