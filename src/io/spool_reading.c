/*
 * Reading: rows into an arena, content into an object of its own.
 */
#include "spool_internal.h"

#include "base/memory.h"

#include <stdlib.h>

static enum spool_status check_readable(struct spool_database *database)
{
    if (database->is_damaged) {
        return SPOOL_DAMAGED;
    }
    if (database->connection == NULL) {
        spool_database_reopen(database);
    }
    return database->connection == NULL ? SPOOL_FAILED : SPOOL_OK;
}

struct bytes spool_column(sqlite3_stmt *statement, int place)
{
    const void *data = sqlite3_column_blob(statement, place);

    return bytes_of(data, (size_t)sqlite3_column_bytes(statement, place));
}

/* What a newer version may know beside ours is held in any case. */
static enum spool_state state_of_column(int value)
{
    return value == SPOOL_DUE         ? SPOOL_DUE
           : value == SPOOL_UNBOUNCED ? SPOOL_UNBOUNCED
                                      : SPOOL_HELD;
}

struct spool_delivery spool_row_of(sqlite3_stmt *statement)
{
    return (struct spool_delivery){
        .message = spool_id_of_row(sqlite3_column_int64(statement, 0)),
        .number = (uint32_t)sqlite3_column_int64(statement, 1),
        .state = state_of_column(sqlite3_column_int(statement, 2)),
        .attempts = (uint32_t)sqlite3_column_int64(statement, 3),
        .next_attempt_ms = sqlite3_column_int64(statement, 4),
        .created_ms = sqlite3_column_int64(statement, 5),
        .destination = spool_column(statement, 6),
        .recipient = spool_column(statement, 7),
        .alias = spool_column(statement, 8),
        .sender = spool_column(statement, 9),
        .last_reply = spool_column(statement, 10),
        .notify = (unsigned)sqlite3_column_int64(statement, 11),
        .orcpt = spool_column(statement, 12),
        .fallback = spool_column(statement, 13),
        .is_warned = sqlite3_column_int(statement, 14) != 0,
        .is_given_up = sqlite3_column_int(statement, 15) != 0,
    };
}

struct spool_delivery *spool_row_list_add(struct spool_row_list *list,
                                          const struct spool_delivery *row)
{
    struct spool_delivery *copy;

    if (list->count == list->capacity) {
        /* Doubled by copying: the arena takes nothing back, and lists are short. */
        size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        struct spool_delivery *rows = arena_alloc(list->arena, capacity * sizeof(*rows));

        if (list->count > 0) {
            memcpy(rows, list->rows, list->count * sizeof(*rows));
        }
        list->rows = rows;
        list->capacity = capacity;
    }
    copy = &list->rows[list->count++];
    *copy = *row;
    copy->destination = arena_copy(list->arena, row->destination);
    copy->recipient = arena_copy(list->arena, row->recipient);
    copy->alias = arena_copy(list->arena, row->alias);
    copy->sender = arena_copy(list->arena, row->sender);
    copy->last_reply = arena_copy(list->arena, row->last_reply);
    copy->orcpt = arena_copy(list->arena, row->orcpt);
    copy->fallback = arena_copy(list->arena, row->fallback);
    return copy;
}

static enum spool_status keep_rows(struct spool_database *database, sqlite3_stmt *statement,
                                   struct arena *arena, struct spool_delivery **rows,
                                   size_t *count)
{
    struct spool_row_list list = {.arena = arena};
    int code;

    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct spool_delivery row = spool_row_of(statement);

        spool_row_list_add(&list, &row);
    }
    sqlite3_reset(statement);
    *rows = list.rows;
    *count = list.count;
    return code == SQLITE_DONE ? SPOOL_OK : spool_database_failure(database, code);
}

static int bind_text(sqlite3_stmt *statement, int place, struct bytes text)
{
    return sqlite3_bind_text(statement, place, text.data == NULL ? "" : text.data,
                             (int)text.len, SQLITE_STATIC);
}

enum spool_status spool_database_read_due(struct spool_database *database, struct arena *arena,
                                          struct bytes destination,
                                          const struct spool_position *after, int64_t until_ms,
                                          size_t limit, struct spool_delivery **rows,
                                          size_t *count)
{
    enum spool_status status = check_readable(database);
    sqlite3_stmt *statement = database->statements[STATEMENT_READ_DUE];

    *rows = NULL;
    *count = 0;
    if (status != SPOOL_OK) {
        return status;
    }
    bind_text(statement, 1, destination);
    sqlite3_bind_int64(statement, 2, after->next_attempt_ms);
    sqlite3_bind_int64(statement, 3, spool_row_of_id(after->message));
    sqlite3_bind_int64(statement, 4, after->number);
    sqlite3_bind_int64(statement, 5, until_ms);
    sqlite3_bind_int64(statement, 6, (int64_t)limit);
    return keep_rows(database, statement, arena, rows, count);
}

enum spool_status spool_database_read_unbounced(struct spool_database *database,
                                                struct arena *arena, int64_t until_ms,
                                                size_t limit, struct spool_delivery **rows,
                                                size_t *count)
{
    enum spool_status status = check_readable(database);
    sqlite3_stmt *statement = database->statements[STATEMENT_READ_UNBOUNCED];

    *rows = NULL;
    *count = 0;
    if (status != SPOOL_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, until_ms);
    sqlite3_bind_int64(statement, 2, (int64_t)limit);
    return keep_rows(database, statement, arena, rows, count);
}

/*
 * One seek a destination: the first row behind (destination, state). What is due sorts before
 * what is held, so the first row of a destination tells when its next attempt is, if there is
 * one.
 */
enum spool_status spool_database_read_destinations(struct spool_database *database,
                                                   struct arena *arena, struct bytes after,
                                                   int64_t until_ms, size_t limit,
                                                   struct spool_destination **rows,
                                                   size_t *count)
{
    enum spool_status status = check_readable(database);
    sqlite3_stmt *statement = database->statements[STATEMENT_NEXT_DESTINATION];
    int64_t after_state = after.len == 0 ? -1 : INT64_MAX;
    int code = SQLITE_ROW;

    *count = 0;
    *rows = NULL;
    if (status != SPOOL_OK) {
        return status;
    }
    *rows = arena_alloc(arena, limit * sizeof(**rows));
    while (*count < limit) {
        int64_t earliest_ms;

        bind_text(statement, 1, after);
        sqlite3_bind_int64(statement, 2, after_state);
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW) {
            break;
        }
        after = arena_copy(arena, spool_column(statement, 0));
        after_state = INT64_MAX;
        earliest_ms = sqlite3_column_int64(statement, 2);
        if (sqlite3_column_int(statement, 1) == SPOOL_DUE && earliest_ms < until_ms) {
            (*rows)[(*count)++] = (struct spool_destination){after, earliest_ms};
        }
        sqlite3_reset(statement);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SPOOL_OK
                                                     : spool_database_failure(database, code);
}

/* *content NULL: there is no such file, or not all of it. */
static enum spool_status open_content(const struct spool_database *database, uint64_t id,
                                      uint64_t size, struct content **content)
{
    char *path = spool_content_path(database, id);
    enum disk_status status;
    uint64_t found = 0;
    int handle;

    status = disk_open(path, false, &handle);
    free(path);
    if (status != DISK_OK) {
        return status == DISK_MISSING ? SPOOL_OK : SPOOL_FAILED; /* no descriptor left, say */
    }
    status = disk_size(handle, &found);
    if (status != DISK_OK || found != size) {
        disk_close(handle);
        return status == DISK_OK ? SPOOL_OK : SPOOL_FAILED;
    }
    *content = content_from_file(handle, size);
    return SPOOL_OK;
}

static enum spool_status keep_message(struct spool_database *database, sqlite3_stmt *statement,
                                      struct arena *arena, bool with_content,
                                      struct spool_message *message)
{
    bool is_file = sqlite3_column_int(statement, 2) != 0;
    uint64_t checksum = (uint64_t)sqlite3_column_int64(statement, 3);
    struct bytes content;

    message->created_ms = sqlite3_column_int64(statement, 0);
    message->content_size = (uint64_t)sqlite3_column_int64(statement, 1);
    message->envelope = arena_copy(arena, spool_column(statement, 4));
    message->prefix = arena_copy(arena, spool_column(statement, 5));
    if (!with_content) {
        return SPOOL_OK;
    }
    content = spool_column(statement, 6);
    if (checksum != spool_content_checksum(message, content)) {
        return spool_database_failure(database, SQLITE_CORRUPT);
    }
    if (is_file) {
        return open_content(database, message->id, message->content_size, &message->content);
    }
    message->content = content_from_bytes(content);
    return SPOOL_OK;
}

static enum spool_status keep_attempts(struct spool_database *database, struct arena *arena,
                                       size_t deliveries, struct spool_message *message)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_READ_ATTEMPTS];
    size_t limit = deliveries * SPOOL_ATTEMPTS, count = 0;
    struct spool_attempt *attempts = arena_alloc(arena, limit * sizeof(*attempts) + 1);
    int code;

    sqlite3_bind_int64(statement, 1, spool_row_of_id(message->id));
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && count < limit) {
        attempts[count++] = (struct spool_attempt){
            .number = (uint32_t)sqlite3_column_int64(statement, 0),
            .at_ms = sqlite3_column_int64(statement, 1),
            .host = arena_copy(arena, spool_column(statement, 2)),
            .reply = arena_copy(arena, spool_column(statement, 3)),
        };
    }
    sqlite3_reset(statement);
    message->attempts = attempts;
    message->attempt_count = count;
    return code == SQLITE_DONE || code == SQLITE_ROW ? SPOOL_OK
                                                     : spool_database_failure(database, code);
}

enum spool_status spool_database_read_message(struct spool_database *database,
                                              struct arena *arena, uint64_t id,
                                              bool with_content, struct spool_message *message,
                                              struct spool_delivery **rows, size_t *count)
{
    enum spool_status status = check_readable(database);
    sqlite3_stmt *statement = database->statements[STATEMENT_READ_MESSAGE];
    int code;

    *message = (struct spool_message){.id = id};
    *rows = NULL;
    *count = 0;
    if (status != SPOOL_OK) {
        return status;
    }
    sqlite3_bind_int64(statement, 1, spool_row_of_id(id));
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        status = keep_message(database, statement, arena, with_content, message);
    } else {
        status = code == SQLITE_DONE ? SPOOL_GONE : spool_database_failure(database, code);
    }
    sqlite3_reset(statement);
    if (status != SPOOL_OK) {
        return status;
    }
    statement = database->statements[STATEMENT_READ_DELIVERIES];
    sqlite3_bind_int64(statement, 1, spool_row_of_id(id));
    status = keep_rows(database, statement, arena, rows, count);
    for (size_t i = 0; i < *count; i++) {
        (*rows)[i].content_size = message->content_size;
    }
    if (status == SPOOL_OK) {
        status = keep_attempts(database, arena, *count, message);
    }
    if (status != SPOOL_OK) {
        content_drop(&message->content);
    }
    return status;
}
