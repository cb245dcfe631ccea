/*
 * The life of a session, in the order it happens:
 *
 *   1 inbound_session_new   banner, first deadline
 *   2 on_input              go_on: lines to inbound_commands.c, content to inbound_content.c or
 *                           (BDAT) inbound_chunks.c,
 *                           until nothing is left or the session waits for something
 *   3 on_deadline           the client was too slow: 421
 *   4 on_end, bye, close    one way out; the memory goes after the loop's turn
 */
#include "inbound_session.h"

#include "base/memory.h"
#include "io/clock.h"
#include "protocol/smtp_line.h"
#include "protocol/smtp_reply.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PROXY_TIMEOUT_MS = 10000 }; /* a balancer sends its header at once */

/* One deadline per command, not per read: a client that sends an octet a second does not get
 * more time by it. */
static void set_deadline(struct inbound_session *session, uint64_t delay_ms)
{
    loop_timer_set(session->timer, delay_ms);
}

static void on_deadline(void *context)
{
    struct inbound_session *session = context;

    if (session->wait == INBOUND_WAITS_BANNER) {
        inbound_banner_end(session);
        return;
    }
    if (session->wait == INBOUND_WAITS_SENDER || session->wait == INBOUND_WAITS_CLIENT ||
        (session->wait == INBOUND_WAITS_AUTH && inbound_scan_is_done(session))) {
        inbound_session_bye(session, 451, "4.4.3", "DNS does not answer, try again later",
                            "dns-timeout");
        return;
    }
    if (session->wait == INBOUND_WAITS_GATE || session->wait == INBOUND_WAITS_AUTH) {
        inbound_session_bye(session, 451, "4.3.0", "a check does not answer, try again later",
                            "gate-timeout");
        return;
    }
    if (session->wait == INBOUND_WAITS_TARPIT) {
        inbound_limits_answer_late(session);
        return;
    }
    if (session->wait == INBOUND_WAITS_TLS) {
        inbound_tls_failed(session, "timeout");
        return;
    }
    if (session->wait != INBOUND_WAITS_NOTHING) {
        inbound_session_bye(session, 451, "4.3.0", "storage does not answer, try again later",
                            "storage-timeout");
        return;
    }
    inbound_session_bye(session, 421, "4.4.2", "timeout, closing connection", "timeout");
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Content may come as slowly as min_rate, after a start of data_timeout: the time given grows
 * with what has arrived, so the bound holds however the octets trickle in. What is over the
 * size limit earns nothing, or it could go on for ever. Nor may the client be silent for as
 * long as it has earned. */
void inbound_session_extend(struct inbound_session *session)
{
    const struct inbound_options *options = session->options;
    const struct inbound_transaction *transaction = &session->transaction;
    const struct inbound_chunk *chunk = &session->chunk;
    bool is_thrown_away = chunk->is_open && chunk->code != 0;
    uint64_t octets = is_thrown_away ? chunk->size - chunk->left : transaction->decoder.octets;
    uint64_t begun_ms = is_thrown_away ? chunk->begun_ms : transaction->begun_ms;
    uint64_t now_ms = event_loop_now_ms(session->server->loop);
    uint64_t left_ms = options->data_timeout_ms;

    if (options->min_rate > 0) {
        uint64_t counted = least(octets, options->message_size);
        uint64_t until_ms =
            begun_ms + options->data_timeout_ms + counted * 1000 / options->min_rate;
        left_ms = least(left_ms, until_ms > now_ms ? until_ms - now_ms : 0);
    }
    set_deadline(session, left_ms);
}

void inbound_session_log(const struct inbound_session *session, struct log_line *line,
                         enum log_level level, const char *event)
{
    log_begin(line, level, event);
    log_text(line, "s", session->id);
    if (session->transaction.id != 0) {
        log_text(line, "id", message_id_text(session->transaction.id).text);
    }
    log_text(line, "client", session->peer_text.text);
    if (session->via.family != IP_NONE) {
        log_text(line, "via", ip_address_text(&session->via).text);
    }
}

void inbound_session_bury(struct inbound_session *session)
{
    arena_free(&session->transaction.arena);
    strbuf_clear(&session->helo);
    strbuf_clear(&session->relayed_helo);
    free(session);
}

static void bury(void *context)
{
    inbound_session_bury(context);
}

void inbound_session_close(struct inbound_session *session, const char *why)
{
    struct inbound_server *server = session->server;
    struct log_line line;

    if (session->is_closed) {
        return;
    }
    session->is_closed = true;
    inbound_session_log(session, &line, LOG_INFO, "session-end");
    log_bytes(&line, "helo", strbuf_bytes(&session->helo));
    inbound_tls_log(session, &line);
    log_number(&line, "messages", session->messages);
    log_number(&line, "refused", session->refused);
    log_number(&line, "errors", session->errors);
    log_number(&line, "ms", (int64_t)(event_loop_now_ms(server->loop) - session->started_ms));
    log_text(&line, "why", why);
    log_end(&line);

    queue_ticket_abandon(&session->ticket);
    inbound_lookup_abandon(session);
    inbound_transaction_reset(session);
    inbound_auth_close(session);
    inbound_standing_close(session);
    stream_close(&session->stream);
    loop_timer_free(&session->timer);
    inbound_memory_count(session);
    list_remove(&session->node);
    atomic_fetch_sub_explicit(&server->session_count, 1, memory_order_relaxed);
    inbound_limits_close(session);
    if (session->options->snapshot != NULL) {
        shared_drop(session->options->snapshot);
    }
    inbound_server_look_idle(server);
    /* Our caller may still hold the pointer; and `again`, when it is on its way, is the last one
     * that does. */
    if (!session->is_again_pending && !server->is_stopped) {
        event_loop_defer(server->loop, &session->bury);
    }
}

static void write_reply(struct inbound_session *session, unsigned code, const char *enhanced,
                        struct bytes text)
{
    struct strbuf reply;

    strbuf_init(&reply, 8192);
    smtp_reply_add(&reply, code, enhanced, text);
    stream_write(session->stream, strbuf_bytes(&reply));
    strbuf_clear(&reply);
}

void inbound_session_reply_free(struct inbound_session *session, unsigned code,
                                const char *enhanced, struct bytes text)
{
    write_reply(session, code, enhanced, text);
    inbound_session_rearm(session);
}

void inbound_session_reply(struct inbound_session *session, unsigned code, const char *enhanced,
                           struct bytes text)
{
    if (session->is_closed) {
        return;
    }
    inbound_session_reply_free(session, code, enhanced, text);
    if (code >= 500 && ++session->errors >= session->options->errors) {
        inbound_session_bye(session, 421, "4.7.0", "too many errors, closing connection",
                            "too-many-errors");
    }
}

void inbound_session_bye(struct inbound_session *session, unsigned code, const char *enhanced,
                         const char *text, const char *why)
{
    if (session->is_closed) {
        return;
    }
    smtp_dialogue_close(&session->dialogue);
    write_reply(session, code, enhanced, bytes_from_text(text));
    stream_finish(&session->stream);
    inbound_session_close(session, why);
}

void inbound_session_take_options(struct inbound_session *session)
{
    const struct inbound_options *before = session->options;

    if (before == session->server->options) {
        return;
    }
    session->options = session->server->options;
    inbound_standing_forget(session);
    if (session->options->snapshot != NULL) {
        shared_hold(session->options->snapshot);
    }
    if (before->snapshot != NULL) {
        shared_drop(before->snapshot);
    }
}

bool inbound_session_bye_if_draining(struct inbound_session *session)
{
    const struct inbound_server *server = session->server;

    if ((!server->is_draining && !server->is_paused) || session->transaction.id != 0 ||
        session->wait != INBOUND_WAITS_NOTHING) {
        return false;
    }
    if (server->is_draining) {
        inbound_session_bye(session, 421, "4.3.2", "shutting down, try again later", "drain");
    } else {
        inbound_session_bye(session, 421, "4.3.2", "not taking mail now, try again later",
                            "paused");
    }
    return true;
}

void inbound_session_rearm(struct inbound_session *session)
{
    set_deadline(session, session->options->command_timeout_ms);
}

void inbound_session_begin_wait(struct inbound_session *session, enum inbound_wait wait)
{
    session->wait = wait;
    set_deadline(session, session->options->data_timeout_ms);
}

/* Reads on over a line that was too long; its one answer was given when it was noticed. */
static void swallow_line(struct inbound_session *session, struct bytes input)
{
    bool found;
    size_t used = smtp_line_skip(input, &found);

    session->swallowed += used;
    stream_consume(session->stream, used);
    if (session->swallowed > INBOUND_SWALLOW_LIMIT) {
        inbound_session_bye(session, 421, "4.5.2", "line too long, closing connection",
                            "line-too-long");
    } else if (found) {
        session->swallowed = 0;
    }
}

/* Takes one line; false when it is not whole yet. The input is consumed before the command runs, so
 * that a connection that ends with it (QUIT) ends with nothing unread. */
static bool take_line(struct inbound_session *session, struct bytes input)
{
    char copy[INBOUND_LINE_LIMIT];
    struct bytes line = {NULL, 0};
    size_t used = 0;
    enum smtp_line_result result = smtp_line_next(input, INBOUND_LINE_LIMIT, &line, &used);

    if (result == SMTP_LINE_NEED_MORE) {
        return false;
    }
    if (result != SMTP_LINE_READY && inbound_chunk_is_lost(session, input)) {
        return true;
    }
    if (result == SMTP_LINE_READY && line.len > 0) {
        memcpy(copy, line.data, line.len);
    }
    stream_consume(session->stream, used);
    switch (result) {
    case SMTP_LINE_READY:
        inbound_command(session, bytes_of(copy, line.len));
        break;
    case SMTP_LINE_NEED_MORE:
        break;
    case SMTP_LINE_TOO_LONG:
        session->swallowed = used;
        inbound_session_reply(session, 500, "5.5.2", BYTES("line too long"));
        break;
    case SMTP_LINE_BARE_CR:
    case SMTP_LINE_BARE_LF:
        inbound_session_reply(session, 500, "5.5.2", BYTES("lines must end with CRLF"));
        break;
    case SMTP_LINE_NUL:
        inbound_session_reply(session, 500, "5.5.2", BYTES("NUL in a command"));
        break;
    }
    return true;
}

static void take_content(struct inbound_session *session, struct bytes input)
{
    stream_consume(session->stream, inbound_content_input(session, input));
    if (session->transaction.decoder.is_done) {
        inbound_content_end(session);
    } else if (session->transaction.decoder.octets / INBOUND_EXCESS >
               session->options->message_size) {
        inbound_session_bye(session, 552, "5.3.4", "message too large, closing connection",
                            "too-large");
    } else {
        inbound_session_extend(session);
    }
}

static void take_chunk(struct inbound_session *session, struct bytes input)
{
    stream_consume(session->stream, inbound_chunk_input(session, input));
    if (session->chunk.left == 0) {
        inbound_chunk_end(session);
    } else {
        inbound_session_extend(session);
    }
}

/* Takes what the input starts with; false when more must come first. */
static bool take_input(struct inbound_session *session)
{
    struct bytes input = stream_input(session->stream);

    if (input.len == 0) {
        return false;
    }
    if (session->awaits_proxy_header) {
        return inbound_proxy_input(session, input);
    }
    if (session->swallowed > 0) {
        swallow_line(session, input);
    } else if (session->chunk.is_open) {
        take_chunk(session, input);
    } else if (session->dialogue.phase == SMTP_PHASE_CONTENT &&
               !session->transaction.is_chunked) {
        take_content(session, input);
    } else {
        return take_line(session, input);
    }
    return true;
}

static void go_on_later(void *context)
{
    struct inbound_session *session = context;

    session->is_again_pending = false;
    if (session->is_closed) {
        inbound_session_bury(session);
        return;
    }
    inbound_session_go_on(session);
}

/* Posted and not deferred: what is deferred still belongs to this turn. */
static void go_on_next_turn(struct inbound_session *session)
{
    if (!session->is_again_pending) {
        session->is_again_pending = true;
        event_loop_post(session->server->loop, &session->again);
    }
}

/* After what it said has been answered, there is nothing more to wait for. What waits to be sent
 * still goes out: it may have closed its side only. */
static void end_after_peer(struct inbound_session *session)
{
    stream_finish(&session->stream);
    inbound_session_close(session, stream_end_text(STREAM_END_EOF));
}

static void take_all_input(struct inbound_session *session)
{
    for (unsigned turn = 0; !session->is_closed && session->wait == INBOUND_WAITS_NOTHING;
         turn++) {
        if (inbound_session_bye_if_draining(session)) {
            return;
        }
        if (stream_output_waiting(session->stream) > STREAM_OUTPUT_HIGH) {
            return; /* it does not read our answers: on_drained goes on */
        }
        if (turn >= INBOUND_COMMANDS_PER_TURN) {
            go_on_next_turn(session);
            return;
        }
        if (!take_input(session)) {
            break;
        }
    }
    if (session->has_peer_ended && !session->is_closed &&
        session->wait == INBOUND_WAITS_NOTHING) {
        end_after_peer(session);
    }
}

void inbound_session_go_on(struct inbound_session *session)
{
    take_all_input(session);
    inbound_memory_count(session);
}

static void on_input(void *context)
{
    struct inbound_session *session = context;

    if (session->wait == INBOUND_WAITS_BANNER) {
        inbound_banner_input(session);
        return;
    }
    inbound_session_go_on(session);
}

static void on_end(void *context, enum stream_end end)
{
    struct inbound_session *session = context;

    if (end == STREAM_END_EOF && session->wait == INBOUND_WAITS_BANNER) {
        end_after_peer(session); /* nobody is there to be greeted */
        return;
    }
    if (end == STREAM_END_EOF) {
        /* What it said before counts, and it may still read our answer to its final dot. But it may as well be
         * gone, and what the next hops say then is told to nobody: the message is made safe first. */
        session->has_peer_ended = true;
        queue_ticket_hurry(session->ticket);
        inbound_session_go_on(session);
        return;
    }
    if (end == STREAM_END_TLS) {
        inbound_tls_failed(session, stream_tls_error(session->stream));
        return;
    }
    inbound_session_close(session, stream_end_text(end));
}

void inbound_session_greet(struct inbound_session *session)
{
    struct strbuf banner;

    strbuf_init(&banner, 512);
    strbuf_add_text(&banner, "220 ");
    strbuf_add(&banner, session->options->hostname);
    strbuf_add_text(&banner, " ESMTP postilion\r\n");
    stream_write(session->stream, strbuf_bytes(&banner));
    strbuf_clear(&banner);
    inbound_session_rearm(session);
}

struct inbound_session *inbound_session_new(struct inbound_server *server,
                                            const struct stream_accepted *accepted,
                                            const struct ledger_stay *stay,
                                            const struct inbound_door *door)
{
    static const struct stream_callbacks callbacks = {
        .on_input = on_input, .on_drained = on_input, .on_end = on_end};
    struct inbound_session *session = memory_zero(sizeof *session);

    session->server = server;
    session->options = server->options;
    session->stay = stay == NULL ? (struct ledger_stay){.row = NULL} : *stay;
    session->door_use = door->use;
    session->late_end = CLIENT_NO_OFFENCE;
    session->tls = door->tls;
    session->banner_wait_ms = door->banner_wait_ms;
    session->peer = accepted->peer;
    session->peer_text = ip_address_text(&accepted->peer.address);
    session->started_ms = event_loop_now_ms(server->loop);
    session->again = (struct loop_task){.run = go_on_later, .context = session};
    session->bury = (struct loop_task){.run = bury, .context = session};
    session->transaction.arena = arena_new();
    strbuf_init(&session->helo, 255);
    strbuf_init(&session->relayed_helo, 255);
    snprintf(session->id, sizeof session->id, "%08" PRIx32 "%06" PRIx64, server->session_seed,
             server->next_session++ & 0xffffff);
    if (session->options->snapshot != NULL) {
        shared_hold(session->options->snapshot);
    }
    list_append(&server->sessions, &session->node);
    atomic_fetch_add_explicit(&server->session_count, 1, memory_order_relaxed);
    session->stream = stream_from_accepted(server->loop, accepted, &callbacks, session);
    session->timer = loop_timer_new(server->loop, on_deadline, session);
    set_deadline(session,
                 door->is_proxied ? PROXY_TIMEOUT_MS : session->options->command_timeout_ms);
    if (!inbound_session_bye_if_draining(session)) {
        inbound_trust_begin(session, door->is_proxied);
    }
    inbound_memory_count(session);
    return session;
}
