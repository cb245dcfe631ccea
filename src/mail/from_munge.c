#include "mail/from_munge.h"

#include "base/quoting.h"
#include "base/utf8.h"

#include "encoded_word.h"

#include "mail/header_block.h"

enum {
    FIELD_LIMIT = 65536, /* octets of a From value that is read at all */
    RUN_LIMIT = 900,     /* octets between two places where a line may be folded */
    MAILBOX_LIMIT = 512, /* octets of an author's address */
    WORD_LIMIT = 256,    /* octets of an encoded word */
    WORDS_LIMIT = 8192,  /* of a name as it is written; half of it for what the author says */
    LINE_WISH = 78,      /* RFC 5322 §2.1.1 */
    LINE_LIMIT = 998,
};

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

/* ---- reading: one mailbox, nothing else ---- */

static bool is_atom_octet(char octet)
{
    return (unsigned char)octet > ' ' && octet != 127 &&
           memchr("()<>[]:;@\\,\".", octet, 13) == NULL;
}

static size_t atom_length(struct bytes text)
{
    size_t len = 0;

    while (len < text.len && is_atom_octet(text.data[len])) {
        len++;
    }
    return len;
}

static bool skip_blanks(struct bytes *rest)
{
    while (rest->len != 0) {
        size_t len = 1;

        if (!is_blank(rest->data[0])) {
            if (rest->data[0] != '(') {
                return true;
            }
            len = quoting_comment_length(*rest);
            if (len == 0) {
                return false;
            }
        }
        *rest = bytes_skip(*rest, len);
    }
    return true;
}

/* Octets of something that looks like an encoded word, commas and all, or 1. */
static size_t encoded_length(struct bytes text)
{
    size_t questions = 0;

    for (size_t i = 2; i < text.len && i < WORD_LIMIT; i++) {
        if (is_blank(text.data[i]) || memchr("<>@\"", text.data[i], 4) != NULL) {
            return 1;
        }
        if (text.data[i] == '?' && ++questions == 3) {
            return i + 1 < text.len && text.data[i + 1] == '=' ? i + 2 : 1;
        }
    }
    return 1;
}

static size_t literal_length(struct bytes text)
{
    size_t end = bytes_find(text, ']');

    return end < text.len ? end + 1 : 0;
}

/* Octets of the next part of a name or an address; 0: there is more than one author, a group, or
 * something that readers do not agree on. */
static size_t part_length(struct bytes text, char before)
{
    switch (text.data[0]) {
    case '(':
        return quoting_comment_length(text);
    case '"':
        return quoting_string_length(text);
    case '[': /* an address literal may hold colons */
        return before == '@' ? literal_length(text) : 1;
    case ',':
    case ';':
    case ':':
    case '>':
    case '\\':
        return 0;
    default:
        return bytes_starts_with(text, BYTES("=?")) ? encoded_length(text) : 1;
    }
}

/* Where "<" stands, or the length of the value when there is none. False: see above. */
static bool find_angle(struct bytes value, size_t *angle)
{
    char before = ' ';
    size_t at = 0;

    while (at < value.len && value.data[at] != '<') {
        size_t len = part_length(bytes_skip(value, at), before);

        if (len == 0) {
            return false;
        }
        at += len;
        before = is_blank(value.data[at - 1]) ? before : value.data[at - 1];
    }
    *angle = at;
    return true;
}

/* The inside of a quoted string: line ends go, quoted pairs are resolved. */
static void add_unquoted(struct strbuf *out, struct bytes inside)
{
    for (size_t i = 0; i < inside.len; i++) {
        if (inside.data[i] == '\\' && i + 1 < inside.len) {
            i++;
        } else if (inside.data[i] == '\r' || inside.data[i] == '\n') {
            continue;
        }
        strbuf_add_char(out, inside.data[i]);
    }
}

/* Words and dots, blanks and comments allowed around the dots (RFC 5322 §4.4). Stops at anything
 * else. False: two words without a dot, or none. */
static bool read_dotted(struct bytes *rest, bool may_quote, struct strbuf *out)
{
    bool is_behind_word = false, has_word = false;

    while (skip_blanks(rest) && rest->len != 0) {
        char octet = rest->data[0];
        size_t len =
            octet == '"' && may_quote ? quoting_string_length(*rest) : atom_length(*rest);

        if (octet == '.') {
            strbuf_add_char(out, '.');
            is_behind_word = false;
            len = 1;
        } else if (len == 0) {
            return has_word;
        } else if (is_behind_word) {
            return false;
        } else {
            if (octet == '"') {
                add_unquoted(out, bytes_between(*rest, 1, len - 1));
            } else {
                strbuf_add(out, bytes_first(*rest, len));
            }
            is_behind_word = has_word = true;
        }
        *rest = bytes_skip(*rest, len);
    }
    return rest->len == 0 && has_word;
}

/* "@one,@two:" before the address, obsolete. */
static bool skip_route(struct bytes *rest)
{
    size_t at = 0;

    if (rest->len == 0 || (rest->data[0] != '@' && rest->data[0] != ',')) {
        return true;
    }
    while (at < rest->len && (is_atom_octet(rest->data[at]) || is_blank(rest->data[at]) ||
                              memchr("@,.", rest->data[at], 3) != NULL)) {
        at++;
    }
    if (at == rest->len || rest->data[at] != ':') {
        return false;
    }
    *rest = bytes_skip(*rest, at + 1);
    return true;
}

static bool read_domain(struct bytes *rest, struct strbuf *out, bool *is_literal)
{
    size_t end;

    *is_literal = false;
    if (!skip_blanks(rest)) {
        return false;
    }
    if (rest->len == 0 || rest->data[0] != '[') {
        return read_dotted(rest, false, out);
    }
    *is_literal = true;
    end = bytes_find(*rest, ']');
    strbuf_add(out, bytes_between(*rest, 1, end));
    *rest = bytes_skip(*rest, end + 1);
    return true;
}

/* The address is written as SMTP writes it and read by SMTP's rules: what comes out can be sent
 * to. */
static bool read_address(struct bytes *rest, struct arena *arena, struct smtp_mailbox *mailbox)
{
    struct strbuf local, domain, text;
    bool is_good = false, is_literal;

    strbuf_init(&local, MAILBOX_LIMIT);
    strbuf_init(&domain, MAILBOX_LIMIT);
    strbuf_init(&text, MAILBOX_LIMIT);
    if (read_dotted(rest, true, &local) && rest->len != 0 && rest->data[0] == '@') {
        *rest = bytes_skip(*rest, 1);
        is_good = read_domain(rest, &domain, &is_literal);
    }
    if (is_good) {
        struct smtp_mailbox written = {.local = strbuf_bytes(&local),
                                       .domain = strbuf_bytes(&domain),
                                       .is_literal = is_literal};

        smtp_mailbox_add(&text, &written);
        is_good = !local.overflowed && !domain.overflowed && !text.overflowed &&
                  smtp_mailbox_parse(arena_copy(arena, strbuf_bytes(&text)), true, true, arena,
                                     mailbox) == SMTP_PATH_OK;
    }
    strbuf_clear(&local);
    strbuf_clear(&domain);
    strbuf_clear(&text);
    return is_good;
}

static bool take(struct bytes *rest, char octet)
{
    if (rest->len == 0 || rest->data[0] != octet) {
        return false;
    }
    *rest = bytes_skip(*rest, 1);
    return true;
}

/* The first comment, with its parentheses: the name in the old way of writing. */
static struct bytes find_comment(struct bytes value)
{
    struct bytes rest = value;

    while (rest.len != 0) {
        size_t len = 1;

        if (rest.data[0] == '(') {
            return bytes_first(rest, quoting_comment_length(rest));
        }
        if (rest.data[0] == '"') {
            len = quoting_string_length(rest);
        }
        rest = bytes_skip(rest, len != 0 ? len : rest.len);
    }
    return rest;
}

static bool read_author(struct bytes value, struct arena *arena, struct from_author *author)
{
    struct bytes rest = value;
    size_t angle;

    if (!find_angle(value, &angle)) {
        return false;
    }
    author->name = (struct bytes){NULL, 0};
    if (angle < value.len) {
        author->name = bytes_trim(bytes_first(value, angle));
        rest = bytes_skip(value, angle + 1);
        if (!skip_blanks(&rest) || !skip_route(&rest) ||
            !read_address(&rest, arena, &author->mailbox) || !take(&rest, '>')) {
            return false;
        }
    } else if (!read_address(&rest, arena, &author->mailbox)) {
        return false;
    }
    if (author->name.len == 0) {
        author->name = find_comment(value);
    }
    return skip_blanks(&rest) && rest.len == 0;
}

/* NUL ends the text for some readers, a bare CR or LF starts a line for others. */
static bool has_foul_octet(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        char octet = value.data[i];

        if (octet == '\0' || (octet == '\n' && (i == 0 || value.data[i - 1] != '\r')) ||
            (octet == '\r' && (i + 1 == value.len || value.data[i + 1] != '\n'))) {
            return true;
        }
    }
    return false;
}

/* May a line end go in before this octet without a line of blanks only? */
static bool is_fold(struct bytes value, size_t at)
{
    return (value.data[at] == ' ' || value.data[at] == '\t') && at + 1 < value.len &&
           !is_blank(value.data[at + 1]);
}

static bool can_be_folded(struct bytes value)
{
    size_t run = 0;

    for (size_t i = 0; i < value.len; i++) {
        run = value.data[i] == '\n' || is_fold(value, i) ? 0 : run + 1;
        if (run > RUN_LIMIT) {
            return false;
        }
    }
    return true;
}

static struct bytes without_line_end(struct bytes value)
{
    return bytes_ends_with_nocase(value, BYTES("\r\n")) ? bytes_first(value, value.len - 2)
                                                        : value;
}

static bool read_value(struct bytes raw, struct arena *arena, struct from_author *author)
{
    struct bytes value = without_line_end(raw);

    return value.len <= FIELD_LIMIT && !has_foul_octet(value) && can_be_folded(value) &&
           read_author(value, arena, author);
}

bool from_munge_read_author(struct bytes header, struct arena *arena,
                            struct from_author *author)
{
    struct header_field field;

    *author = (struct from_author){.name = {NULL, 0}};
    return header_block_count(header, BYTES("From")) == 1 &&
           header_block_find(header, BYTES("From"), &field) &&
           read_value(field.value, arena, author);
}

/* ---- the name ---- */

/* What the name becomes: words of a phrase. */
struct display {
    struct strbuf words; /* finished ones, a line feed behind each */
    struct strbuf run;   /* plain text that becomes the next quoted string */
    size_t shown;        /* octets a reader will see */
    bool is_full;
    bool is_unsafe; /* nobody can know here what a reader would see */
};

static void display_reset(struct display *display)
{
    strbuf_reset(&display->words);
    strbuf_reset(&display->run);
    display->shown = 0;
    display->is_full = display->is_unsafe = false;
}

static bool has_at(struct bytes text)
{
    return bytes_find(text, '@') < text.len ||
           bytes_find_part(text, BYTES("\xef\xbc\xa0")) < text.len || /* U+FF20, full width */
           bytes_find_part(text, BYTES("\xef\xb9\xab")) < text.len;   /* U+FE6B, small */
}

/* ASCII and C1 controls, line separators, and marks that turn the direction of what follows:
 * they would take our own words with them. */
static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        unsigned char second = i + 1 < text.len ? (unsigned char)text.data[i + 1] : 0;
        unsigned char third = i + 2 < text.len ? (unsigned char)text.data[i + 2] : 0;

        if (octet < ' ' || octet == 127 ||
            (octet == 0xc2 && second >= 0x80 && second <= 0x9f) ||
            (octet == 0xe2 && second == 0x80 && third >= 0xa8 && third <= 0xae) ||
            (octet == 0xe2 && second == 0x81 && third >= 0xa6 && third <= 0xa9)) {
            return true;
        }
    }
    return false;
}

static void finish_run(struct display *display)
{
    if (display->run.len == 0) {
        return;
    }
    strbuf_add_char(&display->words, '"');
    for (size_t i = 0; i < display->run.len; i++) {
        char octet = display->run.data[i];

        if (octet == '"' || octet == '\\') {
            strbuf_add_char(&display->words, '\\');
        }
        strbuf_add_char(&display->words, octet);
    }
    strbuf_add_text(&display->words, "\"\n");
    strbuf_reset(&display->run);
}

/* The first `limit` octets, or fewer, so that no character is cut. */
static struct bytes cut_text(struct bytes text, size_t limit)
{
    if (text.len <= limit) {
        return text;
    }
    while (limit > 0 && ((unsigned char)text.data[limit] & 0xc0) == 0x80) {
        limit--;
    }
    return bytes_first(text, limit);
}

static void add_text(struct display *display, struct bytes word)
{
    size_t blank = display->shown != 0;
    struct bytes part;

    if (display->shown + blank >= FROM_NAME_LIMIT) {
        display->is_full = true;
        return;
    }
    part = cut_text(word, FROM_NAME_LIMIT - display->shown - blank);
    display->is_full = part.len < word.len;
    if (display->run.len != 0 && part.len != 0) {
        strbuf_add_char(&display->run, ' ');
    }
    strbuf_add(&display->run, part);
    display->shown += part.len + (part.len != 0 ? blank : 0);
}

static void add_encoded(struct display *display, struct bytes word,
                        const struct encoded_word *parsed)
{
    struct strbuf decoded;

    strbuf_init(&decoded, WORD_LIMIT);
    if (word.len > WORD_LIMIT || !encoded_word_decode(parsed, &decoded) ||
        has_at(strbuf_bytes(&decoded)) || has_control(strbuf_bytes(&decoded))) {
        display->is_unsafe = true; /* also when it would not be shown any more */
    } else if (display->shown + decoded.len > FROM_NAME_LIMIT ||
               display->words.len + 3 * word.len > WORDS_LIMIT / 2) {
        display->is_full = true; /* encoded words are never cut */
    } else if (decoded.len != 0 && !display->is_full) {
        finish_run(display);
        encoded_word_add_for_phrase(&display->words, word, parsed);
        strbuf_add_char(&display->words, '\n');
        display->shown += decoded.len;
    }
    strbuf_clear(&decoded);
}

/* Some readers decode whatever has "=?" in it, also between quotes. A word that has and is no
 * encoded word may show as anything. */
static void add_word(struct display *display, struct bytes word)
{
    struct encoded_word parsed;

    if (bytes_find_part(word, BYTES("=?")) == word.len) {
        if (word.len != 0 && !display->is_full && !has_at(word) && !has_control(word)) {
            add_text(display, word);
        }
    } else if (encoded_word_parse(word, &parsed)) {
        add_encoded(display, word, &parsed);
    } else {
        display->is_unsafe = true;
    }
}

static void add_words(struct display *display, struct bytes text)
{
    if (!utf8_is_valid(text)) {
        display->is_unsafe = true;
        return;
    }
    while (text.len != 0) {
        add_word(display, bytes_cut(&text, ' '));
    }
}

/* The text of a phrase: quotes, quoted pairs and line ends resolved; outside of comments, or only
 * what stands in them. */
static void add_plain(struct strbuf *out, struct bytes raw, bool want_comments)
{
    bool is_quoted = false;
    size_t depth = 0;

    for (size_t i = 0; i < raw.len; i++) {
        char octet = raw.data[i];
        bool is_escaped = octet == '\\' && (is_quoted || depth > 0) && i + 1 < raw.len;

        if (is_escaped) {
            octet = raw.data[++i];
        } else if (octet == '(' && !is_quoted && depth++ == 0) {
            strbuf_add_char(out, ' ');
            continue;
        } else if (octet == ')' && depth > 0 && --depth == 0) {
            strbuf_add_char(out, ' ');
            continue;
        } else if (octet == '"' && depth == 0) {
            is_quoted = !is_quoted;
            continue;
        }
        if ((depth > 0) == want_comments) {
            strbuf_add_char(out, is_blank(octet) ? ' ' : octet);
        }
    }
}

static void add_phrase(struct display *display, struct bytes name, bool want_comments)
{
    struct strbuf plain;

    strbuf_init(&plain, FIELD_LIMIT);
    add_plain(&plain, name, want_comments);
    add_words(display, strbuf_bytes(&plain));
    strbuf_clear(&plain);
}

/* The display name, the comment that stands for one, or else the local part. */
static void choose_name(struct display *display, const struct from_author *author)
{
    add_phrase(display, author->name, false);
    if (display->shown == 0 && !display->is_unsafe) {
        add_phrase(display, author->name, true);
    }
    if (display->shown == 0 || display->is_unsafe) {
        display_reset(display);
        add_words(display, author->mailbox.local);
    }
    if (display->is_unsafe) {
        display_reset(display);
    }
}

/* ---- writing ---- */

static void add_from(struct strbuf *out, const struct from_author *author,
                     const struct smtp_mailbox *address, struct bytes our_domain)
{
    struct display display = {.shown = 0};
    struct bytes words;
    size_t column = 5;

    strbuf_init(&display.words, WORDS_LIMIT);
    strbuf_init(&display.run, 1024);
    choose_name(&display, author);
    strbuf_add_text(&display.run, display.run.len != 0 ? " via " : "via ");
    strbuf_add(&display.run, our_domain);
    finish_run(&display);
    smtp_path_add(&display.words, address);
    words = strbuf_bytes(&display.words);
    strbuf_add_text(out, "From:");
    while (words.len != 0) {
        struct bytes word = bytes_cut(&words, '\n');

        if (column > 5 && column + 1 + word.len > LINE_WISH) {
            strbuf_add_text(out, "\r\n");
            column = 0;
        }
        strbuf_add_char(out, ' ');
        strbuf_add(out, word);
        column += 1 + word.len;
    }
    strbuf_add_text(out, "\r\n");
    strbuf_clear(&display.words);
    strbuf_clear(&display.run);
}

/* The value as it stands; where the longer field name makes a line too long, folded once more. */
static void add_original(struct strbuf *out, struct bytes raw)
{
    struct bytes value = without_line_end(raw);
    size_t column = sizeof "X-Original-From:" - 1;

    strbuf_add_text(out, "X-Original-From:");
    for (size_t at = 0; at < value.len;) {
        size_t end = at + 1; /* of the run: up to the next place for a line end */

        while (end < value.len && value.data[end - 1] != '\n' && !is_fold(value, end)) {
            end++;
        }
        if (column + (end - at) > LINE_LIMIT && is_fold(value, at)) {
            strbuf_add_text(out, "\r\n");
            column = 0;
        }
        strbuf_add(out, bytes_between(value, at, end));
        column = value.data[end - 1] == '\n' ? 0 : column + (end - at);
        at = end;
    }
    strbuf_add_text(out, "\r\n");
}

/* Is the author all that is there? */
static bool says_author(struct bytes value, const struct smtp_mailbox *author)
{
    struct arena *arena = arena_new();
    struct from_author only = {.name = {NULL, 0}};
    bool is_same = read_value(value, arena, &only) && smtp_mailbox_equal(&only.mailbox, author);

    arena_free(&arena);
    return is_same;
}

static void add_reply_to(struct strbuf *out, const struct header_field *field,
                         const struct smtp_mailbox *author)
{
    struct bytes value = field->value;

    if (says_author(value, author)) {
        strbuf_add(out, field->whole);
        return;
    }
    strbuf_add(out, bytes_first(field->whole, field->whole.len - value.len));
    strbuf_add_char(out, ' ');
    smtp_mailbox_add(out, author);
    if (bytes_trim(value).len == 0) {
        strbuf_add(out, value);
        return;
    }
    strbuf_add_char(out, ',');
    if (!bytes_starts_with(value, BYTES("\r\n"))) {
        strbuf_add_text(out, "\r\n");
        if (value.data[0] != ' ' && value.data[0] != '\t') {
            strbuf_add_char(out, ' ');
        }
    }
    strbuf_add(out, value);
}

void from_munge_write(struct strbuf *out, struct bytes header, const struct from_author *author,
                      const struct smtp_mailbox *address, struct bytes our_domain)
{
    struct header_field field;
    struct bytes rest = header;
    bool has_reply_to = header_block_find(header, BYTES("Reply-To"), &field);

    if (header_block_find(header, BYTES("From"), &field)) {
        add_original(out, field.value);
    }
    if (!has_reply_to) {
        strbuf_add_text(out, "Reply-To: ");
        smtp_mailbox_add(out, &author->mailbox);
        strbuf_add_text(out, "\r\n");
    }
    while (header_field_next(&rest, &field)) {
        if (bytes_equal_nocase(field.name, BYTES("From"))) {
            add_from(out, author, address, our_domain);
        } else if (has_reply_to && bytes_equal_nocase(field.name, BYTES("Reply-To"))) {
            add_reply_to(out, &field, &author->mailbox);
            has_reply_to = false; /* one is enough, should there be more */
        } else {
            strbuf_add(out, field.whole);
        }
    }
    strbuf_add(out, rest);
}
