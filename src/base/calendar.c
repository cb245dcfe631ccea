#include "base/calendar.h"

struct civil {
    int64_t year;
    int month; /* 1..12 */
    int day;
    int weekday; /* 0 = Sunday */
    int hour, minute, second;
};

static int64_t divide_down(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

/* Days count from 1 March of year 0, so that the leap day is the last of its year
 * (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static struct civil to_civil(int64_t unix_seconds)
{
    int64_t days = divide_down(unix_seconds, 86400);
    int64_t rest = unix_seconds - days * 86400;
    int64_t shifted = days + 719468;
    int64_t era = divide_down(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct civil civil;

    civil.day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    civil.month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    civil.year = year_of_era + era * 400 + (civil.month <= 2);
    civil.weekday = (int)(((days % 7) + 11) % 7);
    civil.hour = (int)(rest / 3600);
    civil.minute = (int)(rest / 60 % 60);
    civil.second = (int)(rest % 60);
    return civil;
}

static void add_padded(struct strbuf *out, int64_t number, int digits)
{
    for (int64_t scale = digits == 4 ? 1000 : digits == 3 ? 100 : 10; scale > 0; scale /= 10) {
        strbuf_add_char(out, (char)('0' + number / scale % 10));
    }
}

static void add_clock(struct strbuf *out, const struct civil *civil)
{
    add_padded(out, civil->hour, 2);
    strbuf_add_char(out, ':');
    add_padded(out, civil->minute, 2);
    strbuf_add_char(out, ':');
    add_padded(out, civil->second, 2);
}

void calendar_add_mail_date(struct strbuf *out, int64_t unix_seconds)
{
    static const char DAYS[] = "SunMonTueWedThuFriSat";
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct civil civil = to_civil(unix_seconds);

    strbuf_add(out, bytes_of(DAYS + 3 * civil.weekday, 3));
    strbuf_add_text(out, ", ");
    strbuf_add_u64(out, (uint64_t)civil.day);
    strbuf_add_char(out, ' ');
    strbuf_add(out, bytes_of(MONTHS + 3 * (civil.month - 1), 3));
    strbuf_add_char(out, ' ');
    add_padded(out, civil.year, 4);
    strbuf_add_char(out, ' ');
    add_clock(out, &civil);
    strbuf_add_text(out, " +0000");
}

void calendar_add_timestamp(struct strbuf *out, int64_t unix_ms)
{
    int64_t seconds = divide_down(unix_ms, 1000);
    struct civil civil = to_civil(seconds);

    add_padded(out, civil.year, 4);
    strbuf_add_char(out, '-');
    add_padded(out, civil.month, 2);
    strbuf_add_char(out, '-');
    add_padded(out, civil.day, 2);
    strbuf_add_char(out, 'T');
    add_clock(out, &civil);
    strbuf_add_char(out, '.');
    add_padded(out, unix_ms - seconds * 1000, 3);
    strbuf_add_char(out, 'Z');
}
