#include "support/check.h"

#include "forward/accept_policy.h"

static struct arena *arena;

/* What a message proved, in a word: "pass-dkim", "fail-reject" ... */
struct dmarc_kind {
    const char *name;
    struct dmarc_verdict verdict;
};

#define AUTHOR .author = BYTES("author.example")

/* clang-format off */
static const struct dmarc_kind kinds[] = {
    {"none",             {.result = AUTH_NONE, AUTHOR}},
    {"none-dkim",        {.result = AUTH_NONE, AUTHOR, .aligned_by = DMARC_BY_DKIM, .is_every_author_proven = true}},
    {"none-unsettled",   {.result = AUTH_NONE, AUTHOR, .is_unsettled = true}},
    {"pass-dkim",        {.result = AUTH_PASS, AUTHOR, .aligned_by = DMARC_BY_DKIM, .is_every_author_proven = true}},
    {"pass-spf",         {.result = AUTH_PASS, AUTHOR, .aligned_by = DMARC_BY_SPF, .is_every_author_proven = true}},
    {"fail-none",        {.result = AUTH_FAIL, AUTHOR, .policy = DMARC_POLICY_NONE}},
    {"fail-quarantine",  {.result = AUTH_FAIL, AUTHOR, .policy = DMARC_POLICY_QUARANTINE}},
    {"fail-reject",      {.result = AUTH_FAIL, AUTHOR, .policy = DMARC_POLICY_REJECT}},
    {"temp-none",        {.result = AUTH_TEMPERROR, AUTHOR, .policy = DMARC_POLICY_NONE, .is_unsettled = true}},
    {"temp-quarantine",  {.result = AUTH_TEMPERROR, AUTHOR, .policy = DMARC_POLICY_QUARANTINE, .is_unsettled = true}},
    {"temp-reject",      {.result = AUTH_TEMPERROR, AUTHOR, .policy = DMARC_POLICY_REJECT, .is_unsettled = true}},
    {"permerror",        {.result = AUTH_PERMERROR, AUTHOR, .policy = DMARC_POLICY_REJECT}},
};
/* clang-format on */

static const struct dmarc_verdict *kind_of(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i].verdict;
        }
    }
    fail_msg("no such verdict: %s", name);
    return NULL;
}

static struct message_facts facts_of(const char *dmarc)
{
    return (struct message_facts){
        .sender = {.client = BYTES("192.0.2.1"),
                   .spf = AUTH_PASS,
                   .spf_domain = BYTES("sender.example"),
                   .iprev = AUTH_PASS},
        .from = FROM_ONE_DOMAIN,
        .dmarc = kind_of(dmarc),
        .sender_signature = AUTH_NONE,
    };
}

static void check_answer(const char *name, const struct accept_answer *answer,
                         enum disposition disposition, unsigned code, const char *enhanced,
                         const char *why)
{
    CHECK_INT(name, answer->decision.disposition, disposition);
    CHECK_INT(name, answer->decision.code, code);
    CHECK_TEXT(name, answer->decision.enhanced, enhanced);
    CHECK_TEXT(name, answer->decision.why, why);
    CHECK_INT(name, answer->decision.text.len != 0, disposition != DECISION_ACCEPT);
}

/* Every setting on the message it is about. */
static void test_rules(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct accept_policy policy;
        const char *dmarc;
        enum auth_result spf, iprev, signature;
        enum from_result from;
        bool own_author, own_sender;
        enum disposition want;
        unsigned code;
        const char *enhanced, *why;
    } cases[] = {
        {"all is well", {0}, "pass-dkim", AUTH_PASS, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, true, true, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"nobody publishes anything", {0}, "none", AUTH_NONE, AUTH_NONE, AUTH_NONE, FROM_NO_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"several From fields", {0}, "pass-dkim", AUTH_PASS, AUTH_PASS, AUTH_PASS, FROM_SEVERAL_FIELDS, false, false, DECISION_REFUSE, 550, "5.6.0", "from-field"},
        {"malformed From", {0}, "none", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_MALFORMED, false, false, DECISION_REFUSE, 550, "5.6.0", "from-field"},
        {"too many authors", {0}, "permerror", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_SEVERAL_DOMAINS, false, false, DECISION_REFUSE, 550, "5.6.0", "from-field"},
        {"several From fields, marked", {.dmarc_reject = DMARC_REJECT_TAG}, "none", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_SEVERAL_FIELDS, false, false, DECISION_ACCEPT, 0, NULL, "from-field"},
        {"two domains that pass", {0}, "pass-dkim", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_SEVERAL_DOMAINS, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},

        {"own From, not proven, no record", {0}, "none", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, false, DECISION_REFUSE, 550, "5.7.26", "own-domain-spoof"},
        {"own From, not proven, p=none", {0}, "fail-none", AUTH_PASS, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, true, false, DECISION_REFUSE, 550, "5.7.26", "own-domain-spoof"},
        {"own From before DMARC", {0}, "fail-reject", AUTH_FAIL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, false, DECISION_REFUSE, 550, "5.7.26", "own-domain-spoof"},
        {"own From, proven without a record", {0}, "none-dkim", AUTH_FAIL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"own From, unsettled", {0}, "none-unsettled", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, false, DECISION_DEFER, 451, "4.7.26", "own-domain-temperror"},
        {"the first wait is told", {0}, "temp-reject", AUTH_TEMPERROR, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, false, DECISION_DEFER, 451, "4.7.26", "own-domain-temperror"},
        {"own From, unsettled, accepted", {.auth_temperror = AUTH_TEMPERROR_ACCEPT}, "none-unsettled", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, false, DECISION_ACCEPT, 0, NULL, "auth-temperror"},
        {"own From, marked", {.own_domain_spoof = OWN_DOMAIN_TAG}, "none", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, false, DECISION_ACCEPT, 0, NULL, "own-domain-spoof"},
        {"own From, accepted", {.own_domain_spoof = OWN_DOMAIN_ACCEPT}, "none", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"own MAIL FROM, SPF says nothing", {0}, "none", AUTH_NONE, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, true, DECISION_REFUSE, 550, "5.7.26", "own-domain-spoof"},
        {"own MAIL FROM, SPF softfail, stranger's DMARC pass", {0}, "pass-dkim", AUTH_SOFTFAIL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, true, DECISION_REFUSE, 550, "5.7.26", "own-domain-spoof"},
        {"own MAIL FROM, its own signature", {0}, "none", AUTH_FAIL, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, false, true, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"own MAIL FROM and own proven From", {0}, "pass-dkim", AUTH_NEUTRAL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, true, true, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"own MAIL FROM, SPF unanswered", {.spf_fail = SPF_FAIL_TAG}, "none", AUTH_TEMPERROR, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, true, DECISION_DEFER, 451, "4.7.26", "own-domain-temperror"},

        {"DMARC reject", {0}, "fail-reject", AUTH_PASS, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, false, false, DECISION_REFUSE, 550, "5.7.1", "dmarc-reject"},
        {"DMARC reject, marked", {.dmarc_reject = DMARC_REJECT_TAG}, "fail-reject", AUTH_PASS, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "dmarc-reject"},
        {"DMARC quarantine", {0}, "fail-quarantine", AUTH_PASS, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "dmarc-quarantine"},
        {"DMARC quarantine, refused", {.dmarc_quarantine = DMARC_QUARANTINE_REFUSE}, "fail-quarantine", AUTH_PASS, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, false, false, DECISION_REFUSE, 554, "5.7.1", "dmarc-quarantine"},
        {"DMARC quarantine, accepted", {.dmarc_quarantine = DMARC_QUARANTINE_ACCEPT}, "fail-quarantine", AUTH_PASS, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"DMARC none changes nothing", {.dmarc_quarantine = DMARC_QUARANTINE_REFUSE}, "fail-none", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"DMARC unanswered", {0}, "temp-reject", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_DEFER, 451, "4.7.1", "dmarc-temperror"},
        {"DMARC unanswered, accepted", {.auth_temperror = AUTH_TEMPERROR_ACCEPT}, "temp-reject", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "auth-temperror"},
        {"DMARC unanswered, nothing at stake", {0}, "temp-quarantine", AUTH_PASS, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},

        {"SPF fail", {0}, "none", AUTH_FAIL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_REFUSE, 550, "5.7.23", "spf-fail"},
        {"SPF fail, aligned DKIM", {0}, "pass-dkim", AUTH_FAIL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"SPF fail, DKIM of the sender", {0}, "none", AUTH_FAIL, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"SPF fail, key unanswered", {0}, "none-unsettled", AUTH_FAIL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_DEFER, 451, "4.7.5", "dkim-temperror"},
        {"SPF fail, refused although signed", {.spf_fail = SPF_FAIL_REFUSE}, "pass-dkim", AUTH_FAIL, AUTH_PASS, AUTH_PASS, FROM_ONE_DOMAIN, false, false, DECISION_REFUSE, 550, "5.7.23", "spf-fail"},
        {"SPF fail, marked", {.spf_fail = SPF_FAIL_TAG}, "none", AUTH_FAIL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "spf-fail"},
        {"SPF softfail", {0}, "none", AUTH_SOFTFAIL, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"SPF permerror", {0}, "none", AUTH_PERMERROR, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"SPF unanswered", {0}, "none", AUTH_TEMPERROR, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_DEFER, 451, "4.4.3", "spf-temperror"},
        {"SPF unanswered, aligned DKIM", {0}, "pass-dkim", AUTH_TEMPERROR, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"SPF unanswered, refused in any case", {0}, "fail-reject", AUTH_TEMPERROR, AUTH_PASS, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_REFUSE, 550, "5.7.1", "dmarc-reject"},

        {"no reverse name, off", {0}, "none", AUTH_NONE, AUTH_FAIL, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"no reverse name, marked", {.iprev = IPREV_TAG}, "none", AUTH_NONE, AUTH_PERMERROR, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "iprev"},
        {"no reverse name, refused", {.iprev = IPREV_REFUSE}, "none", AUTH_NONE, AUTH_PERMERROR, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_REFUSE, 550, "5.7.25", "iprev"},
        {"reverse name that does not lead back", {.iprev = IPREV_REFUSE}, "none", AUTH_NONE, AUTH_FAIL, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_REFUSE, 550, "5.7.25", "iprev"},
        {"reverse name unanswered", {.iprev = IPREV_REFUSE}, "none", AUTH_NONE, AUTH_TEMPERROR, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_DEFER, 451, "4.7.25", "iprev-temperror"},
        {"reverse name unanswered, marked", {.iprev = IPREV_TAG}, "none", AUTH_NONE, AUTH_TEMPERROR, AUTH_NONE, FROM_ONE_DOMAIN, false, false, DECISION_ACCEPT, 0, NULL, "authenticated"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct message_facts facts = facts_of(cases[i].dmarc);
        struct accept_answer answer;

        facts.sender.spf = cases[i].spf;
        facts.sender.iprev = cases[i].iprev;
        facts.sender.is_own_sender = cases[i].own_sender;
        facts.sender_signature = cases[i].signature;
        facts.from = cases[i].from;
        facts.is_own_author = cases[i].own_author;
        accept_policy_for_message(&cases[i].policy, &facts, arena, &answer);
        check_answer(cases[i].name, &answer, cases[i].want, cases[i].code, cases[i].enhanced,
                     cases[i].why);
        CHECK_INT(cases[i].name, answer.mark_count,
                  cases[i].want == DECISION_ACCEPT &&
                      strcmp(cases[i].why, "authenticated") != 0);
        arena_reset(arena);
    }
}

/* ---- every combination, against the rules written the other way round -------------------- */

struct expectation {
    bool refuses; /* something stands that needs no further answer */
    bool waits;   /* something could still refuse */
};

static void expect_own(const struct accept_policy *policy, const struct message_facts *facts,
                       struct expectation *want)
{
    bool author_proven = facts->dmarc->is_every_author_proven;
    bool author_open = !author_proven && facts->dmarc->is_unsettled;
    bool sender_proven = facts->sender.spf == AUTH_PASS ||
                         facts->sender_signature == AUTH_PASS ||
                         (facts->is_own_author && author_proven);
    bool sender_open = !sender_proven && (facts->sender.spf == AUTH_TEMPERROR ||
                                          facts->sender_signature == AUTH_TEMPERROR ||
                                          (facts->is_own_author && author_open));

    if (policy->own_domain_spoof != OWN_DOMAIN_REFUSE) {
        return;
    }
    want->refuses |= facts->is_own_author && !author_proven && !author_open;
    want->waits |= facts->is_own_author && author_open;
    want->refuses |= facts->sender.is_own_sender && !sender_proven && !sender_open;
    want->waits |= facts->sender.is_own_sender && sender_open;
}

static struct expectation expect(const struct accept_policy *policy,
                                 const struct message_facts *facts)
{
    const struct dmarc_verdict *dmarc = facts->dmarc;
    bool rejects = policy->dmarc_reject == DMARC_REJECT_REFUSE;
    bool applies = (dmarc->policy == DMARC_POLICY_REJECT && rejects) ||
                   (dmarc->policy == DMARC_POLICY_QUARANTINE &&
                    policy->dmarc_quarantine == DMARC_QUARANTINE_REFUSE);
    bool is_signed =
        policy->spf_fail == SPF_FAIL_REFUSE_UNLESS_DKIM &&
        (dmarc->aligned_by == DMARC_BY_DKIM || facts->sender_signature == AUTH_PASS);
    bool may_be_signed = policy->spf_fail == SPF_FAIL_REFUSE_UNLESS_DKIM && !is_signed &&
                         (dmarc->is_unsettled || facts->sender_signature == AUTH_TEMPERROR);
    bool minds_spf = policy->spf_fail != SPF_FAIL_TAG && !is_signed;
    bool minds_name = policy->iprev == IPREV_REFUSE;
    struct expectation want = {false, false};

    want.refuses |=
        rejects && (facts->from == FROM_SEVERAL_FIELDS || facts->from == FROM_MALFORMED ||
                    dmarc->result == AUTH_PERMERROR);
    expect_own(policy, facts, &want);
    want.refuses |= dmarc->result == AUTH_FAIL && applies;
    want.waits |= dmarc->result == AUTH_TEMPERROR && applies;
    want.refuses |= facts->sender.spf == AUTH_FAIL && minds_spf && !may_be_signed;
    want.waits |= facts->sender.spf == AUTH_FAIL && minds_spf && may_be_signed;
    want.waits |= facts->sender.spf == AUTH_TEMPERROR && minds_spf;
    want.refuses |= minds_name && facts->sender.iprev == AUTH_FAIL;
    want.waits |= minds_name && facts->sender.iprev == AUTH_TEMPERROR;
    return want;
}

static void check_one(const struct accept_policy *policy, const struct message_facts *facts)
{
    static const unsigned first_digit[] = {
        [DECISION_ACCEPT] = 0, [DECISION_DEFER] = 4, [DECISION_REFUSE] = 5};
    struct expectation want = expect(policy, facts);
    struct accept_answer answer;
    enum disposition disposition;

    accept_policy_for_message(policy, facts, arena, &answer);
    disposition = want.refuses ? DECISION_REFUSE
                  : want.waits && policy->auth_temperror == AUTH_TEMPERROR_DEFER
                      ? DECISION_DEFER
                      : DECISION_ACCEPT;
    CHECK_INT("disposition", answer.decision.disposition, disposition);
    CHECK_INT("code", answer.decision.code / 100, first_digit[disposition]);
    CHECK_TRUE("marks", answer.mark_count <= ACCEPT_MARK_LIMIT &&
                            (disposition == DECISION_ACCEPT || answer.mark_count == 0));
    CHECK_TRUE("a wait leaves a mark",
               disposition != DECISION_ACCEPT || !want.waits || answer.mark_count > 0);
    if (disposition != DECISION_ACCEPT) {
        CHECK_TRUE("code fits",
                   answer.decision.enhanced[0] == (char)('0' + answer.decision.code / 100));
    }
}

static void check_policies(const struct message_facts *facts)
{
    for (unsigned n = 0; n < 3 * 2 * 3 * 2 * 3 * 3; n++) {
        struct accept_policy policy = {
            .spf_fail = (enum spf_fail_rule)(n % 3),
            .dmarc_reject = (enum dmarc_reject_rule)(n / 3 % 2),
            .dmarc_quarantine = (enum dmarc_quarantine_rule)(n / 6 % 3),
            .auth_temperror = (enum auth_temperror_rule)(n / 18 % 2),
            .own_domain_spoof = (enum own_domain_rule)(n / 36 % 3),
            .iprev = (enum iprev_rule)(n / 108),
        };

        check_one(&policy, facts);
    }
    arena_reset(arena);
}

static void test_every_combination(void **state)
{
    static const enum auth_result results[] = {AUTH_PASS, AUTH_FAIL, AUTH_TEMPERROR, AUTH_NONE};
    static const enum auth_result signatures[] = {AUTH_PASS, AUTH_TEMPERROR, AUTH_NONE};

    (void)state;
    for (unsigned n = 0; n < COUNT_OF(kinds) * 4 * 3 * 3 * 2 * 2 * 2; n++) {
        struct message_facts facts = facts_of(kinds[n % COUNT_OF(kinds)].name);
        unsigned rest = n / COUNT_OF(kinds);

        facts.sender.spf = results[rest % 4];
        facts.sender.iprev = results[rest / 4 % 3];
        facts.sender_signature = signatures[rest / 12 % 3];
        facts.sender.is_own_sender = rest / 36 % 2;
        facts.is_own_author = rest / 72 % 2;
        facts.from = rest / 144 % 2 ? FROM_SEVERAL_FIELDS : FROM_ONE_DOMAIN;
        check_policies(&facts);
    }
}

static void test_sender(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct accept_policy policy;
        enum auth_result spf, iprev;
        enum disposition want;
        unsigned code;
        const char *enhanced, *why;
    } cases[] = {
        {"fail waits for a signature", {0}, AUTH_FAIL, AUTH_PASS, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"fail, refused", {.spf_fail = SPF_FAIL_REFUSE}, AUTH_FAIL, AUTH_PASS, DECISION_REFUSE, 550, "5.7.23", "spf-fail"},
        {"fail, marked later", {.spf_fail = SPF_FAIL_TAG}, AUTH_FAIL, AUTH_PASS, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"unanswered waits for the content", {.spf_fail = SPF_FAIL_REFUSE}, AUTH_TEMPERROR, AUTH_PASS, DECISION_ACCEPT, 0, NULL, "authenticated"},
        {"no reverse name", {.iprev = IPREV_REFUSE}, AUTH_PASS, AUTH_PERMERROR, DECISION_REFUSE, 550, "5.7.25", "iprev"},
        {"reverse name unanswered", {.iprev = IPREV_REFUSE}, AUTH_PASS, AUTH_TEMPERROR, DECISION_DEFER, 451, "4.7.25", "iprev-temperror"},
        {"reverse name unanswered, accepted", {.iprev = IPREV_REFUSE, .auth_temperror = AUTH_TEMPERROR_ACCEPT}, AUTH_PASS, AUTH_TEMPERROR, DECISION_ACCEPT, 0, NULL, "auth-temperror"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sender_facts facts = {.client = BYTES("192.0.2.1"),
                                     .spf_domain = BYTES("sender.example"),
                                     .spf = cases[i].spf,
                                     .iprev = cases[i].iprev};
        struct accept_answer answer;

        accept_policy_for_sender(&cases[i].policy, &facts, arena, &answer);
        check_answer(cases[i].name, &answer, cases[i].want, cases[i].code, cases[i].enhanced,
                     cases[i].why);
    }
}

/* Words of strangers cannot end the reply line, and long ones are cut. */
static void test_texts(void **state)
{
    struct message_facts facts = facts_of("none");
    struct dmarc_verdict verdict = *kind_of("fail-reject");
    struct accept_policy policy = {0};
    struct accept_answer answer;
    char noise[600];

    (void)state;
    facts.sender.spf = AUTH_FAIL;
    facts.sender.spf_explanation = BYTES("see http://b.example/\r\n250 ok\xff");
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_BYTES(
        "spf", answer.decision.text,
        BYTES("SPF: 192.0.2.1 may not send mail for sender.example; sign with DKIM or use "
              "its own servers; it says: see http://b.example/??250 ok?"));
    facts.dmarc = &verdict;
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_BYTES("dmarc", answer.decision.text,
                BYTES("DMARC failed and author.example asks to reject; sign with DKIM for that "
                      "domain or send from a host its SPF record names"));
    memset(noise, '\n', sizeof noise);
    verdict.author = facts.sender.spf_domain = facts.sender.spf_explanation =
        bytes_of(noise, sizeof noise);
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_TRUE("cut", answer.decision.text.len <= REPLY_TEXT_LIMIT);
    CHECK_INT("clean", bytes_find(answer.decision.text, '\n'), answer.decision.text.len);
    verdict.policy = DMARC_POLICY_NONE;
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_TEXT("spf", answer.decision.why, "spf-fail");
    CHECK_TRUE("cut", answer.decision.text.len <= REPLY_TEXT_LIMIT);
    CHECK_INT("clean", bytes_find(answer.decision.text, '\n'), answer.decision.text.len);
}

/* Everything that is only to be marked is. */
static void test_marks(void **state)
{
    struct accept_policy policy = {.spf_fail = SPF_FAIL_TAG,
                                   .dmarc_reject = DMARC_REJECT_TAG,
                                   .own_domain_spoof = OWN_DOMAIN_TAG,
                                   .iprev = IPREV_TAG};
    static const char *const want[] = {"from-field", "own-domain-spoof", "dmarc-reject",
                                       "spf-fail", "iprev"};
    struct message_facts facts = facts_of("fail-reject");
    struct accept_answer answer;

    (void)state;
    facts.sender.spf = facts.sender.iprev = AUTH_FAIL;
    facts.sender.is_own_sender = facts.is_own_author = true;
    facts.from = FROM_SEVERAL_FIELDS;
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_INT("accepted", answer.decision.disposition, DECISION_ACCEPT);
    CHECK_INT("marks", answer.mark_count, COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        CHECK_TEXT("mark", answer.marks[i], want[i]);
    }
}

/* ---- the next hop -------------------------------------------------------------------------- */

/* What the same message proves once it has left with our sender. */
static struct dmarc_verdict after_forwarding(const struct dmarc_verdict *here,
                                             enum dmarc_policy published)
{
    struct dmarc_verdict there = *here;

    there.published = published;
    if (here->aligned_by == DMARC_BY_SPF) {
        there.result = AUTH_FAIL;
        there.aligned_by = DMARC_BY_NOTHING;
        there.is_every_author_proven = false;
    }
    there.policy = there.result == AUTH_FAIL ? published : DMARC_POLICY_NONE;
    return there;
}

enum signature { SIGNATURE_VALID, SIGNATURE_BROKEN, SIGNATURE_ABSENT };

/* A broken signature is no signature: both columns must say the same. */
static struct dmarc_verdict on_arrival(bool spf, enum signature signature,
                                       enum dmarc_policy published)
{
    struct dmarc_verdict here = {.result = AUTH_PASS,
                                 AUTHOR,
                                 .published = published,
                                 .record_domain = BYTES("author.example"),
                                 .is_every_author_proven = true};

    if (signature == SIGNATURE_VALID) {
        here.aligned_by = DMARC_BY_DKIM;
    } else if (spf) {
        here.aligned_by = DMARC_BY_SPF;
    } else {
        here.result = AUTH_FAIL;
        here.policy = published;
        here.is_every_author_proven = false;
    }
    return here;
}

/* The prediction table: what came in, what the author's domain asks for, what the setting says. */
static void test_doomed(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        bool spf;
        enum signature signature;
        enum dmarc_policy published;
        const char *want[4]; /* refuse, forward, munge, hold */
    } cases[] = {
        {"both, reject",        true,  SIGNATURE_VALID,  DMARC_POLICY_REJECT,     {"authenticated", "authenticated", "authenticated", "authenticated"}},
        {"both, quarantine",    true,  SIGNATURE_VALID,  DMARC_POLICY_QUARANTINE, {"authenticated", "authenticated", "authenticated", "authenticated"}},
        {"both, none",          true,  SIGNATURE_VALID,  DMARC_POLICY_NONE,       {"authenticated", "authenticated", "authenticated", "authenticated"}},
        {"broken, reject",      true,  SIGNATURE_BROKEN, DMARC_POLICY_REJECT,     {"550 doomed", "doomed", "doomed munged", "doomed held"}},
        {"broken, quarantine",  true,  SIGNATURE_BROKEN, DMARC_POLICY_QUARANTINE, {"550 doomed", "doomed", "doomed munged", "doomed held"}},
        {"broken, none",        true,  SIGNATURE_BROKEN, DMARC_POLICY_NONE,       {"authenticated", "authenticated", "authenticated", "authenticated"}},
        {"SPF only, reject",    true,  SIGNATURE_ABSENT, DMARC_POLICY_REJECT,     {"550 doomed", "doomed", "doomed munged", "doomed held"}},
        {"SPF only, quarantine", true, SIGNATURE_ABSENT, DMARC_POLICY_QUARANTINE, {"550 doomed", "doomed", "doomed munged", "doomed held"}},
        {"SPF only, none",      true,  SIGNATURE_ABSENT, DMARC_POLICY_NONE,       {"authenticated", "authenticated", "authenticated", "authenticated"}},
        {"DKIM only, reject",   false, SIGNATURE_VALID,  DMARC_POLICY_REJECT,     {"authenticated", "authenticated", "authenticated", "authenticated"}},
        {"DKIM only, quarantine", false, SIGNATURE_VALID, DMARC_POLICY_QUARANTINE, {"authenticated", "authenticated", "authenticated", "authenticated"}},
        {"DKIM only, none",     false, SIGNATURE_VALID,  DMARC_POLICY_NONE,       {"authenticated", "authenticated", "authenticated", "authenticated"}},
        {"broken only, reject", false, SIGNATURE_BROKEN, DMARC_POLICY_REJECT,     {"550 dmarc-reject", "550 dmarc-reject", "550 dmarc-reject", "550 dmarc-reject"}},
        {"broken only, quarantine", false, SIGNATURE_BROKEN, DMARC_POLICY_QUARANTINE, {"550 spf-fail", "550 spf-fail", "550 spf-fail", "550 spf-fail"}},
        {"broken only, none",   false, SIGNATURE_BROKEN, DMARC_POLICY_NONE,       {"550 spf-fail", "550 spf-fail", "550 spf-fail", "550 spf-fail"}},
        {"nothing, reject",     false, SIGNATURE_ABSENT, DMARC_POLICY_REJECT,     {"550 dmarc-reject", "550 dmarc-reject", "550 dmarc-reject", "550 dmarc-reject"}},
        {"nothing, quarantine", false, SIGNATURE_ABSENT, DMARC_POLICY_QUARANTINE, {"550 spf-fail", "550 spf-fail", "550 spf-fail", "550 spf-fail"}},
        {"nothing, none",       false, SIGNATURE_ABSENT, DMARC_POLICY_NONE,       {"550 spf-fail", "550 spf-fail", "550 spf-fail", "550 spf-fail"}},
    };
    static const enum doomed_quarantine_rule quarantine_rules[] = {
        [DOOMED_REFUSE] = DOOMED_QUARANTINE_REFUSE, [DOOMED_FORWARD] = DOOMED_QUARANTINE_FORWARD,
        [DOOMED_MUNGE] = DOOMED_QUARANTINE_MUNGE,   [DOOMED_HOLD] = DOOMED_QUARANTINE_HOLD};
    static const char *const manners[] = {"", " munged", " held"};
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases) * 4; i++) {
        unsigned rule = i % 4;
        const char *name = cases[i / 4].name;
        enum dmarc_policy published = cases[i / 4].published;
        struct dmarc_verdict here =
            on_arrival(cases[i / 4].spf, cases[i / 4].signature, published);
        struct dmarc_verdict there = after_forwarding(&here, published);
        /* The rule of the other policy says something else. */
        struct accept_policy policy = {.doomed = (enum doomed_rule)(rule ^ 1),
                                       .doomed_quarantine = quarantine_rules[rule ^ 1],
                                       .munge_from = MUNGE_WHEN_NEEDED};
        struct message_facts facts = facts_of("none");
        struct accept_answer answer;
        char got[100];

        if (published == DMARC_POLICY_REJECT) {
            policy.doomed = (enum doomed_rule)rule;
        } else {
            policy.doomed_quarantine = quarantine_rules[rule];
        }
        facts.sender.spf = cases[i / 4].spf ? AUTH_PASS : AUTH_FAIL;
        facts.dmarc = &here;
        facts.forwarded = &there;
        facts.can_munge = true;
        accept_policy_for_message(&policy, &facts, arena, &answer);
        snprintf(got, sizeof got, "%s%s%s",
                 answer.decision.disposition == DECISION_REFUSE ? "550 " : "",
                 answer.decision.why, manners[answer.manner]);
        CHECK_TEXT(name, got, cases[i / 4].want[rule]);
        arena_reset(arena);
    }
}

/* What is only let in is let out, too; what may pass yet is not doomed; nobody munges unasked. */
static void test_doomed_edges(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct accept_policy policy;
        const char *here, *there; /* kinds; NULL: not known */
        enum dmarc_policy there_policy;
        enum auth_result arc;
        const char *voucher;
        bool is_relevant, can_munge;
        enum disposition want;
        const char *why;
        enum forward_manner manner;
        enum forecast forecast;
        const char *forecast_why;
    } cases[] = {
        {"default, reject", {0}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_NONE, "", false, true, DECISION_REFUSE, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"default, quarantine", {0}, "pass-spf", "fail-quarantine", DMARC_POLICY_QUARANTINE, AUTH_NONE, "", false, true, DECISION_ACCEPT, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"t=y makes reject quarantine", {.doomed_quarantine = DOOMED_QUARANTINE_HOLD}, "pass-spf", "fail-reject", DMARC_POLICY_QUARANTINE, AUTH_NONE, "", false, true, DECISION_ACCEPT, "doomed", FORWARD_HELD, FORECAST_FAIL, "spf-only"},
        {"t=y makes quarantine none", {.doomed_quarantine = DOOMED_QUARANTINE_REFUSE}, "pass-spf", "fail-quarantine", DMARC_POLICY_NONE, AUTH_NONE, "", false, true, DECISION_ACCEPT, "authenticated", FORWARD_AS_IT_IS, FORECAST_NONE, "p-none"},
        {"nobody can say", {0}, "pass-spf", NULL, DMARC_POLICY_NONE, AUTH_NONE, "", false, true, DECISION_ACCEPT, "authenticated", FORWARD_AS_IT_IS, FORECAST_NONE, "unknown"},
        {"no record", {0}, "none", "none", DMARC_POLICY_NONE, AUTH_NONE, "", false, true, DECISION_ACCEPT, "authenticated", FORWARD_AS_IT_IS, FORECAST_NONE, "no-record"},
        {"may pass yet", {0}, "pass-spf", "temp-reject", DMARC_POLICY_REJECT, AUTH_NONE, "", false, true, DECISION_ACCEPT, "authenticated", FORWARD_AS_IT_IS, FORECAST_NONE, "temperror"},
        {"our sender is the author's", {0}, "pass-spf", "pass-spf", DMARC_POLICY_NONE, AUTH_NONE, "", false, true, DECISION_ACCEPT, "authenticated", FORWARD_AS_IT_IS, FORECAST_PASS, "own-sender"},
        {"signed", {0}, "pass-dkim", "pass-dkim", DMARC_POLICY_NONE, AUTH_NONE, "", false, true, DECISION_ACCEPT, "authenticated", FORWARD_AS_IT_IS, FORECAST_PASS, "aligned-dkim"},
        {"the signature does not survive", {0}, "pass-dkim", "fail-reject", DMARC_POLICY_REJECT, AUTH_NONE, "", false, true, DECISION_REFUSE, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "dkim-broken"},
        {"failed here, let in", {.dmarc_reject = DMARC_REJECT_TAG}, "fail-reject", "fail-reject", DMARC_POLICY_REJECT, AUTH_NONE, "", false, true, DECISION_ACCEPT, "dmarc-reject", FORWARD_AS_IT_IS, FORECAST_FAIL, "failed-on-arrival"},
        {"failed here, let in, munge", {.doomed_quarantine = DOOMED_QUARANTINE_MUNGE, .munge_from = MUNGE_WHEN_NEEDED}, "fail-quarantine", "fail-quarantine", DMARC_POLICY_QUARANTINE, AUTH_NONE, "", false, true, DECISION_ACCEPT, "dmarc-quarantine", FORWARD_AS_IT_IS, FORECAST_FAIL, "failed-on-arrival"},
        {"munge, never", {.doomed = DOOMED_MUNGE}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_NONE, "", false, true, DECISION_REFUSE, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"munge, cannot", {.doomed = DOOMED_MUNGE, .munge_from = MUNGE_WHEN_NEEDED}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_NONE, "", false, false, DECISION_REFUSE, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"munge, quarantine, never", {.doomed_quarantine = DOOMED_QUARANTINE_MUNGE}, "pass-spf", "fail-quarantine", DMARC_POLICY_QUARANTINE, AUTH_NONE, "", false, true, DECISION_REFUSE, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"munge, but refused", {.doomed = DOOMED_MUNGE, .munge_from = MUNGE_WHEN_NEEDED, .spf_fail = SPF_FAIL_REFUSE, .iprev = IPREV_REFUSE}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_NONE, "", false, true, DECISION_REFUSE, "iprev", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},

        {"vouched for", {0}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_PASS, "list.example", true, true, DECISION_ACCEPT, "arc-trusted", FORWARD_AS_IT_IS, FORECAST_VOUCHED, "arc-trusted"},
        {"vouched for, no munging", {.doomed = DOOMED_MUNGE, .munge_from = MUNGE_WHEN_NEEDED}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_PASS, "list.example", true, true, DECISION_ACCEPT, "arc-trusted", FORWARD_AS_IT_IS, FORECAST_VOUCHED, "arc-trusted"},
        {"a chain nobody trusts", {0}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_PASS, "", true, true, DECISION_REFUSE, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"a chain that fails", {0}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_FAIL, "list.example", true, true, DECISION_REFUSE, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"a chain without an answer", {0}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_TEMPERROR, "", true, true, DECISION_DEFER, "arc-temperror", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"it is asked when munging cannot be", {.doomed = DOOMED_MUNGE}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_TEMPERROR, "", true, false, DECISION_DEFER, "arc-temperror", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"nobody waits to forward", {.doomed = DOOMED_FORWARD}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_TEMPERROR, "", true, true, DECISION_ACCEPT, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"without an answer, nobody would be trusted", {0}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_TEMPERROR, "", false, true, DECISION_REFUSE, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
        {"vouched for, failed here", {0}, "fail-reject", "fail-reject", DMARC_POLICY_REJECT, AUTH_PASS, "list.example", true, true, DECISION_ACCEPT, "arc-trusted", FORWARD_AS_IT_IS, FORECAST_VOUCHED, "arc-trusted"},
        {"a return", {.spf_fail = SPF_FAIL_TAG, .dmarc_reject = DMARC_REJECT_TAG, .dmarc_quarantine = DMARC_QUARANTINE_TAG, .doomed = DOOMED_FORWARD, .doomed_quarantine = DOOMED_QUARANTINE_FORWARD}, "pass-spf", "fail-reject", DMARC_POLICY_REJECT, AUTH_NONE, "", true, true, DECISION_ACCEPT, "doomed", FORWARD_AS_IT_IS, FORECAST_FAIL, "spf-only"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct message_facts facts = facts_of(cases[i].here);
        struct dmarc_verdict there;
        struct accept_answer answer;

        if (cases[i].there != NULL) {
            there = *kind_of(cases[i].there);
            there.policy = cases[i].there_policy;
            facts.forwarded = &there;
        }
        facts.arc = cases[i].arc;
        facts.arc_voucher = bytes_from_text(cases[i].voucher);
        facts.is_arc_relevant = cases[i].is_relevant;
        facts.can_munge = cases[i].can_munge;
        facts.sender.iprev = cases[i].policy.iprev == IPREV_REFUSE ? AUTH_FAIL : AUTH_PASS;
        accept_policy_for_message(&cases[i].policy, &facts, arena, &answer);
        CHECK_INT(cases[i].name, answer.decision.disposition, cases[i].want);
        CHECK_TEXT(cases[i].name, answer.decision.why, cases[i].why);
        CHECK_INT(cases[i].name, answer.manner, cases[i].manner);
        CHECK_INT(cases[i].name, answer.forecast, cases[i].forecast);
        CHECK_TEXT(cases[i].name, answer.forecast_why, cases[i].forecast_why);
    }
}

/* A trusted chain before each refusal it can stand in for, and those it cannot. */
static void test_chains(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct accept_policy policy;
        const char *dmarc;
        enum auth_result spf;
        enum from_result from;
        bool own_author, own_sender;
        const char *pass, *temperror, *fail; /* with the chain so: what becomes of the message */
    } cases[] = {
        {"several From fields", {0}, "none", AUTH_PASS, FROM_SEVERAL_FIELDS, false, false, "550 from-field", "550 from-field", "550 from-field"},
        {"own From", {0}, "fail-none", AUTH_PASS, FROM_ONE_DOMAIN, true, false, "arc-trusted", "451 arc-temperror", "550 own-domain-spoof"},
        {"own From and own MAIL FROM", {0}, "none", AUTH_NONE, FROM_ONE_DOMAIN, true, true, "arc-trusted", "451 arc-temperror", "550 own-domain-spoof"},
        {"own MAIL FROM alone", {0}, "none", AUTH_NONE, FROM_ONE_DOMAIN, false, true, "550 own-domain-spoof", "550 own-domain-spoof", "550 own-domain-spoof"},
        {"own From, marked", {.own_domain_spoof = OWN_DOMAIN_TAG}, "none", AUTH_PASS, FROM_ONE_DOMAIN, true, false, "arc-trusted", "own-domain-spoof", "own-domain-spoof"},
        {"own From, unsettled", {0}, "none-unsettled", AUTH_PASS, FROM_ONE_DOMAIN, true, false, "arc-trusted", "451 own-domain-temperror", "451 own-domain-temperror"},
        {"reject", {0}, "fail-reject", AUTH_PASS, FROM_ONE_DOMAIN, false, false, "arc-trusted", "451 arc-temperror", "550 dmarc-reject"},
        {"reject, marked", {.dmarc_reject = DMARC_REJECT_TAG}, "fail-reject", AUTH_PASS, FROM_ONE_DOMAIN, false, false, "arc-trusted", "dmarc-reject", "dmarc-reject"},
        {"reject, unanswered", {0}, "temp-reject", AUTH_PASS, FROM_ONE_DOMAIN, false, false, "arc-trusted", "451 dmarc-temperror", "451 dmarc-temperror"},
        {"reject, in DNS trouble that is let go", {.auth_temperror = AUTH_TEMPERROR_ACCEPT}, "fail-reject", AUTH_PASS, FROM_ONE_DOMAIN, false, false, "arc-trusted", "451 arc-temperror", "550 dmarc-reject"},
        {"quarantine, refused", {.dmarc_quarantine = DMARC_QUARANTINE_REFUSE}, "fail-quarantine", AUTH_PASS, FROM_ONE_DOMAIN, false, false, "arc-trusted", "451 arc-temperror", "554 dmarc-quarantine"},
        {"quarantine, marked", {0}, "fail-quarantine", AUTH_PASS, FROM_ONE_DOMAIN, false, false, "arc-trusted", "dmarc-quarantine", "dmarc-quarantine"},
        {"p=none", {0}, "fail-none", AUTH_PASS, FROM_ONE_DOMAIN, false, false, "authenticated", "authenticated", "authenticated"},
        {"two authors, one vouched for", {0}, "fail-reject", AUTH_PASS, FROM_SEVERAL_DOMAINS, false, false, "550 dmarc-reject", "550 dmarc-reject", "550 dmarc-reject"},
        {"SPF fail", {0}, "none", AUTH_FAIL, FROM_ONE_DOMAIN, false, false, "arc-trusted", "451 arc-temperror", "550 spf-fail"},
        {"SPF fail, refused", {.spf_fail = SPF_FAIL_REFUSE}, "none", AUTH_FAIL, FROM_ONE_DOMAIN, false, false, "550 spf-fail", "550 spf-fail", "550 spf-fail"},
        {"SPF fail, marked", {.spf_fail = SPF_FAIL_TAG}, "none", AUTH_FAIL, FROM_ONE_DOMAIN, false, false, "spf-fail", "spf-fail", "spf-fail"},
        {"SPF unanswered", {0}, "none", AUTH_TEMPERROR, FROM_ONE_DOMAIN, false, false, "authenticated", "451 spf-temperror", "451 spf-temperror"},
        {"nothing needs it", {0}, "pass-dkim", AUTH_PASS, FROM_ONE_DOMAIN, true, true, "authenticated", "authenticated", "authenticated"},
    };
    static const enum auth_result chains[] = {AUTH_PASS, AUTH_TEMPERROR, AUTH_FAIL};
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases) * 3; i++) {
        const char *wanted[] = {cases[i / 3].pass, cases[i / 3].temperror, cases[i / 3].fail};
        struct message_facts facts = facts_of(cases[i / 3].dmarc);
        struct accept_answer answer;
        char got[100], code[16] = "";

        facts.sender.spf = cases[i / 3].spf;
        facts.sender.is_own_sender = cases[i / 3].own_sender;
        facts.is_own_author = cases[i / 3].own_author;
        facts.from = cases[i / 3].from;
        facts.arc = chains[i % 3];
        facts.is_arc_relevant = true;
        facts.arc_voucher = i % 3 == 0 ? BYTES("list.example") : BYTES("");
        accept_policy_for_message(&cases[i / 3].policy, &facts, arena, &answer);
        if (answer.decision.code != 0) {
            snprintf(code, sizeof code, "%u ", answer.decision.code);
        }
        snprintf(got, sizeof got, "%s%s", code, answer.decision.why);
        CHECK_TEXT(cases[i / 3].name, got, wanted[i % 3]);
        arena_reset(arena);
    }
}

static void test_doomed_text(void **state)
{
    struct message_facts facts = facts_of("pass-spf");
    struct dmarc_verdict there = *kind_of("fail-reject");
    struct accept_policy policy = {.doomed_quarantine = DOOMED_QUARANTINE_REFUSE};
    struct accept_answer answer;
    char noise[600];

    (void)state;
    there.published = DMARC_POLICY_REJECT;
    facts.forwarded = &there;
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_INT("code", answer.decision.code, 550);
    CHECK_TEXT("enhanced", answer.decision.enhanced, "5.7.1");
    CHECK_BYTES("text", answer.decision.text,
                BYTES("DMARC of author.example (p=reject) cannot pass after forwarding: this "
                      "message has no valid DKIM signature of that domain; sign with DKIM"));
    there.is_testing = true;
    there.policy = DMARC_POLICY_QUARANTINE;
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_TRUE("testing", bytes_find_part(answer.decision.text, BYTES("(p=reject, t=y)")) <
                              answer.decision.text.len);
    memset(noise, '\n', sizeof noise);
    there.author = bytes_of(noise, sizeof noise);
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_TRUE("whole", bytes_find_part(answer.decision.text, BYTES("sign with DKIM")) <
                            answer.decision.text.len);
    CHECK_TRUE("cut", answer.decision.text.len <= REPLY_TEXT_LIMIT);
    CHECK_INT("clean", bytes_find(answer.decision.text, '\n'), answer.decision.text.len);
    CHECK_TEXT("forecast", forecast_text(FORECAST_VOUCHED), "vouched");
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

/* Only our name on the copy would make it pass: it counts as an own author who proves nothing. */
static void test_our_name_speaks_for_no_stranger(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        enum auth_result here, there;
        enum dmarc_policy policy;
        const char *want;
    } cases[] = {
        {"failed here, passes there",       AUTH_FAIL, AUTH_PASS, DMARC_POLICY_QUARANTINE, "own-domain-spoof"},
        {"failed here, fails there",        AUTH_FAIL, AUTH_FAIL, DMARC_POLICY_QUARANTINE, "dmarc-quarantine"},
        {"nobody asks to stop it",          AUTH_FAIL, AUTH_PASS, DMARC_POLICY_NONE,       "authenticated"},
        {"passes here",                     AUTH_PASS, AUTH_PASS, DMARC_POLICY_REJECT,     "authenticated"},
        {"unanswered here, passes there",   AUTH_TEMPERROR, AUTH_PASS, DMARC_POLICY_REJECT, "own-domain-temperror"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dmarc_verdict here = {.result = cases[i].here,
                                     .policy = cases[i].policy,
                                     .is_every_author_proven = cases[i].here == AUTH_PASS,
                                     .is_unsettled = cases[i].here == AUTH_TEMPERROR,
                                     .author = BYTES("sub.example.org")};
        struct dmarc_verdict there = {.result = cases[i].there, .policy = cases[i].policy};
        struct accept_policy policy = {.spf_fail = SPF_FAIL_TAG};
        struct message_facts facts = facts_of("none");
        struct accept_answer answer;

        facts.sender.spf = AUTH_NONE;
        facts.dmarc = &here;
        facts.forwarded = &there;
        accept_policy_for_message(&policy, &facts, arena, &answer);
        CHECK_TEXT(cases[i].name, answer.decision.why, cases[i].want);
        arena_reset(arena);
    }
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_sender),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_doomed),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_doomed_edges),
        cmocka_unit_test(test_doomed_text),
        cmocka_unit_test(test_our_name_speaks_for_no_stranger),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
