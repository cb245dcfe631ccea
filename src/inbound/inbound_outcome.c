/*
 * What the log says of a message at the end of its transaction, taken or not.
 */
#include "inbound_session.h"

#include "io/clock.h"
#include "mail/header_block.h"

enum { MESSAGE_ID_LIMIT = 512, RECIPIENTS_LOGGED = 20 };

void inbound_log_recipient(struct inbound_session *session,
                           const struct inbound_recipient *recipient, const char *event)
{
    struct log_line line;

    inbound_session_log(session, &line, LOG_INFO, event);
    log_address(&line, "from", session->transaction.sender_text);
    log_address(&line, "orig_to", recipient->route.alias);
    log_end(&line);
}

static void add_recipients(const struct inbound_transaction *transaction, struct log_line *line)
{
    for (size_t i = 0; i < transaction->recipient_count && i < RECIPIENTS_LOGGED; i++) {
        log_address(line, "orig_to", transaction->recipients[i].route.alias);
    }
    log_number(line, "rcpts", (int64_t)transaction->recipient_count);
}

/* Recipients that are senders of before: bounces on their way back. */
static void add_returns(const struct inbound_transaction *transaction, struct log_line *line)
{
    int64_t count = 0;

    for (size_t i = 0; i < transaction->recipient_count; i++) {
        count += transaction->recipients[i].route.kind == ROUTE_RETURN;
    }
    if (count > 0) {
        log_number(line, "returns", count);
    }
}

/* Since the final dot, or the last chunk; some are refused before that. */
static void add_answer_time(const struct inbound_session *session, struct log_line *line)
{
    uint64_t ended_ms = session->transaction.ended_ms;

    if (ended_ms != 0) {
        log_number(line, "answer_ms",
                   (int64_t)(event_loop_now_ms(session->server->loop) - ended_ms));
    }
}

/* "<id>", with whatever stands around it. */
static struct bytes without_brackets(struct bytes text)
{
    size_t open = bytes_find(text, '<');
    struct bytes inside = bytes_skip(text, open + 1);
    size_t close = bytes_find(inside, '>');

    return close == inside.len ? text : bytes_first(inside, close);
}

/* What sender and recipient know the message by. One that is too long to be looked up is left out. */
static void add_message_id(const struct inbound_transaction *transaction, struct log_line *line)
{
    struct header_field field;
    struct strbuf value;

    if (!line->is_on ||
        !header_block_find(strbuf_bytes(&transaction->header), BYTES("Message-ID"), &field)) {
        return;
    }
    strbuf_init(&value, MESSAGE_ID_LIMIT);
    header_value_add(&value, field.value);
    if (value.len > 0 && !value.overflowed) {
        log_address(line, "message-id", without_brackets(strbuf_bytes(&value)));
    }
    strbuf_clear(&value);
}

void inbound_log_accepted(struct inbound_session *session, size_t deliveries, const char *how)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct log_line line;

    inbound_session_log(session, &line, LOG_INFO, "accepted");
    log_bytes(&line, "helo", strbuf_bytes(&session->helo));
    inbound_tls_log(session, &line);
    log_address(&line, "from", transaction->sender_text);
    add_recipients(transaction, &line);
    add_returns(transaction, &line);
    log_number(&line, "deliveries", (int64_t)deliveries);
    log_text(&line, "how", how);
    log_number(&line, "size", (int64_t)transaction->decoder.octets);
    log_number(&line, "ms", clock_unix_ms() - transaction->started_ms);
    add_answer_time(session, &line);
    add_message_id(transaction, &line);
    inbound_rules_log(session, &line);
    inbound_scan_log(session, &line);
    inbound_auth_log(session, &line);
    inbound_standing_log(session, &line);
    log_end(&line);
}

void inbound_log_not_accepted(struct inbound_session *session, const struct decision *decision)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct log_line line;

    inbound_session_log(session, &line, LOG_INFO,
                        decision->code >= 500 ? "message-refused" : "message-deferred");
    log_address(&line, "from", transaction->sender_text);
    add_recipients(transaction, &line);
    log_number(&line, "size", (int64_t)transaction->decoder.octets);
    log_number(&line, "code", decision->code);
    log_text(&line, "why", decision->why);
    add_answer_time(session, &line);
    inbound_log_reply(&line, decision);
    add_message_id(transaction, &line);
    inbound_rules_log(session, &line);
    inbound_scan_log(session, &line);
    if (transaction->is_judged) {
        inbound_auth_log(session, &line);
    }
    log_end(&line);
}

void inbound_log_reply(struct log_line *line, const struct decision *decision)
{
    if (decision->enhanced != NULL) {
        log_text(line, "dsn", decision->enhanced);
    }
    log_bytes(line, "reply", decision->text);
}
