#include "daemon/config_value.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, and "ms" before "m". */
static const struct unit time_units[] = {
    {"w", 604800000}, {"d", 86400000}, {"h", 3600000}, {"ms", 1}, {"m", 60000}, {"s", 1000},
};
static const struct unit size_units[] = {
    {"T", UINT64_C(1) << 40},
    {"G", UINT64_C(1) << 30},
    {"M", UINT64_C(1) << 20},
    {"K", UINT64_C(1) << 10},
};

static bool add_scaled(uint64_t *sum, uint64_t number, uint64_t factor)
{
    uint64_t scaled;

    return !__builtin_mul_overflow(number, factor, &scaled) &&
           !__builtin_add_overflow(*sum, scaled, sum);
}

static struct bytes cut_digits(struct bytes *rest)
{
    size_t len = 0;
    struct bytes digits;

    while (len < rest->len && ascii_is_digit((unsigned char)rest->data[len])) {
        len++;
    }
    digits = bytes_first(*rest, len);
    *rest = bytes_skip(*rest, len);
    return digits;
}

bool config_value_duration(struct bytes word, uint64_t *milliseconds)
{
    *milliseconds = 0;
    if (bytes_equal(word, BYTES("0"))) {
        return true;
    }
    if (word.len == 0) {
        return false;
    }
    while (word.len > 0) {
        size_t i = 0, count = sizeof time_units / sizeof time_units[0];
        uint64_t number;
        if (!bytes_to_u64(cut_digits(&word), &number)) {
            return false;
        }
        while (i < count && !bytes_starts_with(word, bytes_from_text(time_units[i].name))) {
            i++;
        }
        if (i == count || !add_scaled(milliseconds, number, time_units[i].factor)) {
            return false;
        }
        word = bytes_skip(word, strlen(time_units[i].name));
    }
    return true;
}

bool config_value_size(struct bytes word, uint64_t *octets)
{
    uint64_t number, factor = 1;

    *octets = 0;
    if (!bytes_to_u64(cut_digits(&word), &number)) {
        return false;
    }
    for (size_t i = 0; i < sizeof size_units / sizeof size_units[0] && word.len > 0; i++) {
        if (bytes_starts_with_nocase(word, bytes_from_text(size_units[i].name))) {
            factor = size_units[i].factor;
            word = bytes_skip(word, 1);
            break;
        }
    }
    return (word.len == 0 || bytes_equal_nocase(word, BYTES("B")) ||
            (factor > 1 && bytes_equal_nocase(word, BYTES("iB")))) &&
           add_scaled(octets, number, factor);
}

int config_value_choice(struct bytes word, const char *choices)
{
    struct bytes rest = bytes_from_text(choices);

    for (int i = 0; rest.len > 0; i++) {
        if (bytes_equal(bytes_cut(&rest, '|'), word)) {
            return i;
        }
    }
    return -1;
}

static void add_in_units(struct strbuf *out, uint64_t number, const struct unit *units,
                         size_t count)
{
    size_t best = count;

    for (size_t i = 0; i < count; i++) {
        if (number >= units[i].factor && number % units[i].factor == 0 &&
            (best == count || units[i].factor > units[best].factor)) {
            best = i;
        }
    }
    strbuf_add_u64(out, best == count ? number : number / units[best].factor);
    if (best < count) {
        strbuf_add_text(out, units[best].name);
    }
}

void config_value_add_duration(struct strbuf *out, uint64_t milliseconds)
{
    add_in_units(out, milliseconds, time_units, sizeof time_units / sizeof time_units[0]);
}

void config_value_add_size(struct strbuf *out, uint64_t octets)
{
    add_in_units(out, octets, size_units, sizeof size_units / sizeof size_units[0]);
}
