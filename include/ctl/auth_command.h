/*
 * auth_command - `postilion auth spf|message`: who sent this, evaluated by hand.
 *
 *   auth spf --ip A [--helo H] [--from F] [--resolver HOST:PORT] [--json]
 *   auth message FILE|- --ip A [--helo H] [--from F] [--resolver HOST:PORT] [--json]
 *
 * Sender   F is an address, a domain (postmaster there) or empty: then postmaster@H is asked about, as
 *          for MAIL FROM:<>. What is no address goes to SPF all the same, cut at its last "@".
 * Message  lines may end in LF; a first line "From ..." of a mailbox file is left out.
 * Output   for people, or with --json one object on one line. Text of strangers is shown with \xNN
 *          for what is not printable. Every look-up that was made is listed.
 * Time     AUTH_COMMAND_SECONDS; what DNS has not answered by then reads temperror.
 * Result   a sysexits code: 0 whatever the verdict is, 64 (usage), 66 (no such message), 69 (the
 *          resolver cannot be started).
 */
#ifndef CTL_AUTH_COMMAND_H
#define CTL_AUTH_COMMAND_H

#include "protocol/ip_address.h"

#include <stdio.h>

enum { AUTH_COMMAND_SECONDS = 20 };

struct auth_command_options {
    const struct ip_endpoint
        *resolvers; /* used without --resolver; none: those of resolv.conf */
    size_t resolver_count;
    struct bytes receiver;    /* our host name; empty: not known */
    struct bytes authserv_id; /* empty: "localhost" */
};

/* Is --resolver given, so that nothing else needs to be known? */
bool auth_command_has_resolver(int argc, char **argv);
/* argv[0] is "auth". */
int auth_command_run(const struct auth_command_options *options, int argc, char **argv,
                     FILE *out, FILE *err);

#endif
