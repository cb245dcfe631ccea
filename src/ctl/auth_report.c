#include "auth_report.h"

#include "base/json.h"
#include "protocol/dns_record_text.h"

enum { RECORD_TEXT_LIMIT = 70000, LABEL_WIDTH = 13 };

/* ---- text of strangers ---- */

static void add_printable(struct strbuf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        if (octet < ' ' || octet > '~') {
            strbuf_addf(out, "\\x%02x", octet);
        } else {
            strbuf_add_char(out, (char)octet);
        }
    }
}

/* What there is nothing to say about is an empty text. */
static void add_words_json(struct strbuf *out, const char *key, const char *text)
{
    json_text(out, key, bytes_from_text(text));
}

/* "label        value", when there is a value. */
static void add_line(struct strbuf *out, const char *label, struct bytes value)
{
    if (value.len > 0) {
        strbuf_addf(out, "%-*s", LABEL_WIDTH, label);
        add_printable(out, value);
        strbuf_add_char(out, '\n');
    }
}

static void add_text_line(struct strbuf *out, const char *label, const char *value)
{
    add_line(out, label, bytes_from_text(value));
}

/* ---- look-ups ---- */

static const struct dns_answer *answer_to(const struct auth_report *report,
                                          const struct auth_lookup *lookup)
{
    return dns_facts_get(report->facts, lookup->name, lookup->type);
}

static void add_lookup(struct strbuf *out, const struct auth_lookup *lookup,
                       const struct dns_answer *answer)
{
    struct strbuf text;

    strbuf_addf(out, "  %-5s ", dns_type_text(lookup->type));
    add_printable(out, lookup->name);
    strbuf_addf(out, "  %s", answer == NULL ? "open" : dns_status_text(answer->status));
    if (answer != NULL && answer->why != NULL) {
        strbuf_addf(out, " (%s)", answer->why);
    }
    strbuf_add_char(out, '\n');
    strbuf_init(&text, RECORD_TEXT_LIMIT);
    for (size_t i = 0; answer != NULL && i < answer->count; i++) {
        strbuf_reset(&text);
        dns_record_text_add(&text, &answer->records[i]);
        strbuf_add_text(out, "          ");
        add_printable(out, strbuf_bytes(&text));
        strbuf_add_char(out, '\n');
    }
    strbuf_clear(&text);
}

static void add_lookups(struct strbuf *out, const struct auth_report *report)
{
    strbuf_add_text(out, report->lookup_count == 0 ? "\nno look-ups\n" : "\nlook-ups\n");
    for (size_t i = 0; i < report->lookup_count; i++) {
        add_lookup(out, &report->lookups[i], answer_to(report, &report->lookups[i]));
    }
}

static void add_lookup_json(struct strbuf *out, const struct auth_lookup *lookup,
                            const struct dns_answer *answer)
{
    struct strbuf text;

    json_open_object(out, NULL);
    json_text(out, "name", lookup->name);
    add_words_json(out, "type", dns_type_text(lookup->type));
    add_words_json(out, "status", answer == NULL ? "open" : dns_status_text(answer->status));
    add_words_json(out, "why", answer == NULL ? NULL : answer->why);
    json_number(out, "ttl", answer == NULL ? 0 : answer->ttl);
    json_bool(out, "secure", answer != NULL && answer->is_secure);
    json_open_array(out, "records");
    strbuf_init(&text, RECORD_TEXT_LIMIT);
    for (size_t i = 0; answer != NULL && i < answer->count; i++) {
        strbuf_reset(&text);
        dns_record_text_add(&text, &answer->records[i]);
        json_text(out, NULL, strbuf_bytes(&text));
    }
    strbuf_clear(&text);
    json_close_array(out);
    json_close_object(out);
}

static void add_lookups_json(struct strbuf *out, const struct auth_report *report)
{
    json_open_array(out, "lookups");
    for (size_t i = 0; i < report->lookup_count; i++) {
        add_lookup_json(out, &report->lookups[i], answer_to(report, &report->lookups[i]));
    }
    json_close_array(out);
}

/* ---- SPF ---- */

static void add_verdict_of_spf(struct strbuf *out, const struct spf_verdict *verdict)
{
    add_words_json(out, "result", auth_result_text(verdict->result));
    json_text(out, "explanation", verdict->explanation);
    json_text(out, "mechanism", verdict->mechanism);
    json_text(out, "domain", verdict->domain);
    add_words_json(out, "why", verdict->why);
    json_number(out, "terms", verdict->terms);
}

void auth_report_add_spf(struct strbuf *out, const struct auth_report *report,
                         const struct spf_verdict *verdict)
{
    add_text_line(out, "result", auth_result_text(verdict->result));
    add_line(out, "domain", verdict->domain);
    add_line(out, "mechanism", verdict->mechanism);
    add_line(out, "explanation", verdict->explanation);
    add_text_line(out, "why", verdict->why);
    strbuf_addf(out, "%-*s%u of 10 that need DNS\n", LABEL_WIDTH, "terms", verdict->terms);
    if (report->record_count > 0) {
        strbuf_add_text(out, "\nrecords\n");
    }
    for (size_t i = 0; i < report->record_count; i++) {
        const struct auth_record *record = &report->records[i];
        strbuf_addf(out, "%*s", (int)(2 + 2 * record->depth), "");
        add_printable(out, record->domain);
        strbuf_add_text(out, ": ");
        add_printable(out, record->text);
        strbuf_add_char(out, '\n');
    }
    add_lookups(out, report);
}

void auth_report_add_spf_json(struct strbuf *out, const struct auth_report *report,
                              const struct spf_verdict *verdict)
{
    json_open_object(out, NULL);
    add_verdict_of_spf(out, verdict);
    json_open_array(out, "records");
    for (size_t i = 0; i < report->record_count; i++) {
        json_open_object(out, NULL);
        json_number(out, "depth", report->records[i].depth);
        json_text(out, "domain", report->records[i].domain);
        json_text(out, "record", report->records[i].text);
        json_close_object(out);
    }
    json_close_array(out);
    add_lookups_json(out, report);
    strbuf_add_text(out, "}\n");
}

/* ---- a message ---- */

/* The field with LF, as it would look in a file. */
static void add_field(struct strbuf *out, struct bytes field)
{
    while (field.len > 0) {
        struct bytes line = bytes_cut(&field, '\n');
        strbuf_add(out, bytes_trim(line).len < line.len && line.data[line.len - 1] == '\r'
                            ? bytes_first(line, line.len - 1)
                            : line);
        strbuf_add_char(out, '\n');
    }
}

static const char *method_text(enum dmarc_method method)
{
    switch (method) {
    case DMARC_BY_NOTHING:
        return "";
    case DMARC_BY_SPF:
        return "spf";
    case DMARC_BY_DKIM:
        return "dkim";
    }
    return "";
}

void auth_report_add_message(struct strbuf *out, const struct auth_report *report,
                             const struct message_verdicts *verdicts)
{
    const struct dmarc_verdict *dmarc = &verdicts->dmarc;

    add_field(out, report->results_field);
    strbuf_add_char(out, '\n');
    add_text_line(out, "From", from_result_text(verdicts->from.result));
    for (size_t i = 0; i < verdicts->from.count; i++) {
        add_line(out, "", verdicts->from.domains[i]);
    }
    add_text_line(out, "", verdicts->from.why);
    add_line(out, "SPF explains", verdicts->spf_mail_from.explanation);
    add_text_line(out, "aligned by", method_text(dmarc->aligned_by));
    add_line(out, "", dmarc->aligned_domain);
    add_text_line(out, "to apply",
                  dmarc->policy == DMARC_POLICY_NONE ? NULL : dmarc_policy_text(dmarc->policy));
    add_lookups(out, report);
}

static void add_spf_pair(struct strbuf *out, const char *key, const struct spf_verdict *verdict)
{
    json_open_object(out, key);
    add_verdict_of_spf(out, verdict);
    json_close_object(out);
}

static void add_signatures(struct strbuf *out, const struct dkim_verdicts *dkim)
{
    json_open_array(out, "dkim");
    for (size_t i = 0; i < dkim->count; i++) {
        const struct dkim_verdict *verdict = &dkim->verdicts[i];
        json_open_object(out, NULL);
        add_words_json(out, "result", auth_result_text(verdict->result));
        json_text(out, "domain", verdict->domain);
        json_text(out, "selector", verdict->selector);
        add_words_json(out, "algorithm", verdict->algorithm);
        json_text(out, "signature", verdict->signature_start);
        add_words_json(out, "why", verdict->why);
        json_bool(out, "testing", verdict->is_testing);
        json_close_object(out);
    }
    json_close_array(out);
    json_number(out, "dkim-unchecked", dkim->unchecked);
}

static void add_author(struct strbuf *out, const struct from_domains *from)
{
    json_open_object(out, "from");
    add_words_json(out, "result", from_result_text(from->result));
    json_open_array(out, "domains");
    for (size_t i = 0; i < from->count; i++) {
        json_text(out, NULL, from->domains[i]);
    }
    json_close_array(out);
    add_words_json(out, "why", from->why);
    json_close_object(out);
}

static void add_dmarc(struct strbuf *out, const struct dmarc_verdict *dmarc)
{
    json_open_object(out, "dmarc");
    add_words_json(out, "result", auth_result_text(dmarc->result));
    add_words_json(out, "policy", dmarc_policy_text(dmarc->policy));
    add_words_json(out, "published", dmarc_policy_text(dmarc->published));
    json_text(out, "author", dmarc->author);
    json_text(out, "record-domain", dmarc->record_domain);
    add_words_json(out, "aligned-by", method_text(dmarc->aligned_by));
    json_text(out, "aligned-domain", dmarc->aligned_domain);
    json_bool(out, "testing", dmarc->is_testing);
    add_words_json(out, "why", dmarc->why);
    json_close_object(out);
}

static void add_arc(struct strbuf *out, const struct arc_verdict *arc)
{
    json_open_object(out, "arc");
    add_words_json(out, "result", auth_result_text(arc->result));
    json_number(out, "instance", arc->newest);
    json_open_array(out, "sealers");
    for (size_t i = 0; i < arc->sealer_count; i++) {
        json_text(out, NULL, arc->sealers[i].domain);
    }
    json_close_array(out);
    json_bool(out, "closed", arc->is_closed);
    add_words_json(out, "why", arc->why);
    json_close_object(out);
}

void auth_report_add_message_json(struct strbuf *out, const struct auth_report *report,
                                  const struct message_verdicts *verdicts)
{
    json_open_object(out, NULL);
    json_text(out, "authentication-results", report->results_field);
    json_open_object(out, "iprev");
    add_words_json(out, "result", auth_result_text(verdicts->iprev.result));
    json_text(out, "name", verdicts->iprev.name);
    add_words_json(out, "why", verdicts->iprev.why);
    json_close_object(out);
    add_spf_pair(out, "spf", &verdicts->spf_mail_from);
    add_spf_pair(out, "spf-helo", &verdicts->spf_helo);
    add_signatures(out, &verdicts->dkim);
    add_author(out, &verdicts->from);
    add_dmarc(out, &verdicts->dmarc);
    add_arc(out, &verdicts->arc);
    add_lookups_json(out, report);
    strbuf_add_text(out, "}\n");
}
