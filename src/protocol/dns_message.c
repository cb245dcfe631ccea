#include "protocol/dns_message.h"

#include "dns_wire_name.h"

#include <assert.h>
#include <stdalign.h>

enum {
    HEADER_OCTETS = 12,
    POINTER_LIMIT = 64,
    CLASS_IN = 1,
    TYPE_OPT = 41,
    EDNS_OCTETS = 1232, /* fits in one unfragmented packet everywhere (DNS flag day 2020) */
    FLAG_AD = 0x20,     /* in the second octet of the flags */
};

struct reader {
    const uint8_t *data;
    size_t len;
    size_t at;
    bool is_bad; /* sticky: something reached behind the end or was no name */
};

/* One resource record: its fixed part, and where its data lies. */
struct raw_record {
    struct dns_wire_name owner;
    uint16_t type, class;
    uint32_t ttl;
    size_t start, end; /* of the rdata */
};

/* ---- queries ---- */

static void add_u16(struct strbuf *out, unsigned value)
{
    strbuf_add_char(out, (char)(value >> 8));
    strbuf_add_char(out, (char)(value & 0xff));
}

bool dns_query_write(struct strbuf *out, uint16_t id, struct bytes name, uint16_t type)
{
    struct dns_wire_name wire;
    struct dns_name text;

    /* A name whose text form is too long could never be recognised in the answer. */
    if (!dns_wire_name_parse(name, &wire) || !dns_wire_name_format(&wire, &text)) {
        return false;
    }
    add_u16(out, id);
    strbuf_add_char(out, 0x01); /* RD */
    strbuf_add_char(out, FLAG_AD);
    add_u16(out, 1); /* one question */
    add_u16(out, 0);
    add_u16(out, 0);
    add_u16(out, 1); /* one additional record: OPT */
    strbuf_add(out, bytes_of(wire.octets, wire.len));
    add_u16(out, type);
    add_u16(out, CLASS_IN);
    strbuf_add_char(out, 0); /* OPT belongs to the root */
    add_u16(out, TYPE_OPT);
    add_u16(out, EDNS_OCTETS); /* in the place of the class */
    add_u16(out, 0);           /* extended code 0, version 0 */
    add_u16(out, 0);           /* flags: DO clear */
    add_u16(out, 0);           /* no options */
    return !out->overflowed;
}

/* ---- reading ---- */

static uint8_t read_u8(struct reader *reader)
{
    if (reader->is_bad || reader->at >= reader->len) {
        reader->is_bad = true;
        return 0;
    }
    return reader->data[reader->at++];
}

static uint16_t read_u16(struct reader *reader)
{
    unsigned high = read_u8(reader);

    return (uint16_t)(high << 8 | read_u8(reader));
}

static uint32_t read_u32(struct reader *reader)
{
    uint32_t high = read_u16(reader);

    return high << 16 | read_u16(reader);
}

/* Reads a name and goes to what stands behind it. Pointers must lead backwards each time, so
 * the walk ends; their number is limited besides, so that it ends soon. */
static void read_name(struct reader *reader, struct dns_wire_name *name)
{
    struct reader walk = *reader;
    size_t lowest = reader->at;
    unsigned pointers = 0;

    name->len = 0;
    for (;;) {
        uint8_t len = read_u8(&walk);

        if (walk.is_bad) {
            break;
        }
        if ((len & 0xc0) == 0xc0) {
            size_t target = (size_t)(len & 0x3f) << 8 | read_u8(&walk);

            if (pointers++ == 0) {
                reader->at = walk.at;
            }
            walk.is_bad = walk.is_bad || target >= lowest || target < HEADER_OCTETS ||
                          pointers > POINTER_LIMIT;
            lowest = target;
            walk.at = target;
            continue;
        }
        if (len > DNS_LABEL_LIMIT || name->len + 1u + len > DNS_WIRE_NAME_LIMIT ||
            (len != 0 && name->len + 1u + len == DNS_WIRE_NAME_LIMIT)) {
            walk.is_bad = true;
            break;
        }
        name->octets[name->len++] = len;
        if (len == 0) {
            break;
        }
        for (unsigned i = 0; i < len; i++) {
            name->octets[name->len++] = ascii_lower(read_u8(&walk));
        }
    }
    reader->is_bad = reader->is_bad || walk.is_bad;
    if (pointers == 0) {
        reader->at = walk.at;
    }
}

/* Reads a record and goes to the next one. */
static void read_record(struct reader *reader, struct raw_record *record)
{
    uint16_t len;

    read_name(reader, &record->owner);
    record->type = read_u16(reader);
    record->class = read_u16(reader);
    record->ttl = read_u32(reader);
    if (record->ttl > INT32_MAX) {
        record->ttl = 0; /* RFC 2181 §8 */
    }
    len = read_u16(reader);
    record->start = reader->at;
    record->end = reader->at + len;
    if (record->end > reader->len) {
        reader->is_bad = true;
    }
    reader->at = record->end;
}

/* ---- record data ---- */

static struct reader rdata_reader(const struct reader *message, const struct raw_record *raw)
{
    /* The end of the rdata is the end of what may be read in place; pointers lead backwards. */
    return (struct reader){.data = message->data, .len = raw->end, .at = raw->start};
}

/* Writes a name as text into the arena. */
static struct bytes keep_name(struct reader *reader, const struct dns_wire_name *name,
                              struct arena *arena)
{
    struct dns_name text;

    if (reader->is_bad || !dns_wire_name_format(name, &text)) {
        reader->is_bad = true;
        return BYTES("");
    }
    return arena_copy(arena, bytes_of(text.octets, text.len));
}

static struct bytes read_name_text(struct reader *reader, struct arena *arena)
{
    struct dns_wire_name name;

    read_name(reader, &name);
    return keep_name(reader, &name, arena);
}

static void read_address(struct reader *reader, unsigned octets, struct ip_address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    address->family = octets == 4 ? IP_V4 : IP_V6;
    for (unsigned i = 0; i < octets; i++) {
        address->octets[i] = read_u8(reader);
    }
    if (octets == 16 && memcmp(address->octets, mapped, sizeof mapped) == 0) {
        address->family = IP_V4;
        memmove(address->octets, address->octets + 12, 4);
        memset(address->octets + 4, 0, 12);
    }
}

/* The strings of a TXT record joined; at least one must be there (RFC 1035 §3.3.14). */
static struct bytes read_strings(struct reader *reader, struct arena *arena)
{
    char *text = arena_alloc(arena, reader->len - reader->at + 1);
    size_t len = 0;

    do {
        size_t part = read_u8(reader);

        if (reader->is_bad || part > reader->len - reader->at) {
            reader->is_bad = true;
            return BYTES("");
        }
        memcpy(text + len, reader->data + reader->at, part);
        len += part;
        reader->at += part;
    } while (reader->at < reader->len);
    return bytes_of(text, len);
}

static bool read_rdata(const struct reader *message, const struct raw_record *raw,
                       struct arena *arena, struct dns_record *record)
{
    struct reader reader = rdata_reader(message, raw);

    record->type = raw->type;
    record->ttl = raw->ttl;
    switch (raw->type) {
    case DNS_TYPE_A:
        read_address(&reader, 4, &record->address);
        break;
    case DNS_TYPE_AAAA:
        read_address(&reader, 16, &record->address);
        break;
    case DNS_TYPE_MX:
        record->mx.preference = read_u16(&reader);
        record->mx.host = read_name_text(&reader, arena);
        break;
    case DNS_TYPE_TXT:
        record->text = read_strings(&reader, arena);
        break;
    case DNS_TYPE_NS:
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        record->name = read_name_text(&reader, arena);
        break;
    default:
        record->rdata =
            arena_copy(arena, bytes_of(message->data + raw->start, raw->end - raw->start));
        reader.at = reader.len;
        break;
    }
    return !reader.is_bad && reader.at == reader.len;
}

/* ---- answers ---- */

/* What the header of an answer says, and where its sections are. */
struct outline {
    struct reader message; /* at the first record of the answer section */
    unsigned code;
    unsigned answers, authorities;
};

static void fail(struct dns_answer *answer, const char *why)
{
    *answer = (struct dns_answer){
        .status = DNS_TEMPFAIL, .why = why, .is_truncated = answer->is_truncated};
}

static const char *why_of_code(unsigned code)
{
    switch (code) {
    case 1:
        return "formerr";
    case 2:
        return "servfail";
    case 4:
        return "notimp";
    case 5:
        return "refused";
    default:
        return "error-code";
    }
}

/* Reads the header and the question. A reason why this is no answer to it, or NULL. */
static const char *read_outline(struct outline *outline, const struct dns_wire_name *asked,
                                uint16_t asked_type, struct dns_answer *answer)
{
    struct reader *reader = &outline->message;
    struct dns_wire_name name;
    unsigned flags, questions;
    bool is_question_right;

    (void)read_u16(reader); /* the id is the transport's business */
    flags = read_u16(reader);
    questions = read_u16(reader);
    outline->answers = read_u16(reader);
    outline->authorities = read_u16(reader);
    (void)read_u16(reader);
    if (reader->is_bad || (flags & 0xf800) != 0x8000) { /* QR set, opcode 0 */
        return "malformed";
    }
    outline->code = flags & 0x0f;
    if (outline->code != 0 && outline->code != 3) {
        return why_of_code(outline->code); /* may come without the question */
    }
    if (questions != 1) {
        return "malformed";
    }
    read_name(reader, &name);
    is_question_right = read_u16(reader) == asked_type;
    is_question_right = read_u16(reader) == CLASS_IN && is_question_right;
    if (reader->is_bad) {
        return "malformed";
    }
    if (!is_question_right || !dns_wire_name_equals(&name, asked)) {
        return "wrong-question";
    }
    answer->is_truncated = (flags & 0x0200) != 0;
    answer->is_secure = (flags & FLAG_AD) != 0;
    return answer->is_truncated ? "truncated" : NULL;
}

static void lower_ttl(struct dns_answer *answer, uint32_t ttl)
{
    if (ttl < answer->ttl) {
        answer->ttl = ttl;
    }
}

/* Finds a CNAME of *owner and puts its target there. False: there is none (or bad data). */
static bool step_chain(const struct outline *outline, struct dns_wire_name *owner,
                       struct dns_answer *answer, bool *is_bad)
{
    struct reader reader = outline->message;

    for (unsigned i = 0; i < outline->answers; i++) {
        struct raw_record raw;

        read_record(&reader, &raw);
        if (reader.is_bad) {
            *is_bad = true;
            return false;
        }
        if (raw.type == DNS_TYPE_CNAME && raw.class == CLASS_IN &&
            dns_wire_name_equals(&raw.owner, owner)) {
            struct reader data = rdata_reader(&outline->message, &raw);

            read_name(&data, owner);
            *is_bad = data.is_bad || data.at != data.len;
            lower_ttl(answer, raw.ttl);
            return !*is_bad;
        }
    }
    return false;
}

/* Goes along the CNAMEs to the name that the records belong to. */
static const char *follow_chain(const struct outline *outline, uint16_t type,
                                struct dns_wire_name *owner, struct dns_answer *answer)
{
    bool is_bad = false;
    unsigned steps = 0;

    while (type != DNS_TYPE_CNAME && step_chain(outline, owner, answer, &is_bad)) {
        if (++steps > DNS_CHAIN_LIMIT) {
            return "cname-chain";
        }
    }
    return is_bad ? "malformed" : NULL;
}

static bool is_wanted(const struct raw_record *raw, uint16_t type,
                      const struct dns_wire_name *owner)
{
    return raw->type == type && raw->class == CLASS_IN &&
           dns_wire_name_equals(&raw->owner, owner);
}

/* How many records there are to keep; false when the section cannot be read. */
static bool count_records(const struct outline *outline, uint16_t type,
                          const struct dns_wire_name *owner, size_t *count)
{
    struct reader reader = outline->message;

    *count = 0;
    for (unsigned i = 0; i < outline->answers; i++) {
        struct raw_record raw;

        read_record(&reader, &raw);
        if (reader.is_bad) {
            return false;
        }
        *count += is_wanted(&raw, type, owner) ? 1 : 0;
    }
    if (*count > DNS_RECORD_LIMIT) {
        *count = DNS_RECORD_LIMIT;
    }
    return true;
}

static bool keep_records(const struct outline *outline, uint16_t type,
                         const struct dns_wire_name *owner, struct arena *arena,
                         struct dns_answer *answer)
{
    struct reader reader = outline->message;
    size_t count;

    if (!count_records(outline, type, owner, &count)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    answer->records = arena_alloc(arena, count * sizeof *answer->records);
    while (answer->count < count) {
        struct raw_record raw;

        read_record(&reader, &raw);
        if (is_wanted(&raw, type, owner)) {
            if (!read_rdata(&outline->message, &raw, arena, &answer->records[answer->count])) {
                return false;
            }
            lower_ttl(answer, raw.ttl);
            answer->count++;
        }
    }
    return true;
}

/* The time to live of "there is none": from the SOA of the authority section (RFC 2308 §5);
 * without one it must not be kept. NS records without an SOA are a referral (RFC 2308 §2.2):
 * the server does not recurse, and what it does not know must not be taken for "none". */
static const char *read_negative(const struct outline *outline, struct dns_answer *answer)
{
    struct reader reader = outline->message;
    struct raw_record raw;
    bool has_soa = false, has_ns = false;

    for (unsigned i = 0; i < outline->answers; i++) {
        read_record(&reader, &raw);
    }
    for (unsigned i = 0; i < outline->authorities && !reader.is_bad && !has_soa; i++) {
        read_record(&reader, &raw);
        has_ns = has_ns || raw.type == DNS_TYPE_NS;
        if (!reader.is_bad && raw.type == DNS_TYPE_SOA && raw.class == CLASS_IN) {
            struct reader data = rdata_reader(&outline->message, &raw);
            struct dns_wire_name name;

            read_name(&data, &name);
            read_name(&data, &name);
            data.at += 16; /* serial, refresh, retry, expire */
            lower_ttl(answer, raw.ttl);
            lower_ttl(answer, read_u32(&data));
            reader.is_bad = data.is_bad || data.at != data.len;
            has_soa = true;
        }
    }
    if (reader.is_bad) {
        return "malformed";
    }
    if (!has_soa) {
        answer->ttl = 0;
        return has_ns && answer->status == DNS_NODATA ? "referral" : NULL;
    }
    return NULL;
}

/* Everything behind the question. A reason why it is of no use, or NULL. */
static const char *read_sections(const struct outline *outline, struct dns_wire_name *owner,
                                 uint16_t type, struct arena *arena, struct dns_answer *answer)
{
    struct dns_name text;
    const char *why = follow_chain(outline, type, owner, answer);

    if (why != NULL) {
        return why;
    }
    if (!dns_wire_name_format(owner, &text)) {
        return "malformed";
    }
    answer->owner = arena_copy(arena, bytes_of(text.octets, text.len));
    if (outline->code == 3) {
        answer->status = DNS_NXDOMAIN;
        return read_negative(outline, answer);
    }
    if (!keep_records(outline, type, owner, arena, answer)) {
        return "malformed";
    }
    answer->status = answer->count > 0 ? DNS_OK : DNS_NODATA;
    return answer->count > 0 ? NULL : read_negative(outline, answer);
}

void dns_answer_read(struct bytes message, struct bytes asked_name, uint16_t asked_type,
                     struct arena *arena, struct dns_answer *answer)
{
    struct outline outline = {
        .message = {.data = (const uint8_t *)message.data, .len = message.len}};
    struct dns_wire_name owner;
    const char *why = "malformed";

    *answer = (struct dns_answer){.ttl = INT32_MAX};
    if (dns_wire_name_parse(asked_name, &owner)) {
        why = read_outline(&outline, &owner, asked_type, answer);
    }
    if (why == NULL) {
        why = read_sections(&outline, &owner, asked_type, arena, answer);
    }
    if (why != NULL) {
        fail(answer, why);
    }
}

/* ---- copies ---- */

/* The view inside a record, or NULL when it has none. */
static struct bytes *view_of(struct dns_record *record)
{
    switch (record->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        return NULL;
    case DNS_TYPE_MX:
        return &record->mx.host;
    case DNS_TYPE_TXT:
        return &record->text;
    case DNS_TYPE_NS:
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        return &record->name;
    default:
        return &record->rdata;
    }
}

size_t dns_answer_size(const struct dns_answer *answer)
{
    size_t size = answer->count * sizeof *answer->records + answer->owner.len;

    for (size_t i = 0; i < answer->count; i++) {
        const struct bytes *view = view_of(&answer->records[i]);

        size += view == NULL ? 0 : view->len;
    }
    return size;
}

static char *move_view(struct bytes *view, char *to)
{
    if (view->len > 0) {
        memcpy(to, view->data, view->len);
    }
    view->data = to;
    return to + view->len;
}

void dns_answer_copy(const struct dns_answer *answer, void *memory, struct dns_answer *copy)
{
    char *free_part = (char *)memory + answer->count * sizeof *answer->records;

    assert((uintptr_t)memory % alignof(struct dns_record) == 0);
    *copy = *answer;
    copy->records = answer->count > 0 ? memory : NULL;
    for (size_t i = 0; i < answer->count; i++) {
        struct bytes *view;

        copy->records[i] = answer->records[i];
        view = view_of(&copy->records[i]);
        if (view != NULL) {
            free_part = move_view(view, free_part);
        }
    }
    (void)move_view(&copy->owner, free_part);
}

/* ---- texts ---- */

const char *dns_type_text(uint16_t type)
{
    switch (type) {
    case DNS_TYPE_A:
        return "A";
    case DNS_TYPE_NS:
        return "NS";
    case DNS_TYPE_CNAME:
        return "CNAME";
    case DNS_TYPE_SOA:
        return "SOA";
    case DNS_TYPE_PTR:
        return "PTR";
    case DNS_TYPE_MX:
        return "MX";
    case DNS_TYPE_TXT:
        return "TXT";
    case DNS_TYPE_AAAA:
        return "AAAA";
    case DNS_TYPE_TLSA:
        return "TLSA";
    default:
        return "other";
    }
}

const char *dns_status_text(enum dns_status status)
{
    switch (status) {
    case DNS_OK:
        return "ok";
    case DNS_NODATA:
        return "nodata";
    case DNS_NXDOMAIN:
        return "nxdomain";
    case DNS_TEMPFAIL:
        return "tempfail";
    }
    return "unknown";
}
