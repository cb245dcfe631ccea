/*
 * spool_schema - opening the spool's database: checks, schema and its versions, statements.
 */
#ifndef IO_SPOOL_SCHEMA_H
#define IO_SPOOL_SCHEMA_H

#include "io/spool.h"

#include <sqlite3.h>

enum { SPOOL_PAGE_SIZE = 4096 };

/* In the order spool_row_of reads them. */
#define SPOOL_DELIVERY_COLUMNS                                                                 \
    "message, number, state, attempts, next_attempt, created, destination, recipient, alias,"  \
    " sender, last_reply, notify, orcpt, fallback, warned, given_up"

enum spool_statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ADD_MESSAGE,
    STATEMENT_ADD_DELIVERY,
    STATEMENT_HAS_DELIVERY,
    STATEMENT_HAS_MESSAGE,
    STATEMENT_CLOSE,
    STATEMENT_UPDATE,
    STATEMENT_REDIRECT,
    STATEMENT_TAKE_FALLBACK,
    STATEMENT_IS_FALLBACK_TAKEN,
    STATEMENT_ADD_ATTEMPT,
    STATEMENT_TRIM_ATTEMPTS,
    STATEMENT_DELETE_ATTEMPTS,
    STATEMENT_READ_ATTEMPTS,
    STATEMENT_DELETE_DELIVERIES,
    STATEMENT_DELETE_MESSAGE,
    STATEMENT_RETRY,
    STATEMENT_HOLD,
    STATEMENT_RELEASE,
    STATEMENT_GIVE_UP,
    STATEMENT_SET,
    STATEMENT_UNSET,
    STATEMENT_RETRY_DESTINATION,
    STATEMENT_NEXT_DESTINATION,
    STATEMENT_READ_DUE,
    STATEMENT_READ_UNBOUNCED,
    STATEMENT_READ_MESSAGE,
    STATEMENT_READ_DELIVERIES,
    STATEMENT_COUNT,
};

/* A connection for reading and writing, not looked at yet; NULL when it cannot be opened. */
sqlite3 *spool_schema_connect(const char *path, const char *vfs_name);
/* Looks without writing: is it ours, of a version we know, and whole? *is_new: it is empty. */
enum spool_status spool_schema_check(sqlite3 *connection, bool *is_new, struct strbuf *why);
bool spool_schema_create(sqlite3 *connection);
/* From any older version to the newest, each step in one transaction. */
bool spool_schema_upgrade(sqlite3 *connection);
bool spool_schema_prepare(sqlite3 *connection, sqlite3_stmt *statements[STATEMENT_COUNT]);
void spool_schema_finalize(sqlite3_stmt *statements[STATEMENT_COUNT]);
bool spool_schema_count(sqlite3 *connection, struct spool_counters *counters);

/* Octets of pages that hold nothing any more and are taken before the file grows. */
uint64_t spool_schema_free_octets(sqlite3 *connection);

#endif
