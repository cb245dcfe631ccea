#include "forward/doctor_mx.h"

enum { HOST_LIMIT = 20, HOSTS_SHOWN = 1000 };

static const char WHY_DOMAIN[] =
    "Mail to the aliases of this domain goes where its MX records say.";
static const char WHY_RETURN[] =
    "Bounces of forwarded mail come back to this domain, or are lost.";
static const char WHY_HOST[] =
    "Some senders cannot reach such a host, and give up on the domain.";

/* What is known of one name's addresses. */
struct host_facts {
    bool is_waiting, is_unanswered;
    bool is_alias; /* a CNAME */
    bool is_ours;
    bool is_private; /* one of the addresses is for nobody outside */
    size_t addresses;
};

static bool has(const struct ip_address *addresses, size_t count,
                const struct ip_address *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (ip_address_equal(&addresses[i], wanted)) {
            return true;
        }
    }
    return false;
}

static void take_answer(const struct doctor_names *names, struct bytes host,
                        const struct dns_answer *answer, struct host_facts *known)
{
    known->is_waiting = known->is_waiting || answer == NULL;
    if (answer == NULL) {
        return;
    }
    known->is_unanswered = known->is_unanswered || answer->status == DNS_TEMPFAIL;
    known->is_alias =
        known->is_alias || (answer->owner.len > 0 && !bytes_equal_nocase(answer->owner, host));
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *record = &answer->records[i];

        if (record->type == DNS_TYPE_A || record->type == DNS_TYPE_AAAA) {
            bool is_ours = has(names->receiving, names->receiving_count, &record->address);

            known->addresses++;
            known->is_ours = known->is_ours || is_ours;
            known->is_private = known->is_private || ip_address_is_private(&record->address) ||
                                ip_address_is_never_next_hop(&record->address);
        }
    }
}

static struct host_facts look_at(const struct doctor_names *names, struct bytes host,
                                 struct dns_facts *facts)
{
    struct host_facts known = {.addresses = 0};
    const struct dns_answer *v4, *v6;

    take_answer(names, host, v4 = dns_facts_get(facts, host, DNS_TYPE_A), &known);
    take_answer(names, host, v6 = dns_facts_get(facts, host, DNS_TYPE_AAAA), &known);
    known.is_ours = known.is_ours || bytes_equal_nocase(host, names->hostname);
    return known;
}

bool doctor_mx_is_ours(const struct doctor_names *names, struct bytes host,
                       struct dns_facts *facts)
{
    return look_at(names, host, facts).is_ours;
}

/* ---- one check ---- */

struct mx_check {
    const struct doctor_names *names;
    struct bytes domain;
    const char *check, *why;
    struct dns_facts *facts;
    struct findings *findings;
    bool is_waiting;
};

static void add_unknown(struct mx_check *check, const char *what)
{
    finding_set_why(findings_add(check->findings, FINDING_UNKNOWN, check->check,
                                 BYTES_FMT ": %s", BYTES_ARG(check->domain), what),
                    check->why);
}

/* The one that leads to us. */
static void set_record(struct mx_check *check, struct finding *finding, const char *advice)
{
    finding_set_why(finding, check->why);
    finding_set_fixf(check->findings, finding, FINDING_PUBLISH,
                     BYTES_FMT ". IN MX 10 " BYTES_FMT ".%s", BYTES_ARG(check->domain),
                     BYTES_ARG(check->names->hostname), advice);
}

static void add_missing(struct mx_check *check)
{
    struct host_facts known = look_at(check->names, check->domain, check->facts);

    check->is_waiting = known.is_waiting;
    if (known.is_unanswered && !known.is_ours) {
        add_unknown(check, "no answer from DNS");
    } else if (known.is_ours) {
        set_record(check,
                   findings_add(check->findings, FINDING_NOTE, check->check,
                                BYTES_FMT " has no MX record, its own address leads here",
                                BYTES_ARG(check->domain)),
                   "");
    } else {
        set_record(check,
                   findings_add(check->findings, FINDING_ERROR, check->check,
                                BYTES_FMT " has no MX record", BYTES_ARG(check->domain)),
                   "");
    }
}

static void judge_host(struct mx_check *check, struct bytes host,
                       const struct host_facts *known)
{
    struct findings *findings = check->findings;
    struct finding *finding;
    const char *trouble, *fix;

    if (known->is_waiting || known->is_unanswered) {
        return;
    }
    if (known->addresses == 0) {
        trouble = "has no address";
        fix = "give it an A or AAAA record, or take it out of the MX records";
    } else if (known->is_private) {
        trouble = "has an address that nobody outside can reach";
        fix = "let it have only addresses that the world can reach";
    } else if (known->is_alias) {
        trouble = "is an alias (CNAME)";
        fix = "let the MX record name the host itself";
    } else {
        return;
    }
    finding = findings_add(
        findings, known->addresses == 0 && known->is_ours ? FINDING_ERROR : FINDING_WARNING,
        "mx-host", "MX host " BYTES_FMT " of " BYTES_FMT " %s", BYTES_ARG(host),
        BYTES_ARG(check->domain), trouble);
    finding_set_why(finding, WHY_HOST);
    finding_set_fix(findings, finding, FINDING_DO, bytes_from_text(fix));
}

struct mx_summary {
    unsigned best, ours; /* preferences */
    bool has_ours, is_unanswered, is_null;
    size_t count;
    struct strbuf hosts; /* as they are shown */
};

static void take_host(struct mx_check *check, const struct dns_record *record,
                      struct mx_summary *summary)
{
    struct host_facts known;

    if (record->mx.host.len == 0) {
        summary->is_null = true;
        return;
    }
    known = look_at(check->names, record->mx.host, check->facts);
    check->is_waiting = check->is_waiting || known.is_waiting;
    summary->is_unanswered = summary->is_unanswered || (known.is_unanswered && !known.is_ours);
    if (summary->count++ == 0 || record->mx.preference < summary->best) {
        summary->best = record->mx.preference;
    }
    if (known.is_ours && (!summary->has_ours || record->mx.preference < summary->ours)) {
        summary->ours = record->mx.preference;
        summary->has_ours = true;
    }
    strbuf_addf(&summary->hosts, "%s%u " BYTES_FMT, summary->hosts.len > 0 ? ", " : "",
                record->mx.preference, BYTES_ARG(record->mx.host));
    judge_host(check, record->mx.host, &known);
}

static void judge_foreign(struct mx_check *check, const struct mx_summary *summary)
{
    if (summary->count == 0) {
        set_record(check,
                   findings_add(check->findings, FINDING_ERROR, check->check,
                                BYTES_FMT " says that it takes no mail (MX 0 .)",
                                BYTES_ARG(check->domain)),
                   "\n(in the place of the record that stands there)");
    } else if (summary->is_unanswered) {
        add_unknown(check, "the addresses of its MX hosts have no answer from DNS");
    } else if (check->names->receiving_count == 0) {
        struct finding *finding =
            findings_add(check->findings, FINDING_UNKNOWN, check->check,
                         BYTES_FMT " has MX %s: whether that is here cannot be known",
                         BYTES_ARG(check->domain), strbuf_text(&summary->hosts));
        finding_set_why(finding, check->why);
        finding_set_fix(check->findings, finding, FINDING_RUN,
                        BYTES("postilion doctor --address ADDRESS"));
    } else {
        set_record(check,
                   findings_add(check->findings, FINDING_ERROR, check->check,
                                BYTES_FMT " has MX %s, not us", BYTES_ARG(check->domain),
                                strbuf_text(&summary->hosts)),
                   "\n(in the place of what stands there, or before it)");
    }
}

static void judge_hosts(struct mx_check *check, const struct dns_answer *answer)
{
    struct mx_summary summary = {.count = 0};

    strbuf_init(&summary.hosts, HOSTS_SHOWN);
    for (size_t i = 0; i < answer->count && summary.count < HOST_LIMIT; i++) {
        if (answer->records[i].type == DNS_TYPE_MX) {
            take_host(check, &answer->records[i], &summary);
        }
    }
    if (!summary.has_ours) {
        judge_foreign(check, &summary);
    } else if (summary.ours > summary.best) {
        struct finding *finding =
            findings_add(check->findings, FINDING_NOTE, check->check,
                         BYTES_FMT " has MX %s: others come first", BYTES_ARG(check->domain),
                         strbuf_text(&summary.hosts));
        finding_set_why(finding, check->why);
    } else {
        findings_add(check->findings, FINDING_OK, check->check, BYTES_FMT " has MX %s",
                     BYTES_ARG(check->domain), strbuf_text(&summary.hosts));
    }
    strbuf_clear(&summary.hosts);
}

enum auth_status doctor_mx_check(const struct doctor_names *names, struct bytes domain,
                                 enum doctor_mx_use use, struct dns_facts *facts,
                                 struct findings *findings)
{
    struct mx_check check = {.names = names,
                             .domain = domain,
                             .check = use == DOCTOR_MX_RETURN ? "srs-mx" : "mx",
                             .why = use == DOCTOR_MX_RETURN ? WHY_RETURN : WHY_DOMAIN,
                             .facts = facts,
                             .findings = findings};
    const struct dns_answer *answer = dns_facts_get(facts, domain, DNS_TYPE_MX);

    if (answer == NULL) {
        return AUTH_NEEDS_DNS;
    }
    switch (answer->status) {
    case DNS_OK:
        judge_hosts(&check, answer);
        break;
    case DNS_NODATA:
    case DNS_NXDOMAIN:
        add_missing(&check);
        break;
    case DNS_TEMPFAIL:
        add_unknown(&check, "no answer from DNS");
        break;
    }
    return check.is_waiting ? AUTH_NEEDS_DNS : AUTH_DONE;
}
