/*
 * scripted_hop - a next hop on the same event loop that answers as its script says.
 *
 * Script  one for each connection in turn (the last one repeats). A NULL answer means the usual
 * one. Answers beginning with "!" are sent without it and then the connection is closed; "-" is
 *         silence; "." drops the connection at once.
 * Records what came in: commands (one a line), the content as it stood on the wire,
 * connections, and on_input calls, which show how many writes reached us.
 */
#ifndef TESTS_SCRIPTED_HOP_H
#define TESTS_SCRIPTED_HOP_H

#include "base/memory.h"
#include "base/strbuf.h"
#include "io/listener.h"

#include <stdlib.h>

enum { HOP_RECIPIENTS = 4, HOP_CONNECTIONS = 32 };

struct hop_script {
    const char *banner, *ehlo, *helo, *mail, *data, *dot;
    const char *rcpt[HOP_RECIPIENTS];
    bool is_octet_by_octet;
    uint64_t drip_ms;          /* pause between those octets */
    bool is_deaf;              /* takes nothing of the content */
    size_t drop_after_content; /* octets of content, 0: never */
    const char *last_words;    /* said before that */
    const char *bdat;          /* said to BDAT at once, and nothing when the chunk is there */
    bool knows_no_bdat;        /* "500", also to each line of the chunk that is no command */
    const char *unasked;       /* said right behind the answer to the dot */
};

struct scripted_hop {
    struct event_loop *loop;
    struct listener *listener;
    const struct hop_script *scripts;
    size_t script_count;
    unsigned connections, reads;
    struct strbuf commands, wire;
    struct hop_connection *open[HOP_CONNECTIONS];
};

struct hop_connection {
    struct scripted_hop *hop;
    const struct hop_script *script;
    struct stream *stream;
    struct strbuf input;
    struct strbuf waiting; /* answer that goes out octet by octet */
    struct loop_timer *drip;
    unsigned rcpt_count;
    size_t content_start; /* in hop->wire */
    bool is_content;
    bool is_chunk; /* the content ends after so many octets */
    size_t chunk_left;
};

static inline void hop_close(struct hop_connection *connection)
{
    stream_close(&connection->stream);
}

static inline void hop_drip(void *context)
{
    struct hop_connection *connection = context;

    if (connection->stream != NULL && connection->waiting.len > 0) {
        stream_write(connection->stream, bytes_first(strbuf_bytes(&connection->waiting), 1));
        strbuf_drop_first(&connection->waiting, 1);
        loop_timer_set(connection->drip, connection->script->drip_ms);
    }
}

static inline void hop_say(struct hop_connection *connection, const char *answer,
                           const char *usual)
{
    const char *text = answer == NULL ? usual : answer;
    bool is_last = text[0] == '!';

    if (text[0] == '-' || connection->stream == NULL) {
        return;
    }
    if (text[0] == '.') {
        hop_close(connection);
        return;
    }
    if (connection->script->is_octet_by_octet) {
        strbuf_add_text(&connection->waiting, text);
        loop_timer_set(connection->drip, connection->script->drip_ms);
        return;
    }
    stream_write(connection->stream, bytes_from_text(text + is_last));
    if (is_last) {
        stream_flush(connection->stream);
        hop_close(connection);
    }
}

#define HOP_EHLO                                                                               \
    "250-hop.example greets\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE "                    \
    "20000000\r\n250 SMTPUTF8\r\n"

static inline void hop_command(struct hop_connection *connection, struct bytes line)
{
    const struct hop_script *script = connection->script;

    strbuf_add(&connection->hop->commands, line);
    strbuf_add_char(&connection->hop->commands, '\n');
    if (bytes_starts_with(line, BYTES("EHLO"))) {
        hop_say(connection, script->ehlo, HOP_EHLO);
    } else if (bytes_starts_with(line, BYTES("HELO"))) {
        hop_say(connection, script->helo, "250 hop\r\n");
    } else if (bytes_starts_with(line, BYTES("MAIL"))) {
        connection->rcpt_count = 0;
        hop_say(connection, script->mail, "250 2.1.0 ok\r\n");
    } else if (bytes_starts_with(line, BYTES("RCPT"))) {
        unsigned index = connection->rcpt_count++;

        hop_say(connection, index < HOP_RECIPIENTS ? script->rcpt[index] : NULL,
                "250 2.1.5 ok\r\n");
    } else if (bytes_starts_with(line, BYTES("DATA"))) {
        const char *answer = script->data == NULL ? "354 go\r\n" : script->data;

        hop_say(connection, answer, "");
        connection->is_content = strncmp(answer, "354", 3) == 0;
        connection->content_start = connection->hop->wire.len;
    } else if (bytes_starts_with(line, BYTES("BDAT ")) && !script->knows_no_bdat) {
        hop_say(connection, script->bdat, "");
        connection->chunk_left = (size_t)strtoull(line.data + 5, NULL, 10);
        connection->is_content = connection->is_chunk = true;
        connection->content_start = connection->hop->wire.len;
    } else if (bytes_starts_with(line, BYTES("QUIT"))) {
        hop_say(connection, "!221 2.0.0 bye\r\n", "");
    } else {
        hop_say(connection, NULL,
                script->knows_no_bdat && !bytes_starts_with(line, BYTES("RSET"))
                    ? "500 5.5.1 unknown command\r\n"
                    : "250 ok\r\n");
    }
}

static inline void hop_drop(struct hop_connection *connection)
{
    if (connection->script->last_words != NULL) {
        hop_say(connection, connection->script->last_words, "");
        stream_flush(connection->stream);
    }
    hop_close(connection);
}

static inline void hop_end_content(struct hop_connection *connection, const char *note)
{
    bool is_chunk = connection->is_chunk;

    connection->is_content = connection->is_chunk = false;
    strbuf_add_text(&connection->hop->commands, note);
    if (!is_chunk || connection->script->bdat == NULL) {
        hop_say(connection, connection->script->dot, "250 2.0.0 taken\r\n");
    }
    if (connection->script->unasked != NULL) {
        hop_say(connection, connection->script->unasked, "");
    }
}

static inline void hop_chunk(struct hop_connection *connection)
{
    struct strbuf *input = &connection->input;
    struct bytes piece = bytes_first(strbuf_bytes(input), connection->chunk_left);

    strbuf_add(&connection->hop->wire, piece);
    connection->chunk_left -= piece.len;
    strbuf_drop_first(input, piece.len);
    if (connection->script->drop_after_content > 0 &&
        connection->hop->wire.len - connection->content_start >=
            connection->script->drop_after_content) {
        hop_drop(connection);
    } else if (connection->chunk_left == 0) {
        hop_end_content(connection, "(chunk)\n");
    }
}

static inline void hop_content(struct hop_connection *connection)
{
    struct strbuf *wire = &connection->hop->wire;
    size_t before =
        wire->len > connection->content_start + 4 ? wire->len - 4 : connection->content_start;
    struct bytes fresh;
    size_t end;

    strbuf_add(wire, strbuf_bytes(&connection->input));
    strbuf_reset(&connection->input);
    if (connection->script->drop_after_content > 0 &&
        wire->len - connection->content_start >= connection->script->drop_after_content) {
        hop_drop(connection);
        return;
    }
    fresh = bytes_skip(strbuf_bytes(wire), before);
    end = bytes_find_part(fresh, BYTES("\r\n.\r\n"));
    if (end < fresh.len) {
        end += 5;
    } else if (bytes_starts_with(bytes_skip(strbuf_bytes(wire), connection->content_start),
                                 BYTES(".\r\n"))) {
        end = 3;
    } else {
        return;
    }
    strbuf_add(&connection->input, bytes_skip(fresh, end));
    strbuf_truncate(wire, before + end);
    hop_end_content(connection, "(content)\n");
}

static inline void hop_on_input(void *context)
{
    struct hop_connection *connection = context;
    struct bytes input = stream_input(connection->stream);

    if (connection->is_content && connection->script->is_deaf) {
        return;
    }
    connection->hop->reads++;
    strbuf_add(&connection->input, input);
    stream_consume(connection->stream, input.len);
    while (connection->stream != NULL && connection->input.len > 0) {
        struct strbuf line;
        size_t end = bytes_find(strbuf_bytes(&connection->input), '\n');

        if (connection->is_content) {
            if (connection->is_chunk) {
                hop_chunk(connection);
            } else {
                hop_content(connection);
            }
            if (connection->is_content) {
                return;
            }
            continue;
        }
        if (end == connection->input.len) {
            return;
        }
        strbuf_init(&line, 65536);
        strbuf_add(&line, bytes_trim(bytes_first(strbuf_bytes(&connection->input), end)));
        strbuf_drop_first(&connection->input, end + 1);
        hop_command(connection, strbuf_bytes(&line));
        strbuf_clear(&line);
    }
}

static inline void hop_on_end(void *context, enum stream_end end)
{
    (void)end;
    hop_close(context);
}

static inline void hop_on_connected(void *context)
{
    (void)context;
}

static inline void hop_on_accept(void *context, const struct stream_accepted *accepted)
{
    static const struct stream_callbacks callbacks = {hop_on_connected, hop_on_input, NULL,
                                                      hop_on_end};
    struct scripted_hop *hop = context;
    struct hop_connection *connection = memory_zero(sizeof *connection);
    size_t index =
        hop->connections < hop->script_count ? hop->connections : hop->script_count - 1;

    hop->open[hop->connections++] = connection;
    connection->hop = hop;
    connection->script = &hop->scripts[index];
    strbuf_init(&connection->input, 1 << 24);
    strbuf_init(&connection->waiting, 1 << 16);
    connection->drip = loop_timer_new(hop->loop, hop_drip, connection);
    connection->stream = stream_from_accepted(hop->loop, accepted, &callbacks, connection);
    hop_say(connection, connection->script->banner, "220 hop.example ESMTP\r\n");
}

/* Listens on a free port of `address`, or the port given. */
static inline void hop_open(struct scripted_hop *hop, struct event_loop *loop,
                            const char *address, const struct hop_script *scripts,
                            size_t script_count)
{
    struct ip_endpoint endpoint;
    struct strbuf why;

    *hop =
        (struct scripted_hop){.loop = loop, .scripts = scripts, .script_count = script_count};
    strbuf_init(&hop->commands, 1 << 20);
    strbuf_init(&hop->wire, 1 << 24);
    strbuf_init(&why, 1000);
    ip_endpoint_parse(bytes_from_text(address), 0, &endpoint);
    hop->listener = listener_open(&endpoint, &why);
    strbuf_clear(&why);
    listener_start(hop->listener, loop, hop_on_accept, hop);
}

static inline void hop_clear(struct scripted_hop *hop)
{
    if (hop->listener != NULL) {
        listener_close(&hop->listener);
    }
    for (unsigned i = 0; i < hop->connections; i++) {
        hop_close(hop->open[i]);
        loop_timer_free(&hop->open[i]->drip);
        strbuf_clear(&hop->open[i]->input);
        strbuf_clear(&hop->open[i]->waiting);
        free(hop->open[i]);
    }
    strbuf_clear(&hop->commands);
    strbuf_clear(&hop->wire);
}

#endif
