/*
 * import_command - `postilion import`: what other programs' files say, in ours.
 *
 *   import postfix-virtual FILE ... [--domain D] [--local D] [--output PATH] [--json]
 *   import aliases FILE ... --domain D [--local D] [--output PATH] [--json]
 *   import postsrsd FILE ... [--domain D] [--output FILE] [--json]
 *
 * Aliases   (forward/alias_import) names without a domain belong to --domain, mailboxes of that machine are now at --local.
 *           An alias file a domain: to out; to PATH, when there is one domain; or to PATH/DOMAIN.aliases, when PATH is a directory or ends
 *           in "/". Then the lines for the configuration go to out.
 * postsrsd  its settings and its secrets (forward/postsrsd_settings): the srs block to out, and with --output the secrets to that file,
 *           since those of postsrsd go away with it.
 * Files     are never written over.
 * Left out  what has no equal here goes to err, a line each: "FILE:LINE: left out: TEXT: WHY".
 * Result    a sysexits code: 0, 64 (usage), 65 (something was left out; the rest is done), 66 (a file cannot be read: nothing is done),
 *           73 (a file cannot be written).
 */
#ifndef CTL_IMPORT_COMMAND_H
#define CTL_IMPORT_COMMAND_H

#include <stdio.h>

/* argv[0] is "import". */
int import_command_run(int argc, char **argv, FILE *out, FILE *err);

#endif
