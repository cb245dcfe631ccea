/*
 * spool_database - the spool without its threads: what it reads and writes, done before it
 * returns.
 *
 * Use      by spool.c from its thread, by the queue tool on the spool of a stopped daemon, and
 * by the simulated world. One thread at a time, but for what is marked "any thread". Promise  a
 * request answered SPOOL_OK is on stable storage (write-ahead log, synchronous=FULL). Trouble
 * a failed write or sync answers every request of the batch with SPOOL_FAILED or SPOOL_FULL;
 *          the log is cut back to what was synced and the database opened anew. A database that
 *          does not make sense is SPOOL_DAMAGED from then on, and nothing is written to it.
 * Files    DIRECTORY/spool.db, content above CONTENT_MEMORY_LIMIT in DIRECTORY/content/ID,
 * named and synced before the commit, removed after it; what a crash left over goes when it is
 * opened.
 */
#ifndef IO_SPOOL_DATABASE_H
#define IO_SPOOL_DATABASE_H

#include "base/arena.h"
#include "io/spool.h"

struct spool_database;

/* NULL on failure: *status and *why. */
struct spool_database *spool_database_open(const struct spool_options *options,
                                           enum spool_status *status, struct strbuf *why);
void spool_database_close(
    struct spool_database **database); /* moves the log into the database */

/* Changes that happen together or not at all. */
struct spool_request {
    const struct spool_change *changes;
    size_t count;
    enum spool_status status; /* the answer */
    bool is_stored;           /* spool_database_store_content was called */
};

bool spool_request_has_file(const struct spool_request *request);
/* Any thread, before the commit: gives large content its name on stable storage. Sets status; a
 * request that fails here must not be committed. Without it the commit does the same. */
void spool_database_store_content(const struct spool_database *database,
                                  struct spool_request *request);
/* One transaction for all of them when possible; sets every status. */
void spool_database_commit(struct spool_database *database,
                           struct spool_request *const *requests, size_t count);

/* Reads; what they return lives in `arena`. */
enum spool_status spool_database_read_destinations(struct spool_database *database,
                                                   struct arena *arena, struct bytes after,
                                                   int64_t until_ms, size_t limit,
                                                   struct spool_destination **rows,
                                                   size_t *count);

/* The place in a list that a read goes on behind. */
struct spool_position {
    int64_t next_attempt_ms; /* read_due only */
    uint64_t message;
    uint32_t number;
};

enum spool_status spool_database_read_due(struct spool_database *database, struct arena *arena,
                                          struct bytes destination,
                                          const struct spool_position *after, int64_t until_ms,
                                          size_t limit, struct spool_delivery **rows,
                                          size_t *count);
enum spool_status spool_database_read_unbounced(struct spool_database *database,
                                                struct arena *arena, int64_t until_ms,
                                                size_t limit, struct spool_delivery **rows,
                                                size_t *count);
/* The caller drops message->content. */
enum spool_status spool_database_read_message(struct spool_database *database,
                                              struct arena *arena, uint64_t id,
                                              bool with_content, struct spool_message *message,
                                              struct spool_delivery **rows, size_t *count);
/* For operators; any thread (spool_listing.c). */
enum spool_status spool_database_read_all(struct spool_database *database, struct arena *arena,
                                          const struct spool_filter *filter,
                                          const struct spool_position *after, size_t limit,
                                          struct spool_delivery **rows, size_t *count);
enum spool_status spool_database_read_ages(struct spool_database *database, struct arena *arena,
                                           struct bytes after, int64_t now_ms, size_t limit,
                                           struct spool_age **rows, size_t *count);
enum spool_status spool_database_read_summary(struct spool_database *database,
                                              struct arena *arena,
                                              struct spool_summary *summary);
/* SPOOL_DAMAGED has been answered, and will be from now on. */
bool spool_database_is_damaged(const struct spool_database *database);
struct spool_counters
spool_database_count(const struct spool_database *database); /* any thread */

/* Octets of the write-ahead log since it was last moved into the database as a whole. */
uint64_t spool_database_log_size(const struct spool_database *database);
/* The writer only. Would moving the log to the database leave less than the floor free? */
bool spool_database_is_tight(struct spool_database *database);
/* Moves what the log holds into the database; when all of it is there, the log begins anew. */
void spool_database_checkpoint(struct spool_database *database);
/* The same from any other thread beside commits; it leaves over what is committed meanwhile. */
void spool_database_checkpoint_beside(struct spool_database *database);

#endif
