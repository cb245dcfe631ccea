/*
 * io/stream.h on the ends of sim_wire. The view that on_input sees lies in memory that goes right
 * afterwards, so whoever keeps it is found.
 */
#include "sim_wire.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

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

static struct list streams;

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
    list_append(&streams, &stream->link);
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
        sim_end_close(stream->end);
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
    size_t room = sim_end_window(end);
    size_t count = stream->output.len < room ? stream->output.len : room;

    if (end->has_reset) {
        stream->is_write_broken = true;
        strbuf_reset(&stream->output);
        sim_stream_wake_reader(
            stream); /* what the peer said before it went may still be read */
        return;
    }
    if (sim_end_is_alive(end) && count > 0) {
        sim_end_send(end, bytes_first(strbuf_bytes(&stream->output), count));
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
    place_view(stream, count);
    sim_end_read(stream->end, stream->memory + stream->view.len, count);
    stream->view.len += count;
    stream->callbacks.on_input(stream->context);
    if (is_owned(stream)) {
        place_view(stream, 0);
    }
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
            sim_end_has_news(stream->end)) {
            sim_stream_wake_reader(stream);
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
    if (count > 0 && stream->phase == PHASE_OPEN && sim_end_has_news(stream->end)) {
        sim_stream_wake_reader(stream);
    }
}

/* ---- streams: finishing ---- */

static void go_on_finishing(struct stream *stream)
{
    struct sim_end *end = stream->end;

    sim_end_drop(end, end->received.len);
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
        sim_end_send_fin(end);
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
    if (stream->phase != PHASE_OPEN || !sim_end_is_alive(stream->end)) {
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

/* ---- what the wire says ---- */

void sim_stream_wake_reader(struct stream *stream)
{
    if (stream->readable.place == 0) {
        sim_event_after(&stream->readable, sim_random(20));
    }
}

void sim_stream_wake_writer(struct stream *stream, uint64_t delay_us)
{
    if (stream->output.len > 0 && stream->writable.place == 0) {
        sim_event_after(&stream->writable, delay_us);
    }
}

void sim_stream_lose_end(struct stream *stream)
{
    stream->end = NULL;
    if (stream->phase != PHASE_FINISHING) {
        stream->phase = PHASE_BROKEN;
    }
}

void sim_stream_connected(struct stream *stream, bool is_established, enum stream_end why)
{
    sim_event_stop(&stream->timeout);
    if (!is_established) {
        schedule_end(stream, why);
        return;
    }
    stream->phase = PHASE_OPEN;
    stream->tell_connected = true;
    schedule_notice(stream);
    if (stream->output.len > 0 && !stream->flush.is_pending) {
        sim_loop_defer_flush(stream->loop, &stream->flush);
    }
    if (sim_end_has_news(stream->end)) {
        sim_stream_wake_reader(stream);
    }
}

/* ---- beginning and end ---- */

struct stream *stream_connect(struct event_loop *loop, const struct ip_endpoint *to,
                              const struct ip_address *from, uint64_t timeout_ms,
                              const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = new_stream(loop, callbacks, context);

    stream->phase = PHASE_CONNECTING;
    stream->end = sim_wire_connect(stream, loop, to, from);
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
                                        "timeout", "no-resources", "tls",     "failed"};

    return TEXTS[end];
}

/* ---- TLS: the simulated world has none ---- */

bool stream_start_tls(struct stream *stream, const struct stream_tls_options *options)
{
    (void)options;
    if (stream->view.len > 0) {
        return false;
    }
    schedule_end(stream, STREAM_END_TLS);
    return true;
}

struct stream_tls_facts stream_tls_facts(const struct stream *stream)
{
    (void)stream;
    return (struct stream_tls_facts){.why_unverified = "no TLS"};
}

const char *stream_tls_error(const struct stream *stream)
{
    return stream->why == STREAM_END_TLS ? "there is no TLS in the simulated world" : "";
}

struct tls_session *stream_tls_session(const struct stream *stream)
{
    (void)stream;
    return NULL;
}

struct tls_context *tls_context_hold(struct tls_context *context)
{
    return context;
}

void tls_context_drop(struct tls_context **context)
{
    *context = NULL;
}

void tls_session_free(struct tls_session **session)
{
    *session = NULL;
}

struct stream *stream_from_accepted(struct event_loop *loop,
                                    const struct stream_accepted *accepted,
                                    const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = new_stream(loop, callbacks, context);

    stream->end = sim_wire_find_accepted(accepted);
    assert(stream->end != NULL);
    stream->end->stream = stream;
    stream->phase = PHASE_OPEN;
    stream->local = accepted->local;
    if (sim_end_has_news(stream->end)) {
        sim_stream_wake_reader(stream);
    }
    return stream;
}

void sim_streams_forget_loop(struct event_loop *loop)
{
    struct list *next;

    for (struct list *node = streams.next; node != &streams; node = next) {
        struct stream *stream = list_owner(node, struct stream, link);

        next = node->next;
        if (stream->loop == loop && stream->phase == PHASE_FINISHING) {
            discard(stream);
        }
    }
}

void sim_streams_begin(void)
{
    list_init(&streams);
}

void sim_streams_end(void)
{
    while (!list_is_empty(&streams)) {
        struct stream *stream = list_owner(streams.next, struct stream, link);

        stream_close(&stream);
    }
}
