#include "auth/signing_key.h"

#include "auth/tag_list.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum {
    RSA_BITS_LIMIT = 4096,
    SIGNATURE_OCTETS = RSA_BITS_LIMIT / 8,
    RECORD_LIMIT = 2048, /* RSA 4096 takes 750 */
    PEM_LIMIT = 64 * 1024,
    DNS_STRING_OCTETS = 255,
};

struct signing_key {
    enum signing_algorithm algorithm;
    EVP_PKEY *pair;
    /* RSA: ready to sign a SHA-256 digest. Each signature is made with a copy, because a context
     * belongs to one thread; to copy it takes a fifth of the time that to set it up takes. */
    EVP_PKEY_CTX *prepared;
};

static const char bad_pem[] =
    "it is not one private key in PEM form (-----BEGIN PRIVATE KEY-----)";

const char *signing_algorithm_text(enum signing_algorithm algorithm)
{
    switch (algorithm) {
    case SIGNING_RSA_SHA256:
        return "rsa-sha256";
    case SIGNING_ED25519_SHA256:
        return "ed25519-sha256";
    }
    return "";
}

enum signing_algorithm signing_key_algorithm(const struct signing_key *key)
{
    return key->algorithm;
}

/* ---- signing ---- */

static EVP_PKEY_CTX *prepare_rsa(EVP_PKEY *pair)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pair, NULL);

    if (context != NULL && EVP_PKEY_sign_init(context) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1) {
        return context;
    }
    EVP_PKEY_CTX_free(context);
    return NULL;
}

static bool sign_rsa(const struct signing_key *key, const unsigned char *digest,
                     unsigned char *signature, size_t *len)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_dup(key->prepared);
    bool is_signed = context != NULL &&
                     EVP_PKEY_sign(context, signature, len, digest, SIGNING_DIGEST_OCTETS) == 1;

    EVP_PKEY_CTX_free(context);
    return is_signed;
}

/* RFC 8463 §3: PureEdDSA over the digest, not over the message. */
static bool sign_ed25519(const struct signing_key *key, const unsigned char *digest,
                         unsigned char *signature, size_t *len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_signed =
        context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key->pair) == 1 &&
        EVP_DigestSign(context, signature, len, digest, SIGNING_DIGEST_OCTETS) == 1;

    EVP_MD_CTX_free(context);
    return is_signed;
}

static bool sign(const struct signing_key *key, const unsigned char *digest,
                 unsigned char *signature, size_t *len)
{
    switch (key->algorithm) {
    case SIGNING_RSA_SHA256:
        return sign_rsa(key, digest, signature, len);
    case SIGNING_ED25519_SHA256:
        return sign_ed25519(key, digest, signature, len);
    }
    return false;
}

bool signing_key_sign(const struct signing_key *key,
                      const unsigned char digest[SIGNING_DIGEST_OCTETS], struct strbuf *out)
{
    unsigned char signature[SIGNATURE_OCTETS];
    size_t len = sizeof signature;

    if (!sign(key, digest, signature, &len)) {
        ERR_clear_error();
        return false;
    }
    encoding_base64_add(out, bytes_of(signature, len));
    return true;
}

/* ---- a key from outside ---- */

static const char *why_not_this_kind(EVP_PKEY *pair, enum signing_algorithm *algorithm)
{
    switch (EVP_PKEY_get_base_id(pair)) {
    case EVP_PKEY_RSA:
        *algorithm = SIGNING_RSA_SHA256;
        if (EVP_PKEY_get_bits(pair) < SIGNING_RSA_BITS) {
            return "an RSA key needs 2048 bits or more (RFC 8301)";
        }
        return EVP_PKEY_get_bits(pair) > RSA_BITS_LIMIT
                   ? "an RSA key of more than 4096 bits is too long for verifiers"
                   : NULL;
    case EVP_PKEY_ED25519:
        *algorithm = SIGNING_ED25519_SHA256;
        return NULL;
    default: /* of libcrypto's many */
        return "it is neither an RSA nor an Ed25519 key";
    }
}

/* Does the private half make what the public half accepts? (To test the primes too would take a
 * tenth of a second a key.) The first signature also computes what libcrypto keeps for the
 * others. */
static bool fits_together(const struct signing_key *key)
{
    static const unsigned char digest[SIGNING_DIGEST_OCTETS] = {1};
    unsigned char signature[SIGNATURE_OCTETS];
    size_t len = sizeof signature;
    EVP_PKEY_CTX *context;
    bool fits;

    if (!sign(key, digest, signature, &len)) {
        return false;
    }
    if (key->algorithm == SIGNING_ED25519_SHA256) {
        return true; /* the public half has just been computed from the private one */
    }
    context = EVP_PKEY_CTX_new(key->pair, NULL);
    fits = context != NULL && EVP_PKEY_verify_init(context) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
           EVP_PKEY_verify(context, signature, len, digest, sizeof digest) == 1;
    EVP_PKEY_CTX_free(context);
    return fits;
}

/* *takes* the pair. */
static struct signing_key *make_key(EVP_PKEY *pair, const char **why)
{
    struct signing_key *key = memory_zero(sizeof *key);

    key->pair = pair;
    *why = why_not_this_kind(pair, &key->algorithm);
    if (*why == NULL && key->algorithm == SIGNING_RSA_SHA256) {
        key->prepared = prepare_rsa(pair);
        *why = key->prepared == NULL ? "libcrypto does not sign with it" : NULL;
    }
    if (*why == NULL && !fits_together(key)) {
        *why = "it is damaged: its private and its public half do not fit together";
    }
    if (*why != NULL) {
        signing_key_free(&key);
    }
    return key;
}

static EVP_PKEY *read_pkcs8(const unsigned char **der, long len)
{
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, der, len);
    EVP_PKEY *pair = info == NULL ? NULL : EVP_PKCS82PKEY(info);

    PKCS8_PRIV_KEY_INFO_free(info);
    return pair;
}

/* What the PEM block's label says is in it; the octets have to agree, to the last one. */
static EVP_PKEY *read_block(const char *label, const char *header, const unsigned char *der,
                            long len, const char **why)
{
    const unsigned char *end = der + len;
    struct bytes name = bytes_from_text(label);
    EVP_PKEY *pair = NULL;

    *why = bad_pem;
    if (bytes_equal(name, BYTES("ENCRYPTED PRIVATE KEY")) ||
        strstr(header, "ENCRYPTED") != NULL) {
        *why = "it is encrypted: nobody is there to type the pass phrase";
    } else if (bytes_ends_with_nocase(name, BYTES("PUBLIC KEY"))) {
        *why = "it is a public key: the private one is needed";
    } else if (bytes_equal(name, BYTES("CERTIFICATE"))) {
        *why = "it is a certificate: the private key is needed";
    } else if (bytes_equal(name, BYTES("PRIVATE KEY"))) {
        pair = read_pkcs8(&der, len);
    } else if (bytes_equal(name, BYTES("RSA PRIVATE KEY"))) {
        pair = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &der, len);
    } else if (bytes_ends_with_nocase(name, BYTES("PRIVATE KEY")) ||
               bytes_equal(name, BYTES("EC PARAMETERS"))) {
        *why = "it is neither an RSA nor an Ed25519 key";
    }
    if (pair != NULL && der != end) {
        EVP_PKEY_free(pair);
        pair = NULL;
    }
    return pair;
}

static bool is_blank_to_the_end(BIO *input)
{
    char *rest = NULL;
    long len = BIO_get_mem_data(input, &rest);

    return len <= 0 || bytes_trim(bytes_of(rest, (size_t)len)).len == 0;
}

static EVP_PKEY *read_pair(BIO *input, const char **why)
{
    char *label = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    EVP_PKEY *pair;

    if (PEM_read_bio(input, &label, &header, &der, &len) != 1) {
        *why = bad_pem;
        return NULL;
    }
    pair = read_block(label, header, der, len, why);
    if (pair != NULL && !is_blank_to_the_end(input)) {
        *why = "there is something behind the key";
        EVP_PKEY_free(pair);
        pair = NULL;
    }
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_clear_free(der, (size_t)len);
    return pair;
}

struct signing_key *signing_key_read(struct bytes pem, const char **why)
{
    struct signing_key *key = NULL;
    EVP_PKEY *pair;
    BIO *input;

    *why = bad_pem;
    if (pem.len == 0 || pem.len > PEM_LIMIT) {
        return NULL;
    }
    input = BIO_new_mem_buf(pem.data, (int)pem.len);
    assert(input != NULL);
    pair = read_pair(input, why);
    if (pair != NULL) {
        key = make_key(pair, why);
    }
    BIO_free(input);
    ERR_clear_error();
    return key;
}

struct signing_key *signing_key_make(enum signing_algorithm algorithm)
{
    const char *why = NULL;
    EVP_PKEY *pair = NULL;

    switch (algorithm) {
    case SIGNING_RSA_SHA256:
        pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)SIGNING_RSA_BITS);
        break;
    case SIGNING_ED25519_SHA256:
        pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    }
    ERR_clear_error();
    return pair == NULL ? NULL : make_key(pair, &why);
}

void signing_key_free(struct signing_key **key)
{
    if (*key == NULL) {
        return;
    }
    EVP_PKEY_CTX_free((*key)->prepared);
    EVP_PKEY_free((*key)->pair); /* libcrypto clears private numbers before it frees them */
    free(*key);
    *key = NULL;
}

/* ---- what is said of a key ---- */

void signing_key_add_pem(const struct signing_key *key, struct strbuf *out)
{
    BIO *output = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len;

    assert(output != NULL);
    if (PEM_write_bio_PKCS8PrivateKey(output, key->pair, NULL, NULL, 0, NULL, NULL) == 1) {
        len = BIO_get_mem_data(output, &text);
        strbuf_add(out, bytes_of(text, (size_t)len));
    }
    BIO_free(output); /* clears what it held */
}

/* RFC 6376 §3.6.1 for RSA as everybody reads it (SubjectPublicKeyInfo), RFC 8463 §4.2 */
static void add_public_key(const struct signing_key *key, struct strbuf *out)
{
    unsigned char *der = NULL;
    unsigned char raw[32];
    size_t raw_len = sizeof raw;
    int len;

    switch (key->algorithm) {
    case SIGNING_RSA_SHA256:
        len = i2d_PUBKEY(key->pair, &der);
        assert(len > 0);
        encoding_base64_add(out, bytes_of(der, (size_t)len));
        OPENSSL_free(der);
        break;
    case SIGNING_ED25519_SHA256:
        len = EVP_PKEY_get_raw_public_key(key->pair, raw, &raw_len);
        assert(len == 1);
        encoding_base64_add(out, bytes_of(raw, raw_len));
        break;
    }
}

static const char *key_type(const struct signing_key *key)
{
    return key->algorithm == SIGNING_RSA_SHA256 ? "rsa" : "ed25519";
}

void signing_key_add_record(const struct signing_key *key, struct strbuf *out)
{
    strbuf_addf(out, "v=DKIM1; k=%s; p=", key_type(key));
    add_public_key(key, out);
}

void signing_key_add_zone_line(const struct signing_key *key, struct bytes selector,
                               struct bytes domain, struct strbuf *out)
{
    struct strbuf record;

    strbuf_init(&record, RECORD_LIMIT);
    signing_key_add_record(key, &record);
    strbuf_add(out, selector);
    strbuf_add_text(out, "._domainkey");
    if (domain.len > 0) {
        strbuf_addf(out, "." BYTES_FMT ".", BYTES_ARG(domain));
    }
    strbuf_add_text(out, " IN TXT (");
    for (struct bytes rest = strbuf_bytes(&record); rest.len > 0;
         rest = bytes_skip(rest, DNS_STRING_OCTETS)) {
        strbuf_addf(out, " \"" BYTES_FMT "\"", BYTES_ARG(bytes_first(rest, DNS_STRING_OCTETS)));
    }
    strbuf_add_text(out, " )");
    strbuf_clear(&record);
}

/* Is one of the words in "a:b:c"? An absent list holds all. */
static bool list_has(const struct tag_list *record, const char *name, const char *word,
                     const char *other)
{
    struct bytes rest = tag_list_value(record, name);

    if (tag_list_find(record, name) == NULL) {
        return true;
    }
    while (rest.len > 0) {
        struct bytes item = bytes_trim(bytes_cut(&rest, ':'));
        if (bytes_equal(item, bytes_from_text(word)) ||
            bytes_equal(item, bytes_from_text(other))) {
            return true;
        }
    }
    return false;
}

/* Without k= it is RSA. */
static bool has_type_of(const struct tag_list *record, const struct signing_key *key)
{
    const struct tag *type = tag_list_find(record, "k");

    return bytes_equal(type == NULL ? BYTES("rsa") : type->value,
                       bytes_from_text(key_type(key)));
}

/* v= may be missing, but not stand behind another tag (RFC 6376 §3.6.1). */
static bool is_key_record(const struct tag_list *record)
{
    const struct tag *version = tag_list_find(record, "v");

    return tag_list_find(record, "p") != NULL &&
           (version == NULL ||
            (version == &record->tags[0] && bytes_equal(version->value, BYTES("DKIM1"))));
}

static struct bytes without_padding(struct bytes text)
{
    while (text.len > 0 && text.data[text.len - 1] == '=') {
        text.len--;
    }
    return text;
}

/* Padding is often forgotten, and verifiers do not mind. */
static enum key_publication compare_public_key(const struct signing_key *key,
                                               struct bytes value)
{
    struct strbuf given, own, octets;
    enum key_publication result;

    strbuf_init(&given, value.len + 4);
    strbuf_init(&own, RECORD_LIMIT);
    strbuf_init(&octets, value.len);
    tag_value_add_packed(&given, value);
    add_public_key(key, &own);
    if (bytes_equal(without_padding(strbuf_bytes(&given)),
                    without_padding(strbuf_bytes(&own)))) {
        result = KEY_PUBLISHED;
    } else {
        strbuf_truncate(&given, without_padding(strbuf_bytes(&given)).len);
        while (given.len % 4 != 0) {
            strbuf_add_char(&given, '=');
        }
        result = encoding_base64_decode(strbuf_bytes(&given), &octets) ? KEY_OTHER
                                                                       : KEY_NOT_A_RECORD;
    }
    strbuf_clear(&octets);
    strbuf_clear(&own);
    strbuf_clear(&given);
    return result;
}

enum key_publication signing_key_compare(const struct signing_key *key, struct bytes record)
{
    struct tag_list tags;
    struct bytes value;
    enum key_publication result;

    if (!tag_list_parse(record, &tags) || !is_key_record(&tags)) {
        return KEY_NOT_A_RECORD;
    }
    value = tag_list_value(&tags, "p");
    if (value.len == 0) {
        return KEY_REVOKED;
    }
    result = compare_public_key(key, value);
    if (result == KEY_PUBLISHED &&
        (!has_type_of(&tags, key) || !list_has(&tags, "h", "sha256", "sha256") ||
         !list_has(&tags, "s", "email", "*"))) {
        return KEY_RESTRICTED;
    }
    return result;
}
