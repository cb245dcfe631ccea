#include "io/local_addresses.h"

#include "socket_address.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

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

/* A socket for datagrams gets its address when it is told where they will go; none goes there. */
bool local_address_of_route(enum ip_family family, struct ip_address *address)
{
    /* root name servers: as far away as anything */
    static const struct bytes far[] = {{"198.41.0.4", 10}, {"2001:503:ba3e::2:30", 19}};
    struct ip_endpoint there = {.port = 53};
    struct socket_address name;
    int fd;

    *address = (struct ip_address){.family = IP_NONE};
    if (!ip_address_parse(far[family == IP_V6], &there.address) ||
        !socket_address_from_endpoint(&there, &name)) {
        return false;
    }
    fd = socket(name.as.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    if (connect(fd, &name.as.any, name.len) == 0) {
        *address = socket_address_of_local_end(fd).address;
    }
    (void)close(fd);
    return address->family == family;
}
