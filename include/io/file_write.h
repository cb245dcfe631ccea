/*
 * file_write - a new file with a secret in it.
 *
 * Promise  never writes over anything: a file, link or directory of that name is left alone. What
 *          cannot be written whole and synced is taken away again.
 * Errors   *why gets the reason in words ("Permission denied").
 */
#ifndef IO_FILE_WRITE_H
#define IO_FILE_WRITE_H

#include "base/strbuf.h"

enum file_write_status { FILE_WRITE_OK, FILE_WRITE_EXISTS, FILE_WRITE_FAILED };

/* Readable and writable by its owner only. */
enum file_write_status file_write_secret(const char *path, struct bytes text,
                                         struct strbuf *why);

#endif
