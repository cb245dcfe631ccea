/*
 * delivery_route - where mail for a domain goes: MX, or where a `route` line says.
 *
 * Destination  the key by which deliveries are scheduled: the recipient's domain (lower case,
 * no trailing dot) when MX decides; DELIVERY_ROUTE_KEY and the route's own text when a static
 * route does, so all domains behind one smarthost share its connections and back-off. The
 * prefix has a colon, which no domain has: `route a.org to b.org` and mail for b.org by its MX
 * are two destinations.
 */
#ifndef FORWARD_DELIVERY_ROUTE_H
#define FORWARD_DELIVERY_ROUTE_H

#include "base/arena.h"
#include "protocol/ip_address.h"

enum { DELIVERY_ROUTE_HOPS = 16 };
#define DELIVERY_ROUTE_KEY "route:"

struct route_hop {
    struct bytes host; /* a name to look up (A/AAAA), or empty: address is set */
    struct ip_address address;
    uint16_t port;
};

struct delivery_route {
    struct bytes domain;                        /* lower case; "*" is the default */
    bool use_mx;                                /* `route D to mx` */
    struct bytes destination;                   /* static routes: the words behind "to" */
    struct route_hop hops[DELIVERY_ROUTE_HOPS]; /* tried in order */
    size_t hop_count;
};

struct delivery_route_table {
    const struct delivery_route *routes;
    size_t count;
};

enum route_hop_result { ROUTE_HOP_OK, ROUTE_HOP_BAD_PORT, ROUTE_HOP_BAD_HOST };

/* HOST[:PORT], [IP][:PORT] or IP[:PORT]; port 0: none is named. `host` is a part of the text. */
enum route_hop_result route_hop_read(struct bytes text, struct route_hop *hop);
/* The route for a domain: the exact one, or "*", or NULL (MX). */
const struct delivery_route *delivery_route_find(const struct delivery_route_table *table,
                                                 struct bytes domain);
/* The static route whose key this is. NULL: the key is a domain and MX decides, or the route
 * has gone from the configuration since (delivery_route_is_static_key): look up the domain
 * again. */
const struct delivery_route *
delivery_route_by_destination(const struct delivery_route_table *table,
                              struct bytes destination);
bool delivery_route_is_static_key(struct bytes destination);
/* The key for a domain, in the arena. */
struct bytes delivery_route_destination(const struct delivery_route_table *table,
                                        struct bytes domain, struct arena *arena);

#endif
