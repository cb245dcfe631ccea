#include "daemon/alias_trail.h"

#include "auth/idn_domain.h"
#include "base/json.h"
#include "base/utf8.h"
#include "protocol/smtp_path.h"

enum { DEPTH_LIMIT = 10, SHOWN_LIMIT = 100 };

/* A search. */
struct follower {
    struct alias_trail *trail;
    const struct alias_table *aliases;
    unsigned shown;
};

static void follow(struct follower *follower, struct bytes text, unsigned depth);

static struct alias_step *add_step(struct alias_trail *trail)
{
    struct alias_step *step = arena_alloc(trail->arena, sizeof *step);

    *trail->end = step;
    trail->end = &step->next;
    return step;
}

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

static void add_match(struct follower *follower, struct bytes address,
                      const struct smtp_mailbox *mailbox, const struct alias_match *match,
                      unsigned depth)
{
    struct alias_step *step = add_step(follower->trail);
    const struct alias_line *line = &match->line;
    struct arena *arena = follower->trail->arena;
    struct bytes rest = line->targets, target;

    *step = (struct alias_step){
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
        follow(follower, target, depth + 1);
    }
}

static void follow(struct follower *follower, struct bytes text, unsigned depth)
{
    struct arena *arena = follower->trail->arena;
    struct smtp_mailbox mailbox;
    struct alias_match match;
    size_t domain;

    if (depth > DEPTH_LIMIT || follower->shown >= SHOWN_LIMIT ||
        smtp_mailbox_parse(text, true, true, arena, &mailbox) != SMTP_PATH_OK ||
        mailbox.is_literal) {
        return;
    }
    if (!bytes_is_ascii(mailbox.domain)) {
        (void)idn_domain_to_ascii(mailbox.domain, arena, &mailbox.domain);
    }
    domain = alias_table_find_domain(follower->aliases, mailbox.domain);
    if (domain != ALIAS_NO_DOMAIN &&
        alias_table_find(follower->aliases, domain, mailbox.local, &match)) {
        follower->shown++;
        add_match(follower, text, &mailbox, &match, depth);
    }
}

void alias_trail_init(struct alias_trail *trail, struct arena *arena)
{
    trail->arena = arena;
    trail->first = NULL;
    trail->end = &trail->first;
}

void alias_trail_follow(struct alias_trail *trail, const struct alias_table *aliases,
                        struct bytes address)
{
    struct follower follower = {.trail = trail, .aliases = aliases};

    follow(&follower, address, 0);
}

void alias_trail_add_text(struct strbuf *out, const struct alias_trail *trail)
{
    for (const struct alias_step *at = trail->first; at != NULL; at = at->next) {
        strbuf_addf(out, "  %*s", (int)(2 * at->depth), "");
        utf8_add_printable(out, at->address);
        strbuf_addf(out, " (%s", at->how);
        if (at->name.len > 0) {
            strbuf_add_text(out, ": ");
            utf8_add_printable(out, at->name);
        }
        strbuf_addf(out, "): %s", at->action);
        if (at->value.len > 0) {
            strbuf_add_char(out, ' ');
            utf8_add_printable(out, at->value);
        }
        if (at->fallback.len > 0) {
            strbuf_add_text(out, ", refused for good: ");
            utf8_add_printable(out, at->fallback);
        }
        strbuf_add_char(out, '\n');
    }
}

void alias_trail_add_json(struct strbuf *out, const struct alias_trail *trail)
{
    json_open_array(out, "aliases");
    for (const struct alias_step *at = trail->first; at != NULL; at = at->next) {
        json_open_object(out, NULL);
        json_number(out, "depth", at->depth);
        json_text(out, "address", at->address);
        json_text(out, "name", at->name);
        json_words(out, "how", at->how);
        json_words(out, "action", at->action);
        json_text(out, "value", at->value);
        json_text(out, "fallback", at->fallback);
        json_close_object(out);
    }
    json_close_array(out);
}
