#include "io/file_write.h"

#include "io/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, struct bytes text)
{
    while (text.len > 0) {
        ssize_t written = write(fd, text.data, text.len);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        text = bytes_skip(text, written > 0 ? (size_t)written : 0);
    }
    return true;
}

/* Writes, syncs and closes; what fails is taken away. */
static bool finish(int fd, const char *path, struct bytes text, struct strbuf *why)
{
    bool is_written = write_all(fd, text) && fsync(fd) == 0;

    if (!is_written) {
        strbuf_add_text(why, strerror(errno));
    }
    if (close(fd) != 0 && is_written) {
        strbuf_add_text(why, strerror(errno));
        is_written = false;
    }
    if (!is_written) {
        (void)unlink(path);
    }
    return is_written;
}

static int open_new(const char *path, struct strbuf *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);

    if (fd < 0) {
        int error = errno;
        strbuf_add_text(why, strerror(error));
        errno = error;
    }
    return fd;
}

static enum file_write_status why_not_opened(void)
{
    return errno == EEXIST ? FILE_WRITE_EXISTS : FILE_WRITE_FAILED;
}

enum file_write_status file_write_secret(const char *path, struct bytes text,
                                         struct strbuf *why)
{
    int fd = open_new(path, why);

    if (fd < 0) {
        return why_not_opened();
    }
    return finish(fd, path, text, why) ? FILE_WRITE_OK : FILE_WRITE_FAILED;
}

enum file_write_status file_write_shared(const char *path, struct bytes text,
                                         const char *account, struct strbuf *why)
{
    const struct passwd *owner = getpwnam(account);
    int fd = open_new(path, why);

    if (fd < 0) {
        return why_not_opened();
    }
    /* without the right to do so it stays a file of ours alone */
    if (owner != NULL && fchown(fd, (uid_t)-1, owner->pw_gid) == 0) {
        (void)fchmod(fd, S_IRUSR | S_IWUSR | S_IRGRP);
    }
    return finish(fd, path, text, why) ? FILE_WRITE_OK : FILE_WRITE_FAILED;
}

enum file_write_status file_write_public(const char *path, struct bytes text,
                                         struct strbuf *why)
{
    int fd = open_new(path, why);

    if (fd < 0) {
        return why_not_opened();
    }
    (void)fchmod(fd, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);
    return finish(fd, path, text, why) ? FILE_WRITE_OK : FILE_WRITE_FAILED;
}

enum file_write_status file_write_directory(const char *path, struct strbuf *why)
{
    struct stat found;

    if (mkdir(path, S_IRWXU | S_IRGRP | S_IXGRP | S_IROTH | S_IXOTH) == 0) {
        return FILE_WRITE_OK;
    }
    if (errno == EEXIST && stat(path, &found) == 0 && S_ISDIR(found.st_mode)) {
        return FILE_WRITE_EXISTS;
    }
    strbuf_add_text(why, errno == EEXIST ? "it is no directory" : strerror(errno));
    return FILE_WRITE_FAILED;
}

/* ---- in the place of another ---- */

/* A rename is on the disk when its directory is. */
static bool sync_directory(const char *path)
{
    char *directory = strdup(path);
    char *slash = directory == NULL ? NULL : strrchr(directory, '/');
    bool is_synced = false;
    int fd;

    if (slash != NULL) {
        slash[slash == directory ? 1 : 0] = '\0';
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        is_synced = fd >= 0 && fsync(fd) == 0;
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    free(directory);
    return is_synced;
}

/* Both texts, from the start. The old one is read when the new file is ours: nobody else adds to it now. */
static bool join(const char *path, struct bytes text, size_t limit, struct strbuf *both,
                 struct strbuf *why)
{
    struct strbuf old;
    bool is_read;

    strbuf_init(&old, limit);
    strbuf_init(both, limit + text.len);
    is_read = file_read_whole(path, limit, &old, NULL, why);
    strbuf_add(both, text);
    strbuf_add(both, strbuf_bytes(&old));
    strbuf_clear_wiped(&old);
    return is_read && !both->overflowed;
}

/* A new file beside it, with the same mode and owner. */
static bool write_beside(const char *beside, const char *path, struct bytes text, size_t limit,
                         struct strbuf *why)
{
    int fd = open_new(beside, why);
    struct strbuf both;
    struct stat old;
    bool is_good;

    if (fd < 0) {
        if (errno == EEXIST) {
            strbuf_reset(why);
            strbuf_addf(why, "%s is there: somebody else is at it, or was interrupted", beside);
        }
        return false;
    }
    is_good = stat(path, &old) == 0 && fchown(fd, old.st_uid, old.st_gid) == 0 &&
              fchmod(fd, old.st_mode & 07777) == 0;
    if (!is_good) {
        strbuf_addf(why, "mode and owner cannot be kept: %s", strerror(errno));
    }
    is_good = join(path, text, limit, &both, why) && is_good;
    if (is_good) {
        is_good = finish(fd, beside, strbuf_bytes(&both), why);
    } else {
        (void)close(fd);
        (void)unlink(beside);
    }
    strbuf_clear_wiped(&both);
    return is_good;
}

bool file_write_first(const char *path, struct bytes text, size_t limit, struct strbuf *why)
{
    char *real = realpath(path, NULL), *beside = NULL;
    bool is_done = false;

    if (real == NULL || asprintf(&beside, "%s.new", real) < 0) {
        strbuf_add_text(why, strerror(errno));
    } else if (write_beside(beside, real, text, limit, why)) {
        is_done = rename(beside, real) == 0 && sync_directory(real);
        if (!is_done) {
            strbuf_add_text(why, strerror(errno));
            (void)unlink(beside);
        }
    }
    free(beside);
    free(real);
    return is_done;
}
