/*
 * From connect to QUIT, in the order it happens:
 *
 *   1 next_hop_connection_new   connects; on_connected waits for the banner
 *   2 on_input                  the dialogue reads replies and writes the next commands
 *     follow_policy             ... STARTTLS, on_secure, EHLO again; then READY
 *   3 next_hop_connection_mail  the envelope goes out
 *   4 send_content              after 354, again on_drained until the final dot is written
 *   5 on_input                  the results are there: DONE
 *   6 next_hop_connection_rest  until the next message, or RESTED
 *   7 next_hop_connection_free  QUIT
 */
#include "outbound/next_hop_connection.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* ---- who watches ---- */

static void note(const struct next_hop_connection *connection, enum connection_note what,
                 struct bytes octets)
{
    if (connection->watch != NULL) {
        connection->watch->note(connection->watch->context, what, connection, octets);
    }
}

static void write_out(struct next_hop_connection *connection, const struct strbuf *out)
{
    note(connection, CONNECTION_NOTE_SAID, strbuf_bytes(out));
    stream_write(connection->stream, strbuf_bytes(out));
}

/* ---- deadlines ---- */

static uint64_t wait_of_stage(const struct connection_times *times, enum smtp_stage stage)
{
    switch (stage) {
    case SMTP_STAGE_BANNER:
    case SMTP_STAGE_EHLO:
    case SMTP_STAGE_STARTTLS:
    case SMTP_STAGE_MAIL:
    case SMTP_STAGE_RCPT:
    case SMTP_STAGE_RSET:
    case SMTP_STAGE_QUIT:
        return times->command_ms;
    case SMTP_STAGE_DATA:
        return times->data_ms;
    case SMTP_STAGE_CONTENT:
        return times->block_ms;
    case SMTP_STAGE_DOT:
        return times->dot_ms;
    case SMTP_STAGE_IDLE:
        return 0;
    }
    abort();
}

/* The timer is moved only when it would run too late; when it runs too early it is set again.
 * So the waits of a message, each ended within milliseconds, leave it alone. */
static void set_deadline(struct next_hop_connection *connection, uint64_t wait_ms)
{
    uint64_t now = event_loop_now_ms(connection->loop);

    connection->deadline_ms = wait_ms == 0 ? 0 : now + wait_ms;
    connection->sent_before = stream_output_sent(connection->stream);
    if (wait_ms != 0 &&
        (connection->timer_at_ms == 0 || connection->timer_at_ms > connection->deadline_ms)) {
        connection->timer_at_ms = connection->deadline_ms;
        loop_timer_set(connection->timer, wait_ms);
    }
}

/* A new stage begins a new wait, and so does a command we wrote in the same one (RCPT by RCPT
 * without pipelining). */
static void note_stage(struct next_hop_connection *connection, bool has_written)
{
    enum smtp_stage stage = smtp_exchange_stage(connection->exchange);

    if (stage != connection->stage || has_written) {
        connection->stage = stage;
        if (!connection->is_resting) {
            set_deadline(connection, wait_of_stage(&connection->times, stage));
        }
    }
}

/* ---- trouble ---- */

static void note_fault(struct next_hop_connection *connection, enum connection_fault fault)
{
    if (connection->fault != CONNECTION_FAULT_NONE) {
        return;
    }
    connection->fault = fault;
    connection->deadline_ms = 0;
    /* Not the stage of the last wait: several answers may have come in one read. */
    connection->stage = smtp_exchange_stage(connection->exchange);
    /* A dot that still lies in our own buffer has decided nothing. */
    connection->is_in_doubt = smtp_exchange_is_in_doubt(connection->exchange) &&
                              stream_output_sent(connection->stream) >= connection->dot_mark;
}

static void tell(struct next_hop_connection *connection, enum connection_event event)
{
    if (event == CONNECTION_BROKEN) {
        note(connection, CONNECTION_NOTE_BROKEN, BYTES(""));
    }
    connection->handler(connection->context, event); /* may free the connection */
}

bool next_hop_connection_is_progress(uint64_t octets, uint64_t wait_ms)
{
    return octets > 0 && octets >= wait_ms * CONNECTION_RATE / 1000;
}

/* Octets that the peer took since the deadline was set are progress; so a peer that stops taking is
 * found after one to two waits. Behind the dot little is left, and any of it counts. */
static bool has_progress(const struct next_hop_connection *connection)
{
    uint64_t taken = stream_output_sent(connection->stream) - connection->sent_before;

    if (connection->stage == SMTP_STAGE_CONTENT) {
        return next_hop_connection_is_progress(taken, connection->times.block_ms);
    }
    return connection->stage == SMTP_STAGE_DOT && taken > 0;
}

static void on_timer(void *context)
{
    struct next_hop_connection *connection = context;
    uint64_t now = event_loop_now_ms(connection->loop);

    connection->timer_at_ms = 0;
    if (connection->deadline_ms == 0) {
        return;
    }
    if (now < connection->deadline_ms) {
        connection->timer_at_ms = connection->deadline_ms;
        loop_timer_set(connection->timer, connection->deadline_ms - now);
        return;
    }
    if (connection->is_resting) {
        connection->deadline_ms = 0;
        tell(connection, CONNECTION_RESTED);
        return;
    }
    if (has_progress(connection)) {
        set_deadline(connection, wait_of_stage(&connection->times, connection->stage));
        return;
    }
    note_fault(connection, CONNECTION_FAULT_TIMEOUT);
    tell(connection, CONNECTION_BROKEN);
}

/* ---- TLS ---- */

static void fail_tls(struct next_hop_connection *connection, const char *trouble)
{
    connection->tls_trouble = trouble;
    note_fault(connection, CONNECTION_FAULT_TLS);
    connection->stage = SMTP_STAGE_STARTTLS;
}

/* Somebody on the way put it there: what comes after cannot be believed, and clear text even less. */
static void fail_injected(struct next_hop_connection *connection)
{
    fail_tls(connection, "plaintext injected behind the answer to STARTTLS");
}

/* The handshake, or the protection before the first message. */
static void fail_handshake(struct next_hop_connection *connection)
{
    fail_tls(connection, stream_tls_error(connection->stream));
    /* Only a failure of TLS itself is remembered: that a certificate was not good enough for one
     * domain is no reason to go to the others in clear text. */
    if (tls_policy_may_fall_back(connection->tls_wanted.level)) {
        connection->may_be_retried_in_clear = true;
        tls_memory_note_failure(connection->tls_wanted.memory,
                                bytes_from_text(connection->host), connection->endpoint.port);
    }
}

static void keep_session(struct next_hop_connection *connection)
{
    if (connection->tls.version != NULL && connection->stream != NULL) {
        tls_memory_keep_session(connection->tls_wanted.memory,
                                bytes_from_text(connection->host), connection->endpoint.port,
                                stream_tls_session(connection->stream));
    }
}

static void write_and_note(struct next_hop_connection *connection, const struct strbuf *out)
{
    write_out(connection, out);
    note_stage(connection, true);
}

static void on_secure(void *context)
{
    struct next_hop_connection *connection = context;
    struct strbuf *out = &connection->scratch->wire;

    if (connection->fault != CONNECTION_FAULT_NONE) {
        return;
    }
    connection->tls = stream_tls_facts(connection->stream);
    note(connection, CONNECTION_NOTE_SECURED, BYTES(""));
    strbuf_reset(out);
    smtp_exchange_secured(connection->exchange, out);
    write_and_note(connection, out);
}

static void start_handshake(struct next_hop_connection *connection)
{
    struct connection_tls *wanted = &connection->tls_wanted;
    struct bytes host = bytes_from_text(connection->host);
    struct stream_tls_options options = {
        .context = wanted->context,
        .name = host,
        .verify = tls_policy_wants_name(wanted->level) ? STREAM_TLS_VERIFY_NAME
                                                       : STREAM_TLS_VERIFY_NONE,
        .session = tls_memory_session(wanted->memory, host, connection->endpoint.port),
        .timeout_ms = connection->times.handshake_ms,
        .peer = connection->watch == NULL ? NULL : connection->watch->peer,
        .on_secure = on_secure,
    };

    connection->deadline_ms = 0; /* the stream has one */
    if (!stream_start_tls(connection->stream, &options)) {
        fail_injected(connection);
    }
}

/* The host has greeted us. True: a transaction may begin. */
static bool follow_policy(struct next_hop_connection *connection, bool is_refused)
{
    struct connection_tls *wanted = &connection->tls_wanted;
    struct strbuf *out = &connection->scratch->wire;
    struct tls_circumstances now = {
        .is_offered = next_hop_connection_extensions(connection)->starttls,
        .is_refused = is_refused,
    };
    const char *why = NULL;

    if (wanted->level == TLS_LEVEL_OFF || connection->tls.version != NULL) {
        return true;
    }
    now.failed_lately = tls_memory_has_failed(wanted->memory, bytes_from_text(connection->host),
                                              connection->endpoint.port);
    switch (tls_policy_next_step(wanted->level, now, &why)) {
    case TLS_STEP_CLEAR:
        return true;
    case TLS_STEP_START:
        if (stream_input(connection->stream).len > 0) {
            fail_injected(connection); /* an answer before the question */
            return false;
        }
        strbuf_reset(out);
        smtp_exchange_start_tls(connection->exchange, out);
        write_and_note(connection, out);
        return false;
    case TLS_STEP_GIVE_UP:
        fail_tls(connection, why);
        connection->is_tls_missing = true;
        return false;
    }
    abort();
}

static void note_greeted(struct next_hop_connection *connection)
{
    connection->is_greeted = true;
    if (connection->tls.version != NULL) {
        tls_memory_note_success(connection->tls_wanted.memory,
                                bytes_from_text(connection->host), connection->endpoint.port);
        keep_session(connection);
    }
}

bool next_hop_connection_fulfils(const struct next_hop_connection *connection,
                                 enum tls_level level)
{
    switch (level) {
    case TLS_LEVEL_OFF:
        return true;
    case TLS_LEVEL_OPPORTUNISTIC: /* clear text is good enough only where TLS was not to be had */
        return connection->tls.version != NULL || connection->tls_wanted.level != TLS_LEVEL_OFF;
    case TLS_LEVEL_REQUIRED:
        return connection->tls.version != NULL;
    case TLS_LEVEL_VERIFIED:
        return connection->tls.is_verified;
    }
    abort();
}

/* ---- the stream ---- */

static void on_connected(void *context)
{
    struct next_hop_connection *connection = context;

    connection->is_connected = true;
    connection->local =
        stream_local(connection->stream); /* here, because it is a system call */
    note(connection, CONNECTION_NOTE_CONNECTED, BYTES(""));
    note_stage(connection, true);
}

static void on_end(void *context, enum stream_end end)
{
    struct next_hop_connection *connection = context;

    if (connection->fault != CONNECTION_FAULT_NONE) {
        return;
    }
    connection->end = end;
    if (end == STREAM_END_TLS && !connection->is_greeted) {
        fail_handshake(connection);
    } else {
        note_fault(connection,
                   connection->is_connected ? CONNECTION_FAULT_END : CONNECTION_FAULT_CONNECT);
    }
    tell(connection, CONNECTION_BROKEN);
}

/* False: our content cannot be read. */
static bool send_content(struct next_hop_connection *connection)
{
    switch (content_sender_fill(&connection->sender, connection->stream, connection->scratch)) {
    case CONTENT_SENDER_FINISHED:
        smtp_exchange_content_sent(connection->exchange);
        note(connection, CONNECTION_NOTE_CONTENT, BYTES(""));
        connection->dot_mark =
            stream_output_sent(connection->stream) + stream_output_waiting(connection->stream);
        return true;
    case CONTENT_SENDER_WAIT:
        return true;
    case CONTENT_SENDER_FAILED:
        note_fault(connection, CONNECTION_FAULT_CONTENT);
        return false;
    }
    abort();
}

static void on_drained(void *context)
{
    struct next_hop_connection *connection = context;

    if (connection->fault != CONNECTION_FAULT_NONE || connection->sender.is_finished ||
        smtp_exchange_stage(connection->exchange) != SMTP_STAGE_CONTENT) {
        return;
    }
    if (!send_content(connection)) {
        tell(connection, CONNECTION_BROKEN);
        return;
    }
    note_stage(connection, true);
}

struct heard {
    bool is_ready, is_done, has_written;
};

/* Reads on until nothing whole is left. What a next hop sends beyond the answers it owes breaks
 * the dialogue, also right behind the last answer: it would be taken for the answer to the
 * next. */
static void read_replies(struct next_hop_connection *connection, struct heard *heard)
{
    enum smtp_exchange_event event = SMTP_EXCHANGE_READY;

    while (connection->fault == CONNECTION_FAULT_NONE && event != SMTP_EXCHANGE_WAIT) {
        struct strbuf *out = &connection->scratch->wire;
        struct bytes input = stream_input(connection->stream);
        size_t used = 0;

        if (input.len == 0) {
            return;
        }
        strbuf_reset(out);
        event = smtp_exchange_input(connection->exchange, input, &used, out);
        note(connection, CONNECTION_NOTE_HEARD,
             event == SMTP_EXCHANGE_BROKEN ? input : bytes_first(input, used));
        stream_consume(connection->stream, used);
        if (out->len > 0) {
            heard->has_written = true;
            write_out(connection, out);
        }
        switch (event) {
        case SMTP_EXCHANGE_WAIT:
            break;
        case SMTP_EXCHANGE_READY:
            heard->is_ready = follow_policy(connection, false);
            break;
        case SMTP_EXCHANGE_START_TLS:
            start_handshake(connection);
            break;
        case SMTP_EXCHANGE_TLS_REFUSED:
            heard->is_ready = follow_policy(connection, true);
            break;
        case SMTP_EXCHANGE_READY_FOR_CONTENT:
            heard->has_written = true;
            send_content(connection);
            break;
        case SMTP_EXCHANGE_DONE:
            heard->is_done = true;
            break;
        case SMTP_EXCHANGE_BROKEN:
            note_fault(connection, CONNECTION_FAULT_REPLY);
            break;
        }
    }
}

static void on_input(void *context)
{
    struct next_hop_connection *connection = context;
    struct heard heard = {.is_ready = false};

    if (connection->fault != CONNECTION_FAULT_NONE) {
        stream_consume(connection->stream, stream_input(connection->stream).len);
        return;
    }
    read_replies(connection, &heard);
    if (connection->fault == CONNECTION_FAULT_NONE) {
        note_stage(connection, heard.has_written);
    }
    if (heard.is_done) {
        tell(connection, CONNECTION_DONE); /* the results are good whatever came behind them */
    } else if (connection->fault != CONNECTION_FAULT_NONE) {
        tell(connection, CONNECTION_BROKEN);
    } else if (heard.is_ready && connection->messages == 0) {
        note_greeted(connection);
        tell(connection, CONNECTION_READY);
    }
}

static const struct stream_callbacks callbacks = {on_connected, on_input, on_drained, on_end};

/* ---- what the holder does ---- */

struct next_hop_connection *next_hop_connection_new(struct event_loop *loop,
                                                    struct content_scratch *scratch,
                                                    const struct connection_settings *settings,
                                                    const struct next_hop *hop,
                                                    connection_handler handler, void *context)
{
    struct next_hop_connection *connection = memory_zero(sizeof *connection);

    connection->host = memory_zero(hop->host.len + 1);
    if (hop->host.len > 0) {
        memcpy(connection->host, hop->host.data, hop->host.len);
    }
    connection->endpoint = hop->endpoint;
    connection->stage = SMTP_STAGE_BANNER;
    list_init(&connection->node);
    connection->loop = loop;
    connection->scratch = scratch;
    connection->times = settings->times;
    if (connection->times.handshake_ms == 0) {
        connection->times.handshake_ms = connection->times.command_ms;
    }
    connection->tls_wanted = settings->tls;
    assert(settings->tls.level == TLS_LEVEL_OFF ||
           (settings->tls.context != NULL && settings->tls.memory != NULL));
    tls_context_hold(settings->tls.context);
    connection->watch = settings->watch;
    connection->handler = handler;
    connection->context = context;
    connection->exchange = smtp_exchange_new(settings->helo_name);
    connection->timer = loop_timer_new(loop, on_timer, connection);
    connection->stream = stream_connect(loop, &hop->endpoint, settings->source,
                                        settings->times.connect_ms, &callbacks, connection);
    note(connection, CONNECTION_NOTE_BEGUN, BYTES(""));
    return connection;
}

void next_hop_connection_hand_over(struct next_hop_connection *connection,
                                   connection_handler handler, void *context)
{
    connection->handler = handler;
    connection->context = context;
}

/* Is it our turn to say something? */
static bool is_between_messages(const struct next_hop_connection *connection)
{
    return connection->fault == CONNECTION_FAULT_NONE && connection->is_connected &&
           smtp_exchange_stage(connection->exchange) == SMTP_STAGE_IDLE &&
           stream_input(connection->stream).len == 0;
}

bool next_hop_connection_is_used_up(const struct next_hop_connection *connection)
{
    unsigned most = next_hop_connection_extensions(connection)->mail_max;

    return most > 0 && connection->messages >= most;
}

bool next_hop_connection_is_usable(const struct next_hop_connection *connection)
{
    return is_between_messages(connection) && !next_hop_connection_is_used_up(connection);
}

static void begin_transaction(struct next_hop_connection *connection)
{
    assert(next_hop_connection_is_usable(connection));
    connection->messages++;
    connection->is_resting = false;
}

void next_hop_connection_mail(struct next_hop_connection *connection, struct bytes mail_line,
                              struct smtp_exchange_recipient *recipients, size_t count,
                              struct bytes head, const struct content *content)
{
    struct strbuf out;

    begin_transaction(connection);
    connection->sender = (struct content_sender){.head = head, .content = content};
    /* Its own buffer, because the envelope of many recipients may be longer than a piece. */
    strbuf_init(&out, SIZE_MAX / 2);
    smtp_exchange_mail(connection->exchange, mail_line, recipients, count, &out);
    connection->sender.is_chunked = smtp_exchange_is_chunked(connection->exchange);
    write_out(connection, &out);
    strbuf_clear(&out);
    note_stage(connection, true);
}

void next_hop_connection_ask(struct next_hop_connection *connection, struct bytes mail_line,
                             struct smtp_exchange_recipient *recipients, size_t count)
{
    struct strbuf out;

    begin_transaction(connection);
    connection->questions++;
    connection->sender = (struct content_sender){.content = NULL};
    strbuf_init(&out, SIZE_MAX / 2);
    smtp_exchange_ask(connection->exchange, mail_line, recipients, count, &out);
    write_out(connection, &out);
    strbuf_clear(&out);
    note_stage(connection, true);
}

void next_hop_connection_rest(struct next_hop_connection *connection, uint64_t idle_ms)
{
    connection->is_resting = true;
    set_deadline(connection, idle_ms);
}

void next_hop_connection_forgo_chunks(struct next_hop_connection *connection)
{
    smtp_exchange_forgo_chunks(connection->exchange);
}

bool next_hop_connection_has_refused_chunk(const struct next_hop_connection *connection)
{
    return smtp_exchange_has_refused_chunk(connection->exchange);
}

const struct smtp_extensions *
next_hop_connection_extensions(const struct next_hop_connection *connection)
{
    return smtp_exchange_extensions(connection->exchange);
}

const struct smtp_reply *next_hop_connection_last(const struct next_hop_connection *connection)
{
    return smtp_exchange_last(connection->exchange);
}

static void let_go(struct next_hop_connection **connection)
{
    struct next_hop_connection *gone = *connection;

    note(gone, CONNECTION_NOTE_ENDED, BYTES(""));
    list_remove(&gone->node);
    loop_timer_free(&gone->timer);
    smtp_exchange_free(&gone->exchange);
    tls_context_drop(&gone->tls_wanted.context);
    free(gone->host);
    free(gone);
    *connection = NULL;
}

void next_hop_connection_free(struct next_hop_connection **connection)
{
    struct strbuf *out;

    if (*connection == NULL) {
        return;
    }
    if (!is_between_messages(*connection)) {
        next_hop_connection_abort(connection);
        return;
    }
    out = &(*connection)->scratch->wire;
    strbuf_reset(out);
    smtp_exchange_quit((*connection)->exchange, out);
    write_out(*connection, out);
    keep_session(*connection);
    stream_finish(&(*connection)->stream);
    let_go(connection);
}

void next_hop_connection_abort(struct next_hop_connection **connection)
{
    if (*connection == NULL) {
        return;
    }
    stream_close(&(*connection)->stream);
    let_go(connection);
}
