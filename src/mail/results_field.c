#include "mail/results_field.h"

#include "base/quoting.h"

#include "mail/header_block.h"

enum { FOLD_COLUMN = 78, WORD_LIMIT = 1024 };

/* ---- writing ----------------------------------------------------------------------------- */

/* Words are built one by one in `word` and put on the line, or on the next one. */
struct writer {
    struct strbuf *out;
    struct strbuf word;
    size_t line; /* where the line begins in out */
    bool is_line_empty;
};

static void start_field(struct writer *writer, struct strbuf *out, const char *name)
{
    *writer = (struct writer){.out = out, .line = out->len};
    strbuf_init(&writer->word, WORD_LIMIT);
    strbuf_add_text(out, name);
    strbuf_add_char(out, ':');
}

static void start_line(struct writer *writer)
{
    strbuf_add_text(writer->out, "\r\n");
    writer->line = writer->out->len;
    strbuf_add_char(writer->out, '\t');
    writer->is_line_empty = true;
}

static void put_word(struct writer *writer)
{
    /* one for the blank before it, one for the ";" that may follow */
    if (!writer->is_line_empty &&
        writer->out->len - writer->line + 1 + writer->word.len + 1 > FOLD_COLUMN) {
        start_line(writer);
    }
    if (!writer->is_line_empty) {
        strbuf_add_char(writer->out, ' ');
    }
    strbuf_add(writer->out, strbuf_bytes(&writer->word));
    strbuf_reset(&writer->word);
    writer->is_line_empty = false;
}

static void finish_field(struct writer *writer)
{
    strbuf_add_text(writer->out, "\r\n");
    strbuf_clear(&writer->word);
}

/* RFC 2045 §5.1 */
static bool is_token_octet(char octet)
{
    return octet > ' ' && octet < 127 && memchr("()<>@,;:\\\"/[]?=", octet, 15) == NULL;
}

static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_octet(text.data[i])) {
            return false;
        }
    }
    return text.len != 0;
}

/* RFC 5322 §3.2.3 dot-atom, without what some readers of this field stumble over */
static bool is_dot_atom(struct bytes text)
{
    char before = '.';

    for (size_t i = 0; i < text.len; i++) {
        char octet = text.data[i];

        if (octet == '.' ? before == '.'
                         : !ascii_is_alnum((unsigned char)octet) &&
                               memchr("!#$%&'*+-^_`{|}~", octet, 16) == NULL) {
            return false;
        }
        before = octet;
    }
    return text.len != 0 && before != '.';
}

/* "local@domain" or "@domain" with nothing in it that needs quotes */
static bool is_plain_address(struct bytes text)
{
    size_t at = bytes_find(text, '@');

    return at < text.len && is_dot_atom(bytes_skip(text, at + 1)) &&
           (at == 0 || is_dot_atom(bytes_first(text, at)));
}

static void add_escaped(struct strbuf *out, struct bytes text, const char *specials)
{
    for (size_t i = 0; i < text.len; i++) {
        char octet = text.data[i];

        if (octet < ' ' || octet > 126) { /* 8-bit octets too, whatever the sign of char */
            octet = '?';
        } else if (strchr(specials, octet) != NULL) {
            strbuf_add_char(out, '\\');
        }
        strbuf_add_char(out, octet);
    }
}

static void add_quoted(struct strbuf *out, struct bytes text)
{
    strbuf_add_char(out, '"');
    add_escaped(out, bytes_first(text, RESULT_TEXT_LIMIT), "\"\\");
    strbuf_add_char(out, '"');
}

static void add_value(struct strbuf *out, struct bytes value)
{
    if (value.len <= RESULT_TEXT_LIMIT && (is_token(value) || is_plain_address(value))) {
        strbuf_add(out, value);
    } else {
        add_quoted(out, value);
    }
}

/* A comment folds at its blanks, which are then one blank each. */
static void put_comment(struct writer *writer, struct bytes comment)
{
    struct bytes rest = bytes_trim(bytes_first(bytes_trim(comment), RESULT_TEXT_LIMIT));
    bool is_first = true;

    while (rest.len != 0) {
        struct bytes part = bytes_cut(&rest, ' ');

        if (part.len == 0 && rest.len != 0) {
            continue;
        }
        strbuf_add_text(&writer->word, is_first ? "(" : "");
        add_escaped(&writer->word, part, "()\\");
        strbuf_add_text(&writer->word, rest.len == 0 ? ")" : "");
        put_word(writer);
        is_first = false;
    }
}

static void put_entry(struct writer *writer, const struct result_entry *entry)
{
    start_line(writer);
    strbuf_add_text(&writer->word, entry->method);
    strbuf_add_char(&writer->word, '=');
    strbuf_add_text(&writer->word, entry->result);
    put_word(writer);
    put_comment(writer, entry->comment);
    if (entry->reason.len != 0) {
        strbuf_add_text(&writer->word, "reason=");
        add_quoted(&writer->word, entry->reason);
        put_word(writer);
    }
    for (size_t i = 0; i < entry->property_count; i++) {
        const struct result_property *property = &entry->properties[i];

        strbuf_add_text(&writer->word, property->type);
        strbuf_add_char(&writer->word, '.');
        strbuf_add_text(&writer->word, property->name);
        strbuf_add_char(&writer->word, '=');
        add_value(&writer->word, property->value);
        put_word(writer);
    }
}

void results_field_add(struct strbuf *out, struct bytes authserv_id,
                       const struct result_entry *entries, size_t count)
{
    struct writer writer;

    start_field(&writer, out, "Authentication-Results");
    if (is_token(authserv_id)) {
        strbuf_add(&writer.word, authserv_id);
    } else {
        add_quoted(&writer.word, authserv_id);
    }
    put_word(&writer);
    for (size_t i = 0; i < count; i++) {
        strbuf_add_char(out, ';');
        put_entry(&writer, &entries[i]);
    }
    if (count == 0) {
        strbuf_add_text(out, "; none");
    }
    finish_field(&writer);
}

static void put_pair(struct writer *writer, const char *key, struct bytes value, bool is_last)
{
    strbuf_add_text(&writer->word, key);
    strbuf_add_char(&writer->word, '=');
    if (is_dot_atom(value) && value.len <= RESULT_TEXT_LIMIT) {
        strbuf_add(&writer->word, value);
    } else {
        add_quoted(&writer->word, value);
    }
    strbuf_add_text(&writer->word, is_last ? "" : ";");
    put_word(writer);
}

void results_field_add_received_spf(struct strbuf *out, const struct received_spf *facts)
{
    struct writer writer;

    start_field(&writer, out, "Received-SPF");
    strbuf_add_text(&writer.word, facts->result);
    put_word(&writer);
    put_comment(&writer, facts->comment);
    put_pair(&writer, "client-ip", facts->client_ip, false);
    put_pair(&writer, "envelope-from", facts->envelope_from, false);
    put_pair(&writer, "helo", facts->helo, false);
    if (facts->mechanism.len != 0) {
        put_pair(&writer, "mechanism", facts->mechanism, false);
    }
    put_pair(&writer, "identity", bytes_from_text(facts->identity), false);
    put_pair(&writer, "receiver", facts->receiver, true);
    finish_field(&writer);
}

/* ---- finding ----------------------------------------------------------------------------- */

/* Controls go with the blanks: whoever skips them finds the name behind them. False: a comment
 * is never closed. */
static bool skip_blanks(struct bytes *text)
{
    while (text->len != 0) {
        unsigned char octet = (unsigned char)text->data[0];
        size_t length = octet <= ' ' || octet == 127 ? 1 : 0;

        if (octet == '(') {
            length = quoting_comment_length(*text);
            if (length == 0) {
                return false;
            }
        } else if (length == 0) {
            return true;
        }
        *text = bytes_skip(*text, length);
    }
    return true;
}

/* A quoted name against ours, without unquoting it anywhere. *is_closed: the quotes end. */
static bool matches_quoted(struct bytes text, struct bytes name, bool *is_closed)
{
    size_t matched = 0;
    bool is_same = true;

    *is_closed = false;
    for (size_t at = 1; at < text.len; at++) {
        char octet = text.data[at];

        if (octet == '"') {
            *is_closed = true;
            return is_same && (matched == name.len ||
                               (matched == name.len + 1 && text.data[at - 1] == '.'));
        }
        if (octet == '\r' || octet == '\n') {
            continue; /* folding inside of quotes */
        }
        if (octet == '\\' && at + 1 < text.len) {
            octet = text.data[++at];
        }
        is_same &= matched < name.len ? ascii_lower((unsigned char)octet) ==
                                            ascii_lower((unsigned char)name.data[matched])
                                      : matched == name.len && octet == '.';
        matched++;
    }
    return false;
}

static bool holds_name(struct bytes text, struct bytes name)
{
    for (size_t at = 0; at + name.len <= text.len; at++) {
        if (bytes_equal_nocase(bytes_between(text, at, at + name.len), name)) {
            return true;
        }
    }
    return false;
}

bool results_field_names_us(struct bytes value, struct bytes authserv_id)
{
    struct bytes rest = value;
    size_t length = 0;
    bool is_ours, is_closed;

    if (authserv_id.len == 0) {
        return false;
    }
    if (!skip_blanks(&rest)) {
        return holds_name(value, authserv_id);
    }
    if (rest.len != 0 && rest.data[0] == '"') {
        is_ours = matches_quoted(rest, authserv_id, &is_closed);
        return is_ours || (!is_closed && holds_name(value, authserv_id));
    }
    while (length < rest.len && is_token_octet(rest.data[length])) {
        length++;
    }
    if (length == 0) {
        return holds_name(value, authserv_id);
    }
    if (length == authserv_id.len + 1 && rest.data[length - 1] == '.') {
        length--;
    }
    return bytes_equal_nocase(bytes_first(rest, length), authserv_id);
}

bool results_field_next_ours(struct bytes *header, struct bytes authserv_id,
                             struct bytes *field)
{
    struct header_field candidate;

    while (header_field_next(header, &candidate)) {
        if (bytes_equal_nocase(candidate.name, BYTES("Authentication-Results")) &&
            results_field_names_us(candidate.value, authserv_id)) {
            *field = candidate.whole;
            return true;
        }
    }
    return false;
}
