/*
 * history_segment - one file of a history: lines, and beside each the hashes of what it is about.
 *
 * Tables  event(number, time, line): in the order they came. key(event, subject, hashes): `subject` is the
 *         value of the line's first key, `hashes` eight octets (little endian) for each key. meta: the key of the
 *         hash, of this file alone, so that no stranger can make up two values with one hash.
 *         Rows are only appended, and there is no index: a line costs two microseconds however many there
 *         are, where an index of hashes takes ten and more for each of them.
 * Errors  see enum segment_status; after anything but SEGMENT_OK and SEGMENT_BUSY it has to be closed.
 */
#ifndef IO_HISTORY_SEGMENT_H
#define IO_HISTORY_SEGMENT_H

#include "base/siphash.h"
#include "base/strbuf.h"
#include "io/history.h"

#include <sqlite3.h>

enum {
    SEGMENT_APPLICATION_ID = 0x50536869, /* "PShi" */
    SEGMENT_VERSION = 1,
    SEGMENT_HASH = 8, /* octets */
};

enum segment_status {
    SEGMENT_OK,
    SEGMENT_BUSY,  /* somebody else writes it; to be tried again */
    SEGMENT_EMPTY, /* read: it is being made, nothing stands in it yet */
    SEGMENT_FULL,
    SEGMENT_DAMAGED, /* or something else than a segment */
    SEGMENT_FAILED,
};

enum segment_statement {
    SEGMENT_BEGIN,
    SEGMENT_COMMIT,
    SEGMENT_ADD_EVENT,
    SEGMENT_ADD_KEY,
    SEGMENT_PAGES,
    SEGMENT_STATEMENTS,
};

struct history_segment {
    sqlite3 *connection; /* NULL: closed */
    sqlite3_stmt *statements[SEGMENT_STATEMENTS];
    struct siphash_key hash_key;
    char *path;
    uint64_t inode;
};

/* Makes the file when it is not there. */
enum segment_status history_segment_open(struct history_segment *segment, const char *path,
                                         struct strbuf *why);
/* For reading only; somebody who writes is waited for a second. */
enum segment_status history_segment_open_to_read(struct history_segment *segment,
                                                 const char *path);
void history_segment_close(struct history_segment *segment); /* safe when it is closed */
/* False: the file has been deleted, or is another one now. */
bool history_segment_is_there(const struct history_segment *segment);
uint64_t history_segment_octets(struct history_segment *segment);

/* All or nothing stands between begin and commit; anything but SEGMENT_OK takes it back. */
enum segment_status history_segment_begin(struct history_segment *segment);
enum segment_status history_segment_add(struct history_segment *segment,
                                        const struct history_facts *facts);
enum segment_status history_segment_commit(struct history_segment *segment);

uint64_t history_segment_hash(const struct siphash_key *hash_key,
                              const struct history_key *key);

#endif
