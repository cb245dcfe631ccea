#include "mail/mime_parameters.h"

#include "base/strbuf.h"
#include "mail/mime_decoding.h"

#include <stdlib.h>

enum {
    SECTION_LIMIT = 64,
    NO_SECTION = -1,
    COMMENT_LIMIT = 64, /* octets, in front of a "=" */
    /* Octets of values, comments and blanks looked at for each octet of the field, so that time stays
     * linear. */
    EFFORT = 16,
    EFFORT_AT_LEAST = 4096,
};

/* One parameter of the name that is looked for. */
struct parameter {
    struct bytes text; /* raw: from behind the "=" up to the end of the field */
    bool is_extended;  /* "name*=" */
    int section;       /* "name*3=" */
    char kind;         /* first letter of its name: sections belong together by it */
};

/* One field being read. */
struct reading {
    struct bytes value; /* unfolded */
    struct bytes name;
    mime_value_found *found;
    void *context;
    struct parameter sections[SECTION_LIMIT];
    size_t section_count;
    size_t effort; /* left */
};

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

static void doubt(const struct reading *reading)
{
    reading->found(reading->context, MIME_READS_DOUBTFUL, BYTES(""));
}

/* False: there are more readings than anybody can look at. */
static bool spend(struct reading *reading, size_t octets)
{
    if (reading->effort < octets) {
        if (reading->effort > 0) {
            doubt(reading);
        }
        reading->effort = 0;
        return false;
    }
    reading->effort -= octets;
    return true;
}

/* ---- values ------------------------------------------------------------------------------- */

/* Charsets whose octets do not read as ASCII where they are letters of ASCII. */
static bool is_strange_charset(struct bytes charset)
{
    static const char *const STRANGE[] = {
        "utf-7",   "utf7",     "unicode-1-1", "utf-16", "utf16",   "utf-32",
        "utf32",   "ucs",      "iso-10646",   "ebcdic", "cp037",   "ibm037",
        "ibm-037", "cp500",    "ibm500",      "cp1026", "ibm1026", "cp1047",
        "ibm1047", "ibm01047", "hz",          "x-imap", "csutf7",  "csutf16"};

    for (size_t i = 0; i < sizeof STRANGE / sizeof STRANGE[0]; i++) {
        if (bytes_starts_with_nocase(charset, bytes_from_text(STRANGE[i]))) {
            return true;
        }
    }
    return false;
}

static int hex_value(char octet)
{
    unsigned char lower = ascii_lower((unsigned char)octet);

    if (ascii_is_digit(lower)) {
        return lower - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* "%41" and "=41" both stand for "A". */
static void add_unescaped(struct strbuf *out, struct bytes text, char mark)
{
    for (size_t i = 0; i < text.len; i++) {
        int high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
        int low = i + 2 < text.len ? hex_value(text.data[i + 2]) : -1;

        if (text.data[i] == mark && high >= 0 && low >= 0) {
            strbuf_add_char(out, (char)(high << 4 | low));
            i += 2;
        } else if (mark == '=' && text.data[i] == '_') {
            strbuf_add_char(out, ' ');
        } else {
            strbuf_add_char(out, text.data[i]);
        }
    }
}

static void add_base64(struct strbuf *out, struct bytes text)
{
    struct mime_decoding decoding = {.encoding = MIME_BASE64};
    char octets[256 + MIME_DECODING_EXCESS];

    while (text.len > 0) {
        struct bytes piece = bytes_first(text, 256);

        strbuf_add(out, bytes_of(octets, mime_decode(&decoding, piece, octets)));
        text = bytes_skip(text, piece.len);
    }
    strbuf_add(out, bytes_of(octets, mime_decode(&decoding, BYTES("===="), octets)));
}

/* "=?charset?B?text?=" at the start; its end may be missing. Returns octets used, 0: it is none. */
static size_t add_encoded_word(const struct reading *reading, struct strbuf *out,
                               struct bytes text)
{
    struct bytes rest = bytes_skip(text, 2);
    struct bytes charset = bytes_cut(&rest, '?');
    struct bytes encoding = bytes_cut(&rest, '?');
    unsigned char letter = encoding.len == 1 ? ascii_lower((unsigned char)encoding.data[0]) : 0;
    struct bytes encoded;
    size_t length;

    if ((letter != 'b' && letter != 'q') || charset.len > 100) {
        return 0; /* before its end is looked for, which may be far away */
    }
    if (is_strange_charset(charset)) {
        doubt(reading);
    }
    length = bytes_find_part(rest, BYTES("?="));
    encoded = bytes_first(rest, length);
    if (letter == 'b') {
        add_base64(out, encoded);
    } else {
        add_unescaped(out, encoded, '=');
    }
    return (size_t)(bytes_skip(rest, length + 2).data - text.data);
}

static size_t count_blanks(struct bytes text)
{
    size_t count = 0;

    while (count < text.len && is_blank(text.data[count])) {
        count++;
    }
    return count;
}

/* Blanks between two encoded words are not part of the text (RFC 2047 §6.2). */
static void add_decoded(const struct reading *reading, struct strbuf *out, struct bytes text)
{
    bool is_behind_word = false;

    while (text.len > 0) {
        size_t blanks = count_blanks(text);
        struct bytes next = bytes_skip(text, blanks);
        size_t before = out->len;
        size_t used = 0;

        if (bytes_starts_with(next, BYTES("=?"))) {
            if (!is_behind_word) {
                strbuf_add(out, bytes_first(text, blanks));
            }
            used = add_encoded_word(reading, out, next);
        }
        if (used > 0) {
            is_behind_word = true;
            text = bytes_skip(next, used);
        } else {
            strbuf_truncate(out, before);
            strbuf_add(out, bytes_first(text, blanks + 1));
            is_behind_word = false;
            text = bytes_skip(text, blanks + 1);
        }
    }
}

/* As it stands, and as it reads. */
static void tell(struct reading *reading, struct bytes value)
{
    struct strbuf decoded;

    if (value.len == 0 || !spend(reading, value.len)) {
        return;
    }
    reading->found(reading->context, MIME_READS_VALUE, value);
    if (bytes_find_part(value, BYTES("=?")) == value.len) {
        return;
    }
    strbuf_init(&decoded, 2 * MIME_VALUE_LIMIT);
    add_decoded(reading, &decoded, value);
    reading->found(reading->context, MIME_READS_VALUE, strbuf_bytes(&decoded));
    strbuf_clear(&decoded);
}

/* "utf-8'en'text" without charset and language. */
static struct bytes skip_charset(const struct reading *reading, struct bytes text)
{
    struct bytes rest = text;
    struct bytes charset = bytes_cut(&rest, '\'');
    size_t language = bytes_find(rest, '\'');

    if (rest.len == 0 || language == rest.len) {
        return text;
    }
    if (is_strange_charset(charset)) {
        doubt(reading);
    }
    return bytes_skip(rest, language + 1);
}

static void tell_extended(struct reading *reading, struct bytes value)
{
    struct strbuf decoded;

    strbuf_init(&decoded, MIME_VALUE_LIMIT);
    add_unescaped(&decoded, skip_charset(reading, value), '%');
    tell(reading, strbuf_bytes(&decoded));
    strbuf_clear(&decoded);
}

/* ---- where a value ends ------------------------------------------------------------------- */

/* The quote that ends it, or all when none does. */
static size_t quoted_length(struct bytes text, bool has_escapes)
{
    size_t at = 0;

    while (at < text.len && text.data[at] != '"') {
        at += has_escapes && text.data[at] == '\\' ? 2 : 1;
    }
    return at < text.len ? at : text.len;
}

static void add_without(struct strbuf *out, struct bytes text, char left_out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != left_out) {
            strbuf_add_char(out, text.data[i]);
        }
    }
}

static void tell_as(struct reading *reading, const struct parameter *parameter,
                    struct bytes value)
{
    value = bytes_trim(value);
    tell(reading, value);
    if (parameter->is_extended) {
        tell_extended(reading, value);
    }
}

static void tell_quoted(struct reading *reading, const struct parameter *parameter,
                        struct bytes text)
{
    struct bytes inside = bytes_skip(text, 1);
    size_t plain = quoted_length(inside, false);
    size_t escaped = quoted_length(inside, true);
    struct strbuf value;

    tell_as(reading, parameter, bytes_first(inside, plain));
    if (bytes_find(bytes_first(inside, escaped), '\\') == escaped) {
        return;
    }
    tell_as(reading, parameter, bytes_first(inside, escaped));
    strbuf_init(&value, MIME_VALUE_LIMIT);
    for (size_t i = 0; i < escaped; i++) {
        i += inside.data[i] == '\\' && i + 1 < escaped;
        strbuf_add_char(&value, inside.data[i]);
    }
    tell_as(reading, parameter, strbuf_bytes(&value));
    strbuf_clear(&value);
}

/* Up to the semicolon, blanks and quotes or not. */
static void tell_bare(struct reading *reading, const struct parameter *parameter,
                      struct bytes text)
{
    struct bytes value = bytes_trim(bytes_first(text, bytes_find(text, ';')));
    size_t word = 0;
    struct strbuf unquoted;

    while (word < value.len && !is_blank(value.data[word])) {
        word++;
    }
    tell_as(reading, parameter, value);
    if (word < value.len) {
        tell_as(reading, parameter, bytes_first(value, word));
    }
    if (bytes_find(value, '"') < value.len) {
        strbuf_init(&unquoted, MIME_VALUE_LIMIT);
        add_without(&unquoted, value, '"');
        tell_as(reading, parameter, strbuf_bytes(&unquoted));
        strbuf_clear(&unquoted);
    }
}

/* The reading that continuations are joined by: one each. */
static struct bytes plain_value(struct bytes text)
{
    if (bytes_starts_with(text, BYTES("\""))) {
        struct bytes inside = bytes_skip(text, 1);
        return bytes_first(inside, quoted_length(inside, true));
    }
    return bytes_trim(bytes_first(text, bytes_find(text, ';')));
}

/* ---- continuations ------------------------------------------------------------------------ */

static int compare_sections(const void *left, const void *right)
{
    const struct parameter *a = left, *b = right;

    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->section != b->section) {
        return a->section < b->section ? -1 : 1;
    }
    return a->text.data < b->text.data ? -1 : 1;
}

/* Sections of one name, one behind the other. `is_all_extended`: whether percent is decoded in those
 * that do not ask for it, too. */
static void tell_joined(struct reading *reading, const struct parameter *sections, size_t count,
                        bool is_all_extended)
{
    struct strbuf joined;

    strbuf_init(&joined, MIME_VALUE_LIMIT);
    for (size_t i = 0; i < count; i++) {
        struct bytes value = plain_value(sections[i].text);

        if (!spend(reading, value.len)) {
            break;
        }
        if (i == 0 && sections[i].is_extended) {
            value = skip_charset(reading, value);
        }
        if (is_all_extended || sections[i].is_extended) {
            add_unescaped(&joined, value, '%');
        } else {
            add_without(&joined, value, '\\');
        }
    }
    tell(reading, strbuf_bytes(&joined));
    strbuf_clear(&joined);
}

/* Sections are numbered from 0 without a gap: what else there is, clients read as they like. */
static bool are_in_order(const struct parameter *sections, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sections[i].section != (int)i) {
            return false;
        }
    }
    return true;
}

static void tell_sections(struct reading *reading)
{
    struct parameter *sections = reading->sections;
    size_t first = 0;

    tell_joined(reading, sections, reading->section_count, true);
    qsort(sections, reading->section_count, sizeof *sections, compare_sections);
    while (first < reading->section_count) {
        size_t count = 1;

        while (first + count < reading->section_count &&
               sections[first + count].kind == sections[first].kind) {
            count++;
        }
        tell_joined(reading, sections + first, count, false);
        tell_joined(reading, sections + first, count, true);
        if (!are_in_order(sections + first, count)) {
            doubt(reading);
        }
        first += count;
    }
}

/* ---- parameters --------------------------------------------------------------------------- */

/* Comments and blanks may stand between a name and its "=". */
static size_t skip_back(struct bytes text, size_t at)
{
    while (at > 0) {
        if (is_blank(text.data[at - 1])) {
            at--;
        } else if (text.data[at - 1] == ')') {
            size_t from = at > COMMENT_LIMIT ? at - COMMENT_LIMIT : 0;
            size_t open = bytes_find_last(bytes_between(text, from, at), '(');
            if (open == at - from) {
                break;
            }
            at = from + open;
        } else {
            break;
        }
    }
    return at;
}

static struct bytes skip_blanks_and_comments(struct bytes text)
{
    for (;;) {
        size_t close;

        text = bytes_skip(text, count_blanks(text));
        if (!bytes_starts_with(text, BYTES("("))) {
            return text;
        }
        close = bytes_find(text, ')');
        if (close == text.len) {
            return text;
        }
        text = bytes_skip(text, close + 1);
    }
}

static bool is_name_octet(char octet)
{
    return ascii_is_alnum((unsigned char)octet) || octet == '-' || octet == '_' || octet == '*';
}

/* "filename*0*" into its parts. False: it is another parameter. */
static bool read_name(const struct reading *reading, struct bytes name,
                      struct parameter *parameter)
{
    size_t digits = 0;

    parameter->is_extended = name.len > 0 && name.data[name.len - 1] == '*';
    name.len -= parameter->is_extended;
    parameter->section = NO_SECTION;
    while (digits < name.len &&
           ascii_is_digit((unsigned char)name.data[name.len - 1 - digits])) {
        digits++;
    }
    if (digits > 0 && digits < name.len && name.data[name.len - 1 - digits] == '*') {
        parameter->section = 0;
        for (size_t i = name.len - digits; i < name.len; i++) {
            parameter->section = parameter->section * 10 + (name.data[i] - '0');
            if (parameter->section > 9999) {
                parameter->section = 9999;
            }
        }
        name.len -= digits + 1;
    }
    parameter->kind = name.len == 0 ? '\0' : (char)ascii_lower((unsigned char)name.data[0]);
    return bytes_ends_with_nocase(name, reading->name);
}

static void take_parameter(struct reading *reading, const struct parameter *parameter)
{
    if (parameter->section != NO_SECTION) {
        if (reading->section_count == SECTION_LIMIT) {
            doubt(reading);
        } else {
            reading->sections[reading->section_count++] = *parameter;
        }
    }
    if (bytes_starts_with(parameter->text, BYTES("\""))) {
        tell_quoted(reading, parameter, parameter->text);
    }
    tell_bare(reading, parameter, parameter->text);
}

/* Looks at every "=", in quotes or not: where quotes end is what clients differ about. */
static void read_value(struct reading *reading)
{
    struct bytes value = reading->value;
    size_t at;

    reading->section_count = 0;
    reading->effort = EFFORT * value.len + EFFORT_AT_LEAST;
    for (at = bytes_find(value, '='); at < value.len && reading->effort > 0;
         at += 1 + bytes_find(bytes_skip(value, at + 1), '=')) {
        size_t end = skip_back(value, at);
        size_t start = end;
        struct parameter parameter;

        while (start > 0 && is_name_octet(value.data[start - 1])) {
            start--;
        }
        if (!spend(reading, at - end)) {
            break;
        }
        if (read_name(reading, bytes_between(value, start, end), &parameter)) {
            struct bytes rest = bytes_skip(value, at + 1);

            parameter.text = skip_blanks_and_comments(rest);
            if (spend(reading, rest.len - parameter.text.len)) {
                take_parameter(reading, &parameter);
            }
        }
    }
    if (reading->section_count > 0) {
        tell_sections(reading);
    }
}

/* Line ends go; the blanks behind them go as well, or stay. */
static void add_unfolded(struct strbuf *out, struct bytes value, bool keeps_blanks)
{
    bool is_behind_fold = false;

    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '\r' || value.data[i] == '\n') {
            is_behind_fold = true;
        } else if (keeps_blanks || !is_behind_fold || !is_blank(value.data[i])) {
            strbuf_add_char(out, value.data[i]);
            is_behind_fold = false;
        }
    }
}

void mime_parameters_find(struct bytes field_value, struct bytes name, mime_value_found *found,
                          void *context)
{
    struct reading reading = {.name = name, .found = found, .context = context};
    struct bytes raw = bytes_trim(field_value);
    struct strbuf unfolded;

    strbuf_init(&unfolded, MIME_VALUE_LIMIT);
    add_unfolded(&unfolded, bytes_first(raw, MIME_VALUE_LIMIT), true);
    reading.value = strbuf_bytes(&unfolded);
    read_value(&reading);
    if (bytes_find(raw, '\n') < raw.len) {
        strbuf_reset(&unfolded);
        add_unfolded(&unfolded, bytes_first(raw, MIME_VALUE_LIMIT), false);
        reading.value = strbuf_bytes(&unfolded);
        read_value(&reading);
    }
    strbuf_clear(&unfolded);
}

size_t mime_parameters_type(struct bytes field_value, char *out, size_t room)
{
    size_t length = 0;
    int depth = 0;

    for (size_t i = 0; i < field_value.len && length < room; i++) {
        char octet = field_value.data[i];

        if (octet == '(') {
            depth++;
        } else if (octet == ')') {
            depth -= depth > 0;
        } else if (depth == 0 && octet == ';') {
            break;
        } else if (depth == 0 && octet > ' ' && octet < 127 && octet != '"') {
            out[length++] = (char)ascii_lower((unsigned char)octet);
        }
    }
    return length;
}
