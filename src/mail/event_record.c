#include "mail/event_record.h"

#include "base/calendar.h"
#include "base/encoding.h"
#include "base/strbuf.h"

enum { PREFIX_LIMIT = 256, ESCAPE_LENGTH = 4 /* \xNN */ };

/* What is being read. */
struct event_reader {
    struct bytes rest;
    struct arena *arena;
    struct event_field *fields;
    size_t count;
    bool is_cut; /* the line ends inside of a field */
};

static bool is_name_octet(unsigned char octet)
{
    return ascii_is_alnum(octet) || octet == '-' || octet == '_' || octet == '.';
}

static bool is_name(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_name_octet((unsigned char)text.data[i])) {
            return false;
        }
    }
    return text.len > 0;
}

static bool add_field(struct event_reader *reader, struct bytes name, struct bytes value)
{
    if (reader->count == EVENT_FIELD_LIMIT || !is_name(name)) {
        return false;
    }
    reader->fields[reader->count++] = (struct event_field){.name = name, .value = value};
    return true;
}

static int hex_digit(char digit)
{
    unsigned char lower = ascii_lower((unsigned char)digit);

    return ascii_is_digit(lower)          ? lower - '0'
           : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                          : -1;
}

/* `count` digits; -1: they are none. */
static int read_hex(struct bytes text, size_t count)
{
    int value = 0;

    if (text.len < count) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        int digit = hex_digit(text.data[i]);

        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* ---- escapes ----------------------------------------------------------------------------- */

static char short_escape(char letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}

/* At most four octets. */
static size_t put_character(char *to, unsigned code)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xc0 | code >> 6);
        to[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (char)(0xe0 | code >> 12);
        to[1] = (char)(0x80 | (code >> 6 & 0x3f));
        to[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | code >> 18);
    to[1] = (char)(0x80 | (code >> 12 & 0x3f));
    to[2] = (char)(0x80 | (code >> 6 & 0x3f));
    to[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* \uXXXX, or two of them (RFC 8259 §7); half a pair is no character. */
static size_t read_character(struct bytes text, char *to, size_t *to_len)
{
    int code = read_hex(bytes_skip(text, 2), 4);
    size_t used = 6;

    if (code < 0) {
        return 0;
    }
    if (code >= 0xd800 && code < 0xdc00 &&
        bytes_starts_with(bytes_skip(text, 6), BYTES("\\u"))) {
        int low = read_hex(bytes_skip(text, 8), 4);

        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            used = 12;
        }
    }
    if (code >= 0xd800 && code < 0xe000) {
        code = 0xfffd;
    }
    *to_len += put_character(to + *to_len, (unsigned)code);
    return used;
}

/* The escape at the start of the text: octets it takes, 0 when it is none. It never stands for more octets than
 * it has. */
static size_t read_escape(struct bytes text, bool is_json, char *to, size_t *to_len)
{
    char letter = text.len > 1 ? text.data[1] : '\0';
    int octet;

    if (is_json && letter == 'u') {
        return read_character(text, to, to_len);
    }
    if (!is_json && letter == 'x') {
        octet = read_hex(bytes_skip(text, 2), 2);
        if (octet < 0) {
            return 0;
        }
        to[(*to_len)++] = (char)octet;
        return ESCAPE_LENGTH;
    }
    if (short_escape(letter) == '\0') {
        return 0;
    }
    to[(*to_len)++] = short_escape(letter);
    return 2;
}

static bool unescape(struct event_reader *reader, struct bytes text, bool is_json,
                     struct bytes *value)
{
    char *to;
    size_t len = 0;

    if (bytes_find(text, '\\') == text.len) {
        *value = text;
        return true;
    }
    to = arena_alloc(reader->arena, text.len);
    while (text.len > 0) {
        size_t used = 1;

        if (text.data[0] == '\\') {
            used = read_escape(text, is_json, to, &len);
            if (used == 0) {
                return false;
            }
        } else {
            to[len++] = text.data[0];
        }
        text = bytes_skip(text, used);
    }
    *value = bytes_of(to, len);
    return true;
}

/* Octets of the quoted text at the start, both quotes included; 0: its end is not there. */
static size_t quoted_length(struct bytes text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.data[i] == '\\') {
            i++;
        } else if (text.data[i] == '"') {
            return i + 1;
        }
    }
    return 0;
}

/* "..." at the start of the rest. False: malformed, or (is_cut) without its end. */
static bool take_quoted(struct event_reader *reader, bool is_json, struct bytes *value)
{
    size_t len = quoted_length(reader->rest);

    if (len == 0) {
        reader->is_cut = true;
        return false;
    }
    if (!unescape(reader, bytes_between(reader->rest, 1, len - 1), is_json, value)) {
        return false;
    }
    reader->rest = bytes_skip(reader->rest, len);
    return true;
}

/* ---- logfmt ------------------------------------------------------------------------------ */

static bool take_pair(struct event_reader *reader)
{
    size_t name_len = bytes_find(reader->rest, '=');
    struct bytes name = bytes_first(reader->rest, name_len), value;

    if (name_len == reader->rest.len) {
        reader->is_cut = is_name(name);
        return false;
    }
    reader->rest = bytes_skip(reader->rest, name_len + 1);
    if (reader->rest.len > 0 && reader->rest.data[0] == '"') {
        if (!take_quoted(reader, false, &value)) {
            reader->is_cut = reader->is_cut && is_name(name);
            return false;
        }
    } else {
        value = bytes_first(reader->rest, bytes_find(reader->rest, ' '));
        reader->rest = bytes_skip(reader->rest, value.len);
    }
    return add_field(reader, name, value);
}

static bool read_pairs(struct event_reader *reader)
{
    while (take_pair(reader)) {
        if (reader->rest.len == 0) {
            return true;
        }
        if (reader->rest.data[0] != ' ') {
            return false;
        }
        reader->rest = bytes_skip(reader->rest, 1);
        if (reader->rest.len == 0) {
            return true;
        }
    }
    return reader->is_cut;
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void skip_blanks(struct event_reader *reader)
{
    while (reader->rest.len > 0 &&
           (reader->rest.data[0] == ' ' || reader->rest.data[0] == '\t')) {
        reader->rest = bytes_skip(reader->rest, 1);
    }
}

/* One octet, blanks around it. */
static bool take_mark(struct event_reader *reader, char mark)
{
    skip_blanks(reader);
    if (reader->rest.len == 0) {
        reader->is_cut = true;
        return false;
    }
    if (reader->rest.data[0] != mark) {
        return false;
    }
    reader->rest = bytes_skip(reader->rest, 1);
    skip_blanks(reader);
    return true;
}

/* A number, true, false, null. */
static bool take_word(struct event_reader *reader, struct bytes *value)
{
    size_t len = 0;

    while (len < reader->rest.len && (is_name_octet((unsigned char)reader->rest.data[len]) ||
                                      reader->rest.data[len] == '+')) {
        len++;
    }
    *value = bytes_first(reader->rest, len);
    reader->rest = bytes_skip(reader->rest, len);
    reader->is_cut = reader->rest.len == 0;
    return len > 0 && !reader->is_cut;
}

static bool take_member(struct event_reader *reader)
{
    struct bytes name, value;

    if (reader->rest.len == 0) {
        reader->is_cut = true;
        return false;
    }
    if (reader->rest.data[0] != '"' || !take_quoted(reader, true, &name) ||
        !take_mark(reader, ':')) {
        return false;
    }
    if (reader->rest.len > 0 && reader->rest.data[0] == '"') {
        return take_quoted(reader, true, &value) && add_field(reader, name, value);
    }
    return take_word(reader, &value) && add_field(reader, name, value);
}

static bool read_object(struct event_reader *reader)
{
    if (!take_mark(reader, '{')) {
        return false;
    }
    while (take_member(reader)) {
        if (take_mark(reader, ',')) {
            continue;
        }
        return reader->is_cut || (take_mark(reader, '}') && reader->rest.len == 0);
    }
    return reader->is_cut;
}

/* ---- the line ---------------------------------------------------------------------------- */

/* "Nov 22 07:54:37 mx postilion[42]: " or a time alone: a tag, when there is one, ends it. */
static bool is_prefix(struct bytes text)
{
    size_t tag = bytes_find_part(text, BYTES(": "));

    return text.len <= PREFIX_LIMIT &&
           (text.len == 0 ||
            ((text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '>') &&
             (tag == text.len || tag + 2 == text.len)));
}

/* Where our own part begins; line.len: nowhere. */
static size_t find_start(struct bytes line, bool *is_json)
{
    size_t logfmt = bytes_find_part(line, BYTES("ts="));
    size_t json = bytes_find(line, '{');
    size_t start = json < logfmt ? json : logfmt;

    *is_json = json < logfmt;
    return is_prefix(bytes_first(line, start)) ? start : line.len;
}

/* Takes ts, level and event out of the fields. A collector may have sorted the members of an object;
 * in logfmt they come first. */
static bool take_head(struct event_record *record, struct event_reader *reader)
{
    static const char *const NAMES[] = {"ts", "level", "event"};
    struct bytes found[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    size_t kept = 0;

    for (size_t i = 0; i < reader->count; i++) {
        size_t which = 0;

        while (which < 3 &&
               (found[which].data != NULL ||
                !bytes_equal(reader->fields[i].name, bytes_from_text(NAMES[which])))) {
            which++;
        }
        if (which < 3) {
            found[which] = reader->fields[i].value;
        } else {
            reader->fields[kept++] = reader->fields[i];
        }
    }
    record->level = found[1];
    record->event = found[2];
    record->fields = reader->fields;
    record->count = kept;
    return is_name(record->level) && is_name(record->event) && found[0].data != NULL &&
           calendar_read_timestamp(found[0], &record->time_ms);
}

static size_t count_octets(struct bytes text, char octet)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        count += text.data[i] == octet;
    }
    return count < EVENT_FIELD_LIMIT ? count : EVENT_FIELD_LIMIT;
}

bool event_record_read(struct event_record *record, struct bytes line, struct arena *arena)
{
    struct event_reader reader = {.arena = arena};
    bool is_json;
    size_t start;

    *record = (struct event_record){.time_ms = 0};
    while (line.len > 0 &&
           (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r')) {
        line.len--;
    }
    if (line.len > EVENT_LINE_LIMIT) {
        return false;
    }
    start = find_start(line, &is_json);
    if (start == line.len) {
        return false;
    }
    reader.rest = bytes_skip(line, start);
    reader.fields = arena_alloc(arena, (count_octets(reader.rest, is_json ? ':' : '=') + 1) *
                                           sizeof *reader.fields);
    return (is_json ? read_object(&reader) : read_pairs(&reader)) && take_head(record, &reader);
}

/* ---- fields ------------------------------------------------------------------------------ */

struct bytes event_record_next(const struct event_record *record, const char *name,
                               size_t *position)
{
    struct bytes wanted = bytes_from_text(name);

    while (*position < record->count) {
        const struct event_field *field = &record->fields[(*position)++];
        struct bytes value = field->value;

        if (!bytes_equal(field->name, wanted)) {
            continue;
        }
        if (value.len >= 2 && value.data[0] == '<' && value.data[value.len - 1] == '>') {
            value = bytes_between(value, 1, value.len - 1);
        }
        return value;
    }
    return (struct bytes){NULL, 0};
}

struct bytes event_record_get(const struct event_record *record, const char *name)
{
    size_t position = 0;

    return event_record_next(record, name, &position);
}

bool event_record_is(const struct event_record *record, const char *event)
{
    return bytes_equal(record->event, bytes_from_text(event));
}

uint64_t event_record_number(const struct event_record *record, const char *name)
{
    uint64_t number;

    return bytes_to_u64(event_record_get(record, name), &number) ? number : 0;
}
