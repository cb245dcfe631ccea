/*
 * spf_record - one SPF record, parsed by the whole grammar before anything is evaluated.
 *
 * Input   the text of one TXT record, its strings joined.
 * Output  its terms in order and its modifiers, all views of the input; the list in the arena.
 * Kept    what an evaluation can reach: terms behind "all", and behind the eleventh that needs
 *         DNS, are checked and not kept (the eleventh ends every evaluation).
 * Limit   SPF_RECORD_LIMIT octets, a policy of ours: what we parse again in each round of
 *         look-ups has a bound.
 * RFC     7208 §4.5, §4.6.1, §5, §6, §12
 */
#ifndef AUTH_SPF_RECORD_H
#define AUTH_SPF_RECORD_H

#include "base/arena.h"
#include "protocol/ip_address.h"

enum { SPF_RECORD_LIMIT = 8192, SPF_TERM_LIMIT = 10 };

enum spf_mechanism {
    SPF_MECHANISM_ALL,
    SPF_MECHANISM_INCLUDE,
    SPF_MECHANISM_A,
    SPF_MECHANISM_MX,
    SPF_MECHANISM_PTR,
    SPF_MECHANISM_IP4,
    SPF_MECHANISM_IP6,
    SPF_MECHANISM_EXISTS,
};

struct spf_term {
    struct spf_term *next;
    struct bytes text; /* as published, with its qualifier */
    enum spf_mechanism mechanism;
    char qualifier;            /* one of + - ~ ? */
    struct bytes domain_spec;  /* empty: the domain of the record */
    struct ip_address address; /* ip4, ip6 (there never turned into IPv4) */
    unsigned prefix4, prefix6; /* 32 and 128 when not given */

    /* Filled while the record is evaluated. */
    struct spf_frame *included; /* include: what was found there */
    bool is_matched;            /* a, mx, ptr, exists: an answer fits the client */
};

struct spf_record {
    struct bytes text;
    struct spf_term *terms;   /* or NULL */
    bool has_all;             /* then redirect has no meaning */
    struct bytes redirect;    /* domain-spec, or empty */
    struct bytes explanation; /* exp=: domain-spec, or empty */
};

/* "v=spf1" alone or before a space, in any case: a record of this kind, right or wrong. */
bool spf_record_is_spf(struct bytes text);
/* False: a syntax error somewhere in it (RFC 7208 §4.6: then nothing of it counts). */
bool spf_record_parse(struct bytes text, struct arena *arena, struct spf_record *record);
bool spf_term_needs_dns(const struct spf_term *term);

#endif
