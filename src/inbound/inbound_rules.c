/*
 * What a message carries and how its header is made, in the order it happens:
 *
 *   1 inbound_rules_begin   at DATA: is anything looked for?
 *   2 inbound_rules_octets  the octets as they stream, dots taken out; the first that is blocked ends
 *                           the search
 *   3 inbound_rules_header  all above the empty line
 *   4 inbound_rules_judge   room forward decides
 *   5 inbound_rules_add     what was let go all the same is said in a field of ours, as nobody else can
 *                           say it: results that claim to be ours are taken out
 *
 * Where nothing is looked for none of it costs anything but a look at the header.
 */
#include "inbound_session.h"

#include "mail/results_field.h"

/* Sessions that wait need no room for it. */
struct inbound_carried {
    struct content_findings findings;
    struct content_answer file_answer, header_answer;
};

static const struct accept_policy *policy_of(const struct inbound_transaction *transaction)
{
    static const struct accept_policy usual = {0};

    return transaction->policy == NULL ? &usual : transaction->policy;
}

/* A bounce on its way back brings the message it is about. That was sent already; losing the bounce
 * helps nobody. */
static bool is_return(const struct inbound_transaction *transaction)
{
    return transaction->recipient_count > 0 &&
           transaction->recipients[0].route.kind == ROUTE_RETURN;
}

static enum blocked_content_rule blocked_rule(const struct inbound_transaction *transaction)
{
    enum blocked_content_rule rule = policy_of(transaction)->blocked_content;

    return is_return(transaction) && rule != BLOCKED_CONTENT_ACCEPT ? BLOCKED_CONTENT_TAG
                                                                    : rule;
}

static enum header_sanity_rule sanity_rule(const struct inbound_transaction *transaction)
{
    enum header_sanity_rule rule = policy_of(transaction)->header_sanity;

    return is_return(transaction) && rule == HEADER_SANITY_REFUSE ? HEADER_SANITY_TAG : rule;
}

static enum header_8bit_rule eight_bit_rule(const struct inbound_transaction *transaction)
{
    enum header_8bit_rule rule = policy_of(transaction)->header_8bit;

    return is_return(transaction) && rule == HEADER_8BIT_REFUSE ? HEADER_8BIT_TAG : rule;
}

/* What returns are spared nobody else is. */
bool inbound_rules_may_join(const struct inbound_session *session,
                            const struct accept_policy *policy, bool is_returning)
{
    const struct inbound_transaction *transaction = &session->transaction;
    const struct accept_policy *before = policy_of(transaction);
    struct inbound_transaction joining = {.policy = policy};
    const struct accept_policy *other = policy_of(&joining);

    return is_return(transaction) == is_returning &&
           before->header_sanity == other->header_sanity &&
           before->header_8bit == other->header_8bit &&
           (before->blocked_content == other->blocked_content ||
            !content_rules_block(&session->options->content));
}

void inbound_rules_begin(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;

    transaction->carried = arena_alloc(transaction->arena, sizeof *transaction->carried);
    transaction->carried->findings.rules = &session->options->content;
    if (content_rules_block(&session->options->content) &&
        blocked_rule(transaction) != BLOCKED_CONTENT_ACCEPT) {
        transaction->walk =
            mime_walk_new(content_findings_add, &transaction->carried->findings);
    }
}

void inbound_rules_octets(struct inbound_session *session, struct bytes octets)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (transaction->walk == NULL) {
        return;
    }
    mime_walk_add(transaction->walk, octets);
    if (transaction->carried->findings.is_blocked) {
        mime_walk_free(&transaction->walk);
    }
}

void inbound_rules_reset(struct inbound_session *session)
{
    mime_walk_free(&session->transaction.walk);
}

static void judge_files(struct inbound_transaction *transaction)
{
    enum mime_trouble trouble = MIME_NO_TROUBLE;
    const char *why = NULL;

    if (transaction->walk != NULL) {
        mime_walk_end(transaction->walk);
        trouble = mime_walk_trouble(transaction->walk);
        why = mime_walk_why(transaction->walk);
        mime_walk_free(&transaction->walk);
        /* Who throws NULs away finds delimiters and fields where there are none. */
        if (trouble == MIME_NO_TROUBLE && transaction->decoder.has_nul) {
            trouble = MIME_AMBIGUOUS;
            why = "nul";
        }
    }
    content_rule_for_files(blocked_rule(transaction), &transaction->carried->findings, trouble,
                           why, transaction->arena, &transaction->carried->file_answer);
}

void inbound_rules_header(struct inbound_session *session, struct bytes top)
{
    struct inbound_transaction *transaction = &session->transaction;

    content_rule_for_header(&session->options->content, sanity_rule(transaction),
                            eight_bit_rule(transaction), top, transaction->is_utf8,
                            transaction->arena, &transaction->carried->header_answer);
}

struct decision inbound_rules_judge(struct inbound_session *session)
{
    struct inbound_transaction *transaction = &session->transaction;
    const struct inbound_carried *carried = transaction->carried;

    judge_files(transaction);
    return carried->header_answer.decision.disposition != DECISION_ACCEPT
               ? carried->header_answer.decision
               : carried->file_answer.decision;
}

bool inbound_rules_hold(const struct inbound_session *session)
{
    return session->transaction.carried->file_answer.is_held;
}

/* RFC 8601 §2.7.7 leaves names that begin with "x-" to whoever uses them. */
static void add_entry(struct result_entry *entries, size_t *count,
                      struct result_property *properties, const char *method,
                      const struct content_answer *answer)
{
    if (answer->mark == NULL) {
        return;
    }
    properties[0] = (struct result_property){"policy", "rule", bytes_from_text(answer->mark)};
    properties[1] = (struct result_property){"policy", "what", answer->what};
    entries[(*count)++] = (struct result_entry){
        .method = method,
        .result = "fail",
        .properties = properties,
        .property_count = answer->what.len > 0 ? 2 : 1,
    };
}

void inbound_rules_add(const struct inbound_session *session, struct strbuf *prefix)
{
    const struct inbound_carried *carried = session->transaction.carried;
    struct result_property properties[4];
    struct result_entry entries[2];
    size_t count = 0;

    add_entry(entries, &count, properties, "x-content", &carried->file_answer);
    add_entry(entries, &count, properties + 2, "x-header", &carried->header_answer);
    inbound_trace_add_marks(session, prefix, entries, count);
}

void inbound_rules_log(const struct inbound_session *session, struct log_line *line)
{
    const struct inbound_carried *carried = session->transaction.carried;
    const struct content_answer *answers[] = {&carried->file_answer, &carried->header_answer};

    for (size_t i = 0; i < 2; i++) {
        bool is_told =
            answers[i]->mark != NULL || answers[i]->decision.disposition != DECISION_ACCEPT;

        if (answers[i]->mark != NULL) {
            log_text(line, "mark", answers[i]->mark);
        }
        if (is_told && answers[i]->what.len > 0) {
            log_bytes(line, "what", answers[i]->what);
        }
    }
}
