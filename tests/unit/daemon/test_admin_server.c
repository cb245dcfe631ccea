#include "support/check.h"

#include "daemon/admin_server.h"

/* Each look at the page read a long queue anew, once a second. */
static void test_what_took_long_is_shown_for_long(void **state)
{
    static const struct {
        const char *name;
        uint64_t took_ms, want_ms;
    } cases[] = {
        {"nothing to gather", 0, ADMIN_FRESH_MS},
        {"a short queue", 20, ADMIN_FRESH_MS},
        {"just as long", 100, 1000},
        {"a long queue", 1500, 15000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].name, admin_fresh_ms(cases[i].took_ms), cases[i].want_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_took_long_is_shown_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
