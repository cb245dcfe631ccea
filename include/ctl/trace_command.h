/*
 * trace_command - `postilion trace ID|ADDRESS|MESSAGE-ID`: the whole story of one message.
 *
 * Way      from the event history of the state directory, whether a daemon runs or not; with --log from a file of log
 *          lines. The queue is asked as `queue show` asks it.
 * Output   the story, or the matching messages, one a line, newest first; as text or JSON. --bundle: evidence for somebody
 *          else, what is private masked (mail/evidence_mask).
 * Result   0 found; 1 nothing found, and why that may be; 64 (usage), 66 (no such file), 74 (it cannot be read).
 */
#ifndef CTL_TRACE_COMMAND_H
#define CTL_TRACE_COMMAND_H

#include "base/bytes.h"

#include <stdio.h>

struct trace_command_options {
    const char *state_directory; /* NULL: there is no configuration */
    const char *spool_directory, *control_path;
    struct bytes hostname;
    const char *version;
    bool is_history_off;
};

/* Says --log where lines are: then no configuration is needed. */
bool trace_command_has_log(int argc, char **argv);
/* argv[0] is "trace". */
int trace_command_run(const struct trace_command_options *options, int argc, char **argv,
                      FILE *out, FILE *err);

#endif
