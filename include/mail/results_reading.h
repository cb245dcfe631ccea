/*
 * results_reading - what an Authentication-Results payload says, result by result.
 *
 * Input   "authserv-id 1; dmarc=pass (comment) header.from=a.example; ...": the value of the field,
 *         or what stands behind "i=N;" in ARC-Authentication-Results. Folded as it came.
 * Output  views into it. Comments are no part of anything; keys are lower case, without blanks
 *         and comments around their dots; a value is a run of octets or quoted strings.
 * Rules   a little looser than the grammar, as mail in the wild is ("action=none", a last ";",
 *         "=" inside of a value), but what could be read in two ways is malformed, and then
 *         nothing of the whole payload counts: quotes or comments never closed, a ")" or "\"
 *         or a control outside of them, a word without "=". Read to the end before believing anything.
 * RFC     8601 §2.2; 5322 §3.2
 */
#ifndef MAIL_RESULTS_READING_H
#define MAIL_RESULTS_READING_H

#include "base/strbuf.h"

enum { RESULT_KEY_LIMIT = 63 };

enum results_reading_step { RESULTS_NEXT, RESULTS_END, RESULTS_MALFORMED };

struct results_reading {
    struct bytes rest; /* at a ";" or the end */
};

struct read_result {
    char method[RESULT_KEY_LIMIT + 1]; /* lower case, version and all: "dmarc", "spf/1" */
    struct bytes result;               /* as it stands: a word, or quoted */
    struct bytes properties;           /* what stands behind it */
};

/* RESULTS_NEXT, or MALFORMED. */
enum results_reading_step results_reading_start(struct results_reading *reading,
                                                struct bytes payload);
/* NEXT: *result is filled. "none" alone is no result. */
enum results_reading_step results_reading_next(struct results_reading *reading,
                                               struct read_result *result);
/* "dmarc" is named by "dmarc" and by "dmarc/1" (the only version there is). */
bool results_reading_is_method(const struct read_result *result, const char *method);
/* The value of a property, unquoted, in the place of what is in `out`. False: it is not there, or
 * there more than once. */
bool results_reading_property(const struct read_result *result, const char *key,
                              struct strbuf *out);

#endif
