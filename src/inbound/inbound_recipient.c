/*
 * From RCPT to its answer, in the order it happens:
 *
 *   1 inbound_answer_rcpt  parameters, the address
 *   2 route_recipient      room forward says where to; a stored token is looked up first
 *   3 judge_recipient      can it share the one answer of the message?
 *   4 pass_gates           one control after the other; one that does not know yet begins a wait and is
 *                          asked again after it
 *   5 take_recipient       into the transaction
 */
#include "inbound_session.h"

#include "io/clock.h"

static void refuse(struct inbound_session *session, unsigned code, const char *enhanced,
                   const char *text)
{
    smtp_dialogue_refused(&session->dialogue);
    inbound_session_reply(session, code, enhanced, bytes_from_text(text));
}

static void log_refused_recipient(struct inbound_session *session,
                                  const struct smtp_mailbox *recipient,
                                  const struct decision *decision)
{
    struct log_line line;
    struct strbuf text;

    session->refused++;
    strbuf_init(&text, 1024);
    smtp_mailbox_add(&text, recipient);
    inbound_session_log(session, &line, LOG_INFO,
                        decision->disposition == DECISION_DEFER ? "recipient-deferred"
                                                                : "recipient-refused");
    log_address(&line, "from", session->transaction.sender_text);
    log_address(&line, "to", strbuf_bytes(&text));
    log_number(&line, "code", decision->code);
    log_text(&line, "why", decision->why);
    inbound_log_reply(&line, decision);
    log_end(&line);
    strbuf_clear(&text);
}

static void refuse_recipient(struct inbound_session *session,
                             const struct smtp_mailbox *recipient,
                             const struct decision *decision)
{
    log_refused_recipient(session, recipient, decision);
    smtp_dialogue_refused(&session->dialogue);
    inbound_limits_refuse(session, decision);
}

/* Room for one more recipient. The old array stays in the arena until the transaction ends: the
 * sum of all is less than twice the last. */
static struct inbound_recipient *next_recipient(struct inbound_transaction *transaction)
{
    struct inbound_recipient *before = transaction->recipients;

    if (transaction->recipient_count == transaction->recipient_room) {
        transaction->recipient_room =
            transaction->recipient_room == 0 ? 2 : transaction->recipient_room * 2;
        transaction->recipients =
            arena_alloc(transaction->arena, transaction->recipient_room * sizeof *before);
        if (before != NULL) {
            memcpy(transaction->recipients, before,
                   transaction->recipient_count * sizeof *before);
        }
    }
    return &transaction->recipients[transaction->recipient_count];
}

/* Route and sender are known: into the transaction with it. */
static void take_recipient(struct inbound_session *session,
                           const struct smtp_mailbox *recipient,
                           const struct recipient_route *route)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct inbound_recipient *entry = next_recipient(transaction);

    *entry = (struct inbound_recipient){.route = *route,
                                        .budget = inbound_budget_of(session->asked.policy),
                                        .notify = transaction->asked_notify,
                                        .orcpt = transaction->asked_orcpt};
    if (route->kind != ROUTE_DISCARD) {
        rewrite_plan_make(session->options->routes.srs, session->options->long_sender, route,
                          (uint32_t)(clock_unix_seconds() / 86400), &transaction->sender,
                          transaction->arena, &entry->plan);
        if (entry->plan.kind == REWRITE_REFUSE) {
            refuse_recipient(session, recipient, &entry->plan.decision);
            return;
        }
    }
    transaction->recipient_count++;
    smtp_dialogue_granted(&session->dialogue);
    inbound_session_reply(session, 250, "2.1.5", BYTES("recipient ok"));
}

/* The address whose rules hold. The client's word may be a postmaster without a domain or at a name
 * that has no aliases: then they are those of the domain that answers for it. */
static struct smtp_mailbox ruling_address(const struct recipient_route *route,
                                          const struct smtp_mailbox *recipient)
{
    struct smtp_mailbox ruling = *recipient;

    ruling.domain = bytes_skip(route->alias, bytes_find_last(route->alias, '@') + 1);
    return ruling;
}

static const struct accept_policy *policy_for(const struct inbound_session *session,
                                              const struct smtp_mailbox *recipient)
{
    const struct inbound_options *options = session->options;

    return options->policy_for == NULL
               ? NULL
               : options->policy_for(options->policy_context, recipient->domain,
                                     recipient->local);
}

/* One answer stands for the whole message in the end, and one copy is signed: may this recipient
 * share them with those before? */
static bool may_join(const struct inbound_session *session,
                     const struct smtp_mailbox *recipient, const struct recipient_route *route,
                     const struct accept_policy *policy)
{
    const struct inbound_transaction *transaction = &session->transaction;

    if (transaction->recipient_count == 0) {
        return true;
    }
    return inbound_auth_may_join(session, policy, route->kind == ROUTE_RETURN) &&
           inbound_rules_may_join(session, policy, route->kind == ROUTE_RETURN) &&
           inbound_seal_of(session, recipient->domain) == transaction->seal &&
           bytes_equal_nocase(transaction->recipients[0].route.srs_domain, route->srs_domain) &&
           (policy == NULL || policy->munge_from == MUNGE_NEVER ||
            bytes_equal_nocase(transaction->own_domain, recipient->domain));
}

/* What the policy says of the client and the sender. */
static enum inbound_gate sender_gate(struct inbound_session *session,
                                     const struct inbound_asked *asked,
                                     struct decision *decision)
{
    (void)asked;
    inbound_auth_ask_sender(session);
    if (!inbound_auth_knows_sender(session) && inbound_auth_needs_sender(session)) {
        inbound_session_begin_wait(session, INBOUND_WAITS_SENDER);
        return INBOUND_GATE_WAITS;
    }
    *decision = inbound_auth_judge_sender(session);
    return decision->disposition == DECISION_ACCEPT ? INBOUND_GATE_OPEN : INBOUND_GATE_SHUT;
}

/* What a recipient passes before the content is seen: the cheap and the certain come first, what
 * leaves a trace behind (counts, memories) comes last. */
static enum inbound_gate (*const gates[])(struct inbound_session *session,
                                          const struct inbound_asked *asked,
                                          struct decision *decision) = {
    inbound_standing_gate, sender_gate,           inbound_budget_gate,
    inbound_verify_gate,   inbound_greylist_gate,
};

static void pass_gates(struct inbound_session *session)
{
    struct inbound_asked *asked = &session->asked;
    struct decision decision;

    for (; asked->gate < sizeof gates / sizeof gates[0]; asked->gate++) {
        switch (gates[asked->gate](session, asked, &decision)) {
        case INBOUND_GATE_OPEN:
            break;
        case INBOUND_GATE_WAITS:
            return;
        case INBOUND_GATE_SHUT:
            refuse_recipient(session, &asked->recipient, &decision);
            return;
        }
    }
    take_recipient(session, &asked->recipient, &asked->route);
}

void inbound_recipient_go_on(struct inbound_session *session)
{
    session->wait = INBOUND_WAITS_NOTHING;
    pass_gates(session);
    inbound_session_go_on(session);
}

/* Recipients that cannot share an answer go in messages of their own: RFC 5321 §4.5.3.1.10 makes
 * the client send the rest again. */
static void judge_recipient(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct inbound_asked *asked = &session->asked;

    asked->ruling = ruling_address(&asked->route, &asked->recipient);
    asked->policy = policy_for(session, &asked->ruling);
    asked->gate = 0;
    asked->grey.stage = INBOUND_GREY_UNASKED;
    inbound_verify_reset(session);
    if (!may_join(session, &asked->ruling, &asked->route, asked->policy)) {
        refuse(session, 452, "4.5.3",
               "one policy at a time: send this one in a message of its own");
        return;
    }
    transaction->policy = asked->policy;
    if (transaction->recipient_count == 0) {
        transaction->own_domain = asked->ruling.domain;
        transaction->seal = inbound_seal_of(session, asked->ruling.domain);
    }
    if (asked->route.kind == ROUTE_RETURN) {
        take_recipient(session, &asked->recipient, &asked->route); /* its tag speaks for it */
        return;
    }
    pass_gates(session);
}

static void on_token_known(struct inbound_session *session, enum state_status status,
                           struct bytes address);

static void route_recipient(struct inbound_session *session, const struct route_token *token)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct inbound_asked *asked = &session->asked;

    recipient_route_find(&session->options->routes, (uint32_t)(clock_unix_seconds() / 86400),
                         &transaction->sender, &asked->recipient, token, transaction->arena,
                         &asked->route);
    switch (asked->route.kind) {
    case ROUTE_FORWARD:
    case ROUTE_RETURN:
    case ROUTE_REPLY:
    case ROUTE_DISCARD:
        judge_recipient(session);
        return;
    case ROUTE_REFUSE:
        refuse_recipient(session, &asked->recipient, &asked->route.decision);
        return;
    case ROUTE_NEEDS_TOKEN:
        inbound_session_begin_wait(session, INBOUND_WAITS_TOKEN);
        inbound_state_read(session, asked->route.token, on_token_known);
        return;
    }
}

static void on_token_known(struct inbound_session *session, enum state_status status,
                           struct bytes address)
{
    struct route_token token = {.is_known = true, .address = address};

    session->wait = INBOUND_WAITS_NOTHING;
    if (status == STATE_OK || status == STATE_MISSING) {
        route_recipient(session, &token);
    } else {
        refuse(session, 451, "4.3.0", "cannot look this address up now, try again later");
    }
    inbound_session_go_on(session);
}

void inbound_answer_rcpt(struct inbound_session *session, const struct smtp_command *command)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct route_token unasked = {.is_known = false};

    if (!inbound_take_rcpt_parameters(session, command)) {
        return;
    }
    if (smtp_mailbox_is_null(&command->path)) {
        refuse(session, 501, "5.1.3", "the recipient address is empty");
        return;
    }
    if (transaction->recipient_count >= session->options->recipients ||
        arena_used(transaction->arena) > INBOUND_ROUTE_MEMORY) {
        refuse(session, 452, "4.5.3", "too many recipients");
        return;
    }
    if (inbound_memory_is_short(session)) {
        refuse(session, 452, "4.3.1", "insufficient memory, try again later");
        return;
    }
    if (!inbound_limits_spend(session, CLIENT_NAMES_RECIPIENT)) {
        return;
    }
    if (!inbound_keep_mailbox(session, &command->path, &session->asked.recipient)) {
        refuse(session, 501, "5.1.3", "the recipient's domain is no domain name");
        return;
    }
    route_recipient(session, &unasked);
}
