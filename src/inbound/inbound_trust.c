/*
 * Relays in front of us that are believed (the option `trust`), and what they say about who their
 * client is: a PROXY header before the first line, XCLIENT between messages, or, when they say
 * neither, the Received field they put on top of the message.
 */
#include "inbound_session.h"

#include "mail/header_block.h"
#include "protocol/proxy_header.h"
#include "protocol/xclient.h"

enum { RECEIVED_LIMIT = 20 };

bool inbound_trusts(const struct inbound_options *options, const struct ip_address *address)
{
    for (size_t i = 0; i < options->trusted_count; i++) {
        if (ip_network_contains(&options->trusted[i], address)) {
            return true;
        }
    }
    return false;
}

/* From now on the session is this client's, as `via` says. */
static void set_client(struct inbound_session *session, const struct ip_endpoint *client)
{
    session->via = session->relay.address;
    session->peer = *client;
    session->peer_text = ip_address_text(&client->address);
}

static void set_relay(struct inbound_session *session)
{
    session->may_xclient = inbound_trusts(session->options, &session->relay.address);
}

static void refuse_proxy(struct inbound_session *session, const char *why)
{
    struct log_line line;

    inbound_session_log(session, &line, LOG_WARNING, "proxy-refused");
    log_text(&line, "why", why);
    log_end(&line);
    inbound_session_close(session, why);
}

void inbound_trust_begin(struct inbound_session *session, bool is_proxied)
{
    session->relay = session->peer;
    session->awaits_proxy_header = is_proxied;
    if (!is_proxied) {
        set_relay(session);
        inbound_tls_open(session);
    } else if (!inbound_trusts(session->options, &session->peer.address)) {
        refuse_proxy(session, "proxy-not-trusted");
    }
}

bool inbound_proxy_input(struct inbound_session *session, struct bytes input)
{
    struct proxy_header header;
    size_t used = 0;

    switch (proxy_header_parse(input, &header, &used)) {
    case PROXY_HEADER_NEED_MORE:
        return false;
    case PROXY_HEADER_MALFORMED:
    case PROXY_HEADER_TOO_LONG:
        refuse_proxy(session, "proxy-header");
        return true;
    case PROXY_HEADER_READY:
        break;
    }
    stream_consume(session->stream, used);
    session->awaits_proxy_header = false;
    if (header.client.address.family != IP_NONE) {
        set_client(session, &header.client);
        session->relay = header.client;
        session->proxy = session->via;
        if (!inbound_limits_take_proxied(session)) {
            return true;
        }
    }
    set_relay(session);
    inbound_tls_open(session);
    return true;
}

/* False: the session has ended. */
static bool take_xclient(struct inbound_session *session, const struct xclient *xclient)
{
    struct ip_endpoint client = {xclient->address, xclient->port};
    struct ip_address before = session->peer.address;

    if (xclient->has_address) {
        strbuf_reset(&session->relayed_helo); /* it was another client's */
    }
    if (xclient->has_helo) {
        strbuf_reset(&session->relayed_helo);
        strbuf_add(&session->relayed_helo, xclient->helo);
    }
    if (!xclient->has_address) {
        return true;
    }
    set_client(session, xclient->address.family == IP_NONE ? &session->relay : &client);
    return ip_address_equal(&before, &session->peer.address) ||
           inbound_limits_take_named(session);
}

void inbound_trust_forget(struct inbound_session *session)
{
    strbuf_reset(&session->relayed_helo);
    session->peer = session->relay;
    session->peer_text = ip_address_text(&session->peer.address);
    session->via = session->proxy;
    ledger_stay_end(&session->named);
}

/* As Postfix does: all is as it was at the start, the banner comes again. */
void inbound_answer_xclient(struct inbound_session *session, const struct smtp_command *command)
{
    struct xclient xclient;

    if (!session->may_xclient) {
        smtp_dialogue_refused(&session->dialogue);
        inbound_session_reply(session, 550, "5.7.0", BYTES("XCLIENT is not for this client"));
        return;
    }
    if (!xclient_parse(command->argument, session->server->command_arena, &xclient)) {
        smtp_dialogue_refused(&session->dialogue);
        inbound_session_reply(session, 501, "5.5.4", BYTES("bad XCLIENT attribute"));
        return;
    }
    inbound_transaction_reset(session);
    if (!take_xclient(session, &xclient)) {
        return;
    }
    session->has_hurried = false; /* that was the relay */
    strbuf_reset(&session->helo);
    session->is_esmtp = false;
    smtp_dialogue_granted(&session->dialogue);
    inbound_session_greet(session);
}

/* The relay's own loopback is a filter of its own; nobody else comes from there. */
bool inbound_trust_find_client(const struct inbound_options *options, struct bytes header,
                               struct arena *arena, struct received_client *client)
{
    struct header_field field;
    unsigned seen = 0;

    while (seen < RECEIVED_LIMIT && header_field_next(&header, &field)) {
        if (!bytes_equal_nocase(field.name, BYTES("Received"))) {
            continue;
        }
        if (!received_client_read(field.value, arena, client)) {
            return false; /* whoever wrote what is below is not known */
        }
        if (!inbound_trusts(options, &client->address) &&
            !ip_address_is_loopback(&client->address)) {
            return true;
        }
        seen++;
    }
    return false;
}
