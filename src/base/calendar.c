#include "base/calendar.h"

#include "base/quoting.h"

static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

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

/* ---- reading ----------------------------------------------------------------------------- */

/* Blanks and comments; a comment that never ends stays. */
static struct bytes skip_blank(struct bytes text)
{
    while (text.len > 0) {
        char octet = text.data[0];
        size_t length = octet == '('
                            ? quoting_comment_length(text)
                            : octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';

        if (length == 0) {
            break;
        }
        text = bytes_skip(text, length);
    }
    return text;
}

/* A run of letters, or of digits. */
static struct bytes take_run(struct bytes *rest, bool of_digits)
{
    struct bytes text = skip_blank(*rest);
    size_t len = 0;

    while (len < text.len && (of_digits ? text.data[len] >= '0' && text.data[len] <= '9'
                                        : ascii_is_alpha((unsigned char)text.data[len]))) {
        len++;
    }
    *rest = skip_blank(bytes_skip(text, len));
    return bytes_first(text, len);
}

static bool take_char(struct bytes *rest, char wanted)
{
    if (rest->len == 0 || rest->data[0] != wanted) {
        return false;
    }
    *rest = skip_blank(bytes_skip(*rest, 1));
    return true;
}

static bool take_number(struct bytes *rest, unsigned most_digits, int *number)
{
    struct bytes digits = take_run(rest, true);
    uint64_t value;

    if (digits.len > most_digits || !bytes_to_u64(digits, &value)) {
        return false;
    }
    *number = (int)value;
    return true;
}

static bool take_month(struct bytes *rest, int *month)
{
    struct bytes word = take_run(rest, false);

    for (*month = 1; *month <= 12; (*month)++) {
        if (bytes_equal_nocase(word, bytes_of(MONTHS + 3 * (*month - 1), 3))) {
            return true;
        }
    }
    return false;
}

/* RFC 5322 §4.3: two digits are 1950 to 2049, three are years since 1900. */
static bool take_year(struct bytes *rest, int64_t *year)
{
    struct bytes digits = take_run(rest, true);
    uint64_t value;

    if (digits.len < 2 || digits.len > 4 || !bytes_to_u64(digits, &value)) {
        return false;
    }
    *year = (int64_t)value + (digits.len == 4                 ? 0
                              : digits.len == 2 && value < 50 ? 2000
                                                              : 1900);
    return true;
}

static bool take_clock(struct bytes *rest, struct civil *civil)
{
    civil->second = 0;
    return take_number(rest, 2, &civil->hour) && take_char(rest, ':') &&
           take_number(rest, 2, &civil->minute) &&
           (!take_char(rest, ':') || take_number(rest, 2, &civil->second)) &&
           civil->hour < 24 && civil->minute < 60 && civil->second <= 60;
}

/* RFC 5322 §4.3. Military letters were used the wrong way round so often that they say nothing. */
static int zone_of_name(struct bytes name)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                 {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};

    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        if (bytes_equal_nocase(name, bytes_from_text(zones[i].name))) {
            return zones[i].hours * 60;
        }
    }
    return 0;
}

static bool take_zone(struct bytes *rest, int *minutes)
{
    bool is_west = rest->len > 0 && rest->data[0] == '-';
    struct bytes digits;
    uint64_t value;

    if (!is_west && (rest->len == 0 || rest->data[0] != '+')) {
        *minutes = zone_of_name(take_run(rest, false));
        return true;
    }
    *rest = bytes_skip(*rest, 1);
    digits = take_run(rest, true);
    if (digits.len != 4 || !bytes_to_u64(digits, &value) || value % 100 > 59) {
        return false;
    }
    *minutes = (int)(value / 100 * 60 + value % 100) * (is_west ? -1 : 1);
    return true;
}

static int64_t days_of(const struct civil *civil)
{
    int64_t year = civil->year - (civil->month <= 2);
    int64_t era = divide_down(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = civil->month > 2 ? civil->month - 3 : civil->month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + civil->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

bool calendar_read_mail_date(struct bytes text, int64_t *unix_seconds, int *zone_minutes)
{
    struct civil civil = {0}, again;
    struct bytes rest = text;
    int64_t days;

    take_run(&rest, false); /* the day of the week, if it is said */
    take_char(&rest, ',');
    if (!take_number(&rest, 2, &civil.day) || !take_month(&rest, &civil.month) ||
        !take_year(&rest, &civil.year) || !take_clock(&rest, &civil) ||
        !take_zone(&rest, zone_minutes) || rest.len > 0) {
        return false;
    }
    days = days_of(&civil);
    again = to_civil(days * 86400);
    if (again.day != civil.day || again.month != civil.month) {
        return false; /* 31 June */
    }
    *unix_seconds = days * 86400 + civil.hour * 3600 + civil.minute * 60 + civil.second -
                    (int64_t)*zone_minutes * 60;
    return true;
}
