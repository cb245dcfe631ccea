/*
 * next_hop_order - which hosts to try for a destination, in which order (RFC 5321 §5.1).
 *
 * Input   DNS facts (replay: VERIFY_NEEDS_DNS style), the destination, our own names and
 *         addresses, a random number for the shuffle among equals.
 * Rules   MX by preference, equals shuffled; no MX: the domain itself (implicit MX); one MX
 * with an empty host: null MX, permanent 5.1.10 (RFC 7505), when it stands with others it is
 * left out; NXDOMAIN: permanent 5.1.2; trouble: temporary 4.4.3. CNAME chains at most 8. When
 * one of the hosts is us (by name, or by address and port), it and all of higher or equal
 * preference number are dropped, allowed or not; nothing left: permanent 5.4.6. Addresses: IPv6
 * and IPv4 interleaved per host; addresses that must never be connected to are left out unless
 * allowed; all of them forbidden: permanent 5.4.4; no host has one: 5.4.4, or 5.1.2 for the
 * domain itself. At most NEXT_HOP_LIMIT in all, NEXT_HOP_PER_HOST of one host (the next one
 * gets its chance), no address twice. Hosts whose look-up failed count only when nothing else
 * is left: then temporary. Static  routes (delivery_route) take the same way from their hosts
 * on; their addresses are allowed, and what cannot be had is temporary: the operator's mistake
 * is mended, not bounced. Literal "[192.0.2.1]" and "[IPv6:...]" are one address and need no
 * DNS.
 */
#ifndef FORWARD_NEXT_HOP_ORDER_H
#define FORWARD_NEXT_HOP_ORDER_H

#include "forward/decision.h"
#include "forward/delivery_route.h"
#include "protocol/dns_facts.h"

enum { NEXT_HOP_LIMIT = 20, NEXT_HOP_PER_HOST = 8 };

struct next_hop {
    struct bytes host; /* MX host name, or the text of the address */
    struct ip_endpoint endpoint;
    uint16_t preference;
};

struct next_hop_options {
    struct bytes own_names[16]; /* hostname and what else is us */
    size_t own_name_count;
    const struct ip_endpoint *own_addresses; /* what we listen on; 0.0.0.0 stands for loopback:
                                                the caller adds the local addresses it knows */
    size_t own_address_count;
    const struct ip_network *allowed; /* allow-next-hop */
    size_t allowed_count;
    uint16_t port; /* 25; tests use others */
    bool use_ipv6, use_ipv4;
};

enum next_hop_status { NEXT_HOP_FOUND, NEXT_HOP_NEEDS_DNS, NEXT_HOP_FAILED };

struct next_hop_list {
    struct next_hop hops[NEXT_HOP_LIMIT];
    size_t count;
    struct decision failure; /* NEXT_HOP_FAILED: DEFER or REFUSE with codes and text */
    bool is_mx_secure;       /* AD on the MX answer */
    bool is_partial;         /* there are more hosts; their look-up failed for now */
    uint32_t ttl;            /* seconds the list may be kept */
};

/* Names in *list are copied into the arena. `route` NULL: MX. */
enum next_hop_status next_hop_order(const struct next_hop_options *options, struct bytes domain,
                                    const struct delivery_route *route, struct dns_facts *facts,
                                    uint32_t random, struct arena *arena,
                                    struct next_hop_list *list);

#endif
