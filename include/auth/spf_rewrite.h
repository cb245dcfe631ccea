/*
 * spf_rewrite - a parsed record as text that libspf2 may safely be given.
 *
 * Why     libspf2 1.2.10 as Debian has it writes behind its buffers on hostile macros
 *         (CVE-2023-42118), drops terms silently after 511 compiled octets, refuses /0 networks
 *         and takes much that is no SPF. So it gets only this, made from what we parsed:
 *           v=spf1( [-+~?](all|ip[46]:ADDRESS/N|(a|mx|exists|include):TOKEN(//?N)?))*
 *           ( redirect=TOKEN)?
 *         where TOKEN is "t" digits ".x", a number into a table of what it stands for.
 * Left    out: networks of the other address family and terms behind "all". What would still be
 *         over libspf2's 511 compiled octets loses the networks that the client is not in, and
 *         what follows the first one it is in: they can change nothing.
 * Stands  for ptr stands exists (we walk the names); for a /0 network of the client's family
 *         stands all; for a/0 and mx/0 the token layer answers the client's own address.
 */
#ifndef AUTH_SPF_REWRITE_H
#define AUTH_SPF_REWRITE_H

#include "auth/spf_evaluation.h"

enum spf_token_kind {
    SPF_TOKEN_TERM,     /* the target of a term */
    SPF_TOKEN_REDIRECT, /* of the frame's redirect= */
    SPF_TOKEN_HOST,     /* a host of the MX answer for `term` */
};

struct spf_token {
    enum spf_token_kind kind;
    struct spf_frame *frame;
    struct spf_term *term;
    struct bytes host;
};

/* A growing table; its memory is kept between evaluations. */
struct spf_tokens {
    struct spf_token *list;
    size_t count, capacity;
};

enum { SPF_TOKEN_TEXT_SIZE = 16 };

struct spf_token_text {
    char text[SPF_TOKEN_TEXT_SIZE];
};

/* Adds it and returns its name. */
struct spf_token_text spf_token_add(struct spf_tokens *tokens, struct spf_token token);
/* NULL: no token was given this name. */
const struct spf_token *spf_token_find(const struct spf_tokens *tokens, const char *name);

/* Replaces what is in `out` by the record of the frame, for this client. */
void spf_rewrite(struct spf_frame *frame, const struct ip_address *client,
                 struct spf_tokens *tokens, struct strbuf *out);

#endif
