#include "support/check.h"

#include "auth/auth_result.h"

/* The words of RFC 8601 §2.7, by which every reader of the field goes. */
static void test_words(void **state)
{
    static const struct {
        enum auth_result result;
        const char *want;
    } cases[] = {
        {AUTH_NONE, "none"},           {AUTH_PASS, "pass"},           {AUTH_FAIL, "fail"},
        {AUTH_SOFTFAIL, "softfail"},   {AUTH_NEUTRAL, "neutral"},     {AUTH_POLICY, "policy"},
        {AUTH_TEMPERROR, "temperror"}, {AUTH_PERMERROR, "permerror"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_TEXT(cases[i].want, auth_result_text(cases[i].result), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
