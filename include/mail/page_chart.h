/*
 * page_chart - numbers drawn for the status page: columns over time, shares, rankings.
 *
 * Output  HTML with inline SVG that only holds the drawing: words and numbers stand beside it as text,
 *         so that they can be read at any width. No style attributes (the page's policy forbids them):
 *         colours come from classes, one for each tone.
 * Bounds  everything drawn lies within the view box; a value that is not 0 can be seen. Sums that do not fit
 *         into 64 bits stay at the most there is.
 * Text    names are ours or a peer's: they are escaped.
 */
#ifndef MAIL_PAGE_CHART_H
#define MAIL_PAGE_CHART_H

#include "base/strbuf.h"

enum {
    CHART_HEIGHT = 1000, /* of the view box */
    CHART_STEP = 10,     /* width of a column with its gap */
    CHART_COLUMNS = 240, /* at most; more are left out at the front */
    CHART_SERIES = 6,
};

enum chart_tone {
    TONE_GOOD,
    TONE_SOFT, /* good, but less so */
    TONE_WAIT,
    TONE_BAD,
    TONE_SPECIAL,
    TONE_PLAIN, /* neither good nor bad */
    TONE_NONE,  /* nothing is known */
};

struct chart_series {
    const char *name;
    enum chart_tone tone;
    const uint64_t *values; /* chart.count of them, oldest first */
};

struct chart {
    const char *title;
    const char *note; /* or NULL */
    const struct chart_series *series;
    size_t series_count;
    size_t count;
    bool is_gauge;          /* a level: the legend says the last one known, not the sum */
    const bool *is_unknown; /* columns nobody counted; NULL: all are known */
    int64_t start_ms;       /* unix: where the first column begins */
    int64_t step_ms;
};

struct chart_part {
    const char *name;
    enum chart_tone tone;
    uint64_t value;
};

struct chart_rank {
    struct bytes name;
    struct bytes note; /* or empty */
    uint64_t value;
};

/* Stacked columns; the last one ends now. */
void page_chart_add_columns(struct strbuf *out, const struct chart *chart);
/* One bar, divided. */
void page_chart_add_shares(struct strbuf *out, const char *title,
                           const struct chart_part *parts, size_t count);
/* A list with a bar each, in the order given. */
void page_chart_add_ranking(struct strbuf *out, const struct chart_rank *ranks, size_t count);

/* "1,234,567" */
void page_chart_add_number(struct strbuf *out, uint64_t number);
/* What the axis ends with: not less than `most`, even, at least 2. */
uint64_t page_chart_top(uint64_t most);

#endif
