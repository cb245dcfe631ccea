#include "mail/finding.h"

#include "base/json.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdlib.h>

enum { CHECK_WIDTH = 16, SEVERITY_WIDTH = 8, REMEDY_WIDTH = 8, TEXT_COLUMNS = 100 };

/* ---- collecting -------------------------------------------------------------------------- */

void findings_init(struct findings *findings, struct arena *arena)
{
    *findings = (struct findings){.arena = arena, .kind = ""};
    findings->end = &findings->first;
}

void findings_begin(struct findings *findings, const char *kind, struct bytes name)
{
    findings->kind = kind;
    findings->subject = arena_copy(findings->arena, name);
}

static struct bytes write_text(struct findings *findings, const char *format, va_list arguments)
{
    struct strbuf text;
    struct bytes copy;

    strbuf_init(&text, FINDING_TEXT_LIMIT);
    strbuf_addv(&text, format, arguments);
    copy = text.overflowed ? BYTES("(too long to be shown)")
                           : arena_copy(findings->arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return copy;
}

struct finding *findings_add(struct findings *findings, enum finding_severity severity,
                             const char *check, const char *format, ...)
{
    struct finding *finding = arena_alloc(findings->arena, sizeof *finding);
    va_list arguments;

    va_start(arguments, format);
    *finding = (struct finding){.severity = severity,
                                .kind = findings->kind,
                                .subject = findings->subject,
                                .check = check,
                                .found = write_text(findings, format, arguments)};
    va_end(arguments);
    *findings->end = finding;
    findings->end = &finding->next;
    findings->counts[severity]++;
    return finding;
}

void findings_go_back(struct findings *findings, const struct findings *before)
{
    *findings = *before;
    *findings->end = NULL;
}

void findings_join(struct findings *findings, struct findings *more)
{
    *findings->end = more->first;
    findings->end = more->first == NULL ? findings->end : more->end;
    for (unsigned i = 0; i < FINDING_SEVERITIES; i++) {
        findings->counts[i] += more->counts[i];
    }
    findings_init(more, more->arena);
}

void finding_set_why(struct finding *finding, const char *why)
{
    finding->why = why;
}

void finding_set_fix(struct findings *findings, struct finding *finding,
                     enum finding_remedy remedy, struct bytes fix)
{
    finding->remedy = remedy;
    finding->fix = arena_copy(findings->arena, fix);
}

void finding_set_fixf(struct findings *findings, struct finding *finding,
                      enum finding_remedy remedy, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    finding->remedy = remedy;
    finding->fix = write_text(findings, format, arguments);
    va_end(arguments);
}

/* ---- comparing --------------------------------------------------------------------------- */

static bool is_like(const struct finding *a, const struct finding *b)
{
    return a->severity == b->severity && strcmp(a->check, b->check) == 0 &&
           strcmp(a->kind, b->kind) == 0 && bytes_equal(a->subject, b->subject);
}

bool findings_has(const struct findings *findings, const struct finding *wanted)
{
    for (const struct finding *at = findings->first; at != NULL; at = at->next) {
        if (is_like(at, wanted) && bytes_equal(at->found, wanted->found)) {
            return true;
        }
    }
    return false;
}

bool findings_has_like(const struct findings *findings, const struct finding *wanted)
{
    for (const struct finding *at = findings->first; at != NULL; at = at->next) {
        if (is_like(at, wanted)) {
            return true;
        }
    }
    return false;
}

/* ---- words ------------------------------------------------------------------------------- */

const char *finding_severity_text(enum finding_severity severity)
{
    switch (severity) {
    case FINDING_OK:
        return "ok";
    case FINDING_NOTE:
        return "note";
    case FINDING_UNKNOWN:
        return "unknown";
    case FINDING_WARNING:
        return "warning";
    case FINDING_ERROR:
        return "error";
    }
    abort();
}

const char *finding_remedy_text(enum finding_remedy remedy)
{
    switch (remedy) {
    case FINDING_NO_REMEDY:
        return NULL;
    case FINDING_PUBLISH:
        return "publish";
    case FINDING_RUN:
        return "run";
    case FINDING_DO:
        return "do";
    }
    abort();
}

/* ---- text -------------------------------------------------------------------------------- */

/* Words of one line, as many as fit beside each other from `indent` on; the first line has been begun. */
static void add_wrapped(struct strbuf *out, struct bytes text, size_t indent)
{
    size_t column = indent;

    while (text.len > 0) {
        struct bytes word = bytes_cut(&text, ' ');

        if (column > indent && column + 1 + word.len > TEXT_COLUMNS) {
            strbuf_addf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            strbuf_add_char(out, ' ');
            column++;
        }
        utf8_add_printable(out, word);
        column += word.len;
    }
    strbuf_add_char(out, '\n');
}

/* Further lines stand under the first. What is to be copied is not broken. */
static void add_block(struct strbuf *out, const char *label, struct bytes text,
                      bool is_verbatim)
{
    enum { INDENT = SEVERITY_WIDTH + 4 };
    const char *shown = label;

    while (text.len > 0) {
        struct bytes line = bytes_cut(&text, '\n');

        strbuf_addf(out, "%*s%-*s", INDENT, "", REMEDY_WIDTH, shown);
        if (is_verbatim) {
            utf8_add_printable(out, line);
            strbuf_add_char(out, '\n');
        } else {
            add_wrapped(out, line, INDENT + REMEDY_WIDTH);
        }
        shown = "";
    }
}

static void add_finding(struct strbuf *out, const struct finding *finding)
{
    strbuf_addf(out, "  %-*s  %-*s  ", SEVERITY_WIDTH, finding_severity_text(finding->severity),
                CHECK_WIDTH, finding->check);
    add_wrapped(out, finding->found, SEVERITY_WIDTH + CHECK_WIDTH + 6);
    if (finding->severity != FINDING_OK) {
        add_block(out, "why", bytes_from_text(finding->why), false);
    }
    if (finding->remedy != FINDING_NO_REMEDY) {
        add_block(out, finding_remedy_text(finding->remedy), finding->fix,
                  finding->remedy != FINDING_DO);
    }
}

static bool is_about(const struct finding *finding, const struct finding *other)
{
    return strcmp(finding->kind, other->kind) == 0 &&
           bytes_equal(finding->subject, other->subject);
}

void findings_add_text(struct strbuf *out, const struct findings *findings,
                       enum finding_severity least)
{
    const struct finding *before = NULL;

    for (const struct finding *at = findings->first; at != NULL; at = at->next) {
        if (at->severity < least) {
            continue;
        }
        if (before == NULL || !is_about(before, at)) {
            strbuf_addf(out, "%s%s ", before == NULL ? "" : "\n", at->kind);
            utf8_add_printable(out, at->subject);
            strbuf_add_char(out, '\n');
        }
        add_finding(out, at);
        before = at;
    }
}

/* Some words have a plural. */
static void add_count(struct strbuf *out, const struct findings *findings,
                      enum finding_severity severity, const char *plural, bool *is_first)
{
    unsigned count = findings->counts[severity];

    if (count > 0) {
        strbuf_addf(out, "%s%u %s%s", *is_first ? "" : ", ", count,
                    finding_severity_text(severity), count == 1 ? "" : plural);
        *is_first = false;
    }
}

void findings_add_summary(struct strbuf *out, const struct findings *findings)
{
    bool is_first = true;

    add_count(out, findings, FINDING_ERROR, "s", &is_first);
    add_count(out, findings, FINDING_WARNING, "s", &is_first);
    add_count(out, findings, FINDING_UNKNOWN, "", &is_first);
    add_count(out, findings, FINDING_NOTE, "s", &is_first);
    add_count(out, findings, FINDING_OK, "", &is_first);
    strbuf_add_text(out, is_first ? "nothing was looked at" : "");
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void add_object(struct strbuf *out, const struct finding *finding)
{
    json_open_object(out, NULL);
    json_words(out, "severity", finding_severity_text(finding->severity));
    json_words(out, "kind", finding->kind);
    json_text(out, "subject", finding->subject);
    json_words(out, "check", finding->check);
    json_text(out, "found", finding->found);
    json_words(out, "why", finding->why);
    json_words(out, "remedy", finding_remedy_text(finding->remedy));
    if (finding->remedy == FINDING_NO_REMEDY) {
        json_null(out, "fix");
    } else {
        json_text(out, "fix", finding->fix);
    }
    json_close_object(out);
}

void findings_add_json(struct strbuf *out, const struct findings *findings,
                       enum finding_severity least)
{
    for (unsigned i = 0; i < FINDING_SEVERITIES; i++) {
        json_number(out, finding_severity_text((enum finding_severity)i), findings->counts[i]);
    }
    json_open_array(out, "findings");
    for (const struct finding *at = findings->first; at != NULL; at = at->next) {
        if (at->severity >= least) {
            add_object(out, at);
        }
    }
    json_close_array(out);
}
