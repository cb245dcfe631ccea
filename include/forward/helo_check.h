/*
 * helo_check - can what a client calls itself in HELO or EHLO be true?
 *
 * Grades  what no honest server says (is_false): no name and no literal, a bare address, our own name
 *         or address; and what means something in the client's own network at most (is_local): a
 *         name of one label, one below "local" or "localdomain", a literal of another address than
 *         the one it comes from. Servers behind NAT and badly set up ones do the latter: that alone
 *         is no reason to refuse anybody. A literal of the client's own address is fine.
 * Lenient underscores, a dot at the end, and U-labels are taken.
 * RFC     5321 §2.3.5, §4.1.1.1, §4.1.3, §4.1.4 (a name that does not resolve is no reason either)
 */
#ifndef FORWARD_HELO_CHECK_H
#define FORWARD_HELO_CHECK_H

#include "protocol/ip_address.h"

enum helo_flaw {
    HELO_FINE,
    HELO_MALFORMED,
    HELO_BARE_ADDRESS,
    HELO_OUR_NAME,
    HELO_OUR_ADDRESS,
    HELO_SINGLE_LABEL,
    HELO_LOCAL_NAME,
    HELO_OTHER_ADDRESS,
};

struct helo_facts {
    struct bytes helo; /* as it was said */
    struct ip_address client;
    const struct bytes *own_names;
    size_t own_name_count;
    const struct ip_address *own_addresses;
    size_t own_address_count;
};

enum helo_flaw helo_check(const struct helo_facts *facts);
bool helo_flaw_is_local(enum helo_flaw flaw);
/* "our-name" ...; for the log; static */
const char *helo_flaw_text(enum helo_flaw flaw);
/* What is wrong with it, for the client: "is our own name"; static */
const char *helo_flaw_words(enum helo_flaw flaw);
/* The name, when it is one, without a dot at the end; else empty. */
struct bytes helo_name(struct bytes helo);

#endif
