/*
 * sim_world - a world in which postilion runs, made from a seed: time, chance, network, DNS, disk.
 *
 * Use      sim_world_new(seed), make peers (sim_peers) and the daemon (sim_daemon), sim_world_run.
 *          One world per process at a time: io's headers have no place for more.
 * Time     virtual; nothing waits. Every event takes a microsecond of it, so two things never
 *          happen at the same time and no circle of events stands still. The order of what may
 *          happen in any order is drawn from the seed. The same seed gives the same log, octet by
 *          octet.
 * Hosts    a loop belongs to the host that is "at work" when it is made: the daemon, or the peers,
 *          which know no power cuts.
 * Power    sim_power_cut, sim_disk_cut_at and sim_world_cut_at stop the daemon's host within an
 *          event: nothing it does afterwards reaches disk, network or log. Then its objects are
 *          freed (sim_daemon_crash) and sim_power_restore leaves on the disk what a cut leaves.
 *          What was on the wire arrives; some time later the peers find their connections reset.
 */
#ifndef TESTS_IO_SIM_SIM_WORLD_H
#define TESTS_IO_SIM_SIM_WORLD_H

#include "base/strbuf.h"
#include "io/disk.h"
#include "protocol/dns_message.h"

enum sim_host { SIM_DAEMON, SIM_PEERS, SIM_HOSTS };

void sim_world_new(uint64_t seed);
void sim_world_free(void); /* everything made in it must be gone, but the peers' streams */

/* Runs until `is_done` says so. False: `limit_ms` of virtual time have passed, nothing is left that
 * could ever happen, or the power was cut. */
bool sim_world_run(bool (*is_done)(void *context), void *context, uint64_t limit_ms);
/* Lets time pass, or until the power is cut (false). */
bool sim_world_pass(uint64_t ms);
uint64_t sim_world_now_ms(void);
void sim_clock_jump(int64_t ms); /* the wall clock is set, to and fro; time goes on as it was */
uint64_t sim_world_events(void); /* that happened so far */
uint32_t sim_random(uint32_t below);
bool sim_chance(uint32_t one_in);
/* Everything logged so far, as the daemon writes it. */
struct bytes sim_world_log(void);
size_t sim_log_count(const char *text); /* lines that contain it */
struct event_loop *sim_peer_loop(void);

/* What others posted and a loop that has stopped never ran. Whoever is meant has gone: these tasks
 * only free what they carry. */
struct event_loop;
void sim_loop_run_leftovers(struct event_loop *loop);

/* ---- power ---- */

void sim_power_cut(void);
void sim_world_cut_at(uint64_t events); /* when so many more have happened; 0: never */
bool sim_power_is_on(void);
void sim_power_restore(void); /* the daemon's objects must be gone */

/* ---- disk ---- */

/* Operations that change something, since the world began. */
uint64_t sim_disk_operations(void);
uint64_t sim_disk_syncs(void);
/* The power goes in the n-th changing operation from now on; 0: not. */
void sim_disk_cut_at(uint64_t operation);
/* The n-th changing operation from now on fails with `failure`, and `count` - 1 behind it. */
void sim_disk_fail_at(uint64_t operation, uint64_t count, enum disk_status failure);
/* The last operation has failed in this way. */
bool sim_disk_is_failing(void);
/* What the next cuts leave of what was not synced: nothing, all, half or most of it, sector by sector
 * (0 to 3); negative: drawn for each cut. */
void sim_disk_set_survival(int survival);
void sim_disk_set_free_space(uint64_t octets);

/* ---- spool ---- */

struct spool_change;

/* Is told of every change when it is tried, and again when it has been made durable, before anybody
 * else hears of it. NULL: nobody. */
void sim_spool_set_witness(void (*witness)(void *context, const struct spool_change *change,
                                           bool is_durable),
                           void *context);

/* The disk failed when the spool was last closed. */
bool sim_spool_has_failed_to_the_last(void);

/* What was asked of a spool that has been closed meanwhile fails now: whoever asked has gone, and
 * frees what waited for the answer. */
void sim_spool_answer_orphans(void);

/* ---- network ---- */

enum sim_reach {
    SIM_REACHED,     /* a listener answers, or the connection is refused */
    SIM_SILENT,      /* nothing comes back */
    SIM_UNREACHABLE, /* no route */
};

void sim_network_set_reach(const char *address, enum sim_reach reach);
size_t sim_network_open_count(void); /* connections with both ends open */

/* ---- DNS: what is not here does not exist ---- */

void sim_dns_add_mx(const char *name, uint16_t preference, const char *host);
void sim_dns_add_address(const char *name, const char *address);
/* Every answer from now on is a temporary failure, until false. */
void sim_dns_set_failing(bool is_failing);

#endif
