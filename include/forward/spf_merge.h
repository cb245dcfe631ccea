/*
 * spf_merge - the SPF record that lets our addresses send for a domain, without taking anything from others.
 *
 * Input   the texts of the SPF records that stand there now (none, one, or the several that must not be),
 *         and the addresses that are to pass.
 * Output  one record: our addresses in front (the first match decides), then every other term in its order, once.
 *         What the domain says of the rest of the world ("~all") stays as it is. Without a record: our addresses, "-all".
 * Errors  a record with a syntax error counts for nothing (RFC 7208 §4.6): its terms are not taken over, since nobody knows which of them
 *         were meant.
 * RFC     7208 §3.2, §5.1, §6.1
 */
#ifndef FORWARD_SPF_MERGE_H
#define FORWARD_SPF_MERGE_H

#include "base/arena.h"
#include "protocol/ip_address.h"

void spf_merge_add(struct strbuf *out, const struct bytes *records, size_t record_count,
                   const struct ip_address *addresses, size_t address_count);

#endif
