#include "auth/spf_evaluation.h"

static bool is_stopped(const struct spf_evaluation *evaluation)
{
    return evaluation->is_waiting || evaluation->is_over_limit;
}

static void note_trouble(struct spf_evaluation *evaluation, const char *why)
{
    if (evaluation->why == NULL) {
        evaluation->why = why;
    }
}

/* ---- answers ---- */

const struct dns_answer *spf_ask(struct spf_evaluation *evaluation, struct bytes name,
                                 uint16_t type)
{
    const struct dns_answer *answer = dns_facts_get(evaluation->facts, name, type);

    if (answer == NULL) {
        evaluation->is_waiting = true;
    } else if (answer->status == DNS_TEMPFAIL) {
        note_trouble(evaluation, "temporary DNS failure");
    }
    return answer;
}

uint16_t spf_address_type(const struct spf_evaluation *evaluation)
{
    return evaluation->values.is_ipv6 ? DNS_TYPE_AAAA : DNS_TYPE_A;
}

bool spf_count_term(struct spf_evaluation *evaluation)
{
    if (is_stopped(evaluation)) {
        return false;
    }
    evaluation->terms++;
    if (evaluation->terms > SPF_TERM_LIMIT) {
        evaluation->is_over_limit = true;
        evaluation->why = "more than 10 terms that need DNS";
    }
    return !evaluation->is_over_limit;
}

bool spf_count_void(struct spf_evaluation *evaluation, const struct dns_answer *answer)
{
    if (answer->status != DNS_NXDOMAIN && answer->status != DNS_NODATA) {
        return true;
    }
    evaluation->voids++;
    if (evaluation->voids > SPF_VOID_LIMIT) {
        evaluation->is_over_limit = true;
        evaluation->why = "more than 2 look-ups that find nothing";
    }
    return !evaluation->is_over_limit;
}

bool spf_ask_hosts(struct spf_evaluation *evaluation, const struct bytes *hosts, size_t count)
{
    bool all_known = true;

    for (size_t i = 0; i < count; i++) {
        /* "" is the null MX (RFC 7505), no host */
        if (hosts[i].len > 0 &&
            dns_facts_get(evaluation->facts, hosts[i], spf_address_type(evaluation)) == NULL) {
            all_known = false;
        }
    }
    evaluation->is_waiting = evaluation->is_waiting || !all_known;
    return all_known;
}

/* ---- records ---- */

/* Exactly one TXT record may be an SPF record (RFC 7208 §4.5). */
static enum spf_found select_record(struct spf_evaluation *evaluation,
                                    const struct dns_answer *answer, struct bytes *text)
{
    unsigned count = 0;

    for (size_t i = 0; i < answer->count; i++) {
        if (answer->records[i].type == DNS_TYPE_TXT &&
            spf_record_is_spf(answer->records[i].text)) {
            *text = answer->records[i].text;
            count++;
        }
    }
    if (count == 0) {
        note_trouble(evaluation, "no SPF record");
        return SPF_FOUND_NONE;
    }
    if (count > 1) {
        note_trouble(evaluation, "more than one SPF record");
        return SPF_FOUND_PERMERROR;
    }
    if (text->len > SPF_RECORD_LIMIT) {
        note_trouble(evaluation, "SPF record too long");
        return SPF_FOUND_PERMERROR;
    }
    return SPF_FOUND;
}

enum spf_found spf_find_record(struct spf_evaluation *evaluation, struct bytes domain,
                               unsigned depth, struct spf_frame **frame)
{
    const struct dns_answer *answer = spf_ask(evaluation, domain, DNS_TYPE_TXT);
    struct bytes text;
    enum spf_found found;

    if (answer == NULL) {
        return SPF_FOUND_WAITING;
    }
    if (answer->status == DNS_TEMPFAIL) {
        return SPF_FOUND_TEMPERROR;
    }
    found = select_record(evaluation, answer, &text);
    if (found != SPF_FOUND) {
        return found;
    }
    if (evaluation->watcher->on_record != NULL) {
        evaluation->watcher->on_record(evaluation->watcher->context, depth, domain, text);
    }
    *frame = arena_alloc(evaluation->arena, sizeof **frame);
    **frame = (struct spf_frame){.domain = domain, .depth = depth};
    if (!spf_record_parse(text, evaluation->arena, &(*frame)->record)) {
        note_trouble(evaluation, "syntax error in an SPF record");
        return SPF_FOUND_PERMERROR;
    }
    return SPF_FOUND;
}

/* ---- names of the client ---- */

static bool has_client_address(struct spf_evaluation *evaluation, struct bytes host)
{
    const struct dns_answer *answer =
        dns_facts_get(evaluation->facts, host, spf_address_type(evaluation));

    for (size_t i = 0; answer != NULL && i < answer->count; i++) {
        if ((answer->records[i].type == DNS_TYPE_A ||
             answer->records[i].type == DNS_TYPE_AAAA) &&
            ip_address_equal(&answer->records[i].address, &evaluation->identity->client)) {
            return true;
        }
    }
    return false;
}

static const struct dns_answer *ask_reverse(struct spf_evaluation *evaluation)
{
    strbuf_reset(&evaluation->name);
    dns_reverse_name_add(&evaluation->name, &evaluation->identity->client);
    return dns_facts_get(evaluation->facts, strbuf_bytes(&evaluation->name), DNS_TYPE_PTR);
}

bool spf_count_void_reverse(struct spf_evaluation *evaluation)
{
    const struct dns_answer *answer = ask_reverse(evaluation);

    return answer == NULL || spf_count_void(evaluation, answer);
}

/* The first ten names only (RFC 7208 §4.6.4); trouble on the way means fewer names, never an
 * error (§5.5). False: it waits. */
static bool know_client_names(struct spf_evaluation *evaluation)
{
    const struct dns_answer *answer;
    struct bytes hosts[SPF_HOST_LIMIT] = {{NULL, 0}};
    size_t count = 0;

    if (evaluation->knows_client_names) {
        return true;
    }
    answer = ask_reverse(evaluation);
    if (answer == NULL) {
        evaluation->is_waiting = true;
        return false;
    }
    for (size_t i = 0; i < answer->count && count < SPF_HOST_LIMIT; i++) {
        if (answer->records[i].type == DNS_TYPE_PTR && answer->records[i].name.len > 0) {
            hosts[count++] = answer->records[i].name;
        }
    }
    if (!spf_ask_hosts(evaluation, hosts, count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        /* A name with escapes is nothing to compare or to show. */
        if (bytes_find(hosts[i], '\\') == hosts[i].len &&
            has_client_address(evaluation, hosts[i])) {
            evaluation->client_names[evaluation->client_name_count++] = hosts[i];
        }
    }
    evaluation->knows_client_names = true;
    return true;
}

static bool is_in_domain(struct bytes name, struct bytes domain)
{
    return domain.len > 0 && bytes_ends_with_nocase(name, domain) &&
           (name.len == domain.len || name.data[name.len - domain.len - 1] == '.');
}

bool spf_client_is_in(struct spf_evaluation *evaluation, struct bytes domain)
{
    if (!know_client_names(evaluation)) {
        return false;
    }
    for (size_t i = 0; i < evaluation->client_name_count; i++) {
        if (is_in_domain(evaluation->client_names[i], domain)) {
            return true;
        }
    }
    return false;
}

/* %{p}: the domain itself, else a name in it, else any (RFC 7208 §7.3). False: it waits. */
static bool choose_client_name(struct spf_evaluation *evaluation, struct bytes domain)
{
    struct bytes best = BYTES("unknown");
    int best_rank = 0;

    if (!know_client_names(evaluation)) {
        return false;
    }
    for (size_t i = 0; i < evaluation->client_name_count; i++) {
        struct bytes name = evaluation->client_names[i];
        int rank = bytes_equal_nocase(name, domain) ? 3 : is_in_domain(name, domain) ? 2 : 1;

        if (rank > best_rank) {
            best = name;
            best_rank = rank;
        }
    }
    evaluation->values.client_name = best;
    return true;
}

/* ---- names to look up ---- */

bool spf_expand_target(struct spf_evaluation *evaluation, const struct spf_frame *frame,
                       struct bytes domain_spec, struct bytes *target)
{
    if (domain_spec.len == 0) {
        *target = frame->domain;
        return true;
    }
    evaluation->values.domain = frame->domain;
    if (spf_macro_uses(domain_spec, 'p') && !choose_client_name(evaluation, frame->domain)) {
        return false;
    }
    spf_macro_expand_domain(domain_spec, &evaluation->values, &evaluation->name);
    *target = arena_copy(evaluation->arena, strbuf_bytes(&evaluation->name));
    return true;
}

static void want_target(struct spf_evaluation *evaluation, const struct spf_frame *frame,
                        struct bytes domain_spec, uint16_t type)
{
    struct bytes target;

    if (!spf_macro_uses(domain_spec, 'p') &&
        spf_expand_target(evaluation, frame, domain_spec, &target)) {
        dns_facts_get(evaluation->facts, target, type);
    }
}

/* No more than could still be evaluated: a record cannot make us ask for more by naming it. */
void spf_want_ahead(struct spf_evaluation *evaluation, const struct spf_frame *frame,
                    const struct spf_term *term)
{
    unsigned budget = SPF_TERM_LIMIT - evaluation->terms;

    for (; term != NULL && budget > 0; term = term->next) {
        switch (term->mechanism) {
        case SPF_MECHANISM_ALL:
        case SPF_MECHANISM_IP4:
        case SPF_MECHANISM_IP6:
            continue;
        case SPF_MECHANISM_INCLUDE:
            want_target(evaluation, frame, term->domain_spec, DNS_TYPE_TXT);
            break;
        case SPF_MECHANISM_A:
            want_target(evaluation, frame, term->domain_spec, spf_address_type(evaluation));
            break;
        case SPF_MECHANISM_MX:
            want_target(evaluation, frame, term->domain_spec, DNS_TYPE_MX);
            break;
        case SPF_MECHANISM_PTR:
            ask_reverse(evaluation);
            break;
        case SPF_MECHANISM_EXISTS:
            want_target(evaluation, frame, term->domain_spec, DNS_TYPE_A);
            break;
        }
        budget--;
    }
    if (budget > 0 && !frame->record.has_all && frame->record.redirect.len > 0) {
        want_target(evaluation, frame, frame->record.redirect, DNS_TYPE_TXT);
    }
}

/* ---- explanation ---- */

static bool is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return true;
}

/* Any trouble means that there is no explanation (RFC 7208 §6.2), and does not count against
 * the limits. */
bool spf_explain(struct spf_evaluation *evaluation, struct bytes *explanation)
{
    const struct spf_frame *frame = evaluation->top;
    const struct dns_answer *answer;
    struct bytes target, text;

    *explanation = BYTES("");
    if (frame->record.explanation.len == 0) {
        return true;
    }
    if (!spf_expand_target(evaluation, frame, frame->record.explanation, &target)) {
        return false;
    }
    answer = dns_facts_get(evaluation->facts, target, DNS_TYPE_TXT);
    if (answer == NULL) {
        return false;
    }
    if (answer->count != 1 || answer->records[0].type != DNS_TYPE_TXT) {
        return true;
    }
    text = answer->records[0].text;
    if (text.len > SPF_RECORD_LIMIT || !spf_macro_is_valid(text, SPF_MACRO_IN_EXPLANATION)) {
        return true;
    }
    if (spf_macro_uses(text, 'p') && !choose_client_name(evaluation, frame->domain)) {
        return false;
    }
    evaluation->values.domain = frame->domain;
    spf_macro_expand_text(text, &evaluation->values, SPF_EXPLANATION_LIMIT, &evaluation->name);
    if (is_printable(strbuf_bytes(&evaluation->name))) {
        *explanation = arena_copy(evaluation->arena, strbuf_bytes(&evaluation->name));
    }
    return true;
}
