#include "history_segment.h"

#include "base/memory.h"
#include "io/disk.h"
#include "io/entropy.h"
#include "io/file_read.h"

#include <endian.h>
#include <stdlib.h>

enum { BUSY_MS = 200, READ_BUSY_MS = 1000, HASHED_MOST = 1024 };

static const char SCHEMA[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE meta(hash_key BLOB NOT NULL);"
    "CREATE TABLE event(number INTEGER PRIMARY KEY, time INTEGER NOT NULL, line TEXT NOT NULL);"
    "CREATE TABLE key(event INTEGER PRIMARY KEY, subject TEXT NOT NULL, hashes BLOB NOT NULL);"
    "PRAGMA application_id=1347643497; PRAGMA user_version=1;";

/* The log of changes is emptied early: readers copy nothing of it. It may be lost, so nothing waits
 * for the disk but the emptying. */
static const char SETTINGS[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=256;"
    "PRAGMA journal_size_limit=1048576; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY";

static const char *const SQL[SEGMENT_STATEMENTS] = {
    [SEGMENT_BEGIN] = "BEGIN IMMEDIATE",
    [SEGMENT_COMMIT] = "COMMIT",
    [SEGMENT_ADD_EVENT] = "INSERT INTO event(time, line) VALUES(?,?)",
    [SEGMENT_ADD_KEY] = "INSERT INTO key VALUES(?,?,?)",
    [SEGMENT_PAGES] = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
};

static enum segment_status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SEGMENT_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SEGMENT_BUSY;
    case SQLITE_EMPTY: /* SQLite does not use it: see check_tables */
        return SEGMENT_EMPTY;
    case SQLITE_FULL:
        return SEGMENT_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_ERROR:    /* tables that are not ours */
    case SQLITE_CANTOPEN: /* it is there, but not for us */
    case SQLITE_READONLY:
        return SEGMENT_DAMAGED;
    default:
        return SEGMENT_FAILED;
    }
}

uint64_t history_segment_hash(const struct siphash_key *hash_key, const struct history_key *key)
{
    char text[HASHED_MOST + 1];
    struct bytes value = bytes_first(key->value, HASHED_MOST);

    text[0] = (char)('a' + (int)key->kind);
    if (value.len > 0) {
        memcpy(text + 1, value.data, value.len);
    }
    return siphash(hash_key, bytes_of(text, value.len + 1));
}

/* ---- opening ---- */

static int read_number(sqlite3 *connection, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);

    *number = 0;
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            *number = sqlite3_column_int64(statement, 0);
            code = SQLITE_OK;
        }
        sqlite3_finalize(statement);
    }
    return code;
}

static int read_hash_key(struct history_segment *segment)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(segment->connection, "SELECT hash_key FROM meta", -1,
                                  &statement, NULL);

    if (code != SQLITE_OK) {
        return code;
    }
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW &&
        sqlite3_column_bytes(statement, 0) == (int)sizeof segment->hash_key) {
        memcpy(&segment->hash_key, sqlite3_column_blob(statement, 0), sizeof segment->hash_key);
        code = SQLITE_OK;
    } else if (code == SQLITE_ROW || code == SQLITE_DONE) {
        code = SQLITE_CORRUPT;
    }
    sqlite3_finalize(statement);
    return code;
}

static int create_tables(struct history_segment *segment)
{
    struct siphash_key hash_key = entropy_hash_key();
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_exec(segment->connection, SCHEMA, NULL, NULL, NULL);

    if (code == SQLITE_OK) {
        code = sqlite3_prepare_v2(segment->connection, "INSERT INTO meta VALUES(?)", -1,
                                  &statement, NULL);
    }
    if (code == SQLITE_OK) {
        sqlite3_bind_blob(statement, 1, &hash_key, (int)sizeof hash_key, SQLITE_STATIC);
        code = sqlite3_step(statement);
        sqlite3_finalize(statement);
    }
    return code == SQLITE_DONE ? sqlite3_exec(segment->connection, "COMMIT", NULL, NULL, NULL)
                               : code;
}

/* Is it a segment? An empty database becomes one when it may be written. All of a segment is made at once,
 * so that what is there with its tables is there whole. */
static int check_tables(struct history_segment *segment, bool may_write)
{
    int64_t application = 0, version = 0, tables = 0;
    int code = read_number(segment->connection, "SELECT count(*) FROM sqlite_schema", &tables);

    if (code == SQLITE_OK && tables == 0 && !may_write) {
        return SQLITE_EMPTY;
    }
    if (code == SQLITE_OK) {
        code = read_number(segment->connection, "PRAGMA application_id", &application);
    }
    if (code == SQLITE_OK) {
        code = read_number(segment->connection, "PRAGMA user_version", &version);
    }
    if (code == SQLITE_OK && tables == 0 && application == 0) {
        code = create_tables(segment);
        application = SEGMENT_APPLICATION_ID, version = SEGMENT_VERSION;
    }
    if (code == SQLITE_OK &&
        (application != SEGMENT_APPLICATION_ID || version != SEGMENT_VERSION)) {
        code = SQLITE_NOTADB;
    }
    return code == SQLITE_OK ? read_hash_key(segment) : code;
}

static int prepare_all(struct history_segment *segment)
{
    int code = SQLITE_OK;

    for (int i = 0; i < SEGMENT_STATEMENTS && code == SQLITE_OK; i++) {
        code = sqlite3_prepare_v3(segment->connection, SQL[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &segment->statements[i], NULL);
    }
    return code;
}

/* SQLite would let everybody read it. Only when it is not there: closing a file gives up all locks this
 * process has on it, those of a reader, too. */
static bool make_file(const char *path)
{
    int handle;

    if (disk_exists(path)) {
        return true;
    }
    if (disk_open(path, true, &handle) != DISK_OK) {
        return false;
    }
    disk_close(handle);
    return true;
}

static int open_file(struct history_segment *segment, const char *path, int flags, int busy_ms)
{
    struct file_stamp stamp;
    int code = sqlite3_open_v2(path, &segment->connection, flags | SQLITE_OPEN_NOMUTEX, NULL);

    segment->path = memory_alloc(strlen(path) + 1);
    memcpy(segment->path, path, strlen(path) + 1);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(segment->connection, 1);
        sqlite3_busy_timeout(segment->connection, busy_ms);
        segment->inode = file_read_stamp(path, &stamp) ? stamp.inode : 0;
    }
    return code;
}

enum segment_status history_segment_open(struct history_segment *segment, const char *path,
                                         struct strbuf *why)
{
    int code;

    *segment = (struct history_segment){.connection = NULL};
    if (!make_file(path)) {
        strbuf_addf(why, "%s cannot be made", path);
        return SEGMENT_FAILED;
    }
    code = open_file(segment, path, SQLITE_OPEN_READWRITE, BUSY_MS);
    if (code == SQLITE_OK) {
        code = sqlite3_exec(segment->connection, SETTINGS, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = check_tables(segment, true);
    }
    if (code == SQLITE_OK) {
        code = prepare_all(segment);
    }
    if (code != SQLITE_OK) {
        strbuf_addf(why, "%s: %s", path, sqlite3_errstr(code));
        history_segment_close(segment);
    }
    return status_of(code);
}

enum segment_status history_segment_open_to_read(struct history_segment *segment,
                                                 const char *path)
{
    int code;

    *segment = (struct history_segment){.connection = NULL};
    code = open_file(segment, path, SQLITE_OPEN_READONLY, READ_BUSY_MS);
    if (code == SQLITE_OK) {
        code = check_tables(segment, false);
    }
    if (code != SQLITE_OK) {
        history_segment_close(segment);
    }
    return status_of(code);
}

void history_segment_close(struct history_segment *segment)
{
    bool is_writer = segment->statements[SEGMENT_COMMIT] != NULL;

    for (int i = 0; i < SEGMENT_STATEMENTS; i++) {
        sqlite3_finalize(segment->statements[i]);
    }
    if (is_writer) {
        /* Whoever reads it later finds one file and makes none beside it. Not while somebody reads. */
        sqlite3_exec(segment->connection, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    }
    sqlite3_close(segment->connection);
    free(segment->path);
    *segment = (struct history_segment){.connection = NULL};
}

bool history_segment_is_there(const struct history_segment *segment)
{
    struct file_stamp stamp;

    return file_read_stamp(segment->path, &stamp) && stamp.inode == segment->inode;
}

uint64_t history_segment_octets(struct history_segment *segment)
{
    sqlite3_stmt *statement = segment->statements[SEGMENT_PAGES];
    uint64_t octets = sqlite3_step(statement) == SQLITE_ROW
                          ? (uint64_t)sqlite3_column_int64(statement, 0)
                          : 0;

    sqlite3_reset(statement);
    return octets;
}

/* ---- writing ---- */

static int step_once(struct history_segment *segment, enum segment_statement which)
{
    int code = sqlite3_step(segment->statements[which]);

    sqlite3_reset(segment->statements[which]);
    return code;
}

static enum segment_status take_back_unless_done(struct history_segment *segment, int code)
{
    if (code != SQLITE_DONE && !sqlite3_get_autocommit(segment->connection)) {
        sqlite3_exec(segment->connection, "ROLLBACK", NULL, NULL, NULL);
    }
    return status_of(code);
}

enum segment_status history_segment_begin(struct history_segment *segment)
{
    return take_back_unless_done(segment, step_once(segment, SEGMENT_BEGIN));
}

enum segment_status history_segment_commit(struct history_segment *segment)
{
    return take_back_unless_done(segment, step_once(segment, SEGMENT_COMMIT));
}

static int bind_text(sqlite3_stmt *statement, int place, struct bytes text)
{
    return sqlite3_bind_text64(statement, place, text.data == NULL ? "" : text.data, text.len,
                               SQLITE_STATIC, SQLITE_UTF8);
}

static int add_keys(struct history_segment *segment, const struct history_facts *facts)
{
    sqlite3_stmt *statement = segment->statements[SEGMENT_ADD_KEY];
    size_t count = facts->count < HISTORY_KEYS ? facts->count : HISTORY_KEYS;
    uint64_t hashes[HISTORY_KEYS];

    for (size_t i = 0; i < count; i++) {
        hashes[i] = htole64(history_segment_hash(&segment->hash_key, &facts->keys[i]));
    }
    sqlite3_bind_int64(statement, 1, sqlite3_last_insert_rowid(segment->connection));
    bind_text(statement, 2, count > 0 ? facts->keys[0].value : BYTES(""));
    sqlite3_bind_blob64(statement, 3, hashes, count * SEGMENT_HASH, SQLITE_STATIC);
    return step_once(segment, SEGMENT_ADD_KEY);
}

enum segment_status history_segment_add(struct history_segment *segment,
                                        const struct history_facts *facts)
{
    sqlite3_stmt *statement = segment->statements[SEGMENT_ADD_EVENT];
    int code;

    sqlite3_bind_int64(statement, 1, facts->time_ms);
    bind_text(statement, 2, facts->line);
    code = step_once(segment, SEGMENT_ADD_EVENT);
    if (code == SQLITE_DONE) {
        code = add_keys(segment, facts);
    }
    return take_back_unless_done(segment, code);
}
