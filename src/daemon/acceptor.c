#include "daemon/acceptor.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"
#include "io/entropy.h"
#include "io/log.h"

#include <stdlib.h>

enum { CLIENTS_BEFORE_SWEEP = 1024 };

struct client {
    struct inbound_client sessions;
    struct list node;
    struct ip_address address; /* the key */
};

/* A listener's: what on_accept is told. */
struct entrance {
    struct acceptor *acceptor;
    struct inbound_door door;
    struct entrance *next;
};

struct handoff {
    struct loop_task task;
    struct acceptor *acceptor;
    const struct acceptor_target *target;
    atomic_size_t *on_the_way;
    struct stream_accepted accepted;
    struct inbound_door door;
    struct inbound_client *client; /* NULL: whose it is, a PROXY header says */
};

struct acceptor {
    struct event_loop *loop;
    const struct acceptor_target *targets;
    size_t target_count;
    atomic_size_t *on_the_way; /* per target: handed over, not a session yet */
    struct acceptor_limits limits;
    struct hash_table *clients; /* by address */
    struct list client_list;
    size_t sweep_at;
    struct entrance *entrances;
};

struct acceptor *acceptor_new(struct event_loop *loop, const struct acceptor_target *targets,
                              size_t target_count, const struct acceptor_limits *limits)
{
    struct acceptor *acceptor = memory_zero(sizeof *acceptor);

    acceptor->loop = loop;
    acceptor->targets = targets;
    acceptor->target_count = target_count;
    acceptor->on_the_way = memory_zero(target_count * sizeof *acceptor->on_the_way);
    acceptor->limits = *limits;
    acceptor->clients = hash_table_new(entropy_hash_key());
    acceptor->sweep_at = CLIENTS_BEFORE_SWEEP;
    list_init(&acceptor->client_list);
    return acceptor;
}

void acceptor_set_limits(struct acceptor *acceptor, const struct acceptor_limits *limits)
{
    acceptor->limits = *limits;
}

static struct bytes client_key(const struct ip_address *address)
{
    return bytes_of(address, sizeof *address);
}

static void forget_client(struct acceptor *acceptor, struct client *client)
{
    hash_table_remove(acceptor->clients, client_key(&client->address));
    list_remove(&client->node);
    free(client);
}

/* Clients without a session are forgotten now and then, at a cost that their number has paid for. */
static void sweep_clients(struct acceptor *acceptor)
{
    struct list *next;

    for (struct list *node = acceptor->client_list.next; node != &acceptor->client_list;
         node = next) {
        struct client *client = list_owner(node, struct client, node);
        next = node->next;
        if (atomic_load_explicit(&client->sessions.sessions, memory_order_acquire) == 0) {
            forget_client(acceptor, client);
        }
    }
    acceptor->sweep_at = 2 * hash_table_count(acceptor->clients) + CLIENTS_BEFORE_SWEEP;
}

/* Who counts as one client. An IPv6 host has a whole /64 to choose its address from. Octet by
 * octet: this is a hash key, and padding in it would be noise. */
static void set_client_address(struct ip_address *client, const struct ip_address *address)
{
    size_t len = address->family == IP_V4 ? 4 : 8;

    memset(client, 0, sizeof *client);
    client->family = address->family;
    memcpy(client->octets, address->octets, len);
}

static struct client *find_client(struct acceptor *acceptor, const struct ip_address *address)
{
    struct ip_address key;
    struct client *client;

    set_client_address(&key, address);
    client = hash_table_get(acceptor->clients, client_key(&key));
    if (client != NULL) {
        return client;
    }
    if (hash_table_count(acceptor->clients) >= acceptor->sweep_at) {
        sweep_clients(acceptor);
    }
    client = memory_zero(sizeof *client);
    set_client_address(&client->address, address);
    list_append(&acceptor->client_list, &client->node);
    hash_table_put(acceptor->clients, client_key(&client->address), client);
    return client;
}

static void log_refused(const struct ip_endpoint *peer, const char *why)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "connection-refused");
    log_text(&line, "client", ip_address_text(&peer->address).text);
    log_text(&line, "why", why);
    log_end(&line);
}

/* At most ten a second: the listener pauses. */
static void on_shortage(void *context, const struct ip_endpoint *peer)
{
    (void)context;
    log_refused(peer, "descriptors");
}

static void refuse(const struct stream_accepted *accepted, const char *why, const char *words)
{
    log_refused(&accepted->peer, why);
    stream_accepted_drop(accepted, bytes_from_text(words));
}

static size_t sessions_of(const struct acceptor *acceptor, size_t target)
{
    return inbound_session_count(acceptor->targets[target].server) +
           atomic_load_explicit(&acceptor->on_the_way[target], memory_order_relaxed);
}

static void arrive(void *context)
{
    struct handoff *handoff = context;

    inbound_accept_by(handoff->target->server, &handoff->accepted, handoff->client,
                      &handoff->door);
    atomic_fetch_sub_explicit(handoff->on_the_way, 1, memory_order_relaxed);
    free(handoff);
}

static void hand_over(struct entrance *entrance, const struct stream_accepted *accepted,
                      size_t target, struct client *client)
{
    struct acceptor *acceptor = entrance->acceptor;
    struct handoff *handoff = memory_zero(sizeof *handoff);

    if (client != NULL) {
        atomic_fetch_add_explicit(&client->sessions.sessions, 1, memory_order_relaxed);
        handoff->client = &client->sessions;
    }
    atomic_fetch_add_explicit(&acceptor->on_the_way[target], 1, memory_order_relaxed);
    handoff->target = &acceptor->targets[target];
    handoff->on_the_way = &acceptor->on_the_way[target];
    handoff->accepted = *accepted;
    handoff->door = entrance->door;
    handoff->task = (struct loop_task){.run = arrive, .context = handoff};
    event_loop_post(handoff->target->loop, &handoff->task);
}

/* The loop with the fewest sessions. False: there are too many in all, it was refused. */
static bool choose_target(struct acceptor *acceptor, const struct stream_accepted *accepted,
                          size_t *best)
{
    size_t fewest = sessions_of(acceptor, 0);
    size_t total = fewest;

    *best = 0;
    for (size_t i = 1; i < acceptor->target_count; i++) {
        size_t sessions = sessions_of(acceptor, i);
        total += sessions;
        if (sessions < fewest) {
            *best = i;
            fewest = sessions;
        }
    }
    if (total >= acceptor->limits.connections) {
        refuse(accepted, "connections", "421 4.3.2 too many connections, try again later\r\n");
        return false;
    }
    return true;
}

static void on_accept(void *context, const struct stream_accepted *accepted)
{
    struct entrance *entrance = context;
    struct acceptor *acceptor = entrance->acceptor;
    struct client *client;
    size_t best;

    if (!choose_target(acceptor, accepted, &best)) {
        return;
    }
    client = find_client(acceptor, &accepted->peer.address);
    if (atomic_load_explicit(&client->sessions.sessions, memory_order_relaxed) >=
        acceptor->limits.per_client) {
        refuse(accepted, "per-client",
               "421 4.7.0 too many connections from your address, try again later\r\n");
        return;
    }
    hand_over(entrance, accepted, best, client);
}

static void on_accept_proxied(void *context, const struct stream_accepted *accepted)
{
    struct entrance *entrance = context;
    size_t best;

    if (choose_target(entrance->acceptor, accepted, &best)) {
        hand_over(entrance, accepted, best, NULL);
    }
}

void acceptor_add(struct acceptor *acceptor, struct listener *listener,
                  const struct inbound_door *door)
{
    struct entrance *entrance = memory_zero(sizeof *entrance);

    *entrance = (struct entrance){acceptor, *door, acceptor->entrances};
    acceptor->entrances = entrance;
    listener_on_shortage(listener, on_shortage);
    listener_start(listener, acceptor->loop, door->is_proxied ? on_accept_proxied : on_accept,
                   entrance);
}

void acceptor_free(struct acceptor **acceptor)
{
    if (*acceptor == NULL) {
        return;
    }
    while (!list_is_empty(&(*acceptor)->client_list)) {
        forget_client(*acceptor,
                      list_owner((*acceptor)->client_list.next, struct client, node));
    }
    for (struct entrance *entrance = (*acceptor)->entrances; entrance != NULL;) {
        struct entrance *next = entrance->next;
        free(entrance);
        entrance = next;
    }
    hash_table_free(&(*acceptor)->clients);
    free((*acceptor)->on_the_way);
    free(*acceptor);
    *acceptor = NULL;
}
