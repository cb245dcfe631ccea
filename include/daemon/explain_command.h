/*
 * explain_command - `postilion explain`: what would happen to a message, and why; nothing is sent or stored.
 *
 *   explain FROM TO [--ip A] [--helo H] [--message FILE|-] [--scan] [--ask] [--resolver HOST:PORT] [--json]
 *
 * FROM     envelope sender; "" or "<>" is the null sender.
 * --ip     the client. Without one nothing is asked about it.
 * --helo   what it says; without it the sender's domain.
 * --scan   shows the message to the scanners, who may learn from it.
 * --ask    asks the servers behind ("verify-recipients") up to RCPT.
 * Status   0 it would be accepted, 1 refused, 75 (EX_TEMPFAIL) deferred; EX_USAGE, EX_NOINPUT (the
 *          message), EX_UNAVAILABLE (no resolver).
 * argv[0] is the command's name; *takes* the configuration.
 */
#ifndef DAEMON_EXPLAIN_COMMAND_H
#define DAEMON_EXPLAIN_COMMAND_H

#include "daemon/config.h"

#include <stdio.h>

enum { EXPLAIN_REFUSED = 1 };

/* Are the arguments right? Before a configuration is read; EX_OK or EX_USAGE. */
int explain_command_check(int argc, char **argv, FILE *err);
int explain_command_run(struct config *config, int argc, char **argv, FILE *out, FILE *err);

#endif
