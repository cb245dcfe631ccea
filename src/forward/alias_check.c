#include "forward/alias_check.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "protocol/smtp_path.h"

#include <stdlib.h>

/*
 * Every alias with targets of our own is walked once, depth first; what is known of an alias
 * (its height and how many addresses stand behind it) is kept, so that the whole is linear.
 * "*" is not kept: where it leads may depend on the name that came. Such chains end at
 * PATH_LIMIT.
 */
enum { PATH_LIMIT = 64, MESSAGE_LIMIT = 2048 };

enum visit_state { VISIT_NEW, VISIT_DONE, VISIT_BAD };

struct visit {
    uint8_t state;
    uint8_t height; /* aliases behind each other, this one included */
    uint16_t count; /* addresses behind it, up to ALIAS_TARGETS_LIMIT + 1 */
};

struct step {
    size_t domain;
    size_t entry;
    struct bytes local; /* empty: any name at all */
    struct alias_place place;
};

struct walk {
    const struct alias_table *table;
    const struct alias_report *report;
    struct visit **visits; /* per domain, made when first needed */
    struct step path[PATH_LIMIT];
    size_t depth;
    struct arena *arena;
};

static struct visit visit_alias(struct walk *walk, size_t domain, struct bytes local,
                                const struct alias_match *match);

static void report_at(struct walk *walk, size_t domain, const struct alias_place *place,
                      bool is_warning, const char *message, const char *hint)
{
    struct alias_problem problem = {.is_warning = is_warning,
                                    .domain = domain,
                                    .has_place = place != NULL,
                                    .message = message,
                                    .hint = hint};

    if (place != NULL) {
        problem.place = *place;
    }
    walk->report->problem(walk->report->context, &problem);
}

static struct visit *visit_of(struct walk *walk, size_t domain, size_t entry)
{
    if (walk->visits[domain] == NULL) {
        walk->visits[domain] =
            memory_zero(alias_table_entry_limit(walk->table, domain) * sizeof(struct visit));
    }
    return &walk->visits[domain][entry];
}

static void add_step(struct walk *walk, struct strbuf *message, const struct step *step)
{
    strbuf_add(message, step->local.len > 0 ? step->local : BYTES("*"));
    strbuf_add_char(message, '@');
    strbuf_add(message, alias_table_domain_name(walk->table, step->domain));
}

/* Names the loop from the step that comes again to where it closes. */
static void report_loop(struct walk *walk, size_t first)
{
    const struct step *last = &walk->path[walk->depth - 1];
    struct strbuf message;

    strbuf_init(&message, MESSAGE_LIMIT);
    strbuf_add_text(&message, "aliases go round in circles: ");
    for (size_t i = first; i < walk->depth; i++) {
        add_step(walk, &message, &walk->path[i]);
        strbuf_add_text(&message, " -> ");
    }
    add_step(walk, &message, &walk->path[first]);
    report_at(walk, last->domain, &last->place, false, strbuf_text(&message),
              "let one of them go to an address outside");
    strbuf_clear(&message);
}

/* The step of the path this alias is open in, or walk->depth. */
static size_t find_open(const struct walk *walk, size_t domain, size_t entry,
                        struct bytes local, bool is_any)
{
    size_t i = 0;

    while (i < walk->depth &&
           !(walk->path[i].domain == domain && walk->path[i].entry == entry &&
             (!is_any || bytes_equal_nocase(walk->path[i].local, local)))) {
        i++;
    }
    return i;
}

static void add_result(struct visit *sum, struct visit one)
{
    unsigned count = sum->count + one.count;

    sum->count = (uint16_t)(count > ALIAS_TARGETS_LIMIT ? ALIAS_TARGETS_LIMIT + 1 : count);
    if (one.height + 1 > sum->height) {
        sum->height = (uint8_t)(one.height + 1);
    }
    if (one.state == VISIT_BAD) {
        sum->state = VISIT_BAD;
    }
}

/* The alias behind a target in one of our domains; BAD when there is none. */
static struct visit visit_own(struct walk *walk, size_t from, const struct alias_match *of,
                              struct bytes target, const struct smtp_mailbox *mailbox)
{
    size_t domain = alias_table_find_domain(walk->table, mailbox->domain);
    struct alias_place place = of->place;
    struct alias_match match;

    place.offset += (size_t)(target.data - of->line.name.data);
    place.len = target.len;
    if (domain == ALIAS_NO_DOMAIN) {
        report_at(walk, from, &place, false, "mail to our own name has nowhere to go from here",
                  "only domains with a \"domain\" block have aliases");
        return (struct visit){.state = VISIT_BAD};
    }
    if (mailbox->local.len > 0 ? alias_table_find(walk->table, domain, mailbox->local, &match)
                               : alias_table_find_any(walk->table, domain, &match)) {
        return visit_alias(walk, domain, mailbox->local, &match);
    }
    if (mailbox->local.len == 0) {
        return (struct visit){.count = 1}; /* names that are not there are refused, as always */
    }
    report_at(walk, from, &place, false,
              "this address is in our own domain, but no alias has it",
              "add the alias, or forward to an address outside");
    return (struct visit){.state = VISIT_BAD};
}

static struct visit visit_target(struct walk *walk, size_t domain, struct bytes local,
                                 const struct alias_match *match, struct bytes target)
{
    struct smtp_mailbox mailbox = {.local = local};

    if (bytes_starts_with(target, BYTES("*@"))) {
        mailbox.domain = bytes_skip(target, 2);
    } else if (smtp_mailbox_parse(target, true, false, walk->arena, &mailbox) != SMTP_PATH_OK) {
        return (struct visit){.state = VISIT_BAD};
    }
    if (mailbox.is_literal || !alias_table_is_own(walk->table, mailbox.domain)) {
        return (struct visit){.count = 1};
    }
    return visit_own(walk, domain, match, target, &mailbox);
}

/* A new error of this alias; those behind it have told theirs. */
static void judge(struct walk *walk, size_t domain, const struct alias_match *match,
                  struct visit *result)
{
    if (result->state != VISIT_BAD && result->height > ALIAS_DEPTH_LIMIT) {
        report_at(walk, domain, &match->place, false,
                  "more than 10 aliases stand behind each other here", NULL);
        result->state = VISIT_BAD;
    }
    if (result->state != VISIT_BAD && result->count > ALIAS_TARGETS_LIMIT) {
        report_at(walk, domain, &match->place, false,
                  "more than 1000 addresses stand behind this name",
                  "long lists belong to a mailing list manager");
        result->state = VISIT_BAD;
    }
}

static struct visit visit_alias(struct walk *walk, size_t domain, struct bytes local,
                                const struct alias_match *match)
{
    bool is_any = match->line.kind == ALIAS_NAME_ANY;
    bool is_kept = !is_any || local.len == 0;
    struct visit *kept = visit_of(walk, domain, match->entry);
    struct visit result = {.state = VISIT_DONE, .height = 1};
    struct bytes rest = match->line.targets, target;
    size_t open;

    if (is_kept && kept->state != VISIT_NEW) {
        return *kept;
    }
    open = find_open(walk, domain, match->entry, local, is_any);
    if (open < walk->depth) {
        report_loop(walk, open);
        return (struct visit){.state = VISIT_BAD};
    }
    if (walk->depth == PATH_LIMIT) {
        report_at(walk, domain, &match->place, false,
                  "more than 10 aliases stand behind each other here", NULL);
        return (struct visit){.state = VISIT_BAD};
    }
    if (match->line.action != ALIAS_FORWARD) {
        return (struct visit){.state = VISIT_DONE, .height = 1, .count = 1};
    }
    walk->path[walk->depth++] = (struct step){domain, match->entry, local, match->place};
    while (alias_line_next_target(&rest, &target)) {
        add_result(&result, visit_target(walk, domain, local, match, target));
    }
    walk->depth--;
    judge(walk, domain, match, &result);
    if (is_kept) {
        *kept = result;
    }
    return result;
}

static void check_nested(struct walk *walk, size_t domain)
{
    struct alias_match match;

    for (size_t i = 0; alias_table_nested(walk->table, domain, i, &match); i++) {
        char octets[ALIAS_LOCAL_LIMIT];
        size_t len = 0;
        if (match.line.kind == ALIAS_NAME_EXACT) {
            alias_line_decode_name(&match.line, octets, &len);
        }
        walk->depth = 0;
        visit_alias(walk, domain,
                    match.line.kind == ALIAS_NAME_REGEX ? match.line.name
                                                        : bytes_of(octets, len),
                    &match);
        arena_reset(walk->arena);
    }
}

static void check_duties(struct walk *walk, size_t domain)
{
    struct alias_match match;

    if (!alias_table_find(walk->table, domain, BYTES("postmaster"), &match)) {
        report_at(walk, domain, NULL, false, "nobody reads mail to postmaster here",
                  "add \"forward postmaster to ADDRESS\" (RFC 5321 4.5.1)");
    } else if (match.line.action != ALIAS_FORWARD) {
        report_at(walk, domain, &match.place, false, "mail to postmaster must be taken",
                  "forward it to somebody who reads it (RFC 5321 4.5.1)");
    }
    if (!alias_table_find(walk->table, domain, BYTES("abuse"), &match)) {
        report_at(walk, domain, NULL, true, "nobody reads mail to abuse here",
                  "add \"forward abuse to ADDRESS\" (RFC 2142)");
    }
}

static void check_catch_all(struct walk *walk, size_t domain)
{
    struct alias_match match;
    struct bytes rest, target;

    if (!alias_table_find_any(walk->table, domain, &match) ||
        match.line.action != ALIAS_FORWARD) {
        return;
    }
    rest = match.line.targets;
    while (alias_line_next_target(&rest, &target)) {
        if (!bytes_starts_with(target, BYTES("*@"))) {
            report_at(walk, domain, &match.place, true,
                      "a catch-all forwards everything that is sent to invented names",
                      "spam to invented names ruins your reputation at the next hop");
            return;
        }
    }
}

void alias_check(const struct alias_table *table, const struct alias_report *report)
{
    size_t domains = alias_table_domain_count(table);
    struct walk walk = {.table = table, .report = report};

    walk.visits = memory_zero((domains + 1) * sizeof *walk.visits);
    walk.arena = arena_new();
    for (size_t i = 0; i < domains; i++) {
        check_nested(&walk, i);
        check_duties(&walk, i);
        check_catch_all(&walk, i);
    }
    for (size_t i = 0; i < domains; i++) {
        free(walk.visits[i]);
    }
    free(walk.visits);
    arena_free(&walk.arena);
}
