/*
 * event_cause - what the log's words for a failure mean, on which side it lies, and what to do about it.
 *
 * Input   `why` of a message or recipient that was not taken, `class` of a delivery that failed, `why` of one that
 *         waits for an operator or ended silently (docs/LOGGING.md).
 * Output  sentences without the full stop, for people who do not read SMTP; static.
 */
#ifndef MAIL_EVENT_CAUSE_H
#define MAIL_EVENT_CAUSE_H

#include "base/bytes.h"

enum event_side {
    EVENT_SIDE_NONE, /* nothing failed */
    EVENT_SIDE_SENDER,
    EVENT_SIDE_OURS,
    EVENT_SIDE_NEXT_HOP,
};

struct event_cause {
    const char *word;
    enum event_side side;
    const char *meaning;
    const char *advice;
};

/* NULL: it is a word nobody here knows. */
const struct event_cause *event_cause_of_refusal(struct bytes why);
const struct event_cause *event_cause_of_failure(struct bytes class);
const struct event_cause *event_cause_of_hold(struct bytes why);

/* "none", "sender", "ours", "next-hop": an interface. */
const char *event_side_text(enum event_side side);

#endif
