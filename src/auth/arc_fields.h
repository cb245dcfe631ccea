/*
 * arc_fields - finds the ARC sets in a header: who verifies and who seals see the same ones.
 *
 * Output  views into the header; sets[0] is i=1.
 * Rules   structure only (RFC 8617 §4, §5.2 steps 2 and 3): instances 1..count without a gap, each
 *         with exactly one field of each kind. What the seals say is not looked at.
 */
#ifndef AUTH_ARC_FIELDS_H
#define AUTH_ARC_FIELDS_H

#include "auth/arc_chain.h"
#include "mail/header_block.h"

struct arc_set {
    struct header_field results;   /* ARC-Authentication-Results */
    struct header_field signature; /* ARC-Message-Signature */
    struct header_field seal;      /* ARC-Seal */
    struct bytes results_text; /* what the first says behind "i=N;", trimmed, folds inside */
};

struct arc_fields {
    struct arc_set sets[ARC_SET_LIMIT];
    size_t count;     /* 0: there is no chain, or none that holds together */
    unsigned highest; /* instance seen, sound chain or not, 0..99 */
};

/* NULL, or why the fields are no chain: static, printable. */
const char *arc_fields_gather(struct bytes header, struct arc_fields *fields);
/* The newest seal, in a sound chain or not, says cv=fail: nothing may be added (RFC 8617 §5.1). */
bool arc_fields_are_closed(const struct arc_fields *fields);

/* The three field names, as they are written. */
#define ARC_RESULTS_NAME BYTES("ARC-Authentication-Results")
#define ARC_SIGNATURE_NAME BYTES("ARC-Message-Signature")
#define ARC_SEAL_NAME BYTES("ARC-Seal")

#endif
