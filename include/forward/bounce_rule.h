/*
 * bounce_rule - does a failed delivery become a bounce?
 *
 * Rules   never for the null sender, never about a bounce of ours, never when the sender asked for
 *         silence; otherwise as the operator has it: BOUNCE_PROVEN writes only to senders that
 *         proved to be that sender when the message came in, BOUNCE_OWN_DOMAINS only to those of
 *         them that are in a domain served here. A warning about a delay follows the same rules
 *         and is never written to automatic mail. Reasons are for the log.
 */
#ifndef FORWARD_BOUNCE_RULE_H
#define FORWARD_BOUNCE_RULE_H

#include "mail/envelope_record.h"

enum bounce_policy { BOUNCE_PROVEN, BOUNCE_OWN_DOMAINS, BOUNCE_ALL, BOUNCE_NONE };

struct bounce_rule_answer {
    bool is_sent;
    const char *why; /* "permanent-failure", "expired", "delayed"; or why not: "null-sender",
                        "is-bounce", "sender-not-proven", "not-own-domain", "bounces-off",
                        "auto-submitted" */
};

struct bounce_rule_answer bounce_rule_for_failure(enum bounce_policy policy,
                                                  const struct envelope *envelope,
                                                  bool is_expired);
/* A warning that mail is late: like a failure, but never for automatic mail. */
struct bounce_rule_answer bounce_rule_for_delay(enum bounce_policy policy,
                                                const struct envelope *envelope);
/* The reason in words, for who reads the queue: "sender not proven". */
const char *bounce_rule_words(const char *why);

#endif
