#include "daemon/control_server.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/log.h"
#include "mail/queue_listing.h"
#include "mail/queue_order.h"

#include <stdlib.h>

enum { TEXT_LIMIT = 16 * 1024 * 1024 };

struct control_server {
    struct event_loop *loop;
    struct listener *listener;
    struct spool *spool;
    struct queue_set *queues;
    struct list clients;
    size_t client_count;
};

/* Lives until its last request to the spool has been answered, even when the client is gone. */
struct client {
    struct list node;
    struct control_server *server;
    struct stream *stream; /* NULL: gone */
    struct loop_timer *timer;
    struct queue_order order;
    struct strbuf line; /* what order.destination points into */
    struct spool_change change;
    struct arena *arena; /* `retry all`: a page of destinations */
    struct bytes after;  /* the last of them */
    bool has_order;
    bool is_asking; /* the spool owes an answer */
    uint64_t after_message;
    uint32_t after_number;
    uint64_t rows;
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

static struct queue_listing_row listing_row(const struct spool_delivery *delivery)
{
    return (struct queue_listing_row){
        .id = delivery->message,
        .number = delivery->number,
        .created_ms = delivery->created_ms,
        .size = delivery->content_size,
        .sender = delivery->sender,
        .recipient = delivery->recipient,
        .alias = delivery->alias,
        .destination = delivery->destination,
        .attempts = delivery->attempts,
        .is_held = delivery->state != SPOOL_DUE,
        .next_attempt_ms = delivery->next_attempt_ms,
        .last_reply = delivery->last_reply,
    };
}

static void read_page(struct client *client);

static void end_list(struct client *client)
{
    struct strbuf text;

    strbuf_init(&text, 4096);
    if (!client->order.is_json) {
        queue_listing_add_end(&text, client->rows);
        stream_write(client->stream, strbuf_bytes(&text));
    }
    strbuf_clear(&text);
    end_answer(client, '+', "ok");
}

static void on_page(void *context, enum spool_status status, const struct spool_delivery *rows,
                    size_t count)
{
    struct client *client = context;
    int64_t now_ms = clock_unix_ms();
    struct strbuf text;

    if (!is_heard(client)) {
        return;
    }
    if (status != SPOOL_OK) {
        end_answer(client, '-', spool_status_text(status));
        return;
    }
    strbuf_init(&text, TEXT_LIMIT);
    for (size_t i = 0; i < count; i++) {
        struct queue_listing_row row = listing_row(&rows[i]);
        if (client->order.is_json) {
            queue_listing_add_row_json(&text, &row, now_ms);
        } else {
            queue_listing_add_row(&text, &row, now_ms);
        }
        client->after_message = row.id;
        client->after_number = row.number;
    }
    client->rows += count;
    stream_write(client->stream, strbuf_bytes(&text));
    strbuf_clear(&text);
    if (count < CONTROL_PAGE) {
        end_list(client);
    } else if (stream_output_waiting(client->stream) <= STREAM_OUTPUT_HIGH) {
        read_page(client);
    } /* else on_drained goes on */
}

/* A long listing takes as long as it takes, page by page: each has the whole time. */
static void read_page(struct client *client)
{
    loop_timer_set(client->timer, CONTROL_TIMEOUT_MS);
    client->is_asking = true;
    spool_read_all(client->server->spool, client->server->loop, NULL, client->after_message,
                   client->after_number, CONTROL_PAGE, on_page, client);
}

static void add_shown(struct client *client, struct strbuf *text,
                      const struct spool_message *message,
                      const struct spool_delivery *deliveries, size_t count)
{
    struct queue_listing_row *rows = memory_zero((count + 1) * sizeof *rows);
    struct queue_listing_message shown = {
        .id = message->id, .created_ms = message->created_ms, .size = message->content_size};
    struct envelope envelope;

    if (envelope_record_read(message->envelope, &envelope)) {
        shown.sender = envelope.sender;
        shown.client_ip = envelope.client_ip;
        shown.client_helo = envelope.client_helo;
        shown.session = envelope.session;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = listing_row(&deliveries[i]);
    }
    if (client->order.is_json) {
        queue_listing_add_message_json(text, &shown, rows, count, clock_unix_ms());
    } else {
        queue_listing_add_message(text, &shown, rows, count, clock_unix_ms());
    }
    free(rows);
}

static void on_message(void *context, enum spool_status status,
                       const struct spool_message *message,
                       const struct spool_delivery *deliveries, size_t count)
{
    struct client *client = context;
    struct strbuf text;

    if (!is_heard(client)) {
        return;
    }
    if (status != SPOOL_OK) {
        end_answer(client, '-', spool_status_text(status));
        return;
    }
    strbuf_init(&text, TEXT_LIMIT);
    add_shown(client, &text, message, deliveries, count);
    stream_write(client->stream, strbuf_bytes(&text));
    strbuf_clear(&text);
    end_answer(client, '+', "ok");
}

static void log_change(const struct client *client)
{
    struct log_line line;

    log_begin(&line, LOG_INFO,
              client->order.kind == QUEUE_DELETE ? "queue-deleted" : "queue-retried");
    if (client->order.id != 0) {
        log_text(&line, "id", message_id_text(client->order.id).text);
    } else if (client->order.destination.len > 0) {
        log_bytes(&line, "destination", client->order.destination);
    }
    log_text(&line, "why", "operator");
    log_end(&line);
}

static void on_changed(void *context, enum spool_status status)
{
    struct client *client = context;

    /* In any case: of `retry all`, pages before this one have been changed. */
    queue_set_refresh(client->server->queues, client->order.id);
    if (status == SPOOL_OK) {
        log_change(client);
    }
    if (is_heard(client)) {
        end_answer(client, status == SPOOL_OK ? '+' : '-', spool_status_text(status));
    }
}

static void retry_page(struct client *client);

static void on_page_retried(void *context, enum spool_status status)
{
    struct client *client = context;

    if (status != SPOOL_OK) {
        on_changed(client, status);
    } else if (is_heard(client)) {
        retry_page(client);
    } else {
        queue_set_refresh(client->server->queues, 0); /* it stops here, half done */
    }
}

static void on_destinations(void *context, enum spool_status status,
                            const struct spool_destination *rows, size_t count)
{
    struct client *client = context;
    struct spool_change *changes;

    if (status != SPOOL_OK || count == 0) {
        on_changed(client, status);
        return;
    }
    arena_reset(client->arena); /* `after` points into it, and is not needed any more */
    changes = arena_alloc(client->arena, count * sizeof *changes);
    for (size_t i = 0; i < count; i++) {
        client->after = arena_copy(client->arena, rows[i].name);
        changes[i] = (struct spool_change){
            .kind = SPOOL_RETRY, .destination = client->after, .now_ms = clock_unix_ms()};
    }
    spool_commit(client->server->spool, client->server->loop, changes, count, on_page_retried,
                 client);
}

/* `retry all`, destination by destination: one commit never takes long. */
static void retry_page(struct client *client)
{
    client->is_asking = true;
    spool_read_destinations(client->server->spool, client->server->loop, client->after,
                            INT64_MAX, CONTROL_PAGE, on_destinations, client);
}

static void change_queue(struct client *client)
{
    client->change = (struct spool_change){
        .kind = client->order.kind == QUEUE_DELETE ? SPOOL_DELETE : SPOOL_RETRY,
        .id = client->order.id,
        .destination = client->order.destination,
        .now_ms = clock_unix_ms(),
    };
    client->is_asking = true;
    spool_commit(client->server->spool, client->server->loop, &client->change, 1, on_changed,
                 client);
}

static void run_order(struct client *client)
{
    struct strbuf text;

    switch (client->order.kind) {
    case QUEUE_LIST:
        if (!client->order.is_json) {
            strbuf_init(&text, 4096);
            queue_listing_add_header(&text);
            stream_write(client->stream, strbuf_bytes(&text));
            strbuf_clear(&text);
        }
        read_page(client);
        return;
    case QUEUE_SHOW:
        client->is_asking = true;
        spool_read_message(client->server->spool, client->server->loop, client->order.id, false,
                           on_message, client);
        return;
    case QUEUE_RETRY:
        if (client->order.id == 0 && client->order.destination.len == 0) {
            client->arena = arena_new();
            client->after = BYTES("");
            retry_page(client);
            return;
        }
        change_queue(client);
        return;
    case QUEUE_DELETE:
        change_queue(client);
        return;
    }
}

static void on_input(void *context)
{
    struct client *client = context;
    struct bytes input = stream_input(client->stream);
    size_t end = bytes_find(input, '\n');
    const char *why = "";

    if (client->has_order) {
        stream_consume(client->stream, input.len); /* one order a connection */
        return;
    }
    if (end == input.len) {
        if (input.len > QUEUE_ORDER_LINE_LIMIT) {
            end_answer(client, '-', "usage: line too long");
        }
        return;
    }
    client->has_order = true;
    /* The order's words must outlive the input. */
    strbuf_add(&client->line, bytes_first(input, end));
    stream_consume(client->stream, end + 1);
    if (!queue_order_parse_line(bytes_trim(strbuf_bytes(&client->line)), &client->order,
                                &why)) {
        struct strbuf text;
        strbuf_init(&text, 1024);
        strbuf_addf(&text, "usage: %s", why);
        end_answer(client, '-', strbuf_text(&text));
        strbuf_clear(&text);
        return;
    }
    run_order(client);
}

static void on_drained(void *context)
{
    struct client *client = context;

    if (client->has_order && !client->is_asking && client->order.kind == QUEUE_LIST) {
        read_page(client);
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
                                          struct spool *spool, struct queue_set *queues)
{
    struct control_server *server = memory_zero(sizeof *server);

    server->loop = loop;
    server->listener = listener;
    server->spool = spool;
    server->queues = queues;
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
