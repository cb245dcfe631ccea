/*
 * log - one line per outcome, logfmt (or JSON), any thread.
 *
 * Shape   log_begin, fields, log_end: "ts=... level=info event=sent id=... to=<a@b> ...\n".
 *         Values with blanks, quotes, "=" or control octets are quoted and escaped, so text from
 *         peers can neither end the line nor make a field (docs/LOGGING.md).
 * Limit   LOG_LINE_LIMIT octets a line; a value that does not fit is cut and ends in "...".
 * Cost    no system call on the loops: a writer thread collects lines and writes them in batches
 *         (every 20 ms, or at once when much waits). A sink that does not take them never
 *         stops a loop: lines are dropped and counted (event=log-dropped).
 */
#ifndef IO_LOG_H
#define IO_LOG_H

#include "base/bytes.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_FATAL };
enum log_format { LOG_LOGFMT, LOG_JSON };
enum log_target { LOG_STDERR, LOG_SYSLOG };
enum { LOG_LINE_LIMIT = 4096 };

struct log_options {
    enum log_level level;
    enum log_format format;
    enum log_target target;
};

struct log_line {
    enum log_level level;
    bool is_on;
    bool is_quiet;  /* private: for the watch only */
    bool has_value; /* private */
    size_t len;
    char text[LOG_LINE_LIMIT];
};

void log_configure(
    const struct log_options *options); /* any time; before it: info, logfmt, stderr */
/* In a child, before log_start: the parent's connection to syslog is not ours; one is made when needed. */
void log_close_syslog(void);
void log_start(void); /* starts the writer thread (after fork) */
void log_stop(void);  /* writes out what waits and stops it */
void log_flush(void); /* waits until what waits is written; for the end and for fatal lines */

/* Lines go to `take`, without their end, and nowhere else; NULL: to the target again. For commands that
 * show what would be logged; no other thread may log meanwhile. */
void log_divert(void (*take)(void *context, struct bytes line), void *context);
/* Lines of this thread are thrown away, the watch does not see them either; for rehearsals inside a daemon. */
void log_hush(bool is_on);

/* Besides the target: whole lines, each with its end, several a call, on the writer's thread, from log_start to
 * log_stop. Also lines of level info that the level leaves out. Lines are as the target gets them: logfmt or
 * JSON, with syslog's prefix when it goes there. `take` must not wait for anything, and is not called any more when
 * log_watch(NULL, NULL) is back. One watch at a time; `take` itself must not set it. */
void log_watch(void (*take)(void *context, struct bytes lines), void *context);

void log_begin(struct log_line *line, enum log_level level, const char *event);
/* A line for the watch only, whatever the level: of level info, nothing when nobody watches. */
void log_begin_unseen(struct log_line *line, const char *event);
void log_bytes(struct log_line *line, const char *key, struct bytes value);
void log_text(struct log_line *line, const char *key, const char *value);
void log_address(struct log_line *line, const char *key, struct bytes address); /* key=<...> */
void log_number(struct log_line *line, const char *key, int64_t value);
void log_end(struct log_line *line);

#endif
