/*
 * sim_daemon - the objects of the daemon's worker, made by hand in the simulated world.
 *
 * Serves   192.0.2.25:25 as mx.fwd.example: aliases of fwd.example, SRS domain srs.fwd.example.
 *          One loop takes connections and hands them to the others, as the acceptor does.
 * Life     start; then stop (orderly: drains, then frees), or crash (the power has been cut:
 *          frees what was in memory, then restores the power). Start again finds the same disk.
 */
#ifndef TESTS_IO_SIM_SIM_DAEMON_H
#define TESTS_IO_SIM_SIM_DAEMON_H

#include "inbound/inbound_server.h"

#define SIM_DAEMON_ADDRESS "192.0.2.25:25"

struct sim_daemon_options {
    size_t loops;
    const char *aliases; /* "name: target" a line */
    struct retry_schedule retry;
    unsigned concurrency;
    uint64_t message_size;
    uint64_t free_space_floor;
    uint64_t handoff_ms; /* 0: mode store */
    enum bounce_policy bounces;
};

struct sim_daemon_options sim_daemon_defaults(void);

struct sim_daemon;

/* NULL when the power was cut meanwhile (then restore it and try again) or the spool cannot be
 * opened (*status). */
struct sim_daemon *sim_daemon_start(const struct sim_daemon_options *options,
                                    enum spool_status *status);
/* False: did not come to rest within an hour; it is freed all the same. */
bool sim_daemon_stop(struct sim_daemon **daemon);
void sim_daemon_crash(struct sim_daemon **daemon);
/* As a reload would: all parts get their options anew. */
void sim_daemon_reload(struct sim_daemon *daemon);
/* "retry all" of an operator. */
void sim_daemon_refresh(struct sim_daemon *daemon);
struct spool *sim_daemon_spool(const struct sim_daemon *daemon);
/* For sim_world_run: nothing is in the spool, no session is open. Context: the daemon. */
bool sim_daemon_is_empty(void *daemon);

#endif
