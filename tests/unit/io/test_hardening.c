#include "support/check.h"

#include "io/hardening.h"
#include "io/process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process gives up is gone for good: each test looks in a child. */
static int look_in_child(int (*look)(void))
{
    int status, id = fork();

    assert_true(id >= 0);
    if (id == 0) {
        _exit(look());
    }
    assert_int_equal(waitpid(id, &status, 0), id);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A line of /proc/self/status as a hexadecimal number. */
static unsigned long long status_number(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long long number = ~0ULL;
    char line[256];

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            number = strtoull(line + strlen(name), NULL, 16);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return number;
}

static int look_at_core_dumps(void)
{
    struct rlimit limit = {1, 1};

    hardening_forbid_core_dumps();
    getrlimit(RLIMIT_CORE, &limit);
    return limit.rlim_cur != 0 || limit.rlim_max != 0 || prctl(PR_GET_DUMPABLE) != 0;
}

static void test_core_dumps(void **state)
{
    (void)state;
    assert_int_equal(look_in_child(look_at_core_dumps), 0);
}

static int look_at_privileges(void)
{
    hardening_forbid_new_privileges();
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

static void test_privileges(void **state)
{
    (void)state;
    assert_int_equal(look_in_child(look_at_privileges), 0);
}

static int look_at_no_capabilities(void)
{
    hardening_drop_capabilities(false);
    return status_number("CapPrm:") != 0 || status_number("CapEff:") != 0 ||
           status_number("CapInh:") != 0 || status_number("CapAmb:") != 0;
}

static int look_at_file_rights(void)
{
    hardening_drop_capabilities(true);
    /* CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER */
    return (status_number("CapEff:") & ~0xfULL) != 0 ||
           (status_number("CapBnd:") & ~0xfULL) != 0 ||
           (process_is_root() && status_number("CapEff:") == 0);
}

static void test_capabilities(void **state)
{
    (void)state;
    assert_int_equal(look_in_child(look_at_no_capabilities), 0);
    if (process_is_root()) {
        assert_int_equal(look_in_child(look_at_file_rights), 0);
    }
}

static int look_at_descriptors(void)
{
    int kept[2] = {20, 11};

    for (int fd = 10; fd <= 21; fd++) {
        if (dup2(STDERR_FILENO, fd) != fd) {
            return 2;
        }
    }
    hardening_close_all_but(kept, 2);
    for (int fd = 0; fd < 30; fd++) {
        bool is_open = fcntl(fd, F_GETFD) >= 0;
        if (fd > STDERR_FILENO && is_open != (fd == 11 || fd == 20)) {
            return 1;
        }
    }
    return fcntl(STDERR_FILENO, F_GETFD) < 0;
}

static void test_descriptors(void **state)
{
    (void)state;
    assert_int_equal(look_in_child(look_at_descriptors), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_dumps),
        cmocka_unit_test(test_privileges),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
