#include "support/check.h"

#include "forward/bounce_rule.h"

enum { PROVEN = 1, OWN = 2, AUTOMATIC = 4, EXPIRED = 8 };

static void test_rules(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        enum bounce_policy policy;
        enum envelope_kind kind;
        struct bytes sender;
        unsigned facts;
        bool want_bounce;
        const char *want_why;
        bool want_warning;
        const char *want_warning_why;
    } cases[] = {
        {"refused", BOUNCE_PROVEN, ENVELOPE_FORWARD, BYTES("a@x.example"), PROVEN, true, "permanent-failure", true, "delayed"},
        {"expired", BOUNCE_PROVEN, ENVELOPE_FORWARD, BYTES("a@x.example"), PROVEN | EXPIRED, true, "expired", true, "delayed"},
        {"automatic", BOUNCE_PROVEN, ENVELOPE_FORWARD, BYTES("a@x.example"), PROVEN | AUTOMATIC, true, "permanent-failure", false, "auto-submitted"},
        {"null sender", BOUNCE_ALL, ENVELOPE_FORWARD, BYTES(""), PROVEN, false, "null-sender", false, "null-sender"},
        {"null sender going back", BOUNCE_ALL, ENVELOPE_RETURN, BYTES(""), PROVEN | EXPIRED, false, "null-sender", false, "null-sender"},
        {"going back from somebody", BOUNCE_ALL, ENVELOPE_RETURN, BYTES("a@x.example"), 0, true, "permanent-failure", true, "delayed"},
        {"bounce of ours", BOUNCE_ALL, ENVELOPE_BOUNCE, BYTES(""), AUTOMATIC, false, "is-bounce", false, "is-bounce"},
        {"bounce of ours with a sender", BOUNCE_ALL, ENVELOPE_BOUNCE, BYTES("a@x.example"), PROVEN | EXPIRED, false, "is-bounce", false, "is-bounce"},
        {"not proven", BOUNCE_PROVEN, ENVELOPE_FORWARD, BYTES("a@x.example"), 0, false, "sender-not-proven", false, "sender-not-proven"},
        {"own, not proven", BOUNCE_PROVEN, ENVELOPE_FORWARD, BYTES("a@x.example"), OWN, false, "sender-not-proven", false, "sender-not-proven"},
        {"own and proven", BOUNCE_OWN_DOMAINS, ENVELOPE_FORWARD, BYTES("a@x.example"), OWN | PROVEN, true, "permanent-failure", true, "delayed"},
        {"only proven", BOUNCE_OWN_DOMAINS, ENVELOPE_FORWARD, BYTES("a@x.example"), PROVEN, false, "not-own-domain", false, "not-own-domain"},
        {"only own", BOUNCE_OWN_DOMAINS, ENVELOPE_FORWARD, BYTES("a@x.example"), OWN, false, "sender-not-proven", false, "sender-not-proven"},
        {"all", BOUNCE_ALL, ENVELOPE_FORWARD, BYTES("a@x.example"), 0, true, "permanent-failure", true, "delayed"},
        {"none", BOUNCE_NONE, ENVELOPE_FORWARD, BYTES("a@x.example"), PROVEN | OWN, false, "bounces-off", false, "bounces-off"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct envelope envelope = {.kind = cases[i].kind,
                                    .sender = cases[i].sender,
                                    .is_proven = cases[i].facts & PROVEN,
                                    .is_own_sender = cases[i].facts & OWN,
                                    .is_auto_submitted = cases[i].facts & AUTOMATIC};
        struct bounce_rule_answer bounce =
            bounce_rule_for_failure(cases[i].policy, &envelope, cases[i].facts & EXPIRED);
        struct bounce_rule_answer warning = bounce_rule_for_delay(cases[i].policy, &envelope);

        CHECK_INT(cases[i].name, bounce.is_sent, cases[i].want_bounce);
        CHECK_TEXT(cases[i].name, bounce.why, cases[i].want_why);
        CHECK_INT(cases[i].name, warning.is_sent, cases[i].want_warning);
        CHECK_TEXT(cases[i].name, warning.why, cases[i].want_warning_why);
    }
}

static void test_words(void **state)
{
    (void)state;
    CHECK_TEXT("known", bounce_rule_words("sender-not-proven"), "sender not proven");
    CHECK_TEXT("unknown", bounce_rule_words("something"), "something");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules),
                                       cmocka_unit_test(test_words)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
