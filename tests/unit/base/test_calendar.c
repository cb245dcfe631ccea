#include "support/check.h"

#include "base/calendar.h"

static void known_dates(void **state)
{
    static const struct {
        int64_t unix_seconds;
        const char *want;
    } CASES[] = {
        {0, "Thu, 1 Jan 1970 00:00:00 +0000"},
        {-1, "Wed, 31 Dec 1969 23:59:59 +0000"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 +0000"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 +0000"},
        {951868800, "Wed, 1 Mar 2000 00:00:00 +0000"},
        {1000000000, "Sun, 9 Sep 2001 01:46:40 +0000"},
        {1234567890, "Fri, 13 Feb 2009 23:31:30 +0000"},
        {1709164800, "Thu, 29 Feb 2024 00:00:00 +0000"},
        {1735689599, "Tue, 31 Dec 2024 23:59:59 +0000"},
        {2147483648, "Tue, 19 Jan 2038 03:14:08 +0000"},
        {4107542400, "Mon, 1 Mar 2100 00:00:00 +0000"},
        {4107542399, "Sun, 28 Feb 2100 23:59:59 +0000"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct strbuf out;

        strbuf_init(&out, 100);
        calendar_add_mail_date(&out, CASES[i].unix_seconds);
        CHECK_TEXT(CASES[i].want, strbuf_text(&out), CASES[i].want);
        strbuf_clear(&out);
    }
}

static void known_timestamps(void **state)
{
    static const struct {
        int64_t unix_ms;
        const char *want;
    } CASES[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {1234567890123, "2009-02-13T23:31:30.123Z"},
        {951782400007, "2000-02-29T00:00:00.007Z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct strbuf out;

        strbuf_init(&out, 100);
        calendar_add_timestamp(&out, CASES[i].unix_ms);
        CHECK_TEXT(CASES[i].want, strbuf_text(&out), CASES[i].want);
        strbuf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates),
        cmocka_unit_test(known_timestamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
