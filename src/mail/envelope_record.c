#include "mail/envelope_record.h"

#include "base/crc32c.h"

#include <assert.h>

/*
 * Octets: version (1), then for each field tag (1), length (2, high octet first) and value,
 * then crc32c of all before it (4, high octet first). Numbers of tags are never used again for
 * something else: records are read by newer and by older versions.
 */
enum { RECORD_VERSION = 1, FIELD_HEAD = 3, CHECKSUM_LENGTH = 4 };

enum record_tag {
    TAG_KIND = 1,
    TAG_SENDER = 2,
    TAG_FLAGS = 3,
    TAG_CLIENT_IP = 4,
    TAG_CLIENT_HELO = 5,
    TAG_SESSION = 6,
    TAG_BOUNCE_OF = 7,
    TAG_RETURN = 8,
    TAG_ENVID = 9,
    TAG_LIMIT,
};

enum {
    FLAG_8BIT = 1,
    FLAG_UTF8 = 2,
    FLAG_AUTO_SUBMITTED = 4,
    FLAG_PROVEN = 8,
    FLAG_OWN_SENDER = 16,
    FLAG_UTF8_HEADER = 32,
    FLAG_REQUIRES_TLS = 64,
};

static void add_field(struct strbuf *out, enum record_tag tag, struct bytes value)
{
    assert(value.len <= UINT16_MAX); /* lines of a session are far shorter */
    strbuf_add_char(out, (char)tag);
    strbuf_add_char(out, (char)(value.len >> 8));
    strbuf_add_char(out, (char)(value.len & 255));
    strbuf_add(out, value);
}

static void add_field_if_set(struct strbuf *out, enum record_tag tag, struct bytes value)
{
    if (value.len != 0) {
        add_field(out, tag, value);
    }
}

static char flags_of(const struct envelope *envelope)
{
    return (char)((envelope->is_8bit ? FLAG_8BIT : 0) | (envelope->is_utf8 ? FLAG_UTF8 : 0) |
                  (envelope->is_auto_submitted ? FLAG_AUTO_SUBMITTED : 0) |
                  (envelope->is_proven ? FLAG_PROVEN : 0) |
                  (envelope->is_own_sender ? FLAG_OWN_SENDER : 0) |
                  (envelope->is_utf8_header ? FLAG_UTF8_HEADER : 0) |
                  (envelope->requires_tls ? FLAG_REQUIRES_TLS : 0));
}

static void read_flags(unsigned flags, struct envelope *envelope)
{
    envelope->is_8bit = flags & FLAG_8BIT;
    envelope->is_utf8 = flags & FLAG_UTF8;
    envelope->is_auto_submitted = flags & FLAG_AUTO_SUBMITTED;
    envelope->is_proven = flags & FLAG_PROVEN;
    envelope->is_own_sender = flags & FLAG_OWN_SENDER;
    envelope->is_utf8_header = flags & FLAG_UTF8_HEADER;
    envelope->requires_tls = flags & FLAG_REQUIRES_TLS;
}

void envelope_record_write(struct strbuf *out, const struct envelope *envelope)
{
    size_t start = out->len;
    char kind = (char)envelope->kind;
    char flags = flags_of(envelope);
    char ret = (char)envelope->ret;
    uint32_t checksum;

    strbuf_add_char(out, RECORD_VERSION);
    add_field(out, TAG_KIND, bytes_of(&kind, 1));
    /* Always there, also when it is null: a lost field must not turn into a null sender. */
    add_field(out, TAG_SENDER, envelope->sender);
    add_field(out, TAG_FLAGS, bytes_of(&flags, 1));
    add_field_if_set(out, TAG_CLIENT_IP, envelope->client_ip);
    add_field_if_set(out, TAG_CLIENT_HELO, envelope->client_helo);
    add_field_if_set(out, TAG_SESSION, envelope->session);
    add_field_if_set(out, TAG_BOUNCE_OF, envelope->bounce_of);
    if (envelope->ret != DSN_RETURN_UNSAID) {
        add_field(out, TAG_RETURN, bytes_of(&ret, 1));
    }
    add_field_if_set(out, TAG_ENVID, envelope->envid);
    checksum = crc32c(0, bytes_skip(strbuf_bytes(out), start));
    for (int shift = 24; shift >= 0; shift -= 8) {
        strbuf_add_char(out, (char)(checksum >> shift & 255));
    }
}

static unsigned octet_at(struct bytes view, size_t index)
{
    return (unsigned char)view.data[index];
}

static bool is_one_line(struct bytes text)
{
    return bytes_find(text, '\r') == text.len && bytes_find(text, '\n') == text.len &&
           bytes_find(text, '\0') == text.len;
}

static bool read_kind(struct bytes value, enum envelope_kind *kind)
{
    if (value.len != 1 || octet_at(value, 0) < ENVELOPE_FORWARD ||
        octet_at(value, 0) > ENVELOPE_BOUNCE) {
        return false;
    }
    *kind = (enum envelope_kind)octet_at(value, 0);
    return true;
}

static bool read_return(struct bytes value, enum dsn_return *ret)
{
    if (value.len != 1 || octet_at(value, 0) < DSN_RETURN_FULL ||
        octet_at(value, 0) > DSN_RETURN_HEADERS) {
        return false;
    }
    *ret = (enum dsn_return)octet_at(value, 0);
    return true;
}

static bool read_field(unsigned tag, struct bytes value, struct envelope *envelope)
{
    switch (tag) {
    case TAG_KIND:
        return read_kind(value, &envelope->kind);
    case TAG_SENDER:
        envelope->sender = value;
        return is_one_line(value);
    case TAG_FLAGS:
        if (value.len != 1) {
            return false;
        }
        read_flags(octet_at(value, 0), envelope);
        return true;
    case TAG_CLIENT_IP:
        envelope->client_ip = value;
        return is_one_line(value);
    case TAG_CLIENT_HELO:
        envelope->client_helo = value;
        return is_one_line(value);
    case TAG_SESSION:
        envelope->session = value;
        return is_one_line(value);
    case TAG_BOUNCE_OF:
        envelope->bounce_of = value;
        return is_one_line(value);
    case TAG_RETURN:
        return read_return(value, &envelope->ret);
    case TAG_ENVID:
        envelope->envid = value;
        return dsn_envid_is_valid(value);
    default:
        return true; /* written by a newer version */
    }
}

/* Version, length and checksum are right: the fields are what stands between. */
static bool open_record(struct bytes record, struct bytes *fields)
{
    uint32_t checksum = 0;
    struct bytes covered;

    if (record.len < 1 + CHECKSUM_LENGTH || octet_at(record, 0) != RECORD_VERSION) {
        return false;
    }
    covered = bytes_first(record, record.len - CHECKSUM_LENGTH);
    for (size_t i = covered.len; i < record.len; i++) {
        checksum = checksum << 8 | octet_at(record, i);
    }
    if (checksum != crc32c(0, covered)) {
        return false;
    }
    *fields = bytes_skip(covered, 1);
    return true;
}

bool envelope_record_read(struct bytes record, struct envelope *envelope)
{
    struct envelope found = {.kind = ENVELOPE_FORWARD};
    unsigned seen = 0;
    struct bytes rest;

    if (!open_record(record, &rest)) {
        return false;
    }
    while (rest.len != 0) {
        unsigned tag;
        size_t length;

        if (rest.len < FIELD_HEAD) {
            return false;
        }
        tag = octet_at(rest, 0);
        length = octet_at(rest, 1) << 8 | octet_at(rest, 2);
        rest = bytes_skip(rest, FIELD_HEAD);
        if (length > rest.len || (tag < TAG_LIMIT && (seen >> tag & 1) != 0) ||
            !read_field(tag, bytes_first(rest, length), &found)) {
            return false;
        }
        seen |= tag < TAG_LIMIT ? 1U << tag : 0;
        rest = bytes_skip(rest, length);
    }
    if ((seen >> TAG_KIND & 1) == 0 || (seen >> TAG_SENDER & 1) == 0) {
        return false;
    }
    *envelope = found;
    return true;
}
