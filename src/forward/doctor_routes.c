#include "forward/doctor_routes.h"

#include "forward/alias_table.h"

enum { DAYS_LATER = 2, DAYS_BEFORE = 3, TEXT_LIMIT = 1000, TAG_AT = 5 };

/* ---- SRS --------------------------------------------------------------------------------- */

static const char WHY_SRS[] =
    "While SRS does not work, forwarded mail is refused as forged and bounces are lost.";

struct srs_trial {
    const struct srs_options *options; /* the trial's own: one secret first */
    struct bytes domain;
    uint32_t today;
    struct arena *arena;
    struct smtp_mailbox sender, rewritten;
};

/* A sender whose domain is not one of ours. */
static struct smtp_mailbox sample_sender(const struct srs_options *options)
{
    struct bytes domain = BYTES("sender.example");

    if (options->is_own_domain != NULL &&
        options->is_own_domain(options->own_domain_context, domain)) {
        domain = BYTES("elsewhere.invalid");
    }
    return (struct smtp_mailbox){.local = BYTES("Anna.Sample"), .domain = domain};
}

static enum srs_result read_back(const struct srs_trial *trial,
                                 const struct smtp_mailbox *address, uint32_t day,
                                 struct smtp_mailbox *original)
{
    struct bytes token;

    return srs_reverse(trial->options, day, address, trial->arena, original, &token);
}

/* The octet at `place` becomes another one. */
static struct smtp_mailbox changed(const struct srs_trial *trial, size_t place)
{
    struct smtp_mailbox copy = trial->rewritten;
    char *local = arena_copy_text(trial->arena, copy.local);

    local[place] = local[place] == 'a' ? 'b' : 'a';
    copy.local.data = local;
    return copy;
}

/* NULL: all is well. */
static const char *try_srs(struct srs_trial *trial)
{
    struct smtp_mailbox original, forged_tag, forged_name;
    uint32_t late = trial->today + trial->options->max_age_days + DAYS_LATER;

    if (srs_forward(trial->options, trial->domain, trial->today, &trial->sender, trial->arena,
                    &trial->rewritten) != SRS_OK) {
        return "a sender cannot be rewritten";
    }
    if (read_back(trial, &trial->rewritten, trial->today, &original) != SRS_OK ||
        !smtp_mailbox_equal(&original, &trial->sender)) {
        return "an address of ours does not lead back to its sender";
    }
    forged_tag = changed(trial, TAG_AT);
    forged_name = changed(trial, trial->rewritten.local.len - 1);
    if (read_back(trial, &forged_tag, trial->today, &original) != SRS_FORGED ||
        read_back(trial, &forged_name, trial->today, &original) != SRS_FORGED) {
        return "a forged address is taken for ours";
    }
    if (read_back(trial, &trial->rewritten, late, &original) != SRS_EXPIRED) {
        return "an old address is taken for a new one";
    }
    if (read_back(trial, &trial->rewritten, trial->today - DAYS_BEFORE, &original) !=
        SRS_FUTURE) {
        return "an address of days to come is taken";
    }
    return NULL;
}

/* What one secret has signed all of them must read. */
static const char *try_secret(const struct srs_options *options, struct bytes srs_domain,
                              uint32_t today, size_t index, struct arena *arena)
{
    struct srs_secret secrets[SRS_SECRET_LIMIT];
    struct srs_options own = *options;
    struct srs_trial trial = {.options = &own,
                              .domain = srs_domain,
                              .today = today,
                              .arena = arena,
                              .sender = sample_sender(options)};

    memcpy(secrets, options->secrets, options->secret_count * sizeof *secrets);
    secrets[0] = options->secrets[index];
    secrets[index] = options->secrets[0];
    own.secrets = secrets;
    return try_srs(&trial);
}

void doctor_routes_srs(struct findings *findings, const struct srs_options *options,
                       struct bytes srs_domain, uint32_t today)
{
    for (size_t i = 0; i < options->secret_count && i < SRS_SECRET_LIMIT; i++) {
        const char *trouble = try_secret(options, srs_domain, today, i, findings->arena);

        if (trouble != NULL) {
            struct finding *finding = findings_add(findings, FINDING_ERROR, "srs",
                                                   "with secret %zu: %s", i + 1, trouble);
            finding_set_why(finding, WHY_SRS);
            finding_set_fix(
                findings, finding, FINDING_DO,
                BYTES("look whether the clock is right (date -u), and the program whole"));
            return;
        }
    }
    findings_add(findings, FINDING_OK, "srs",
                 "addresses lead back; forged, expired and future ones are refused (%zu %s)",
                 options->secret_count, options->secret_count == 1 ? "secret" : "secrets");
}

/* ---- domains ----------------------------------------------------------------------------- */

static void find_route(const struct route_options *options, struct bytes local,
                       struct bytes domain, uint32_t today, struct arena *arena,
                       struct recipient_route *route)
{
    const struct smtp_mailbox sender = {.local = BYTES("anna"),
                                        .domain = BYTES("sender.example")};
    const struct smtp_mailbox recipient = {.local = local, .domain = domain};

    recipient_route_find(options, today, &sender, &recipient, NULL, arena, route);
}

static const char *route_trouble(const struct recipient_route *route)
{
    switch (route->kind) {
    case ROUTE_FORWARD:
    case ROUTE_RETURN:
    case ROUTE_REPLY:
    case ROUTE_NEEDS_TOKEN:
        return NULL;
    case ROUTE_DISCARD:
        return "is thrown away";
    case ROUTE_REFUSE:
        return "is not taken";
    }
    return NULL;
}

static void judge_role(struct findings *findings, const struct route_options *options,
                       struct bytes domain, uint32_t today, const char *role, const char *why)
{
    struct recipient_route route;
    struct finding *finding;
    const char *trouble;

    find_route(options, bytes_from_text(role), domain, today, findings->arena, &route);
    trouble = route_trouble(&route);
    if (trouble == NULL) {
        findings_add(findings, FINDING_OK, role, "mail to %s@" BYTES_FMT " is forwarded", role,
                     BYTES_ARG(domain));
        return;
    }
    finding = findings_add(
        findings, strcmp(role, "postmaster") == 0 ? FINDING_ERROR : FINDING_WARNING, role,
        "mail to %s@" BYTES_FMT " %s", role, BYTES_ARG(domain), trouble);
    finding_set_why(finding, why);
    finding_set_fixf(findings, finding, FINDING_DO,
                     "domain " BYTES_FMT " { forward %s to YOUR-ADDRESS }", BYTES_ARG(domain),
                     role);
}

/* Does "*" lead to somebody? A whole domain that is mapped to another one leaves the name to that. */
static bool is_catch_all(const struct alias_match *match)
{
    struct bytes rest = match->line.targets, target;

    while (match->line.action == ALIAS_FORWARD && alias_line_next_target(&rest, &target)) {
        if (!bytes_starts_with(target, BYTES("*@"))) {
            return true;
        }
    }
    return false;
}

static void judge_catch_all(struct findings *findings, const struct alias_table *aliases,
                            struct bytes domain)
{
    size_t number = alias_table_find_domain(aliases, domain);
    struct alias_match match;
    struct finding *finding;

    if (number == ALIAS_NO_DOMAIN || !alias_table_find_any(aliases, number, &match) ||
        !is_catch_all(&match)) {
        return;
    }
    finding = findings_add(findings, FINDING_WARNING, "catch-all",
                           "every address of " BYTES_FMT " is taken", BYTES_ARG(domain));
    finding_set_why(finding,
                    "Guessed addresses are forwarded as well, and their spam counts as ours.");
    finding_set_fix(findings, finding, FINDING_DO,
                    BYTES("name the addresses there are, and leave \"*\" out"));
}

void doctor_routes_domain(struct findings *findings, const struct route_options *options,
                          struct bytes domain, uint32_t today)
{
    judge_role(findings, options, domain, today, "postmaster",
               "Every domain that takes mail must take it for postmaster (RFC 5321).");
    judge_role(findings, options, domain, today, "abuse",
               "Complaints that reach nobody go to block lists.");
    judge_catch_all(findings, options->aliases, domain);
}

size_t doctor_routes_targets(const struct route_options *options, struct bytes domain,
                             uint32_t today, struct arena *arena, struct bytes *targets,
                             size_t limit)
{
    struct recipient_route route;
    size_t count = 0;

    find_route(options, BYTES("postmaster"), domain, today, arena, &route);
    if (route.kind != ROUTE_FORWARD) {
        return 0;
    }
    for (size_t i = 0; i < route.target_count && count < limit; i++) {
        if (!route.targets[i].is_literal && route.targets[i].domain.len > 0) {
            targets[count++] = arena_copy(arena, route.targets[i].domain);
        }
    }
    return count;
}
