/*
 * event_trace - from what somebody knows of a message to all that the log says about it.
 *
 * Input   an id of ours (a message, a session), an address, or a Message-ID; with or without brackets. What it is
 *         is told by its form; an address that finds nothing is asked for as a Message-ID, too.
 * Source  whoever keeps lines (a history, a file) answers questions.
 * Output  one message: its own lines, those of its session before it, those of bounces of ours about it, those of
 *         bounces that came back to the address it was sent under, and, for such a bounce, of the messages that were
 *         sent under that address. Or several: one line, the newest, of each. By time. In the arena.
 * Limits  EVENT_TRACE_LINES lines of one question about one message.
 */
#ifndef MAIL_EVENT_TRACE_H
#define MAIL_EVENT_TRACE_H

#include "mail/event_record.h"

enum { EVENT_TRACE_LINES = 2000, EVENT_TRACE_ROWS = 20 };

enum event_key {
    EVENT_KEY_MESSAGE,    /* id, or bounce_of; in lower case */
    EVENT_KEY_SESSION,    /* s */
    EVENT_KEY_ADDRESS,    /* from, to, orig_to, sender; in lower case, without brackets */
    EVENT_KEY_MESSAGE_ID, /* without brackets */
};

struct event_question {
    enum event_key key;
    struct bytes value;
    size_t limit;     /* lines: the newest */
    bool is_distinct; /* the newest of each message, or session where no message came of it */
};

struct event_answer {
    const struct bytes *lines; /* oldest first; in the arena */
    size_t count;
    bool has_more;
};

struct event_source {
    /* False: it cannot be asked, and has said why. */
    bool (*find)(void *context, const struct event_question *question, struct arena *arena,
                 struct event_answer *answer);
    void *context;
};

enum event_trace_result {
    EVENT_TRACE_NOTHING,
    EVENT_TRACE_ONE,
    EVENT_TRACE_SEVERAL, /* records: the newest line of each, oldest first */
    EVENT_TRACE_FAILED,  /* the source */
};

struct event_trace {
    struct event_record *records;
    size_t count;
    bool has_more;        /* older ones have been left out */
    struct bytes id;      /* the message; empty: none came of the session */
    struct bytes session; /* or empty */
    bool is_address;      /* it was found by this address */
    struct bytes value;   /* what was found by: the text in the form the source is asked for */
};

enum event_trace_result event_trace_find(const struct event_source *source, struct bytes text,
                                         size_t limit, struct arena *arena,
                                         struct event_trace *trace);

/* Does a line answer a question? For sources that look through lines. */
bool event_trace_matches(const struct event_record *record, enum event_key key,
                         struct bytes value);

#endif
