#include "mail/srs_address.h"

#include "mail/keyed_hash.h"

#include <assert.h>

enum {
    PREFIX_LENGTH = 5, /* "SRS0=" */
    MODERN_DIGITS = 8,
    CLASSIC_DIGITS = 4,
    STAMP_DIGITS = 2,
    STAMP_DAYS = 1024,
    TOKEN_DIGITS = 16,
    LOCAL_LIMIT = 64,
    ADDRESS_LIMIT = 254,
    REVERSE_LIMIT = 254, /* no longer local part is looked at */
};

static const char base32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* What the tag protects: SRS0 (stamp, domain, local) or SRS1 (no stamp, forwarder, rest). */
struct srs_fields {
    bool is_srs1;
    struct bytes stamp;
    struct bytes domain;
    struct bytes local;
};

/* ---- building blocks ---- */

static char *put(char *to, struct bytes text)
{
    if (text.len != 0) {
        memcpy(to, text.data, text.len);
    }
    return to + text.len;
}

static bool is_separator(char octet)
{
    return octet == '=' || octet == '+' || octet == '-';
}

static bool has_prefix(struct bytes local, char digit)
{
    return local.len >= PREFIX_LENGTH && bytes_starts_with_nocase(local, BYTES("SRS")) &&
           local.data[3] == digit && is_separator(local.data[4]);
}

bool srs_is_srs(struct bytes local)
{
    return has_prefix(local, '0') || has_prefix(local, '1');
}

static bool is_utf8(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] > 127) {
            return true;
        }
    }
    return false;
}

/* A good tag is no reason to believe that a local part can stand in a command. */
static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127) {
            return true;
        }
    }
    return false;
}

static struct smtp_mailbox make_mailbox(struct bytes local, struct bytes domain)
{
    return (struct smtp_mailbox){
        .local = local, .domain = domain, .is_utf8 = is_utf8(local) || is_utf8(domain)};
}

/* Mail can only be brought back to a name in the public tree. A last label of digits is an
 * address in disguise ("127.0.0.1"). */
static bool is_returnable_domain(struct bytes domain)
{
    size_t dot = bytes_find_last(domain, '.');
    struct bytes last = bytes_skip(domain, dot + 1);
    uint64_t number;

    return dot < domain.len && smtp_domain_is_valid(domain, true) &&
           !bytes_to_u64(last, &number);
}

static bool is_own(const struct srs_options *options, struct bytes domain)
{
    return options->is_own_domain != NULL &&
           options->is_own_domain(options->own_domain_context, domain);
}

/* ---- tags ---- */

/* The text under the tag, in lower case, because some hops change the case of addresses. The
 * classic form sets the fields together without separators, and so did everybody; ours says
 * where each one ends and which kind of address it is for. */
static struct bytes tag_input(enum srs_format format, const struct srs_fields *fields,
                              struct arena *arena)
{
    size_t limit =
        PREFIX_LENGTH + fields->stamp.len + fields->domain.len + fields->local.len + 2;
    char *text = arena_alloc(arena, limit);
    char *end = text;

    switch (format) {
    case SRS_FORMAT_MODERN:
        end = put(end, fields->is_srs1 ? BYTES("srs1=") : BYTES("srs0="));
        end = put(end, fields->stamp);
        end = put(end, BYTES("="));
        end = put(end, fields->domain);
        end = put(end, BYTES("="));
        end = put(end, fields->local);
        break;
    case SRS_FORMAT_CLASSIC:
        end = put(end, fields->stamp);
        end = put(end, fields->domain);
        end = put(end, fields->local);
        break;
    }
    for (char *octet = text; octet < end; octet++) {
        *octet = (char)ascii_lower((unsigned char)*octet);
    }
    return bytes_of(text, (size_t)(end - text));
}

static size_t tag_length(enum srs_format format)
{
    switch (format) {
    case SRS_FORMAT_MODERN:
        return MODERN_DIGITS;
    case SRS_FORMAT_CLASSIC:
        return CLASSIC_DIGITS;
    }
    return 0;
}

static void make_tag(enum srs_format format, struct bytes secret, struct bytes input, char *tag)
{
    switch (format) {
    case SRS_FORMAT_MODERN:
        keyed_hash_sha256_base32(secret, input, tag, MODERN_DIGITS);
        break;
    case SRS_FORMAT_CLASSIC:
        keyed_hash_sha1_base64(secret, input, tag, CLASSIC_DIGITS);
        break;
    }
}

static void fold(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)ascii_lower((unsigned char)text[i]);
    }
}

/* The length of a tag says its format; no other length is taken, or one digit would do. */
static bool is_genuine(const struct srs_options *options, const struct srs_fields *fields,
                       struct bytes tag, struct arena *arena)
{
    enum srs_format format = tag.len == CLASSIC_DIGITS ? SRS_FORMAT_CLASSIC : SRS_FORMAT_MODERN;
    char given[MODERN_DIGITS], wanted[MODERN_DIGITS];
    struct bytes input;
    bool is_found = false;

    if (tag.len != tag_length(format)) {
        return false;
    }
    memcpy(given, tag.data, tag.len);
    fold(given, tag.len);
    input = tag_input(format, fields, arena);
    for (size_t i = 0; i < options->secret_count; i++) {
        const struct srs_secret *secret = &options->secrets[i];

        if (format == SRS_FORMAT_CLASSIC && options->format != SRS_FORMAT_CLASSIC &&
            !secret->is_classic) {
            continue;
        }
        make_tag(format, secret->octets, input, wanted);
        fold(wanted, tag.len);
        is_found |=
            bytes_equal_constant_time(bytes_of(given, tag.len), bytes_of(wanted, tag.len));
    }
    return is_found;
}

/* ---- time ---- */

static void write_stamp(uint32_t today, char stamp[STAMP_DIGITS])
{
    stamp[0] = base32_digits[today >> 5 & 31];
    stamp[1] = base32_digits[today & 31];
}

static bool read_stamp(struct bytes stamp, uint32_t *day)
{
    *day = 0;
    if (stamp.len != STAMP_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < STAMP_DIGITS; i++) {
        char upper = (char)(ascii_is_alpha((unsigned char)stamp.data[i]) ? stamp.data[i] & ~32
                                                                         : stamp.data[i]);
        const char *digit = memchr(base32_digits, upper, sizeof base32_digits - 1);

        if (digit == NULL) {
            return false;
        }
        *day = *day << 5 | (uint32_t)(digit - base32_digits);
    }
    return true;
}

/* The stamp names a day of a cycle of 1024: the older half of it is the past. */
static enum srs_result check_age(const struct srs_options *options, uint32_t today,
                                 uint32_t day)
{
    uint32_t age = (today - day) % STAMP_DAYS;

    if (age <= options->max_age_days || age == STAMP_DAYS - 1) {
        return SRS_OK; /* stamped tomorrow: a clock that is a little ahead */
    }
    return age < STAMP_DAYS / 2 ? SRS_EXPIRED : SRS_FUTURE;
}

/* ---- forward ---- */

/* "SRS0=TAG=TT=domain=local" or "SRS1=TAG=forwarder=rest". */
static struct bytes write_local(const struct srs_options *options,
                                const struct srs_fields *fields, struct arena *arena)
{
    size_t digits = tag_length(options->format);
    size_t len = PREFIX_LENGTH + digits + 1 + (fields->is_srs1 ? 0 : STAMP_DIGITS + 1) +
                 fields->domain.len + 1 + fields->local.len;
    char *text = arena_alloc(arena, len);
    char *end = put(text, fields->is_srs1 ? BYTES("SRS1") : BYTES("SRS0"));

    *end++ = options->separator;
    make_tag(options->format, options->secrets[0].octets,
             tag_input(options->format, fields, arena), end);
    end += digits;
    *end++ = '=';
    if (!fields->is_srs1) {
        end = put(end, fields->stamp);
        *end++ = '=';
    }
    end = put(end, fields->domain);
    *end++ = '=';
    end = put(end, fields->local);
    return bytes_of(text, (size_t)(end - text));
}

/* "TAG=forwarder==rest" of another forwarder's SRS1 address; the tag is his business. */
static bool split_srs1(struct bytes local, struct bytes *tag, struct srs_fields *fields)
{
    struct bytes rest = bytes_skip(local, PREFIX_LENGTH);

    *tag = bytes_cut(&rest, '=');
    *fields = (struct srs_fields){.is_srs1 = true};
    fields->domain = bytes_cut(&rest, '=');
    fields->local = rest;
    return tag->len != 0 && rest.len > 1 && is_separator(rest.data[0]) &&
           is_returnable_domain(fields->domain);
}

static struct srs_fields choose_fields(const struct smtp_mailbox *sender, struct bytes stamp)
{
    struct srs_fields fields;
    struct bytes tag;

    if (has_prefix(sender->local, '0') && sender->local.len > PREFIX_LENGTH) {
        /* Only "SRS0" goes: the separator behind it belongs to whoever chose it. */
        return (struct srs_fields){.is_srs1 = true,
                                   .domain = sender->domain,
                                   .local = bytes_skip(sender->local, PREFIX_LENGTH - 1)};
    }
    if (has_prefix(sender->local, '1') && split_srs1(sender->local, &tag, &fields)) {
        return fields;
    }
    return (struct srs_fields){
        .stamp = stamp, .domain = sender->domain, .local = sender->local};
}

/* May a local part with this octet need quotes? */
static bool is_simple(struct bytes local)
{
    for (size_t i = 0; i < local.len; i++) {
        char octet = local.data[i];

        if (!ascii_is_alnum((unsigned char)octet) && memchr("=+-_", octet, 4) == NULL &&
            (octet != '.' || i + 1 == local.len || local.data[i + 1] == '.')) {
            return false;
        }
    }
    return true;
}

/* The limits hold for what goes over the wire, quotes included (RFC 5321 §4.5.3.1.1). */
static bool fits(const struct smtp_mailbox *mailbox)
{
    size_t local_len = mailbox->local.len;

    if (local_len > LOCAL_LIMIT) {
        return false;
    }
    if (!is_simple(mailbox->local)) {
        struct strbuf written;

        strbuf_init(&written, 1024);
        smtp_mailbox_add(&written, mailbox);
        local_len = written.len - mailbox->domain.len - 1;
        strbuf_clear(&written);
    }
    return local_len <= LOCAL_LIMIT && local_len + 1 + mailbox->domain.len <= ADDRESS_LIMIT;
}

enum srs_result srs_forward(const struct srs_options *options, struct bytes srs_domain,
                            uint32_t today, const struct smtp_mailbox *sender,
                            struct arena *arena, struct smtp_mailbox *out)
{
    char stamp[STAMP_DIGITS];
    struct srs_fields fields;
    struct smtp_mailbox made;

    assert(options->secret_count > 0);
    if (smtp_mailbox_is_null(sender)) {
        return SRS_NOT_NEEDED;
    }
    if (!sender->is_literal && is_own(options, sender->domain)) {
        return SRS_NOT_NEEDED;
    }
    if (sender->is_literal || !is_returnable_domain(sender->domain)) {
        return SRS_MALFORMED;
    }
    write_stamp(today, stamp);
    fields = choose_fields(sender, bytes_of(stamp, sizeof stamp));
    if (fields.domain.len + fields.local.len > LOCAL_LIMIT) {
        return SRS_TOO_LONG; /* before anything is hashed */
    }
    made = make_mailbox(write_local(options, &fields, arena), srs_domain);
    if (!fits(&made)) {
        return SRS_TOO_LONG;
    }
    *out = made;
    return SRS_OK;
}

/* One sender has one token: the domain is folded, the local part is not. */
static struct bytes make_token(const struct srs_options *options,
                               const struct smtp_mailbox *sender, struct arena *arena)
{
    size_t len = sender->local.len + 1 + sender->domain.len;
    char *text = arena_alloc(arena, len + 6);
    char *token = arena_alloc(arena, TOKEN_DIGITS);
    char *domain = put(put(text, BYTES("token=")), sender->local);

    *domain++ = '@';
    put(domain, sender->domain);
    fold(domain, sender->domain.len);
    keyed_hash_sha256_base32(options->secrets[0].octets, bytes_of(text, len + 6), token,
                             TOKEN_DIGITS);
    return bytes_of(token, TOKEN_DIGITS);
}

void srs_forward_stored(const struct srs_options *options, struct bytes srs_domain,
                        uint32_t today, const struct smtp_mailbox *sender, struct arena *arena,
                        struct smtp_mailbox *out, struct bytes *token)
{
    char stamp[STAMP_DIGITS];
    struct srs_fields fields = {.stamp = bytes_of(stamp, sizeof stamp)};

    assert(options->secret_count > 0);
    write_stamp(today, stamp);
    *token = make_token(options, sender, arena);
    fields.local = *token;
    *out = make_mailbox(write_local(options, &fields, arena), srs_domain);
}

/* ---- reverse ---- */

static bool split_srs0(struct bytes local, struct bytes *tag, struct srs_fields *fields)
{
    struct bytes rest = bytes_skip(local, PREFIX_LENGTH);

    *tag = bytes_cut(&rest, '=');
    *fields = (struct srs_fields){.stamp = bytes_cut(&rest, '=')};
    if (bytes_find(rest, '=') == rest.len) {
        return false;
    }
    fields->domain = bytes_cut(&rest, '=');
    fields->local = rest;
    return tag->len != 0;
}

/* Hops may have changed the case of a token; it is stored in upper case. */
static bool read_token(struct bytes text, struct arena *arena, struct bytes *token)
{
    char *upper;

    if (text.len != TOKEN_DIGITS) {
        return false;
    }
    upper = arena_alloc(arena, TOKEN_DIGITS);
    for (size_t i = 0; i < text.len; i++) {
        upper[i] = (char)(ascii_is_alpha((unsigned char)text.data[i]) ? text.data[i] & ~32
                                                                      : text.data[i]);
        if (memchr(base32_digits, upper[i], sizeof base32_digits - 1) == NULL) {
            return false;
        }
    }
    *token = bytes_of(upper, TOKEN_DIGITS);
    return true;
}

static enum srs_result reverse_srs0(const struct srs_options *options, uint32_t today,
                                    struct bytes local, struct arena *arena,
                                    struct smtp_mailbox *original, struct bytes *token)
{
    struct srs_fields fields;
    struct bytes tag, stored = {NULL, 0};
    enum srs_result age;
    uint32_t day;

    if (!split_srs0(local, &tag, &fields) || !read_stamp(fields.stamp, &day)) {
        return SRS_MALFORMED;
    }
    if (fields.domain.len == 0 ? !read_token(fields.local, arena, &stored)
                               : !is_returnable_domain(fields.domain)) {
        return SRS_MALFORMED;
    }
    /* Only the holder of a secret learns anything about time. */
    if (!is_genuine(options, &fields, tag, arena)) {
        return SRS_FORGED;
    }
    age = check_age(options, today, day);
    if (age != SRS_OK) {
        return age;
    }
    if (fields.domain.len == 0) {
        *token = stored;
        return SRS_TOKEN;
    }
    /* We rewrite no senders of our own domains, and a bounce that goes to ourselves goes round.
     */
    if (is_own(options, fields.domain)) {
        return SRS_MALFORMED;
    }
    *original = make_mailbox(arena_copy(arena, fields.local), arena_copy(arena, fields.domain));
    return SRS_OK;
}

static enum srs_result reverse_srs1(const struct srs_options *options, uint32_t today,
                                    struct bytes local, struct arena *arena,
                                    struct smtp_mailbox *original, struct bytes *token)
{
    struct srs_fields fields;
    struct bytes tag, inner;
    char *text;

    if (!split_srs1(local, &tag, &fields)) {
        return SRS_MALFORMED;
    }
    if (!is_genuine(options, &fields, tag, arena)) {
        return SRS_FORGED;
    }
    text = arena_alloc(arena, fields.local.len + 4);
    put(put(text, BYTES("SRS0")), fields.local);
    inner = bytes_of(text, fields.local.len + 4);
    if (is_own(options, fields.domain)) {
        return reverse_srs0(options, today, inner, arena, original, token);
    }
    *original = make_mailbox(inner, arena_copy(arena, fields.domain));
    return SRS_OK;
}

enum srs_result srs_reverse(const struct srs_options *options, uint32_t today,
                            const struct smtp_mailbox *recipient, struct arena *arena,
                            struct smtp_mailbox *original, struct bytes *token)
{
    assert(options->secret_count > 0);
    if (!srs_is_srs(recipient->local)) {
        return SRS_NOT_NEEDED;
    }
    if (recipient->local.len > REVERSE_LIMIT || has_control(recipient->local)) {
        return SRS_MALFORMED;
    }
    return has_prefix(recipient->local, '0')
               ? reverse_srs0(options, today, recipient->local, arena, original, token)
               : reverse_srs1(options, today, recipient->local, arena, original, token);
}
