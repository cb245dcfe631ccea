#include "io/file_read.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct file_stamp stamp_of(const struct stat *status)
{
    return (struct file_stamp){
        .modified_ns = (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec,
        .size = (uint64_t)status->st_size,
        .inode = (uint64_t)status->st_ino,
        .is_open_to_others = (status->st_mode & S_IROTH) != 0,
        .is_writable_by_others = (status->st_mode & S_IWOTH) != 0,
    };
}

static bool fail(struct strbuf *why, const char *text)
{
    strbuf_add_text(why, text);
    return false;
}

/* Reads to the end of the file straight into the buffer. */
static bool read_all(int fd, size_t limit, size_t expected, struct strbuf *out,
                     struct strbuf *why)
{
    strbuf_clear(out);
    if (expected > limit) {
        return fail(why, "file too large");
    }
    out->capacity = expected + 2;
    out->data = memory_alloc(out->capacity);
    for (;;) {
        ssize_t got;
        if (out->capacity - out->len < 2) {
            out->capacity += out->capacity / 2 + 4096;
            out->data = memory_resize(out->data, out->capacity, 1);
        }
        got = read(fd, out->data + out->len, out->capacity - out->len - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(why, strerror(errno));
        }
        out->len += (size_t)got;
        if (out->len > limit) {
            return fail(why, "file too large");
        }
        if (got == 0) {
            out->data[out->len] = '\0';
            return true;
        }
    }
}

bool file_read_whole(const char *path, size_t limit, struct strbuf *out,
                     struct file_stamp *stamp, struct strbuf *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    bool is_read = false;

    if (fd < 0) {
        return fail(why, strerror(errno));
    }
    if (fstat(fd, &status) != 0) {
        fail(why, strerror(errno));
    } else if (S_ISDIR(status.st_mode)) {
        fail(why, "it is a directory");
    } else {
        if (out->limit < limit) {
            out->limit = limit;
        }
        is_read = read_all(fd, limit, S_ISREG(status.st_mode) ? (size_t)status.st_size : 4096,
                           out, why);
        if (stamp != NULL) {
            *stamp = stamp_of(&status);
        }
    }
    close(fd);
    if (!is_read) {
        strbuf_clear(out);
    }
    return is_read;
}

bool file_read_stamp(const char *path, struct file_stamp *stamp)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        return false;
    }
    *stamp = stamp_of(&status);
    return true;
}

bool file_read_input(struct strbuf *out, struct strbuf *why)
{
    char chunk[4096];
    size_t got;

    while ((got = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
        strbuf_add(out, bytes_of(chunk, got));
    }
    if (ferror(stdin) || out->overflowed) {
        strbuf_add_text(why, out->overflowed ? "it is too large" : "it cannot be read");
        return false;
    }
    return true;
}

bool file_read_rights(const char *path, struct file_rights *rights)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        return false;
    }
    *rights = (struct file_rights){
        .owner = status.st_uid,
        .is_directory = S_ISDIR(status.st_mode),
        .is_sticky = (status.st_mode & S_ISVTX) != 0,
        .others_may_write = (status.st_mode & S_IWOTH) != 0,
        .mode = status.st_mode & ALLPERMS,
    };
    return true;
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->modified_ns == b->modified_ns && a->size == b->size && a->inode == b->inode;
}

const char *file_real_path(const char *path, struct arena *arena)
{
    char *real = realpath(path, NULL);
    const char *kept = arena_copy_text(arena, bytes_from_text(real == NULL ? path : real));

    free(real);
    return kept;
}

size_t file_glob(const char *pattern, struct arena *arena, char ***paths)
{
    glob_t found;
    size_t count = 0;

    *paths = NULL;
    if (glob(pattern, 0, NULL, &found) == 0) {
        count = found.gl_pathc;
        *paths = arena_alloc(arena, (count + 1) * sizeof **paths);
        for (size_t i = 0; i < count; i++) {
            (*paths)[i] = arena_copy_text(arena, bytes_from_text(found.gl_pathv[i]));
        }
        globfree(&found);
    }
    return count;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
