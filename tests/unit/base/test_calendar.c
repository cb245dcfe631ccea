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

static void dates_are_read(void **state)
{
    /* clang-format off */
    static const struct {
        const char *text;
        bool is_date;
        int64_t unix_seconds;
        int zone;
    } CASES[] = {
        {"Sat, 21 Nov 2026 22:06:30 +0000", true, 1795298790, 0},
        {"21 Nov 2026 22:06:30 +0000", true, 1795298790, 0},
        {"Sat, 21 Nov 2026 23:36:30 +0130 (CEST)", true, 1795298790, 90},
        {"Sat, 21 Nov 2026 14:06:30 -0800", true, 1795298790, -480},
        {"Sat,21 Nov 2026 17:06:30 EST", true, 1795298790, -300},
        {" Sat (a (nested) comment), 21 Nov 26 22:06:30 GMT ", true, 1795298790, 0},
        {"21 Nov 126 22:06:30 Z", true, 1795298790, 0},
        {"Sat, 21 Nov 2026 22:06:30", true, 1795298790, 0},
        {"Sat, 21 Nov 2026 22:06 +0000", true, 1795298760, 0},
        {"Thu, 1 Jan 1970 00:00:00 +0000", true, 0, 0},
        {"Wed, 31 Dec 69 23:59:59 +0000", true, -1, 0},
        {"Thu, 29 Feb 2024 00:00:00 +0000", true, 1709164800, 0},
        {"Thu, 29 Feb 2023 00:00:00 +0000", false, 0, 0},
        {"Thu, 31 Jun 2024 00:00:00 +0000", false, 0, 0},
        {"Thu, 0 Jun 2024 00:00:00 +0000", false, 0, 0},
        {"1 Jan 2024 24:00:00 +0000", false, 0, 0},
        {"1 Jan 2024 23:60:00 +0000", false, 0, 0},
        {"1 Jan 2024 23:59:60 +0000", true, 1704153600, 0},
        {"1 Jan 20245 23:59:00 +0000", false, 0, 0},
        {"1 Jan 2024 23:59:00 +000", false, 0, 0},
        {"1 Jan 2024 23:59:00 +0060", false, 0, 0},
        {"1 Jan 2024 23:59:00 +0000 x", false, 0, 0},
        {"2024-01-01T00:00:00Z", false, 0, 0},
        {"", false, 0, 0},
        {"(", false, 0, 0},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        int64_t seconds = 0;
        int zone = 0;

        CHECK_INT(CASES[i].text,
                  calendar_read_mail_date(bytes_from_text(CASES[i].text), &seconds, &zone),
                  CASES[i].is_date);
        if (CASES[i].is_date) {
            CHECK_INT(CASES[i].text, seconds, CASES[i].unix_seconds);
            CHECK_INT(CASES[i].text, zone, CASES[i].zone);
        }
    }
}

/* What is written is read back, over four centuries. */
static void dates_come_back(void **state)
{
    (void)state;
    for (int64_t at = -1000000000; at < INT64_C(12000000000); at += 86400 * 17 + 12345) {
        int64_t back = 0;
        int zone = 1;
        struct strbuf text;

        strbuf_init(&text, 100);
        calendar_add_mail_date(&text, at);
        CHECK_TRUE(strbuf_text(&text),
                   calendar_read_mail_date(strbuf_bytes(&text), &back, &zone) && back == at &&
                       zone == 0);
        strbuf_clear(&text);
    }
}

static void timestamps_are_read(void **state)
{
    /* clang-format off */
    static const struct {
        const char *text;
        bool is_time;
        int64_t unix_ms;
    } CASES[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2009-02-13T23:31:30.123Z", true, 1234567890123},
        {"2009-02-13 23:31:30.1234567z", true, 1234567890123},
        {"2009-02-13t23:31:30.5+00:00", true, 1234567890500},
        {"2009-02-14T01:01:30+01:30", true, 1234567890000},
        {"2009-02-13T15:31:30-08:00", true, 1234567890000},
        {"1969-12-31T23:59:59.999Z", true, -1},
        {"2024-02-29T00:00:00Z", true, INT64_C(1709164800000)},
        {"2023-02-29T00:00:00Z", false, 0},
        {"2024-06-31T00:00:00Z", false, 0},
        {"2024-00-10T00:00:00Z", false, 0},
        {"2024-13-10T00:00:00Z", false, 0},
        {"2024-01-00T00:00:00Z", false, 0},
        {"2024-01-01T24:00:00Z", false, 0},
        {"2024-01-01T00:60:00Z", false, 0},
        {"2024-01-01T00:00:61Z", false, 0},
        {"2024-01-01T00:00:00", false, 0},
        {"2024-01-01T00:00:00.Z", false, 0},
        {"2024-01-01T00:00:00Z ", false, 0},
        {"2024-01-01T00:00:00+0100", false, 0},
        {"2024-01-01T00:00:00+24:00", false, 0},
        {"2024-01-01T00:00:00+01.00", false, 0},
        {"2024-1-01T00:00:00Z", false, 0},
        {"+024-01-01T00:00:00Z", false, 0},
        {"2024-01-01", false, 0},
        {"2024-01-01T00:00:", false, 0},
        {"", false, 0},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        int64_t unix_ms = 0;

        CHECK_INT(CASES[i].text,
                  calendar_read_timestamp(bytes_from_text(CASES[i].text), &unix_ms),
                  CASES[i].is_time);
        if (CASES[i].is_time) {
            CHECK_INT(CASES[i].text, unix_ms, CASES[i].unix_ms);
        }
    }
}

static void timestamps_come_back(void **state)
{
    (void)state;
    for (int64_t at = -1000000000; at < INT64_C(12000000000000);
         at += 86400000 * 17 + 12345678) {
        int64_t back = 0;
        struct strbuf text;

        strbuf_init(&text, 100);
        calendar_add_timestamp(&text, at);
        CHECK_TRUE(strbuf_text(&text),
                   calendar_read_timestamp(strbuf_bytes(&text), &back) && back == at);
        strbuf_clear(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates),          cmocka_unit_test(dates_are_read),
        cmocka_unit_test(dates_come_back),      cmocka_unit_test(timestamps_are_read),
        cmocka_unit_test(timestamps_come_back), cmocka_unit_test(known_timestamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
