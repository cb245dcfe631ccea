/*
 * One thread over one table. Everything that waits is one transaction: puts and counts first, then
 * gets, so that a get sees what was put before it.
 */
#include "io/state_store.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/file_read.h"
#include "io/spool_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    APPLICATION_ID = 0x50537461, /* "PSta" */
    VALUE_LIMIT = 64 * 1024,
    LOG_LIMIT_PAGES = 1000,
};

static const char SCHEMA[] =
    "PRAGMA journal_mode=WAL; BEGIN;"
    "CREATE TABLE IF NOT EXISTS state(key BLOB PRIMARY KEY, value BLOB NOT NULL,"
    " expires INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS expiry ON state(expires);"
    "PRAGMA application_id=1347646561; PRAGMA user_version=1; COMMIT;";

enum state_statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_HAS,
    STATEMENT_EXPIRE,
    STATEMENT_PUT,
    STATEMENT_GET,
    STATEMENT_COUNT_ALL,
    STATEMENTS,
};

static const char *const SQL[STATEMENTS] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_HAS] = "SELECT 1 FROM state WHERE key=?",
    [STATEMENT_EXPIRE] = "DELETE FROM state WHERE expires<=?",
    [STATEMENT_PUT] = ("INSERT INTO state VALUES(?1,?2,?3) ON CONFLICT(key) DO UPDATE SET"
                       " value=excluded.value, expires=max(expires, excluded.expires)"),
    [STATEMENT_GET] = "SELECT value, expires FROM state WHERE key=? AND expires>?",
    [STATEMENT_COUNT_ALL] = "SELECT count(*) FROM state",
};

enum state_task_kind { STATE_PUT, STATE_COUNT, STATE_GET };

struct state_task {
    struct state_task *next;
    enum state_task_kind kind;
    struct event_loop *loop;
    struct loop_task task;
    void *context;
    struct bytes key, value; /* put: borrowed; else key and value are ours */
    char *owned_key, *owned_value;
    int64_t expires_ms;
    bool is_spare;         /* put: half of the rows are for others */
    uint64_t count, limit; /* count */
    enum state_status status;
    void (*put_done)(void *context, enum state_status status);
    void (*get_done)(void *context, enum state_status status, struct bytes value);
    void (*count_done)(void *context, enum state_status status, uint64_t count);
};

struct state_store {
    char *path;
    size_t limit;
    struct spool_vfs *vfs;
    int lock_handle;
    sqlite3 *connection;
    sqlite3_stmt *statements[STATEMENTS];
    size_t count; /* rows, expired ones too */
    int log_pages;

    pthread_t thread;
    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t wake;
    struct state_task *first, **last;
    bool is_stopped;
};

/* ---- the database ---- */

static int step_once(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    sqlite3_reset(statement);
    return code;
}

static int bind_blob(sqlite3_stmt *statement, int place, struct bytes octets)
{
    return sqlite3_bind_blob64(statement, place, octets.data == NULL ? "" : octets.data,
                               octets.len, SQLITE_STATIC);
}

static int note_log_pages(void *context, sqlite3 *connection, const char *name, int pages)
{
    struct state_store *store = context;

    (void)connection;
    (void)name;
    store->log_pages = pages;
    return SQLITE_OK;
}

static bool count_rows(struct state_store *store)
{
    sqlite3_stmt *statement = store->statements[STATEMENT_COUNT_ALL];
    bool found = sqlite3_step(statement) == SQLITE_ROW;

    store->count = found ? (size_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return found;
}

static bool connect_store(struct state_store *store)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    if (sqlite3_open_v2(store->path, &store->connection, flags, spool_vfs_name(store->vfs)) !=
        SQLITE_OK) {
        return false;
    }
    if (sqlite3_exec(store->connection,
                     "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA "
                     "secure_delete=OFF; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-1024",
                     NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(store->connection, SCHEMA, NULL, NULL, NULL) != SQLITE_OK) {
        return false;
    }
    sqlite3_wal_hook(store->connection, note_log_pages, store);
    for (int i = 0; i < STATEMENTS; i++) {
        if (sqlite3_prepare_v3(store->connection, SQL[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK) {
            return false;
        }
    }
    return count_rows(store);
}

static void disconnect(struct state_store *store, bool keep_log)
{
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    if (keep_log && store->connection != NULL) {
        sqlite3_db_config(store->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    sqlite3_close(store->connection);
    store->connection = NULL;
}

/* After trouble, as the spool does: what was not synced did not happen. */
static bool make_ready(struct state_store *store)
{
    if (store->connection != NULL && spool_vfs_trouble(store->vfs) == DISK_OK) {
        return true;
    }
    disconnect(store, true);
    spool_vfs_forget_trouble(store->vfs);
    if (spool_vfs_cut_log(store->vfs, store->path) == DISK_OK && connect_store(store)) {
        return true;
    }
    disconnect(store, true);
    return false;
}

/* Room for a new key: expired rows go first. */
static int make_room(struct state_store *store)
{
    sqlite3_stmt *statement = store->statements[STATEMENT_EXPIRE];
    int code;

    sqlite3_bind_int64(statement, 1, clock_unix_ms());
    code = step_once(statement);
    if (code == SQLITE_DONE) {
        store->count -= (size_t)sqlite3_changes(store->connection);
    }
    return code;
}

static int put(struct state_store *store, struct state_task *task)
{
    sqlite3_stmt *has = store->statements[STATEMENT_HAS];
    sqlite3_stmt *statement = store->statements[STATEMENT_PUT];
    size_t limit = task->is_spare ? store->limit / 2 : store->limit;
    int code;
    bool is_new;

    bind_blob(has, 1, task->key);
    code = step_once(has);
    is_new = code == SQLITE_DONE;
    if (is_new && store->count >= limit) {
        code = make_room(store);
    }
    if (code != SQLITE_DONE && code != SQLITE_ROW) {
        return code;
    }
    if ((is_new && store->count >= limit) || task->value.len > VALUE_LIMIT) {
        task->status = STATE_FULL;
        return SQLITE_DONE;
    }
    bind_blob(statement, 1, task->key);
    bind_blob(statement, 2, task->value);
    sqlite3_bind_int64(statement, 3, task->expires_ms);
    code = step_once(statement);
    store->count += code == SQLITE_DONE && is_new ? 1 : 0;
    task->status = STATE_OK;
    return code;
}

/* A count is kept as a number in words; what is no number is begun anew. */
static int count_use(struct state_store *store, struct state_task *task)
{
    sqlite3_stmt *statement = store->statements[STATEMENT_GET];
    uint64_t before = 0;
    char text[24];
    int code;

    bind_blob(statement, 1, task->key);
    sqlite3_bind_int64(statement, 2, clock_unix_ms());
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        bytes_to_u64(bytes_of(sqlite3_column_blob(statement, 0),
                              (size_t)sqlite3_column_bytes(statement, 0)),
                     &before);
        task->expires_ms = sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return code;
    }
    if (before >= task->limit) {
        task->count = task->limit + 1;
        task->status = STATE_OK;
        return SQLITE_DONE;
    }
    task->count = before + 1;
    task->value = bytes_of(
        text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)task->count));
    code = put(store, task);
    task->value = BYTES("");
    return code;
}

static void put_all(struct state_store *store, struct state_task *first)
{
    int code = make_ready(store) ? step_once(store->statements[STATEMENT_BEGIN]) : SQLITE_IOERR;

    for (struct state_task *task = first; task != NULL && code == SQLITE_DONE;
         task = task->next) {
        if (task->kind == STATE_PUT) {
            code = put(store, task);
        } else if (task->kind == STATE_COUNT) {
            code = count_use(store, task);
        }
    }
    if (code == SQLITE_DONE) {
        code = step_once(store->statements[STATEMENT_COMMIT]);
    }
    if (code == SQLITE_DONE) {
        return;
    }
    if (store->connection != NULL && !sqlite3_get_autocommit(store->connection)) {
        sqlite3_exec(store->connection, "ROLLBACK", NULL, NULL, NULL);
    }
    for (struct state_task *task = first; task != NULL; task = task->next) {
        if (task->kind != STATE_GET) {
            task->status = STATE_FAILED;
        }
    }
    if (make_ready(store)) {
        count_rows(store);
    }
}

static void get(struct state_store *store, struct state_task *task)
{
    sqlite3_stmt *statement;
    int code;

    task->status = STATE_FAILED;
    if (!make_ready(store)) {
        return;
    }
    statement = store->statements[STATEMENT_GET];
    bind_blob(statement, 1, task->key);
    sqlite3_bind_int64(statement, 2, clock_unix_ms());
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        size_t size = (size_t)sqlite3_column_bytes(statement, 0);

        task->owned_value = memory_alloc(size + 1);
        if (size > 0) {
            memcpy(task->owned_value, sqlite3_column_blob(statement, 0), size);
        }
        task->value = bytes_of(task->owned_value, size);
        task->status = STATE_OK;
    } else if (code == SQLITE_DONE) {
        task->status = STATE_MISSING;
    }
    sqlite3_reset(statement);
}

/* ---- the thread ---- */

static void on_answered(void *context)
{
    struct state_task *task = context;

    switch (task->kind) {
    case STATE_PUT:
        task->put_done(task->context, task->status);
        break;
    case STATE_COUNT:
        task->count_done(task->context, task->status, task->count);
        break;
    case STATE_GET:
        task->get_done(task->context, task->status, task->value);
        break;
    }
    free(task->owned_key);
    free(task->owned_value);
    free(task);
}

static void serve(struct state_store *store, struct state_task *first)
{
    bool has_put = false;

    for (struct state_task *task = first; task != NULL; task = task->next) {
        has_put = has_put || task->kind != STATE_GET;
    }
    if (has_put) {
        put_all(store, first);
    }
    while (first != NULL) {
        struct state_task *task = first;

        first = task->next;
        if (task->kind == STATE_GET) {
            get(store, task);
        }
        task->task = (struct loop_task){.run = on_answered, .context = task};
        event_loop_post(task->loop, &task->task);
    }
    if (store->log_pages >= LOG_LIMIT_PAGES && make_ready(store)) {
        store->log_pages = 0;
        sqlite3_wal_checkpoint_v2(store->connection, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                  NULL);
    }
}

static void *run_store(void *context)
{
    struct state_store *store = context;

    for (;;) {
        struct state_task *first;

        pthread_mutex_lock(&store->mutex);
        while (store->first == NULL && !store->is_stopped) {
            pthread_cond_wait(&store->wake, &store->mutex);
        }
        first = store->first;
        store->first = NULL;
        store->last = &store->first;
        pthread_mutex_unlock(&store->mutex);
        if (first == NULL) {
            return NULL;
        }
        serve(store, first);
    }
}

static void hand_in(struct state_store *store, const struct state_task *task)
{
    struct state_task *copy = memory_alloc(sizeof(*copy));

    *copy = *task;
    pthread_mutex_lock(&store->mutex);
    *store->last = copy;
    store->last = &copy->next;
    pthread_mutex_unlock(&store->mutex);
    pthread_cond_signal(&store->wake);
}

static void begin_put(struct state_store *store, struct event_loop *loop, bool is_spare,
                      struct bytes key, struct bytes value, int64_t expires_unix_ms,
                      void (*done)(void *context, enum state_status status), void *context)
{
    struct state_task task = {.kind = STATE_PUT,
                              .loop = loop,
                              .context = context,
                              .key = key,
                              .value = value,
                              .expires_ms = expires_unix_ms,
                              .is_spare = is_spare,
                              .put_done = done};

    hand_in(store, &task);
}

void state_store_put(struct state_store *store, struct event_loop *loop, struct bytes key,
                     struct bytes value, int64_t expires_unix_ms,
                     void (*done)(void *context, enum state_status status), void *context)
{
    begin_put(store, loop, false, key, value, expires_unix_ms, done, context);
}

void state_store_remember(struct state_store *store, struct event_loop *loop, struct bytes key,
                          struct bytes value, int64_t expires_unix_ms,
                          void (*done)(void *context, enum state_status status), void *context)
{
    begin_put(store, loop, true, key, value, expires_unix_ms, done, context);
}

static void own_key(struct state_task *task, struct bytes key)
{
    task->owned_key = memory_alloc(key.len + 1);
    if (key.len > 0) {
        memcpy(task->owned_key, key.data, key.len);
    }
    task->key = bytes_of(task->owned_key, key.len);
}

void state_store_get(struct state_store *store, struct event_loop *loop, struct bytes key,
                     void (*done)(void *context, enum state_status status, struct bytes value),
                     void *context)
{
    struct state_task task = {
        .kind = STATE_GET, .loop = loop, .context = context, .get_done = done};

    own_key(&task, key);
    hand_in(store, &task);
}

void state_store_count(struct state_store *store, struct event_loop *loop, struct bytes key,
                       uint64_t limit, int64_t expires_unix_ms,
                       void (*done)(void *context, enum state_status status, uint64_t count),
                       void *context)
{
    struct state_task task = {.kind = STATE_COUNT,
                              .loop = loop,
                              .context = context,
                              .expires_ms = expires_unix_ms,
                              .limit = limit,
                              .count_done = done};

    own_key(&task, key);
    hand_in(store, &task);
}

/* ---- opening and closing ---- */

static void release(struct state_store *store, bool keep_log)
{
    disconnect(store, keep_log);
    spool_vfs_free(&store->vfs);
    if (store->lock_handle >= 0) {
        disk_close(store->lock_handle);
    }
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
    free(store->path);
    free(store);
}

static bool open_store(struct state_store *store, const char *directory, struct strbuf *why)
{
    enum disk_status status = disk_make_directory(directory);

    if (status == DISK_OK) {
        status = disk_lock(store->path, &store->lock_handle);
    }
    if (status != DISK_OK) {
        strbuf_addf(why, "%s %s", store->path,
                    status == DISK_LOCKED ? "is in use by another process"
                                          : "cannot be opened for writing");
        return false;
    }
    if (!connect_store(store)) {
        strbuf_addf(why, "%s: %s (it may be deleted without losing mail)", store->path,
                    sqlite3_errmsg(store->connection));
        return false;
    }
    return true;
}

static struct state_store *new_store(const char *directory, size_t entries)
{
    struct state_store *store = memory_zero(sizeof(*store));
    size_t size = strlen(directory) + sizeof("/state.db");

    store->path = memory_alloc(size);
    snprintf(store->path, size, "%s/state.db", directory);
    store->limit = entries;
    store->lock_handle = -1;
    store->last = &store->first;
    store->vfs = spool_vfs_new();
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->wake, NULL);
    return store;
}

struct state_store *state_store_open(const char *directory, size_t entries, struct strbuf *why)
{
    struct state_store *store = new_store(directory, entries);

    if (!open_store(store, directory, why)) {
        release(store, true);
        return NULL;
    }
    if (pthread_create(&store->thread, NULL, run_store, store) != 0) {
        abort(); /* as for memory: there is no way to go on */
    }
    return store;
}

enum state_status state_store_read(const char *directory, struct bytes key,
                                   struct strbuf *value, struct strbuf *why)
{
    struct state_store *store = new_store(directory, 0);
    struct state_task task = {.key = key, .status = STATE_MISSING};

    if (file_exists(store->path)) {
        task.status = STATE_FAILED;
        if (open_store(store, directory, why)) {
            get(store, &task);
        }
    }
    if (task.status == STATE_OK) {
        strbuf_add(value, task.value);
    } else if (task.status == STATE_FAILED && why->len == 0) {
        strbuf_addf(why, "%s cannot be read", store->path);
    }
    free(task.owned_value);
    release(store, true);
    return task.status;
}

void state_store_close(struct state_store **store)
{
    struct state_store *old = *store;

    if (old == NULL) {
        return;
    }
    pthread_mutex_lock(&old->mutex);
    old->is_stopped = true;
    pthread_mutex_unlock(&old->mutex);
    pthread_cond_signal(&old->wake);
    pthread_join(old->thread, NULL);
    release(old, false);
    *store = NULL;
}
