/*
 * Who sent this: beside the dialogue, in the order it happens:
 *
 *   1 inbound_auth_begin    at MAIL: SPF and the client's reverse name begin to be looked up
 *   2 inbound_auth_header   signatures and the author are known: their keys and policy, too
 *   3 inbound_auth_body     the body is hashed as it streams
 *   4 inbound_auth_end      the content is whole: from now on the clock runs
 *   5 inbound_auth_judge    room forward decides by the verdicts
 *
 * After each step and each answer `advance` evaluates again (that costs microseconds) and looks up
 * whatever is wanted now.
 */
#include "inbound_session.h"

#include "auth/results_text.h"
#include "io/clock.h"

#include <assert.h>

enum { LOOKUP_MS = 10000 };

static bool is_authenticating(const struct inbound_session *session)
{
    return session->options->authenticate && session->server->resolver != NULL;
}

static bool is_time_up(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;

    return transaction->dns_rounds >= INBOUND_DNS_ROUNDS ||
           (transaction->auth_until_ms != 0 &&
            event_loop_now_ms(session->server->loop) >= transaction->auth_until_ms);
}

static struct inbound_dns *free_slot(struct inbound_session *session)
{
    for (size_t i = 0; i < INBOUND_LOOKUPS; i++) {
        if (session->dns[i].lookup == NULL) {
            return &session->dns[i];
        }
    }
    return NULL;
}

static bool is_asking(const struct inbound_session *session)
{
    for (size_t i = 0; i < INBOUND_LOOKUPS; i++) {
        if (session->dns[i].lookup != NULL) {
            return true;
        }
    }
    return false;
}

static void advance(struct inbound_session *session);

/* Whoever waits for what is known now goes on. */
static void wake(struct inbound_session *session)
{
    if (session->wait == INBOUND_WAITS_SENDER && inbound_auth_knows_sender(session)) {
        session->wait = INBOUND_WAITS_NOTHING;
        inbound_sender_known(session);
    } else if (session->wait == INBOUND_WAITS_AUTH && session->transaction.is_settled) {
        session->wait = INBOUND_WAITS_NOTHING;
        inbound_content_judge(session);
    } else {
        return;
    }
    inbound_session_go_on(session);
}

static void on_answers(void *context)
{
    struct inbound_dns *slot = context;
    struct inbound_session *session = slot->session;

    slot->lookup = NULL;
    advance(session);
    wake(session);
}

static void look_up(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct inbound_dns *slot = free_slot(session);
    uint64_t until = event_loop_now_ms(session->server->loop) + LOOKUP_MS;

    if (slot == NULL) {
        return; /* asked when one of those has ended */
    }
    if (transaction->auth_until_ms != 0 && transaction->auth_until_ms < until) {
        until = transaction->auth_until_ms;
    }
    transaction->dns_rounds++;
    slot->session = session;
    slot->lookup =
        dns_lookup_start(session->server->resolver, message_check_dns(transaction->check),
                         until, on_answers, slot);
}

static void advance(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    size_t wanted;

    if (transaction->check == NULL || transaction->is_settled) {
        return;
    }
    if (message_check_step(transaction->check) == AUTH_DONE) {
        transaction->is_settled = true;
        return;
    }
    if (is_time_up(session)) {
        transaction->is_settled = transaction->auth_until_ms != 0;
        return;
    }
    dns_facts_wanted(message_check_dns(transaction->check), &wanted);
    if (wanted > transaction->asked || (wanted > 0 && !is_asking(session))) {
        look_up(session);
    }
    transaction->asked = wanted;
}

void inbound_auth_begin(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (!is_authenticating(session)) {
        return;
    }
    transaction->facts = (struct message_check_facts){
        .client = session->peer.address,
        .helo = arena_copy(transaction->arena, strbuf_bytes(&session->helo)),
        .sender = transaction->sender,
        .receiver = session->options->hostname,
        .unix_seconds = clock_unix_seconds(),
    };
    transaction->check = message_check_new(session->server->checker, &transaction->facts);
    advance(session);
}

void inbound_auth_reset(struct inbound_session *session)
{
    for (size_t i = 0; i < INBOUND_LOOKUPS; i++) {
        dns_lookup_cancel(&session->dns[i].lookup);
    }
    message_check_free(&session->transaction.check);
}

void inbound_auth_header(struct inbound_session *session, struct bytes header)
{
    if (session->transaction.check != NULL) {
        message_check_header(session->transaction.check, header);
        advance(session);
    }
}

void inbound_auth_body(struct inbound_session *session, struct bytes octets)
{
    if (session->transaction.check != NULL) {
        message_check_body(session->transaction.check, octets);
    }
}

bool inbound_auth_end(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (transaction->check == NULL) {
        return true;
    }
    transaction->auth_until_ms =
        event_loop_now_ms(session->server->loop) + session->options->auth_timeout_ms;
    message_check_end(transaction->check);
    advance(session);
    return transaction->is_settled;
}

bool inbound_auth_knows_sender(struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;

    return transaction->check == NULL || message_check_knows_sender(transaction->check) ||
           is_time_up(session) || !is_asking(session);
}

static const struct accept_policy *policy_of(const struct inbound_transaction *transaction)
{
    static const struct accept_policy usual; /* the first word of each is the default */

    return transaction->policy != NULL ? transaction->policy : &usual;
}

bool inbound_auth_needs_sender(const struct inbound_session *session)
{
    const struct accept_policy *policy = policy_of(&session->transaction);

    return session->transaction.check != NULL &&
           (policy->spf_fail == SPF_FAIL_REFUSE || policy->iprev == IPREV_REFUSE);
}

static bool is_own(const struct inbound_session *session, struct bytes domain)
{
    const struct srs_options *srs = session->options->routes.srs;

    return domain.len > 0 && srs->is_own_domain != NULL &&
           srs->is_own_domain(srs->own_domain_context, domain);
}

static struct sender_facts sender_facts(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;
    const struct message_verdicts *verdicts = message_check_verdicts(transaction->check);

    return (struct sender_facts){
        .client = bytes_from_text(session->peer_text.text),
        .spf = verdicts->spf_mail_from.result,
        .spf_domain = verdicts->spf_mail_from.domain,
        .spf_explanation = verdicts->spf_mail_from.explanation,
        .iprev = verdicts->iprev.result,
        .is_own_sender = is_own(session, transaction->sender.domain),
    };
}

struct decision inbound_auth_judge_sender(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct sender_facts facts;
    struct accept_answer answer;

    if (!inbound_auth_needs_sender(session)) {
        return (struct decision){.disposition = DECISION_ACCEPT};
    }
    facts = sender_facts(session);
    accept_policy_for_sender(policy_of(transaction), &facts, transaction->arena, &answer);
    return answer.decision;
}

/* A bounce on its way back has proven itself by the tag in its address; whoever writes bounces
 * seldom signs them. */
static bool is_only_returning(const struct inbound_transaction *transaction)
{
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        if (transaction->recipients[i].route.kind != ROUTE_RETURN) {
            return false;
        }
    }
    return true;
}

/* DKIM of the MAIL FROM domain. */
static enum auth_result sender_signature(const struct inbound_transaction *transaction,
                                         const struct message_verdicts *verdicts)
{
    enum auth_result result = AUTH_NONE;

    for (size_t i = 0; i < verdicts->dkim.count; i++) {
        const struct dkim_verdict *signature = &verdicts->dkim.verdicts[i];
        if (!bytes_equal_nocase(signature->domain, transaction->sender.domain)) {
            continue;
        }
        if (signature->result == AUTH_PASS) {
            return AUTH_PASS;
        }
        if (signature->result == AUTH_TEMPERROR) {
            result = AUTH_TEMPERROR;
        }
    }
    return result;
}

struct decision inbound_auth_judge(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    const struct message_verdicts *verdicts;
    struct message_facts facts;

    transaction->is_judged = true;
    if (transaction->check == NULL) {
        return (struct decision){.disposition = DECISION_ACCEPT};
    }
    verdicts = message_check_verdicts(transaction->check);
    facts = (struct message_facts){.sender = sender_facts(session),
                                   .from = verdicts->from.result,
                                   .dmarc = &verdicts->dmarc,
                                   .sender_signature = sender_signature(transaction, verdicts)};
    for (size_t i = 0; i < verdicts->from.count; i++) {
        facts.is_own_author |= is_own(session, verdicts->from.domains[i]);
    }
    accept_policy_for_message(policy_of(transaction), &facts, transaction->arena,
                              &transaction->judgement);
    if (is_only_returning(transaction)) {
        transaction->judgement.decision = (struct decision){.disposition = DECISION_ACCEPT};
    }
    return transaction->judgement.decision;
}

void inbound_auth_add_results(struct inbound_session *session, struct strbuf *prefix)
{
    const struct inbound_transaction *transaction = &session->transaction;

    if (transaction->check == NULL) {
        return;
    }
    results_text_add(prefix, session->options->authserv_id,
                     message_check_verdicts(transaction->check), &transaction->facts);
    if (session->options->received_spf) {
        results_text_add_received_spf(prefix, message_check_verdicts(transaction->check),
                                      &transaction->facts);
    }
}

/* One word for all signatures: the best that can be said. */
static const char *dkim_summary(const struct dkim_verdicts *dkim)
{
    enum auth_result best = AUTH_NONE;

    for (size_t i = 0; i < dkim->count; i++) {
        if (i == 0 || dkim->verdicts[i].result == AUTH_PASS) {
            best = dkim->verdicts[i].result;
        }
    }
    return auth_result_text(best);
}

void inbound_auth_log(const struct inbound_session *session, struct log_line *line)
{
    const struct inbound_transaction *transaction = &session->transaction;
    const struct message_verdicts *verdicts;

    if (transaction->check == NULL) {
        return;
    }
    verdicts = message_check_verdicts(transaction->check);
    log_text(line, "spf", auth_result_text(verdicts->spf_mail_from.result));
    log_text(line, "dkim", dkim_summary(&verdicts->dkim));
    log_text(line, "dmarc", auth_result_text(verdicts->dmarc.result));
    log_bytes(line, "author", verdicts->dmarc.author);
    log_text(line, "iprev", auth_result_text(verdicts->iprev.result));
    for (size_t i = 0; i < transaction->judgement.mark_count; i++) {
        log_text(line, "mark", transaction->judgement.marks[i]);
    }
}
