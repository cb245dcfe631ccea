/*
 * check_command - `postilion check` and `postilion explain-option`.
 *
 *   check [--no-dns | --dump | --sample | --manual]
 *                                errors and warnings to err; 0, or 78 (EX_CONFIG) with all told.
 *                                The keys of seals are compared with DNS (daemon/key_check)
 *   explain-option [NAME]        one option (NAME or BLOCK.NAME), or the list of all
 *
 * argv[0] is the command's name. The result is an exit status of <sysexits.h>.
 */
#ifndef DAEMON_CHECK_COMMAND_H
#define DAEMON_CHECK_COMMAND_H

#include <stdio.h>

int check_command_run(const char *config_path, int argc, char **argv, FILE *out, FILE *err);
int explain_option_command_run(int argc, char **argv, FILE *out, FILE *err);

#endif
