#include "io/spool_database.h"

#include "base/memory.h"
#include "io/clock.h"
#include "spool_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SPACE_CHECK_MS = 20, /* far from the floor statvfs is called at most this often */
    SPACE_NEAR = 64 * 1024 * 1024,
    /* Closing deliveries writes before it frees: this much is not for messages, however low the
     * floor. */
    SPACE_FOR_CLOSING = 1024 * 1024,
};

static char *join_path(const char *directory, const char *name)
{
    size_t size = strlen(directory) + 1 + strlen(name) + 1;
    char *path = memory_alloc(size);

    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

enum spool_status spool_database_failure(struct spool_database *database, int code)
{
    enum disk_status trouble = spool_vfs_trouble(database->vfs);

    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        if (trouble == DISK_OK) {
            database->is_damaged = true;
            spool_vfs_freeze(database->vfs, true);
            return SPOOL_DAMAGED;
        }
        break;
    case SQLITE_FULL:
        return SPOOL_FULL;
    default:
        break;
    }
    return trouble == DISK_FULL ? SPOOL_FULL : SPOOL_FAILED;
}

bool spool_database_is_damaged(const struct spool_database *database)
{
    return database->is_damaged;
}

/* The database grows by what is in the log when that is moved to it. */
static uint64_t space_wanted(const struct spool_database *database)
{
    uint64_t floor = database->free_space_floor > SPACE_FOR_CLOSING ? database->free_space_floor
                                                                    : SPACE_FOR_CLOSING;

    return floor + spool_database_log_size(database);
}

bool spool_database_is_tight(struct spool_database *database)
{
    uint64_t wanted = space_wanted(database);
    uint64_t now_ms = clock_now_ms();

    if (database->space_checked_ms == 0 || database->free_octets < wanted + SPACE_NEAR ||
        now_ms - database->space_checked_ms >= SPACE_CHECK_MS) {
        database->space_checked_ms = now_ms;
        if (disk_free_space(database->directory, &database->free_octets) != DISK_OK) {
            database->free_octets = INT64_MAX;
        }
    }
    return database->free_octets < wanted;
}

/* A database does not shrink: what was delivered leaves room inside. */
bool spool_database_has_space(struct spool_database *database)
{
    return !spool_database_is_tight(database) ||
           database->free_octets + spool_schema_free_octets(database->connection) >=
               space_wanted(database);
}

/* ---- opening and closing ---- */

static int note_log_pages(void *context, sqlite3 *connection, const char *name, int pages)
{
    struct spool_database *database = context;

    (void)connection;
    (void)name;
    atomic_store(&database->log_pages, (uint64_t)pages);
    return SQLITE_OK;
}

/* A log that is to be looked at again stays: no checkpoint when the connection closes. */
static void close_connections(struct spool_database *database, bool keep_log)
{
    spool_schema_finalize(database->statements);
    pthread_mutex_lock(&database->beside_mutex);
    if (database->beside != NULL) {
        sqlite3_db_config(database->beside, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_close(database->beside);
        database->beside = NULL;
    }
    database->is_beside_stopped = true;
    pthread_mutex_unlock(&database->beside_mutex);
    pthread_mutex_lock(&database->listing_mutex);
    sqlite3_close(database->listing);
    database->listing = NULL;
    database->is_listing_stopped = true;
    pthread_mutex_unlock(&database->listing_mutex);
    if (keep_log && database->connection != NULL) {
        sqlite3_db_config(database->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    sqlite3_close(database->connection);
    database->connection = NULL;
}

static bool make_ready(struct spool_database *database)
{
    if (!spool_schema_prepare(database->connection, database->statements)) {
        return false;
    }
    sqlite3_wal_hook(database->connection, note_log_pages, database);
    pthread_mutex_lock(&database->beside_mutex);
    database->is_beside_stopped = false;
    pthread_mutex_unlock(&database->beside_mutex);
    pthread_mutex_lock(&database->listing_mutex);
    database->is_listing_stopped = false;
    pthread_mutex_unlock(&database->listing_mutex);
    return true;
}

/*
 * The log of an earlier run, or what is left of ours after trouble: the page cache may hold
 * more of it than the disk, and a sync that once failed for it will not fail again. Copied into
 * the database and synced there, it counts; only then it may be built upon.
 */
static bool settle_log(struct spool_database *database)
{
    return sqlite3_wal_checkpoint_v2(database->connection, NULL, SQLITE_CHECKPOINT_TRUNCATE,
                                     NULL, NULL) == SQLITE_OK;
}

static enum spool_status open_checked(struct spool_database *database, struct strbuf *why)
{
    char *journal = join_path(database->directory, "spool.db-journal");
    enum spool_status status;
    bool is_new;

    /* Looking must not write; but a start that died while it made the database leaves a journal
     * that has to be rolled back before there is anything to look at. */
    spool_vfs_freeze(database->vfs, !disk_exists(journal));
    free(journal);
    database->connection = spool_schema_connect(database->path, spool_vfs_name(database->vfs));
    if (database->connection == NULL) {
        strbuf_addf(why, "%s cannot be opened", database->path);
        return SPOOL_FAILED;
    }
    status = spool_schema_check(database->connection, &is_new, why);
    if (status != SPOOL_OK) {
        return status;
    }
    spool_vfs_freeze(database->vfs, false);
    if ((is_new && !spool_schema_create(database->connection)) || !settle_log(database) ||
        !spool_schema_upgrade(database->connection) || !make_ready(database)) {
        int code = sqlite3_extended_errcode(database->connection);

        strbuf_addf(why, "%s: %s", database->path, sqlite3_errmsg(database->connection));
        return spool_database_failure(database, code);
    }
    return SPOOL_OK;
}

static enum spool_status take_lock(struct spool_database *database, struct strbuf *why)
{
    switch (disk_lock(database->path, &database->lock_handle)) {
    case DISK_OK:
        return SPOOL_OK;
    case DISK_LOCKED:
        strbuf_addf(why, "the spool %s is in use by another process", database->directory);
        return SPOOL_LOCKED;
    case DISK_FULL:
        strbuf_addf(why, "no space for the spool %s", database->directory);
        return SPOOL_FULL;
    case DISK_FAILED:
    case DISK_MISSING:
    case DISK_EXISTS:
        strbuf_addf(why, "%s cannot be opened for writing", database->path);
        return SPOOL_FAILED;
    }
    abort();
}

/* With its name the octets of all its files would be lost. */
static enum disk_status make_directory(struct spool_database *database)
{
    bool is_old = disk_exists(database->directory);
    enum disk_status status = disk_make_directory(database->directory);

    if (status == DISK_OK) {
        status = spool_vfs_sync_parent(database->directory);
    }
    /* One that an administrator has made may stand where we may not look. */
    return is_old ? DISK_OK : status;
}

static enum spool_status open_all(struct spool_database *database, struct strbuf *why)
{
    struct spool_counters counters = {0};
    enum spool_status status;

    if (make_directory(database) != DISK_OK ||
        disk_make_directory(database->content_directory) != DISK_OK) {
        strbuf_addf(why, "the spool directory %s cannot be made", database->directory);
        return SPOOL_FAILED;
    }
    status = take_lock(database, why);
    if (status == SPOOL_OK) {
        status = open_checked(database, why);
    }
    if (status != SPOOL_OK) {
        return status;
    }
    if (disk_sync_directory(database->directory) != DISK_OK) {
        strbuf_addf(why, "the spool directory %s cannot be synced", database->directory);
        return SPOOL_FAILED;
    }
    if (!spool_schema_count(database->connection, &counters)) {
        strbuf_addf(why, "%s: %s", database->path, sqlite3_errmsg(database->connection));
        return spool_database_failure(database, sqlite3_extended_errcode(database->connection));
    }
    database->messages = counters.messages;
    database->deliveries = counters.deliveries;
    spool_content_remove_orphans(database);
    return SPOOL_OK;
}

static void release(struct spool_database *database)
{
    spool_vfs_free(&database->vfs);
    if (database->lock_handle >= 0) {
        disk_close(database->lock_handle);
    }
    pthread_mutex_destroy(&database->beside_mutex);
    pthread_mutex_destroy(&database->listing_mutex);
    free(database->directory);
    free(database->content_directory);
    free(database->path);
    free(database);
}

struct spool_database *spool_database_open(const struct spool_options *options,
                                           enum spool_status *status, struct strbuf *why)
{
    struct spool_database *database = memory_zero(sizeof(*database));

    pthread_mutex_init(&database->beside_mutex, NULL);
    pthread_mutex_init(&database->listing_mutex, NULL);
    database->lock_handle = -1;
    database->directory = join_path(options->directory, "");
    for (size_t len = strlen(options->directory); len > 0 && database->directory[len] == '/';) {
        database->directory[len--] = '\0';
    }
    database->content_directory = join_path(options->directory, "content");
    database->path = join_path(options->directory, "spool.db");
    database->free_space_floor = options->free_space_floor;
    database->vfs = spool_vfs_new();
    *status = open_all(database, why);
    if (*status != SPOOL_OK) {
        spool_vfs_freeze(database->vfs, true);
        close_connections(database, true);
        release(database);
        return NULL;
    }
    return database;
}

void spool_database_close(struct spool_database **database)
{
    if (*database == NULL) {
        return;
    }
    /* The disk did not let the log be cut, and nobody has asked since: at the next start what was
     * answered as failed would be there. */
    if ((*database)->connection == NULL && !(*database)->is_damaged) {
        spool_vfs_cut_log((*database)->vfs, (*database)->path);
    }
    close_connections(*database, (*database)->is_damaged);
    release(*database);
    *database = NULL;
}

void spool_database_reopen(struct spool_database *database)
{
    enum disk_status cut;

    if (database->is_damaged) {
        return;
    }
    if (database->connection != NULL) {
        close_connections(database, true);
        spool_vfs_forget_trouble(database->vfs);
    }
    /* Nothing is accepted until this succeeds. */
    cut = spool_vfs_cut_log(database->vfs, database->path);
    database->is_full = cut == DISK_FULL;
    if (cut != DISK_OK) {
        return;
    }
    database->connection = spool_schema_connect(database->path, spool_vfs_name(database->vfs));
    if (database->connection == NULL) {
        return;
    }
    /* On a full disk the log may have to stay: it was cut to what is synced, so it can. */
    if (!settle_log(database)) {
        spool_vfs_forget_trouble(database->vfs);
    }
    if (!make_ready(database)) {
        close_connections(database, true);
        spool_vfs_forget_trouble(database->vfs);
    }
}

/* ---- the log ---- */

uint64_t spool_database_log_size(const struct spool_database *database)
{
    return atomic_load(&database->log_pages) * SPOOL_PAGE_SIZE;
}

void spool_database_checkpoint(struct spool_database *database)
{
    int log_pages = -1, done_pages = -1;

    if (database->connection == NULL || database->is_damaged) {
        return;
    }
    sqlite3_wal_checkpoint_v2(database->connection, NULL, SQLITE_CHECKPOINT_PASSIVE, &log_pages,
                              &done_pages);
    if (spool_vfs_trouble(database->vfs) != DISK_OK) {
        spool_database_reopen(database);
    } else if (log_pages >= 0 && log_pages == done_pages) {
        atomic_store(&database->log_pages, 0);
    }
}

void spool_database_checkpoint_beside(struct spool_database *database)
{
    pthread_mutex_lock(&database->beside_mutex);
    if (!database->is_beside_stopped && database->beside == NULL) {
        database->beside = spool_schema_connect(database->path, spool_vfs_name(database->vfs));
    }
    if (database->beside != NULL) {
        sqlite3_wal_checkpoint_v2(database->beside, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                  NULL);
    }
    pthread_mutex_unlock(&database->beside_mutex);
}

struct spool_counters spool_database_count(const struct spool_database *database)
{
    return (struct spool_counters){
        .messages = atomic_load(&database->messages),
        .deliveries = atomic_load(&database->deliveries),
        .commits = atomic_load(&database->commits),
        .changes = atomic_load(&database->changes),
    };
}

const char *spool_status_text(enum spool_status status)
{
    switch (status) {
    case SPOOL_OK:
        return "ok";
    case SPOOL_FULL:
        return "full";
    case SPOOL_FAILED:
        return "failed";
    case SPOOL_GONE:
        return "gone";
    case SPOOL_DAMAGED:
        return "damaged";
    case SPOOL_LOCKED:
        return "locked";
    }
    abort();
}
