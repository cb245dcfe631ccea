/*
 * From DATA or the first BDAT to the answer to the final dot or the last chunk, in the order it happens:
 *
 *   1 inbound_content_begin  an id for the message, a place for its octets
 *   2 inbound_content_input  octets are unstuffed and kept; nothing is decided before the end
 *     inbound_content_chunk  the same without dots
 *   3 inbound_content_end    what the octets themselves forbid: bare CR or LF, size
 *     may_be_carried         what it carries, and its header: inbound_rules.c has looked on
 *   4 judge                  who sent it, what do scanners say, and was it here before? May wait for DNS and
 *     inbound_content_learned  for them
 *   5 is_munged_if_wanted    the author in our own name, where the policy has it so
 *   6 inbound_returns_count  addresses that we signed may be used so often and not more
 *     store_long_addresses   stored tokens are made durable, so that no bounce or reply is lost
 *   7 submit                 sealed, the message goes to the queue ...
 *   8 on_answer              ... and only when it is safe, here or at its next hops, the client reads 250
 */
#include "inbound_session.h"

#include "io/clock.h"
#include "mail/header_block.h"
#include "mail/results_field.h"
#include "mail/trace_field.h"

#include <assert.h>
#include <stdlib.h>

enum {
    HEADER_EXCESS = STREAM_INPUT_LIMIT, /* what may come behind a header in one piece */
    PREFIX_LIMIT = 64 * 1024,
    SHORT_HEADER = 16 * 1024, /* may come in however little memory is left */
};

void inbound_content_begin(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;

    transaction->started_ms = clock_unix_ms();
    transaction->begun_ms = event_loop_now_ms(session->server->loop);
    transaction->id = message_id_next(session->server->ids, transaction->started_ms);
    transaction->content = content_new(session->options->spool_directory);
    /* Of what a chunk begins nothing is kept, and it is answered when the whole of it has come. */
    transaction->content_status = inbound_memory_is_short(session) ? CONTENT_FULL : CONTENT_OK;
    strbuf_init(&transaction->header, session->options->header_size + HEADER_EXCESS);
    inbound_seal_begin(session);
    inbound_rules_begin(session);
}

static void store(struct inbound_transaction *transaction, struct bytes octets)
{
    if (content_size(transaction->content) + octets.len > transaction->size_limit) {
        transaction->is_too_big = true;
    }
    if (!transaction->is_too_big && transaction->content_status == CONTENT_OK &&
        !transaction->is_header_too_large) {
        transaction->content_status = content_append(transaction->content, octets);
    }
}

/* What stands behind the empty line. */
static void look_at_body(struct inbound_session *session, struct bytes octets)
{
    inbound_auth_body(session, octets);
    inbound_seal_body(session, octets);
}

static void take_body(struct inbound_session *session, struct bytes octets)
{
    store(&session->transaction, octets);
    if (!session->transaction.is_too_big) {
        look_at_body(session, octets);
    }
}

/* The fields go on behind a line that is none: others read on there up to the empty line. */
static struct bytes skip_line(struct bytes rest)
{
    return bytes_skip(rest, bytes_find_part(rest, BYTES("\r\n")) + 2);
}

/* All above the empty line but for the results that claim to be ours (RFC 8601 §5): nothing else of
 * the message is ever left out. Returns whether there were any. */
static bool each_kept(const struct inbound_session *session, struct bytes top,
                      void (*take)(void *context, struct bytes octets), void *context)
{
    struct bytes rest = top, forged;
    const char *kept = top.data;
    bool has_forged = false;

    while (session->options->authserv_id.len > 0 && rest.len > 0) {
        while (results_field_next_ours(&rest, session->options->authserv_id, &forged)) {
            take(context, bytes_of(kept, (size_t)(forged.data - kept)));
            kept = forged.data + forged.len;
            has_forged = true;
        }
        rest = skip_line(rest);
    }
    take(context, bytes_of(kept, top.len - (size_t)(kept - top.data)));
    return has_forged;
}

static void store_kept(void *context, struct bytes octets)
{
    store(context, octets);
}

static void add_kept(void *context, struct bytes octets)
{
    strbuf_add(context, octets);
}

void inbound_content_add_kept(const struct inbound_session *session, struct bytes header,
                              struct strbuf *out)
{
    (void)each_kept(session, header, add_kept, out);
}

/* Nobody hides an author behind a line that is no field. */
static struct bytes fields_of(struct inbound_session *session, struct bytes top, size_t length)
{
    struct arena *arena = session->transaction.arena;
    struct bytes rest = top;
    struct strbuf fields;
    struct bytes copy;

    if (length == top.len) {
        return top;
    }
    strbuf_init(&fields, top.len + 1);
    while (rest.len > 0) {
        size_t block = header_block_length(rest);
        strbuf_add(&fields, bytes_first(rest, block));
        rest = skip_line(bytes_skip(rest, block));
    }
    copy = arena_copy(arena, strbuf_bytes(&fields));
    strbuf_clear(&fields);
    return copy;
}

/* The first `length` octets of what was kept stand above the empty line. The header ends there, or
 * where a line is no field. */
static void end_header(struct inbound_session *session, size_t length)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct bytes octets = strbuf_bytes(&transaction->header);
    struct bytes top = bytes_first(octets, length);
    struct bytes header = bytes_first(octets, header_block_length(top));
    struct bytes body = bytes_skip(octets, header.len);

    transaction->has_header = true;
    if (header.len > session->options->header_size) {
        transaction->is_header_too_large = true;
        return;
    }
    inbound_rules_header(session, top);
    transaction->has_forged_results = each_kept(session, top, store_kept, transaction);
    store(transaction, bytes_skip(octets, top.len));
    if (transaction->check != NULL) {
        inbound_auth_header(session, fields_of(session, top, header.len));
    }
    /* The empty line belongs to neither. */
    look_at_body(session, bytes_skip(body, bytes_starts_with(body, BYTES("\r\n")) ? 2 : 0));
    strbuf_truncate(&transaction->header, header.len);
}

/* Collects the header until its empty line has come. */
static void take_header(struct inbound_session *session, struct bytes octets)
{
    struct strbuf *header = &session->transaction.header;
    size_t seen = header->len < 3 ? 0 : header->len - 3; /* the end may be cut anywhere */
    struct bytes unseen;
    size_t end;

    if (header->len + octets.len > SHORT_HEADER && inbound_memory_is_short(session)) {
        session->transaction.content_status = CONTENT_FULL;
        session->transaction.has_header = true;
        strbuf_clear(header);
        return;
    }
    strbuf_add(header, octets);
    if (header->overflowed) {
        session->transaction.has_header = true;
        session->transaction.is_header_too_large = true;
        return;
    }
    if (bytes_starts_with(strbuf_bytes(header), BYTES("\r\n"))) {
        end_header(session, 0);
        return;
    }
    unseen = bytes_skip(strbuf_bytes(header), seen);
    end = bytes_find_part(unseen, BYTES("\r\n\r\n"));
    if (end < unseen.len) {
        end_header(session, seen + end + 2);
    }
}

static void take_octets(void *context, struct bytes octets)
{
    struct inbound_session *session = context;

    if (session->transaction.walk != NULL && !session->transaction.is_too_big) {
        inbound_rules_octets(session, octets);
    }
    if (session->transaction.has_header) {
        take_body(session, octets);
    } else {
        take_header(session, octets);
    }
}

/* The transaction is over; `why` is for the log. */
static void answer_content(struct inbound_session *session, unsigned code, const char *enhanced,
                           struct bytes text, const char *why)
{
    if (code >= 400) {
        session->refused++;
        inbound_log_not_accepted(
            session,
            &(struct decision){.code = code, .enhanced = enhanced, .text = text, .why = why});
    }
    session->wait = INBOUND_WAITS_NOTHING;
    smtp_dialogue_content_done(&session->dialogue);
    inbound_session_reply(session, code, enhanced, text);
    inbound_transaction_reset(session); /* the text may have lived in its arena */
}

static void refuse_content(struct inbound_session *session, unsigned code, const char *enhanced,
                           const char *text, const char *why)
{
    answer_content(session, code, enhanced, bytes_from_text(text), why);
}

static void answer_accepted(struct inbound_session *session)
{
    struct strbuf text;

    session->messages++;
    session->commands = 0;
    inbound_limits_praise(session);
    strbuf_init(&text, 128);
    strbuf_add_text(&text, "ok id=");
    strbuf_add_text(&text, message_id_text(session->transaction.id).text);
    answer_content(session, 250, "2.0.0", strbuf_bytes(&text), NULL);
    strbuf_clear(&text);
}

static void on_answer(void *context, const struct queue_answer *answer)
{
    struct inbound_session *session = context;

    session->ticket = NULL;
    switch (answer->verdict) {
    case QUEUE_SAFE:
    case QUEUE_DELIVERED:
        inbound_log_accepted(session, session->transaction.deliveries,
                             answer->verdict == QUEUE_SAFE ? "stored" : "delivered");
        answer_accepted(session);
        break;
    case QUEUE_REFUSED:
        answer_content(session, answer->code, answer->enhanced, answer->text,
                       "refused-by-next-hop");
        break;
    case QUEUE_FULL:
        refuse_content(session, 452, "4.3.1", "insufficient storage, try again later",
                       "storage-full");
        break;
    case QUEUE_FAILED:
        refuse_content(session, 451, "4.3.0", "cannot store the message now, try again later",
                       "storage-failed");
        break;
    }
    inbound_session_go_on(session);
}

static bool is_auto_submitted(struct bytes header)
{
    struct header_field field;
    struct strbuf value;
    bool is_automatic;

    if (!header_block_find(header, BYTES("Auto-Submitted"), &field)) {
        return false;
    }
    strbuf_init(&value, 256);
    header_value_add(&value, field.value);
    is_automatic = !bytes_equal_nocase(strbuf_bytes(&value), BYTES("no"));
    strbuf_clear(&value);
    return is_automatic;
}

/* Why it waits for an operator; NULL: it does not. */
static const char *held_why(const struct inbound_session *session)
{
    if (session->transaction.judgement.manner == FORWARD_HELD) {
        return "held: DMARC cannot pass after forwarding";
    }
    return inbound_rules_hold(session) ? "held: content that is blocked"
                                       : inbound_scan_held_why(session);
}

static void hand_over(struct inbound_session *session,
                      const struct queue_submission *submission)
{
    const struct inbound_rehearsal *rehearsal = session->server->rehearsal;

    if (rehearsal == NULL) {
        inbound_session_begin_wait(session, INBOUND_WAITS_QUEUE);
        session->ticket = queue_submit(session->server->queue, submission, on_answer, session);
        return;
    }
    rehearsal->on_message(rehearsal->context, submission);
    inbound_log_accepted(session, submission->count, "rehearsed");
    answer_accepted(session);
}

static void submit(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    bool is_return = transaction->recipient_count == 1 &&
                     transaction->recipients[0].route.kind == ROUTE_RETURN;
    struct envelope envelope = {
        .kind = is_return ? ENVELOPE_RETURN : ENVELOPE_FORWARD,
        .sender = transaction->sender_text,
        .is_8bit = transaction->is_8bit,
        .is_utf8 = transaction->is_utf8,
        .requires_tls = transaction->requires_tls,
        .is_auto_submitted = transaction->is_auto_submitted,
        .is_proven = inbound_auth_is_proven(session),
        .is_own_sender = inbound_auth_is_own_sender(session),
        .client_ip = bytes_from_text(session->peer_text.text),
        .client_helo = strbuf_bytes(&session->helo),
        .session = bytes_from_text(session->id),
        .ret = transaction->ret,
        .envid = transaction->envid,
    };
    struct queue_submission submission = {
        .id = transaction->id,
        .created_ms = transaction->started_ms,
        .envelope = &envelope,
        .content = transaction->content,
        .handoff_ms = session->has_peer_ended ? 0 : session->options->handoff_ms,
        .held_why = held_why(session),
    };
    struct strbuf trace, prefix;

    submission.recipients = inbound_gather_deliveries(session, &submission.count);
    transaction->deliveries = submission.count;
    if (submission.count == 0) {
        inbound_log_accepted(session, 0, "discarded");
        answer_accepted(session); /* everything is to be discarded */
        return;
    }
    strbuf_init(&trace, PREFIX_LIMIT);
    strbuf_init(&prefix, 2 * PREFIX_LIMIT);
    inbound_auth_add_results(session, &trace);
    inbound_rules_add(session, &trace);
    inbound_scan_add(session, &trace);
    inbound_standing_add_results(session, &trace);
    inbound_trace_add_received(session, &trace);
    inbound_seal_add(session, strbuf_bytes(&trace), &prefix);
    strbuf_add(&prefix, strbuf_bytes(&trace));
    submission.prefix = strbuf_bytes(&prefix);
    envelope.is_utf8_header =
        transaction->is_utf8 && !(bytes_is_ascii(strbuf_bytes(&transaction->header)) &&
                                  bytes_is_ascii(submission.prefix));
    hand_over(session, &submission);
    strbuf_clear(&prefix);
    strbuf_clear(&trace);
}

static void on_sender_stored(struct inbound_session *session, enum state_status status)
{
    struct inbound_transaction *transaction = &session->transaction;

    transaction->tokens_failed |= status != STATE_OK;
    if (--transaction->tokens_open > 0) {
        return;
    }
    session->wait = INBOUND_WAITS_NOTHING;
    if (transaction->tokens_failed) {
        refuse_content(session, 451, "4.3.0",
                       "cannot store an address of this message, try again later",
                       "sender-store-failed");
    } else {
        submit(session);
    }
    inbound_session_go_on(session);
}

static void store_address(struct inbound_session *session, struct bytes token,
                          struct bytes address, int64_t expires_ms)
{
    session->transaction.tokens_open++;
    inbound_state_write(session, token, address, expires_ms, on_sender_stored);
}

/* True: some addresses are on their way to the state store, submit follows when they are there. */
static bool store_long_addresses(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    int64_t expires_ms =
        transaction->started_ms +
        ((int64_t)session->options->routes.srs->max_age_days + 1) * 86400 * 1000;

    for (size_t i = 0; i < transaction->recipient_count; i++) {
        const struct rewrite_plan *plan = &transaction->recipients[i].plan;
        if (transaction->recipients[i].route.kind != ROUTE_DISCARD &&
            plan->kind == REWRITE_STORE) {
            store_address(session, plan->token, plan->stored, expires_ms);
        }
    }
    if (transaction->reply_token.len > 0) {
        store_address(session, transaction->reply_token, transaction->reply_author, expires_ms);
    }
    if (transaction->tokens_open > 0) {
        inbound_session_begin_wait(session, INBOUND_WAITS_STORE);
    }
    return transaction->tokens_open > 0;
}

/* Recipients whose mark the message carries have had their copy: it is on its way round.
 * Returns how many are left. */
static size_t drop_looping_recipients(struct inbound_session *session, struct bytes header)
{
    struct inbound_transaction *transaction = &session->transaction;
    size_t kept = 0;

    if (!trace_field_has_loop_marks(header)) {
        return transaction->recipient_count;
    }
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        struct loop_mark mark = trace_field_loop_mark(session->options->loop_secret,
                                                      transaction->recipients[i].route.alias);
        if (trace_field_has_loop_mark(header, &mark)) {
            inbound_log_recipient(session, &transaction->recipients[i], "loop-stopped");
        } else {
            transaction->recipients[kept++] = transaction->recipients[i];
        }
    }
    transaction->recipient_count = kept;
    return kept;
}

/* The header is right: how often has the message been passed on, and was it here before? */
static bool may_travel_on(struct inbound_session *session, struct bytes header)
{
    session->transaction.is_auto_submitted = is_auto_submitted(header);
    if (header_block_count(header, BYTES("Received")) > session->options->hops) {
        refuse_content(session, 554, "5.4.6", "too many hops, this message is looping", "hops");
        return false;
    }
    if (drop_looping_recipients(session, header) == 0) {
        refuse_content(session, 554, "5.4.6",
                       "mail loop: this message was forwarded here before", "loop");
        return false;
    }
    return true;
}

/* What room forward says of what it carries. No DNS answer changes that. */
static bool may_be_carried(struct inbound_session *session)
{
    struct decision decision = inbound_rules_judge(session);

    if (decision.disposition != DECISION_ACCEPT) {
        answer_content(session, decision.code, decision.enhanced, decision.text, decision.why);
        return false;
    }
    return true;
}

/* What room forward says of who sent it, and of what scanners found. */
static bool may_be_accepted(struct inbound_session *session)
{
    struct decision decision = inbound_auth_judge(session);

    if (decision.disposition == DECISION_ACCEPT) {
        decision = inbound_scan_judge(session);
    }
    if (decision.disposition != DECISION_ACCEPT) {
        answer_content(session, decision.code, decision.enhanced, decision.text, decision.why);
        return false;
    }
    return true;
}

/* False: its octets could not be kept, the answer has gone out. */
static bool is_kept(struct inbound_session *session)
{
    switch (session->transaction.content_status) {
    case CONTENT_OK:
        return true;
    case CONTENT_FULL:
        refuse_content(session, 452, "4.3.1", "insufficient storage, try again later",
                       "storage-full");
        return false;
    case CONTENT_FAILED:
        refuse_content(session, 451, "4.3.0", "cannot store the message now, try again later",
                       "content-failed");
        return false;
    }
    return false;
}

/* Where room forward wants the author said in our name. */
static bool is_munged_if_wanted(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (transaction->judgement.manner != FORWARD_MUNGED) {
        return true;
    }
    if (!inbound_seal_munge(session)) {
        refuse_content(
            session, 550, "5.7.1",
            "DMARC cannot pass after forwarding, and no reply could reach the author",
            "doomed");
        return false;
    }
    return is_kept(session);
}

static void judge(struct inbound_session *session)
{
    if (may_be_accepted(session) &&
        may_travel_on(session, strbuf_bytes(&session->transaction.header)) &&
        is_munged_if_wanted(session) && !inbound_returns_count(session)) {
        inbound_content_counted(session, INBOUND_RETURN_FINE);
    }
}

/* What is counted from here on has been sent on, whatever becomes of it. */
static void send_on(struct inbound_session *session)
{
    struct decision decision;

    if (!inbound_budget_take(session, &decision)) {
        answer_content(session, decision.code, decision.enhanced, decision.text, decision.why);
    } else if (!store_long_addresses(session)) {
        submit(session);
    }
}

void inbound_content_learned(struct inbound_session *session)
{
    if (session->wait == INBOUND_WAITS_AUTH && inbound_auth_is_done(session) &&
        inbound_scan_is_done(session)) {
        session->wait = INBOUND_WAITS_NOTHING;
        judge(session);
        inbound_session_go_on(session);
    }
}

void inbound_content_counted(struct inbound_session *session,
                             enum inbound_return_verdict verdict)
{
    switch (verdict) {
    case INBOUND_RETURN_FINE:
        send_on(session);
        break;
    case INBOUND_RETURN_TOO_OFTEN:
        refuse_content(session, 450, "4.7.1",
                       "too many messages to this return address, try again later",
                       "return-rate");
        break;
    case INBOUND_RETURN_USED_UP:
        refuse_content(session, 550, "5.7.1", "this return address has been used too often",
                       "return-used-up");
        break;
    }
}

/* What stands behind it may be what two servers disagree about: hang up. */
static void end_smuggling(struct inbound_session *session, const char *text, const char *why)
{
    refuse_content(session, 550, "5.6.11", text, why);
    if (!session->is_closed) {
        stream_finish(&session->stream);
        inbound_session_close(session, why);
    }
}

bool inbound_content_is_fine(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (transaction->decoder.has_bare_cr_or_lf) {
        end_smuggling(session, "bare CR or LF in the message", "bare-cr-or-lf");
        return false;
    }
    if (transaction->decoder.has_hidden_dot) {
        end_smuggling(session, "NUL before a dot at the start of a line", "hidden-dot");
        return false;
    }
    if (transaction->is_too_big) {
        refuse_content(session, 552, "5.3.4", "message too large", "too-large");
        return false;
    }
    if (!is_kept(session)) {
        return false;
    }
    if (transaction->is_header_too_large) {
        refuse_content(session, 552, "5.3.4", "message header too large", "header-too-large");
        return false;
    }
    return true;
}

void inbound_content_end(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    bool is_known;

    transaction->ended_ms = event_loop_now_ms(session->server->loop);
    if (!transaction->has_header) {
        end_header(session, transaction->header.len);
    }
    if (transaction->content_status == CONTENT_OK) {
        transaction->content_status = content_seal(transaction->content);
    }
    if (!inbound_content_is_fine(session) || !may_be_carried(session)) {
        return;
    }
    is_known = inbound_auth_end(session);
    if (inbound_scan_begin(session) && is_known) {
        judge(session);
    } else {
        inbound_session_begin_wait(session, INBOUND_WAITS_AUTH);
    }
}

size_t inbound_content_input(struct inbound_session *session, struct bytes input)
{
    struct inbound_transaction *transaction = &session->transaction;

    transaction->size_limit = session->options->message_size;
    return smtp_content_decode(&transaction->decoder, input, take_octets, session);
}

void inbound_content_chunk(struct inbound_session *session, struct bytes octets)
{
    struct inbound_transaction *transaction = &session->transaction;

    transaction->size_limit = session->options->message_size;
    smtp_content_scan(&transaction->decoder, octets, take_octets, session);
}

void inbound_content_last_chunk(struct inbound_session *session)
{
    smtp_content_scan_end(&session->transaction.decoder, take_octets, session);
    inbound_content_end(session);
}
