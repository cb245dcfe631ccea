/*
 * forward_budget - how much may be sent on to one mailbox, and to one destination, so that one alias cannot
 * burn the good name of all.
 *
 * Mailbox  counted is what goes from one of our domains to one target address: neither +anything behind a
 *          name nor a catch-all gives more of it. Addresses with other limits count for themselves.
 * Memory   keys are kept as hashes; above `capacity` what was used longest ago is forgotten, and may be
 *          used anew. Nothing is kept over a restart.
 * Time     monotonic, an argument. As much as an hour (a day) allows may come at once, see base/rate.
 * Threads  none.
 */
#ifndef FORWARD_FORWARD_BUDGET_H
#define FORWARD_FORWARD_BUDGET_H

#include "base/siphash.h"
#include "base/strbuf.h"
#include "forward/decision.h"

/* Recipients an hour, a day; 0: no limit. */
struct forward_limits {
    uint64_t hourly, daily;
};

enum { FORWARD_KEY_LIMIT = 2048 };

struct forward_budget;

struct forward_budget *forward_budget_new(struct siphash_key key, size_t capacity);
void forward_budget_free(struct forward_budget **budget);
void forward_budget_add_mailbox_key(struct strbuf *key, struct bytes own_domain,
                                    struct bytes target_local, struct bytes target_domain,
                                    struct forward_limits limits);
void forward_budget_add_destination_key(struct strbuf *key, struct bytes destination);
/* Is there room for one more? */
bool forward_budget_has(const struct forward_budget *budget, struct bytes key,
                        struct forward_limits limits, uint64_t now_ms);
/* One is sent on. */
void forward_budget_take(struct forward_budget *budget, struct bytes key,
                         struct forward_limits limits, uint64_t now_ms);
size_t forward_budget_count(const struct forward_budget *budget);
struct decision forward_budget_decision(bool is_destination); /* 452 */

#endif
