/*
 * From clear to protected, in the order it happens:
 *
 *   1 inbound_tls_open         implicit TLS: the handshake comes before the banner
 *   1 inbound_answer_starttls  else a command asks for it; what stands behind it in clear ends
 *                              the session
 *   2 on_secure                what was said in clear is forgotten; the banner, or the next command
 *   3 inbound_tls_failed       or not: a line in the log, and the end
 */
#include "inbound_session.h"

enum { HANDSHAKE_MS = 30000 };

static void forget_what_was_said(struct inbound_session *session)
{
    inbound_transaction_reset(session);
    inbound_trust_forget(session);
    strbuf_reset(&session->helo);
    session->is_esmtp = false;
}

static void on_secure(void *context)
{
    struct inbound_session *session = context;
    struct stream_tls_facts facts = stream_tls_facts(session->stream);

    session->tls_version = facts.version;
    session->tls_cipher = facts.cipher;
    session->wait = INBOUND_WAITS_NOTHING;
    if (session->tls == INBOUND_TLS_IMPLICIT) {
        inbound_banner_begin(session);
    } else {
        /* RFC 3207 §4.2: anybody may have said it. */
        forget_what_was_said(session);
        inbound_session_rearm(session);
    }
    inbound_session_go_on(session);
}

/* False: nothing was begun. */
static bool start_handshake(struct inbound_session *session)
{
    uint64_t patience_ms = session->options->command_timeout_ms;
    struct stream_tls_options options = {
        .context = session->options->tls,
        .timeout_ms = patience_ms < HANDSHAKE_MS ? patience_ms : HANDSHAKE_MS,
        .takes_unread = session->tls == INBOUND_TLS_IMPLICIT,
        .on_secure = on_secure,
    };

    if (!stream_start_tls(session->stream, &options)) {
        return false;
    }
    inbound_session_begin_wait(session, INBOUND_WAITS_TLS);
    return true;
}

void inbound_tls_failed(struct inbound_session *session, const char *why)
{
    struct log_line line;

    inbound_session_log(session, &line, LOG_INFO, "client-tls-failed");
    log_text(&line, "why", why);
    log_end(&line);
    inbound_session_close(session, "tls");
}

void inbound_tls_open(struct inbound_session *session)
{
    if (session->tls != INBOUND_TLS_IMPLICIT) {
        inbound_banner_begin(session);
    } else if (session->options->tls == NULL || !start_handshake(session)) {
        inbound_tls_failed(session, "there is no certificate");
    }
}

bool inbound_tls_offer(struct inbound_session *session)
{
    session->was_offered_starttls = session->tls == INBOUND_TLS_STARTTLS &&
                                    session->options->tls != NULL &&
                                    session->tls_version == NULL;
    return session->was_offered_starttls;
}

/* RFC 8689 §3: only within TLS, or somebody on the way could have put it there or taken it away. */
bool inbound_tls_offer_all_the_way(struct inbound_session *session)
{
    session->was_offered_requiretls =
        session->options->offers_requiretls && session->tls_version != NULL;
    return session->was_offered_requiretls;
}

static void refuse(struct inbound_session *session, unsigned code, const char *enhanced,
                   const char *text)
{
    smtp_dialogue_refused(&session->dialogue);
    inbound_session_reply(session, code, enhanced, bytes_from_text(text));
}

/* Whoever can put octets into the connection could have them taken for the client's own
 * (CVE-2011-0411). No honest client sends anything before our answer. */
static void end_injection(struct inbound_session *session)
{
    struct log_line line;

    inbound_session_log(session, &line, LOG_WARNING, "starttls-injection");
    log_number(&line, "octets", (int64_t)stream_input(session->stream).len);
    log_end(&line);
    inbound_session_bye(session, 554, "5.5.0", "nothing may follow STARTTLS before its answer",
                        "starttls-injection");
}

void inbound_answer_starttls(struct inbound_session *session,
                             const struct smtp_command *command)
{
    if (session->tls_version != NULL) {
        refuse(session, 503, "5.5.1", "TLS is active already");
    } else if (session->tls != INBOUND_TLS_STARTTLS ||
               (session->options->tls == NULL && !session->was_offered_starttls)) {
        refuse(session, 502, "5.5.1", "command not implemented");
    } else if (command->argument.len > 0) {
        refuse(session, 501, "5.5.4", "STARTTLS takes no argument");
    } else if (stream_input(session->stream).len > 0) {
        end_injection(session);
    } else if (session->options->tls == NULL) {
        refuse(session, 454, "4.7.0", "TLS is not available now");
    } else {
        smtp_dialogue_granted(&session->dialogue);
        inbound_session_reply(session, 220, "2.0.0", BYTES("go ahead"));
        start_handshake(session);
    }
}

void inbound_tls_log(const struct inbound_session *session, struct log_line *line)
{
    if (session->tls_version != NULL) {
        log_text(line, "tls", session->tls_version);
        log_text(line, "cipher", session->tls_cipher);
    }
}
