/* Connects to each place, waits for the first reply, and says goodbye. */
#include "doctor_parts.h"

#include "base/memory.h"
#include "io/clock.h"
#include "protocol/smtp_reply.h"

#include <stdlib.h>

struct caller {
    struct doctor *doctor;
    struct doctor_call *call;
    struct stream *stream; /* NULL: done */
    bool is_connected;
    size_t *open;
};

static void finish(struct caller *caller, enum doctor_call_result result, const char *why)
{
    caller->call->result = result;
    caller->call->why = why;
    if (result == DOCTOR_CALL_GREETED) {
        stream_write(caller->stream, BYTES("QUIT\r\n"));
        stream_finish(&caller->stream);
    } else {
        stream_close(&caller->stream);
    }
    if (--*caller->open == 0) {
        event_loop_stop(caller->doctor->loop);
    }
}

static void on_connected(void *context)
{
    struct caller *caller = context;

    caller->is_connected = true;
}

static void on_input(void *context)
{
    struct caller *caller = context;
    struct smtp_reply reply;
    size_t used;

    switch (smtp_reply_next(stream_input(caller->stream), &reply, &used)) {
    case SMTP_REPLY_NEED_MORE:
        return;
    case SMTP_REPLY_MALFORMED:
        finish(caller, DOCTOR_CALL_CLOSED, "what answers does not speak SMTP");
        return;
    case SMTP_REPLY_READY:
        break;
    }
    caller->call->code = reply.code;
    caller->call->banner =
        arena_copy(caller->doctor->arena, bytes_of(reply.text, reply.text_len));
    stream_consume(caller->stream, used);
    finish(caller, DOCTOR_CALL_GREETED, NULL);
}

static void on_end(void *context, enum stream_end end)
{
    struct caller *caller = context;

    switch (end) {
    case STREAM_END_REFUSED:
        finish(caller, DOCTOR_CALL_CLOSED, "nobody listens");
        return;
    case STREAM_END_UNREACHABLE:
        finish(caller, DOCTOR_CALL_NO_WAY, "no route");
        return;
    case STREAM_END_TIMEOUT:
        finish(caller, DOCTOR_CALL_SILENT, "no answer in time");
        return;
    case STREAM_END_NO_RESOURCES:
        finish(caller, DOCTOR_CALL_UNKNOWN, "no descriptor or port was left");
        return;
    case STREAM_END_EOF:
    case STREAM_END_RESET:
    case STREAM_END_TLS:
    case STREAM_END_FAILED:
        finish(caller, DOCTOR_CALL_CLOSED,
               caller->is_connected ? "it closes without a greeting" : "the connection failed");
        return;
    }
}

static const struct stream_callbacks CALLBACKS = {
    .on_connected = on_connected, .on_input = on_input, .on_end = on_end};

static void start(struct caller *caller, bool is_outward)
{
    const struct config_delivery *delivery = &caller->doctor->config->delivery;
    const struct ip_address *from = caller->call->endpoint.address.family == IP_V4
                                        ? &delivery->source_v4
                                        : &delivery->source_v6;

    caller->call->result = DOCTOR_CALL_UNKNOWN;
    ++*caller->open;
    caller->stream = stream_connect(caller->doctor->loop, &caller->call->endpoint,
                                    is_outward && from->family != IP_NONE ? from : NULL,
                                    DOCTOR_CALL_MS, &CALLBACKS, caller);
}

static void on_time(void *context)
{
    struct doctor *doctor = context;

    event_loop_stop(doctor->loop);
}

void doctor_connect(struct doctor *doctor, struct doctor_call *calls, size_t count,
                    bool is_outward)
{
    struct loop_timer *timer = loop_timer_new(doctor->loop, on_time, doctor);
    struct caller *callers = memory_zero((count + 1) * sizeof *callers);
    size_t open = 0;

    for (size_t i = 0; i < count; i++) {
        callers[i] = (struct caller){.doctor = doctor, .call = &calls[i], .open = &open};
        start(&callers[i], is_outward);
    }
    loop_timer_set(timer, DOCTOR_CALL_MS);
    if (count > 0 && !atomic_load(&doctor->is_stopped)) {
        event_loop_run(doctor->loop);
    }
    for (size_t i = 0; i < count; i++) {
        if (callers[i].stream != NULL) {
            calls[i].result = DOCTOR_CALL_SILENT;
            calls[i].why = callers[i].is_connected ? "it does not greet" : "no answer in time";
            stream_close(&callers[i].stream);
        }
    }
    loop_timer_free(&timer);
    free(callers);
}
