#include "sim_daemon.h"

#include "base/memory.h"
#include "forward/alias_table.h"
#include "io/listener.h"
#include "sim_world.h"

#include <assert.h>
#include <stdlib.h>

enum { LOOPS_MOST = 8, MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

struct sim_arrival {
    struct loop_task task;
    struct stream_accepted accepted;
    struct sim_loop *loop;
};

struct sim_loop {
    struct event_loop *loop;
    struct dns_resolver *resolver;
    struct outbound *outbound;
    struct queue *queue;
    struct inbound_server *inbound;
    struct message_id_source ids;
    struct loop_task start, drain, reload;
    struct sim_daemon *daemon;
};

struct sim_daemon {
    struct sim_daemon_options options;
    struct alias_table *aliases;
    struct srs_secret secret;
    struct srs_options srs;
    struct ip_endpoint address;
    struct delivery_route_table routes;
    struct inbound_options inbound_options;
    struct outbound_options outbound_options;
    struct queue_options queue_options;
    struct event_loop *main_loop;
    struct listener *listener;
    struct spool *spool;
    struct state_store *state;
    struct queue_set *queues;
    struct sim_loop loops[LOOPS_MOST];
    size_t next, drained;
};

struct sim_daemon_options sim_daemon_defaults(void)
{
    return (struct sim_daemon_options){
        .loops = 2,
        .bounces = BOUNCE_ALL, /* nobody is asked who they are */
        .aliases = "postmaster: admin@next.example\n"
                   "info: anna@next.example\n"
                   "both: anna@next.example, bob@other.example\n",
        .retry = {.pauses_seconds = {60, 300, 900, 1800, 3600, 7200, 14400},
                  .count = 7,
                  .expire_seconds = 2 * 24 * 3600},
        .concurrency = 20,
        .message_size = 10 * 1024 * 1024,
    };
}

/* ---- options ---- */

static void ignore_problem(void *context, const struct alias_problem *problem)
{
    (void)context;
    if (!problem->is_warning) {
        abort(); /* the test's own aliases are wrong */
    }
}

static void make_routes(struct sim_daemon *daemon)
{
    struct alias_report report = {.problem = ignore_problem};
    size_t domain;

    daemon->aliases = alias_table_new((struct siphash_key){{1, 2}});
    domain = alias_table_add_domain(daemon->aliases, BYTES("fwd.example"), BYTES(""));
    alias_table_add_own_name(daemon->aliases, BYTES("mx.fwd.example"), false);
    alias_table_add_own_name(daemon->aliases, BYTES("srs.fwd.example"), true);
    alias_table_add_text(daemon->aliases, domain, 0, bytes_from_text(daemon->options.aliases),
                         &report);
    daemon->secret = (struct srs_secret){.octets = BYTES("a secret of the simulated world")};
    daemon->srs = (struct srs_options){.format = SRS_FORMAT_MODERN,
                                       .separator = '=',
                                       .max_age_days = 21,
                                       .secrets = &daemon->secret,
                                       .secret_count = 1,
                                       .is_own_domain = alias_table_is_own_domain,
                                       .own_domain_context = daemon->aliases};
}

static void make_options(struct sim_daemon *daemon)
{
    make_routes(daemon);
    ip_endpoint_parse(BYTES(SIM_DAEMON_ADDRESS), 0, &daemon->address);
    daemon->inbound_options =
        (struct inbound_options){.hostname = BYTES("mx.fwd.example"),
                                 .routes = {.aliases = daemon->aliases,
                                            .srs = &daemon->srs,
                                            .srs_domain = BYTES("srs.fwd.example")},
                                 .delivery_routes = &daemon->routes,
                                 .loop_secret = BYTES("loop mark of the simulated world"),
                                 .handoff_ms = daemon->options.handoff_ms,
                                 .spool_directory = "/spool",
                                 .message_size = daemon->options.message_size,
                                 .header_size = 256 * 1024,
                                 .recipients = 100,
                                 .errors = 20,
                                 .hops = 100,
                                 .command_timeout_ms = 5 * MINUTE_MS,
                                 .data_timeout_ms = 10 * MINUTE_MS,
                                 .min_rate = 1024};
    daemon->outbound_options =
        (struct outbound_options){.helo_name = BYTES("mx.fwd.example"),
                                  .loop_secret = BYTES("loop mark of the simulated world"),
                                  .routes = &daemon->routes,
                                  .next_hops = {.own_names = {BYTES("mx.fwd.example")},
                                                .own_name_count = 1,
                                                .own_addresses = &daemon->address,
                                                .own_address_count = 1,
                                                .port = 25,
                                                .use_ipv6 = true,
                                                .use_ipv4 = true},
                                  .reuse_messages = 100,
                                  .reuse_idle_ms = 10 * 1000,
                                  .connect_timeout_ms = 30 * 1000,
                                  .command_timeout_ms = 5 * MINUTE_MS,
                                  .data_timeout_ms = 2 * MINUTE_MS,
                                  .block_timeout_ms = 3 * MINUTE_MS,
                                  .dot_timeout_ms = 10 * MINUTE_MS};
    daemon->queue_options =
        (struct queue_options){.retry = daemon->options.retry,
                               .concurrency = daemon->options.concurrency,
                               .bounces = daemon->options.bounces,
                               .hold_ms = HOUR_MS,
                               .our_name = BYTES("mx.fwd.example"),
                               .bounce_from = BYTES("postmaster@mx.fwd.example"),
                               .routes = &daemon->routes};
}

/* ---- loops ---- */

static void start_queue(void *context)
{
    struct sim_loop *loop = context;

    if (loop->queue != NULL) {
        queue_start(loop->queue);
    }
}

static void on_queue_idle(void *context)
{
    struct sim_loop *loop = context;

    outbound_close_idle(loop->outbound);
    loop->daemon->drained++;
}

static void on_sessions_gone(void *context)
{
    struct sim_loop *loop = context;

    queue_drain(loop->queue, on_queue_idle, loop);
}

static void begin_drain(void *context)
{
    struct sim_loop *loop = context;

    if (loop->inbound != NULL) {
        queue_stop_asking(loop->queue);
        inbound_drain(loop->inbound, on_sessions_gone, loop);
    }
}

static void take_options(void *context)
{
    struct sim_loop *loop = context;

    if (loop->inbound != NULL) {
        outbound_set_options(loop->outbound, &loop->daemon->outbound_options);
        queue_set_options(loop->queue, &loop->daemon->queue_options);
        inbound_server_set_options(loop->inbound, &loop->daemon->inbound_options);
    }
}

static void make_loop(struct sim_daemon *daemon, size_t index)
{
    struct sim_loop *loop = &daemon->loops[index];
    struct dns_resolver_options dns = {0};
    struct strbuf why;

    strbuf_init(&why, 1000);
    loop->daemon = daemon;
    loop->ids.loop = (unsigned)index;
    loop->start = (struct loop_task){.run = start_queue, .context = loop};
    loop->drain = (struct loop_task){.run = begin_drain, .context = loop};
    loop->reload = (struct loop_task){.run = take_options, .context = loop};
    loop->loop = event_loop_new();
    loop->resolver = dns_resolver_new(loop->loop, &dns, &why);
    loop->outbound = outbound_new(loop->loop, loop->resolver, &daemon->outbound_options);
    loop->queue = queue_new(daemon->queues, index, loop->loop, loop->outbound, &loop->ids,
                            &daemon->queue_options);
    loop->inbound = inbound_server_new(loop->loop, loop->queue, &loop->ids, daemon->state,
                                       &daemon->inbound_options);
    strbuf_clear(&why);
}

static void clear_loop(struct sim_loop *loop)
{
    inbound_server_free(&loop->inbound);
    queue_free(&loop->queue);
    outbound_free(&loop->outbound);
    dns_resolver_free(&loop->resolver);
}

/* ---- arrivals ---- */

static void arrive(void *context)
{
    struct sim_arrival *arrival = context;

    if (arrival->loop->inbound != NULL) {
        inbound_accept(arrival->loop->inbound, &arrival->accepted, NULL);
    } else {
        stream_accepted_drop(&arrival->accepted, BYTES(""));
    }
    free(arrival);
}

static void on_accept(void *context, const struct stream_accepted *accepted)
{
    struct sim_daemon *daemon = context;
    struct sim_loop *loop = &daemon->loops[daemon->next++ % daemon->options.loops];
    struct sim_arrival *arrival = memory_zero(sizeof *arrival);

    arrival->accepted = *accepted;
    arrival->loop = loop;
    arrival->task = (struct loop_task){.run = arrive, .context = arrival};
    event_loop_post(loop->loop, &arrival->task);
}

/* ---- life ---- */

static void open_door(struct sim_daemon *daemon)
{
    struct strbuf why;

    strbuf_init(&why, 1000);
    daemon->listener = listener_open(&daemon->address, &why);
    assert(daemon->listener != NULL);
    strbuf_clear(&why);
    listener_start(daemon->listener, daemon->main_loop, on_accept, daemon);
    for (size_t i = 0; i < daemon->options.loops; i++) {
        event_loop_post(daemon->loops[i].loop, &daemon->loops[i].start);
    }
}

/* In the order of daemon/worker: the stores first, what they were given belongs to the loops. */
static void clear(struct sim_daemon **place)
{
    struct sim_daemon *daemon = *place;

    listener_close(&daemon->listener);
    spool_close(&daemon->spool);
    state_store_close(&daemon->state);
    for (size_t i = 0; i < daemon->options.loops; i++) {
        clear_loop(&daemon->loops[i]);
    }
    sim_spool_answer_orphans();
    for (size_t i = 0; i < daemon->options.loops; i++) {
        sim_loop_run_leftovers(daemon->loops[i].loop);
    }
    for (size_t i = 0; i < daemon->options.loops; i++) {
        event_loop_free(&daemon->loops[i].loop);
    }
    queue_set_free(&daemon->queues);
    event_loop_free(&daemon->main_loop);
    alias_table_free(&daemon->aliases);
    free(daemon);
    *place = NULL;
}

struct sim_daemon *sim_daemon_start(const struct sim_daemon_options *options,
                                    enum spool_status *status)
{
    struct sim_daemon *daemon = memory_zero(sizeof *daemon);
    struct spool_options spool = {.directory = "/spool",
                                  .free_space_floor = options->free_space_floor};
    struct strbuf why;

    assert(options->loops <= LOOPS_MOST);
    strbuf_init(&why, 4096);
    daemon->options = *options;
    make_options(daemon);
    daemon->main_loop = event_loop_new();
    daemon->spool = spool_open(&spool, status, &why);
    if (daemon->spool != NULL) {
        daemon->state = state_store_open("/state", 1000, &why);
        daemon->queues = queue_set_new(daemon->spool, options->loops);
        for (size_t i = 0; i < options->loops; i++) {
            make_loop(daemon, i);
        }
        open_door(daemon);
    } else {
        event_loop_free(&daemon->main_loop);
        alias_table_free(&daemon->aliases);
        free(daemon);
        daemon = NULL;
    }
    strbuf_clear(&why);
    return daemon;
}

static bool is_drained(void *context)
{
    struct sim_daemon *daemon = context;

    return daemon->drained == daemon->options.loops;
}

bool sim_daemon_stop(struct sim_daemon **daemon)
{
    bool is_at_rest;

    listener_stop((*daemon)->listener);
    for (size_t i = 0; i < (*daemon)->options.loops; i++) {
        event_loop_post((*daemon)->loops[i].loop, &(*daemon)->loops[i].drain);
    }
    is_at_rest = sim_world_run(is_drained, *daemon, HOUR_MS);
    clear(daemon);
    return is_at_rest;
}

void sim_daemon_crash(struct sim_daemon **daemon)
{
    assert(!sim_power_is_on());
    if (*daemon != NULL) {
        clear(daemon);
    }
    sim_power_restore();
}

void sim_daemon_reload(struct sim_daemon *daemon)
{
    for (size_t i = 0; i < daemon->options.loops; i++) {
        struct sim_loop *loop = &daemon->loops[i];
        if (!loop->reload.is_pending) {
            event_loop_post(loop->loop, &loop->reload);
        }
    }
}

void sim_daemon_refresh(struct sim_daemon *daemon)
{
    queue_set_refresh(daemon->queues, 0);
}

struct spool *sim_daemon_spool(const struct sim_daemon *daemon)
{
    return daemon->spool;
}

bool sim_daemon_is_empty(void *context)
{
    struct sim_daemon *daemon = context;
    size_t sessions = 0;

    for (size_t i = 0; i < daemon->options.loops; i++) {
        sessions += inbound_session_count(daemon->loops[i].inbound);
    }
    return sessions == 0 && spool_count(daemon->spool).messages == 0;
}
