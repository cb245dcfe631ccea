#include "forward/accept_policy.h"

#include "forward/outcome_forecast.h"
#include "forward/reply_text.h"

enum { DOMAIN_TEXT_LIMIT = 200, EXPLANATION_LIMIT = 160 };

/* The rules are asked one after the other; the first refusal and the first wait stay. */
struct judge {
    const struct accept_policy *policy;
    const struct sender_facts *sender;
    const struct message_facts *message; /* NULL before the content */
    struct arena *arena;
    struct accept_answer *answer;
    struct decision waiting; /* DEFER once something is missing */
    struct decision rescue;  /* the same, when only a trusted chain can save the message now */
};

/* ---- answers ----------------------------------------------------------------------------- */

static void mark(struct judge *judge, const char *name)
{
    struct accept_answer *answer = judge->answer;

    for (size_t i = 0; i < answer->mark_count; i++) {
        if (strcmp(answer->marks[i], name) == 0) {
            return;
        }
    }
    if (answer->mark_count < ACCEPT_MARK_LIMIT) {
        answer->marks[answer->mark_count++] = name;
    }
}

static bool is_refused(const struct judge *judge)
{
    return judge->answer->decision.disposition == DECISION_REFUSE;
}

/* "%" in the pattern stands for the foreign text. */
static struct bytes write_text(struct judge *judge, const char *pattern, struct bytes foreign)
{
    return reply_text_make(
        judge->arena, pattern,
        foreign.len == 0 ? BYTES("(none)")
                         : reply_text_clean(judge->arena, foreign, DOMAIN_TEXT_LIMIT, ""));
}

static void refuse(struct judge *judge, unsigned code, const char *enhanced, const char *why,
                   struct bytes text)
{
    if (!is_refused(judge)) {
        judge->answer->decision = (struct decision){DECISION_REFUSE, code, enhanced, text, why};
    }
}

static void wait_for(struct judge *judge, const char *enhanced, const char *why,
                     const char *pattern, struct bytes foreign)
{
    if (judge->waiting.disposition == DECISION_ACCEPT) {
        judge->waiting = (struct decision){DECISION_DEFER, 451, enhanced,
                                           write_text(judge, pattern, foreign), why};
    }
}

/* Refused, but for a chain whose keys have no answer yet. That is no case for "auth-temperror
 * accept": a stranger may put a seal under it whose key never answers. */
static void wait_for_chain(struct judge *judge)
{
    if (judge->rescue.disposition == DECISION_ACCEPT) {
        judge->rescue = (struct decision){
            DECISION_DEFER, 451, "4.7.29",
            write_text(judge,
                       "The ARC chain of this message cannot be checked now; try again later",
                       BYTES("")),
            "arc-temperror"};
    }
}

static bool may_be_vouched(const struct message_facts *message)
{
    return message->arc == AUTH_TEMPERROR && message->is_arc_relevant &&
           message->from == FROM_ONE_DOMAIN;
}

/* ---- the rules, in the order of the header ----------------------------------------------- */

static void judge_from(struct judge *judge)
{
    const struct message_facts *message = judge->message;
    const char *pattern = NULL;

    switch (message->from) {
    case FROM_SEVERAL_FIELDS:
        pattern = "A message has exactly one From field; this one has more";
        break;
    case FROM_MALFORMED:
        pattern = "The From field cannot be read (RFC 5322); correct it and send again";
        break;
    case FROM_ONE_DOMAIN:
    case FROM_SEVERAL_DOMAINS:
    case FROM_NO_DOMAIN:
        if (message->dmarc->result == AUTH_PERMERROR) {
            pattern = "The From field names too many domains to check them all";
        }
        break;
    }
    if (pattern == NULL) {
        return;
    }
    switch (judge->policy->dmarc_reject) {
    case DMARC_REJECT_REFUSE:
        refuse(judge, 550, "5.6.0", "from-field", write_text(judge, pattern, BYTES("")));
        break;
    case DMARC_REJECT_TAG:
        mark(judge, "from-field");
        break;
    }
}

/* Its author's domain asks that such mail be stopped, and nothing but our own name on the copy would
 * make it pass at the next hop: the author is below a domain of ours, or above it, though none that we
 * serve. Our name never speaks for a stranger. */
static bool would_launder(const struct message_facts *message)
{
    const struct dmarc_verdict *here = message->dmarc, *there = message->forwarded;

    return there != NULL && there->result == AUTH_PASS &&
           (here->result == AUTH_FAIL || here->result == AUTH_TEMPERROR) &&
           here->policy != DMARC_POLICY_NONE;
}

static bool is_own_author(const struct message_facts *message)
{
    return message->is_own_author || would_launder(message);
}

/* Proven, not proven, or nobody can say now. */
enum proof {
    PROOF_GIVEN,
    PROOF_VOUCHED, /* by a trusted chain */
    PROOF_MISSING,
    PROOF_UNSETTLED,
    PROOF_MAY_BE_VOUCHED, /* missing, but the chain has no answer yet */
};

/* Of a message that has no proof of its own. */
static enum proof chain_proof(const struct message_facts *message, bool is_unsettled)
{
    if (outcome_is_vouched(message)) {
        return PROOF_VOUCHED;
    }
    if (is_unsettled) {
        return PROOF_UNSETTLED;
    }
    return may_be_vouched(message) ? PROOF_MAY_BE_VOUCHED : PROOF_MISSING;
}

static enum proof author_proof(const struct message_facts *message)
{
    return message->dmarc->is_every_author_proven
               ? PROOF_GIVEN
               : chain_proof(message, message->dmarc->is_unsettled);
}

static enum proof sender_proof(const struct message_facts *message)
{
    enum proof author = is_own_author(message) ? author_proof(message) : PROOF_MISSING;

    if (message->sender.spf == AUTH_PASS || message->sender_signature == AUTH_PASS) {
        return PROOF_GIVEN;
    }
    if (author == PROOF_MISSING && (message->sender.spf == AUTH_TEMPERROR ||
                                    message->sender_signature == AUTH_TEMPERROR)) {
        return PROOF_UNSETTLED;
    }
    return author;
}

static void refuse_own_identity(struct judge *judge, enum proof proof, const char *pattern,
                                struct bytes domain)
{
    switch (proof) {
    case PROOF_GIVEN:
    case PROOF_VOUCHED:
        break;
    case PROOF_MISSING:
        refuse(judge, 550, "5.7.26", "own-domain-spoof", write_text(judge, pattern, domain));
        break;
    case PROOF_UNSETTLED:
        wait_for(judge, "4.7.26", "own-domain-temperror",
                 "Cannot check now whether % sent this; try again later", domain);
        break;
    case PROOF_MAY_BE_VOUCHED:
        wait_for_chain(judge);
        break;
    }
}

static void judge_own_identity(struct judge *judge, enum proof proof, const char *pattern,
                               struct bytes domain)
{
    if (proof == PROOF_GIVEN) {
        return;
    }
    if (proof == PROOF_VOUCHED) {
        mark(judge, "arc-trusted");
        return;
    }
    switch (judge->policy->own_domain_spoof) {
    case OWN_DOMAIN_REFUSE:
        refuse_own_identity(judge, proof, pattern, domain);
        break;
    case OWN_DOMAIN_TAG:
        mark(judge, "own-domain-spoof");
        break;
    case OWN_DOMAIN_ACCEPT:
        break;
    }
}

static void judge_own_domain(struct judge *judge)
{
    const struct message_facts *message = judge->message;

    if (is_own_author(message)) {
        judge_own_identity(
            judge, author_proof(message),
            "From is in a domain of ours (%) and neither DKIM nor SPF proves it; "
            "send through its own servers",
            message->dmarc->author);
    }
    if (message->sender.is_own_sender) {
        judge_own_identity(
            judge, sender_proof(message),
            "The sender is in a domain of ours (%) and neither SPF nor DKIM proves "
            "it; send through its own servers",
            message->sender.spf_domain);
    }
}

static void judge_dmarc_failure(struct judge *judge, bool is_refusing, unsigned code,
                                const char *why, const char *pattern)
{
    const struct dmarc_verdict *dmarc = judge->message->dmarc;
    bool has_failed = dmarc->result == AUTH_FAIL;

    if (!has_failed && (dmarc->result != AUTH_TEMPERROR || !is_refusing)) {
        return;
    }
    if (outcome_is_vouched(judge->message)) {
        mark(judge, "arc-trusted");
    } else if (!is_refusing) {
        mark(judge, why);
    } else if (!has_failed) {
        wait_for(judge, "4.7.1", "dmarc-temperror",
                 "DMARC of % cannot be checked now; try again later", dmarc->author);
    } else if (may_be_vouched(judge->message)) {
        wait_for_chain(judge);
    } else {
        refuse(judge, code, "5.7.1", why, write_text(judge, pattern, dmarc->author));
    }
}

static void judge_dmarc(struct judge *judge)
{
    const struct accept_policy *policy = judge->policy;

    switch (judge->message->dmarc->policy) {
    case DMARC_POLICY_NONE:
        break;
    case DMARC_POLICY_REJECT:
        judge_dmarc_failure(judge, policy->dmarc_reject == DMARC_REJECT_REFUSE, 550,
                            "dmarc-reject",
                            "DMARC failed and % asks to reject; sign with DKIM for that domain "
                            "or send from a host its SPF record names");
        break;
    case DMARC_POLICY_QUARANTINE:
        if (policy->dmarc_quarantine != DMARC_QUARANTINE_ACCEPT) {
            judge_dmarc_failure(judge, policy->dmarc_quarantine == DMARC_QUARANTINE_REFUSE, 554,
                                "dmarc-quarantine",
                                "DMARC failed and % asks for quarantine, which is not kept "
                                "here; sign with DKIM for that domain");
        }
        break;
    }
}

/* Is there a signature that makes up for the path the message took? */
static enum proof signature_proof(const struct judge *judge)
{
    const struct message_facts *message = judge->message;

    if (judge->policy->spf_fail != SPF_FAIL_REFUSE_UNLESS_DKIM) {
        return PROOF_MISSING;
    }
    if (message == NULL) {
        return PROOF_UNSETTLED;
    }
    if (message->dmarc->aligned_by == DMARC_BY_DKIM || message->sender_signature == AUTH_PASS) {
        return PROOF_GIVEN;
    }
    return chain_proof(message, message->dmarc->is_unsettled ||
                                    message->sender_signature == AUTH_TEMPERROR);
}

static struct bytes spf_text(struct judge *judge)
{
    const struct sender_facts *sender = judge->sender;
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, REPLY_TEXT_LIMIT);
    strbuf_add_text(&text, "SPF: ");
    reply_text_add(&text, sender->client, 45, "");
    strbuf_add_text(&text, " may not send mail for ");
    reply_text_add(&text, sender->spf_domain, DOMAIN_TEXT_LIMIT, "");
    strbuf_add_text(&text, judge->policy->spf_fail == SPF_FAIL_REFUSE
                               ? "; use the servers its SPF record names"
                               : "; sign with DKIM or use its own servers");
    if (sender->spf_explanation.len != 0) {
        strbuf_add_text(&text, "; it says: ");
        reply_text_add(&text, sender->spf_explanation, EXPLANATION_LIMIT, "");
    }
    copy = arena_copy(judge->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static void judge_spf_failure(struct judge *judge)
{
    switch (signature_proof(judge)) {
    case PROOF_GIVEN:
        break;
    case PROOF_VOUCHED:
        mark(judge, "arc-trusted");
        break;
    case PROOF_MAY_BE_VOUCHED:
        wait_for_chain(judge);
        break;
    case PROOF_MISSING:
        refuse(judge, 550, "5.7.23", "spf-fail", spf_text(judge));
        break;
    case PROOF_UNSETTLED:
        wait_for(judge, "4.7.5", "dkim-temperror",
                 "SPF failed for % and its signature cannot be checked now; try again later",
                 judge->sender->spf_domain);
        break;
    }
}

static void judge_spf(struct judge *judge)
{
    enum auth_result spf = judge->sender->spf;
    enum proof proof;

    if (judge->policy->spf_fail == SPF_FAIL_TAG) {
        if (spf == AUTH_FAIL) {
            mark(judge, "spf-fail");
        }
        return;
    }
    if (spf == AUTH_FAIL) {
        judge_spf_failure(judge);
        return;
    }
    proof = signature_proof(judge);
    if (spf == AUTH_TEMPERROR && proof != PROOF_GIVEN && proof != PROOF_VOUCHED) {
        wait_for(judge, "4.4.3", "spf-temperror",
                 "SPF of % cannot be checked now; try again later", judge->sender->spf_domain);
    }
}

static void judge_iprev(struct judge *judge)
{
    enum auth_result iprev = judge->sender->iprev;
    bool has_failed = iprev == AUTH_FAIL || iprev == AUTH_PERMERROR;

    switch (judge->policy->iprev) {
    case IPREV_OFF:
        break;
    case IPREV_TAG:
        if (has_failed) {
            mark(judge, "iprev");
        }
        break;
    case IPREV_REFUSE:
        if (has_failed) {
            refuse(judge, 550, "5.7.25", "iprev",
                   write_text(judge,
                              "% has no reverse DNS name that leads back to it; give it a PTR "
                              "record whose name has this address",
                              judge->sender->client));
        } else if (iprev == AUTH_TEMPERROR) {
            wait_for(judge, "4.7.25", "iprev-temperror",
                     "The reverse DNS name of % cannot be checked now; try again later",
                     judge->sender->client);
        }
        break;
    }
}

/* ---- what becomes of it at the next hop -------------------------------------------------- */

static struct bytes doomed_text(struct judge *judge)
{
    const struct dmarc_verdict *there = judge->message->forwarded;
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, REPLY_TEXT_LIMIT);
    strbuf_add_text(&text, "DMARC of ");
    reply_text_add(&text, there->author, DOMAIN_TEXT_LIMIT, "");
    strbuf_addf(&text,
                " (p=%s%s) cannot pass after forwarding: this message has no valid DKIM "
                "signature of that domain; sign with DKIM",
                dmarc_policy_text(there->published), there->is_testing ? ", t=y" : "");
    copy = arena_copy(judge->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static void refuse_doomed(struct judge *judge)
{
    if (may_be_vouched(judge->message)) {
        wait_for_chain(judge);
    } else {
        refuse(judge, 550, "5.7.1", "doomed", doomed_text(judge));
    }
}

static void apply_doomed(struct judge *judge, enum doomed_rule rule)
{
    switch (rule) {
    case DOOMED_REFUSE:
        refuse_doomed(judge);
        break;
    case DOOMED_FORWARD:
        mark(judge, "doomed");
        break;
    case DOOMED_MUNGE:
        if (judge->policy->munge_from == MUNGE_NEVER || !judge->message->can_munge) {
            refuse_doomed(judge);
        } else {
            mark(judge, "doomed");
            judge->answer->manner = FORWARD_MUNGED;
        }
        break;
    case DOOMED_HOLD:
        mark(judge, "doomed");
        judge->answer->manner = FORWARD_HELD;
        break;
    }
}

/* The other rule knows the same words; only its default is another. */
static enum doomed_rule rule_of_quarantine(const struct accept_policy *policy)
{
    switch (policy->doomed_quarantine) {
    case DOOMED_QUARANTINE_FORWARD:
        break;
    case DOOMED_QUARANTINE_REFUSE:
        return DOOMED_REFUSE;
    case DOOMED_QUARANTINE_MUNGE:
        return DOOMED_MUNGE;
    case DOOMED_QUARANTINE_HOLD:
        return DOOMED_HOLD;
    }
    return DOOMED_FORWARD;
}

static void judge_outcome(struct judge *judge)
{
    const struct message_facts *message = judge->message;
    struct accept_answer *answer = judge->answer;

    answer->forecast = outcome_forecast(message, &answer->forecast_why);
    if (message->dmarc->result != AUTH_PASS) {
        return;
    }
    switch (answer->forecast) {
    case FORECAST_NONE:
    case FORECAST_PASS:
        break;
    case FORECAST_VOUCHED:
        mark(judge, "arc-trusted");
        break;
    case FORECAST_FAIL:
        apply_doomed(judge, message->forwarded->policy == DMARC_POLICY_REJECT
                                ? judge->policy->doomed
                                : rule_of_quarantine(judge->policy));
        break;
    }
}

/* ---- the two questions ------------------------------------------------------------------- */

static struct judge start_judge(const struct accept_policy *policy,
                                const struct sender_facts *sender, struct arena *arena,
                                struct accept_answer *answer)
{
    *answer = (struct accept_answer){
        .decision = {.disposition = DECISION_ACCEPT, .why = "authenticated"},
        .forecast_why = "unknown"};
    return (struct judge){.policy = policy, .sender = sender, .arena = arena, .answer = answer};
}

static void finish(struct judge *judge)
{
    struct accept_answer *answer = judge->answer;

    if (!is_refused(judge) && judge->rescue.disposition == DECISION_DEFER) {
        answer->decision = judge->rescue;
    } else if (!is_refused(judge) && judge->waiting.disposition == DECISION_DEFER) {
        switch (judge->policy->auth_temperror) {
        case AUTH_TEMPERROR_DEFER:
            answer->decision = judge->waiting;
            break;
        case AUTH_TEMPERROR_ACCEPT:
            mark(judge, "auth-temperror");
            break;
        }
    }
    if (answer->decision.disposition != DECISION_ACCEPT) {
        answer->mark_count = 0;
        answer->manner = FORWARD_AS_IT_IS;
    } else if (answer->mark_count != 0) {
        answer->decision.why = answer->marks[0];
    }
}

void accept_policy_for_sender(const struct accept_policy *policy,
                              const struct sender_facts *facts, struct arena *arena,
                              struct accept_answer *answer)
{
    struct judge judge = start_judge(policy, facts, arena, answer);

    /* A signature may still speak for the message, and SPF may be asked again by then. */
    if (facts->spf == AUTH_FAIL && policy->spf_fail == SPF_FAIL_REFUSE) {
        judge_spf(&judge);
    }
    judge_iprev(&judge);
    finish(&judge);
}

void accept_policy_for_message(const struct accept_policy *policy,
                               const struct message_facts *facts, struct arena *arena,
                               struct accept_answer *answer)
{
    struct judge judge = start_judge(policy, &facts->sender, arena, answer);

    judge.message = facts;
    judge_from(&judge);
    judge_own_domain(&judge);
    judge_dmarc(&judge);
    judge_spf(&judge);
    judge_iprev(&judge);
    judge_outcome(&judge);
    finish(&judge);
}

struct accept_policy accept_policy_of_returns(const struct accept_policy *usual)
{
    return (struct accept_policy){
        .spf_fail = SPF_FAIL_TAG,
        .dmarc_reject = DMARC_REJECT_TAG,
        .dmarc_quarantine = DMARC_QUARANTINE_TAG,
        .auth_temperror = usual->auth_temperror,
        .own_domain_spoof = usual->own_domain_spoof,
        .iprev = IPREV_OFF,
        .doomed = DOOMED_FORWARD,
        .doomed_quarantine = DOOMED_QUARANTINE_FORWARD,
    };
}
