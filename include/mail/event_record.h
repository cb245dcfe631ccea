/*
 * event_record - one line of our own log, read back (docs/LOGGING.md).
 *
 * Input   a line with or without its LF, logfmt or JSON. Something may stand before it: syslog's or journald's prefix ("Nov 22
 *         07:54:37 mx postilion[42]: "), a container's time. A tag ("sshd[7]: ") with words behind it does not: what
 *         other programs were made to say is no line of ours.
 * Output  fields in the order of the line, behind ts, level and event; a name may stand there more than once. Values without
 *         quotes and escapes. In JSON an octet that was no character stays the text \xNN.
 *         Views into the line or the arena.
 * Cut     a line that a sink has cut short keeps its whole fields; a quoted value without its end is left out.
 * Limits  EVENT_LINE_LIMIT octets, EVENT_FIELD_LIMIT fields; a line with more is none of ours.
 */
#ifndef MAIL_EVENT_RECORD_H
#define MAIL_EVENT_RECORD_H

#include "base/arena.h"

enum { EVENT_LINE_LIMIT = 64 * 1024, EVENT_FIELD_LIMIT = 256 };

struct event_field {
    struct bytes name, value;
};

struct event_record {
    int64_t time_ms; /* since 1970 */
    struct bytes level, event;
    const struct event_field *fields;
    size_t count;
};

/* False: not a line of ours. */
bool event_record_read(struct event_record *record, struct bytes line, struct arena *arena);

/* The first of that name, "<a@b>" without its brackets; {NULL, 0}: there is none. */
struct bytes event_record_get(const struct event_record *record, const char *name);
/* Each of that name: start with *position = 0; {NULL, 0} at the end. */
struct bytes event_record_next(const struct event_record *record, const char *name,
                               size_t *position);
/* Has it that event? */
bool event_record_is(const struct event_record *record, const char *event);
/* 0: it is not there, or no number. */
uint64_t event_record_number(const struct event_record *record, const char *name);

#endif
