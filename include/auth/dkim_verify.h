/*
 * dkim_verify - verdicts on the DKIM signatures of one message, by libopendkim.
 *
 * Order    header (the keys it needs are then wanted), body in any cuts, finish. The body may go by
 *          before the keys are known. Call finish again once what is wanted is answered; until
 *          then open signatures read "temperror". After it said AUTH_DONE the verdicts stay.
 * Replay   keys are TXT answers in dns_facts. The library never asks DNS itself.
 * Limits   dkim_header_guard's; key records of DKIM_KEY_RECORD_LIMIT octets.
 * Strict   rsa-sha1, RSA keys under 1024 bits, a key of another type than the signature's, and l=
 *          that leaves text unsigned never pass.
 * Cost     CPU time of a 4 KB message, relaxed/relaxed (dkim_driver repeat=N): unsigned 0.5 us,
 *          refused by its header 7 us, RSA-2048 36 us, with l= 49 us; 100 more with a key not seen
 *          before (auth/dkim_key_cache).
 * Body     is hashed by auth/canonical_form, by the library only when a signature has l=
 *          (docs/decisions/dkim-body-hash.md).
 * Threads  a library belongs to one, with its verifiers.
 * RFC      6376, 8301 (algorithms, key sizes), 8463 (ed25519), 8601 §2.7.1 (results)
 */
#ifndef AUTH_DKIM_VERIFY_H
#define AUTH_DKIM_VERIFY_H

#include "auth/auth_result.h"
#include "auth/dkim_key_cache.h"
#include "base/arena.h"
#include "protocol/dns_facts.h"

enum { DKIM_KEY_RECORD_LIMIT = 1024 };

struct dkim_verdict {
    enum auth_result result;
    struct bytes domain;          /* d=, checked: a host name; empty: there is no good one */
    struct bytes selector;        /* s=, the same */
    struct bytes signature_start; /* the first 8 characters of b=, base64 only; or empty */
    const char *algorithm;        /* "rsa-sha256" ...; NULL: not known; static */
    const char *why;              /* NULL: pass; static, printable, may stand in a comment */
    bool is_testing;              /* the key record says t=y */
    struct bytes signed_names;    /* h=, as it stands there: "from : to ..."; with PASS only */
};

struct dkim_verdicts { /* in the order of the message, from the top */
    struct dkim_verdict *verdicts;
    size_t count; /* 0: not signed, "none" */
    size_t
        unchecked; /* signatures behind the first DKIM_SIGNATURE_LIMIT: nothing said of them */
};

struct dkim_library;
struct dkim_verifier;

struct dkim_library *dkim_library_new(void);
/* After the last of its verifiers. */
void dkim_library_free(struct dkim_library **library);
/* How the keys it has parsed served. */
struct dkim_key_cache_counts dkim_library_keys(const struct dkim_library *library);

/* Borrows the library. unix_seconds: the time signatures are judged by (t=, x=). */
struct dkim_verifier *dkim_verifier_new(struct dkim_library *library, int64_t unix_seconds);
void dkim_verifier_free(struct dkim_verifier **verifier);

/* Once, the whole header: fields as they came, folded, with CRLF; the empty line behind them may
 * be there. Nothing is borrowed. */
void dkim_verifier_header(struct dkim_verifier *verifier, struct bytes header,
                          struct dns_facts *facts);
/* True: some signature may still pass, so the body matters. */
bool dkim_verifier_needs_body(const struct dkim_verifier *verifier);
/* Body with CRLF lines, not dot-stuffed. */
void dkim_verifier_body(struct dkim_verifier *verifier, struct bytes octets);
/* Fills *verdicts (memory in the arena). */
enum auth_status dkim_verifier_finish(struct dkim_verifier *verifier, struct dns_facts *facts,
                                      struct arena *arena, struct dkim_verdicts *verdicts);

#endif
