#include "forward/scan_rule.h"

#include "forward/reply_text.h"

#include <assert.h>

static bool is_settled(const struct scan_answer *answer)
{
    return answer->decision.disposition != DECISION_ACCEPT;
}

static void refuse(struct scan_answer *answer, unsigned code, const char *enhanced,
                   struct bytes text, const char *why)
{
    answer->decision = (struct decision){code >= 500 ? DECISION_REFUSE : DECISION_DEFER, code,
                                         enhanced, text, why};
}

/* ---- viruses ------------------------------------------------------------------------------ */

static const char virus_text[] = "This message carries what our virus scanner knows as \"%\"";

/* The name comes from whoever wrote the signature. */
static void judge_virus(enum virus_rule rule, const struct scan_findings *findings,
                        struct arena *arena, struct scan_answer *answer)
{
    if (findings->virus_state != SCAN_DONE || findings->virus.len == 0) {
        return;
    }
    answer->virus_name = reply_text_clean(arena, findings->virus, SCAN_NAME_LIMIT, " \"\\");
    switch (rule) {
    case VIRUS_REFUSE:
        refuse(answer, 550, "5.7.1", reply_text_make(arena, virus_text, answer->virus_name),
               "virus");
        break;
    case VIRUS_HOLD:
        answer->held_why = "held: a virus was found";
        answer->virus_mark = "virus";
        break;
    case VIRUS_TAG:
        answer->virus_mark = "virus";
        break;
    }
}

/* ---- spam --------------------------------------------------------------------------------- */

static void hold_spam(struct scan_answer *answer)
{
    if (answer->held_why == NULL) {
        answer->held_why = "held: considered spam";
    }
}

static void judge_reject(enum spam_rule rule, struct scan_answer *answer)
{
    switch (rule) {
    case SPAM_REFUSE:
        refuse(answer, 550, "5.7.1", BYTES("This message is considered spam here"), "spam");
        break;
    case SPAM_HOLD:
        hold_spam(answer);
        break;
    case SPAM_TAG:
        break;
    }
}

/* What is for good. */
static void judge_spam(enum spam_rule rule, const struct scan_findings *findings,
                       struct scan_answer *answer)
{
    if (findings->spam_state != SCAN_DONE) {
        return;
    }
    answer->spam_mark = rspamd_action_text(findings->spam.action);
    switch (findings->spam.action) {
    case RSPAMD_NO_ACTION:
    case RSPAMD_GREYLIST:
        answer->spam_mark = NULL;
        break;
    case RSPAMD_ADD_HEADER:
    case RSPAMD_REWRITE_SUBJECT:
    case RSPAMD_SOFT_REJECT:
        break;
    case RSPAMD_QUARANTINE:
        if (rule != SPAM_TAG) {
            hold_spam(answer);
        }
        break;
    case RSPAMD_REJECT:
        judge_reject(rule, answer);
        break;
    }
}

static bool is_deferred_spam(enum spam_rule rule, const struct scan_findings *findings)
{
    return findings->spam_state == SCAN_DONE && rule != SPAM_TAG &&
           findings->spam.action == RSPAMD_SOFT_REJECT;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static bool has(const struct scan_findings *findings, enum scan_state state)
{
    return findings->virus_state == state || findings->spam_state == state;
}

/* What can be otherwise tomorrow, and what was not looked at. */
static void judge_rest(const struct scan_rules *rules, enum spam_rule spam,
                       const struct scan_findings *findings, struct scan_answer *answer)
{
    if (has(findings, SCAN_FAILED) && rules->on_failure == SCAN_FAILURE_DEFER) {
        refuse(answer, 451, "4.3.0", BYTES("cannot check the message now, try again later"),
               "scan-failed");
    } else if (is_deferred_spam(spam, findings)) {
        refuse(answer, 451, "4.7.1", BYTES("not accepted now, try again later"), "spam-later");
    } else if (has(findings, SCAN_TOO_LARGE) && rules->too_large == SCAN_LARGE_REFUSE) {
        refuse(answer, 552, "5.3.4", BYTES("message too large to be checked"),
               "scan-too-large");
    }
}

void scan_rule_judge(const struct scan_rules *rules, const struct scan_findings *findings,
                     struct arena *arena, struct scan_answer *answer)
{
    enum spam_rule spam = findings->is_return ? SPAM_TAG : (enum spam_rule)rules->spam;

    assert(!has(findings, SCAN_OPEN));
    *answer = (struct scan_answer){.decision = {.disposition = DECISION_ACCEPT}};
    judge_virus((enum virus_rule)rules->virus, findings, arena, answer);
    if (!is_settled(answer)) {
        judge_spam(spam, findings, answer);
    }
    if (!is_settled(answer)) {
        judge_rest(rules, spam, findings, answer);
    }
    if (is_settled(answer)) {
        answer->virus_mark = answer->spam_mark = answer->held_why = NULL;
    }
}
