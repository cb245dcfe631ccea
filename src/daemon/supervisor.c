#include "daemon/supervisor.h"

#include "base/memory.h"
#include "daemon/config_fixed.h"
#include "daemon/descriptors.h"
#include "daemon/worker.h"
#include "io/clock.h"
#include "io/hardening.h"
#include "io/inherited_sockets.h"
#include "io/process.h"
#include "io/service_notify.h"

#include <stdlib.h>
#include <sysexits.h>

enum { CONTROL_MODE = 0660, REHEARSAL_S = 60, HEARTBEATS = 3 };

/* From SIGUSR2 to the new program. */
enum restart_step { RESTART_NONE, RESTART_REHEARSAL, RESTART_DRAIN };

struct supervisor {
    const char *config_path;
    struct config *config;
    struct event_loop *loop;
    struct loop_timer *restart_timer;
    struct listener **listeners;
    size_t listener_count;
    struct listener *control, *admin;
    struct inherited_sockets inherited;
    struct notice_pipe *notices; /* the worker's; or NULL */
    enum restart_step step;
    int rehearsal; /* its process id, or 0 */
    int worker;    /* its process id, or 0 */
    uint64_t worker_started_ms;
    unsigned restarts;
    unsigned stops; /* how often we were told to stop */
    int status;
};

static void log_why(enum log_level level, const char *event, const struct strbuf *why)
{
    struct log_line line;

    log_begin(&line, level, event);
    log_bytes(&line, "why", strbuf_bytes(why));
    log_end(&line);
}

/* Runs in the child. After a crash the file may say something new; when it has errors, what was
 * good before is good enough. The ports are bound and the spool is known: they stay. */
static int run_worker(void *context)
{
    struct supervisor *supervisor = context;
    struct worker_setup setup = {
        .config_path = supervisor->config_path,
        .config = supervisor->config,
        .listeners = supervisor->listeners,
        .listener_count = supervisor->listener_count,
        .control = supervisor->control,
        .admin = supervisor->admin,
        .notices = supervisor->notices,
        .heartbeat_ms = service_watchdog_ms() / HEARTBEATS,
    };

    if (supervisor->restarts > 0) {
        struct config_errors *errors = config_errors_new();
        struct config *fresh = config_load(supervisor->config_path, errors);
        config_errors_free(&errors);
        if (fresh != NULL) {
            config_keep_fixed(fresh, setup.config, NULL, NULL);
            config_free(&setup.config);
            setup.config = fresh;
        }
    }
    return worker_run(&setup);
}

static void stop(struct supervisor *supervisor, int status)
{
    supervisor->status = status;
    event_loop_stop(supervisor->loop);
}

static void start_rehearsal(struct supervisor *supervisor);

/* The service manager hears the truth about the worker, not about this process. */
static void on_notice(void *context, char notice)
{
    struct supervisor *supervisor = context;

    switch ((enum worker_notice)notice) {
    case WORKER_READY:
        service_notify("READY=1\nSTATUS=taking mail");
        break;
    case WORKER_RELOADING:
        service_notify_reloading();
        break;
    case WORKER_ALIVE:
        service_notify("WATCHDOG=1");
        break;
    case WORKER_RESTART:
        start_rehearsal(supervisor);
        break;
    }
}

static void start_worker(void *context)
{
    struct supervisor *supervisor = context;
    struct strbuf why;
    int id;

    strbuf_init(&why, 1024);
    notice_pipe_free(&supervisor->notices);
    supervisor->notices = notice_pipe_new();
    id = process_spawn("postilion-work", run_worker, supervisor, &why);
    if (id < 0) {
        log_why(LOG_ERROR, "worker-not-started", &why);
        loop_timer_set(supervisor->restart_timer, SUPERVISOR_PAUSE_MS);
    } else {
        notice_pipe_listen(supervisor->notices, supervisor->loop, on_notice, supervisor);
        supervisor->worker = id;
        supervisor->worker_started_ms = clock_now_ms();
    }
    strbuf_clear(&why);
}

static void restart_worker(struct supervisor *supervisor, const struct process_end *end)
{
    uint64_t lived_ms = clock_now_ms() - supervisor->worker_started_ms;
    struct log_line line;

    log_begin(&line, LOG_ERROR, "worker-crashed");
    log_number(&line, "pid", end->id);
    log_number(&line, "status", end->status);
    log_number(&line, "signal", end->signal);
    log_number(&line, "lived_ms", (int64_t)lived_ms);
    log_end(&line);
    supervisor->restarts++;
    loop_timer_set(supervisor->restart_timer,
                   lived_ms < SUPERVISOR_PAUSE_MS ? SUPERVISOR_PAUSE_MS : 0);
}

/* ---- another program on the same sockets ---- */

static void log_restart(enum log_level level, const char *event, const char *why)
{
    struct log_line line;

    log_begin(&line, level, event);
    if (why != NULL) {
        log_text(&line, "why", why);
    }
    log_end(&line);
}

static void pass_sockets(const struct supervisor *supervisor, bool on)
{
    int handles[INHERITED_MOST];
    size_t count = 0;

    for (size_t i = 0; i < supervisor->listener_count; i++) {
        handles[count++] = listener_handle(supervisor->listeners[i]);
    }
    if (supervisor->control != NULL) {
        handles[count++] = listener_handle(supervisor->control);
    }
    if (supervisor->admin != NULL) {
        handles[count++] = listener_handle(supervisor->admin);
    }
    inherited_sockets_pass(handles, count, process_id(), on);
}

static int run_rehearsal(void *context)
{
    const struct supervisor *supervisor = context;
    const char *arguments[] = {process_program(),       "serve", "--rehearse", "-c",
                               supervisor->config_path, NULL};
    struct strbuf why;

    strbuf_init(&why, 8192);
    pass_sockets(supervisor, true);
    process_become(arguments, REHEARSAL_S, &why);
    log_why(LOG_ERROR, "restart-failed", &why);
    return EX_OSERR;
}

static void start_rehearsal(struct supervisor *supervisor)
{
    struct strbuf why;
    int id;

    if (supervisor->step != RESTART_NONE || supervisor->stops > 0) {
        return;
    }
    strbuf_init(&why, 1024);
    id = process_spawn("postilion-try", run_rehearsal, supervisor, &why);
    if (id < 0) {
        log_why(LOG_ERROR, "restart-refused", &why);
    } else {
        log_restart(LOG_INFO, "restart-begun", NULL);
        supervisor->rehearsal = id;
        supervisor->step = RESTART_REHEARSAL;
    }
    strbuf_clear(&why);
}

/* Returns when it cannot be done: then all is as before. */
static void become_new_program(struct supervisor *supervisor)
{
    const char *arguments[] = {process_program(), "serve", "-c", supervisor->config_path, NULL};
    struct strbuf why;

    supervisor->step = RESTART_NONE;
    strbuf_init(&why, 8192);
    log_restart(LOG_INFO, "restarting", NULL);
    log_flush();
    pass_sockets(supervisor, true);
    process_become(arguments, 0, &why);
    pass_sockets(supervisor, false);
    log_why(LOG_ERROR, "restart-failed", &why);
    strbuf_clear(&why);
    loop_timer_set(supervisor->restart_timer, 0);
}

static void on_rehearsal_end(struct supervisor *supervisor, const struct process_end *end)
{
    supervisor->rehearsal = 0;
    supervisor->step = RESTART_NONE;
    if (supervisor->stops > 0) {
        return;
    }
    if (end->status != EX_OK) {
        log_restart(LOG_ERROR, "restart-refused",
                    "the new program does not take the configuration or has not all its "
                    "sockets; the running one goes on");
        return;
    }
    service_notify_reloading();
    if (supervisor->worker == 0) {
        loop_timer_stop(supervisor->restart_timer);
        become_new_program(supervisor);
        return;
    }
    supervisor->step = RESTART_DRAIN;
    process_send_signal(supervisor->worker, SIGTERM);
}

static void on_child_end(void *context, const struct process_end *end)
{
    struct supervisor *supervisor = context;

    if (end->id == supervisor->rehearsal) {
        on_rehearsal_end(supervisor, end);
        return;
    }
    if (end->id != supervisor->worker) {
        return;
    }
    supervisor->worker = 0;
    if (supervisor->stops > 0) {
        /* The signal ended it before it could hear signals: it had not begun anything. */
        bool is_orderly = end->status == 0 || end->signal == SIGTERM || end->signal == SIGINT;
        stop(supervisor, is_orderly ? 0 : EX_SOFTWARE);
    } else if (supervisor->step == RESTART_DRAIN) {
        become_new_program(supervisor);
    } else if (end->signal == 0 && end->status == WORKER_EXIT_HOPELESS) {
        stop(supervisor, end->status);
    } else {
        restart_worker(supervisor, end);
    }
}

static void close_listeners(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->listener_count; i++) {
        listener_close(&supervisor->listeners[i]);
    }
}

static void on_signal(void *context, int number)
{
    struct supervisor *supervisor = context;

    if (number == SIGUSR2) {
        start_rehearsal(supervisor);
        return;
    }
    if (number != SIGHUP) {
        service_notify("STOPPING=1\nSTATUS=draining");
        supervisor->stops++;
        if (supervisor->worker == 0) {
            stop(supervisor, 0);
            return;
        }
        close_listeners(
            supervisor); /* the worker closes its own; then nobody is kept waiting */
    }
    if (supervisor->worker != 0) {
        process_send_signal(supervisor->worker, supervisor->stops > 2 ? SIGKILL : number);
    }
}

static bool open_listeners(struct supervisor *supervisor, struct strbuf *why)
{
    const struct config_endpoints *listen = &supervisor->config->listen;

    supervisor->listeners = memory_zero((listen->count + 1) * sizeof(struct listener *));
    for (size_t i = 0; i < listen->count; i++) {
        supervisor->listeners[i] =
            inherited_socket_take(&supervisor->inherited, &listen->items[i]);
        if (supervisor->listeners[i] == NULL) {
            supervisor->listeners[i] =
                listener_open_patiently(&listen->items[i], SUPERVISOR_PATIENCE_MS, why);
        }
        if (supervisor->listeners[i] == NULL) {
            return false;
        }
        supervisor->listener_count++;
    }
    return true;
}

/* A control socket that cannot be made is no reason to take no mail. */
static void open_control(struct supervisor *supervisor)
{
    struct log_line line;
    struct strbuf why;

    strbuf_init(&why, 1024);
    supervisor->control =
        inherited_socket_take_unix(&supervisor->inherited, supervisor->config->control.data);
    if (supervisor->control == NULL) {
        supervisor->control = listener_open_unix_patiently(
            supervisor->config->control.data, CONTROL_MODE, SUPERVISOR_PATIENCE_MS, &why);
    }
    if (supervisor->control == NULL) {
        log_begin(&line, LOG_ERROR, "control-unusable");
        log_bytes(&line, "why", strbuf_bytes(&why));
        log_text(&line, "hint",
                 "its directory must be there and belong to `user`; until then `postilion "
                 "queue` cannot reach this daemon");
        log_end(&line);
    }
    strbuf_clear(&why);
}

/* Nor is a status page that cannot be served; `before` root's rights are given up a port may need them,
 * and a socket file would belong to the wrong account. */
static void open_admin(struct supervisor *supervisor, bool before)
{
    const struct config_admin *admin = &supervisor->config->admin;
    struct strbuf why;

    strbuf_init(&why, 1024);
    if (before && admin->endpoint.address.family != IP_NONE) {
        supervisor->admin = inherited_socket_take(&supervisor->inherited, &admin->endpoint);
        if (supervisor->admin == NULL) {
            supervisor->admin =
                listener_open_patiently(&admin->endpoint, SUPERVISOR_PATIENCE_MS, &why);
        }
    } else if (!before && admin->path.len > 0) {
        supervisor->admin =
            inherited_socket_take_unix(&supervisor->inherited, admin->path.data);
        if (supervisor->admin == NULL) {
            supervisor->admin = listener_open_unix_patiently(admin->path.data, CONTROL_MODE,
                                                             SUPERVISOR_PATIENCE_MS, &why);
        }
    }
    if (why.len > 0) {
        log_why(LOG_ERROR, "admin-unusable", &why);
    }
    strbuf_clear(&why);
}

/* `user root` is somebody's explicit wish (a container, a test); without root there is nothing to
 * drop. */
static bool drop_privileges(const struct config *config, struct strbuf *why)
{
    struct log_line line;

    if (!process_is_root()) {
        return true;
    }
    if (bytes_equal(config->user, BYTES("root"))) {
        log_begin(&line, LOG_WARNING, "running-as-root");
        log_end(&line);
        return true;
    }
    return process_drop_privileges(config->user.data, why);
}

/* Both processes: what they hold is nobody else's to see, and nothing they run gets more rights. */
static void harden(const struct config *config)
{
    hardening_forbid_new_privileges();
    if (!config->core_dumps) {
        hardening_forbid_core_dumps();
    }
    if (!process_is_root()) {
        hardening_drop_capabilities(false);
    }
}

/* A socket nobody is served on would keep its clients waiting. */
static void report_unused(struct supervisor *supervisor)
{
    size_t unused = inherited_sockets_close(&supervisor->inherited);
    struct log_line line;

    if (unused > 0) {
        log_begin(&line, LOG_WARNING, "sockets-unused");
        log_number(&line, "count", (int64_t)unused);
        log_text(&line, "why", "inherited, and no listen line has their address");
        log_end(&line);
    }
}

static int prepare(struct supervisor *supervisor)
{
    struct strbuf why;
    int status = EX_OK;

    strbuf_init(&why, 1024);
    process_ignore_broken_pipes();
    process_raise_file_limit(descriptors_wanted(supervisor->config));
    if (!open_listeners(supervisor, &why)) {
        log_why(LOG_FATAL, "cannot-listen", &why);
        status = EX_UNAVAILABLE;
        strbuf_clear(&why);
        return status;
    }
    open_admin(supervisor, true);
    if (!drop_privileges(supervisor->config, &why)) {
        log_why(LOG_FATAL, "cannot-drop-privileges", &why);
        status = EX_NOPERM;
    } else {
        harden(supervisor->config);
        open_control(supervisor);
        open_admin(supervisor, false);
        report_unused(supervisor);
    }
    strbuf_clear(&why);
    return status;
}

static void clear(struct supervisor *supervisor)
{
    close_listeners(supervisor);
    free(supervisor->listeners);
    listener_close(&supervisor->control);
    listener_close(&supervisor->admin);
    notice_pipe_free(&supervisor->notices);
    config_free(&supervisor->config);
}

int supervisor_run(const char *config_path, struct config *config)
{
    struct supervisor supervisor = {.config_path = config_path, .config = config};

    inherited_sockets_find(&supervisor.inherited);
    hardening_close_all_but(supervisor.inherited.handles, supervisor.inherited.count);
    log_configure(&config->log);
    /* Before anything that takes time: a signal that comes early waits for the loop. */
    supervisor.loop = event_loop_new();
    process_signals_start(supervisor.loop, on_signal, &supervisor);
    supervisor.status = prepare(&supervisor);
    if (supervisor.status == EX_OK) {
        supervisor.restart_timer = loop_timer_new(supervisor.loop, start_worker, &supervisor);
        process_children_start(supervisor.loop, on_child_end, &supervisor);
        loop_timer_set(supervisor.restart_timer, 0);
        event_loop_run(supervisor.loop);
        process_children_stop();
        loop_timer_free(&supervisor.restart_timer);
    }
    process_signals_stop();
    event_loop_free(&supervisor.loop);
    clear(&supervisor);
    return supervisor.status;
}

int supervisor_rehearse(struct config *config)
{
    struct supervisor supervisor = {.config = config};
    struct strbuf why;
    int status = EX_OK;

    strbuf_init(&why, 1024);
    inherited_sockets_find(&supervisor.inherited);
    if (!open_listeners(&supervisor, &why)) {
        log_why(LOG_ERROR, "cannot-listen", &why);
        status = EX_UNAVAILABLE;
    }
    strbuf_clear(&why);
    clear(&supervisor);
    return status;
}
