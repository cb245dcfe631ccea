#include "support/check.h"

#include "outbound/next_hop_connection.h"

static void test_a_next_hop_that_sips_was_served_for_ever(void **state)
{
    static const uint64_t BLOCK_MS = 3 * 60 * 1000;
    static const struct {
        const char *name;
        uint64_t octets, wait_ms;
        bool want;
    } cases[] = {
        {"nothing", 0, BLOCK_MS, false},
        {"nothing in no time", 0, 1, false},
        {"one segment in three minutes", 1460, BLOCK_MS, false},
        {"just too little", 62999, BLOCK_MS, false},
        {"just enough", 63000, BLOCK_MS, true},
        {"a short wait", 21, 60, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].name,
                  next_hop_connection_is_progress(cases[i].octets, cases[i].wait_ms),
                  cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_next_hop_that_sips_was_served_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
