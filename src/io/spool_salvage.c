/*
 * In the order it happens:
 *
 *   1 read_all       every row the old file still has, into the new spool: messages whose checks hold, with their
 *                    content files; deliveries as they are; beside them what the old index names
 *   2 forget_closed  what the index does not name stood on pages that were free
 *   3 report_lost    deliveries without a message, those that only the index knows, messages for nobody
 *   4 report_saved   what is left
 */
#include "io/spool_salvage.h"

#include "base/memory.h"
#include "damaged_tree.h"
#include "spool_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_IN_COMMIT = 2000, COPY_PART = 64 * 1024 };

static const char SCRATCH[] =
    "CREATE TEMP TABLE expected(message INTEGER, number INTEGER, destination TEXT,"
    " recipient TEXT, is_due INTEGER, PRIMARY KEY(message, number)) WITHOUT ROWID;"
    "CREATE TEMP TABLE spoiled(id INTEGER PRIMARY KEY, why TEXT);";

enum insert {
    INSERT_MESSAGE,
    INSERT_DELIVERY,
    INSERT_ATTEMPT,
    INSERT_SETTING,
    INSERT_EXPECTED,
    INSERT_SPOILED,
    INSERT_COUNT,
};

static const char *const INSERTS[INSERT_COUNT] = {
    [INSERT_MESSAGE] = "INSERT OR IGNORE INTO message VALUES(?,?,?,?,?,?,?,?)",
    [INSERT_DELIVERY] =
        "INSERT OR IGNORE INTO delivery VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [INSERT_ATTEMPT] = "INSERT OR IGNORE INTO attempt VALUES(?,?,?,?,?,?)",
    [INSERT_SETTING] = "INSERT OR IGNORE INTO setting VALUES(?,?)",
    [INSERT_EXPECTED] = ("INSERT INTO expected VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE"
                         " SET is_due=max(is_due, excluded.is_due)"),
    [INSERT_SPOILED] = "INSERT OR IGNORE INTO spoiled VALUES(?,?)",
};

static const char FORGET_CLOSED[] =
    "DELETE FROM delivery WHERE NOT EXISTS (SELECT 1 FROM expected e WHERE"
    " e.message=delivery.message AND e.number=delivery.number AND is_due);"
    "DELETE FROM expected WHERE NOT is_due;"
    "DELETE FROM spoiled WHERE id NOT IN (SELECT message FROM expected);"
    "DELETE FROM message WHERE id NOT IN (SELECT message FROM expected);";

/* id, why, its deliveries */
static const char LOST_MESSAGES[] =
    "SELECT l.id, coalesce(s.why, 'its row is gone'),"
    " (SELECT count(*) FROM delivery d WHERE d.message=l.id) FROM"
    " (SELECT message AS id FROM delivery UNION SELECT id FROM spoiled) l"
    " LEFT JOIN spoiled s ON s.id=l.id WHERE l.id NOT IN (SELECT id FROM message)";

static const char FORGET_LOST_MESSAGES[] =
    "DELETE FROM expected WHERE message NOT IN (SELECT id FROM message) AND message IN"
    " (SELECT message FROM delivery UNION SELECT id FROM spoiled);"
    "DELETE FROM delivery WHERE message NOT IN (SELECT id FROM message);";

/* message, number, destination, recipient */
static const char LOST_DELIVERIES[] =
    "SELECT message, number, destination, recipient FROM expected e WHERE NOT EXISTS"
    " (SELECT 1 FROM delivery d WHERE d.message=e.message AND d.number=e.number)";

/* id, is it known whom it was for? */
static const char FOR_NOBODY[] = "SELECT id, id IN (SELECT message FROM expected) FROM message"
                                 " WHERE id NOT IN (SELECT message FROM delivery)";

static const char FORGET_FOR_NOBODY[] =
    "DELETE FROM message WHERE id NOT IN (SELECT message FROM delivery);"
    "DELETE FROM attempt WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE"
    " d.message=attempt.message AND d.number=attempt.number);";

static const char SAVED[] =
    "SELECT message, count(*) FROM delivery NOT INDEXED GROUP BY message";

struct salvage {
    const struct spool_salvage_options *options;
    struct spool_salvage_summary *summary;
    struct damaged_file *file;
    struct spool_database *to;
    sqlite3_stmt *inserts[INSERT_COUNT];
    char *content_directory; /* the old one */
    unsigned rows;           /* since the last commit */
    bool has_files;          /* new ones, whose names are not synced */
    enum spool_status status;
};

static void fail(struct salvage *salvage, enum spool_status status)
{
    if (salvage->status == SPOOL_OK) {
        salvage->status = status;
    }
}

static void fail_by_code(struct salvage *salvage, int code)
{
    fail(salvage, (code & 0xff) == SQLITE_FULL ? SPOOL_FULL : SPOOL_FAILED);
}

static void run(struct salvage *salvage, const char *sql)
{
    if (salvage->status == SPOOL_OK) {
        int code = sqlite3_exec(salvage->to->connection, sql, NULL, NULL, NULL);

        if (code != SQLITE_OK) {
            fail_by_code(salvage, code);
        }
    }
}

/* Names before the rows that name them. */
static void commit(struct salvage *salvage)
{
    if (salvage->has_files && disk_sync_directory(salvage->to->content_directory) != DISK_OK) {
        fail(salvage, SPOOL_FAILED);
    }
    salvage->has_files = false;
    salvage->rows = 0;
    run(salvage, "COMMIT");
    if (salvage->status == SPOOL_OK) {
        int code = sqlite3_wal_checkpoint_v2(salvage->to->connection, NULL,
                                             SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        if (code != SQLITE_OK) {
            fail_by_code(salvage, code);
        }
    }
}

/* ---- 1 ---- */

static void insert(struct salvage *salvage, enum insert which)
{
    int code = sqlite3_step(salvage->inserts[which]);

    sqlite3_reset(salvage->inserts[which]);
    if (code != SQLITE_DONE) {
        fail_by_code(salvage, code);
    }
    if (++salvage->rows == ROWS_IN_COMMIT) {
        commit(salvage);
        run(salvage, "BEGIN");
    }
}

static void bind(sqlite3_stmt *statement, int place, const struct damaged_value *value)
{
    const char *octets = value->octets.data == NULL ? "" : value->octets.data;

    switch (value->kind) {
    case DAMAGED_NULL:
    case DAMAGED_REAL:
        sqlite3_bind_null(statement, place);
        return;
    case DAMAGED_NUMBER:
        sqlite3_bind_int64(statement, place, value->number);
        return;
    case DAMAGED_TEXT:
        sqlite3_bind_text64(statement, place, octets, value->octets.len, SQLITE_STATIC,
                            SQLITE_UTF8);
        return;
    case DAMAGED_BLOB:
        sqlite3_bind_blob64(statement, place, octets, value->octets.len, SQLITE_STATIC);
        return;
    }
}

static void insert_values(struct salvage *salvage, enum insert which,
                          const struct damaged_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        bind(salvage->inserts[which], (int)i + 1, &row->values[i]);
    }
    insert(salvage, which);
}

/* NULL: all well. What is wrong with the old file; when the new one cannot be written all ends. */
static const char *copy_file(struct salvage *salvage, int from, uint64_t size, const char *path)
{
    char *part = memory_alloc(COPY_PART);
    const char *why = NULL;
    uint64_t offset = 0;
    int to;

    if (disk_open(path, true, &to) != DISK_OK) {
        fail(salvage, SPOOL_FAILED);
        free(part);
        return NULL;
    }
    while (offset < size && why == NULL && salvage->status == SPOOL_OK) {
        enum disk_status status = DISK_OK;
        size_t got = 0;

        if (disk_read(from, offset, part, COPY_PART, &got) != DISK_OK || got == 0) {
            why = "its content file cannot be read";
        } else {
            status = disk_write(to, offset, bytes_of(part, got));
        }
        if (status != DISK_OK) {
            fail(salvage, status == DISK_FULL ? SPOOL_FULL : SPOOL_FAILED);
        }
        offset += got;
    }
    if (why == NULL && disk_sync(to) != DISK_OK) {
        fail(salvage, SPOOL_FAILED);
    }
    disk_close(to);
    if (why != NULL) {
        disk_delete(path);
    }
    free(part);
    return why;
}

static char *old_content_path(const struct salvage *salvage, uint64_t id)
{
    struct spool_database old = {.content_directory = salvage->content_directory};

    return spool_content_path(&old, id);
}

static const char *copy_content(struct salvage *salvage, uint64_t id, uint64_t size)
{
    char *from_path = old_content_path(salvage, id);
    char *path = spool_content_path(salvage->to, id);
    const char *why = NULL;
    uint64_t found = 0;
    int from = -1;

    if (disk_open_to_read(from_path, &from) != DISK_OK) {
        why = "its content file is missing";
    } else if (disk_size(from, &found) != DISK_OK || found != size) {
        why = "its content file is not as long as it was";
    } else if (!disk_exists(path)) { /* the row came twice */
        why = copy_file(salvage, from, size, path);
        salvage->has_files = true;
    }
    if (from >= 0) {
        disk_close(from);
    }
    free(from_path);
    free(path);
    return why;
}

static const char *check_message(struct salvage *salvage, int64_t rowid,
                                 const struct damaged_row *row)
{
    const struct damaged_value *values = row->values;
    bool is_file = values[3].number != 0;
    struct bytes content = values[7].octets;
    struct spool_message message = {.id = spool_id_of_row(rowid),
                                    .created_ms = values[1].number,
                                    .content_size = (uint64_t)values[2].number,
                                    .envelope = values[5].octets,
                                    .prefix = values[6].octets};

    if ((uint64_t)values[4].number != spool_content_checksum(&message, content) ||
        (!is_file && content.len != message.content_size)) {
        return "its checksum does not hold";
    }
    if (!salvage->options->is_readable(&message)) {
        return "its envelope record is damaged";
    }
    return is_file ? copy_content(salvage, message.id, message.content_size) : NULL;
}

static void use_message(struct salvage *salvage, int64_t rowid, struct damaged_row *row)
{
    const char *why = check_message(salvage, rowid, row);
    sqlite3_stmt *spoiled = salvage->inserts[INSERT_SPOILED];

    row->values[0] = (struct damaged_value){.kind = DAMAGED_NUMBER, .number = rowid};
    if (why == NULL) {
        insert_values(salvage, INSERT_MESSAGE, row);
        return;
    }
    sqlite3_bind_int64(spoiled, 1, rowid);
    sqlite3_bind_text(spoiled, 2, why, -1, SQLITE_STATIC);
    insert(salvage, INSERT_SPOILED);
}

static void expect(struct salvage *salvage, const struct damaged_value *message,
                   const struct damaged_value *number, const struct damaged_value *destination,
                   const struct damaged_value *recipient)
{
    sqlite3_stmt *statement = salvage->inserts[INSERT_EXPECTED];
    struct damaged_value none = {.kind = DAMAGED_TEXT};

    bind(statement, 1, message);
    bind(statement, 2, number);
    bind(statement, 3, destination);
    bind(statement, 4, recipient == NULL ? &none : recipient);
    sqlite3_bind_int(statement, 5, recipient == NULL);
    insert(salvage, INSERT_EXPECTED);
}

static bool is_believable(const struct salvage *salvage, const struct damaged_row *row)
{
    const struct damaged_value *values = row->values;
    struct spool_delivery delivery = {
        .message = spool_id_of_row(values[0].number),
        .number = (uint32_t)values[1].number,
        .destination = values[6].octets,
        .recipient = values[7].octets,
        .alias = values[8].octets,
        .sender = values[9].octets,
        .orcpt = row->count > 12 ? values[12].octets : BYTES(""),
        .fallback = row->count > 13 ? values[13].octets : BYTES(""),
    };

    return values[1].number >= 0 && values[1].number <= UINT32_MAX && values[2].number >= 0 &&
           values[3].number >= 0 && delivery.destination.len > 0 &&
           salvage->options->is_believable(&delivery);
}

static void use_delivery(struct salvage *salvage, struct damaged_row *row)
{
    static const enum damaged_value_kind added[] = {DAMAGED_NUMBER, DAMAGED_TEXT, DAMAGED_TEXT,
                                                    DAMAGED_NUMBER, DAMAGED_NUMBER};

    if (!is_believable(salvage, row)) {
        expect(salvage, &row->values[0], &row->values[1], &row->values[6], &row->values[7]);
        return;
    }
    while (row->count < 16) { /* of an older version: as its upgrade would */
        row->values[row->count] = (struct damaged_value){.kind = added[row->count - 11]};
        row->count++;
    }
    insert_values(salvage, INSERT_DELIVERY, row);
}

static void use_row(void *context, enum damaged_tree kind, int64_t rowid,
                    const struct damaged_row *found)
{
    struct salvage *salvage = context;
    struct damaged_row row = *found;

    if (salvage->status != SPOOL_OK) {
        return;
    }
    switch (kind) {
    case DAMAGED_TREE_MESSAGE:
        use_message(salvage, rowid, &row);
        return;
    case DAMAGED_TREE_DELIVERY:
        use_delivery(salvage, &row);
        return;
    case DAMAGED_TREE_DUE:
        expect(salvage, &row.values[3], &row.values[4], &row.values[0], NULL);
        return;
    case DAMAGED_TREE_ATTEMPT:
        insert_values(salvage, INSERT_ATTEMPT, &row);
        return;
    case DAMAGED_TREE_SETTING:
        insert_values(salvage, INSERT_SETTING, &row);
        return;
    case DAMAGED_TREE_HELD:
    case DAMAGED_TREE_NONE:
    case DAMAGED_TREE_COUNT:
        return;
    }
}

/* When both the rows and the index have holes, what stood in them is not known. A part of the history is
 * known to nobody else in any case. */
static uint64_t unknown_losses(const struct damaged_tree_summary *tree)
{
    uint64_t lost = tree->lost[DAMAGED_TREE_ATTEMPT] + tree->lost[DAMAGED_TREE_SETTING];

    if (tree->lost[DAMAGED_TREE_DUE] > 0 && tree->lost[DAMAGED_TREE_DELIVERY] > 0) {
        lost += tree->lost[DAMAGED_TREE_DELIVERY] + tree->lost[DAMAGED_TREE_NONE];
    }
    return lost;
}

static void read_all(struct salvage *salvage)
{
    struct damaged_tree_summary tree;

    run(salvage, "BEGIN");
    damaged_tree_read(salvage->file, use_row, salvage, &tree);
    salvage->summary->lost_pages = unknown_losses(&tree);
    /* Only page 1 says surely where the index begins. */
    if (damaged_file_has_header(salvage->file) && tree.lost[DAMAGED_TREE_DUE] == 0) {
        run(salvage, FORGET_CLOSED);
    }
}

/* ---- 3, 4 ---- */

static void each_row(struct salvage *salvage, const char *sql,
                     void (*use)(struct salvage *salvage, sqlite3_stmt *row))
{
    sqlite3_stmt *statement = NULL;
    int code;

    if (salvage->status != SPOOL_OK) {
        return;
    }
    code = sqlite3_prepare_v2(salvage->to->connection, sql, -1, &statement, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            use(salvage, statement);
        }
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE) {
        fail_by_code(salvage, code);
    }
}

static void tell_lost(struct salvage *salvage, uint64_t id, const struct spool_delivery *row,
                      const char *why)
{
    salvage->options->lost(salvage->options->context, id, row, why);
}

static void lose_message(struct salvage *salvage, sqlite3_stmt *row)
{
    salvage->summary->lost_messages++;
    salvage->summary->lost_deliveries += (uint64_t)sqlite3_column_int64(row, 2);
    tell_lost(salvage, spool_id_of_row(sqlite3_column_int64(row, 0)), NULL,
              (const char *)sqlite3_column_text(row, 1));
}

static void lose_delivery(struct salvage *salvage, sqlite3_stmt *row)
{
    struct spool_delivery delivery = {
        .message = spool_id_of_row(sqlite3_column_int64(row, 0)),
        .number = (uint32_t)sqlite3_column_int64(row, 1),
        .destination = spool_column(row, 2),
        .recipient = spool_column(row, 3),
    };

    salvage->summary->lost_deliveries++;
    tell_lost(salvage, delivery.message, &delivery,
              delivery.recipient.len > 0 ? "its row is damaged" : "its row is gone");
}

static void lose_for_nobody(struct salvage *salvage, sqlite3_stmt *row)
{
    salvage->summary->lost_messages++;
    if (!sqlite3_column_int(row, 1)) {
        tell_lost(salvage, spool_id_of_row(sqlite3_column_int64(row, 0)), NULL,
                  "whom it is for is not known");
    }
}

static void note_saved(struct salvage *salvage, sqlite3_stmt *row)
{
    uint64_t deliveries = (uint64_t)sqlite3_column_int64(row, 1);

    salvage->summary->messages++;
    salvage->summary->deliveries += deliveries;
    salvage->options->saved(salvage->options->context,
                            spool_id_of_row(sqlite3_column_int64(row, 0)), deliveries);
}

static void report_lost(struct salvage *salvage)
{
    each_row(salvage, LOST_MESSAGES, lose_message);
    run(salvage, FORGET_LOST_MESSAGES);
    each_row(salvage, LOST_DELIVERIES, lose_delivery);
    each_row(salvage, FOR_NOBODY, lose_for_nobody);
    run(salvage, FORGET_FOR_NOBODY);
}

/* ---- the whole ---- */

static bool make_ready(struct salvage *salvage)
{
    run(salvage, SCRATCH);
    for (int i = 0; i < INSERT_COUNT && salvage->status == SPOOL_OK; i++) {
        int code = sqlite3_prepare_v2(salvage->to->connection, INSERTS[i], -1,
                                      &salvage->inserts[i], NULL);
        if (code != SQLITE_OK) {
            fail_by_code(salvage, code);
        }
    }
    return salvage->status == SPOOL_OK;
}

static void carry_over(struct salvage *salvage)
{
    if (make_ready(salvage)) {
        read_all(salvage);
        report_lost(salvage);
        commit(salvage);
        each_row(salvage, SAVED, note_saved);
    }
    for (int i = 0; i < INSERT_COUNT; i++) {
        sqlite3_finalize(salvage->inserts[i]);
    }
}

static char *join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = memory_alloc(size);

    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

static enum spool_status open_new(struct salvage *salvage, struct strbuf *why)
{
    struct spool_options options = {.directory = salvage->options->to};
    char *path = join(options.directory, "spool.db");
    enum spool_status status = SPOOL_FAILED;

    if (disk_exists(path)) {
        strbuf_addf(why, "%s is there already", path);
    } else {
        salvage->to = spool_database_open(&options, &status, why);
    }
    free(path);
    return status;
}

enum spool_status spool_salvage(const struct spool_salvage_options *options,
                                struct spool_salvage_summary *summary, struct strbuf *why)
{
    struct salvage salvage = {.options = options, .summary = summary};

    *summary = (struct spool_salvage_summary){0};
    salvage.file = damaged_file_open(options->from, &salvage.status, why);
    if (salvage.file == NULL) {
        return salvage.status;
    }
    salvage.status = open_new(&salvage, why);
    if (salvage.status == SPOOL_OK) {
        salvage.content_directory = join(options->from, "content");
        carry_over(&salvage);
        if (salvage.status != SPOOL_OK) {
            strbuf_addf(why, "the new spool %s could not be written: %s", options->to,
                        salvage.status == SPOOL_FULL ? "no space"
                                                     : sqlite3_errmsg(salvage.to->connection));
        }
        spool_database_close(&salvage.to);
        free(salvage.content_directory);
    }
    damaged_file_close(&salvage.file);
    return salvage.status;
}
