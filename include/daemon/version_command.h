/*
 * version_command - `postilion version`.
 */
#ifndef DAEMON_VERSION_COMMAND_H
#define DAEMON_VERSION_COMMAND_H

#include <stdio.h>

#define POSTILION_VERSION "0.1.0"

void version_command_run(FILE *out);

#endif
