/*
 * dns_facts - the DNS answers known so far, and the questions still open.
 *
 * Use     a pure function asks with dns_facts_get. NULL means: not known yet; the question is
 *         noted, the function returns "needs DNS", the flow looks up all that is wanted at once
 *         (io/dns_resolver) and calls again.
 * Source  what is known already elsewhere (a cache) can be had while it is asked, so that nothing
 *         is evaluated twice for its sake.
 * Memory  facts hold copies in their own arena, good until dns_facts_reset or _free.
 * Limit   DNS_FACTS_LIMIT questions; a question above that is answered TEMPFAIL at once, so
 * that no record of a stranger makes us ask without bound.
 */
#ifndef PROTOCOL_DNS_FACTS_H
#define PROTOCOL_DNS_FACTS_H

#include "protocol/dns_message.h"

enum { DNS_FACTS_LIMIT = 256 };

struct dns_question {
    struct bytes name; /* normalised */
    uint16_t type;
};

struct dns_facts;

struct dns_facts *dns_facts_new(void);
void dns_facts_free(struct dns_facts **facts);
void dns_facts_reset(struct dns_facts *facts);
/* The answer, or NULL when it must be looked up (then it is wanted). A name that is no DNS name
 * is NXDOMAIN at once. */
const struct dns_answer *dns_facts_get(struct dns_facts *facts, struct bytes name,
                                       uint16_t type);
/* True: *answer is good until the next call. The name is normalised. */
typedef bool dns_facts_source(void *context, struct bytes name, uint16_t type,
                              struct dns_answer *answer);
/* Asked once about each new question, before that is wanted. NULL: nobody is. */
void dns_facts_set_source(struct dns_facts *facts, dns_facts_source *source, void *context);
/* Questions noted and not answered yet, oldest first; *count may be 0. Good until the next call on
 * facts. */
const struct dns_question *dns_facts_wanted(const struct dns_facts *facts, size_t *count);
/* Questions ever noted, answered or not: it grows when there is a new one. */
size_t dns_facts_count(const struct dns_facts *facts);
/* Puts a copy of the answer in and takes the question off the wanted list. */
void dns_facts_put(struct dns_facts *facts, struct bytes name, uint16_t type,
                   const struct dns_answer *answer);

#endif
