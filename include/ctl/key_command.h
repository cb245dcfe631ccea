/*
 * key_command - `postilion key make SELECTOR` and `postilion key show FILE`: keys for seals.
 *
 *   make SELECTOR [--domain D] [--type rsa|ed25519] [--out FILE]
 *                  a new key in FILE (default: SELECTOR.D.pem in the working directory), and on
 *                  out the DNS record to publish, as lines of a zone
 *   show FILE      the record of a key that is there, in one piece as web forms want it
 *   show FILE --selector S [--domain D]
 *                  ... as a line of a zone
 *
 * Promise  a file that is there is never written over.
 * Input    argv[0] is the command's name. No configuration is needed.
 * Result   an exit status of <sysexits.h>: 0, 64 (usage), 65 (not a key we sign with), 66 (no such
 *          file), 73 (the file is there already or cannot be made).
 */
#ifndef CTL_KEY_COMMAND_H
#define CTL_KEY_COMMAND_H

#include <stdio.h>

int key_command_run(int argc, char **argv, FILE *out, FILE *err);

#endif
