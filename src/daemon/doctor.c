/*
 * In the order it happens:
 *
 *   1 doctor_new        the loop, so that it can be stopped from the first moment
 *   2 doctor_run        resolver, our addresses
 *   3 examine_resolver  first: when it is silent, nobody waits for it again
 *   4 examine_returns   SRS domains
 *   5 examine_domains   domains with aliases
 *   6 examine_host      what the world says of the host, what it is made of, who answers; and its certificates, since the
 *                       names in our MX records are known now. It stands before the others in what is found.
 *
 *   look_up is "needs DNS": all that is wanted, until it is answered or too late; then again.
 */
#include "doctor_parts.h"

#include "base/memory.h"
#include "forward/alias_table.h"
#include "forward/doctor_lists.h"
#include "forward/doctor_resolver.h"
#include "forward/doctor_routes.h"
#include "io/clock.h"

#include <stdlib.h>

enum {
    ROUNDS = 40,
    LISTS_AT_ONCE = 32, /* of DNS_FACTS_LIMIT questions each takes a handful */
    TARGETS = 3,
    CALLS = 6,
    OWN_NAMES = 64,
    DAY_SECONDS = 86400,
};

/* ---- look-ups ---------------------------------------------------------------------------- */

typedef enum auth_status look(struct doctor *doctor, const void *subject);

static void on_answers(void *context)
{
    struct doctor *doctor = context;

    event_loop_stop(doctor->loop);
}

static void look_up(struct doctor *doctor, uint64_t deadline_ms)
{
    struct dns_lookup *lookup =
        dns_lookup_start(doctor->resolver, doctor->facts, deadline_ms, on_answers, doctor);
    size_t wanted;

    event_loop_run(doctor->loop);
    (void)dns_facts_wanted(doctor->facts, &wanted);
    if (wanted > 0) {
        dns_lookup_cancel(&lookup); /* stopped from outside */
    }
}

/* False: it was stopped, nothing was found. */
static bool replay(struct doctor *doctor, look *judge, const void *subject)
{
    uint64_t deadline_ms = clock_now_ms() + DOCTOR_STEP_MS;
    enum auth_status status = AUTH_NEEDS_DNS;

    dns_facts_reset(doctor->facts);
    for (unsigned round = 0; round < ROUNDS && !atomic_load(&doctor->is_stopped); round++) {
        size_t wanted;

        status = judge(doctor, subject);
        (void)dns_facts_wanted(doctor->facts, &wanted);
        if (status == AUTH_DONE || wanted == 0) {
            return status == AUTH_DONE;
        }
        look_up(doctor, deadline_ms);
    }
    return false;
}

static bool may_ask(const struct doctor *doctor)
{
    return doctor->resolver != NULL && !doctor->is_deaf && !atomic_load(&doctor->is_stopped);
}

/* ---- block lists ------------------------------------------------------------------------- */

struct listing {
    struct doctor_list list;
    const struct ip_address *address;
};

struct listings {
    const struct listing *items;
    size_t count;
};

static enum auth_status look_at_lists(struct doctor *doctor, const void *subject)
{
    const struct listings *listings = subject;
    struct findings before = *doctor->findings;
    enum auth_status status = AUTH_DONE;

    for (size_t i = 0; i < listings->count; i++) {
        const struct listing *item = &listings->items[i];
        if (doctor_lists_check(&item->list, item->address, doctor->facts, doctor->findings) ==
            AUTH_NEEDS_DNS) {
            status = AUTH_NEEDS_DNS;
        }
    }
    if (status == AUTH_NEEDS_DNS) {
        findings_go_back(doctor->findings, &before);
    }
    return status;
}

static bool has_zone(const struct config_lists *lists, struct bytes zone)
{
    for (size_t i = 0; i < lists->count; i++) {
        if (bytes_equal(lists->items[i].zone, zone)) {
            return true;
        }
    }
    return false;
}

/* The n-th list that is asked, of both kinds. */
static bool get_list(const struct doctor *doctor, size_t number, struct doctor_list *list)
{
    const struct config_lists *own = &doctor->config->blocklists;

    if (number < own->count) {
        *list = doctor_lists_own(&own->items[number]);
        return true;
    }
    return doctor->request->asks_public_lists && doctor_lists_public(number - own->count, list);
}

static void examine_lists(struct doctor *doctor)
{
    struct listing items[LISTS_AT_ONCE];
    struct listings batch = {.items = items};
    struct doctor_list list;

    for (size_t number = 0; get_list(doctor, number, &list); number++) {
        bool is_twice = number >= doctor->config->blocklists.count &&
                        has_zone(&doctor->config->blocklists, list.list.zone);
        for (size_t i = 0; i < doctor->names.sending_count; i++) {
            if (list.list.subject != DNS_LIST_CLIENT || is_twice) {
                continue;
            }
            items[batch.count++] = (struct listing){list, &doctor->sending[i]};
            if (batch.count == LISTS_AT_ONCE) {
                (void)replay(doctor, look_at_lists, &batch);
                batch.count = 0;
            }
        }
    }
    if (batch.count > 0) {
        (void)replay(doctor, look_at_lists, &batch);
    }
}

/* ---- port 25 ----------------------------------------------------------------------------- */

struct call_search {
    struct bytes target; /* a domain ... */
    bool is_host;        /* ... or a host */
    struct doctor_call *calls;
    size_t *count;
};

static void add_call(struct call_search *search, struct bytes host,
                     const struct ip_endpoint *endpoint, struct arena *arena)
{
    for (size_t i = 0; i < *search->count; i++) {
        if (ip_address_equal(&search->calls[i].endpoint.address, &endpoint->address)) {
            return;
        }
    }
    if (*search->count < CALLS) {
        search->calls[(*search->count)++] =
            (struct doctor_call){.host = arena_copy(arena, host), .endpoint = *endpoint};
    }
}

static enum auth_status find_host(struct doctor *doctor, struct call_search *search)
{
    const struct dns_answer *answer = dns_facts_get(doctor->facts, search->target, DNS_TYPE_A);

    if (answer == NULL) {
        return AUTH_NEEDS_DNS;
    }
    for (size_t i = 0; i < answer->count; i++) {
        struct ip_endpoint endpoint = {.port = (uint16_t)doctor->config->delivery.port};
        if (answer->records[i].type == DNS_TYPE_A) {
            endpoint.address = answer->records[i].address;
            add_call(search, search->target, &endpoint, doctor->arena);
        }
    }
    return AUTH_DONE;
}

/* The best host of each target: who is polite does not try them all. */
static enum auth_status find_hops(struct doctor *doctor, const void *subject)
{
    struct call_search *search = *(struct call_search *const *)subject;
    const struct outbound_options *options = &doctor->snapshot->outbound;
    struct bytes destination =
        delivery_route_destination(options->routes, search->target, doctor->arena);
    struct next_hop_list list = {.count = 0};

    if (search->is_host) {
        return find_host(doctor, search);
    }
    if (next_hop_order(&options->next_hops, destination,
                       delivery_route_by_destination(options->routes, destination),
                       doctor->facts, 0, doctor->arena, &list) == NEXT_HOP_NEEDS_DNS) {
        return AUTH_NEEDS_DNS;
    }
    if (list.count > 0) {
        add_call(search, list.hops[0].host, &list.hops[0].endpoint, doctor->arena);
    }
    return AUTH_DONE;
}

static void add_target(struct doctor *doctor, struct bytes target, bool is_host,
                       struct doctor_call *calls, size_t *count)
{
    struct call_search search = {target, is_host, calls, count};
    struct call_search *subject = &search;
    struct ip_endpoint endpoint = {.port = (uint16_t)doctor->config->delivery.port};

    if (is_host && ip_address_parse(target, &endpoint.address)) {
        add_call(&search, BYTES(""), &endpoint, doctor->arena);
    } else if (may_ask(doctor)) {
        (void)replay(doctor, find_hops, &subject);
    }
}

static void examine_port_25(struct doctor *doctor)
{
    const struct alias_table *aliases = doctor->config->aliases;
    const struct route_options *routes = &doctor->snapshot->inbound.routes;
    struct bytes given = doctor->request->port_25.len > 0 ? doctor->request->port_25
                                                          : doctor->config->doctor.port_25;
    struct doctor_call calls[CALLS];
    size_t count = 0;

    if (given.len > 0) {
        add_target(doctor, given, true, calls, &count);
    }
    for (size_t i = 0; given.len == 0 && count < TARGETS && i < OWN_NAMES &&
                       i < alias_table_domain_count(aliases);
         i++) {
        struct bytes targets[TARGETS];
        size_t found = doctor_routes_targets(routes, alias_table_domain_name(aliases, i),
                                             (uint32_t)(doctor->now / DAY_SECONDS),
                                             doctor->arena, targets, TARGETS);
        for (size_t k = 0; k < found && count < TARGETS; k++) {
            add_target(doctor, targets[k], false, calls, &count);
        }
    }
    doctor_connect(doctor, calls, count, true);
    doctor_host_port_25(doctor->findings, calls, count);
}

/* Through the addresses that clients use; a wildcard is reached on this machine itself. */
static void examine_listeners(struct doctor *doctor)
{
    const struct doctor_request *request = doctor->request;
    const struct config *config = doctor->config;
    struct doctor_call calls[CONFIG_LISTENERS];
    size_t count = 0;

    for (size_t i = 0; i < request->listening_count && i < CONFIG_LISTENERS; i++) {
        struct ip_endpoint endpoint = request->listening[i];
        const char *own = endpoint.address.family == IP_V4 ? "127.0.0.1" : "::1";

        if (endpoint.port == 0 || (config->proxy_listeners >> i & 1) != 0 ||
            config_listener_tls(config, i) == CONFIG_LISTENER_IMPLICIT) {
            continue; /* who comes so is not greeted in clear */
        }
        if (ip_address_is_unspecified(&endpoint.address)) {
            (void)ip_address_parse(bytes_from_text(own), &endpoint.address);
        }
        calls[count++] = (struct doctor_call){.endpoint = endpoint};
    }
    doctor_connect(doctor, calls, count, false);
    doctor_host_listeners(doctor->findings, calls, count, config->hostname);
}

/* ---- 3, 6 the host ------------------------------------------------------------------------- */

static enum auth_status look_at_resolver(struct doctor *doctor, const void *subject)
{
    return doctor_resolver_check(subject, doctor->facts, doctor->findings);
}

static enum auth_status look_at_names(struct doctor *doctor, const void *subject)
{
    (void)subject;
    return doctor_dns_host(&doctor->names, doctor->facts, doctor->findings);
}

static void examine_resolver(struct doctor *doctor)
{
    const struct doctor_request *request = doctor->request;
    bool is_given = request->resolver_count > 0;
    struct doctor_resolver resolver = {
        .signed_name = request->signed_name,
        .own_name = doctor->config->hostname,
        .broken_name = request->broken_name,
        .servers = is_given ? request->resolvers : doctor->config->resolvers.items,
        .server_count = is_given ? request->resolver_count : doctor->config->resolvers.count,
    };
    (void)replay(doctor, look_at_resolver, &resolver);
    if (doctor->findings->counts[FINDING_ERROR] > 0) {
        doctor->is_deaf = true;
        findings_add(doctor->findings, FINDING_UNKNOWN, "resolver",
                     "nothing that needs DNS was looked at");
    }
}

static void examine_host(struct doctor *doctor)
{
    if (may_ask(doctor)) {
        (void)replay(doctor, look_at_names, NULL);
        examine_lists(doctor);
    }
    if (!doctor->request->is_offline) {
        examine_listeners(doctor);
        examine_port_25(doctor);
    }
    doctor_try_relay(doctor);
    doctor_look_at_host(doctor);
}

/* ---- 4 SRS domains ----------------------------------------------------------------------- */

static enum auth_status look_at_return(struct doctor *doctor, const void *subject)
{
    return doctor_dns_return(&doctor->names, *(const struct bytes *)subject, doctor->facts,
                             doctor->findings);
}

static enum auth_status look_at_key(struct doctor *doctor, const void *subject)
{
    return doctor_dns_key(subject, doctor->facts, doctor->findings);
}

static void examine_return(struct doctor *doctor, struct bytes domain)
{
    findings_begin(doctor->findings, "SRS domain", domain);
    doctor_routes_srs(doctor->findings, &doctor->config->srs, domain,
                      (uint32_t)(doctor->now / DAY_SECONDS));
    if (may_ask(doctor)) {
        (void)replay(doctor, look_at_return, &domain);
    }
}

/* The n-th SRS domain: the usual one, then those of domains. Empty: none of its own. */
static struct bytes return_domain(const struct config *config, size_t number)
{
    struct bytes name =
        number == 0 ? config->srs_domain : alias_table_srs_domain(config->aliases, number - 1);

    for (size_t i = 0; i < number && name.len > 0; i++) {
        struct bytes before =
            i == 0 ? config->srs_domain : alias_table_srs_domain(config->aliases, i - 1);
        if (bytes_equal_nocase(before, name)) {
            return BYTES("");
        }
    }
    return name;
}

static bool is_asked_for(const struct doctor *doctor, struct bytes domain)
{
    return doctor->request->domain.len == 0 ||
           bytes_equal_nocase(doctor->request->domain, domain);
}

/* The one a domain's forwards have their senders in. */
static bool is_its_return(const struct doctor *doctor, struct bytes domain)
{
    const struct alias_table *aliases = doctor->config->aliases;
    size_t number = alias_table_find_domain(aliases, doctor->request->domain);
    struct bytes own =
        number == ALIAS_NO_DOMAIN ? BYTES("") : alias_table_srs_domain(aliases, number);

    return number != ALIAS_NO_DOMAIN &&
           bytes_equal_nocase(own.len > 0 ? own : doctor->config->srs_domain, domain);
}

static void examine_returns(struct doctor *doctor)
{
    size_t count = alias_table_domain_count(doctor->config->aliases);

    for (size_t i = 0; i <= count && !atomic_load(&doctor->is_stopped); i++) {
        struct bytes domain = return_domain(doctor->config, i);
        if (domain.len > 0 && (is_asked_for(doctor, domain) || is_its_return(doctor, domain))) {
            examine_return(doctor, domain);
        }
    }
}

/* ---- 5 domains --------------------------------------------------------------------------- */

struct own_names {
    struct bytes names[OWN_NAMES];
    size_t count;
};

static enum auth_status look_at_domain(struct doctor *doctor, const void *subject)
{
    return doctor_dns_domain(&doctor->names, *(const struct bytes *)subject, doctor->facts,
                             doctor->findings);
}

static void examine_keys(struct doctor *doctor, const struct seal *seal)
{
    for (size_t i = 0; i < seal->key_count && may_ask(doctor); i++) {
        const struct publish_key key = {.selector = seal->keys[i].selector,
                                        .domain = seal->domain,
                                        .key = seal->keys[i].key};
        (void)replay(doctor, look_at_key, &key);
    }
}

/* What the world calls us, once each. */
static void note_names(struct own_names *own, const struct bytes *found, size_t count)
{
    for (size_t i = 0; i < count && own->count < OWN_NAMES; i++) {
        bool is_known = false;
        for (size_t k = 0; k < own->count; k++) {
            is_known = is_known || bytes_equal_nocase(own->names[k], found[i]);
        }
        if (!is_known) {
            own->names[own->count++] = found[i];
        }
    }
}

static void examine_domain(struct doctor *doctor, struct bytes domain, struct own_names *own)
{
    struct bytes found[OWN_NAMES];

    findings_begin(doctor->findings, "domain", domain);
    doctor_routes_domain(doctor->findings, &doctor->snapshot->inbound.routes, domain,
                         (uint32_t)(doctor->now / DAY_SECONDS));
    if (may_ask(doctor) && replay(doctor, look_at_domain, &domain)) {
        note_names(own, found,
                   doctor_dns_own_hosts(&doctor->names, domain, doctor->facts, doctor->arena,
                                        found, OWN_NAMES));
    }
    for (size_t i = 0; i < doctor->config->seal_count; i++) {
        if (bytes_equal_nocase(doctor->config->seals[i]->domain, domain)) {
            examine_keys(doctor, doctor->config->seals[i]);
        }
    }
}

static void examine_domains(struct doctor *doctor, struct own_names *own)
{
    const struct alias_table *aliases = doctor->config->aliases;
    size_t count = alias_table_domain_count(aliases), limit = doctor->request->domain_limit;
    size_t done = 0, left = 0;

    for (size_t i = 0; i < count && !atomic_load(&doctor->is_stopped); i++) {
        struct bytes domain = alias_table_domain_name(aliases, i);
        if (!is_asked_for(doctor, domain)) {
            continue;
        }
        if (limit != 0 && done == limit) {
            left++;
            continue;
        }
        examine_domain(doctor, domain, own);
        done++;
    }
    if (left > 0) {
        findings_begin(doctor->findings, "domains", BYTES("left out"));
        finding_set_fix(doctor->findings,
                        findings_add(doctor->findings, FINDING_UNKNOWN, "domains",
                                     "%zu more were not looked at", left),
                        FINDING_RUN, BYTES("postilion doctor"));
    }
}

/* Seals that sign for names without aliases. */
static void examine_other_seals(struct doctor *doctor)
{
    const struct config *config = doctor->config;

    for (size_t i = 0; i < config->seal_count; i++) {
        struct bytes domain = config->seals[i]->domain;
        if (is_asked_for(doctor, domain) &&
            alias_table_find_domain(config->aliases, domain) == ALIAS_NO_DOMAIN) {
            findings_begin(doctor->findings, "domain", domain);
            examine_keys(doctor, config->seals[i]);
        }
    }
}

/* ---- all of it --------------------------------------------------------------------------- */

struct doctor *doctor_new(const struct doctor_request *request)
{
    struct doctor *doctor = memory_zero(sizeof *doctor);

    doctor->request = request;
    doctor->snapshot = request->snapshot;
    shared_hold(&doctor->snapshot->shared);
    doctor->config = doctor->snapshot->config;
    doctor->loop = event_loop_new();
    doctor->facts = dns_facts_new();
    atomic_init(&doctor->is_stopped, false);
    return doctor;
}

static bool open_resolver(struct doctor *doctor, struct strbuf *why)
{
    const struct doctor_request *request = doctor->request;
    bool is_given = request->resolver_count > 0;
    struct dns_resolver_options options = {
        .servers = is_given ? request->resolvers : doctor->config->resolvers.items,
        .server_count = is_given ? request->resolver_count : doctor->config->resolvers.count,
    };

    doctor->resolver = dns_resolver_new(doctor->loop, &options, why);
    return doctor->resolver != NULL;
}

static void examine(struct doctor *doctor)
{
    struct own_names own = {.count = 0};
    struct findings *all = doctor->findings, others;
    bool is_whole = doctor->request->domain.len == 0;

    findings_begin(all, "host", doctor->config->hostname);
    if (is_whole && may_ask(doctor)) {
        examine_resolver(doctor);
    }
    findings_init(&others, doctor->arena);
    doctor->findings = &others;
    examine_returns(doctor);
    examine_domains(doctor, &own);
    examine_other_seals(doctor);
    doctor->findings = all;
    if (is_whole && !atomic_load(&doctor->is_stopped)) {
        examine_host(doctor);
        doctor_look_at_certificates(doctor, own.names, own.count);
    }
    findings_join(all, &others);
}

bool doctor_run(struct doctor *doctor, struct findings *findings, struct strbuf *why)
{
    doctor->findings = findings;
    doctor->arena = findings->arena;
    doctor->now = clock_unix_seconds();
    if (!doctor->request->is_offline && !open_resolver(doctor, why)) {
        return false;
    }
    doctor_find_addresses(doctor);
    examine(doctor);
    return true;
}

void doctor_stop(struct doctor *doctor)
{
    atomic_store(&doctor->is_stopped, true);
    event_loop_stop(doctor->loop);
}

void doctor_free(struct doctor **doctor)
{
    if (*doctor != NULL) {
        if ((*doctor)->resolver != NULL) {
            dns_resolver_free(&(*doctor)->resolver);
        }
        dns_facts_free(&(*doctor)->facts);
        event_loop_free(&(*doctor)->loop);
        snapshot_drop(&(*doctor)->snapshot);
        free(*doctor);
        *doctor = NULL;
    }
}
