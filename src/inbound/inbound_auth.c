/*
 * Who sent this: beside the dialogue, in the order it happens:
 *
 *   1 inbound_auth_begin    at MAIL: SPF and the client's reverse name begin to be looked up
 *   2 inbound_auth_header   signatures and the author are known: their keys and policy, too
 *   3 inbound_auth_body     the body is hashed as it streams
 *   4 inbound_auth_end      the content is whole: from now on the clock runs
 *   5 inbound_auth_judge    room forward decides by the verdicts
 *
 * After each step `advance` evaluates and has the asker look up whatever is wanted now; so it does when
 * answers come, with what is there, however long others may take. What the resolver's cache knows is
 * there while it is asked.
 */
#include "inbound_session.h"

#include "auth/results_text.h"
#include "forward/alias_table.h"
#include "forward/sender_proof.h"
#include "io/clock.h"

#include <assert.h>

enum {
    LOOKUP_MS = 10000,
    /* Who answers drop by drop is evaluated no more than so often: then again when all is in. */
    EAGER_EVALUATIONS = 40,
};

static bool is_authenticating(const struct inbound_session *session)
{
    return session->options->authenticate && session->server->resolver != NULL;
}

static bool is_time_up(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;

    return transaction->auth_until_ms != 0 &&
           event_loop_now_ms(session->server->loop) >= transaction->auth_until_ms;
}

static bool is_asking(const struct inbound_session *session)
{
    return session->asker != NULL && dns_asker_open(session->asker) > 0;
}

static void advance(struct inbound_session *session);

/* Whoever waits for what is known now goes on. */
static void wake(struct inbound_session *session)
{
    if (session->wait == INBOUND_WAITS_SENDER && inbound_auth_knows_sender(session)) {
        inbound_recipient_go_on(session);
    } else {
        inbound_content_learned(session);
    }
}

static void on_answers(void *context)
{
    struct inbound_session *session = context;

    if (session->transaction.evaluations < EAGER_EVALUATIONS || !is_asking(session)) {
        advance(session);
    }
    wake(session);
}

/* True: more is known than before. */
static bool look_up(struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;
    uint64_t now = event_loop_now_ms(session->server->loop);
    uint64_t end = transaction->auth_until_ms != 0 ? transaction->auth_until_ms
                                                   : transaction->sender_until_ms;
    uint64_t timeout = session->options->auth_timeout_ms;
    uint64_t until = now + (timeout < LOOKUP_MS ? timeout : LOOKUP_MS);

    return dns_asker_ask(session->asker, end > now && end < until ? end : until);
}

/* Time is up: what is open has no answer. Said as an answer, and not by leaving the evaluation where
 * it stands, so that whatever builds on it learns that it is only temporary. Ends: there are
 * DNS_FACTS_LIMIT questions at most. */
static void give_up(struct inbound_session *session)
{
    static const struct dns_answer too_late = {.status = DNS_TEMPFAIL, .why = "timeout"};
    struct inbound_transaction *transaction = &session->transaction;
    struct dns_facts *facts = message_check_dns(transaction->check);
    enum auth_status status = AUTH_NEEDS_DNS;
    size_t wanted = 1;

    dns_asker_end(session->asker);
    while (status == AUTH_NEEDS_DNS && wanted > 0) {
        const struct dns_question *first = dns_facts_wanted(facts, &wanted);
        while (wanted > 0) {
            dns_facts_put(facts, first->name, first->type, &too_late);
            first = dns_facts_wanted(facts, &wanted);
        }
        status = message_check_step(transaction->check);
        (void)dns_facts_wanted(facts, &wanted);
    }
    transaction->is_settled = true;
}

static void advance(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    bool is_whole = transaction->auth_until_ms != 0;

    if (transaction->check == NULL || transaction->is_settled) {
        return;
    }
    do {
        transaction->evaluations++;
        if (message_check_step(transaction->check) == AUTH_DONE) {
            transaction->is_settled = true;
            return;
        }
    } while (!is_time_up(session) && look_up(session));
    if (is_whole && (is_time_up(session) || !is_asking(session))) {
        give_up(session);
    }
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
        .is_client_late = inbound_trusts(session->options, &session->peer.address),
    };
    transaction->client_text = bytes_from_text(session->peer_text.text);
    transaction->is_client_known = !transaction->facts.is_client_late;
    transaction->check = message_check_new(session->server->checker, &transaction->facts);
    transaction->sender_until_ms =
        event_loop_now_ms(session->server->loop) + session->options->auth_timeout_ms;
    if (session->asker == NULL) {
        session->asker = dns_asker_new(session->server->resolver, on_answers, session);
    }
    dns_asker_begin(session->asker, message_check_dns(transaction->check));
    if (session->commands <= INBOUND_EAGER_COMMANDS) {
        advance(session);
    }
}

void inbound_auth_ask_sender(struct inbound_session *session)
{
    if (session->transaction.evaluations == 0 && inbound_auth_needs_sender(session)) {
        advance(session);
    }
}

static void show_verdicts(const struct inbound_session *session)
{
    const struct inbound_rehearsal *rehearsal = session->server->rehearsal;
    const struct inbound_transaction *transaction = &session->transaction;
    struct inbound_verdicts shown = {.has_header = transaction->has_header};

    if (rehearsal != NULL && transaction->check != NULL) {
        shown.verdicts = message_check_verdicts(transaction->check);
        shown.judgement = transaction->is_judged ? &transaction->judgement : NULL;
        rehearsal->on_verdicts(rehearsal->context, &shown);
    }
}

void inbound_auth_reset(struct inbound_session *session)
{
    dns_asker_end(session->asker);
    show_verdicts(session);
    message_check_free(&session->transaction.check);
}

void inbound_auth_close(struct inbound_session *session)
{
    dns_asker_free(&session->asker);
}

/* A trusted relay is not asked about: its topmost Received field says who is. */
static void learn_client(struct inbound_session *session, struct bytes header)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct received_client client;

    if (transaction->is_client_known) {
        return;
    }
    transaction->is_client_known = true;
    if (!inbound_trust_find_client(session->options, header, transaction->arena, &client)) {
        message_check_client(transaction->check, NULL, BYTES(""));
        return;
    }
    transaction->facts.client = client.address;
    transaction->facts.helo = client.helo.len > 0 ? client.helo : BYTES("unknown");
    transaction->client_text =
        arena_copy(transaction->arena, bytes_from_text(ip_address_text(&client.address).text));
    message_check_client(transaction->check, &transaction->facts.client,
                         transaction->facts.helo);
}

void inbound_auth_header(struct inbound_session *session, struct bytes header)
{
    if (session->transaction.check != NULL) {
        learn_client(session, header);
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

static bool is_return(const struct inbound_transaction *transaction)
{
    return transaction->recipient_count > 0 &&
           transaction->recipients[0].route.kind == ROUTE_RETURN; /* then all are */
}

/* The first whose copy travels on, or NULL. */
static const struct inbound_recipient *
find_forwarded(const struct inbound_transaction *transaction)
{
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        if (transaction->recipients[i].route.kind != ROUTE_DISCARD) {
            return &transaction->recipients[i];
        }
    }
    return NULL;
}

/* Who the copy will be from. All copies share one answer: own senders stay, the others become
 * addresses in the same SRS domain. */
static void tell_forwarding(struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;
    const struct inbound_recipient *recipient = find_forwarded(transaction);
    struct message_forwarding forwarding = {.sender_domain = session->options->hostname};
    size_t at;

    if (is_return(transaction) || recipient == NULL) {
        return;
    }
    at = bytes_find_last(recipient->plan.sender, '@');
    if (at < recipient->plan.sender.len) {
        forwarding.sender_domain = bytes_skip(recipient->plan.sender, at + 1);
    }
    if (transaction->seal != NULL && transaction->seal->with_dkim) {
        forwarding.signature_domain = transaction->seal->domain;
    }
    forwarding.with_arc = transaction->seal != NULL && transaction->seal->with_arc;
    forwarding.loses_results = transaction->has_forged_results;
    message_check_forwarded(transaction->check, &forwarding);
}

bool inbound_auth_end(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (transaction->check == NULL) {
        return true;
    }
    transaction->auth_until_ms =
        event_loop_now_ms(session->server->loop) + session->options->auth_timeout_ms;
    tell_forwarding(session);
    message_check_end(transaction->check);
    advance(session);
    return transaction->is_settled;
}

bool inbound_auth_is_done(const struct inbound_session *session)
{
    return session->transaction.check == NULL || session->transaction.is_settled;
}

static const struct accept_policy *policy_of(const struct inbound_transaction *transaction)
{
    static const struct accept_policy usual; /* the first word of each is the default */

    return transaction->policy != NULL ? transaction->policy : &usual;
}

/* What the policy asks about the sender has its last word, though other things may be open. While it
 * has not, a verdict reads "temperror". */
static bool is_sender_decided(const struct inbound_transaction *transaction)
{
    const struct accept_policy *policy = policy_of(transaction);
    const struct message_verdicts *verdicts = message_check_verdicts(transaction->check);
    enum auth_result spf = verdicts->spf_mail_from.result;

    if (policy->spf_fail == SPF_FAIL_REFUSE && spf == AUTH_FAIL) {
        return true;
    }
    return (policy->spf_fail != SPF_FAIL_REFUSE || spf != AUTH_TEMPERROR) &&
           (policy->iprev != IPREV_REFUSE || verdicts->iprev.result != AUTH_TEMPERROR) &&
           (policy->greylist != GREYLIST_SUSPICIOUS ||
            (spf != AUTH_TEMPERROR && verdicts->iprev.result != AUTH_TEMPERROR));
}

bool inbound_auth_knows_sender(struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;

    return transaction->check == NULL || message_check_knows_sender(transaction->check) ||
           is_sender_decided(transaction) || is_time_up(session) || !is_asking(session) ||
           event_loop_now_ms(session->server->loop) >= transaction->sender_until_ms;
}

bool inbound_auth_needs_sender(const struct inbound_session *session)
{
    const struct accept_policy *policy = policy_of(&session->transaction);

    return session->transaction.check != NULL && !session->transaction.facts.is_client_late &&
           (policy->spf_fail == SPF_FAIL_REFUSE || policy->iprev == IPREV_REFUSE ||
            policy->greylist == GREYLIST_SUSPICIOUS);
}

static bool is_own(const struct inbound_session *session, struct bytes domain)
{
    const struct srs_options *srs = session->options->routes.srs;

    return domain.len > 0 && srs->is_own_domain != NULL &&
           srs->is_own_domain(srs->own_domain_context, domain);
}

/* A sender we rewrote ourselves comes back from whoever forwards without rewriting: that is as good or
 * bad as with any other sender, and nobody's author. */
bool inbound_auth_is_own_sender(const struct inbound_session *session)
{
    struct bytes domain = session->transaction.sender.domain;

    return is_own(session, domain) &&
           !alias_table_is_srs(session->options->routes.aliases, domain);
}

bool inbound_auth_is_proven(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;

    return transaction->check != NULL &&
           sender_is_proven(&transaction->sender, message_check_verdicts(transaction->check),
                            transaction->arena);
}

struct sender_facts inbound_auth_sender_facts(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;
    const struct message_verdicts *verdicts;

    if (transaction->check == NULL) {
        return (struct sender_facts){.client = bytes_from_text(session->peer_text.text)};
    }
    verdicts = message_check_verdicts(transaction->check);
    return (struct sender_facts){
        .client = transaction->client_text,
        .spf = verdicts->spf_mail_from.result,
        .spf_domain = verdicts->spf_mail_from.domain,
        .spf_explanation = verdicts->spf_mail_from.explanation,
        .iprev = verdicts->iprev.result,
        .is_own_sender = inbound_auth_is_own_sender(session),
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
    facts = inbound_auth_sender_facts(session);
    accept_policy_for_sender(policy_of(transaction), &facts, transaction->arena, &answer);
    return answer.decision;
}

static bool is_same_policy(const struct accept_policy *a, const struct accept_policy *b)
{
    return a == b || (a != NULL && b != NULL && memcmp(a, b, sizeof *a) == 0);
}

bool inbound_auth_may_join(const struct inbound_session *session,
                           const struct accept_policy *policy, bool is_returning)
{
    const struct inbound_transaction *transaction = &session->transaction;

    return transaction->check == NULL || transaction->recipient_count == 0 ||
           (is_return(transaction) == is_returning &&
            is_same_policy(transaction->policy, policy));
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

/* Does somebody whom the operator trusts vouch for the one author? */
static void ask_chain(const struct inbound_session *session,
                      const struct message_verdicts *verdicts, struct message_facts *facts)
{
    const struct arc_trust *trust = &session->options->arc_trust;
    const struct arc_sealer *voucher = NULL;

    facts->arc = verdicts->arc.result;
    facts->is_arc_relevant = arc_chain_may_vouch(&verdicts->arc, trust);
    if (trust->count > 0 && verdicts->from.result == FROM_ONE_DOMAIN) {
        voucher = arc_chain_voucher(&verdicts->arc, trust, verdicts->from.domains[0]);
    }
    facts->arc_voucher = voucher == NULL ? BYTES("") : voucher->domain;
}

struct decision inbound_auth_judge(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct accept_policy policy = *policy_of(transaction);
    const struct message_verdicts *verdicts;
    struct message_facts facts;

    transaction->is_judged = true;
    if (transaction->check == NULL) {
        return (struct decision){.disposition = DECISION_ACCEPT};
    }
    verdicts = message_check_verdicts(transaction->check);
    facts = (struct message_facts){.sender = inbound_auth_sender_facts(session),
                                   .from = verdicts->from.result,
                                   .dmarc = &verdicts->dmarc,
                                   .sender_signature = sender_signature(transaction, verdicts)};
    ask_chain(session, verdicts, &facts);
    facts.forwarded = verdicts->has_forwarded ? &verdicts->forwarded : NULL;
    facts.can_munge = policy.munge_from == MUNGE_WHEN_NEEDED && verdicts->from.fields == 1 &&
                      verdicts->from.result == FROM_ONE_DOMAIN &&
                      inbound_seal_can_munge(session);
    for (size_t i = 0; i < verdicts->from.count; i++) {
        facts.is_own_author |= is_own(session, verdicts->from.domains[i]);
    }
    if (is_return(transaction)) {
        policy = accept_policy_of_returns(&policy);
    }
    accept_policy_for_message(&policy, &facts, transaction->arena, &transaction->judgement);
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

struct bytes inbound_auth_client_name(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;
    const struct message_verdicts *verdicts;

    /* What a relay in front of us said of its client is no name of the relay. */
    if (transaction->check == NULL ||
        !ip_address_equal(&transaction->facts.client, &session->peer.address)) {
        return BYTES("");
    }
    verdicts = message_check_verdicts(transaction->check);
    return verdicts->iprev.result == AUTH_PASS ? verdicts->iprev.name : BYTES("");
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

static const char *manner_text(enum forward_manner manner)
{
    switch (manner) {
    case FORWARD_AS_IT_IS:
        return "as-it-is";
    case FORWARD_MUNGED:
        return "munged";
    case FORWARD_HELD:
        return "held";
    }
    return "";
}

void inbound_auth_log(const struct inbound_session *session, struct log_line *line)
{
    const struct inbound_transaction *transaction = &session->transaction;
    const struct message_verdicts *verdicts;

    if (transaction->check == NULL) {
        return;
    }
    verdicts = message_check_verdicts(transaction->check);
    if (transaction->facts.is_client_late) {
        log_bytes(line, "origin", transaction->client_text);
    }
    log_text(line, "spf", auth_result_text(verdicts->spf_mail_from.result));
    log_text(line, "dkim", dkim_summary(&verdicts->dkim));
    log_text(line, "dmarc", auth_result_text(verdicts->dmarc.result));
    log_bytes(line, "author", verdicts->dmarc.author);
    log_text(line, "arc", auth_result_text(verdicts->arc.result));
    log_text(line, "iprev", auth_result_text(verdicts->iprev.result));
    for (size_t i = 0; i < transaction->judgement.mark_count; i++) {
        log_text(line, "mark", transaction->judgement.marks[i]);
    }
    if (verdicts->has_forwarded && transaction->is_judged) {
        log_text(line, "forecast", forecast_text(transaction->judgement.forecast));
        log_text(line, "forecast-why", transaction->judgement.forecast_why);
        log_text(line, "manner", manner_text(transaction->judgement.manner));
    }
}
