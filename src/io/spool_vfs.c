#include "io/spool_vfs.h"

#include "base/list.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/entropy.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <sqlite3.h>

/* More than one transaction of 20 messages; a longer one goes out in parts. */
enum { LOG_BUFFER_LIMIT = 1024 * 1024 };

struct lock_slot {
    unsigned shared;
    bool is_exclusive;
};

/* One file, whoever has it open. */
struct vfs_node {
    struct list link;
    char *path;
    int handle;
    unsigned users;
    bool is_log;
    bool is_temporary;          /* goes when it is closed */
    bool is_name_unsafe;        /* a journal or log: its name is synced with its first octets */
    pthread_mutex_t sync_mutex; /* held while the log is synced; taken before `mutex` */
    pthread_mutex_t mutex;      /* for all below */

    /* log: `pending` stands at pending_at and is not in the file yet */
    char *pending;
    size_t pending_len;
    size_t pending_capacity;
    uint64_t pending_at;
    uint64_t size;    /* with what is pending */
    uint64_t written; /* end of what was written since the log began anew */
    uint64_t round;   /* counts how often it began anew */
    bool is_dirty;    /* something was written after the last good sync */

    /* database: who holds what */
    unsigned shared;
    bool is_reserved;
    bool is_exclusive;
    struct lock_slot slots[SQLITE_SHM_NLOCK];
    void **regions;
    int region_count;
    unsigned region_users;
};

struct spool_vfs {
    sqlite3_vfs base; /* first: SQLite hands this back */
    char name[40];
    pthread_mutex_t mutex; /* for nodes and users */
    struct list nodes;
    _Atomic(enum disk_status) trouble;
    atomic_bool is_frozen;
    _Atomic uint64_t log_safe; /* octets of the log that are synced */
    bool is_cut_unsafe;        /* the log was made shorter, and that is not synced */
};

struct vfs_file {
    sqlite3_file base; /* first */
    struct spool_vfs *vfs;
    struct vfs_node *node;
    int level; /* SQLITE_LOCK_* */
    unsigned shared_slots, exclusive_slots;
    bool has_regions;
};

static struct vfs_file *file_of(sqlite3_file *file)
{
    return (struct vfs_file *)file;
}

static int note_trouble(struct spool_vfs *vfs, enum disk_status status, int code)
{
    enum disk_status none = DISK_OK;

    if (status == DISK_OK) {
        return SQLITE_OK;
    }
    atomic_compare_exchange_strong(&vfs->trouble, &none, status);
    return status == DISK_FULL ? SQLITE_FULL : code;
}

/* After the first trouble nothing may be added to a log whose end is in doubt. */
static bool may_write(const struct spool_vfs *vfs)
{
    return !atomic_load(&vfs->is_frozen) && atomic_load(&vfs->trouble) == DISK_OK;
}

/* ---- reading and writing ---- */

/* With the mutex. */
static enum disk_status flush_pending(struct vfs_node *node)
{
    enum disk_status status = DISK_OK;

    if (node->pending_len > 0) {
        status = disk_write(node->handle, node->pending_at,
                            bytes_of(node->pending, node->pending_len));
        node->pending_len = 0; /* what failed is not tried again */
    }
    return status;
}

static void keep_pending(struct vfs_node *node, uint64_t offset, struct bytes octets)
{
    size_t at = (size_t)(offset - node->pending_at);
    size_t need = at + octets.len;

    if (need > node->pending_capacity) {
        node->pending_capacity = need < 64 * 1024 ? 64 * 1024 : need * 2;
        node->pending = memory_resize(node->pending, node->pending_capacity, 1);
    }
    memcpy(node->pending + at, octets.data, octets.len);
    if (need > node->pending_len) {
        node->pending_len = need;
    }
}

static enum disk_status write_log(struct spool_vfs *vfs, struct vfs_node *node, uint64_t offset,
                                  struct bytes octets)
{
    enum disk_status status = DISK_OK;
    uint64_t end = offset + octets.len;
    bool fits;

    if (offset == 0) {
        node->written = 0; /* the header: all older frames are in the database, and synced */
        node->round++;
    }
    if (offset < atomic_load(&vfs->log_safe)) {
        atomic_store(&vfs->log_safe, offset);
    }
    fits = node->pending_len > 0 && offset >= node->pending_at &&
           offset <= node->pending_at + node->pending_len &&
           end - node->pending_at <= LOG_BUFFER_LIMIT;
    if (!fits) {
        status = flush_pending(node);
        node->pending_at = offset;
    }
    if (status == DISK_OK) {
        keep_pending(node, offset, octets);
    }
    node->is_dirty = true;
    node->written = end > node->written ? end : node->written;
    node->size = end > node->size ? end : node->size;
    return status;
}

static int vfs_write(sqlite3_file *base, const void *data, int count, sqlite3_int64 offset)
{
    struct vfs_file *file = file_of(base);
    struct vfs_node *node = file->node;
    struct bytes octets = bytes_of(data, (size_t)count);
    enum disk_status status;

    if (!may_write(file->vfs)) {
        return SQLITE_IOERR_WRITE;
    }
    if (!node->is_log) {
        return note_trouble(file->vfs, disk_write(node->handle, (uint64_t)offset, octets),
                            SQLITE_IOERR_WRITE);
    }
    pthread_mutex_lock(&node->mutex);
    status = write_log(file->vfs, node, (uint64_t)offset, octets);
    pthread_mutex_unlock(&node->mutex);
    return note_trouble(file->vfs, status, SQLITE_IOERR_WRITE);
}

/* What is pending lies over what the file holds. */
static size_t overlay_pending(const struct vfs_node *node, uint64_t offset, char *data,
                              size_t size, size_t got)
{
    uint64_t from = offset > node->pending_at ? offset : node->pending_at;
    uint64_t pending_end = node->pending_at + node->pending_len;
    uint64_t to = offset + size < pending_end ? offset + size : pending_end;

    if (node->pending_len == 0 || from >= to) {
        return got;
    }
    if (from - offset > got) {
        memset(data + got, 0, (size_t)(from - offset) - got);
    }
    memcpy(data + (from - offset), node->pending + (from - node->pending_at),
           (size_t)(to - from));
    return to - offset > got ? (size_t)(to - offset) : got;
}

static int vfs_read(sqlite3_file *base, void *data, int count, sqlite3_int64 offset)
{
    struct vfs_file *file = file_of(base);
    struct vfs_node *node = file->node;
    size_t size = (size_t)count, got = 0;
    enum disk_status status = DISK_OK;

    if (!node->is_log) {
        status = disk_read(node->handle, (uint64_t)offset, data, size, &got);
    } else {
        pthread_mutex_lock(&node->mutex);
        if (node->pending_len == 0 || (uint64_t)offset < node->pending_at ||
            (uint64_t)offset + size > node->pending_at + node->pending_len) {
            status = disk_read(node->handle, (uint64_t)offset, data, size, &got);
        }
        got = overlay_pending(node, (uint64_t)offset, data, size, got);
        pthread_mutex_unlock(&node->mutex);
    }
    if (status != DISK_OK) {
        return note_trouble(file->vfs, status, SQLITE_IOERR_READ);
    }
    if (got < size) {
        memset((char *)data + got, 0, size - got); /* SQLite counts on it */
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

enum disk_status spool_vfs_sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[4096];

    if (slash == NULL || slash == path) {
        return disk_sync_directory(slash == NULL ? "." : "/");
    }
    if ((size_t)(slash - path) >= sizeof(directory)) {
        return DISK_FAILED;
    }
    snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
    return disk_sync_directory(directory);
}

/* What the database is written by the word of must be found after a power cut. One thread at a
 * time. */
static enum disk_status sync_with_name(struct vfs_node *node)
{
    enum disk_status status = disk_sync(node->handle);

    if (status == DISK_OK && node->is_name_unsafe) {
        status = spool_vfs_sync_parent(node->path);
        node->is_name_unsafe = status != DISK_OK;
    }
    return status;
}

/* With the sync mutex. */
static enum disk_status sync_what_is_dirty(struct spool_vfs *vfs, struct vfs_node *node)
{
    enum disk_status status;
    uint64_t written, round;

    pthread_mutex_lock(&node->mutex);
    if (!node->is_dirty) {
        pthread_mutex_unlock(&node->mutex);
        return DISK_OK;
    }
    status = flush_pending(node);
    written = node->written;
    round = node->round;
    node->is_dirty = false;
    pthread_mutex_unlock(&node->mutex);
    if (status == DISK_OK) {
        status = sync_with_name(node);
    }
    pthread_mutex_lock(&node->mutex);
    if (status == DISK_OK && round == node->round && written > atomic_load(&vfs->log_safe)) {
        atomic_store(&vfs->log_safe, written);
    }
    pthread_mutex_unlock(&node->mutex);
    return status;
}

/* One at a time: a checkpoint beside a commit may be syncing what the commit has written, and
 * the commit is safe only when that has ended well. The kernel tells a failure only once, so
 * who comes second hears of it here. */
static int sync_log(struct spool_vfs *vfs, struct vfs_node *node)
{
    int code = SQLITE_IOERR_FSYNC;

    pthread_mutex_lock(&node->sync_mutex);
    if (may_write(vfs)) {
        code = note_trouble(vfs, sync_what_is_dirty(vfs, node), SQLITE_IOERR_FSYNC);
    }
    pthread_mutex_unlock(&node->sync_mutex);
    return code;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    struct vfs_file *file = file_of(base);

    (void)flags;
    if (!may_write(file->vfs)) {
        return SQLITE_IOERR_FSYNC;
    }
    if (file->node->is_log) {
        return sync_log(file->vfs, file->node);
    }
    return note_trouble(file->vfs, sync_with_name(file->node), SQLITE_IOERR_FSYNC);
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct vfs_file *file = file_of(base);
    struct vfs_node *node = file->node;
    enum disk_status status;

    if (!may_write(file->vfs)) {
        return SQLITE_IOERR_TRUNCATE;
    }
    pthread_mutex_lock(&node->mutex);
    status = flush_pending(node);
    if (status == DISK_OK) {
        status = disk_truncate(node->handle, (uint64_t)size);
    }
    if (status == DISK_OK && node->is_log) {
        node->size = (uint64_t)size;
        node->written = node->written < node->size ? node->written : node->size;
        if (atomic_load(&file->vfs->log_safe) > node->size) {
            atomic_store(&file->vfs->log_safe, node->size);
        }
    }
    pthread_mutex_unlock(&node->mutex);
    return note_trouble(file->vfs, status, SQLITE_IOERR_TRUNCATE);
}

static int vfs_file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    struct vfs_file *file = file_of(base);
    struct vfs_node *node = file->node;
    enum disk_status status = DISK_OK;
    uint64_t octets = 0;

    if (node->is_log) {
        pthread_mutex_lock(&node->mutex);
        octets = node->size;
        pthread_mutex_unlock(&node->mutex);
    } else {
        status = disk_size(node->handle, &octets);
    }
    *size = (sqlite3_int64)octets;
    return note_trouble(file->vfs, status, SQLITE_IOERR_FSTAT);
}

/* ---- locks of the database file, between our own connections ---- */

static int vfs_lock(sqlite3_file *base, int level)
{
    struct vfs_file *file = file_of(base);
    struct vfs_node *node = file->node;
    unsigned own_shared = file->level >= SQLITE_LOCK_SHARED ? 1 : 0;
    int result = SQLITE_OK;

    if (level <= file->level) {
        return SQLITE_OK;
    }
    pthread_mutex_lock(&node->mutex);
    if (node->is_exclusive && file->level < SQLITE_LOCK_EXCLUSIVE) {
        result = SQLITE_BUSY;
    } else if (level >= SQLITE_LOCK_RESERVED && node->is_reserved &&
               file->level < SQLITE_LOCK_RESERVED) {
        result = SQLITE_BUSY;
    } else if (level == SQLITE_LOCK_EXCLUSIVE && node->shared > own_shared) {
        result = SQLITE_BUSY;
    } else {
        node->shared += own_shared == 0 ? 1 : 0;
        node->is_reserved = node->is_reserved || level >= SQLITE_LOCK_RESERVED;
        node->is_exclusive = level == SQLITE_LOCK_EXCLUSIVE;
        file->level = level;
    }
    pthread_mutex_unlock(&node->mutex);
    return result;
}

static int vfs_unlock(sqlite3_file *base, int level)
{
    struct vfs_file *file = file_of(base);
    struct vfs_node *node = file->node;

    if (level >= file->level) {
        return SQLITE_OK;
    }
    pthread_mutex_lock(&node->mutex);
    if (file->level >= SQLITE_LOCK_RESERVED) {
        node->is_reserved = false;
    }
    if (file->level == SQLITE_LOCK_EXCLUSIVE) {
        node->is_exclusive = false;
    }
    if (level == SQLITE_LOCK_NONE) {
        node->shared--;
    }
    file->level = level;
    pthread_mutex_unlock(&node->mutex);
    return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *base, int *result)
{
    struct vfs_node *node = file_of(base)->node;

    pthread_mutex_lock(&node->mutex);
    *result = node->is_reserved;
    pthread_mutex_unlock(&node->mutex);
    return SQLITE_OK;
}

/* ---- the log's index: memory that our connections share ---- */

static int shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **memory)
{
    struct vfs_file *file = file_of(base);
    struct vfs_node *node = file->node;

    pthread_mutex_lock(&node->mutex);
    if (!file->has_regions) {
        file->has_regions = true;
        node->region_users++;
    }
    while (extend && node->region_count <= region) {
        size_t count = (size_t)node->region_count + 1;

        node->regions = memory_resize(node->regions, count, sizeof(*node->regions));
        node->regions[node->region_count++] = memory_zero((size_t)size);
    }
    *memory = region < node->region_count ? node->regions[region] : NULL;
    pthread_mutex_unlock(&node->mutex);
    return SQLITE_OK;
}

static bool may_take_slot(const struct vfs_file *file, int slot, bool exclusive)
{
    const struct lock_slot *state = &file->node->slots[slot];
    unsigned own = file->shared_slots >> slot & 1;

    if (state->is_exclusive && (file->exclusive_slots >> slot & 1) == 0) {
        return false;
    }
    return !exclusive || state->shared <= own;
}

static void set_slot(struct vfs_file *file, int slot, int flags)
{
    struct lock_slot *state = &file->node->slots[slot];
    unsigned bit = 1U << slot;

    if ((flags & SQLITE_SHM_EXCLUSIVE) != 0) {
        state->is_exclusive = (flags & SQLITE_SHM_LOCK) != 0;
        file->exclusive_slots =
            (file->exclusive_slots & ~bit) | (state->is_exclusive ? bit : 0);
    } else if ((flags & SQLITE_SHM_LOCK) != 0) {
        state->shared += (file->shared_slots & bit) == 0 ? 1 : 0;
        file->shared_slots |= bit;
    } else if ((file->shared_slots & bit) != 0) {
        state->shared--;
        file->shared_slots &= ~bit;
    }
}

static int shm_lock(sqlite3_file *base, int first, int count, int flags)
{
    struct vfs_file *file = file_of(base);
    int result = SQLITE_OK;

    pthread_mutex_lock(&file->node->mutex);
    for (int slot = first; slot < first + count && (flags & SQLITE_SHM_LOCK) != 0; slot++) {
        if (!may_take_slot(file, slot, (flags & SQLITE_SHM_EXCLUSIVE) != 0)) {
            result = SQLITE_BUSY;
        }
    }
    for (int slot = first; slot < first + count && result == SQLITE_OK; slot++) {
        set_slot(file, slot, flags);
    }
    pthread_mutex_unlock(&file->node->mutex);
    return result;
}

static void shm_barrier(sqlite3_file *base)
{
    struct vfs_node *node = file_of(base)->node;

    pthread_mutex_lock(&node->mutex); /* a barrier for the processor and for the tools alike */
    pthread_mutex_unlock(&node->mutex);
}

static int shm_unmap(sqlite3_file *base, int delete)
{
    struct vfs_file *file = file_of(base);
    struct vfs_node *node = file->node;

    (void)delete;
    pthread_mutex_lock(&node->mutex);
    if (file->has_regions) {
        file->has_regions = false;
        node->region_users--;
    }
    if (node->region_users == 0) {
        for (int region = 0; region < node->region_count; region++) {
            free(node->regions[region]);
        }
        free(node->regions);
        node->regions = NULL;
        node->region_count = 0;
    }
    pthread_mutex_unlock(&node->mutex);
    return SQLITE_OK;
}

/* ---- files ---- */

static int vfs_file_control(sqlite3_file *file, int operation, void *argument)
{
    (void)file;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int vfs_sector_size(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

static int vfs_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as SQLite's own */
}

static void drop_node(struct spool_vfs *vfs, struct vfs_node *node)
{
    pthread_mutex_lock(&vfs->mutex);
    if (--node->users > 0) {
        pthread_mutex_unlock(&vfs->mutex);
        return;
    }
    list_remove(&node->link);
    pthread_mutex_unlock(&vfs->mutex);
    disk_close(node->handle);
    if (node->is_temporary) {
        disk_delete(node->path);
    }
    pthread_mutex_destroy(&node->sync_mutex);
    pthread_mutex_destroy(&node->mutex);
    free(node->pending);
    free(node->path);
    free(node);
}

static int vfs_close(sqlite3_file *base)
{
    struct vfs_file *file = file_of(base);

    shm_unmap(base, 0);
    vfs_unlock(base, SQLITE_LOCK_NONE);
    drop_node(file->vfs, file->node);
    return SQLITE_OK;
}

static const sqlite3_io_methods METHODS = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_reserved,
    .xFileControl = vfs_file_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static struct vfs_node *find_node(struct spool_vfs *vfs, const char *path)
{
    for (struct list *link = vfs->nodes.next; link != &vfs->nodes; link = link->next) {
        struct vfs_node *node = list_owner(link, struct vfs_node, link);

        if (strcmp(node->path, path) == 0) {
            return node;
        }
    }
    return NULL;
}

static enum disk_status make_node(struct spool_vfs *vfs, const char *path, int flags,
                                  struct vfs_node **made)
{
    struct vfs_node *node;
    int handle;
    enum disk_status status = disk_open(path, (flags & SQLITE_OPEN_CREATE) != 0, &handle);

    if (status != DISK_OK) {
        return status;
    }
    node = memory_zero(sizeof(*node));
    node->path = memory_alloc(strlen(path) + 1);
    memcpy(node->path, path, strlen(path) + 1);
    node->handle = handle;
    node->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    node->is_temporary = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    node->is_name_unsafe = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    pthread_mutex_init(&node->sync_mutex, NULL);
    pthread_mutex_init(&node->mutex, NULL);
    if (node->is_log && disk_size(handle, &node->size) == DISK_OK) {
        node->written = node->size;
        node->is_dirty = node->size > 0; /* of an earlier run: who knows what it synced */
        atomic_store(&vfs->log_safe, node->size);
    }
    list_append(&vfs->nodes, &node->link);
    *made = node;
    return DISK_OK;
}

static int vfs_open(sqlite3_vfs *base, sqlite3_filename name, sqlite3_file *base_file,
                    int flags, int *flags_out)
{
    struct spool_vfs *vfs = (struct spool_vfs *)base;
    struct vfs_file *file = file_of(base_file);
    enum disk_status status = DISK_OK;
    struct vfs_node *node;
    char temporary[64];

    memset(file, 0, sizeof(*file));
    if (name == NULL) {
        uint32_t number = entropy_u32();

        snprintf(temporary, sizeof(temporary), "/tmp/postilion-%08x", (unsigned)number);
        name = temporary; /* not met: temp_store is memory */
    }
    pthread_mutex_lock(&vfs->mutex);
    node = find_node(vfs, name);
    if (node == NULL) {
        status = make_node(vfs, name, flags, &node);
    }
    if (status == DISK_OK) {
        node->users++;
        file->base.pMethods = &METHODS;
        file->vfs = vfs;
        file->node = node;
    }
    pthread_mutex_unlock(&vfs->mutex);
    if (flags_out != NULL) {
        *flags_out = flags;
    }
    return status == DISK_OK ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_delete(sqlite3_vfs *base, const char *name, int sync_directory)
{
    struct spool_vfs *vfs = (struct spool_vfs *)base;
    enum disk_status status;

    if (!may_write(vfs)) {
        return SQLITE_IOERR_DELETE;
    }
    status = disk_delete(name);
    if (status == DISK_MISSING) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    if (status == DISK_OK && sync_directory) {
        status = spool_vfs_sync_parent(name);
    }
    return note_trouble(vfs, status, SQLITE_IOERR_DELETE);
}

static int vfs_access(sqlite3_vfs *base, const char *name, int flags, int *result)
{
    (void)base;
    (void)flags;
    *result = disk_exists(name);
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *base, const char *name, int size, char *out)
{
    (void)base;
    return snprintf(out, (size_t)size, "%s", name) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_randomness(sqlite3_vfs *base, int count, char *out)
{
    (void)base;
    entropy_fill(out, (size_t)count);
    return count;
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
    (void)base;
    return microseconds; /* nothing here waits for a lock */
}

static int vfs_current_time(sqlite3_vfs *base, sqlite3_int64 *time)
{
    const sqlite3_int64 unix_epoch_ms = 210866760000000; /* Julian day 2440587.5 */

    (void)base;
    *time = unix_epoch_ms + clock_unix_ms();
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *base, int size, char *out)
{
    (void)base;
    (void)size;
    (void)out;
    return 0;
}

static void set_up_sqlite(void)
{
    /* Counting every allocation costs a lock each. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

struct spool_vfs *spool_vfs_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct spool_vfs *vfs = memory_zero(sizeof(*vfs));

    pthread_once(&once, set_up_sqlite);
    snprintf(vfs->name, sizeof(vfs->name), "postilion-%p", (void *)vfs);
    pthread_mutex_init(&vfs->mutex, NULL);
    list_init(&vfs->nodes);
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct vfs_file),
        .mxPathname = 4096,
        .zName = vfs->name,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_current_time,
    };
    sqlite3_vfs_register(&vfs->base, 0);
    return vfs;
}

void spool_vfs_free(struct spool_vfs **vfs)
{
    if (*vfs == NULL) {
        return;
    }
    assert(list_is_empty(&(*vfs)->nodes));
    sqlite3_vfs_unregister(&(*vfs)->base);
    pthread_mutex_destroy(&(*vfs)->mutex);
    free(*vfs);
    *vfs = NULL;
}

const char *spool_vfs_name(const struct spool_vfs *vfs)
{
    return vfs->name;
}

enum disk_status spool_vfs_trouble(const struct spool_vfs *vfs)
{
    return atomic_load(&vfs->trouble);
}

void spool_vfs_forget_trouble(struct spool_vfs *vfs)
{
    atomic_store(&vfs->trouble, DISK_OK);
}

void spool_vfs_freeze(struct spool_vfs *vfs, bool freeze)
{
    atomic_store(&vfs->is_frozen, freeze);
}

enum disk_status spool_vfs_cut_log(struct spool_vfs *vfs, const char *database_path)
{
    uint64_t safe = atomic_load(&vfs->log_safe), size;
    enum disk_status status;
    char path[4096];
    int handle;

    if (snprintf(path, sizeof(path), "%s-wal", database_path) >= (int)sizeof(path)) {
        return DISK_FAILED;
    }
    status = disk_open(path, false, &handle);
    if (status != DISK_OK) {
        return status == DISK_MISSING ? DISK_OK : status;
    }
    status = disk_size(handle, &size);
    if (status == DISK_OK && size > safe) {
        vfs->is_cut_unsafe = true;
        status = disk_truncate(handle, safe);
    }
    /* Also when an earlier try came as far as here: a power cut would bring back what it cut off. */
    if (status == DISK_OK && vfs->is_cut_unsafe) {
        status = disk_sync(handle);
        vfs->is_cut_unsafe = status != DISK_OK;
    }
    disk_close(handle);
    return status;
}
