#include "daemon/snapshot.h"

#include "base/memory.h"
#include "io/local_addresses.h"

#include <stdlib.h>

enum { BOUNCE_FROM_LIMIT = 512, REUSE_IDLE_MS = 10000, CONNECT_TIMEOUT_MS = 30000 };
/* RFC 5321 §4.5.3.2 */
enum { MINUTE_MS = 60000 };
enum { AUTH_TIMEOUT_MS = 20000 }; /* RFC 7208 §4.6.4: SPF gets at least 20 seconds */

static void destroy(struct shared *shared)
{
    struct snapshot *snapshot = (struct snapshot *)(void *)shared;

    strbuf_clear(&snapshot->bounce_from);
    strbuf_clear_wiped(&snapshot->loop_secret);
    config_free(&snapshot->config);
    free(snapshot);
}

/* What we listen on; a wildcard stands for every address this host has now. */
static size_t own_addresses(struct arena *arena, const struct ip_endpoint *listening,
                            size_t listening_count, struct ip_endpoint **own)
{
    struct ip_address *local;
    size_t local_count = local_addresses(arena, &local);
    size_t count = 0;

    *own = arena_alloc(arena, (listening_count * (local_count + 1) + 1) * sizeof **own);
    for (size_t i = 0; i < listening_count; i++) {
        (*own)[count++] = listening[i];
        for (size_t j = 0; ip_address_is_unspecified(&listening[i].address) && j < local_count;
             j++) {
            if (local[j].family == listening[i].address.family) {
                (*own)[count++] = (struct ip_endpoint){local[j], listening[i].port};
            }
        }
    }
    return count;
}

static void fill_outbound(struct snapshot *snapshot, const struct ip_endpoint *listening,
                          size_t listening_count)
{
    const struct config *config = snapshot->config;
    struct next_hop_options *hops = &snapshot->outbound.next_hops;
    struct ip_endpoint *own;
    size_t own_count = own_addresses(config->arena, listening, listening_count, &own);

    snapshot->outbound = (struct outbound_options){
        .snapshot = &snapshot->shared,
        .helo_name = config->delivery.helo,
        .loop_secret = strbuf_bytes(&snapshot->loop_secret),
        .routes = &config->routes,
        .tls_policies = config->delivery.tls_policies,
        .tls_context = config->delivery.tls_context,
        .source_v4 = config->delivery.source_v4,
        .source_v6 = config->delivery.source_v6,
        .reuse_messages = (unsigned)config->delivery.reuse,
        .reuse_idle_ms = REUSE_IDLE_MS,
        .reuse_ms = config->delivery.reuse_ms,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .command_timeout_ms = 5 * MINUTE_MS,
        .data_timeout_ms = 2 * MINUTE_MS,
        .block_timeout_ms = 3 * MINUTE_MS,
        .dot_timeout_ms = 10 * MINUTE_MS,
        .handshake_timeout_ms = MINUTE_MS,
    };
    hops->own_names[hops->own_name_count++] = config->hostname;
    hops->own_addresses = own;
    hops->own_address_count = own_count;
    hops->allowed = config->allowed_next_hops.items;
    hops->allowed_count = config->allowed_next_hops.count;
    hops->port = (uint16_t)config->delivery.port;
    /* A source address of one family only means: the other one is not to be used. */
    hops->use_ipv4 = config->delivery.source_v4.family != IP_NONE ||
                     config->delivery.source_v6.family == IP_NONE;
    hops->use_ipv6 = config->delivery.source_v6.family != IP_NONE ||
                     config->delivery.source_v4.family == IP_NONE;
}

static const struct accept_policy *policy_for(const void *context, struct bytes domain,
                                              struct bytes local)
{
    return config_policy_for(context, domain, local);
}

/* Nobody else may call itself so. */
static void fill_clients(struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    const struct next_hop_options *hops = &snapshot->outbound.next_hops;
    struct bytes *names = arena_alloc(config->arena, 2 * sizeof *names);
    struct ip_address *addresses =
        arena_alloc(config->arena, (hops->own_address_count + 1) * sizeof *addresses);

    names[0] = config->hostname;
    names[1] = config->delivery.helo;
    for (size_t i = 0; i < hops->own_address_count; i++) {
        addresses[i] = hops->own_addresses[i].address;
    }
    snapshot->inbound.clients = (struct client_options){
        .rules = config->client_rules,
        .blocklists = config->blocklists.items,
        .blocklist_count = config->blocklists.count,
        .allowlists = config->allowlists.items,
        .allowlist_count = config->allowlists.count,
        .allowed = config->allowed_clients.items,
        .allowed_count = config->allowed_clients.count,
        .lists_timeout_ms = config->lists_timeout_ms,
        .own_names = names,
        .own_name_count = 2,
        .own_addresses = addresses,
        .own_address_count = hops->own_address_count,
    };
}

static struct client_limits client_limits(const struct config *config)
{
    const struct config_limits *limits = &config->limits;

    return (struct client_limits){
        .sessions = limits->per_client,
        .connections = limits->client_connection_rate,
        .messages = limits->client_message_rate,
        .recipients = limits->client_recipient_rate,
        .unknown_recipients = limits->unknown_recipients,
        .bad_signatures = limits->bad_signatures,
        .delay_ms = limits->tarpit_ms,
        .penalty_ms = limits->penalty_ms,
        .exempt = config->trusted.items,
        .exempt_count = config->trusted.count,
    };
}

static void fill_inbound(struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;

    snapshot->inbound = (struct inbound_options){
        .snapshot = &snapshot->shared,
        .hostname = config->hostname,
        .routes = {.aliases = config->aliases,
                   .srs = &config->srs,
                   .srs_domain = config->srs_domain,
                   .accept_any_return = config->srs_accept == CONFIG_SRS_ACCEPT_ANY},
        .long_sender = (enum long_sender_rule)config->srs_long,
        .return_rate = config->srs_return_rate,
        .return_uses = config->srs_return_uses,
        .delivery_routes = &config->routes,
        .destination_rate = config->delivery.destination_rate,
        .handoff_ms =
            config->delivery.mode == CONFIG_MODE_HANDOFF ? config->delivery.handoff_wait_ms : 0,
        .loop_secret = strbuf_bytes(&snapshot->loop_secret),
        .spool_directory = config->spool.data,
        .message_size = config->limits.message_size,
        .header_size = (size_t)config->limits.header_size,
        .recipients = (unsigned)config->limits.recipients,
        .errors = (unsigned)config->limits.errors,
        .hops = (unsigned)config->limits.hops,
        .command_timeout_ms = config->limits.command_timeout_ms,
        .data_timeout_ms = config->limits.data_timeout_ms,
        .min_rate = config->limits.min_rate,
        .authenticate = config->authenticate,
        .received_spf = config->received_spf,
        .authserv_id = config->authserv_id,
        .auth_timeout_ms = AUTH_TIMEOUT_MS,
        .policy_for = policy_for,
        .policy_context = config,
        .seal_for = config_seal_for,
        .seal_context = config,
        .arc_trust = config->arc_trust,
        .content = config->content,
        .scan = config->scan,
        .grey = config->grey,
        .verify = config->verify,
        .limits = client_limits(config),
        .crowd = {config->limits.message_rate, config->limits.recipient_rate},
        .tls = config->tls,
        .offers_requiretls = config->requiretls,
        .trusted = config->trusted.items,
        .trusted_count = config->trusted.count,
    };
}

struct snapshot *snapshot_new(struct config *config, const struct ip_endpoint *listening,
                              size_t listening_count)
{
    struct snapshot *snapshot = memory_zero(sizeof *snapshot);

    shared_init(&snapshot->shared, destroy);
    snapshot->config = config;
    strbuf_init(&snapshot->bounce_from, BOUNCE_FROM_LIMIT);
    strbuf_add_text(&snapshot->bounce_from, "postmaster@");
    strbuf_add(&snapshot->bounce_from, config->hostname);
    /* The loop mark's key is the SRS secret under a name of its own, so that no tag of one kind is
     * ever a tag of the other. */
    strbuf_init(&snapshot->loop_secret, 4096);
    strbuf_add_text(&snapshot->loop_secret, "loop mark:");
    strbuf_add(&snapshot->loop_secret, config->srs.secrets[0].octets);
    fill_outbound(snapshot, listening, listening_count);
    fill_inbound(snapshot);
    fill_clients(snapshot);
    snapshot->queue = (struct queue_options){
        .snapshot = &snapshot->shared,
        .retry = config->delivery.retry,
        .concurrency = (unsigned)config->delivery.concurrency,
        .bounces = (enum bounce_policy)config->delivery.bounce,
        .bounce_limit = (unsigned)config->delivery.bounce_limit,
        .hold_ms = config->delivery.hold_ms,
        .warn_ms = config->delivery.warn_ms,
        .our_name = config->hostname,
        .bounce_from = strbuf_bytes(&snapshot->bounce_from),
        .bounce_seal = config_seal_for(config, config->hostname),
        .routes = &config->routes,
    };
    snapshot->limits = (struct acceptor_limits){
        .connections = (size_t)config->limits.connections,
        .connection_rate = config->limits.connection_rate,
        .client = client_limits(config),
    };
    return snapshot;
}

void snapshot_drop(struct snapshot **snapshot)
{
    if (*snapshot != NULL) {
        shared_drop(&(*snapshot)->shared);
        *snapshot = NULL;
    }
}
