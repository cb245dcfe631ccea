#include "support/check.h"

#include "forward/bounce_rule.h"

static void test_rules(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        enum envelope_kind kind;
        struct bytes sender;
        bool is_auto_submitted, is_expired;
        bool want_bounce;
        const char *want_why;
        bool want_warning;
        const char *want_warning_why;
    } cases[] = {
        {"refused", ENVELOPE_FORWARD, BYTES("a@x.example"), false, false, true, "permanent-failure", true, "delayed"},
        {"expired", ENVELOPE_FORWARD, BYTES("a@x.example"), false, true, true, "expired", true, "delayed"},
        {"automatic", ENVELOPE_FORWARD, BYTES("a@x.example"), true, false, true, "permanent-failure", false, "auto-submitted"},
        {"null sender", ENVELOPE_FORWARD, BYTES(""), false, false, false, "null-sender", false, "null-sender"},
        {"null sender going back", ENVELOPE_RETURN, BYTES(""), false, true, false, "null-sender", false, "null-sender"},
        {"going back from somebody", ENVELOPE_RETURN, BYTES("a@x.example"), false, false, true, "permanent-failure", true, "delayed"},
        {"bounce of ours", ENVELOPE_BOUNCE, BYTES(""), true, false, false, "is-bounce", false, "is-bounce"},
        {"bounce of ours with a sender", ENVELOPE_BOUNCE, BYTES("a@x.example"), false, true, false, "is-bounce", false, "is-bounce"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct envelope envelope = {.kind = cases[i].kind,
                                    .sender = cases[i].sender,
                                    .is_auto_submitted = cases[i].is_auto_submitted};
        struct bounce_rule_answer bounce =
            bounce_rule_for_failure(&envelope, cases[i].is_expired);
        struct bounce_rule_answer warning = bounce_rule_for_delay(&envelope);

        CHECK_INT(cases[i].name, bounce.is_sent, cases[i].want_bounce);
        CHECK_TEXT(cases[i].name, bounce.why, cases[i].want_why);
        CHECK_INT(cases[i].name, warning.is_sent, cases[i].want_warning);
        CHECK_TEXT(cases[i].name, warning.why, cases[i].want_warning_why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
