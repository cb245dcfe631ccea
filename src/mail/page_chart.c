#include "mail/page_chart.h"

#include "base/calendar.h"
#include "base/html.h"

#include <inttypes.h>

enum {
    COLUMN_WIDTH = 8,
    LEAST_HEIGHT = 14, /* about two pixels */
    WHOLE = 1000,      /* width of shares and ranking bars */
    TICKS = 5,
    DAY_MS = 86400000,
};

static const char *tone_class(enum chart_tone tone)
{
    switch (tone) {
    case TONE_GOOD:
        return "good";
    case TONE_SOFT:
        return "soft";
    case TONE_WAIT:
        return "wait";
    case TONE_BAD:
        return "bad";
    case TONE_SPECIAL:
        return "special";
    case TONE_PLAIN:
        return "fill";
    case TONE_NONE:
        break;
    }
    return "none";
}

static uint64_t add_up(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* value / whole of `extent`; whole is not less than value, and not 0. */
static unsigned scale(uint64_t value, uint64_t whole, unsigned extent)
{
    if (value > UINT64_MAX / extent) {
        uint64_t unit = whole / extent;
        uint64_t scaled = value / unit;
        return scaled > extent ? extent : (unsigned)scaled;
    }
    return (unsigned)(value * extent / whole);
}

void page_chart_add_number(struct strbuf *out, uint64_t number)
{
    char text[32];
    size_t at = sizeof text;

    for (unsigned digits = 0; digits == 0 || number > 0; digits++, number /= 10) {
        if (digits > 0 && digits % 3 == 0) {
            text[--at] = ',';
        }
        text[--at] = (char)('0' + number % 10);
    }
    strbuf_add(out, bytes_of(text + at, sizeof text - at));
}

uint64_t page_chart_top(uint64_t most)
{
    for (uint64_t power = 1; power <= UINT64_MAX / 100; power *= 10) {
        for (uint64_t times = 2; times <= 10; times += 2) {
            if (times * power >= most) {
                return times * power;
            }
        }
    }
    return UINT64_MAX;
}

/* ---- columns over time ---- */

/* As many of the newest columns as are drawn. */
static size_t first_column(const struct chart *chart)
{
    return chart->count > CHART_COLUMNS ? chart->count - CHART_COLUMNS : 0;
}

static size_t series_shown(const struct chart *chart)
{
    return chart->series_count > CHART_SERIES ? CHART_SERIES : chart->series_count;
}

static uint64_t column_sum(const struct chart *chart, size_t column)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < series_shown(chart); i++) {
        sum = add_up(sum, chart->series[i].values[column]);
    }
    return sum;
}

static uint64_t highest(const struct chart *chart)
{
    uint64_t most = 0;

    for (size_t i = first_column(chart); i < chart->count; i++) {
        uint64_t sum = column_sum(chart, i);
        most = sum > most ? sum : most;
    }
    return most;
}

/* Of a gauge what it showed last. */
static uint64_t figure_of(const struct chart *chart, const struct chart_series *series)
{
    uint64_t figure = 0;

    for (size_t i = first_column(chart); i < chart->count; i++) {
        bool is_known = chart->is_unknown == NULL || !chart->is_unknown[i];
        if (!chart->is_gauge) {
            figure = add_up(figure, series->values[i]);
        } else if (is_known) {
            figure = series->values[i];
        }
    }
    return figure;
}

static size_t count_unknown(const struct chart *chart)
{
    size_t count = 0;

    for (size_t i = first_column(chart); chart->is_unknown != NULL && i < chart->count; i++) {
        count += chart->is_unknown[i];
    }
    return count;
}

static void add_legend(struct strbuf *out, const struct chart *chart)
{
    strbuf_add_text(out, "<ul class=\"legend\">");
    for (size_t i = 0; i < series_shown(chart); i++) {
        strbuf_addf(out, "<li class=\"%s\">", tone_class(chart->series[i].tone));
        html_add(out, bytes_from_text(chart->series[i].name));
        strbuf_add_text(out, " <b>");
        page_chart_add_number(out, figure_of(chart, &chart->series[i]));
        strbuf_add_text(out, "</b></li>");
    }
    strbuf_add_text(out, count_unknown(chart) > 0 ? "<li class=\"gap\">not known</li></ul>"
                                                  : "</ul>");
}

/* Where a column's part begins and ends, from the top. */
struct box {
    unsigned top, bottom;
};

static struct box box_of(const struct chart *chart, size_t series, size_t column, uint64_t top)
{
    unsigned bottom = CHART_HEIGHT;
    struct box box = {CHART_HEIGHT, CHART_HEIGHT};

    for (size_t i = 0; i <= series; i++) {
        uint64_t value = chart->series[i].values[column];
        unsigned height = scale(value, top, CHART_HEIGHT);
        if (value > 0 && height < LEAST_HEIGHT) {
            height = LEAST_HEIGHT;
        }
        height = height > bottom ? bottom : height;
        box = (struct box){bottom - height, bottom};
        bottom = box.top;
    }
    return box;
}

static void add_paths(struct strbuf *out, const struct chart *chart, uint64_t top)
{
    size_t first = first_column(chart);

    for (size_t i = 0; i < series_shown(chart); i++) {
        strbuf_addf(out, "<path class=\"%s\" d=\"", tone_class(chart->series[i].tone));
        for (size_t column = first; column < chart->count; column++) {
            struct box box = box_of(chart, i, column, top);
            if (box.bottom > box.top) {
                strbuf_addf(out, "M%zu %uh%dv%uh-%dz", (column - first) * CHART_STEP + 1,
                            box.top, COLUMN_WIDTH, box.bottom - box.top, COLUMN_WIDTH);
            }
        }
        strbuf_add_text(out, "\"/>");
    }
}

/* Where nothing is known, which is not the same as nothing. */
static void add_gaps(struct strbuf *out, const struct chart *chart)
{
    size_t first = first_column(chart);

    for (size_t begin = first, end; chart->is_unknown != NULL && begin < chart->count;
         begin = end + 1) {
        end = begin;
        while (end < chart->count && chart->is_unknown[end]) {
            end++;
        }
        if (end > begin) {
            strbuf_addf(out, "<rect class=\"gap\" x=\"%zu\" width=\"%zu\" height=\"%d\"/>",
                        (begin - first) * CHART_STEP, (end - begin) * CHART_STEP, CHART_HEIGHT);
        }
    }
}

/* "Sat 21 14:05", or a part of it. */
static void add_moment(struct strbuf *out, int64_t unix_ms, bool with_day, bool with_time)
{
    struct strbuf text;

    strbuf_init(&text, 64);
    if (with_day) {
        calendar_add_mail_date(&text, unix_ms / 1000);
        strbuf_add(out, bytes_first(strbuf_bytes(&text), 3));
        strbuf_add(out, bytes_between(strbuf_bytes(&text), 4, 7));
        strbuf_add_text(out, with_time ? " " : "");
    }
    strbuf_reset(&text);
    if (with_time) {
        calendar_add_timestamp(&text, unix_ms);
        strbuf_add(out, bytes_between(strbuf_bytes(&text), 11, 16));
    }
    strbuf_clear(&text);
}

/* What the pointer on a column tells. */
static void add_titles(struct strbuf *out, const struct chart *chart)
{
    size_t first = first_column(chart);

    strbuf_add_text(out, "<g class=\"tip\">");
    for (size_t column = first; column < chart->count; column++) {
        strbuf_addf(out, "<rect x=\"%zu\" width=\"%d\" height=\"%d\"><title>",
                    (column - first) * CHART_STEP, CHART_STEP, CHART_HEIGHT);
        add_moment(out, chart->start_ms + (int64_t)column * chart->step_ms, true, true);
        bool is_known = chart->is_unknown == NULL || !chart->is_unknown[column];
        strbuf_add_text(out, is_known ? "" : ": not known");
        for (size_t i = 0; is_known && i < series_shown(chart); i++) {
            strbuf_add_text(out, i == 0 ? ": " : ", ");
            html_add(out, bytes_from_text(chart->series[i].name));
            strbuf_add_char(out, ' ');
            page_chart_add_number(out, chart->series[i].values[column]);
        }
        strbuf_add_text(out, "</title></rect>");
    }
    strbuf_add_text(out, "</g>");
}

static void add_axes(struct strbuf *out, const struct chart *chart, uint64_t top)
{
    size_t first = first_column(chart);
    int64_t from_ms = chart->start_ms + (int64_t)first * chart->step_ms;
    int64_t span_ms = (int64_t)(chart->count - first) * chart->step_ms;

    strbuf_add_text(out, "<div class=\"y\"><span>");
    page_chart_add_number(out, top);
    strbuf_add_text(out, "</span><span>");
    page_chart_add_number(out, top / 2);
    strbuf_add_text(out, "</span><span>0</span></div><div class=\"x\">");
    for (int i = 0; i < TICKS; i++) {
        strbuf_add_text(out, "<span>");
        if (i == TICKS - 1) {
            strbuf_add_text(out, "now");
        } else {
            add_moment(out, from_ms + span_ms * i / (TICKS - 1), span_ms > DAY_MS,
                       span_ms <= DAY_MS);
        }
        strbuf_add_text(out, "</span>");
    }
    strbuf_add_text(out, "</div>");
}

void page_chart_add_columns(struct strbuf *out, const struct chart *chart)
{
    size_t shown = chart->count - first_column(chart);
    uint64_t most = highest(chart), top = page_chart_top(most);

    strbuf_add_text(out, "<figure class=\"chart\"><figcaption><h3>");
    html_add(out, bytes_from_text(chart->title));
    strbuf_add_text(out, "</h3>");
    add_legend(out, chart);
    strbuf_add_text(out, "</figcaption>");
    if (shown == count_unknown(chart) || chart->series_count == 0) {
        strbuf_add_text(out,
                        "<p class=\"empty\">nothing is known of this time yet</p></figure>");
        return;
    }
    strbuf_addf(out,
                "<div class=\"plot\"><svg viewBox=\"0 0 %zu %d\" preserveAspectRatio=\"none\" "
                "role=\"img\" aria-label=\"",
                shown * CHART_STEP, CHART_HEIGHT);
    html_add(out, bytes_from_text(chart->title));
    strbuf_add_text(out, ", at most ");
    page_chart_add_number(out, most);
    strbuf_add_text(out, " in a column\">");
    strbuf_addf(out, "<path class=\"grid\" d=\"M0 1H%zuM0 %dH%zuM0 %dH%zu\"/>",
                shown * CHART_STEP, CHART_HEIGHT / 2, shown * CHART_STEP, CHART_HEIGHT - 1,
                shown * CHART_STEP);
    add_gaps(out, chart);
    add_paths(out, chart, top);
    add_titles(out, chart);
    strbuf_add_text(out, "</svg>");
    add_axes(out, chart, top);
    strbuf_add_text(out, "</div>");
    if (chart->note != NULL) {
        strbuf_add_text(out, "<p class=\"note\">");
        html_add(out, bytes_from_text(chart->note));
        strbuf_add_text(out, "</p>");
    }
    strbuf_add_text(out, "</figure>");
}

/* ---- shares ---- */

static void add_percent(struct strbuf *out, uint64_t value, uint64_t sum)
{
    unsigned thousandths = scale(value, sum, WHOLE);

    if (value > 0 && thousandths < 1) {
        strbuf_add_text(out, "&lt;0.1");
    } else if (thousandths == WHOLE || thousandths == 0) {
        strbuf_addf(out, "%u", thousandths / 10);
    } else {
        strbuf_addf(out, "%u.%u", thousandths / 10, thousandths % 10);
    }
    strbuf_add_text(out, "&#8239;%");
}

static void add_share_bar(struct strbuf *out, const struct chart_part *parts, size_t count,
                          uint64_t sum)
{
    uint64_t before = 0;

    strbuf_addf(out,
                "<svg class=\"bar\" viewBox=\"0 0 %d 10\" preserveAspectRatio=\"none\" "
                "aria-hidden=\"true\"><rect class=\"rest\" width=\"%d\" height=\"10\"/>",
                WHOLE, WHOLE);
    for (size_t i = 0; i < count && sum > 0; i++) {
        unsigned from = scale(before, sum, WHOLE);
        before = add_up(before, parts[i].value);
        unsigned to = scale(before, sum, WHOLE);
        if (parts[i].value > 0 && to == from) {
            from = from > 0 ? from - 1 : 0;
            to = from + 1;
        }
        if (to > from) {
            strbuf_addf(out, "<rect class=\"%s\" x=\"%u\" width=\"%u\" height=\"10\"/>",
                        tone_class(parts[i].tone), from, to - from);
        }
    }
    strbuf_add_text(out, "</svg>");
}

void page_chart_add_shares(struct strbuf *out, const char *title,
                           const struct chart_part *parts, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum = add_up(sum, parts[i].value);
    }
    strbuf_add_text(out, "<div class=\"shares\"><h3>");
    html_add(out, bytes_from_text(title));
    strbuf_add_text(out, "</h3>");
    add_share_bar(out, parts, count, sum);
    strbuf_add_text(out, "<ul class=\"legend\">");
    for (size_t i = 0; i < count; i++) {
        if (parts[i].value == 0) {
            continue;
        }
        strbuf_addf(out, "<li class=\"%s\">", tone_class(parts[i].tone));
        html_add(out, bytes_from_text(parts[i].name));
        strbuf_add_text(out, " <b>");
        page_chart_add_number(out, parts[i].value);
        strbuf_add_text(out, "</b> <i>");
        add_percent(out, parts[i].value, sum);
        strbuf_add_text(out, "</i></li>");
    }
    strbuf_add_text(out, sum == 0 ? "<li class=\"none\">nothing yet</li></ul></div>"
                                  : "</ul></div>");
}

/* ---- rankings ---- */

void page_chart_add_ranking(struct strbuf *out, const struct chart_rank *ranks, size_t count)
{
    uint64_t most = 1;

    for (size_t i = 0; i < count; i++) {
        most = ranks[i].value > most ? ranks[i].value : most;
    }
    strbuf_add_text(out, "<ol class=\"ranking\">");
    for (size_t i = 0; i < count; i++) {
        unsigned width = scale(ranks[i].value, most, WHOLE);
        strbuf_add_text(out, "<li><span class=\"name\">");
        html_add_short(out, ranks[i].name, 120);
        strbuf_add_text(out, "</span><b>");
        page_chart_add_number(out, ranks[i].value);
        strbuf_addf(
            out,
            "</b><svg class=\"bar\" viewBox=\"0 0 %d 10\" preserveAspectRatio=\"none\" "
            "aria-hidden=\"true\"><rect class=\"fill\" width=\"%u\" height=\"10\"/></svg>",
            WHOLE, ranks[i].value > 0 && width < 4 ? 4 : width);
        if (ranks[i].note.len > 0) {
            strbuf_add_text(out, "<small>");
            html_add_short(out, ranks[i].note, 300);
            strbuf_add_text(out, "</small>");
        }
        strbuf_add_text(out, "</li>");
    }
    strbuf_add_text(out, "</ol>");
}
