/*
 * probe_command - `postilion probe`: a conversation with the next hops of an address, step by step.
 *
 *   probe ADDRESS|DOMAIN [--from A] [--data] [--host HOST[:PORT]] [--tls POLICY] [--all] [--timeout S]
 *         [--resolver HOST:PORT] [--json]
 *
 * ADDRESS    of ours: its aliases are followed, and their targets probed; any other is probed itself. DOMAIN stands for
 *            its postmaster.
 * --from     the envelope sender, "" or "<>" is the null sender. Without it postmaster at the SRS domain: what is
 *            asked about a forward's sender (SPF, MX, a call-back) is asked about that domain, no secret is needed, and
 *            a bounce finds a postmaster. An SRS address of ours goes back from the null sender, as a bounce does.
 * --data     sends a test message, too.
 * --all      every host of the list, not only until one takes it.
 * Status     0 accepted (with --all: by all), EX_TEMPFAIL, EX_UNAVAILABLE refused for good, EX_NOHOST; EX_USAGE.
 * argv[0] is the command's name; *takes* the configuration.
 */
#ifndef DAEMON_PROBE_COMMAND_H
#define DAEMON_PROBE_COMMAND_H

#include "daemon/config.h"

#include <stdio.h>

enum { PROBE_TIMEOUT = 30, PROBE_TIMEOUT_MOST = 3600 }; /* seconds */

/* Are the arguments right? Before a configuration is read; EX_OK or EX_USAGE. */
int probe_command_check(int argc, char **argv, FILE *err);
int probe_command_run(struct config *config, int argc, char **argv, FILE *out, FILE *err);

#endif
