/*
 * One question to one scanner, in the order it happens:
 *
 *   1 scan_call_new   connects
 *   2 on_connected    the head of the request goes out, ...
 *     send_content    ... and the content in pieces; again from on_drained
 *   3 on_input        the answer: it may come before the content has gone out, and then says that it will not be read
 *   4 finish          the connection is closed, the owner is told
 */
#include "scan_call.h"

#include "inbound_session.h"

#include "base/memory.h"
#include "protocol/clamd_reply.h"

#include <assert.h>
#include <stdlib.h>

/* What is said of each recipient is less than its route takes, and those are bounded together. */
enum { HEAD_LIMIT = INBOUND_ROUTE_MEMORY + 64 * 1024 };

const char *scanner_text(enum scanner scanner)
{
    switch (scanner) {
    case SCANNER_CLAMD:
        return "clamd";
    case SCANNER_RSPAMD:
        return "rspamd";
    }
    return "";
}

static void finish(struct scan_call *call, enum scan_state state, const char *why)
{
    call->state = state;
    call->why = why;
    stream_close(&call->stream);
    call->done(call->context, call); /* may free the call */
}

static void fail(struct scan_call *call, const char *why)
{
    finish(call, SCAN_FAILED, why);
}

static struct bytes keep(const struct scan_call *call, struct bytes text)
{
    return arena_copy(call->arena, bytes_first(text, SCAN_SAID_LIMIT));
}

/* ---- sending ------------------------------------------------------------------------------ */

static void write_piece(struct scan_call *call, struct bytes piece)
{
    char head[CLAMD_HEAD_SIZE];

    if (call->scanner == SCANNER_CLAMD) {
        clamd_piece_head((uint32_t)piece.len, head);
        stream_write(call->stream, bytes_of(head, sizeof head));
    }
    stream_write(call->stream, piece);
}

/* False: it cannot be read. */
static bool send_piece(struct scan_call *call)
{
    struct bytes memory = content_memory(call->content);
    char octets[SCAN_PIECE];
    size_t got = 0;

    if (memory.data != NULL) {
        struct bytes piece = bytes_first(bytes_skip(memory, (size_t)call->offset), SCAN_PIECE);

        write_piece(call, piece);
        call->offset += piece.len;
        return true;
    }
    if (!content_read(call->content, call->offset, octets, sizeof octets, &got) || got == 0) {
        return false;
    }
    write_piece(call, bytes_of(octets, got));
    call->offset += got;
    return true;
}

static void send_content(struct scan_call *call)
{
    while (call->offset < content_size(call->content)) {
        if (stream_output_waiting(call->stream) > STREAM_OUTPUT_HIGH) {
            return; /* on_drained goes on */
        }
        if (!send_piece(call)) {
            fail(call, "content-unreadable");
            return;
        }
    }
    if (!call->is_sent && call->scanner == SCANNER_CLAMD) {
        write_piece(call, BYTES(""));
    }
    call->is_sent = true;
}

/* All of it is in the hands of the kernel. What has not been read has not been looked at. */
static bool has_sent_all(const struct scan_call *call)
{
    return call->is_sent && stream_output_waiting(call->stream) == 0;
}

static void on_connected(void *context)
{
    struct scan_call *call = context;

    stream_write(call->stream, strbuf_bytes(&call->head));
    strbuf_clear(&call->head);
    send_content(call);
}

static void on_drained(void *context)
{
    send_content(context);
}

/* ---- the answer --------------------------------------------------------------------------- */

static void read_clamd(struct scan_call *call)
{
    struct bytes what;
    enum clamd_result result = clamd_reply_read(stream_input(call->stream), &what);

    switch (result) {
    case CLAMD_NEED_MORE:
        return;
    case CLAMD_CLEAN:
    case CLAMD_FOUND:
        if (!has_sent_all(call)) {
            fail(call, "answered-too-early");
            return;
        }
        call->virus = keep(call, what);
        finish(call, SCAN_DONE, NULL);
        return;
    case CLAMD_TOO_LARGE:
        finish(call, SCAN_TOO_LARGE, NULL);
        return;
    case CLAMD_ERROR:
        call->said = keep(call, what);
        fail(call, "error");
        return;
    case CLAMD_MALFORMED:
        fail(call, "malformed");
        return;
    }
}

static void judge_response(struct scan_call *call)
{
    struct bytes body = strbuf_bytes(&call->response.body);

    if (call->response.status != 200) {
        call->said = keep(call, body);
        fail(call, "error");
    } else if (!has_sent_all(call)) {
        fail(call, "answered-too-early");
    } else if (!rspamd_reply_read(body, call->arena, &call->spam)) {
        fail(call, "malformed");
    } else {
        finish(call, SCAN_DONE, NULL);
    }
}

static void take_result(struct scan_call *call, enum http_response_result result)
{
    switch (result) {
    case HTTP_RESPONSE_NEED_MORE:
        return;
    case HTTP_RESPONSE_READY:
        judge_response(call);
        return;
    case HTTP_RESPONSE_MALFORMED:
        fail(call, "malformed");
        return;
    case HTTP_RESPONSE_TOO_LARGE:
        fail(call, "answer-too-large");
        return;
    }
}

static void on_input(void *context)
{
    struct scan_call *call = context;
    struct bytes input = stream_input(call->stream);
    enum http_response_result result;

    switch (call->scanner) {
    case SCANNER_CLAMD:
        read_clamd(call);
        return;
    case SCANNER_RSPAMD:
        result = http_response_add(&call->response, input);
        stream_consume(call->stream, input.len);
        take_result(call, result);
        return;
    }
}

static void on_end(void *context, enum stream_end end)
{
    struct scan_call *call = context;

    if (end != STREAM_END_EOF) {
        fail(call, stream_end_text(end));
    } else if (call->scanner == SCANNER_RSPAMD &&
               http_response_end(&call->response) == HTTP_RESPONSE_READY) {
        judge_response(call);
    } else {
        fail(call, "closed");
    }
}

/* ---- life --------------------------------------------------------------------------------- */

static void write_head(struct scan_call *call, const struct rspamd_question *question)
{
    switch (call->scanner) {
    case SCANNER_CLAMD:
        strbuf_add(&call->head, CLAMD_COMMAND);
        break;
    case SCANNER_RSPAMD:
        rspamd_question_add(&call->head, question);
        break;
    }
    assert(!call->head.overflowed);
}

struct scan_call *scan_call_new(struct event_loop *loop, const struct scan_request *request,
                                void (*done)(void *context, struct scan_call *call),
                                void *context)
{
    static const struct stream_callbacks callbacks = {.on_connected = on_connected,
                                                      .on_input = on_input,
                                                      .on_drained = on_drained,
                                                      .on_end = on_end};
    struct scan_call *call = memory_zero(sizeof *call);
    const struct scanner_place *place = request->place;

    call->scanner = request->scanner;
    call->state = SCAN_OPEN;
    call->arena = request->arena;
    call->loop = loop;
    call->content = request->content;
    call->done = done;
    call->context = context;
    content_hold(call->content);
    http_response_init(&call->response, SCAN_REPLY_LIMIT);
    strbuf_init(&call->head, HEAD_LIMIT);
    write_head(call, request->question);
    call->stream =
        place->path != NULL
            ? stream_connect_unix(loop, place->path, request->timeout_ms, &callbacks, call)
            : stream_connect(loop, &place->endpoint, NULL, request->timeout_ms, &callbacks,
                             call);
    return call;
}

void scan_call_free(struct scan_call **call)
{
    if (*call == NULL) {
        return;
    }
    stream_close(&(*call)->stream);
    content_drop(&(*call)->content);
    http_response_clear(&(*call)->response);
    strbuf_clear(&(*call)->head);
    free(*call);
    *call = NULL;
}
