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
                  retry_schedule_next_ms(&rule, REPLY_CLASS_OTHER, created,
                                         created + cases[i].now_ms, 2, 0) -
                      created,
                  cases[i].want_ms);
    }
}

static void test_pauses_by_class(void **state)
{
    static const struct retry_schedule usual = {
        {60, 300, 900, 1800, 3600, 7200, 14400}, 7, 172800};
    static const struct retry_schedule slow = {{1800, 3600}, 2, 172800};
    static const struct retry_schedule hasty = {{5}, 1, 172800};
    static const struct {
        const char *name;
        const struct retry_schedule *schedule;
        enum reply_class class;
        unsigned attempts;
        unsigned want_seconds;
    } cases[] = {
        {"greylist 1", &usual, REPLY_CLASS_GREYLIST, 1, 60},
        {"greylist 2", &usual, REPLY_CLASS_GREYLIST, 2, 300},
        {"greylist 3", &usual, REPLY_CLASS_GREYLIST, 3, 600},
        {"greylist 4: as any", &usual, REPLY_CLASS_GREYLIST, 4, 1800},
        {"greylist, many", &usual, REPLY_CLASS_GREYLIST, UINT32_MAX, 14400},
        {"greylist, slow 1", &slow, REPLY_CLASS_GREYLIST, 1, 60},
        {"greylist, slow 4", &slow, REPLY_CLASS_GREYLIST, 4, 3600},
        {"greylist, hasty: never longer", &hasty, REPLY_CLASS_GREYLIST, 3, 5},
        {"full 1", &usual, REPLY_CLASS_MAILBOX_FULL, 1, 1800},
        {"full 2", &usual, REPLY_CLASS_MAILBOX_FULL, 2, 3600},
        {"full 4", &usual, REPLY_CLASS_MAILBOX_FULL, 4, 14400},
        {"full, many", &usual, REPLY_CLASS_MAILBOX_FULL, UINT32_MAX, 14400},
        {"full, one pause", &hasty, REPLY_CLASS_MAILBOX_FULL, 1, 5},
        {"content: as any", &usual, REPLY_CLASS_CONTENT, 2, 300},
        {"rate: as any, the destination waits besides", &usual, REPLY_CLASS_RATE_LIMIT, 1, 60},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].name,
                  retry_schedule_class_pause_ms(cases[i].schedule, cases[i].class,
                                                cases[i].attempts, 0x80000000) /
                      1000,
                  cases[i].want_seconds);
    }
    CHECK_INT("next",
              retry_schedule_next_ms(&usual, REPLY_CLASS_MAILBOX_FULL, 0, 0, 1, 0x80000000),
              1800000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_pauses_by_class),
        cmocka_unit_test(test_large_pauses_do_not_overflow),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_the_last_attempt_is_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
