#include "forward/alias_line.h"

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

static struct bytes skip_blanks(struct bytes text)
{
    size_t i = 0;

    while (i < text.len && is_blank(text.data[i])) {
        i++;
    }
    return bytes_skip(text, i);
}

/* What a name may hold without quotes: atext, dots and UTF-8 (RFC 5321 §4.1.2, 6531 §3.3). */
static bool is_name_octet(unsigned char octet)
{
    if (ascii_is_alnum(octet) || octet >= 0x80) {
        return true;
    }
    return octet != 0 && strchr(".!#$%&'*+-/=?^_`{|}~", octet) != NULL;
}

static enum alias_line_result wrong(struct alias_line_error *error, struct bytes where,
                                    const char *message, const char *hint)
{
    *error = (struct alias_line_error){where, message, hint};
    return ALIAS_LINE_WRONG;
}

/* Index of the closing delimiter, backslashes heeded, or text.len. */
static size_t find_close(struct bytes text, char close)
{
    size_t i = 0;

    while (i < text.len && text.data[i] != close) {
        i += text.data[i] == '\\' ? 2 : 1;
    }
    return i < text.len ? i : text.len;
}

/* Takes the name off the front of *rest. */
static enum alias_line_result split_name(struct bytes *rest, struct alias_line *entry,
                                         struct alias_line_error *error)
{
    char first = rest->data[0];
    size_t end;

    if (first == '/' || first == '"') {
        struct bytes inside = bytes_skip(*rest, 1);
        end = find_close(inside, first);
        if (end == inside.len) {
            return wrong(error, bytes_first(*rest, 1),
                         first == '/' ? "regular expression without its closing slash"
                                      : "quoted name without its closing quote",
                         NULL);
        }
        entry->kind = first == '/' ? ALIAS_NAME_REGEX : ALIAS_NAME_EXACT;
        entry->name = bytes_first(inside, end);
        entry->is_quoted = first == '"';
        *rest = bytes_skip(inside, end + 1);
    } else {
        for (end = 0; end < rest->len && is_name_octet((unsigned char)rest->data[end]); end++) {
        }
        entry->name = bytes_first(*rest, end);
        entry->kind = bytes_equal(entry->name, BYTES("*")) ? ALIAS_NAME_ANY : ALIAS_NAME_EXACT;
        *rest = bytes_skip(*rest, end);
    }
    if (rest->len > 0 && rest->data[0] == '@') {
        for (end = 1; end < rest->len && rest->data[end] != ':' && !is_blank(rest->data[end]);
             end++) {
        }
        entry->domain = bytes_between(*rest, 1, end);
        *rest = bytes_skip(*rest, end);
    }
    return ALIAS_LINE_ENTRY;
}

static const struct {
    struct bytes word;
    enum alias_action action;
} actions[] = {
    {{":refuse:", 8}, ALIAS_REFUSE},
    {{":defer:", 7}, ALIAS_DEFER},
    {{":discard:", 9}, ALIAS_DISCARD},
};

/* "targets :fallback: mailbox # comment" */
static enum alias_line_result split_targets(struct bytes text, struct alias_line *entry,
                                            struct alias_line_error *error)
{
    struct bytes rest = text, target, word = BYTES(":fallback:");

    entry->action = ALIAS_FORWARD;
    entry->targets = text;
    if (memchr(text.data, ':', text.len) == NULL) {
        return ALIAS_LINE_ENTRY;
    }
    while (alias_line_next_target(&rest, &target)) {
        if (bytes_equal_nocase(target, word)) {
            entry->targets = bytes_first(text, (size_t)(target.data - text.data));
            if (!alias_line_next_target(&rest, &entry->fallback)) {
                return wrong(error, target, "no address behind :fallback:",
                             "write \"name: target :fallback: name@domain\"");
            }
            if (alias_line_next_target(&rest, &target)) {
                return wrong(error, target, "one address stands behind :fallback:", NULL);
            }
            break;
        }
    }
    return ALIAS_LINE_ENTRY;
}

/* What stands behind the colon. */
static enum alias_line_result split_action(struct bytes rest, struct alias_line *entry,
                                           struct alias_line_error *error)
{
    if (rest.len == 0 || rest.data[0] != ':') {
        return split_targets(rest, entry, error);
    }
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (bytes_starts_with_nocase(rest, actions[i].word)) {
            entry->action = actions[i].action;
            entry->reply = bytes_trim(bytes_skip(rest, actions[i].word.len));
            if (entry->action == ALIAS_DISCARD && entry->reply.len > 0 &&
                entry->reply.data[0] != '#') {
                return wrong(error, entry->reply, ":discard: stands alone", NULL);
            }
            return ALIAS_LINE_ENTRY;
        }
    }
    return wrong(error, rest, "no such action", "it is :refuse:, :defer: or :discard:");
}

enum alias_line_result alias_line_split(struct bytes line, struct alias_line *entry,
                                        struct alias_line_error *error)
{
    struct bytes rest = skip_blanks(line);

    *entry = (struct alias_line){.kind = ALIAS_NAME_EXACT};
    rest = bytes_trim(rest);
    if (rest.len == 0 || rest.data[0] == '#') {
        return ALIAS_LINE_BLANK;
    }
    if (line.len > ALIAS_LINE_LIMIT) {
        return wrong(error, bytes_first(rest, 1), "line over 65536 octets", NULL);
    }
    if (memchr(rest.data, '\0', rest.len) != NULL ||
        memchr(rest.data, '\r', rest.len) != NULL) {
        return wrong(error, bytes_first(rest, 1), "the line holds NUL or CR octets",
                     "lines end in LF or CR LF; is it a text file?");
    }
    struct bytes start = rest;
    if (split_name(&rest, entry, error) != ALIAS_LINE_ENTRY) {
        return ALIAS_LINE_WRONG;
    }
    struct bytes key = bytes_first(start, start.len - rest.len);
    rest = skip_blanks(rest);
    if (rest.len == 0 || rest.data[0] != ':') {
        return wrong(error,
                     bytes_first(rest.len == 0 ? start : rest, rest.len == 0 ? start.len : 1),
                     "no colon behind the name", "write \"name: target, target\"");
    }
    if (entry->name.len == 0) {
        return wrong(error, key.len == 0 ? bytes_first(start, 1) : key, "the name is empty",
                     NULL);
    }
    return split_action(skip_blanks(bytes_skip(rest, 1)), entry, error);
}

bool alias_line_decode_name(const struct alias_line *entry, char *octets, size_t *len)
{
    size_t count = 0;

    for (size_t i = 0; i < entry->name.len; i++) {
        if (entry->is_quoted && entry->name.data[i] == '\\' && i + 1 < entry->name.len) {
            i++;
        }
        if (count == ALIAS_LOCAL_LIMIT) {
            return false;
        }
        octets[count++] = entry->name.data[i];
    }
    *len = count;
    return true;
}

bool alias_line_next_target(struct bytes *rest, struct bytes *target)
{
    size_t i = 0, start;
    bool is_quoted = false;

    while (i < rest->len && (is_blank(rest->data[i]) || rest->data[i] == ',')) {
        i++;
    }
    start = i;
    if (i == rest->len || rest->data[i] == '#') {
        *rest = bytes_skip(*rest, rest->len);
        return false;
    }
    for (; i < rest->len; i++) {
        char octet = rest->data[i];
        if (octet == '"') {
            is_quoted = !is_quoted;
        } else if (is_quoted && octet == '\\' && i + 1 < rest->len) {
            i++;
        } else if (!is_quoted && (is_blank(octet) || octet == ',')) {
            break;
        }
    }
    *target = bytes_between(*rest, start, i);
    *rest = bytes_skip(*rest, i);
    return true;
}

/* "5.1.1" with the class given, at the start of text; its length, or 0. */
static size_t enhanced_length(struct bytes text, char class)
{
    size_t i = 1;

    if (text.len < 5 || text.data[0] != class) {
        return 0;
    }
    for (int part = 0; part < 2; part++) {
        size_t digits = 0;
        if (i >= text.len || text.data[i++] != '.') {
            return 0;
        }
        while (i < text.len && ascii_is_digit((unsigned char)text.data[i]) && digits < 4) {
            digits++;
            i++;
        }
        if (digits == 0 || digits > 3) {
            return 0;
        }
    }
    return i == text.len || is_blank(text.data[i]) ? i : 0;
}

static bool starts_with_code(struct bytes text)
{
    return text.len >= 3 && ascii_is_digit((unsigned char)text.data[0]) &&
           ascii_is_digit((unsigned char)text.data[1]) &&
           ascii_is_digit((unsigned char)text.data[2]) &&
           (text.len == 3 || is_blank(text.data[3]));
}

bool alias_reply_parse(struct bytes text, bool is_defer, struct alias_reply *reply,
                       struct alias_line_error *error)
{
    char class = is_defer ? '4' : '5';
    const char *enhanced = is_defer ? "4.2.1" : "5.1.1";
    size_t len;

    *reply = (struct alias_reply){.code = is_defer ? 450 : 550};
    strcpy(reply->enhanced, enhanced);
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f) {
            wrong(error, text, "the text holds control characters", NULL);
            return false;
        }
    }
    if (text.len > ALIAS_REPLY_LIMIT) {
        wrong(error, text, "the text is over 400 octets", NULL);
        return false;
    }
    if (starts_with_code(text)) {
        if (text.data[0] != class || text.data[1] > '5') {
            wrong(error, bytes_first(text, 3),
                  is_defer ? "the code must be 4xx" : "the code must be 5xx",
                  is_defer ? "use refuse for a permanent answer"
                           : "use defer for a temporary answer");
            return false;
        }
        reply->code = (unsigned)((text.data[0] - '0') * 100 + (text.data[1] - '0') * 10 +
                                 (text.data[2] - '0'));
        text = skip_blanks(bytes_skip(text, 3));
    }
    len = enhanced_length(text, class);
    if (len > 0) {
        memcpy(reply->enhanced, text.data, len);
        reply->enhanced[len] = '\0';
        text = skip_blanks(bytes_skip(text, len));
    } else if (enhanced_length(text, '2') > 0 ||
               enhanced_length(text, is_defer ? '5' : '4') > 0) {
        wrong(error, bytes_first(text, 5), "the enhanced code does not go with the reply code",
              is_defer ? "it starts with 4 here" : "it starts with 5 here");
        return false;
    }
    reply->text = text.len > 0 ? text
                  : is_defer   ? BYTES("This address cannot take mail now, try again later")
                               : BYTES("This address does not take mail");
    return true;
}
