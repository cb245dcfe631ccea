/*
 * disk - the few things a database needs of a disk, so that a simulated one can take its place.
 *
 * Handles  small numbers (descriptors here, places in a table in the simulation), never
 * inherited by a program that is started. Any thread. Errors   DISK_FULL is no space, quota or
 * size limit; everything else that fails is DISK_FAILED. Short transfers and interruptions are
 * dealt with inside. Safe     what was written is on stable storage after disk_sync of the
 * file, and a name after disk_sync_directory of the directory it stands in.
 */
#ifndef IO_DISK_H
#define IO_DISK_H

#include "base/bytes.h"

enum disk_status {
    DISK_OK,
    DISK_FULL,
    DISK_FAILED,
    DISK_MISSING, /* no such file */
    DISK_EXISTS,  /* the name is taken */
    DISK_LOCKED,  /* another process holds it */
};

/* For reading and writing. Without `create` a file that is not there is DISK_MISSING. */
enum disk_status disk_open(const char *path, bool create, int *handle);
/* For reading only, where writing may not be possible any more. */
enum disk_status disk_open_to_read(const char *path, int *handle);
void disk_close(int handle);
/* *got is less than `size` at the end of the file only. */
enum disk_status disk_read(int handle, uint64_t offset, void *data, size_t size, size_t *got);
enum disk_status disk_write(int handle, uint64_t offset, struct bytes octets);
enum disk_status disk_sync(int handle);
enum disk_status disk_truncate(int handle, uint64_t size);
enum disk_status disk_size(int handle, uint64_t *size);
bool disk_exists(const char *path);
enum disk_status disk_delete(const char *path);
enum disk_status disk_make_directory(const char *path); /* one that is there is fine */
enum disk_status disk_sync_directory(const char *path);
/* Calls `each` with every name in the directory but . and .. */
enum disk_status disk_list(const char *directory, void (*each)(void *context, const char *name),
                           void *context);
/* Gives a file without a name (O_TMPFILE) this one. */
enum disk_status disk_link(int handle, const char *path);
/* Makes the file when needed and holds it against all other processes until the handle is
 * closed. SQLite's own programs then find the database busy. */
enum disk_status disk_lock(const char *path, int *handle);
/* Opens it for reading, and holds it against disk_lock until the handle is closed. */
enum disk_status disk_hold(const char *path, int *handle);
enum disk_status disk_free_space(const char *directory, uint64_t *octets);
/* Inodes; *most is 0 where the file system does not count them. */
enum disk_status disk_free_files(const char *directory, uint64_t *free, uint64_t *most);

#endif
