/*
 * Requests to the state store that may outlive their session: the request is a thing of its
 * own, the session holds a pointer to it and lets go when it ends.
 */
#include "inbound_session.h"

#include "base/memory.h"

#include <stdlib.h>

enum { REHEARSED_LIMIT = 64 * 1024 };

struct inbound_lookup {
    struct inbound_lookup *next; /* of the session's pending ones */
    struct loop_task rehearsed;
    const struct inbound_rehearsal *rehearsal;
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

static void on_counted(void *context, enum state_status status, uint64_t count)
{
    struct inbound_lookup *lookup = context;
    struct inbound_session *session = end(lookup);

    if (session != NULL) {
        lookup->on_counted(session, status, count);
    }
    free(lookup);
}

bool inbound_has_state(const struct inbound_session *session)
{
    return session->server->state != NULL || session->server->rehearsal != NULL;
}

static void answer_rehearsed(void *context)
{
    struct inbound_lookup *lookup = context;
    const struct inbound_rehearsal *rehearsal = lookup->rehearsal;
    enum state_status status;
    struct strbuf value;

    if (lookup->on_written != NULL) {
        on_written(lookup, STATE_OK);
    } else if (lookup->on_counted != NULL) {
        on_counted(lookup, STATE_OK, 1);
    } else {
        strbuf_init(&value, REHEARSED_LIMIT);
        status = rehearsal->read_state(rehearsal->context, lookup->key, &value);
        on_read(lookup, status, strbuf_bytes(&value));
        strbuf_clear(&value);
    }
}

/* False: it is for the store. */
static bool is_rehearsed(struct inbound_lookup *lookup)
{
    struct inbound_server *server = lookup->session->server;

    if (server->rehearsal == NULL) {
        return false;
    }
    lookup->rehearsal = server->rehearsal;
    lookup->rehearsed = (struct loop_task){.run = answer_rehearsed, .context = lookup};
    event_loop_defer(server->loop, &lookup->rehearsed);
    return true;
}

void inbound_state_read(struct inbound_session *session, struct bytes key,
                        void (*done)(struct inbound_session *session, enum state_status status,
                                     struct bytes address))
{
    struct inbound_lookup *lookup = begin(session, key, BYTES(""));

    lookup->on_read = done;
    if (!is_rehearsed(lookup)) {
        state_store_get(session->server->state, session->server->loop, lookup->key, on_read,
                        lookup);
    }
}

void inbound_state_remember(struct inbound_session *session, struct bytes key,
                            struct bytes value, int64_t expires_ms,
                            void (*done)(struct inbound_session *session,
                                         enum state_status status))
{
    struct inbound_lookup *lookup = begin(session, key, value);

    lookup->on_written = done;
    if (!is_rehearsed(lookup)) {
        state_store_remember(session->server->state, session->server->loop, lookup->key,
                             lookup->value, expires_ms, on_written, lookup);
    }
}

void inbound_state_write(struct inbound_session *session, struct bytes key, struct bytes value,
                         int64_t expires_ms,
                         void (*done)(struct inbound_session *session,
                                      enum state_status status))
{
    struct inbound_lookup *lookup = begin(session, key, value);

    lookup->on_written = done;
    if (!is_rehearsed(lookup)) {
        state_store_put(session->server->state, session->server->loop, lookup->key,
                        lookup->value, expires_ms, on_written, lookup);
    }
}

void inbound_count_use(struct inbound_session *session, struct bytes key, uint64_t limit,
                       int64_t expires_ms,
                       void (*done)(struct inbound_session *session, enum state_status status,
                                    uint64_t count))
{
    struct inbound_lookup *lookup = begin(session, key, BYTES(""));

    lookup->on_counted = done;
    if (!is_rehearsed(lookup)) {
        state_store_count(session->server->state, session->server->loop, lookup->key, limit,
                          expires_ms, on_counted, lookup);
    }
}

void inbound_lookup_abandon(struct inbound_session *session)
{
    for (struct inbound_lookup *lookup = session->lookup; lookup != NULL;
         lookup = lookup->next) {
        lookup->session = NULL;
    }
    session->lookup = NULL;
}
