#include "mail/status_page.h"

#include "base/html.h"
#include "mail/page_frame.h"
#include "mail/page_health.h"

#include <inttypes.h>

enum {
    AGE_COLUMNS = QUEUE_AGES_BUCKETS / 2,
    AGE_ROWS = 50,
    REPLY_CHARACTERS = 400,
    NAME_CHARACTERS = 255,
};

static void open_section(struct strbuf *out, const char *id, const char *title)
{
    strbuf_addf(out, "<section id=\"%s\" aria-labelledby=\"h-%s\"><h2 id=\"h-%s\">%s", id, id,
                id, title);
}

/* ---- flow ---- */

static void add_spans(struct strbuf *out, enum page_span current)
{
    static const struct {
        const char *word, *text;
    } spans[PAGE_SPANS] = {{"1h", "1 hour"}, {"24h", "24 hours"}, {"7d", "7 days"}};

    strbuf_add_text(out, " <span class=\"spans\">");
    for (size_t i = 0; i < PAGE_SPANS; i++) {
        strbuf_addf(out, "<a href=\"/?span=%s\"%s>%s</a>", spans[i].word,
                    i == current ? " aria-current=\"true\"" : "", spans[i].text);
    }
    strbuf_add_text(out, "</span>");
}

static void add_chart_grid(struct strbuf *out, const struct chart *charts, size_t count)
{
    strbuf_add_text(out, "<div class=\"grid pair below\">");
    for (size_t i = 0; i < count; i++) {
        strbuf_add_text(out, "<div class=\"card\">");
        page_chart_add_columns(out, &charts[i]);
        strbuf_add_text(out, "</div>");
    }
    strbuf_add_text(out, "</div>");
}

static void add_flow(struct strbuf *out, const struct status_page *page)
{
    const struct page_charts *flow = &page->flow[page->span];

    if (flow->count == 0) {
        return;
    }
    open_section(out, "flow", "Flow");
    add_spans(out, page->span);
    strbuf_add_text(out, "</h2>");
    strbuf_add_text(out, "<div class=\"card wide\">");
    page_chart_add_columns(out, &flow->charts[0]);
    strbuf_add_text(out, "</div>");
    if (flow->count > 1) {
        add_chart_grid(out, flow->charts + 1, flow->count - 1);
    }
    strbuf_add_text(out, "</section>");
}

/* ---- queue ---- */

/* Two columns of the count make one here: five fit on a phone. */
static uint64_t age_of(const struct queue_ages_row *row, size_t column)
{
    return row->due[2 * column] + row->due[2 * column + 1];
}

static uint64_t total_of(const struct queue_ages_row *row)
{
    uint64_t total = row->held;

    for (size_t i = 0; i < AGE_COLUMNS; i++) {
        total += age_of(row, i);
    }
    return total;
}

static void add_cell(struct strbuf *out, uint64_t value, uint64_t most)
{
    if (value == 0) {
        strbuf_add_text(out, "<td class=\"n zero\">·</td>");
        return;
    }
    strbuf_add_text(out, "<td class=\"n");
    if (most > 0) {
        unsigned heat = value > most / 2 ? 4 : value > most / 8 ? 3 : value > most / 64 ? 2 : 1;
        strbuf_addf(out, " h%u", heat);
    }
    strbuf_add_text(out, "\">");
    page_chart_add_number(out, value);
    strbuf_add_text(out, "</td>");
}

static void add_age_row(struct strbuf *out, const struct queue_ages_row *row, uint64_t most)
{
    strbuf_add_text(out, "<tr><th scope=\"row\">");
    html_add_short(out, row->destination, NAME_CHARACTERS);
    strbuf_add_text(out, "</th>");
    add_cell(out, total_of(row), 0);
    for (size_t i = 0; i < AGE_COLUMNS; i++) {
        add_cell(out, age_of(row, i), most);
    }
    add_cell(out, row->held, 0);
    strbuf_add_text(out, "</tr>");
}

static void add_age_sum(struct strbuf *out, const struct queue_ages_row *sum)
{
    strbuf_add_text(out, "<tr class=\"sum\"><th scope=\"row\">all</th>");
    add_cell(out, total_of(sum), 0);
    for (size_t i = 0; i < AGE_COLUMNS; i++) {
        add_cell(out, age_of(sum, i), 0);
    }
    add_cell(out, sum->held, 0);
    strbuf_add_text(out, "</tr>");
}

static void add_age_table(struct strbuf *out, struct queue_ages *ages)
{
    struct queue_ages_row row;
    uint64_t most = 0;

    for (size_t i = 0; i < AGE_ROWS && queue_ages_get(ages, i, &row); i++) {
        for (size_t j = 0; j < AGE_COLUMNS; j++) {
            most = age_of(&row, j) > most ? age_of(&row, j) : most;
        }
    }
    strbuf_add_text(
        out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Deliveries by "
             "destination and age\"><table class=\"ages\"><thead><tr><th scope=\"col\">"
             "Destination</th><th scope=\"col\" class=\"n\">all</th><th scope=\"col\" "
             "class=\"n\">≤ 10 min</th><th scope=\"col\" class=\"n\">≤ 40 min</th><th "
             "scope=\"col\" class=\"n\">≤ 2 h 40</th><th scope=\"col\" class=\"n\">≤ 10 h "
             "40</th><th scope=\"col\" class=\"n\">older</th><th scope=\"col\" class=\"n\">"
             "held</th></tr></thead><tbody>");
    queue_ages_sum(ages, &row);
    add_age_sum(out, &row);
    for (size_t i = 0; i < AGE_ROWS && queue_ages_get(ages, i, &row); i++) {
        add_age_row(out, &row, most);
    }
    strbuf_add_text(out, "</tbody></table></div>");
    if (queue_ages_get(ages, AGE_ROWS, &row)) {
        strbuf_addf(out,
                    "<p class=\"note\">The %d destinations with the most deliveries. "
                    "<span class=\"said\">postilion queue list --by-domain</span> shows "
                    "more.</p>",
                    AGE_ROWS);
    }
}

static void add_queue(struct strbuf *out, const struct status_page *page)
{
    struct queue_ages_row row;

    open_section(out, "queue", "Queue");
    strbuf_add_text(out, " <small>");
    page_chart_add_number(out, page->health.messages);
    strbuf_addf(out, " %s, by destination and age</small></h2>",
                page->health.messages == 1 ? "message" : "messages");
    if (page->ages == NULL) {
        strbuf_add_text(out, "<p class=\"card\">The spool could not be read just now.</p>");
    } else if (!queue_ages_get(page->ages, 0, &row)) {
        strbuf_add_text(out, "<p class=\"card\">Nothing waits.</p>");
    } else {
        add_age_table(out, page->ages);
    }
    strbuf_add_text(out, "</section>");
}

/* ---- destinations that fail ---- */

static void add_failing_row(struct strbuf *out, const struct page_failing *row, int64_t now_ms)
{
    strbuf_add_text(out, "<tr><th scope=\"row\">");
    html_add_short(out, row->destination, NAME_CHARACTERS);
    strbuf_add_text(out, "</th><td class=\"n\" data-name=\"attempts that failed:\">");
    page_chart_add_number(out, row->failures);
    strbuf_add_text(out, "</td><td class=\"when\" data-name=\"last:\">");
    if (row->last_ms != 0) {
        page_health_add_span(out, (now_ms - row->last_ms) / 1000);
        strbuf_add_text(out, " ago");
    }
    if (row->since_ms != 0) {
        strbuf_add_text(out, ", for ");
        page_health_add_span(out, (now_ms - row->since_ms) / 1000);
    }
    strbuf_add_text(out, "</td><td>");
    if (row->kind.len > 0) {
        strbuf_add_text(out, "<span class=\"tag\">");
        html_add_short(out, row->kind, 40);
        strbuf_add_text(out, "</span> ");
    }
    strbuf_add_text(out, "<span class=\"said\">");
    html_add_short(out, row->reply, REPLY_CHARACTERS);
    strbuf_add_text(out, "</span></td></tr>");
}

static void add_failing(struct strbuf *out, const struct status_page *page)
{
    if (page->failing_count == 0) {
        return;
    }
    open_section(out, "failing", "Destinations that fail");
    strbuf_add_text(out, "</h2><div class=\"scroll\"><table class=\"stack\"><thead><tr><th "
                         "scope=\"col\">Destination</th><th scope=\"col\" class=\"n\">"
                         "Failed</th><th scope=\"col\">Last</th><th scope=\"col\">What was "
                         "said</th></tr></thead><tbody>");
    for (size_t i = 0; i < page->failing_count; i++) {
        add_failing_row(out, &page->failing[i], page->health.now_ms);
    }
    strbuf_add_text(out, "</tbody></table></div></section>");
}

/* ---- shares and rankings ---- */

static void add_group(struct strbuf *out, const struct page_group *group, const char *title)
{
    if (group->count == 0) {
        return;
    }
    strbuf_add_text(out, "<div class=\"card\">");
    if (title != NULL) {
        strbuf_addf(out, "<p class=\"note\">%s</p>", title);
    }
    for (size_t i = 0; i < group->count; i++) {
        const struct page_shares *shares = &group->shares[i];
        page_chart_add_shares(out, shares->title, shares->parts, shares->count);
    }
    strbuf_add_text(out, "</div>");
}

static void add_authentication(struct strbuf *out, const struct status_page *page)
{
    const struct page_charts *charts = &page->authentication[page->span];

    if (page->arrival.count + page->afterwards.count + charts->count == 0) {
        return;
    }
    open_section(out, "authentication", "Authentication");
    strbuf_add_text(
        out, " <small>bars: since the start</small></h2><div class=\"grid pair loose\">");
    add_group(out, &page->arrival, "As mail came in");
    add_group(out, &page->afterwards, "What forwarding did to it");
    strbuf_add_text(out, "</div>");
    if (charts->count > 0) {
        add_chart_grid(out, charts->charts, charts->count);
    }
    strbuf_add_text(out, "</section>");
}

static void add_refusals(struct strbuf *out, const struct status_page *page)
{
    open_section(out, "refusals", "Refusals");
    strbuf_add_text(out, " <small>by reason, since the start</small></h2>"
                         "<div class=\"card\">");
    if (page->refusals.count == 0) {
        strbuf_add_text(out, "<p>Nobody was refused.</p>");
    } else {
        page_chart_add_ranking(out, page->refusals.ranks, page->refusals.count);
    }
    strbuf_add_text(out, "</div></section>");
}

static void add_tls_and_returns(struct strbuf *out, const struct status_page *page)
{
    if (page->tls.count + page->returns.count == 0) {
        return;
    }
    strbuf_add_text(out, "<div class=\"grid pair loose\">");
    if (page->tls.count > 0) {
        open_section(out, "tls", "TLS");
        strbuf_add_text(out, "</h2>");
        add_group(out, &page->tls, NULL);
        strbuf_add_text(out, "</section>");
    }
    if (page->returns.count > 0) {
        open_section(out, "srs", "SRS and bounces");
        strbuf_add_text(out, "</h2>");
        add_group(out, &page->returns, NULL);
        strbuf_add_text(out, "</section>");
    }
    strbuf_add_text(out, "</div>");
}

/* ---- the doctor ---- */

static void add_finding(struct strbuf *out, const struct page_finding *finding)
{
    strbuf_addf(out, "<li class=\"%s\"><h3>", page_mood_class(finding->mood));
    html_add(out, finding->title);
    strbuf_add_text(out, "</h3>");
    if (finding->what.len > 0) {
        strbuf_add_text(out, "<p>");
        html_add(out, finding->what);
        strbuf_add_text(out, "</p>");
    }
    if (finding->why.len > 0) {
        strbuf_add_text(out, "<p>");
        html_add(out, finding->why);
        strbuf_add_text(out, "</p>");
    }
    if (finding->fix.len > 0) {
        strbuf_add_text(out, "<pre>");
        html_add(out, finding->fix);
        strbuf_add_text(out, "</pre>");
    }
    strbuf_add_text(out, "</li>");
}

static void add_doctor(struct strbuf *out, const struct status_page *page)
{
    open_section(out, "doctor", "Doctor");
    if (page->findings_ms != 0) {
        strbuf_add_text(out, " <small>looked ");
        page_health_add_span(out, (page->health.now_ms - page->findings_ms) / 1000);
        strbuf_add_text(out, " ago</small>");
    }
    strbuf_add_text(out, "</h2><div class=\"card\">");
    if (page->finding_count > 0) {
        strbuf_add_text(out, "<ul class=\"findings\">");
        for (size_t i = 0; i < page->finding_count; i++) {
            add_finding(out, &page->findings[i]);
        }
        strbuf_add_text(out, "</ul>");
    } else {
        strbuf_add_text(out, page->findings_ms == 0 ? "<p>It has not looked yet.</p>"
                                                    : "<p>Nothing is wrong.</p>");
    }
    strbuf_add_text(out, "</div></section>");
}

void status_page_add(struct strbuf *out, const struct status_page *page)
{
    static const char *const again[PAGE_SPANS] = {"/?span=1h", "/?span=24h", "/?span=7d"};
    struct page_frame frame = {.hostname = page->health.hostname,
                               .has_trace = page->health.keeps_history,
                               .now_ms = page->health.now_ms,
                               .again = again[page->span]};

    page_frame_open(out, &frame);
    page_health_add_notices(out, &page->health, page->findings, page->finding_count);
    page_health_add_strip(out, &page->health);
    add_flow(out, page);
    add_queue(out, page);
    add_failing(out, page);
    add_authentication(out, page);
    add_refusals(out, page);
    add_tls_and_returns(out, page);
    add_doctor(out, page);
    page_frame_close(out);
}
