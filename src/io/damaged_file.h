/*
 * damaged_file - the pages of a SQLite database and of its write-ahead log, without SQLite, for reading only.
 *
 * Pages   from 1; what the log has committed stands before what the file has. One that cannot be read is not
 *         there; the others are.
 * Log     used up to the last commit whose checksums hold, as SQLite does.
 * Lock    held while it is open against whoever would write (disk_lock).
 *
 * Private to room io.
 */
#ifndef IO_DAMAGED_FILE_H
#define IO_DAMAGED_FILE_H

#include "base/strbuf.h"
#include "io/spool.h"

struct damaged_file;

/* DIRECTORY/spool.db. NULL on failure: SPOOL_GONE (there is none), SPOOL_LOCKED or SPOOL_FAILED, and *why. */
struct damaged_file *damaged_file_open(const char *directory, enum spool_status *status,
                                       struct strbuf *why);
void damaged_file_close(struct damaged_file **file); /* safe on NULL */
uint32_t damaged_file_pages(const struct damaged_file *file);
/* SPOOL_PAGE_SIZE octets; what is behind the end of a cut file is zero. */
bool damaged_file_read(struct damaged_file *file, uint32_t page, unsigned char *octets);
/* Does page 1 begin as a database of ours does? */
bool damaged_file_has_header(const struct damaged_file *file);
/* The first page of the list of free pages, and how long that is; only with a header. */
void damaged_file_free_list(const struct damaged_file *file, uint32_t *first, uint32_t *count);

#endif
