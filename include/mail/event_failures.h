/*
 * event_failures - the destinations that deliveries fail at, from the lines of the log.
 *
 * Input    one log line after the other (mail/event_record): deferred, bounced, dropped, held and refused
 *          count as failures of the domain in `to`, but for what is wrong with one recipient only (class
 *          unknown-user, mailbox-full, mailbox-busy, too-big). delivered is noted beside them.
 * Memory   constant: EVENT_FAILURES destinations, one that has not failed for EVENT_FAILURE_MS makes place
 *          first, then one with the fewest failures.
 * Text     domain and reply are peers': escape them where they are shown. Not for labels of metrics.
 */
#ifndef MAIL_EVENT_FAILURES_H
#define MAIL_EVENT_FAILURES_H

#include "mail/event_record.h"

enum {
    EVENT_FAILURES = 64,
    EVENT_FAILURE_MS = 24 * 3600 * 1000,
    EVENT_FAILURE_TEXT = 255, /* octets kept of a name or a reply */
};

struct event_failure {
    struct bytes domain;       /* lower case */
    struct bytes class, relay; /* of the last one */
    struct bytes tls;          /* of the last one: a version, "none", or empty: not connected */
    struct bytes reply;        /* of the last one */
    uint64_t failures;         /* since since_ms */
    uint64_t delivered;        /* since since_ms */
    int64_t since_ms, last_ms; /* of failures; unix */
};

struct event_failures;

struct event_failures *event_failures_new(void);
void event_failures_free(struct event_failures **failures); /* safe on NULL */
void event_failures_take(struct event_failures *failures, const struct event_record *record);
/* Those that failed within EVENT_FAILURE_MS, most failures first; returns how many. Views are good until
 * the next line is taken. */
size_t event_failures_list(const struct event_failures *failures, int64_t now_ms,
                           struct event_failure list[EVENT_FAILURES]);

#endif
