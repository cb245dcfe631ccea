/*
 * salvage_command - `postilion queue salvage`: what is whole of a damaged spool, as a new one (io/spool_salvage.h).
 *
 * Use     with no daemon running; the spool of the configuration, or --spool DIR.
 * Output  a line for each message that was saved and for all that was lost, then their numbers; or JSON, one
 *         object a line, the numbers last.
 * Result  0 (all is saved), 1 (something was lost), or a sysexits code: 64 (usage), 66 (there is no spool), 73 (the
 *         new place has one already), 74 (disk), 75 (a daemon has it).
 */
#ifndef CTL_SALVAGE_COMMAND_H
#define CTL_SALVAGE_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

/* "queue salvage ..."? argv[0] is "queue". */
bool salvage_command_is_meant(int argc, char **argv);
/* Does it say --spool, and so needs no configuration? */
bool salvage_command_has_spool(int argc, char **argv);
/* `spool_directory`: of the configuration, or NULL. */
int salvage_command_run(const char *spool_directory, int argc, char **argv, FILE *out,
                        FILE *err);

#endif
