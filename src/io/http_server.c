#include "io/http_server.h"

#include "base/list.h"
#include "base/memory.h"
#include "io/process.h"
#include "loop_internal.h"
#include "protocol/http_request.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    SWEEP_MS = 100,
    QUIET_S = 10, /* between two octets; HTTP_LIFETIME_MS bounds all of them */
    NAME_LIMIT = 256,
};

/*
 * evhttp tells nobody when a connection ends, and puts no bound on how many there are or how long one
 * lasts. So we make its buffers, hold each once more, and look at them every SWEEP_MS: one that evhttp
 * has let go has no callback any more. The socket is closed with the last hold.
 */
struct connection {
    struct bufferevent *buffer; /* NULL: the place is free */
    uint64_t opened_ms;
};

struct http_server {
    struct http_server_options options;
    struct event_loop *loop;
    struct process_thread *thread;
    struct evhttp *http;
    struct evconnlistener *acceptor;
    bool is_unix;
    struct strbuf name;
    struct connection connections[HTTP_CONNECTIONS];
    size_t connection_count;
    struct loop_timer *sweep_timer;
    struct list requests; /* that wait for their answer */
};

struct http_request {
    struct list node;
    struct http_server *server;
    struct evhttp_request *raw;
};

/* ---- connections ---- */

static bool was_let_go(struct bufferevent *buffer)
{
    bufferevent_data_cb on_read, on_write;
    bufferevent_event_cb on_event;
    void *context;

    bufferevent_getcb(buffer, &on_read, &on_write, &on_event, &context);
    return context == NULL;
}

/* What is over is closed; what lasts too long is cut, which evhttp sees as an end. */
static void sweep(struct http_server *server)
{
    uint64_t now_ms = event_loop_now_ms(server->loop);

    for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
        struct connection *connection = &server->connections[i];
        if (connection->buffer == NULL) {
            continue;
        }
        if (was_let_go(connection->buffer)) {
            bufferevent_decref(connection->buffer);
            connection->buffer = NULL;
            server->connection_count--;
        } else if (now_ms - connection->opened_ms >= HTTP_LIFETIME_MS) {
            shutdown(bufferevent_getfd(connection->buffer), SHUT_RDWR);
        }
    }
}

static void on_sweep(void *context)
{
    struct http_server *server = context;

    sweep(server);
    if (server->connection_count < HTTP_CONNECTIONS) {
        evconnlistener_enable(server->acceptor);
    }
    if (server->connection_count > 0) {
        loop_timer_set(server->sweep_timer, SWEEP_MS);
    }
}

static struct bufferevent *make_buffer(struct event_base *base, void *context)
{
    struct http_server *server = context;
    struct bufferevent *buffer = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    size_t place = 0;

    sweep(server);
    while (place < HTTP_CONNECTIONS && server->connections[place].buffer != NULL) {
        place++;
    }
    if (buffer == NULL || place == HTTP_CONNECTIONS) {
        return buffer; /* not reached: accepting has stopped before */
    }
    bufferevent_incref(buffer);
    server->connections[place] = (struct connection){buffer, event_loop_now_ms(server->loop)};
    if (++server->connection_count == HTTP_CONNECTIONS) {
        evconnlistener_disable(server->acceptor);
    }
    loop_timer_set(server->sweep_timer, SWEEP_MS);
    return buffer;
}

/* No descriptor left, most likely: others need the time more than we do. */
static void on_accept_failed(struct evconnlistener *acceptor, void *context)
{
    struct http_server *server = context;

    evconnlistener_disable(acceptor);
    loop_timer_set(server->sweep_timer, SWEEP_MS);
}

/* ---- requests ---- */

static void add_field(struct evhttp_request *raw, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(raw), name, value);
}

static void add_fields(struct evhttp_request *raw, const struct http_answer *answer)
{
    static const struct {
        const char *name, *value;
    } always[] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Connection", "close"},
    };
    struct strbuf text;

    strbuf_init(&text, 4096);
    strbuf_addf(&text, "default-src 'none'; %s%sbase-uri 'none'; frame-ancestors 'none'",
                answer->policy == NULL ? "" : answer->policy,
                answer->policy == NULL ? "form-action 'none'; " : "; ");
    add_field(raw, "Content-Security-Policy", strbuf_text(&text));
    strbuf_reset(&text);
    strbuf_addf(&text, "%zu", answer->body.len);
    add_field(raw, "Content-Length", strbuf_text(&text));
    strbuf_clear(&text);
    add_field(raw, "Content-Type", answer->content_type);
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        add_field(raw, always[i].name, always[i].value);
    }
    if (answer->status == 405) {
        add_field(raw, "Allow", "GET, HEAD");
    }
}

static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

static void send_answer(struct evhttp_request *raw, const struct http_answer *answer)
{
    struct evbuffer *body = evbuffer_new();

    add_fields(raw, answer);
    if (evhttp_request_get_command(raw) != EVHTTP_REQ_HEAD) {
        evbuffer_add(body, answer->body.data, answer->body.len);
    }
    evhttp_send_reply(raw, answer->status, reason_of(answer->status), body);
    evbuffer_free(body);
}

static void refuse(struct evhttp_request *raw, int status, const char *why)
{
    struct http_answer answer = {.status = status,
                                 .content_type = "text/plain; charset=utf-8",
                                 .body = bytes_from_text(why)};

    send_answer(raw, &answer);
}

/* Which of two were ours, somebody before us may see otherwise: RFC 9112 §3.2 has such a request refused. */
static bool has_several_hosts(struct evhttp_request *raw)
{
    const struct evkeyval *field = evhttp_request_get_input_headers(raw)->tqh_first;
    unsigned count = 0;

    for (; field != NULL; field = field->next.tqe_next) {
        count += evutil_ascii_strcasecmp(field->key, "Host") == 0;
    }
    return count > 1;
}

static bool is_host_safe(const struct http_server *server, struct evhttp_request *raw)
{
    const char *host = evhttp_find_header(evhttp_request_get_input_headers(raw), "Host");

    return server->is_unix ||
           (host != NULL &&
            http_request_host_is_safe(bytes_from_text(host), strbuf_bytes(&server->name)));
}

static void on_raw_request(struct evhttp_request *raw, void *context)
{
    struct http_server *server = context;
    enum evhttp_cmd_type method = evhttp_request_get_command(raw);
    const char *target = evhttp_request_get_uri(raw);
    struct http_request *request;

    if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        refuse(raw, 405, "This page can be read, nothing else.\n");
    } else if (has_several_hosts(raw)) {
        refuse(raw, 400, "One Host, please.\n");
    } else if (!is_host_safe(server, raw)) {
        refuse(
            raw, 403,
            "Not served under this name: ask by address, as localhost, or by the hostname of "
            "the configuration.\n");
    } else if (target == NULL || target[0] != '/') {
        refuse(raw, 400, "The target is to begin with a slash.\n");
    } else {
        request = memory_zero(sizeof *request);
        request->server = server;
        request->raw = raw;
        list_append(&server->requests, &request->node);
        server->options.on_request(server->options.context, request);
    }
}

struct bytes http_request_target(const struct http_request *request)
{
    return bytes_from_text(evhttp_request_get_uri(request->raw));
}

/* A client that went away meanwhile is no trouble: evhttp then only frees the request. */
void http_request_answer(struct http_request *request, const struct http_answer *answer)
{
    send_answer(request->raw, answer);
    list_remove(&request->node);
    free(request);
}

/* ---- the server ---- */

/* What libevent has to say of broken requests would stand in our log as lines without a form. */
static void be_quiet(int severity, const char *text)
{
    (void)severity, (void)text;
}

static void set_up(struct http_server *server)
{
    const ev_uint16_t every_method = EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                     EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
                                     EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH;

    evhttp_set_allowed_methods(server->http, every_method);
    evhttp_set_max_headers_size(server->http, HTTP_HEADER_LIMIT);
    evhttp_set_max_body_size(server->http, HTTP_BODY_LIMIT);
    evhttp_set_timeout(server->http, QUIET_S);
    evhttp_set_default_content_type(server->http, NULL);
    evhttp_set_bevcb(server->http, make_buffer, server);
    evhttp_set_gencb(server->http, on_raw_request, server);
}

struct http_server *http_server_new(struct listener *listener,
                                    const struct http_server_options *options)
{
    struct http_server *server = memory_zero(sizeof *server);
    struct ip_endpoint address = listener_address(listener);
    struct evhttp_bound_socket *bound;

    event_set_log_callback(be_quiet);
    server->options = *options;
    server->is_unix = address.address.family == IP_NONE;
    strbuf_init(&server->name, NAME_LIMIT);
    list_init(&server->requests);
    server->loop = event_loop_new();
    server->sweep_timer = loop_timer_new(server->loop, on_sweep, server);
    server->http = evhttp_new(event_loop_base(server->loop));
    server->acceptor = evconnlistener_new(event_loop_base(server->loop), NULL, NULL,
                                          LEV_OPT_CLOSE_ON_EXEC, 0, listener_handle(listener));
    assert(server->http != NULL && server->acceptor != NULL);
    evconnlistener_set_error_cb(server->acceptor, on_accept_failed);
    set_up(server);
    bound = evhttp_bind_listener(server->http, server->acceptor);
    assert(bound != NULL);
    return server;
}

struct event_loop *http_server_loop(struct http_server *server)
{
    return server->loop;
}

void http_server_set_name(struct http_server *server, struct bytes name)
{
    strbuf_reset(&server->name);
    strbuf_add(&server->name, name);
}

static void run_loop(void *context)
{
    struct http_server *server = context;

    event_loop_run(server->loop);
}

void http_server_start(struct http_server *server)
{
    server->thread = process_thread_start("http", run_loop, server);
}

void http_server_stop(struct http_server *server)
{
    if (server != NULL && server->thread != NULL) {
        event_loop_stop(server->loop);
        process_thread_join(&server->thread);
    }
}

void http_server_free(struct http_server **server_place)
{
    struct http_server *server = *server_place;

    if (server == NULL) {
        return;
    }
    http_server_stop(server);
    while (!list_is_empty(&server->requests)) {
        struct http_request *request =
            list_owner(server->requests.next, struct http_request, node);
        if (evhttp_request_get_connection(request->raw) == NULL) {
            evhttp_request_free(request->raw); /* its client has gone: nobody else has it */
        }
        list_remove(&request->node);
        free(request);
    }
    evhttp_free(server->http);
    sweep(server);
    loop_timer_free(&server->sweep_timer);
    event_loop_free(&server->loop);
    strbuf_clear(&server->name);
    free(server);
    *server_place = NULL;
}
