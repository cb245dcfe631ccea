#include "forward/tls_policy.h"

/* Is it on the way of this domain's mail to this static route? */
static bool leads_to(const struct delivery_route_table *routes, struct bytes domain,
                     struct bytes words)
{
    const struct delivery_route *route = delivery_route_find(routes, domain);

    return route != NULL && !route->use_mx && bytes_equal(route->destination, words);
}

enum tls_level tls_policy_find(const struct tls_policy_table *table,
                               const struct delivery_route_table *routes,
                               struct bytes destination, struct bytes host)
{
    bool is_static = delivery_route_is_static_key(destination);
    struct bytes words = bytes_skip(destination, sizeof DELIVERY_ROUTE_KEY - 1);
    enum tls_level strictest = TLS_LEVEL_OFF;
    bool is_found = false;

    for (size_t i = 0; i < table->count; i++) {
        const struct tls_rule *rule = &table->rules[i];
        bool holds = is_static ? bytes_equal_nocase(rule->domain, host) ||
                                     (routes != NULL && leads_to(routes, rule->domain, words))
                               : bytes_equal_nocase(rule->domain, destination);

        if (holds) {
            is_found = true;
            strictest = rule->level > strictest ? rule->level : strictest;
        }
    }
    return is_found ? strictest : table->usual;
}

enum tls_step tls_policy_next_step(enum tls_level level, struct tls_circumstances now,
                                   const char **why)
{
    switch (level) {
    case TLS_LEVEL_OFF:
        return TLS_STEP_CLEAR;
    case TLS_LEVEL_OPPORTUNISTIC:
        return now.is_offered && !now.is_refused && !now.failed_lately ? TLS_STEP_START
                                                                       : TLS_STEP_CLEAR;
    case TLS_LEVEL_REQUIRED:
    case TLS_LEVEL_VERIFIED:
        break;
    }
    if (!now.is_offered) {
        *why = "TLS required but not offered";
        return TLS_STEP_GIVE_UP;
    }
    if (now.is_refused) {
        *why = "TLS required but STARTTLS was refused";
        return TLS_STEP_GIVE_UP;
    }
    return TLS_STEP_START;
}

bool tls_policy_may_fall_back(enum tls_level level)
{
    return level == TLS_LEVEL_OPPORTUNISTIC;
}

bool tls_policy_wants_name(enum tls_level level)
{
    return level == TLS_LEVEL_VERIFIED;
}

const char *tls_level_text(enum tls_level level)
{
    switch (level) {
    case TLS_LEVEL_OFF:
        return "off";
    case TLS_LEVEL_OPPORTUNISTIC:
        return "opportunistic";
    case TLS_LEVEL_REQUIRED:
        return "required";
    case TLS_LEVEL_VERIFIED:
        break;
    }
    return "verified";
}
