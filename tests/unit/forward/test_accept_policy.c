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
    CHECK_TRUE("cut", answer.decision.text.len <= ACCEPT_TEXT_LIMIT);
    CHECK_INT("clean", bytes_find(answer.decision.text, '\n'), answer.decision.text.len);
    verdict.policy = DMARC_POLICY_NONE;
    accept_policy_for_message(&policy, &facts, arena, &answer);
    CHECK_TEXT("spf", answer.decision.why, "spf-fail");
    CHECK_TRUE("cut", answer.decision.text.len <= ACCEPT_TEXT_LIMIT);
    CHECK_INT("clean", bytes_find(answer.decision.text, '\n'), answer.decision.text.len);
}

/* Everything that is only to be marked is. */
static void test_marks(void **state)
{
    struct accept_policy policy = {SPF_FAIL_TAG,         DMARC_REJECT_TAG, DMARC_QUARANTINE_TAG,
                                   AUTH_TEMPERROR_DEFER, OWN_DOMAIN_TAG,   IPREV_TAG};
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

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
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
        cmocka_unit_test(test_rules),  cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_sender), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_marks),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
