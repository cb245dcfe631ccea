#include "worker_sandbox.h"

#include "base/memory.h"
#include "io/disk.h"
#include "io/log.h"
#include "io/syscall_filter.h"

#include <stdlib.h>

/*
 * Files are replaced by new ones (an editor, a renewed certificate), so for each that is named in
 * the configuration its directory counts: the one it is named in, and the one it really lies in.
 */

/* What libraries read, some of it only when it is needed for the first time. */
static const char *const SYSTEM_PATHS[] = {
    /* DNS */
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/etc/gai.conf",
    /* time zones */
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
    /* OpenSSL and the authorities of this system */
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    /* libraries of libraries, character sets */
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/usr/share/locale",
    /* facts about the machine and this process */
    "/proc/self",
    "/sys/devices/system/cpu",
    "/dev/urandom",
    "/dev/random",
};

static const char *const ENVIRONMENT_PATHS[] = {"SSL_CERT_FILE", "SSL_CERT_DIR",
                                                "OPENSSL_CONF"};

struct policy {
    struct sandbox_rule *rules;
    size_t count, capacity;
    struct arena *arena;
};

static void allow(struct policy *policy, const char *path, enum sandbox_access access)
{
    for (size_t i = 0; i < policy->count; i++) {
        if (strcmp(policy->rules[i].path, path) == 0 && policy->rules[i].access == access) {
            return;
        }
    }
    if (policy->count == policy->capacity) {
        policy->capacity = policy->capacity * 2 + 64;
        policy->rules = memory_resize(policy->rules, policy->capacity, sizeof *policy->rules);
    }
    policy->rules[policy->count++] = (struct sandbox_rule){path, access};
}

/* Its directory with everything in it; for one at the top only itself. */
static void allow_beside(struct policy *policy, const char *path)
{
    struct bytes whole = bytes_from_text(path);
    size_t slash = bytes_find_last(whole, '/');

    if (slash == whole.len) {
        allow(policy, ".", SANDBOX_READ);
    } else if (slash == 0) {
        allow(policy, path, SANDBOX_READ);
    } else {
        allow(policy, arena_copy_text(policy->arena, bytes_first(whole, slash)), SANDBOX_READ);
    }
}

static void allow_file(struct policy *policy, const char *path)
{
    allow_beside(policy, path);
    allow_beside(policy, file_real_path(path, policy->arena));
}

static void allow_named_files(struct policy *policy, const struct config *config)
{
    allow_file(policy, config->path);
    for (const struct config_file *file = config->files; file != NULL; file = file->next) {
        if (file->is_on_disk) {
            allow_file(policy, file->name);
        }
    }
    for (const struct config_pattern *pattern = config->patterns; pattern != NULL;
         pattern = pattern->next) {
        if (strcmp(pattern->directory, "/") != 0) {
            allow(policy, pattern->directory, SANDBOX_READ);
        }
    }
}

static void allow_system(struct policy *policy)
{
    for (size_t i = 0; i < sizeof SYSTEM_PATHS / sizeof SYSTEM_PATHS[0]; i++) {
        allow(policy, SYSTEM_PATHS[i], SANDBOX_READ);
    }
    for (size_t i = 0; i < sizeof ENVIRONMENT_PATHS / sizeof ENVIRONMENT_PATHS[0]; i++) {
        const char *path = getenv(ENVIRONMENT_PATHS[i]);
        if (path != NULL && path[0] != '\0') {
            allow(policy, path, SANDBOX_READ);
        }
    }
    allow(policy, "/dev/null", SANDBOX_CHANGE);
}

static const char *extent(enum sandbox_result result)
{
    switch (result) {
    case SANDBOX_ON:
        return "restricted";
    case SANDBOX_UNAVAILABLE:
    case SANDBOX_FAILED:
        break;
    }
    return "all";
}

static enum sandbox_result restrict_files(const struct config *config, struct strbuf *why)
{
    struct policy policy = {.arena = arena_new()};
    enum sandbox_result result;

    allow(&policy, config->spool.data, SANDBOX_CHANGE);
    allow(&policy, config->state.data, SANDBOX_CHANGE);
    allow_named_files(&policy, config);
    allow_system(&policy);
    result = sandbox_restrict_files(policy.rules, policy.count, why);
    free(policy.rules);
    arena_free(&policy.arena);
    return result;
}

static void restrict_all(const struct config *config)
{
    enum sandbox_result files, calls;
    struct log_line line;
    struct strbuf why;

    strbuf_init(&why, 1024);
    files = restrict_files(config, &why);
    if (why.len > 0) {
        strbuf_add_text(&why, "; ");
    }
    calls = syscall_filter_enter(config->sandbox == CONFIG_SANDBOX_STRICT, &why);
    log_begin(&line, files == SANDBOX_ON && calls == SANDBOX_ON ? LOG_INFO : LOG_WARNING,
              "sandbox");
    log_text(&line, "files", extent(files));
    log_text(&line, "calls", extent(calls));
    if (why.len > 0) {
        log_bytes(&line, "why", strbuf_bytes(&why));
    }
    log_end(&line);
    strbuf_clear(&why);
}

void worker_sandbox_enter(const struct config *config)
{
    if (config->sandbox == CONFIG_SANDBOX_OFF) {
        return;
    }
    /* Where they cannot be made the run ends soon; the reason is to be the true one. */
    if (disk_make_directory(config->spool.data) == DISK_OK &&
        disk_make_directory(config->state.data) == DISK_OK) {
        restrict_all(config);
    }
}
