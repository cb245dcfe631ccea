#include "support/check.h"

#include "forward/reply_advice.h"

/* Each class says who acts and what to do, whether for now or for good, and says it in a sentence. */
static void test_every_class(void **state)
{
    (void)state;
    for (int class = 0; class < REPLY_CLASS_COUNT; class ++) {
        for (int is_permanent = 0; is_permanent < 2; is_permanent++) {
            struct reply_advice advice =
                reply_advice_of((enum reply_class) class, is_permanent != 0);
            const char *name = reply_class_text((enum reply_class) class);

            CHECK_TRUE(name, advice.who != NULL && strlen(advice.who) > 2);
            CHECK_TRUE(name, advice.what != NULL && strlen(advice.what) > 10);
            CHECK_TRUE(name, advice.what[strlen(advice.what) - 1] != '.');
        }
    }
}

static void test_nobody_waits_for_what_is_final(void **state)
{
    static const enum reply_class classes[] = {REPLY_CLASS_OTHER, REPLY_CLASS_SERVER};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        const char *name = reply_class_text(classes[i]);

        CHECK_TRUE(name, strstr(reply_advice_of(classes[i], false).who, "nobody") != NULL);
        CHECK_TRUE(name, strstr(reply_advice_of(classes[i], true).who, "nobody") == NULL);
    }
    CHECK_TEXT("the operator's", reply_advice_of(REPLY_CLASS_UNKNOWN_USER, true).who, "you");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_class),
        cmocka_unit_test(test_nobody_waits_for_what_is_final),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
