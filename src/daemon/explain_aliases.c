/*
 * Which aliases an address leads through: the look-ups of forward/recipient_route once more, one line
 * each. What comes of them says the session; this says why.
 */
#include "explain_call.h"

#include "auth/idn_domain.h"

enum { DEPTH_LIMIT = 10, SHOWN_LIMIT = 100 };

struct trail {
    struct explain_report *report;
    const struct alias_table *aliases;
    unsigned shown;
};

static void follow(struct trail *trail, struct bytes text, unsigned depth);

static const char *action_text(enum alias_action action)
{
    switch (action) {
    case ALIAS_FORWARD:
        return "forward";
    case ALIAS_REFUSE:
        return "refuse";
    case ALIAS_DEFER:
        return "defer";
    case ALIAS_DISCARD:
        return "discard";
    }
    return "";
}

static const char *how_text(const struct alias_line *line, struct bytes local)
{
    char name[ALIAS_LOCAL_LIMIT];
    size_t len = 0;

    switch (line->kind) {
    case ALIAS_NAME_EXACT:
        return alias_line_decode_name(line, name, &len) &&
                       bytes_equal_nocase(bytes_of(name, len), local)
                   ? "exact"
                   : "without +tag";
    case ALIAS_NAME_REGEX:
        return "regex";
    case ALIAS_NAME_ANY:
        return "any name";
    }
    return "";
}

static void add_match(struct trail *trail, struct bytes address,
                      const struct smtp_mailbox *mailbox, const struct alias_match *match,
                      unsigned depth)
{
    struct explain_alias *alias = explain_report_alias(trail->report);
    const struct alias_line *line = &match->line;
    struct arena *arena = trail->report->arena;
    struct bytes rest = line->targets, target;

    *alias = (struct explain_alias){
        .depth = depth,
        .address = arena_copy(arena, address),
        .name = line->kind == ALIAS_NAME_ANY ? BYTES("*") : arena_copy(arena, line->name),
        .how = how_text(line, mailbox->local),
        .action = action_text(line->action),
        .value = arena_copy(
            arena, bytes_trim(line->action == ALIAS_FORWARD ? line->targets : line->reply)),
        .fallback = arena_copy(arena, line->fallback),
    };
    while (line->action == ALIAS_FORWARD && alias_line_next_target(&rest, &target)) {
        follow(trail, target, depth + 1);
    }
}

static void follow(struct trail *trail, struct bytes text, unsigned depth)
{
    struct arena *arena = trail->report->arena;
    struct smtp_mailbox mailbox;
    struct alias_match match;
    size_t domain;

    if (depth > DEPTH_LIMIT || trail->shown >= SHOWN_LIMIT ||
        smtp_mailbox_parse(text, true, true, arena, &mailbox) != SMTP_PATH_OK ||
        mailbox.is_literal) {
        return;
    }
    if (!bytes_is_ascii(mailbox.domain)) {
        (void)idn_domain_to_ascii(mailbox.domain, arena, &mailbox.domain);
    }
    domain = alias_table_find_domain(trail->aliases, mailbox.domain);
    if (domain != ALIAS_NO_DOMAIN &&
        alias_table_find(trail->aliases, domain, mailbox.local, &match)) {
        trail->shown++;
        add_match(trail, text, &mailbox, &match, depth);
    }
}

void explain_aliases_find(struct explain_call *call)
{
    struct trail trail = {.report = call->report,
                          .aliases = call->snapshot->inbound.routes.aliases};

    follow(&trail, call->request->to, 0);
}
