/*
 * control_command - `postilion pause`, `resume`, `reload`, `restart` and `status`: orders only a running daemon can carry out.
 */
#ifndef CTL_CONTROL_COMMAND_H
#define CTL_CONTROL_COMMAND_H

#include <stdio.h>

/* argv[0] is the command. Returns the exit status: EX_UNAVAILABLE when no daemon answers. */
int control_command_run(const char *control_path, int argc, char **argv, FILE *out, FILE *err);

#endif
