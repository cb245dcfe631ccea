/*
 * A PROXY header: the answer does not depend on what follows it, once given it stays, and both
 * addresses are there or none is.
 */
#include "protocol/proxy_header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool is_same(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && a->address.family == b->address.family &&
           memcmp(a->address.octets, b->address.octets, sizeof a->address.octets) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct proxy_header header, again;
    size_t used = 0, used_again = 0;
    enum proxy_header_result result = proxy_header_parse(input, &header, &used);

    require((header.client.address.family == IP_NONE) ==
            (header.server.address.family == IP_NONE));
    if (result != PROXY_HEADER_READY) {
        require(header.client.address.family == IP_NONE);
        require(result != PROXY_HEADER_NEED_MORE || size < PROXY_HEADER_LIMIT);
        return 0;
    }
    require(used > 0 && used <= size && used <= PROXY_HEADER_LIMIT);
    require(proxy_header_parse(bytes_first(input, used), &again, &used_again) == result);
    require(used_again == used && is_same(&header.client, &again.client) &&
            is_same(&header.server, &again.server));
    for (size_t i = 0; i < used; i++) {
        require(proxy_header_parse(bytes_first(input, i), &again, &used_again) ==
                PROXY_HEADER_NEED_MORE);
    }
    return 0;
}
