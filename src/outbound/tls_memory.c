#include "outbound/tls_memory.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"
#include "io/entropy.h"

#include <stdlib.h>

enum { KEY_LIMIT = 300 };

struct tls_host {
    struct bytes key;            /* owned */
    struct list node;            /* in memory->hosts, longest unused first */
    struct tls_session *session; /* or NULL */
    uint64_t failed_until_ms;    /* 0: it has not */
};

struct tls_memory {
    struct event_loop *loop;
    struct hash_table *by_key;
    struct list hosts;
    size_t count;
};

static void forget_host(struct tls_memory *memory, struct tls_host *host)
{
    hash_table_remove(memory->by_key, host->key);
    list_remove(&host->node);
    memory->count--;
    tls_session_free(&host->session);
    free((void *)(uintptr_t)host->key.data);
    free(host);
}

static struct tls_host *oldest(struct tls_memory *memory)
{
    return list_owner(memory->hosts.next, struct tls_host, node);
}

static void write_key(struct strbuf *key, struct bytes host, uint16_t port)
{
    strbuf_init(key, KEY_LIMIT);
    strbuf_add_lower(key, host);
    strbuf_add_char(key, ':');
    strbuf_add_u64(key, port);
}

/* NULL when there is none and none is to be made. */
static struct tls_host *find_host(struct tls_memory *memory, struct bytes name, uint16_t port,
                                  bool is_to_be_made)
{
    struct strbuf key;
    struct tls_host *host;

    write_key(&key, name, port);
    host = hash_table_get(memory->by_key, strbuf_bytes(&key));
    if (host != NULL) {
        list_remove(&host->node);
        list_append(&memory->hosts, &host->node);
    } else if (is_to_be_made) {
        char *copy = memory_alloc(key.len);

        memcpy(copy, key.data, key.len);
        host = memory_zero(sizeof *host);
        host->key = bytes_of(copy, key.len);
        list_init(&host->node);
        list_append(&memory->hosts, &host->node);
        hash_table_put(memory->by_key, host->key, host);
        if (++memory->count > TLS_HOSTS_KEPT) {
            forget_host(memory, oldest(memory));
        }
    }
    strbuf_clear(&key);
    return host;
}

struct tls_memory *tls_memory_new(struct event_loop *loop)
{
    struct tls_memory *memory = memory_zero(sizeof *memory);

    memory->loop = loop;
    memory->by_key = hash_table_new(entropy_hash_key());
    list_init(&memory->hosts);
    return memory;
}

void tls_memory_forget(struct tls_memory *memory)
{
    while (memory->count > 0) {
        forget_host(memory, oldest(memory));
    }
}

void tls_memory_free(struct tls_memory **memory)
{
    if (*memory != NULL) {
        tls_memory_forget(*memory);
        hash_table_free(&(*memory)->by_key);
        free(*memory);
        *memory = NULL;
    }
}

const struct tls_session *tls_memory_session(struct tls_memory *memory, struct bytes host,
                                             uint16_t port)
{
    struct tls_host *found = find_host(memory, host, port, false);

    return found == NULL ? NULL : found->session;
}

void tls_memory_keep_session(struct tls_memory *memory, struct bytes host, uint16_t port,
                             struct tls_session *session)
{
    struct tls_host *found;

    if (session != NULL) {
        found = find_host(memory, host, port, true);
        tls_session_free(&found->session);
        found->session = session;
    }
}

void tls_memory_note_failure(struct tls_memory *memory, struct bytes host, uint16_t port)
{
    struct tls_host *found = find_host(memory, host, port, true);

    found->failed_until_ms = event_loop_now_ms(memory->loop) + TLS_FAILURE_MS;
    tls_session_free(&found->session); /* it may be the reason */
}

void tls_memory_note_success(struct tls_memory *memory, struct bytes host, uint16_t port)
{
    struct tls_host *found = find_host(memory, host, port, false);

    if (found != NULL) {
        found->failed_until_ms = 0;
    }
}

bool tls_memory_has_failed(struct tls_memory *memory, struct bytes host, uint16_t port)
{
    struct tls_host *found = find_host(memory, host, port, false);

    return found != NULL && found->failed_until_ms > event_loop_now_ms(memory->loop);
}
