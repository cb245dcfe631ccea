/*
 * delivery_route - where mail for a domain goes: MX, or where a `route` line says.
 *
 * Destination  the key by which deliveries are scheduled: the recipient's domain (lower case) when
 *              MX decides, the route's own text when a static route does; so all domains behind one
 *              smarthost share its connections and back-off.
 */
#ifndef FORWARD_DELIVERY_ROUTE_H
#define FORWARD_DELIVERY_ROUTE_H

#include "base/arena.h"
#include "protocol/ip_address.h"

enum { DELIVERY_ROUTE_HOPS = 16 };

struct route_hop {
    struct bytes host;          /* a name to look up (A/AAAA), or empty: address is set */
    struct ip_address address;
    uint16_t port;
};

struct delivery_route {
    struct bytes domain;        /* lower case; "*" is the default */
    bool use_mx;                /* `route D to mx` */
    struct bytes destination;   /* key of static routes: the words behind "to" */
    struct route_hop hops[DELIVERY_ROUTE_HOPS]; /* tried in order */
    size_t hop_count;
};

struct delivery_route_table {
    const struct delivery_route *routes;
    size_t count;
};

/* The route for a domain: the exact one, or "*", or NULL (MX). */
const struct delivery_route *delivery_route_find(const struct delivery_route_table *table,
                                                 struct bytes domain);
/* The route whose destination key this is, or NULL: the key is a domain and MX decides. */
const struct delivery_route *delivery_route_by_destination(const struct delivery_route_table *table,
                                                           struct bytes destination);
/* The key for a domain (in the arena, or a view of the table). */
struct bytes delivery_route_destination(const struct delivery_route_table *table,
                                        struct bytes domain, struct arena *arena);

#endif
