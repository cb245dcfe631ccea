#include "auth/spf_macro.h"

#include "protocol/dns_message.h"

#include <assert.h>
#include <stdio.h>

enum {
    ELEMENT_LIMIT = 8192, /* of the longest text: a record's limit */
    DELIMITER_LIMIT = 7,
};

/* A run of literal text, or one macro. */
struct element {
    struct bytes literal; /* when letter is 0 */
    char letter;          /* lower case */
    bool is_escaped;      /* upper case: URL escapes */
    bool is_reversed;
    unsigned keep;           /* right-most parts to keep; 0: all */
    struct bytes delimiters; /* empty: "." */
};

void spf_macro_set_client(struct spf_macro_values *values, const struct ip_address *client)
{
    char *at = values->client_dotted;

    values->client_text = ip_address_text(client);
    values->is_ipv6 = client->family == IP_V6;
    if (!values->is_ipv6) {
        memcpy(values->client_dotted, values->client_text.text, IP_TEXT_SIZE);
        return;
    }
    for (int i = 0; i < 32; i++) {
        *at++ = "0123456789ABCDEF"[client->octets[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
        *at++ = i < 31 ? '.' : '\0';
    }
}

/* ---- grammar ---- */

/* The inside of %{ }: letter, digits, "r", delimiters. */
static bool read_macro(struct bytes inside, struct element *element)
{
    size_t at = 1;
    unsigned digits = 0;

    if (inside.len == 0 || !ascii_is_alpha((unsigned char)inside.data[0])) {
        return false;
    }
    element->letter = (char)ascii_lower((unsigned char)inside.data[0]);
    element->is_escaped = element->letter != inside.data[0];
    for (; at < inside.len && ascii_is_digit((unsigned char)inside.data[at]); at++) {
        element->keep = element->keep * 10 + (unsigned)(inside.data[at] - '0');
        element->keep = element->keep > 1000 ? 1000 : element->keep; /* more than there are */
        digits++;
    }
    if (digits > 0 && element->keep == 0) {
        return false;
    }
    if (at < inside.len && ascii_lower((unsigned char)inside.data[at]) == 'r') {
        element->is_reversed = true;
        at++;
    }
    element->delimiters = bytes_skip(inside, at);
    for (; at < inside.len; at++) {
        if (memchr(".-+,/_=", inside.data[at], DELIMITER_LIMIT) == NULL) {
            return false;
        }
    }
    return memchr("slodiphcrtv", element->letter, 11) != NULL;
}

/* Takes one element off the text (not empty); false when it is none. */
static bool next_element(struct bytes *text, struct element *element)
{
    size_t percent = bytes_find(*text, '%');
    size_t close;

    *element = (struct element){.letter = 0};
    if (percent > 0) {
        element->literal = bytes_first(*text, percent);
        *text = bytes_skip(*text, percent);
        return true;
    }
    if (text->len < 2) {
        return false;
    }
    switch (text->data[1]) {
    case '%':
        element->literal = BYTES("%");
        break;
    case '_':
        element->literal = BYTES(" ");
        break;
    case '-':
        element->literal = BYTES("%20");
        break;
    case '{':
        close = bytes_find(*text, '}');
        if (close == text->len || !read_macro(bytes_between(*text, 2, close), element)) {
            return false;
        }
        *text = bytes_skip(*text, close + 1);
        return true;
    default:
        return false;
    }
    *text = bytes_skip(*text, 2);
    return true;
}

bool spf_macro_is_valid(struct bytes text, enum spf_macro_place place)
{
    char lowest = place == SPF_MACRO_IN_EXPLANATION ? ' ' : '!';

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < lowest || text.data[i] > '~') {
            return false;
        }
    }
    while (text.len > 0) {
        struct element element;

        if (!next_element(&text, &element) ||
            (place == SPF_MACRO_IN_DOMAIN && element.letter != 0 &&
             memchr("crt", element.letter, 3) != NULL)) {
            return false;
        }
    }
    return true;
}

/* "." toplabel [ "." ] at the end. */
static bool ends_in_toplabel(struct bytes text)
{
    size_t end, start;
    bool is_all_digits = true;

    if (text.len > 0 && text.data[text.len - 1] == '.') {
        text.len--;
    }
    start = end = text.len;
    while (start > 0 && (ascii_is_alnum((unsigned char)text.data[start - 1]) ||
                         text.data[start - 1] == '-')) {
        start--;
        is_all_digits = is_all_digits && ascii_is_digit((unsigned char)text.data[start]);
    }
    return start < end && start > 0 && text.data[start - 1] == '.' && !is_all_digits &&
           text.data[start] != '-' && text.data[end - 1] != '-';
}

bool spf_macro_is_domain_spec(struct bytes text)
{
    struct bytes rest = text;
    struct element element = {.letter = 0};
    bool ends_in_macro = false;

    if (text.len == 0 || !spf_macro_is_valid(text, SPF_MACRO_IN_DOMAIN)) {
        return false;
    }
    while (rest.len > 0) {
        ends_in_macro = rest.data[0] == '%';
        next_element(&rest, &element);
    }
    return ends_in_macro || ends_in_toplabel(text);
}

bool spf_macro_uses(struct bytes text, char letter)
{
    struct element element;

    while (text.len > 0 && next_element(&text, &element)) {
        if (element.letter == letter) {
            return true;
        }
    }
    return false;
}

/* ---- expansion ---- */

static bool is_delimiter(const struct element *element, char octet)
{
    if (element->delimiters.len == 0) {
        return octet == '.';
    }
    return memchr(element->delimiters.data, octet, element->delimiters.len) != NULL;
}

static void add_escaped(struct strbuf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];

        if (ascii_is_alnum(octet) || memchr("-._~", octet, 4) != NULL) {
            strbuf_add_char(out, (char)octet);
        } else {
            strbuf_add_char(out, '%');
            strbuf_add_char(out, "0123456789ABCDEF"[octet >> 4]);
            strbuf_add_char(out, "0123456789ABCDEF"[octet & 15]);
        }
    }
}

static size_t count_parts(const struct element *element, struct bytes value)
{
    size_t parts = 1;

    for (size_t i = 0; i < value.len; i++) {
        parts += is_delimiter(element, value.data[i]);
    }
    return parts;
}

static struct bytes part_at(const struct element *element, struct bytes value, size_t index)
{
    size_t start = 0, end;

    for (; index > 0; index--) {
        while (!is_delimiter(element, value.data[start])) {
            start++;
        }
        start++;
    }
    for (end = start; end < value.len && !is_delimiter(element, value.data[end]); end++) {
    }
    return bytes_between(value, start, end);
}

/* Splits, turns round, keeps the right-most parts, joins by dots; in this order. */
static void add_transformed(struct strbuf *out, const struct element *element,
                            struct bytes value)
{
    size_t parts = count_parts(element, value);
    size_t keep = element->keep == 0 || element->keep > parts ? parts : element->keep;

    for (size_t i = 0; i < keep; i++) {
        size_t index = element->is_reversed ? keep - 1 - i : parts - keep + i;
        struct bytes part = part_at(element, value, index);

        if (i > 0) {
            strbuf_add_char(out, '.');
        }
        if (element->is_escaped) {
            add_escaped(out, part);
        } else {
            strbuf_add(out, part);
        }
    }
}

static struct bytes value_of(char letter, const struct spf_macro_values *values)
{
    switch (letter) {
    case 's':
        return values->sender;
    case 'l':
        return values->local;
    case 'o':
        return values->sender_domain;
    case 'd':
        return values->domain;
    case 'i':
        return bytes_from_text(values->client_dotted);
    case 'p':
        return values->client_name;
    case 'v':
        return values->is_ipv6 ? BYTES("ip6") : BYTES("in-addr");
    case 'h':
        return values->helo;
    case 'c':
        return bytes_from_text(values->client_text.text);
    case 'r':
        return values->receiver;
    default:
        return BYTES("");
    }
}

static void add_element(struct strbuf *out, const struct element *element,
                        const struct spf_macro_values *values)
{
    char digits[24];

    if (element->letter == 0) {
        strbuf_add(out, element->literal);
    } else if (element->letter == 't') {
        int len = snprintf(digits, sizeof digits, "%lld", (long long)values->unix_seconds);
        add_transformed(out, element, bytes_of(digits, (size_t)len));
    } else {
        add_transformed(out, element, value_of(element->letter, values));
    }
}

/* Fills starts[] with where each element begins; returns how many there are. */
static size_t find_elements(struct bytes text, uint16_t starts[ELEMENT_LIMIT])
{
    struct bytes rest = text;
    struct element element;
    size_t count = 0;

    while (rest.len > 0 && count < ELEMENT_LIMIT) {
        starts[count++] = (uint16_t)(text.len - rest.len);
        if (!next_element(&rest, &element)) {
            break;
        }
    }
    return count;
}

/* From the right until there is more than a name may have, then that tail from left to right. */
static void add_tail(struct strbuf *out, struct bytes text,
                     const struct spf_macro_values *values)
{
    uint16_t starts[ELEMENT_LIMIT];
    size_t count, first;
    struct element element;

    assert(text.len <= ELEMENT_LIMIT);
    count = first = find_elements(text, starts);
    for (size_t total = 0; first > 0 && total <= DNS_NAME_LIMIT; total += out->len) {
        struct bytes from = bytes_skip(text, starts[--first]);

        strbuf_reset(out);
        next_element(&from, &element);
        add_element(out, &element, values);
    }
    strbuf_reset(out);
    if (first < count) {
        text = bytes_skip(text, starts[first]);
        while (text.len > 0 && next_element(&text, &element)) {
            add_element(out, &element, values);
        }
    }
}

static bool is_plain(char octet)
{
    return octet > ' ' && octet <= '~' && octet != '\\';
}

/* dns_facts takes blanks and what is no ASCII only as \ddd, and reads a backslash as such. */
static void escape_octets(struct strbuf *name)
{
    struct strbuf escaped;
    size_t plain = 0;

    while (plain < name->len && is_plain(name->data[plain])) {
        plain++;
    }
    if (plain == name->len) {
        return;
    }
    strbuf_init(&escaped, name->limit);
    for (size_t i = 0; i < name->len; i++) {
        if (is_plain(name->data[i])) {
            strbuf_add_char(&escaped, name->data[i]);
        } else {
            strbuf_addf(&escaped, "\\%03u", (unsigned)(unsigned char)name->data[i]);
        }
    }
    strbuf_reset(name);
    strbuf_add(name, strbuf_bytes(&escaped));
    strbuf_clear(&escaped);
}

/* Takes labels away from the left until it is short enough (RFC 7208 §7.3); of one endless
 * label nothing is left. */
static void cut_to_name(struct strbuf *name)
{
    size_t start;

    if (name->len <= DNS_NAME_LIMIT) {
        return;
    }
    start = name->len - DNS_NAME_LIMIT;
    while (start < name->len && name->data[start - 1] != '.') {
        start++;
    }
    strbuf_drop_first(name, start);
}

void spf_macro_expand_domain(struct bytes text, const struct spf_macro_values *values,
                             struct strbuf *out)
{
    strbuf_reset(out);
    if (bytes_find(text, '%') == text.len) {
        strbuf_add(out, text);
    } else {
        add_tail(out, text, values);
    }
    if (out->len > 0 && out->data[out->len - 1] == '.') {
        strbuf_truncate(out, out->len - 1);
    }
    cut_to_name(out);
    escape_octets(out);
}

void spf_macro_expand_text(struct bytes text, const struct spf_macro_values *values,
                           size_t limit, struct strbuf *out)
{
    struct element element;

    strbuf_reset(out);
    while (text.len > 0 && out->len < limit && next_element(&text, &element)) {
        add_element(out, &element, values);
    }
    strbuf_truncate(out, out->len < limit ? out->len : limit);
}
