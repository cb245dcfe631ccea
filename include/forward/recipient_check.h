/*
 * recipient_check - what follows when the server behind an alias was asked whether it takes the recipient.
 *
 * Rules    name domains of targets (as DNS has them, lower case). Only who goes nowhere else is asked about:
 *          an alias with a target outside of all rules, or with a fallback, can always be taken.
 * Answers  one target that is accepted is enough. Refused for good are all or none: then the answer of the
 *          first is ours, word for word but for the target's address. Between them, whatever was not
 *          answered decides by its rule: defer or accept.
 * Belief   a 5xx to RCPT is about the recipient, save where it says that it is about us (our address is
 *          blocked, no encryption, no authentication, too much at once): that is no answer. Neither is any
 *          4xx, nor what is said to MAIL.
 */
#ifndef FORWARD_RECIPIENT_CHECK_H
#define FORWARD_RECIPIENT_CHECK_H

#include "base/arena.h"
#include "forward/decision.h"
#include "forward/recipient_memory.h"
#include "forward/recipient_route.h"
#include "forward/reply_class.h"

enum verify_failure { VERIFY_DEFER, VERIFY_ACCEPT };

struct verify_rule {
    struct bytes domain;
    enum verify_failure on_failure;
};

struct verify_options {
    const struct verify_rule *rules;
    size_t count;
    uint64_t timeout_ms;  /* for all targets of one recipient together */
    uint64_t positive_ms; /* how long answers are remembered; 0: not */
    uint64_t negative_ms;
};

/* Case does not matter. NULL: nobody is asked. */
const struct verify_rule *recipient_check_rule(const struct verify_options *options,
                                               struct bytes domain);
/* Does what its servers say of the targets decide about the recipient? */
bool recipient_check_concerns(const struct verify_options *options,
                              const struct recipient_route *route);
/* Does a reply to RCPT say that this recipient is never taken? */
bool recipient_check_is_refusal(unsigned code, enum reply_class class);

/* What is known so far of the targets of one recipient; all zero: nothing. */
struct recipient_findings {
    bool is_any_accepted;
    bool is_any_refused;
    bool is_any_unknown;             /* and it is to be deferred */
    bool is_any_let_in;              /* unknown, and accepted by its rule */
    struct recipient_answer refusal; /* of the first refused one; texts in the arena */
};

void recipient_check_note(struct recipient_findings *findings,
                          const struct recipient_answer *answer, struct bytes target,
                          struct bytes alias, struct arena *arena);
void recipient_check_note_unknown(struct recipient_findings *findings,
                                  enum verify_failure on_failure);
/* Is there nothing more to ask? */
bool recipient_check_is_settled(const struct recipient_findings *findings);
struct decision recipient_check_decide(const struct recipient_findings *findings);

#endif
