/*
 * setup_command - `postilion setup`: a configuration that works, and the DNS records it needs.
 *
 *   setup DOMAIN ... [--write DIR] [--postmaster ADDRESS] [--hostname H] [--srs-domain D] [--address A] ...
 *         [--user NAME] [--resolver HOST:PORT | --no-dns] [--json]
 *
 * Found out  what is not said: addresses from the default routes (behind NAT: from DNS), the host's name from the system or from the reverse name
 *            of its addresses, a certificate for it under /etc/letsencrypt/live and /etc/ssl.
 * --write    makes DIR with postilion.conf, srs.secret, a key to seal with, an alias file a domain, and copies of the certificate. A
 *            file that is there is kept and used; only postilion.conf must not be there. Without it the
 *            configuration is printed, and nothing is written. A postsrsd.secret there becomes the classic-secret-file.
 * Output     what was found, the files, the records of forward/publish_record that are not right yet, and the next commands;
 *            then the errors and warnings of `check`, to err.
 * Result     a sysexits code: 0; also when check misses nothing but a postmaster, whom only the operator knows; 64 (usage, or a host name that
 *            cannot be found), 65 (a file that is there cannot be used), 67 (no such account), 73 (a file cannot be made, or postilion.conf
 *            is there), 78 (check finds more).
 */
#ifndef DAEMON_SETUP_COMMAND_H
#define DAEMON_SETUP_COMMAND_H

#include <stdio.h>

/* argv[0] is the command's name. */
int setup_command_run(int argc, char **argv, FILE *out, FILE *err);

#endif
