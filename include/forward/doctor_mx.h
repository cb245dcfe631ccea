/*
 * doctor_mx - does mail for a domain come here?
 *
 * Rules   an MX host is ours when it is our host name, or when one of its addresses is. Hosts of others beside ours are
 *         fine (a second server); what no sender could use is not: no address, an alias (CNAME), an address that is private.
 * DNS     by replay, as in forward/doctor_dns, whose part this is.
 * RFC     5321 §5.1; 7505; 2181 §10.3
 */
#ifndef FORWARD_DOCTOR_MX_H
#define FORWARD_DOCTOR_MX_H

#include "forward/doctor_dns.h"

enum doctor_mx_use { DOCTOR_MX_DOMAIN, DOCTOR_MX_RETURN };

enum auth_status doctor_mx_check(const struct doctor_names *names, struct bytes domain,
                                 enum doctor_mx_use use, struct dns_facts *facts,
                                 struct findings *findings);
/* As far as the facts know: what is not known is not ours. */
bool doctor_mx_is_ours(const struct doctor_names *names, struct bytes host,
                       struct dns_facts *facts);

#endif
