#include "forward/delivery_route.h"

#include "auth/idn_domain.h"
#include "protocol/smtp_path.h"

enum route_hop_result route_hop_read(struct bytes text, struct route_hop *hop)
{
    bool has_brackets = text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
    struct bytes inside = bytes_between(text, 1, text.len - 1);
    size_t colon = bytes_find_last(text, ':');
    struct ip_endpoint endpoint;
    uint64_t port = 0;

    *hop = (struct route_hop){.port = 0};
    if (ip_address_parse(text, &hop->address) ||
        (has_brackets && (ip_literal_parse(inside, &hop->address) ||
                          ip_address_parse(inside, &hop->address)))) {
        return ROUTE_HOP_OK;
    }
    if (ip_endpoint_parse(text, 0, &endpoint) && endpoint.port != 0) {
        *hop = (struct route_hop){.address = endpoint.address, .port = endpoint.port};
        return ROUTE_HOP_OK;
    }
    if (colon < text.len &&
        (!bytes_to_u64(bytes_skip(text, colon + 1), &port) || port == 0 || port > UINT16_MAX)) {
        return ROUTE_HOP_BAD_PORT;
    }
    if (!smtp_domain_is_valid(bytes_first(text, colon), true)) {
        return ROUTE_HOP_BAD_HOST;
    }
    *hop = (struct route_hop){.host = bytes_first(text, colon),
                              .address = {.family = IP_NONE},
                              .port = (uint16_t)port};
    return ROUTE_HOP_OK;
}

/* Without the trailing dot that a name in full may have. */
static struct bytes without_dot(struct bytes domain)
{
    bool has_dot = domain.len > 1 && domain.data[domain.len - 1] == '.';

    return bytes_first(domain, domain.len - (has_dot ? 1 : 0));
}

const struct delivery_route *delivery_route_find(const struct delivery_route_table *table,
                                                 struct bytes domain)
{
    const struct delivery_route *fallback = NULL;

    domain = without_dot(domain);
    for (size_t i = 0; i < table->count; i++) {
        const struct delivery_route *route = &table->routes[i];

        if (bytes_equal_nocase(route->domain, domain)) {
            return route;
        }
        if (fallback == NULL && bytes_equal(route->domain, BYTES("*"))) {
            fallback = route;
        }
    }
    return fallback;
}

bool delivery_route_is_static_key(struct bytes destination)
{
    return bytes_starts_with(destination, BYTES(DELIVERY_ROUTE_KEY));
}

const struct delivery_route *
delivery_route_by_destination(const struct delivery_route_table *table,
                              struct bytes destination)
{
    struct bytes words = bytes_skip(destination, sizeof DELIVERY_ROUTE_KEY - 1);

    if (!delivery_route_is_static_key(destination)) {
        return NULL;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct delivery_route *route = &table->routes[i];

        if (!route->use_mx && bytes_equal(route->destination, words)) {
            return route;
        }
    }
    return NULL;
}

struct bytes delivery_route_destination(const struct delivery_route_table *table,
                                        struct bytes domain, struct arena *arena)
{
    struct bytes ascii = domain;
    bool is_name = bytes_is_ascii(domain) || idn_domain_to_ascii(domain, arena, &ascii);
    /* What is no name stays as it is: looking it up says so. */
    const struct delivery_route *route = delivery_route_find(table, is_name ? ascii : domain);
    bool is_static = route != NULL && !route->use_mx;
    struct bytes first = is_static ? BYTES(DELIVERY_ROUTE_KEY) : BYTES("");
    struct bytes rest = is_static ? route->destination : without_dot(is_name ? ascii : domain);
    char *key = arena_alloc(arena, first.len + rest.len + 1);

    memcpy(key, first.data, first.len);
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char octet = (unsigned char)rest.data[i];

        key[first.len + i] = (char)(is_static ? octet : ascii_lower(octet));
    }
    return bytes_of(key, first.len + rest.len);
}
