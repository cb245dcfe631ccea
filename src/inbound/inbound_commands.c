/*
 * One function per command. The order of commands is the table in protocol/smtp_dialogue; what
 * is accepted is decided in room forward; here the two meet and the answer goes out.
 */
#include "inbound_session.h"

#include "auth/idn_domain.h"
#include "protocol/smtp_reply.h"
#include "protocol/xclient.h"

#include <stdlib.h>

static void reply(struct inbound_session *session, unsigned code, const char *enhanced,
                  const char *text)
{
    inbound_session_reply(session, code, enhanced, bytes_from_text(text));
}

static void refuse(struct inbound_session *session, unsigned code, const char *enhanced,
                   const char *text)
{
    smtp_dialogue_refused(&session->dialogue);
    reply(session, code, enhanced, text);
}

void inbound_transaction_reset(struct inbound_session *session)
{
    struct arena *arena = session->transaction.arena;

    inbound_auth_reset(session);
    inbound_standing_reset(session);
    inbound_verify_reset(session);
    inbound_seal_reset(session);
    inbound_rules_reset(session);
    inbound_scan_reset(session);
    strbuf_clear(&session->transaction.header);
    content_drop(&session->transaction.content);
    arena_reset(arena);
    session->transaction = (struct inbound_transaction){.arena = arena};
}

static void offer_extensions(struct inbound_session *session)
{
    const struct inbound_options *options = session->options;
    struct strbuf size, limits, reply;

    strbuf_init(&size, 64);
    strbuf_add_text(&size, "SIZE ");
    strbuf_add_u64(&size, options->message_size);
    /* RFC 9422: only what is kept to, whatever the message and whoever it is for. */
    strbuf_init(&limits, 64);
    strbuf_add_text(&limits, "LIMITS RCPTMAX=");
    strbuf_add_u64(&limits, options->recipients);
    strbuf_init(&reply, 1024);
    smtp_reply_add_line(&reply, 250, false, options->hostname);
    smtp_reply_add_line(&reply, 250, false, BYTES("PIPELINING"));
    smtp_reply_add_line(&reply, 250, false, strbuf_bytes(&size));
    smtp_reply_add_line(&reply, 250, false, BYTES("8BITMIME"));
    smtp_reply_add_line(&reply, 250, false, BYTES("ENHANCEDSTATUSCODES"));
    smtp_reply_add_line(&reply, 250, false, BYTES("CHUNKING"));
    smtp_reply_add_line(&reply, 250, false, BYTES("SMTPUTF8"));
    smtp_reply_add_line(&reply, 250, false, BYTES("DSN"));
    smtp_reply_add_line(&reply, 250, false, strbuf_bytes(&limits));
    if (inbound_tls_offer(session)) {
        smtp_reply_add_line(&reply, 250, false, BYTES("STARTTLS"));
    }
    if (inbound_tls_offer_all_the_way(session)) {
        smtp_reply_add_line(&reply, 250, false, BYTES("REQUIRETLS"));
    }
    if (session->may_xclient) {
        smtp_reply_add_line(&reply, 250, false, BYTES("XCLIENT " XCLIENT_ATTRIBUTES));
    }
    smtp_reply_add_line(&reply, 250, true, BYTES("HELP"));
    stream_write(session->stream, strbuf_bytes(&reply));
    strbuf_clear(&reply);
    strbuf_clear(&limits);
    strbuf_clear(&size);
    inbound_session_rearm(session);
}

static void answer_hello(struct inbound_session *session, const struct smtp_command *command)
{
    inbound_transaction_reset(session);
    strbuf_reset(&session->helo);
    strbuf_add(&session->helo, session->relayed_helo.len > 0
                                   ? strbuf_bytes(&session->relayed_helo)
                                   : bytes_first(command->argument, 255));
    session->is_esmtp = command->verb == SMTP_EHLO;
    /* RFC 2920 §3.1: EHLO is the last command of a group. */
    session->has_hurried |= stream_input(session->stream).len > 0;
    smtp_dialogue_granted(&session->dialogue);
    if (!session->is_esmtp) {
        inbound_session_reply(session, 250, NULL, session->options->hostname);
        return;
    }
    offer_extensions(session);
}

/* Domains are kept as DNS knows them (RFC 6531 §3.2 allows it): so there is one name for each in
 * routes, policies, SRS addresses and what is signed. False: it is none. */
bool inbound_keep_mailbox(struct inbound_session *session, const struct smtp_mailbox *mailbox,
                          struct smtp_mailbox *kept)
{
    struct arena *arena = session->transaction.arena;

    *kept = *mailbox;
    kept->local = arena_copy(arena, mailbox->local);
    if (bytes_is_ascii(mailbox->domain)) {
        kept->domain = arena_copy(arena, mailbox->domain);
        return true;
    }
    kept->is_utf8 = !bytes_is_ascii(mailbox->local);
    return idn_domain_to_ascii(mailbox->domain, arena, &kept->domain);
}

/* True: the answer has gone out. */
static bool is_memory_short(struct inbound_session *session)
{
    bool is_short = inbound_memory_is_short(session);

    if (is_short) {
        refuse(session, 452, "4.3.1", "insufficient memory, try again later");
    }
    return is_short;
}

static void answer_mail(struct inbound_session *session, const struct smtp_command *command)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct strbuf text;

    inbound_transaction_reset(session);
    inbound_session_take_options(session);
    if (is_memory_short(session) || !inbound_limits_spend(session, CLIENT_SENDS_MESSAGE)) {
        return;
    }
    if (!smtp_mailbox_is_null(&command->path) && command->path.domain.len == 0) {
        refuse(session, 501, "5.1.7", "the sender address needs a domain");
        return;
    }
    if (!inbound_take_mail_parameters(session, command)) {
        return;
    }
    if (command->path.is_utf8 && !transaction->is_utf8) {
        refuse(session, 553, "5.6.7", "address is not ASCII, and SMTPUTF8 was not said");
        return;
    }
    if (transaction->declared_size > session->options->message_size) {
        refuse(session, 552, "5.3.4", "message too large");
        return;
    }
    if (!inbound_keep_mailbox(session, &command->path, &transaction->sender)) {
        refuse(session, 501, "5.1.7", "the sender's domain is no domain name");
        return;
    }
    strbuf_init(&text, 1024);
    smtp_mailbox_add(&text, &transaction->sender);
    transaction->sender_text = arena_copy(transaction->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    inbound_auth_begin(session);
    inbound_standing_begin(session);
    smtp_dialogue_granted(&session->dialogue);
    reply(session, 250, "2.1.0", "sender ok");
}

static void answer_data(struct inbound_session *session, const struct smtp_command *command)
{
    if (command->argument.len > 0) {
        refuse(session, 501, "5.5.4", "DATA takes no argument");
        return;
    }
    if (is_memory_short(session)) {
        return;
    }
    smtp_dialogue_granted(&session->dialogue);
    inbound_content_begin(session);
    reply(session, 354, NULL, "end data with <CR><LF>.<CR><LF>");
}

/* Commands that bring no mail forward are free up to a limit, so that nobody keeps us busy for
 * ever without making an error. It leaves room for a client that names many more recipients than
 * one message may have: RFC 5321 §4.5.3.1.10 lets it, and it is to hear 452 for the rest. */
static bool is_idling(struct inbound_session *session)
{
    if (++session->commands <= INBOUND_IDLE_COMMANDS + 2 * session->options->recipients) {
        return false;
    }
    inbound_session_bye(session, 421, "4.7.0", "too many commands without a message",
                        "too-many-commands");
    return true;
}

static void answer_simple(struct inbound_session *session, const struct smtp_command *command)
{
    smtp_dialogue_granted(&session->dialogue);
    switch (command->verb) {
    case SMTP_RSET:
        inbound_transaction_reset(session);
        reply(session, 250, "2.0.0", "flushed");
        return;
    case SMTP_NOOP:
        reply(session, 250, "2.0.0", "ok");
        return;
    case SMTP_VRFY:
        reply(session, 252, "2.5.0", "not verified, but mail for it may be tried");
        return;
    case SMTP_HELP:
        reply(session, 214, "2.0.0", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP");
        return;
    case SMTP_QUIT:
        inbound_session_bye(session, 221, "2.0.0", "bye", "quit");
        return;
    case SMTP_UNKNOWN:
    case SMTP_HELO:
    case SMTP_EHLO:
    case SMTP_MAIL:
    case SMTP_RCPT:
    case SMTP_DATA:
    case SMTP_BDAT:
    case SMTP_EXPN:
    case SMTP_STARTTLS:
    case SMTP_XCLIENT:
    case SMTP_VERB_COUNT:
        break;
    }
    abort(); /* run_command sends only the verbs above here */
}

static void run_command(struct inbound_session *session, const struct smtp_command *command)
{
    switch (command->verb) {
    case SMTP_HELO:
    case SMTP_EHLO:
        answer_hello(session, command);
        return;
    case SMTP_MAIL:
        answer_mail(session, command);
        return;
    case SMTP_RCPT:
        inbound_answer_rcpt(session, command);
        return;
    case SMTP_DATA:
        answer_data(session, command);
        return;
    case SMTP_RSET:
    case SMTP_NOOP:
    case SMTP_VRFY:
    case SMTP_HELP:
    case SMTP_QUIT:
        answer_simple(session, command);
        return;
    case SMTP_XCLIENT:
        inbound_answer_xclient(session, command);
        return;
    case SMTP_STARTTLS:
        inbound_answer_starttls(session, command);
        return;
    case SMTP_UNKNOWN:
    case SMTP_BDAT:
    case SMTP_EXPN:
    case SMTP_VERB_COUNT:
        break;
    }
    refuse(session, 502, "5.5.1", "command not implemented");
}

/* False: the line did not parse, the answer has gone out. */
static bool is_well_formed(struct inbound_session *session, struct bytes line,
                           enum smtp_command_result result, enum smtp_verb verb)
{
    const char *path_status = verb == SMTP_MAIL ? "5.1.7" : "5.1.3";

    if (result == SMTP_COMMAND_BAD_PATH && !bytes_is_ascii(line)) {
        result = SMTP_COMMAND_BAD_UTF8; /* RFC 6531 §3.5: tell what is missing */
    }
    switch (result) {
    case SMTP_COMMAND_OK:
        return true;
    case SMTP_COMMAND_UNKNOWN:
        reply(session, 500, "5.5.1", "command not recognized");
        return false;
    case SMTP_COMMAND_SYNTAX:
        reply(session, 501, "5.5.4", "syntax error in arguments");
        return false;
    case SMTP_COMMAND_BAD_PATH:
        reply(session, 501, path_status, "bad address syntax");
        return false;
    case SMTP_COMMAND_PATH_TOO_LONG:
        reply(session, 501, path_status, "address too long");
        return false;
    case SMTP_COMMAND_BAD_UTF8:
        reply(session, 553, "5.6.7",
              "address is not ASCII, and SMTPUTF8 was not said or it is not UTF-8");
        return false;
    case SMTP_COMMAND_BAD_PARAMETER:
        reply(session, 501, "5.5.4", "bad parameters");
        return false;
    }
    return false;
}

/* MAIL says SMTPUTF8 only behind its address; where that may come it is looked at afterwards. */
static bool may_be_utf8(const struct inbound_session *session)
{
    return session->is_esmtp &&
           (session->dialogue.phase == SMTP_PHASE_GREETED || session->transaction.is_utf8);
}

void inbound_command(struct inbound_session *session, struct bytes line)
{
    struct smtp_command command;
    enum smtp_command_result result;

    if (is_idling(session)) {
        return;
    }
    arena_reset(session->server->command_arena);
    result = smtp_command_parse(line, may_be_utf8(session), session->server->command_arena,
                                &command);
    if (command.verb == SMTP_BDAT) {
        inbound_chunk_begin(session, &command, result);
        return;
    }
    if (!is_well_formed(session, line, result, command.verb)) {
        return;
    }
    if (smtp_dialogue_ask(&session->dialogue, command.verb) == SMTP_DIALOGUE_BAD_SEQUENCE) {
        if (command.verb == SMTP_DATA && session->dialogue.phase == SMTP_PHASE_SENDER) {
            reply(session, 554, "5.5.1", "no valid recipients");
        } else if (command.verb == SMTP_MAIL &&
                   session->dialogue.phase == SMTP_PHASE_CONNECTED) {
            reply(session, 503, "5.5.1", "say HELO or EHLO first");
        } else {
            reply(session, 503, "5.5.1", "bad sequence of commands");
        }
        return;
    }
    run_command(session, &command);
}
