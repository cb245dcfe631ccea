/*
 * The worker's life, in the order it happens:
 *
 *   1 open_stores      spool and state; a spool that cannot be used ends the run
 *   2 start_loops      each with its resolver, connections, queue and sessions
 *   3 listen           the acceptor and the control socket; "ready"
 *   4 on_signal        reload (5) or drain (6)
 *   5 reload           in a thread of its own, so that a million aliases stop nobody; then the new
 *                      snapshot goes to every loop, or the old one stays
 *   6 drain, stop      loops first, then the stores (they commit what waits), then the memory
 */
#include "daemon/worker.h"

#include "worker_facts.h"
#include "worker_loop.h"
#include "worker_sandbox.h"
#include "worker_watch.h"

#include "base/memory.h"
#include "daemon/admin_server.h"
#include "daemon/config_fixed.h"
#include "daemon/control_server.h"
#include "daemon/descriptors.h"
#include "daemon/doctor_daily.h"
#include "daemon/metrics_board.h"
#include "io/clock.h"
#include "io/hardening.h"
#include "io/log.h"
#include "io/memory_use.h"
#include "io/process.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    ALIAS_CHECK_MS = 2000,
    STORE_PATIENCE_MS = 3000, /* a worker that was killed may still hold them */
    STORE_PAUSE_MS = 50,
    STATE_ENTRIES = 100000, /* stored senders; each lives max-age days */
    LISTENERS_MOST = 64,
};

struct reload {
    struct worker *worker;
    struct loop_task done;
    struct process_thread *thread;
    struct config *config; /* NULL: there were errors, they have been logged */
    uint64_t files;        /* what state the files were in when it began */
};

struct worker {
    const struct worker_setup *setup;
    struct event_loop *main_loop;
    struct snapshot *snapshot;
    struct spool *spool;
    struct state_store *state;
    struct queue_set *queues;
    struct inbound_ledger *ledger;
    struct worker_loop *loops;
    size_t loop_count;
    struct acceptor_target *targets;
    struct acceptor *acceptor;
    struct control_server *control;
    struct admin_server *admin; /* or NULL */
    struct pauses *pauses;
    struct worker_watch watch;
    struct metrics_board *metrics;
    struct doctor_daily *doctor;
    int64_t started_ms; /* unix */
    int64_t reload_ms;  /* unix: of the last one; 0: there was none */
    bool reload_failed;
    struct loop_timer *alias_timer;
    struct loop_timer *drain_timer;
    struct loop_timer *heart_timer; /* or NULL */
    struct reload *reload;          /* running, until all loops have what came of it, or NULL */
    size_t loops_taking;
    bool reload_again;
    bool has_bad_files; /* `bad_files` failed: not tried again before they change */
    uint64_t bad_files;
    uint64_t files_seen; /* the last time they were found changed */
    bool is_draining;
    size_t loops_draining;
    atomic_bool is_spool_damaged;
};

static void tell_supervisor(const struct worker *worker, enum worker_notice notice)
{
    notice_pipe_send(worker->setup->notices, (char)notice);
}

static void log_fatal(const char *event, struct bytes why)
{
    struct log_line line;

    log_begin(&line, LOG_FATAL, event);
    log_bytes(&line, "why", why);
    log_end(&line);
}

/* On the spool's thread. Whatever is answered from now on, nothing is lost: clients are told to try
 * again, and the spool stays as it is for somebody to look at. */
static void on_spool_damaged(void *context)
{
    struct worker *worker = context;

    log_fatal("spool-damaged", BYTES("the spool's database does not make sense; stopping"));
    atomic_store(&worker->is_spool_damaged, true);
    event_loop_stop(worker->main_loop);
}

static void log_fatal_unless_open(bool is_open, const char *event, const struct strbuf *why)
{
    if (!is_open) {
        log_fatal(event, strbuf_bytes(why));
    }
}

/* After a failure: is there time for another try? Then *why is empty. */
static bool may_try_again(uint64_t until_ms, struct strbuf *why)
{
    if (clock_now_ms() >= until_ms) {
        return false;
    }
    strbuf_reset(why);
    process_pause_ms(STORE_PAUSE_MS);
    return true;
}

static bool open_spool(struct worker *worker, uint64_t until_ms, struct strbuf *why)
{
    const struct config *config = worker->snapshot->config;
    struct spool_options options = {.directory = config->spool.data,
                                    .free_space_floor = config->limits.free_space,
                                    .on_damaged = on_spool_damaged,
                                    .context = worker};
    enum spool_status status;

    do {
        worker->spool = spool_open(&options, &status, why);
    } while (worker->spool == NULL && status == SPOOL_LOCKED && may_try_again(until_ms, why));
    log_fatal_unless_open(worker->spool != NULL, "spool-unusable", why);
    return worker->spool != NULL;
}

static bool open_state(struct worker *worker, uint64_t until_ms, struct strbuf *why)
{
    const char *directory = worker->snapshot->config->state.data;

    do {
        worker->state = state_store_open(directory, STATE_ENTRIES, why);
    } while (worker->state == NULL && may_try_again(until_ms, why));
    log_fatal_unless_open(worker->state != NULL, "state-unusable", why);
    return worker->state != NULL;
}

static bool open_stores(struct worker *worker)
{
    uint64_t until_ms = clock_now_ms() + STORE_PATIENCE_MS;
    struct strbuf why;
    bool is_open;

    strbuf_init(&why, 4096);
    is_open = open_spool(worker, until_ms, &why) && open_state(worker, until_ms, &why);
    strbuf_clear(&why);
    return is_open;
}

static size_t loops_wanted(const struct config *config)
{
    size_t wanted = config->workers == 0 ? process_cpu_count() : config->workers;

    return wanted > 64 ? 64 : wanted; /* message ids have room for 64 sources */
}

static bool init_loops(struct worker *worker)
{
    struct worker_loop_parts parts = {
        .main_loop = worker->main_loop, .state = worker->state, .snapshot = worker->snapshot};
    struct strbuf why;
    bool is_ready = true;

    worker->loop_count = loops_wanted(worker->snapshot->config);
    worker->loops = memory_zero(worker->loop_count * sizeof *worker->loops);
    worker->targets = memory_zero(worker->loop_count * sizeof *worker->targets);
    worker->queues = queue_set_new(worker->spool, worker->loop_count);
    queue_set_count_bounces(worker->queues, worker->state);
    parts.queues = worker->queues;
    parts.ledger = worker->ledger = inbound_ledger_new();
    strbuf_init(&why, 1024);
    for (size_t i = 0; is_ready && i < worker->loop_count; i++) {
        is_ready = worker_loop_init(&worker->loops[i], i, &parts, &why);
        if (is_ready) {
            worker->targets[i] =
                (struct acceptor_target){worker->loops[i].loop, worker->loops[i].inbound};
        } else {
            log_fatal("resolver-unusable", strbuf_bytes(&why));
            worker->loop_count = i;
        }
    }
    strbuf_clear(&why);
    return is_ready;
}

static void stop_at_once(struct worker *worker)
{
    event_loop_stop(worker->main_loop);
}

static void on_drain_timeout(void *context)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "drain-timeout");
    log_end(&line);
    stop_at_once(context);
}

static void on_loop_drained(void *context)
{
    struct worker *worker = context;

    if (--worker->loops_draining == 0) {
        stop_at_once(worker);
    }
}

/* Closed, not only left alone: a client must be refused, not kept waiting for a banner. The
 * supervisor closes its own at the same time. */
static void stop_listening(struct worker *worker)
{
    for (size_t i = 0; i < worker->setup->listener_count; i++) {
        listener_close(&worker->setup->listeners[i]);
    }
}

static void drain(struct worker *worker)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "draining");
    log_end(&line);
    worker->is_draining = true;
    worker->loops_draining = worker->loop_count;
    stop_listening(worker);
    for (size_t i = 0; i < worker->loop_count; i++) {
        worker_loop_drain(&worker->loops[i], on_loop_drained, worker);
    }
    worker->drain_timer = loop_timer_new(worker->main_loop, on_drain_timeout, worker);
    loop_timer_set(worker->drain_timer, WORKER_DRAIN_MS);
}

static void start_reload(struct worker *worker);

static void log_needs_restart(void *context, const struct config_option *option)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_WARNING, "restart-needed");
    log_text(&line, "option", option->name);
    log_text(&line, "why", "it was changed, but only a restart can bring it into force");
    log_end(&line);
}

/* What was configured, or as much of it as there are descriptors for. */
static struct acceptor_limits connection_limits(const struct worker *worker)
{
    const struct config *config = worker->snapshot->config;
    struct acceptor_limits limits = worker->snapshot->limits;
    uint64_t descriptors = process_raise_file_limit(descriptors_wanted(config));

    descriptors_log(config, descriptors);
    limits.connections = (size_t)descriptors_connections(config, descriptors);
    return limits;
}

static void end_reload(struct worker *worker)
{
    free(worker->reload);
    worker->reload = NULL;
    tell_supervisor(worker, WORKER_READY);
    if (worker->reload_again) {
        worker->reload_again = false;
        start_reload(worker);
    }
}

/* "reloaded" is a promise: from here on no client meets what was configured before. */
static void on_loop_has_taken(void *context)
{
    struct worker *worker = context;
    struct log_line line;

    worker->loops_taking--;
    if (worker->loops_taking == 0) {
        log_begin(&line, LOG_INFO, "reloaded");
        log_end(&line);
        end_reload(worker);
    }
}

static void take_configuration(struct worker *worker, struct config *config)
{
    struct ip_endpoint listening[LISTENERS_MOST];
    size_t count = worker->setup->listener_count;
    struct snapshot *before = worker->snapshot;
    struct acceptor_limits limits;

    for (size_t i = 0; i < count; i++) {
        listening[i] = listener_address(worker->setup->listeners[i]);
    }
    config_keep_fixed(config, before->config, log_needs_restart, NULL);
    tls_context_take_tickets(config->tls, before->config->tls);
    worker->snapshot = snapshot_new(config, listening, count);
    log_configure(&config->log);
    worker_watch_reload(&worker->watch, config);
    doctor_daily_reload(worker->doctor, worker->snapshot);
    limits = connection_limits(worker);
    acceptor_set_limits(worker->acceptor, &limits);
    memory_use_set_limit((size_t)config->limits.memory);
    worker->loops_taking = worker->loop_count;
    for (size_t i = 0; i < worker->loop_count; i++) {
        worker_loop_set_snapshot(&worker->loops[i], worker->snapshot, on_loop_has_taken,
                                 worker);
    }
    snapshot_drop(&before);
    admin_server_reloaded(worker->admin);
}

static void on_reload_done(void *context)
{
    struct reload *reload = context;
    struct worker *worker = reload->worker;
    struct log_line line;

    process_thread_join(&reload->thread);
    worker->has_bad_files = reload->config == NULL;
    worker->reload_ms = clock_unix_ms();
    worker->reload_failed = reload->config == NULL;
    worker->bad_files = reload->files;
    if (worker->is_draining) {
        config_free(&reload->config); /* it comes too late; the listeners are closed */
    } else if (reload->config != NULL) {
        struct config *config = reload->config;
        reload->config = NULL;
        take_configuration(worker, config);
        return; /* it ends in on_loop_has_taken */
    } else {
        log_begin(&line, LOG_ERROR, "reload-failed");
        log_text(&line, "why", "the configuration has errors; the old one stays in force");
        log_end(&line);
    }
    end_reload(worker);
}

/* NULL: it has errors, which have been logged. */
static struct config *load_and_log(const char *path)
{
    struct config_errors *errors = config_errors_new();
    struct config *config = config_load(path, errors);
    const struct config_error *error;
    struct log_line line;

    if (config != NULL) {
        config_report_expired(config, errors, CONFIG_WARNING);
    }
    for (size_t i = 0; (error = config_errors_get(errors, i)) != NULL; i++) {
        log_begin(&line, error->severity == CONFIG_ERROR ? LOG_ERROR : LOG_WARNING,
                  error->severity == CONFIG_ERROR ? "config-error" : "config-warning");
        log_text(&line, "file", error->file);
        log_number(&line, "line", error->line);
        log_number(&line, "column", error->column);
        log_text(&line, "why", error->message);
        log_end(&line);
    }
    config_errors_free(&errors);
    return config;
}

static void load_in_thread(void *context)
{
    struct reload *reload = context;
    struct worker *worker = reload->worker;

    reload->config = load_and_log(worker->setup->config_path);
    event_loop_post(worker->main_loop, &reload->done);
}

static void start_reload(struct worker *worker)
{
    struct reload *reload;

    if (worker->reload != NULL) {
        worker->reload_again = true;
        return;
    }
    reload = memory_zero(sizeof *reload);
    reload->worker = worker;
    reload->files = config_files_now(worker->snapshot->config);
    reload->done = (struct loop_task){.run = on_reload_done, .context = reload};
    worker->reload = reload;
    tell_supervisor(worker, WORKER_RELOADING);
    reload->thread = process_thread_start("reload", load_in_thread, reload);
}

static void on_signal(void *context, int number)
{
    struct worker *worker = context;

    if (number == SIGUSR2) {
        return; /* the supervisor's */
    }
    if (number == SIGHUP) {
        start_reload(worker);
    } else if (worker->is_draining) {
        stop_at_once(worker);
    } else {
        drain(worker);
    }
}

/* Changed files that were tried already, and found wrong. */
static bool are_known_bad(const struct worker *worker, const struct config *config)
{
    return worker->has_bad_files && worker->bad_files == config_files_now(config);
}

/* Alias files that changed are read again, together with the whole configuration; not while
 * they are still changing, for half a file would refuse mail for good. */
static void check_alias_files(void *context)
{
    struct worker *worker = context;
    const struct config *config = worker->snapshot->config;

    if (worker->reload == NULL && config_is_stale(config) && !are_known_bad(worker, config)) {
        uint64_t files = config_files_now(config);
        if (worker->files_seen == files) {
            start_reload(worker);
        }
        worker->files_seen = files;
    }
    loop_timer_set(worker->alias_timer, ALIAS_CHECK_MS);
}

/* A loop that hangs does not answer, and then the supervisor hears nothing. */
static void beat(void *context)
{
    struct worker *worker = context;
    bool is_alive = true;

    for (size_t i = 0; i < worker->loop_count; i++) {
        is_alive = worker_loop_has_turned(&worker->loops[i]) && is_alive;
    }
    if (is_alive) {
        tell_supervisor(worker, WORKER_ALIVE);
        for (size_t i = 0; i < worker->loop_count; i++) {
            worker_loop_ask_for_turn(&worker->loops[i]);
        }
    }
    loop_timer_set(worker->heart_timer, worker->setup->heartbeat_ms);
}

static void start_heart(struct worker *worker)
{
    if (worker->setup->heartbeat_ms > 0) {
        worker->heart_timer = loop_timer_new(worker->main_loop, beat, worker);
        beat(worker);
    }
}

static void log_ready(const struct worker *worker)
{
    struct log_line line;

    for (size_t i = 0; i < worker->setup->listener_count; i++) {
        struct ip_endpoint address = listener_address(worker->setup->listeners[i]);
        log_begin(&line, LOG_INFO, "listening");
        log_text(&line, "address", ip_endpoint_text(&address).text);
        log_end(&line);
    }
    log_begin(&line, LOG_INFO, "ready");
    log_number(&line, "pid", process_id());
    log_number(&line, "loops", (int64_t)worker->loop_count);
    log_end(&line);
}

/* To whoever has to obey: on their own threads. */
static void apply_pause(void *context, const struct pause_target *target, bool is_paused)
{
    struct worker *worker = context;

    switch (target->kind) {
    case PAUSE_INBOUND:
        for (size_t i = 0; i < worker->loop_count; i++) {
            worker_loop_pause_inbound(&worker->loops[i], is_paused);
        }
        break;
    case PAUSE_OUTBOUND:
        queue_set_pause(worker->queues, BYTES(""), is_paused);
        break;
    case PAUSE_DESTINATION:
        queue_set_pause(worker->queues, target->destination, is_paused);
        break;
    }
}

/* Before the loops start: not one attempt may be made too many. */
static void restore_pauses(struct worker *worker)
{
    struct arena *arena = arena_new();
    struct spool_summary summary;
    enum spool_status status = spool_summary_now(worker->spool, arena, &summary);

    worker->pauses = pauses_new(apply_pause, worker);
    if (status == SPOOL_OK) {
        pauses_restore(worker->pauses, &summary);
    } else {
        struct log_line line;
        log_begin(&line, LOG_ERROR, "spool-read-failed");
        log_text(&line, "what", "settings");
        log_text(&line, "why", spool_status_text(status));
        log_end(&line);
    }
    arena_free(&arena);
}

static struct worker_facts facts_of(const struct worker *worker)
{
    return (struct worker_facts){.config = worker->snapshot->config,
                                 .pauses = worker->pauses,
                                 .ledger = worker->ledger,
                                 .loops = worker->loops,
                                 .loop_count = worker->loop_count,
                                 .started_ms = worker->started_ms,
                                 .reload_ms = worker->reload_ms,
                                 .reload_failed = worker->reload_failed,
                                 .history = history_numbers_now(worker->watch.history),
                                 .doctor = doctor_daily_last(worker->doctor)};
}

static void describe(void *context, struct status_report *report)
{
    const struct worker *worker = context;
    struct worker_facts facts = facts_of(worker);

    worker_facts_for_status(&facts, report);
    report->client_limits = &worker->snapshot->inbound.limits;
}

static void describe_for_metrics(void *context, struct metrics_facts *metrics)
{
    struct worker_facts facts = facts_of(context);

    worker_facts_for_metrics(&facts, metrics);
}

static void describe_for_page(void *context, struct arena *arena, struct page_health *health)
{
    struct worker_facts facts = facts_of(context);

    worker_facts_for_page(&facts, arena, health);
}

static void describe_findings(void *context, struct arena *arena, struct status_page *page)
{
    struct worker *worker = context;

    doctor_shown_fill_page(page, arena, doctor_daily_last(worker->doctor));
}

static void open_doctor(struct worker *worker)
{
    struct ip_endpoint listening[LISTENERS_MOST];
    size_t count = worker->setup->listener_count;

    for (size_t i = 0; i < count; i++) {
        listening[i] = listener_address(worker->setup->listeners[i]);
    }
    worker->doctor = doctor_daily_new(worker->main_loop, worker->snapshot, listening, count);
}

static void open_metrics(struct worker *worker)
{
    struct metrics_board_options options = {
        .loop = worker->main_loop,
        .spool = worker->spool,
        .spool_directory = worker->snapshot->config->spool.data,
        .feed = worker->watch.feed,
        .pauses = worker->pauses,
        .describe = describe_for_metrics,
        .context = worker,
    };

    worker->metrics = metrics_board_new(&options);
}

static void obey(void *context, enum control_request request)
{
    struct worker *worker = context;

    switch (request) {
    case CONTROL_RELOAD:
        start_reload(worker);
        break;
    case CONTROL_RESTART:
        tell_supervisor(worker, WORKER_RESTART);
        break;
    }
}

static void open_control(struct worker *worker)
{
    struct control_server_options options = {.spool = worker->spool,
                                             .queues = worker->queues,
                                             .pauses = worker->pauses,
                                             .metrics = worker->metrics,
                                             .describe = describe,
                                             .request = obey,
                                             .context = worker};

    if (worker->setup->control != NULL) {
        worker->control =
            control_server_new(worker->main_loop, worker->setup->control, &options);
    }
}

static void open_admin(struct worker *worker)
{
    struct admin_server_options options = {
        .config = worker->snapshot->config,
        .spool = worker->spool,
        .feed = worker->watch.feed,
        .metrics = worker->metrics,
        .main_loop = worker->main_loop,
        .describe = describe_for_page,
        .describe_findings = describe_findings,
        .context = worker,
    };

    if (worker->setup->admin != NULL) {
        worker->admin = admin_server_new(worker->setup->admin, &options);
    }
}

static void serve(struct worker *worker)
{
    struct acceptor_limits limits = connection_limits(worker);

    memory_use_set_limit((size_t)worker->snapshot->config->limits.memory);
    restore_pauses(worker);
    worker->acceptor = acceptor_new(worker->main_loop, worker->targets, worker->loop_count,
                                    worker->ledger, &limits);
    for (size_t i = 0; i < worker->loop_count; i++) {
        worker_loop_start(&worker->loops[i]);
    }
    for (size_t i = 0; i < worker->setup->listener_count; i++) {
        const struct config *config = worker->snapshot->config;
        struct inbound_door door = {
            .is_proxied = (config->proxy_listeners >> i & 1) != 0,
            .tls = (enum inbound_tls)config_listener_tls(config, i),
            .banner_wait_ms = config->doors[i].banner_wait_ms,
        };
        struct listener_limits own = {
            .connections = config->doors[i].connections,
            .connection_rate = config->doors[i].connection_rate,
            .crowd = {config->doors[i].message_rate, config->doors[i].recipient_rate},
        };
        acceptor_add(worker->acceptor, worker->setup->listeners[i], &door, &own);
    }
    open_doctor(worker);
    open_metrics(worker);
    open_control(worker);
    open_admin(worker);
    worker->alias_timer = loop_timer_new(worker->main_loop, check_alias_files, worker);
    loop_timer_set(worker->alias_timer, ALIAS_CHECK_MS);
    start_heart(worker);
    log_ready(worker);
    tell_supervisor(worker, WORKER_READY);
    event_loop_run(worker->main_loop);

    stop_listening(worker);
    control_server_free(&worker->control);
    admin_server_stop(worker->admin);
    metrics_board_stop(worker->metrics);
    doctor_daily_free(&worker->doctor);
    for (size_t i = 0; i < worker->loop_count; i++) {
        worker_loop_stop(&worker->loops[i]);
    }
}

/* The loops have stopped. The stores go first: they still answer what loops asked them, and what
 * they were given to write belongs to the loops' objects. */
static void clear(struct worker *worker)
{
    if (worker->reload != NULL) {
        process_thread_join(&worker->reload->thread);
        config_free(&worker->reload->config);
        free(worker->reload);
    }
    spool_close(&worker->spool);
    metrics_board_free(&worker->metrics);
    state_store_close(&worker->state);
    admin_server_free(&worker->admin);
    for (size_t i = 0; i < worker->loop_count; i++) {
        worker_loop_clear(&worker->loops[i]);
    }
    queue_set_free(&worker->queues);
    pauses_free(&worker->pauses);
    acceptor_free(&worker->acceptor);
    inbound_ledger_free(&worker->ledger);
    loop_timer_free(&worker->alias_timer);
    loop_timer_free(&worker->drain_timer);
    loop_timer_free(&worker->heart_timer);
    event_loop_free(&worker->main_loop);
    snapshot_drop(&worker->snapshot);
    free(worker->loops);
    free(worker->targets);
}

static size_t add_handles(int *handles, size_t count, const struct listener *listener)
{
    return listener == NULL ? count : count + listener_handles(listener, handles + count);
}

/* Before any thread: what the supervisor held open, and what this process may never do. */
static void harden(const struct worker_setup *setup)
{
    int handles[2 * LISTENERS_MOST + 5];
    size_t count = add_handles(handles, 0, setup->control);

    for (size_t i = 0; i < setup->listener_count; i++) {
        count = add_handles(handles, count, setup->listeners[i]);
    }
    count = add_handles(handles, count, setup->admin);
    handles[count++] = notice_pipe_sending_handle(setup->notices);
    log_close_syslog();
    hardening_close_all_but(handles, count);
    hardening_drop_capabilities(true);
}

int worker_run(const struct worker_setup *setup)
{
    struct worker worker = {.setup = setup, .started_ms = clock_unix_ms()};
    struct ip_endpoint listening[LISTENERS_MOST];
    struct log_line line;
    int status = WORKER_EXIT_HOPELESS;

    for (size_t i = 0; i < setup->listener_count; i++) {
        listening[i] = listener_address(setup->listeners[i]);
    }
    harden(setup);
    worker.snapshot = snapshot_new(setup->config, listening, setup->listener_count);
    log_configure(&setup->config->log);
    worker_sandbox_enter(setup->config);
    worker_watch_start(&worker.watch, setup->config);
    log_start();
    worker.main_loop = event_loop_new();
    process_signals_start(worker.main_loop, on_signal, &worker);
    if (open_stores(&worker)) {
        if (init_loops(&worker)) {
            serve(&worker);
            status = atomic_load(&worker.is_spool_damaged) ? WORKER_EXIT_HOPELESS : 0;
        }
    }
    process_signals_stop();
    clear(&worker);
    log_begin(&line, LOG_INFO, "stopped");
    log_number(&line, "status", status);
    log_end(&line);
    log_stop();
    worker_watch_stop(&worker.watch);
    return status;
}
