#include "support/check.h"

#include "io/log.h"
#include "io/process.h"
#include "loop_driver.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* The thread sanitizer does not know forks of processes with threads. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_FORKS 0
#endif
#elif defined(__SANITIZE_THREAD__)
#define HAS_FORKS 0
#endif
#ifndef HAS_FORKS
#define HAS_FORKS 1
#endif

struct watcher {
    struct event_loop *loop;
    struct process_end ends[8];
    size_t count;
    int signals[8];
    size_t signal_count;
    size_t want;
};

static void on_child(void *context, const struct process_end *end)
{
    struct watcher *watcher = context;

    watcher->ends[watcher->count++] = *end;
}

static void on_signal(void *context, int number)
{
    struct watcher *watcher = context;

    watcher->signals[watcher->signal_count++] = number;
}

static bool has_all(void *context)
{
    struct watcher *watcher = context;

    return watcher->count + watcher->signal_count >= watcher->want;
}

static int return_number(void *context)
{
    return *(int *)context;
}

static int sleep_long(void *context)
{
    (void)context;
    sleep(20);
    return 0;
}

static const struct process_end *end_of(const struct watcher *watcher, int id)
{
    for (size_t i = 0; i < watcher->count; i++) {
        if (watcher->ends[i].id == id) {
            return &watcher->ends[i];
        }
    }
    fail_msg("child %d has not ended", id);
    return NULL;
}

static int spawn(const char *name, int (*run)(void *context), void *context)
{
    struct strbuf why;
    int id;

    strbuf_init(&why, 1000);
    id = process_spawn(name, run, context, &why);
    CHECK_TEXT("spawned", strbuf_text(&why), "");
    return id;
}

static void skip_without_forks(struct watcher *watcher)
{
    if (!HAS_FORKS) {
        event_loop_free(&watcher->loop);
        skip();
    }
}

static void test_children_end(void **state)
{
    struct watcher watcher = {.loop = event_loop_new(), .want = 3};
    int seven = 7, zero = 0, ids[3];

    (void)state;
    skip_without_forks(&watcher);
    process_children_start(watcher.loop, on_child, &watcher);
    ids[0] = spawn("seven", return_number, &seven);
    ids[1] = spawn("zero", return_number, &zero);
    ids[2] = spawn("sleeper", sleep_long, NULL);
    process_send_signal(ids[2], SIGTERM); /* not blocked in the child */
    CHECK_TRUE("all end", run_until(watcher.loop, has_all, &watcher));
    CHECK_INT("status", end_of(&watcher, ids[0])->status, 7);
    CHECK_INT("status", end_of(&watcher, ids[1])->status, 0);
    CHECK_INT("status", end_of(&watcher, ids[2])->status, -1);
    CHECK_INT("signal", end_of(&watcher, ids[2])->signal, SIGTERM);
    process_children_stop();
    event_loop_free(&watcher.loop);
}

static void test_signals_arrive_on_the_loop(void **state)
{
    struct watcher watcher = {.loop = event_loop_new(), .want = 3};

    (void)state;
    process_signals_start(watcher.loop, on_signal, &watcher);
    process_send_signal(process_id(), SIGHUP);
    process_send_signal(process_id(), SIGTERM);
    process_send_signal(process_id(), SIGINT);
    CHECK_TRUE("all", run_until(watcher.loop, has_all, &watcher));
    for (size_t i = 0; i < 3; i++) {
        CHECK_TRUE("known", watcher.signals[i] == SIGHUP || watcher.signals[i] == SIGTERM ||
                                watcher.signals[i] == SIGINT);
    }
    process_signals_stop();
    process_signals_stop();
    event_loop_free(&watcher.loop);
}

/* A child with loop, signals and log of its own, forked from a parent that has all of them. */
static int live_on(void *context)
{
    struct watcher watcher = {.loop = event_loop_new(), .want = 1};
    struct log_line line;

    (void)context;
    log_start();
    log_begin(&line, LOG_DEBUG, "quiet");
    log_end(&line);
    process_signals_start(watcher.loop, on_signal, &watcher);
    process_send_signal(process_id(), SIGHUP);
    if (!run_until(watcher.loop, has_all, &watcher)) {
        return 1;
    }
    process_signals_stop();
    event_loop_free(&watcher.loop);
    return watcher.signals[0] == SIGHUP ? 0 : 2;
}

/* Takes its signals late. */
static int wake_up_slowly(void *context)
{
    usleep(100 * 1000);
    return live_on(context);
}

/* A signal between the start of a child and the moment it takes signals: it waits, and the child
 * lives. */
static void test_signal_during_the_start(void **state)
{
    struct watcher watcher = {.loop = event_loop_new(), .want = 1};
    int id;

    (void)state;
    skip_without_forks(&watcher);
    process_children_start(watcher.loop, on_child, &watcher);
    process_signals_start(watcher.loop, on_signal, &watcher);
    id = spawn("child", wake_up_slowly, NULL);
    process_send_signal(id, SIGHUP);
    CHECK_TRUE("ends", run_until(watcher.loop, has_all, &watcher));
    CHECK_INT("no signal ended it", end_of(&watcher, id)->signal, 0);
    CHECK_INT("status", end_of(&watcher, id)->status, 0);
    process_signals_stop();
    process_children_stop();
    event_loop_free(&watcher.loop);
}

static void test_child_has_a_life_of_its_own(void **state)
{
    struct watcher watcher = {.loop = event_loop_new(), .want = 1};
    int id;

    (void)state;
    skip_without_forks(&watcher);
    log_start();
    process_children_start(watcher.loop, on_child, &watcher);
    process_signals_start(watcher.loop, on_signal, &watcher);
    id = spawn("child", live_on, NULL);
    CHECK_TRUE("ends", run_until(watcher.loop, has_all, &watcher));
    CHECK_INT("status", end_of(&watcher, id)->status, 0);
    CHECK_INT("its signals are not ours", watcher.signal_count, 0);
    watcher.want = 2;
    process_send_signal(process_id(), SIGHUP);
    CHECK_TRUE("ours still come", run_until(watcher.loop, has_all, &watcher));
    process_signals_stop();
    process_children_stop();
    log_stop();
    event_loop_free(&watcher.loop);
}

/* Holds the write end of a pipe: its end is seen when the last holder dies. */
static int drop_and_sleep(void *context)
{
    struct strbuf why;

    strbuf_init(&why, 1000);
    if (process_is_root() && !process_drop_privileges("nobody", &why)) {
        return 1;
    }
    (void)!write(*(int *)context, "x", 1);
    return sleep_long(context);
}

static int spawn_and_die(void *context)
{
    struct strbuf why;
    int pipe_end = *(int *)context;
    char ready;

    strbuf_init(&why, 1000);
    if (process_spawn("worker", drop_and_sleep, context, &why) < 0) {
        return 1;
    }
    while (read(pipe_end - 1, &ready, 1) != 1) {
    }
    raise(SIGKILL);
    return 0;
}

static bool is_closed(void *context)
{
    char text[16];

    return recv(*(int *)context, text, sizeof text, MSG_DONTWAIT) == 0;
}

static void test_worker_dies_with_its_supervisor(void **state)
{
    struct watcher watcher = {.loop = event_loop_new()};
    int ends[2], id;

    (void)state;
    skip_without_forks(&watcher);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(ends[1], ends[0] + 1);
    id = spawn("supervisor", spawn_and_die, &ends[1]);
    close(ends[1]);
    CHECK_TRUE("both are gone", run_until(watcher.loop, is_closed, &ends[0]));
    CHECK_INT("reaped", waitpid(id, NULL, 0), id);
    close(ends[0]);
    event_loop_free(&watcher.loop);
}

static int drop_to_nobody(void *context)
{
    struct strbuf why;

    (void)context;
    strbuf_init(&why, 1000);
    if (!process_drop_privileges("nobody", &why)) {
        fprintf(stderr, "%s\n", strbuf_text(&why));
        return 1;
    }
    if (process_is_root() || setuid(0) == 0 || getgroups(0, NULL) > 1) {
        return 2;
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
        return 3;
    }
    if (!process_drop_privileges("nobody", &why)) {
        return 4; /* again is fine */
    }
    if (process_drop_privileges("daemon", &why)) {
        return 5;
    }
    strbuf_clear(&why);
    return 0;
}

static void test_privileges(void **state)
{
    struct watcher watcher = {.loop = event_loop_new(), .want = 1};
    struct strbuf why;
    int id;

    (void)state;
    skip_without_forks(&watcher);
    strbuf_init(&why, 1000);
    CHECK_TRUE("no such user", !process_drop_privileges("no-such-user", &why));
    CHECK_TEXT("why", strbuf_text(&why), "become user no-such-user: there is no such user");
    CHECK_TRUE("root", !process_drop_privileges("root", &why));
    strbuf_clear(&why);
    if (!process_is_root()) {
        event_loop_free(&watcher.loop);
        skip();
    }
    process_children_start(watcher.loop, on_child, &watcher);
    id = spawn("dropper", drop_to_nobody, NULL);
    CHECK_TRUE("ends", run_until(watcher.loop, has_all, &watcher));
    CHECK_INT("status", end_of(&watcher, id)->status, 0);
    process_children_stop();
    event_loop_free(&watcher.loop);
}

static void note_thread(void *context)
{
    char name[16];
    sigset_t blocked;

    prctl(PR_GET_NAME, name);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    *(bool *)context =
        strcmp(name, "a-name-that-is-") == 0 && sigismember(&blocked, SIGTERM) == 1;
}

static void set_name_and_note(void *context)
{
    usleep(20000); /* the starter gives the name */
    note_thread(context);
}

static void test_threads(void **state)
{
    bool is_good = false;
    struct process_thread *thread =
        process_thread_start("a-name-that-is-too-long", set_name_and_note, &is_good);

    (void)state;
    process_thread_join(&thread);
    CHECK_TRUE("named, no signals", is_good);
    process_thread_join(&thread);
}

/* Last: the signal waits for ever. */
static void test_signals_stay_blocked(void **state)
{
    (void)state;
    process_send_signal(process_id(), SIGTERM);
    usleep(1000);
}

static void test_facts_and_limits(void **state)
{
    struct rlimit limit;
    struct strbuf name;
    int ends[2];

    (void)state;
    CHECK_INT("id", process_id(), getpid());
    CHECK_TRUE("processors", process_cpu_count() >= 1);
    strbuf_init(&name, 300);
    process_add_host_name(&name);
    CHECK_TRUE("host name", name.len > 0);
    strbuf_clear(&name);
    getrlimit(RLIMIT_NOFILE, &limit);
    CHECK_INT("files", process_raise_file_limit(0), limit.rlim_max);
    process_ignore_broken_pipes();
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    CHECK_INT("an error, not the end", write(ends[1], "x", 1), -1);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_arrive_on_the_loop),
        cmocka_unit_test(test_children_end),
        cmocka_unit_test(test_child_has_a_life_of_its_own),
        cmocka_unit_test(test_worker_dies_with_its_supervisor),
        cmocka_unit_test(test_privileges),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_facts_and_limits),
        cmocka_unit_test(test_signal_during_the_start),
        cmocka_unit_test(test_signals_stay_blocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
