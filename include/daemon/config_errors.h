/*
 * config_errors - all that is wrong in a configuration, told the way a compiler tells it.
 *
 * Shape   FILE:LINE:COLUMN: error: MESSAGE
 *             the line
 *             ^~~~
 *           hint: HINT
 *         Lines and columns count from 1, columns in characters.
 * Memory  everything is copied when it is added.
 * Limit   the first CONFIG_ERRORS_KEPT are kept, the rest is counted.
 */
#ifndef DAEMON_CONFIG_ERRORS_H
#define DAEMON_CONFIG_ERRORS_H

#include "base/strbuf.h"
#include "io/file_read.h"

enum { CONFIG_ERRORS_KEPT = 100 };

/* A text something can be wrong in. */
struct config_file {
    const char *name;
    struct bytes text;
    struct strbuf owned; /* what text points into, or empty */
    struct file_stamp stamp;
    bool is_on_disk; /* otherwise a text from memory */
    bool is_secret;  /* keys, secrets: nobody else is to read it */
    bool is_watched; /* aliases: read again when it changes, without anybody's asking */
    struct config_file *next;
};

struct config_place {
    const struct config_file *file;
    size_t offset;
    size_t len;
};

enum config_severity { CONFIG_ERROR, CONFIG_WARNING };

struct config_error {
    enum config_severity severity;
    const char *file;
    unsigned line, column; /* 0: about the file as a whole */
    const char *message;
    const char *hint;  /* or NULL */
    struct bytes text; /* all of it, as printed */
};

struct config_errors;

struct config_errors *config_errors_new(void);
void config_errors_free(struct config_errors **errors);
/* `hint` may be NULL. A place of length 0 at offset 0 is the file as a whole. */
void config_errors_add(struct config_errors *errors, enum config_severity severity,
                       struct config_place place, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* As a part of the error before it: "FILE:LINE:COLUMN: note: ..." and the line. */
void config_errors_add_note(struct config_errors *errors, struct config_place place,
                            const char *note);
size_t config_errors_count(const struct config_errors *errors, enum config_severity severity);
/* The kept ones in the order they were added, NULL behind the last. */
const struct config_error *config_errors_get(const struct config_errors *errors, size_t index);
/* The number of the line a place begins on. */
unsigned config_place_line(struct config_place place);
/* File by file, line by line. */
void config_errors_print(const struct config_errors *errors, struct strbuf *out);

#endif
