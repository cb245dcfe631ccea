#include "daemon/control_server.h"

#include "base/list.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/log.h"
#include "mail/message_id.h"
#include "queue/queue_clerk.h"

#include <stdlib.h>

enum { TEXT_LIMIT = 1024 * 1024, CLIENT_TEXT_LIMIT = 4096, WORDS_LIMIT = 3 };

struct control_server {
    struct event_loop *loop;
    struct listener *listener;
    struct control_server_options options;
    struct list clients;
    size_t client_count;
};

/* Lives until its last request to the spool has been answered, even when the client is gone. */
struct client {
    struct list node;
    struct control_server *server;
    struct stream *stream; /* NULL: gone */
    struct loop_timer *timer;
    struct strbuf line;
    bool has_order;
    bool is_json;
    struct queue_clerk *clerk; /* has the order; or NULL */
    bool is_asking;            /* the spool or the board owes us an answer (not the clerk) */
    struct metrics_wait wait;
    struct arena *arena; /* what the change points to */
    struct spool_change change;
    const char *done; /* static: what is said when it is remembered */
    struct loop_task bury;
};

static void bury(void *context)
{
    struct client *client = context;

    strbuf_clear(&client->line);
    arena_free(&client->arena);
    free(client);
}

/* The only way a client ends; its memory waits for the spool's answer. */
static void close_client(struct client *client)
{
    struct control_server *server = client->server;

    queue_clerk_forget(&client->clerk);
    if (client->timer != NULL) {
        loop_timer_free(&client->timer);
        stream_close(&client->stream);
        list_remove(&client->node);
        server->client_count--;
    }
    if (!client->is_asking && !client->bury.is_pending) {
        event_loop_defer(server->loop, &client->bury);
    }
}

static void end_answer(struct client *client, char mark, const char *text)
{
    struct strbuf line;

    strbuf_init(&line, 4096);
    strbuf_addf(&line, "%c%s\n", mark, text);
    stream_write(client->stream, strbuf_bytes(&line));
    strbuf_clear(&line);
    stream_finish(&client->stream);
    close_client(client);
}

static void end_with_usage(struct client *client, const char *why)
{
    struct strbuf text;

    strbuf_init(&text, 1024);
    strbuf_addf(&text, "usage: %s", why);
    end_answer(client, '-', strbuf_text(&text));
    strbuf_clear(&text);
}

static void end_with_status(struct client *client, enum spool_status status)
{
    end_answer(client, status == SPOOL_OK ? '+' : '-', spool_status_text(status));
}

/* After an answer of the spool: is there still somebody to tell? */
static bool is_heard(struct client *client)
{
    client->is_asking = false;
    if (client->stream == NULL) {
        close_client(client);
        return false;
    }
    return true;
}

/* ---- queue ---- */

static void write_part(void *context, struct bytes text)
{
    struct client *client = context;

    stream_write(client->stream, text);
}

/* The client has its time for what is on its way; the spool takes as long as it takes. */
static bool may_go_on(void *context)
{
    struct client *client = context;

    loop_timer_set(client->timer, CONTROL_TIMEOUT_MS);
    return stream_output_waiting(client->stream) <= STREAM_OUTPUT_HIGH;
}

static void on_queue_done(void *context, enum spool_status status, uint64_t changed)
{
    struct client *client = context;

    bool is_change = client->done != NULL;
    client->clerk = NULL;
    if (status == SPOOL_OK && is_change && changed == 0) {
        end_answer(client, '-', "none " QUEUE_CLERK_NONE);
    } else {
        end_with_status(client, status);
    }
}

static const char *event_of(enum queue_order_kind kind)
{
    switch (kind) {
    case QUEUE_RETRY:
        return "queue-retried";
    case QUEUE_HOLD:
        return "queue-held";
    case QUEUE_RELEASE:
        return "queue-released";
    case QUEUE_BOUNCE:
        return "queue-given-up";
    case QUEUE_DELETE:
        return "queue-deleted";
    case QUEUE_LIST:
    case QUEUE_AGES:
    case QUEUE_SHOW:
        break;
    }
    return "queue-read";
}

static void log_change(const struct queue_order *order, uint64_t changed)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, event_of(order->kind));
    if (order->id != 0) {
        log_text(&line, "id", message_id_text(order->id).text);
    }
    if (order->has_sender) {
        log_bytes(&line, "from", order->sender);
    }
    if (order->recipient.len > 0) {
        log_bytes(&line, "to", order->recipient);
    }
    if (order->destination.len > 0) {
        log_bytes(&line, "destination", order->destination);
    }
    log_number(&line, "deliveries", (int64_t)changed);
    log_text(&line, "why", "operator");
    log_end(&line);
}

/* What is to be tried or bounced now is looked for at once. */
static void on_changed(void *context, const struct queue_order *order, uint64_t changed)
{
    struct control_server *server = context;
    bool is_now = order->kind != QUEUE_HOLD && order->kind != QUEUE_DELETE;
    bool is_one_destination = order->destination.len > 0;

    if (order->id != 0) {
        queue_set_refresh(server->options.queues, order->id);
    } else {
        queue_set_look_again(server->options.queues,
                             is_one_destination ? order->destination : BYTES(""), is_now);
    }
    log_change(order, changed);
}

static void run_queue(struct client *client, struct bytes line)
{
    struct queue_clerk_options options = {.spool = client->server->options.spool,
                                          .loop = client->server->loop,
                                          .write = write_part,
                                          .may_go_on = may_go_on,
                                          .done = on_queue_done,
                                          .context = client,
                                          .on_changed = on_changed,
                                          .changed_context = client->server};
    struct queue_order order;
    const char *why = "";

    if (!queue_order_parse_line(line, &order, &why)) {
        end_with_usage(client, why);
        return;
    }
    client->done = queue_order_done_text(order.kind);
    loop_timer_stop(client->timer);
    client->clerk = queue_clerk_start(&options, &order);
}

/* ---- pause, resume ---- */

static void on_remembered(void *context, enum spool_status status)
{
    struct client *client = context;

    if (is_heard(client)) {
        stream_write(client->stream, bytes_from_text(client->done));
        end_with_status(client, status);
    }
}

/* Obeyed first: a disk that is full may be the reason for it. Remembered in any case, for that may
 * have failed before. */
static void run_pause(struct client *client, struct bytes what, bool is_paused)
{
    struct control_server *server = client->server;
    struct pause_target target;
    struct strbuf text;
    int64_t now_ms = clock_unix_ms();

    client->arena = arena_new();
    if (!pause_target_parse(what, client->arena, &target)) {
        end_with_usage(client, "inbound, outbound or a destination is wanted");
        return;
    }
    bool is_new = pauses_set(server->options.pauses, &target, now_ms, is_paused);
    client->done = is_paused ? (is_new ? "paused\n" : "it is paused already\n")
                             : (is_new ? "resumed\n" : "it was not paused\n");
    strbuf_init(&text, 512);
    pause_target_setting(&text, &target);
    client->change = (struct spool_change){
        .kind = SPOOL_SET, .name = arena_copy(client->arena, strbuf_bytes(&text))};
    if (is_paused) {
        strbuf_reset(&text);
        strbuf_add_u64(&text, (uint64_t)now_ms);
        client->change.value = arena_copy(client->arena, strbuf_bytes(&text));
    }
    strbuf_clear(&text);
    client->is_asking = true;
    spool_commit(server->options.spool, server->loop, &client->change, 1, on_remembered,
                 client);
}

/* ---- status ---- */

static void on_summary(void *context, enum spool_status status,
                       const struct spool_summary *summary)
{
    struct client *client = context;
    const struct control_server_options *options = &client->server->options;
    struct spool_counters counters = spool_count(options->spool);
    struct status_report report = {.now_ms = clock_unix_ms(),
                                   .messages = counters.messages,
                                   .deliveries = counters.deliveries,
                                   .held = summary->held,
                                   .oldest_ms = summary->created_ms,
                                   .pauses = options->pauses};
    struct strbuf text;

    if (!is_heard(client)) {
        return;
    }
    options->describe(options->context, &report);
    strbuf_init(&text, TEXT_LIMIT);
    status_report_add(&text, &report, client->is_json);
    stream_write(client->stream, strbuf_bytes(&text));
    strbuf_clear(&text);
    end_with_status(client, status);
}

static void run_status(struct client *client)
{
    client->is_asking = true;
    spool_read_summary(client->server->options.spool, client->server->loop, on_summary, client);
}

/* ---- metrics ---- */

static void on_metrics(void *context)
{
    struct client *client = context;
    struct strbuf text;

    if (is_heard(client)) {
        strbuf_init(&text, METRICS_TEXT_LIMIT);
        metrics_board_add(client->server->options.metrics, &text);
        stream_write(client->stream, strbuf_bytes(&text));
        strbuf_clear(&text);
        end_with_status(client, SPOOL_OK);
    }
}

static void run_metrics(struct client *client)
{
    client->is_asking = true;
    client->wait = (struct metrics_wait){.done = on_metrics, .context = client};
    metrics_board_refresh(client->server->options.metrics, &client->wait);
}

/* ---- client ---- */

/* What is remembered of a client, for `postilion explain`. */
static void run_client(struct client *client, struct bytes text)
{
    const struct control_server_options *options = &client->server->options;
    struct status_report report = {.now_ms = clock_unix_ms()};
    struct client_standing standing;
    struct ip_address address;
    struct strbuf answer;

    options->describe(options->context, &report);
    if (!ip_address_parse(text, &address) || report.ledger == NULL) {
        end_with_usage(client, "the address of a client is wanted");
        return;
    }
    standing = inbound_ledger_look(report.ledger, &address, report.client_limits,
                                   event_loop_now_ms(client->server->loop));
    strbuf_init(&answer, CLIENT_TEXT_LIMIT);
    client_standing_add(&answer, &standing);
    stream_write(client->stream, strbuf_bytes(&answer));
    strbuf_clear(&answer);
    end_with_status(client, SPOOL_OK);
}

/* ---- orders ---- */

/* Words of the line, --json apart. */
static size_t split(struct client *client, struct bytes line, struct bytes *words)
{
    size_t count = 0;

    while (line.len > 0) {
        struct bytes word = bytes_cut(&line, ' ');

        if (bytes_equal(word, BYTES("--json"))) {
            client->is_json = true;
        } else if (word.len > 0 && count < WORDS_LIMIT) {
            words[count++] = word;
        }
    }
    return count;
}

static void run_request(struct client *client, enum control_request request, const char *answer)
{
    const struct control_server_options *options = &client->server->options;

    options->request(options->context, request);
    stream_write(client->stream, bytes_from_text(answer));
    end_with_status(client, SPOOL_OK);
}

static void run_order(struct client *client, struct bytes line)
{
    struct bytes words[WORDS_LIMIT];
    size_t count = split(client, line, words);

    if (count > 0 && bytes_equal(words[0], BYTES("queue"))) {
        run_queue(client, line);
    } else if (count == 2 && bytes_equal(words[0], BYTES("pause"))) {
        run_pause(client, words[1], true);
    } else if (count == 2 && bytes_equal(words[0], BYTES("resume"))) {
        run_pause(client, words[1], false);
    } else if (count == 1 && bytes_equal(words[0], BYTES("status"))) {
        run_status(client);
    } else if (count == 2 && bytes_equal(words[0], BYTES("status")) &&
               bytes_equal(words[1], BYTES("--metrics")) &&
               client->server->options.metrics != NULL) {
        run_metrics(client);
    } else if (count == 2 && bytes_equal(words[0], BYTES("client"))) {
        run_client(client, words[1]);
    } else if (count == 1 && bytes_equal(words[0], BYTES("reload"))) {
        run_request(client, CONTROL_RELOAD, "reload asked for; the log says how it went\n");
    } else if (count == 1 && bytes_equal(words[0], BYTES("restart"))) {
        run_request(client, CONTROL_RESTART, "restart asked for; the log says how it went\n");
    } else {
        end_with_usage(client, "queue, pause, resume, reload, restart or status is wanted");
    }
}

static void on_input(void *context)
{
    struct client *client = context;
    struct bytes input = stream_input(client->stream);
    size_t end = bytes_find(input, '\n');

    if (client->has_order) {
        stream_consume(client->stream, input.len); /* one order a connection */
        return;
    }
    if (end == input.len) {
        if (input.len > QUEUE_ORDER_LINE_LIMIT) {
            end_with_usage(client, "line too long");
        }
        return;
    }
    client->has_order = true;
    strbuf_add(&client->line, bytes_first(input, end));
    stream_consume(client->stream, end + 1);
    run_order(client, bytes_trim(strbuf_bytes(&client->line)));
}

static void on_drained(void *context)
{
    struct client *client = context;

    if (client->clerk != NULL) {
        queue_clerk_go_on(client->clerk);
    }
}

static void on_end(void *context, enum stream_end end)
{
    struct client *client = context;

    /* A client may close its side behind its order and still read the answer. */
    if (end != STREAM_END_EOF || !client->has_order) {
        close_client(client);
    }
}

static void on_timeout(void *context)
{
    close_client(context);
}

static void on_accept(void *context, const struct stream_accepted *accepted)
{
    static const struct stream_callbacks callbacks = {
        .on_input = on_input, .on_drained = on_drained, .on_end = on_end};
    struct control_server *server = context;
    struct client *client;

    if (server->client_count >= CONTROL_CLIENTS) {
        stream_accepted_drop(accepted, BYTES("-busy: too many clients\n"));
        return;
    }
    client = memory_zero(sizeof *client);
    client->server = server;
    client->bury = (struct loop_task){.run = bury, .context = client};
    strbuf_init(&client->line, QUEUE_ORDER_LINE_LIMIT + 1);
    list_append(&server->clients, &client->node);
    server->client_count++;
    client->stream = stream_from_accepted(server->loop, accepted, &callbacks, client);
    client->timer = loop_timer_new(server->loop, on_timeout, client);
    loop_timer_set(client->timer, CONTROL_TIMEOUT_MS);
}

struct control_server *control_server_new(struct event_loop *loop, struct listener *listener,
                                          const struct control_server_options *options)
{
    struct control_server *server = memory_zero(sizeof *server);

    server->loop = loop;
    server->listener = listener;
    server->options = *options;
    list_init(&server->clients);
    listener_start(listener, loop, on_accept, server);
    return server;
}

void control_server_free(struct control_server **server)
{
    if (*server == NULL) {
        return;
    }
    listener_stop((*server)->listener);
    while (!list_is_empty(&(*server)->clients)) {
        struct client *client = list_owner((*server)->clients.next, struct client, node);
        queue_clerk_forget(&client->clerk);
        loop_timer_free(&client->timer);
        stream_close(&client->stream);
        list_remove(&client->node);
        if (!client->is_asking) {
            bury(client);
        }
    }
    free(*server);
    *server = NULL;
}
