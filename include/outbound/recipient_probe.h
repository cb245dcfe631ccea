/*
 * recipient_probe - asks the servers of a destination whether they take a recipient, and remembers it.
 *
 * Flow     1 what is remembered is there at once, and so is "nobody knows" while the destination is down
 *          2 the same question of several is asked once
 *          3 MAIL FROM:<>, RCPT and RSET over a connection of the destination, by delivery_attempt: hosts, TLS
 *            and connections are those of deliveries. One recipient a transaction: servers that let the null
 *            sender have one recipient only would refuse the second for no fault of its own.
 *          4 on_done, never from inside start
 * Answers  2xx and 5xx to RCPT, when they are about the recipient (forward/recipient_check), are remembered
 *          for the times given. Whatever else comes is nobody's answer and is not remembered.
 * Down     a destination that was not reached is not asked for PROBE_DOWN_MS, twice as long each time, at most
 *          PROBE_DOWN_MOST_MS: so not every recipient waits for it.
 * Limits   PROBE_CONNECTIONS questions at a time to a destination, the others wait in line; PROBE_QUESTIONS in
 *          all; PROBE_REMEMBERED answers.
 * Threads  one per loop.
 */
#ifndef OUTBOUND_RECIPIENT_PROBE_H
#define OUTBOUND_RECIPIENT_PROBE_H

#include "forward/recipient_memory.h"
#include "outbound/delivery_attempt.h"

enum {
    PROBE_CONNECTIONS = 4,
    PROBE_QUESTIONS = 2000,
    PROBE_REMEMBERED = 20000,
    PROBE_DOWN_MS = 2000,
    PROBE_DOWN_MOST_MS = 60 * 1000,
};

enum probe_verdict { PROBE_ACCEPTED, PROBE_REFUSED, PROBE_UNKNOWN };

struct probe_result {
    enum probe_verdict verdict;
    bool is_remembered;
    struct recipient_answer answer; /* unless it is UNKNOWN; good until the function returns */
    const char *why; /* UNKNOWN: "timeout", "down", "busy", "no-answer"; static */
};

struct probe_request {
    struct bytes destination; /* forward/delivery_route */
    struct bytes address;     /* "local@domain", the domain in lower case */
    uint64_t timeout_ms;
    uint64_t positive_ms, negative_ms; /* 0: not remembered */
};

struct recipient_prober;
struct recipient_probe;

struct recipient_prober *recipient_prober_new(struct event_loop *loop,
                                              struct outbound *outbound);
void recipient_prober_free(struct recipient_prober **prober); /* safe on NULL */
/* Routes may be others now: forgets what it remembers. */
void recipient_prober_forget(struct recipient_prober *prober);

/* NULL: *result is there. Otherwise on_done is called once, unless it is cancelled before. */
struct recipient_probe *
recipient_probe_start(struct recipient_prober *prober, const struct probe_request *request,
                      struct probe_result *result,
                      void (*on_done)(void *context, const struct probe_result *result),
                      void *context);
void recipient_probe_cancel(struct recipient_probe **probe); /* safe on NULL */

#endif
