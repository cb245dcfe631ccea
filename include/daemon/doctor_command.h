/*
 * doctor_command - `postilion doctor`: what is wrong with this installation, why it matters, and what mends it.
 *
 *   doctor [DOMAIN] [--address A ...] [--port-25 HOST] [--resolver HOST:PORT] [--lists public|configured]
 *          [--offline] [--json]
 *
 * DOMAIN   only this one of ours (an SRS domain, too); otherwise the host and all domains.
 * --address  how the world sees this host (behind NAT).
 * --signed, --broken  names to try DNSSEC with: one whose signature is good, one whose is broken.
 * Status   0 nothing to do, 1 warnings, 2 errors; EX_USAGE, EX_UNAVAILABLE (no resolver).
 * argv[0] is the command's name; *takes* the configuration.
 */
#ifndef DAEMON_DOCTOR_COMMAND_H
#define DAEMON_DOCTOR_COMMAND_H

#include "daemon/config.h"

#include <stdio.h>

enum { DOCTOR_HAS_WARNINGS = 1, DOCTOR_HAS_ERRORS = 2 };

/* Are the arguments right? Before a configuration is read; EX_OK or EX_USAGE. */
int doctor_command_check(int argc, char **argv, FILE *err);
int doctor_command_run(struct config *config, int argc, char **argv, FILE *out, FILE *err);

#endif
