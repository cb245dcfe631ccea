#include "support/check.h"

#include "forward/client_score.h"

static struct arena *arena;

static struct client_rule read_rule(char word)
{
    switch (word) {
    case 't':
        return (struct client_rule){CLIENT_TAG, 0};
    case 'd':
        return (struct client_rule){CLIENT_DEFER, 0};
    case 'r':
        return (struct client_rule){CLIENT_REFUSE, 0};
    case '-':
        return (struct client_rule){CLIENT_OFF, 0};
    default:
        return (struct client_rule){CLIENT_POINTS, (unsigned)(word - '0')};
    }
}

/* One finding of each kind, in the order of enum client_control. */
static const struct client_finding samples[CLIENT_CONTROLS] = {
    [CLIENT_EARLY_TALKER] = {.control = CLIENT_EARLY_TALKER},
    [CLIENT_PIPELINING] = {.control = CLIENT_PIPELINING},
    [CLIENT_HELO] = {.control = CLIENT_HELO,
                     .what = "our-name",
                     .words = "is our own name",
                     .subject = {"mx.own.test", 11}},
    [CLIENT_HELO_LOCAL] = {.control = CLIENT_HELO_LOCAL,
                           .what = "single-label",
                           .words = "is not a full name",
                           .subject = {"mail", 4}},
    [CLIENT_REVERSE_NAME] = {.control = CLIENT_REVERSE_NAME,
                             .what = "no-name",
                             .subject = {"192.0.2.1", 9}},
    [CLIENT_BLOCKLIST] = {.control = CLIENT_BLOCKLIST,
                          .subject = {"bl.test", 7},
                          .listed = {"192.0.2.1", 9},
                          .text = {"because", 7}},
    [CLIENT_SENDER_DOMAIN] = {.control = CLIENT_SENDER_DOMAIN,
                              .what = "missing",
                              .words = "does not exist",
                              .subject = {"a.test", 6}},
};

/* `rules`: one letter for each control; all of them are found. Thresholds: tag, defer, refuse. */
static struct client_answer judge(const char *rules_text, unsigned tag_at, unsigned defer_at,
                                  unsigned refuse_at, bool is_open)
{
    struct client_rules rules = {
        .tag_at = tag_at, .defer_at = defer_at, .refuse_at = refuse_at};
    struct client_judgement judgement = {.rules = &rules, .arena = arena};

    for (size_t i = 0; i < CLIENT_CONTROLS; i++) {
        struct client_finding finding = samples[i];

        rules.of[i] = read_rule(rules_text[i]);
        finding.rule = rules.of[i];
        finding.is_open = is_open;
        client_score_add(&judgement, &finding);
    }
    return client_score_judge(&judgement);
}

static void test_decisions(void **state)
{
    static const struct {
        const char *name, *rules;
        unsigned tag_at, defer_at, refuse_at;
        enum disposition want;
        const char *why;
        unsigned points;
        bool is_tagged;
    } cases[] = {
        {"all off", "-------", 1, 1, 1, DECISION_ACCEPT, "client", 0, false},
        {"tag", "--t----", 0, 0, 0, DECISION_ACCEPT, "client", 0, true},
        {"defer", "--d----", 0, 0, 0, DECISION_DEFER, "helo", 0, false},
        {"refuse", "--r----", 0, 0, 0, DECISION_REFUSE, "helo", 0, false},
        {"refuse before defer", "--d--r-", 0, 0, 0, DECISION_REFUSE, "blocklist", 0, false},
        {"the first of two", "--r--r-", 0, 0, 0, DECISION_REFUSE, "helo", 0, false},
        {"points without thresholds", "--9--9-", 0, 0, 0, DECISION_ACCEPT, "client", 18, false},
        {"below", "--2--2-", 5, 5, 5, DECISION_ACCEPT, "client", 4, false},
        {"tagged at", "--2--3-", 5, 6, 7, DECISION_ACCEPT, "client", 5, true},
        {"deferred at", "--3--3-", 5, 6, 7, DECISION_DEFER, "client-score", 6, false},
        {"refused at", "--3--4-", 5, 6, 7, DECISION_REFUSE, "client-score", 7, false},
        {"a sum that refuses, before a rule that defers", "--3d-4-", 5, 6, 7, DECISION_REFUSE,
         "client-score", 7, false},
        {"a rule that defers, before a sum that does", "--2d-4-", 5, 6, 7, DECISION_DEFER,
         "helo-local", 6, false},
        {"a rule that refuses, before a sum that does", "--3--4r", 5, 6, 7, DECISION_REFUSE,
         "sender-domain", 7, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client_answer answer = judge(cases[i].rules, cases[i].tag_at, cases[i].defer_at,
                                            cases[i].refuse_at, false);

        CHECK_INT(cases[i].name, answer.decision.disposition, cases[i].want);
        CHECK_TEXT(cases[i].name, answer.decision.why, cases[i].why);
        CHECK_INT(cases[i].name, answer.points, cases[i].points);
        CHECK_INT(cases[i].name, answer.is_tagged, cases[i].is_tagged);
    }
}

static void check_reply(const char *rules, struct client_answer answer, unsigned code,
                        const char *enhanced, const char *text)
{
    CHECK_INT(rules, answer.decision.code, code);
    CHECK_TEXT(rules, answer.decision.enhanced, enhanced);
    CHECK_BYTES(rules, answer.decision.text, bytes_from_text(text));
}

static void test_replies(void **state)
{
    static const struct {
        const char *refuse, *defer;
        unsigned code;
        const char *enhanced, *later, *text;
    } cases[] = {
        {"r------", "d------", 554, "5.5.1", "4.5.1",
         "You spoke before our greeting; wait for the 220 line first"},
        {"-r-----", "-d-----", 554, "5.5.1", "4.5.1",
         "You sent commands before our answer to your greeting; wait for it"},
        {"--r----", "--d----", 550, "5.5.4", "4.5.4",
         "You call yourself mx.own.test, which is our own name; say your host's full name in "
         "EHLO"},
        {"---r---", "---d---", 550, "5.5.4", "4.5.4",
         "You call yourself mail, which is not a full name; say your host's full name in EHLO"},
        {"----r--", "----d--", 550, "5.7.25", "4.7.25",
         "192.0.2.1 has no reverse DNS name that leads back to it; give it a PTR record whose "
         "name has this address"},
        {"-----r-", "-----d-", 550, "5.7.1", "4.7.1",
         "192.0.2.1 is in the block list bl.test: because"},
        {"------r", "------d", 550, "5.1.8", "4.1.8",
         "The sender's domain a.test does not exist"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_reply(cases[i].refuse, judge(cases[i].refuse, 0, 0, 0, false), cases[i].code,
                    cases[i].enhanced, cases[i].text);
        check_reply(cases[i].defer, judge(cases[i].defer, 0, 0, 0, false), 450, cases[i].later,
                    cases[i].text);
    }
    check_reply("sum", judge("1-1112-", 0, 0, 6, false), 550, "5.7.1",
                "Too much speaks against this client (6 points): early-talker, helo:our-name, "
                "helo-local:single-label, reverse-name:no-name, blocklist:bl.test");
    check_reply("sum", judge("1-1111-", 0, 5, 6, false), 450, "4.7.1",
                "Too much speaks against this client (5 points): early-talker, helo:our-name, "
                "helo-local:single-label, reverse-name:no-name, blocklist:bl.test");
}

static void test_null_mx(void **state)
{
    struct client_rules rules = {.of[CLIENT_SENDER_DOMAIN] = {CLIENT_REFUSE, 0}};
    struct client_judgement judgement = {.rules = &rules, .arena = arena};
    struct client_finding finding = samples[CLIENT_SENDER_DOMAIN];

    (void)state;
    finding.is_null_mx = true;
    finding.words = "has a null MX";
    client_score_add(&judgement, &finding);
    check_reply("null MX", client_score_judge(&judgement), 550, "5.7.27",
                "The sender's domain a.test has a null MX");
}

/* No answer of DNS never refuses, whatever the rule and however many points. */
static void test_open_questions(void **state)
{
    static const struct {
        const char *rules;
        enum disposition want;
    } cases[] = {
        {"----r--", DECISION_DEFER},  {"----d--", DECISION_DEFER}, {"----t--", DECISION_ACCEPT},
        {"----9--", DECISION_ACCEPT}, {"------r", DECISION_DEFER}, {"------9", DECISION_ACCEPT},
        {"----r-r", DECISION_DEFER},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client_answer answer = judge(cases[i].rules, 1, 1, 1, true);

        CHECK_INT(cases[i].rules, answer.decision.disposition, cases[i].want);
        CHECK_INT(cases[i].rules, answer.points, 0);
        CHECK_TRUE(cases[i].rules, !answer.is_tagged);
        if (cases[i].want == DECISION_DEFER) {
            CHECK_INT(cases[i].rules, answer.decision.code, 451);
        }
    }
    CHECK_TEXT("why", judge("----r--", 0, 0, 0, true).decision.why, "reverse-name-temperror");
    CHECK_TEXT("why", judge("------r", 0, 0, 0, true).decision.why, "sender-domain-temperror");
}

/* Whatever strangers say of themselves, a reply stays one line of printable ASCII. */
static void test_foreign_words(void **state)
{
    static const char foul[] = "a\r\n250 ok\xc3\xa4\0b";
    struct client_rules rules = {.of = {[CLIENT_HELO] = {CLIENT_REFUSE, 0}}};
    char long_text[3000];

    (void)state;
    memset(long_text, 'x', sizeof long_text);
    for (size_t i = 0; i < CLIENT_CONTROLS; i++) {
        for (int is_long = 0; is_long < 2; is_long++) {
            struct client_judgement judgement = {.rules = &rules, .arena = arena};
            struct client_finding finding = samples[i];
            struct bytes words = is_long ? bytes_of(long_text, sizeof long_text)
                                         : bytes_of(foul, sizeof foul - 1);
            struct bytes text;

            rules.of[i] = finding.rule = (struct client_rule){CLIENT_REFUSE, 0};
            finding.subject = finding.listed = finding.text = words;
            client_score_add(&judgement, &finding);
            text = client_score_judge(&judgement).decision.text;
            CHECK_TRUE("length", text.len > 0 && text.len <= CLIENT_TEXT_LIMIT);
            for (size_t at = 0; at < text.len; at++) {
                CHECK_TRUE("printable", text.data[at] >= ' ' && text.data[at] <= 126);
            }
        }
    }
}

static void test_more_than_there_is_room_for(void **state)
{
    struct client_rules rules = {.refuse_at = CLIENT_FINDING_LIMIT};
    struct client_judgement judgement = {.rules = &rules, .arena = arena};
    struct client_finding finding = samples[CLIENT_BLOCKLIST];
    struct client_answer answer;

    (void)state;
    finding.rule = (struct client_rule){CLIENT_POINTS, 1};
    for (int i = 0; i < 2 * CLIENT_FINDING_LIMIT; i++) {
        client_score_add(&judgement, &finding);
    }
    answer = client_score_judge(&judgement);
    CHECK_INT("points", answer.points, CLIENT_FINDING_LIMIT);
    CHECK_INT("refused", answer.decision.disposition, DECISION_REFUSE);
    CHECK_TRUE("length", answer.decision.text.len <= CLIENT_TEXT_LIMIT);
}

static void test_what_is_off_or_open_is_not_named(void **state)
{
    struct client_rules rules = {.of = {[CLIENT_REVERSE_NAME] = {CLIENT_POINTS, 5},
                                        [CLIENT_SENDER_DOMAIN] = {CLIENT_POINTS, 5}},
                                 .refuse_at = 5};
    struct client_judgement judgement = {.rules = &rules, .arena = arena};
    struct client_finding open_question = samples[CLIENT_REVERSE_NAME];

    (void)state;
    open_question.is_open = true;
    client_score_add(&judgement, &samples[CLIENT_HELO]);
    CHECK_INT("off", judgement.count, 0);
    client_score_add(&judgement, &open_question);
    client_score_add(&judgement, &samples[CLIENT_SENDER_DOMAIN]);
    check_reply("open", client_score_judge(&judgement), 550, "5.7.1",
                "Too much speaks against this client (5 points): sender-domain:missing");
}

static void test_most(void **state)
{
    struct client_rules rules = {.of[CLIENT_HELO] = {CLIENT_POINTS, 3},
                                 .of[CLIENT_REVERSE_NAME] = {CLIENT_POINTS, 2},
                                 .of[CLIENT_SENDER_DOMAIN] = {CLIENT_REFUSE, 0}};

    (void)state;
    CHECK_INT("most", client_rules_most(&rules, 4), 9);
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
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_null_mx),
        cmocka_unit_test(test_open_questions),
        cmocka_unit_test(test_foreign_words),
        cmocka_unit_test(test_more_than_there_is_room_for),
        cmocka_unit_test(test_what_is_off_or_open_is_not_named),
        cmocka_unit_test(test_most),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
