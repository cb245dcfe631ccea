/*
 * hop_path - the way a message took, from its header: servers, times, and what each found out.
 *
 * Input   a whole header. Received fields are read as servers write them, not as the grammar has them:
 *         clauses in any order, what is unknown is passed over.
 * Output  hops in the order of travel, oldest first; verdicts likewise. Views into the arena.
 * Time    in seconds since 1970, so zones do not matter. A hop that is earlier than the one before shows that
 *         one of two clocks is wrong, or that the field is forged.
 * Trust   none: every server, and the sender too, may have written whatever it liked below its own field.
 * Limits  HOP_LIMIT hops, HOP_VERDICT_LIMIT verdicts; what is above is counted and left out (the oldest).
 * RFC     5321 §4.4; 5322 §3.6.7; 8601; 8617
 */
#ifndef MAIL_HOP_PATH_H
#define MAIL_HOP_PATH_H

#include "base/arena.h"

#include <stdint.h>

enum { HOP_LIMIT = 100, HOP_VERDICT_LIMIT = 100 };

struct mail_hop {
    struct bytes from;     /* what the client called itself */
    struct bytes address;  /* what stands in comments behind it: "mail.example [192.0.2.1]" */
    struct bytes by;       /* the server that wrote it */
    struct bytes protocol; /* behind "with": "ESMTPS" */
    struct bytes id;       /* in that server's log */
    struct bytes recipient;
    bool has_time;
    int64_t unix_seconds;
    int zone_minutes;
    bool has_delay;        /* this and an earlier hop have times */
    int64_t delay_seconds; /* since that; negative: clocks disagree */
};

/* One method's result in one Authentication-Results or ARC-Authentication-Results field. */
struct hop_verdict {
    struct bytes server;   /* authserv-id */
    unsigned arc_instance; /* 0: an Authentication-Results field */
    struct bytes method;   /* "spf" */
    struct bytes result;   /* "pass" */
    struct bytes identity; /* smtp.mailfrom, header.d, header.from: as far as said */
    size_t hop;     /* written at or behind this hop: index, or count when before all of them */
    bool is_broken; /* it was "pass" for the same method and identity further down */
};

struct hop_path {
    struct mail_hop hops[HOP_LIMIT];
    size_t count;
    size_t left_out;
    struct hop_verdict verdicts[HOP_VERDICT_LIMIT];
    size_t verdict_count;
    bool has_written; /* the Date field says when */
    int64_t written_seconds;
    bool has_total; /* two hops have times */
    int64_t total_seconds;
    size_t slowest; /* index of the hop with the greatest delay, or count */
    size_t skewed;  /* hops earlier than the one before */
};

/* About 20 KB: not for small stacks. */
void hop_path_read(struct bytes header, struct arena *arena, struct hop_path *path);

#endif
