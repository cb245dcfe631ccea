#include "base/encoding.h"

static const char BASE32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Writes octets as digits of `bits` bits each, most significant first. */
static void add_digits(struct strbuf *out, struct bytes octets, unsigned bits,
                       const char *alphabet)
{
    uint32_t held = 0;
    unsigned count = 0;
    uint32_t mask = (1u << bits) - 1;

    for (size_t i = 0; i < octets.len; i++) {
        held = (held << 8 | (unsigned char)octets.data[i]) & 0xffff;
        count += 8;
        while (count >= bits) {
            count -= bits;
            strbuf_add_char(out, alphabet[held >> count & mask]);
        }
    }
    if (count > 0) {
        strbuf_add_char(out, alphabet[held << (bits - count) & mask]);
    }
}

static bool decode_digits(struct bytes text, unsigned bits, int (*value_of)(unsigned char),
                          struct strbuf *out)
{
    uint32_t held = 0;
    unsigned count = 0;

    for (size_t i = 0; i < text.len; i++) {
        int value = value_of((unsigned char)text.data[i]);
        if (value < 0) {
            return false;
        }
        held = (held << bits | (uint32_t)value) & 0xffff;
        count += bits;
        if (count >= 8) {
            count -= 8;
            strbuf_add_char(out, (char)(held >> count & 0xff));
        }
    }
    return count < bits && (held & ((1u << count) - 1)) == 0 && !out->overflowed;
}

static int base32_value(unsigned char octet)
{
    octet = ascii_lower(octet);
    if (octet >= 'a' && octet <= 'z') {
        return octet - 'a';
    }
    return octet >= '2' && octet <= '7' ? octet - '2' + 26 : -1;
}

static int base64_value(unsigned char octet)
{
    if (octet >= 'A' && octet <= 'Z') {
        return octet - 'A';
    }
    if (octet >= 'a' && octet <= 'z') {
        return octet - 'a' + 26;
    }
    if (ascii_is_digit(octet)) {
        return octet - '0' + 52;
    }
    return octet == '+' ? 62 : octet == '/' ? 63 : -1;
}

static int hex_value(unsigned char octet)
{
    octet = ascii_lower(octet);
    if (ascii_is_digit(octet)) {
        return octet - '0';
    }
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

void encoding_base32_add(struct strbuf *out, struct bytes octets)
{
    add_digits(out, octets, 5, BASE32);
}

bool encoding_base32_decode(struct bytes text, struct strbuf *out)
{
    return decode_digits(text, 5, base32_value, out);
}

void encoding_base64_add(struct strbuf *out, struct bytes octets)
{
    add_digits(out, octets, 6, BASE64);
    for (size_t i = octets.len; i % 3 != 0; i++) {
        strbuf_add_char(out, '=');
    }
}

bool encoding_base64_decode(struct bytes text, struct strbuf *out)
{
    if (text.len % 4 != 0) {
        return false;
    }
    for (int padding = 0; padding < 2 && text.len > 0 && text.data[text.len - 1] == '=';
         padding++) {
        text.len--;
    }
    return decode_digits(text, 6, base64_value, out);
}

void encoding_hex_add(struct strbuf *out, struct bytes octets)
{
    add_digits(out, octets, 4, "0123456789abcdef");
}

bool encoding_hex_decode(struct bytes text, struct strbuf *out)
{
    return text.len % 2 == 0 && decode_digits(text, 4, hex_value, out);
}
