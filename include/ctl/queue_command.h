/*
 * queue_command - `postilion queue list|show|retry|hold|release|bounce|delete` (mail/queue_order.h).
 *
 * Way      the running daemon is asked through its control socket; when nobody listens there, the
 *          spool itself is opened, with its lock.
 * Output   the listing on `out`, what went wrong on `err`.
 * Result   a sysexits code: 0, 64 (usage), 65 (no such message, nothing matched, or the spool is damaged), 66 (there
 *          is no spool), 74 (disk), 75 (busy or no answer: try again).
 */
#ifndef CTL_QUEUE_COMMAND_H
#define CTL_QUEUE_COMMAND_H

#include <stdio.h>

struct queue_command_options {
    const char *spool_directory;
    const char *control_path; /* NULL or empty: none is configured */
};

/* argv[0] is "queue". */
int queue_command_run(const struct queue_command_options *options, int argc, char **argv,
                      FILE *out, FILE *err);

#endif
