/*
 * listener - a listening socket and its accept loop.
 *
 * Use     listener_open binds (before privileges are dropped), listener_start accepts on a loop.
 *         accept4 until nothing waits, bounded per turn; on EMFILE/ENFILE a spare descriptor
 *         is used to say 421, then accepting pauses 100 ms; never spins.
 */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "base/strbuf.h"
#include "io/stream.h"

struct listener;

/* NULL on failure, then *why names the step and the error. Port 0 takes a free one. */
struct listener *listener_open(const struct ip_endpoint *address, struct strbuf *why);
/* A Unix socket at `path` (an old, dead socket there is replaced), file mode as given. */
struct listener *listener_open_unix(const char *path, unsigned mode, struct strbuf *why);
/* The same two; when the address is taken, they try again for this long: a daemon that was killed a
 * moment ago may still be going away. Sleeps. */
struct listener *listener_open_patiently(const struct ip_endpoint *address,
                                         uint64_t patience_ms, struct strbuf *why);
struct listener *listener_open_unix_patiently(const char *path, unsigned mode,
                                              uint64_t patience_ms, struct strbuf *why);
/* on_accept *takes* the connection; it may stop the listener, not close it. */
void listener_start(struct listener *listener, struct event_loop *loop,
                    void (*on_accept)(void *context, const struct stream_accepted *accepted),
                    void *context);
/* Is told of each connection that was answered 421 for want of a descriptor. Before listener_start;
 * its context. */
void listener_on_shortage(struct listener *listener,
                          void (*on_shortage)(void *context, const struct ip_endpoint *peer));
void listener_stop(struct listener *listener); /* stops accepting, keeps the socket bound */
void listener_close(struct listener **listener);
struct ip_endpoint listener_address(const struct listener *listener); /* with the real port */
/* For handing it to a child process and taking it up there. */
int listener_handle(const struct listener *listener);
/* All descriptors it holds: 1 or 2 of them. */
size_t listener_handles(const struct listener *listener, int handles[2]);
struct listener *listener_from_handle(int handle);
/* `path` is removed at close; NULL: it is somebody else's. */
struct listener *listener_from_unix_handle(int handle, const char *path);

#endif
