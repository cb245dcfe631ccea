#include "forward/blocked_file.h"

enum { CUT_LENGTH = 200 }; /* octets from which on some program may cut a name */

/* "*" is followed by at most a few restarts: patterns are the operator's. */
static bool matches(struct bytes pattern, struct bytes text)
{
    size_t p = 0, t = 0;
    size_t star = pattern.len, back = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            back = t;
        } else if (p < pattern.len &&
                   (pattern.data[p] == '?' || ascii_lower((unsigned char)pattern.data[p]) ==
                                                  ascii_lower((unsigned char)text.data[t]))) {
            p++;
            t++;
        } else if (star < pattern.len) {
            p = star + 1;
            t = ++back;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

/* Octets of the longest text that any of them may match; SIZE_MAX: of any length. */
static size_t longest_match(const struct file_patterns *patterns)
{
    size_t longest = 0;

    for (size_t i = 0; i < patterns->count; i++) {
        struct bytes pattern = patterns->items[i];

        if (bytes_find(pattern, '*') < pattern.len) {
            return SIZE_MAX;
        }
        longest = pattern.len > longest ? pattern.len : longest;
    }
    return longest;
}

static bool matches_any(const struct file_patterns *patterns, struct bytes text)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (matches(patterns->items[i], text)) {
            return true;
        }
    }
    return false;
}

/* ---- what is left out of a name ----------------------------------------------------------- */

/* Octets of a character that nobody sees, in UTF-8; 0: it is none. */
static size_t invisible_length(struct bytes text)
{
    static const struct bytes RANGES[][2] = {
        {{"\xe2\x80\x8b", 3}, {"\xe2\x80\x8f", 3}}, /* U+200B to U+200F */
        {{"\xe2\x80\xa8", 3}, {"\xe2\x80\xae", 3}}, /* lines, U+202A to U+202E */
        {{"\xe2\x81\xa0", 3}, {"\xe2\x81\xaf", 3}}, /* U+2060 to U+206F */
        {{"\xef\xbb\xbf", 3}, {"\xef\xbb\xbf", 3}}, /* U+FEFF */
        {{"\xc2\xad", 2}, {"\xc2\xad", 2}},         /* soft hyphen */
        {{"\xc2\x80", 2}, {"\xc2\xa0", 2}},         /* controls, and a blank */
    };

    for (size_t i = 0; i < sizeof RANGES / sizeof RANGES[0]; i++) {
        struct bytes octets = bytes_first(text, RANGES[i][0].len);

        if (bytes_compare(octets, RANGES[i][0]) >= 0 &&
            bytes_compare(octets, RANGES[i][1]) <= 0) {
            return RANGES[i][0].len;
        }
    }
    return 0;
}

/* ISO 2022 switches charsets by "ESC ( B" and the like. */
static size_t escape_length(struct bytes text)
{
    size_t length = 1;

    while (length < text.len && length < 3 && strchr("($)*+,-./", text.data[length]) != NULL &&
           text.data[length] != '\0') {
        length++;
    }
    return length < text.len ? length + 1 : text.len;
}

static size_t left_out_length(struct bytes text)
{
    unsigned char octet = (unsigned char)text.data[0];

    if (octet == 0x1b) {
        return escape_length(text);
    }
    if (octet < ' ' || octet == 127 || strchr("\"<>|?*", octet) != NULL) {
        return 1;
    }
    return octet >= 0xc2 ? invisible_length(text) : 0;
}

static size_t clean(struct bytes name, char *out)
{
    size_t length = 0;

    while (name.len > 0) {
        size_t skipped = left_out_length(name);

        if (skipped == 0) {
            out[length++] = name.data[0];
        }
        name = bytes_skip(name, skipped == 0 ? 1 : skipped);
    }
    return length;
}

/* ---- endings ------------------------------------------------------------------------------ */

static struct bytes without_tail(struct bytes name)
{
    while (name.len > 0 && memchr(". '/\\;", name.data[name.len - 1], 6) != NULL) {
        name.len--;
    }
    return name;
}

static struct bytes file_part(struct bytes path)
{
    for (size_t i = path.len; i > 0; i--) {
        if (path.data[i - 1] == '/' || path.data[i - 1] == '\\') {
            return bytes_skip(path, i);
        }
    }
    return path;
}

/* What stands behind any of its dots, up to the end of the name. */
static bool has_blocked_ending(const struct file_patterns *endings, struct bytes name)
{
    struct bytes rest = file_part(without_tail(name));
    size_t longest = longest_match(endings); /* a name of dots alone is cheap by it */

    while (bytes_find(rest, '.') < rest.len) {
        (void)bytes_cut(&rest, '.');
        if (rest.len <= longest && matches_any(endings, rest)) {
            return true;
        }
    }
    return false;
}

/* What stands behind any of its dots, up to the next one: the name may end there when it is cut. */
static bool has_blocked_middle(const struct file_patterns *endings, struct bytes name)
{
    struct bytes rest = name;

    (void)bytes_cut(&rest, '.');
    while (rest.len > 0) {
        struct bytes middle = without_tail(bytes_cut(&rest, '.'));

        if (middle.len > 0 && matches_any(endings, middle)) {
            return true;
        }
    }
    return false;
}

static bool is_blocked(const struct file_patterns *endings, struct bytes name)
{
    char octets[BLOCKED_NAME_LIMIT];
    bool is_long = name.len > CUT_LENGTH;
    struct bytes cleaned;
    size_t colon;

    name = bytes_first(name, BLOCKED_NAME_LIMIT);
    cleaned = bytes_of(octets, clean(name, octets));
    colon = bytes_find(cleaned, ':');
    return has_blocked_ending(endings, cleaned) ||
           (colon < cleaned.len && has_blocked_ending(endings, bytes_first(cleaned, colon))) ||
           (is_long && has_blocked_middle(endings, cleaned));
}

bool blocked_file_name(const struct file_patterns *endings, struct bytes name)
{
    size_t nul = bytes_find(name, '\0');

    if (is_blocked(endings, name)) {
        return true;
    }
    if (name.len > BLOCKED_NAME_LIMIT &&
        is_blocked(endings, bytes_skip(name, name.len - BLOCKED_NAME_LIMIT))) {
        return true;
    }
    return nul < name.len && is_blocked(endings, bytes_first(name, nul));
}

bool blocked_file_type(const struct file_patterns *types, struct bytes type)
{
    return matches_any(types, type);
}
