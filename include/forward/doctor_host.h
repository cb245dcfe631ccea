/*
 * doctor_host - what is to be said of the host itself: files, secrets, disks, clock, certificates, and what a
 * rehearsed client, our own listeners and port 25 answered.
 *
 * Input   facts that somebody else has gathered; what is not known is said to be not known.
 * Output  findings, also about what is well.
 * Rules   a secret is measured by what somebody must guess who knows how it is made up (digits, letters, repeated
 *         or counted up): under DOCTOR_WEAK_BITS it can be guessed from one address.
 */
#ifndef FORWARD_DOCTOR_HOST_H
#define FORWARD_DOCTOR_HOST_H

#include "mail/finding.h"
#include "protocol/ip_address.h"

enum {
    DOCTOR_WEAK_BITS = 50,   /* hours on one machine */
    DOCTOR_STRONG_BITS = 80, /* out of anybody's reach */
    DOCTOR_SOON_DAYS = 14,
};

enum doctor_file_kind {
    DOCTOR_FILE_SECRET, /* nobody else may read it */
    DOCTOR_FILE_RULES,  /* configuration, aliases: nobody else may write it */
    DOCTOR_DIRECTORY,   /* spool, state: the daemon's alone */
};

struct doctor_file {
    enum doctor_file_kind kind;
    struct bytes path;
    bool is_known; /* it could be looked at */
    unsigned owner, mode;
};

/* Who works in the directories. */
struct doctor_account {
    bool is_known;
    unsigned id;
    struct bytes name; /* or empty */
};

void doctor_host_files(struct findings *findings, const struct doctor_file *files, size_t count,
                       const struct doctor_account *account);

/* Bits that must be guessed, at most. */
unsigned doctor_secret_bits(struct bytes secret);
/* The n-th (from 1) of `path`. */
void doctor_host_secret(struct findings *findings, struct bytes path, size_t number,
                        struct bytes secret);

struct doctor_disk {
    const char *what; /* "spool" */
    struct bytes path;
    bool is_known;
    uint64_t free, floor;            /* octets; under `floor` mail is deferred */
    uint64_t free_files, most_files; /* inodes; most 0: the file system does not count them */
};

void doctor_host_disk(struct findings *findings, const struct doctor_disk *disk);

enum doctor_clock_state { DOCTOR_CLOCK_UNKNOWN, DOCTOR_CLOCK_KEPT, DOCTOR_CLOCK_FREE };

struct doctor_clock {
    enum doctor_clock_state state; /* what the kernel says */
    const char *why_unknown;
    int64_t now;       /* seconds since 1970 */
    int64_t latest;    /* something is known to have happened then; 0: nothing is known */
    struct bytes what; /* that was */
};

void doctor_host_clock(struct findings *findings, const struct doctor_clock *clock);

struct doctor_certificate {
    struct bytes path;
    bool is_known;
    int64_t begins, expires;
    const char *chain_trouble; /* NULL: the chain is in order */
    bool is_replaced;          /* the file is another one than the daemon has read */
};

/* `missing`: names (hostname, our MX names) that none of them is for. */
void doctor_host_certificates(struct findings *findings,
                              const struct doctor_certificate *certificates, size_t count,
                              const struct bytes *missing, size_t missing_count, int64_t now);

/* A client that comes from nowhere wants to send to somebody who is not ours. */
struct doctor_relay_try {
    struct bytes recipient; /* as in RCPT */
    unsigned code;          /* the answer; 0: there was none */
};

void doctor_host_relay(struct findings *findings, const struct doctor_relay_try *tries,
                       size_t count);

enum doctor_call_result {
    DOCTOR_CALL_GREETED, /* a banner came */
    DOCTOR_CALL_CLOSED,  /* nobody listens, or nothing that says 220 */
    DOCTOR_CALL_SILENT,  /* connected, and no banner; or no answer at all */
    DOCTOR_CALL_NO_WAY,  /* no route */
    DOCTOR_CALL_UNKNOWN, /* it could not be tried */
};

struct doctor_call {
    enum doctor_call_result result;
    struct bytes host; /* or empty */
    struct ip_endpoint endpoint;
    unsigned code;       /* of the first reply; 0: none */
    struct bytes banner; /* its text */
    const char *why;     /* in words, or NULL */
};

/* Our own listeners: is it us who answers, and at all? */
void doctor_host_listeners(struct findings *findings, const struct doctor_call *calls,
                           size_t count, struct bytes hostname);
/* Other people's hosts: one that answers is enough. */
void doctor_host_port_25(struct findings *findings, const struct doctor_call *calls,
                         size_t count);

#endif
