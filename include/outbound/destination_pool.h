/*
 * destination_pool - what is known and kept of the destinations of one loop.
 *
 * Next hops    remembered for their TTL (at most NEXT_HOPS_KEPT_MS, so that the shuffle among
 *              equals is drawn anew now and then); shared with the attempts that use them.
 * Failures     a host that just failed is tried behind the others for HOST_FAILURE_MS.
 * Connections  kept between messages, newest first out; whatever arrives on one while it rests
 *              (EOF, 421, anything) closes it.
 * Limit        DESTINATIONS_KEPT destinations that nobody uses; the longest unused is forgotten
 *              first. Keys come from strangers: the hash is keyed.
 */
#ifndef OUTBOUND_DESTINATION_POOL_H
#define OUTBOUND_DESTINATION_POOL_H

#include "outbound/next_hop_connection.h"

enum {
    NEXT_HOPS_KEPT_MS = 5 * 60 * 1000,
    HOST_FAILURE_MS = 60 * 1000,
    DESTINATIONS_KEPT = 2000,
    CONNECTIONS_KEPT = 500, /* that rest: descriptors are for those that work */
};

/* A counted, unchanging list; it owns what its names point to. */
struct next_hops {
    unsigned holders;
    struct arena *arena;
    struct next_hop_list list;
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
void destination_note_failure(struct destination_pool *pool, struct destination *destination,
                              const struct ip_endpoint *endpoint);
void destination_note_success(struct destination *destination,
                              const struct ip_endpoint *endpoint);
bool destination_has_failed(const struct destination_pool *pool,
                            const struct destination *destination,
                            const struct ip_endpoint *endpoint);

/* A resting connection for its new holder, or NULL. */
struct next_hop_connection *destination_take(struct destination *destination,
                                             connection_handler handler, void *context);
/* *Takes* the connection: keeps it when it is usable, was made since the last
 * destination_pool_forget, idle_ms > 0 and fewer than CONNECTIONS_KEPT rest; says QUIT otherwise. */
void destination_give_back(struct destination_pool *pool, struct destination *destination,
                           struct next_hop_connection **connection, uint64_t idle_ms);
/* Must be put into `generation` of new connections. */
unsigned destination_pool_generation(const struct destination_pool *pool);

#endif
