/*
 * tls_policy - whether a next hop gets its mail protected, and what happens when that fails.
 *
 * Levels   off            never
 *          opportunistic  when it is offered; clear text when it is not, or when it failed
 *          required       protected, whoever it is; otherwise later
 *          verified       and with a certificate of an authority we trust, for the name of the
 *                         host (of an MX, or of a route); otherwise later
 * Input    the table of the configuration, the destination (forward/delivery_route), the host.
 *          Rules name domains. The rule for a domain holds for mail that goes there by its MX.
 *          A static route is one destination for all domains that take it: the strictest of
 *          their rules and of those for the host itself holds, so that no rule is lost by a route.
 * Output   by value. Nothing here is permanent: who cannot be had as wanted is tried again later.
 * RFC      3207, 7435
 */
#ifndef FORWARD_TLS_POLICY_H
#define FORWARD_TLS_POLICY_H

#include "forward/delivery_route.h"

enum tls_level {
    TLS_LEVEL_OFF,
    TLS_LEVEL_OPPORTUNISTIC,
    TLS_LEVEL_REQUIRED,
    TLS_LEVEL_VERIFIED
};

struct tls_rule {
    struct bytes domain; /* lower case, no trailing dot */
    enum tls_level level;
};

struct tls_policy_table {
    enum tls_level usual; /* where no rule holds */
    const struct tls_rule *rules;
    size_t count;
};

enum tls_level tls_policy_find(const struct tls_policy_table *table,
                               const struct delivery_route_table *routes,
                               struct bytes destination, struct bytes host);

/* What is known when the host has greeted us. */
struct tls_circumstances {
    bool is_offered;
    bool is_refused;    /* STARTTLS was answered 4xx or 5xx */
    bool failed_lately; /* a handshake with it did, not long ago */
};

enum tls_step {
    TLS_STEP_CLEAR, /* go on in clear text */
    TLS_STEP_START,
    TLS_STEP_GIVE_UP, /* *why; try another host, or later */
};

enum tls_step tls_policy_next_step(enum tls_level level, struct tls_circumstances now,
                                   const char **why);
/* After a handshake that failed: may the message go to the same host in clear text? */
bool tls_policy_may_fall_back(enum tls_level level);
bool tls_policy_wants_name(enum tls_level level); /* verified */
const char *tls_level_text(enum tls_level level); /* "off" ... */

#endif
