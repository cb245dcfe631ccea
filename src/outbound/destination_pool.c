#include "outbound/destination_pool.h"

#include "base/hash_table.h"
#include "base/memory.h"
#include "io/entropy.h"

#include <assert.h>
#include <stdlib.h>

struct destination {
    struct bytes key;         /* owned */
    size_t holders;           /* attempts */
    struct list node;         /* in pool->unused while nothing holds it */
    struct next_hops *hops;   /* or NULL */
    struct host_group *group; /* as found the last time, or NULL */
    uint64_t hops_until_ms;
    unsigned turn; /* counts how often the hops were put in order */
    struct destination_pool *pool;
};

struct destination_pool {
    struct event_loop *loop;
    struct hash_table *destinations, *groups;
    struct list unused; /* longest unused first */
    size_t unused_count;
    size_t idle_count; /* connections that rest, of all groups */
    unsigned generation;
    uint64_t group_serial; /* the last one given */
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

static void leave_group(struct destination *destination, bool is_abort)
{
    struct host_group *group = destination->group;

    destination->group = NULL;
    if (group != NULL && --group->holders == 0) {
        hash_table_remove(destination->pool->groups, group->key);
        host_group_free(&group, is_abort);
    }
}

static void join_group(struct destination *destination, const struct next_hops *hops)
{
    struct destination_pool *pool = destination->pool;
    struct host_group *group;
    struct strbuf key;

    strbuf_init(&key, HOST_KEY_LIMIT);
    host_group_write_key(&key, &hops->list);
    if (!tls_policy_may_fall_back(hops->level) && hops->level != TLS_LEVEL_OFF) {
        strbuf_addf(&key, " tls %s", tls_level_text(hops->level));
    }
    group = hash_table_get(pool->groups, strbuf_bytes(&key));
    if (group == NULL) {
        group = host_group_new(strbuf_bytes(&key), ++pool->group_serial, &pool->idle_count);
        hash_table_put(pool->groups, group->key, group);
    }
    strbuf_clear(&key);
    group->holders++;
    leave_group(destination, false);
    destination->group = group;
}

static void forget_destination(struct destination_pool *pool, struct destination *destination,
                               bool is_abort)
{
    assert(destination->holders == 0);
    hash_table_remove(pool->destinations, destination->key);
    list_remove(&destination->node);
    leave_group(destination, is_abort);
    next_hops_drop(&destination->hops);
    free((char *)destination->key.data);
    free(destination);
}

/* Puts a destination that nobody uses any more behind the others of that kind. */
static void enlist_unused(struct destination_pool *pool, struct destination *destination)
{
    if (destination->holders == 0 && list_is_empty(&destination->node)) {
        list_append(&pool->unused, &destination->node);
        pool->unused_count++;
    }
}

static void trim_unused(struct destination_pool *pool, size_t limit, bool is_abort)
{
    while (pool->unused_count > limit) {
        pool->unused_count--;
        forget_destination(pool, list_owner(pool->unused.next, struct destination, node),
                           is_abort);
    }
}

static void note_unused(struct destination_pool *pool, struct destination *destination)
{
    enlist_unused(pool, destination);
    trim_unused(pool, DESTINATIONS_KEPT, false);
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
    join_group(destination, hops);
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

struct bytes destination_hosts(const struct destination *destination)
{
    return destination->group == NULL ? BYTES("") : destination->group->key;
}

void destination_note_failure(struct destination *destination,
                              const struct ip_endpoint *endpoint)
{
    if (destination->group != NULL) {
        host_group_note_failure(destination->group, endpoint,
                                event_loop_now_ms(destination->pool->loop));
    }
}

void destination_note_success(struct destination *destination,
                              const struct ip_endpoint *endpoint)
{
    if (destination->group != NULL) {
        host_group_note_success(destination->group, endpoint);
    }
}

void destination_note_try(struct destination *destination, const struct ip_endpoint *endpoint)
{
    if (destination->group != NULL) {
        host_group_note_try(destination->group, endpoint,
                            event_loop_now_ms(destination->pool->loop));
    }
}

bool destination_has_failed(const struct destination *destination,
                            const struct ip_endpoint *endpoint)
{
    return destination->group != NULL &&
           host_group_has_failed(destination->group, endpoint,
                                 event_loop_now_ms(destination->pool->loop));
}

void destination_note_no_chunks(struct destination *destination)
{
    if (destination->group != NULL) {
        destination->group->no_chunks_until_ms =
            event_loop_now_ms(destination->pool->loop) + HOST_NO_CHUNKS_MS;
    }
}

bool destination_may_chunk(const struct destination *destination)
{
    return destination->group == NULL ||
           destination->group->no_chunks_until_ms <= event_loop_now_ms(destination->pool->loop);
}

/* ---- connections ---- */

struct next_hop_connection *destination_take(struct destination *destination,
                                             connection_suits suits, connection_handler handler,
                                             void *context)
{
    return destination->group == NULL
               ? NULL
               : host_group_take(destination->group, suits, handler, context);
}

/* A host of the group, or the mail of others of the group would go where it does not belong. */
static bool is_of_group(const struct next_hop_connection *connection,
                        const struct destination *destination)
{
    return destination->group != NULL && connection->group == destination->group->serial;
}

void destination_own(struct destination *destination, struct next_hop_connection *connection)
{
    connection->generation = destination->pool->generation;
    connection->group = destination->group == NULL ? 0 : destination->group->serial;
    connection->made_ms = event_loop_now_ms(destination->pool->loop);
}

void destination_give_back(struct destination_pool *pool, struct destination *destination,
                           struct next_hop_connection **connection, uint64_t idle_ms)
{
    struct next_hop_connection *given = *connection;

    *connection = NULL;
    if (idle_ms == 0 || given->generation != pool->generation ||
        pool->idle_count >= CONNECTIONS_KEPT || !is_of_group(given, destination) ||
        !next_hop_connection_is_usable(given)) {
        next_hop_connection_free(&given);
        return;
    }
    host_group_keep(destination->group, given, idle_ms);
}

/* ---- the pool ---- */

struct destination_pool *destination_pool_new(struct event_loop *loop)
{
    struct destination_pool *pool = memory_zero(sizeof *pool);

    pool->loop = loop;
    pool->destinations = hash_table_new(entropy_hash_key());
    pool->groups = hash_table_new(entropy_hash_key());
    list_init(&pool->unused);
    return pool;
}

void destination_pool_close_idle(struct destination_pool *pool)
{
    struct host_group *group;
    size_t position = 0;

    while ((group = hash_table_next(pool->groups, &position)) != NULL) {
        host_group_close_idle(group);
    }
}

void destination_pool_forget(struct destination_pool *pool)
{
    struct destination *destination;
    size_t position = 0;

    pool->generation++;
    destination_pool_close_idle(pool);
    trim_unused(pool, 0, false);
    while ((destination = hash_table_next(pool->destinations, &position)) != NULL) {
        next_hops_drop(&destination->hops);
        leave_group(destination, false);
    }
}

void destination_pool_free(struct destination_pool **pool)
{
    struct destination_pool *gone = *pool;

    if (gone == NULL) {
        return;
    }
    *pool = NULL;
    trim_unused(gone, 0, true); /* the loop may not turn again: no QUIT */
    assert(hash_table_count(gone->destinations) == 0 && hash_table_count(gone->groups) == 0);
    hash_table_free(&gone->destinations);
    hash_table_free(&gone->groups);
    free(gone);
}
