#include "daemon/doctor_shown.h"

#include "base/calendar.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdlib.h>

enum { TITLE_LIMIT = 2000 };

/* ---- status ------------------------------------------------------------------------------ */

void doctor_shown_add_text(struct strbuf *out, const struct doctor_result *result)
{
    if (result == NULL) {
        return;
    }
    strbuf_add_text(out, "doctor     ");
    findings_add_summary(out, &result->findings);
    strbuf_add_text(out, ", at ");
    calendar_add_timestamp(out, result->at_ms);
    strbuf_add_char(out, '\n');
    for (const struct finding *at = result->findings.first; at != NULL; at = at->next) {
        if (at->severity >= FINDING_WARNING) {
            strbuf_addf(out, "           %s %s: ", finding_severity_text(at->severity),
                        at->check);
            utf8_add_printable(out, at->found);
            strbuf_add_char(out, '\n');
        }
    }
}

void doctor_shown_add_json(struct strbuf *out, const struct doctor_result *result)
{
    if (result == NULL) {
        json_null(out, "doctor");
        return;
    }
    json_open_object(out, "doctor");
    json_time(out, "at", result->at_ms);
    findings_add_json(out, &result->findings, FINDING_NOTE);
    json_close_object(out);
}

/* ---- metrics ----------------------------------------------------------------------------- */

void doctor_shown_fill_metrics(struct metrics_facts *facts, const struct doctor_result *result)
{
    for (unsigned i = 0; i < FINDING_SEVERITIES && result != NULL; i++) {
        facts->findings[i] = result->findings.counts[i];
    }
    facts->findings_ms = result == NULL ? 0 : result->at_ms;
}

/* ---- the page ---------------------------------------------------------------------------- */

static enum page_mood mood_of(enum finding_severity severity)
{
    switch (severity) {
    case FINDING_OK:
        return MOOD_GOOD;
    case FINDING_NOTE:
    case FINDING_UNKNOWN:
        return MOOD_PLAIN;
    case FINDING_WARNING:
        return MOOD_WARNING;
    case FINDING_ERROR:
        return MOOD_BAD;
    }
    abort();
}

/* "host mx.example: reverse-name" */
static struct bytes title_of(const struct finding *finding, struct arena *arena)
{
    struct strbuf text;
    struct bytes title;

    strbuf_init(&text, TITLE_LIMIT);
    strbuf_addf(&text, "%s ", finding->kind);
    utf8_add_printable(&text, finding->subject);
    strbuf_addf(&text, ": %s", finding->check);
    title = arena_copy(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return title;
}

static struct page_finding for_page(const struct finding *finding, struct arena *arena)
{
    return (struct page_finding){
        .mood = mood_of(finding->severity),
        .title = title_of(finding, arena),
        .what = arena_copy(arena, finding->found),
        .why = bytes_from_text(finding->why),
        .fix = arena_copy(arena, finding->fix),
    };
}

/* Does the resolver? Also that its word crosses a network is a finding of this name, a note. */
static enum page_answer validates(const struct findings *findings)
{
    enum page_answer answer = PAGE_UNKNOWN;

    for (const struct finding *at = findings->first; at != NULL; at = at->next) {
        if (strcmp(at->check, "dnssec") != 0) {
            continue;
        }
        if (at->severity == FINDING_WARNING || at->severity == FINDING_ERROR) {
            return PAGE_NO;
        }
        if (at->severity == FINDING_OK) {
            answer = PAGE_YES;
        }
    }
    return answer;
}

void doctor_shown_fill_page(struct status_page *page, struct arena *arena,
                            const struct doctor_result *result)
{
    struct page_finding *shown;
    size_t all = 0;

    if (result == NULL) {
        return;
    }
    for (unsigned i = 0; i < FINDING_SEVERITIES; i++) {
        all += result->findings.counts[i];
    }
    shown = arena_alloc(arena, (all + 1) * sizeof *shown);
    for (unsigned i = FINDING_SEVERITIES - 1; i > FINDING_OK; i--) {
        for (const struct finding *at = result->findings.first; at != NULL; at = at->next) {
            if (at->severity == (enum finding_severity)i) {
                shown[page->finding_count++] = for_page(at, arena);
            }
        }
    }
    page->findings = shown;
    page->findings_ms = result->at_ms;
    page->health.validates = validates(&result->findings);
}
