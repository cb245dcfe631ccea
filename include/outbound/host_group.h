/*
 * host_group - the mail hosts that one or many destinations share: what fails, and what may be used again.
 *
 * Key          the names and ports of a list of next hops, those of equal preference sorted: "a.mx.example:25,
 *              b.mx.example:25;c.mx.example:25". Ten thousand domains of one provider have one key.
 * Failures     a host that fails is tried behind the others, for a minute at first, then twice as long each
 *              time, up to HOST_FAILURE_MOST_MS. When that is over, one attempt tries it first and the others
 *              still go round it (HOST_PROBE_MS), until it greets.
 * Connections  kept between messages, newest first out; whatever arrives on one while it rests (EOF, 421,
 *              anything) closes it.
 * CHUNKING     that BDAT is not known though it is offered, by one of them, is remembered for HOST_NO_CHUNKS_MS.
 * Limit        NEXT_HOP_LIMIT failures; HOST_KEY_LIMIT octets of a key, behind which names do not count.
 */
#ifndef OUTBOUND_HOST_GROUP_H
#define OUTBOUND_HOST_GROUP_H

#include "outbound/next_hop_connection.h"

enum {
    HOST_FAILURE_MS = 60 * 1000,
    HOST_FAILURE_MOST_MS = 30 * 60 * 1000,
    HOST_PROBE_MS = 30 * 1000, /* as long as connecting may take */
    HOST_NO_CHUNKS_MS = 60 * 60 * 1000,
    HOST_KEY_LIMIT = 4096,
};

struct host_failure {
    struct ip_endpoint endpoint;
    unsigned count; /* in a row; 0: free */
    uint64_t until_ms;
};

typedef bool (*connection_suits)(void *context, const struct next_hop_connection *connection);

struct host_group {
    struct bytes key; /* owned */
    uint64_t serial;
    size_t holders;   /* destinations */
    struct list idle; /* of next_hop_connection.node, newest first */
    size_t *idle_total;
    uint64_t no_chunks_until_ms;
    struct host_failure failures[NEXT_HOP_LIMIT];
};

void host_group_write_key(struct strbuf *key, const struct next_hop_list *list);

/* No two have the same serial number. `idle_total` is kept up to date: *borrows*. */
struct host_group *host_group_new(struct bytes key, uint64_t serial, size_t *idle_total);
/* Says QUIT to what rests, or (is_abort) closes it at once. */
void host_group_free(struct host_group **group, bool is_abort);

void host_group_note_failure(struct host_group *group, const struct ip_endpoint *endpoint,
                             uint64_t now_ms);
void host_group_note_success(struct host_group *group, const struct ip_endpoint *endpoint);
/* It is being tried now. */
void host_group_note_try(struct host_group *group, const struct ip_endpoint *endpoint,
                         uint64_t now_ms);
bool host_group_has_failed(const struct host_group *group, const struct ip_endpoint *endpoint,
                           uint64_t now_ms);

/* A resting connection that suits its new holder, or NULL. `suits` NULL: any. */
struct next_hop_connection *host_group_take(struct host_group *group, connection_suits suits,
                                            connection_handler handler, void *context);
/* *Takes* a usable connection, to rest for so long. */
void host_group_keep(struct host_group *group, struct next_hop_connection *connection,
                     uint64_t idle_ms);
void host_group_close_idle(struct host_group *group);

#endif
