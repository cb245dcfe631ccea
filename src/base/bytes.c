#include "base/bytes.h"

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    return a.len == b.len && bytes_starts_with_nocase(a, b);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0 || a.len == b.len) {
        return order;
    }
    return a.len < b.len ? -1 : 1;
}

bool bytes_starts_with(struct bytes view, struct bytes prefix)
{
    return view.len >= prefix.len && bytes_equal(bytes_first(view, prefix.len), prefix);
}

bool bytes_starts_with_nocase(struct bytes view, struct bytes prefix)
{
    if (view.len < prefix.len) {
        return false;
    }
    for (size_t i = 0; i < prefix.len; i++) {
        if (ascii_lower((unsigned char)view.data[i]) !=
            ascii_lower((unsigned char)prefix.data[i])) {
            return false;
        }
    }
    return true;
}

bool bytes_ends_with_nocase(struct bytes view, struct bytes suffix)
{
    return view.len >= suffix.len &&
           bytes_equal_nocase(bytes_skip(view, view.len - suffix.len), suffix);
}

size_t bytes_find(struct bytes view, char octet)
{
    const char *found = view.len == 0 ? NULL : memchr(view.data, octet, view.len);

    return found == NULL ? view.len : (size_t)(found - view.data);
}

size_t bytes_find_last(struct bytes view, char octet)
{
    for (size_t i = view.len; i > 0; i--) {
        if (view.data[i - 1] == octet) {
            return i - 1;
        }
    }
    return view.len;
}

size_t bytes_find_part(struct bytes view, struct bytes part)
{
    if (part.len == 0) {
        return 0;
    }
    for (size_t at = 0; at + part.len <= view.len; at++) {
        at += bytes_find(bytes_skip(view, at), part.data[0]);
        if (at + part.len > view.len) {
            break;
        }
        if (bytes_starts_with(bytes_skip(view, at), part)) {
            return at;
        }
    }
    return view.len;
}

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

struct bytes bytes_trim(struct bytes view)
{
    while (view.len > 0 && is_blank(view.data[0])) {
        view = bytes_skip(view, 1);
    }
    while (view.len > 0 && is_blank(view.data[view.len - 1])) {
        view.len--;
    }
    return view;
}

struct bytes bytes_cut(struct bytes *view, char octet)
{
    size_t at = bytes_find(*view, octet);
    struct bytes before = bytes_first(*view, at);

    *view = bytes_skip(*view, at < view->len ? at + 1 : at);
    return before;
}

void bytes_fold(char *to, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        to[i] = (char)ascii_lower((unsigned char)text.data[i]);
    }
}

bool bytes_is_ascii(struct bytes view)
{
    for (size_t i = 0; i < view.len; i++) {
        if ((unsigned char)view.data[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

bool bytes_to_u64(struct bytes view, uint64_t *value)
{
    uint64_t sum = 0;

    if (view.len == 0) {
        return false;
    }
    for (size_t i = 0; i < view.len; i++) {
        unsigned char octet = (unsigned char)view.data[i];
        if (!ascii_is_digit(octet) || sum > (UINT64_MAX - (octet - '0')) / 10) {
            return false;
        }
        sum = sum * 10 + (octet - '0');
    }
    *value = sum;
    return true;
}

bool bytes_equal_constant_time(struct bytes a, struct bytes b)
{
    unsigned char difference = 0;

    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        difference |= (unsigned char)(a.data[i] ^ b.data[i]);
    }
    return difference == 0;
}
