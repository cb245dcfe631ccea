/*
 * arc_forge - makes ARC sets for tests, right or wrong in any place.
 *
 * A set is made from three templates: "%i" is the instance, "%c" cv= as it should be, "%h" the body
 * hash, "%b" the signature. Canonical forms and h= are taken from the template when it can be read.
 */
#ifndef TESTS_UNIT_AUTH_ARC_FORGE_H
#define TESTS_UNIT_AUTH_ARC_FORGE_H

#include "auth/canonical_form.h"
#include "auth/tag_list.h"
#include "base/encoding.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

enum { FORGE_LIMIT = 512 * 1024, FORGE_SETS = 60 };

#define FORGE_RESULTS "i=%i; mx.one.example; dmarc=pass header.from=author.example"
#define FORGE_MESSAGE                                                                          \
    "i=%i; a=rsa-sha256; c=relaxed/relaxed; d=one.example; s=s; t=1790000000;\r\n"             \
    "\th=from:to:subject; bh=%h;\r\n\tb=%b"
#define FORGE_SEAL                                                                             \
    "i=%i; a=rsa-sha256; cv=%c; d=one.example; s=s; t=1790000000;\r\n"                         \
    "\tb=%b"

struct arc_forge { /* NULL: as it should be */
    const char *results, *message, *seal;
    EVP_PKEY *key;
    const EVP_MD *digest; /* NULL: SHA-256 */
    bool seals_alone;     /* cv=fail: over its own set only (RFC 8617 §5.1.2) */
};

static inline EVP_PKEY *forge_key(const char *type, size_t bits)
{
    return strcmp(type, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits)
                                    : EVP_PKEY_Q_keygen(NULL, NULL, type);
}

/* p= of a key record. */
static inline void forge_public(EVP_PKEY *key, struct strbuf *out)
{
    unsigned char *der = NULL, raw[64];
    size_t len = sizeof raw;

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &len), 1);
        encoding_base64_add(out, bytes_of(raw, len));
        return;
    }
    len = (size_t)i2d_PUBKEY(key, &der);
    encoding_base64_add(out, bytes_of(der, len));
    OPENSSL_free(der);
}

static inline void forge_sign(const struct arc_forge *forge, struct bytes text, bool in_lines,
                              struct strbuf *out)
{
    unsigned char signature[1024], digest[SHA256_DIGEST_LENGTH];
    size_t len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_rsa = EVP_PKEY_get_base_id(forge->key) == EVP_PKEY_RSA;
    const EVP_MD *method = forge->digest == NULL ? EVP_sha256() : forge->digest;
    struct strbuf encoded;

    SHA256((const unsigned char *)text.data, text.len, digest);
    assert_int_equal(
        EVP_DigestSignInit(context, NULL, is_rsa ? method : NULL, NULL, forge->key), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &len,
                                    is_rsa ? (const unsigned char *)text.data : digest,
                                    is_rsa ? text.len : sizeof digest),
                     1);
    EVP_MD_CTX_free(context);
    strbuf_init(&encoded, FORGE_LIMIT);
    encoding_base64_add(&encoded, bytes_of(signature, len));
    for (size_t at = 0; at < encoded.len; at += 70) {
        strbuf_add(out, bytes_between(strbuf_bytes(&encoded), at, at + 70));
        strbuf_add_text(out, in_lines && at + 70 < encoded.len ? "\r\n\t " : "");
    }
    strbuf_clear(&encoded);
}

static inline void forge_fill(struct strbuf *out, const char *name, const char *template,
                              unsigned instance, struct bytes body_hash, struct bytes signature)
{
    strbuf_addf(out, "%s: ", name);
    for (const char *at = template; *at != '\0'; at++) {
        if (*at != '%') {
            strbuf_add_char(out, *at);
            continue;
        }
        switch (*++at) {
        case 'i':
            strbuf_add_u64(out, instance);
            break;
        case 'c':
            strbuf_add_text(out, instance == 1 ? "none" : "pass");
            break;
        case 'h':
            strbuf_add(out, body_hash);
            break;
        case 'b':
            strbuf_add(out, signature);
            break;
        default:
            fail_msg("no such thing in a template: %%%c", *at);
        }
    }
    strbuf_add_text(out, "\r\n");
}

/* One set's fields as texts; made one after the other, kept for the seals above. */
struct forged_set {
    struct strbuf results, message, seal;
};

static inline struct header_field forge_field(const struct strbuf *text)
{
    struct bytes rest = strbuf_bytes(text);
    struct header_field field;

    CHECK_TRUE("the template makes a field", header_field_next(&rest, &field));
    return field;
}

static inline void forge_hash_body(struct bytes body, enum canonical_form form,
                                   struct strbuf *out)
{
    unsigned char digest[BODY_HASH_OCTETS];
    struct body_hash *hash = body_hash_new(form);

    body_hash_add(hash, body);
    body_hash_finish(hash, digest);
    body_hash_free(&hash);
    encoding_base64_add(out, bytes_of(digest, sizeof digest));
}

/* What the message signature says of its forms; relaxed/relaxed when it cannot be read. */
static inline struct bytes forge_scope(const char *template, enum canonical_form forms[2])
{
    struct tag_list tags;
    struct bytes c;

    forms[0] = forms[1] = CANONICAL_RELAXED;
    if (!tag_list_parse(bytes_from_text(template), &tags)) {
        return BYTES("from");
    }
    c = tag_list_value(&tags, "c");
    forms[0] = bytes_starts_with(c, BYTES("relaxed")) ? CANONICAL_RELAXED : CANONICAL_SIMPLE;
    forms[1] =
        bytes_ends_with_nocase(c, BYTES("/relaxed")) ? CANONICAL_RELAXED : CANONICAL_SIMPLE;
    return tag_list_value(&tags, "h");
}

static inline void forge_message(const struct arc_forge *forge, unsigned instance,
                                 struct bytes header, struct bytes body, struct strbuf *out)
{
    const char *template = forge->message == NULL ? FORGE_MESSAGE : forge->message;
    struct strbuf hash, text, signature;
    enum canonical_form forms[2];
    struct bytes names = forge_scope(template, forms);
    struct header_field field;

    strbuf_init(&hash, FORGE_LIMIT);
    strbuf_init(&text, FORGE_LIMIT);
    strbuf_init(&signature, FORGE_LIMIT);
    forge_hash_body(body, forms[1], &hash);
    forge_fill(out, "ARC-Message-Signature", template, instance, strbuf_bytes(&hash),
               BYTES(""));
    field = forge_field(out);
    canonical_header_add(&text, forms[0], header, names);
    canonical_signature_add(&text, forms[0], &field);
    forge_sign(forge, strbuf_bytes(&text), true, &signature);
    strbuf_reset(out);
    forge_fill(out, "ARC-Message-Signature", template, instance, strbuf_bytes(&hash),
               strbuf_bytes(&signature));
    strbuf_clear(&signature);
    strbuf_clear(&text);
    strbuf_clear(&hash);
}

static inline void forge_seal(const struct arc_forge *forge, unsigned instance,
                              struct forged_set *sets)
{
    const char *template = forge->seal == NULL ? FORGE_SEAL : forge->seal;
    struct strbuf *out = &sets[instance].seal;
    struct strbuf text, signature;
    struct header_field field;

    strbuf_init(&text, FORGE_LIMIT);
    strbuf_init(&signature, FORGE_LIMIT);
    for (unsigned i = forge->seals_alone ? instance : 1; i <= instance; i++) {
        field = forge_field(&sets[i].results);
        canonical_field_add(&text, CANONICAL_RELAXED, &field);
        field = forge_field(&sets[i].message);
        canonical_field_add(&text, CANONICAL_RELAXED, &field);
        if (i == instance) {
            forge_fill(out, "ARC-Seal", template, instance, BYTES(""), BYTES(""));
            field = forge_field(out);
            canonical_signature_add(&text, CANONICAL_RELAXED, &field);
        } else {
            field = forge_field(&sets[i].seal);
            canonical_field_add(&text, CANONICAL_RELAXED, &field);
        }
    }
    forge_sign(forge, strbuf_bytes(&text), false, &signature);
    strbuf_reset(out);
    forge_fill(out, "ARC-Seal", template, instance, BYTES(""), strbuf_bytes(&signature));
    strbuf_clear(&signature);
    strbuf_clear(&text);
}

/* Puts sets 1..count above the header. forges[i - 1] makes set i; the key of the first serves all
 * that have none. */
static inline void forge_chain(struct strbuf *header, struct bytes body,
                               const struct arc_forge *forges, unsigned count)
{
    static struct forged_set sets[FORGE_SETS];
    struct strbuf whole;

    strbuf_init(&whole, FORGE_LIMIT);
    for (unsigned i = 1; i <= count; i++) {
        struct arc_forge forge = forges[i - 1];

        forge.key = forge.key == NULL ? forges[0].key : forge.key;
        strbuf_init(&sets[i].results, FORGE_LIMIT);
        strbuf_init(&sets[i].message, FORGE_LIMIT);
        strbuf_init(&sets[i].seal, FORGE_LIMIT);
        forge_fill(&sets[i].results, "ARC-Authentication-Results",
                   forge.results == NULL ? FORGE_RESULTS : forge.results, i, BYTES(""),
                   BYTES(""));
        forge_message(&forge, i, strbuf_bytes(header), body, &sets[i].message);
        forge_seal(&forge, i, sets);
        strbuf_reset(&whole);
        strbuf_add(&whole, strbuf_bytes(&sets[i].seal));
        strbuf_add(&whole, strbuf_bytes(&sets[i].message));
        strbuf_add(&whole, strbuf_bytes(&sets[i].results));
        strbuf_add(&whole, strbuf_bytes(header));
        strbuf_reset(header);
        strbuf_add(header, strbuf_bytes(&whole));
    }
    for (unsigned i = 1; i <= count; i++) {
        strbuf_clear(&sets[i].results);
        strbuf_clear(&sets[i].message);
        strbuf_clear(&sets[i].seal);
    }
    strbuf_clear(&whole);
}

#endif
