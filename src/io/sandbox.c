#include "io/sandbox.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

/* Newer than the headers of Debian 12. */
enum {
    FS_REFER = 1 << 13,                  /* ABI 2 */
    FS_TRUNCATE = 1 << 14,               /* ABI 3 */
    NET_BIND_TCP = 1 << 0,               /* ABI 4 */
    FS_IOCTL_DEV = 1 << 15,              /* ABI 5 */
    SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,
    RULE_NET_PORT = 2,
    ABI_LEAST = 2, /* before, no file can be linked or moved into another directory */
};

struct ruleset {
    uint64_t fs, net, scoped;
};

struct net_rule {
    uint64_t allowed, port;
};

static const uint64_t FS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t FS_OF_FILES = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                    LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV;

/* The rules in force, as real paths; they last as long as the process. */
static struct {
    char **paths;
    size_t count;
    bool is_on;
} readable;

static int fail(struct strbuf *why, const char *step, int handle)
{
    strbuf_addf(why, "%s: %s", step, strerror(errno));
    if (handle >= 0) {
        close(handle);
    }
    return -1;
}

static struct ruleset all_rights(int abi)
{
    struct ruleset rights = {.fs = ((1 << 13) - 1) | FS_REFER}; /* ABI 1 has 13 */

    if (abi >= 3) {
        rights.fs |= FS_TRUNCATE;
    }
    if (abi >= 4) {
        rights.net = NET_BIND_TCP;
    }
    if (abi >= 5) {
        rights.fs |= FS_IOCTL_DEV;
    }
    if (abi >= 6) {
        rights.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    }
    return rights;
}

static void remember(const char *path)
{
    char *real = realpath(path, NULL);

    if (real != NULL) {
        readable.paths =
            memory_resize(readable.paths, readable.count + 1, sizeof *readable.paths);
        readable.paths[readable.count++] = real;
    }
}

static bool add_rule(int ruleset, const struct ruleset *rights, const struct sandbox_rule *rule)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = FS_READ};
    struct stat status;
    bool is_added;

    beneath.parent_fd = open(rule->path, O_PATH | O_CLOEXEC);
    if (beneath.parent_fd < 0 || fstat(beneath.parent_fd, &status) != 0) {
        if (beneath.parent_fd >= 0) {
            close(beneath.parent_fd);
        }
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR;
    }
    if (rule->access == SANDBOX_CHANGE) {
        beneath.allowed_access = rights->fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
    }
    if (!S_ISDIR(status.st_mode)) {
        beneath.allowed_access &= FS_OF_FILES;
    }
    is_added =
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
    close(beneath.parent_fd);
    remember(rule->path);
    return is_added;
}

/* A socket may be bound to an address of ours and any free port, never to a certain one. */
static bool add_free_ports(int ruleset, const struct ruleset *rights)
{
    struct net_rule any = {.allowed = NET_BIND_TCP, .port = 0};

    return rights->net == 0 ||
           syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &any, 0) == 0;
}

/* The set with all its rules, or -1. */
static int make_ruleset(int abi, const struct sandbox_rule *rules, size_t count,
                        struct strbuf *why)
{
    struct ruleset rights = all_rights(abi);
    /* What an older kernel does not know is 0, and it does not mind. */
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0);

    if (ruleset < 0) {
        return fail(why, "landlock_create_ruleset", -1);
    }
    for (size_t i = 0; i < count; i++) {
        if (!add_rule(ruleset, &rights, &rules[i])) {
            return fail(why, rules[i].path, ruleset);
        }
    }
    if (!add_free_ports(ruleset, &rights)) {
        return fail(why, "landlock_add_rule", ruleset);
    }
    return ruleset;
}

enum sandbox_result sandbox_restrict_files(const struct sandbox_rule *rules, size_t count,
                                           struct strbuf *why)
{
    int abi =
        (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int ruleset;

    if (abi < ABI_LEAST) {
        strbuf_add_text(why, abi < 0 ? "this kernel has no Landlock, or it is switched off"
                                     : "the Landlock of this kernel is too old");
        return SANDBOX_UNAVAILABLE;
    }
    ruleset = make_ruleset(abi, rules, count, why);
    if (ruleset < 0) {
        return SANDBOX_FAILED;
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        fail(why, "landlock_restrict_self", ruleset);
        return SANDBOX_FAILED;
    }
    close(ruleset);
    readable.is_on = true;
    return SANDBOX_ON;
}

static bool is_below(const char *path, const char *top)
{
    size_t len = strlen(top);

    return strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

bool sandbox_may_read(const char *path)
{
    char *real = readable.is_on ? realpath(path, NULL) : NULL;
    bool is_found = real == NULL; /* not restricted; or not there, which is another trouble */

    for (size_t i = 0; i < readable.count && !is_found; i++) {
        is_found = is_below(real, readable.paths[i]);
    }
    free(real);
    return is_found;
}
