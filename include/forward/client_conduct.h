/*
 * client_conduct - what recipients that do not exist, or that were forged, lead to within a session.
 *
 * Budget  limits.unknown_recipients (0: no limit), and one more for each recipient whose mail was
 *         accepted, or is about to be: a mailing list with stale addresses gets through. Bad
 *         signatures have a budget of their own, and nothing makes up for them.
 * Slower  from a quarter of the budget on, answers wait: half a second, then twice as long each time, at
 *         most limits.delay_ms.
 * End     with the budget used up the session ends.
 */
#ifndef FORWARD_CLIENT_CONDUCT_H
#define FORWARD_CLIENT_CONDUCT_H

#include "forward/client_rates.h"

struct client_conduct {
    uint64_t offences[CLIENT_NO_OFFENCE];
    uint64_t accepted; /* recipients of messages that were */
};

/* What the answer to a recipient is about, from its decision's `why`. */
enum client_offence client_conduct_offence(const struct decision *decision);
/* One more offence, with `open` recipients in the transaction. Returns how long its answer waits; *is_over:
 * the session ends with it. */
uint64_t client_conduct_blame(struct client_conduct *conduct,
                              const struct client_limits *limits, enum client_offence offence,
                              uint64_t open, bool *is_over);
struct decision client_conduct_end(enum client_offence offence); /* 421 */

#endif
