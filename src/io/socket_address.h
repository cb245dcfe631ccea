/*
 * socket_address - between the system's socket addresses and ip_endpoint.
 */
#ifndef IO_SOCKET_ADDRESS_H
#define IO_SOCKET_ADDRESS_H

#include "protocol/ip_address.h"

#include <sys/socket.h>
#include <sys/un.h>

struct socket_address {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un local;
    } as;
    socklen_t len;
};

bool socket_address_from_endpoint(const struct ip_endpoint *endpoint,
                                  struct socket_address *out);
/* False: the path does not fit. */
bool socket_address_from_path(const char *path, struct socket_address *out);
/* IPv4-mapped addresses become IPv4; family IP_NONE for anything but TCP. */
struct ip_endpoint socket_address_endpoint(const struct socket_address *address);
/* The local end of a socket; IP_NONE when it has none. */
struct ip_endpoint socket_address_of_local_end(int fd);

#endif
