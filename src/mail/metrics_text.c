#include "mail/metrics_text.h"

#include <inttypes.h>

void metrics_text_head(struct strbuf *out, const char *name, const char *type, const char *help)
{
    strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_label_value(struct strbuf *out, struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        char octet = value.data[i];

        if (octet == '\n') {
            strbuf_add_text(out, "\\n");
            continue;
        }
        if (octet == '"' || octet == '\\') {
            strbuf_add_char(out, '\\');
        }
        strbuf_add_char(out, octet);
    }
}

static void add_labels(struct strbuf *out, const struct metric_label *labels)
{
    const char *separator = "{";

    for (size_t i = 0; labels != NULL && i < METRIC_LABELS; i++) {
        if (labels[i].name != NULL) {
            strbuf_addf(out, "%s%s=\"", separator, labels[i].name);
            add_label_value(out, labels[i].value);
            strbuf_add_char(out, '"');
            separator = ",";
        }
    }
    if (separator[0] == ',') {
        strbuf_add_char(out, '}');
    }
}

void metrics_text_number(struct strbuf *out, int64_t value, unsigned unit)
{
    uint64_t size = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    uint64_t rest = size % unit;

    strbuf_addf(out, "%s%" PRIu64, value < 0 ? "-" : "", size / unit);
    if (rest > 0) {
        strbuf_add_char(out, '.');
    }
    while (rest > 0) {
        unit /= 10;
        strbuf_add_char(out, (char)('0' + rest / unit));
        rest %= unit;
    }
}

void metrics_text_value(struct strbuf *out, const char *name, const struct metric_label *labels,
                        int64_t value, unsigned unit)
{
    strbuf_add_text(out, name);
    add_labels(out, labels);
    strbuf_add_char(out, ' ');
    metrics_text_number(out, value, unit);
    strbuf_add_char(out, '\n');
}

void metrics_text_gauge(struct strbuf *out, const char *name, const char *help, int64_t value,
                        unsigned unit)
{
    metrics_text_head(out, name, "gauge", help);
    metrics_text_value(out, name, NULL, value, unit);
}
