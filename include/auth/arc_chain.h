/*
 * arc_chain - the ARC sets of a message and what they prove.
 *
 * Order    as with dkim_verify: header once (the keys it needs are then wanted), body in any cuts,
 *          finish; finish again once what is wanted is answered. Until AUTH_DONE the verdict reads
 *          "temperror".
 * Replay   keys are TXT answers in dns_facts. All that can be asked is asked at once.
 * Rules    sets 1..N, N at most ARC_SET_LIMIT, each exactly one AAR, AMS and AS, none missing; AS: cv=
 *          none at 1 and pass above, no h=, relaxed; AMS: must sign From and no AS; the newest AMS
 *          and every AS must verify. rsa-sha256 (keys of 1024 bits up) and ed25519-sha256.
 *          A key that cannot be had for now makes it temperror, unless the chain fails anyway.
 * Limits   ARC_FIELD_OCTETS a field, ARC_KEY_LIMIT different keys (more: fail, by policy), the
 *          header limits of dkim_header_guard. Structure is looked at before any key is asked for.
 * Cost     each field is hashed once for all seals, signed ones once more, the body once. CPU time of a
 *          4 KB message with keys in the cache (arc_driver repeat=N): no chain 1 us, one set of
 *          RSA-2048 75 us, 50 sets 2 ms; a key not seen before 100 us more.
 * RFC      8617 §4, §5.2; errors fail the chain (§5.2 has no permerror)
 */
#ifndef AUTH_ARC_CHAIN_H
#define AUTH_ARC_CHAIN_H

#include "auth/auth_result.h"
#include "auth/dkim_key_cache.h"
#include "base/arena.h"
#include "protocol/dns_facts.h"

enum { ARC_SET_LIMIT = 50, ARC_KEY_LIMIT = 10, ARC_FIELD_OCTETS = 16 * 1024 };

struct arc_sealer {
    unsigned instance;
    struct bytes domain;   /* d= of the AS, lower case; checked: a host name */
    struct bytes selector; /* s= of the AS */
    struct bytes
        results; /* pass: what the AAR says behind "i=N;": "authserv-id; spf=pass ..." */
};

struct arc_verdict {
    enum auth_result result; /* none, pass, fail, temperror */
    const char *why;         /* NULL: pass or none; static, printable, may stand in a comment */
    unsigned newest;         /* instance; 0: there is no chain that can be counted */
    bool is_closed; /* the newest AS says cv=fail: nothing may be added (RFC 8617 §5.1) */
    unsigned oldest_pass;       /* header.oldest-pass: always 0, we do not verify older AMS */
    struct arc_sealer *sealers; /* pass and temperror: 1 .. newest in this order; else empty */
    size_t sealer_count;
};

struct arc_verifier;

/* *borrows* the cache; one thread. */
struct arc_verifier *arc_verifier_new(struct dkim_key_cache *keys, int64_t unix_seconds);
void arc_verifier_free(struct arc_verifier **verifier); /* safe on NULL */
/* Once, the whole header. Nothing is borrowed. */
void arc_verifier_header(struct arc_verifier *verifier, struct bytes header,
                         struct dns_facts *facts);
/* True: the body matters to the verdict. */
bool arc_verifier_needs_body(const struct arc_verifier *verifier);
void arc_verifier_body(struct arc_verifier *verifier, struct bytes octets);
/* Fills *verdict (memory in the arena). */
enum auth_status arc_verifier_finish(struct arc_verifier *verifier, struct dns_facts *facts,
                                     struct arena *arena, struct arc_verdict *verdict);

/*
 * Who of the sealers vouches for the author's DMARC pass: the first, from the newest down, whose AAR
 * says dmarc=pass for exactly this author domain (header.from), as long as every sealer from the
 * newest down to it is in the list. NULL: nobody, or the chain does not pass.
 */
struct arc_trust {
    const struct bytes *domains; /* lower case A-labels; a sealer's d= must equal one */
    size_t count;
};

const struct arc_sealer *arc_chain_voucher(const struct arc_verdict *verdict,
                                           const struct arc_trust *trust, struct bytes author);
/* Could somebody vouch, once the chain's keys are there? A stranger's seal whose key never comes is to
 * keep nobody waiting. */
bool arc_chain_may_vouch(const struct arc_verdict *verdict, const struct arc_trust *trust);

#endif
