#include "forward/doctor_lists.h"

/* Each answers anybody who asks little, without an account. A listing in one that many servers refuse by is an error. */
static const struct {
    const char *zone, *removal;
    enum finding_severity severity;
} PUBLIC[] = {
    {"zen.spamhaus.org", "https://check.spamhaus.org/", FINDING_ERROR},
    {"bl.spamcop.net", "https://www.spamcop.net/bl.shtml", FINDING_ERROR},
    {"psbl.surriel.com", "https://psbl.org/remove", FINDING_WARNING},
    {"bl.mailspike.net", "https://www.mailspike.org/iplookup.html", FINDING_WARNING},
    {"dnsbl.dronebl.org", "https://dronebl.org/lookup", FINDING_WARNING},
    {"ips.backscatterer.org", "https://www.backscatterer.org/?target=test", FINDING_WARNING},
    {"dnsbl-1.uceprotect.net", "https://www.uceprotect.net/en/rblcheck.php", FINDING_WARNING},
};

enum { PUBLIC_COUNT = sizeof PUBLIC / sizeof PUBLIC[0] };

static const char WHY[] = "Whoever uses this list refuses what we forward.";

bool doctor_lists_public(size_t number, struct doctor_list *list)
{
    if (number >= PUBLIC_COUNT) {
        return false;
    }
    *list = (struct doctor_list){
        .list = {.zone = bytes_from_text(PUBLIC[number].zone), .subject = DNS_LIST_CLIENT},
        .removal = PUBLIC[number].removal,
        .severity = PUBLIC[number].severity,
    };
    return true;
}

struct doctor_list doctor_lists_own(const struct dns_list *list)
{
    struct doctor_list own = {.list = *list, .severity = FINDING_WARNING};

    for (size_t i = 0; i < PUBLIC_COUNT; i++) {
        if (bytes_equal(list->zone, bytes_from_text(PUBLIC[i].zone))) {
            own.removal = PUBLIC[i].removal;
            own.severity = PUBLIC[i].severity;
        }
    }
    return own;
}

static void add_listed(struct findings *findings, const struct doctor_list *list,
                       const struct ip_address *address, const struct dns_list_verdict *verdict)
{
    struct bytes zone = list->list.zone;
    struct finding *finding =
        findings_add(findings, list->severity, "blocklist",
                     "%s is listed in " BYTES_FMT " (127.%u.%u.%u)%s" BYTES_FMT,
                     ip_address_text(address).text, BYTES_ARG(zone), verdict->code >> 16 & 0xff,
                     verdict->code >> 8 & 0xff, verdict->code & 0xff,
                     verdict->text.len > 0 ? ": " : "", BYTES_ARG(verdict->text));

    finding_set_why(finding, WHY);
    if (list->removal != NULL) {
        finding_set_fixf(findings, finding, FINDING_DO,
                         "end the cause, then ask to be removed: %s", list->removal);
    } else {
        finding_set_fixf(findings, finding, FINDING_DO,
                         "end the cause, then ask the operators of " BYTES_FMT " to remove it",
                         BYTES_ARG(zone));
    }
}

static void add_verdict(struct findings *findings, const struct doctor_list *list,
                        const struct ip_address *address,
                        const struct dns_list_verdict *verdict)
{
    struct bytes zone = list->list.zone;
    const char *trouble = "did not answer";

    switch (verdict->standing) {
    case DNS_LIST_CLEAR:
        findings_add(findings, FINDING_OK, "blocklist", "%s is not in " BYTES_FMT,
                     ip_address_text(address).text, BYTES_ARG(zone));
        return;
    case DNS_LIST_LISTED:
        add_listed(findings, list, address, verdict);
        return;
    case DNS_LIST_REFUSED:
        trouble = "does not let our resolver ask (public resolvers are refused)";
        break;
    case DNS_LIST_HAS_EVERYBODY:
        trouble = "names everybody: it has probably gone";
        break;
    case DNS_LIST_HAS_NO_TEST:
        trouble = "has not even its own test entry: its listing of us counts for nothing";
        break;
    case DNS_LIST_UNANSWERED:
        break;
    }
    finding_set_why(findings_add(findings, FINDING_UNKNOWN, "blocklist",
                                 BYTES_FMT " %s (asked about %s)", BYTES_ARG(zone), trouble,
                                 ip_address_text(address).text),
                    WHY);
}

enum auth_status doctor_lists_check(const struct doctor_list *list,
                                    const struct ip_address *address, struct dns_facts *facts,
                                    struct findings *findings)
{
    const struct dns_list_identity identity = {.client = *address};
    struct dns_list_verdict verdict;
    enum auth_status status =
        dns_list_check(&list->list, &identity, facts, findings->arena, &verdict);

    if (status == AUTH_DONE) {
        add_verdict(findings, list, address, &verdict);
    }
    return status;
}
