/*
 * trace_source - where `postilion trace` finds lines: the history, or a file.
 *
 * Private to room ctl. A file is read whole (a log of a gigabyte at most) and looked through from its end; lines that are not
 * ours are passed over.
 */
#ifndef CTL_TRACE_SOURCE_H
#define CTL_TRACE_SOURCE_H

#include "base/strbuf.h"
#include "mail/event_trace.h"

enum { TRACE_FILE_LIMIT = 1024 * 1024 * 1024 };

struct trace_source {
    struct event_source source;
    int64_t since_ms;
    const char *directory; /* of the history; or NULL */
    struct strbuf text;    /* of the file */
    struct strbuf why;     /* what was wrong */
    size_t segments, damaged;
};

void trace_source_init(struct trace_source *source, int64_t since_ms);
void trace_source_clear(struct trace_source *source);
void trace_source_use_history(struct trace_source *source, const char *directory);
/* "-": standard input. False: it cannot be read, see why. */
bool trace_source_use_file(struct trace_source *source, const char *path);

#endif
