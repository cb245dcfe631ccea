/*
 * doctor_dns - what DNS says of a host that forwards mail: its names, its domains, its SRS domain, its keys.
 *
 * Input   names and addresses of the host; the answers known so far.
 * Output  findings. What is to be published comes from forward/publish_record, as a line of a zone.
 * DNS     by replay: AUTH_NEEDS_DNS when answers are wanted; then nothing was added. One subject fits into DNS_FACTS_LIMIT.
 * Unknown what has no answer, and what cannot be known because nobody has said under which address the world sees us.
 */
#ifndef FORWARD_DOCTOR_DNS_H
#define FORWARD_DOCTOR_DNS_H

#include "forward/publish_record.h"
#include "mail/finding.h"

enum { DOCTOR_ADDRESS_LIMIT = 16 };

struct doctor_names {
    struct bytes hostname, helo;
    const struct ip_address *sending; /* the world sees us come from these; none: not known */
    size_t sending_count;
    const struct ip_address *receiving; /* what is sent to these comes to us; none: not known */
    size_t receiving_count;
};

/* HELO name, its addresses, reverse names, SPF of the name. */
enum auth_status doctor_dns_host(const struct doctor_names *names, struct dns_facts *facts,
                                 struct findings *findings);
/* An SRS domain: bounces come back, and SPF lets us send. */
enum auth_status doctor_dns_return(const struct doctor_names *names, struct bytes domain,
                                   struct dns_facts *facts, struct findings *findings);
/* A domain with aliases: MX and DMARC. */
enum auth_status doctor_dns_domain(const struct doctor_names *names, struct bytes domain,
                                   struct dns_facts *facts, struct findings *findings);
enum auth_status doctor_dns_key(const struct publish_key *key, struct dns_facts *facts,
                                struct findings *findings);
/* MX hosts of the domain that are this host, as far as the facts know; at most `limit`. Copies. */
size_t doctor_dns_own_hosts(const struct doctor_names *names, struct bytes domain,
                            struct dns_facts *facts, struct arena *arena, struct bytes *hosts,
                            size_t limit);

#endif
