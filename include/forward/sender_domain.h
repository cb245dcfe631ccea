/*
 * sender_domain - could an answer to this sender ever arrive?
 *
 * Rule    its domain has an MX record, or else an address. A null MX (RFC 7505) says that the domain
 *         neither takes nor sends mail. The null sender and address literals are fine.
 * Wait    what DNS cannot say now is unknown, never missing.
 * DNS     by replay (auth/auth_result.h): MX first, addresses only where there is none.
 * RFC     5321 §5.1, 7505 §4.2
 */
#ifndef FORWARD_SENDER_DOMAIN_H
#define FORWARD_SENDER_DOMAIN_H

#include "auth/auth_result.h"
#include "protocol/dns_facts.h"
#include "protocol/smtp_path.h"

enum sender_domain_standing {
    SENDER_DOMAIN_FINE,
    SENDER_DOMAIN_MISSING,    /* there is no such name */
    SENDER_DOMAIN_NO_ADDRESS, /* there is, but it has neither MX nor address */
    SENDER_DOMAIN_NULL_MX,
    SENDER_DOMAIN_UNKNOWN, /* DNS does not answer */
};

/* On AUTH_NEEDS_DNS the standing reads "unknown". */
enum auth_status sender_domain_check(const struct smtp_mailbox *sender, struct dns_facts *facts,
                                     enum sender_domain_standing *standing);

#endif
