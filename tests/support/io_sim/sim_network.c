/*
 * io/listener.h and io/stream.h in memory.
 *
 * Connection  two ends, each what a kernel would hold: what is on the wire to it, what has arrived
 *             and was not read, whether the other side has ended. Latency, window and the way
 *             octets are cut into segments are drawn for each connection.
 * Stream      the program's side of an end, with the promises of io/stream.h. The view that
 *             on_input sees lies in memory that goes right afterwards, so whoever keeps it is found.
 * Reset       closing with unread input, or octets for a closed end. It may overtake what was read
 *             by nobody yet.
 */
#include "base/memory.h"
#include "io/listener.h"
#include "sim_internal.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIRST_PORT = 40000,
    LATENCY_MOST_US = 30 * 1000,
    RESET_MOST_US = 3 * 1000 * 1000, /* how long after a power cut the peers hear of it */
    SIM_REACHES = 64,
};

enum segment_kind { SEGMENT_DATA, SEGMENT_FIN, SEGMENT_RESET };
enum cutting { CUT_NOT, CUT_AT_RANDOM, CUT_SMALL, CUTTINGS };

struct segment {
    struct list link;
    enum segment_kind kind;
    uint64_t when_us;
    struct strbuf octets;
};

struct sim_end {
    struct sim_connection *connection;
    struct sim_end *other;
    struct ip_endpoint address;
    enum sim_host host;
    struct list wire; /* segments on their way here */
    uint64_t last_us; /* when the last of them arrives */
    struct sim_event arrival;
    struct strbuf received;
    size_t in_flight; /* octets sent to here that were not read */
    bool has_fin, has_reset, is_closed, has_sent_fin;
    struct stream *stream;
};

struct sim_connection {
    struct list link;
    int handle;             /* of its accepted end */
    struct sim_end ends[2]; /* who connected, who accepted */
    struct sim_event handshake;
    struct list backlog; /* in listener->backlog */
    bool is_established;
    uint64_t latency_us;
    size_t window;
    enum cutting cutting;
};

struct listener {
    struct list link;
    struct ip_endpoint address;
    enum sim_host host;
    struct event_loop *loop; /* NULL: not started */
    void (*on_accept)(void *context, const struct stream_accepted *accepted);
    void *context;
    struct list backlog;
    struct sim_event accept;
};

enum stream_phase {
    PHASE_CONNECTING,
    PHASE_OPEN,
    PHASE_BROKEN,
    PHASE_FINISHING, /* sends what waits, then waits for the peer's end */
    PHASE_CLOSED,
};

struct stream {
    struct sim_garbage garbage;
    struct list link; /* of all streams */
    struct event_loop *loop;
    struct stream_callbacks callbacks;
    void *context;
    struct sim_end *end; /* NULL: none any more */
    enum stream_phase phase;
    char *memory; /* what the view points into */
    struct bytes view;
    bool is_reading_called; /* on_input runs */
    struct strbuf output;
    uint64_t sent;
    bool is_write_broken, was_over_high, has_ended;
    struct loop_task flush, notice;
    bool tell_connected, tell_drained, tell_end, has_told_end;
    enum stream_end why;
    struct sim_event readable, writable, timeout;
    struct ip_endpoint local;
};

static struct {
    struct list connections, listeners, streams;
    int handles;
    uint16_t next_port;
    struct {
        struct ip_address address;
        enum sim_reach reach;
    } reaches[SIM_REACHES];
    size_t reach_count;
} network;

/* ---- the wire ---- */

static bool is_alive(const struct sim_end *end)
{
    return sim_host_is_on(end->host);
}

static void send_segment(struct sim_end *to, enum segment_kind kind, struct bytes octets,
                         uint64_t delay_us)
{
    struct segment *segment = memory_zero(sizeof *segment);
    uint64_t when_us = sim_now_us() + to->connection->latency_us + delay_us;

    if (when_us <= to->last_us) {
        when_us = to->last_us + 1;
    }
    to->last_us = when_us;
    segment->kind = kind;
    segment->when_us = when_us;
    strbuf_init(&segment->octets, SIZE_MAX / 2);
    strbuf_add(&segment->octets, octets);
    list_append(&to->wire, &segment->link);
    to->in_flight += octets.len;
    if (to->arrival.place == 0) {
        sim_event_set(&to->arrival, when_us);
    }
}

static void free_segment(struct segment *segment)
{
    list_remove(&segment->link);
    strbuf_clear(&segment->octets);
    free(segment);
}

static size_t piece_of(const struct sim_connection *connection, size_t len)
{
    switch (connection->cutting) {
    case CUT_NOT:
    case CUTTINGS:
        return len;
    case CUT_AT_RANDOM:
        return 1 + sim_random((uint32_t)len);
    case CUT_SMALL:
        return len < 40 ? 1 : 1 + sim_random(40);
    }
    return len;
}

static void send_octets(struct sim_end *from, struct bytes octets)
{
    while (octets.len > 0) {
        size_t piece = piece_of(from->connection, octets.len);

        send_segment(from->other, SEGMENT_DATA, bytes_first(octets, piece), sim_random(50));
        octets = bytes_skip(octets, piece);
    }
}

static void wake_reader(struct sim_end *end)
{
    if (end->stream != NULL && end->stream->readable.place == 0) {
        sim_event_after(&end->stream->readable, sim_random(20));
    }
}

static void answer_reset(struct sim_end *end)
{
    if (!end->other->is_closed && !end->other->has_reset) {
        send_segment(end->other, SEGMENT_RESET, BYTES(""), 0);
    }
}

static void take_segment(struct sim_end *end, struct segment *segment)
{
    switch (segment->kind) {
    case SEGMENT_DATA:
        if (end->is_closed) {
            answer_reset(end);
            return;
        }
        strbuf_add(&end->received, strbuf_bytes(&segment->octets));
        break;
    case SEGMENT_FIN:
        end->has_fin = true;
        break;
    case SEGMENT_RESET:
        end->has_reset = true;
        if (sim_chance(2)) {
            strbuf_reset(&end->received);
        }
        break;
    }
    wake_reader(end);
}

static void on_arrival(void *context)
{
    struct sim_end *end = context;
    struct segment *segment = list_owner(end->wire.next, struct segment, link);

    if (is_alive(end)) {
        take_segment(end, segment);
    }
    free_segment(segment);
    if (!list_is_empty(&end->wire)) {
        sim_event_set(&end->arrival, list_owner(end->wire.next, struct segment, link)->when_us);
    }
}

/* What close(2) does. */
static void close_end(struct sim_end *end)
{
    if (end->is_closed) {
        return;
    }
    end->is_closed = true;
    end->stream = NULL;
    if (is_alive(end) && end->connection->is_established && !end->has_reset) {
        if (end->received.len > 0) {
            answer_reset(end);
        } else if (!end->has_sent_fin) {
            send_segment(end->other, SEGMENT_FIN, BYTES(""), 0);
        }
    }
    strbuf_clear(&end->received);
}

static void init_end(struct sim_end *end, struct sim_connection *connection,
                     struct sim_end *other, enum sim_host host)
{
    *end = (struct sim_end){.connection = connection, .other = other, .host = host};
    list_init(&end->wire);
    strbuf_init(&end->received, SIZE_MAX / 2);
    end->arrival = (struct sim_event){.run = on_arrival, .context = end};
}

static void free_connection(struct sim_connection *connection)
{
    for (int i = 0; i < 2; i++) {
        struct sim_end *end = &connection->ends[i];

        while (!list_is_empty(&end->wire)) {
            free_segment(list_owner(end->wire.next, struct segment, link));
        }
        sim_event_stop(&end->arrival);
        strbuf_clear(&end->received);
    }
    sim_event_stop(&connection->handshake);
    list_remove(&connection->link);
    list_remove(&connection->backlog);
    free(connection);
}

/* Whatever nobody can see any more goes. */
static void sweep_connections(void)
{
    struct list *next;

    for (struct list *node = network.connections.next; node != &network.connections;
         node = next) {
        struct sim_connection *connection = list_owner(node, struct sim_connection, link);

        next = node->next;
        if (connection->ends[0].is_closed && connection->ends[1].is_closed &&
            connection->handshake.place == 0 && list_is_empty(&connection->ends[0].wire) &&
            list_is_empty(&connection->ends[1].wire)) {
            free_connection(connection);
        }
    }
}

/* ---- streams: life ---- */

static void run_flush(void *context);
static void run_notice(void *context);
static void on_readable(void *context);
static void on_writable(void *context);
static void on_timeout(void *context);

static void destroy_stream(struct sim_garbage *garbage)
{
    struct stream *stream = list_owner(garbage, struct stream, garbage);

    strbuf_clear(&stream->output);
    free(stream->memory);
    free(stream);
}

static struct stream *new_stream(struct event_loop *loop,
                                 const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = memory_zero(sizeof *stream);

    stream->garbage.destroy = destroy_stream;
    list_append(&network.streams, &stream->link);
    stream->loop = loop;
    stream->callbacks = *callbacks;
    stream->context = context;
    strbuf_init(&stream->output, SIZE_MAX / 2);
    stream->flush = (struct loop_task){.run = run_flush, .context = stream};
    stream->notice = (struct loop_task){.run = run_notice, .context = stream};
    stream->readable = (struct sim_event){.loop = loop, .run = on_readable, .context = stream};
    stream->writable = (struct sim_event){.loop = loop, .run = on_writable, .context = stream};
    stream->timeout = (struct sim_event){.loop = loop, .run = on_timeout, .context = stream};
    return stream;
}

static void leave_end(struct stream *stream)
{
    sim_event_stop(&stream->readable);
    sim_event_stop(&stream->writable);
    sim_event_stop(&stream->timeout);
    if (stream->end != NULL) {
        close_end(stream->end);
        stream->end = NULL;
    }
}

static void discard(struct stream *stream)
{
    leave_end(stream);
    stream->phase = PHASE_CLOSED;
    list_remove(&stream->link);
    sim_loop_discard(stream->loop, &stream->garbage);
}

void stream_close(struct stream **stream)
{
    if (*stream != NULL) {
        discard(*stream);
        *stream = NULL;
    }
}

static bool is_owned(const struct stream *stream)
{
    return stream->phase != PHASE_FINISHING && stream->phase != PHASE_CLOSED;
}

/* ---- streams: telling the owner ---- */

static void tell_end_now(struct stream *stream, enum stream_end why)
{
    if (why == STREAM_END_EOF) {
        stream->has_ended = true;
    } else {
        leave_end(stream);
        stream->phase = PHASE_BROKEN;
    }
    if (!stream->has_told_end) {
        stream->has_told_end = true;
        stream->callbacks.on_end(stream->context, why);
    }
}

static void schedule_notice(struct stream *stream)
{
    if (!stream->notice.is_pending) {
        event_loop_defer(stream->loop, &stream->notice);
    }
}

static void run_notice(void *context)
{
    struct stream *stream = context;

    if (stream->tell_connected && is_owned(stream)) {
        stream->tell_connected = false;
        stream->callbacks.on_connected(stream->context);
    }
    if (stream->tell_drained && is_owned(stream)) {
        stream->tell_drained = false;
        if (stream->callbacks.on_drained != NULL) {
            stream->callbacks.on_drained(stream->context);
        }
    }
    if (stream->tell_end && is_owned(stream)) {
        stream->tell_end = false;
        tell_end_now(stream, stream->why);
    }
}

static void schedule_end(struct stream *stream, enum stream_end why)
{
    stream->tell_end = true;
    stream->why = why;
    schedule_notice(stream);
}

/* ---- streams: output ---- */

static void send_output(struct stream *stream)
{
    struct sim_end *end = stream->end;
    struct sim_end *to = end->other;
    size_t window = end->connection->window;
    size_t room = to->in_flight < window ? window - to->in_flight : 0;
    size_t count = stream->output.len < room ? stream->output.len : room;

    if (end->has_reset) {
        stream->is_write_broken = true;
        strbuf_reset(&stream->output);
        wake_reader(end); /* what the peer said before it went may still be read */
        return;
    }
    if (is_alive(end) && count > 0) {
        send_octets(end, bytes_first(strbuf_bytes(&stream->output), count));
        strbuf_drop_first(&stream->output, count);
        stream->sent += count;
    }
    if (stream->was_over_high && stream->output.len < STREAM_OUTPUT_LOW) {
        stream->was_over_high = false;
        stream->tell_drained = true;
        schedule_notice(stream);
    }
}

static void run_flush(void *context)
{
    struct stream *stream = context;

    if (stream->phase == PHASE_OPEN && stream->output.len > 0) {
        send_output(stream);
    }
}

void stream_flush(struct stream *stream)
{
    run_flush(stream);
}

void stream_write(struct stream *stream, struct bytes octets)
{
    if (octets.len == 0 || stream->is_write_broken || stream->phase == PHASE_BROKEN) {
        return;
    }
    strbuf_add(&stream->output, octets);
    if (stream->output.len > STREAM_OUTPUT_HIGH) {
        stream->was_over_high = true;
    }
    if (!stream->flush.is_pending && stream->phase == PHASE_OPEN) {
        sim_loop_defer_flush(stream->loop, &stream->flush);
    }
}

size_t stream_output_waiting(const struct stream *stream)
{
    return stream->output.len;
}

uint64_t stream_output_sent(const struct stream *stream)
{
    return stream->sent;
}

/* The peer has taken something: the window is open again. */
static void wake_writer(struct sim_end *end)
{
    if (end->stream != NULL && end->stream->output.len > 0 &&
        end->stream->writable.place == 0) {
        sim_event_after(&end->stream->writable, end->connection->latency_us);
    }
}

/* ---- streams: input ---- */

/* Into memory of exactly this size; the old one goes. */
static void place_view(struct stream *stream, size_t more)
{
    size_t len = stream->view.len;
    char *memory = len + more > 0 ? memory_alloc(len + more) : NULL;

    if (len > 0) {
        memcpy(memory, stream->view.data, len);
    }
    free(stream->memory);
    stream->memory = memory;
    stream->view = bytes_of(memory, len);
}

static void read_octets(struct stream *stream, size_t count)
{
    struct sim_end *end = stream->end;

    place_view(stream, count);
    memcpy(stream->memory + stream->view.len, end->received.data, count);
    stream->view.len += count;
    strbuf_drop_first(&end->received, count);
    end->in_flight -= count;
    wake_writer(end->other);
    stream->callbacks.on_input(stream->context);
    if (is_owned(stream)) {
        place_view(stream, 0);
    }
}

static bool has_news(const struct sim_end *end)
{
    return end->received.len > 0 || end->has_fin || end->has_reset;
}

static void read_input(struct stream *stream)
{
    struct sim_end *end = stream->end;
    size_t room = STREAM_INPUT_LIMIT - stream->view.len;
    size_t count = end->received.len < room ? end->received.len : room;

    if (count > 1 && sim_chance(16)) {
        count = 1 + sim_random((uint32_t)count);
    }
    if (count > 0) {
        read_octets(stream, count);
        if (stream->phase == PHASE_OPEN && stream->view.len < STREAM_INPUT_LIMIT &&
            has_news(stream->end)) {
            wake_reader(stream->end);
        }
    } else if (room > 0 && end->has_reset) {
        tell_end_now(stream, STREAM_END_RESET);
    } else if (room > 0 && end->has_fin && !stream->has_ended) {
        tell_end_now(stream, STREAM_END_EOF);
    }
}

struct bytes stream_input(const struct stream *stream)
{
    return stream->view;
}

void stream_consume(struct stream *stream, size_t count)
{
    stream->view = bytes_skip(stream->view, count);
    if (count > 0 && stream->phase == PHASE_OPEN && has_news(stream->end)) {
        wake_reader(stream->end);
    }
}

/* ---- streams: finishing ---- */

static void go_on_finishing(struct stream *stream)
{
    struct sim_end *end = stream->end;

    end->in_flight -= end->received.len;
    strbuf_reset(&end->received);
    wake_writer(end->other);
    if (stream->output.len > 0) {
        send_output(stream);
    }
    if (end->has_reset || stream->is_write_broken) {
        discard(stream);
        return;
    }
    if (stream->output.len > 0) {
        return;
    }
    if (!end->has_sent_fin) {
        end->has_sent_fin = true;
        send_segment(end->other, SEGMENT_FIN, BYTES(""), 0);
        sim_event_after(&stream->timeout, STREAM_LINGER_MS * 1000);
    }
    if (end->has_fin) {
        discard(stream);
    }
}

void stream_finish(struct stream **place)
{
    struct stream *stream = *place;

    if (stream == NULL) {
        return;
    }
    *place = NULL;
    if (stream->phase != PHASE_OPEN || !is_alive(stream->end)) {
        discard(stream);
        return;
    }
    stream->phase = PHASE_FINISHING;
    stream->view = (struct bytes){NULL, 0};
    sim_event_after(&stream->timeout, STREAM_LINGER_MS * 1000);
    go_on_finishing(stream);
}

/* ---- streams: events ---- */

static void on_readable(void *context)
{
    struct stream *stream = context;

    if (stream->phase == PHASE_OPEN) {
        read_input(stream);
    } else if (stream->phase == PHASE_FINISHING) {
        go_on_finishing(stream);
    }
}

static void on_writable(void *context)
{
    struct stream *stream = context;

    if (stream->phase == PHASE_OPEN) {
        send_output(stream);
    } else if (stream->phase == PHASE_FINISHING) {
        go_on_finishing(stream);
    }
}

static void on_timeout(void *context)
{
    struct stream *stream = context;

    if (stream->phase == PHASE_CONNECTING) {
        tell_end_now(stream, STREAM_END_TIMEOUT);
    } else {
        discard(stream);
    }
}

/* ---- connecting ---- */

static struct listener *find_listener(const struct ip_endpoint *address)
{
    for (struct list *node = network.listeners.next; node != &network.listeners;
         node = node->next) {
        struct listener *listener = list_owner(node, struct listener, link);

        if (listener->address.port == address->port && sim_host_is_on(listener->host) &&
            ip_address_equal(&listener->address.address, &address->address)) {
            return listener;
        }
    }
    return NULL;
}

static enum sim_reach reach_of(const struct ip_address *address)
{
    for (size_t i = 0; i < network.reach_count; i++) {
        if (ip_address_equal(&network.reaches[i].address, address)) {
            return network.reaches[i].reach;
        }
    }
    return SIM_REACHED;
}

/* The answer to the connect has come back. */
static void on_connect_answer(void *context)
{
    struct sim_connection *connection = context;
    struct stream *stream = connection->ends[0].stream;

    if (stream == NULL || !sim_host_is_on(connection->ends[0].host)) {
        return;
    }
    sim_event_stop(&stream->timeout);
    if (!connection->is_established) {
        bool is_lost = reach_of(&connection->ends[1].address.address) == SIM_UNREACHABLE;

        stream->why = is_lost ? STREAM_END_UNREACHABLE : STREAM_END_REFUSED;
        schedule_end(stream, stream->why);
        return;
    }
    stream->phase = PHASE_OPEN;
    stream->tell_connected = true;
    schedule_notice(stream);
    if (stream->output.len > 0 && !stream->flush.is_pending) {
        sim_loop_defer_flush(stream->loop, &stream->flush);
    }
    if (has_news(stream->end)) {
        wake_reader(stream->end);
    }
}

static void on_connect_request(void *context)
{
    struct sim_connection *connection = context;
    struct sim_end *end = &connection->ends[1];
    struct listener *listener = find_listener(&end->address);
    enum sim_reach reach = reach_of(&end->address.address);

    if (connection->ends[0].is_closed || reach == SIM_SILENT) {
        end->is_closed = true;
        return;
    }
    if (reach == SIM_REACHED && listener != NULL) {
        connection->is_established = true;
        end->host = listener->host;
        list_append(&listener->backlog, &connection->backlog);
        if (listener->loop != NULL && listener->accept.place == 0) {
            sim_event_after(&listener->accept, sim_random(50));
        }
    } else {
        end->is_closed = true;
    }
    connection->handshake.run = on_connect_answer;
    sim_event_after(&connection->handshake, connection->latency_us);
}

static uint16_t free_port(void)
{
    return (uint16_t)(FIRST_PORT + network.next_port++ % 20000);
}

struct stream *stream_connect(struct event_loop *loop, const struct ip_endpoint *to,
                              const struct ip_address *from, uint64_t timeout_ms,
                              const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = new_stream(loop, callbacks, context);
    struct sim_connection *connection = memory_zero(sizeof *connection);
    struct ip_endpoint *own = &connection->ends[0].address;

    sweep_connections();
    init_end(&connection->ends[0], connection, &connection->ends[1], sim_loop_host(loop));
    init_end(&connection->ends[1], connection, &connection->ends[0], SIM_PEERS);
    if (from != NULL) {
        own->address = *from;
    } else {
        ip_address_parse(sim_loop_host(loop) == SIM_DAEMON ? BYTES("192.0.2.25")
                                                           : BYTES("198.51.100.1"),
                         &own->address);
    }
    own->port = free_port();
    connection->ends[1].address = *to;
    connection->handle = network.handles++;
    connection->latency_us = 20 + sim_random(LATENCY_MOST_US);
    connection->window = 2048 + sim_random(256 * 1024);
    connection->cutting = sim_random(CUTTINGS);
    connection->handshake =
        (struct sim_event){.run = on_connect_request, .context = connection};
    list_init(&connection->backlog);
    list_append(&network.connections, &connection->link);
    sim_event_after(&connection->handshake, connection->latency_us);

    stream->phase = PHASE_CONNECTING;
    stream->end = &connection->ends[0];
    stream->end->stream = stream;
    sim_event_after(&stream->timeout, timeout_ms * 1000);
    return stream;
}

struct stream *stream_connect_unix(struct event_loop *loop, const char *path,
                                   uint64_t timeout_ms,
                                   const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = new_stream(loop, callbacks, context);

    (void)path, (void)timeout_ms;
    stream->phase = PHASE_CONNECTING;
    schedule_end(stream, STREAM_END_REFUSED);
    return stream;
}

struct ip_endpoint stream_local(const struct stream *stream)
{
    return stream->local.address.family == IP_NONE && stream->end != NULL &&
                   stream->phase != PHASE_CONNECTING
               ? stream->end->address
               : stream->local;
}

const char *stream_end_text(enum stream_end end)
{
    static const char *const TEXTS[] = {"closed",  "reset",        "refused", "unreachable",
                                        "timeout", "no-resources", "failed"};

    return TEXTS[end];
}

/* ---- accepting ---- */

static struct sim_end *find_accepted(const struct stream_accepted *accepted)
{
    for (struct list *node = network.connections.next; node != &network.connections;
         node = node->next) {
        struct sim_connection *connection = list_owner(node, struct sim_connection, link);

        if (connection->handle == accepted->handle) {
            return &connection->ends[1];
        }
    }
    return NULL;
}

struct stream *stream_from_accepted(struct event_loop *loop,
                                    const struct stream_accepted *accepted,
                                    const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = new_stream(loop, callbacks, context);

    stream->end = find_accepted(accepted);
    assert(stream->end != NULL);
    stream->end->stream = stream;
    stream->phase = PHASE_OPEN;
    stream->local = accepted->local;
    if (has_news(stream->end)) {
        wake_reader(stream->end);
    }
    return stream;
}

void stream_accepted_drop(const struct stream_accepted *accepted, struct bytes last_words)
{
    struct sim_end *end = find_accepted(accepted);

    if (end != NULL && !end->is_closed) {
        if (is_alive(end)) {
            send_octets(end, last_words);
        }
        close_end(end);
    }
}

static void on_backlog(void *context)
{
    struct listener *listener = context;
    struct sim_connection *connection;
    struct stream_accepted accepted;

    if (list_is_empty(&listener->backlog)) {
        return;
    }
    connection = list_owner(listener->backlog.next, struct sim_connection, backlog);
    list_remove(&connection->backlog);
    if (!list_is_empty(&listener->backlog)) {
        sim_event_after(&listener->accept, 1);
    }
    accepted = (struct stream_accepted){.handle = connection->handle,
                                        .peer = connection->ends[0].address,
                                        .local = connection->ends[1].address};
    listener->on_accept(listener->context, &accepted);
}

struct listener *listener_open(const struct ip_endpoint *address, struct strbuf *why)
{
    struct listener *listener;
    struct ip_endpoint wanted = *address;

    wanted.port = wanted.port == 0 ? free_port() : wanted.port;
    if (find_listener(&wanted) != NULL) {
        strbuf_add_text(why, "bind: address already in use");
        return NULL;
    }
    listener = memory_zero(sizeof *listener);
    listener->address = wanted;
    listener->host = sim_host_at_work();
    listener->accept = (struct sim_event){.run = on_backlog, .context = listener};
    list_init(&listener->backlog);
    list_append(&network.listeners, &listener->link);
    return listener;
}

struct listener *listener_open_unix(const char *path, unsigned mode, struct strbuf *why)
{
    (void)path, (void)mode;
    strbuf_add_text(why, "no Unix sockets here");
    return NULL;
}

void listener_start(struct listener *listener, struct event_loop *loop,
                    void (*on_accept)(void *context, const struct stream_accepted *accepted),
                    void *context)
{
    listener->loop = loop;
    listener->host = sim_loop_host(loop);
    listener->accept.loop = loop;
    listener->on_accept = on_accept;
    listener->context = context;
    if (!list_is_empty(&listener->backlog)) {
        sim_event_after(&listener->accept, 1);
    }
}

void listener_stop(struct listener *listener)
{
    sim_event_stop(&listener->accept);
    listener->loop = NULL;
}

void listener_close(struct listener **place)
{
    struct listener *listener = *place;

    if (listener == NULL) {
        return;
    }
    listener_stop(listener);
    while (!list_is_empty(&listener->backlog)) {
        struct sim_connection *connection =
            list_owner(listener->backlog.next, struct sim_connection, backlog);

        list_remove(&connection->backlog);
        close_end(&connection->ends[1]);
    }
    list_remove(&listener->link);
    free(listener);
    *place = NULL;
}

struct ip_endpoint listener_address(const struct listener *listener)
{
    return listener->address;
}

int listener_handle(const struct listener *listener)
{
    (void)listener;
    return -1;
}

struct listener *listener_from_handle(int handle)
{
    (void)handle;
    return NULL;
}

/* ---- the world's side ---- */

void sim_network_set_reach(const char *address, enum sim_reach reach)
{
    struct ip_address parsed;
    size_t i = 0;

    if (!ip_address_parse(bytes_from_text(address), &parsed)) {
        abort();
    }
    while (i < network.reach_count && !ip_address_equal(&network.reaches[i].address, &parsed)) {
        i++;
    }
    assert(i < SIM_REACHES);
    network.reaches[i].address = parsed;
    network.reaches[i].reach = reach;
    network.reach_count += i == network.reach_count ? 1 : 0;
}

size_t sim_network_open_count(void)
{
    size_t count = 0;

    for (struct list *node = network.connections.next; node != &network.connections;
         node = node->next) {
        struct sim_connection *connection = list_owner(node, struct sim_connection, link);

        count += connection->is_established && !connection->ends[0].is_closed &&
                 !connection->ends[1].is_closed;
    }
    return count;
}

void sim_network_begin(void)
{
    memset(&network, 0, sizeof network);
    list_init(&network.connections);
    list_init(&network.listeners);
    list_init(&network.streams);
}

/* What is on the wire arrives; then, one day, the reset. */
void sim_network_cut(void)
{
    for (struct list *node = network.connections.next; node != &network.connections;
         node = node->next) {
        struct sim_connection *connection = list_owner(node, struct sim_connection, link);

        for (int i = 0; i < 2; i++) {
            struct sim_end *end = &connection->ends[i];

            if (end->host != SIM_DAEMON || end->is_closed) {
                continue;
            }
            if (connection->is_established && !end->other->is_closed &&
                end->other->host != SIM_DAEMON) {
                send_segment(end->other, SEGMENT_RESET, BYTES(""),
                             1000 + sim_random(RESET_MOST_US));
            }
            end->is_closed = true;
            if (end->stream != NULL) {
                end->stream->end = NULL;
                if (end->stream->phase != PHASE_FINISHING) {
                    end->stream->phase = PHASE_BROKEN;
                }
                end->stream = NULL;
            }
            strbuf_reset(&end->received);
            list_remove(&connection->backlog);
        }
    }
}

void sim_network_forget_loop(struct event_loop *loop)
{
    struct list *next;

    for (struct list *node = network.streams.next; node != &network.streams; node = next) {
        struct stream *stream = list_owner(node, struct stream, link);

        next = node->next;
        if (stream->loop == loop && stream->phase == PHASE_FINISHING) {
            discard(stream);
        }
    }
}

void sim_network_end(void)
{
    while (!list_is_empty(&network.streams)) {
        struct stream *stream = list_owner(network.streams.next, struct stream, link);

        stream_close(&stream);
    }
    while (!list_is_empty(&network.listeners)) {
        struct listener *listener = list_owner(network.listeners.next, struct listener, link);

        listener_close(&listener);
    }
    while (!list_is_empty(&network.connections)) {
        free_connection(list_owner(network.connections.next, struct sim_connection, link));
    }
}
