/*
 * Who the client is, and what is thought of it: HELO, lists in DNS, reverse name, the sender's domain.
 * In the order it happens:
 *
 *   1 inbound_standing_begin  at MAIL: look-ups begin, all at once
 *   2 advance                 evaluates what is known, and has the asker look up what is wanted now; so
 *                             it does when answers come
 *   3 inbound_standing_gate   a recipient waits until all is settled, or time is up: room forward decides
 *   4 inbound_standing_add_results  what is tagged says so in the header
 *
 * What was found out about the client holds as long as it is the same one under the same HELO name;
 * what is about the sender is found out for each MAIL. Lists have a deadline of their own.
 */
#include "inbound_session.h"

#include "auth/reverse_name.h"
#include "base/memory.h"
#include "forward/helo_check.h"
#include "forward/sender_domain.h"
#include "mail/results_field.h"

#include <stdlib.h>

enum {
    LOOKUP_MS = 10000,
    TROUBLE_MS = 3600000, /* the log hears once an hour of a list that does not work */
    FOUND_LIMIT = 2048,   /* octets of all findings as text */
};

struct inbound_standing {
    struct dns_facts *facts;
    struct dns_asker *asker; /* NULL: nothing was ever to be looked up */
    /* whose it is */
    struct arena *arena; /* what was found out about the client */
    struct ip_address client;
    struct strbuf helo;
    uint64_t lists_until_ms; /* clock of the loop */
    bool is_current;         /* by the options of the session */
    bool is_client_settled;
    bool is_allowed;
    size_t kept;   /* findings about the client */
    size_t logged; /* findings that were told to the log */
    /* of the transaction */
    bool is_active;
    uint64_t until_ms;
    bool is_settled;
    bool is_judged; /* a recipient was taken on its word */
    unsigned evaluations;
    struct client_judgement judgement; /* those about the client first */
    struct dns_list_verdict verdicts[DNS_LIST_LIMIT];
    bool is_list_open[DNS_LIST_LIMIT];
};

static const struct client_options *clients(const struct inbound_session *session)
{
    return &session->options->clients;
}

static uint64_t now_ms(const struct inbound_session *session)
{
    return event_loop_now_ms(session->server->loop);
}

static bool is_network_allowed(const struct inbound_session *session)
{
    const struct client_options *options = clients(session);

    for (size_t i = 0; i < options->allowed_count; i++) {
        if (ip_network_contains(&options->allowed[i], &session->peer.address)) {
            return true;
        }
    }
    return false;
}

bool inbound_standing_is_exempt(const struct inbound_session *session)
{
    return inbound_trusts(session->options, &session->peer.address) ||
           is_network_allowed(session);
}

static bool has_rule(const struct client_options *options)
{
    for (size_t i = 0; i < CLIENT_CONTROLS; i++) {
        if (options->rules.of[i].action != CLIENT_OFF && i != CLIENT_EARLY_TALKER) {
            return true;
        }
    }
    return false;
}

/* Is there anything to be found out about this one? */
static bool is_judging(const struct inbound_session *session)
{
    const struct client_options *options = clients(session);

    return (options->blocklist_count > 0 || options->allowlist_count > 0 ||
            session->has_talked_early || has_rule(options)) &&
           !inbound_standing_is_exempt(session);
}

static bool is_asking(const struct inbound_standing *standing)
{
    return standing->asker != NULL && dns_asker_open(standing->asker) > 0;
}

/* ---- what was found ---------------------------------------------------------------------- */

static void add_said(const struct inbound_session *session, struct inbound_standing *standing)
{
    const struct client_options *options = clients(session);
    struct helo_facts facts = {.helo = strbuf_bytes(&standing->helo),
                               .client = standing->client,
                               .own_names = options->own_names,
                               .own_name_count = options->own_name_count,
                               .own_addresses = options->own_addresses,
                               .own_address_count = options->own_address_count};
    enum helo_flaw flaw = helo_check(&facts);
    struct client_finding finding = {.control = CLIENT_EARLY_TALKER};

    if (session->has_talked_early) {
        client_score_add(&standing->judgement, &finding);
    }
    finding.control = CLIENT_PIPELINING;
    if (session->has_hurried) {
        client_score_add(&standing->judgement, &finding);
    }
    finding = (struct client_finding){
        .control = helo_flaw_is_local(flaw) ? CLIENT_HELO_LOCAL : CLIENT_HELO,
        .what = helo_flaw_text(flaw),
        .words = helo_flaw_words(flaw),
        .subject = facts.helo.len > 0 ? facts.helo : BYTES("(nothing)"),
    };
    if (flaw != HELO_FINE) {
        client_score_add(&standing->judgement, &finding);
    }
}

/* True: it is known. */
static bool add_reverse_name(const struct inbound_session *session,
                             struct inbound_standing *standing)
{
    struct reverse_name_verdict verdict;
    struct client_finding finding = {.control = CLIENT_REVERSE_NAME};
    bool is_late = now_ms(session) >= standing->until_ms;

    if (clients(session)->rules.of[CLIENT_REVERSE_NAME].action == CLIENT_OFF) {
        return true;
    }
    if (reverse_name_check(&standing->client, standing->facts, standing->arena, &verdict) ==
            AUTH_NEEDS_DNS &&
        !is_late) {
        return false;
    }
    finding.what = verdict.why;
    finding.subject =
        arena_copy(standing->arena, bytes_from_text(ip_address_text(&standing->client).text));
    finding.is_open = verdict.result == AUTH_TEMPERROR;
    if (verdict.result != AUTH_PASS) {
        client_score_add(&standing->judgement, &finding);
    }
    return true;
}

static bool add_sender_domain(const struct inbound_session *session,
                              struct inbound_standing *standing)
{
    static const struct {
        const char *what, *words;
    } said[] = {
        [SENDER_DOMAIN_MISSING] = {"missing", "does not exist"},
        [SENDER_DOMAIN_NO_ADDRESS] = {"no-address", "has neither MX nor address records"},
        [SENDER_DOMAIN_NULL_MX] = {"null-mx", "has a null MX, so that nothing can be answered"},
        [SENDER_DOMAIN_UNKNOWN] = {"temperror", "cannot be looked up now; try again later"},
    };
    const struct smtp_mailbox *sender = &session->transaction.sender;
    enum sender_domain_standing found;
    struct client_finding finding = {.control = CLIENT_SENDER_DOMAIN,
                                     .subject = sender->domain};

    if (clients(session)->rules.of[CLIENT_SENDER_DOMAIN].action == CLIENT_OFF) {
        return true;
    }
    if (sender_domain_check(sender, standing->facts, &found) == AUTH_NEEDS_DNS &&
        now_ms(session) < standing->until_ms) {
        return false;
    }
    if (found != SENDER_DOMAIN_FINE) {
        finding.what = said[found].what;
        finding.words = said[found].words;
        finding.is_null_mx = found == SENDER_DOMAIN_NULL_MX;
        finding.is_open = found == SENDER_DOMAIN_UNKNOWN;
        client_score_add(&standing->judgement, &finding);
    }
    return true;
}

/* ---- lists ------------------------------------------------------------------------------- */

static struct dns_list_identity identity_of(const struct inbound_session *session,
                                            const struct inbound_standing *standing)
{
    const struct smtp_mailbox *sender = &session->transaction.sender;

    return (struct dns_list_identity){
        .client = standing->client,
        .sender = sender->is_literal ? BYTES("") : sender->domain,
        .helo = helo_name(strbuf_bytes(&standing->helo)),
    };
}

static void log_trouble(struct inbound_session *session, const struct dns_list *list,
                        const struct dns_list_verdict *verdict, uint64_t *told_until_ms)
{
    const char *why = dns_list_trouble(verdict->standing);
    struct ip_address code = {
        .family = IP_V4,
        .octets = {(uint8_t)(verdict->code >> 24), (uint8_t)(verdict->code >> 16),
                   (uint8_t)(verdict->code >> 8), (uint8_t)verdict->code}};
    struct log_line line;

    if (why == NULL || now_ms(session) < *told_until_ms) {
        return;
    }
    *told_until_ms = now_ms(session) + TROUBLE_MS;
    log_begin(&line, LOG_WARNING, "list-trouble");
    log_bytes(&line, "zone", list->zone);
    log_text(&line, "why", why);
    if (verdict->standing == DNS_LIST_REFUSED) {
        log_text(&line, "answer", ip_address_text(&code).text);
    }
    log_end(&line);
}

/* True: it is known, or its time is up. */
static bool ask_list(struct inbound_session *session, struct inbound_standing *standing,
                     const struct dns_list *list, struct arena *arena,
                     struct dns_list_verdict *verdict, uint64_t *told_until_ms)
{
    struct dns_list_identity identity = identity_of(session, standing);

    if (dns_list_check(list, &identity, standing->facts, arena, verdict) == AUTH_NEEDS_DNS) {
        return now_ms(session) >= standing->lists_until_ms;
    }
    log_trouble(session, list, verdict, told_until_ms);
    return true;
}

/* Sets is_allowed. True: no allow list is open. */
static bool ask_allowlists(struct inbound_session *session, struct inbound_standing *standing)
{
    const struct client_options *options = clients(session);
    struct dns_list_verdict verdict;
    bool is_known = true;

    for (size_t i = 0; i < options->allowlist_count && !standing->is_allowed; i++) {
        is_known = ask_list(session, standing, &options->allowlists[i], standing->arena,
                            &verdict, &session->server->allowlists_told_ms[i]) &&
                   is_known;
        standing->is_allowed = verdict.standing == DNS_LIST_LISTED;
    }
    return is_known || standing->is_allowed;
}

static bool is_about_sender(const struct dns_list *list)
{
    return list->subject == DNS_LIST_SENDER;
}

/* All of them, so that all are asked at once. */
static void ask_blocklists(struct inbound_session *session, struct inbound_standing *standing)
{
    const struct client_options *options = clients(session);

    for (size_t i = 0; i < options->blocklist_count; i++) {
        const struct dns_list *list = &options->blocklists[i];
        bool is_sender = is_about_sender(list);

        standing->verdicts[i] = (struct dns_list_verdict){.standing = DNS_LIST_CLEAR};
        standing->is_list_open[i] =
            list->rule.action != CLIENT_OFF && (is_sender || !standing->is_client_settled) &&
            !ask_list(session, standing, list,
                      is_sender ? session->transaction.arena : standing->arena,
                      &standing->verdicts[i], &session->server->blocklists_told_ms[i]);
    }
}

/* The zone is copied: the list belongs to a configuration that may go before the client does. */
static void add_listing(struct inbound_session *session, struct inbound_standing *standing,
                        const struct dns_list *list, const struct dns_list_verdict *verdict)
{
    struct dns_list_identity identity = identity_of(session, standing);
    struct arena *arena = is_about_sender(list) ? session->transaction.arena : standing->arena;
    struct ip_text address = ip_address_text(&standing->client);
    struct client_finding finding = {
        .control = CLIENT_BLOCKLIST,
        .rule = list->rule,
        .subject = arena_copy(arena, list->zone),
        .text = verdict->text,
    };

    switch (list->subject) {
    case DNS_LIST_CLIENT:
        finding.listed = arena_copy(arena, bytes_from_text(address.text));
        break;
    case DNS_LIST_SENDER:
        finding.listed = identity.sender;
        break;
    case DNS_LIST_HELO:
        finding.listed = identity.helo;
        break;
    }
    client_score_add(&standing->judgement, &finding);
}

/* True: none of them is open. */
static bool add_listings(struct inbound_session *session, struct inbound_standing *standing,
                         bool of_sender)
{
    const struct client_options *options = clients(session);
    bool is_known = true;

    for (size_t i = 0; i < options->blocklist_count; i++) {
        const struct dns_list *list = &options->blocklists[i];

        if (is_about_sender(list) != of_sender) {
            continue;
        }
        is_known = is_known && !standing->is_list_open[i];
        if (standing->verdicts[i].standing == DNS_LIST_LISTED) {
            add_listing(session, standing, list, &standing->verdicts[i]);
        }
    }
    return is_known;
}

/* ---- evaluation -------------------------------------------------------------------------- */

static const char *verdict_text(const struct client_answer *answer)
{
    switch (answer->decision.disposition) {
    case DECISION_ACCEPT:
        break;
    case DECISION_DEFER:
        return "defer";
    case DECISION_REFUSE:
        return "refuse";
    }
    return answer->is_tagged ? "tag" : "accept";
}

static struct client_answer judge(const struct inbound_session *session)
{
    struct inbound_standing *standing = session->standing;

    standing->judgement.rules = &clients(session)->rules;
    standing->judgement.arena = session->transaction.arena;
    return client_score_judge(&standing->judgement);
}

static void log_findings(const struct inbound_standing *standing, struct log_line *line)
{
    struct strbuf text;

    strbuf_init(&text, FOUND_LIMIT);
    for (size_t i = 0; i < standing->judgement.count; i++) {
        strbuf_reset(&text);
        client_finding_add_text(&text, &standing->judgement.findings[i]);
        log_bytes(line, "found", strbuf_bytes(&text));
    }
    strbuf_clear(&text);
}

/* Once about a client; again when something is found about a sender. */
static void log_judgement(struct inbound_session *session)
{
    struct inbound_standing *standing = session->standing;
    struct client_answer answer = judge(session);
    struct log_line line;

    if (standing->judgement.count <= standing->logged) {
        return;
    }
    standing->logged = standing->kept;
    inbound_session_log(session, &line, LOG_INFO, "client-judged");
    log_bytes(&line, "helo", strbuf_bytes(&standing->helo));
    log_findings(standing, &line);
    log_number(&line, "points", answer.points);
    log_text(&line, "verdict", verdict_text(&answer));
    log_end(&line);
}

static void settle(struct inbound_session *session)
{
    struct inbound_standing *standing = session->standing;

    dns_asker_end(standing->asker);
    standing->is_settled = true;
    if (standing->is_allowed) {
        standing->is_client_settled = true;
        standing->judgement.count = standing->kept = 0;
        return;
    }
    log_judgement(session);
}

/* Is a refusal certain? More findings could change nothing but its reason. */
static bool is_refused(const struct inbound_session *session)
{
    return judge(session).decision.disposition == DECISION_REFUSE;
}

/* True: something is known that was not before. */
static bool look_up(const struct inbound_session *session, uint64_t until_ms)
{
    return session->standing->asker != NULL && now_ms(session) < until_ms &&
           dns_asker_ask(session->standing->asker, until_ms);
}

/* All that is known goes into the findings. True: nothing is open. */
static bool evaluate(struct inbound_session *session, bool *knows_more)
{
    struct inbound_standing *standing = session->standing;
    bool is_allowed_known = standing->is_client_settled || ask_allowlists(session, standing);
    bool is_client_known = true, is_sender_known;

    standing->evaluations++;
    if (standing->is_allowed) {
        return true;
    }
    ask_blocklists(session, standing);
    *knows_more = look_up(session, standing->lists_until_ms);
    standing->judgement.count = standing->kept;
    standing->judgement.rules = &clients(session)->rules;
    if (!standing->is_client_settled) {
        add_said(session, standing);
        is_client_known = add_listings(session, standing, false) && is_allowed_known;
        is_client_known = add_reverse_name(session, standing) && is_client_known;
        standing->is_client_settled = is_client_known;
        standing->kept = is_client_known ? standing->judgement.count : 0;
    }
    is_sender_known = add_listings(session, standing, true);
    is_sender_known = add_sender_domain(session, standing) && is_sender_known;
    *knows_more = look_up(session, standing->until_ms) || *knows_more;
    return (is_client_known && is_sender_known) || (is_allowed_known && is_refused(session));
}

/* Without a resolver what DNS would say is not known. */
static void advance(struct inbound_session *session)
{
    struct inbound_standing *standing = session->standing;
    bool knows_more = false;

    if (standing->is_settled) {
        return;
    }
    do {
        if (evaluate(session, &knows_more)) {
            settle(session);
            return;
        }
    } while (knows_more);
    if (!is_asking(standing)) {
        settle(session);
    }
}

static void on_answers(void *context)
{
    struct inbound_session *session = context;

    advance(session);
    if (session->wait == INBOUND_WAITS_CLIENT && session->standing->is_settled) {
        inbound_recipient_go_on(session);
    }
}

/* ---- the life of it ---------------------------------------------------------------------- */

static struct inbound_standing *new_standing(struct inbound_session *session)
{
    struct inbound_standing *standing = memory_zero(sizeof *standing);

    standing->facts = dns_facts_new();
    standing->arena = arena_new();
    strbuf_init(&standing->helo, 255);
    if (session->server->resolver != NULL) {
        standing->asker = dns_asker_new(session->server->resolver, on_answers, session);
    }
    return standing;
}

/* Another client, another name, other rules: all is forgotten. */
static void take_client(struct inbound_session *session, struct inbound_standing *standing)
{
    if (standing->is_current && ip_address_equal(&standing->client, &session->peer.address) &&
        bytes_equal(strbuf_bytes(&standing->helo), strbuf_bytes(&session->helo))) {
        return;
    }
    arena_reset(standing->arena);
    strbuf_reset(&standing->helo);
    strbuf_add(&standing->helo, strbuf_bytes(&session->helo));
    standing->client = session->peer.address;
    standing->is_current = true;
    standing->is_client_settled = standing->is_allowed = false;
    standing->kept = standing->logged = 0;
}

void inbound_standing_forget(struct inbound_session *session)
{
    if (session->standing != NULL) {
        session->standing->is_current = false;
    }
}

void inbound_standing_begin(struct inbound_session *session)
{
    struct inbound_standing *standing;

    if (!is_judging(session)) {
        return;
    }
    if (session->standing == NULL) {
        session->standing = new_standing(session);
    }
    standing = session->standing;
    take_client(session, standing);
    dns_facts_reset(standing->facts);
    standing->is_active = true;
    standing->until_ms = now_ms(session) + LOOKUP_MS;
    standing->lists_until_ms = now_ms(session) + clients(session)->lists_timeout_ms;
    if (standing->asker != NULL) {
        dns_asker_begin(standing->asker, standing->facts);
    }
    if (session->commands <= INBOUND_EAGER_COMMANDS) {
        advance(session);
    }
}

void inbound_standing_reset(struct inbound_session *session)
{
    struct inbound_standing *standing = session->standing;

    if (standing == NULL) {
        return;
    }
    dns_asker_end(standing->asker);
    standing->is_active = standing->is_settled = standing->is_judged = false;
    standing->evaluations = 0;
    standing->judgement.count = standing->kept;
}

void inbound_standing_close(struct inbound_session *session)
{
    struct inbound_standing *standing = session->standing;

    if (standing == NULL) {
        return;
    }
    dns_asker_free(&standing->asker);
    dns_facts_free(&standing->facts);
    arena_free(&standing->arena);
    strbuf_clear(&standing->helo);
    free(standing);
    session->standing = NULL;
}

/* ---- what follows ------------------------------------------------------------------------ */

/* RFC 5321 §4.5.1: postmaster is there for everybody, above all for whoever is refused. */
static bool is_postmaster(const struct inbound_asked *asked)
{
    return bytes_equal_nocase(asked->recipient.local, BYTES("postmaster"));
}

enum inbound_gate inbound_standing_gate(struct inbound_session *session,
                                        const struct inbound_asked *asked,
                                        struct decision *decision)
{
    struct inbound_standing *standing = session->standing;
    bool is_exempt = is_postmaster(asked);

    if (standing == NULL || !standing->is_active) {
        return INBOUND_GATE_OPEN;
    }
    if (standing->evaluations == 0) {
        advance(session);
    }
    if (!standing->is_settled && !is_exempt) {
        inbound_session_begin_wait(session, INBOUND_WAITS_CLIENT);
        return INBOUND_GATE_WAITS;
    }
    *decision = judge(session).decision;
    if (decision->disposition != DECISION_ACCEPT && !is_exempt) {
        return INBOUND_GATE_SHUT;
    }
    standing->is_judged = true;
    return INBOUND_GATE_OPEN;
}

bool inbound_standing_is_allowed(const struct inbound_session *session)
{
    return inbound_standing_is_exempt(session) ||
           (session->standing != NULL && session->standing->is_active &&
            session->standing->is_allowed);
}

/* Was a recipient taken though something speaks against the client? */
static bool is_marked(const struct inbound_session *session, struct client_answer *answer)
{
    if (session->standing == NULL || !session->standing->is_judged) {
        return false;
    }
    *answer = judge(session);
    return answer->is_tagged || answer->decision.disposition != DECISION_ACCEPT;
}

void inbound_standing_add_results(const struct inbound_session *session, struct strbuf *out)
{
    const struct inbound_standing *standing = session->standing;
    struct client_answer answer;
    struct strbuf found, points;
    struct result_property properties[2];
    struct result_entry entry = {
        .method = "x-client", .result = "fail", .properties = properties, .property_count = 2};

    if (!is_marked(session, &answer)) {
        return;
    }
    strbuf_init(&found, FOUND_LIMIT);
    strbuf_init(&points, 32);
    for (size_t i = 0; i < standing->judgement.count; i++) {
        strbuf_add_text(&found, i == 0 ? "" : ", ");
        client_finding_add_text(&found, &standing->judgement.findings[i]);
    }
    strbuf_add_u64(&points, answer.points);
    entry.comment = strbuf_bytes(&found);
    properties[0] = (struct result_property){"policy", "points", strbuf_bytes(&points)};
    properties[1] =
        (struct result_property){"smtp", "remote-ip", bytes_from_text(session->peer_text.text)};
    inbound_trace_add_marks(session, out, &entry, 1);
    strbuf_clear(&points);
    strbuf_clear(&found);
}

void inbound_standing_log(const struct inbound_session *session, struct log_line *line)
{
    struct client_answer answer;

    if (is_marked(session, &answer)) {
        log_findings(session->standing, line);
        log_number(line, "points", answer.points);
    }
}
