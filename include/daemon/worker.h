/*
 * worker - the unprivileged process that does the work.
 *
 * Threads  main (acceptor, control socket, signals, reload), one per loop, one for the spool, one
 *          for the state store, one for the log.
 * Signals  SIGTERM, SIGINT: drain (no new mail, what is open is finished, at most
 *          WORKER_DRAIN_MS), then stop; a second one stops at once. SIGHUP: reload; a bad file
 *          leaves the old configuration in force.
 * Exit     0 after an orderly stop, sysexits otherwise: 78 when the spool cannot be used, so that
 *          the supervisor does not try again and again.
 */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "daemon/config.h"
#include "io/listener.h"
#include "io/notice_pipe.h"

enum { WORKER_DRAIN_MS = 30000, WORKER_EXIT_HOPELESS = 78 };

/* What the worker tells the supervisor. */
enum worker_notice {
    WORKER_READY = 'r', /* after the start, and after each reload */
    WORKER_RELOADING = 'l',
    WORKER_ALIVE = 'a',   /* every loop has turned since the last one */
    WORKER_RESTART = 'x', /* an operator asks for another program */
};

struct worker_setup {
    const char *config_path;
    struct config *config;       /* *taken* */
    struct listener **listeners; /* bound, not started; borrowed */
    size_t listener_count;
    struct listener *control;    /* bound, or NULL */
    struct listener *admin;      /* the same */
    struct notice_pipe *notices; /* to the supervisor */
    uint64_t heartbeat_ms;       /* WORKER_ALIVE so often; 0: never */
};

/* Runs until it is told to stop; returns the exit status. */
int worker_run(const struct worker_setup *setup);

#endif
