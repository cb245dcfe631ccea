#include "mail/mime_decoding.h"

enum { PASSED_OVER = 64, PADDING = 65 };

/* clang-format off */
static const unsigned char BASE64_VALUES[256] = {
    64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64, 64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,
    64,64,64,64,64,64,64,64,64,64,64,62,64,64,64,63, 52,53,54,55,56,57,58,59,60,61,64,64,64,65,64,64,
    64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,10,11,12,13,14, 15,16,17,18,19,20,21,22,23,24,25,64,64,64,64,64,
    64,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40, 41,42,43,44,45,46,47,48,49,50,51,64,64,64,64,64,
    64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64, 64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,
    64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64, 64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,
    64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64, 64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,
    64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64, 64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,64,
};
/* clang-format on */

/* A group of base64 or of uuencode has come as far as it comes. */
static size_t put_group(struct mime_decoding *decoding, char *out)
{
    size_t count = decoding->count == 0 ? 0 : decoding->count - 1;
    uint32_t bits = decoding->bits << (6 * (4 - decoding->count));

    for (size_t i = 0; i < count; i++) {
        out[i] = (char)(bits >> (16 - 8 * i));
    }
    decoding->bits = 0;
    decoding->count = 0;
    return count;
}

static size_t decode_base64(struct mime_decoding *decoding, struct bytes text, char *out)
{
    const unsigned char *from = (const unsigned char *)text.data;
    const unsigned char *end = from + text.len;
    char *to = out;

    while (from < end) {
        unsigned value;

        /* Whole groups, which is nearly all there is. */
        while (decoding->count == 0 && end - from >= 4) {
            unsigned a = BASE64_VALUES[from[0]], b = BASE64_VALUES[from[1]];
            unsigned c = BASE64_VALUES[from[2]], d = BASE64_VALUES[from[3]];

            if (((a | b | c | d) & 64) != 0) {
                break;
            }
            to[0] = (char)(a << 2 | b >> 4);
            to[1] = (char)(b << 4 | c >> 2);
            to[2] = (char)(c << 6 | d);
            to += 3;
            from += 4;
        }
        if (from == end) {
            break;
        }
        value = BASE64_VALUES[*from++];
        if (value == PADDING) {
            to += put_group(decoding, to);
        } else if (value != PASSED_OVER) {
            decoding->bits = decoding->bits << 6 | value;
            if (++decoding->count == 4) {
                to += put_group(decoding, to);
            }
        }
    }
    return (size_t)(to - out);
}

static int hex_value(unsigned char octet)
{
    if (ascii_is_digit(octet)) {
        return octet - '0';
    }
    octet = ascii_lower(octet);
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

/* "=" is kept back until it is known what it begins: two digits, or the end of a line. */
static size_t decode_escape(struct mime_decoding *decoding, char octet, char *out)
{
    int value = hex_value((unsigned char)octet);
    size_t count = 0;

    if (decoding->count == 1 && value >= 0) {
        decoding->left = (unsigned char)octet;
        decoding->count = 2;
        return 0;
    }
    if (decoding->count == 2 && value >= 0) {
        out[count++] = (char)(hex_value((unsigned char)decoding->left) << 4 | value);
        decoding->count = 0;
        return count;
    }
    if (decoding->count == 1 && (octet == ' ' || octet == '\t' || octet == '\r')) {
        return 0;
    }
    if (decoding->count == 1 && octet == '\n') {
        decoding->count = 0;
        return 0;
    }
    /* Nothing of the kind: it stands for itself. */
    out[count++] = '=';
    if (decoding->count == 2) {
        out[count++] = (char)decoding->left;
    }
    decoding->count = octet == '=' ? 1 : 0;
    if (octet != '=') {
        out[count++] = octet;
    }
    return count;
}

static size_t decode_quoted_printable(struct mime_decoding *decoding, struct bytes text,
                                      char *out)
{
    size_t count = 0;
    size_t at = 0;

    while (at < text.len) {
        const char *next;
        size_t plain;

        while (decoding->count > 0 && at < text.len) {
            count += decode_escape(decoding, text.data[at++], out + count);
        }
        if (at == text.len) {
            break;
        }
        next = memchr(text.data + at, '=', text.len - at);
        plain = next == NULL ? text.len - at : (size_t)(next - text.data) - at;
        memcpy(out + count, text.data + at, plain);
        count += plain;
        at += plain;
        if (next != NULL) {
            decoding->count = 1;
            at++;
        }
    }
    return count;
}

/* Each line says in its first character how many octets it stands for. */
static size_t decode_uuencode(struct mime_decoding *decoding, struct bytes text, char *out)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];

        if (octet == '\n') {
            decoding->is_in_line = false;
            decoding->count = 0;
            decoding->bits = 0;
        } else if (!decoding->is_in_line) {
            decoding->is_in_line = true;
            decoding->left = (octet - 32u) & 63;
        } else if (octet >= 32 && octet <= 96 && decoding->left > 0) {
            decoding->bits = decoding->bits << 6 | ((octet - 32u) & 63);
            if (++decoding->count == 4) {
                size_t all = put_group(decoding, out + count);
                size_t used = all < decoding->left ? all : decoding->left;

                count += used;
                decoding->left -= (unsigned)used;
            }
        }
    }
    return count;
}

size_t mime_decode(struct mime_decoding *decoding, struct bytes encoded, char *out)
{
    switch (decoding->encoding) {
    case MIME_IDENTITY:
        memcpy(out, encoded.data, encoded.len);
        return encoded.len;
    case MIME_BASE64:
        return decode_base64(decoding, encoded, out);
    case MIME_QUOTED_PRINTABLE:
        return decode_quoted_printable(decoding, encoded, out);
    case MIME_UUENCODE:
        return decode_uuencode(decoding, encoded, out);
    }
    return 0;
}
