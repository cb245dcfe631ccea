/*
 * A request, in the order it happens; all but 3 on the HTTP server's thread:
 *
 *   1 on_request    by its path
 *   2 start_view    if what was gathered is too old; several requests wait for one view
 *   3 describe      on the main loop
 *   4 on_described, on_summary, on_ages
 *   5 end_view      all who wait are answered
 */
#include "daemon/admin_server.h"

#include "daemon/admin_trace.h"

#include "base/list.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/disk.h"
#include "io/http_server.h"
#include "io/log.h"
#include "mail/metrics_text.h"
#include "mail/page_events.h"
#include "mail/page_frame.h"
#include "mail/status_json.h"
#include "protocol/http_request.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    PAGE_LIMIT = 8 * 1024 * 1024,
    PARAMETER_LIMIT = 512,
    AGES_PAGE = 500,
    GATHER_SHARE = 10, /* of the time, gathering may take one part */
};

static const char HTML[] = "text/html; charset=utf-8";
static const char JSON[] = "application/json";
static const char TEXT[] = "text/plain; charset=utf-8";

/* Who waits for a view, and how it is to look. */
struct visitor {
    struct list node;
    struct http_request *request;
    bool is_json;
    enum page_span span;
};

struct admin_server {
    struct admin_server_options options;
    struct http_server *http;
    struct event_loop *loop; /* of http */
    struct strbuf policy;
    struct list visitors;
    bool is_gathering;
    uint64_t begun_ms, gathered_ms; /* on the loop's clock; 0: never */
    struct arena *arena;            /* of the view */
    struct status_page view;
    struct admin_trace *trace;
    struct strbuf spool_directory;
    struct strbuf hostname;
    bool keeps_history;
    struct strbuf after; /* the last destination whose ages are known */
    struct loop_task describe_task, described_task, renew_task;
    atomic_bool is_renewing; /* renew_task is under way */
    bool is_outdated;        /* what is being gathered is of the configuration before */
};

/* ---- answers ---- */

static void answer(struct admin_server *server, struct http_request *request, int status,
                   const char *content_type, const struct strbuf *body)
{
    struct http_answer answer = {.status = body->overflowed ? 500 : status,
                                 .content_type = content_type,
                                 .policy =
                                     content_type == HTML ? strbuf_text(&server->policy) : NULL,
                                 .body = strbuf_bytes(body)};

    http_request_answer(request, &answer);
}

static void answer_view(struct admin_server *server, struct http_request *request, bool is_json,
                        enum page_span span)
{
    struct status_page page = server->view;
    struct strbuf body;

    page.span = span;
    strbuf_init(&body, PAGE_LIMIT);
    if (is_json) {
        status_json_add(&body, &page);
    } else {
        status_page_add(&body, &page);
    }
    answer(server, request, 200, is_json ? JSON : HTML, &body);
    strbuf_clear(&body);
}

static void answer_not_found(struct admin_server *server, struct http_request *request)
{
    struct strbuf body;

    strbuf_init(&body, 200);
    strbuf_add_text(&body, "There is nothing here. The page is at /\n");
    answer(server, request, 404, TEXT, &body);
    strbuf_clear(&body);
}

static void answer_metrics(struct admin_server *server, struct http_request *request)
{
    struct strbuf body;

    strbuf_init(&body, METRICS_TEXT_LIMIT);
    metrics_board_add(server->options.metrics, &body);
    answer(server, request, 200, METRICS_TEXT_TYPE, &body);
    strbuf_clear(&body);
}

/* ---- a view ---- */

/* Whoever writes the log waits meanwhile: nothing is drawn here. */
static void copy_events(void *context, const struct event_view *view)
{
    struct admin_server *server = context;
    struct page_sources sources = {view->counts, view->series, view->failures};

    page_events_fill(&server->view, &sources, server->arena);
}

static void end_view(struct admin_server *server)
{
    event_feed_look(server->options.feed, copy_events, server);
    server->is_gathering = false;
    server->gathered_ms = event_loop_now_ms(server->loop);
    while (!list_is_empty(&server->visitors)) {
        struct visitor *visitor = list_owner(server->visitors.next, struct visitor, node);
        list_remove(&visitor->node);
        answer_view(server, visitor->request, visitor->is_json, visitor->span);
        free(visitor);
    }
}

static void start_view(struct admin_server *server);

static void end_gathering(struct admin_server *server)
{
    if (server->is_outdated) {
        start_view(server);
    } else {
        end_view(server);
    }
}

static void read_ages(struct admin_server *server);

static void on_ages(void *context, enum spool_status status, const struct spool_age *rows,
                    size_t count)
{
    struct admin_server *server = context;

    if (status != SPOOL_OK) {
        queue_ages_free(&server->view.ages);
        end_gathering(server);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct queue_ages_row row = {.destination = rows[i].destination, .held = rows[i].held};
        memcpy(row.due, rows[i].due, sizeof row.due);
        queue_ages_add(server->view.ages, &row);
    }
    if (count < AGES_PAGE) {
        end_gathering(server);
        return;
    }
    strbuf_reset(&server->after);
    strbuf_add(&server->after, rows[count - 1].destination);
    read_ages(server);
}

static void read_ages(struct admin_server *server)
{
    spool_read_ages(server->options.spool, server->loop, strbuf_bytes(&server->after),
                    server->view.health.now_ms, AGES_PAGE, on_ages, server);
}

static void on_summary(void *context, enum spool_status status,
                       const struct spool_summary *summary)
{
    struct admin_server *server = context;
    struct page_health *health = &server->view.health;
    struct spool_counters counters = spool_count(server->options.spool);

    health->messages = counters.messages;
    health->deliveries = counters.deliveries;
    if (status != SPOOL_OK) {
        end_gathering(server);
        return;
    }
    health->held = summary->held;
    health->oldest_ms = summary->created_ms;
    server->view.ages = queue_ages_new(0);
    strbuf_reset(&server->after);
    read_ages(server);
}

/* What is asked for between two views, too. */
static void take_identity(struct admin_server *server, const struct page_health *health)
{
    http_server_set_name(server->http, health->hostname);
    strbuf_reset(&server->hostname);
    strbuf_add(&server->hostname, health->hostname);
    server->keeps_history = health->keeps_history;
}

static void on_described(void *context)
{
    struct admin_server *server = context;
    struct page_health *health = &server->view.health;

    take_identity(server, health);
    health->knows_disk =
        disk_free_space(strbuf_text(&server->spool_directory), &health->disk_free) == DISK_OK;
    spool_read_summary(server->options.spool, server->loop, on_summary, server);
}

static void describe(void *context)
{
    struct admin_server *server = context;

    server->options.describe(server->options.context, server->arena, &server->view.health);
    server->options.describe_findings(server->options.context, server->arena, &server->view);
    event_loop_post(server->loop, &server->described_task);
}

static void start_view(struct admin_server *server)
{
    server->is_gathering = true;
    server->begun_ms = event_loop_now_ms(server->loop);
    server->is_outdated = false;
    queue_ages_free(&server->view.ages);
    arena_reset(server->arena);
    server->view = (struct status_page){.health.now_ms = clock_unix_ms()};
    event_loop_post(server->options.main_loop, &server->describe_task);
}

static void renew(void *context)
{
    struct admin_server *server = context;

    atomic_store(&server->is_renewing, false);
    if (server->is_gathering) {
        server->is_outdated = true;
    } else {
        start_view(server);
    }
}

void admin_server_reloaded(struct admin_server *server)
{
    if (server != NULL && !atomic_exchange(&server->is_renewing, true)) {
        event_loop_post(server->loop, &server->renew_task);
    }
}

/* ---- requests ---- */

uint64_t admin_fresh_ms(uint64_t took_ms)
{
    uint64_t share_ms = took_ms * GATHER_SHARE;

    return share_ms > ADMIN_FRESH_MS ? share_ms : ADMIN_FRESH_MS;
}

static bool is_fresh(const struct admin_server *server)
{
    return server->gathered_ms != 0 && !server->is_gathering &&
           event_loop_now_ms(server->loop) - server->gathered_ms <
               admin_fresh_ms(server->gathered_ms - server->begun_ms);
}

static enum page_span read_span(struct bytes target)
{
    static const struct {
        struct bytes word;
        enum page_span span;
    } spans[] = {{BYTES("1h"), PAGE_HOUR}, {BYTES("7d"), PAGE_WEEK}};
    enum page_span span = PAGE_DAY;
    struct strbuf word;

    strbuf_init(&word, PARAMETER_LIMIT);
    if (http_request_parameter(target, "span", &word)) {
        for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
            if (bytes_equal(strbuf_bytes(&word), spans[i].word)) {
                span = spans[i].span;
            }
        }
    }
    strbuf_clear(&word);
    return span;
}

static void serve_view(struct admin_server *server, struct http_request *request, bool is_json)
{
    enum page_span span = read_span(http_request_target(request));
    struct visitor *visitor;

    if (is_fresh(server)) {
        answer_view(server, request, is_json, span);
        return;
    }
    visitor = memory_zero(sizeof *visitor);
    visitor->request = request;
    visitor->is_json = is_json;
    visitor->span = span;
    list_append(&server->visitors, &visitor->node);
    if (!server->is_gathering) {
        start_view(server);
    }
}

static void answer_trace(void *context, struct http_request *request, bool is_json,
                         const struct strbuf *body)
{
    answer(context, request, 200, is_json ? JSON : HTML, body);
}

static void serve_trace(struct admin_server *server, struct http_request *request, bool is_json)
{
    struct admin_trace_call call = {.request = request,
                                    .hostname = strbuf_bytes(&server->hostname),
                                    .is_json = is_json,
                                    .is_kept = server->keeps_history};
    struct strbuf query;

    strbuf_init(&query, ADMIN_TRACE_QUERY);
    http_request_parameter(http_request_target(request), "q", &query);
    call.query = strbuf_bytes(&query);
    if (!admin_trace_start(server->trace, &call)) {
        struct strbuf body;
        strbuf_init(&body, 200);
        strbuf_add_text(&body, "Others are searching. Come again in a moment.\n");
        answer(server, request, 503, TEXT, &body);
        strbuf_clear(&body);
    }
    strbuf_clear(&query);
}

static void on_request(void *context, struct http_request *request)
{
    struct admin_server *server = context;
    struct bytes path = http_request_path_of(http_request_target(request));

    if (bytes_equal(path, BYTES("/"))) {
        serve_view(server, request, false);
    } else if (bytes_equal(path, BYTES("/status.json"))) {
        serve_view(server, request, true);
    } else if (bytes_equal(path, BYTES("/metrics"))) {
        answer_metrics(server, request);
    } else if (bytes_equal(path, BYTES("/trace"))) {
        serve_trace(server, request, false);
    } else if (bytes_equal(path, BYTES("/trace.json"))) {
        serve_trace(server, request, true);
    } else {
        answer_not_found(server, request);
    }
}

/* ---- the server ---- */

static void log_listening(const struct listener *listener, const struct config *config)
{
    struct ip_endpoint address = listener_address(listener);
    struct log_line line;

    log_begin(&line, LOG_INFO, "admin-listening");
    if (address.address.family == IP_NONE) {
        log_bytes(&line, "address", config->admin.path);
    } else {
        log_text(&line, "address", ip_endpoint_text(&address).text);
    }
    log_end(&line);
}

struct admin_server *admin_server_new(struct listener *listener,
                                      const struct admin_server_options *options)
{
    struct admin_server *server = memory_zero(sizeof *server);
    struct http_server_options http = {.on_request = on_request, .context = server};
    struct page_health health = {.now_ms = clock_unix_ms()};
    struct admin_trace_options trace = {
        .spool = options->spool, .answer = answer_trace, .context = server};

    server->options = *options;
    server->options.config = NULL;
    server->arena = arena_new();
    strbuf_init(&server->policy, 1024);
    strbuf_init(&server->after, 1024);
    strbuf_init(&server->spool_directory, 8192);
    strbuf_init(&server->hostname, 300);
    strbuf_add(&server->spool_directory, options->config->spool);
    page_frame_policy(&server->policy);
    list_init(&server->visitors);
    server->describe_task = (struct loop_task){.run = describe, .context = server};
    server->described_task = (struct loop_task){.run = on_described, .context = server};
    server->renew_task = (struct loop_task){.run = renew, .context = server};
    server->http = http_server_new(listener, &http);
    server->loop = http_server_loop(server->http);
    options->describe(options->context, server->arena, &health);
    take_identity(server, &health);
    trace.loop = server->loop;
    trace.directory = config_history_directory(options->config, server->arena);
    server->trace = admin_trace_new(&trace);
    http_server_start(server->http);
    log_listening(listener, options->config);
    return server;
}

void admin_server_stop(struct admin_server *server)
{
    if (server != NULL) {
        http_server_stop(server->http);
        admin_trace_stop(server->trace);
    }
}

void admin_server_free(struct admin_server **server_place)
{
    struct admin_server *server = *server_place;

    if (server == NULL) {
        return;
    }
    while (!list_is_empty(&server->visitors)) {
        struct visitor *visitor = list_owner(server->visitors.next, struct visitor, node);
        list_remove(&visitor->node);
        free(visitor);
    }
    admin_trace_free(&server->trace);
    http_server_free(&server->http);
    queue_ages_free(&server->view.ages);
    arena_free(&server->arena);
    strbuf_clear(&server->policy);
    strbuf_clear(&server->after);
    strbuf_clear(&server->spool_directory);
    strbuf_clear(&server->hostname);
    free(server);
    *server_place = NULL;
}
