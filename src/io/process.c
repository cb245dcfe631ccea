#include "io/process.h"

#include "base/memory.h"
#include "io/log.h"
#include "loop_internal.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- signals ---- */

/* Blocked signals that a descriptor tells a loop about. */
struct signal_source {
    struct event_loop *loop;
    struct event *event;
    int fd;
    sigset_t signals;
};

static struct {
    struct signal_source source;
    void (*on_signal)(void *context, int number);
    void *context;
    bool is_on;
} signals;

static struct {
    struct signal_source source;
    void (*on_end)(void *context, const struct process_end *end);
    void *context;
    bool is_on;
} children;

static bool dies_with_parent;

static void source_start(struct signal_source *source, struct event_loop *loop,
                         event_callback_fn on_ready)
{
    pthread_sigmask(SIG_BLOCK, &source->signals, NULL);
    source->loop = loop;
    source->fd = signalfd(-1, &source->signals, SFD_NONBLOCK | SFD_CLOEXEC);
    assert(source->fd >= 0);
    source->event =
        event_new(event_loop_base(loop), source->fd, EV_READ | EV_PERSIST, on_ready, NULL);
    assert(source->event != NULL);
    event_add(source->event, NULL);
}

static void source_stop(struct signal_source *source)
{
    event_free(source->event);
    close(source->fd);
}

/* 0: no more. */
static int source_next(const struct signal_source *source)
{
    struct signalfd_siginfo info;

    return read(source->fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

static void on_signal_ready(evutil_socket_t fd, short what, void *context)
{
    struct event_loop *loop = signals.source.loop;
    int number;

    (void)fd, (void)what, (void)context;
    event_loop_enter(loop);
    while (signals.is_on && (number = source_next(&signals.source)) != 0) {
        signals.on_signal(signals.context, number);
    }
    event_loop_leave(loop);
}

void process_signals_start(struct event_loop *loop,
                           void (*on_signal)(void *context, int number), void *context)
{
    assert(!signals.is_on);
    signals.is_on = true;
    signals.on_signal = on_signal;
    signals.context = context;
    sigemptyset(&signals.source.signals);
    sigaddset(&signals.source.signals, SIGTERM);
    sigaddset(&signals.source.signals, SIGINT);
    sigaddset(&signals.source.signals, SIGHUP);
    sigaddset(&signals.source.signals, SIGUSR2);
    source_start(&signals.source, loop, on_signal_ready);
}

void process_signals_stop(void)
{
    if (signals.is_on) {
        signals.is_on = false;
        source_stop(&signals.source);
    }
}

/* ---- children ---- */

static void on_child_ready(evutil_socket_t fd, short what, void *context)
{
    struct event_loop *loop = children.source.loop;
    struct process_end end;
    int status;

    (void)fd, (void)what, (void)context;
    event_loop_enter(loop);
    while (source_next(&children.source) != 0) {
    }
    /* One signal may stand for several children. */
    while (children.is_on && (end.id = waitpid(-1, &status, WNOHANG)) > 0) {
        end.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        children.on_end(children.context, &end);
    }
    event_loop_leave(loop);
}

void process_children_start(struct event_loop *loop,
                            void (*on_end)(void *context, const struct process_end *end),
                            void *context)
{
    assert(!children.is_on);
    children.is_on = true;
    children.on_end = on_end;
    children.context = context;
    sigemptyset(&children.source.signals);
    sigaddset(&children.source.signals, SIGCHLD);
    source_start(&children.source, loop, on_child_ready);
}

void process_children_stop(void)
{
    if (children.is_on) {
        children.is_on = false;
        source_stop(&children.source);
    }
}

/* The parent's sources: only the descriptors are ours to close, the epoll behind the events is
 * shared with the parent. Signals it takes on its loop wait until the child takes them on its own:
 * one that comes in between must not kill it. */
static void forget_parent(void)
{
    sigset_t waiting;

    sigemptyset(&waiting);
    if (signals.is_on) {
        waiting = signals.source.signals;
        close(signals.source.fd);
        signals.is_on = false;
    }
    if (children.is_on) {
        close(children.source.fd);
        children.is_on = false;
    }
    pthread_sigmask(SIG_SETMASK, &waiting, NULL);
}

static void die_with_parent(void)
{
    dies_with_parent = true;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int process_spawn(const char *name, int (*run)(void *context), void *context,
                  struct strbuf *why)
{
    sigset_t all, before;
    int parent = getpid();
    int id;

    log_flush();
    fflush(NULL); /* or the child writes it again */
    /* The child must not act on a signal before it has forgotten the parent. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    id = fork();
    if (id == 0) {
        die_with_parent();
        if (getppid() != parent) {
            _exit(EXIT_FAILURE); /* died before that */
        }
        prctl(PR_SET_NAME, name);
        forget_parent();
        process_exit(run(context));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (id < 0) {
        strbuf_addf(why, "fork: %s", strerror(errno));
    }
    return id;
}

void process_send_signal(int id, int number)
{
    if (id > 0) {
        kill(id, number);
    }
}

const char *process_program(void)
{
    static char itself[PATH_MAX];
    ssize_t len;

    if (strchr(program_invocation_name, '/') != NULL) {
        return program_invocation_name;
    }
    if (itself[0] == '\0') {
        len = readlink("/proc/self/exe", itself, sizeof itself - 1);
        itself[len < 0 ? 0 : len] = '\0';
    }
    return itself;
}

void process_become(const char *const *arguments, unsigned deadline_s, struct strbuf *why)
{
    fflush(NULL);
    alarm(deadline_s); /* outlives exec() */
    execv(process_program(), (char *const *)(uintptr_t)arguments);
    strbuf_addf(why, "cannot run %s: %s", process_program(), strerror(errno));
    alarm(0);
}

/* ---- privileges and limits ---- */

bool process_is_root(void)
{
    return geteuid() == 0;
}

bool process_find_user(const char *name, unsigned *id)
{
    const struct passwd *entry = name[0] == '\0' ? NULL : getpwnam(name);

    *id = entry == NULL ? geteuid() : entry->pw_uid;
    return entry != NULL || name[0] == '\0';
}

static bool fail(struct strbuf *why, const char *step, const char *user)
{
    strbuf_addf(why, "become user %s: %s: %s", user, step, strerror(errno));
    return false;
}

static bool change_ids(const char *user, const struct passwd *entry, struct strbuf *why)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;

    if (initgroups(user, entry->pw_gid) != 0) {
        return fail(why, "initgroups", user);
    }
    if (setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0) {
        return fail(why, "setresgid", user);
    }
    if (setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0) {
        return fail(why, "setresuid", user);
    }
    getresuid(&real, &effective, &saved);
    getresgid(&real_group, &effective_group, &saved_group);
    if (real != entry->pw_uid || effective != entry->pw_uid || saved != entry->pw_uid ||
        real_group != entry->pw_gid || effective_group != entry->pw_gid ||
        saved_group != entry->pw_gid || setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0) {
        errno = EPERM;
        return fail(why, "privileges could be taken back", user);
    }
    return true;
}

bool process_drop_privileges(const char *user, struct strbuf *why)
{
    const struct passwd *entry;

    errno = 0;
    entry = getpwnam(user);
    if (entry == NULL && (errno == 0 || errno == ENOENT || errno == ESRCH)) {
        strbuf_addf(why, "become user %s: there is no such user", user);
        return false;
    }
    if (entry == NULL) {
        return fail(why, "look-up", user);
    }
    if (entry->pw_uid == 0 || entry->pw_gid == 0) {
        strbuf_addf(why, "become user %s: that is root", user);
        return false;
    }
    if (geteuid() != entry->pw_uid) {
        if (!process_is_root()) {
            errno = EPERM;
            return fail(why, "not started as root", user);
        }
        if (!change_ids(user, entry, why)) {
            return false;
        }
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fail(why, "no_new_privs", user);
    }
    if (dies_with_parent) {
        die_with_parent(); /* the kernel forgets it when the ids change */
    }
    return true;
}

uint64_t process_raise_file_limit(uint64_t wanted)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted) {
        struct rlimit more = {.rlim_cur = wanted, .rlim_max = wanted};

        if (setrlimit(RLIMIT_NOFILE, &more) == 0) {
            return wanted;
        }
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

void process_ignore_broken_pipes(void)
{
    signal(SIGPIPE, SIG_IGN);
}

/* ---- facts ---- */

void process_pause_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

int process_id(void)
{
    return getpid();
}

size_t process_cpu_count(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        return (size_t)CPU_COUNT(&set);
    }
    return 1;
}

void process_add_host_name(struct strbuf *out)
{
    char name[256];

    if (gethostname(name, sizeof name) == 0) {
        name[sizeof name - 1] = '\0';
        strbuf_add_text(out, name);
    }
}

void process_exit(int status)
{
    log_stop();
    exit(status);
}

/* ---- threads ---- */

struct process_thread {
    pthread_t handle;
    char name[16];
    void (*run)(void *context);
    void *context;
};

static void *run_thread(void *context)
{
    struct process_thread *thread = context;

    /* By itself: another thread's name is a file in /proc, which a sandbox is in the way of. */
    prctl(PR_SET_NAME, thread->name);
    thread->run(thread->context);
    return NULL;
}

struct process_thread *process_thread_start(const char *name, void (*run)(void *context),
                                            void *context)
{
    struct process_thread *thread = memory_alloc(sizeof *thread);
    sigset_t all, before;
    int error;

    snprintf(thread->name, sizeof thread->name, "%s", name);
    thread->run = run;
    thread->context = context;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread->handle, NULL, run_thread, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(error == 0); /* no memory for a stack */
    return thread;
}

void process_thread_join(struct process_thread **thread)
{
    if (*thread != NULL) {
        pthread_join((*thread)->handle, NULL);
        free(*thread);
        *thread = NULL;
    }
}
