#include "forward/recipient_route.h"

#include "auth/idn_domain.h"
#include "forward/alias_check.h"
#include "mail/reply_address.h"

/* What stands behind one alias, as far as it is known. */
struct expansion {
    const struct alias_table *aliases;
    struct arena *arena;
    struct smtp_mailbox *targets;
    struct bytes *fallbacks; /* one for each target */
    struct bytes fallback;   /* of the innermost alias that has one */
    size_t count;
    size_t capacity;
    size_t steps;
    bool has_defer, has_refusal, has_discard;
    struct decision defer;
    struct decision refusal; /* the first one */
};

/* A table that alias_check passed never comes near it. */
enum { STEP_LIMIT = 20 * ALIAS_TARGETS_LIMIT };

static struct decision refuse(unsigned code, const char *enhanced, struct bytes text,
                              const char *why)
{
    return (struct decision){DECISION_REFUSE, code, enhanced, text, why};
}

static struct decision unknown_recipient(void)
{
    return refuse(550, "5.1.1", BYTES("No such address here"), "unknown-recipient");
}

static struct decision relay_denied(void)
{
    return refuse(550, "5.7.1", BYTES("Relaying denied: that domain is not served here"),
                  "relay-denied");
}

static void refuse_route(struct recipient_route *route, struct decision decision)
{
    route->kind = ROUTE_REFUSE;
    route->decision = decision;
}

static bool is_plain_local(struct bytes local)
{
    for (size_t i = 0; i < local.len; i++) {
        unsigned char octet = (unsigned char)local.data[i];
        if (octet == '.' && i > 0 && i + 1 < local.len && local.data[i + 1] != '.') {
            continue;
        }
        if (!ascii_is_alnum(octet) && octet != '-' && octet != '_' && octet != '+' &&
            octet != '=') {
            return false;
        }
    }
    return local.len > 0;
}

/* "local@domain", the domain in lower case. Plain names, nearly all, go straight to the arena.
 */
static struct bytes address_text(struct bytes local, struct bytes domain, struct arena *arena)
{
    struct bytes text = {NULL, local.len + 1 + domain.len};
    char *octets;

    if (!is_plain_local(local)) {
        struct smtp_mailbox mailbox = {.local = local, .domain = domain};
        struct strbuf quoted;
        strbuf_init(&quoted, 4096);
        smtp_mailbox_add(&quoted, &mailbox);
        text = arena_copy(arena, strbuf_bytes(&quoted));
        strbuf_clear(&quoted);
        octets = (char *)text.data;
    } else {
        octets = arena_alloc(arena, text.len);
        memcpy(octets, local.data, local.len);
        octets[local.len] = '@';
        memcpy(octets + local.len + 1, domain.data, domain.len);
        text.data = octets;
    }
    bytes_fold(octets + text.len - domain.len, bytes_skip(text, text.len - domain.len));
    return text;
}

/* --- 5: aliases -------------------------------------------------------------------------- */

static void add_target(struct expansion *expansion, const struct smtp_mailbox *mailbox)
{
    for (size_t i = 0; i < expansion->count; i++) {
        if (smtp_mailbox_equal(&expansion->targets[i], mailbox)) {
            return;
        }
    }
    if (expansion->count == expansion->capacity) {
        size_t capacity = expansion->capacity == 0 ? 4 : expansion->capacity * 4;
        struct smtp_mailbox *grown =
            arena_alloc(expansion->arena, capacity * sizeof(struct smtp_mailbox));
        struct bytes *fallbacks =
            arena_alloc(expansion->arena, capacity * sizeof(struct bytes));
        if (expansion->count > 0) {
            memcpy(grown, expansion->targets, expansion->count * sizeof(struct smtp_mailbox));
            memcpy(fallbacks, expansion->fallbacks, expansion->count * sizeof(struct bytes));
        }
        expansion->targets = grown;
        expansion->fallbacks = fallbacks;
        expansion->capacity = capacity;
    }
    expansion->fallbacks[expansion->count] = expansion->fallback;
    expansion->targets[expansion->count++] = (struct smtp_mailbox){
        arena_copy(expansion->arena, mailbox->local),
        arena_copy(expansion->arena, mailbox->domain), mailbox->is_literal, mailbox->is_utf8};
}

static void add_refusal(struct expansion *expansion, struct decision decision)
{
    if (!expansion->has_refusal) {
        expansion->refusal = decision;
        expansion->has_refusal = true;
    }
}

/* Trouble of ours is never the sender's: it is asked to try again. */
static void add_defer(struct expansion *expansion, struct decision decision)
{
    expansion->defer = decision;
    expansion->has_defer = true;
}

static struct decision configured_reply(struct expansion *expansion,
                                        const struct alias_match *match)
{
    bool is_defer = match->line.action == ALIAS_DEFER;
    struct alias_line_error error;
    struct alias_reply reply;

    if (!alias_reply_parse(match->line.reply, is_defer, &reply, &error)) {
        alias_reply_parse(BYTES(""), is_defer, &reply, &error);
    }
    return (struct decision){is_defer ? DECISION_DEFER : DECISION_REFUSE, reply.code,
                             arena_copy_text(expansion->arena, bytes_from_text(reply.enhanced)),
                             arena_copy(expansion->arena, reply.text),
                             is_defer ? "alias-defer" : "alias-refuse"};
}

static void expand(struct expansion *expansion, size_t domain, struct bytes local,
                   unsigned depth);

static struct bytes fallback_of(struct expansion *expansion, const struct alias_match *match)
{
    struct smtp_mailbox mailbox;
    struct bytes ascii;

    if (match->line.fallback.len == 0 ||
        smtp_mailbox_parse(match->line.fallback, true, false, expansion->arena, &mailbox) !=
            SMTP_PATH_OK) {
        return expansion->fallback;
    }
    if (!bytes_is_ascii(mailbox.domain) &&
        idn_domain_to_ascii(mailbox.domain, expansion->arena, &ascii)) {
        mailbox.domain = ascii;
    }
    return address_text(mailbox.local, mailbox.domain, expansion->arena);
}

static void expand_targets(struct expansion *expansion, const struct alias_match *match,
                           struct bytes local, unsigned depth)
{
    struct bytes rest = match->line.targets, target, outer = expansion->fallback;

    expansion->fallback = fallback_of(expansion, match);
    while (alias_line_next_target(&rest, &target)) {
        struct smtp_mailbox mailbox = {.local = local};
        size_t domain;
        if (bytes_starts_with(target, BYTES("*@"))) {
            mailbox.domain = bytes_skip(target, 2);
        } else if (smtp_mailbox_parse(target, true, false, expansion->arena, &mailbox) !=
                   SMTP_PATH_OK) {
            continue;
        }
        domain = mailbox.is_literal
                     ? ALIAS_NO_DOMAIN
                     : alias_table_find_domain(expansion->aliases, mailbox.domain);
        if (domain == ALIAS_NO_DOMAIN) {
            add_target(expansion, &mailbox);
        } else {
            expand(expansion, domain, mailbox.local, depth + 1);
        }
    }
    expansion->fallback = outer;
}

static void expand(struct expansion *expansion, size_t domain, struct bytes local,
                   unsigned depth)
{
    struct alias_match match;

    if (depth > ALIAS_DEPTH_LIMIT || ++expansion->steps > STEP_LIMIT) {
        add_defer(expansion,
                  (struct decision){DECISION_DEFER, 451, "4.3.5",
                                    BYTES("This address is not set up properly here"),
                                    "alias-depth"});
        return;
    }
    if (!alias_table_find(expansion->aliases, domain, local, &match)) {
        add_refusal(expansion, unknown_recipient());
        return;
    }
    switch (match.line.action) {
    case ALIAS_FORWARD:
        expand_targets(expansion, &match, local, depth);
        break;
    case ALIAS_REFUSE:
        add_refusal(expansion, configured_reply(expansion, &match));
        break;
    case ALIAS_DEFER:
        add_defer(expansion, configured_reply(expansion, &match));
        break;
    case ALIAS_DISCARD:
        expansion->has_discard = true;
        break;
    }
}

static void route_alias(const struct route_options *options, size_t domain, struct bytes local,
                        struct arena *arena, struct recipient_route *route)
{
    struct expansion expansion = {.aliases = options->aliases, .arena = arena};
    struct bytes srs_domain = alias_table_srs_domain(options->aliases, domain);

    route->alias =
        address_text(local, alias_table_domain_name(options->aliases, domain), arena);
    route->srs_domain = srs_domain.len > 0 ? srs_domain : options->srs_domain;
    expand(&expansion, domain, local, 1);
    if (expansion.has_defer) {
        refuse_route(route, expansion.defer);
    } else if (expansion.count > 0) {
        route->kind = ROUTE_FORWARD;
        route->targets = expansion.targets;
        route->fallbacks = expansion.fallbacks;
        route->target_count = expansion.count;
    } else if (expansion.has_refusal) {
        refuse_route(route, expansion.refusal);
    } else if (expansion.has_discard) {
        route->kind = ROUTE_DISCARD;
    } else {
        refuse_route(route, unknown_recipient());
    }
}

static bool is_srs_domain(const struct route_options *options, struct bytes domain)
{
    return bytes_equal_nocase(domain, options->srs_domain) ||
           alias_table_is_srs(options->aliases, domain);
}

/* Aliases, and postmaster where there are none (RFC 5321 §4.5.1). */
static void route_local(const struct route_options *options,
                        const struct smtp_mailbox *recipient, struct arena *arena,
                        struct recipient_route *route)
{
    size_t domain = alias_table_find_domain(options->aliases, recipient->domain);

    if (domain != ALIAS_NO_DOMAIN) {
        route_alias(options, domain, recipient->local, arena, route);
    } else if (!alias_table_is_own(options->aliases, recipient->domain) &&
               !is_srs_domain(options, recipient->domain)) {
        refuse_route(route, relay_denied());
    } else if (bytes_equal_nocase(recipient->local, BYTES("postmaster")) &&
               alias_table_domain_count(options->aliases) > 0) {
        route_alias(options, 0, recipient->local, arena, route);
    } else {
        refuse_route(route, unknown_recipient());
    }
}

/* --- 2 and 3: addresses we signed -------------------------------------------------------- */

static void go_to(enum route_kind kind, const struct smtp_mailbox *target, struct arena *arena,
                  struct recipient_route *route)
{
    route->kind = kind;
    route->targets = arena_alloc(arena, sizeof *route->targets);
    *route->targets = *target;
    route->target_count = 1;
}

/* What the store said. False: the route is finished, as a question or as a refusal. */
static bool read_token_answer(const struct route_token *token, const char *gone_why,
                              struct arena *arena, struct smtp_mailbox *stored,
                              struct recipient_route *route)
{
    if (token == NULL || !token->is_known) {
        route->kind = ROUTE_NEEDS_TOKEN;
        return false;
    }
    if (token->address.len == 0 || smtp_mailbox_parse(arena_copy(arena, token->address), true,
                                                      true, arena, stored) != SMTP_PATH_OK) {
        refuse_route(route,
                     refuse(550, "5.1.6", BYTES("This address is no longer valid"), gone_why));
        return false;
    }
    return true;
}

static void route_return(const struct route_options *options, uint32_t today,
                         const struct smtp_mailbox *sender,
                         const struct smtp_mailbox *recipient, const struct route_token *token,
                         struct arena *arena, struct recipient_route *route)
{
    struct smtp_mailbox original;

    route->alias = address_text(recipient->local, recipient->domain, arena);
    route->srs_domain = arena_copy(arena, recipient->domain);
    if (!smtp_mailbox_is_null(sender) && !options->accept_any_return) {
        refuse_route(route,
                     refuse(550, "5.7.1", BYTES("This return address takes bounces only"),
                            "srs-sender-not-null"));
        return;
    }
    switch (srs_reverse(options->srs, today, recipient, arena, &original, &route->token)) {
    case SRS_OK:
        go_to(ROUTE_RETURN, &original, arena, route);
        return;
    case SRS_TOKEN:
        if (read_token_answer(token, "srs-token-gone", arena, &original, route)) {
            go_to(ROUTE_RETURN, &original, arena, route);
        }
        return;
    case SRS_EXPIRED:
        refuse_route(route,
                     refuse(550, "5.1.6", BYTES("This return address is no longer valid"),
                            "srs-expired"));
        return;
    case SRS_FUTURE:
        refuse_route(route,
                     refuse(550, "5.7.1", BYTES("This return address is stamped in the future"),
                            "srs-future"));
        return;
    case SRS_FORGED:
        refuse_route(route, refuse(550, "5.7.1", BYTES("This return address was not made here"),
                                   "srs-forged"));
        return;
    case SRS_NOT_NEEDED:
    case SRS_MALFORMED:
    case SRS_TOO_LONG:
        refuse_route(route, refuse(550, "5.1.3", BYTES("This return address is damaged"),
                                   "srs-malformed"));
        return;
    }
}

/* An author of ours is what its alias says, whatever that is. It cannot come back here: only
 * whole addresses that clients name are read as signed ones, targets and authors never. */
static void route_to_author(const struct route_options *options,
                            const struct smtp_mailbox *author, struct arena *arena,
                            struct recipient_route *route)
{
    struct bytes address = route->alias, srs_domain = route->srs_domain;

    if (!alias_table_is_own(options->aliases, author->domain) &&
        !is_srs_domain(options, author->domain)) {
        go_to(ROUTE_REPLY, author, arena, route);
        return;
    }
    if (reply_address_is_reply(author->local) || srs_is_srs(author->local)) {
        refuse_route(route, unknown_recipient());
        return;
    }
    route_local(options, author, arena, route);
    if (route->kind == ROUTE_FORWARD) {
        route->kind = ROUTE_REPLY;
    }
    route->alias = address;
    route->srs_domain = srs_domain;
}

static struct bytes srs_domain_of(const struct route_options *options, size_t domain,
                                  struct bytes name, struct arena *arena)
{
    struct bytes own = {NULL, 0};

    if (domain == ALIAS_NO_DOMAIN) {
        return arena_copy(arena, name); /* an SRS domain itself */
    }
    own = alias_table_srs_domain(options->aliases, domain);
    return own.len > 0 ? own : options->srs_domain;
}

static void route_reply(const struct route_options *options, uint32_t today, size_t domain,
                        const struct smtp_mailbox *recipient, const struct route_token *token,
                        struct arena *arena, struct recipient_route *route)
{
    struct smtp_mailbox author;

    route->alias = address_text(recipient->local, recipient->domain, arena);
    route->srs_domain = srs_domain_of(options, domain, recipient->domain, arena);
    switch (
        reply_address_reverse(options->srs, today, recipient, arena, &author, &route->token)) {
    case SRS_OK:
        route_to_author(options, &author, arena, route);
        return;
    case SRS_TOKEN:
        if (read_token_answer(token, "reply-token-gone", arena, &author, route)) {
            route_to_author(options, &author, arena, route);
        }
        return;
    case SRS_EXPIRED:
        refuse_route(route,
                     refuse(550, "5.1.6",
                            BYTES("This reply address is no longer valid: write to the author"),
                            "reply-expired"));
        return;
    case SRS_FUTURE:
        refuse_route(route,
                     refuse(550, "5.7.1", BYTES("This reply address is stamped in the future"),
                            "reply-future"));
        return;
    case SRS_FORGED:
        refuse_route(route, refuse(550, "5.7.1", BYTES("This reply address was not made here"),
                                   "reply-forged"));
        return;
    case SRS_NOT_NEEDED:
    case SRS_MALFORMED:
    case SRS_TOO_LONG:
        refuse_route(route, refuse(550, "5.1.3", BYTES("This reply address is damaged"),
                                   "reply-malformed"));
        return;
    }
}

/* An alias may happen to look signed ("srs0-list"): its exact name wins. */
static bool is_alias(const struct route_options *options, size_t domain, struct bytes local)
{
    struct alias_match match;

    return domain != ALIAS_NO_DOMAIN &&
           alias_table_find_exact(options->aliases, domain, local, &match);
}

static bool is_return(const struct route_options *options, const struct smtp_mailbox *recipient,
                      size_t domain)
{
    return options->srs != NULL && srs_is_srs(recipient->local) &&
           is_srs_domain(options, recipient->domain) &&
           !is_alias(options, domain, recipient->local);
}

static bool is_reply(const struct route_options *options, const struct smtp_mailbox *recipient,
                     size_t domain)
{
    return options->srs != NULL && reply_address_is_reply(recipient->local) &&
           (domain != ALIAS_NO_DOMAIN || is_srs_domain(options, recipient->domain)) &&
           !is_alias(options, domain, recipient->local);
}

void recipient_route_find(const struct route_options *options, uint32_t today,
                          const struct smtp_mailbox *sender,
                          const struct smtp_mailbox *recipient, const struct route_token *token,
                          struct arena *arena, struct recipient_route *route)
{
    size_t domain;

    *route = (struct recipient_route){.kind = ROUTE_REFUSE, .decision = unknown_recipient()};
    if (recipient->domain.len == 0) {
        if (bytes_equal_nocase(recipient->local, BYTES("postmaster")) &&
            alias_table_domain_count(options->aliases) > 0) {
            route_alias(options, 0, recipient->local, arena, route);
        }
        return;
    }
    if (recipient->is_literal) {
        refuse_route(route, relay_denied());
        return;
    }
    domain = alias_table_find_domain(options->aliases, recipient->domain);
    if (is_return(options, recipient, domain)) {
        route_return(options, today, sender, recipient, token, arena, route);
    } else if (is_reply(options, recipient, domain)) {
        route_reply(options, today, domain, recipient, token, arena, route);
    } else {
        route_local(options, recipient, arena, route);
    }
}
