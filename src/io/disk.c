#include "io/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static enum disk_status status_of_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return DISK_FULL;
    case ENOENT:
        return DISK_MISSING;
    case EEXIST:
        return DISK_EXISTS;
    default:
        return DISK_FAILED;
    }
}

static enum disk_status status_of(int result)
{
    return result == 0 ? DISK_OK : status_of_errno();
}

enum disk_status disk_open(const char *path, bool create, int *handle)
{
    *handle = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600);
    return *handle >= 0 ? DISK_OK : status_of_errno();
}

enum disk_status disk_open_to_read(const char *path, int *handle)
{
    *handle = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *handle >= 0 ? DISK_OK : status_of_errno();
}

void disk_close(int handle)
{
    close(handle);
}

enum disk_status disk_read(int handle, uint64_t offset, void *data, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t count = pread(handle, (char *)data + *got, size - *got, (off_t)(offset + *got));

        if (count == 0) {
            break;
        }
        if (count > 0) {
            *got += (size_t)count;
        } else if (errno != EINTR) {
            return DISK_FAILED;
        }
    }
    return DISK_OK;
}

enum disk_status disk_write(int handle, uint64_t offset, struct bytes octets)
{
    while (octets.len > 0) {
        ssize_t count = pwrite(handle, octets.data, octets.len, (off_t)offset);

        if (count >= 0) {
            octets = bytes_skip(octets, (size_t)count);
            offset += (uint64_t)count;
        } else if (errno != EINTR) {
            return status_of_errno();
        }
    }
    return DISK_OK;
}

enum disk_status disk_sync(int handle)
{
    /* Not repeated on any error: the kernel reports a lost page once and then calls it clean.
     */
    return status_of(fdatasync(handle));
}

enum disk_status disk_truncate(int handle, uint64_t size)
{
    return status_of(ftruncate(handle, (off_t)size));
}

enum disk_status disk_size(int handle, uint64_t *size)
{
    struct stat facts;

    if (fstat(handle, &facts) != 0) {
        return DISK_FAILED;
    }
    *size = (uint64_t)facts.st_size;
    return DISK_OK;
}

bool disk_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

enum disk_status disk_delete(const char *path)
{
    return status_of(unlink(path));
}

enum disk_status disk_make_directory(const char *path)
{
    enum disk_status status = status_of(mkdir(path, 0700));

    return status == DISK_EXISTS ? DISK_OK : status;
}

enum disk_status disk_sync_directory(const char *path)
{
    int handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum disk_status status;

    if (handle < 0) {
        return status_of_errno();
    }
    status = status_of(fsync(handle));
    close(handle);
    return status;
}

enum disk_status disk_list(const char *directory, void (*each)(void *context, const char *name),
                           void *context)
{
    DIR *names = opendir(directory);
    struct dirent *entry;

    if (names == NULL) {
        return status_of_errno();
    }
    while ((entry = readdir(names)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            each(context, entry->d_name);
        }
    }
    closedir(names);
    return DISK_OK;
}

enum disk_status disk_link(int handle, const char *path)
{
    char source[40];

    /* AT_EMPTY_PATH would need a capability; the link in /proc does not. */
    snprintf(source, sizeof(source), "/proc/self/fd/%d", handle);
    return status_of(linkat(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

/* Of the open file, not of the process: closing another descriptor must not let it go. The
 * whole file, so that it also stands in the way of SQLite's locks on parts of it. */
static enum disk_status lock_whole(int *handle, short type)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    enum disk_status status;

    if (fcntl(*handle, F_OFD_SETLK, &whole) == 0) {
        return DISK_OK;
    }
    status = errno == EAGAIN || errno == EACCES ? DISK_LOCKED : DISK_FAILED;
    close(*handle);
    *handle = -1;
    return status;
}

enum disk_status disk_lock(const char *path, int *handle)
{
    enum disk_status status = disk_open(path, true, handle);

    return status == DISK_OK ? lock_whole(handle, F_WRLCK) : status;
}

enum disk_status disk_hold(const char *path, int *handle)
{
    enum disk_status status = disk_open_to_read(path, handle);

    return status == DISK_OK ? lock_whole(handle, F_RDLCK) : status;
}

enum disk_status disk_free_space(const char *directory, uint64_t *octets)
{
    struct statvfs facts;

    if (statvfs(directory, &facts) != 0) {
        return status_of_errno();
    }
    *octets = (uint64_t)facts.f_bavail * facts.f_frsize;
    return DISK_OK;
}

enum disk_status disk_free_files(const char *directory, uint64_t *free, uint64_t *most)
{
    struct statvfs facts;

    if (statvfs(directory, &facts) != 0) {
        return status_of_errno();
    }
    *free = facts.f_favail;
    *most = facts.f_files;
    return DISK_OK;
}
