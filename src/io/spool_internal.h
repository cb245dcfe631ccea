/*
 * spool_internal - what the parts of spool_database share.
 */
#ifndef IO_SPOOL_INTERNAL_H
#define IO_SPOOL_INTERNAL_H

#include "io/spool_database.h"
#include "io/spool_vfs.h"
#include "spool_schema.h"

#include <pthread.h>
#include <stdatomic.h>

struct spool_database {
    char *directory;
    char *content_directory;
    char *path;
    uint64_t free_space_floor;
    struct spool_vfs *vfs;
    int lock_handle;
    sqlite3 *connection; /* NULL: it could not be opened anew yet */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    bool is_damaged;
    bool is_full; /* that is why it could not be opened anew */

    pthread_mutex_t beside_mutex; /* for beside */
    sqlite3 *beside;              /* for checkpoints beside commits */
    bool is_beside_stopped;       /* while the database is opened anew */

    pthread_mutex_t listing_mutex; /* for listing */
    sqlite3 *listing;              /* for long readings beside all this (spool_listing.c) */
    bool is_listing_stopped;

    _Atomic uint64_t log_pages;
    uint64_t space_checked_ms;
    uint64_t free_octets; /* of the file system, then */

    _Atomic uint64_t messages, deliveries, commits, changes;
};

/* Rows hold ids with the top bit turned over: signed order is then the order of ids. */
static inline int64_t spool_row_of_id(uint64_t id)
{
    return (int64_t)(id ^ UINT64_C(1) << 63);
}

static inline uint64_t spool_id_of_row(int64_t row)
{
    return (uint64_t)row ^ UINT64_C(1) << 63;
}

/* Views into the statement's row; without the size of the content. */
struct bytes spool_column(sqlite3_stmt *statement, int place);
struct spool_delivery spool_row_of(sqlite3_stmt *statement);

struct spool_row_list {
    struct arena *arena;
    struct spool_delivery *rows;
    size_t count, capacity;
};

/* Copies all its text. */
struct spool_delivery *spool_row_list_add(struct spool_row_list *list,
                                          const struct spool_delivery *row);

/* What the last failure of SQLite means. Notes a damaged database, and freezes it. */
enum spool_status spool_database_failure(struct spool_database *database, int code);
/* After a failed write or sync: forgets everything unsynced and opens the database anew. */
void spool_database_reopen(struct spool_database *database);
/* May messages be added? */
bool spool_database_has_space(struct spool_database *database);

/* DIRECTORY/content/ID; free it. */
char *spool_content_path(const struct spool_database *database, uint64_t id);
bool spool_content_is_large(const struct content *content);
uint64_t spool_content_checksum(const struct spool_message *message, struct bytes content);
/* Removes files that no message names: an earlier run died between file and commit. */
void spool_content_remove_orphans(struct spool_database *database);

#endif
