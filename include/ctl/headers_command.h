/*
 * headers_command - `postilion headers [FILE] [--json]`: the way of a message, told from its header.
 *
 * Input   a message or a header, from a file or (without one, or "-") from standard input; lines may end
 *         in LF alone.
 * Output  hops in the order of travel with their delays, what each server found out, where a proof broke, and
 *         whose logs say more. Text of strangers is escaped.
 * Result  0, or 64 (usage), 65 (there is no header), 66 (cannot be read).
 */
#ifndef CTL_HEADERS_COMMAND_H
#define CTL_HEADERS_COMMAND_H

#include <stdio.h>

/* argv[0] is "headers". */
int headers_command_run(int argc, char **argv, FILE *out, FILE *err);

#endif
