#include "mail/results_reading.h"

#include "base/quoting.h"

/* One "key=value". */
struct pair {
    char key[RESULT_KEY_LIMIT + 1];
    size_t key_len;
    struct bytes value;
};

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

/* Controls and what only stands at the end of a comment or before a quoted octet. */
static bool is_misplaced(char octet)
{
    return ((unsigned char)octet < ' ' && !is_blank(octet)) || octet == 127 || octet == ')' ||
           octet == '\\';
}

static bool is_word_octet(char octet)
{
    return !is_blank(octet) && !is_misplaced(octet) && octet != '(' && octet != ';' &&
           octet != '"';
}

static bool starts_with_octet(struct bytes text, char octet)
{
    return text.len != 0 && text.data[0] == octet;
}

/* Blanks and comments. False: a comment is never closed. */
static bool skip_blanks(struct bytes *text)
{
    while (text->len != 0 && (is_blank(text->data[0]) || text->data[0] == '(')) {
        size_t length = text->data[0] == '(' ? quoting_comment_length(*text) : 1;

        if (length == 0) {
            return false;
        }
        *text = bytes_skip(*text, length);
    }
    return true;
}

/* A run of octets and quoted strings without a blank between them. False: there is none, or quotes
 * are never closed. */
static bool take_value(struct bytes *text, struct bytes *value)
{
    size_t at = 0;

    while (at < text->len && (is_word_octet(text->data[at]) || text->data[at] == '"')) {
        size_t length =
            text->data[at] == '"' ? quoting_string_length(bytes_skip(*text, at)) : 1;

        if (length == 0) {
            return false;
        }
        at += length;
    }
    *value = bytes_first(*text, at);
    *text = bytes_skip(*text, at);
    return at != 0;
}

static bool add_to_key(struct pair *pair, struct bytes *text)
{
    while (text->len != 0 && is_word_octet(text->data[0]) && text->data[0] != '=') {
        if (pair->key_len == RESULT_KEY_LIMIT) {
            return false;
        }
        pair->key[pair->key_len++] = (char)ascii_lower((unsigned char)text->data[0]);
        *text = bytes_skip(*text, 1);
    }
    return pair->key_len != 0;
}

static bool is_joint(char octet)
{
    return octet == '.' || octet == '/';
}

/* "header . from", "dmarc / 1": blanks may stand around what joins a key. */
static bool take_key(struct pair *pair, struct bytes *text)
{
    bool goes_on;

    pair->key_len = 0;
    do {
        if (!add_to_key(pair, text) || !skip_blanks(text)) {
            return false;
        }
        goes_on = text->len != 0 && text->data[0] != '=' &&
                  (is_joint(pair->key[pair->key_len - 1]) || is_joint(text->data[0]));
    } while (goes_on && is_word_octet(text->data[0]));
    pair->key[pair->key_len] = '\0';
    return !goes_on && !is_joint(pair->key[pair->key_len - 1]);
}

/* The blanks behind it go with it. */
static bool take_pair(struct bytes *text, struct pair *pair)
{
    if (!take_key(pair, text) || !starts_with_octet(*text, '=')) {
        return false;
    }
    *text = bytes_skip(*text, 1);
    return skip_blanks(text) && take_value(text, &pair->value) && skip_blanks(text);
}

enum results_reading_step results_reading_start(struct results_reading *reading,
                                                struct bytes payload)
{
    struct bytes name, version = BYTES("1");
    uint64_t number;

    if (!skip_blanks(&payload) || !take_value(&payload, &name) || !skip_blanks(&payload)) {
        return RESULTS_MALFORMED;
    }
    if (payload.len != 0 && payload.data[0] != ';' &&
        (!take_value(&payload, &version) || !skip_blanks(&payload))) {
        return RESULTS_MALFORMED;
    }
    if (!bytes_to_u64(version, &number) || (payload.len != 0 && payload.data[0] != ';')) {
        return RESULTS_MALFORMED;
    }
    reading->rest = payload;
    return RESULTS_NEXT;
}

/* "; none" and nothing behind it. */
static bool is_none(struct bytes text)
{
    struct bytes word;

    return take_value(&text, &word) && bytes_equal_nocase(word, BYTES("none")) &&
           skip_blanks(&text) && text.len == 0;
}

static bool take_result(struct bytes *text, struct read_result *result)
{
    struct pair pair;
    const char *start;

    if (!take_pair(text, &pair)) {
        return false;
    }
    memcpy(result->method, pair.key, pair.key_len + 1);
    result->result = pair.value;
    start = text->data;
    while (text->len != 0 && text->data[0] != ';') {
        if (!take_pair(text, &pair)) {
            return false;
        }
    }
    result->properties = bytes_of(start, (size_t)(text->data - start));
    return true;
}

enum results_reading_step results_reading_next(struct results_reading *reading,
                                               struct read_result *result)
{
    struct bytes *rest = &reading->rest;

    while (starts_with_octet(*rest, ';')) {
        *rest = bytes_skip(*rest, 1);
        if (!skip_blanks(rest)) {
            return RESULTS_MALFORMED;
        }
    }
    if (rest->len == 0 || is_none(*rest)) {
        *rest = BYTES("");
        return RESULTS_END;
    }
    return take_result(rest, result) ? RESULTS_NEXT : RESULTS_MALFORMED;
}

bool results_reading_is_method(const struct read_result *result, const char *method)
{
    struct bytes version = bytes_from_text(result->method);

    return bytes_equal(bytes_cut(&version, '/'), bytes_from_text(method)) &&
           (version.len == 0 || bytes_equal(version, BYTES("1")));
}

/* Quotes of every quoted part go, and the "\" of quoted octets; folds inside go without a trace. */
static void add_unquoted(struct strbuf *out, struct bytes value)
{
    bool is_quoted = false;

    for (size_t at = 0; at < value.len; at++) {
        char octet = value.data[at];

        if (octet == '"') {
            is_quoted = !is_quoted;
            continue;
        }
        if (octet == '\\' && is_quoted && at + 1 < value.len) {
            octet = value.data[++at];
        } else if (octet == '\r' || octet == '\n') {
            continue;
        }
        strbuf_add_char(out, octet);
    }
}

bool results_reading_property(const struct read_result *result, const char *key,
                              struct strbuf *out)
{
    struct bytes rest = result->properties;
    struct pair pair;
    size_t count = 0;

    while (rest.len != 0 && take_pair(&rest, &pair)) {
        if (strcmp(pair.key, key) == 0 && ++count == 1) {
            strbuf_reset(out);
            add_unquoted(out, pair.value);
        }
    }
    return count == 1;
}
