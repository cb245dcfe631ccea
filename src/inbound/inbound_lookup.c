/*
 * Requests to the state store that may outlive their session: the request is a thing of its
 * own, the session holds a pointer to it and lets go when it ends.
 */
#include "inbound_session.h"

#include "base/memory.h"

#include <stdlib.h>

struct inbound_lookup {
    struct inbound_lookup *next;     /* of the session's pending ones */
    struct inbound_session *session; /* NULL: abandoned */
    void (*on_read)(struct inbound_session *session, enum state_status status,
                    struct bytes value);
    void (*on_written)(struct inbound_session *session, enum state_status status);
    void (*on_counted)(struct inbound_session *session, enum state_status status,
                       uint64_t count);
    struct bytes key, value; /* behind the struct: the store borrows them */
    char octets[];
};

static struct inbound_lookup *begin(struct inbound_session *session, struct bytes key,
                                    struct bytes value)
{
    struct inbound_lookup *lookup = memory_zero(sizeof *lookup + key.len + value.len);

    memcpy(lookup->octets, key.data, key.len);
    if (value.len > 0) {
        memcpy(lookup->octets + key.len, value.data, value.len);
    }
    lookup->key = bytes_of(lookup->octets, key.len);
    lookup->value = bytes_of(lookup->octets + key.len, value.len);
    lookup->session = session;
    lookup->next = session->lookup;
    session->lookup = lookup;
    return lookup;
}

static struct inbound_session *end(struct inbound_lookup *lookup)
{
    struct inbound_session *session = lookup->session;

    if (session != NULL) {
        struct inbound_lookup **link = &session->lookup;
        while (*link != lookup) {
            link = &(*link)->next;
        }
        *link = lookup->next;
    }
    return session;
}

static void on_read(void *context, enum state_status status, struct bytes value)
{
    struct inbound_lookup *lookup = context;
    struct inbound_session *session = end(lookup);

    if (session != NULL) {
        lookup->on_read(session, status, value);
    }
    free(lookup);
}

static void on_written(void *context, enum state_status status)
{
    struct inbound_lookup *lookup = context;
    struct inbound_session *session = end(lookup);

    if (session != NULL) {
        lookup->on_written(session, status);
    }
    free(lookup);
}

void inbound_state_read(struct inbound_session *session, struct bytes key,
                        void (*done)(struct inbound_session *session, enum state_status status,
                                     struct bytes address))
{
    struct inbound_lookup *lookup = begin(session, key, BYTES(""));

    lookup->on_read = done;
    state_store_get(session->server->state, session->server->loop, lookup->key, on_read,
                    lookup);
}

void inbound_state_remember(struct inbound_session *session, struct bytes key,
                            struct bytes value, int64_t expires_ms,
                            void (*done)(struct inbound_session *session,
                                         enum state_status status))
{
    struct inbound_lookup *lookup = begin(session, key, value);

    lookup->on_written = done;
    state_store_remember(session->server->state, session->server->loop, lookup->key,
                         lookup->value, expires_ms, on_written, lookup);
}

void inbound_state_write(struct inbound_session *session, struct bytes key, struct bytes value,
                         int64_t expires_ms,
                         void (*done)(struct inbound_session *session,
                                      enum state_status status))
{
    struct inbound_lookup *lookup = begin(session, key, value);

    lookup->on_written = done;
    state_store_put(session->server->state, session->server->loop, lookup->key, lookup->value,
                    expires_ms, on_written, lookup);
}

static void on_counted(void *context, enum state_status status, uint64_t count)
{
    struct inbound_lookup *lookup = context;
    struct inbound_session *session = end(lookup);

    if (session != NULL) {
        lookup->on_counted(session, status, count);
    }
    free(lookup);
}

void inbound_count_use(struct inbound_session *session, struct bytes key, uint64_t limit,
                       int64_t expires_ms,
                       void (*done)(struct inbound_session *session, enum state_status status,
                                    uint64_t count))
{
    struct inbound_lookup *lookup = begin(session, key, BYTES(""));

    lookup->on_counted = done;
    state_store_count(session->server->state, session->server->loop, lookup->key, limit,
                      expires_ms, on_counted, lookup);
}

void inbound_lookup_abandon(struct inbound_session *session)
{
    for (struct inbound_lookup *lookup = session->lookup; lookup != NULL;
         lookup = lookup->next) {
        lookup->session = NULL;
    }
    session->lookup = NULL;
}
