#include "dns_wire_name.h"

bool dns_wire_name_equals(const struct dns_wire_name *a, const struct dns_wire_name *b)
{
    return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

/* Reads one octet of a label; \ddd is one octet too. False: not allowed in a name. */
static bool take_label_octet(struct bytes *text, uint8_t *octet)
{
    uint8_t first = (uint8_t)text->data[0];
    unsigned value = 0;

    if (first != '\\') {
        *octet = ascii_lower(first);
        *text = bytes_skip(*text, 1);
        return first > 0x20 && first < 0x7f;
    }
    if (text->len < 4) {
        return false;
    }
    for (size_t i = 1; i < 4; i++) {
        if (!ascii_is_digit((unsigned char)text->data[i])) {
            return false;
        }
        value = value * 10 + (unsigned)(text->data[i] - '0');
    }
    *octet = ascii_lower((unsigned char)value);
    *text = bytes_skip(*text, 4);
    return value <= 255;
}

/* Adds an octet to the label whose length octet is at `label`; leaves room for the root. */
static bool push_octet(struct dns_wire_name *name, size_t label, uint8_t octet)
{
    if (name->octets[label] == DNS_LABEL_LIMIT || name->len >= DNS_WIRE_NAME_LIMIT - 1) {
        return false;
    }
    name->octets[label]++;
    name->octets[name->len++] = octet;
    return true;
}

bool dns_wire_name_parse(struct bytes text, struct dns_wire_name *name)
{
    size_t label = 0; /* index of the length octet of the label being read */

    name->len = 1;
    name->octets[0] = 0;
    if (bytes_equal(text, BYTES("."))) {
        return true;
    }
    while (text.len > 0) {
        uint8_t octet;

        if (text.data[0] != '.') {
            if (!take_label_octet(&text, &octet) || !push_octet(name, label, octet)) {
                return false;
            }
            continue;
        }
        if (name->octets[label] == 0) {
            return false; /* an empty label */
        }
        text = bytes_skip(text, 1);
        label = name->len;
        name->octets[name->len++] = 0;
    }
    if (name->octets[label] != 0) {
        name->octets[name->len++] = 0; /* there was no trailing dot */
    }
    return true;
}

static bool add_octet(struct dns_name *out, char octet)
{
    if (out->len == DNS_NAME_LIMIT) {
        return false;
    }
    out->octets[out->len++] = octet;
    return true;
}

static bool add_label_octet(struct dns_name *out, uint8_t octet)
{
    if (dns_wire_name_is_plain(octet)) {
        return add_octet(out, (char)octet);
    }
    return add_octet(out, '\\') && add_octet(out, (char)('0' + octet / 100)) &&
           add_octet(out, (char)('0' + octet / 10 % 10)) &&
           add_octet(out, (char)('0' + octet % 10));
}

bool dns_wire_name_format(const struct dns_wire_name *name, struct dns_name *out)
{
    out->len = 0;
    for (size_t at = 0; name->octets[at] != 0; at += 1u + name->octets[at]) {
        if (at > 0 && !add_octet(out, '.')) {
            return false;
        }
        for (size_t i = 1; i <= name->octets[at]; i++) {
            if (!add_label_octet(out, name->octets[at + i])) {
                return false;
            }
        }
    }
    out->octets[out->len] = '\0';
    return true;
}
