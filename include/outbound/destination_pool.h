/*
 * destination_pool - what is known and kept of the destinations of one loop.
 *
 * Next hops    remembered for their TTL (at most NEXT_HOPS_KEPT_MS, so that the shuffle among
 *              equals is drawn anew now and then); shared with the attempts that use them.
 * Hosts        destinations with the same mail hosts share what is known of those hosts, and the connections
 *              to them (host_group), from when their next hops are remembered until they are others.
 *              Destinations that insist on TLS stand apart: what they do not get says nothing of the others.
 * Limit        DESTINATIONS_KEPT destinations that nobody uses; the longest unused is forgotten
 *              first. Keys come from strangers: the hash is keyed.
 */
#ifndef OUTBOUND_DESTINATION_POOL_H
#define OUTBOUND_DESTINATION_POOL_H

#include "outbound/host_group.h"

enum {
    NEXT_HOPS_KEPT_MS = 5 * 60 * 1000,
    DESTINATIONS_KEPT = 2000,
    CONNECTIONS_KEPT = 500, /* that rest: descriptors are for those that work */
};

/* A counted, unchanging list; it owns what its names point to. */
struct next_hops {
    unsigned holders;
    struct arena *arena;
    struct next_hop_list list;
    enum tls_level level; /* the strictest that holds for one of them */
};

struct next_hops *next_hops_new(void); /* one holder, empty: fill it, then keep it unchanged */
struct next_hops *next_hops_hold(struct next_hops *hops);
void next_hops_drop(struct next_hops **hops); /* safe on NULL */

struct destination_pool;
struct destination;

struct destination_pool *destination_pool_new(struct event_loop *loop);
void destination_pool_free(struct destination_pool **pool); /* nothing may be held any more */
/* Says QUIT to all that rests. */
void destination_pool_close_idle(struct destination_pool *pool);
/* The routes have changed: forgets next hops and failures, closes what rests, and connections
 * of before are not kept when they come back. */
void destination_pool_forget(struct destination_pool *pool);

/* The destination with this key (made when new), held until released. */
struct destination *destination_pool_hold(struct destination_pool *pool, struct bytes key);
void destination_pool_release(struct destination_pool *pool, struct destination **destination);

/* The remembered next hops with a hold for the caller, or NULL. */
struct next_hops *destination_next_hops(struct destination_pool *pool,
                                        struct destination *destination);
void destination_remember(struct destination_pool *pool, struct destination *destination,
                          struct next_hops *hops);
/* The order in which the next connection shall try the hops of this list: by preference; hosts of
 * equal preference take turns from call to call (RFC 5321 §5.1: the load is to be spread, and the
 * list is kept for minutes), the addresses of a host stay together. */
void destination_order_hops(struct destination *destination, const struct next_hop_list *list,
                            uint8_t order[NEXT_HOP_LIMIT]);
/* The key of its host_group, empty while that is not known; good as long as nothing is remembered. */
struct bytes destination_hosts(const struct destination *destination);

/* host_group: */
void destination_note_failure(struct destination *destination,
                              const struct ip_endpoint *endpoint);
void destination_note_success(struct destination *destination,
                              const struct ip_endpoint *endpoint);
void destination_note_try(struct destination *destination, const struct ip_endpoint *endpoint);
bool destination_has_failed(const struct destination *destination,
                            const struct ip_endpoint *endpoint);
void destination_note_no_chunks(struct destination *destination);
bool destination_may_chunk(const struct destination *destination);
/* A resting connection to one of its hosts that suits its new holder, or NULL. */
struct next_hop_connection *destination_take(struct destination *destination,
                                             connection_suits suits, connection_handler handler,
                                             void *context);
/* A new connection was made for it. */
void destination_own(struct destination *destination, struct next_hop_connection *connection);
/* *Takes* the connection: keeps it when it is usable, belongs to the hosts of the destination, was made
 * since the last destination_pool_forget, idle_ms > 0 and fewer than CONNECTIONS_KEPT rest; says QUIT
 * otherwise. */
void destination_give_back(struct destination_pool *pool, struct destination *destination,
                           struct next_hop_connection **connection, uint64_t idle_ms);

#endif
