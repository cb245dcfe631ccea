#include "io/stream.h"

#include "base/memory.h"
#include "socket_address.h"
#include "stream_end.h"
#include "stream_internal.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEPT_SMALL = 4096, /* unread input up to here is read behind in the scratch */
    FINISH_LIMIT_MS =
        60 * 1000, /* a finishing stream goes after this, whatever the peer does */
};

/* ---- life ---- */

void stream_set_reading(struct stream *stream, bool on)
{
    if (stream->is_reading != on) {
        stream->is_reading = on;
        if (on) {
            event_add(&stream->read_event, NULL);
        } else {
            event_del(&stream->read_event);
        }
    }
}

static void set_writing(struct stream *stream, bool on)
{
    if (stream->is_writing != on) {
        stream->is_writing = on;
        if (on) {
            event_add(&stream->write_event, NULL);
        } else {
            event_del(&stream->write_event);
        }
    }
}

static void drop_output(struct stream *stream)
{
    free(stream->output);
    stream->output = NULL;
    stream->output_start = stream->output_len = stream->output_capacity = 0;
}

static void close_socket(struct stream *stream)
{
    loop_timer_clear(&stream->timer);
    list_remove(&stream->handshake.link);
    drop_output(stream);
    if (stream->fd >= 0) {
        stream_set_reading(stream, false);
        set_writing(stream, false);
        close(stream->fd);
        stream->fd = -1;
    }
}

static void destroy_stream(struct loop_owned *owned)
{
    struct stream *stream = list_owner(owned, struct stream, owned);

    close_socket(stream);
    tls_layer_free(&stream->tls);
    free(stream->input);
    free(stream);
}

static void run_flush(void *context);
static void run_notice(void *context);
static void on_timer(void *context);
static void on_readable(evutil_socket_t fd, short what, void *context);
static void on_writable(evutil_socket_t fd, short what, void *context);

static struct stream *new_stream(struct event_loop *loop,
                                 const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = memory_zero(sizeof *stream);

    stream->owned.destroy = destroy_stream;
    list_init(&stream->owned.link);
    list_init(&stream->handshake.link);
    stream->loop = loop;
    stream->callbacks = *callbacks;
    stream->context = context;
    stream->fd = -1;
    stream->heard_turn = UINT64_MAX;
    stream->flush = (struct loop_task){.run = run_flush, .context = stream};
    stream->notice = (struct loop_task){.run = run_notice, .context = stream};
    loop_timer_init(&stream->timer, loop, on_timer, stream);
    return stream;
}

static void assign_socket(struct stream *stream, int fd)
{
    struct event_base *base = event_loop_base(stream->loop);

    stream->fd = fd;
    event_assign(&stream->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, stream);
    event_assign(&stream->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, stream);
}

static void discard(struct stream *stream)
{
    close_socket(stream);
    stream->phase = PHASE_CLOSED;
    event_loop_discard(stream->loop, &stream->owned);
}

void stream_close(struct stream **stream)
{
    if (*stream != NULL) {
        discard(*stream);
        *stream = NULL;
    }
}

/* ---- telling the owner ---- */

bool stream_is_owned_by_loop(const struct stream *stream)
{
    return stream->phase == PHASE_FINISHING || stream->phase == PHASE_LINGERING ||
           stream->phase == PHASE_CLOSED;
}

void stream_tell_end(struct stream *stream, enum stream_end end)
{
    if (stream->is_shaking_hands) {
        end = stream_tls_end(stream, end);
    }
    if (end == STREAM_END_EOF) {
        stream->peer_has_ended = true;
    } else {
        close_socket(stream);
        stream->phase = PHASE_BROKEN;
    }
    if (!stream->has_told_end) {
        stream->has_told_end = true;
        stream->callbacks.on_end(stream->context, end);
    }
}

void stream_schedule_notice(struct stream *stream)
{
    if (!stream->notice.is_pending) {
        event_loop_defer(stream->loop, &stream->notice);
    }
}

void stream_schedule_end(struct stream *stream, enum stream_end end)
{
    stream->tell_end = true;
    stream->end = end;
    stream_schedule_notice(stream);
}

static void run_notice(void *context)
{
    struct stream *stream = context;

    if (stream->tell_connected && !stream_is_owned_by_loop(stream)) {
        stream->tell_connected = false;
        stream->callbacks.on_connected(stream->context);
    }
    if (stream->tell_drained && !stream_is_owned_by_loop(stream)) {
        stream->tell_drained = false;
        if (stream->callbacks.on_drained != NULL) {
            stream->callbacks.on_drained(stream->context);
        }
    }
    if (stream->tell_input && !stream_is_owned_by_loop(stream)) {
        stream->tell_input = false;
        stream_tls_go_on(stream);
    }
    if (stream->tell_end && !stream_is_owned_by_loop(stream)) {
        stream->tell_end = false;
        stream_tell_end(stream, stream->end);
    }
}

/* ---- output ---- */

static void schedule_flush(struct stream *stream)
{
    if (!stream->flush.is_pending && !stream->is_writing && stream->phase == PHASE_OPEN) {
        event_loop_defer_flush(stream->loop, &stream->flush);
    }
}

void stream_reserve_output(struct stream *stream, size_t count)
{
    size_t waiting = stream->output_len - stream->output_start;
    size_t capacity = stream->output_capacity == 0 ? 512 : stream->output_capacity;

    if (stream->output_len + count <= stream->output_capacity) {
        return;
    }
    /* What was sent makes room only when that is at least half: octets move at most once more.
     */
    if (stream->output_start >= waiting && waiting + count <= stream->output_capacity) {
        memmove(stream->output, stream->output + stream->output_start, waiting);
    } else {
        char *output;

        while (capacity < waiting + count) {
            capacity *= 2;
        }
        output = memory_alloc(capacity);
        if (waiting > 0) {
            memcpy(output, stream->output + stream->output_start, waiting);
        }
        free(stream->output);
        stream->output = output;
        stream->output_capacity = capacity;
    }
    stream->output_start = 0;
    stream->output_len = waiting;
}

void stream_append_output(struct stream *stream, struct bytes octets)
{
    stream_reserve_output(stream, octets.len);
    memcpy(stream->output + stream->output_len, octets.data, octets.len);
    stream->output_len += octets.len;
    if (stream_output_waiting(stream) > STREAM_OUTPUT_HIGH) {
        stream->was_over_high = true;
    }
    schedule_flush(stream);
}

void stream_write(struct stream *stream, struct bytes octets)
{
    if (octets.len == 0 || stream->is_write_broken || stream->phase == PHASE_BROKEN) {
        return;
    }
    if (stream->tls != NULL) {
        stream_tls_write(stream, octets);
    } else {
        stream_append_output(stream, octets);
    }
}

/* What the peer said before it went (a reply 421, say) may still wait in the socket: reading
 * goes on until the end and then tells the break. */
static void break_output(struct stream *stream, int error)
{
    stream->is_write_broken = true;
    stream->write_error = error;
    drop_output(stream);
    set_writing(stream, false);
    if (!stream->is_reading || (error != EPIPE && error != ECONNRESET)) {
        stream_schedule_end(stream, stream_end_from_errno(error));
    }
}

/* One system call. */
void stream_send_output(struct stream *stream)
{
    size_t waiting = stream->output_len - stream->output_start;
    ssize_t sent;

    if (waiting == 0) {
        return;
    }
    sent = send(stream->fd, stream->output + stream->output_start, waiting, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        break_output(stream, errno);
        return;
    }
    if (sent > 0) {
        stream->output_start += (size_t)sent;
        stream->sent += (uint64_t)sent;
        waiting -= (size_t)sent;
    }
    if (waiting == 0) {
        drop_output(stream);
    }
    set_writing(stream, waiting > 0);
    if (stream->was_over_high && waiting < STREAM_OUTPUT_LOW) {
        stream->was_over_high = false;
        stream->tell_drained = true;
        stream_schedule_notice(stream);
    }
}

static void run_flush(void *context)
{
    struct stream *stream = context;

    if (stream->phase == PHASE_OPEN && !stream->is_writing) {
        stream_send_output(stream);
    }
}

void stream_flush(struct stream *stream)
{
    run_flush(stream);
}

size_t stream_output_waiting(const struct stream *stream)
{
    return stream->output_len - stream->output_start;
}

uint64_t stream_output_sent(const struct stream *stream)
{
    return stream->sent;
}

/* ---- input ---- */

void stream_reserve_input(struct stream *stream, size_t size)
{
    size_t capacity = stream->input_capacity == 0 ? 256 : stream->input_capacity;
    char *input;

    while (capacity < size) {
        capacity *= 2;
    }
    input = memory_alloc(capacity);
    if (stream->view.len > 0) {
        memcpy(input, stream->view.data, stream->view.len);
    }
    free(stream->input);
    stream->input = input;
    stream->input_capacity = capacity;
    stream->view.data = input;
}

/* Where the next read goes: behind the unread input, so that the view stays in one piece.
 * Little of it is copied into the scratch, which takes most of what a socket can have; much of
 * it stays where it is and grows. */
static struct bytes place_to_read(struct stream *stream)
{
    size_t kept = stream->view.len;

    if (kept <= KEPT_SMALL) {
        char *scratch = event_loop_scratch(stream->loop);

        if (kept > 0) {
            memcpy(scratch, stream->view.data, kept);
        }
        stream->view.data = scratch;
        return bytes_of(scratch + kept, STREAM_INPUT_LIMIT - kept);
    }
    if (stream->view.data != stream->input) {
        memmove(stream->input, stream->view.data, kept);
        stream->view.data = stream->input;
    }
    if (stream->input_capacity - kept < stream->input_capacity / 4) {
        stream_reserve_input(stream, stream->input_capacity + 1);
    }
    return bytes_of(stream->input + kept,
                    (stream->input_capacity < STREAM_INPUT_LIMIT ? stream->input_capacity
                                                                 : STREAM_INPUT_LIMIT) -
                        kept);
}

/* The scratch is the next stream's: what is left moves into memory of our own. */
void stream_keep_input(struct stream *stream)
{
    size_t kept = stream->view.len;

    if (kept == 0) {
        free(stream->input);
        stream->input = NULL;
        stream->input_capacity = 0;
        stream->view = (struct bytes){NULL, 0};
        return;
    }
    if (stream->input != NULL && stream->view.data >= stream->input &&
        stream->view.data < stream->input + stream->input_capacity) {
        return;
    }
    if (stream->input_capacity < kept) {
        stream_reserve_input(stream, kept);
        return;
    }
    memcpy(stream->input, stream->view.data, kept);
    stream->view.data = stream->input;
}

/* A view in the scratch that nothing came to. */
void stream_read_nothing(struct stream *stream, ssize_t got, int error)
{
    stream_keep_input(stream);
    if (got < 0 && (error == EAGAIN || error == EINTR)) {
        return;
    }
    if (got == 0 && !stream->is_write_broken) {
        stream_tell_end(stream, STREAM_END_EOF);
        if (stream->phase == PHASE_OPEN) {
            stream_set_reading(stream, false); /* the end stays readable */
        }
        return;
    }
    stream_tell_end(
        stream, stream_end_from_errno(stream->is_write_broken ? stream->write_error : error));
}

static void read_input(struct stream *stream)
{
    struct bytes place = place_to_read(stream);
    ssize_t got = read(stream->fd, (char *)place.data, place.len);

    if (got <= 0) {
        stream_read_nothing(stream, got, errno);
        return;
    }
    stream->last_read_was_full = (size_t)got == place.len;
    stream->view.len += (size_t)got;
    stream->callbacks.on_input(stream->context);
    if (stream_is_owned_by_loop(stream)) {
        return;
    }
    stream_keep_input(stream);
    if (stream->phase == PHASE_OPEN && stream->view.len >= STREAM_INPUT_LIMIT) {
        stream_set_reading(stream, false);
    }
}

struct bytes stream_input(const struct stream *stream)
{
    return stream->view;
}

void stream_consume(struct stream *stream, size_t count)
{
    stream->view = bytes_skip(stream->view, count);
    stream->heard_turn = event_loop_turn(stream->loop);
    if (stream->tls != NULL && tls_layer_unread(stream->tls) > 0) {
        stream->tell_input = true;
        stream_schedule_notice(stream);
    } else if (count > 0 && stream->phase == PHASE_OPEN && !stream->peer_has_ended) {
        stream_set_reading(stream, true);
    }
}

/* ---- finishing ---- */

/* Closing a socket with unread input, or one the peer still writes to, sends a reset that may
 * overtake our last reply. It is safe when all that came has just been used up (QUIT). */
static bool may_close_at_once(const struct stream *stream)
{
    bool is_all_read = stream->tls == NULL || tls_layer_unread(stream->tls) == 0;

    return stream->is_write_broken || stream->peer_has_ended ||
           (is_all_read && stream->view.len == 0 && !stream->last_read_was_full &&
            stream->heard_turn == event_loop_turn(stream->loop));
}

static void start_linger(struct stream *stream)
{
    stream->phase = PHASE_LINGERING;
    shutdown(stream->fd, SHUT_WR);
    stream_set_reading(stream, true);
    loop_timer_set(&stream->timer, STREAM_LINGER_MS);
}

/* While output waits, the peer has STREAM_LINGER_MS to take some of it. */
static void set_finish_timer(struct stream *stream)
{
    uint64_t now_ms = event_loop_now_ms(stream->loop);
    uint64_t left_ms = stream->finish_by_ms > now_ms ? stream->finish_by_ms - now_ms : 0;

    loop_timer_set(&stream->timer, left_ms < STREAM_LINGER_MS ? left_ms : STREAM_LINGER_MS);
}

void stream_finish(struct stream **stream_place)
{
    struct stream *stream = *stream_place;
    bool is_clean;

    if (stream == NULL) {
        return;
    }
    *stream_place = NULL;
    if (stream->phase != PHASE_OPEN) {
        discard(stream);
        return;
    }
    is_clean = may_close_at_once(stream);
    if (stream->tls != NULL) {
        tls_layer_close(stream->tls);
    }
    stream->phase = PHASE_FINISHING;
    if (!stream->is_writing) {
        stream_send_output(stream);
    }
    if (stream->is_write_broken || (is_clean && stream_output_waiting(stream) == 0)) {
        discard(stream);
        return;
    }
    event_loop_adopt(stream->loop, &stream->owned);
    stream->view = (struct bytes){NULL, 0};
    stream->finish_by_ms = event_loop_now_ms(stream->loop) + FINISH_LIMIT_MS;
    if (stream_output_waiting(stream) == 0) {
        start_linger(stream);
        return;
    }
    stream_set_reading(stream, !stream->peer_has_ended);
    set_finish_timer(stream);
}

static void discard_input(struct stream *stream)
{
    ssize_t got = read(stream->fd, event_loop_scratch(stream->loop), LOOP_SCRATCH_SIZE);

    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) {
        return;
    }
    if (got < 0 || stream->phase == PHASE_LINGERING) {
        discard(stream);
        return;
    }
    stream->peer_has_ended = true;
    stream_set_reading(stream, false);
}

static void send_last_output(struct stream *stream)
{
    stream_send_output(stream);
    if (stream->is_write_broken) {
        discard(stream);
    } else if (stream_output_waiting(stream) > 0) {
        set_finish_timer(stream);
    } else if (stream->peer_has_ended) {
        discard(stream);
    } else {
        start_linger(stream);
    }
}

/* ---- connecting ---- */

static void become_open(struct stream *stream)
{
    loop_timer_clear(&stream->timer);
    stream->phase = PHASE_OPEN;
    stream_set_reading(stream, true);
    set_writing(stream, false);
    stream->tell_connected = true;
    stream_schedule_notice(stream);
    if (stream_output_waiting(stream) > 0) {
        schedule_flush(stream);
    }
}

static void end_connecting(struct stream *stream)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error == EINPROGRESS) {
        return;
    }
    if (error != 0) {
        stream_tell_end(stream, stream_end_from_errno(error));
        return;
    }
    become_open(stream);
}

/* 0, or the error. */
static int open_socket(struct stream *stream, const struct socket_address *to,
                       const struct ip_address *from)
{
    static const int ON = 1;
    int family = to->as.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return errno;
    }
    assign_socket(stream, fd);
    if (family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &ON, sizeof ON);
    }
    if (from != NULL) {
        struct socket_address source;
        struct ip_endpoint endpoint = {.address = *from};

        /* The port is chosen at connect, when the whole quadruple is known: else 28,000 would
         * do. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &ON, sizeof ON);
        if (!socket_address_from_endpoint(&endpoint, &source) ||
            bind(fd, &source.as.any, source.len) != 0) {
            return EINVAL;
        }
    }
    return connect(fd, &to->as.any, to->len) == 0 ? 0 : errno;
}

static void start_connecting(struct stream *stream, const struct socket_address *to,
                             const struct ip_address *from, uint64_t timeout_ms)
{
    int error = open_socket(stream, to, from);

    if (error == 0) {
        become_open(stream);
    } else if (error == EINPROGRESS) {
        loop_timer_set(&stream->timer, timeout_ms);
        set_writing(stream, true);
    } else {
        stream_schedule_end(stream, stream_end_from_errno(error));
    }
}

struct stream *stream_connect(struct event_loop *loop, const struct ip_endpoint *to,
                              const struct ip_address *from, uint64_t timeout_ms,
                              const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = new_stream(loop, callbacks, context);
    struct socket_address address;

    stream->phase = PHASE_CONNECTING;
    if (socket_address_from_endpoint(to, &address)) {
        start_connecting(stream, &address, from, timeout_ms);
    } else {
        stream_schedule_end(stream, STREAM_END_FAILED);
    }
    return stream;
}

struct stream *stream_connect_unix(struct event_loop *loop, const char *path,
                                   uint64_t timeout_ms,
                                   const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = new_stream(loop, callbacks, context);
    struct socket_address address;

    stream->phase = PHASE_CONNECTING;
    if (socket_address_from_path(path, &address)) {
        start_connecting(stream, &address, NULL, timeout_ms);
    } else {
        stream_schedule_end(stream, STREAM_END_FAILED);
    }
    return stream;
}

/* ---- accepted ---- */

struct stream *stream_from_accepted(struct event_loop *loop,
                                    const struct stream_accepted *accepted,
                                    const struct stream_callbacks *callbacks, void *context)
{
    struct stream *stream = new_stream(loop, callbacks, context);

    stream->phase = PHASE_OPEN;
    stream->local = accepted->local;
    assign_socket(stream, accepted->handle);
    stream_set_reading(stream, true);
    return stream;
}

void stream_accepted_drop(const struct stream_accepted *accepted, struct bytes last_words)
{
    char ignored[4096];

    if (last_words.len > 0) {
        /* Best effort: a new socket takes one line. */
        ssize_t sent = send(accepted->handle, last_words.data, last_words.len,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        (void)sent;
        shutdown(accepted->handle, SHUT_WR);
        while (recv(accepted->handle, ignored, sizeof ignored, MSG_DONTWAIT) ==
               sizeof ignored) {
        }
    }
    close(accepted->handle);
}

struct ip_endpoint stream_local(const struct stream *stream)
{
    if (stream->local.address.family != IP_NONE || stream->phase != PHASE_OPEN) {
        return stream->local;
    }
    return socket_address_of_local_end(stream->fd);
}

/* ---- events ---- */

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct stream *stream = context;
    struct event_loop *loop = stream->loop;

    (void)fd, (void)what;
    event_loop_enter(loop);
    switch (stream->phase) {
    case PHASE_OPEN:
        if (stream->tls != NULL) {
            stream_tls_read(stream);
        } else {
            read_input(stream);
        }
        break;
    case PHASE_FINISHING:
    case PHASE_LINGERING:
        discard_input(stream);
        break;
    case PHASE_CONNECTING:
    case PHASE_BROKEN:
    case PHASE_CLOSED:
        break;
    }
    event_loop_leave(loop);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    struct stream *stream = context;
    struct event_loop *loop = stream->loop;

    (void)fd, (void)what;
    event_loop_enter(loop);
    switch (stream->phase) {
    case PHASE_CONNECTING:
        end_connecting(stream);
        break;
    case PHASE_OPEN:
        stream_send_output(stream);
        break;
    case PHASE_FINISHING:
        send_last_output(stream);
        break;
    case PHASE_LINGERING:
    case PHASE_BROKEN:
    case PHASE_CLOSED:
        break;
    }
    event_loop_leave(loop);
}

static void on_timer(void *context)
{
    struct stream *stream = context;

    /* open: the handshake takes too long */
    if (stream->phase == PHASE_CONNECTING || stream->phase == PHASE_OPEN) {
        stream_tell_end(stream, STREAM_END_TIMEOUT);
    } else {
        discard(stream);
    }
}
