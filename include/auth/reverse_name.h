/*
 * reverse_name - the name of a client, confirmed both ways ("iprev").
 *
 * Rule    PTR names of the address, at most REVERSE_NAME_LIMIT of them; the first in the order
 *         of the answer whose A or AAAA records hold the address is the client's name. Only
 *         host names count: a PTR record may say anything.
 * Output  pass with the name; fail: there are names, none leads back; permerror: no usable
 *         name, or none with an address; temperror: no name leads back and an answer is missing.
 * DNS     by replay (auth_result.h), all addresses in one round.
 * RFC     8601 §2.7.3, §3
 */
#ifndef AUTH_REVERSE_NAME_H
#define AUTH_REVERSE_NAME_H

#include "auth/auth_result.h"
#include "base/arena.h"
#include "protocol/dns_facts.h"

enum { REVERSE_NAME_LIMIT = 10 };

struct reverse_name_verdict {
    enum auth_result result;
    struct bytes name; /* with pass; lower case, in the arena */
    const char *why;   /* static: "confirmed", "no-name", "no-address", "mismatch", "dns" */
};

enum auth_status reverse_name_check(const struct ip_address *client, struct dns_facts *facts,
                                    struct arena *arena, struct reverse_name_verdict *verdict);

#endif
