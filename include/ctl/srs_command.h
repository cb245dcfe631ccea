/*
 * srs_command - `postilion srs forward|reverse ADDRESS ...`.
 *
 * Input   options made from the configuration by the caller; argv[0] is "forward" or "reverse",
 *         addresses follow, with or without angle brackets.
 *         "reverse" takes SRS addresses and reply addresses (mail/reply_address): the sender, or
 *         the author, that one stands for.
 * Output  one address a line on standard output, in the order given; what there is to say about
 *         it on standard error.
 * Result  a sysexits code: 0, 64 (usage), 75 (a stored sender cannot be read now), 65 (bad address, forged, expired, malformed; the
 *         message says which). With several addresses all are tried and the worst code counts.
 */
#ifndef CTL_SRS_COMMAND_H
#define CTL_SRS_COMMAND_H

#include "forward/rewrite_plan.h"

struct srs_command_options {
    const struct srs_options *srs;
    struct bytes srs_domain;
    uint32_t today; /* days since 1970 */
    enum long_sender_rule long_rule;
    /* Where senders and authors that were too long are stored. NULL: there is no such place. A daemon that runs
     * keeps it to itself; then the message says so. */
    const char *state_directory;
};

int srs_command_run(const struct srs_command_options *options, int argc, char **argv);

#endif
