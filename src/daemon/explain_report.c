#include "daemon/explain_report.h"

#include "base/json.h"
#include "base/utf8.h"
#include "forward/refusal_words.h"

enum { LABEL_WIDTH = 13, NOTE_LIMIT = 64 * 1024 };

/* ---- collecting ---- */

void explain_report_init(struct explain_report *report, struct arena *arena)
{
    *report = (struct explain_report){.arena = arena};
    report->session_end = &report->session;
    lookup_trail_init(&report->lookups, arena);
    alias_trail_init(&report->aliases, arena);
    report->deliveries_end = &report->deliveries;
    report_lines_init(&report->log);
    report_lines_init(&report->notes);
    report_lines_init(&report->limits);
    report_lines_init(&report->standing);
    report_lines_init(&report->removed);
    report_lines_init(&report->changed);
    report_lines_init(&report->forecast.marks);
}

struct explain_exchange *explain_report_exchange(struct explain_report *report)
{
    struct explain_exchange *exchange = arena_alloc(report->arena, sizeof *exchange);

    *report->session_end = exchange;
    report->session_end = &exchange->next;
    return exchange;
}

struct explain_delivery *explain_report_delivery(struct explain_report *report)
{
    struct explain_delivery *delivery = arena_alloc(report->arena, sizeof *delivery);

    *report->deliveries_end = delivery;
    report->deliveries_end = &delivery->next;
    return delivery;
}

const char *explain_outcome_text(enum disposition outcome)
{
    switch (outcome) {
    case DECISION_ACCEPT:
        return "accepted";
    case DECISION_DEFER:
        return "deferred";
    case DECISION_REFUSE:
        return "refused";
    }
    return "";
}

/* ---- text ---- */

static void add_heading(struct strbuf *out, const char *text)
{
    strbuf_addf(out, "\n%s\n", text);
}

static void add_label(struct strbuf *out, const char *label)
{
    strbuf_addf(out, "  %-*s", LABEL_WIDTH, label);
}

/* "  label        value", when there is a value. */
static void add_line(struct strbuf *out, const char *label, struct bytes value)
{
    if (value.len > 0) {
        add_label(out, label);
        utf8_add_printable(out, value);
        strbuf_add_char(out, '\n');
    }
}

static void add_address(struct strbuf *out, const char *label, struct bytes address)
{
    add_label(out, label);
    strbuf_add_char(out, '<');
    utf8_add_printable(out, address);
    strbuf_add_text(out, ">\n");
}

/* Octets of a header: its own line ends, each line printable. */
static void add_header(struct strbuf *out, struct bytes header)
{
    while (header.len > 0) {
        struct bytes line = bytes_cut(&header, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r') {
            line = bytes_first(line, line.len - 1);
        }
        strbuf_add_text(out, "  ");
        for (; line.len > 0 && line.data[0] == '\t'; line = bytes_skip(line, 1)) {
            strbuf_add_text(out, "        ");
        }
        utf8_add_printable(out, line);
        strbuf_add_char(out, '\n');
    }
}

static void add_fields(struct strbuf *out, const char *heading,
                       const struct report_lines *fields)
{
    if (fields->first != NULL) {
        add_heading(out, heading);
    }
    for (const struct report_line *field = fields->first; field != NULL; field = field->next) {
        add_header(out, field->text);
    }
}

static void add_reply(struct strbuf *out, const struct explain_exchange *exchange)
{
    strbuf_addf(out, "%u", exchange->code);
    if (exchange->enhanced.len > 0) {
        strbuf_addf(out, " " BYTES_FMT, BYTES_ARG(exchange->enhanced));
    }
    strbuf_add_char(out, ' ');
    utf8_add_printable(out, exchange->text);
    strbuf_add_char(out, '\n');
}

/* A reply of several lines as it was sent. */
static void add_reply_lines(struct strbuf *out, const struct explain_exchange *exchange)
{
    struct bytes rest = exchange->text;

    while (bytes_equal(bytes_from_text(exchange->stage), BYTES("ehlo"))) {
        size_t at = bytes_find_part(rest, BYTES(" / "));

        if (at == rest.len) {
            break;
        }
        strbuf_addf(out, "  < %u-", exchange->code);
        utf8_add_printable(out, bytes_first(rest, at));
        strbuf_add_char(out, '\n');
        rest = bytes_skip(rest, at + 3);
    }
    strbuf_add_text(out, "  < ");
    add_reply(out, &(struct explain_exchange){
                       .code = exchange->code, .enhanced = exchange->enhanced, .text = rest});
}

static void add_session(struct strbuf *out, const struct explain_report *report)
{
    add_heading(out, "the session");
    for (const struct explain_exchange *at = report->session; at != NULL; at = at->next) {
        if (at->command.len > 0) {
            strbuf_add_text(out, "  > ");
            utf8_add_printable(out, at->command);
            strbuf_add_char(out, '\n');
        }
        add_reply_lines(out, at);
    }
}

static void add_result(struct strbuf *out, const char *label, const char *result,
                       struct bytes about, const char *why)
{
    add_label(out, label);
    strbuf_add_text(out, result);
    if (about.len > 0) {
        strbuf_add_char(out, ' ');
        utf8_add_printable(out, about);
    }
    if (why != NULL && why[0] != '\0') {
        strbuf_addf(out, " (%s)", why);
    }
    strbuf_add_char(out, '\n');
}

static void add_author_checks(struct strbuf *out, const struct explain_checks *checks)
{
    if (checks->signatures == NULL) {
        add_result(out, "DKIM", "none", BYTES(""), NULL);
    }
    for (const struct explain_signature *at = checks->signatures; at != NULL; at = at->next) {
        add_result(out, "DKIM", at->result, at->domain, at->why);
        add_line(out, "  selector", at->selector);
    }
    add_result(out, "DMARC", checks->dmarc, checks->author, checks->dmarc_why);
    if (strcmp(checks->dmarc, "pass") == 0) {
        add_line(out, "  by", checks->aligned_domain);
    }
    if (checks->dmarc_policy != NULL && strcmp(checks->dmarc, "fail") == 0) {
        add_line(out, "  asks for", bytes_from_text(checks->dmarc_policy));
    }
    add_result(out, "ARC", checks->arc, BYTES(""), checks->arc_why);
}

static void add_checks(struct strbuf *out, const struct explain_report *report)
{
    const struct explain_checks *checks = &report->checks;

    if (!checks->is_known) {
        add_heading(out, "nobody was asked who sent it");
        return;
    }
    add_heading(out, "who sent it");
    add_result(out, "reverse name", checks->iprev, checks->client_name, NULL);
    add_result(out, "SPF", checks->spf, checks->spf_domain, checks->spf_why);
    add_line(out, "  by", checks->spf_mechanism);
    if (checks->has_author) {
        add_author_checks(out, checks);
    }
}

static void add_hops(struct strbuf *out, const struct explain_delivery *delivery)
{
    for (size_t i = 0; i < delivery->hop_count; i++) {
        const struct explain_hop *hop = &delivery->hops[i];

        strbuf_addf(out, "    %5u ", hop->preference);
        utf8_add_printable(out, hop->host);
        strbuf_addf(out, " %s, TLS %s\n", ip_endpoint_text(&hop->endpoint).text,
                    tls_level_text(hop->tls));
    }
    if (delivery->is_partial) {
        strbuf_add_text(out, "          more hosts, whose look-up failed for now\n");
    }
    if (delivery->failure.disposition != DECISION_ACCEPT) {
        strbuf_addf(out, "    %s, %s ",
                    delivery->failure.disposition == DECISION_DEFER ? "not now" : "never",
                    delivery->failure.enhanced == NULL ? "" : delivery->failure.enhanced);
        utf8_add_printable(out, delivery->failure.text);
        strbuf_add_char(out, '\n');
    }
}

static void add_deliveries(struct strbuf *out, const struct explain_report *report)
{
    if (report->deliveries != NULL) {
        add_heading(out, report->is_return ? "back to the sender" : "sent on");
    }
    for (const struct explain_delivery *at = report->deliveries; at != NULL; at = at->next) {
        add_address(out, "to", at->address);
        add_address(out, "  from", at->sender);
        add_line(out, "  fallback", at->fallback);
        add_line(out, "  next hop", at->destination);
        add_hops(out, at);
    }
}

static void add_forecast(struct strbuf *out, const struct explain_report *report)
{
    const struct explain_forecast *forecast = &report->forecast;

    if (forecast->result == NULL && forecast->marks.first == NULL) {
        return;
    }
    add_heading(out, "DMARC at the next hop");
    if (forecast->result != NULL) {
        add_result(out, "forecast", forecast->result, BYTES(""), forecast->why);
        report_words_add(out, "  means", LABEL_WIDTH,
                         refusal_words_of_forecast(bytes_from_text(forecast->why)));
        add_line(out, "forwarded", bytes_from_text(forecast->manner));
    }
    for (const struct report_line *at = forecast->marks.first; at != NULL; at = at->next) {
        add_line(out, "mark", at->text);
    }
}

/* A return address has none; what was refused before RCPT was asked has not come so far. */
static void add_aliases(struct strbuf *out, const struct explain_report *report)
{
    if (report->aliases.first != NULL) {
        add_heading(out, "aliases");
        alias_trail_add_text(out, &report->aliases);
    } else if (bytes_equal(report->why, BYTES("unknown-recipient"))) {
        add_heading(out, "no alias has this name");
    }
}

static void add_limits(struct strbuf *out, const struct explain_report *report)
{
    if (report->standing.first != NULL) {
        add_heading(out, "what the daemon remembers of this client now");
        report_lines_add_text(out, "  ", &report->standing);
    }
    if (report->limits.first != NULL) {
        add_heading(out, "the daemon counts, and beyond this says \"later\"");
        report_lines_add_text(out, "  at most ", &report->limits);
    }
}

static void add_notes(struct strbuf *out, const struct explain_report *report)
{
    if (report->notes.first == NULL) {
        return;
    }
    add_heading(out, "notes");
    for (const struct report_line *at = report->notes.first; at != NULL; at = at->next) {
        struct strbuf text;

        strbuf_init(&text, NOTE_LIMIT);
        utf8_add_printable(&text, at->text);
        report_words_add(out, "-", 2, strbuf_text(&text));
        strbuf_clear(&text);
    }
}

/* What the log's word for it means. */
static void add_why(struct strbuf *out, const struct explain_report *report)
{
    struct refusal_words words = refusal_words_of(report->why);

    add_line(out, "why", report->why);
    report_words_add(out, "means", LABEL_WIDTH, words.means);
    report_words_add(out, "decided by", LABEL_WIDTH, words.change);
}

static void add_answer(struct strbuf *out, const struct explain_report *report)
{
    strbuf_addf(out, "\n%s\n", explain_outcome_text(report->outcome));
    if (report->answer != NULL) {
        add_label(out, report->answer->stage);
        add_reply(out, report->answer);
    } else {
        strbuf_add_text(out, "  the connection ended without an answer\n");
    }
    add_why(out, report);
    if (report->held_why != NULL) {
        strbuf_addf(out, "  it waits for an operator: %s\n", report->held_why);
    }
}

void explain_report_add_text(struct strbuf *out, const struct explain_report *report)
{
    add_address(out, "from", report->from);
    add_address(out, "to", report->to);
    add_line(out, "client", report->client);
    add_line(out, "HELO", report->helo);
    add_line(out, "message",
             report->is_made_up ? BYTES("made up, since none was given") : BYTES(""));
    add_label(out, "outcome");
    strbuf_add_text(out, explain_outcome_text(report->outcome));
    if (report->answer != NULL) {
        strbuf_addf(out, " at %s: ", report->answer->stage);
        add_reply(out, report->answer);
    } else {
        strbuf_add_char(out, '\n');
    }
    add_session(out, report);
    add_heading(out, report->lookups.first == NULL ? "no look-ups" : "look-ups");
    lookup_trail_add_text(out, &report->lookups);
    add_checks(out, report);
    add_forecast(out, report);
    add_aliases(out, report);
    add_deliveries(out, report);
    if (report->header.len > 0) {
        add_heading(out, "header fields that are put in front");
        add_header(out, report->header);
    }
    add_fields(out, "fields that are left out", &report->removed);
    add_fields(out, "fields that are new in their place", &report->changed);
    add_heading(out, "the log would say");
    report_lines_add_text(out, "  ", &report->log);
    add_limits(out, report);
    add_notes(out, report);
    add_answer(out, report);
}

/* ---- JSON ---- */

static void add_exchange_json(struct strbuf *out, const char *key,
                              const struct explain_exchange *exchange)
{
    if (exchange == NULL) {
        json_null(out, key);
        return;
    }
    json_open_object(out, key);
    json_words(out, "stage", exchange->stage);
    json_text(out, "command", exchange->command);
    json_number(out, "code", exchange->code);
    json_text(out, "enhanced", exchange->enhanced);
    json_text(out, "text", exchange->text);
    json_close_object(out);
}

static void add_why_json(struct strbuf *out, const struct explain_report *report)
{
    struct refusal_words words = refusal_words_of(report->why);

    if (report->why.len == 0) {
        json_null(out, "why");
    } else {
        json_text(out, "why", report->why);
    }
    json_words(out, "means", words.means);
    json_words(out, "decided-by", words.change);
}

static void add_author_json(struct strbuf *out, const struct explain_checks *checks)
{
    json_open_array(out, "dkim");
    for (const struct explain_signature *at = checks->signatures; at != NULL; at = at->next) {
        json_open_object(out, NULL);
        json_words(out, "result", at->result);
        json_text(out, "domain", at->domain);
        json_text(out, "selector", at->selector);
        json_words(out, "why", at->why);
        json_close_object(out);
    }
    json_close_array(out);
    json_words(out, "dmarc", checks->dmarc);
    json_text(out, "author", checks->author);
    json_words(out, "dmarc-policy", checks->dmarc_policy);
    json_text(out, "dmarc-aligned", checks->aligned_domain);
    json_words(out, "dmarc-why", checks->dmarc_why);
    json_words(out, "arc", checks->arc);
    json_words(out, "arc-why", checks->arc_why);
}

static void add_checks_json(struct strbuf *out, const struct explain_report *report)
{
    const struct explain_checks *checks = &report->checks;

    if (!checks->is_known) {
        json_null(out, "checks");
        return;
    }
    json_open_object(out, "checks");
    json_words(out, "iprev", checks->iprev);
    json_text(out, "client-name", checks->client_name);
    json_words(out, "spf", checks->spf);
    json_text(out, "spf-domain", checks->spf_domain);
    json_text(out, "spf-mechanism", checks->spf_mechanism);
    json_words(out, "spf-why", checks->spf_why);
    if (checks->has_author) {
        add_author_json(out, checks);
    }
    json_close_object(out);
}

static void add_forecast_json(struct strbuf *out, const struct explain_report *report)
{
    const struct explain_forecast *forecast = &report->forecast;

    if (forecast->result == NULL) {
        json_null(out, "forecast");
    } else {
        json_open_object(out, "forecast");
        json_words(out, "result", forecast->result);
        json_words(out, "why", forecast->why);
        json_words(out, "manner", forecast->manner);
        json_close_object(out);
    }
    report_lines_add_json(out, "marks", &forecast->marks);
}

static void add_failure_json(struct strbuf *out, const struct decision *failure)
{
    if (failure->disposition == DECISION_ACCEPT) {
        json_null(out, "failure");
        return;
    }
    json_open_object(out, "failure");
    json_bool(out, "temporary", failure->disposition == DECISION_DEFER);
    json_words(out, "enhanced", failure->enhanced);
    json_text(out, "text", failure->text);
    json_close_object(out);
}

static void add_hops_json(struct strbuf *out, const struct explain_delivery *delivery)
{
    json_open_array(out, "next-hops");
    for (size_t i = 0; i < delivery->hop_count; i++) {
        const struct explain_hop *hop = &delivery->hops[i];
        json_open_object(out, NULL);
        json_number(out, "preference", hop->preference);
        json_text(out, "host", hop->host);
        json_words(out, "address", ip_endpoint_text(&hop->endpoint).text);
        json_words(out, "tls", tls_level_text(hop->tls));
        json_close_object(out);
    }
    json_close_array(out);
}

static void add_deliveries_json(struct strbuf *out, const struct explain_report *report)
{
    json_open_array(out, "deliveries");
    for (const struct explain_delivery *at = report->deliveries; at != NULL; at = at->next) {
        json_open_object(out, NULL);
        json_text(out, "address", at->address);
        json_text(out, "alias", at->alias);
        json_text(out, "sender", at->sender);
        json_text(out, "fallback", at->fallback);
        json_text(out, "destination", at->destination);
        json_bool(out, "secure", at->is_mx_secure);
        add_hops_json(out, at);
        add_failure_json(out, &at->failure);
        json_close_object(out);
    }
    json_close_array(out);
}

void explain_report_add_json(struct strbuf *out, const struct explain_report *report)
{
    json_open_object(out, NULL);
    json_text(out, "from", report->from);
    json_text(out, "to", report->to);
    json_text(out, "client", report->client);
    json_text(out, "helo", report->helo);
    json_bool(out, "made-up", report->is_made_up);
    json_words(out, "outcome", explain_outcome_text(report->outcome));
    add_exchange_json(out, "reply", report->answer);
    json_words(out, "held", report->held_why);
    json_open_array(out, "session");
    for (const struct explain_exchange *at = report->session; at != NULL; at = at->next) {
        add_exchange_json(out, NULL, at);
    }
    json_close_array(out);
    lookup_trail_add_json(out, &report->lookups);
    add_checks_json(out, report);
    add_forecast_json(out, report);
    alias_trail_add_json(out, &report->aliases);
    json_bool(out, "return", report->is_return);
    json_bool(out, "handoff", report->is_handoff);
    add_deliveries_json(out, report);
    json_text(out, "header", report->header);
    report_lines_add_json(out, "removed", &report->removed);
    report_lines_add_json(out, "changed", &report->changed);
    report_lines_add_json(out, "log", &report->log);
    report_lines_add_json(out, "notes", &report->notes);
    report_lines_add_json(out, "limits", &report->limits);
    report_lines_add_json(out, "standing", &report->standing);
    add_why_json(out, report);
    json_close_object(out);
    strbuf_add_char(out, '\n');
}
