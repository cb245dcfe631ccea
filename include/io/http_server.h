/*
 * http_server - answers GET and HEAD over HTTP, for operators: read-only, on a thread and a loop of
 * its own, by libevent's evhttp.
 *
 * Use      http_server_new on a listener that is bound (it never binds: the worker may not);
 *          http_server_start starts the thread. on_request gets each request that may be answered;
 *          http_request_answer answers it, then or later, once, on the server's loop.
 * Limits   HTTP_CONNECTIONS at a time (others wait unaccepted), one request each; HTTP_HEADER_LIMIT
 *          octets of request line and fields, HTTP_BODY_LIMIT of a body nobody wants; HTTP_LIFETIME_MS
 *          for a connection from the first octet to the last, however slowly it is fed or read.
 * Answers  other methods 405. Over TCP a Host that could be a stranger's 403 (protocol/http_request);
 *          over a Unix socket its file's rights say who may.
 * Fields   of each answer: no store, no sniffing, no referrer, no frame, nobody else's page may embed
 *          it, and a Content-Security-Policy that allows nothing beyond what the answer asks for.
 * Threads  on_request runs on the server's thread. http_server_loop is for what belongs on it.
 * Not for the open network: no TLS, no passwords. Loopback, a Unix socket, or behind a proxy.
 */
#ifndef IO_HTTP_SERVER_H
#define IO_HTTP_SERVER_H

#include "io/event_loop.h"
#include "io/listener.h"

enum {
    HTTP_CONNECTIONS = 32,
    HTTP_HEADER_LIMIT = 8 * 1024,
    HTTP_BODY_LIMIT = 1024,
    HTTP_LIFETIME_MS = 15000,
};

struct http_server;
struct http_request;

struct http_server_options {
    void (*on_request)(void *context, struct http_request *request);
    void *context;
};

struct http_answer {
    int status;
    const char *content_type;
    const char *policy; /* what Content-Security-Policy allows above nothing, or NULL */
    struct bytes body;  /* copied */
};

/* `listener` is *borrowed* until http_server_free. */
struct http_server *http_server_new(struct listener *listener,
                                    const struct http_server_options *options);
struct event_loop *http_server_loop(struct http_server *server);
/* The name it may be called by beside addresses and localhost. Before the start, or on its loop. */
void http_server_set_name(struct http_server *server, struct bytes name);
void http_server_start(struct http_server *server);
/* Its thread ends; no callback after this. Safe on NULL, and twice. */
void http_server_stop(struct http_server *server);
/* Safe on NULL. Requests that were not answered are gone with it. */
void http_server_free(struct http_server **server);

/* As the client wrote it: path and query. */
struct bytes http_request_target(const struct http_request *request);
void http_request_answer(struct http_request *request, const struct http_answer *answer);

#endif
