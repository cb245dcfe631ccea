/*
 * secret_command - `postilion srs secret [--add FILE]`: a new secret for SRS addresses.
 *
 *   srs secret               prints one
 *   srs secret --add FILE    puts one in front of those in FILE: it signs from the next reload on, and all of them still verify.
 *                            A missing FILE is made, readable by its owner and the group of the account "postilion".
 *
 * A secret is 32 octets from the system, as base64. An address with a tag gives whoever gets it a means to test guesses, so nothing
 * that people think of is good enough.
 * Result   a sysexits code: 0, 64 (usage), 65 (SRS_SECRET_LIMIT secrets are there already), 73 (FILE cannot be written).
 */
#ifndef CTL_SECRET_COMMAND_H
#define CTL_SECRET_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

/* Is it meant, rather than srs forward or reverse? argv[0] is "srs". */
bool secret_command_is_meant(int argc, char **argv);
int secret_command_run(int argc, char **argv, FILE *out, FILE *err);

#endif
