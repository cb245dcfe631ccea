/*
 * A stream from clear to protected, in the order it happens:
 *
 *   1 stream_start_tls  makes the layer; a client's first flight goes out
 *   2 stream_tls_read   what comes goes to the handshake until on_secure, or on_end; where many do, in line
 *   3 stream_tls_read   ... and is then decrypted behind the unread input; on_input
 *   4 stream_tls_go_on  what found no room there, when something has been consumed
 *   5 stream_tls_write  encrypts at once, so that what waits is counted as it will be sent
 */
#include "stream_internal.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

/* A record holds so many octets and costs so many more, at the most. */
enum { RECORD_SIZE = 16 * 1024, RECORD_COST = 64 };

static void send_record(void *owner, struct bytes octets)
{
    stream_append_output(owner, octets);
}

/* What came before there was a layer; the view is lent to us only. */
static void feed_unread(struct stream *stream, struct tls_layer *layer)
{
    tls_layer_feed(layer, stream->view);
    tls_layer_keep(layer);
    stream_consume(stream, stream->view.len);
}

bool stream_start_tls(struct stream *stream, const struct stream_tls_options *options)
{
    struct tls_layer *layer;

    assert(stream->tls == NULL);
    if (stream->view.len > 0 && !options->takes_unread) {
        return false;
    }
    layer = tls_layer_new(options, send_record, stream);
    if (stream->view.len > 0) {
        feed_unread(stream, layer);
    }
    stream->tls = layer;
    stream->on_secure = options->on_secure;
    if (stream->phase != PHASE_OPEN) {
        return true;
    }
    stream->is_shaking_hands = true;
    loop_timer_set(&stream->timer, options->timeout_ms);
    if (tls_layer_handshake(stream->tls) == TLS_LAYER_FAILED) {
        stream_schedule_end(stream, STREAM_END_TLS);
    }
    return true;
}

enum stream_end stream_tls_end(struct stream *stream, enum stream_end end)
{
    stream->is_shaking_hands = false;
    tls_layer_fail(stream->tls, "handshake: the connection was ", stream_end_text(end));
    return STREAM_END_TLS;
}

/* The alert that says why goes out first, if it can. */
static void fail(struct stream *stream)
{
    stream_send_output(stream);
    stream_tell_end(stream, STREAM_END_TLS);
}

/* True: it is done, and the stream is still its owner's. */
static bool shake_hands(struct stream *stream)
{
    enum tls_layer_status status = tls_layer_handshake(stream->tls);

    tls_layer_keep(stream->tls);
    switch (status) {
    case TLS_LAYER_WAIT:
        return false;
    case TLS_LAYER_OK:
        stream->is_shaking_hands = false;
        loop_timer_clear(&stream->timer);
        stream->on_secure(stream->context);
        return stream->phase == PHASE_OPEN;
    case TLS_LAYER_END:
    case TLS_LAYER_FAILED:
        break;
    }
    fail(stream);
    return false;
}

/* ---- input ---- */

static void make_room(struct stream *stream, size_t wanted)
{
    size_t size = stream->view.len + wanted;

    if (stream->view.len > 0 && stream->view.data != stream->input) {
        memmove(stream->input, stream->view.data, stream->view.len);
        stream->view.data = stream->input;
    }
    if (size > stream->input_capacity) {
        stream_reserve_input(stream, size < STREAM_INPUT_LIMIT ? size : STREAM_INPUT_LIMIT);
    }
    stream->view.data = stream->input;
}

/* Until all is read (WAIT), or the input is full (OK). */
static enum tls_layer_status decrypt(struct stream *stream)
{
    enum tls_layer_status status = TLS_LAYER_OK;

    while (status == TLS_LAYER_OK && stream->view.len < STREAM_INPUT_LIMIT) {
        size_t room, got;

        make_room(stream, tls_layer_unread(stream->tls) + 1);
        room = (stream->input_capacity < STREAM_INPUT_LIMIT ? stream->input_capacity
                                                            : STREAM_INPUT_LIMIT) -
               stream->view.len;
        status = tls_layer_read(stream->tls, stream->input + stream->view.len, room, &got);
        stream->view.len += got;
    }
    return status;
}

static void use_what_was_fed(struct stream *stream)
{
    size_t before = stream->view.len;
    enum tls_layer_status status;

    if (stream->is_shaking_hands && !shake_hands(stream)) {
        return;
    }
    status = decrypt(stream);
    tls_layer_keep(stream->tls);
    if (stream->view.len > before) {
        stream->callbacks.on_input(stream->context);
        if (stream_is_owned_by_loop(stream)) {
            return;
        }
    }
    stream_keep_input(stream);
    switch (status) {
    case TLS_LAYER_OK:
    case TLS_LAYER_WAIT:
        break;
    case TLS_LAYER_END:
        stream_tell_end(stream, STREAM_END_EOF);
        if (stream->phase == PHASE_OPEN) {
            stream_set_reading(stream, false);
        }
        return;
    case TLS_LAYER_FAILED:
        fail(stream);
        return;
    }
    if (stream->phase == PHASE_OPEN) {
        stream_set_reading(stream, stream->view.len < STREAM_INPUT_LIMIT &&
                                       tls_layer_unread(stream->tls) == 0);
    }
}

static void read_now(struct stream *stream)
{
    char *scratch = event_loop_scratch(stream->loop);
    ssize_t got = read(stream->fd, scratch, LOOP_SCRATCH_SIZE);

    if (got <= 0) {
        stream_read_nothing(stream, got, errno);
        return;
    }
    stream->last_read_was_full = got == LOOP_SCRATCH_SIZE;
    tls_layer_feed(stream->tls, bytes_of(scratch, (size_t)got));
    use_what_was_fed(stream);
}

static void shake_hands_now(void *context)
{
    struct stream *stream = context;

    if (stream->phase == PHASE_OPEN) {
        stream_set_reading(stream, true);
        read_now(stream);
    }
}

void stream_tls_read(struct stream *stream)
{
    if (!stream->is_shaking_hands || event_loop_may_be_heavy(stream->loop)) {
        read_now(stream);
        return;
    }
    stream_set_reading(stream, false);
    stream->handshake.run = shake_hands_now;
    stream->handshake.context = stream;
    event_loop_wait_in_line(stream->loop, &stream->handshake);
}

void stream_tls_go_on(struct stream *stream)
{
    if (stream->phase == PHASE_OPEN && !stream->peer_has_ended) {
        use_what_was_fed(stream);
    }
}

/* ---- output ---- */

void stream_tls_write(struct stream *stream, struct bytes octets)
{
    assert(!stream->is_shaking_hands);
    stream_reserve_output(stream, octets.len + (octets.len / RECORD_SIZE + 1) * RECORD_COST);
    if (!tls_layer_write(stream->tls, octets)) {
        stream_schedule_end(stream, STREAM_END_TLS);
    }
}

/* ---- what is known ---- */

struct stream_tls_facts stream_tls_facts(const struct stream *stream)
{
    return stream->tls != NULL ? *tls_layer_facts(stream->tls)
                               : (struct stream_tls_facts){.why_unverified = "no TLS"};
}

const char *stream_tls_error(const struct stream *stream)
{
    return stream->tls != NULL ? tls_layer_error(stream->tls) : "";
}

struct tls_session *stream_tls_session(const struct stream *stream)
{
    return stream->tls != NULL ? tls_layer_session(stream->tls) : NULL;
}
