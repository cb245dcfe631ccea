/*
 * event_story - what happened to one message, step by step, from the log's lines about it.
 *
 * Input   the records mail/event_trace found, by time; and what is known of the queue.
 * Output  steps with sentences for people, each recipient's end, and on which side a failure lies. In the arena; texts are
 *         printable: controls and octets that are no UTF-8 stand there as \xNN.
 * Honest  it says no more than the lines do: what nobody logged is unknown, not fine.
 * Limits  STORY_STEPS steps; more are counted and left out, the newest stay.
 */
#ifndef MAIL_EVENT_STORY_H
#define MAIL_EVENT_STORY_H

#include "mail/event_cause.h"
#include "mail/event_record.h"

enum { STORY_STEPS = 500 };

enum story_state {
    STORY_UNKNOWN,   /* no line says */
    STORY_DELIVERED, /* the next hop took it */
    STORY_WAITING,   /* in the queue, as far as is known */
    STORY_HELD,      /* for an operator */
    STORY_BOUNCED,   /* failed for good; the sender was told by mail */
    STORY_DROPPED,   /* failed for good; nobody was told */
    STORY_REFUSED,   /* failed for good; the client was told while it waited */
    STORY_DEFERRED,  /* the client was asked to come again */
    STORY_DISCARDED, /* thrown away, as the alias says */
    STORY_DELETED,   /* by an operator */
    STORY_MOVED,     /* a recipient: it goes to its fallback instead */
    STORY_MIXED,     /* different for different recipients */
};

/* What the queue says of one recipient. */
struct story_waiting {
    struct bytes recipient, reply;
    struct bytes written; /* what the sender wrote to; empty: it is a bounce of ours */
    bool is_held;
    int64_t next_ms; /* unix */
    uint64_t attempts;
};

enum story_queue {
    STORY_QUEUE_UNKNOWN, /* it could not be asked */
    STORY_QUEUE_NOT_THERE,
    STORY_QUEUE_THERE,
};

struct story_input {
    const struct event_record *records; /* by time */
    size_t count;
    struct bytes id;      /* empty: of a session no message came of */
    struct bytes session; /* or empty */
    struct bytes address; /* without id: only refusals about it are told; empty: all */
    enum story_queue queue;
    const struct story_waiting *waiting;
    size_t waiting_count;
};

struct story_line {
    struct bytes text;
    struct story_line *next;
};

struct story_step {
    int64_t time_ms;
    const char *
        kind; /* "session", "checks", "scan", "answer", "rewrite", "attempt", "bounce", "returned", "operator",
                            "queue", "note" */
    const char *
        outcome; /* of attempts their event, of answers "accepted", "refused", "deferred"; or NULL */
    struct story_line *lines;
    const struct event_record *record; /* it was told from; or NULL */
    struct story_step *next;
};

/* What became of one recipient at a next hop. */
struct story_delivery {
    struct bytes to, orig_to,
        sender; /* sender: what it went out with, when that is another one */
    enum story_state state;
    uint64_t attempts;
    const struct event_record *last; /* its last attempt; or NULL */
    struct story_delivery *next;
};

struct story_word {
    struct bytes text;
    struct story_word *next;
};

struct event_story {
    struct bytes id, session, client, helo, from, message_id, bounce_of;
    bool has_from;
    struct story_word *recipients; /* what the sender wrote to */
    struct story_delivery *deliveries;
    struct story_word *bounces; /* ids of bounces of ours about it */
    struct story_word *returns; /* ids of bounces that came back to its SRS address */
    struct story_word *origins; /* it came back to an address these messages were sent under */
    bool is_return_shared;      /* that address was used for other messages, too */
    const struct event_record
        *accepted; /* the line of its end in the session, taken or not; or NULL */
    const struct event_record **lines; /* those it was told from, by time */
    size_t line_count;
    struct story_step *steps;
    size_t steps_left_out;
    enum story_state state;
    enum event_side side;   /* where the failure lies; NONE: nothing has failed */
    struct bytes verdict;   /* one or two sentences */
    struct bytes read_next; /* whose logs, when, and what to look for; or empty */
};

void event_story_tell(const struct story_input *input, struct arena *arena,
                      struct event_story *story);

/* "delivered", "waiting" ...: an interface. */
const char *story_state_text(enum story_state state);

#endif
