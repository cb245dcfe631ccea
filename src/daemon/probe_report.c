#include "daemon/probe_report.h"

#include "base/calendar.h"
#include "base/utf8.h"

enum {
    LABEL_WIDTH = 12,
    LINE_WIDTH = 98,
    DAY = 86400,
    SOON_DAYS = 21,
    TIMES_LIMIT = 64 * 1024
};

/* ---- collecting ---- */

void probe_report_init(struct probe_report *report, struct arena *arena)
{
    *report = (struct probe_report){.arena = arena};
    report->targets_end = &report->targets;
    alias_trail_init(&report->aliases, arena);
    lookup_trail_init(&report->lookups, arena);
    report_lines_init(&report->notes);
}

struct probe_target *probe_report_target(struct probe_report *report)
{
    struct probe_target *target = arena_alloc(report->arena, sizeof *target);

    target->hosts_end = &target->hosts;
    *report->targets_end = target;
    report->targets_end = &target->next;
    return target;
}

struct probe_host *probe_report_host(struct probe_report *report, struct probe_target *target)
{
    struct probe_host *host = arena_alloc(report->arena, sizeof *host);

    host->lines_end = &host->lines;
    host->stages_end = &host->stages;
    host->peer.arena = report->arena;
    report_lines_init(&host->keywords);
    *target->hosts_end = host;
    target->hosts_end = &host->next;
    return host;
}

const struct probe_line *probe_report_line(struct probe_report *report, struct probe_host *host,
                                           enum probe_voice voice, uint64_t at_ms,
                                           struct bytes text)
{
    struct probe_line *line = arena_alloc(report->arena, sizeof *line);

    *line = (struct probe_line){
        .at_ms = at_ms, .voice = voice, .text = arena_copy(report->arena, text)};
    *host->lines_end = line;
    host->lines_end = &line->next;
    return line;
}

void probe_report_stage(struct probe_report *report, struct probe_host *host, const char *name,
                        uint64_t ms, unsigned code)
{
    struct probe_stage *stage = arena_alloc(report->arena, sizeof *stage);

    *stage = (struct probe_stage){.name = name, .ms = ms, .code = code};
    *host->stages_end = stage;
    host->stages_end = &stage->next;
}

enum probe_outcome probe_report_outcome(const struct probe_report *report)
{
    enum probe_outcome worst = PROBE_OUTCOME_ACCEPTED;

    switch (report->refusal.disposition) {
    case DECISION_ACCEPT:
        break;
    case DECISION_DEFER:
        return PROBE_OUTCOME_TEMPORARY;
    case DECISION_REFUSE:
        return PROBE_OUTCOME_REFUSED;
    }
    for (const struct probe_target *at = report->targets; at != NULL; at = at->next) {
        worst = at->verdict.outcome > worst ? at->verdict.outcome : worst;
    }
    return worst;
}

const char *probe_outcome_text(enum probe_outcome outcome)
{
    switch (outcome) {
    case PROBE_OUTCOME_ACCEPTED:
        return "accepted";
    case PROBE_OUTCOME_TEMPORARY:
        return "temporary";
    case PROBE_OUTCOME_NO_HOST:
        return "no-host";
    case PROBE_OUTCOME_REFUSED:
        return "refused";
    }
    return "";
}

/* ---- text ---- */

static void add_label(struct strbuf *out, const char *label)
{
    strbuf_addf(out, "  %-*s", LABEL_WIDTH, label);
}

static void add_words(struct strbuf *out, const char *label, const char *words)
{
    report_words_add(out, label, LABEL_WIDTH, words);
}

static void add_foreign(struct strbuf *out, const char *label, struct bytes text)
{
    add_label(out, label);
    utf8_add_printable(out, text);
    strbuf_add_char(out, '\n');
}

static void add_decision(struct strbuf *out, const struct decision *decision)
{
    strbuf_addf(out, "%s: %u ",
                decision->disposition == DECISION_DEFER ? "our own configuration defers it"
                                                        : "our own configuration refuses it",
                decision->code);
    if (decision->enhanced != NULL) {
        strbuf_addf(out, "%s ", decision->enhanced);
    }
    utf8_add_printable(out, decision->text);
    strbuf_add_char(out, '\n');
}

void probe_report_add_head(struct strbuf *out, const struct probe_report *report)
{
    strbuf_add_text(out, "probe of ");
    utf8_add_printable(out, report->asked);
    strbuf_add_text(out, report->is_data ? ": a test message is sent\n"
                                         : ": up to RCPT, nothing is sent\n");
    add_foreign(out, "HELO", report->helo);
    if (report->aliases.first != NULL) {
        strbuf_add_text(out, "\nan address of ours; its aliases\n");
        alias_trail_add_text(out, &report->aliases);
    }
    if (report->refusal.disposition != DECISION_ACCEPT) {
        strbuf_add_char(out, '\n');
        add_decision(out, &report->refusal);
    }
}

void probe_report_add_target(struct strbuf *out, const struct probe_report *report,
                             const struct probe_target *target)
{
    (void)report;
    strbuf_add_text(out, "\nto <");
    utf8_add_printable(out, target->address);
    strbuf_add_text(out, "> from <");
    utf8_add_printable(out, target->sender);
    strbuf_addf(out, "> by %s ", target->by);
    utf8_add_printable(out, delivery_route_is_static_key(target->destination)
                                ? bytes_skip(target->destination, sizeof DELIVERY_ROUTE_KEY - 1)
                                : target->destination);
    strbuf_add_char(out, '\n');
}

void probe_report_add_lookup(struct strbuf *out, const struct lookup_note *note)
{
    lookup_note_add_text(out, note);
}

/* "mx.example.net [192.0.2.1]:25"; of an address alone only that. */
static void add_host_name(struct strbuf *out, struct bytes host,
                          const struct ip_endpoint *endpoint)
{
    struct ip_text address = ip_address_text(&endpoint->address);

    if (!bytes_equal(host, bytes_from_text(address.text))) {
        utf8_add_printable(out, host);
        strbuf_add_char(out, ' ');
    }
    strbuf_add_text(out, ip_endpoint_text(endpoint).text);
}

void probe_report_add_hops(struct strbuf *out, const struct probe_target *target)
{
    bool is_mx = strcmp(target->by, "MX") == 0;

    strbuf_add_text(out, "  next hops, in the order they are tried\n");
    for (size_t i = 0; i < target->hop_count; i++) {
        const struct probe_hop *hop = &target->hops[i];

        if (is_mx) {
            strbuf_addf(out, "    %5u ", hop->preference);
        } else {
            strbuf_add_text(out, "          ");
        }
        add_host_name(out, hop->host, &hop->endpoint);
        strbuf_addf(out, ", TLS %s\n", tls_level_text(hop->tls_level));
    }
    if (target->is_partial) {
        strbuf_add_text(out, "          more hosts, whose look-up failed for now\n");
    }
    if (is_mx) {
        strbuf_addf(out, "          the MX records are %s\n",
                    target->is_mx_secure ? "validated (DNSSEC)" : "not validated (no DNSSEC)");
    }
}

void probe_report_add_host(struct strbuf *out, const struct probe_host *host)
{
    strbuf_add_char(out, '\n');
    add_host_name(out, host->host, &host->endpoint);
    strbuf_addf(out, ", TLS %s\n", tls_level_text(host->tls_level));
}

void probe_report_add_line(struct strbuf *out, const struct probe_line *line)
{
    static const char signs[] = {[PROBE_WE] = '>', [PROBE_THEY] = '<', [PROBE_REMARK] = '*'};

    strbuf_addf(out, "%5u.%03u %c ", (unsigned)(line->at_ms / 1000),
                (unsigned)(line->at_ms % 1000), signs[line->voice]);
    utf8_add_printable(out, line->text);
    strbuf_add_char(out, '\n');
}

/* "accepted at rcpt: 250 2.1.5 ok" */
static void add_verdict(struct strbuf *out, const struct probe_finding *verdict)
{
    strbuf_addf(out, "  %s at %s", probe_outcome_text(verdict->outcome), verdict->stage);
    if (verdict->what != NULL) {
        strbuf_addf(out, ": %s", verdict->what);
    }
    if (verdict->reply.len > 0 || verdict->code != 0) {
        strbuf_add_text(out, ": ");
        if (verdict->code != 0) {
            strbuf_addf(out, "%u ", verdict->code);
        }
        utf8_add_printable(out, verdict->reply);
    }
    strbuf_add_char(out, '\n');
    add_words(out, "class", verdict->class);
    add_words(out, "means", verdict->means);
    add_words(out, "who acts", verdict->who);
    add_words(out, "what to do", verdict->advice);
}

void probe_report_add_host_end(struct strbuf *out, const struct probe_host *host)
{
    struct strbuf text;

    strbuf_init(&text, TIMES_LIMIT);
    for (const struct probe_stage *at = host->stages; at != NULL; at = at->next) {
        strbuf_addf(&text, "%s%s %u.%03us", at == host->stages ? "" : ", ", at->name,
                    (unsigned)(at->ms / 1000), (unsigned)(at->ms % 1000));
    }
    add_words(out, "took", strbuf_text(&text));
    strbuf_clear(&text);
    add_verdict(out, &host->verdict);
}

void probe_report_add_target_end(struct strbuf *out, const struct probe_target *target)
{
    if (target->hosts == NULL) {
        add_verdict(out, &target->verdict);
    }
}

/* With --all one host that does not take mail is trouble, and yet a delivery gets through. */
static size_t count_accepting(const struct probe_target *target, size_t *all)
{
    size_t count = 0;

    *all = 0;
    for (const struct probe_host *at = target->hosts; at != NULL; at = at->next) {
        count += at->verdict.outcome == PROBE_OUTCOME_ACCEPTED;
        ++*all;
    }
    return count;
}

void probe_report_add_end(struct strbuf *out, const struct probe_report *report)
{
    strbuf_addf(out, "\n%s\n", probe_outcome_text(probe_report_outcome(report)));
    for (const struct probe_target *at = report->targets; at != NULL; at = at->next) {
        strbuf_add_text(out, "  <");
        utf8_add_printable(out, at->address);
        strbuf_addf(out, "> %s at %s", probe_outcome_text(at->verdict.outcome),
                    at->verdict.stage);
        if (at->verdict.what != NULL) {
            strbuf_addf(out, ": %s", at->verdict.what);
        }
        if (report->is_all && at->hosts != NULL) {
            size_t all, accepting = count_accepting(at, &all);

            strbuf_addf(out, " (%zu of %zu hosts take it)", accepting, all);
        }
        strbuf_add_char(out, '\n');
    }
    report_lines_add_text(out, "  ", &report->notes);
}

/* ---- TLS ---- */

static void add_date(struct strbuf *out, int64_t seconds)
{
    struct strbuf date;

    strbuf_init(&date, 64);
    calendar_add_timestamp(&date, seconds * 1000);
    strbuf_add(out, bytes_first(strbuf_bytes(&date), 10));
    strbuf_clear(&date);
}

static void add_validity(struct strbuf *out, int64_t now,
                         const struct tls_peer_certificate *certificate)
{
    int64_t days = (certificate->expires - now) / DAY;

    if (certificate->begins > now) {
        strbuf_add_text(out, "not valid before ");
        add_date(out, certificate->begins);
    } else if (certificate->expires <= now) {
        strbuf_add_text(out, "EXPIRED ");
        add_date(out, certificate->expires);
    } else {
        strbuf_addf(out, "%lld day(s) left, until ", (long long)days);
        add_date(out, certificate->expires);
        strbuf_add_text(out, days < SOON_DAYS ? " (soon)" : "");
    }
}

static void add_certificate(struct strbuf *out, int64_t now, size_t number,
                            const struct tls_peer_certificate *certificate)
{
    strbuf_addf(out, "\n%s ", number == 0 ? "certificate of" : "and of");
    utf8_add_printable(out, certificate->subject.len > 0 ? certificate->subject
                                                         : BYTES("(no subject)"));
    strbuf_addf(out, ", %s %d bits, ", certificate->key, certificate->key_bits);
    add_validity(out, now, certificate);
    if (number > 0) {
        return;
    }
    strbuf_add_text(out, certificate->name_count == 0 ? "\nfor no names" : "\nfor ");
    for (size_t i = 0; i < certificate->name_count; i++) {
        strbuf_add_text(out, i == 0 ? "" : ", ");
        utf8_add_printable(out, certificate->names[i]);
    }
    if (certificate->more_names > 0) {
        strbuf_addf(out, " and %zu more", certificate->more_names);
    }
    strbuf_add_text(out, "\nissued by ");
    utf8_add_printable(out, certificate->issuer);
}

void probe_report_write_tls(struct strbuf *out, const struct probe_report *report,
                            const struct probe_host *host)
{
    if (host->tls.version != NULL) {
        strbuf_addf(out, "%s %s; certificate %s", host->tls.version, host->tls.cipher,
                    host->tls.is_verified ? "verified for this host" : "not verified: ");
        strbuf_add_text(out, host->tls.is_verified ? "" : host->tls.why_unverified);
        if (!host->tls.is_verified && host->tls_level < TLS_LEVEL_VERIFIED) {
            strbuf_addf(out, " (good enough for the policy \"%s\")",
                        tls_level_text(host->tls_level));
        }
    } else {
        strbuf_add_text(out, "TLS failed");
    }
    for (size_t i = 0; i < host->peer.count; i++) {
        add_certificate(out, report->unix_seconds, i, &host->peer.certificates[i]);
    }
}
