/*
 * spf_macro - the macro language of SPF: its grammar, and its expansion.
 *
 * Input   text that stood in a record or an explanation; check it before it is expanded.
 * Limit   a domain is cut to 253 octets by taking labels away from its left (RFC 7208 §7.3);
 *         what would be cut is not even expanded, so the work is bounded by the text's length.
 * Form    %{i} of IPv6 is written in upper-case nibbles as the conformance suites want it;
 *         octets of a name that are unusual are written \ddd, as dns_facts takes them.
 * RFC     7208 §7, §12
 */
#ifndef AUTH_SPF_MACRO_H
#define AUTH_SPF_MACRO_H

#include "base/strbuf.h"
#include "protocol/ip_address.h"

struct spf_macro_values {
    struct bytes sender, local, sender_domain; /* s, l, o */
    struct bytes domain;                       /* d: where the record was found */
    struct bytes helo;                         /* h */
    struct bytes receiver;                     /* r */
    struct bytes client_name;                  /* p: validated, or "unknown" */
    struct ip_text client_text;                /* c */
    char client_dotted[64];                    /* i */
    bool is_ipv6;                              /* v */
    int64_t unix_seconds;                      /* t */
};

enum spf_macro_place {
    SPF_MACRO_IN_DOMAIN,      /* no c, r, t; no blanks */
    SPF_MACRO_IN_MODIFIER,    /* all letters; no blanks */
    SPF_MACRO_IN_EXPLANATION, /* all letters; spaces stand for themselves */
};

/* Fills in what is made from the address. */
void spf_macro_set_client(struct spf_macro_values *values, const struct ip_address *client);

bool spf_macro_is_valid(struct bytes text, enum spf_macro_place place);
/* domain-spec: not empty, ends in a macro or in "." and a label that is not all digits. */
bool spf_macro_is_domain_spec(struct bytes text);
/* The letter in either case; for valid text. */
bool spf_macro_uses(struct bytes text, char letter);

/* Both replace what is in `out`. */
void spf_macro_expand_domain(struct bytes text, const struct spf_macro_values *values,
                             struct strbuf *out);
/* At most `limit` octets: what is over is cut off. */
void spf_macro_expand_text(struct bytes text, const struct spf_macro_values *values,
                           size_t limit, struct strbuf *out);

#endif
