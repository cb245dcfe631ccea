/*
 * descriptors - how many clients there is room for under the limit of open files.
 *
 * Rule   a client takes one; DESCRIPTORS_RESERVE are left to next hops, DNS, the spool and large contents
 *        (of a limit too small for that: half of it), so that what was accepted can be dealt with.
 */
#ifndef DAEMON_DESCRIPTORS_H
#define DAEMON_DESCRIPTORS_H

#include "daemon/config.h"
#include "daemon/config_errors.h"

enum { DESCRIPTORS_RESERVE = 512 };

/* Of open files, so that limits.connections can be reached. */
uint64_t descriptors_wanted(const struct config *config);
/* limits.connections, or as many as `limit` has room for. */
uint64_t descriptors_connections(const struct config *config, uint64_t limit);
/* A warning when they are fewer. */
void descriptors_report(const struct config *config, uint64_t limit,
                        struct config_errors *errors);
void descriptors_log(const struct config *config, uint64_t limit);

#endif
