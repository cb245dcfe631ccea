#include "forward/rewrite_plan.h"

#include <stdlib.h>

enum { SENDER_LIMIT = 1024 };

static struct bytes text_of(const struct smtp_mailbox *mailbox, struct arena *arena)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, SENDER_LIMIT);
    smtp_mailbox_add(&text, mailbox);
    copy = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static struct decision refuse(const char *enhanced, struct bytes text, const char *why)
{
    return (struct decision){DECISION_REFUSE, 553, enhanced, text, why};
}

/* A return has no alias with an SRS domain of its own: the domain it came to will do. */
static struct bytes choose_srs_domain(const struct recipient_route *route)
{
    if (route->srs_domain.len != 0) {
        return route->srs_domain;
    }
    return bytes_skip(route->alias, bytes_find_last(route->alias, '@') + 1);
}

static void plan_long_sender(const struct srs_options *srs, enum long_sender_rule rule,
                             struct bytes srs_domain, uint32_t today,
                             const struct smtp_mailbox *sender, struct arena *arena,
                             struct rewrite_plan *plan)
{
    struct smtp_mailbox rewritten;

    switch (rule) {
    case LONG_SENDER_STORE:
        plan->kind = REWRITE_STORE;
        srs_forward_stored(srs, srs_domain, today, sender, arena, &rewritten, &plan->token);
        plan->sender = text_of(&rewritten, arena);
        plan->stored = text_of(sender, arena);
        return;
    case LONG_SENDER_REFUSE:
        plan->kind = REWRITE_REFUSE;
        plan->decision = refuse("5.1.7", BYTES("sender address is too long to be forwarded"),
                                "sender-too-long");
        return;
    }
}

static bool brings_mail_on(enum route_kind kind)
{
    switch (kind) {
    case ROUTE_FORWARD:
    case ROUTE_RETURN:
    case ROUTE_REPLY:
        return true;
    case ROUTE_DISCARD:
    case ROUTE_REFUSE:
    case ROUTE_NEEDS_TOKEN:
        return false;
    }
    abort();
}

void rewrite_plan_make(const struct srs_options *srs, enum long_sender_rule rule,
                       const struct recipient_route *route, uint32_t today,
                       const struct smtp_mailbox *sender, struct arena *arena,
                       struct rewrite_plan *plan)
{
    struct bytes srs_domain = choose_srs_domain(route);
    struct smtp_mailbox rewritten;

    *plan = (struct rewrite_plan){.kind = REWRITE_KEEP};
    if (!brings_mail_on(route->kind)) {
        plan->sender =
            text_of(sender, arena); /* goes nowhere: nothing is rewritten (promise 3) */
        return;
    }
    switch (srs_forward(srs, srs_domain, today, sender, arena, &rewritten)) {
    case SRS_OK:
        plan->kind = REWRITE_SRS;
        plan->sender = text_of(&rewritten, arena);
        return;
    case SRS_NOT_NEEDED:
        plan->sender = text_of(sender, arena);
        return;
    case SRS_TOO_LONG:
        plan_long_sender(srs, rule, srs_domain, today, sender, arena, plan);
        return;
    case SRS_MALFORMED:
    case SRS_FORGED:
    case SRS_EXPIRED:
    case SRS_FUTURE:
    case SRS_TOKEN:
        /* No bounce could be brought back there: it is said now, while somebody listens. */
        plan->kind = REWRITE_REFUSE;
        plan->decision = refuse("5.1.8", BYTES("sender's domain cannot receive mail"),
                                "sender-domain-unusable");
        return;
    }
}
