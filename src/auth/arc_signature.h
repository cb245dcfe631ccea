/*
 * arc_signature - one ARC-Message-Signature or ARC-Seal as it claims to be, and its judgement.
 *
 * Reading answers NULL, or why no key could make it pass: static, printable.
 */
#ifndef AUTH_ARC_SIGNATURE_H
#define AUTH_ARC_SIGNATURE_H

#include "auth/auth_result.h"
#include "auth/canonical_form.h"
#include "auth/signing_key.h"
#include "auth/tag_list.h"
#include "base/arena.h"

struct arc_signature { /* its texts live in an arena */
    enum signing_algorithm algorithm;
    struct bytes domain, selector; /* lower case, A-labels */
    struct bytes key_name;
    struct bytes signature; /* decoded */
    unsigned char digest[SIGNING_DIGEST_OCTETS];
    bool is_verified;
};

/* What only an ARC-Message-Signature has. */
struct arc_message_scope {
    enum canonical_form header_form, body_form;
    struct bytes names; /* h=; a view of what was read */
    unsigned char body_hash[BODY_HASH_OCTETS];
};

const char *arc_signature_read_message(struct bytes value, int64_t unix_seconds,
                                       struct arena *arena, struct arc_signature *signature,
                                       struct arc_message_scope *scope);
/* *claim is what cv= says: none, pass or fail. */
const char *arc_signature_read_seal(struct bytes value, int64_t unix_seconds,
                                    struct arena *arena, struct arc_signature *signature,
                                    enum auth_result *claim);

#endif
