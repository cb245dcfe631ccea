/*
 * bounce_rule - does a failed delivery become a bounce?
 *
 * Rules   never for the null sender, never about a bounce of ours, never for automatic mail
 *         when it is only a delay. Reasons are for the log.
 */
#ifndef FORWARD_BOUNCE_RULE_H
#define FORWARD_BOUNCE_RULE_H

#include "mail/envelope_record.h"

struct bounce_rule_answer {
    bool is_sent;
    const char *why; /* "null-sender", "is-bounce", "permanent-failure", "expired", "delayed",
                        "auto-submitted" */
};

struct bounce_rule_answer bounce_rule_for_failure(const struct envelope *envelope,
                                                  bool is_expired);
/* A warning that mail is late: like a failure, but never for automatic mail. */
struct bounce_rule_answer bounce_rule_for_delay(const struct envelope *envelope);

#endif
