#include "forward/client_score.h"

#include "forward/reply_text.h"

enum { SUBJECT_LIMIT = 200, FINDING_TEXT_LIMIT = 250 };

static const char *const control_names[CLIENT_CONTROLS] = {
    [CLIENT_EARLY_TALKER] = "early-talker",
    [CLIENT_PIPELINING] = "pipelining",
    [CLIENT_HELO] = "helo",
    [CLIENT_HELO_LOCAL] = "helo-local",
    [CLIENT_REVERSE_NAME] = "reverse-name",
    [CLIENT_BLOCKLIST] = "blocklist",
    [CLIENT_SENDER_DOMAIN] = "sender-domain",
};

const char *client_control_text(enum client_control control)
{
    return control_names[control];
}

void client_score_add(struct client_judgement *judgement, const struct client_finding *finding)
{
    struct client_finding *kept = &judgement->findings[judgement->count];

    if (judgement->count == CLIENT_FINDING_LIMIT) {
        return;
    }
    *kept = *finding;
    if (finding->control != CLIENT_BLOCKLIST) {
        kept->rule = judgement->rules->of[finding->control];
    }
    judgement->count += kept->rule.action != CLIENT_OFF;
}

/* ---- texts ------------------------------------------------------------------------------- */

/* In the log and the header one word stands for each. */
static void add_word(struct strbuf *out, struct bytes text)
{
    text = bytes_first(text, FINDING_TEXT_LIMIT);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        bool is_plain = ascii_is_alnum(octet) || octet == '.' || octet == '-' || octet == '_';

        strbuf_add_char(out, is_plain ? (char)octet : '?');
    }
}

void client_finding_add_text(struct strbuf *out, const struct client_finding *finding)
{
    strbuf_add_text(out, client_control_text(finding->control));
    if (finding->control == CLIENT_BLOCKLIST) {
        strbuf_add_char(out, ':');
        add_word(out, finding->subject);
    } else if (finding->what != NULL) {
        strbuf_add_char(out, ':');
        strbuf_add_text(out, finding->what);
    }
}

static void add_listing(struct strbuf *out, const struct client_finding *finding)
{
    reply_text_add(out, finding->listed, SUBJECT_LIMIT, "");
    strbuf_add_text(out, " is in the block list ");
    reply_text_add(out, finding->subject, SUBJECT_LIMIT, "");
    if (finding->text.len > 0) {
        strbuf_add_text(out, ": ");
        reply_text_add(out, finding->text, SUBJECT_LIMIT, "");
    } else {
        strbuf_add_text(out, "; ask there to be taken off it");
    }
}

static void add_reverse_name(struct strbuf *out, const struct client_finding *finding)
{
    if (finding->is_open) {
        strbuf_add_text(out, "The reverse DNS name of ");
        reply_text_add(out, finding->subject, SUBJECT_LIMIT, "");
        strbuf_add_text(out, " cannot be checked now; try again later");
        return;
    }
    reply_text_add(out, finding->subject, SUBJECT_LIMIT, "");
    strbuf_add_text(out, " has no reverse DNS name that leads back to it; give it a PTR record "
                         "whose name has this address");
}

static void add_sender_domain(struct strbuf *out, const struct client_finding *finding)
{
    strbuf_add_text(out, "The sender's domain ");
    reply_text_add(out, finding->subject, SUBJECT_LIMIT, "");
    strbuf_add_char(out, ' ');
    strbuf_add_text(out, finding->words);
}

/* What was found, and what helps. */
static void add_text(struct strbuf *out, const struct client_finding *finding)
{
    switch (finding->control) {
    case CLIENT_EARLY_TALKER:
        strbuf_add_text(out, "You spoke before our greeting; wait for the 220 line first");
        return;
    case CLIENT_PIPELINING:
        strbuf_add_text(out,
                        "You sent commands before our answer to your greeting; wait for it");
        return;
    case CLIENT_HELO:
    case CLIENT_HELO_LOCAL:
        strbuf_add_text(out, "You call yourself ");
        reply_text_add(out, finding->subject, SUBJECT_LIMIT, "");
        strbuf_addf(out, ", which %s; say your host's full name in EHLO", finding->words);
        return;
    case CLIENT_REVERSE_NAME:
        add_reverse_name(out, finding);
        return;
    case CLIENT_BLOCKLIST:
        add_listing(out, finding);
        return;
    case CLIENT_SENDER_DOMAIN:
        add_sender_domain(out, finding);
        return;
    case CLIENT_CONTROLS:
        return;
    }
}

static struct bytes keep_text(const struct client_judgement *judgement, struct strbuf *text)
{
    struct bytes copy =
        arena_copy(judgement->arena, bytes_first(strbuf_bytes(text), CLIENT_TEXT_LIMIT));

    strbuf_clear(text);
    return copy;
}

/* ---- decisions --------------------------------------------------------------------------- */

static const char *enhanced_of(const struct client_finding *finding, bool is_permanent)
{
    switch (finding->control) {
    case CLIENT_EARLY_TALKER:
    case CLIENT_PIPELINING:
        return is_permanent ? "5.5.1" : "4.5.1";
    case CLIENT_HELO:
    case CLIENT_HELO_LOCAL:
        return is_permanent ? "5.5.4" : "4.5.4";
    case CLIENT_REVERSE_NAME:
        return is_permanent ? "5.7.25" : "4.7.25";
    case CLIENT_SENDER_DOMAIN:
        if (finding->is_null_mx) {
            return is_permanent ? "5.7.27" : "4.7.27";
        }
        return is_permanent ? "5.1.8" : "4.1.8";
    case CLIENT_BLOCKLIST:
    case CLIENT_CONTROLS:
        break;
    }
    return is_permanent ? "5.7.1" : "4.7.1";
}

static unsigned code_of(const struct client_finding *finding, bool is_permanent)
{
    if (!is_permanent) {
        return finding->is_open ? 451 : 450;
    }
    return finding->control == CLIENT_EARLY_TALKER || finding->control == CLIENT_PIPELINING
               ? 554
               : 550;
}

static const char *why_of(const struct client_finding *finding)
{
    if (finding->is_open) {
        return finding->control == CLIENT_REVERSE_NAME ? "reverse-name-temperror"
                                                       : "sender-domain-temperror";
    }
    return client_control_text(finding->control);
}

static struct decision decide(const struct client_judgement *judgement,
                              const struct client_finding *finding, bool is_permanent)
{
    struct decision decision = {
        .disposition = is_permanent ? DECISION_REFUSE : DECISION_DEFER,
        .code = code_of(finding, is_permanent),
        .enhanced = enhanced_of(finding, is_permanent),
        .why = why_of(finding),
    };
    struct strbuf text;

    strbuf_init(&text, 4 * CLIENT_TEXT_LIMIT);
    add_text(&text, finding);
    decision.text = keep_text(judgement, &text);
    return decision;
}

static struct decision decide_by_points(const struct client_judgement *judgement,
                                        unsigned points, bool is_permanent)
{
    struct decision decision = {
        .disposition = is_permanent ? DECISION_REFUSE : DECISION_DEFER,
        .code = is_permanent ? 550 : 450,
        .enhanced = is_permanent ? "5.7.1" : "4.7.1",
        .why = "client-score",
    };
    const char *before = ": ";
    struct strbuf text;

    strbuf_init(&text, 64 * 1024);
    strbuf_addf(&text, "Too much speaks against this client (%u points)", points);
    for (size_t i = 0; i < judgement->count; i++) {
        const struct client_finding *finding = &judgement->findings[i];
        if (finding->rule.action == CLIENT_POINTS && !finding->is_open) {
            strbuf_add_text(&text, before);
            client_finding_add_text(&text, finding);
            before = ", ";
        }
    }
    decision.text = keep_text(judgement, &text);
    return decision;
}

/* What a finding comes to by itself. */
static enum client_action action_of(const struct client_finding *finding)
{
    enum client_action action = finding->rule.action;

    if (!finding->is_open) {
        return action;
    }
    return action == CLIENT_REFUSE || action == CLIENT_DEFER ? CLIENT_DEFER : CLIENT_OFF;
}

static const struct client_finding *find_first(const struct client_judgement *judgement,
                                               enum client_action action)
{
    for (size_t i = 0; i < judgement->count; i++) {
        if (action_of(&judgement->findings[i]) == action) {
            return &judgement->findings[i];
        }
    }
    return NULL;
}

static unsigned add_points(const struct client_judgement *judgement)
{
    unsigned points = 0;

    for (size_t i = 0; i < judgement->count; i++) {
        const struct client_finding *finding = &judgement->findings[i];
        points += action_of(finding) == CLIENT_POINTS ? finding->rule.points : 0;
    }
    return points;
}

static bool reaches(unsigned points, unsigned threshold)
{
    return threshold != 0 && points >= threshold;
}

struct client_answer client_score_judge(const struct client_judgement *judgement)
{
    const struct client_rules *rules = judgement->rules;
    struct client_answer answer = {.points = add_points(judgement)};
    const struct client_finding *refusing = find_first(judgement, CLIENT_REFUSE);
    const struct client_finding *deferring = find_first(judgement, CLIENT_DEFER);

    if (refusing != NULL) {
        answer.decision = decide(judgement, refusing, true);
    } else if (reaches(answer.points, rules->refuse_at)) {
        answer.decision = decide_by_points(judgement, answer.points, true);
    } else if (deferring != NULL) {
        answer.decision = decide(judgement, deferring, false);
    } else if (reaches(answer.points, rules->defer_at)) {
        answer.decision = decide_by_points(judgement, answer.points, false);
    } else {
        answer.is_tagged =
            find_first(judgement, CLIENT_TAG) != NULL || reaches(answer.points, rules->tag_at);
        answer.decision = (struct decision){.disposition = DECISION_ACCEPT, .why = "client"};
    }
    return answer;
}

unsigned client_rules_most(const struct client_rules *rules, unsigned listed)
{
    unsigned most = listed;

    for (size_t i = 0; i < CLIENT_CONTROLS; i++) {
        most += rules->of[i].action == CLIENT_POINTS ? rules->of[i].points : 0;
    }
    return most;
}
