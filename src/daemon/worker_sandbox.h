/*
 * worker_sandbox - what of this machine the worker needs, and nothing else from then on.
 *
 * Private to room daemon. Before any thread of the worker, after the supervisor's descriptors are closed.
 */
#ifndef DAEMON_WORKER_SANDBOX_H
#define DAEMON_WORKER_SANDBOX_H

#include "daemon/config.h"

/* Makes spool and state first. What this kernel cannot do is told in one line of the log. */
void worker_sandbox_enter(const struct config *config);

#endif
