#include "support/check.h"

#include "daemon/doctor_shown.h"

static enum page_answer validates(enum finding_severity first, const char *check,
                                  enum finding_severity second)
{
    struct doctor_result result = {.arena = arena_new(), .at_ms = 7};
    struct arena *arena = arena_new();
    struct status_page page = {.findings_ms = 0};

    findings_init(&result.findings, result.arena);
    findings_begin(&result.findings, "host", BYTES("mx.own.test"));
    findings_add(&result.findings, first, check, "one");
    findings_add(&result.findings, second, "dnssec", "two");
    doctor_shown_fill_page(&page, arena, &result);
    CHECK_INT("time", page.findings_ms, 7);
    arena_free(&arena);
    arena_free(&result.arena);
    return page.health.validates;
}

static void test_what_the_page_says_of_the_resolver(void **state)
{
    struct status_page page = {.findings_ms = 0};

    (void)state;
    doctor_shown_fill_page(&page, NULL, NULL);
    CHECK_INT("nobody has looked", page.health.validates, PAGE_UNKNOWN);
    CHECK_INT("it does", validates(FINDING_ERROR, "clock", FINDING_OK), PAGE_YES);
    CHECK_INT("from elsewhere", validates(FINDING_OK, "dnssec", FINDING_NOTE), PAGE_YES);
    CHECK_INT("not", validates(FINDING_OK, "clock", FINDING_WARNING), PAGE_NO);
    CHECK_INT("it says so, but", validates(FINDING_OK, "dnssec", FINDING_WARNING), PAGE_NO);
    CHECK_INT("no answer", validates(FINDING_OK, "clock", FINDING_UNKNOWN), PAGE_UNKNOWN);
}

static void test_the_worst_first(void **state)
{
    struct doctor_result result = {.arena = arena_new(), .at_ms = 7};
    struct arena *arena = arena_new();
    struct status_page page = {.findings_ms = 0};

    (void)state;
    findings_init(&result.findings, result.arena);
    findings_begin(&result.findings, "host", BYTES("mx.own.test"));
    findings_add(&result.findings, FINDING_OK, "clock", "well");
    findings_add(&result.findings, FINDING_WARNING, "disk", "little");
    findings_add(&result.findings, FINDING_ERROR, "mx", "elsewhere");
    doctor_shown_fill_page(&page, arena, &result);
    CHECK_INT("what is well is left out", page.finding_count, 2);
    CHECK_INT("first", page.findings[0].mood, MOOD_BAD);
    CHECK_INT("second", page.findings[1].mood, MOOD_WARNING);
    arena_free(&arena);
    arena_free(&result.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_page_says_of_the_resolver),
        cmocka_unit_test(test_the_worst_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
