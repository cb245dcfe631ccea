/*
 * dns_wire_name - a name as it is on the wire, and as text.
 *
 * Private to room protocol: dns_message and dns_name.
 * RFC     1035 §3.1, §2.3.4
 */
#ifndef PROTOCOL_DNS_WIRE_NAME_H
#define PROTOCOL_DNS_WIRE_NAME_H

#include "protocol/dns_name.h"

enum {
    DNS_WIRE_NAME_LIMIT = 255, /* with the root's 0 */
    DNS_LABEL_LIMIT = 63,
};

/* Uncompressed, letters folded, with the root's 0 at the end. */
struct dns_wire_name {
    size_t len;
    uint8_t octets[DNS_WIRE_NAME_LIMIT];
};

bool dns_wire_name_equals(const struct dns_wire_name *a, const struct dns_wire_name *b);
/* Text to wire form; "" and "." are the root. False: it is no name. */
bool dns_wire_name_parse(struct bytes text, struct dns_wire_name *name);
/* Wire form to text; false when escapes make it longer than a name may be. */
bool dns_wire_name_format(const struct dns_wire_name *name, struct dns_name *out);
/* Does the octet stand for itself in the text of a name? */
static inline bool dns_wire_name_is_plain(uint8_t octet)
{
    return ascii_is_alnum(octet) || octet == '-' || octet == '_' || octet == '*';
}

#endif
