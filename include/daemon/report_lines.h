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
enum { REPORT_WIDTH = 98 };

/* "  label   words": words of ours, over several lines where they need it; nothing when there are none. */
void report_words_add(struct strbuf *out, const char *label, int label_width,
                      const char *words);
/* An array of strings. */
void report_lines_add_json(struct strbuf *out, const char *key,
                           const struct report_lines *lines);

#endif
