#include "auth/spf_rewrite.h"

#include "base/memory.h"

#include <stdio.h>

enum {
    COMPILED_LIMIT = 440, /* of libspf2's 511, so that a redirect always finds room */
    COMPILED_HEADER = 4,  /* of a mechanism; also of a text, and of prefix lengths */
    COMPILED_NETWORK4 = 8,
    COMPILED_NETWORK6 = 20,
};

struct spf_token_text spf_token_add(struct spf_tokens *tokens, struct spf_token token)
{
    struct spf_token_text name;

    if (tokens->count == tokens->capacity) {
        tokens->capacity = tokens->capacity == 0 ? 32 : tokens->capacity * 2;
        tokens->list = memory_resize(tokens->list, tokens->capacity, sizeof *tokens->list);
    }
    tokens->list[tokens->count++] = token;
    snprintf(name.text, sizeof name.text, "t%zu.x", tokens->count);
    return name;
}

const struct spf_token *spf_token_find(const struct spf_tokens *tokens, const char *name)
{
    struct bytes text = bytes_from_text(name);
    uint64_t number;

    if (text.len < 4 || text.data[0] != 't' ||
        !bytes_to_u64(bytes_between(text, 1, text.len - 2), &number) || number == 0 ||
        number > tokens->count) {
        return NULL;
    }
    return &tokens->list[number - 1];
}

static size_t compiled_octets(const struct spf_term *term)
{
    switch (term->mechanism) {
    case SPF_MECHANISM_ALL:
        return COMPILED_HEADER;
    case SPF_MECHANISM_IP4:
        return COMPILED_NETWORK4;
    case SPF_MECHANISM_IP6:
        return COMPILED_NETWORK6;
    case SPF_MECHANISM_INCLUDE:
    case SPF_MECHANISM_A:
    case SPF_MECHANISM_MX:
    case SPF_MECHANISM_PTR:
    case SPF_MECHANISM_EXISTS:
        return 3 * COMPILED_HEADER + SPF_TOKEN_TEXT_SIZE;
    }
    return 0;
}

static bool is_network(const struct spf_term *term)
{
    return term->mechanism == SPF_MECHANISM_IP4 || term->mechanism == SPF_MECHANISM_IP6;
}

static bool is_for_family(const struct spf_term *term, enum ip_family family)
{
    return term->mechanism != (family == IP_V6 ? SPF_MECHANISM_IP4 : SPF_MECHANISM_IP6);
}

static bool fits(const struct spf_term *term, enum ip_family family)
{
    size_t octets = 0;

    for (; term != NULL; term = term->next) {
        octets += is_for_family(term, family) ? compiled_octets(term) : 0;
    }
    return octets <= COMPILED_LIMIT;
}

static bool holds_client(const struct spf_term *term, const struct ip_address *client)
{
    struct ip_network network = {
        term->address, term->mechanism == SPF_MECHANISM_IP6 ? term->prefix6 : term->prefix4};

    return ip_network_contains(&network, client);
}

static void add_network(struct strbuf *out, const struct spf_term *term, unsigned prefix)
{
    if (prefix == 0) {
        strbuf_add_text(out, "all");
        return;
    }
    strbuf_add_text(out, term->mechanism == SPF_MECHANISM_IP6 ? "ip6:" : "ip4:");
    strbuf_add_text(out, ip_address_text(&term->address).text);
    strbuf_add_char(out, '/');
    strbuf_add_u64(out, prefix);
}

static void add_target(struct strbuf *out, const char *mechanism, const struct spf_token *token,
                       struct spf_tokens *tokens)
{
    strbuf_add_text(out, mechanism);
    strbuf_add_text(out, spf_token_add(tokens, *token).text);
}

/* /0 is not for libspf2: any answer matches, which the token layer arranges. */
static void add_prefix(struct strbuf *out, const struct spf_term *term, bool is_ipv6)
{
    unsigned prefix = is_ipv6 ? term->prefix6 : term->prefix4;

    if (prefix != 0) {
        strbuf_add_text(out, is_ipv6 ? "//" : "/");
        strbuf_add_u64(out, prefix);
    }
}

static void add_term(struct strbuf *out, struct spf_frame *frame, struct spf_term *term,
                     bool is_ipv6, struct spf_tokens *tokens)
{
    struct spf_token token = {.kind = SPF_TOKEN_TERM, .frame = frame, .term = term};

    strbuf_add_char(out, ' ');
    strbuf_add_char(out, term->qualifier);
    switch (term->mechanism) {
    case SPF_MECHANISM_ALL:
        strbuf_add_text(out, "all");
        break;
    case SPF_MECHANISM_IP4:
        add_network(out, term, term->prefix4);
        break;
    case SPF_MECHANISM_IP6:
        add_network(out, term, term->prefix6);
        break;
    case SPF_MECHANISM_INCLUDE:
        add_target(out, "include:", &token, tokens);
        break;
    case SPF_MECHANISM_A:
        add_target(out, "a:", &token, tokens);
        add_prefix(out, term, is_ipv6);
        break;
    case SPF_MECHANISM_MX:
        add_target(out, "mx:", &token, tokens);
        add_prefix(out, term, is_ipv6);
        break;
    case SPF_MECHANISM_PTR:
    case SPF_MECHANISM_EXISTS:
        add_target(out, "exists:", &token, tokens);
        break;
    }
}

void spf_rewrite(struct spf_frame *frame, const struct ip_address *client,
                 struct spf_tokens *tokens, struct strbuf *out)
{
    bool is_whole = fits(frame->record.terms, client->family);

    strbuf_reset(out);
    strbuf_add_text(out, "v=spf1");
    for (struct spf_term *term = frame->record.terms; term != NULL; term = term->next) {
        bool is_skippable = is_network(term) && !is_whole;

        if (!is_for_family(term, client->family) ||
            (is_skippable && !holds_client(term, client))) {
            continue;
        }
        add_term(out, frame, term, client->family == IP_V6, tokens);
        if (is_skippable) {
            return; /* here libspf2 stops, too */
        }
    }
    if (frame->record.redirect.len > 0 && !frame->record.has_all) {
        struct spf_token redirect = {.kind = SPF_TOKEN_REDIRECT, .frame = frame};
        add_target(out, " redirect=", &redirect, tokens);
    }
}
