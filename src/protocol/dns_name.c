#include "protocol/dns_name.h"

#include "dns_wire_name.h"

/* Nearly every name is made of plain octets and stays as it is, but for case and a final dot. False:
 * it has to be read in full. */
static bool read_plain_name(struct bytes name, struct dns_name *out)
{
    size_t label = 0; /* octets of it so far */

    if (name.len > DNS_NAME_LIMIT) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t octet = ascii_lower((unsigned char)name.data[i]);

        if (octet == '.' && label > 0) {
            label = 0;
        } else if (!dns_wire_name_is_plain(octet) || ++label > DNS_LABEL_LIMIT) {
            return false;
        }
        out->octets[i] = (char)octet;
    }
    out->len = name.len - (name.len > 0 && label == 0);
    out->octets[out->len] = '\0';
    return true;
}

bool dns_name_read(struct bytes name, struct dns_name *out)
{
    struct dns_wire_name wire;

    return read_plain_name(name, out) ||
           (dns_wire_name_parse(name, &wire) && dns_wire_name_format(&wire, out));
}

bool dns_name_normalise(struct bytes name, struct strbuf *out)
{
    struct dns_name text;

    strbuf_reset(out);
    if (!dns_name_read(name, &text)) {
        return false;
    }
    strbuf_add(out, bytes_of(text.octets, text.len));
    return !out->overflowed;
}

void dns_reverse_labels_add(struct strbuf *out, const struct ip_address *address)
{
    static const char digits[] = "0123456789abcdef";

    if (address->family == IP_V4) {
        for (size_t i = 4; i-- > 0;) {
            strbuf_add_u64(out, address->octets[i]);
            strbuf_add_char(out, '.');
        }
        return;
    }
    for (size_t i = 16; i-- > 0;) {
        strbuf_add_char(out, digits[address->octets[i] & 0x0f]);
        strbuf_add_char(out, '.');
        strbuf_add_char(out, digits[address->octets[i] >> 4]);
        strbuf_add_char(out, '.');
    }
}

void dns_reverse_name_add(struct strbuf *out, const struct ip_address *address)
{
    dns_reverse_labels_add(out, address);
    strbuf_add_text(out, address->family == IP_V4 ? "in-addr.arpa" : "ip6.arpa");
}
