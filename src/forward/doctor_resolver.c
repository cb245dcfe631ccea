#include "forward/doctor_resolver.h"

static const char WHY_ANSWER[] =
    "Without DNS nothing is judged and nothing is sent: mail waits.";
static const char WHY_DNSSEC[] =
    "Without it DANE cannot protect what we send, and forged DNS answers are believed.";
static const char HOW_TO_VALIDATE[] =
    "apt install unbound, then in postilion.conf: resolver 127.0.0.1:53";

static struct bytes shown_name(const struct doctor_resolver *resolver)
{
    return resolver->signed_name.len == 0 ? BYTES(".") : resolver->signed_name;
}

static void add_validation(struct findings *findings, enum finding_severity severity,
                           const char *text)
{
    struct finding *finding = findings_add(findings, severity, "dnssec", "%s", text);

    finding_set_why(finding, WHY_DNSSEC);
    if (severity > FINDING_OK) {
        finding_set_fix(findings, finding, FINDING_RUN, bytes_from_text(HOW_TO_VALIDATE));
    }
}

static void judge_distance(struct findings *findings, const struct doctor_resolver *resolver)
{
    for (size_t i = 0; i < resolver->server_count; i++) {
        if (!ip_address_is_loopback(&resolver->servers[i].address)) {
            struct finding *finding = findings_add(
                findings, FINDING_NOTE, "dnssec",
                "resolver %s is not on this machine: its word crosses the network unprotected",
                ip_endpoint_text(&resolver->servers[i]).text);
            finding_set_why(finding, WHY_DNSSEC);
            return;
        }
    }
}

static void judge_broken(struct findings *findings, const struct doctor_resolver *resolver,
                         const struct dns_answer *answer)
{
    if (answer == NULL) {
        add_validation(findings, FINDING_OK, "the resolver validates");
    } else if (answer->status == DNS_OK) {
        add_validation(findings, FINDING_WARNING,
                       "the resolver says that it validates, and lets a broken signature pass");
    } else {
        add_validation(findings, FINDING_OK,
                       "the resolver validates, and refuses a broken signature");
    }
    judge_distance(findings, resolver);
}

/* Somebody who cannot reach the root may know our own names all the same. */
static enum auth_status judge_silence(const struct doctor_resolver *resolver,
                                      struct dns_facts *facts, const char *why,
                                      struct findings *findings)
{
    const struct dns_answer *own = dns_facts_get(facts, resolver->own_name, DNS_TYPE_A);
    struct finding *finding;

    if (own == NULL) {
        return AUTH_NEEDS_DNS;
    }
    if (own->status != DNS_TEMPFAIL) {
        findings_add(findings, FINDING_OK, "resolver", "it answers");
        finding_set_why(findings_add(findings, FINDING_UNKNOWN, "dnssec",
                                     "no answer about \"" BYTES_FMT "\" SOA: %s",
                                     BYTES_ARG(shown_name(resolver)), why),
                        WHY_DNSSEC);
        return AUTH_DONE;
    }
    finding = findings_add(findings, FINDING_ERROR, "resolver",
                           "no answer about \"" BYTES_FMT "\" SOA: %s",
                           BYTES_ARG(shown_name(resolver)), why);
    finding_set_why(finding, WHY_ANSWER);
    finding_set_fixf(
        findings, finding, FINDING_RUN, "dig " BYTES_FMT " SOA%s%s",
        BYTES_ARG(shown_name(resolver)), resolver->server_count > 0 ? " @" : "",
        resolver->server_count > 0 ? ip_address_text(&resolver->servers[0].address).text : "");
    return AUTH_DONE;
}

enum auth_status doctor_resolver_check(const struct doctor_resolver *resolver,
                                       struct dns_facts *facts, struct findings *findings)
{
    const struct dns_answer *good = dns_facts_get(facts, resolver->signed_name, DNS_TYPE_SOA);
    const struct dns_answer *broken =
        resolver->broken_name.len == 0
            ? NULL
            : dns_facts_get(facts, resolver->broken_name, DNS_TYPE_A);

    if (good == NULL || (broken == NULL && resolver->broken_name.len > 0)) {
        return AUTH_NEEDS_DNS;
    }
    if (good->status == DNS_TEMPFAIL) {
        return judge_silence(resolver, facts, good->why, findings);
    }
    findings_add(findings, FINDING_OK, "resolver", "it answers");
    if (good->is_secure) {
        judge_broken(findings, resolver, broken);
    } else {
        add_validation(findings, FINDING_NOTE, "the resolver does not validate signatures");
    }
    return AUTH_DONE;
}
