/*
 * admin_trace - searches the history for a message, for the status page.
 *
 * Threads  one search at a time, on a thread of its own: a long history holds up neither the page nor mail. The
 *          rest on `loop`, the HTTP server's.
 * Limits   ADMIN_TRACE_WAITING searches wait, the next ones are not begun; of several messages the newest
 *          EVENT_TRACE_ROWS are shown.
 */
#ifndef DAEMON_ADMIN_TRACE_H
#define DAEMON_ADMIN_TRACE_H

#include "io/http_server.h"
#include "io/spool.h"

enum { ADMIN_TRACE_WAITING = 16, ADMIN_TRACE_QUERY = 1000 };

struct admin_trace_options {
    const char *directory; /* of the history; copied */
    struct spool *spool;
    struct event_loop *loop;
    /* Answers; the body is good during the call. */
    void (*answer)(void *context, struct http_request *request, bool is_json,
                   const struct strbuf *body);
    void *context;
};

struct admin_trace_call {
    struct http_request *request;
    struct bytes query; /* copied, as the next one */
    struct bytes hostname;
    bool is_json;
    bool is_kept; /* a history */
};

struct admin_trace;

struct admin_trace *admin_trace_new(const struct admin_trace_options *options);
/* False: too many wait. */
bool admin_trace_start(struct admin_trace *trace, const struct admin_trace_call *call);
/* When the loop runs no more: waits for the search that runs. Safe on NULL, and twice. */
void admin_trace_stop(struct admin_trace *trace);
/* After the spool has been closed. Safe on NULL. */
void admin_trace_free(struct admin_trace **trace);

#endif
