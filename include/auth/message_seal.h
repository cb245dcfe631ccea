/*
 * message_seal - our own signatures on what we send on: an ARC set, DKIM, or both.
 *
 * Last     a seal is made when the message is as it will leave: nothing below it is changed any
 *          more; what is put above later (loop mark) is not signed.
 * Order    on the wire, from the top: ARC-Seal, ARC-Message-Signature, ARC-Authentication-Results,
 *          DKIM-Signature (one per key), then the header given.
 * DKIM     relaxed/relaxed; From, Subject, To, Date, Message-ID are oversigned (also when absent),
 *          and Cc, Reply-To, MIME-Version, Content-Type, Content-Transfer-Encoding, In-Reply-To,
 *          References and the like are signed as often as they are there. Never l=, x= or z=.
 *          Of fields of one name the lowest eight are signed, and h= stays under 4 KB (libopendkim
 *          reads no more).
 * ARC      one set, with the first RSA key (nothing when there is none): i= the newest plus one;
 *          AMS relaxed/relaxed over the same fields and every DKIM-Signature, never over
 *          Authentication-Results, Received or ARC fields; AS with cv= the verdict: none without
 *          a chain. A chain that fails here gets cv=fail over our own set only. Nothing is added
 *          to a chain that says cv=fail itself, to one that has ARC_SET_LIMIT sets, or while
 *          the verdict is temperror (what we do not know we do not seal).
 *          The header's own fields count as well: a chain too broken to be counted is closed
 *          when its highest seal says so, else sealed above its highest instance.
 * Form     folded at 78 columns; b= begins a line.
 * Cost     one private key operation a signature: two for ARC. CPU time with the body's hash, 4.6 KB
 *          (seal_driver repeat=N; RSA-2048 takes 309 us there, Ed25519 38): DKIM 323 us and 52, an
 *          ARC set 641.
 * RFC      8617 §4, §5.1; 6376 §5, §8.15
 */
#ifndef AUTH_MESSAGE_SEAL_H
#define AUTH_MESSAGE_SEAL_H

#include "auth/arc_chain.h"
#include "auth/canonical_form.h"
#include "auth/signing_key.h"

struct seal_key {
    struct bytes selector;
    const struct signing_key *key;
};

/* What a domain of ours signs with. Lives in the configuration. */
struct seal {
    struct bytes domain; /* d=, A-labels, lower case */
    const struct seal_key *keys;
    size_t key_count;
    bool with_arc, with_dkim; /* for forwards; bounces and munged mail are always signed */
};

struct seal_input {
    struct bytes header; /* all of it, as it leaves: what we put on top, then what came */
    unsigned char body_hash[BODY_HASH_OCTETS]; /* relaxed, SHA-256 */
    int64_t unix_seconds;
    /* For ARC: */
    struct bytes results; /* what our Authentication-Results says: "authserv-id; spf=pass ..."
                             (as it stands there, folded, with or without its last CRLF) */
    const struct arc_verdict *chain; /* over the message as it came */
};

/* Adds a DKIM-Signature for each key. False: the crypto library failed; what was added stands. */
bool message_seal_add_dkim(struct strbuf *out, const struct seal *seal,
                           const struct seal_input *input);
/* The same for a whole message of ours: header, empty line, body. */
bool message_seal_add_dkim_whole(struct strbuf *out, const struct seal *seal,
                                 struct bytes message, int64_t unix_seconds);
/* Adds the ARC set for `input->header` (with DKIM-Signatures made before already in it). */
bool message_seal_add_arc(struct strbuf *out, const struct seal *seal,
                          const struct seal_input *input);

#endif
