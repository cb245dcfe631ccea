/*
 * io/disk.h in memory: a disk that knows what was synced.
 *
 * File    its octets as programs see them, and as they are on stable storage; sectors that differ
 *         are dirty. A name is bound to a file now, and on stable storage perhaps to another or none;
 *         a sync of the directory makes both the same. A sync of a file says nothing of its name.
 * Cut     by the way drawn for this cut: nothing, everything, or some of what was dirty survives,
 *         sector by sector and name by name; a file made shorter is so as a whole, or not.
 * Sync    that fails is the real thing: what it was to write is called clean and is lost with the
 *         next cut.
 */
#include "io/disk.h"

#include "base/memory.h"
#include "sim_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SECTOR = 512,
    SIM_NAMES = 4096,
    SIM_HANDLES = 512,
    FIRST_HANDLE = 1000, /* whoever uses one as a descriptor shall fail */
};

enum { DIRTY_WRITTEN = 1, DIRTY_CUT = 2 };

enum survival { SURVIVES_NOTHING, SURVIVES_ALL, SURVIVES_HALF, SURVIVES_MOST, SURVIVALS };

struct sim_file {
    struct list link;
    char *data, *safe;
    unsigned char *dirty; /* by sector: DIRTY_WRITTEN, DIRTY_CUT */
    bool has_cut;         /* was made shorter since the last sync; */
    size_t cut_size;      /* to this */
    size_t size, safe_size, capacity;
    unsigned users; /* names (either kind) and handles */
    bool is_locked;
};

struct sim_name {
    char *path;
    struct sim_file *now, *safe;
};

struct sim_handle {
    struct sim_file *file;
    bool has_lock;
};

static struct {
    struct list files;
    struct sim_name names[SIM_NAMES];
    size_t name_count;
    struct sim_handle handles[SIM_HANDLES];
    uint64_t operations, syncs;
    uint64_t cut_at; /* 0: never */
    uint64_t fail_from, fail_until;
    enum disk_status failure;
    uint64_t free_space;
    int survival; /* negative: drawn */
} disk;

/* ---- files ---- */

static struct sim_file *new_file(void)
{
    struct sim_file *file = memory_zero(sizeof *file);

    list_append(&disk.files, &file->link);
    return file;
}

static void free_file(struct sim_file *file)
{
    list_remove(&file->link);
    free(file->data);
    free(file->safe);
    free(file->dirty);
    free(file);
}

static void hold(struct sim_file *file)
{
    if (file != NULL) {
        file->users++;
    }
}

static void drop(struct sim_file *file)
{
    if (file != NULL && --file->users == 0) {
        free_file(file);
    }
}

static void bind(struct sim_file **place, struct sim_file *file)
{
    struct sim_file *before = *place;

    hold(file);
    *place = file;
    drop(before);
}

static void reserve(struct sim_file *file, size_t size)
{
    size_t capacity = file->capacity == 0 ? 8 * SECTOR : file->capacity;
    size_t old = file->capacity;

    while (capacity < size) {
        capacity *= 2;
    }
    if (capacity == old) {
        return;
    }
    file->data = memory_resize(file->data, capacity, 1);
    file->safe = memory_resize(file->safe, capacity, 1);
    file->dirty = memory_resize(file->dirty, capacity / SECTOR, 1);
    memset(file->data + old, 0, capacity - old);
    memset(file->safe + old, 0, capacity - old);
    memset(file->dirty + old / SECTOR, 0, capacity / SECTOR - old / SECTOR);
    file->capacity = capacity;
}

static void make_safe(struct sim_file *file, size_t sector)
{
    memcpy(file->safe + sector * SECTOR, file->data + sector * SECTOR, SECTOR);
}

/* ---- faults ---- */

static bool is_off(void)
{
    return !sim_host_is_on(SIM_DAEMON);
}

/* Before each operation that changes something. */
static enum disk_status step(void)
{
    if (is_off()) {
        return DISK_FAILED;
    }
    disk.operations++;
    if (disk.operations == disk.cut_at) {
        sim_power_cut();
        return DISK_FAILED;
    }
    return disk.operations >= disk.fail_from && disk.operations < disk.fail_until ? disk.failure
                                                                                  : DISK_OK;
}

uint64_t sim_disk_operations(void)
{
    return disk.operations;
}

uint64_t sim_disk_syncs(void)
{
    return disk.syncs;
}

void sim_disk_cut_at(uint64_t operation)
{
    disk.cut_at = operation == 0 ? 0 : disk.operations + operation;
}

void sim_disk_fail_at(uint64_t operation, uint64_t count, enum disk_status failure)
{
    disk.fail_from = disk.operations + operation;
    disk.fail_until = disk.fail_from + count;
    disk.failure = failure;
}

bool sim_disk_is_failing(void)
{
    return disk.operations >= disk.fail_from && disk.operations < disk.fail_until;
}

void sim_disk_set_survival(int survival)
{
    disk.survival = survival;
}

void sim_disk_set_free_space(uint64_t octets)
{
    disk.free_space = octets;
}

/* ---- power ---- */

static bool survives(enum survival survival)
{
    switch (survival) {
    case SURVIVES_NOTHING:
    case SURVIVALS:
        return false;
    case SURVIVES_ALL:
        return true;
    case SURVIVES_HALF:
        return sim_chance(2);
    case SURVIVES_MOST:
        return !sim_chance(8);
    }
    return false;
}

/* That a file was made shorter survives as a whole or not at all: file systems see to that, and
 * SQLite counts on it for its log. */
static void cut_sector(struct sim_file *file, size_t sector, enum survival survival,
                       bool cut_survives)
{
    char *data = file->data + sector * SECTOR, *safe = file->safe + sector * SECTOR;

    if ((file->dirty[sector] & DIRTY_WRITTEN) == 0 || !survives(survival)) {
        if ((file->dirty[sector] & DIRTY_CUT) != 0 && cut_survives) {
            size_t kept =
                file->cut_size > sector * SECTOR ? file->cut_size - sector * SECTOR : 0;

            memset(safe + kept, 0, SECTOR - kept);
        }
        memcpy(data, safe, SECTOR);
    } else {
        memcpy(safe, data, SECTOR);
    }
    file->dirty[sector] = 0;
}

static void cut_file(struct sim_file *file, enum survival survival)
{
    bool cut_survives = file->has_cut && survives(survival);
    bool is_cut_lost = file->has_cut && !cut_survives && file->size < file->safe_size;

    if (file->size != file->safe_size && (is_cut_lost || !survives(survival))) {
        file->size = cut_survives ? file->cut_size : file->safe_size;
    }
    for (size_t i = 0; i < file->capacity / SECTOR; i++) {
        cut_sector(file, i, survival, cut_survives);
    }
    file->has_cut = false;
    if (file->capacity > file->size) {
        memset(file->data + file->size, 0, file->capacity - file->size);
        memset(file->safe + file->size, 0, file->capacity - file->size);
    }
    file->safe_size = file->size;
    file->is_locked = false;
}

static void cut_name(struct sim_name *name, enum survival survival)
{
    if (name->now != name->safe) {
        if (survives(survival)) {
            bind(&name->safe, name->now);
        } else {
            bind(&name->now, name->safe);
        }
    }
}

void sim_disk_restore(void)
{
    enum survival survival =
        disk.survival < 0 ? sim_random(SURVIVALS) : (enum survival)disk.survival;
    struct list *next;

    for (size_t i = 0; i < SIM_HANDLES; i++) {
        bind(&disk.handles[i].file, NULL);
        disk.handles[i].has_lock = false;
    }
    for (size_t i = 0; i < disk.name_count; i++) {
        cut_name(&disk.names[i], survival);
    }
    for (struct list *node = disk.files.next; node != &disk.files; node = next) {
        next = node->next;
        cut_file(list_owner(node, struct sim_file, link), survival);
    }
    disk.cut_at = disk.fail_from = disk.fail_until = 0;
}

void sim_disk_begin(void)
{
    memset(&disk, 0, sizeof disk);
    list_init(&disk.files);
    disk.free_space = UINT64_MAX;
    disk.survival = -1;
}

void sim_disk_end(void)
{
    while (!list_is_empty(&disk.files)) {
        free_file(list_owner(disk.files.next, struct sim_file, link));
    }
    for (size_t i = 0; i < disk.name_count; i++) {
        free(disk.names[i].path);
    }
}

/* ---- io/disk.h ---- */

static struct sim_name *find_name(const char *path)
{
    for (size_t i = 0; i < disk.name_count; i++) {
        if (strcmp(disk.names[i].path, path) == 0) {
            return &disk.names[i];
        }
    }
    return NULL;
}

static struct sim_name *find_or_make_name(const char *path)
{
    struct sim_name *name = find_name(path);

    for (size_t i = 0; name == NULL && i < disk.name_count; i++) {
        if (disk.names[i].now == NULL && disk.names[i].safe == NULL) {
            name = &disk.names[i];
            free(name->path);
            name->path = strdup(path);
        }
    }
    if (name == NULL) {
        assert(disk.name_count < SIM_NAMES);
        name = &disk.names[disk.name_count++];
        name->path = strdup(path);
    }
    return name;
}

static int new_handle(struct sim_file *file)
{
    for (int i = 0; i < SIM_HANDLES; i++) {
        if (disk.handles[i].file == NULL) {
            bind(&disk.handles[i].file, file);
            return i + FIRST_HANDLE;
        }
    }
    abort();
}

static struct sim_handle *handle_of(int handle)
{
    assert(handle >= FIRST_HANDLE && handle < FIRST_HANDLE + SIM_HANDLES);
    assert(disk.handles[handle - FIRST_HANDLE].file != NULL);
    return &disk.handles[handle - FIRST_HANDLE];
}

enum disk_status disk_open(const char *path, bool create, int *handle)
{
    struct sim_name *name = find_name(path);
    enum disk_status status;

    *handle = -1;
    if (name == NULL || name->now == NULL) {
        if (!create) {
            return DISK_MISSING;
        }
        status = step();
        if (status != DISK_OK) {
            return status;
        }
        name = find_or_make_name(path);
        bind(&name->now, new_file());
    }
    *handle = new_handle(name->now);
    return DISK_OK;
}

void disk_close(int handle)
{
    struct sim_handle *closed = handle_of(handle);

    if (closed->has_lock) {
        closed->file->is_locked = closed->has_lock = false;
    }
    bind(&closed->file, NULL);
}

enum disk_status disk_read(int handle, uint64_t offset, void *data, size_t size, size_t *got)
{
    struct sim_file *file = handle_of(handle)->file;

    *got = offset >= file->size         ? 0
           : file->size - offset < size ? (size_t)(file->size - offset)
                                        : size;
    if (*got > 0) {
        memcpy(data, file->data + offset, *got);
    }
    return is_off() ? DISK_FAILED : DISK_OK;
}

enum disk_status disk_write(int handle, uint64_t offset, struct bytes octets)
{
    struct sim_file *file = handle_of(handle)->file;
    bool was_on = !is_off();
    enum disk_status status = step();

    if (status != DISK_OK && was_on && octets.len > 0) {
        octets = bytes_first(octets, sim_random((uint32_t)octets.len)); /* torn */
    }
    if (was_on && octets.len > 0) {
        reserve(file, (size_t)offset + octets.len);
        memcpy(file->data + offset, octets.data, octets.len);
        for (size_t i = offset / SECTOR; i <= (offset + octets.len - 1) / SECTOR; i++) {
            file->dirty[i] |= DIRTY_WRITTEN;
        }
        if (file->size < offset + octets.len) {
            file->size = (size_t)offset + octets.len;
        }
    }
    return status;
}

enum disk_status disk_sync(int handle)
{
    struct sim_file *file = handle_of(handle)->file;
    enum disk_status status = step();

    if (is_off()) {
        return DISK_FAILED; /* what is dirty survives or not */
    }
    disk.syncs++;
    for (size_t i = 0; i < file->capacity / SECTOR; i++) {
        if (file->dirty[i] && status == DISK_OK) {
            make_safe(file, i);
        }
        file->dirty[i] = 0; /* also after a failure: the kernel calls the pages clean */
    }
    file->safe_size = status == DISK_OK ? file->size : file->safe_size;
    file->has_cut = false;
    return status;
}

enum disk_status disk_truncate(int handle, uint64_t size)
{
    struct sim_file *file = handle_of(handle)->file;
    enum disk_status status = step();

    if (status == DISK_OK) {
        reserve(file, (size_t)size);
        if (size < file->size) {
            memset(file->data + size, 0, file->size - (size_t)size);
            for (size_t i = (size_t)size / SECTOR; i <= (file->size - 1) / SECTOR; i++) {
                file->dirty[i] = DIRTY_CUT;
            }
            file->has_cut = true;
            file->cut_size = (size_t)size;
        }
        file->size = (size_t)size;
    }
    return status;
}

enum disk_status disk_size(int handle, uint64_t *size)
{
    *size = handle_of(handle)->file->size;
    return is_off() ? DISK_FAILED : DISK_OK;
}

bool disk_exists(const char *path)
{
    struct sim_name *name = find_name(path);

    return name != NULL && name->now != NULL;
}

enum disk_status disk_delete(const char *path)
{
    struct sim_name *name = find_name(path);
    enum disk_status status;

    if (name == NULL || name->now == NULL) {
        return DISK_MISSING;
    }
    status = step();
    if (status == DISK_OK) {
        bind(&name->now, NULL);
    }
    return status;
}

enum disk_status disk_make_directory(const char *path)
{
    (void)path; /* directories are parts of names */
    return is_off() ? DISK_FAILED : DISK_OK;
}

static bool stands_in(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && path[length] == '/' &&
           strchr(path + length + 1, '/') == NULL;
}

enum disk_status disk_sync_directory(const char *path)
{
    enum disk_status status = step();

    disk.syncs += status == DISK_OK ? 1 : 0;
    for (size_t i = 0; i < disk.name_count && status == DISK_OK; i++) {
        if (stands_in(disk.names[i].path, path)) {
            bind(&disk.names[i].safe, disk.names[i].now);
        }
    }
    return status;
}

enum disk_status disk_list(const char *directory, void (*each)(void *context, const char *name),
                           void *context)
{
    for (size_t i = 0; i < disk.name_count; i++) {
        if (disk.names[i].now != NULL && stands_in(disk.names[i].path, directory)) {
            each(context, disk.names[i].path + strlen(directory) + 1);
        }
    }
    return is_off() ? DISK_FAILED : DISK_OK;
}

enum disk_status disk_link(int handle, const char *path)
{
    struct sim_file *file = handle_of(handle)->file;
    enum disk_status status;

    if (disk_exists(path)) {
        return DISK_EXISTS;
    }
    status = step();
    if (status == DISK_OK) {
        bind(&find_or_make_name(path)->now, file);
    }
    return status;
}

enum disk_status disk_lock(const char *path, int *handle)
{
    enum disk_status status = disk_open(path, true, handle);

    if (status != DISK_OK) {
        return status;
    }
    if (handle_of(*handle)->file->is_locked) {
        disk_close(*handle);
        *handle = -1;
        return DISK_LOCKED;
    }
    handle_of(*handle)->file->is_locked = handle_of(*handle)->has_lock = true;
    return DISK_OK;
}

enum disk_status disk_free_space(const char *directory, uint64_t *octets)
{
    (void)directory;
    *octets = disk.free_space;
    return is_off() ? DISK_FAILED : DISK_OK;
}

/* ---- content.c's own calls ---- */

static int errno_of(enum disk_status status)
{
    return status == DISK_FULL ? ENOSPC : EIO;
}

int sim_content_open(const char *path, int flags, ...)
{
    enum disk_status status = step();

    (void)path;
    assert((flags & O_TMPFILE) == O_TMPFILE);
    if (status != DISK_OK) {
        errno = errno_of(status);
        return -1;
    }
    return new_handle(new_file());
}

long sim_content_pwrite(int handle, const void *data, size_t size, long offset)
{
    enum disk_status status = disk_write(handle, (uint64_t)offset, bytes_of(data, size));

    if (status != DISK_OK) {
        errno = errno_of(status);
        return -1;
    }
    return (long)size;
}

long sim_content_pread(int handle, void *data, size_t size, long offset)
{
    size_t got;

    if (disk_read(handle, (uint64_t)offset, data, size, &got) != DISK_OK) {
        errno = EIO;
        return -1;
    }
    return (long)got;
}

int sim_content_close(int handle)
{
    disk_close(handle);
    return 0;
}
