#include "support/check.h"

#include "forward/retry_schedule.h"

static const struct retry_schedule schedule = {{60, 300, 900}, 3, 172800};

static void test_pauses(void **state)
{
    static const struct {
        const char *name;
        unsigned attempts;
        uint32_t random;
        uint64_t want;
    } cases[] = {
        {"first, shortest", 1, 0, 48000},
        {"first, middle", 1, 0x80000000, 60000},
        {"second", 2, 0x80000000, 300000},
        {"last", 3, 0x80000000, 900000},
        {"the last repeats", 4, 0x80000000, 900000},
        {"many", 4000000000, 0x80000000, 900000},
        {"none counts as one", 0, 0x80000000, 60000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].name,
                  retry_schedule_pause_ms(&schedule, cases[i].attempts, cases[i].random),
                  cases[i].want);
    }
    CHECK_TRUE("longest", retry_schedule_pause_ms(&schedule, 1, UINT32_MAX) <= 72000 &&
                              retry_schedule_pause_ms(&schedule, 1, UINT32_MAX) > 71990);
}

static void test_large_pauses_do_not_overflow(void **state)
{
    const struct retry_schedule rare = {{UINT32_MAX}, 1, UINT32_MAX};
    uint64_t pause_ms = (uint64_t)UINT32_MAX * 1000;
    uint64_t longest = retry_schedule_pause_ms(&rare, 1, UINT32_MAX);

    (void)state;
    CHECK_TRUE("longest", longest > pause_ms / 100 * 119 && longest <= pause_ms / 100 * 120);
}

static void test_expiry(void **state)
{
    const int64_t created = 1700000000000;
    const int64_t life = 172800000;

    (void)state;
    CHECK_TRUE("before", !retry_schedule_is_expired(&schedule, created, created + life - 1));
    CHECK_TRUE("at", !retry_schedule_is_expired(&schedule, created, created + life));
    CHECK_TRUE("after", retry_schedule_is_expired(&schedule, created, created + life + 1));
    CHECK_TRUE("clock went back", !retry_schedule_is_expired(&schedule, created, created - 5));
}

/* It gave up with hours of the message's life left, because the next pause would have passed it. */
static void test_the_last_attempt_is_at_the_end(void **state)
{
    static const struct retry_schedule rule = {
        .pauses_seconds = {60, 3600}, .count = 2, .expire_seconds = 7200};
    static const struct {
        const char *name;
        int64_t now_ms; /* since it was created */
        int64_t want_ms;
    } cases[] = {
        {"far from the end", 1000000, 1000000 + 2880000},
        {"the pause would pass the end", 5000000, 7200000},
        {"just enough left", 7200000 - 48000, 7200000},
        {"at the end", 7200000 - 47999, 7200000 - 47999 + 2880000},
    };
    const int64_t created = 1700000000000;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].name,
                  retry_schedule_next_ms(&rule, created, created + cases[i].now_ms, 2, 0) -
                      created,
                  cases[i].want_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_large_pauses_do_not_overflow),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_the_last_attempt_is_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
