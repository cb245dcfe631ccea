/*
 * doctor_resolver - does the resolver answer, and does it look at signatures (DNSSEC)?
 *
 * Way      a signed name must come back with the AD bit, a name whose signature is broken must not come back at all.
 * Trust    the AD bit of a resolver elsewhere is worth what the network between is worth.
 * DNS      by replay.
 * RFC      4035 §3.2.3; 7672 §1.3 (what DANE needs of it)
 */
#ifndef FORWARD_DOCTOR_RESOLVER_H
#define FORWARD_DOCTOR_RESOLVER_H

#include "auth/auth_result.h"
#include "mail/finding.h"
#include "protocol/dns_facts.h"

struct doctor_resolver {
    struct bytes signed_name; /* its SOA is asked for; empty: the root */
    struct bytes own_name;    /* asked about when there is no answer about the signed one */
    struct bytes broken_name; /* its A is; empty: that is not tried */
    const struct ip_endpoint *servers;
    size_t server_count; /* 0: not known */
};

enum auth_status doctor_resolver_check(const struct doctor_resolver *resolver,
                                       struct dns_facts *facts, struct findings *findings);

#endif
