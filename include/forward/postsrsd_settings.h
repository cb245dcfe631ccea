/*
 * postsrsd_settings - what the files of postsrsd say: /etc/default/postsrsd of 1.x, postsrsd.conf of 2.x, and its secrets.
 *
 * Output   views of the text. What is set again counts the last time.
 * Problems settings that mean something for return addresses and have no equal here; each with its line and reason. What is only about postsrsd
 *          itself (ports, chroot, account) is passed over.
 * Limit    POSTSRSD_PROBLEM_LIMIT problems a file.
 * Source   postsrsd 1.10 default file and launcher; 2.x postsrsd.conf
 */
#ifndef FORWARD_POSTSRSD_SETTINGS_H
#define FORWARD_POSTSRSD_SETTINGS_H

#include "base/bytes.h"

enum { POSTSRSD_PROBLEM_LIMIT = 32 };

struct postsrsd_problem {
    unsigned line;
    struct bytes text;
    const char *why; /* static */
};

struct postsrsd_settings {
    struct bytes srs_domain;   /* or empty */
    struct bytes first_domain; /* of domains: the SRS domain of 2.x where none is set */
    struct bytes secret_path;  /* or empty */
    char separator;            /* 0: not said */
    struct postsrsd_problem problems[POSTSRSD_PROBLEM_LIMIT];
    size_t problem_count;
};

/* Are these settings? Otherwise it is a file of secrets, one a line. */
bool postsrsd_settings_are_meant(struct bytes text);
/* Adds to what is there: both kinds of files may be read one after the other. */
void postsrsd_settings_read(struct bytes text, struct postsrsd_settings *settings);
/* The next secret of a file of them; false at its end. */
bool postsrsd_next_secret(struct bytes *rest, struct bytes *secret);

#endif
