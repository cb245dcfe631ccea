/*
 * rewrite_plan - the envelope sender for one forward.
 *
 * Rules   null stays null; our own domains stay; everything else becomes an SRS address in
 *         the alias's SRS domain; mail going back through an SRS address keeps its sender
 *         when that is null and is rewritten otherwise. Too long: a stored token
 *         (REWRITE_STORE) or a refusal, as configured. A sender no bounce could be brought
 *         back to (address literal, single label) is refused.
 */
#ifndef FORWARD_REWRITE_PLAN_H
#define FORWARD_REWRITE_PLAN_H

#include "forward/recipient_route.h"

enum long_sender_rule { LONG_SENDER_STORE, LONG_SENDER_REFUSE };

enum rewrite_kind {
    REWRITE_KEEP, /* sender is the one that came in */
    REWRITE_SRS,
    REWRITE_STORE,  /* as SRS, but token -> stored must be durable before it is accepted */
    REWRITE_REFUSE, /* decision */
};

struct rewrite_plan {
    enum rewrite_kind kind;
    struct bytes sender; /* "local@domain", quoted as needed; empty: null sender */
    struct bytes token;
    struct bytes stored;
    struct decision decision;
};

void rewrite_plan_make(const struct srs_options *srs, enum long_sender_rule rule,
                       const struct recipient_route *route, uint32_t today,
                       const struct smtp_mailbox *sender, struct arena *arena,
                       struct rewrite_plan *plan);

#endif
