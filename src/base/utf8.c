#include "base/utf8.h"

size_t utf8_length(struct bytes text)
{
    unsigned char first = (unsigned char)text.data[0];
    unsigned char second = text.len > 1 ? (unsigned char)text.data[1] : 0;
    size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (length == 1) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4 || text.len < length) {
        return 0;
    }
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
        return 0; /* longer than needed, half of a pair, or beyond the last */
    }
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool utf8_is_valid(struct bytes text)
{
    while (text.len > 0) {
        size_t length = utf8_length(text);

        if (length == 0) {
            return false;
        }
        text = bytes_skip(text, length);
    }
    return true;
}

bool utf8_is_control(struct bytes character)
{
    unsigned char first = (unsigned char)character.data[0];

    return first < 0x20 || first == 0x7f ||
           (character.len == 2 && first == 0xc2 && (unsigned char)character.data[1] < 0xa0);
}

bool utf8_turns_direction(struct bytes character)
{
    const unsigned char *octets = (const unsigned char *)character.data;

    if (character.len == 2) {
        return octets[0] == 0xD8 && octets[1] == 0x9C;
    }
    if (character.len != 3 || octets[0] != 0xE2) {
        return false;
    }
    return octets[1] == 0x80 ? octets[2] == 0x8E || octets[2] == 0x8F ||
                                   (octets[2] >= 0xAA && octets[2] <= 0xAE)
                             : octets[1] == 0x81 && octets[2] >= 0xA6 && octets[2] <= 0xA9;
}

void utf8_add_printable(struct strbuf *out, struct bytes text)
{
    while (text.len > 0) {
        size_t length = utf8_length(text);
        struct bytes character = bytes_first(text, length == 0 ? 1 : length);

        if (length == 0 || utf8_is_control(character) || utf8_turns_direction(character)) {
            for (size_t i = 0; i < character.len; i++) {
                strbuf_addf(out, "\\x%02x", (unsigned)(unsigned char)character.data[i]);
            }
        } else {
            strbuf_add(out, character);
        }
        text = bytes_skip(text, character.len);
    }
}
