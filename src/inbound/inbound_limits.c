/*
 * How much a client may do: what it does is counted for all loops together (inbound_ledger), room forward
 * says what follows.
 *
 *   1 inbound_limits_take_proxied, _take_named   a client that a relay names is let in, as the acceptor lets in
 *                            those that connect themselves
 *   2 inbound_limits_spend   MAIL and RCPT within their rates
 *   3 inbound_limits_refuse  a recipient that does not exist, or was forged: the answer may be late, or the last
 *   4 inbound_limits_praise  what was accepted makes up for stale addresses
 */
#include "inbound_session.h"

static const struct ledger_stay *stay_of(const struct inbound_session *session)
{
    return session->named.row != NULL ? &session->named : &session->stay;
}

static uint64_t now_of(const struct inbound_session *session)
{
    return event_loop_now_ms(session->server->loop);
}

/* ---- the client is named ------------------------------------------------------------------ */

static void turn_away(struct inbound_session *session, const struct decision *decision)
{
    struct strbuf text;

    strbuf_init(&text, 512);
    strbuf_add(&text, decision->text);
    inbound_session_bye(session, decision->code, decision->enhanced, strbuf_text(&text),
                        decision->why);
    strbuf_clear(&text);
}

static bool enter(struct inbound_session *session, struct ledger_stay *stay)
{
    enum client_verdict verdict;
    struct decision decision;
    struct log_line line;

    ledger_stay_end(stay);
    if (session->server->ledger == NULL) {
        return true;
    }
    verdict = inbound_ledger_enter(session->server->ledger, &session->peer.address,
                                   &session->options->limits, now_of(session), stay);
    if (verdict == CLIENT_WELCOME) {
        return true;
    }
    decision = client_rates_decision(verdict);
    inbound_session_log(session, &line, LOG_WARNING, "connection-refused");
    log_text(&line, "why", decision.why);
    log_end(&line);
    turn_away(session, &decision);
    return false;
}

bool inbound_limits_take_proxied(struct inbound_session *session)
{
    return enter(session, &session->stay);
}

/* Named as itself again, the relay has been counted. */
bool inbound_limits_take_named(struct inbound_session *session)
{
    if (ip_address_equal(&session->peer.address, &session->relay.address)) {
        ledger_stay_end(&session->named);
        return true;
    }
    return enter(session, &session->named);
}

void inbound_limits_close(struct inbound_session *session)
{
    ledger_stay_end(&session->named);
    ledger_stay_end(&session->stay);
    if (session->door_use != NULL) {
        atomic_fetch_sub_explicit(&session->door_use->sessions, 1, memory_order_relaxed);
    }
}

/* ---- MAIL and RCPT ------------------------------------------------------------------------ */

/* Its own limit, that of the listener, that of all. */
static bool may_do(struct inbound_session *session, enum client_doing doing,
                   struct decision *decision)
{
    enum client_verdict verdict =
        ledger_stay_spend(stay_of(session), &session->options->limits, doing, now_of(session));
    struct inbound_ledger *ledger = session->server->ledger;
    struct inbound_door_use *use = session->door_use;

    if (verdict != CLIENT_WELCOME) {
        *decision = client_rates_decision(verdict);
        return false;
    }
    if (use != NULL && !ledger_crowd_spend(&use->crowd, &use->limits, doing, now_of(session))) {
        *decision = client_rates_crowd_decision(doing, true);
    } else if (ledger != NULL &&
               !ledger_crowd_spend(inbound_ledger_everybody(ledger), &session->options->crowd,
                                   doing, now_of(session))) {
        *decision = client_rates_crowd_decision(doing, false);
    } else {
        return true;
    }
    if (ledger != NULL) {
        inbound_ledger_note(ledger, doing == CLIENT_SENDS_MESSAGE ? LEDGER_MESSAGE_RATE
                                                                  : LEDGER_RECIPIENT_RATE);
    }
    return false;
}

bool inbound_limits_spend(struct inbound_session *session, enum client_doing doing)
{
    struct decision decision;
    struct log_line line;

    if (may_do(session, doing, &decision)) {
        return true;
    }
    session->refused++;
    inbound_session_log(session, &line, LOG_INFO, "client-limited");
    log_text(&line, "why", decision.why);
    log_end(&line);
    smtp_dialogue_refused(&session->dialogue);
    inbound_session_reply(session, decision.code, decision.enhanced, decision.text);
    return false;
}

/* ---- recipients that should not have been asked for --------------------------------------- */

static void log_penalty(const struct inbound_session *session, enum client_offence offence)
{
    struct log_line line;

    inbound_session_log(session, &line, LOG_WARNING, "client-penalised");
    log_number(&line, "seconds", (int64_t)(session->options->limits.penalty_ms / 1000));
    log_text(&line, "why", client_conduct_end(offence).why);
    log_end(&line);
}

static void end_session(struct inbound_session *session)
{
    enum client_offence offence = session->late_end;
    struct decision decision = client_conduct_end(offence);

    if (session->server->ledger != NULL) {
        inbound_ledger_note(session->server->ledger, offence == CLIENT_BAD_SIGNATURE
                                                         ? LEDGER_BAD_SIGNATURES
                                                         : LEDGER_UNKNOWN_RECIPIENTS);
    }
    turn_away(session, &decision);
}

/* Whoever it is, from wherever: our secret is being guessed at, or has been changed. */
static void watch_forgeries(struct inbound_session *session, const struct decision *decision)
{
    struct inbound_ledger *ledger = session->server->ledger;
    struct log_line line;

    if (ledger != NULL && client_conduct_offence(decision) == CLIENT_BAD_SIGNATURE &&
        inbound_ledger_forged(ledger, now_of(session))) {
        inbound_session_log(session, &line, LOG_ERROR, "forgery-alarm");
        log_number(&line, "count", LEDGER_FORGED_MOST + 1);
        log_end(&line);
    }
}

/* Unknown recipients have a budget of their own, so they are no errors beside it. */
static void answer(struct inbound_session *session)
{
    const struct decision *decision = &session->late;

    if (session->late_end != CLIENT_NO_OFFENCE) {
        end_session(session);
    } else if (session->options->limits.unknown_recipients > 0 &&
               client_conduct_offence(decision) == CLIENT_UNKNOWN_RECIPIENT) {
        inbound_session_reply_free(session, decision->code, decision->enhanced, decision->text);
    } else {
        inbound_session_reply(session, decision->code, decision->enhanced, decision->text);
    }
}

void inbound_limits_refuse(struct inbound_session *session, const struct decision *decision)
{
    const struct client_limits *limits = &session->options->limits;
    const struct ledger_stay *stay = stay_of(session);
    enum client_offence offence =
        stay->is_exempt ? CLIENT_NO_OFFENCE : client_conduct_offence(decision);
    bool is_over = false;
    uint64_t delay_ms;

    session->late = *decision;
    watch_forgeries(session, decision);
    delay_ms = client_conduct_blame(&session->conduct, limits, offence,
                                    session->transaction.recipient_count, &is_over);
    if (offence != CLIENT_NO_OFFENCE &&
        ledger_stay_blame(stay, limits, offence, now_of(session))) {
        log_penalty(session, offence);
        is_over = true;
    }
    session->late_end = is_over ? offence : CLIENT_NO_OFFENCE;
    if (delay_ms == 0) {
        answer(session);
        return;
    }
    session->wait = INBOUND_WAITS_TARPIT;
    loop_timer_set(session->timer, delay_ms);
}

void inbound_limits_answer_late(struct inbound_session *session)
{
    session->wait = INBOUND_WAITS_NOTHING;
    answer(session);
    inbound_session_go_on(session);
}

void inbound_limits_praise(struct inbound_session *session)
{
    const struct client_limits *limits = &session->options->limits;
    size_t recipients = session->transaction.recipient_count;

    if (limits->unknown_recipients == 0 && limits->bad_signatures == 0) {
        return;
    }
    session->conduct.accepted += recipients;
    ledger_stay_praise(stay_of(session), recipients, now_of(session));
}
