#include "support/check.h"

#include "forward/recipient_check.h"

static const struct verify_rule rules[] = {{BYTES("in.example"), VERIFY_DEFER},
                                           {BYTES("soft.example"), VERIFY_ACCEPT}};
static const struct verify_options options = {.rules = rules, .count = 2};

static void test_concerns(void **state)
{
    static const struct {
        const char *name;
        enum route_kind kind;
        const char *domains[3];
        const char *fallback;
        bool want;
    } cases[] = {
        {"one inside", ROUTE_FORWARD, {"in.example"}, NULL, true},
        {"case", ROUTE_FORWARD, {"IN.Example"}, NULL, true},
        {"two inside", ROUTE_FORWARD, {"in.example", "soft.example"}, NULL, true},
        {"one outside", ROUTE_FORWARD, {"out.example"}, NULL, false},
        {"one of each: it can be taken",
         ROUTE_FORWARD,
         {"in.example", "out.example"},
         NULL,
         false},
        {"a domain below", ROUTE_FORWARD, {"a.in.example"}, NULL, false},
        {"a fallback: it can be taken", ROUTE_FORWARD, {"in.example"}, "f@out.example", false},
        {"an empty fallback is none", ROUTE_FORWARD, {"in.example"}, "", true},
        {"a bounce", ROUTE_RETURN, {"in.example"}, NULL, false},
        {"a reply", ROUTE_REPLY, {"in.example"}, NULL, false},
        {"discarded", ROUTE_DISCARD, {NULL}, NULL, false},
        {"no target", ROUTE_FORWARD, {NULL}, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct smtp_mailbox targets[3] = {{.local = BYTES("a")}};
        struct bytes fallbacks[3] = {BYTES("")};
        struct recipient_route route = {.kind = cases[i].kind, .targets = targets};

        for (size_t j = 0; j < 3 && cases[i].domains[j] != NULL; j++) {
            targets[j].domain = bytes_from_text(cases[i].domains[j]);
            route.target_count++;
        }
        if (cases[i].fallback != NULL) {
            fallbacks[0] = bytes_from_text(cases[i].fallback);
            route.fallbacks = fallbacks;
        }
        CHECK_INT(cases[i].name, recipient_check_concerns(&options, &route), cases[i].want);
        CHECK_TRUE("off", !recipient_check_concerns(&(struct verify_options){0}, &route));
    }
}

static void test_belief(void **state)
{
    static const struct {
        unsigned code;
        enum reply_class class;
        bool want;
    } cases[] = {
        {550, REPLY_CLASS_UNKNOWN_USER, true},
        {550, REPLY_CLASS_OTHER, true},
        {552, REPLY_CLASS_MAILBOX_FULL, true},
        {550, REPLY_CLASS_POLICY, true},
        {554, REPLY_CLASS_REPUTATION, false},
        {530, REPLY_CLASS_TLS, false},
        {550, REPLY_CLASS_AUTHENTICATION, false},
        {550, REPLY_CLASS_RATE_LIMIT, false},
        {450, REPLY_CLASS_UNKNOWN_USER, false},
        {250, REPLY_CLASS_OTHER, false},
        {0, REPLY_CLASS_OTHER, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(reply_class_text(cases[i].class),
                  recipient_check_is_refusal(cases[i].code, cases[i].class), cases[i].want);
    }
}

/* What was found of each target: + accepted, - refused, ? unknown and to be deferred, ! unknown and let in. */
static void test_decision(void **state)
{
    static const struct {
        const char *found;
        enum disposition want;
        unsigned want_code;
        bool want_settled;
    } cases[] = {
        {"+", DECISION_ACCEPT, 0, true},     {"-", DECISION_REFUSE, 550, false},
        {"?", DECISION_DEFER, 451, false},   {"!", DECISION_ACCEPT, 0, true},
        {"-+", DECISION_ACCEPT, 0, true},    {"?+", DECISION_ACCEPT, 0, true},
        {"--", DECISION_REFUSE, 550, false}, {"-?", DECISION_DEFER, 451, false},
        {"?-", DECISION_DEFER, 451, false},  {"-!", DECISION_ACCEPT, 0, true},
        {"?!", DECISION_ACCEPT, 0, true},    {"", DECISION_DEFER, 451, false},
    };
    static const struct recipient_answer yes = {false, false, 250, "2.1.5", {"ok", 2}};
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct recipient_findings findings = {.is_any_accepted = false};
        struct decision decision;
        unsigned code = 550;

        for (const char *at = cases[i].found; *at != '\0'; at++) {
            struct recipient_answer no = {true, false, code++, "5.1.1", {"no", 2}};

            if (*at == '+' || *at == '-') {
                recipient_check_note(&findings, *at == '+' ? &yes : &no, BYTES("t@in.example"),
                                     BYTES("a@example.org"), arena);
            } else {
                recipient_check_note_unknown(&findings,
                                             *at == '?' ? VERIFY_DEFER : VERIFY_ACCEPT);
            }
        }
        decision = recipient_check_decide(&findings);
        CHECK_INT(cases[i].found, decision.disposition, cases[i].want);
        CHECK_INT(cases[i].found, decision.code, cases[i].want_code);
        CHECK_INT(cases[i].found, recipient_check_is_settled(&findings), cases[i].want_settled);
    }
    arena_free(&arena);
}

static void test_the_target_stays_hidden(void **state)
{
    static const struct {
        struct bytes said, want;
    } cases[] = {
        {BYTES("<t@in.example>: Recipient address rejected: User unknown"),
         BYTES("<a@example.org>: Recipient address rejected: User unknown")},
        {BYTES("no T@IN.EXAMPLE here"), BYTES("no a@example.org here")},
        {BYTES("<t> unknown"), BYTES("<a@example.org> unknown")},
        {BYTES(""), BYTES("no such recipient there")},
    };
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct recipient_findings findings = {.is_any_accepted = false};
        struct recipient_answer no = {true, i % 2 == 0, 551, "5.7.9", cases[i].said};
        struct decision decision;

        recipient_check_note(&findings, &no, BYTES("t@in.example"), BYTES("a@example.org"),
                             arena);
        decision = recipient_check_decide(&findings);
        CHECK_INT("code", decision.code, 551);
        CHECK_TEXT("enhanced", decision.enhanced, "5.7.9");
        CHECK_BYTES("text", decision.text, cases[i].want);
        CHECK_TEXT("why", decision.why,
                   i % 2 == 0 ? "recipient-unknown-there" : "recipient-refused-there");
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_concerns),
        cmocka_unit_test(test_belief),
        cmocka_unit_test(test_decision),
        cmocka_unit_test(test_the_target_stays_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
