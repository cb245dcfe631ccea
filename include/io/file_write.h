/*
 * file_write - files that an operator's command makes, and one that it adds to.
 *
 * Promise  a new file is never written over anything: a file, link or directory of that name is left alone. What
 *          cannot be written whole and synced is taken away again. What takes the place of another is there whole, or the
 *          old one is, whenever the machine stops; mode and owner stay.
 * Errors   *why gets the reason in words ("Permission denied").
 */
#ifndef IO_FILE_WRITE_H
#define IO_FILE_WRITE_H

#include "base/strbuf.h"

enum file_write_status { FILE_WRITE_OK, FILE_WRITE_EXISTS, FILE_WRITE_FAILED };

/* Readable and writable by its owner only. */
enum file_write_status file_write_secret(const char *path, struct bytes text,
                                         struct strbuf *why);
/* The same, and readable by the group of this account, when there is one and we may give files to it. */
enum file_write_status file_write_shared(const char *path, struct bytes text,
                                         const char *account, struct strbuf *why);
/* Readable by everybody. */
enum file_write_status file_write_public(const char *path, struct bytes text,
                                         struct strbuf *why);
/* A directory others may look into. FILE_WRITE_EXISTS: a directory is there. */
enum file_write_status file_write_directory(const char *path, struct strbuf *why);
/* Puts the text in front of what is in the file, which is there and has at most `limit` octets. A link stays one: the file it leads
 * to is replaced. Of two that do this at the same time one is refused. */
bool file_write_first(const char *path, struct bytes text, size_t limit, struct strbuf *why);

#endif
