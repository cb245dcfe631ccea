/*
 * mime_parameters - what Content-Type, Content-Disposition and Content-Transfer-Encoding may mean.
 *
 * Rule    mail clients differ in what they make of a crooked field. This is no parser that decides
 *         for one reading: it tells every value that some client may see, so that nothing can be
 *         hidden behind a reading of another. Too many is right, one too few is wrong.
 * Values  quoted or bare, with and without what stands behind a quote; with backslashes taken as
 *         they are or as escapes; of all parameters of a name; of continuations joined as numbered
 *         and as they come; with percent and encoded words decoded; folds kept as blanks or left
 *         out. Octets of their charset: ASCII in them reads as ASCII, or the value is unreadable.
 * Input   the raw value of a field, of at most MIME_VALUE_LIMIT octets.
 * RFC     2045 §5.1, 2183, 2231, 2047
 */
#ifndef MAIL_MIME_PARAMETERS_H
#define MAIL_MIME_PARAMETERS_H

#include "base/bytes.h"

enum { MIME_VALUE_LIMIT = 8192 };

enum mime_reading {
    MIME_READS_VALUE,
    MIME_READS_DOUBTFUL, /* nobody knows what a client makes of it; the text is empty */
};

typedef void mime_value_found(void *context, enum mime_reading reading, struct bytes value);

/* Each value of each parameter whose name ends in `name` ("name": filename, too). */
void mime_parameters_find(struct bytes field_value, struct bytes name, mime_value_found *found,
                          void *context);
/* Writes "text/plain" in lower case without blanks, quotes and comments; returns its length, at
 * most `room`. */
size_t mime_parameters_type(struct bytes field_value, char *out, size_t room);

#endif
