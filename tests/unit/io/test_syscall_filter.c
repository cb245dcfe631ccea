#include "support/check.h"

#include "io/local_addresses.h"
#include "io/process.h"
#include "io/syscall_filter.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT = 77, FAILED = 78 };

static bool has_run; /* the thread */

static void run(void *context)
{
    (void)context;
    has_run = true;
}

/* Each gives the error, or 0. */
static int error_of(long result)
{
    return result < 0 ? errno : 0;
}

static int try_program(void)
{
    char *arguments[] = {(char *)(uintptr_t) "true", NULL};

    return error_of(execv("/bin/true", arguments));
}

static int try_process(void)
{
    return error_of(fork());
}

static int try_thread(void)
{
    struct process_thread *thread = process_thread_start("try", run, NULL);

    process_thread_join(&thread);
    return has_run ? 0 : 1;
}

static int try_socket(int family, int type, int protocol)
{
    return error_of(socket(family, type, protocol));
}

static int try_tcp(void)
{
    return try_socket(AF_INET, SOCK_STREAM, 0);
}

static int try_packets(void)
{
    return try_socket(AF_PACKET, SOCK_RAW, 0);
}

static int try_kernel_keys(void)
{
    return try_socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static int try_netlink_audit(void)
{
    return try_socket(AF_NETLINK, SOCK_RAW, 9);
}

static int try_addresses(void)
{
    struct arena *arena = arena_new();
    struct ip_address *list;
    size_t count = local_addresses(arena, &list);

    arena_free(&arena);
    return count > 0 ? 0 : 1;
}

static int try_listen(void)
{
    return error_of(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
}

static int try_memory(int rights)
{
    void *place = mmap(NULL, 4096, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return place == MAP_FAILED ? errno : 0;
}

static int try_plain_memory(void)
{
    return try_memory(PROT_READ | PROT_WRITE);
}

static int try_code_memory(void)
{
    return try_memory(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int try_memory_to_code(void)
{
    void *place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return error_of(mprotect(place, 4096, PROT_READ | PROT_EXEC));
}

static int try_signal(void)
{
    return error_of(kill(getppid(), 0));
}

static int try_limits(void)
{
    struct rlimit limit;

    return error_of(getrlimit(RLIMIT_NOFILE, &limit));
}

static int try_file_limit(void)
{
    struct rlimit limit = {100, 100};

    return error_of(setrlimit(RLIMIT_NOFILE, &limit));
}

static int try_core_limit(void)
{
    struct rlimit limit = {0, 0};

    return error_of(setrlimit(RLIMIT_CORE, &limit));
}

static int try_dumpable(void)
{
    return error_of(prctl(PR_SET_DUMPABLE, 1));
}

static int try_call_of_tomorrow(void)
{
    return error_of(syscall(1000));
}

/* clang-format off */
static const struct {
    const char *name;
    int (*try)(void);
    int want;
} cases[] = {
    {"a thread", try_thread, 0},
    {"TCP", try_tcp, 0},
    {"our own addresses", try_addresses, 0},
    {"memory", try_plain_memory, 0},
    {"what are the limits", try_limits, 0},
    {"a program", try_program, EPERM},
    {"a process", try_process, ENOSYS},
    {"raw packets", try_packets, ENOSYS},
    {"the kernel's ciphers", try_kernel_keys, ENOSYS},
    {"another netlink", try_netlink_audit, ENOSYS},
    {"a new service", try_listen, EPERM},
    {"memory to write and run", try_code_memory, ENOSYS},
    {"memory to run later", try_memory_to_code, ENOSYS},
    {"a signal to another process", try_signal, EPERM},
    {"another limit of open files", try_file_limit, 0},
    {"core files", try_core_limit, ENOSYS},
    {"to be debugged again", try_dumpable, ENOSYS},
    {"a call nobody knows", try_call_of_tomorrow, ENOSYS},
};
/* clang-format on */

/* In a child: what it got, CANNOT, or minus the signal that ended it. */
static int look_in_child(int (*try)(void), bool is_strict)
{
    int status, id = fork();

    assert_true(id >= 0);
    if (id == 0) {
        struct strbuf why;

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        strbuf_init(&why, 1000);
        switch (syscall_filter_enter(is_strict, &why)) {
        case SANDBOX_ON:
            break;
        case SANDBOX_UNAVAILABLE:
            _exit(CANNOT);
        case SANDBOX_FAILED:
            print_error("%s\n", strbuf_text(&why));
            _exit(FAILED);
        }
        _exit(try());
    }
    assert_int_equal(waitpid(id, &status, 0), id);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_filter(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int got = look_in_child(cases[i].try, false);

        if (got == CANNOT) {
            skip();
        }
        CHECK_INT(cases[i].name, got, cases[i].want);
    }
}

static void test_strict(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int got = look_in_child(cases[i].try, true);

        if (got == CANNOT) {
            skip();
        }
        CHECK_INT(cases[i].name, got, cases[i].want == 0 ? 0 : -SIGSYS);
    }
}

static int abort_now(void)
{
    abort();
}

/* A failed assertion ends as everywhere, not by the filter. */
static void test_abort(void **state)
{
    int got = look_in_child(abort_now, true);

    (void)state;
    if (got == CANNOT) {
        skip();
    }
    assert_int_equal(got, -SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_abort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
