#include "forward/sender_domain.h"

static bool is_null_mx(const struct dns_answer *answer)
{
    return answer->count == 1 && answer->records[0].type == DNS_TYPE_MX &&
           answer->records[0].mx.host.len == 0;
}

/* No MX record: the address stands for it. */
static enum auth_status ask_addresses(struct bytes domain, struct dns_facts *facts,
                                      enum sender_domain_standing *standing)
{
    const struct dns_answer *v4 = dns_facts_get(facts, domain, DNS_TYPE_A);
    const struct dns_answer *v6 = dns_facts_get(facts, domain, DNS_TYPE_AAAA);

    if ((v4 != NULL && v4->status == DNS_OK) || (v6 != NULL && v6->status == DNS_OK)) {
        *standing = SENDER_DOMAIN_FINE;
        return AUTH_DONE;
    }
    if (v4 == NULL || v6 == NULL) {
        return AUTH_NEEDS_DNS;
    }
    if (v4->status != DNS_TEMPFAIL && v6->status != DNS_TEMPFAIL) {
        *standing = SENDER_DOMAIN_NO_ADDRESS;
    }
    return AUTH_DONE;
}

enum auth_status sender_domain_check(const struct smtp_mailbox *sender, struct dns_facts *facts,
                                     enum sender_domain_standing *standing)
{
    const struct dns_answer *answer;

    *standing = SENDER_DOMAIN_FINE;
    if (smtp_mailbox_is_null(sender) || sender->is_literal || sender->domain.len == 0) {
        return AUTH_DONE;
    }
    *standing = SENDER_DOMAIN_UNKNOWN;
    answer = dns_facts_get(facts, sender->domain, DNS_TYPE_MX);
    if (answer == NULL) {
        return AUTH_NEEDS_DNS;
    }
    switch (answer->status) {
    case DNS_OK:
        *standing = is_null_mx(answer) ? SENDER_DOMAIN_NULL_MX : SENDER_DOMAIN_FINE;
        return AUTH_DONE;
    case DNS_NODATA:
        return ask_addresses(sender->domain, facts, standing);
    case DNS_NXDOMAIN:
        *standing = SENDER_DOMAIN_MISSING;
        return AUTH_DONE;
    case DNS_TEMPFAIL:
        return AUTH_DONE;
    }
    return AUTH_DONE;
}
