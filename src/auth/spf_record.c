#include "auth/spf_record.h"

#include "auth/spf_macro.h"

static const struct {
    const char *name;
    enum spf_mechanism mechanism;
} MECHANISMS[] = {
    {"all", SPF_MECHANISM_ALL}, {"include", SPF_MECHANISM_INCLUDE}, {"a", SPF_MECHANISM_A},
    {"mx", SPF_MECHANISM_MX},   {"ptr", SPF_MECHANISM_PTR},         {"ip4", SPF_MECHANISM_IP4},
    {"ip6", SPF_MECHANISM_IP6}, {"exists", SPF_MECHANISM_EXISTS},
};

bool spf_record_is_spf(struct bytes text)
{
    return bytes_starts_with_nocase(text, BYTES("v=spf1")) &&
           (text.len == 6 || text.data[6] == ' ');
}

bool spf_term_needs_dns(const struct spf_term *term)
{
    switch (term->mechanism) {
    case SPF_MECHANISM_ALL:
    case SPF_MECHANISM_IP4:
    case SPF_MECHANISM_IP6:
        return false;
    case SPF_MECHANISM_INCLUDE:
    case SPF_MECHANISM_A:
    case SPF_MECHANISM_MX:
    case SPF_MECHANISM_PTR:
    case SPF_MECHANISM_EXISTS:
        return true;
    }
    return true;
}

static bool is_name_octet(char octet)
{
    return ascii_is_alnum((unsigned char)octet) || octet == '-' || octet == '_' || octet == '.';
}

/* Digits without leading zeros, at most `most`. */
static bool read_prefix(struct bytes digits, unsigned most, unsigned *prefix)
{
    uint64_t number;

    if (digits.len > 3 || !bytes_to_u64(digits, &number) || number > most ||
        (digits.len > 1 && digits.data[0] == '0')) {
        return false;
    }
    *prefix = (unsigned)number;
    return true;
}

static size_t trailing_digits(struct bytes text)
{
    size_t count = 0;

    while (count < text.len && ascii_is_digit((unsigned char)text.data[text.len - 1 - count])) {
        count++;
    }
    return count;
}

/* Takes "/24", "//64" or "/24//64" off the end of what follows "a" or "mx". A slash that is no
 * part of that stays, and is judged as part of the domain. */
static bool cut_prefixes(struct bytes *rest, struct spf_term *term)
{
    size_t digits = trailing_digits(*rest);
    size_t before = rest->len - digits;

    if (digits > 0 && before >= 2 && rest->data[before - 1] == '/' &&
        rest->data[before - 2] == '/') {
        if (!read_prefix(bytes_skip(*rest, before), 128, &term->prefix6)) {
            return false;
        }
        *rest = bytes_first(*rest, before - 2);
        digits = trailing_digits(*rest);
        before = rest->len - digits;
    }
    if (digits > 0 && before >= 1 && rest->data[before - 1] == '/') {
        if (!read_prefix(bytes_skip(*rest, before), 32, &term->prefix4)) {
            return false;
        }
        *rest = bytes_first(*rest, before - 1);
    }
    return true;
}

/* Nothing, or ":" and a domain-spec. */
static bool read_domain(struct bytes rest, bool may_be_absent, struct spf_term *term)
{
    if (rest.len == 0) {
        return may_be_absent;
    }
    term->domain_spec = bytes_skip(rest, 1);
    return rest.data[0] == ':' && spf_macro_is_domain_spec(term->domain_spec);
}

static bool read_network4(struct bytes rest, struct spf_term *term)
{
    size_t slash = bytes_find(rest, '/');
    struct bytes address = bytes_between(rest, 1, slash);

    return rest.len > 0 && rest.data[0] == ':' && bytes_find(address, ':') == address.len &&
           ip_address_parse(address, &term->address) &&
           (slash == rest.len || read_prefix(bytes_skip(rest, slash + 1), 32, &term->prefix4));
}

static bool read_network6(struct bytes rest, struct spf_term *term)
{
    size_t slash = bytes_find(rest, '/');
    struct bytes address = bytes_between(rest, 1, slash);
    struct ip_address parsed;

    if (rest.len == 0 || rest.data[0] != ':' || bytes_find(address, ':') == address.len ||
        !ip_address_parse(address, &parsed)) {
        return false;
    }
    if (parsed.family == IP_V4) {
        /* ::ffff:a.b.c.d in an ip6 term is no IPv4 network (RFC 7208 §5, ip4 clients match
         * only ip4): back to what was written. */
        term->address = (struct ip_address){.family = IP_V6, .octets = {[10] = 0xff, 0xff}};
        memcpy(term->address.octets + 12, parsed.octets, 4);
    } else {
        term->address = parsed;
    }
    return slash == rest.len || read_prefix(bytes_skip(rest, slash + 1), 128, &term->prefix6);
}

static bool read_arguments(struct bytes rest, struct spf_term *term)
{
    switch (term->mechanism) {
    case SPF_MECHANISM_ALL:
        return rest.len == 0;
    case SPF_MECHANISM_INCLUDE:
    case SPF_MECHANISM_EXISTS:
        return read_domain(rest, false, term);
    case SPF_MECHANISM_PTR:
        return read_domain(rest, true, term);
    case SPF_MECHANISM_A:
    case SPF_MECHANISM_MX:
        return cut_prefixes(&rest, term) && read_domain(rest, true, term);
    case SPF_MECHANISM_IP4:
        return read_network4(rest, term);
    case SPF_MECHANISM_IP6:
        return read_network6(rest, term);
    }
    return false;
}

static bool find_mechanism(struct bytes name, enum spf_mechanism *mechanism)
{
    for (size_t i = 0; i < sizeof MECHANISMS / sizeof MECHANISMS[0]; i++) {
        if (bytes_equal_nocase(name, bytes_from_text(MECHANISMS[i].name))) {
            *mechanism = MECHANISMS[i].mechanism;
            return true;
        }
    }
    return false;
}

static bool read_mechanism(struct bytes text, struct spf_term *term)
{
    size_t name_end = 0;

    *term = (struct spf_term){.text = text, .qualifier = '+', .prefix4 = 32, .prefix6 = 128};
    if (memchr("+-~?", text.data[0], 4) != NULL) {
        term->qualifier = text.data[0];
        text = bytes_skip(text, 1);
    }
    while (name_end < text.len && is_name_octet(text.data[name_end])) {
        name_end++;
    }
    return find_mechanism(bytes_first(text, name_end), &term->mechanism) &&
           read_arguments(bytes_skip(text, name_end), term);
}

/* redirect= and exp=: once each, and not empty. */
static bool read_once(struct bytes value, struct bytes *modifier)
{
    if (modifier->len > 0 || !spf_macro_is_domain_spec(value)) {
        return false;
    }
    *modifier = value;
    return true;
}

static bool read_modifier(struct bytes name, struct bytes value, struct spf_record *record)
{
    if (bytes_equal_nocase(name, BYTES("redirect"))) {
        return read_once(value, &record->redirect);
    }
    if (bytes_equal_nocase(name, BYTES("exp"))) {
        return read_once(value, &record->explanation);
    }
    return spf_macro_is_valid(value, SPF_MACRO_IN_MODIFIER);
}

/* The length of the name when the term is a modifier (name "=" value), or 0. */
static size_t modifier_name_length(struct bytes text)
{
    size_t end = 0;

    if (!ascii_is_alpha((unsigned char)text.data[0])) {
        return 0;
    }
    while (end < text.len && is_name_octet(text.data[end])) {
        end++;
    }
    return end < text.len && text.data[end] == '=' ? end : 0;
}

/* Where the list ends, and how much of it is worth keeping. */
struct collector {
    struct spf_term **end;
    unsigned dns_terms;
    bool is_full;
};

static void keep_term(struct collector *collector, const struct spf_term *term,
                      struct arena *arena)
{
    struct spf_term *copy;

    if (collector->is_full) {
        return;
    }
    copy = arena_alloc(arena, sizeof *copy);
    *copy = *term;
    *collector->end = copy;
    collector->end = &copy->next;
    collector->dns_terms += spf_term_needs_dns(term);
    collector->is_full =
        term->mechanism == SPF_MECHANISM_ALL || collector->dns_terms > SPF_TERM_LIMIT;
}

bool spf_record_parse(struct bytes text, struct arena *arena, struct spf_record *record)
{
    struct collector collector = {.end = &record->terms};
    struct bytes rest = bytes_skip(text, 6);

    *record = (struct spf_record){.text = text};
    if (!spf_record_is_spf(text) || text.len > SPF_RECORD_LIMIT) {
        return false;
    }
    while (rest.len > 0) {
        struct bytes word = bytes_cut(&rest, ' ');
        size_t name_length;
        struct spf_term term;

        if (word.len == 0) {
            continue;
        }
        name_length = modifier_name_length(word);
        if (name_length > 0) {
            if (!read_modifier(bytes_first(word, name_length),
                               bytes_skip(word, name_length + 1), record)) {
                return false;
            }
            continue;
        }
        if (!read_mechanism(word, &term)) {
            return false;
        }
        record->has_all = record->has_all || term.mechanism == SPF_MECHANISM_ALL;
        keep_term(&collector, &term, arena);
    }
    return true;
}
