#include "io/local_addresses.h"

#include "socket_address.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

static bool take_address(const struct sockaddr *from, struct ip_address *address)
{
    struct socket_address socket = {.len = 0};

    if (from == NULL) {
        return false;
    }
    if (from->sa_family == AF_INET) {
        socket.len = sizeof(struct sockaddr_in);
    } else if (from->sa_family == AF_INET6) {
        socket.len = sizeof(struct sockaddr_in6);
    } else {
        return false;
    }
    memcpy(&socket.as.storage, from, socket.len);
    *address = socket_address_endpoint(&socket).address;
    return address->family != IP_NONE;
}

size_t local_addresses(struct arena *arena, struct ip_address **addresses)
{
    struct ifaddrs *interfaces;
    struct ip_address address;
    size_t count = 0;

    *addresses = NULL;
    if (getifaddrs(&interfaces) != 0) {
        return 0;
    }
    for (const struct ifaddrs *at = interfaces; at != NULL; at = at->ifa_next) {
        count += take_address(at->ifa_addr, &address);
    }
    *addresses = arena_alloc(arena, (count + 1) * sizeof **addresses);
    count = 0;
    for (const struct ifaddrs *at = interfaces; at != NULL; at = at->ifa_next) {
        count += take_address(at->ifa_addr, &(*addresses)[count]);
    }
    freeifaddrs(interfaces);
    return count;
}
