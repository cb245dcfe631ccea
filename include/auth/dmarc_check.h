/*
 * dmarc_check - does one of the names that were proven belong to the author?
 *
 * Input   the author domains (auth/from_domains: A-labels) and every name SPF and DKIM came to
 *         an answer about. Only AUTH_PASS proves; AUTH_TEMPERROR may prove yet, so it turns a
 *         failure into temperror (what is only temporary must not refuse mail for good); the
 *         rest may be given and is ignored. SPF: the MAIL FROM identity, never HELO.
 * DNS     by replay (auth_result.h); everything that may be needed is asked for at once: one
 *         round mostly, three at worst.
 * Rules   the policy record by DNS tree walk, not by a list of suffixes; pct is ignored. Names
 *         without a second label in common never share an organization, so those cost no
 *         look-up; of the others DMARC_WALK_LIMIT are walked. A single label is never taken
 *         for an organization, whatever is published there, or a top-level domain that forgets
 *         psd=y would make all its names one: it is read as if it said psd=y.
 *         Several authors: each is judged, the worst verdict counts; above DMARC_AUTHOR_LIMIT
 *         it is permerror.
 * RFC     9989 §4.10, §5.3, §9.1, §11.5
 */
#ifndef AUTH_DMARC_CHECK_H
#define AUTH_DMARC_CHECK_H

#include "auth/auth_result.h"
#include "auth/dmarc_record.h"
#include "base/arena.h"
#include "protocol/dns_facts.h"

enum { DMARC_WALK_LIMIT = 4, DMARC_AUTHOR_LIMIT = 3 };

enum dmarc_method { DMARC_BY_NOTHING, DMARC_BY_SPF, DMARC_BY_DKIM };

struct dmarc_identifier {
    enum dmarc_method method;
    enum auth_result result;
    struct bytes domain; /* MAIL FROM domain, or d= */
};

struct dmarc_input {
    const struct bytes *authors;
    size_t author_count;
    const struct dmarc_identifier *identifiers;
    size_t identifier_count;
};

struct dmarc_verdict {
    enum auth_result result; /* none, pass, fail, temperror, permerror */
    /* What to apply: with fail as asked for (one step less with t=y), with temperror what a
     * failure might come to, with permerror reject; else none. */
    enum dmarc_policy policy;
    enum dmarc_policy published; /* what the record says for this author */
    bool is_testing;             /* t=y */
    struct bytes author;         /* the domain this is about; in the arena */
    struct bytes record_domain;  /* where the record stands; empty: there is none */
    enum dmarc_method aligned_by;
    struct bytes aligned_domain; /* the name that proves the author */
    bool is_every_author_proven; /* each has an aligned name, whether it publishes or not */
    bool is_unsettled;           /* not all are, but what had no answer might prove them */
    const char *why; /* static, for log and comment: "no-record", "not-aligned" ... */
};

enum auth_status dmarc_check(const struct dmarc_input *input, struct dns_facts *facts,
                             struct arena *arena, struct dmarc_verdict *verdict);

#endif
