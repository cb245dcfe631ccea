/*
 * Asking the servers behind a recipient, in the order it happens:
 *
 *   1 inbound_verify_gate  does what they say decide about it? If so,
 *   2 ask_on               each target is asked, until one can be taken; what is remembered is there at once
 *   3 on_asked             an answer, or none in time
 *   4 the gate again       the decision
 */
#include "inbound_session.h"

#include "forward/delivery_route.h"

enum { ADDRESS_LIMIT = 2048 };

static const struct verify_options *options_of(const struct inbound_session *session)
{
    return &session->options->verify;
}

static struct bytes target_address(const struct inbound_session *session,
                                   const struct smtp_mailbox *target)
{
    struct smtp_mailbox folded = *target;
    struct strbuf text;
    struct bytes address;

    folded.domain = arena_copy_lower(session->transaction.arena, target->domain);
    strbuf_init(&text, ADDRESS_LIMIT);
    smtp_mailbox_add(&text, &folded);
    address = arena_copy(session->transaction.arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return address;
}

static void note(struct inbound_session *session, const struct probe_result *result)
{
    struct inbound_asked *asked = &session->asked;
    struct inbound_verify *verify = &asked->verify;
    const struct smtp_mailbox *target = &asked->route.targets[verify->next++];
    const struct verify_rule *rule = recipient_check_rule(options_of(session), target->domain);

    switch (result->verdict) {
    case PROBE_ACCEPTED:
    case PROBE_REFUSED:
        recipient_check_note(&verify->findings, &result->answer,
                             target_address(session, target), asked->route.alias,
                             session->transaction.arena);
        return;
    case PROBE_UNKNOWN:
        recipient_check_note_unknown(&verify->findings, rule->on_failure);
        return;
    }
}

static void on_asked(void *context, const struct probe_result *result);

/* False: the answer is awaited. */
static bool ask_next(struct inbound_session *session)
{
    const struct inbound_server *server = session->server;
    const struct verify_options *options = options_of(session);
    struct inbound_verify *verify = &session->asked.verify;
    const struct smtp_mailbox *target = &session->asked.route.targets[verify->next];
    struct arena *arena = session->transaction.arena;
    uint64_t now_ms = event_loop_now_ms(server->loop);
    struct probe_result result = {.verdict = PROBE_UNKNOWN, .why = "timeout"};

    if (now_ms < verify->until_ms) {
        struct probe_request request = {
            .destination = delivery_route_destination(session->options->delivery_routes,
                                                      target->domain, arena),
            .address = target_address(session, target),
            .timeout_ms = verify->until_ms - now_ms,
            .positive_ms = options->positive_ms,
            .negative_ms = options->negative_ms,
        };

        verify->probe =
            recipient_probe_start(server->prober, &request, &result, on_asked, session);
    }
    if (verify->probe != NULL) {
        return false;
    }
    note(session, &result);
    return true;
}

/* False: an answer is awaited. */
static bool ask_on(struct inbound_session *session)
{
    struct inbound_verify *verify = &session->asked.verify;

    while (verify->next < session->asked.route.target_count &&
           !recipient_check_is_settled(&verify->findings)) {
        if (!ask_next(session)) {
            return false;
        }
    }
    verify->is_done = true;
    return true;
}

static void on_asked(void *context, const struct probe_result *result)
{
    struct inbound_session *session = context;

    session->asked.verify.probe = NULL;
    note(session, result);
    if (ask_on(session)) {
        inbound_recipient_go_on(session);
    }
}

void inbound_verify_reset(struct inbound_session *session)
{
    recipient_probe_cancel(&session->asked.verify.probe);
    session->asked.verify = (struct inbound_verify){.is_done = false};
}

enum inbound_gate inbound_verify_gate(struct inbound_session *session,
                                      const struct inbound_asked *asked,
                                      struct decision *decision)
{
    struct inbound_verify *verify = &session->asked.verify;

    if (!verify->is_done) {
        if (session->server->prober == NULL ||
            !recipient_check_concerns(options_of(session), &asked->route)) {
            return INBOUND_GATE_OPEN;
        }
        verify->until_ms =
            event_loop_now_ms(session->server->loop) + options_of(session)->timeout_ms;
        if (!ask_on(session)) {
            inbound_session_begin_wait(session, INBOUND_WAITS_GATE);
            return INBOUND_GATE_WAITS;
        }
    }
    *decision = recipient_check_decide(&verify->findings);
    if (decision->disposition == DECISION_ACCEPT) {
        return INBOUND_GATE_OPEN;
    }
    if (session->server->ledger != NULL) {
        inbound_ledger_note(session->server->ledger, decision->disposition == DECISION_REFUSE
                                                         ? LEDGER_REFUSED_THERE
                                                         : LEDGER_UNVERIFIED);
    }
    return INBOUND_GATE_SHUT;
}
