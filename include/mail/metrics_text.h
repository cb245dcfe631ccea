/*
 * metrics_text - metrics as Prometheus reads them.
 *
 * Format  text exposition 0.0.4: "# HELP", "# TYPE", then one line for each value. Names begin with
 *         "postilion_", but for those every program has ("process_"); times are in seconds, sizes in bytes.
 * Labels  words of ours, or names an operator configured (escaped), never a peer's.
 * Use     the head of a metric once, then its values.
 */
#ifndef MAIL_METRICS_TEXT_H
#define MAIL_METRICS_TEXT_H

#include "base/strbuf.h"

/* Media type of the whole text, for HTTP. */
#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metric_label {
    const char *name; /* NULL: none */
    struct bytes value;
};

enum { METRIC_LABELS = 3 };

/* `type` is "counter", "gauge" or "histogram". */
void metrics_text_head(struct strbuf *out, const char *name, const char *type,
                       const char *help);
/* value/unit; the unit is 1, 10, 100 ... */
void metrics_text_number(struct strbuf *out, int64_t value, unsigned unit);
/* The same behind its name and labels (METRIC_LABELS of them, or NULL), as a line. */
void metrics_text_value(struct strbuf *out, const char *name, const struct metric_label *labels,
                        int64_t value, unsigned unit);
/* Both, for a metric with one value and no label. */
void metrics_text_gauge(struct strbuf *out, const char *name, const char *help, int64_t value,
                        unsigned unit);

#endif
