#include "outbound/delivery_result.h"

#include "mail/hidden_address.h"

#include <stdlib.h>

static void set_enhanced(struct delivery_result *result, const char *enhanced)
{
    size_t len = strnlen(enhanced, sizeof result->enhanced - 1);

    memcpy(result->enhanced, enhanced, len);
    result->enhanced[len] = '\0';
}

/* "550 5.1.1 no such user" */
static struct bytes reply_text(const struct smtp_reply *reply, struct arena *arena)
{
    struct bytes said = bytes_of(reply->text, reply->text_len);
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, SMTP_REPLY_TEXT_KEPT + 64);
    if (reply->code != 0) {
        strbuf_add_u64(&text, reply->code);
        if (reply->enhanced[0] != '\0') {
            strbuf_add_char(&text, ' ');
            strbuf_add_text(&text, reply->enhanced);
        }
        if (said.len > 0) {
            strbuf_add_char(&text, ' ');
        }
    }
    strbuf_add(&text, said);
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

bool delivery_result_is_too_many(const struct smtp_reply *reply)
{
    /* Old servers say 552, which that section wants treated as 452. */
    return reply->code == 452 ||
           (reply->code == 552 && strcmp(smtp_reply_enhanced(reply), "5.5.3") == 0);
}

struct delivery_result
delivery_result_of_answer(const struct smtp_exchange_recipient *recipient,
                          bool is_after_content, struct arena *arena)
{
    const struct smtp_reply *reply = &recipient->reply;
    struct delivery_result result = {
        .outcome = DELIVERY_TEMPORARY,
        .trouble = DELIVERY_TROUBLE_REPLY,
        .code = reply->code,
        .text = reply_text(reply, arena),
        .is_after_content = is_after_content,
    };

    set_enhanced(&result, smtp_reply_enhanced(reply));
    if (recipient->is_accepted) {
        result.outcome = DELIVERY_SENT;
        result.trouble = DELIVERY_TROUBLE_NONE;
    } else if (reply->code == 552 && delivery_result_is_too_many(reply)) {
        set_enhanced(&result, "4.5.3");
    } else if (reply->code >= 500) {
        result.outcome = DELIVERY_PERMANENT;
    } else if (reply->code < 400) {
        set_enhanced(&result, "4.5.0"); /* an answer that has no place there */
    }
    return result;
}

/* Why the connection broke, without its peer. */
static void add_fault(struct strbuf *text, const struct next_hop_connection *connection)
{
    const char *stage = smtp_stage_text(connection->stage);

    switch (connection->fault) {
    case CONNECTION_FAULT_NONE:
        break;
    case CONNECTION_FAULT_CONNECT:
        strbuf_addf(text, "connect: %s", stream_end_text(connection->end));
        break;
    case CONNECTION_FAULT_END:
        strbuf_addf(text, "connection lost in stage %s: %s", stage,
                    stream_end_text(connection->end));
        break;
    case CONNECTION_FAULT_TIMEOUT:
        strbuf_addf(text, "no answer in time in stage %s", stage);
        break;
    case CONNECTION_FAULT_REPLY:
        strbuf_addf(text, "unexpected answer in stage %s", stage);
        break;
    case CONNECTION_FAULT_TLS:
        strbuf_add_text(text, connection->tls_trouble);
        break;
    case CONNECTION_FAULT_CONTENT:
        strbuf_add_text(text, "the content could not be read");
        break;
    }
}

static struct bytes fault_text(const struct next_hop_connection *connection,
                               struct arena *arena)
{
    struct ip_text endpoint = ip_endpoint_text(&connection->endpoint);
    struct strbuf text, names;
    struct bytes copy;

    strbuf_init(&text, 1024);
    strbuf_init(&names, 512);
    add_fault(&text, connection);
    if (connection->is_in_doubt) {
        strbuf_add_text(&text, "; it may have been accepted");
    }
    strbuf_addf(&names, "%s (%s)", connection->host, endpoint.text);
    hidden_names_add(&text, strbuf_bytes(&names));
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    strbuf_clear(&names);
    return copy;
}

static const char *enhanced_of_fault(const struct next_hop_connection *connection)
{
    switch (connection->fault) {
    case CONNECTION_FAULT_NONE:
        break;
    case CONNECTION_FAULT_CONNECT:
        return "4.4.1";
    case CONNECTION_FAULT_END:
    case CONNECTION_FAULT_TIMEOUT:
        return "4.4.2";
    case CONNECTION_FAULT_REPLY:
        return "4.5.0";
    case CONNECTION_FAULT_TLS:
        return connection->is_tls_missing ? "4.7.4" : "4.7.5";
    case CONNECTION_FAULT_CONTENT:
        return "4.3.0";
    }
    return "4.0.0";
}

struct delivery_result delivery_result_of_fault(const struct next_hop_connection *connection,
                                                struct arena *arena)
{
    const struct smtp_reply *last = next_hop_connection_last(connection);
    struct delivery_result result = {
        .outcome = DELIVERY_TEMPORARY,
        .trouble = connection->fault == CONNECTION_FAULT_CONTENT ? DELIVERY_TROUBLE_NONE
                   : connection->fault == CONNECTION_FAULT_TLS   ? DELIVERY_TROUBLE_TLS
                                                                 : DELIVERY_TROUBLE_CONNECTION,
    };

    if (connection->fault != CONNECTION_FAULT_REPLY || last->code < 400) {
        set_enhanced(&result, enhanced_of_fault(connection));
        result.text = fault_text(connection, arena);
        return result;
    }
    result.code = last->code;
    result.text = reply_text(last, arena);
    set_enhanced(&result, smtp_reply_enhanced(last));
    if (last->code == 521 && connection->stage == SMTP_STAGE_BANNER) {
        result.outcome = DELIVERY_PERMANENT;
        result.trouble = DELIVERY_TROUBLE_REPLY;
    } else {
        result.enhanced[0] = '4';
    }
    return result;
}

struct delivery_result delivery_result_of_decision(const struct decision *decision,
                                                   struct arena *arena)
{
    bool is_final = decision->disposition == DECISION_REFUSE;
    struct delivery_result result = {
        .outcome = is_final ? DELIVERY_PERMANENT : DELIVERY_TEMPORARY,
        .trouble = DELIVERY_TROUBLE_DNS,
        .text = arena_copy(arena, decision->text),
    };

    set_enhanced(&result, decision->enhanced != NULL ? decision->enhanced
                          : is_final                 ? "5.4.0"
                                                     : "4.4.0");
    return result;
}

struct delivery_result delivery_result_of_announcement(const char *enhanced, const char *text)
{
    struct delivery_result result = {
        .outcome = DELIVERY_PERMANENT,
        .trouble = DELIVERY_TROUBLE_REPLY,
        .text = bytes_from_text(text),
    };

    set_enhanced(&result, enhanced);
    return result;
}

static enum reply_class class_of(const struct delivery_result *result)
{
    struct reply_facts facts = {
        .origin = REPLY_FROM_PEER,
        .code = result->code,
        .enhanced = result->enhanced,
        .text = result->text,
        .is_after_content = result->is_after_content,
    };

    switch (result->trouble) {
    case DELIVERY_TROUBLE_NONE: /* ours: the content could not be read */
        return REPLY_CLASS_OTHER;
    case DELIVERY_TROUBLE_DNS:
        facts.origin = REPLY_FROM_DNS;
        break;
    case DELIVERY_TROUBLE_CONNECTION:
        facts.origin = REPLY_FROM_CONNECTION;
        break;
    case DELIVERY_TROUBLE_TLS:
        facts.origin = REPLY_FROM_TLS;
        break;
    case DELIVERY_TROUBLE_REPLY:
        break;
    }
    return reply_class_of(&facts);
}

void delivery_result_give(const struct delivery_result *result,
                          struct delivery_recipient *recipient)
{
    recipient->outcome = result->outcome;
    recipient->code = result->code;
    memcpy(recipient->enhanced, result->enhanced, sizeof recipient->enhanced);
    recipient->text = result->text;
    recipient->class = result->outcome == DELIVERY_SENT ? REPLY_CLASS_OTHER : class_of(result);
}
