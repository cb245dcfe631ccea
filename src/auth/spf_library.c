#include "auth/spf_library.h"

#include "auth/spf_rewrite.h"
#include "base/memory.h"

/* libspf2's headers name types of these without including them. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>

#include <spf2/spf.h>

enum {
    /* We count the terms; the library's own count, which restarts in every include, must never
     * be the one that ends an evaluation. */
    LIBRARY_TERM_LIMIT = 1000,
    REWRITTEN_LIMIT = 8192, /* at most 55 networks of 50 octets, or 11 targets */
};

struct spf_library {
    SPF_dns_server_t dns;
    SPF_server_t *server;
    struct spf_tokens tokens;
    struct strbuf text;                /* the record being made */
    struct spf_evaluation *evaluation; /* while it runs, or NULL */
};

static void show(const struct spf_evaluation *evaluation, const char *text)
{
    if (evaluation->watcher->on_library_text != NULL) {
        evaluation->watcher->on_library_text(evaluation->watcher->context, text);
    }
}

/* ---- answers ---- */

static void *require(void *memory)
{
    if (memory == NULL) {
        abort(); /* out of memory; libspf2 itself does the same */
    }
    return memory;
}

static SPF_dns_rr_t *new_answer(struct spf_library *library, const char *name, ns_type type,
                                int status)
{
    return require(SPF_dns_rr_new_init(&library->dns, name, type, 0, status));
}

static void *add_data(SPF_dns_rr_t *answer, size_t size)
{
    if (SPF_dns_rr_buf_realloc(answer, answer->num_rr, size) != SPF_E_SUCCESS) {
        abort();
    }
    answer->herrno = NETDB_SUCCESS;
    return answer->rr[answer->num_rr++];
}

static void add_address(SPF_dns_rr_t *answer, const struct ip_address *address)
{
    SPF_dns_rr_data_t *data = add_data(answer, sizeof *data);

    memcpy(data, address->octets, address->family == IP_V6 ? 16 : 4);
}

static SPF_dns_rr_t *try_again(struct spf_library *library, const char *name, ns_type type)
{
    return new_answer(library, name, type, TRY_AGAIN);
}

static bool is_stopped(const struct spf_evaluation *evaluation)
{
    return evaluation->is_waiting || evaluation->is_over_limit;
}

/* The addresses of one family; for a /0 network any address means the client's own. */
static SPF_dns_rr_t *give_addresses(struct spf_library *library, const char *name, ns_type type,
                                    const struct dns_answer *facts, struct spf_term *term)
{
    struct spf_evaluation *evaluation = library->evaluation;
    const struct ip_address *client = &evaluation->identity->client;
    SPF_dns_rr_t *answer = new_answer(library, name, type, NO_DATA);
    unsigned prefix = client->family == IP_V6 ? term->prefix6 : term->prefix4;

    for (size_t i = 0; i < facts->count; i++) {
        const struct ip_address *address = &facts->records[i].address;
        struct ip_network network = {*address, prefix};

        if (facts->records[i].type != spf_address_type(evaluation) ||
            address->family != client->family) {
            continue;
        }
        add_address(answer, prefix == 0 ? client : address);
        term->is_matched = term->is_matched || ip_network_contains(&network, client);
        if (prefix == 0) {
            break;
        }
    }
    return answer;
}

/* Gives the answer for the first look-up of a term, or NULL when there is nothing to give yet
 * or any more. */
static const struct dns_answer *ask_for_term(struct spf_evaluation *evaluation,
                                             const struct spf_token *token, uint16_t type)
{
    const struct dns_answer *answer;
    struct bytes target;

    if (!spf_expand_target(evaluation, token->frame, token->term->domain_spec, &target)) {
        return NULL;
    }
    answer = spf_ask(evaluation, target, type);
    if (answer == NULL || answer->status == DNS_TEMPFAIL ||
        !spf_count_void(evaluation, answer)) {
        return NULL;
    }
    return answer;
}

static SPF_dns_rr_t *answer_a(struct spf_library *library, const struct spf_token *token,
                              const char *name, ns_type type)
{
    const struct dns_answer *facts =
        ask_for_term(library->evaluation, token, spf_address_type(library->evaluation));

    return facts == NULL ? try_again(library, name, type)
                         : give_addresses(library, name, type, facts, token->term);
}

static SPF_dns_rr_t *answer_exists(struct spf_library *library, const struct spf_token *token,
                                   const char *name, ns_type type)
{
    const struct dns_answer *facts = ask_for_term(library->evaluation, token, DNS_TYPE_A);
    SPF_dns_rr_t *answer;

    if (facts == NULL) {
        return try_again(library, name, type);
    }
    answer = new_answer(library, name, type, NO_DATA);
    if (facts->count > 0) {
        add_address(answer, &(struct ip_address){.family = IP_V4, .octets = {127, 0, 0, 2}});
        token->term->is_matched = true;
    }
    return answer;
}

static SPF_dns_rr_t *answer_ptr(struct spf_library *library, const struct spf_token *token,
                                const char *name, ns_type type)
{
    struct spf_evaluation *evaluation = library->evaluation;
    SPF_dns_rr_t *answer;
    struct bytes domain;
    bool is_in;

    if (!spf_expand_target(evaluation, token->frame, token->term->domain_spec, &domain)) {
        return try_again(library, name, type);
    }
    is_in = spf_client_is_in(evaluation, domain);
    if (evaluation->is_waiting || !spf_count_void_reverse(evaluation)) {
        return try_again(library, name, type);
    }
    answer = new_answer(library, name, type, NO_DATA);
    if (is_in) {
        add_address(answer, &(struct ip_address){.family = IP_V4, .octets = {127, 0, 0, 2}});
        token->term->is_matched = true;
    }
    return answer;
}

static int compare_mx(const void *a, const void *b)
{
    const struct dns_record *one = a, *other = b;

    if (one->mx.preference != other->mx.preference) {
        return one->mx.preference < other->mx.preference ? -1 : 1;
    }
    return bytes_compare(one->mx.host, other->mx.host);
}

/* The hosts of an MX answer, best first, at most SPF_HOST_LIMIT + 1. Which of more than ten count may
 * not depend on the order a resolver happens to answer in. */
static size_t mx_hosts(const struct dns_answer *facts, struct bytes *hosts)
{
    struct dns_record sorted[DNS_RECORD_LIMIT];
    size_t count = 0;

    for (size_t i = 0; i < facts->count && count < DNS_RECORD_LIMIT; i++) {
        if (facts->records[i].type == DNS_TYPE_MX) {
            sorted[count++] = facts->records[i];
        }
    }
    qsort(sorted, count, sizeof *sorted, compare_mx);
    if (count > SPF_HOST_LIMIT + 1) {
        count = SPF_HOST_LIMIT + 1;
    }
    for (size_t i = 0; i < count; i++) {
        hosts[i] = sorted[i].mx.host;
    }
    return count;
}

/* One more host than may be looked at is handed over: that libspf2 refuses. */
static SPF_dns_rr_t *answer_mx(struct spf_library *library, const struct spf_token *token,
                               const char *name, ns_type type)
{
    struct spf_evaluation *evaluation = library->evaluation;
    const struct dns_answer *facts = ask_for_term(evaluation, token, DNS_TYPE_MX);
    struct bytes hosts[SPF_HOST_LIMIT + 1] = {{NULL, 0}};
    SPF_dns_rr_t *answer;
    size_t count;

    if (facts == NULL) {
        return try_again(library, name, type);
    }
    count = mx_hosts(facts, hosts);
    if (!spf_ask_hosts(evaluation, hosts, count < SPF_HOST_LIMIT ? count : SPF_HOST_LIMIT)) {
        return try_again(library, name, type);
    }
    answer = new_answer(library, name, type, NO_DATA);
    for (size_t i = 0; i < count; i++) {
        struct spf_token host = {SPF_TOKEN_HOST, token->frame, token->term, hosts[i]};
        struct spf_token_text text = spf_token_add(&library->tokens, host);

        memcpy(add_data(answer, sizeof text), &text, sizeof text);
    }
    return answer;
}

static SPF_dns_rr_t *answer_host(struct spf_library *library, const struct spf_token *token,
                                 const char *name, ns_type type)
{
    struct spf_evaluation *evaluation = library->evaluation;
    const struct dns_answer *facts;

    if (token->host.len == 0) {
        return new_answer(library, name, type, HOST_NOT_FOUND);
    }
    facts = spf_ask(evaluation, token->host, spf_address_type(evaluation));
    return facts == NULL || facts->status == DNS_TEMPFAIL
               ? try_again(library, name, type)
               : give_addresses(library, name, type, facts, token->term);
}

static SPF_dns_rr_t *answer_term(struct spf_library *library, const struct spf_token *token,
                                 const char *name, ns_type type)
{
    switch (token->term->mechanism) {
    case SPF_MECHANISM_A:
        return answer_a(library, token, name, type);
    case SPF_MECHANISM_MX:
        return answer_mx(library, token, name, type);
    case SPF_MECHANISM_PTR:
        return answer_ptr(library, token, name, type);
    case SPF_MECHANISM_EXISTS:
        return answer_exists(library, token, name, type);
    case SPF_MECHANISM_ALL:
    case SPF_MECHANISM_INCLUDE:
    case SPF_MECHANISM_IP4:
    case SPF_MECHANISM_IP6:
        break; /* never looked up this way */
    }
    return try_again(library, name, type);
}

static SPF_dns_rr_t *on_lookup(SPF_dns_server_t *dns, const char *name, ns_type type,
                               int should_cache)
{
    struct spf_library *library = dns->hook;
    struct spf_evaluation *evaluation = library->evaluation;
    const struct spf_token *token = spf_token_find(&library->tokens, name);
    struct spf_token copy; /* the table may move while it is answered */
    SPF_dns_rr_t *answer;

    (void)should_cache;
    show(evaluation, name);
    if (token == NULL || is_stopped(evaluation)) {
        return try_again(library, name, type);
    }
    copy = *token;
    if (copy.kind == SPF_TOKEN_HOST) {
        return answer_host(library, &copy, name, type);
    }
    if (copy.kind != SPF_TOKEN_TERM || !spf_count_term(evaluation)) {
        return try_again(library, name, type);
    }
    answer = answer_term(library, &copy, name, type);
    if (evaluation->is_waiting) {
        spf_want_ahead(evaluation, copy.frame, copy.term->next);
    }
    return answer;
}

/* ---- records ---- */

static SPF_errcode_t compile(struct spf_library *library, struct spf_frame *frame,
                             SPF_response_t *response, SPF_record_t **record)
{
    struct spf_evaluation *evaluation = library->evaluation;

    spf_rewrite(frame, &evaluation->identity->client, &library->tokens, &library->text);
    show(evaluation, strbuf_text(&library->text));
    return SPF_record_compile(library->server, response, record, strbuf_text(&library->text));
}

static enum spf_found follow(struct spf_evaluation *evaluation, const struct spf_token *token,
                             struct spf_frame **frame)
{
    struct spf_frame *from = token->frame;
    bool is_include = token->kind == SPF_TOKEN_TERM;
    struct bytes target;
    enum spf_found found;

    if (!spf_count_term(evaluation)) {
        return SPF_FOUND_TEMPERROR; /* a limit: the caller of the library knows */
    }
    if (!spf_expand_target(evaluation, from,
                           is_include ? token->term->domain_spec : from->record.redirect,
                           &target)) {
        return SPF_FOUND_WAITING;
    }
    found = spf_find_record(evaluation, target, from->depth + is_include, frame);
    if (found != SPF_FOUND) {
        return found;
    }
    if (is_include) {
        token->term->included = *frame;
        return SPF_FOUND;
    }
    from->redirected = *frame;
    if (evaluation->top == from) {
        evaluation->top = *frame;
    }
    return SPF_FOUND;
}

/* Where libspf2 would look for a TXT record of include: and redirect=. */
static SPF_errcode_t on_get_record(SPF_server_t *server, SPF_request_t *request,
                                   SPF_response_t *response, SPF_record_t **record)
{
    struct spf_library *library = server->resolver->hook;
    struct spf_evaluation *evaluation = library->evaluation;
    const struct spf_token *found_token = spf_token_find(&library->tokens, request->cur_dom);
    struct spf_token token;
    struct spf_frame *frame = NULL;

    *record = NULL;
    show(evaluation, request->cur_dom);
    if (found_token == NULL || is_stopped(evaluation)) {
        return SPF_E_DNS_ERROR;
    }
    token = *found_token;
    switch (follow(evaluation, &token, &frame)) {
    case SPF_FOUND:
        return compile(library, frame, response, record);
    case SPF_FOUND_WAITING:
        if (token.kind == SPF_TOKEN_TERM) {
            spf_want_ahead(evaluation, token.frame, token.term->next);
        }
        return SPF_E_DNS_ERROR;
    case SPF_FOUND_TEMPERROR:
        return SPF_E_DNS_ERROR;
    case SPF_FOUND_NONE:
        return SPF_E_NOT_SPF;
    case SPF_FOUND_PERMERROR:
        return SPF_E_SYNTAX;
    }
    return SPF_E_DNS_ERROR;
}

/* ---- the library ---- */

struct spf_library *spf_library_new(void)
{
    struct spf_library *library = memory_zero(sizeof *library);
    SPF_response_t *response = NULL;

    strbuf_init(&library->text, REWRITTEN_LIMIT);
    library->dns.lookup = on_lookup;
    library->dns.get_spf = on_get_record;
    library->dns.name = "facts";
    library->dns.hook = library;
    library->server = require(SPF_server_new_dns(&library->dns, 0));
    SPF_server_set_rec_dom(library->server, "receiver.x"); /* else it asks the system */
    /* Its own texts are never used, but it makes them: let that be cheap and harmless. */
    SPF_server_set_explanation(library->server, "x", &response);
    if (response != NULL) {
        SPF_response_free(response);
    }
    SPF_server_set_max_dns_mech(library->server, LIBRARY_TERM_LIMIT);
    SPF_server_set_max_dns_mx(library->server, SPF_HOST_LIMIT);
    return library;
}

void spf_library_free(struct spf_library **library)
{
    if (*library == NULL) {
        return;
    }
    SPF_server_free((*library)->server);
    free((*library)->tokens.list);
    strbuf_clear(&(*library)->text);
    free(*library);
    *library = NULL;
}

static SPF_request_t *new_request(struct spf_library *library, const struct ip_address *client)
{
    SPF_request_t *request = require(SPF_request_new(library->server));
    struct in_addr v4;
    struct in6_addr v6;

    if (client->family == IP_V6) {
        memcpy(&v6, client->octets, sizeof v6);
        SPF_request_set_ipv6(request, v6);
    } else {
        memcpy(&v4, client->octets, sizeof v4);
        SPF_request_set_ipv4(request, v4);
    }
    request->cur_dom = "t0.x";
    return request;
}

static enum auth_result read_result(SPF_response_t *response)
{
    switch (SPF_response_result(response)) {
    case SPF_RESULT_NEUTRAL:
        return AUTH_NEUTRAL;
    case SPF_RESULT_PASS:
        return AUTH_PASS;
    case SPF_RESULT_FAIL:
        return AUTH_FAIL;
    case SPF_RESULT_SOFTFAIL:
        return AUTH_SOFTFAIL;
    case SPF_RESULT_PERMERROR:
        return AUTH_PERMERROR;
    case SPF_RESULT_INVALID:
    case SPF_RESULT_NONE:
    case SPF_RESULT_TEMPERROR:
        break;
    }
    return AUTH_TEMPERROR;
}

enum auth_result spf_library_run(struct spf_library *library, struct spf_evaluation *evaluation)
{
    SPF_request_t *request = new_request(library, &evaluation->identity->client);
    SPF_response_t *response = require(SPF_response_new(request));
    SPF_record_t *record = NULL;
    enum auth_result result = AUTH_TEMPERROR;

    library->evaluation = evaluation;
    library->tokens.count = 0;
    if (compile(library, evaluation->top, response, &record) == SPF_E_SUCCESS) {
        response->spf_record_exp = record;
        SPF_record_interpret(record, request, response, 0);
        result = read_result(response);
    }
    library->evaluation = NULL;
    if (record != NULL) {
        SPF_record_free(record);
    }
    SPF_response_free(response);
    SPF_request_free(request);
    return result;
}
