/*
 * How much is sent on to one mailbox and to one destination (forward/forward_budget): a recipient whose
 * budget is used up is deferred, and what is counted is what is sent on. Between the two others may have
 * used it up: then the message is deferred, and when it comes again only those of its recipients are.
 */
#include "inbound_session.h"

/* The budgets of a recipient's targets. */
struct budget_walk {
    struct inbound_session *session;
    const struct recipient_route *route;
    struct forward_limits mailbox, destination;
};

static bool is_limited(struct forward_limits limits)
{
    return limits.hourly > 0 || limits.daily > 0;
}

/* False: nothing is limited. */
static bool begin_walk(struct budget_walk *walk, struct inbound_session *session,
                       const struct recipient_route *route, struct forward_limits mailbox)
{
    *walk = (struct budget_walk){
        .session = session,
        .route = route,
        .mailbox = mailbox,
        .destination = {.hourly = session->options->destination_rate},
    };
    return session->server->ledger != NULL && route->kind == ROUTE_FORWARD &&
           (is_limited(mailbox) || is_limited(walk->destination));
}

static void write_key(const struct budget_walk *walk, size_t index, bool is_destination,
                      struct strbuf *key)
{
    const struct smtp_mailbox *target = &walk->route->targets[index];
    struct bytes alias = walk->route->alias;

    strbuf_reset(key);
    if (is_destination) {
        forward_budget_add_destination_key(
            key, delivery_route_destination(walk->session->options->delivery_routes,
                                            target->domain, walk->session->transaction.arena));
    } else {
        forward_budget_add_mailbox_key(key, bytes_skip(alias, bytes_find_last(alias, '@') + 1),
                                       target->local, target->domain, walk->mailbox);
    }
}

/* True: one of them is used up, *is_destination says of which kind. */
static bool is_used_up(const struct budget_walk *walk, bool *is_destination)
{
    uint64_t now_ms = event_loop_now_ms(walk->session->server->loop);
    bool is_over = false;
    struct strbuf key;

    strbuf_init(&key, FORWARD_KEY_LIMIT);
    for (size_t i = 0; i < 2 * walk->route->target_count && !is_over; i++) {
        struct forward_limits limits = i % 2 == 0 ? walk->mailbox : walk->destination;
        if (is_limited(limits)) {
            *is_destination = i % 2 != 0;
            write_key(walk, i / 2, *is_destination, &key);
            is_over = !inbound_ledger_may_forward(walk->session->server->ledger,
                                                  strbuf_bytes(&key), limits, now_ms);
        }
    }
    strbuf_clear(&key);
    return is_over;
}

static void take(const struct budget_walk *walk)
{
    uint64_t now_ms = event_loop_now_ms(walk->session->server->loop);
    struct strbuf key;

    strbuf_init(&key, FORWARD_KEY_LIMIT);
    for (size_t i = 0; i < 2 * walk->route->target_count; i++) {
        struct forward_limits limits = i % 2 == 0 ? walk->mailbox : walk->destination;
        if (is_limited(limits)) {
            write_key(walk, i / 2, i % 2 != 0, &key);
            inbound_ledger_forward(walk->session->server->ledger, strbuf_bytes(&key), limits,
                                   now_ms);
        }
    }
    strbuf_clear(&key);
}

static void decide(struct inbound_session *session, bool is_destination,
                   struct decision *decision)
{
    inbound_ledger_note(session->server->ledger,
                        is_destination ? LEDGER_DESTINATION_BUDGET : LEDGER_FORWARD_BUDGET);
    *decision = forward_budget_decision(is_destination);
}

struct forward_limits inbound_budget_of(const struct accept_policy *policy)
{
    struct forward_limits limits = {0, 0};

    if (policy != NULL) {
        limits.hourly = (uint64_t)policy->forwards_hourly;
        limits.daily = (uint64_t)policy->forwards_daily;
    }
    return limits;
}

enum inbound_gate inbound_budget_gate(struct inbound_session *session,
                                      const struct inbound_asked *asked,
                                      struct decision *decision)
{
    struct budget_walk walk;
    bool is_destination;

    if (begin_walk(&walk, session, &asked->route, inbound_budget_of(asked->policy)) &&
        is_used_up(&walk, &is_destination)) {
        decide(session, is_destination, decision);
        return INBOUND_GATE_SHUT;
    }
    return INBOUND_GATE_OPEN;
}

bool inbound_budget_take(struct inbound_session *session, struct decision *decision)
{
    const struct inbound_transaction *transaction = &session->transaction;
    struct budget_walk walk;
    bool is_destination;

    for (size_t i = 0; i < transaction->recipient_count; i++) {
        const struct inbound_recipient *recipient = &transaction->recipients[i];
        if (begin_walk(&walk, session, &recipient->route, recipient->budget) &&
            is_used_up(&walk, &is_destination)) {
            decide(session, is_destination, decision);
            return false;
        }
    }
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        const struct inbound_recipient *recipient = &transaction->recipients[i];
        if (begin_walk(&walk, session, &recipient->route, recipient->budget)) {
            take(&walk);
        }
    }
    return true;
}
