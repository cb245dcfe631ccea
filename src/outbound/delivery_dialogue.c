/*
 * What is said to a next hop, in the order it happens:
 *
 *   1 delivery_start_transaction  MAIL, RCPT ..., DATA, content
 *   2 on_results                  per recipient; those whom LIMITS or "too many recipients" left over: 1
 *                                 again; 4xx: one more host is asked (delivery_hosts.c)
 *   3 on_broken                   at any time; before the envelope is answered the next host is tried
 *   and delivery_settle, when every recipient has its answer or no host is left
 */
#include "delivery_state.h"

#include "io/log.h"

#include <stdlib.h>

/* ---- where the attempt stands ---- */

static void report_connection(struct delivery_attempt *attempt)
{
    const struct next_hop_connection *connection = attempt->connection;
    struct delivery_report *report = &attempt->report;

    report->host = arena_copy(attempt->arena, bytes_from_text(connection->host));
    report->endpoint = connection->endpoint;
    report->tls = connection->tls;
    report->local = (struct bytes){"", 0};
    if (connection->local.address.family != IP_NONE) {
        struct ip_text text = ip_address_text(&connection->local.address);

        report->local = arena_copy(attempt->arena, bytes_from_text(text.text));
    }
}

static bool has_state(const struct delivery_attempt *attempt, enum recipient_state state)
{
    for (size_t i = 0; i < attempt->request.count; i++) {
        if (attempt->states[i] == state) {
            return true;
        }
    }
    return false;
}

static void replace_state(struct delivery_attempt *attempt, enum recipient_state from,
                          enum recipient_state to)
{
    for (size_t i = 0; i < attempt->request.count; i++) {
        if (attempt->states[i] == from) {
            attempt->states[i] = to;
        }
    }
}

/* ---- 1 the transaction ---- */

/* The message itself cannot go there, whoever it is for. */
static void refuse_unsent(struct delivery_attempt *attempt,
                          const struct delivery_result *result)
{
    for (size_t i = 0; i < attempt->request.count && !attempt->is_second_opinion; i++) {
        if (attempt->states[i] == RECIPIENT_OPEN || attempt->states[i] == RECIPIENT_TOO_MANY) {
            delivery_result_give(result, &attempt->request.recipients[i]);
            attempt->states[i] = RECIPIENT_CLOSED;
        }
    }
    attempt->transaction.count = 0;
    attempt->report.stage = "envelope";
    report_connection(attempt);
    delivery_settle(attempt);
}

/* Without SMTPUTF8: false when nothing can be sent, and it is settled. */
static bool can_go_without_utf8(struct delivery_attempt *attempt)
{
    struct transaction *transaction = &attempt->transaction;
    struct delivery_result refusal =
        delivery_result_of_announcement("5.6.7", "the next hop does not take SMTPUTF8");
    size_t *left_out, count;

    if (transaction_needs_utf8(&attempt->request)) {
        refuse_unsent(attempt, &refusal);
        return false;
    }
    left_out = arena_alloc(attempt->arena, (transaction->count + 1) * sizeof *left_out);
    count = transaction_leave_out_utf8(transaction, left_out);
    for (size_t i = 0; i < count && !attempt->is_second_opinion; i++) {
        delivery_result_give(&refusal, &attempt->request.recipients[left_out[i]]);
        attempt->states[left_out[i]] = RECIPIENT_CLOSED;
    }
    if (transaction->count == 0) {
        refuse_unsent(attempt, &refusal);
        return false;
    }
    return true;
}

static void note_trouble(struct delivery_attempt *attempt, struct delivery_result trouble);

/* The host is well, but does not promise what this message needs. */
static void leave_host_without_requiretls(struct delivery_attempt *attempt)
{
    attempt->transaction.count = 0;
    attempt->report.stage = "envelope";
    report_connection(attempt);
    note_trouble(attempt, delivery_trouble_without_requiretls());
    next_hop_connection_free(&attempt->connection);
    if (attempt->is_second_opinion) {
        delivery_settle(attempt);
    } else {
        delivery_find_hosts(attempt);
    }
}

/* Nothing depends on what the message is like: there is none. */
static void begin_question(struct delivery_attempt *attempt)
{
    struct transaction *transaction = &attempt->transaction;

    transaction_write_mail_line(transaction, &attempt->request,
                                next_hop_connection_extensions(attempt->connection), 0,
                                attempt->connection->tls.version != NULL);
    attempt->transfer_began_ms = event_loop_now_ms(attempt->outbound->loop);
    next_hop_connection_ask(attempt->connection, strbuf_bytes(&transaction->mail_line),
                            transaction->recipients, transaction->count);
}

static void begin_mail(struct delivery_attempt *attempt)
{
    const struct smtp_extensions *extensions =
        next_hop_connection_extensions(attempt->connection);
    struct transaction *transaction = &attempt->transaction;
    struct delivery_result refusal;
    uint64_t size;

    if (!delivery_may_have_it(attempt, attempt->connection)) {
        leave_host_without_requiretls(attempt);
        return;
    }
    if (!extensions->smtputf8 && !can_go_without_utf8(attempt)) {
        return;
    }
    transaction_keep_to_limits(transaction, extensions);
    if (attempt->request.content == NULL) {
        begin_question(attempt);
        return;
    }
    if (extensions->chunking &&
        (attempt->is_without_chunks || !destination_may_chunk(attempt->destination))) {
        next_hop_connection_forgo_chunks(attempt->connection);
    }
    transaction_write_head(transaction, &attempt->request, &attempt->options, attempt->arena);
    size = transaction->head.len + content_size(attempt->request.content);
    if (extensions->size && extensions->size_limit > 0 && size > extensions->size_limit) {
        refusal = delivery_result_of_announcement("5.3.4", "larger than the next hop's limit");
        refuse_unsent(attempt, &refusal);
        return;
    }
    transaction_write_mail_line(transaction, &attempt->request, extensions, size,
                                attempt->connection->tls.version != NULL);
    transaction_write_rcpt_parameters(transaction, &attempt->request, extensions,
                                      attempt->arena);
    attempt->transfer_began_ms = event_loop_now_ms(attempt->outbound->loop);
    next_hop_connection_mail(attempt->connection, strbuf_bytes(&transaction->mail_line),
                             transaction->recipients, transaction->count,
                             strbuf_bytes(&transaction->head), attempt->request.content);
}

/* Of whom there are any: those nobody has been asked about, then those who were too many. */
static enum recipient_state next_wanted(const struct delivery_attempt *attempt)
{
    if (attempt->is_second_opinion) {
        return RECIPIENT_SECOND;
    }
    return has_state(attempt, RECIPIENT_OPEN) ? RECIPIENT_OPEN : RECIPIENT_TOO_MANY;
}

void delivery_start_transaction(struct delivery_attempt *attempt)
{
    transaction_choose(&attempt->transaction, &attempt->request, attempt->states,
                       next_wanted(attempt), attempt->arena);
    begin_mail(attempt);
}

/* ---- 2 results ---- */

static void take_result(struct delivery_attempt *attempt, size_t position, bool is_any_accepted)
{
    const struct smtp_exchange_recipient *asked = &attempt->transaction.recipients[position];
    size_t index = attempt->transaction.indexes[position];
    bool is_after_content = attempt->connection->sender.is_finished && !is_any_accepted;
    struct delivery_result result =
        delivery_result_of_answer(asked, is_after_content, attempt->arena);

    /* The first host said 4xx: what the second one says counts only when it takes the message,
     * or a temporary failure would become a permanent one. */
    if (attempt->is_second_opinion && result.outcome != DELIVERY_SENT) {
        attempt->states[index] = RECIPIENT_DEFERRED;
        return;
    }
    delivery_result_give(&result, &attempt->request.recipients[index]);
    attempt->request.recipients[index].is_own_answer = asked->is_own;
    attempt->request.recipients[index].is_dsn_passed =
        result.outcome == DELIVERY_SENT &&
        next_hop_connection_extensions(attempt->connection)->dsn;
    switch (result.outcome) {
    case DELIVERY_SENT:
    case DELIVERY_PERMANENT:
        attempt->states[index] = RECIPIENT_CLOSED;
        break;
    case DELIVERY_TEMPORARY:
        attempt->states[index] = is_any_accepted && delivery_result_is_too_many(&asked->reply)
                                     ? RECIPIENT_TOO_MANY
                                     : RECIPIENT_DEFERRED;
        break;
    }
}

static void ask_another_host(struct delivery_attempt *attempt)
{
    attempt->is_second_opinion = true;
    replace_state(attempt, RECIPIENT_DEFERRED, RECIPIENT_SECOND);
    attempt->answered_host = attempt->report.host;
    attempt->preferred = (struct ip_endpoint){.port = 0};
    next_hop_connection_free(&attempt->connection);
    delivery_find_hosts(attempt);
}

/* Those whom LIMITS left over, and those who were too many though nothing was announced. Each
 * transaction answers for one at least, so there is an end. False: not over this connection, and no
 * new one is worth it. */
static bool go_on_with_the_rest(struct delivery_attempt *attempt)
{
    if (next_hop_connection_is_usable(attempt->connection)) {
        delivery_start_transaction(attempt);
        return true;
    }
    if (!next_hop_connection_is_used_up(attempt->connection) || attempt->is_second_opinion) {
        return false;
    }
    delivery_prefer_same_host(attempt);
    next_hop_connection_free(&attempt->connection);
    delivery_find_hosts(attempt);
    return true;
}

static bool is_worth_asking_another(const struct delivery_attempt *attempt)
{
    const struct next_hop_list *list;

    if (attempt->is_second_opinion || !has_state(attempt, RECIPIENT_DEFERRED)) {
        return false;
    }
    if (attempt->hops == NULL) {
        return true; /* a kept connection: the list must be found first */
    }
    list = &attempt->hops->list;
    for (size_t i = 0; i < list->count; i++) {
        if (!attempt->is_tried[i] &&
            !bytes_equal_nocase(list->hops[i].host, attempt->report.host)) {
            return true;
        }
    }
    return false;
}

static void log_refused_chunk(const struct delivery_attempt *attempt)
{
    const struct next_hop_connection *connection = attempt->connection;
    const struct smtp_reply *reply = next_hop_connection_last(connection);
    struct ip_text endpoint = ip_endpoint_text(&connection->endpoint);
    struct log_line line;

    log_begin(&line, LOG_INFO, "chunking-refused");
    log_text(&line, "host", connection->host);
    log_text(&line, "endpoint", endpoint.text);
    log_number(&line, "code", reply->code);
    log_bytes(&line, "reply", bytes_of(reply->text, reply->text_len));
    log_text(&line, "next", "data");
    log_end(&line);
}

/* It offers CHUNKING and does not know BDAT: nobody has had an answer. The same again by DATA, here if that
 * is possible. */
static void repeat_with_data(struct delivery_attempt *attempt)
{
    log_refused_chunk(attempt);
    destination_note_no_chunks(attempt->destination);
    attempt->is_without_chunks = true;
    attempt->transaction.count = 0;
    if (next_hop_connection_is_usable(attempt->connection)) {
        attempt->is_repeating = true;
        delivery_start_transaction(attempt);
    } else {
        delivery_try_host_again(attempt);
    }
}

static void on_results(struct delivery_attempt *attempt)
{
    struct transaction *transaction = &attempt->transaction;
    bool is_content_sent = attempt->connection->sender.is_finished;
    bool is_any_accepted = false;

    attempt->report.transfer_ms +=
        event_loop_now_ms(attempt->outbound->loop) - attempt->transfer_began_ms;
    attempt->report.stage = is_content_sent ? "dot" : "envelope";
    report_connection(attempt);
    attempt->is_repeating = false;
    if (next_hop_connection_has_refused_chunk(attempt->connection)) {
        repeat_with_data(attempt);
        return;
    }
    for (size_t i = 0; i < transaction->count; i++) {
        is_any_accepted = is_any_accepted || transaction->recipients[i].is_accepted;
    }
    for (size_t i = 0; i < transaction->count; i++) {
        take_result(attempt, i, is_any_accepted);
    }
    transaction->count = 0;
    if (has_state(attempt, next_wanted(attempt)) && go_on_with_the_rest(attempt)) {
        return;
    }
    replace_state(attempt, RECIPIENT_TOO_MANY, RECIPIENT_DEFERRED);
    /* With a 4xx to the dot the content has been judged; another host would judge it the same.
     */
    if ((is_any_accepted || !is_content_sent) && is_worth_asking_another(attempt)) {
        ask_another_host(attempt);
    } else {
        delivery_settle(attempt);
    }
}

/* ---- 3 broken connections ---- */

/* Nothing of the content has left, so another connection may take the transaction over. */
static bool is_before_content(const struct next_hop_connection *connection)
{
    switch (connection->stage) {
    case SMTP_STAGE_BANNER:
    case SMTP_STAGE_EHLO:
    case SMTP_STAGE_STARTTLS:
    case SMTP_STAGE_MAIL:
    case SMTP_STAGE_RCPT:
    case SMTP_STAGE_DATA:
    case SMTP_STAGE_RSET:
    case SMTP_STAGE_IDLE:
    case SMTP_STAGE_QUIT:
        return connection->fault != CONNECTION_FAULT_CONTENT;
    case SMTP_STAGE_CONTENT:
    case SMTP_STAGE_DOT:
        return false;
    }
    abort();
}

/* A negative answer to its RCPT, or to the content before its end, is an answer, even when the connection
 * breaks behind it. A 4xx is kept only when no other host is going to be asked. */
static void keep_answers(struct delivery_attempt *attempt, bool is_last)
{
    struct transaction *transaction = &attempt->transaction;

    for (size_t i = 0; i < transaction->count && !attempt->is_second_opinion; i++) {
        const struct smtp_exchange_recipient *asked = &transaction->recipients[i];
        struct delivery_result result;

        if (!asked->is_answered || asked->reply.code == 421) {
            continue;
        }
        result = delivery_result_of_answer(
            asked, attempt->connection->stage == SMTP_STAGE_CONTENT, attempt->arena);
        if (result.outcome == DELIVERY_PERMANENT || is_last) {
            delivery_result_give(&result,
                                 &attempt->request.recipients[transaction->indexes[i]]);
            attempt->request.recipients[transaction->indexes[i]].is_own_answer = asked->is_own;
            attempt->states[transaction->indexes[i]] = RECIPIENT_CLOSED;
        }
    }
    transaction->count = 0;
}

/* The last trouble is told; but what is final, as a 521 greeting, is so only when every host says it. */
static void note_trouble(struct delivery_attempt *attempt, struct delivery_result trouble)
{
    /* ... and there is none whose address could not be looked up. */
    if (trouble.outcome == DELIVERY_PERMANENT && attempt->hops != NULL &&
        attempt->hops->list.is_partial) {
        trouble.outcome = DELIVERY_TEMPORARY;
        trouble.trouble = DELIVERY_TROUBLE_CONNECTION;
        trouble.enhanced[0] = '4';
    }
    if (trouble.outcome == DELIVERY_TEMPORARY || attempt->is_every_host_final) {
        attempt->trouble = trouble;
    }
    attempt->is_every_host_final =
        attempt->is_every_host_final && trouble.outcome == DELIVERY_PERMANENT;
}

static void log_tls_failure(const struct delivery_attempt *attempt)
{
    const struct next_hop_connection *connection = attempt->connection;
    struct ip_text endpoint = ip_endpoint_text(&connection->endpoint);
    struct log_line line;

    log_begin(&line, LOG_WARNING, "tls-failed");
    log_text(&line, "host", connection->host);
    log_text(&line, "endpoint", endpoint.text);
    log_text(&line, "why", connection->tls_trouble);
    log_text(&line, "next", "clear");
    log_end(&line);
}

/* To the host whose TLS failed, once more: it is remembered, so this time in clear. */
static void retry_in_clear(struct delivery_attempt *attempt)
{
    log_tls_failure(attempt);
    delivery_try_host_again(attempt);
}

static void on_broken(struct delivery_attempt *attempt)
{
    struct next_hop_connection *connection = attempt->connection;
    bool is_harmless = is_before_content(connection);

    if (next_hop_connection_has_refused_chunk(connection)) {
        repeat_with_data(attempt);
        return;
    }
    if (attempt->is_repeating && is_harmless) {
        /* It went, or it takes the chunk for commands, and what it says to them comes before the answer
         * to RSET. */
        attempt->is_repeating = false;
        attempt->transaction.count = 0;
        delivery_try_host_again(attempt);
        return;
    }
    keep_answers(attempt, !is_harmless);
    replace_state(attempt, RECIPIENT_TOO_MANY, RECIPIENT_DEFERRED);
    if (attempt->report.is_reused && is_harmless && has_state(attempt, RECIPIENT_OPEN)) {
        /* The other side had closed it meanwhile: no failure of anybody. */
        attempt->preferred = connection->endpoint;
        next_hop_connection_abort(&attempt->connection);
        delivery_find_hosts(attempt);
        return;
    }
    if (connection->may_be_retried_in_clear && attempt->hops != NULL) {
        retry_in_clear(attempt);
        return;
    }
    report_connection(attempt);
    attempt->report.stage = connection->fault == CONNECTION_FAULT_CONNECT
                                ? "connect"
                                : smtp_stage_text(connection->stage);
    attempt->report.is_in_doubt = connection->is_in_doubt;
    note_trouble(attempt, delivery_trouble_of_connection(attempt));
    if (is_harmless &&
        !(delivery_is_strict(attempt) && connection->fault == CONNECTION_FAULT_TLS)) {
        destination_note_failure(attempt->destination, &connection->endpoint);
    }
    next_hop_connection_abort(&attempt->connection);
    if (is_harmless && has_state(attempt, RECIPIENT_OPEN) && !attempt->is_second_opinion) {
        delivery_find_hosts(attempt);
    } else {
        delivery_settle(attempt);
    }
}

void delivery_on_connection_event(void *context, enum connection_event event)
{
    struct delivery_attempt *attempt = context;

    if (attempt->is_over) {
        return; /* finish looks whether the connection is still good */
    }
    switch (event) {
    case CONNECTION_READY:
        attempt->report.connect_ms =
            event_loop_now_ms(attempt->outbound->loop) - attempt->connect_began_ms;
        destination_note_success(attempt->destination, &attempt->connection->endpoint);
        delivery_start_transaction(attempt);
        return;
    case CONNECTION_DONE:
        on_results(attempt);
        return;
    case CONNECTION_RESTED:
        return;
    case CONNECTION_BROKEN:
        on_broken(attempt);
        return;
    }
    abort();
}
