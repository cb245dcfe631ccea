/*
 * Long readings for operators, over a connection of their own: they see the state of one moment, and
 * neither wait for commits nor make them wait. While one is open the log cannot begin anew.
 */
#include "spool_internal.h"

#include "base/memory.h"

#include <stdlib.h>

static const char READ_ALL[] = "SELECT " SPOOL_DELIVERY_COLUMNS " FROM delivery NOT INDEXED"
                               " WHERE (message, number) > (?1, ?2) ORDER BY message, number";
/* What is held is little beside a backlog: sorting it is cheaper than looking at all. */
static const char READ_HELD[] =
    "SELECT " SPOOL_DELIVERY_COLUMNS " FROM delivery INDEXED BY held"
    " WHERE state>0 AND (message, number) > (?1, ?2) ORDER BY message, number";
static const char READ_SIZE[] = "SELECT size FROM message WHERE id=?";
static const char READ_AGES[] =
    "SELECT destination, state, created FROM delivery INDEXED BY due"
    " WHERE destination > ? ORDER BY destination";
static const char READ_HELD_COUNT[] = "SELECT count(*) FROM delivery WHERE state>0";
static const char READ_OLDEST[] = "SELECT created FROM delivery ORDER BY message LIMIT 1";
static const char READ_SETTINGS[] = "SELECT name, value FROM setting ORDER BY name";

/* Locks the connection; NULL: there is none now, and nothing is locked. */
static sqlite3 *take(struct spool_database *database)
{
    pthread_mutex_lock(&database->listing_mutex);
    if (!database->is_listing_stopped && database->listing == NULL) {
        database->listing = spool_schema_connect(database->path, spool_vfs_name(database->vfs));
    }
    if (database->listing == NULL) {
        pthread_mutex_unlock(&database->listing_mutex);
    }
    return database->listing;
}

static void give_back(struct spool_database *database)
{
    pthread_mutex_unlock(&database->listing_mutex);
}

/* The writer will find out for itself what is wrong. */
static enum spool_status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SPOOL_OK;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SPOOL_DAMAGED;
    default:
        return SPOOL_FAILED;
    }
}

static bool prepare(sqlite3 *connection, const char *sql, sqlite3_stmt **statement)
{
    return sqlite3_prepare_v2(connection, sql, -1, statement, NULL) == SQLITE_OK;
}

static uint64_t size_of(sqlite3_stmt *statement, uint64_t id)
{
    uint64_t size = 0;

    sqlite3_bind_int64(statement, 1, spool_row_of_id(id));
    if (sqlite3_step(statement) == SQLITE_ROW) {
        size = (uint64_t)sqlite3_column_int64(statement, 0);
    }
    sqlite3_reset(statement);
    return size;
}

static int list_rows(sqlite3_stmt *statement, sqlite3_stmt *sizes,
                     const struct spool_filter *filter, size_t limit,
                     struct spool_row_list *list)
{
    int code = SQLITE_DONE;

    while (list->count < limit && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct spool_delivery row = spool_row_of(statement);

        if (filter != NULL && filter->matches != NULL &&
            !filter->matches(filter->context, &row)) {
            continue;
        }
        row.content_size = size_of(sizes, row.message);
        spool_row_list_add(list, &row);
    }
    return code;
}

enum spool_status spool_database_read_all(struct spool_database *database, struct arena *arena,
                                          const struct spool_filter *filter,
                                          const struct spool_position *after, size_t limit,
                                          struct spool_delivery **rows, size_t *count)
{
    bool is_held_only = filter != NULL && filter->held_only;
    struct spool_row_list list = {.arena = arena};
    sqlite3_stmt *statement = NULL, *sizes = NULL;
    sqlite3 *connection = take(database);
    enum spool_status status = SPOOL_FAILED;

    *rows = NULL;
    *count = 0;
    if (connection == NULL) {
        return SPOOL_FAILED;
    }
    if (prepare(connection, is_held_only ? READ_HELD : READ_ALL, &statement) &&
        prepare(connection, READ_SIZE, &sizes)) {
        sqlite3_bind_int64(statement, 1, spool_row_of_id(after->message));
        sqlite3_bind_int64(statement, 2, after->number);
        status = status_of(list_rows(statement, sizes, filter, limit, &list));
    } else {
        status = status_of(sqlite3_extended_errcode(connection));
    }
    sqlite3_finalize(statement);
    sqlite3_finalize(sizes);
    give_back(database);
    if (status == SPOOL_OK) {
        *rows = list.rows;
        *count = list.count;
    }
    return status;
}

static void count_age(struct spool_age *age, bool is_held, int64_t age_ms)
{
    size_t place = 0;

    if (is_held) {
        age->held++;
        return;
    }
    while (place < SPOOL_AGES - 1 && age_ms > (int64_t)SPOOL_AGE_FIRST_MS << place) {
        place++;
    }
    age->due[place]++;
}

/* The index is in the order of destinations, so each is complete when the next begins. */
static int count_ages(sqlite3_stmt *statement, struct arena *arena, int64_t now_ms,
                      size_t limit, struct spool_age *rows, size_t *count)
{
    int code;

    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct bytes destination = spool_column(statement, 0);

        if (*count == 0 || !bytes_equal(rows[*count - 1].destination, destination)) {
            if (*count == limit) {
                return SQLITE_DONE;
            }
            rows[*count] = (struct spool_age){.destination = arena_copy(arena, destination)};
            ++*count;
        }
        count_age(&rows[*count - 1], sqlite3_column_int(statement, 1) != SPOOL_DUE,
                  now_ms - sqlite3_column_int64(statement, 2));
    }
    return code;
}

enum spool_status spool_database_read_ages(struct spool_database *database, struct arena *arena,
                                           struct bytes after, int64_t now_ms, size_t limit,
                                           struct spool_age **rows, size_t *count)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *connection = take(database);
    int code;

    *count = 0;
    *rows = arena_alloc(arena, limit * sizeof(**rows));
    if (connection == NULL) {
        return SPOOL_FAILED;
    }
    if (prepare(connection, READ_AGES, &statement)) {
        sqlite3_bind_text(statement, 1, after.data == NULL ? "" : after.data, (int)after.len,
                          SQLITE_STATIC);
        code = count_ages(statement, arena, now_ms, limit, *rows, count);
    } else {
        code = sqlite3_extended_errcode(connection);
    }
    sqlite3_finalize(statement);
    give_back(database);
    return status_of(code);
}

static int read_number(sqlite3 *connection, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    int code;

    *number = 0;
    if (!prepare(connection, sql, &statement)) {
        return sqlite3_extended_errcode(connection);
    }
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return code;
}

static int read_settings(sqlite3 *connection, struct arena *arena,
                         struct spool_summary *summary)
{
    struct spool_setting *settings = NULL;
    size_t capacity = 0, count = 0;
    sqlite3_stmt *statement = NULL;
    int code;

    if (!prepare(connection, READ_SETTINGS, &statement)) {
        return sqlite3_extended_errcode(connection);
    }
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (count == capacity) {
            struct spool_setting *before = settings;

            capacity = capacity * 2 + 8;
            settings = arena_alloc(arena, capacity * sizeof(*settings));
            if (count > 0) {
                memcpy(settings, before, count * sizeof(*settings));
            }
        }
        settings[count++] =
            (struct spool_setting){arena_copy(arena, spool_column(statement, 0)),
                                   arena_copy(arena, spool_column(statement, 1))};
    }
    sqlite3_finalize(statement);
    summary->settings = settings;
    summary->setting_count = count;
    return code;
}

enum spool_status spool_database_read_summary(struct spool_database *database,
                                              struct arena *arena,
                                              struct spool_summary *summary)
{
    sqlite3 *connection = take(database);
    enum spool_status status;
    int64_t held = 0;

    *summary = (struct spool_summary){0};
    if (connection == NULL) {
        return SPOOL_FAILED;
    }
    status = status_of(read_number(connection, READ_HELD_COUNT, &held));
    summary->held = (uint64_t)held;
    if (status == SPOOL_OK) {
        status = status_of(read_number(connection, READ_OLDEST, &summary->created_ms));
    }
    if (status == SPOOL_OK) {
        status = status_of(read_settings(connection, arena, summary));
    }
    give_back(database);
    return status;
}
