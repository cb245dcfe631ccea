/*
 * content - the octets of one message: in memory up to CONTENT_MEMORY_LIMIT, then in a file.
 *
 * Shape   written once by one thread, then sealed; after that immutable, counted, readable from any
 *         thread. The file has no name (O_TMPFILE in the spool directory), so nothing stays
 *         behind when the process dies; the spool gives it a name when it commits.
 * Memory  all contents of a process together: above CONTENT_MEMORY_TOTAL new octets go to files after
 *         CONTENT_MEMORY_LEAST, so that thousands of slow clients do not fill it; when io/memory_use, to
 *         which they are told, is over its limit, after CONTENT_MEMORY_SHORT.
 * Errors  CONTENT_FULL: no space (452); CONTENT_FAILED: the disk failed (451). Final for this content.
 */
#ifndef IO_CONTENT_H
#define IO_CONTENT_H

#include "base/bytes.h"

enum {
    CONTENT_MEMORY_LIMIT = 256 * 1024,
    CONTENT_MEMORY_LEAST = 64 * 1024,
    CONTENT_MEMORY_SHORT = 8 * 1024, /* when memory is short (io/memory_use) */
    CONTENT_MEMORY_TOTAL = 128 * 1024 * 1024,
};

enum content_status { CONTENT_OK, CONTENT_FULL, CONTENT_FAILED };

struct content;

/* `directory`: where a file would be made (borrowed). Holds one reference. */
struct content *content_new(const char *directory);
enum content_status content_append(struct content *content, struct bytes octets);
/* The last octets may go to the disk only here: whoever ignores a failure loses mail. */
enum content_status content_seal(struct content *content) __attribute__((warn_unused_result));
/* Whole content in memory, sealed (copies). */
struct content *content_from_bytes(struct bytes octets);
/* Content of a file that is open for reading (takes the descriptor), sealed. */
struct content *content_from_file(int handle, uint64_t size);
uint64_t content_size(const struct content *content);
/* The octets when they are in memory; otherwise an empty view with data NULL. */
struct bytes content_memory(const struct content *content);
/* Reads up to `size` octets at `offset`; fewer only at the end. False: the disk failed. */
bool content_read(const struct content *content, uint64_t offset, void *data, size_t size,
                  size_t *got);
/* The file's descriptor, or -1 when the content is in memory (stays with the content). */
int content_file(const struct content *content);
void content_hold(struct content *content);
void content_drop(struct content **content); /* safe on NULL; sets it to NULL */

#endif
