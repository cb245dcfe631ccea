#include "auth_report.h"

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

/* Octets that are no UTF-8 become the character of the same number. */
static void add_json_text(struct strbuf *out, struct bytes text)
{
    bool is_utf8 = smtp_utf8_is_valid(text);

    strbuf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char octet = (unsigned char)text.data[i];
        if (octet == '"' || octet == '\\') {
            strbuf_addf(out, "\\%c", octet);
        } else if (octet < ' ' || octet == 127 || (octet > 127 && !is_utf8)) {
            strbuf_addf(out, "\\u%04x", octet);
        } else {
            strbuf_add_char(out, (char)octet);
        }
    }
    strbuf_add_char(out, '"');
}

/* ,"key": */
static void add_key(struct strbuf *out, const char *key)
{
    char before = out->len > 0 ? out->data[out->len - 1] : '{';

    strbuf_addf(out, "%s\"%s\": ", before == '{' ? "" : ", ", key);
}

static void add_pair(struct strbuf *out, const char *key, struct bytes value)
{
    add_key(out, key);
    add_json_text(out, value);
}

static void add_text_pair(struct strbuf *out, const char *key, const char *value)
{
    add_pair(out, key, bytes_from_text(value));
}

static void add_number_pair(struct strbuf *out, const char *key, uint64_t value)
{
    add_key(out, key);
    strbuf_add_u64(out, value);
}

static void add_bool_pair(struct strbuf *out, const char *key, bool value)
{
    add_key(out, key);
    strbuf_add_text(out, value ? "true" : "false");
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

static void write_record(struct strbuf *text, const struct dns_record *record)
{
    strbuf_reset(text);
    switch (record->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        strbuf_add_text(text, ip_address_text(&record->address).text);
        break;
    case DNS_TYPE_MX:
        strbuf_addf(text, "%u " BYTES_FMT, record->mx.preference, BYTES_ARG(record->mx.host));
        break;
    case DNS_TYPE_TXT:
        strbuf_add(text, record->text);
        break;
    case DNS_TYPE_PTR:
    case DNS_TYPE_NS:
    case DNS_TYPE_CNAME:
        strbuf_add(text, record->name);
        break;
    default:
        strbuf_add_text(text, "?");
        break;
    }
}

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
        write_record(&text, &answer->records[i]);
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

    strbuf_add_char(out, '{');
    add_pair(out, "name", lookup->name);
    add_text_pair(out, "type", dns_type_text(lookup->type));
    add_text_pair(out, "status", answer == NULL ? "open" : dns_status_text(answer->status));
    add_text_pair(out, "why", answer == NULL ? NULL : answer->why);
    add_number_pair(out, "ttl", answer == NULL ? 0 : answer->ttl);
    add_bool_pair(out, "secure", answer != NULL && answer->is_secure);
    add_key(out, "records");
    strbuf_add_char(out, '[');
    strbuf_init(&text, RECORD_TEXT_LIMIT);
    for (size_t i = 0; answer != NULL && i < answer->count; i++) {
        write_record(&text, &answer->records[i]);
        strbuf_add_text(out, i == 0 ? "" : ", ");
        add_json_text(out, strbuf_bytes(&text));
    }
    strbuf_clear(&text);
    strbuf_add_text(out, "]}");
}

static void add_lookups_json(struct strbuf *out, const struct auth_report *report)
{
    add_key(out, "lookups");
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < report->lookup_count; i++) {
        strbuf_add_text(out, i == 0 ? "" : ", ");
        add_lookup_json(out, &report->lookups[i], answer_to(report, &report->lookups[i]));
    }
    strbuf_add_char(out, ']');
}

/* ---- SPF ---- */

static void add_verdict_of_spf(struct strbuf *out, const struct spf_verdict *verdict)
{
    add_text_pair(out, "result", auth_result_text(verdict->result));
    add_pair(out, "explanation", verdict->explanation);
    add_pair(out, "mechanism", verdict->mechanism);
    add_pair(out, "domain", verdict->domain);
    add_text_pair(out, "why", verdict->why);
    add_number_pair(out, "terms", verdict->terms);
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
    strbuf_add_char(out, '{');
    add_verdict_of_spf(out, verdict);
    add_key(out, "records");
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < report->record_count; i++) {
        strbuf_add_text(out, i == 0 ? "{" : ", {");
        add_number_pair(out, "depth", report->records[i].depth);
        add_pair(out, "domain", report->records[i].domain);
        add_pair(out, "record", report->records[i].text);
        strbuf_add_char(out, '}');
    }
    strbuf_add_char(out, ']');
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
    add_key(out, key);
    strbuf_add_char(out, '{');
    add_verdict_of_spf(out, verdict);
    strbuf_add_char(out, '}');
}

static void add_signatures(struct strbuf *out, const struct dkim_verdicts *dkim)
{
    add_key(out, "dkim");
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < dkim->count; i++) {
        const struct dkim_verdict *verdict = &dkim->verdicts[i];
        strbuf_add_text(out, i == 0 ? "{" : ", {");
        add_text_pair(out, "result", auth_result_text(verdict->result));
        add_pair(out, "domain", verdict->domain);
        add_pair(out, "selector", verdict->selector);
        add_text_pair(out, "algorithm", verdict->algorithm);
        add_pair(out, "signature", verdict->signature_start);
        add_text_pair(out, "why", verdict->why);
        add_bool_pair(out, "testing", verdict->is_testing);
        strbuf_add_char(out, '}');
    }
    strbuf_add_char(out, ']');
    add_number_pair(out, "dkim-unchecked", dkim->unchecked);
}

static void add_author(struct strbuf *out, const struct from_domains *from)
{
    add_key(out, "from");
    strbuf_add_char(out, '{');
    add_text_pair(out, "result", from_result_text(from->result));
    add_key(out, "domains");
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < from->count; i++) {
        strbuf_add_text(out, i == 0 ? "" : ", ");
        add_json_text(out, from->domains[i]);
    }
    strbuf_add_char(out, ']');
    add_text_pair(out, "why", from->why);
    strbuf_add_char(out, '}');
}

static void add_dmarc(struct strbuf *out, const struct dmarc_verdict *dmarc)
{
    add_key(out, "dmarc");
    strbuf_add_char(out, '{');
    add_text_pair(out, "result", auth_result_text(dmarc->result));
    add_text_pair(out, "policy", dmarc_policy_text(dmarc->policy));
    add_text_pair(out, "published", dmarc_policy_text(dmarc->published));
    add_pair(out, "author", dmarc->author);
    add_pair(out, "record-domain", dmarc->record_domain);
    add_text_pair(out, "aligned-by", method_text(dmarc->aligned_by));
    add_pair(out, "aligned-domain", dmarc->aligned_domain);
    add_bool_pair(out, "testing", dmarc->is_testing);
    add_text_pair(out, "why", dmarc->why);
    strbuf_add_char(out, '}');
}

static void add_arc(struct strbuf *out, const struct arc_verdict *arc)
{
    add_key(out, "arc");
    strbuf_add_char(out, '{');
    add_text_pair(out, "result", auth_result_text(arc->result));
    add_number_pair(out, "instance", arc->newest);
    add_key(out, "sealers");
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < arc->sealer_count; i++) {
        strbuf_add_text(out, i == 0 ? "" : ", ");
        add_json_text(out, arc->sealers[i].domain);
    }
    strbuf_add_char(out, ']');
    add_bool_pair(out, "closed", arc->is_closed);
    add_text_pair(out, "why", arc->why);
    strbuf_add_char(out, '}');
}

void auth_report_add_message_json(struct strbuf *out, const struct auth_report *report,
                                  const struct message_verdicts *verdicts)
{
    strbuf_add_char(out, '{');
    add_pair(out, "authentication-results", report->results_field);
    add_key(out, "iprev");
    strbuf_add_char(out, '{');
    add_text_pair(out, "result", auth_result_text(verdicts->iprev.result));
    add_pair(out, "name", verdicts->iprev.name);
    add_text_pair(out, "why", verdicts->iprev.why);
    strbuf_add_char(out, '}');
    add_spf_pair(out, "spf", &verdicts->spf_mail_from);
    add_spf_pair(out, "spf-helo", &verdicts->spf_helo);
    add_signatures(out, &verdicts->dkim);
    add_author(out, &verdicts->from);
    add_dmarc(out, &verdicts->dmarc);
    add_arc(out, &verdicts->arc);
    add_lookups_json(out, report);
    strbuf_add_text(out, "}\n");
}
