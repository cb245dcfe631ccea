/*
 * What a probe found, as one JSON object.
 */
#include "daemon/probe_report.h"

#include "base/json.h"

static void add_verdict(struct strbuf *out, const char *key,
                        const struct probe_finding *verdict)
{
    json_open_object(out, key);
    json_words(out, "outcome", probe_outcome_text(verdict->outcome));
    json_words(out, "stage", verdict->stage);
    if (verdict->code == 0) {
        json_null(out, "code");
    } else {
        json_number(out, "code", verdict->code);
    }
    json_text(out, "reply", verdict->reply);
    json_words(out, "class", verdict->class);
    json_words(out, "what", verdict->what);
    json_words(out, "means", verdict->means);
    json_words(out, "who", verdict->who);
    json_words(out, "advice", verdict->advice);
    json_close_object(out);
}

static void add_certificates(struct strbuf *out, int64_t now, const struct tls_peer *peer)
{
    json_open_array(out, "certificates");
    for (size_t i = 0; i < peer->count; i++) {
        const struct tls_peer_certificate *at = &peer->certificates[i];

        json_open_object(out, NULL);
        json_text(out, "subject", at->subject);
        json_text(out, "issuer", at->issuer);
        json_open_array(out, "names");
        for (size_t n = 0; n < at->name_count; n++) {
            json_text(out, NULL, at->names[n]);
        }
        json_close_array(out);
        json_time(out, "begins", at->begins * 1000);
        json_time(out, "expires", at->expires * 1000);
        json_number(out, "days-left", (at->expires - now) / 86400);
        json_words(out, "key", at->key);
        json_number(out, "bits", at->key_bits);
        json_close_object(out);
    }
    json_close_array(out);
}

static void add_tls(struct strbuf *out, int64_t now, const struct probe_host *host)
{
    json_open_object(out, "tls");
    json_words(out, "policy", tls_level_text(host->tls_level));
    json_words(out, "version", host->tls.version);
    json_words(out, "cipher", host->tls.cipher);
    json_bool(out, "verified", host->tls.is_verified);
    json_words(out, "why", host->tls.version == NULL ? NULL : host->tls.why_unverified);
    add_certificates(out, now, &host->peer);
    json_close_object(out);
}

static void add_dialogue(struct strbuf *out, const struct probe_host *host)
{
    static const char *const voices[] = {
        [PROBE_WE] = "we", [PROBE_THEY] = "they", [PROBE_REMARK] = "remark"};

    json_open_array(out, "dialogue");
    for (const struct probe_line *at = host->lines; at != NULL; at = at->next) {
        json_open_object(out, NULL);
        json_number(out, "ms", (int64_t)at->at_ms);
        json_words(out, "from", voices[at->voice]);
        json_text(out, "text", at->text);
        json_close_object(out);
    }
    json_close_array(out);
}

static void add_stages(struct strbuf *out, const struct probe_host *host)
{
    json_open_array(out, "stages");
    for (const struct probe_stage *at = host->stages; at != NULL; at = at->next) {
        json_open_object(out, NULL);
        json_words(out, "stage", at->name);
        json_number(out, "ms", (int64_t)at->ms);
        if (at->code == 0) {
            json_null(out, "code");
        } else {
            json_number(out, "code", at->code);
        }
        json_close_object(out);
    }
    json_close_array(out);
}

static void add_host(struct strbuf *out, int64_t now, const struct probe_host *host)
{
    json_open_object(out, NULL);
    json_text(out, "host", host->host);
    json_words(out, "address", ip_endpoint_text(&host->endpoint).text);
    json_text(out, "local", host->local);
    add_verdict(out, "verdict", &host->verdict);
    add_stages(out, host);
    report_lines_add_json(out, "extensions", &host->keywords);
    add_tls(out, now, host);
    add_dialogue(out, host);
    json_close_object(out);
}

static void add_target(struct strbuf *out, int64_t now, const struct probe_target *target)
{
    json_open_object(out, NULL);
    json_text(out, "address", target->address);
    json_text(out, "sender", target->sender);
    json_words(out, "by", target->by);
    json_text(out, "destination", target->destination);
    json_bool(out, "secure", target->is_mx_secure);
    add_verdict(out, "verdict", &target->verdict);
    json_open_array(out, "next-hops");
    for (size_t i = 0; i < target->hop_count; i++) {
        const struct probe_hop *hop = &target->hops[i];

        json_open_object(out, NULL);
        json_number(out, "preference", hop->preference);
        json_text(out, "host", hop->host);
        json_words(out, "address", ip_endpoint_text(&hop->endpoint).text);
        json_words(out, "tls", tls_level_text(hop->tls_level));
        json_close_object(out);
    }
    json_close_array(out);
    json_open_array(out, "hosts");
    for (const struct probe_host *at = target->hosts; at != NULL; at = at->next) {
        add_host(out, now, at);
    }
    json_close_array(out);
    json_close_object(out);
}

static void add_refusal(struct strbuf *out, const struct decision *refusal)
{
    if (refusal->disposition == DECISION_ACCEPT) {
        json_null(out, "refusal");
        return;
    }
    json_open_object(out, "refusal");
    json_bool(out, "temporary", refusal->disposition == DECISION_DEFER);
    json_number(out, "code", refusal->code);
    json_words(out, "enhanced", refusal->enhanced);
    json_text(out, "text", refusal->text);
    json_words(out, "why", refusal->why);
    json_close_object(out);
}

void probe_report_add_json(struct strbuf *out, const struct probe_report *report)
{
    json_open_object(out, NULL);
    json_text(out, "asked", report->asked);
    json_words(out, "outcome", probe_outcome_text(probe_report_outcome(report)));
    json_text(out, "helo", report->helo);
    json_bool(out, "all", report->is_all);
    json_bool(out, "data", report->is_data);
    alias_trail_add_json(out, &report->aliases);
    add_refusal(out, &report->refusal);
    lookup_trail_add_json(out, &report->lookups);
    json_open_array(out, "targets");
    for (const struct probe_target *at = report->targets; at != NULL; at = at->next) {
        add_target(out, report->unix_seconds, at);
    }
    json_close_array(out);
    report_lines_add_json(out, "notes", &report->notes);
    json_close_object(out);
    strbuf_add_char(out, '\n');
}
