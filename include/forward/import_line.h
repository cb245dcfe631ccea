/*
 * import_line - the logical lines of tables as Postfix, sendmail and others write them.
 *
 * Rules   a line that begins with a blank goes on with the one before it, also across comments and empty lines; what begins with "#" (blanks
 *         before it do not count) is a comment, and so is an empty line. LF or CRLF.
 * Memory  views of the input; a line of several parts is joined in the arena.
 * Source  postconf(5), aliases(5), postmap(1)
 */
#ifndef FORWARD_IMPORT_LINE_H
#define FORWARD_IMPORT_LINE_H

#include "base/arena.h"

enum import_line_kind {
    IMPORT_LINE_END,
    IMPORT_LINE_COMMENT, /* or empty */
    IMPORT_LINE_TEXT,
    IMPORT_LINE_ORPHAN, /* begins with a blank, and there is nothing that it could go on with */
};

struct import_lines {
    struct bytes rest;
    unsigned number; /* lines taken so far */
};

struct import_line {
    struct bytes text;   /* without blanks at its ends; lines are joined by one blank */
    struct bytes inside; /* comments that stood between its parts, each with its LF */
    unsigned number;     /* of its first line, from 1 */
};

enum import_line_kind import_line_next(struct import_lines *lines, struct arena *arena,
                                       struct import_line *line);

#endif
