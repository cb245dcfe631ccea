#include "io/hardening.h"

#include "base/memory.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FIRST_FREE = 3 }; /* behind standard input, output and error */

#define BIT(capability) (UINT64_C(1) << (capability))

static const uint64_t FILE_RIGHTS =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER);

void hardening_forbid_new_privileges(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void hardening_forbid_core_dumps(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    /* The limit does not hold for core_pattern pipes; this does. */
    prctl(PR_SET_DUMPABLE, 0);
}

void hardening_drop_capabilities(bool keep_file_rights)
{
    uint64_t kept = keep_file_rights && geteuid() == 0 ? FILE_RIGHTS : 0;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* Needs a capability that goes below; without it there is nothing to take out of the set. */
    for (unsigned i = 0; i < 64; i++) {
        if ((kept >> i & 1) == 0) {
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
        }
    }
    memset(data, 0, sizeof data);
    if (syscall(SYS_capget, &header, data) != 0) {
        return;
    }
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= (uint32_t)(kept >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    syscall(SYS_capset, &header, data);
}

static int compare(const void *a, const void *b)
{
    int first = *(const int *)a, second = *(const int *)b;

    return (first > second) - (first < second);
}

static void close_between(int first, int last)
{
    if (first <= last && syscall(SYS_close_range, first, last, 0) != 0) {
        /* Linux before 5.9 */
        long most = sysconf(_SC_OPEN_MAX);
        for (long fd = first; fd <= last && fd < most; fd++) {
            close((int)fd);
        }
    }
}

void hardening_close_all_but(const int *kept, size_t count)
{
    int *sorted = memory_alloc((count + 1) * sizeof *sorted);
    int first = FIRST_FREE;

    for (size_t i = 0; i < count; i++) {
        sorted[i] = kept[i];
    }
    qsort(sorted, count, sizeof *sorted, compare);
    for (size_t i = 0; i < count; i++) {
        if (sorted[i] >= first) {
            close_between(first, sorted[i] - 1);
            first = sorted[i] + 1;
        }
    }
    close_between(first, INT32_MAX);
    free(sorted);
}
