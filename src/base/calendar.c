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

/* Is there such a day? 31 June is none. */
static bool is_day(const struct civil *civil)
{
    struct civil again = to_civil(days_of(civil) * 86400);

    return again.day == civil->day && again.month == civil->month;
}

bool calendar_read_mail_date(struct bytes text, int64_t *unix_seconds, int *zone_minutes)
{
    struct civil civil = {0};
    struct bytes rest = text;
    int64_t days;

    take_run(&rest, false); /* the day of the week, if it is said */
    take_char(&rest, ',');
    if (!take_number(&rest, 2, &civil.day) || !take_month(&rest, &civil.month) ||
        !take_year(&rest, &civil.year) || !take_clock(&rest, &civil) ||
        !take_zone(&rest, zone_minutes) || rest.len > 0) {
        return false;
    }
    if (!is_day(&civil)) {
        return false;
    }
    days = days_of(&civil);
    *unix_seconds = days * 86400 + civil.hour * 3600 + civil.minute * 60 + civil.second -
                    (int64_t)*zone_minutes * 60;
    return true;
}

/* ---- RFC 3339 ---------------------------------------------------------------------------- */

/* So many digits, then one of the marks. */
static bool take_digits(struct bytes *rest, size_t count, const char *marks, int64_t *number)
{
    uint64_t value;

    if (rest->len <= count || strchr(marks, rest->data[count]) == NULL ||
        rest->data[count] == '\0' || !bytes_to_u64(bytes_first(*rest, count), &value)) {
        return false;
    }
    *number = (int64_t)value;
    *rest = bytes_skip(*rest, count + 1);
    return true;
}

static bool take_field(struct bytes *rest, size_t count, const char *marks, int *field)
{
    int64_t number;

    if (!take_digits(rest, count, marks, &number)) {
        return false;
    }
    *field = (int)number;
    return true;
}

/* The digits behind the point, as far as they are milliseconds. */
static bool take_fraction(struct bytes *rest, int *ms)
{
    size_t len = 0;
    int scale = 100;

    *ms = 0;
    if (rest->len == 0 || rest->data[0] != '.') {
        return true;
    }
    *rest = bytes_skip(*rest, 1);
    for (; len < rest->len && ascii_is_digit((unsigned char)rest->data[len]); len++) {
        *ms += scale * (rest->data[len] - '0');
        scale /= 10;
    }
    *rest = bytes_skip(*rest, len);
    return len > 0;
}

static bool read_offset(struct bytes text, int64_t *seconds)
{
    uint64_t hours, minutes;

    *seconds = 0;
    if (text.len == 1 && (text.data[0] == 'Z' || text.data[0] == 'z')) {
        return true;
    }
    if (text.len != 6 || (text.data[0] != '+' && text.data[0] != '-') || text.data[3] != ':' ||
        !bytes_to_u64(bytes_between(text, 1, 3), &hours) || hours > 23 ||
        !bytes_to_u64(bytes_between(text, 4, 6), &minutes) || minutes > 59) {
        return false;
    }
    *seconds = (int64_t)(hours * 3600 + minutes * 60) * (text.data[0] == '-' ? -1 : 1);
    return true;
}

bool calendar_read_timestamp(struct bytes text, int64_t *unix_ms)
{
    struct civil civil = {0};
    int64_t offset;
    int ms;
    uint64_t second;

    if (!take_digits(&text, 4, "-", &civil.year) || !take_field(&text, 2, "-", &civil.month) ||
        !take_field(&text, 2, "Tt ", &civil.day) || !take_field(&text, 2, ":", &civil.hour) ||
        !take_field(&text, 2, ":", &civil.minute) || text.len < 2 ||
        !bytes_to_u64(bytes_first(text, 2), &second)) {
        return false;
    }
    text = bytes_skip(text, 2);
    if (civil.month < 1 || civil.month > 12 || civil.day < 1 || civil.hour > 23 ||
        civil.minute > 59 || second > 60 || !is_day(&civil) || !take_fraction(&text, &ms) ||
        !read_offset(text, &offset)) {
        return false;
    }
    *unix_ms = (days_of(&civil) * 86400 + civil.hour * 3600 + civil.minute * 60 +
                (int64_t)second - offset) *
                   1000 +
               ms;
    return true;
}
