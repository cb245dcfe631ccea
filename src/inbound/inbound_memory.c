/*
 * What a session holds is counted (io/memory_use) whenever the loop has been with it; content counts
 * itself. Above limits.memory nothing new begins: 452 to MAIL, RCPT, DATA and the first BDAT; and a header
 * that is still coming in is given up.
 */
#include "inbound_session.h"

#include "io/memory_use.h"

enum {
    /* As measured, allocator included (tests/e2e/test_load.py). */
    SESSION_COST = 2304,
    TLS_COST = 15 * 1024,
    CHECK_COST = 4096,     /* what DNS said about a sender */
    STANDING_COST = 10240, /* what was found out about a client */
    UNIT = 1024,           /* the counter is everybody's: small changes do not touch it */
    SAY_AGAIN_MS = 60 * 1000,
};

static size_t held_by(const struct inbound_session *session)
{
    const struct inbound_transaction *transaction = &session->transaction;
    size_t held = SESSION_COST + arena_used(transaction->arena) + transaction->header.capacity +
                  stream_input(session->stream).len + stream_output_waiting(session->stream);

    held += session->tls_version != NULL || session->wait == INBOUND_WAITS_TLS ? TLS_COST : 0;
    held += transaction->check != NULL ? CHECK_COST : 0;
    held += transaction->walk != NULL ? mime_walk_memory(transaction->walk) : 0;
    held += inbound_scan_memory(session);
    held += session->standing != NULL ? STANDING_COST : 0;
    return (held + UNIT - 1) / UNIT * UNIT;
}

void inbound_memory_count(struct inbound_session *session)
{
    size_t held = session->is_closed ? 0 : held_by(session);

    memory_use_change(session->counted_memory, held);
    session->counted_memory = held;
}

bool inbound_memory_is_short(struct inbound_session *session)
{
    struct inbound_server *server = session->server;
    uint64_t now_ms = event_loop_now_ms(server->loop);
    struct log_line line;

    if (!memory_use_is_over()) {
        return false;
    }
    if (server->memory_said_ms == 0 || now_ms - server->memory_said_ms >= SAY_AGAIN_MS) {
        server->memory_said_ms = now_ms;
        log_begin(&line, LOG_WARNING, "memory-short");
        log_number(&line, "used", (int64_t)memory_use_now());
        log_number(&line, "limit", (int64_t)memory_use_limit());
        log_end(&line);
    }
    return true;
}
