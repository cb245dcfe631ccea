#include "inbound/inbound_server.h"

#include "inbound_session.h"

#include "base/memory.h"
#include "io/entropy.h"

#include <assert.h>
#include <stdlib.h>

static void report_idle(void *context)
{
    struct inbound_server *server = context;

    server->on_idle(server->on_idle_context);
}

struct inbound_server *inbound_server_new(struct event_loop *loop, struct queue *queue,
                                          struct message_id_source *ids,
                                          struct state_store *state,
                                          const struct inbound_options *options)
{
    struct inbound_server *server = memory_zero(sizeof *server);

    server->loop = loop;
    server->queue = queue;
    server->ids = ids;
    server->state = state;
    server->options = options;
    server->command_arena = arena_new();
    server->hash_key = entropy_hash_key();
    server->session_seed = entropy_u32();
    server->idle_task = (struct loop_task){.run = report_idle, .context = server};
    list_init(&server->sessions);
    list_init(&server->waiting_scans);
    if (options->snapshot != NULL) {
        shared_hold(options->snapshot);
    }
    return server;
}

void inbound_server_set_resolver(struct inbound_server *server, struct dns_resolver *resolver)
{
    server->resolver = resolver;
    if (server->checker == NULL) {
        server->checker = message_checker_new();
    }
}

void inbound_server_set_ledger(struct inbound_server *server, struct inbound_ledger *ledger)
{
    server->ledger = ledger;
}

void inbound_server_rehearse(struct inbound_server *server,
                             const struct inbound_rehearsal *rehearsal)
{
    server->rehearsal = rehearsal;
}

void inbound_server_set_prober(struct inbound_server *server, struct recipient_prober *prober)
{
    server->prober = prober;
}

void inbound_server_set_options(struct inbound_server *server,
                                const struct inbound_options *options)
{
    const struct inbound_options *before = server->options;

    if (options->snapshot != NULL) {
        shared_hold(options->snapshot);
    }
    server->options = options;
    if (before->snapshot != NULL) {
        shared_drop(before->snapshot);
    }
}

void inbound_accept(struct inbound_server *server, const struct stream_accepted *accepted,
                    const struct ledger_stay *stay)
{
    const struct inbound_door door = {.is_proxied = false};

    inbound_session_new(server, accepted, stay, &door);
}

void inbound_accept_by(struct inbound_server *server, const struct stream_accepted *accepted,
                       const struct ledger_stay *stay, const struct inbound_door *door)
{
    inbound_session_new(server, accepted, stay, door);
}

void inbound_server_look_idle(struct inbound_server *server)
{
    if (server->is_draining && !server->is_idle && !server->is_stopped &&
        list_is_empty(&server->sessions)) {
        server->is_idle = true;
        event_loop_defer(server->loop, &server->idle_task);
    }
}

static void send_away(struct inbound_server *server)
{
    struct list *next;

    for (struct list *node = server->sessions.next; node != &server->sessions; node = next) {
        struct inbound_session *session = list_owner(node, struct inbound_session, node);
        next = node->next;
        inbound_session_bye_if_draining(session);
    }
}

void inbound_drain(struct inbound_server *server, void (*on_idle)(void *context), void *context)
{
    server->is_draining = true;
    server->on_idle = on_idle;
    server->on_idle_context = context;
    send_away(server);
    inbound_server_look_idle(server);
}

void inbound_pause(struct inbound_server *server, bool is_paused)
{
    server->is_paused = is_paused;
    if (is_paused) {
        send_away(server);
    }
}

size_t inbound_session_count(const struct inbound_server *server)
{
    return atomic_load_explicit(&server->session_count, memory_order_relaxed);
}

void inbound_server_free(struct inbound_server **server)
{
    if (*server == NULL) {
        return;
    }
    (*server)->is_stopped = true;
    for (struct list *node = (*server)->sessions.next; node != &(*server)->sessions;) {
        struct inbound_session *session = list_owner(node, struct inbound_session, node);
        node = node->next;
        inbound_session_close(session, "stopped");
        inbound_session_bury(session);
    }
    if ((*server)->options->snapshot != NULL) {
        shared_drop((*server)->options->snapshot);
    }
    message_checker_free(&(*server)->checker);
    arena_free(&(*server)->command_arena);
    free(*server);
    *server = NULL;
}
