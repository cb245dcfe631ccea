#include "forward/bounce_rule.h"

struct bounce_rule_answer bounce_rule_for_failure(const struct envelope *envelope,
                                                  bool is_expired)
{
    if (envelope->kind == ENVELOPE_BOUNCE) {
        return (struct bounce_rule_answer){false, "is-bounce"};
    }
    /* A bounce about a bounce never ends (RFC 5321 §4.5.5). */
    if (envelope->sender.len == 0) {
        return (struct bounce_rule_answer){false, "null-sender"};
    }
    return (struct bounce_rule_answer){true, is_expired ? "expired" : "permanent-failure"};
}

struct bounce_rule_answer bounce_rule_for_delay(const struct envelope *envelope)
{
    struct bounce_rule_answer answer = bounce_rule_for_failure(envelope, false);

    if (!answer.is_sent) {
        return answer;
    }
    /* A program that wrote by itself reads no warnings (RFC 3834 §2). */
    if (envelope->is_auto_submitted) {
        return (struct bounce_rule_answer){false, "auto-submitted"};
    }
    return (struct bounce_rule_answer){true, "delayed"};
}
