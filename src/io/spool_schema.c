#include "spool_schema.h"

#include <stdio.h>

enum {
    APPLICATION_ID = 0x506f7374, /* "Post" */
    SCHEMA_VERSION = 2,
    /* A full check reads every page: seconds for a large queue, which then waits for an
     * operator or for the first page that makes no sense. */
    FULL_CHECK_LIMIT = 256 * 1024 * 1024,
};

/*
 * Ids are stored with their top bit turned over, so that signed rows sort as unsigned ids do.
 * Times are unix milliseconds. `state` is enum spool_state. The index serves both readers of
 * what is due, as it goes on with the primary key, in the exact order they page by; its last
 * column lets the ages of a whole queue be counted without a look at the rows.
 */
#define SINCE_VERSION_2                                                                        \
    "CREATE INDEX due ON delivery(destination, state, next_attempt, message, number, "         \
    "created);"                                                                                \
    "CREATE INDEX held ON delivery(created, message, number) WHERE state>0;"                   \
    "CREATE TABLE attempt("                                                                    \
    " message INTEGER NOT NULL, number INTEGER NOT NULL, sequence INTEGER NOT NULL,"           \
    " at INTEGER NOT NULL, host TEXT NOT NULL, reply TEXT NOT NULL,"                           \
    " PRIMARY KEY(message, number, sequence)) WITHOUT ROWID;"                                  \
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"

static const char SCHEMA[] =
    "BEGIN;"
    "CREATE TABLE message("
    " id INTEGER PRIMARY KEY, created INTEGER NOT NULL, size INTEGER NOT NULL,"
    " is_file INTEGER NOT NULL, checksum INTEGER NOT NULL,"
    " envelope BLOB NOT NULL, prefix BLOB NOT NULL, content BLOB);"
    "CREATE TABLE delivery("
    " message INTEGER NOT NULL, number INTEGER NOT NULL, state INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, next_attempt INTEGER NOT NULL, created INTEGER NOT NULL,"
    " destination TEXT NOT NULL, recipient TEXT NOT NULL, alias TEXT NOT NULL,"
    " sender TEXT NOT NULL, last_reply TEXT NOT NULL,"
    " notify INTEGER NOT NULL DEFAULT 0, orcpt TEXT NOT NULL DEFAULT '',"
    " fallback TEXT NOT NULL DEFAULT '', warned INTEGER NOT NULL DEFAULT 0,"
    " given_up INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY(message, number)) WITHOUT ROWID;" SINCE_VERSION_2
    "PRAGMA application_id=1349481332;"
    "PRAGMA user_version=2;"
    "COMMIT;";

/* From the version that is the index to the next: new columns come last, as in SCHEMA. */
static const char *const UPGRADES[SCHEMA_VERSION] = {
    [1] = "BEGIN IMMEDIATE;"
          "ALTER TABLE delivery ADD COLUMN notify INTEGER NOT NULL DEFAULT 0;"
          "ALTER TABLE delivery ADD COLUMN orcpt TEXT NOT NULL DEFAULT '';"
          "ALTER TABLE delivery ADD COLUMN fallback TEXT NOT NULL DEFAULT '';"
          "ALTER TABLE delivery ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;"
          "ALTER TABLE delivery ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;"
          "DROP INDEX due;" SINCE_VERSION_2 "PRAGMA user_version=2;"
          "COMMIT;",
};

static const char *const STATEMENTS[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ADD_MESSAGE] = "INSERT INTO message VALUES(?,?,?,?,?,?,?,?)",
    [STATEMENT_ADD_DELIVERY] = "INSERT INTO delivery VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [STATEMENT_HAS_DELIVERY] =
        ("SELECT 1 FROM delivery WHERE message=? AND number>=? AND number<=?"
         " LIMIT 1"),
    [STATEMENT_HAS_MESSAGE] = "SELECT is_file FROM message WHERE id=?",
    [STATEMENT_CLOSE] =
        "DELETE FROM delivery WHERE message=?1 AND number=?2 AND (state=2 OR NOT ?3)",
    /* What an operator has held meanwhile stays held; what is given up waits for no attempt. */
    [STATEMENT_UPDATE] = ("UPDATE delivery SET state=max(state, ?3), attempts=?4,"
                          " next_attempt=iif(given_up, min(next_attempt, ?5), ?5),"
                          " destination=?6, last_reply=?7, warned=max(warned, ?8)"
                          " WHERE message=?1 AND number=?2"),
    [STATEMENT_REDIRECT] = ("UPDATE delivery SET recipient=?3, sender=?4, fallback=?5"
                            " WHERE message=?1 AND number=?2"),
    [STATEMENT_TAKE_FALLBACK] = "UPDATE delivery SET fallback='" SPOOL_FALLBACK_TAKEN
                                "' WHERE message=?1 AND fallback=?2",
    [STATEMENT_IS_FALLBACK_TAKEN] = ("SELECT 1 FROM delivery WHERE message=?1 AND number=?2"
                                     " AND fallback='" SPOOL_FALLBACK_TAKEN "'"),
    [STATEMENT_ADD_ATTEMPT] =
        ("INSERT INTO attempt SELECT ?1, ?2, coalesce(max(sequence), 0)+1, ?3, ?4, ?5"
         " FROM attempt WHERE message=?1 AND number=?2"),
    [STATEMENT_TRIM_ATTEMPTS] =
        ("DELETE FROM attempt WHERE message=?1 AND number=?2 AND sequence <="
         " (SELECT max(sequence) FROM attempt WHERE message=?1 AND number=?2) - ?3"),
    [STATEMENT_DELETE_ATTEMPTS] =
        "DELETE FROM attempt WHERE message=?1 AND number>=?2 AND number<=?3",
    [STATEMENT_READ_ATTEMPTS] = ("SELECT number, at, host, reply FROM attempt WHERE message=?1"
                                 " ORDER BY number, sequence"),
    [STATEMENT_DELETE_DELIVERIES] = "DELETE FROM delivery WHERE message=?",
    [STATEMENT_DELETE_MESSAGE] = "DELETE FROM message WHERE id=?",
    [STATEMENT_RETRY] = ("UPDATE delivery SET state=0, next_attempt=?4,"
                         " given_up=given_up AND state=0"
                         " WHERE message=?1 AND number>=?2 AND number<=?3 AND (state=0 OR ?5)"),
    [STATEMENT_HOLD] = ("UPDATE delivery SET state=1, last_reply=?4"
                        " WHERE message=?1 AND number>=?2 AND number<=?3 AND state=0"),
    [STATEMENT_RELEASE] = ("UPDATE delivery SET state=0, next_attempt=?4, given_up=0"
                           " WHERE message=?1 AND number>=?2 AND number<=?3 AND state>0"),
    [STATEMENT_GIVE_UP] = ("UPDATE delivery SET state=0, next_attempt=?4, given_up=1"
                           " WHERE message=?1 AND number>=?2 AND number<=?3"),
    [STATEMENT_SET] = "INSERT OR REPLACE INTO setting VALUES(?,?)",
    [STATEMENT_UNSET] = "DELETE FROM setting WHERE name=?",
    [STATEMENT_RETRY_DESTINATION] =
        "UPDATE delivery SET next_attempt=?2 WHERE destination=?1 AND state=0",
    [STATEMENT_NEXT_DESTINATION] =
        ("SELECT destination, state, next_attempt FROM delivery INDEXED BY due"
         " WHERE (destination, state) > (?1, ?2)"
         " ORDER BY destination, state, next_attempt LIMIT 1"),
    [STATEMENT_READ_DUE] = ("SELECT " SPOOL_DELIVERY_COLUMNS " FROM delivery INDEXED BY due"
                            " WHERE destination=?1 AND state=0"
                            " AND (next_attempt, message, number) > (?2, ?3, ?4)"
                            " AND next_attempt < ?5"
                            " ORDER BY next_attempt, message, number LIMIT ?6"),
    [STATEMENT_READ_UNBOUNCED] =
        ("SELECT " SPOOL_DELIVERY_COLUMNS " FROM delivery INDEXED BY held"
         " WHERE state>0 AND state=2 AND created<?1 AND next_attempt<?1"
         " ORDER BY created, message, number LIMIT ?2"),
    [STATEMENT_READ_MESSAGE] =
        ("SELECT created, size, is_file, checksum, envelope, prefix, content"
         " FROM message WHERE id=?"),
    [STATEMENT_READ_DELIVERIES] =
        ("SELECT " SPOOL_DELIVERY_COLUMNS " FROM delivery WHERE message=?"
         " ORDER BY number"),
};

/* The first column of the first row; `otherwise` when that fails or there is none. */
static int64_t query_number(sqlite3 *connection, const char *sql, int64_t otherwise, int *code)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = otherwise;

    *code = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    if (*code == SQLITE_OK) {
        *code = sqlite3_step(statement);
    }
    if (*code == SQLITE_ROW) {
        number = sqlite3_column_int64(statement, 0);
        *code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return number;
}

sqlite3 *spool_schema_connect(const char *path, const char *vfs_name)
{
    /* secure_delete: Debian's build would overwrite, log and sync what is deleted. */
    static const char SETTINGS[] = "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                                   "PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY;"
                                   "PRAGMA cache_size=-8192; PRAGMA cell_size_check=ON;"
                                   "PRAGMA journal_size_limit=67108864;"
                                   "PRAGMA trusted_schema=OFF; PRAGMA mmap_size=0";
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    sqlite3 *connection = NULL;

    if (sqlite3_open_v2(path, &connection, flags, vfs_name) != SQLITE_OK) {
        sqlite3_close(connection);
        return NULL;
    }
    sqlite3_extended_result_codes(connection, 1);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_exec(connection, SETTINGS, NULL, NULL, NULL);
    return connection;
}

static enum spool_status check_is_whole(sqlite3 *connection, struct strbuf *why)
{
    sqlite3_stmt *statement = NULL;
    enum spool_status status = SPOOL_OK;
    const char *text;
    int code;
    int64_t pages = query_number(connection, "PRAGMA page_count", 0, &code);
    int64_t size = query_number(connection, "PRAGMA page_size", 0, &code);

    if (pages * size > FULL_CHECK_LIMIT) {
        return SPOOL_OK;
    }
    code = sqlite3_prepare_v2(connection, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    if (code != SQLITE_ROW) {
        strbuf_addf(why, "the spool's database cannot be checked: %s",
                    sqlite3_errmsg(connection));
        status = (code & 0xff) == SQLITE_CORRUPT ? SPOOL_DAMAGED : SPOOL_FAILED;
    } else {
        text = (const char *)sqlite3_column_text(statement, 0);
        if (text == NULL || strcmp(text, "ok") != 0) {
            strbuf_addf(why, "the spool's database is damaged: %s", text == NULL ? "" : text);
            status = SPOOL_DAMAGED;
        }
    }
    sqlite3_finalize(statement);
    return status;
}

enum spool_status spool_schema_check(sqlite3 *connection, bool *is_new, struct strbuf *why)
{
    int code;
    int64_t tables = query_number(connection, "SELECT count(*) FROM sqlite_schema", -1, &code);
    int64_t application, version;

    *is_new = false;
    if (tables < 0) {
        bool is_damage = (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;

        strbuf_addf(why, "the spool's database cannot be read: %s", sqlite3_errmsg(connection));
        return is_damage ? SPOOL_DAMAGED : SPOOL_FAILED;
    }
    application = query_number(connection, "PRAGMA application_id", 0, &code);
    version = query_number(connection, "PRAGMA user_version", 0, &code);
    if (tables == 0 && version == 0 && application == 0) {
        *is_new = true;
        return SPOOL_OK;
    }
    if (application != APPLICATION_ID) {
        strbuf_add_text(why, "spool.db is a database, but not a spool of this program");
        return SPOOL_DAMAGED;
    }
    if (version > SCHEMA_VERSION) {
        strbuf_addf(
            why,
            "the spool has schema version %lld, this program knows versions up to %d: it "
            "was written by a newer release",
            (long long)version, SCHEMA_VERSION);
        return SPOOL_FAILED;
    }
    return check_is_whole(connection, why);
}

static bool run(sqlite3 *connection, const char *sql)
{
    return sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK;
}

bool spool_schema_create(sqlite3 *connection)
{
    char page_size[40];

    snprintf(page_size, sizeof(page_size), "PRAGMA page_size=%d", SPOOL_PAGE_SIZE);
    /* In this order: the journal mode is kept in the file, and fixes the page size. */
    return run(connection, page_size) && run(connection, "PRAGMA journal_mode=WAL") &&
           run(connection, SCHEMA);
}

bool spool_schema_upgrade(sqlite3 *connection)
{
    int code;
    int64_t version = query_number(connection, "PRAGMA user_version", 0, &code);

    while (code == SQLITE_OK && version > 0 && version < SCHEMA_VERSION) {
        if (!run(connection, UPGRADES[version])) {
            return false; /* and the connection is closed, which rolls it back */
        }
        version++;
    }
    return code == SQLITE_OK;
}

bool spool_schema_prepare(sqlite3 *connection, sqlite3_stmt *statements[STATEMENT_COUNT])
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(connection, STATEMENTS[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &statements[i], NULL) != SQLITE_OK) {
            return false;
        }
    }
    return true;
}

void spool_schema_finalize(sqlite3_stmt *statements[STATEMENT_COUNT])
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

bool spool_schema_count(sqlite3 *connection, struct spool_counters *counters)
{
    int code, second_code;

    /* By the narrow table: counting messages themselves would read all their content. */
    counters->deliveries =
        (uint64_t)query_number(connection, "SELECT count(*) FROM delivery", 0, &code);
    counters->messages = (uint64_t)query_number(
        connection,
        "SELECT count(*) FROM (SELECT message FROM delivery NOT INDEXED GROUP BY message)", 0,
        &second_code);
    return code == SQLITE_OK && second_code == SQLITE_OK;
}

uint64_t spool_schema_free_octets(sqlite3 *connection)
{
    int code = SQLITE_OK;
    int64_t pages =
        connection == NULL ? 0 : query_number(connection, "PRAGMA freelist_count", 0, &code);

    return code == SQLITE_OK && pages > 0 ? (uint64_t)pages * SPOOL_PAGE_SIZE : 0;
}
