/*
 * auth_report - what `postilion auth` found out, as text for people or as one line of JSON.
 *
 * Memory  everything in the report is *borrowed*.
 */
#ifndef CTL_AUTH_REPORT_H
#define CTL_AUTH_REPORT_H

#include "auth/message_check.h"
#include "base/strbuf.h"

struct auth_lookup {
    struct bytes name;
    uint16_t type;
};

/* An SPF record that was reached. */
struct auth_record {
    unsigned depth;
    struct bytes domain, text;
};

enum { AUTH_RECORD_LIMIT = 128 };

struct auth_report {
    struct dns_facts *facts; /* the answers to all look-ups */
    struct auth_lookup lookups[DNS_FACTS_LIMIT];
    size_t lookup_count;
    struct auth_record records[AUTH_RECORD_LIMIT]; /* in the order of the walk; SPF alone */
    size_t record_count;
    struct bytes results_field; /* message: as the daemon would write it */
};

void auth_report_add_spf(struct strbuf *out, const struct auth_report *report,
                         const struct spf_verdict *verdict);
void auth_report_add_spf_json(struct strbuf *out, const struct auth_report *report,
                              const struct spf_verdict *verdict);
void auth_report_add_message(struct strbuf *out, const struct auth_report *report,
                             const struct message_verdicts *verdicts);
void auth_report_add_message_json(struct strbuf *out, const struct auth_report *report,
                                  const struct message_verdicts *verdicts);

#endif
