#include "io/process_use.h"

#include "base/bytes.h"
#include "io/disk.h"

#include <stddef.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Numbers of pages: all there is, what is in memory ... */
static void read_memory(struct process_use *use)
{
    char text[200];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, text, sizeof text);
    struct bytes rest = bytes_of(text, got < 0 ? 0 : (size_t)got);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages;

    if (file >= 0) {
        close(file);
    }
    if (bytes_to_u64(bytes_cut(&rest, ' '), &pages)) {
        use->virtual_size = pages * page;
    }
    if (bytes_to_u64(bytes_cut(&rest, ' '), &pages)) {
        use->resident = pages * page;
    }
}

static void count(void *context, const char *name)
{
    (void)name;
    (*(uint64_t *)context)++;
}

static uint64_t count_names(const char *directory)
{
    uint64_t names = 0;

    return disk_list(directory, count, &names) == DISK_OK ? names : 0;
}

static uint64_t ms_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_usec / 1000;
}

void process_use_now(struct process_use *use)
{
    struct rusage usage;
    struct rlimit limit;
    uint64_t descriptors = count_names("/proc/self/fd");

    *use = (struct process_use){.threads = count_names("/proc/self/task")};
    use->descriptors = descriptors > 0 ? descriptors - 1 : 0; /* the one it was read by */
    read_memory(use);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        use->cpu_ms = ms_of(usage.ru_utime) + ms_of(usage.ru_stime);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        use->descriptor_limit = limit.rlim_cur;
    }
}
