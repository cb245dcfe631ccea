/*
 * blocked_file - is a file of a kind that is not taken?
 *
 * Names    by what they end in, as the system on which the file is opened sees it: without dots,
 *          blanks, quotes and slashes at their end, without octets that programs leave out or stop at
 *          (NUL, controls, invisible characters, what no file name may have), without streams
 *          ("a.exe::$DATA") and folders. Of a name that is long enough to be cut every ending counts.
 * Pattern  "exe", "tar.gz", "xl?m", "{*}": everything behind some dot of the name; "application/x-ms*"
 *          for types. "*" and "?" as usual; case means nothing.
 * Limit    names are looked at by their first and last BLOCKED_NAME_LIMIT octets.
 */
#ifndef FORWARD_BLOCKED_FILE_H
#define FORWARD_BLOCKED_FILE_H

#include "base/bytes.h"

enum { BLOCKED_NAME_LIMIT = 512 };

struct file_patterns {
    const struct bytes *items; /* lower case */
    size_t count;
};

bool blocked_file_name(const struct file_patterns *endings, struct bytes name);
bool blocked_file_type(const struct file_patterns *types, struct bytes type);

#endif
