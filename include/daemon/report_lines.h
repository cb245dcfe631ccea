/*
 * report_lines - lines of text in the order they came, for what commands say at their end.
 *
 * Memory  all of it lives in the arena given.
 */
#ifndef DAEMON_REPORT_LINES_H
#define DAEMON_REPORT_LINES_H

#include "base/arena.h"
#include "base/strbuf.h"

struct report_line {
    struct report_line *next;
    struct bytes text;
};

struct report_lines {
    struct report_line *first, **end; /* private: &first when there is none */
};

void report_lines_init(struct report_lines *lines);
/* Copies the text. */
void report_lines_add(struct report_lines *lines, struct arena *arena, struct bytes text);
/* "indent", the line made printable, LF; each. */
void report_lines_add_text(struct strbuf *out, const char *indent,
                           const struct report_lines *lines);
/* An array of strings. */
void report_lines_add_json(struct strbuf *out, const char *key,
                           const struct report_lines *lines);

#endif
