/*
 * ip_address - IPv4 and IPv6 addresses, networks and ports as values.
 *
 * Shape   IPv4-mapped IPv6 addresses (::ffff:0:0/96) become IPv4 when parsed or taken from a
 *         socket, so one client has one form.
 * RFC     4291 (IPv6), 5952 (its text form), 5321 §4.1.3 (address literals)
 */
#ifndef PROTOCOL_IP_ADDRESS_H
#define PROTOCOL_IP_ADDRESS_H

#include "base/bytes.h"
#include "base/strbuf.h"

enum ip_family { IP_NONE, IP_V4 = 4, IP_V6 = 6 };

struct ip_address {
    enum ip_family family;
    uint8_t octets[16]; /* network order; IPv4 uses the first four */
};

struct ip_endpoint {
    struct ip_address address;
    uint16_t port;
};

struct ip_network {
    struct ip_address address;
    unsigned prefix_bits;
};

/* Enough for any text written by ip_address_text and ip_endpoint_text, with NUL. */
enum { IP_TEXT_SIZE = 56 };

struct ip_text {
    char text[IP_TEXT_SIZE];
};

/* "192.0.2.1" or "2001:db8::1"; no brackets, no zone, no blanks. */
bool ip_address_parse(struct bytes text, struct ip_address *address);
/* "192.0.2.1:25", "[192.0.2.1]:25" or "[2001:db8::1]:25"; without ":port" default_port is used unless it is 0. */
bool ip_endpoint_parse(struct bytes text, uint16_t default_port, struct ip_endpoint *endpoint);
/* "192.0.2.0/24", "2001:db8::/32" or a single address. Bits behind the prefix must be zero. */
bool ip_network_parse(struct bytes text, struct ip_network *network);
/* The inside of an address literal: "192.0.2.1" or "IPv6:2001:db8::1" (either case). */
bool ip_literal_parse(struct bytes text, struct ip_address *address);

struct ip_text ip_address_text(const struct ip_address *address);
struct ip_text ip_endpoint_text(const struct ip_endpoint *endpoint);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3). */
struct ip_text ip_literal_text(const struct ip_address *address);

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b);
bool ip_network_contains(const struct ip_network *network, const struct ip_address *address);

/* Addresses no message may be sent to unless they are allowed by name: loopback, unspecified,
 * "this network" (0.0.0.0/8), link-local, multicast, limited broadcast; also inside NAT64
 * (64:ff9b::/96) and 6to4 wrappers. */
bool ip_address_is_never_next_hop(const struct ip_address *address);
/* Known inside a network only: RFC 1918, 6598 (carriers), 4193. */
bool ip_address_is_private(const struct ip_address *address);
bool ip_address_is_loopback(const struct ip_address *address);
/* 0.0.0.0 or ::, "any address" */
bool ip_address_is_unspecified(const struct ip_address *address);

#endif
