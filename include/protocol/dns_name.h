/*
 * dns_name - names in DNS as text, in the one form in which they can be compared.
 *
 * Names   lower case, labels joined by dots, no trailing dot; octets outside letters, digits,
 *         "-", "_", "*" are written as \ddd. The root is "". At most 253 octets as text. Taken
 *         from outside, printable octets may also stand as they are; blanks, controls and 8-bit
 *         octets may not (in a query for them the answer is known: no such name).
 * RFC     1035 §2.3, 5782 (addresses backwards)
 */
#ifndef PROTOCOL_DNS_NAME_H
#define PROTOCOL_DNS_NAME_H

#include "base/strbuf.h"
#include "protocol/ip_address.h"

enum { DNS_NAME_LIMIT = 253 };

/* Lower case, one trailing dot removed; false when it is no DNS name. Replaces what is in
 * `out`. */
bool dns_name_normalise(struct bytes name, struct strbuf *out);
/* The same without an allocation, for keys. */
struct dns_name {
    size_t len;
    char octets[DNS_NAME_LIMIT + 1];
};
bool dns_name_read(struct bytes name, struct dns_name *out);
/* The address backwards, "4.3.2.1." or 32 nibbles: what stands before the zone of a list (RFC 5782). */
void dns_reverse_labels_add(struct strbuf *out, const struct ip_address *address);
/* "4.3.2.1.in-addr.arpa", "...ip6.arpa" */
void dns_reverse_name_add(struct strbuf *out, const struct ip_address *address);

#endif
