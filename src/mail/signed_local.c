#include "signed_local.h"

#include "mail/keyed_hash.h"

#include <stdlib.h>

enum {
    MODERN_DIGITS = 8,
    CLASSIC_DIGITS = 4,
    STAMP_DAYS = 1024,
    TOKEN_DIGITS = 16,
    ADDRESS_LIMIT = 254,
};

static const char base32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static char *put(char *to, struct bytes text)
{
    if (text.len != 0) {
        memcpy(to, text.data, text.len);
    }
    return to + text.len;
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

/* ---- form ---- */

static struct bytes kind_name(enum signed_kind kind)
{
    switch (kind) {
    case SIGNED_SRS0:
        return BYTES("SRS0");
    case SIGNED_SRS1:
        return BYTES("SRS1");
    case SIGNED_REPLY0:
        return BYTES("REPLY0");
    }
    abort();
}

size_t signed_local_prefix(enum signed_kind kind)
{
    return kind_name(kind).len + 1;
}

bool signed_local_is_separator(char octet)
{
    return octet == '=' || octet == '+' || octet == '-';
}

bool signed_local_has_prefix(struct bytes local, enum signed_kind kind)
{
    struct bytes name = kind_name(kind);

    return local.len > name.len && bytes_starts_with_nocase(local, name) &&
           signed_local_is_separator(local.data[name.len]);
}

/* A good tag is no reason to believe that a local part can stand in a command. */
bool signed_local_is_readable(struct bytes local)
{
    for (size_t i = 0; i < local.len; i++) {
        if ((unsigned char)local.data[i] < ' ' || local.data[i] == 127) {
            return false;
        }
    }
    return local.len <= SIGNED_REVERSE_LIMIT;
}

struct smtp_mailbox signed_local_mailbox(struct bytes local, struct bytes domain)
{
    return (struct smtp_mailbox){
        .local = local, .domain = domain, .is_utf8 = is_utf8(local) || is_utf8(domain)};
}

/* A last label of digits is an address in disguise ("127.0.0.1"). */
bool signed_local_is_returnable(struct bytes domain)
{
    size_t dot = bytes_find_last(domain, '.');
    struct bytes last = bytes_skip(domain, dot + 1);
    uint64_t number;

    return dot < domain.len && smtp_domain_is_valid(domain, true) &&
           !bytes_to_u64(last, &number);
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

bool signed_local_fits(const struct smtp_mailbox *mailbox)
{
    size_t local_len = mailbox->local.len;

    if (local_len > SIGNED_LOCAL_LIMIT) {
        return false;
    }
    if (!is_simple(mailbox->local)) {
        struct strbuf written;

        strbuf_init(&written, 1024);
        smtp_mailbox_add(&written, mailbox);
        local_len = written.len - mailbox->domain.len - 1;
        strbuf_clear(&written);
    }
    return local_len <= SIGNED_LOCAL_LIMIT &&
           local_len + 1 + mailbox->domain.len <= ADDRESS_LIMIT;
}

/* ---- tags ---- */

/* Kinds that other programs do not know have no classic form. */
static enum srs_format format_of(const struct srs_options *options, enum signed_kind kind)
{
    return kind == SIGNED_REPLY0 ? SRS_FORMAT_MODERN : options->format;
}

/* The text under the tag, in lower case, because some hops change the case of addresses. The
 * classic form sets the fields together without separators, and so did everybody; ours says
 * where each one ends and which kind of address it is for. */
static struct bytes tag_input(enum srs_format format, const struct signed_fields *fields,
                              struct arena *arena)
{
    size_t limit = signed_local_prefix(fields->kind) + fields->stamp.len + fields->domain.len +
                   fields->local.len + 2;
    char *text = arena_alloc(arena, limit);
    char *end = text;

    switch (format) {
    case SRS_FORMAT_MODERN:
        end = put(end, kind_name(fields->kind));
        end = put(end, BYTES("="));
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
    bytes_fold(text, bytes_of(text, (size_t)(end - text)));
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

/* Does the secret make this tag, or a longer one that begins so? */
static bool makes_tag(enum srs_format format, struct bytes secret, struct bytes input,
                      struct bytes tag)
{
    char given[KEYED_HASH_DIGITS], wanted[KEYED_HASH_DIGITS];

    switch (format) {
    case SRS_FORMAT_MODERN:
        keyed_hash_sha256_base32(secret, input, wanted, tag.len);
        break;
    case SRS_FORMAT_CLASSIC:
        keyed_hash_sha1_base64(secret, input, wanted, tag.len);
        break;
    }
    bytes_fold(given, tag);
    bytes_fold(wanted, bytes_of(wanted, tag.len));
    return bytes_equal_constant_time(bytes_of(given, tag.len), bytes_of(wanted, tag.len));
}

/* A tag of ours has one length, or one digit would do. Others can be set to make longer ones (postsrsd's hash-length). */
bool signed_local_is_genuine(const struct srs_options *options,
                             const struct signed_fields *fields, struct bytes tag,
                             struct arena *arena)
{
    bool may_be_modern = tag.len == tag_length(SRS_FORMAT_MODERN);
    bool may_be_classic = tag.len >= tag_length(SRS_FORMAT_CLASSIC) &&
                          tag.len <= KEYED_HASH_DIGITS && fields->kind != SIGNED_REPLY0;
    struct bytes modern = BYTES(""), classic = BYTES("");
    bool is_found = false;

    if (may_be_modern) {
        modern = tag_input(SRS_FORMAT_MODERN, fields, arena);
    }
    if (may_be_classic) {
        classic = tag_input(SRS_FORMAT_CLASSIC, fields, arena);
    }
    for (size_t i = 0; i < options->secret_count; i++) {
        const struct srs_secret *secret = &options->secrets[i];

        if (may_be_modern) {
            is_found |= makes_tag(SRS_FORMAT_MODERN, secret->octets, modern, tag);
        }
        if (may_be_classic && (options->format == SRS_FORMAT_CLASSIC || secret->is_classic)) {
            is_found |= makes_tag(SRS_FORMAT_CLASSIC, secret->octets, classic, tag);
        }
    }
    return is_found;
}

/* ---- time ---- */

void signed_local_stamp(uint32_t today, char stamp[SIGNED_STAMP_DIGITS])
{
    stamp[0] = base32_digits[today >> 5 & 31];
    stamp[1] = base32_digits[today & 31];
}

static char upper_case(char octet)
{
    return (char)(ascii_is_alpha((unsigned char)octet) ? octet & ~32 : octet);
}

static bool read_stamp(struct bytes stamp, uint32_t *day)
{
    *day = 0;
    if (stamp.len != SIGNED_STAMP_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < SIGNED_STAMP_DIGITS; i++) {
        const char *digit =
            memchr(base32_digits, upper_case(stamp.data[i]), sizeof base32_digits - 1);

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

/* ---- writing ---- */

struct bytes signed_local_write(const struct srs_options *options,
                                const struct signed_fields *fields, struct arena *arena)
{
    enum srs_format format = format_of(options, fields->kind);
    bool is_dated = fields->kind != SIGNED_SRS1;
    size_t digits = tag_length(format);
    size_t len = signed_local_prefix(fields->kind) + digits + 1 +
                 (is_dated ? SIGNED_STAMP_DIGITS + 1 : 0) + fields->domain.len + 1 +
                 fields->local.len;
    char *text = arena_alloc(arena, len);
    char *end = put(text, kind_name(fields->kind));

    *end++ = options->separator;
    make_tag(format, options->secrets[0].octets, tag_input(format, fields, arena), end);
    end += digits;
    *end++ = '=';
    if (is_dated) {
        end = put(end, fields->stamp);
        *end++ = '=';
    }
    end = put(end, fields->domain);
    *end++ = '=';
    end = put(end, fields->local);
    return bytes_of(text, (size_t)(end - text));
}

static struct bytes token_purpose(enum signed_kind kind)
{
    switch (kind) {
    case SIGNED_SRS0:
    case SIGNED_SRS1:
        return BYTES("token=");
    case SIGNED_REPLY0:
        return BYTES("reply-token=");
    }
    abort();
}

struct bytes signed_local_token(const struct srs_options *options, enum signed_kind kind,
                                const struct smtp_mailbox *mailbox, struct arena *arena)
{
    struct bytes purpose = token_purpose(kind);
    size_t len = purpose.len + mailbox->local.len + 1 + mailbox->domain.len;
    char *text = arena_alloc(arena, len);
    char *token = arena_alloc(arena, TOKEN_DIGITS);
    char *domain = put(put(text, purpose), mailbox->local);

    *domain++ = '@';
    bytes_fold(domain, mailbox->domain);
    keyed_hash_sha256_base32(options->secrets[0].octets, bytes_of(text, len), token,
                             TOKEN_DIGITS);
    return bytes_of(token, TOKEN_DIGITS);
}

/* ---- reading ---- */

static bool split_dated(struct bytes local, enum signed_kind kind, struct bytes *tag,
                        struct signed_fields *fields)
{
    struct bytes rest = bytes_skip(local, signed_local_prefix(kind));

    *tag = bytes_cut(&rest, '=');
    *fields = (struct signed_fields){.kind = kind, .stamp = bytes_cut(&rest, '=')};
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
        upper[i] = upper_case(text.data[i]);
        if (memchr(base32_digits, upper[i], sizeof base32_digits - 1) == NULL) {
            return false;
        }
    }
    *token = bytes_of(upper, TOKEN_DIGITS);
    return true;
}

enum srs_result signed_local_read_dated(const struct srs_options *options,
                                        enum signed_kind kind, uint32_t today,
                                        struct bytes local, struct arena *arena,
                                        struct smtp_mailbox *mailbox, struct bytes *token)
{
    struct signed_fields fields;
    struct bytes tag, stored = {NULL, 0};
    enum srs_result age;
    uint32_t day;

    if (!split_dated(local, kind, &tag, &fields) || !read_stamp(fields.stamp, &day)) {
        return SRS_MALFORMED;
    }
    if (fields.domain.len == 0 ? !read_token(fields.local, arena, &stored)
                               : !signed_local_is_returnable(fields.domain)) {
        return SRS_MALFORMED;
    }
    /* Only the holder of a secret learns anything about time. */
    if (!signed_local_is_genuine(options, &fields, tag, arena)) {
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
    *mailbox =
        signed_local_mailbox(arena_copy(arena, fields.local), arena_copy(arena, fields.domain));
    return SRS_OK;
}
