#include "outbound/destination_pool.h"

#include "base/hash_table.h"
#include "base/memory.h"
#include "io/entropy.h"

#include <assert.h>
#include <stdlib.h>

struct host_failure {
    struct ip_endpoint endpoint;
    uint64_t until_ms;
};

struct destination {
    struct bytes key; /* owned */
    size_t holders;   /* attempts */
    struct list idle; /* of next_hop_connection.node, newest first */
    size_t idle_count;
    struct list node;       /* in pool->unused while nothing holds it and nothing rests */
    struct next_hops *hops; /* or NULL */
    uint64_t hops_until_ms;
    unsigned turn; /* counts how often the hops were put in order */
    struct host_failure failures[NEXT_HOP_LIMIT]; /* until_ms 0: free */
    struct destination_pool *pool;
};

struct destination_pool {
    struct event_loop *loop;
    struct hash_table *destinations;
    struct list unused; /* longest unused first */
    size_t unused_count;
    size_t idle_count; /* connections that rest, of all destinations */
    unsigned generation;
};

/* ---- lists of next hops ---- */

struct next_hops *next_hops_new(void)
{
    struct next_hops *hops = memory_zero(sizeof *hops);

    hops->holders = 1;
    hops->arena = arena_new();
    return hops;
}

struct next_hops *next_hops_hold(struct next_hops *hops)
{
    hops->holders++;
    return hops;
}

void next_hops_drop(struct next_hops **hops)
{
    struct next_hops *gone = *hops;

    *hops = NULL;
    if (gone != NULL && --gone->holders == 0) {
        arena_free(&gone->arena);
        free(gone);
    }
}

/* ---- destinations ---- */

static void forget_destination(struct destination_pool *pool, struct destination *destination)
{
    assert(destination->holders == 0 && destination->idle_count == 0);
    hash_table_remove(pool->destinations, destination->key);
    list_remove(&destination->node);
    next_hops_drop(&destination->hops);
    free((char *)destination->key.data);
    free(destination);
}

/* Puts a destination that nobody uses any more behind the others of that kind. */
static void enlist_unused(struct destination_pool *pool, struct destination *destination)
{
    if (destination->holders == 0 && destination->idle_count == 0 &&
        list_is_empty(&destination->node)) {
        list_append(&pool->unused, &destination->node);
        pool->unused_count++;
    }
}

static void trim_unused(struct destination_pool *pool, size_t limit)
{
    while (pool->unused_count > limit) {
        pool->unused_count--;
        forget_destination(pool, list_owner(pool->unused.next, struct destination, node));
    }
}

static void note_unused(struct destination_pool *pool, struct destination *destination)
{
    enlist_unused(pool, destination);
    trim_unused(pool, DESTINATIONS_KEPT);
}

static void note_used(struct destination_pool *pool, struct destination *destination)
{
    if (!list_is_empty(&destination->node)) {
        list_remove(&destination->node);
        pool->unused_count--;
    }
}

static struct destination *make_destination(struct destination_pool *pool, struct bytes key)
{
    struct destination *destination = memory_zero(sizeof *destination);
    char *copy = memory_alloc(key.len + 1);

    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    copy[key.len] = '\0';
    destination->key = bytes_of(copy, key.len);
    destination->pool = pool;
    list_init(&destination->idle);
    list_init(&destination->node);
    hash_table_put(pool->destinations, destination->key, destination);
    return destination;
}

struct destination *destination_pool_hold(struct destination_pool *pool, struct bytes key)
{
    struct destination *destination = hash_table_get(pool->destinations, key);

    if (destination == NULL) {
        destination = make_destination(pool, key);
    }
    note_used(pool, destination);
    destination->holders++;
    return destination;
}

void destination_pool_release(struct destination_pool *pool, struct destination **destination)
{
    struct destination *released = *destination;

    *destination = NULL;
    released->holders--;
    note_unused(pool, released);
}

/* ---- what is remembered ---- */

struct next_hops *destination_next_hops(struct destination_pool *pool,
                                        struct destination *destination)
{
    if (destination->hops == NULL) {
        return NULL;
    }
    if (event_loop_now_ms(pool->loop) >= destination->hops_until_ms) {
        next_hops_drop(&destination->hops);
        return NULL;
    }
    return next_hops_hold(destination->hops);
}

void destination_remember(struct destination_pool *pool, struct destination *destination,
                          struct next_hops *hops)
{
    uint64_t kept_ms = (uint64_t)hops->list.ttl * 1000;

    if (kept_ms > NEXT_HOPS_KEPT_MS) {
        kept_ms = NEXT_HOPS_KEPT_MS;
    }
    next_hops_drop(&destination->hops);
    if (kept_ms > 0) {
        destination->hops = next_hops_hold(hops);
        destination->hops_until_ms = event_loop_now_ms(pool->loop) + kept_ms;
    }
}

static bool is_same_host(const struct next_hop *a, const struct next_hop *b)
{
    return a->preference == b->preference && bytes_equal(a->host, b->host);
}

/* Those of equal preference from `first` on: how many hops, how many hosts. */
static size_t count_equals(const struct next_hop_list *list, size_t first, size_t *hosts)
{
    size_t at = first;

    *hosts = 0;
    while (at < list->count && list->hops[at].preference == list->hops[first].preference) {
        *hosts += at == first || !is_same_host(&list->hops[at], &list->hops[at - 1]);
        at++;
    }
    return at - first;
}

void destination_order_hops(struct destination *destination, const struct next_hop_list *list,
                            uint8_t order[NEXT_HOP_LIMIT])
{
    unsigned turn = destination->turn++;
    size_t hosts;

    for (size_t first = 0, count; first < list->count; first += count) {
        size_t skip = 0;

        count = count_equals(list, first, &hosts);
        for (size_t host = 0; host < turn % hosts; host++) {
            do {
                skip++;
            } while (is_same_host(&list->hops[first + skip], &list->hops[first + skip - 1]));
        }
        for (size_t i = 0; i < count; i++) {
            order[first + i] = (uint8_t)(first + (skip + i) % count);
        }
    }
}

static bool is_same_endpoint(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && ip_address_equal(&a->address, &b->address);
}

/* The entry of an endpoint, or NULL. */
static struct host_failure *find_failure(const struct destination *destination,
                                         const struct ip_endpoint *endpoint)
{
    for (size_t i = 0; i < NEXT_HOP_LIMIT; i++) {
        const struct host_failure *failure = &destination->failures[i];

        if (failure->until_ms != 0 && is_same_endpoint(&failure->endpoint, endpoint)) {
            return (struct host_failure *)failure;
        }
    }
    return NULL;
}

void destination_note_failure(struct destination_pool *pool, struct destination *destination,
                              const struct ip_endpoint *endpoint)
{
    struct host_failure *failure = find_failure(destination, endpoint);

    if (failure == NULL) { /* the one that ends first, or a free one */
        failure = &destination->failures[0];
        for (size_t i = 1; i < NEXT_HOP_LIMIT; i++) {
            if (destination->failures[i].until_ms < failure->until_ms) {
                failure = &destination->failures[i];
            }
        }
    }
    *failure =
        (struct host_failure){*endpoint, event_loop_now_ms(pool->loop) + HOST_FAILURE_MS};
}

void destination_note_success(struct destination *destination,
                              const struct ip_endpoint *endpoint)
{
    struct host_failure *failure = find_failure(destination, endpoint);

    if (failure != NULL) {
        failure->until_ms = 0;
    }
}

bool destination_has_failed(const struct destination_pool *pool,
                            const struct destination *destination,
                            const struct ip_endpoint *endpoint)
{
    const struct host_failure *failure = find_failure(destination, endpoint);

    return failure != NULL && failure->until_ms > event_loop_now_ms(pool->loop);
}

/* ---- connections ---- */

static struct next_hop_connection *first_idle(const struct destination *destination)
{
    return list_is_empty(&destination->idle)
               ? NULL
               : list_owner(destination->idle.next, struct next_hop_connection, node);
}

/* One of them rests no more. */
static void note_taken(struct destination *destination)
{
    destination->idle_count--;
    destination->pool->idle_count--;
}

static void close_idle(struct destination *destination)
{
    struct next_hop_connection *connection;

    while ((connection = first_idle(destination)) != NULL) {
        note_taken(destination);
        next_hop_connection_free(&connection);
    }
}

/* Whatever happens while a connection rests ends it. */
static void on_resting_event(void *context, enum connection_event event)
{
    struct next_hop_connection *connection = context;
    struct destination *destination = connection->resting_at;

    switch (event) {
    case CONNECTION_READY: /* the answer to a RSET that was still to come */
    case CONNECTION_DONE:
        return;
    case CONNECTION_RESTED:
    case CONNECTION_BROKEN:
        note_taken(destination);
        next_hop_connection_free(&connection);
        note_unused(destination->pool, destination);
        return;
    }
    abort();
}

struct next_hop_connection *destination_take(struct destination *destination,
                                             connection_handler handler, void *context)
{
    struct next_hop_connection *connection;

    while ((connection = first_idle(destination)) != NULL) {
        list_remove(&connection->node);
        note_taken(destination);
        if (next_hop_connection_is_usable(connection)) {
            next_hop_connection_hand_over(connection, handler, context);
            return connection;
        }
        next_hop_connection_free(&connection);
    }
    return NULL;
}

void destination_give_back(struct destination_pool *pool, struct destination *destination,
                           struct next_hop_connection **connection, uint64_t idle_ms)
{
    struct next_hop_connection *given = *connection;

    *connection = NULL;
    if (idle_ms == 0 || given->generation != pool->generation ||
        pool->idle_count >= CONNECTIONS_KEPT || !next_hop_connection_is_usable(given)) {
        next_hop_connection_free(&given);
        return;
    }
    given->resting_at = destination;
    next_hop_connection_hand_over(given, on_resting_event, given);
    next_hop_connection_rest(given, idle_ms);
    list_insert(&destination->idle, &given->node);
    destination->idle_count++;
    pool->idle_count++;
}

unsigned destination_pool_generation(const struct destination_pool *pool)
{
    return pool->generation;
}

/* ---- the pool ---- */

struct destination_pool *destination_pool_new(struct event_loop *loop)
{
    struct destination_pool *pool = memory_zero(sizeof *pool);

    pool->loop = loop;
    pool->destinations = hash_table_new(entropy_hash_key());
    list_init(&pool->unused);
    return pool;
}

void destination_pool_close_idle(struct destination_pool *pool)
{
    struct destination *destination;
    size_t position = 0;

    while ((destination = hash_table_next(pool->destinations, &position)) != NULL) {
        close_idle(destination);
        enlist_unused(pool, destination);
    }
    trim_unused(pool, DESTINATIONS_KEPT); /* changes the table, so not during the walk */
}

void destination_pool_forget(struct destination_pool *pool)
{
    struct destination *destination;
    size_t position = 0;

    pool->generation++;
    destination_pool_close_idle(pool);
    trim_unused(pool, 0);
    while ((destination = hash_table_next(pool->destinations, &position)) != NULL) {
        next_hops_drop(&destination->hops);
        memset(destination->failures, 0, sizeof destination->failures);
    }
}

void destination_pool_free(struct destination_pool **pool)
{
    struct destination_pool *gone = *pool;
    struct destination *destination;
    size_t position = 0;

    if (gone == NULL) {
        return;
    }
    *pool = NULL;
    while ((destination = hash_table_next(gone->destinations, &position)) != NULL) {
        struct next_hop_connection *connection;

        while ((connection = first_idle(destination)) != NULL) {
            note_taken(destination);
            next_hop_connection_abort(&connection); /* the loop may not turn again: no QUIT */
        }
        enlist_unused(gone, destination);
    }
    trim_unused(gone, 0);
    assert(hash_table_count(gone->destinations) == 0);
    hash_table_free(&gone->destinations);
    free(gone);
}
