#include "support/check.h"

#include "base/rate.h"

static bool take(struct rate *rate, struct rate_limit limit, uint64_t count, uint64_t now_ms)
{
    bool has_room = rate_has(rate, limit, count, now_ms);

    if (has_room) {
        rate_take(rate, limit, count, now_ms);
    }
    return has_room;
}

/* How many of one a millisecond are let through. */
static unsigned run(struct rate *rate, struct rate_limit limit, uint64_t from_ms,
                    uint64_t until_ms)
{
    unsigned taken = 0;

    for (uint64_t now_ms = from_ms; now_ms < until_ms; now_ms++) {
        taken += take(rate, limit, 1, now_ms);
    }
    return taken;
}

static void test_a_minute_at_once_then_evenly(void **state)
{
    static const uint64_t counts[] = {1, 3, 7, 60, 1000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        struct rate_limit limit = {counts[i], 60000};
        struct rate rate = {0};
        unsigned at_once = 0;

        while (take(&rate, limit, 1, 5000)) {
            at_once++;
        }
        CHECK_INT("at once", at_once, counts[i]);
        CHECK_INT("then one in its share", run(&rate, limit, 5000, 5000 + 60000 / counts[i]),
                  0);
        CHECK_INT("a minute", run(&rate, limit, 65000, 125000), 2 * counts[i] - 1);
        CHECK_INT("the next one", run(&rate, limit, 125000, 185000), counts[i]);
    }
}

static void test_it_fills_up_and_no_further(void **state)
{
    struct rate_limit limit = {10, 1000};
    struct rate rate = {0};

    (void)state;
    CHECK_TRUE("all", take(&rate, limit, 10, 0));
    CHECK_TRUE("none left", !take(&rate, limit, 1, 99));
    CHECK_TRUE("not full", !rate_has(&rate, limit, 10, 999));
    CHECK_TRUE("full", rate_has(&rate, limit, 10, 1000));
    CHECK_TRUE("after a year: too many", !take(&rate, limit, 11, UINT64_C(365) * 86400000));
    CHECK_TRUE("after a year", take(&rate, limit, 10, UINT64_C(365) * 86400000));
}

static void test_more_than_there_is(void **state)
{
    struct rate_limit limit = {10, 1000};
    struct rate rate = {0};

    (void)state;
    rate_take(&rate, limit, 30, 0);
    CHECK_TRUE("owed", !rate_has(&rate, limit, 1, 2000));
    CHECK_TRUE("paid", rate_has(&rate, limit, 1, 2100));
}

static void test_other_limits(void **state)
{
    struct rate_limit none = {0, 1000}, few = {2, 1000}, many = {100, 1000};
    struct rate rate = {0};

    (void)state;
    CHECK_INT("none", run(&rate, none, 0, 5000), 5000);
    CHECK_TRUE("none leaves nothing behind", rate_has(&rate, few, 2, 0));
    CHECK_TRUE("few", take(&rate, few, 2, 0) && !take(&rate, few, 1, 0));
    CHECK_TRUE("raised, but what was taken is taken", !take(&rate, many, 1, 0));
    CHECK_TRUE("a little later", take(&rate, many, 1, 10));
}

static void test_shared(void **state)
{
    struct rate_limit none = {0, 1000}, few = {2, 1000};
    struct shared_rate rate = {0};

    (void)state;
    CHECK_TRUE("no limit", shared_rate_spend(&rate, none, 1000, 0));
    CHECK_TRUE("two",
               shared_rate_spend(&rate, few, 1, 0) && shared_rate_spend(&rate, few, 1, 0));
    CHECK_TRUE("a third", !shared_rate_spend(&rate, few, 1, 0));
    CHECK_TRUE("nothing was taken by it",
               !shared_rate_spend(&rate, few, 1, 499) && shared_rate_spend(&rate, few, 1, 500));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minute_at_once_then_evenly),
        cmocka_unit_test(test_it_fills_up_and_no_further),
        cmocka_unit_test(test_more_than_there_is),
        cmocka_unit_test(test_other_limits),
        cmocka_unit_test(test_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
