#include "auth/spf_check.h"

#include "auth/spf_library.h"
#include "base/memory.h"

#include <stdlib.h>

enum {
    NAME_SCRATCH_LIMIT =
        65536, /* a record's text and what its macros make of it, for a moment */
    /* What a session lets through is shorter; this bounds the work for any caller. */
    HELO_LIMIT = 255,
    LOCAL_PART_LIMIT = 512,
    LABEL_LIMIT = 63,
};

struct spf_checker {
    struct spf_library *library;
    struct arena *arena; /* of one round of one evaluation */
    struct strbuf name;
    struct strbuf sender;
    const struct spf_watcher *watcher;
};

static const struct spf_watcher nobody;

struct spf_checker *spf_checker_new(void)
{
    struct spf_checker *checker = memory_zero(sizeof *checker);

    checker->library = spf_library_new();
    checker->arena = arena_new();
    checker->watcher = &nobody;
    strbuf_init(&checker->name, NAME_SCRATCH_LIMIT);
    strbuf_init(&checker->sender, LOCAL_PART_LIMIT + DNS_NAME_LIMIT + 1);
    return checker;
}

void spf_checker_free(struct spf_checker **checker)
{
    if (*checker == NULL) {
        return;
    }
    spf_library_free(&(*checker)->library);
    arena_free(&(*checker)->arena);
    strbuf_clear(&(*checker)->name);
    strbuf_clear(&(*checker)->sender);
    free(*checker);
    *checker = NULL;
}

void spf_checker_watch(struct spf_checker *checker, const struct spf_watcher *watcher)
{
    checker->watcher = watcher == NULL ? &nobody : watcher;
}

/* ---- the identity ---- */

/* Letters, digits, hyphens and underscores in two or more labels (RFC 7208 §4.3). */
static bool is_domain(struct bytes domain)
{
    unsigned labels = 0;

    if (domain.len == 0 || domain.len > DNS_NAME_LIMIT || domain.data[domain.len - 1] == '.') {
        return false;
    }
    while (domain.len > 0) {
        struct bytes label = bytes_cut(&domain, '.');

        if (label.len == 0 || label.len > LABEL_LIMIT) {
            return false;
        }
        for (size_t i = 0; i < label.len; i++) {
            unsigned char octet = (unsigned char)label.data[i];
            if (!ascii_is_alnum(octet) && octet != '-' && octet != '_') {
                return false;
            }
        }
        labels++;
    }
    return labels > 1;
}

static struct bytes without_final_dot(struct bytes domain)
{
    bool has_dot = domain.len > 0 && domain.data[domain.len - 1] == '.';

    return bytes_first(domain, domain.len - has_dot);
}

/* Sets s, l, o; false: there is no domain to ask. */
static bool set_sender(struct spf_checker *checker, const struct spf_identity *identity,
                       enum spf_scope scope, struct spf_macro_values *values)
{
    const struct smtp_mailbox *sender = &identity->sender;
    bool is_helo = scope == SPF_HELO || smtp_mailbox_is_null(sender);

    values->local = is_helo ? BYTES("") : bytes_first(sender->local, LOCAL_PART_LIMIT);
    if (values->local.len == 0) {
        values->local = BYTES("postmaster");
    }
    values->sender_domain = without_final_dot(is_helo ? identity->helo : sender->domain);
    if ((!is_helo && sender->is_literal) || !is_domain(values->sender_domain)) {
        return false;
    }
    strbuf_reset(&checker->sender);
    strbuf_add(&checker->sender, values->local);
    strbuf_add_char(&checker->sender, '@');
    strbuf_add(&checker->sender, values->sender_domain);
    values->sender = strbuf_bytes(&checker->sender);
    return true;
}

/* ---- the term that decided ---- */

static const struct spf_term *find_deciding_term(const struct spf_frame *frame,
                                                 const struct ip_address *client);

/* By what was noted while libspf2 evaluated; networks are compared again. */
static bool has_matched(const struct spf_term *term, const struct ip_address *client)
{
    struct ip_network network = {term->address, term->prefix4};
    const struct spf_term *inner;

    switch (term->mechanism) {
    case SPF_MECHANISM_ALL:
        return true;
    case SPF_MECHANISM_INCLUDE:
        inner = term->included == NULL ? NULL : find_deciding_term(term->included, client);
        return inner != NULL && inner->qualifier == '+';
    case SPF_MECHANISM_IP6:
        network.prefix_bits = term->prefix6;
        return ip_network_contains(&network, client);
    case SPF_MECHANISM_IP4:
        return ip_network_contains(&network, client);
    case SPF_MECHANISM_A:
    case SPF_MECHANISM_MX:
    case SPF_MECHANISM_PTR:
    case SPF_MECHANISM_EXISTS:
        return term->is_matched;
    }
    return false;
}

static const struct spf_term *find_deciding_term(const struct spf_frame *frame,
                                                 const struct ip_address *client)
{
    for (; frame != NULL; frame = frame->redirected) {
        for (const struct spf_term *term = frame->record.terms; term != NULL;
             term = term->next) {
            if (has_matched(term, client)) {
                return term;
            }
        }
    }
    return NULL;
}

static enum auth_result result_of(const struct spf_term *term)
{
    switch (term == NULL ? '?' : term->qualifier) {
    case '+':
        return AUTH_PASS;
    case '-':
        return AUTH_FAIL;
    case '~':
        return AUTH_SOFTFAIL;
    default:
        return AUTH_NEUTRAL;
    }
}

/* ---- the verdict ---- */

static bool is_verdict_of_record(enum auth_result result)
{
    return result == AUTH_PASS || result == AUTH_FAIL || result == AUTH_SOFTFAIL ||
           result == AUTH_NEUTRAL;
}

/* Empty when what we noted does not lead where libspf2 went: then it is not for us to say. */
static struct bytes name_mechanism(const struct spf_evaluation *evaluation,
                                   const struct spf_frame *first, enum auth_result result)
{
    const struct spf_term *term = find_deciding_term(first, &evaluation->identity->client);

    if (!is_verdict_of_record(result) || result_of(term) != result) {
        return BYTES("");
    }
    return term == NULL ? BYTES("default") : term->text;
}

static enum auth_status judge_record(struct spf_checker *checker,
                                     struct spf_evaluation *evaluation, struct arena *arena,
                                     struct spf_verdict *verdict)
{
    const struct spf_frame *first = evaluation->top;
    enum auth_result result = spf_library_run(checker->library, evaluation);
    struct bytes explanation = BYTES("");

    if (evaluation->is_waiting) {
        return AUTH_NEEDS_DNS;
    }
    if (evaluation->is_over_limit) {
        result = AUTH_PERMERROR;
    }
    if (result == AUTH_FAIL && !spf_explain(evaluation, &explanation)) {
        return AUTH_NEEDS_DNS;
    }
    verdict->result = result;
    verdict->terms = evaluation->terms;
    verdict->mechanism = arena_copy(arena, name_mechanism(evaluation, first, result));
    verdict->explanation = arena_copy(arena, explanation);
    verdict->why = NULL;
    if (!is_verdict_of_record(result)) {
        verdict->why = evaluation->why != NULL ? evaluation->why : "more than 10 MX hosts";
    }
    return AUTH_DONE;
}

static enum auth_status judge(struct spf_checker *checker, struct spf_evaluation *evaluation,
                              struct arena *arena, struct spf_verdict *verdict)
{
    switch (spf_find_record(evaluation, evaluation->values.domain, 0, &evaluation->top)) {
    case SPF_FOUND:
        return judge_record(checker, evaluation, arena, verdict);
    case SPF_FOUND_WAITING:
        return AUTH_NEEDS_DNS;
    case SPF_FOUND_NONE:
        verdict->result = AUTH_NONE;
        break;
    case SPF_FOUND_TEMPERROR:
        verdict->result = AUTH_TEMPERROR;
        break;
    case SPF_FOUND_PERMERROR:
        verdict->result = AUTH_PERMERROR;
        break;
    }
    verdict->why = evaluation->why;
    return AUTH_DONE;
}

enum auth_status spf_check(struct spf_checker *checker, const struct spf_identity *identity,
                           enum spf_scope scope, struct dns_facts *facts, struct arena *arena,
                           struct spf_verdict *verdict)
{
    struct spf_evaluation evaluation = {.identity = identity,
                                        .facts = facts,
                                        .arena = checker->arena,
                                        .watcher = checker->watcher,
                                        .name = checker->name};
    struct spf_macro_values *values = &evaluation.values;
    enum auth_status status;

    *verdict = (struct spf_verdict){.result = AUTH_TEMPERROR, .why = "DNS answers missing"};
    if (identity->client.family == IP_NONE || !set_sender(checker, identity, scope, values)) {
        verdict->result = AUTH_NONE;
        verdict->why = "no domain to ask";
        return AUTH_DONE;
    }
    arena_reset(checker->arena);
    spf_macro_set_client(values, &identity->client);
    values->domain = values->sender_domain;
    values->helo = bytes_first(identity->helo, HELO_LIMIT);
    values->receiver = identity->receiver.len > 0 ? identity->receiver : BYTES("unknown");
    values->unix_seconds = identity->unix_seconds;
    verdict->domain = arena_copy(arena, values->sender_domain);
    status = judge(checker, &evaluation, arena, verdict);
    checker->name = evaluation.name;
    return status;
}
