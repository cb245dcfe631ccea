#include "io/state_copy.h"

#include "base/memory.h"
#include "io/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TRIES = 10,         /* a daemon that is busy writes now and then, not always */
    CHUNK = 256 * 1024, /* octets */
    PATH_SIZE = 64,     /* of our own: "/tmp/postilion-XXXXXX/state.db-wal" */
};

struct state_copy {
    char directory[PATH_SIZE];
    bool is_empty; /* there is no store */
};

/* The log is part of the database (SQLite, WAL). */
static const char *const names[] = {"state.db", "state.db-wal"};

enum { FILES = sizeof names / sizeof names[0] };

struct stamps {
    struct file_stamp of[FILES];
    bool is_there[FILES];
};

static char *path_in(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = memory_alloc(size);

    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

static struct stamps stamps_of(const char *directory)
{
    struct stamps stamps = {.is_there = {false}};

    for (size_t i = 0; i < FILES; i++) {
        char *path = path_in(directory, names[i]);
        stamps.is_there[i] = file_read_stamp(path, &stamps.of[i]);
        free(path);
    }
    return stamps;
}

static bool is_same(const struct stamps *a, const struct stamps *b)
{
    for (size_t i = 0; i < FILES; i++) {
        if (a->is_there[i] != b->is_there[i] ||
            (a->is_there[i] && !file_stamp_equal(&a->of[i], &b->of[i]))) {
            return false;
        }
    }
    return true;
}

static bool copy_octets(int from, int to)
{
    char *chunk = memory_alloc(CHUNK);
    ssize_t got = from < 0 || to < 0 ? -1 : 1;

    while (got > 0) {
        got = read(from, chunk, CHUNK);
        if (got > 0 && write(to, chunk, (size_t)got) != got) {
            got = -1;
        }
    }
    free(chunk);
    return got == 0;
}

/* errno says why not. */
static bool copy_file(const char *from_path, const char *to_path)
{
    int from = open(from_path, O_RDONLY | O_CLOEXEC);
    int to = from < 0
                 ? -1
                 : open(to_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool is_copied = copy_octets(from, to);
    int error = errno;

    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    errno = error;
    return is_copied;
}

static bool copy_files(const struct state_copy *copy, const char *directory,
                       const struct stamps *stamps)
{
    bool is_copied = true;

    for (size_t i = 0; i < FILES && is_copied; i++) {
        char *from = path_in(directory, names[i]);
        char *to = path_in(copy->directory, names[i]);

        (void)unlink(to); /* of the try before */
        is_copied = !stamps->is_there[i] || copy_file(from, to);
        free(from);
        free(to);
    }
    return is_copied;
}

/* Until nothing was written meanwhile. */
static bool copy_at_rest(const struct state_copy *copy, const char *directory,
                         struct strbuf *why)
{
    for (unsigned i = 0; i < TRIES; i++) {
        struct stamps before = stamps_of(directory), after;
        bool is_copied = copy_files(copy, directory, &before);
        int error = errno;

        after = stamps_of(directory);
        if (!is_same(&before, &after)) {
            continue;
        }
        if (!is_copied) {
            strbuf_addf(why, "%s: %s", directory, strerror(error));
        }
        return is_copied;
    }
    strbuf_addf(why, "%s is being written to all the time", directory);
    return false;
}

struct state_copy *state_copy_new(const char *directory, struct strbuf *why)
{
    struct state_copy *copy = memory_zero(sizeof *copy);
    char *path = path_in(directory, names[0]);
    bool is_there = access(path, F_OK) == 0 || errno != ENOENT;

    free(path);
    snprintf(copy->directory, sizeof copy->directory, "/tmp/postilion-XXXXXX");
    if (!is_there) {
        copy->is_empty = true;
    } else if (mkdtemp(copy->directory) == NULL) {
        strbuf_addf(why, "/tmp: %s", strerror(errno));
        free(copy);
        return NULL;
    } else if (!copy_at_rest(copy, directory, why)) {
        state_copy_free(&copy);
        return NULL;
    }
    return copy;
}

enum state_status state_copy_read(const struct state_copy *copy, struct bytes key,
                                  struct strbuf *value, struct strbuf *why)
{
    return copy->is_empty ? STATE_MISSING : state_store_read(copy->directory, key, value, why);
}

void state_copy_free(struct state_copy **copy)
{
    if (*copy != NULL && !(*copy)->is_empty) {
        for (size_t i = 0; i < FILES; i++) {
            char *path = path_in((*copy)->directory, names[i]);
            (void)unlink(path);
            free(path);
        }
        (void)rmdir((*copy)->directory);
    }
    free(*copy);
    *copy = NULL;
}
