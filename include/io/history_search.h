/*
 * history_search - finds lines in a history, while a daemon writes it or none does.
 *
 * Input    the directory (`history` under the state directory) and what is asked for. Read-only; from any
 *          thread, several at a time, also in the daemon.
 * Output   the newest `limit` lines that match, oldest first, as the log had them, without their end:
 *          for mail/event_record. They live as long as the arena.
 * Cost     no index: the keys of each segment that is not too old are read through, newest segment first
 *          (about 10 ms for 40,000 messages), until `limit` are found. So name since_ms where it is known.
 * Errors   a segment that is damaged or locked is left out and counted. A history that is not there is an
 *          empty one.
 *
 *   one message   key MESSAGE "5kx2...": all its lines, those of its bounce that name it (bounce_of) too;
 *                 take `s` of its "accepted" line and ask for SESSION to have what came before.
 *   address       key ADDRESS, in lower case, without brackets; is_distinct: one line (its newest) for each
 *                 message, or for each session where no message came of it. from, to, orig_to and sender count.
 *   Message-ID    key MESSAGE_ID, without brackets; is_distinct as above.
 *   charts        key EVENT "minute", since_ms: lines since then.
 */
#ifndef IO_HISTORY_SEARCH_H
#define IO_HISTORY_SEARCH_H

#include "base/strbuf.h"
#include "io/history.h"

#include <stdatomic.h>

enum { HISTORY_LINES = 100000 }; /* more are never given, whatever the limit */

struct history_question {
    struct history_key key;
    int64_t since_ms; /* unix; 0: all there is */
    size_t limit;     /* lines; 0: HISTORY_LINES */
    bool is_distinct; /* one line a message */
    const atomic_bool
        *is_stopped; /* or NULL; set by another thread: what was found so far is the answer */
};

struct history_line {
    int64_t time_ms;
    struct bytes line;
};

struct history_answer {
    const struct history_line *lines;
    size_t count;
    bool has_more;   /* there are older ones */
    size_t segments; /* read; 0: there is no history */
    size_t damaged;  /* segments that could not be read */
};

/* False: the directory cannot be read; *why says so. */
bool history_search(const char *directory, const struct history_question *question,
                    struct arena *arena, struct history_answer *answer, struct strbuf *why);

#endif
