/*
 * import_call - what the two halves of `postilion import` share: the command line, files read, what was left out.
 */
#ifndef CTL_IMPORT_CALL_H
#define CTL_IMPORT_CALL_H

#include "base/arena.h"
#include "base/strbuf.h"

#include <stdio.h>

enum { IMPORT_TEXT_LIMIT = 1024 * 1024 * 1024 };

struct import_file {
    const char *name;
    struct strbuf text;
};

struct import_call {
    FILE *out, *err;
    struct arena *arena;
    struct import_file *files;
    size_t file_count;
    struct bytes domain, local_domain; /* A-labels; or empty */
    const char *output;                /* or NULL */
    bool is_json;
};

void import_say_left_out(const struct import_call *call, struct bytes source, unsigned line,
                         struct bytes text, const char *why);
void import_add_problem_json(struct strbuf *json, struct bytes source, unsigned line,
                             struct bytes text, const char *why);
void import_add_path(const struct import_call *call, const char *path, struct strbuf *out);
/* EX_OK or EX_IOERR. */
int import_write(FILE *out, struct strbuf *text);

/* In import_srs.c */
int import_postsrsd(const struct import_call *call);

#endif
