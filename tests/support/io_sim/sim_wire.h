/*
 * sim_wire - connections between the hosts of the simulated world: two ends, each what a kernel
 * would hold.
 *
 * End     what is on the wire to it, what has arrived and was not read, whether the other side has
 *         ended. Latency, window and the way octets are cut into segments are drawn for each
 *         connection.
 * Reset   closing with unread input, or octets for a closed end. It may overtake what nobody has
 *         read yet.
 */
#ifndef TESTS_IO_SIM_SIM_WIRE_H
#define TESTS_IO_SIM_SIM_WIRE_H

#include "io/listener.h"
#include "sim_internal.h"

struct sim_connection;

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
    struct stream *stream; /* NULL: not taken yet, or closed */
};

/* A connection from a loop to an address, under way: sim_stream_connected follows. */
struct sim_end *sim_wire_connect(struct stream *stream, struct event_loop *loop,
                                 const struct ip_endpoint *to, const struct ip_address *from);
struct sim_end *sim_wire_find_accepted(const struct stream_accepted *accepted);
bool sim_end_is_alive(const struct sim_end *end); /* its host has power */
bool sim_end_has_news(const struct sim_end *end);
size_t sim_end_window(const struct sim_end *end); /* octets that may be sent now */
void sim_end_send(struct sim_end *end, struct bytes octets);
void sim_end_send_fin(struct sim_end *end);
/* Moves up to `size` octets that have arrived to `data`. */
void sim_end_read(struct sim_end *end, void *data, size_t size);
void sim_end_drop(struct sim_end *end, size_t size); /* the same, and forgets them */
void sim_end_close(struct sim_end *end);             /* what close(2) does */

/* ---- what streams are told ---- */

/* `established` false: `why` says why not. */
void sim_stream_connected(struct stream *stream, bool is_established, enum stream_end why);
void sim_stream_wake_reader(struct stream *stream);
void sim_stream_wake_writer(struct stream *stream, uint64_t delay_us);
void sim_stream_lose_end(struct stream *stream); /* a power cut */
void sim_streams_begin(void);
void sim_streams_end(void);

#endif
