/*
 * supervisor - `postilion serve`: binds the ports, drops root, keeps one worker running.
 *
 * Restart  a worker that crashed is started anew at once, or after SUPERVISOR_PAUSE_MS when it
 *          did not live that long; the listening sockets stay open meanwhile. A worker that ends
 *          with WORKER_EXIT_HOPELESS is not started again.
 * Signals  go on to the worker: SIGTERM and SIGINT (drain; the second one stops at once, the third one
 *          kills), SIGHUP (reload).
 * Again    SIGUSR2, or `postilion restart`: the program at the same place is rehearsed first (it loads the
 *          configuration and has all sockets); then the worker drains and ends, and this process becomes that
 *          program, with the same process id and the same sockets. Clients wait in the backlog meanwhile.
 * Manager  sockets by LISTEN_FDS, readiness and watchdog by NOTIFY_SOCKET (io/service_notify).
 * Start    a supervisor that was killed takes its worker with it, but not at the same instant: ports and
 *          spool that are still taken are waited for, SUPERVISOR_PATIENCE_MS at most.
 * Exit     0 after an orderly stop; sysexits otherwise.
 */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include "daemon/config.h"

enum { SUPERVISOR_PAUSE_MS = 500, SUPERVISOR_PATIENCE_MS = 3000 };

/* *takes* the configuration. */
int supervisor_run(const char *config_path, struct config *config);
/* Could it run? *takes* the configuration; leaves everything as it was. */
int supervisor_rehearse(struct config *config);

#endif
