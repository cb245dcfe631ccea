#include "forward/next_hop_order.h"

#include "mail/hidden_address.h"

#include <assert.h>
#include <stdio.h>

enum {
    MX_LIMIT = DNS_RECORD_LIMIT,
    TTL_WITHOUT_DNS = 86400,
    TTL_AFTER_TROUBLE =
        60, /* a host that could not be looked up shall get its place back soon */
};

/* A host to try, before its addresses are known. */
struct candidate {
    struct bytes host;
    struct ip_address address; /* when it needs no look-up */
    uint16_t port;
    uint16_t preference;
};

struct order {
    const struct next_hop_options *options;
    const struct delivery_route *route; /* static, or NULL */
    struct bytes domain;
    struct dns_facts *facts;
    struct arena *arena;
    struct next_hop_list *list;
    struct candidate candidates[MX_LIMIT];
    size_t count;
    bool is_implicit; /* the domain itself stands in for its MX */
    bool needs_dns;
    bool has_forbidden;  /* at least one address was left out */
    const char *trouble; /* why an address could not be looked up, or NULL */
};

/* ---- results ---- */

static enum next_hop_status fail(struct order *order, enum disposition disposition,
                                 unsigned code, const char *enhanced, const char *why,
                                 const struct strbuf *text)
{
    order->list->count = 0;
    order->list->failure =
        (struct decision){.disposition = disposition,
                          .code = code,
                          .enhanced = enhanced,
                          .text = arena_copy(order->arena, strbuf_bytes(text)),
                          .why = why};
    return NEXT_HOP_FAILED;
}

/* The sentence, and behind it for the log the domain or the route's words. */
static enum next_hop_status fail_with(struct order *order, enum disposition disposition,
                                      unsigned code, const char *enhanced, const char *why,
                                      const char *sentence)
{
    struct bytes name = order->route != NULL ? order->route->destination : order->domain;
    struct strbuf text;
    enum next_hop_status status;

    strbuf_init(&text, 1000);
    strbuf_add_text(&text, sentence);
    hidden_names_add(&text, bytes_first(name, 255));
    status = fail(order, disposition, code, enhanced, why, &text);
    strbuf_clear(&text);
    return status;
}

static const char *why_of(const struct dns_answer *answer)
{
    return answer->why == NULL ? "no answer" : answer->why;
}

static enum next_hop_status fail_dns(struct order *order, const char *whose,
                                     const char *trouble)
{
    char sentence[128];

    (void)snprintf(sentence, sizeof sentence, "temporary DNS trouble with the %s (%s)", whose,
                   trouble);
    return fail_with(order, DECISION_DEFER, 451, "4.4.3", "dns-trouble", sentence);
}

static enum next_hop_status fail_loop(struct order *order)
{
    return fail_with(order, DECISION_REFUSE, 554, "5.4.6", "loops-back",
                     "the mail would loop back to this host");
}

static void lower_ttl(struct order *order, const struct dns_answer *answer)
{
    uint32_t ttl = answer->status == DNS_TEMPFAIL ? TTL_AFTER_TROUBLE : answer->ttl;

    if (ttl < order->list->ttl) {
        order->list->ttl = ttl;
    }
}

/* ---- hosts ---- */

static void add_candidate(struct order *order, struct bytes host, uint16_t preference,
                          uint16_t port)
{
    assert(order->count < MX_LIMIT);
    order->candidates[order->count++] = (struct candidate){
        .host = host,
        .port = port != 0 ? port : order->options->port,
        .preference = preference,
    };
}

/* By preference; stable, so that the shuffle decides among equals. */
static void sort_candidates(struct order *order)
{
    for (size_t i = 1; i < order->count; i++) {
        struct candidate moving = order->candidates[i];
        size_t at = i;

        while (at > 0 && order->candidates[at - 1].preference > moving.preference) {
            order->candidates[at] = order->candidates[at - 1];
            at--;
        }
        order->candidates[at] = moving;
    }
}

/* Numbers that follow from the one we were given (splitmix), so that a replay gives the same.
 */
static uint32_t next_random(uint64_t *seed)
{
    uint64_t mixed = *seed += 0x9e3779b97f4a7c15u;

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(mixed >> 32);
}

static void shuffle_candidates(struct order *order, uint32_t random)
{
    uint64_t seed = random;

    for (size_t i = order->count; i > 1; i--) {
        size_t other = next_random(&seed) % i;
        struct candidate held = order->candidates[i - 1];

        order->candidates[i - 1] = order->candidates[other];
        order->candidates[other] = held;
    }
}

/* The hosts of the MX records; NEXT_HOP_FOUND means "go on". */
static enum next_hop_status take_mx(struct order *order, uint32_t random)
{
    const struct dns_answer *mx = dns_facts_get(order->facts, order->domain, DNS_TYPE_MX);

    if (mx == NULL) {
        return NEXT_HOP_NEEDS_DNS;
    }
    lower_ttl(order, mx);
    order->list->is_mx_secure = mx->is_secure;
    switch (mx->status) {
    case DNS_TEMPFAIL:
        return fail_dns(order, "mail exchangers", why_of(mx));
    case DNS_NXDOMAIN:
        return fail_with(order, DECISION_REFUSE, 550, "5.1.2", "no-such-domain",
                         "the domain it leads to does not exist");
    case DNS_NODATA:
        order->is_implicit = true;
        add_candidate(order, order->domain, 0, 0);
        return NEXT_HOP_FOUND;
    case DNS_OK:
        break;
    }
    for (size_t i = 0; i < mx->count; i++) {
        if (mx->records[i].mx.host.len > 0) {
            add_candidate(order, mx->records[i].mx.host, mx->records[i].mx.preference, 0);
        }
    }
    if (order->count == 0) {
        return fail_with(order, DECISION_REFUSE, 556, "5.1.10", "null-mx",
                         "the domain it leads to does not accept mail (null MX)");
    }
    shuffle_candidates(order, random);
    sort_candidates(order);
    return NEXT_HOP_FOUND;
}

static enum next_hop_status take_literal(struct order *order)
{
    struct bytes inside = bytes_between(order->domain, 1, order->domain.len - 1);
    struct ip_address address;

    if (!bytes_ends_with_nocase(order->domain, BYTES("]")) ||
        !ip_literal_parse(inside, &address)) {
        return fail_with(order, DECISION_REFUSE, 550, "5.1.3", "bad-address-literal",
                         "not an address literal");
    }
    add_candidate(order, BYTES(""), 0, 0);
    order->candidates[0].address = address;
    return NEXT_HOP_FOUND;
}

static void take_route(struct order *order)
{
    for (size_t i = 0; i < order->route->hop_count; i++) {
        const struct route_hop *hop = &order->route->hops[i];

        add_candidate(order, hop->host, (uint16_t)i, hop->port);
        order->candidates[order->count - 1].address =
            hop->host.len > 0 ? (struct ip_address){.family = IP_NONE} : hop->address;
    }
}

/* ---- ourselves ---- */

static struct bytes without_dot(struct bytes name)
{
    bool has_dot = name.len > 0 && name.data[name.len - 1] == '.';

    return bytes_first(name, name.len - (has_dot ? 1 : 0));
}

static bool is_own_name(const struct next_hop_options *options, struct bytes host)
{
    for (size_t i = 0; i < options->own_name_count; i++) {
        if (bytes_equal_nocase(without_dot(options->own_names[i]), without_dot(host))) {
            return true;
        }
    }
    return false;
}

/* With the port: something else may answer on another port of this machine. A connection to the
 * unspecified address ends at loopback. */
static bool is_own_endpoint(const struct next_hop_options *options,
                            const struct ip_address *address, uint16_t port)
{
    for (size_t i = 0; i < options->own_address_count; i++) {
        const struct ip_endpoint *own = &options->own_addresses[i];
        bool is_local = ip_address_is_loopback(address) || ip_address_is_unspecified(address);

        if (own->port == port && (ip_address_equal(&own->address, address) ||
                                  (ip_address_is_unspecified(&own->address) &&
                                   own->address.family == address->family && is_local))) {
            return true;
        }
    }
    return false;
}

/* Drops the hosts whose preference is not better than `preference`. */
static void cut_candidates(struct order *order, uint16_t preference)
{
    while (order->count > 0 && order->candidates[order->count - 1].preference >= preference) {
        order->count--;
    }
}

static void cut_at_own_name(struct order *order)
{
    for (size_t i = 0; i < order->count; i++) {
        if (is_own_name(order->options, order->candidates[i].host)) {
            cut_candidates(order, order->candidates[i].preference);
            return; /* sorted: the first one found has the best preference */
        }
    }
}

/* ---- addresses ---- */

/* The answer, or NULL when the family is not used or the look-up has to be made or failed. */
static const struct dns_answer *look_up(struct order *order, struct bytes host, uint16_t type)
{
    bool is_used = type == DNS_TYPE_A ? order->options->use_ipv4 : order->options->use_ipv6;
    const struct dns_answer *answer;

    if (!is_used || host.len == 0) {
        return NULL;
    }
    answer = dns_facts_get(order->facts, host, type);
    if (answer == NULL) {
        order->needs_dns = true;
        return NULL;
    }
    lower_ttl(order, answer);
    if (answer->status == DNS_TEMPFAIL) {
        order->trouble = why_of(answer);
    }
    return answer->status == DNS_OK ? answer : NULL;
}

/* The addresses of a host in the order to try them: IPv6 and IPv4 by turns. */
struct addresses {
    const struct dns_answer *v6, *v4;
    const struct ip_address *literal;
    size_t at;
};

static struct addresses addresses_of(struct order *order, const struct candidate *candidate)
{
    return (struct addresses){
        .v6 = look_up(order, candidate->host, DNS_TYPE_AAAA),
        .v4 = look_up(order, candidate->host, DNS_TYPE_A),
        .literal = candidate->address.family == IP_NONE ? NULL : &candidate->address,
    };
}

static const struct ip_address *next_address(struct addresses *addresses)
{
    size_t v6_count = addresses->v6 == NULL ? 0 : addresses->v6->count;
    size_t v4_count = addresses->v4 == NULL ? 0 : addresses->v4->count;
    const struct ip_address *literal = addresses->literal;

    if (literal != NULL) {
        addresses->literal = NULL;
        return literal;
    }
    while (addresses->at < 2 * v6_count || addresses->at < 2 * v4_count) {
        size_t turn = addresses->at++;

        if (turn % 2 == 0 && turn / 2 < v6_count) {
            return &addresses->v6->records[turn / 2].address;
        }
        if (turn % 2 == 1 && turn / 2 < v4_count) {
            return &addresses->v4->records[turn / 2].address;
        }
    }
    return NULL;
}

/* Asks for the addresses of all hosts at once. */
static bool has_all_addresses(struct order *order)
{
    for (size_t i = 0; i < order->count; i++) {
        (void)addresses_of(order, &order->candidates[i]);
    }
    return !order->needs_dns;
}

static void cut_at_own_address(struct order *order)
{
    for (size_t i = 0; i < order->count; i++) {
        struct addresses addresses = addresses_of(order, &order->candidates[i]);
        const struct ip_address *address;

        while ((address = next_address(&addresses)) != NULL) {
            if (is_own_endpoint(order->options, address, order->candidates[i].port)) {
                cut_candidates(order, order->candidates[i].preference);
                return;
            }
        }
    }
}

static bool is_allowed(const struct order *order, const struct ip_address *address)
{
    if (order->route != NULL || !ip_address_is_never_next_hop(address)) {
        return true;
    }
    for (size_t i = 0; i < order->options->allowed_count; i++) {
        if (ip_network_contains(&order->options->allowed[i], address)) {
            return true;
        }
    }
    return false;
}

static bool is_listed(const struct next_hop_list *list, const struct ip_address *address,
                      uint16_t port)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->hops[i].endpoint.port == port &&
            ip_address_equal(&list->hops[i].endpoint.address, address)) {
            return true;
        }
    }
    return false;
}

static void add_hop(struct order *order, const struct candidate *candidate,
                    const struct ip_address *address)
{
    struct next_hop *hop = &order->list->hops[order->list->count++];

    *hop = (struct next_hop){
        .endpoint = {.address = *address, .port = candidate->port},
        .preference = candidate->preference,
    };
    if (candidate->host.len > 0) {
        hop->host = arena_copy(order->arena, candidate->host);
    } else {
        struct ip_text text = ip_address_text(address);

        hop->host = arena_copy(order->arena, bytes_from_text(text.text));
    }
}

static void add_hops_of(struct order *order, const struct candidate *candidate)
{
    struct addresses addresses = addresses_of(order, candidate);
    const struct ip_address *address;
    size_t added = 0;

    while ((address = next_address(&addresses)) != NULL && added < NEXT_HOP_PER_HOST &&
           order->list->count < NEXT_HOP_LIMIT) {
        bool is_used =
            address->family == IP_V4 ? order->options->use_ipv4 : order->options->use_ipv6;

        if (!is_used || is_listed(order->list, address, candidate->port)) {
            continue;
        }
        if (!is_allowed(order, address)) {
            order->has_forbidden = true;
            continue;
        }
        add_hop(order, candidate, address);
        added++;
    }
}

/* ---- the whole ---- */

/* Why there is nothing to connect to, in the order of what may still change by itself. */
static enum next_hop_status fail_without_hops(struct order *order)
{
    if (order->trouble != NULL) {
        return fail_dns(order, "mail hosts", order->trouble);
    }
    if (order->route != NULL) {
        return fail_with(order, DECISION_DEFER, 451, "4.4.4", "route-has-no-address",
                         "no host of the configured route has an address");
    }
    if (order->has_forbidden) {
        return fail_with(order, DECISION_REFUSE, 550, "5.4.4", "forbidden-next-hop",
                         "the mail hosts have only addresses that are not for mail");
    }
    if (order->is_implicit) {
        return fail_with(order, DECISION_REFUSE, 550, "5.1.2", "no-mail-host",
                         "the domain it leads to has no mail exchanger and no address");
    }
    return fail_with(order, DECISION_REFUSE, 550, "5.4.4", "no-mail-host",
                     "no mail exchanger has an address");
}

static enum next_hop_status take_hosts(struct order *order, uint32_t random)
{
    if (order->route != NULL) {
        take_route(order);
        return NEXT_HOP_FOUND;
    }
    if (bytes_starts_with(order->domain, BYTES("["))) {
        return take_literal(order);
    }
    return take_mx(order, random);
}

enum next_hop_status next_hop_order(const struct next_hop_options *options, struct bytes domain,
                                    const struct delivery_route *route, struct dns_facts *facts,
                                    uint32_t random, struct arena *arena,
                                    struct next_hop_list *list)
{
    struct order order = {
        .options = options,
        .route = route != NULL && !route->use_mx ? route : NULL,
        .domain = without_dot(domain),
        .facts = facts,
        .arena = arena,
        .list = list,
    };
    enum next_hop_status status;

    *list = (struct next_hop_list){.ttl = TTL_WITHOUT_DNS};
    if (order.route == NULL && delivery_route_is_static_key(domain)) {
        return fail_with(&order, DECISION_DEFER, 451, "4.3.5", "route-is-gone",
                         "the destination is no longer configured");
    }
    status = take_hosts(&order, random);
    if (status != NEXT_HOP_FOUND) {
        return status;
    }
    if (order.route == NULL) {
        cut_at_own_name(&order);
        if (order.count == 0) {
            return fail_loop(&order);
        }
    }
    if (order.count > NEXT_HOP_LIMIT) {
        order.count = NEXT_HOP_LIMIT;
    }
    if (!has_all_addresses(&order)) {
        return NEXT_HOP_NEEDS_DNS;
    }
    if (order.route == NULL) {
        cut_at_own_address(&order);
        if (order.count == 0) {
            return fail_loop(&order);
        }
    }
    for (size_t i = 0; i < order.count; i++) {
        add_hops_of(&order, &order.candidates[i]);
    }
    list->is_partial = order.trouble != NULL;
    return list->count > 0 ? NEXT_HOP_FOUND : fail_without_hops(&order);
}
