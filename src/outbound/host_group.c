#include "outbound/host_group.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* ---- keys ---- */

static int compare_hops(const void *a, const void *b)
{
    const struct next_hop *left = *(const struct next_hop *const *)a;
    const struct next_hop *right = *(const struct next_hop *const *)b;
    int hosts = bytes_compare(left->host, right->host);

    if (left->preference != right->preference) {
        return left->preference < right->preference ? -1 : 1;
    }
    return hosts != 0 ? hosts : (int)left->endpoint.port - (int)right->endpoint.port;
}

static bool is_same_host(const struct next_hop *a, const struct next_hop *b)
{
    return a->preference == b->preference && a->endpoint.port == b->endpoint.port &&
           bytes_equal(a->host, b->host);
}

void host_group_write_key(struct strbuf *key, const struct next_hop_list *list)
{
    const struct next_hop *sorted[NEXT_HOP_LIMIT];

    for (size_t i = 0; i < list->count; i++) {
        sorted[i] = &list->hops[i];
    }
    qsort(sorted, list->count, sizeof sorted[0], compare_hops);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0 && is_same_host(sorted[i - 1], sorted[i])) {
            continue; /* another address of it */
        }
        if (i > 0) {
            strbuf_add_char(key,
                            sorted[i - 1]->preference == sorted[i]->preference ? ',' : ';');
        }
        strbuf_add(key, sorted[i]->host);
        strbuf_add_char(key, ':');
        strbuf_add_u64(key, sorted[i]->endpoint.port);
    }
}

/* ---- failures ---- */

/* The entry of an endpoint, or NULL. */
static struct host_failure *find_failure(struct host_group *group,
                                         const struct ip_endpoint *endpoint)
{
    for (size_t i = 0; i < NEXT_HOP_LIMIT; i++) {
        struct host_failure *failure = &group->failures[i];

        if (failure->count > 0 && failure->endpoint.port == endpoint->port &&
            ip_address_equal(&failure->endpoint.address, &endpoint->address)) {
            return failure;
        }
    }
    return NULL;
}

/* A free one, or the one that ends first. */
static struct host_failure *free_failure(struct host_group *group)
{
    struct host_failure *first = &group->failures[0];

    for (size_t i = 0; i < NEXT_HOP_LIMIT; i++) {
        if (group->failures[i].count == 0) {
            return &group->failures[i];
        }
        if (group->failures[i].until_ms < first->until_ms) {
            first = &group->failures[i];
        }
    }
    return first;
}

void host_group_note_failure(struct host_group *group, const struct ip_endpoint *endpoint,
                             uint64_t now_ms)
{
    struct host_failure *failure = find_failure(group, endpoint);
    uint64_t pause_ms = HOST_FAILURE_MS;

    if (failure == NULL) {
        failure = free_failure(group);
        *failure = (struct host_failure){.endpoint = *endpoint};
    }
    for (unsigned i = 0; i < failure->count && pause_ms < HOST_FAILURE_MOST_MS; i++) {
        pause_ms *= 2;
    }
    failure->count++;
    failure->until_ms =
        now_ms + (pause_ms < HOST_FAILURE_MOST_MS ? pause_ms : HOST_FAILURE_MOST_MS);
}

void host_group_note_success(struct host_group *group, const struct ip_endpoint *endpoint)
{
    struct host_failure *failure = find_failure(group, endpoint);

    if (failure != NULL) {
        failure->count = 0;
    }
}

void host_group_note_try(struct host_group *group, const struct ip_endpoint *endpoint,
                         uint64_t now_ms)
{
    struct host_failure *failure = find_failure(group, endpoint);

    if (failure != NULL && failure->until_ms <= now_ms) {
        failure->until_ms = now_ms + HOST_PROBE_MS;
    }
}

bool host_group_has_failed(const struct host_group *group, const struct ip_endpoint *endpoint,
                           uint64_t now_ms)
{
    const struct host_failure *failure =
        find_failure((struct host_group *)(uintptr_t)group, endpoint);

    return failure != NULL && failure->until_ms > now_ms;
}

/* ---- connections ---- */

static struct next_hop_connection *first_idle(const struct host_group *group)
{
    return list_is_empty(&group->idle)
               ? NULL
               : list_owner(group->idle.next, struct next_hop_connection, node);
}

/* Whatever happens while a connection rests ends it. */
static void on_resting_event(void *context, enum connection_event event)
{
    struct next_hop_connection *connection = context;

    switch (event) {
    case CONNECTION_READY: /* the answer to a RSET that was still to come */
    case CONNECTION_DONE:
        return;
    case CONNECTION_RESTED:
    case CONNECTION_BROKEN:
        (*connection->resting_at->idle_total)--;
        next_hop_connection_free(&connection); /* takes itself out of the list */
        return;
    }
    abort();
}

struct next_hop_connection *host_group_take(struct host_group *group, connection_suits suits,
                                            connection_handler handler, void *context)
{
    struct list *next;

    for (struct list *node = group->idle.next; node != &group->idle; node = next) {
        struct next_hop_connection *connection =
            list_owner(node, struct next_hop_connection, node);

        next = node->next;
        if (suits != NULL && !suits(context, connection)) {
            continue;
        }
        list_remove(&connection->node);
        (*group->idle_total)--;
        if (next_hop_connection_is_usable(connection)) {
            next_hop_connection_hand_over(connection, handler, context);
            return connection;
        }
        next_hop_connection_free(&connection);
    }
    return NULL;
}

void host_group_keep(struct host_group *group, struct next_hop_connection *connection,
                     uint64_t idle_ms)
{
    connection->resting_at = group;
    next_hop_connection_hand_over(connection, on_resting_event, connection);
    next_hop_connection_rest(connection, idle_ms);
    list_insert(&group->idle, &connection->node);
    (*group->idle_total)++;
}

void host_group_close_idle(struct host_group *group)
{
    struct next_hop_connection *connection;

    while ((connection = first_idle(group)) != NULL) {
        (*group->idle_total)--;
        next_hop_connection_free(&connection);
    }
}

/* ---- the group ---- */

struct host_group *host_group_new(struct bytes key, uint64_t serial, size_t *idle_total)
{
    struct host_group *group = memory_zero(sizeof *group);
    char *copy = memory_alloc(key.len + 1);

    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    group->key = bytes_of(copy, key.len);
    group->serial = serial;
    group->idle_total = idle_total;
    list_init(&group->idle);
    return group;
}

void host_group_free(struct host_group **pointer, bool is_abort)
{
    struct host_group *group = *pointer;
    struct next_hop_connection *connection;

    *pointer = NULL;
    while (is_abort && (connection = first_idle(group)) != NULL) {
        (*group->idle_total)--;
        next_hop_connection_abort(&connection);
    }
    host_group_close_idle(group);
    free((void *)(uintptr_t)group->key.data);
    free(group);
}
