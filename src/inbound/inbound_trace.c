/*
 * What our copy says on its top: where the message came from, and what was found and let go all the same.
 */
#include "inbound_session.h"

#include "mail/trace_field.h"

/* The protocol name of RFC 3848, and of RFC 6531 §4.3. */
static struct bytes protocol_name(const struct inbound_session *session)
{
    bool is_secure = session->tls_version != NULL;

    if (session->transaction.is_utf8) {
        return is_secure ? BYTES("UTF8SMTPS") : BYTES("UTF8SMTP");
    }
    if (!session->is_esmtp) {
        return BYTES("SMTP");
    }
    return is_secure ? BYTES("ESMTPS") : BYTES("ESMTP");
}

void inbound_trace_add_received(struct inbound_session *session, struct strbuf *prefix)
{
    const struct inbound_transaction *transaction = &session->transaction;
    struct message_id_text id = message_id_text(transaction->id);
    struct received_facts facts = {
        .helo = strbuf_bytes(&session->helo),
        .client = session->peer.address,
        .client_name = inbound_auth_client_name(session),
        .our_name = session->options->hostname,
        .protocol = protocol_name(session),
        .id = bytes_from_text(id.text),
        .unix_seconds = transaction->started_ms / 1000,
    };

    if (session->tls_version != NULL) {
        facts.tls_version = bytes_from_text(session->tls_version);
        facts.tls_cipher = bytes_from_text(session->tls_cipher);
    }
    /* Not where our own field would make a message need SMTPUTF8 whose next hop may lack it. */
    if (transaction->recipient_count == 1 &&
        bytes_is_ascii(transaction->recipients[0].route.alias)) {
        facts.recipient = transaction->recipients[0].route.alias;
    }
    trace_field_add_received(prefix, &facts);
}

/* Every field of results has a name in front, whoever else is authenticated. */
void inbound_trace_add_marks(const struct inbound_session *session, struct strbuf *prefix,
                             const struct result_entry *entries, size_t count)
{
    const struct inbound_options *options = session->options;

    if (count > 0) {
        results_field_add(
            prefix, options->authserv_id.len > 0 ? options->authserv_id : options->hostname,
            entries, count);
    }
}
