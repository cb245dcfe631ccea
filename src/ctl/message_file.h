/*
 * message_file - a message from a file, as it would have come over SMTP.
 *
 * Private to room ctl. A mailbox's "From " line is left out, lines end in CRLF.
 */
#ifndef CTL_MESSAGE_FILE_H
#define CTL_MESSAGE_FILE_H

#include "base/strbuf.h"

#include <stdio.h>

enum { MESSAGE_FILE_LIMIT = 1024 * 1024 * 1024 };

/* `path` may be "-": standard input. False: it cannot be read; what `command` could not do stands in
 * `err`. The message is empty before. */
bool message_file_read(const char *command, const char *path, struct strbuf *message,
                       FILE *err);

#endif
