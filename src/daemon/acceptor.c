#include "daemon/acceptor.h"

#include "base/memory.h"
#include "base/rate.h"
#include "io/log.h"
#include "protocol/smtp_reply.h"

#include <stdlib.h>

enum { MINUTE_MS = 60000 };

/* A listener's: what on_accept is told. */
struct entrance {
    struct acceptor *acceptor;
    struct inbound_door door;
    struct listener_limits limits;
    struct rate rate;
    struct inbound_door_use use;
    struct entrance *next;
};

struct handoff {
    struct loop_task task;
    struct acceptor *acceptor;
    const struct acceptor_target *target;
    atomic_size_t *on_the_way;
    struct stream_accepted accepted;
    struct inbound_door door;
    struct ledger_stay stay; /* nobody's: whose it is, a PROXY header says */
};

struct acceptor {
    struct event_loop *loop;
    const struct acceptor_target *targets;
    size_t target_count;
    atomic_size_t *on_the_way; /* per target: handed over, not a session yet */
    struct inbound_ledger *ledger;
    struct acceptor_limits limits;
    struct rate rate;
    struct entrance *entrances;
};

struct acceptor *acceptor_new(struct event_loop *loop, const struct acceptor_target *targets,
                              size_t target_count, struct inbound_ledger *ledger,
                              const struct acceptor_limits *limits)
{
    struct acceptor *acceptor = memory_zero(sizeof *acceptor);

    acceptor->loop = loop;
    acceptor->targets = targets;
    acceptor->target_count = target_count;
    acceptor->on_the_way = memory_zero(target_count * sizeof *acceptor->on_the_way);
    acceptor->limits = *limits;
    acceptor->ledger = ledger;
    return acceptor;
}

void acceptor_set_limits(struct acceptor *acceptor, const struct acceptor_limits *limits)
{
    acceptor->limits = *limits;
}

static void log_refused(const struct ip_endpoint *peer, const char *why)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "connection-refused");
    log_text(&line, "client", ip_address_text(&peer->address).text);
    log_text(&line, "why", why);
    log_end(&line);
}

/* At most ten a second: the listener pauses. */
static void on_shortage(void *context, const struct ip_endpoint *peer)
{
    (void)context;
    log_refused(peer, "descriptors");
}

static void refuse(const struct stream_accepted *accepted, const char *why, const char *words)
{
    log_refused(&accepted->peer, why);
    stream_accepted_drop(accepted, bytes_from_text(words));
}

static struct rate_limit a_minute(uint64_t count)
{
    return (struct rate_limit){count, MINUTE_MS};
}

static size_t sessions_of(const struct acceptor *acceptor, size_t target)
{
    return inbound_session_count(acceptor->targets[target].server) +
           atomic_load_explicit(&acceptor->on_the_way[target], memory_order_relaxed);
}

static void arrive(void *context)
{
    struct handoff *handoff = context;

    inbound_accept_by(handoff->target->server, &handoff->accepted, &handoff->stay,
                      &handoff->door);
    atomic_fetch_sub_explicit(handoff->on_the_way, 1, memory_order_relaxed);
    free(handoff);
}

static void hand_over(struct entrance *entrance, const struct stream_accepted *accepted,
                      size_t target, const struct ledger_stay *stay)
{
    struct acceptor *acceptor = entrance->acceptor;
    struct handoff *handoff = memory_zero(sizeof *handoff);

    uint64_t now_ms = event_loop_now_ms(acceptor->loop);

    rate_take(&acceptor->rate, a_minute(acceptor->limits.connection_rate), 1, now_ms);
    rate_take(&entrance->rate, a_minute(entrance->limits.connection_rate), 1, now_ms);
    atomic_fetch_add_explicit(&entrance->use.sessions, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&acceptor->on_the_way[target], 1, memory_order_relaxed);
    handoff->target = &acceptor->targets[target];
    handoff->on_the_way = &acceptor->on_the_way[target];
    handoff->accepted = *accepted;
    handoff->door = entrance->door;
    handoff->stay = *stay;
    handoff->task = (struct loop_task){.run = arrive, .context = handoff};
    event_loop_post(handoff->target->loop, &handoff->task);
}

/* The loop with the fewest sessions. False: there are too many in all, it was refused. */
static bool choose_target(struct acceptor *acceptor, const struct stream_accepted *accepted,
                          size_t *best)
{
    size_t fewest = sessions_of(acceptor, 0);
    size_t total = fewest;

    *best = 0;
    for (size_t i = 1; i < acceptor->target_count; i++) {
        size_t sessions = sessions_of(acceptor, i);
        total += sessions;
        if (sessions < fewest) {
            *best = i;
            fewest = sessions;
        }
    }
    if (total >= acceptor->limits.connections) {
        refuse(accepted, "connections", "421 4.3.2 too many connections, try again later\r\n");
        return false;
    }
    return true;
}

/* What holds whoever comes. False: it was refused. */
static bool may_enter(struct entrance *entrance, const struct stream_accepted *accepted)
{
    static const char too_often[] = "421 4.3.2 too many new connections, try again later\r\n";
    struct acceptor *acceptor = entrance->acceptor;
    uint64_t now_ms = event_loop_now_ms(acceptor->loop);

    if (entrance->limits.connections > 0 &&
        atomic_load_explicit(&entrance->use.sessions, memory_order_relaxed) >=
            entrance->limits.connections) {
        refuse(accepted, "listener-connections",
               "421 4.3.2 too many connections, try again later\r\n");
        return false;
    }
    if (!rate_has(&entrance->rate, a_minute(entrance->limits.connection_rate), 1, now_ms)) {
        refuse(accepted, "listener-connection-rate", too_often);
        return false;
    }
    if (!rate_has(&acceptor->rate, a_minute(acceptor->limits.connection_rate), 1, now_ms)) {
        refuse(accepted, "total-connection-rate", too_often);
        return false;
    }
    return true;
}

static void refuse_client(const struct stream_accepted *accepted, enum client_verdict verdict)
{
    struct decision decision = client_rates_decision(verdict);
    struct strbuf words;

    strbuf_init(&words, 512);
    smtp_reply_add(&words, decision.code, decision.enhanced, decision.text);
    refuse(accepted, decision.why, strbuf_text(&words));
    strbuf_clear(&words);
}

static void on_accept(void *context, const struct stream_accepted *accepted)
{
    struct entrance *entrance = context;
    struct acceptor *acceptor = entrance->acceptor;
    struct ledger_stay stay = {.row = NULL};
    enum client_verdict verdict = CLIENT_WELCOME;
    size_t best;

    if (!may_enter(entrance, accepted) || !choose_target(acceptor, accepted, &best)) {
        return;
    }
    if (!entrance->door.is_proxied) {
        verdict = inbound_ledger_enter(acceptor->ledger, &accepted->peer.address,
                                       &acceptor->limits.client,
                                       event_loop_now_ms(acceptor->loop), &stay);
    }
    if (verdict == CLIENT_WELCOME) {
        hand_over(entrance, accepted, best, &stay);
    } else {
        refuse_client(accepted, verdict);
    }
}

void acceptor_add(struct acceptor *acceptor, struct listener *listener,
                  const struct inbound_door *door, const struct listener_limits *limits)
{
    struct entrance *entrance = memory_zero(sizeof *entrance);

    entrance->acceptor = acceptor;
    entrance->door = *door;
    entrance->door.use = &entrance->use;
    entrance->use.limits = limits->crowd;
    entrance->limits = *limits;
    entrance->next = acceptor->entrances;
    acceptor->entrances = entrance;
    listener_on_shortage(listener, on_shortage);
    listener_start(listener, acceptor->loop, on_accept, entrance);
}

void acceptor_free(struct acceptor **acceptor)
{
    if (*acceptor == NULL) {
        return;
    }
    for (struct entrance *entrance = (*acceptor)->entrances; entrance != NULL;) {
        struct entrance *next = entrance->next;
        free(entrance);
        entrance = next;
    }
    free((*acceptor)->on_the_way);
    free(*acceptor);
    *acceptor = NULL;
}
