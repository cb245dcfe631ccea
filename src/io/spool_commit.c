/*
 * Writing: many requests in one transaction.
 *
 *   1 spool_database_commit  refuses what cannot be: no space, content that was not stored
 *   2 commit_together        one transaction for the rest; nearly always the end
 *   3 commit_one_by_one      when a single request spoiled it: each in its own
 *   4 commit_what_frees      when the disk is full: what adds nothing, alone
 */
#include "spool_internal.h"

#include "base/memory.h"

#include <stdlib.h>

/* What a transaction will have changed when it is committed. */
struct outcome {
    int64_t messages, deliveries;
    uint64_t changes;
    uint64_t *dropped; /* messages whose files are to go */
    size_t dropped_count;
};

static int bind_text(sqlite3_stmt *statement, int place, struct bytes text)
{
    return sqlite3_bind_text(statement, place, text.data == NULL ? "" : text.data,
                             (int)text.len, SQLITE_STATIC);
}

static int bind_blob(sqlite3_stmt *statement, int place, struct bytes octets)
{
    return sqlite3_bind_blob64(statement, place, octets.data == NULL ? "" : octets.data,
                               octets.len, SQLITE_STATIC);
}

static int step_once(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    sqlite3_reset(statement);
    return code;
}

static void drop_file(struct outcome *outcome, uint64_t id)
{
    outcome->dropped =
        memory_resize(outcome->dropped, outcome->dropped_count + 1, sizeof(*outcome->dropped));
    outcome->dropped[outcome->dropped_count++] = id;
}

/* ---- one change; SQLITE_DONE, SQLITE_NOTFOUND (no such thing) or an error ---- */

static int add_delivery(struct spool_database *database, const struct spool_message *message,
                        const struct spool_delivery *delivery)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_ADD_DELIVERY];

    sqlite3_bind_int64(statement, 1, spool_row_of_id(message->id));
    sqlite3_bind_int64(statement, 2, delivery->number);
    sqlite3_bind_int64(statement, 3, delivery->state);
    sqlite3_bind_int64(statement, 4, delivery->attempts);
    sqlite3_bind_int64(statement, 5, delivery->next_attempt_ms);
    sqlite3_bind_int64(statement, 6, message->created_ms);
    bind_text(statement, 7, delivery->destination);
    bind_text(statement, 8, delivery->recipient);
    bind_text(statement, 9, delivery->alias);
    bind_text(statement, 10, delivery->sender);
    bind_text(statement, 11, delivery->last_reply);
    sqlite3_bind_int64(statement, 12, delivery->notify);
    bind_text(statement, 13, delivery->orcpt);
    bind_text(statement, 14, delivery->fallback);
    sqlite3_bind_int64(statement, 15, delivery->is_warned);
    sqlite3_bind_int64(statement, 16, delivery->is_given_up);
    return step_once(statement);
}

static int add_message(struct spool_database *database, const struct spool_message *message)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_ADD_MESSAGE];
    bool is_file = spool_content_is_large(message->content);
    struct bytes content = {NULL, 0};

    if (message->content != NULL && !is_file) {
        content = content_memory(message->content);
    }
    sqlite3_bind_int64(statement, 1, spool_row_of_id(message->id));
    sqlite3_bind_int64(statement, 2, message->created_ms);
    sqlite3_bind_int64(statement, 3,
                       message->content == NULL ? 0 : (int64_t)content_size(message->content));
    sqlite3_bind_int64(statement, 4, is_file);
    sqlite3_bind_int64(statement, 5, (int64_t)spool_content_checksum(message, content));
    bind_blob(statement, 6, message->envelope);
    bind_blob(statement, 7, message->prefix);
    bind_blob(statement, 8, content);
    return step_once(statement);
}

static int apply_add(struct spool_database *database, const struct spool_change *change,
                     struct outcome *outcome)
{
    int code = add_message(database, change->message);

    for (size_t i = 0; i < change->delivery_count && code == SQLITE_DONE; i++) {
        code = add_delivery(database, change->message, &change->deliveries[i]);
    }
    outcome->messages++;
    outcome->deliveries += (int64_t)change->delivery_count;
    return code;
}

static int remove_message(struct spool_database *database, uint64_t id, struct outcome *outcome)
{
    sqlite3_stmt *look = database->statements[STATEMENT_HAS_MESSAGE];
    sqlite3_stmt *statement = database->statements[STATEMENT_DELETE_MESSAGE];
    bool is_file = false;
    int code;

    sqlite3_bind_int64(look, 1, spool_row_of_id(id));
    code = sqlite3_step(look);
    if (code == SQLITE_ROW) {
        is_file = sqlite3_column_int(look, 0) != 0;
    }
    sqlite3_reset(look);
    if (code != SQLITE_ROW) {
        return code == SQLITE_DONE ? SQLITE_NOTFOUND : code;
    }
    sqlite3_bind_int64(statement, 1, spool_row_of_id(id));
    code = step_once(statement);
    if (is_file) {
        drop_file(outcome, id);
    }
    outcome->messages--;
    return code;
}

static int has_delivery(struct spool_database *database, uint64_t id, int64_t first,
                        int64_t last)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_HAS_DELIVERY];

    sqlite3_bind_int64(statement, 1, spool_row_of_id(id));
    sqlite3_bind_int64(statement, 2, first);
    sqlite3_bind_int64(statement, 3, last);
    return step_once(statement);
}

static int done_or_not_found(struct spool_database *database, int code)
{
    return code == SQLITE_DONE && sqlite3_changes(database->connection) == 0 ? SQLITE_NOTFOUND
                                                                             : code;
}

static int delete_attempts(struct spool_database *database, uint64_t id, int64_t first,
                           int64_t last)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_DELETE_ATTEMPTS];

    sqlite3_bind_int64(statement, 1, spool_row_of_id(id));
    sqlite3_bind_int64(statement, 2, first);
    sqlite3_bind_int64(statement, 3, last);
    return step_once(statement);
}

static int apply_close(struct spool_database *database, const struct spool_change *change,
                       struct outcome *outcome)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_CLOSE];
    int code;

    sqlite3_bind_int64(statement, 1, spool_row_of_id(change->id));
    sqlite3_bind_int64(statement, 2, change->number);
    sqlite3_bind_int64(statement, 3, change->is_hold_over);
    code = done_or_not_found(database, step_once(statement));
    if (code != SQLITE_DONE) {
        return code;
    }
    outcome->deliveries--;
    code = delete_attempts(database, change->id, change->number, change->number);
    if (code != SQLITE_DONE) {
        return code;
    }
    code = has_delivery(database, change->id, 0, UINT32_MAX);
    if (code == SQLITE_ROW) {
        return SQLITE_DONE;
    }
    return code == SQLITE_DONE ? remove_message(database, change->id, outcome) : code;
}

/* Of a delivery that is tried for long, the last SPOOL_ATTEMPTS are kept. */
static int add_attempt(struct spool_database *database, const struct spool_delivery *delivery,
                       const struct spool_attempt *attempt)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_ADD_ATTEMPT];
    int code;

    sqlite3_bind_int64(statement, 1, spool_row_of_id(delivery->message));
    sqlite3_bind_int64(statement, 2, delivery->number);
    sqlite3_bind_int64(statement, 3, attempt->at_ms);
    bind_text(statement, 4, attempt->host);
    bind_text(statement, 5, attempt->reply);
    code = step_once(statement);
    if (code != SQLITE_DONE) {
        return code;
    }
    statement = database->statements[STATEMENT_TRIM_ATTEMPTS];
    sqlite3_bind_int64(statement, 1, spool_row_of_id(delivery->message));
    sqlite3_bind_int64(statement, 2, delivery->number);
    sqlite3_bind_int64(statement, 3, SPOOL_ATTEMPTS);
    return step_once(statement);
}

static int redirect(struct spool_database *database, const struct spool_delivery *delivery)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_REDIRECT];
    int code;

    sqlite3_bind_int64(statement, 1, spool_row_of_id(delivery->message));
    sqlite3_bind_int64(statement, 2, delivery->number);
    bind_text(statement, 3, delivery->recipient);
    bind_text(statement, 4, delivery->sender);
    bind_text(statement, 5, delivery->fallback);
    code = step_once(statement);
    if (code != SQLITE_DONE) {
        return code;
    }
    statement = database->statements[STATEMENT_TAKE_FALLBACK];
    sqlite3_bind_int64(statement, 1, spool_row_of_id(delivery->message));
    bind_text(statement, 2, delivery->recipient);
    return step_once(statement);
}

/* SQLITE_ROW: yes, and the delivery is done with. */
static int is_fallback_taken(struct spool_database *database,
                             const struct spool_delivery *delivery)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_IS_FALLBACK_TAKEN];

    if (delivery->recipient.len == 0) {
        return SQLITE_DONE;
    }
    sqlite3_bind_int64(statement, 1, spool_row_of_id(delivery->message));
    sqlite3_bind_int64(statement, 2, delivery->number);
    return step_once(statement);
}

static int apply_update(struct spool_database *database, const struct spool_change *change,
                        struct outcome *outcome)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_UPDATE];
    const struct spool_delivery *delivery = &change->deliveries[0];
    struct spool_change close = {
        .kind = SPOOL_CLOSE, .id = delivery->message, .number = delivery->number};
    int code = is_fallback_taken(database, delivery);

    if (code != SQLITE_DONE) {
        return code == SQLITE_ROW ? apply_close(database, &close, outcome) : code;
    }
    sqlite3_bind_int64(statement, 1, spool_row_of_id(delivery->message));
    sqlite3_bind_int64(statement, 2, delivery->number);
    sqlite3_bind_int64(statement, 3, delivery->state);
    sqlite3_bind_int64(statement, 4, delivery->attempts);
    sqlite3_bind_int64(statement, 5, delivery->next_attempt_ms);
    bind_text(statement, 6, delivery->destination);
    bind_text(statement, 7, delivery->last_reply);
    sqlite3_bind_int64(statement, 8, delivery->is_warned);
    code = done_or_not_found(database, step_once(statement));
    if (code == SQLITE_DONE && delivery->recipient.len > 0) {
        code = redirect(database, delivery);
    }
    if (code == SQLITE_DONE && change->attempt != NULL) {
        code = add_attempt(database, delivery, change->attempt);
    }
    return code;
}

/* ---- what operators want ---- */

static void tell_affected(const struct spool_change *change, uint64_t count)
{
    if (change->affected != NULL) {
        *change->affected = count;
    }
}

static int apply_delete_one(struct spool_database *database, const struct spool_change *change,
                            struct outcome *outcome)
{
    int code = apply_close(database, change, outcome);

    tell_affected(change, code == SQLITE_DONE);
    return code == SQLITE_NOTFOUND ? SQLITE_DONE : code;
}

static int apply_delete(struct spool_database *database, const struct spool_change *change,
                        struct outcome *outcome)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_DELETE_DELIVERIES];
    int code;

    if (change->is_one) {
        return apply_delete_one(database, change, outcome);
    }
    sqlite3_bind_int64(statement, 1, spool_row_of_id(change->id));
    code = step_once(statement);
    outcome->deliveries -= sqlite3_changes(database->connection);
    tell_affected(change, (uint64_t)sqlite3_changes(database->connection));
    if (code == SQLITE_DONE) {
        code = delete_attempts(database, change->id, 0, UINT32_MAX);
    }
    return code == SQLITE_DONE ? remove_message(database, change->id, outcome) : code;
}

static int apply_retry_destination(struct spool_database *database,
                                   const struct spool_change *change)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_RETRY_DESTINATION];
    int code;

    bind_text(statement, 1, change->destination);
    sqlite3_bind_int64(statement, 2, change->now_ms);
    code = step_once(statement);
    tell_affected(change, (uint64_t)sqlite3_changes(database->connection));
    return code;
}

/* A message that is there, and in which there is nothing to change, is no mistake. */
static int apply_to_rows(struct spool_database *database, const struct spool_change *change,
                         enum spool_statement which)
{
    sqlite3_stmt *statement = database->statements[which];
    int64_t first = change->is_one ? change->number : 0;
    int64_t last = change->is_one ? change->number : UINT32_MAX;
    int code;

    sqlite3_bind_int64(statement, 1, spool_row_of_id(change->id));
    sqlite3_bind_int64(statement, 2, first);
    sqlite3_bind_int64(statement, 3, last);
    if (which == STATEMENT_HOLD) {
        bind_text(statement, 4, change->value);
    } else {
        sqlite3_bind_int64(statement, 4, change->now_ms);
    }
    if (which == STATEMENT_RETRY) {
        sqlite3_bind_int64(statement, 5, !change->is_one);
    }
    code = step_once(statement);
    tell_affected(change, (uint64_t)sqlite3_changes(database->connection));
    if (code != SQLITE_DONE || change->is_one || sqlite3_changes(database->connection) > 0) {
        return code;
    }
    code = has_delivery(database, change->id, first, last);
    return code == SQLITE_ROW ? SQLITE_DONE : code == SQLITE_DONE ? SQLITE_NOTFOUND : code;
}

static int apply_set(struct spool_database *database, const struct spool_change *change)
{
    sqlite3_stmt *statement =
        database->statements[change->value.len == 0 ? STATEMENT_UNSET : STATEMENT_SET];

    bind_text(statement, 1, change->name);
    if (change->value.len > 0) {
        bind_text(statement, 2, change->value);
    }
    return step_once(statement);
}

static int apply(struct spool_database *database, const struct spool_change *change,
                 struct outcome *outcome)
{
    outcome->changes++;
    switch (change->kind) {
    case SPOOL_ADD:
        return apply_add(database, change, outcome);
    case SPOOL_CLOSE:
        return apply_close(database, change, outcome);
    case SPOOL_UPDATE:
        return apply_update(database, change, outcome);
    case SPOOL_DELETE:
        return apply_delete(database, change, outcome);
    case SPOOL_RETRY:
        return change->id == 0 ? apply_retry_destination(database, change)
                               : apply_to_rows(database, change, STATEMENT_RETRY);
    case SPOOL_HOLD:
        return apply_to_rows(database, change, STATEMENT_HOLD);
    case SPOOL_RELEASE:
        return apply_to_rows(database, change, STATEMENT_RELEASE);
    case SPOOL_GIVE_UP:
        return apply_to_rows(database, change, STATEMENT_GIVE_UP);
    case SPOOL_SET:
        return apply_set(database, change);
    }
    abort();
}

/* ---- transactions ---- */

static void roll_back(struct spool_database *database)
{
    if (!sqlite3_get_autocommit(database->connection)) {
        sqlite3_exec(database->connection, "ROLLBACK", NULL, NULL, NULL);
    }
}

static void record(struct spool_database *database, const struct outcome *outcome)
{
    atomic_fetch_add(&database->messages, (uint64_t)outcome->messages);
    atomic_fetch_add(&database->deliveries, (uint64_t)outcome->deliveries);
    atomic_fetch_add(&database->changes, outcome->changes);
    atomic_fetch_add(&database->commits, 1);
    for (size_t i = 0; i < outcome->dropped_count; i++) {
        char *path = spool_content_path(database, outcome->dropped[i]);

        disk_delete(path); /* stays behind when that fails; the next start removes it */
        free(path);
    }
}

/* What a request has come to so far. */
struct progress {
    size_t closes, closed, done, gone;
};

static void note_done(struct progress *progress, const struct spool_change *change, int code)
{
    bool is_done = code == SQLITE_DONE;

    progress->done += is_done;
    progress->gone += code == SQLITE_NOTFOUND;
    if (change->kind == SPOOL_CLOSE) {
        progress->closes++;
        progress->closed += is_done;
    }
}

/* A report about deliveries of which none is left: they were reported, or an operator deleted them. */
static bool is_pointless(const struct spool_change *change, const struct progress *progress)
{
    return change->kind == SPOOL_ADD && progress->done + progress->gone > 0 &&
           (progress->done == 0 || (progress->closes > 0 && progress->closed == 0));
}

/* In a commit that was answered as failed and had happened. */
static int has_come_before(struct spool_database *database, const struct spool_change *change,
                           const struct progress *progress)
{
    sqlite3_stmt *look = database->statements[STATEMENT_HAS_MESSAGE];

    if (change->kind != SPOOL_ADD || progress->done == 0) {
        return SQLITE_DONE;
    }
    sqlite3_bind_int64(look, 1, spool_row_of_id(change->message->id));
    return step_once(look);
}

/* SQLITE_DONE, or why not. A change that finds nothing has changed nothing, and the others happen: what
 * an operator deleted must not undo what became of the rest. */
static int apply_request(struct spool_database *database, struct spool_request *request,
                         struct outcome *outcome)
{
    struct progress progress = {0};
    int code = SQLITE_DONE;

    for (size_t i = 0; i < request->count && code == SQLITE_DONE; i++) {
        const struct spool_change *change = &request->changes[i];

        if (is_pointless(change, &progress)) {
            continue;
        }
        code = has_come_before(database, change, &progress);
        if (code == SQLITE_DONE) {
            code = apply(database, change, outcome);
        }
        if ((change->kind == SPOOL_ADD || change->kind == SPOOL_CLOSE) &&
            (code == SQLITE_DONE || code == SQLITE_ROW)) {
            tell_affected(change, 1);
        }
        code = code == SQLITE_ROW ? SQLITE_DONE : code;
        note_done(&progress, change, code);
        if (code == SQLITE_NOTFOUND) {
            outcome->changes--;
            code = SQLITE_DONE;
        }
    }
    if (code == SQLITE_DONE && progress.gone > 0 && progress.done == 0) {
        request->status = SPOOL_GONE;
    }
    return code;
}

/* SQLITE_DONE, or why it was rolled back. */
static int transact(struct spool_database *database, struct spool_request *const *requests,
                    size_t count)
{
    struct outcome outcome = {0};
    int code = step_once(database->statements[STATEMENT_BEGIN]);

    for (size_t i = 0; i < count && code == SQLITE_DONE; i++) {
        requests[i]->status = SPOOL_OK;
        code = apply_request(database, requests[i], &outcome);
    }
    if (code == SQLITE_DONE && outcome.changes > 0) {
        code = step_once(database->statements[STATEMENT_COMMIT]);
    }
    if (code == SQLITE_DONE && outcome.changes > 0) {
        record(database, &outcome);
    } else {
        roll_back(database);
    }
    free(outcome.dropped);
    return code;
}

static void answer_all(struct spool_request *const *requests, size_t count,
                       enum spool_status status)
{
    for (size_t i = 0; i < count; i++) {
        requests[i]->status = status;
    }
}

/* The answer for a transaction of these that failed so; mends what can be mended. */
static enum spool_status fail_all(struct spool_database *database,
                                  struct spool_request *const *requests, size_t count, int code)
{
    enum spool_status status = spool_database_failure(database, code);

    answer_all(requests, count, status);
    if (status != SPOOL_DAMAGED) {
        spool_database_reopen(database);
    }
    return status;
}

static bool is_about_one_request(int code)
{
    return (code & 0xff) == SQLITE_CONSTRAINT || (code & 0xff) == SQLITE_TOOBIG ||
           code == SQLITE_NOTFOUND;
}

/* The state that allows a transaction; otherwise what to answer. */
static enum spool_status check_ready(struct spool_database *database)
{
    if (database->is_damaged) {
        return SPOOL_DAMAGED;
    }
    if (database->connection == NULL || spool_vfs_trouble(database->vfs) != DISK_OK) {
        spool_database_reopen(database);
    }
    if (database->connection != NULL) {
        return SPOOL_OK;
    }
    return database->is_full ? SPOOL_FULL : SPOOL_FAILED;
}

static void commit_one_by_one(struct spool_database *database,
                              struct spool_request *const *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum spool_status ready = check_ready(database);
        int code;

        if (ready != SPOOL_OK) {
            answer_all(&requests[i], 1, ready);
            continue;
        }
        code = transact(database, &requests[i], 1);
        if (code == SQLITE_NOTFOUND) {
            requests[i]->status = SPOOL_GONE;
        } else if (is_about_one_request(code)) {
            requests[i]->status = SPOOL_FAILED;
        } else if (code != SQLITE_DONE) {
            fail_all(database, &requests[i], 1, code);
        }
    }
}

static bool adds_something(const struct spool_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        if (request->changes[i].kind == SPOOL_ADD) {
            return true;
        }
    }
    return false;
}

/* Moves those that add nothing to the front. */
static size_t sort_by_need_of_space(struct spool_request **requests, size_t count)
{
    size_t front = 0;

    for (size_t i = 0; i < count; i++) {
        if (!adds_something(requests[i])) {
            struct spool_request *request = requests[i];

            requests[i] = requests[front];
            requests[front++] = request;
        }
    }
    return front;
}

static void commit_together(struct spool_database *database, struct spool_request **requests,
                            size_t count)
{
    int code = transact(database, requests, count);
    size_t frees;

    if (code == SQLITE_DONE) {
        return;
    }
    if (is_about_one_request(code)) {
        commit_one_by_one(database, requests, count);
        return;
    }
    if (fail_all(database, requests, count, code) != SPOOL_FULL) {
        return;
    }
    frees = sort_by_need_of_space(requests, count);
    if (frees > 0 && frees < count && check_ready(database) == SPOOL_OK) {
        code = transact(database, requests, frees);
        if (is_about_one_request(code)) {
            commit_one_by_one(database, requests, frees);
        } else if (code != SQLITE_DONE) {
            fail_all(database, requests, frees, code);
        }
    }
}

/* A bounce comes with the end of what it is about: refused at the floor, the queue would stand still
 * there. */
static bool ends_something(const struct spool_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        if (request->changes[i].kind == SPOOL_CLOSE) {
            return true;
        }
    }
    return false;
}

/* SPOOL_OK: may take part. */
static enum spool_status admit(struct spool_database *database, struct spool_request *request)
{
    if (adds_something(request) && !ends_something(request) &&
        !spool_database_has_space(database)) {
        return SPOOL_FULL;
    }
    if (!request->is_stored && spool_request_has_file(request)) {
        spool_database_store_content(database, request);
        return request->status;
    }
    return SPOOL_OK;
}

static void remove_content_of(struct spool_database *database,
                              const struct spool_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        const struct spool_change *change = &request->changes[i];

        if (change->kind == SPOOL_ADD && spool_content_is_large(change->message->content)) {
            char *path = spool_content_path(database, change->message->id);

            disk_delete(path);
            free(path);
        }
    }
}

void spool_database_commit(struct spool_database *database,
                           struct spool_request *const *requests, size_t count)
{
    struct spool_request **admitted =
        memory_resize(NULL, count, sizeof(struct spool_request *));
    enum spool_status ready = check_ready(database);
    size_t admitted_count = 0;

    for (size_t i = 0; i < count; i++) {
        requests[i]->status = ready == SPOOL_OK ? admit(database, requests[i]) : ready;
        if (requests[i]->status == SPOOL_OK) {
            admitted[admitted_count++] = requests[i];
        }
    }
    if (admitted_count > 0) {
        commit_together(database, admitted, admitted_count);
    }
    for (size_t i = 0; i < count; i++) {
        /* Not opened anew: the transaction may yet turn up in the log, then it needs its file.
         */
        if (requests[i]->status != SPOOL_OK && requests[i]->is_stored &&
            database->connection != NULL) {
            remove_content_of(database, requests[i]);
        }
    }
    free(admitted);
}
