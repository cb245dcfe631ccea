/*
 * io/listener.h, and the connections under io/stream.h.
 */
#include "sim_wire.h"

#include "base/memory.h"

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

static struct {
    struct list connections, listeners;
    int handles;
    uint16_t next_port;
    struct {
        struct ip_address address;
        enum sim_reach reach;
    } reaches[SIM_REACHES];
    size_t reach_count;
} network;

/* ---- the wire ---- */

bool sim_end_is_alive(const struct sim_end *end)
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

void sim_end_send(struct sim_end *from, struct bytes octets)
{
    while (octets.len > 0) {
        size_t piece = piece_of(from->connection, octets.len);

        send_segment(from->other, SEGMENT_DATA, bytes_first(octets, piece), sim_random(50));
        octets = bytes_skip(octets, piece);
    }
}

static void wake_reader(struct sim_end *end)
{
    if (end->stream != NULL) {
        sim_stream_wake_reader(end->stream);
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

    if (sim_end_is_alive(end)) {
        take_segment(end, segment);
    }
    free_segment(segment);
    if (!list_is_empty(&end->wire)) {
        sim_event_set(&end->arrival, list_owner(end->wire.next, struct segment, link)->when_us);
    }
}

/* What close(2) does. */
void sim_end_close(struct sim_end *end)
{
    if (end->is_closed) {
        return;
    }
    end->is_closed = true;
    end->stream = NULL;
    if (sim_end_is_alive(end) && end->connection->is_established && !end->has_reset) {
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

/* ---- ends ---- */

bool sim_end_has_news(const struct sim_end *end)
{
    return end->received.len > 0 || end->has_fin || end->has_reset;
}

size_t sim_end_window(const struct sim_end *end)
{
    size_t window = end->connection->window, used = end->other->in_flight;

    return used < window ? window - used : 0;
}

void sim_end_send_fin(struct sim_end *end)
{
    end->has_sent_fin = true;
    send_segment(end->other, SEGMENT_FIN, BYTES(""), 0);
}

void sim_end_read(struct sim_end *end, void *data, size_t size)
{
    if (size > 0) {
        memcpy(data, end->received.data, size);
    }
    sim_end_drop(end, size);
}

/* The peer's window opens. */
void sim_end_drop(struct sim_end *end, size_t size)
{
    struct sim_end *peer = end->other;

    strbuf_drop_first(&end->received, size);
    end->in_flight -= size;
    if (peer->stream != NULL) {
        sim_stream_wake_writer(peer->stream, end->connection->latency_us);
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
    struct sim_end *end = &connection->ends[0];
    enum sim_reach reach = reach_of(&connection->ends[1].address.address);

    if (end->stream != NULL && sim_end_is_alive(end)) {
        sim_stream_connected(end->stream, connection->is_established,
                             reach == SIM_UNREACHABLE ? STREAM_END_UNREACHABLE
                                                      : STREAM_END_REFUSED);
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

struct sim_end *sim_wire_connect(struct stream *stream, struct event_loop *loop,
                                 const struct ip_endpoint *to, const struct ip_address *from)
{
    struct sim_connection *connection = memory_zero(sizeof *connection);
    struct sim_end *end = &connection->ends[0];

    sweep_connections();
    init_end(end, connection, &connection->ends[1], sim_loop_host(loop));
    init_end(&connection->ends[1], connection, end, SIM_PEERS);
    if (from != NULL) {
        end->address.address = *from;
    } else {
        ip_address_parse(sim_loop_host(loop) == SIM_DAEMON ? BYTES("192.0.2.25")
                                                           : BYTES("198.51.100.1"),
                         &end->address.address);
    }
    end->address.port = free_port();
    end->stream = stream;
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
    return end;
}

/* ---- accepting ---- */

struct sim_end *sim_wire_find_accepted(const struct stream_accepted *accepted)
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

void stream_accepted_drop(const struct stream_accepted *accepted, struct bytes last_words)
{
    struct sim_end *end = sim_wire_find_accepted(accepted);

    if (end != NULL && !end->is_closed) {
        if (sim_end_is_alive(end)) {
            sim_end_send(end, last_words);
        }
        sim_end_close(end);
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
        sim_end_close(&connection->ends[1]);
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
    sim_streams_begin();
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
                sim_stream_lose_end(end->stream);
                end->stream = NULL;
            }
            strbuf_reset(&end->received);
            list_remove(&connection->backlog);
        }
    }
}

void sim_network_end(void)
{
    sim_streams_end();
    while (!list_is_empty(&network.listeners)) {
        struct listener *listener = list_owner(network.listeners.next, struct listener, link);

        listener_close(&listener);
    }
    while (!list_is_empty(&network.connections)) {
        free_connection(list_owner(network.connections.next, struct sim_connection, link));
    }
}
