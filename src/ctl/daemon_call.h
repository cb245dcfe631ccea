/*
 * daemon_call - an order for the running daemon, and what its answer means for the shell.
 *
 * Private to room ctl.
 */
#ifndef CTL_DAEMON_CALL_H
#define CTL_DAEMON_CALL_H

#include "io/spool.h"

#include <stdio.h>

/* Sends the line (LF included), prints the answer to `out`, trouble to `err`; *code is the exit
 * status. False: nobody is there, nothing was printed. */
bool daemon_call(const char *control_path, struct bytes line, FILE *out, FILE *err, int *code);

/* For people, and for the shell. */
const char *spool_status_words(enum spool_status status);
int spool_status_exit_code(enum spool_status status);

#endif
