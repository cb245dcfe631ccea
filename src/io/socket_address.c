#include "socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

bool socket_address_from_endpoint(const struct ip_endpoint *endpoint,
                                  struct socket_address *out)
{
    memset(out, 0, sizeof *out);
    switch (endpoint->address.family) {
    case IP_V4: {
        struct sockaddr_in *in = (struct sockaddr_in *)&out->as.storage;

        in->sin_family = AF_INET;
        in->sin_port = htons(endpoint->port);
        memcpy(&in->sin_addr, endpoint->address.octets, 4);
        out->len = sizeof *in;
        return true;
    }
    case IP_V6: {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->as.storage;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(endpoint->port);
        memcpy(&in6->sin6_addr, endpoint->address.octets, 16);
        out->len = sizeof *in6;
        return true;
    }
    case IP_NONE:
        break;
    }
    return false;
}

bool socket_address_from_path(const char *path, struct socket_address *out)
{
    size_t len = strlen(path);

    memset(out, 0, sizeof *out);
    if (len == 0 || len >= sizeof out->as.local.sun_path) {
        return false;
    }
    out->as.local.sun_family = AF_UNIX;
    memcpy(out->as.local.sun_path, path, len);
    out->len = sizeof out->as.local;
    return true;
}

struct ip_endpoint socket_address_endpoint(const struct socket_address *address)
{
    static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct ip_endpoint endpoint = {.address = {.family = IP_NONE}};

    if (address->as.any.sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address->as.storage;

        endpoint.address.family = IP_V4;
        memcpy(endpoint.address.octets, &in->sin_addr, 4);
        endpoint.port = ntohs(in->sin_port);
    } else if (address->as.any.sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->as.storage;

        endpoint.port = ntohs(in6->sin6_port);
        if (memcmp(&in6->sin6_addr, MAPPED, sizeof MAPPED) == 0) {
            endpoint.address.family = IP_V4;
            memcpy(endpoint.address.octets, (const char *)&in6->sin6_addr + 12, 4);
        } else {
            endpoint.address.family = IP_V6;
            memcpy(endpoint.address.octets, &in6->sin6_addr, 16);
        }
    }
    return endpoint;
}

struct ip_endpoint socket_address_of_local_end(int fd)
{
    struct socket_address address = {.len = sizeof address.as};

    if (fd < 0 || getsockname(fd, &address.as.any, &address.len) != 0) {
        return (struct ip_endpoint){.address = {.family = IP_NONE}};
    }
    return socket_address_endpoint(&address);
}
