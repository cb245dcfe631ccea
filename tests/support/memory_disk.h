/*
 * memory_disk - io/disk.h in memory: a disk that knows what was synced, and fails on request.
 *
 * Use     include it in one file of a test; its functions take the place of the archive's.
 * Cut     memory_disk_cut() is a power cut: of what was not synced each 512 octets survive or
 * not, by the seed, and so do names whose directory was not synced. All handles are closed.
 * Faults  the n-th operation that changes something fails. A failed sync is the real thing:
 * what it was to write is lost, and the next sync finds nothing to do.
 */
#ifndef TESTS_SUPPORT_MEMORY_DISK_H
#define TESTS_SUPPORT_MEMORY_DISK_H

#include "base/memory.h"
#include "io/disk.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { MEMORY_FILES = 64, MEMORY_HANDLES = 256, MEMORY_SECTOR = 512 };

struct memory_file {
    char name[200]; /* empty: free, or deleted for good */
    bool is_deleted;
    bool is_name_safe, is_deletion_safe;
    bool is_locked;
    char *data, *safe;
    bool *dirty;
    size_t size, safe_size, capacity;
};

static struct {
    struct memory_file files[MEMORY_FILES];
    struct memory_file *handles[MEMORY_HANDLES];
    bool handle_locks[MEMORY_HANDLES];
    uint64_t seed;
    unsigned long operations; /* changing ones so far */
    unsigned long fail_at;    /* 0: never */
    bool fail_on;             /* and all that follow */
    enum disk_status failure;
    uint64_t free_space;
    unsigned long syncs, writes;
    void (*before_sync)(void); /* or NULL; called without the mutex */
} memory_disk = {.free_space = UINT64_MAX};

static pthread_mutex_t memory_disk_mutex = PTHREAD_MUTEX_INITIALIZER;

static uint64_t memory_disk_random(void)
{
    memory_disk.seed = memory_disk.seed * 6364136223846793005u + 1442695040888963407u;
    return memory_disk.seed >> 33;
}

/* DISK_OK, or the fault that was ordered. */
static enum disk_status memory_disk_step(void)
{
    unsigned long at = ++memory_disk.operations;

    if (memory_disk.fail_at == 0 || at < memory_disk.fail_at ||
        (at > memory_disk.fail_at && !memory_disk.fail_on)) {
        return DISK_OK;
    }
    return memory_disk.failure;
}

static struct memory_file *memory_disk_find(const char *path)
{
    for (size_t i = 0; i < MEMORY_FILES; i++) {
        struct memory_file *file = &memory_disk.files[i];

        if (!file->is_deleted && strcmp(file->name, path) == 0) {
            return file;
        }
    }
    return NULL;
}

static void memory_disk_reserve(struct memory_file *file, size_t size)
{
    size_t capacity = (size + 65536) / MEMORY_SECTOR * MEMORY_SECTOR;

    if (size <= file->capacity) {
        return;
    }
    file->data = memory_resize(file->data, capacity, 1);
    file->safe = memory_resize(file->safe, capacity, 1);
    file->dirty = memory_resize(file->dirty, capacity / MEMORY_SECTOR, sizeof(bool));
    memset(file->data + file->capacity, 0, capacity - file->capacity);
    memset(file->safe + file->capacity, 0, capacity - file->capacity);
    for (size_t i = file->capacity / MEMORY_SECTOR; i < capacity / MEMORY_SECTOR; i++) {
        file->dirty[i] = false;
    }
    file->capacity = capacity;
}

static void memory_disk_free_file(struct memory_file *file)
{
    free(file->data);
    free(file->safe);
    free(file->dirty);
    *file = (struct memory_file){0};
}

static struct memory_file *memory_disk_make(const char *path)
{
    for (size_t i = 0; i < MEMORY_FILES; i++) {
        struct memory_file *file = &memory_disk.files[i];

        if (file->name[0] == '\0') {
            snprintf(file->name, sizeof(file->name), "%s", path);
            return file;
        }
    }
    abort();
}

/* Empty again, nothing ordered. */
static void memory_disk_reset(uint64_t seed)
{
    for (size_t i = 0; i < MEMORY_FILES; i++) {
        memory_disk_free_file(&memory_disk.files[i]);
    }
    memset(&memory_disk, 0, sizeof(memory_disk));
    memory_disk.seed = seed * 2654435761u + 1;
    memory_disk.free_space = UINT64_MAX;
}

static void memory_disk_cut_file(struct memory_file *file)
{
    bool is_gone = file->is_deleted ? file->is_deletion_safe || memory_disk_random() % 2 == 0
                                    : !file->is_name_safe && memory_disk_random() % 2 == 0;

    if (is_gone) {
        memory_disk_free_file(file);
        return;
    }
    if (file->size != file->safe_size && memory_disk_random() % 2 == 0) {
        file->size = file->safe_size;
    }
    for (size_t i = 0; i < file->capacity / MEMORY_SECTOR; i++) {
        char *data = file->data + i * MEMORY_SECTOR, *safe = file->safe + i * MEMORY_SECTOR;

        if (!file->dirty[i] || memory_disk_random() % 2 == 0) {
            memcpy(data, safe, MEMORY_SECTOR);
        } else {
            memcpy(safe, data, MEMORY_SECTOR);
        }
        file->dirty[i] = false;
    }
    if (file->size < file->capacity) {
        memset(file->data + file->size, 0, file->capacity - file->size);
    }
    file->safe_size = file->size;
    file->is_deleted = file->is_locked = false;
    file->is_name_safe = true;
}

static __attribute__((unused)) void memory_disk_cut(void)
{
    for (size_t i = 0; i < MEMORY_FILES; i++) {
        if (memory_disk.files[i].name[0] != '\0') {
            memory_disk_cut_file(&memory_disk.files[i]);
        }
    }
    memset(memory_disk.handles, 0, sizeof(memory_disk.handles));
    memset(memory_disk.handle_locks, 0, sizeof(memory_disk.handle_locks));
    memory_disk.fail_at = 0;
    memory_disk.fail_on = false;
}

/* ---- io/disk.h ---- */

enum disk_status disk_open(const char *path, bool create, int *handle)
{
    struct memory_file *file;
    enum disk_status status = DISK_OK;

    pthread_mutex_lock(&memory_disk_mutex);
    file = memory_disk_find(path);
    if (file == NULL && !create) {
        status = DISK_MISSING;
    } else if (file == NULL) {
        status = memory_disk_step();
        file = status == DISK_OK ? memory_disk_make(path) : NULL;
    }
    for (int i = 3; i < MEMORY_HANDLES && status == DISK_OK; i++) {
        if (memory_disk.handles[i] == NULL) {
            memory_disk.handles[i] = file;
            *handle = i;
            break;
        }
    }
    pthread_mutex_unlock(&memory_disk_mutex);
    return status;
}

void disk_close(int handle)
{
    pthread_mutex_lock(&memory_disk_mutex);
    if (memory_disk.handle_locks[handle]) {
        memory_disk.handles[handle]->is_locked = false;
    }
    memory_disk.handle_locks[handle] = false;
    memory_disk.handles[handle] = NULL;
    pthread_mutex_unlock(&memory_disk_mutex);
}

enum disk_status disk_read(int handle, uint64_t offset, void *data, size_t size, size_t *got)
{
    struct memory_file *file;

    pthread_mutex_lock(&memory_disk_mutex);
    file = memory_disk.handles[handle];
    *got = offset >= file->size ? 0 : file->size - offset < size ? file->size - offset : size;
    if (*got > 0) {
        memcpy(data, file->data + offset, *got);
    }
    pthread_mutex_unlock(&memory_disk_mutex);
    return DISK_OK;
}

enum disk_status disk_write(int handle, uint64_t offset, struct bytes octets)
{
    struct memory_file *file;
    enum disk_status status;

    pthread_mutex_lock(&memory_disk_mutex);
    file = memory_disk.handles[handle];
    status = memory_disk_step();
    memory_disk.writes++;
    if (status != DISK_OK) {
        octets = bytes_first(octets, octets.len / 2); /* torn */
    }
    if (octets.len > 0) {
        memory_disk_reserve(file, offset + octets.len);
        memcpy(file->data + offset, octets.data, octets.len);
        for (size_t i = offset / MEMORY_SECTOR; i <= (offset + octets.len - 1) / MEMORY_SECTOR;
             i++) {
            file->dirty[i] = true;
        }
        file->size = offset + octets.len > file->size ? offset + octets.len : file->size;
    }
    pthread_mutex_unlock(&memory_disk_mutex);
    return status;
}

enum disk_status disk_sync(int handle)
{
    struct memory_file *file;
    enum disk_status status;

    if (memory_disk.before_sync != NULL) {
        memory_disk.before_sync();
    }
    pthread_mutex_lock(&memory_disk_mutex);
    file = memory_disk.handles[handle];
    status = memory_disk_step();
    memory_disk.syncs++;
    for (size_t i = 0; i < file->capacity / MEMORY_SECTOR; i++) {
        if (file->dirty[i] && status == DISK_OK) {
            memcpy(file->safe + i * MEMORY_SECTOR, file->data + i * MEMORY_SECTOR,
                   MEMORY_SECTOR);
        }
        file->dirty[i] = false; /* also after a failure: the kernel calls the pages clean */
    }
    file->safe_size = status == DISK_OK ? file->size : file->safe_size;
    pthread_mutex_unlock(&memory_disk_mutex);
    return status;
}

enum disk_status disk_truncate(int handle, uint64_t size)
{
    struct memory_file *file;
    enum disk_status status;

    pthread_mutex_lock(&memory_disk_mutex);
    file = memory_disk.handles[handle];
    status = memory_disk_step();
    if (status == DISK_OK) {
        memory_disk_reserve(file, size);
        if (size < file->size) {
            memset(file->data + size, 0, file->size - size);
        }
        file->size = size;
    }
    pthread_mutex_unlock(&memory_disk_mutex);
    return status;
}

enum disk_status disk_size(int handle, uint64_t *size)
{
    pthread_mutex_lock(&memory_disk_mutex);
    *size = memory_disk.handles[handle]->size;
    pthread_mutex_unlock(&memory_disk_mutex);
    return DISK_OK;
}

bool disk_exists(const char *path)
{
    bool found;

    pthread_mutex_lock(&memory_disk_mutex);
    found = memory_disk_find(path) != NULL;
    pthread_mutex_unlock(&memory_disk_mutex);
    return found;
}

enum disk_status disk_delete(const char *path)
{
    struct memory_file *file;
    enum disk_status status = DISK_MISSING;

    pthread_mutex_lock(&memory_disk_mutex);
    file = memory_disk_find(path);
    if (file != NULL) {
        status = memory_disk_step();
        file->is_deleted = status == DISK_OK;
    }
    pthread_mutex_unlock(&memory_disk_mutex);
    return status;
}

enum disk_status disk_make_directory(const char *path)
{
    (void)path; /* directories are parts of names */
    return DISK_OK;
}

enum disk_status disk_sync_directory(const char *path)
{
    enum disk_status status;
    size_t length = strlen(path);

    pthread_mutex_lock(&memory_disk_mutex);
    status = memory_disk_step();
    for (size_t i = 0; i < MEMORY_FILES && status == DISK_OK; i++) {
        struct memory_file *file = &memory_disk.files[i];

        if (strncmp(file->name, path, length) == 0 && file->name[length] == '/' &&
            strchr(file->name + length + 1, '/') == NULL) {
            file->is_name_safe = true;
            file->is_deletion_safe = file->is_deleted;
        }
    }
    pthread_mutex_unlock(&memory_disk_mutex);
    return status;
}

enum disk_status disk_list(const char *directory, void (*each)(void *context, const char *name),
                           void *context)
{
    size_t length = strlen(directory);

    for (size_t i = 0; i < MEMORY_FILES; i++) {
        struct memory_file *file = &memory_disk.files[i];

        if (!file->is_deleted && strncmp(file->name, directory, length) == 0 &&
            file->name[length] == '/' && strchr(file->name + length + 1, '/') == NULL) {
            each(context, file->name + length + 1);
        }
    }
    return DISK_OK;
}

enum disk_status disk_link(int handle, const char *path)
{
    (void)handle;
    (void)path;
    return DISK_FAILED; /* no file here is without a name */
}

enum disk_status disk_lock(const char *path, int *handle)
{
    enum disk_status status = disk_open(path, true, handle);

    if (status != DISK_OK) {
        return status;
    }
    if (memory_disk.handles[*handle]->is_locked) {
        disk_close(*handle);
        return DISK_LOCKED;
    }
    memory_disk.handles[*handle]->is_locked = true;
    memory_disk.handle_locks[*handle] = true;
    return DISK_OK;
}

enum disk_status disk_free_space(const char *directory, uint64_t *octets)
{
    (void)directory;
    *octets = memory_disk.free_space;
    return DISK_OK;
}

#endif
