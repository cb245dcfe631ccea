#include "setup_call.h"

#include "auth/idn_domain.h"
#include "io/clock.h"
#include "io/file_read.h"
#include "io/local_addresses.h"
#include "io/process.h"
#include "io/tls_context.h"

#include <string.h>

enum { PEM_LIMIT = 1024 * 1024, NAMES = SETUP_ADDRESSES + 1, NAMES_OF_ONE = 4 };

/* ---- DNS, one round after the other ---- */

void setup_start_dns(struct setup_call *call)
{
    struct dns_resolver_options options = {
        .servers = &call->resolver, .server_count = call->resolver.address.family != IP_NONE};
    struct strbuf why;

    if (!call->has_dns) {
        return;
    }
    strbuf_init(&why, SETUP_WHY_LIMIT);
    call->loop = event_loop_new();
    call->dns = dns_resolver_new(call->loop, &options, &why);
    if (call->dns == NULL) {
        fprintf(call->err, "postilion setup: DNS is not asked: %s\n", strbuf_text(&why));
        event_loop_free(&call->loop);
        call->has_dns = false;
    } else {
        call->facts = dns_facts_new();
        call->deadline_ms = event_loop_now_ms(call->loop) + SETUP_DNS_MS;
    }
    strbuf_clear(&why);
}

void setup_stop_dns(struct setup_call *call)
{
    if (call->dns != NULL) {
        dns_facts_free(&call->facts);
        dns_resolver_free(&call->dns);
        event_loop_free(&call->loop);
    }
}

static void on_answers(void *context)
{
    event_loop_stop(context);
}

/* Everything that is wanted; what is not answered in time is known not to be. */
static void look_up(struct setup_call *call)
{
    size_t wanted;

    (void)dns_facts_wanted(call->facts, &wanted);
    if (wanted > 0) {
        (void)dns_lookup_start(call->dns, call->facts, call->deadline_ms, on_answers,
                               call->loop);
        event_loop_run(call->loop);
    }
}

/* NULL: no answer. */
static const struct dns_answer *ask(struct setup_call *call, struct bytes name, uint16_t type)
{
    const struct dns_answer *answer;

    if (call->facts == NULL) {
        return NULL;
    }
    answer = dns_facts_get(call->facts, name, type);
    if (answer == NULL) {
        look_up(call);
        answer = dns_facts_get(call->facts, name, type);
    }
    return answer != NULL && answer->status != DNS_TEMPFAIL ? answer : NULL;
}

/* ---- addresses ---- */

static bool is_private(const struct ip_address *address)
{
    static const char *const networks[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                                           "100.64.0.0/10", "fc00::/7"};

    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        struct ip_network network;
        if (ip_network_parse(bytes_from_text(networks[i]), &network) &&
            ip_network_contains(&network, address)) {
            return true;
        }
    }
    return false;
}

static bool has_address(const struct setup_call *call, const struct ip_address *address)
{
    for (size_t i = 0; i < call->address_count; i++) {
        if (ip_address_equal(&call->addresses[i], address)) {
            return true;
        }
    }
    return false;
}

static void add_address(struct setup_call *call, const struct ip_address *address)
{
    if (call->address_count < SETUP_ADDRESSES && !has_address(call, address) &&
        !ip_address_is_never_next_hop(address) && !is_private(address)) {
        call->addresses[call->address_count++] = *address;
    }
}

static void find_addresses(struct setup_call *call)
{
    static const enum ip_family families[] = {IP_V4, IP_V6};
    struct ip_address *local, source;
    size_t count;

    if (call->address_count > 0) {
        call->address_source = "--address";
        call->is_route_known = true;
        return;
    }
    call->address_source = "the default route";
    for (size_t i = 0; i < 2; i++) {
        if (local_address_of_route(families[i], &source)) {
            add_address(call, &source);
            call->is_route_known = true;
        }
    }
    if (!call->is_route_known) {
        call->address_source = "this machine's interfaces";
        count = local_addresses(call->arena, &local);
        for (size_t i = 0; i < count; i++) {
            add_address(call, &local[i]);
        }
    }
}

/* Runs `take` for each address that DNS has for the name. */
static void each_address(struct setup_call *call, struct bytes name,
                         void (*take)(struct setup_call *call,
                                      const struct ip_address *address))
{
    static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};

    for (size_t t = 0; t < 2; t++) {
        const struct dns_answer *answer = ask(call, name, types[t]);
        for (size_t i = 0; answer != NULL && i < answer->count; i++) {
            if (answer->records[i].type == types[t]) {
                take(call, &answer->records[i].address);
            }
        }
    }
}

/* Behind NAT the addresses of this machine are nobody else's business, and of several interfaces the one that the name leads to
 * is meant. */
static void compare_with_name(struct setup_call *call)
{
    struct setup_call named = *call;

    named.address_count = 0;
    each_address(&named, call->hostname, add_address);
    call->is_route_known = call->is_route_known && call->address_count > 0;
    if (call->is_route_known || named.address_count == 0) {
        return;
    }
    if (call->address_count == 0) {
        call->address_source = "DNS: this machine is behind NAT, or its own are private";
        memcpy(call->addresses, named.addresses, sizeof call->addresses);
        call->address_count = named.address_count;
        return;
    }
    for (size_t i = 0; i < named.address_count;) {
        if (has_address(call, &named.addresses[i])) {
            i++;
        } else {
            named.addresses[i] = named.addresses[--named.address_count];
        }
    }
    if (named.address_count > 0) {
        memcpy(call->addresses, named.addresses, sizeof call->addresses);
        call->address_count = named.address_count;
    }
}

/* ---- names ---- */

struct name_list {
    struct bytes names[NAMES * NAMES_OF_ONE];
    const char *sources[NAMES * NAMES_OF_ONE];
    size_t count;
};

static void add_name(struct setup_call *call, struct name_list *list, struct bytes name,
                     const char *source)
{
    struct bytes ascii;

    if (list->count < NAMES * NAMES_OF_ONE && bytes_find(name, '.') < name.len &&
        !bytes_starts_with_nocase(name, BYTES("localhost")) &&
        !bytes_ends_with_nocase(name, BYTES(".localdomain")) &&
        idn_domain_to_ascii(name, call->arena, &ascii)) {
        list->names[list->count] = ascii;
        list->sources[list->count++] = source;
    }
}

/* The reverse names of an address. */
static const struct dns_answer *ask_reverse(struct setup_call *call,
                                            const struct ip_address *address)
{
    const struct dns_answer *answer;
    struct strbuf name;

    strbuf_init(&name, 256);
    dns_reverse_name_add(&name, address);
    answer = ask(call, strbuf_bytes(&name), DNS_TYPE_PTR);
    strbuf_clear(&name);
    return answer;
}

static void add_reverse_names(struct setup_call *call, struct name_list *list)
{
    for (size_t i = 0; i < call->address_count; i++) {
        const struct dns_answer *answer = ask_reverse(call, &call->addresses[i]);
        for (size_t k = 0; answer != NULL && k < answer->count && k < NAMES_OF_ONE; k++) {
            if (answer->records[k].type == DNS_TYPE_PTR) {
                add_name(call, list, answer->records[k].name,
                         "the reverse name of its address");
            }
        }
    }
}

static bool leads_here(struct setup_call *call, struct bytes name)
{
    struct setup_call named = *call;

    named.address_count = 0;
    each_address(&named, name, add_address);
    for (size_t i = 0; i < named.address_count; i++) {
        if (has_address(call, &named.addresses[i])) {
            return true;
        }
    }
    return false;
}

/* The first one that leads to one of our addresses, else the first one. */
static bool find_hostname(struct setup_call *call)
{
    struct name_list list = {.count = 0};
    struct strbuf system;
    size_t best = 0;

    if (call->hostname.len > 0) {
        call->hostname_source = "--hostname";
        return true;
    }
    strbuf_init(&system, 1024);
    process_add_host_name(&system);
    add_name(call, &list, strbuf_bytes(&system), "the name of this machine");
    add_reverse_names(call, &list);
    for (size_t i = list.count; i-- > 0;) {
        best = leads_here(call, list.names[i]) ? i : best;
    }
    if (list.count > 0) {
        call->hostname = list.names[best];
        call->hostname_source = list.sources[best];
    } else {
        fprintf(call->err,
                "postilion setup: this machine is called \"%s\", and its addresses have no "
                "names: say the full name that it has in DNS, "
                "for example --hostname mx." BYTES_FMT "\n",
                strbuf_text(&system), BYTES_ARG(call->domains[0]));
    }
    strbuf_clear(&system);
    return list.count > 0;
}

/* Providers refuse what comes from an IPv6 address without a name, whatever IPv4 would have said: until it has one, nothing is sent from
 * there. */
static void leave_unnamed(struct setup_call *call)
{
    for (size_t i = 0; i < call->address_count; i++) {
        const struct ip_address *address = &call->addresses[i];
        const struct dns_answer *answer;

        if (address->family != IP_V6 || i == 0 || !call->is_route_known) {
            continue;
        }
        answer = ask_reverse(call, address);
        if (answer == NULL) {
            continue;
        }
        for (size_t k = 0; k < answer->count; k++) {
            if (answer->records[k].type == DNS_TYPE_PTR &&
                bytes_equal_nocase(answer->records[k].name, call->hostname)) {
                return;
            }
        }
        call->unnamed = *address;
        call->addresses[i] = call->addresses[--call->address_count];
        return;
    }
}

/* ---- certificate ---- */

static bool read_pem(const char *path, struct strbuf *pem)
{
    struct strbuf why;
    bool is_read;

    strbuf_init(&why, SETUP_WHY_LIMIT);
    is_read = file_read_whole(path, PEM_LIMIT, pem, NULL, &why);
    strbuf_clear(&why);
    return is_read;
}

static bool fits(const struct setup_call *call, const char *chain_path, const char *key_path,
                 int64_t *expires)
{
    struct tls_certificate_facts facts = {.has_name = false};
    struct tls_certificate certificate;
    struct strbuf chain, key, why;
    bool is_good = false;

    strbuf_init(&chain, PEM_LIMIT);
    strbuf_init(&key, PEM_LIMIT);
    strbuf_init(&why, SETUP_WHY_LIMIT);
    if (read_pem(chain_path, &chain) && read_pem(key_path, &key)) {
        certificate = (struct tls_certificate){strbuf_bytes(&chain), strbuf_bytes(&key)};
        is_good = tls_certificate_look(&certificate, call->hostname, &facts, &why) &&
                  facts.has_name && facts.expires > clock_unix_seconds();
        *expires = facts.expires;
    }
    strbuf_clear(&chain);
    strbuf_clear_wiped(&key);
    strbuf_clear(&why);
    return is_good;
}

static const char *with_name(const struct setup_call *call, const char *before,
                             const char *after)
{
    struct strbuf text;
    const char *copy;

    strbuf_init(&text, 8192);
    strbuf_addf(&text, "%s" BYTES_FMT "%s", before, BYTES_ARG(call->hostname), after);
    copy = arena_copy_text(call->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

static bool take_pair(struct setup_call *call, const char *chain, const char *key)
{
    if (!fits(call, chain, key, &call->certificate_expires)) {
        return false;
    }
    call->certificate = chain;
    call->certificate_key = key;
    return true;
}

/* certbot and its like: a directory a certificate, not always called as what it is for. */
static bool find_live(struct setup_call *call)
{
    char **paths;
    size_t count = file_glob("/etc/letsencrypt/live/*/fullchain.pem", call->arena, &paths);

    for (size_t i = 0; i < count; i++) {
        struct bytes directory = bytes_first(bytes_from_text(paths[i]),
                                             bytes_find_last(bytes_from_text(paths[i]), '/'));
        struct strbuf key;
        const char *copy;

        strbuf_init(&key, 8192);
        strbuf_addf(&key, BYTES_FMT "/privkey.pem", BYTES_ARG(directory));
        copy = arena_copy_text(call->arena, strbuf_bytes(&key));
        strbuf_clear(&key);
        if (take_pair(call, paths[i], copy)) {
            return true;
        }
    }
    return false;
}

static void find_certificate(struct setup_call *call)
{
    static const struct {
        const char *chain_before, *chain_after, *key_before, *key_after;
    } places[] = {
        {"/etc/ssl/", "/fullchain.pem", "/etc/ssl/", "/privkey.pem"},
        {"/etc/ssl/certs/", ".pem", "/etc/ssl/private/", ".key"},
        {"/etc/ssl/certs/", ".crt", "/etc/ssl/private/", ".key"},
        {"/etc/ssl/certs/", ".pem", "/etc/ssl/private/", ".pem"},
        {"/etc/ssl/", ".pem", "/etc/ssl/", ".key"},
        {"/etc/ssl/", ".crt", "/etc/ssl/", ".key"},
    };

    if (take_pair(call, with_name(call, "/etc/letsencrypt/live/", "/fullchain.pem"),
                  with_name(call, "/etc/letsencrypt/live/", "/privkey.pem")) ||
        find_live(call)) {
        return;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (take_pair(call, with_name(call, places[i].chain_before, places[i].chain_after),
                      with_name(call, places[i].key_before, places[i].key_after))) {
            return;
        }
    }
}

/* ---- all of it ---- */

bool setup_find(struct setup_call *call)
{
    find_addresses(call);
    if (!find_hostname(call)) {
        return false;
    }
    if (strcmp(call->address_source, "--address") != 0) {
        compare_with_name(call);
        leave_unnamed(call);
    }
    find_certificate(call);
    return true;
}

void setup_find_records(struct setup_call *call)
{
    struct publish_key key = {BYTES(SETUP_SELECTOR), call->srs_domain, call->key};
    struct publish_host host = {
        .hostname = call->hostname,
        .addresses = call->addresses,
        .address_count = call->address_count,
        .domains = call->domains,
        .domain_count = call->domain_count,
        .srs_domains = &call->srs_domain,
        .srs_domain_count = 1,
        .keys = &key,
        .key_count = call->key != NULL,
    };

    while (publish_records(&host, call->facts, call->arena, &call->records) == AUTH_NEEDS_DNS) {
        look_up(call);
    }
}
