#include "forward/bounce_rule.h"

static const struct {
    const char *why, *words;
} words[] = {
    {"null-sender", "it has no sender"},
    {"is-bounce", "it is a bounce itself"},
    {"double-bounce", "it is a bounce itself"},
    {"sender-not-proven", "sender not proven"},
    {"not-own-domain", "the sender is not in a domain of ours"},
    {"bounces-off", "bounces are off"},
    {"bounce-limit", "the sender has had enough bounces today"},
};

static bool may_write(enum bounce_policy policy, const struct envelope *envelope,
                      const char **why)
{
    switch (policy) {
    case BOUNCE_PROVEN:
        *why = "sender-not-proven";
        return envelope->is_proven;
    case BOUNCE_OWN_DOMAINS:
        *why = envelope->is_own_sender ? "sender-not-proven" : "not-own-domain";
        return envelope->is_own_sender && envelope->is_proven;
    case BOUNCE_ALL:
        return true;
    case BOUNCE_NONE:
        *why = "bounces-off";
        return false;
    }
    return false;
}

struct bounce_rule_answer bounce_rule_for_failure(enum bounce_policy policy,
                                                  const struct envelope *envelope,
                                                  bool is_expired)
{
    const char *why = NULL;

    if (envelope->kind == ENVELOPE_BOUNCE) {
        return (struct bounce_rule_answer){false, "is-bounce"};
    }
    /* A bounce about a bounce never ends (RFC 5321 §4.5.5). */
    if (envelope->sender.len == 0) {
        return (struct bounce_rule_answer){false, "null-sender"};
    }
    if (!may_write(policy, envelope, &why)) {
        return (struct bounce_rule_answer){false, why};
    }
    return (struct bounce_rule_answer){true, is_expired ? "expired" : "permanent-failure"};
}

struct bounce_rule_answer bounce_rule_for_delay(enum bounce_policy policy,
                                                const struct envelope *envelope)
{
    struct bounce_rule_answer answer = bounce_rule_for_failure(policy, envelope, false);

    if (!answer.is_sent) {
        return answer;
    }
    /* A program that wrote by itself reads no warnings (RFC 3834 §2). */
    if (envelope->is_auto_submitted) {
        return (struct bounce_rule_answer){false, "auto-submitted"};
    }
    return (struct bounce_rule_answer){true, "delayed"};
}

const char *bounce_rule_words(const char *why)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].why, why) == 0) {
            return words[i].words;
        }
    }
    return why;
}
