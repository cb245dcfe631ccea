#include "auth/verification_key.h"

#include "auth/tag_list.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

/* What may stand in a SubjectPublicKeyInfo beside the modulus: lengths, names, and the exponent, which
 * has three octets nearly always. An exponent as long as the modulus would take milliseconds. */
enum { OCTETS_BESIDE_MODULUS = 48 };

struct verification_key {
    EVP_PKEY *key;
    enum signing_algorithm algorithm;
};

/* Is one of these words in a list like "sha1 : sha256"? */
static bool list_names(struct bytes list, struct bytes word, struct bytes other)
{
    while (list.len != 0) {
        struct bytes item = bytes_trim(bytes_cut(&list, ':'));

        if (bytes_equal_nocase(item, word) || bytes_equal_nocase(item, other)) {
            return true;
        }
    }
    return false;
}

static bool is_kind_of(const struct tag *kind, enum signing_algorithm algorithm)
{
    struct bytes name = kind == NULL ? BYTES("rsa") : kind->value;

    switch (algorithm) {
    case SIGNING_RSA_SHA256:
        return bytes_equal_nocase(name, BYTES("rsa"));
    case SIGNING_ED25519_SHA256:
        return bytes_equal_nocase(name, BYTES("ed25519"));
    }
    return false;
}

/* NULL: the record may be used for such a signature. */
static const char *record_refusal(const struct tag_list *tags, enum signing_algorithm algorithm)
{
    const struct tag *version = tag_list_find(tags, "v");
    const struct tag *hashes = tag_list_find(tags, "h");
    const struct tag *services = tag_list_find(tags, "s");
    const struct tag *key = tag_list_find(tags, "p");

    if (version != NULL &&
        (version != &tags->tags[0] || !bytes_equal(version->value, BYTES("DKIM1")))) {
        return "no DKIM key record";
    }
    if (key == NULL) {
        return "no key in the key record";
    }
    if (key->value.len == 0) {
        return "key revoked";
    }
    if (!is_kind_of(tag_list_find(tags, "k"), algorithm)) {
        return "key of another type";
    }
    if (hashes != NULL && !list_names(hashes->value, BYTES("sha256"), BYTES("sha256"))) {
        return "key not for this hash";
    }
    if (services != NULL && !list_names(services->value, BYTES("email"), BYTES("*"))) {
        return "key not for mail";
    }
    return NULL;
}

/* The whole of it must be one key. */
static EVP_PKEY *parse(struct bytes der, struct dkim_key_cache *cache)
{
    BIO *input = BIO_new_mem_buf(der.data, (int)der.len);
    EVP_PKEY *key;

    assert(input != NULL);
    dkim_key_cache_enter(cache);
    key = d2i_PUBKEY_bio(input, NULL);
    dkim_key_cache_leave();
    if (key != NULL && BIO_pending(input) != 0) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    BIO_free(input);
    ERR_clear_error();
    return key;
}

static const char *key_refusal(const EVP_PKEY *key, size_t der_octets,
                               enum signing_algorithm algorithm)
{
    if (key == NULL) {
        return "key cannot be read";
    }
    if (EVP_PKEY_get_base_id(key) !=
        (algorithm == SIGNING_RSA_SHA256 ? EVP_PKEY_RSA : EVP_PKEY_ED25519)) {
        return "key of another type";
    }
    if (algorithm == SIGNING_ED25519_SHA256) {
        return NULL;
    }
    if (EVP_PKEY_get_bits(key) < VERIFICATION_KEY_MIN_BITS) {
        return "key too small";
    }
    if (EVP_PKEY_get_bits(key) > VERIFICATION_KEY_MAX_BITS ||
        der_octets > (size_t)EVP_PKEY_get_bits(key) / 8 + OCTETS_BESIDE_MODULUS) {
        return "key too large";
    }
    return NULL;
}

/* p= as SubjectPublicKeyInfo: RFC 8463 §4 publishes the bare octets of an Ed25519 key. */
static bool read_der(struct bytes value, enum signing_algorithm algorithm, struct strbuf *der)
{
    static const unsigned char prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                           0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    struct strbuf text;
    bool is_good;

    strbuf_init(&text, VERIFICATION_KEY_RECORD_LIMIT);
    tag_value_add_packed(&text, value);
    if (algorithm == SIGNING_ED25519_SHA256) {
        strbuf_add(der, bytes_of(prefix, sizeof prefix));
    }
    is_good = encoding_base64_decode(strbuf_bytes(&text), der) && der->len != 0;
    strbuf_clear(&text);
    return is_good;
}

struct verification_key *verification_key_read(struct bytes record,
                                               enum signing_algorithm algorithm,
                                               struct dkim_key_cache *cache, const char **why)
{
    struct verification_key *result;
    struct tag_list tags;
    struct strbuf der;
    EVP_PKEY *key = NULL;

    if (record.len > VERIFICATION_KEY_RECORD_LIMIT) {
        *why = "key record too long";
        return NULL;
    }
    if (!tag_list_parse(record, &tags)) {
        *why = "no DKIM key record";
        return NULL;
    }
    *why = record_refusal(&tags, algorithm);
    if (*why != NULL) {
        return NULL;
    }
    strbuf_init(&der, VERIFICATION_KEY_RECORD_LIMIT);
    if (read_der(tag_list_value(&tags, "p"), algorithm, &der)) {
        key = parse(strbuf_bytes(&der), cache);
    }
    *why = key_refusal(key, der.len, algorithm);
    strbuf_clear(&der);
    if (*why != NULL) {
        EVP_PKEY_free(key);
        return NULL;
    }
    result = memory_alloc(sizeof *result);
    *result = (struct verification_key){.key = key, .algorithm = algorithm};
    return result;
}

void verification_key_free(struct verification_key **key)
{
    if (*key == NULL) {
        return;
    }
    EVP_PKEY_free((*key)->key);
    free(*key);
    *key = NULL;
}

static bool verify_rsa(EVP_PKEY *key, const unsigned char *digest, struct bytes signature)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool is_good = context != NULL && EVP_PKEY_verify_init(context) == 1 &&
                   EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
                   EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
                   EVP_PKEY_verify(context, (const unsigned char *)signature.data,
                                   signature.len, digest, SIGNING_DIGEST_OCTETS) == 1;

    EVP_PKEY_CTX_free(context);
    return is_good;
}

/* RFC 8463 §3: the digest is what is signed, by PureEdDSA. */
static bool verify_ed25519(EVP_PKEY *key, const unsigned char *digest, struct bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context != NULL &&
                   EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                   EVP_DigestVerify(context, (const unsigned char *)signature.data,
                                    signature.len, digest, SIGNING_DIGEST_OCTETS) == 1;

    EVP_MD_CTX_free(context);
    return is_good;
}

bool verification_key_verify(const struct verification_key *key,
                             const unsigned char digest[SIGNING_DIGEST_OCTETS],
                             struct bytes signature)
{
    bool is_good = false;

    switch (key->algorithm) {
    case SIGNING_RSA_SHA256:
        is_good = verify_rsa(key->key, digest, signature);
        break;
    case SIGNING_ED25519_SHA256:
        is_good = verify_ed25519(key->key, digest, signature);
        break;
    }
    ERR_clear_error(); /* a bad signature leaves errors that nobody reads */
    return is_good;
}
