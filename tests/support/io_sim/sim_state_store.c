/*
 * io/state_store.h in memory. What was answered STATE_OK outlives a power cut, what was not may
 * or may not.
 */
#include "io/state_store.h"

#include "base/memory.h"
#include "io/clock.h"
#include "sim_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIM_STATE_ROWS = 1024, SYNC_MOST_US = 5000 };

struct row {
    struct strbuf key, value;
    int64_t expires_unix_ms;
};

static struct {
    struct row rows[SIM_STATE_ROWS];
    size_t count;
} stored;

struct state_store {
    size_t entries;
    struct list requests;
};

struct state_request {
    struct list link;
    struct state_store *store;
    struct sim_event event;
    struct bytes key, value;
    struct strbuf own_key; /* get, count */
    int64_t expires_unix_ms;
    uint64_t limit; /* count */
    void (*put_done)(void *context, enum state_status status);
    void (*get_done)(void *context, enum state_status status, struct bytes value);
    void (*count_done)(void *context, enum state_status status, uint64_t count);
    void *context;
};

void sim_state_begin(void)
{
    memset(&stored, 0, sizeof stored);
}

void sim_state_end(void)
{
    for (size_t i = 0; i < stored.count; i++) {
        strbuf_clear(&stored.rows[i].key);
        strbuf_clear(&stored.rows[i].value);
    }
}

static struct row *find_row(struct bytes key)
{
    for (size_t i = 0; i < stored.count; i++) {
        if (bytes_equal(strbuf_bytes(&stored.rows[i].key), key)) {
            return &stored.rows[i];
        }
    }
    return NULL;
}

static enum state_status put_row(const struct state_request *request)
{
    struct row *row = find_row(request->key);

    if (row == NULL) {
        if (stored.count == request->store->entries || stored.count == SIM_STATE_ROWS) {
            return STATE_FULL;
        }
        row = &stored.rows[stored.count++];
        strbuf_init(&row->key, 65536);
        strbuf_init(&row->value, 65536);
        strbuf_add(&row->key, request->key);
    }
    strbuf_reset(&row->value);
    strbuf_add(&row->value, request->value);
    if (row->expires_unix_ms < request->expires_unix_ms) {
        row->expires_unix_ms = request->expires_unix_ms;
    }
    return STATE_OK;
}

static void free_request(struct state_request *request)
{
    sim_event_stop(&request->event);
    list_remove(&request->link);
    strbuf_clear(&request->own_key);
    free(request);
}

static void on_put(void *context)
{
    struct state_request *request = context;
    enum state_status status = put_row(request);

    request->put_done(request->context, status);
    free_request(request);
}

static void on_get(void *context)
{
    struct state_request *request = context;
    struct row *row = find_row(strbuf_bytes(&request->own_key));
    bool is_there = row != NULL && row->expires_unix_ms > clock_unix_ms();

    request->get_done(request->context, is_there ? STATE_OK : STATE_MISSING,
                      is_there ? strbuf_bytes(&row->value) : BYTES(""));
    free_request(request);
}

static void on_count(void *context)
{
    struct state_request *request = context;
    struct row *row;
    uint64_t count = 0;
    char text[24];
    enum state_status status = STATE_OK;

    request->key = strbuf_bytes(&request->own_key);
    row = find_row(request->key);
    if (row != NULL && row->expires_unix_ms > clock_unix_ms()) {
        bytes_to_u64(strbuf_bytes(&row->value), &count);
        request->expires_unix_ms = row->expires_unix_ms;
    }
    count++;
    if (count <= request->limit) {
        request->value = bytes_of(
            text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)count));
        status = put_row(request);
    }
    request->count_done(request->context, status, count);
    free_request(request);
}

static struct state_request *new_request(struct state_store *store, struct event_loop *loop,
                                         void (*run)(void *context), void *context)
{
    struct state_request *request = memory_zero(sizeof *request);

    request->store = store;
    request->context = context;
    request->event = (struct sim_event){.loop = loop, .run = run, .context = request};
    strbuf_init(&request->own_key, 65536);
    list_append(&store->requests, &request->link);
    sim_event_after(&request->event, 20 + sim_random(SYNC_MOST_US));
    return request;
}

struct state_store *state_store_open(const char *directory, size_t entries, struct strbuf *why)
{
    struct state_store *store = memory_zero(sizeof *store);

    (void)directory, (void)why;
    store->entries = entries;
    list_init(&store->requests);
    return store;
}

void state_store_close(struct state_store **store)
{
    while (*store != NULL && !list_is_empty(&(*store)->requests)) {
        free_request(list_owner((*store)->requests.next, struct state_request, link));
    }
    free(*store);
    *store = NULL;
}

void state_store_put(struct state_store *store, struct event_loop *loop, struct bytes key,
                     struct bytes value, int64_t expires_unix_ms,
                     void (*done)(void *context, enum state_status status), void *context)
{
    struct state_request *request = new_request(store, loop, on_put, context);

    request->key = key;
    request->value = value;
    request->expires_unix_ms = expires_unix_ms;
    request->put_done = done;
}

void state_store_remember(struct state_store *store, struct event_loop *loop, struct bytes key,
                          struct bytes value, int64_t expires_unix_ms,
                          void (*done)(void *context, enum state_status status), void *context)
{
    state_store_put(store, loop, key, value, expires_unix_ms, done, context);
}

void state_store_count(struct state_store *store, struct event_loop *loop, struct bytes key,
                       uint64_t limit, int64_t expires_unix_ms,
                       void (*done)(void *context, enum state_status status, uint64_t count),
                       void *context)
{
    struct state_request *request = new_request(store, loop, on_count, context);

    strbuf_add(&request->own_key, key);
    request->limit = limit;
    request->expires_unix_ms = expires_unix_ms;
    request->count_done = done;
}

void state_store_get(struct state_store *store, struct event_loop *loop, struct bytes key,
                     void (*done)(void *context, enum state_status status, struct bytes value),
                     void *context)
{
    struct state_request *request = new_request(store, loop, on_get, context);

    strbuf_add(&request->own_key, key);
    request->get_done = done;
}
