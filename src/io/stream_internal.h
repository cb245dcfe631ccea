/*
 * stream_internal - what stream.c (sockets and buffers) and stream_tls.c (what is protected) share.
 *
 * Split    stream.c moves octets between the socket and the stream; with `tls` the octets of the
 *          socket go through the layer: stream_tls_read takes the place of a plain read,
 *          stream_tls_write that of a plain write. The plain path asks for `tls` once a call.
 */
#ifndef IO_STREAM_INTERNAL_H
#define IO_STREAM_INTERNAL_H

#include "io/stream.h"
#include "loop_internal.h"
#include "tls_layer.h"

#include <event2/event_struct.h>

enum stream_phase {
    PHASE_CONNECTING,
    PHASE_OPEN,
    PHASE_BROKEN,    /* no socket any more; the owner still holds it */
    PHASE_FINISHING, /* belongs to the loop: sends what waits */
    PHASE_LINGERING, /* ... and waits for the peer's end */
    PHASE_CLOSED,    /* garbage */
};

struct stream {
    struct loop_owned owned;
    struct event_loop *loop;
    struct stream_callbacks callbacks;
    void *context;
    int fd;
    enum stream_phase phase;

    struct event read_event;
    struct event write_event;
    bool is_reading; /* the event is armed */
    bool is_writing;

    struct bytes view; /* unread input: in `input`, or in the loop's scratch during on_input */
    char *input;
    size_t input_capacity;
    bool last_read_was_full; /* more may wait in the socket */
    bool peer_has_ended;
    uint64_t heard_turn; /* the turn of the loop in which input was last used up */

    char *output; /* output_start .. output_len waits */
    size_t output_start;
    size_t output_len;
    size_t output_capacity;
    uint64_t sent;
    bool is_write_broken;
    int write_error;
    bool was_over_high;

    struct loop_task flush;
    struct loop_task notice; /* what is to be told from outside of the owner's calls: */
    bool tell_connected;
    bool tell_drained;
    bool tell_end;
    enum stream_end end;
    bool has_told_end;

    struct tls_layer *tls; /* or NULL */
    void (*on_secure)(void *context);
    bool is_shaking_hands;
    struct loop_heavy handshake; /* in line while others shake hands */
    bool tell_input;             /* octets were left undecrypted for want of room */

    struct ip_endpoint local;
    struct loop_timer timer; /* connecting, handshake, finishing */
    uint64_t finish_by_ms;
};

/* stream.c */
void stream_append_output(struct stream *stream, struct bytes octets);
void stream_reserve_output(struct stream *stream, size_t count);
void stream_send_output(struct stream *stream); /* one system call */
void stream_reserve_input(struct stream *stream, size_t size);
void stream_keep_input(struct stream *stream);
void stream_set_reading(struct stream *stream, bool on);
void stream_tell_end(struct stream *stream, enum stream_end end);
void stream_read_nothing(struct stream *stream, ssize_t got, int error);
void stream_schedule_notice(struct stream *stream);
void stream_schedule_end(struct stream *stream, enum stream_end end);
bool stream_is_owned_by_loop(const struct stream *stream);

/* stream_tls.c */
void stream_tls_read(struct stream *stream);
void stream_tls_write(struct stream *stream, struct bytes octets);
void stream_tls_go_on(struct stream *stream); /* there is room again for what was left */
/* What an end means in the middle of a handshake. */
enum stream_end stream_tls_end(struct stream *stream, enum stream_end end);

#endif
