/*
 * local_addresses - the addresses of this host's interfaces and of its default routes, as they are now.
 */
#ifndef IO_LOCAL_ADDRESSES_H
#define IO_LOCAL_ADDRESSES_H

#include "base/arena.h"
#include "protocol/ip_address.h"

/* In the arena; their number. Addresses of interfaces that are down are there too: they are ours. */
size_t local_addresses(struct arena *arena, struct ip_address **addresses);
/* The address that packets to the rest of the world leave from. False: there is no route. Nothing is sent. */
bool local_address_of_route(enum ip_family family, struct ip_address *address);

#endif
