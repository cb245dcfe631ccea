#include "support/check.h"

#include "auth/verification_key.h"
#include "unit/auth/arc_forge.h"

/* The public keys of RFC 6376 C and RFC 8463 A. */
#define RSA_1024                                                                               \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"         \
    "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/"              \
    "NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
#define ED25519 "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

#define NO_RECORD "no DKIM key record"
#define OTHER_TYPE "key of another type"
#define UNREADABLE "key cannot be read"

static void test_records(void **state)
{
    static const struct {
        const char *name;
        struct bytes record;
        enum signing_algorithm algorithm;
        const char *why; /* NULL: it is of use */
    } cases[] = {
        {"usual", BYTES("v=DKIM1; k=rsa; p=" RSA_1024), SIGNING_RSA_SHA256, NULL},
        {"last ;", BYTES("v=DKIM1; p=" RSA_1024 ";"), SIGNING_RSA_SHA256, NULL},
        {"p= alone", BYTES("p=" RSA_1024), SIGNING_RSA_SHA256, NULL},
        {"blanks", BYTES(" v = DKIM1 ;\tp= " RSA_1024 " "), SIGNING_RSA_SHA256, NULL},
        {"blanks in p=",
         BYTES("p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/ UC3SBsEmGqZ9ZJW3/"
               "DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+"
               "v/RtdC2UzJ1lWT947qR+Rcac2gbto/\tNMqJ0fzfVjH4OuKhitdY9tf6mcwGja"
               "NBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"),
         SIGNING_RSA_SHA256, NULL},
        {"ed25519", BYTES("v=DKIM1; k=ed25519; p=" ED25519), SIGNING_ED25519_SHA256, NULL},
        {"flags", BYTES("v=DKIM1; t=y:s; p=" RSA_1024), SIGNING_RSA_SHA256, NULL},
        {"notes in UTF-8", BYTES("v=DKIM1; n=\xc3\xa9; p=" RSA_1024), SIGNING_RSA_SHA256, NULL},
        {"unknown tag", BYTES("v=DKIM1; g=*; p=" RSA_1024), SIGNING_RSA_SHA256, NULL},
        {"for mail", BYTES("s=email; p=" RSA_1024), SIGNING_RSA_SHA256, NULL},
        {"for all", BYTES("s=tlsrpt : *; p=" RSA_1024), SIGNING_RSA_SHA256, NULL},
        {"hashes", BYTES("h=sha1 : sha256; p=" RSA_1024), SIGNING_RSA_SHA256, NULL},

        {"empty", BYTES(""), SIGNING_RSA_SHA256, NO_RECORD},
        {"something else", BYTES("v=spf1 -all"), SIGNING_RSA_SHA256, NO_RECORD},
        {"v= last", BYTES("p=" RSA_1024 "; v=DKIM1"), SIGNING_RSA_SHA256, NO_RECORD},
        {"another version", BYTES("v=DKIM2; p=" RSA_1024), SIGNING_RSA_SHA256, NO_RECORD},
        {"version in lower case", BYTES("v=dkim1; p=" RSA_1024), SIGNING_RSA_SHA256, NO_RECORD},
        {"p= twice", BYTES("p=; p=" RSA_1024), SIGNING_RSA_SHA256, NO_RECORD},
        {"no p=", BYTES("v=DKIM1; k=rsa"), SIGNING_RSA_SHA256, "no key in the key record"},
        {"P=", BYTES("v=DKIM1; P=" RSA_1024), SIGNING_RSA_SHA256, "no key in the key record"},
        {"revoked", BYTES("v=DKIM1; p="), SIGNING_RSA_SHA256, "key revoked"},
        {"revoked, other type", BYTES("v=DKIM1; k=x; p= ;"), SIGNING_RSA_SHA256, "key revoked"},
        {"not for mail", BYTES("s=tlsrpt; p=" RSA_1024), SIGNING_RSA_SHA256,
         "key not for mail"},
        {"for nobody", BYTES("s=; p=" RSA_1024), SIGNING_RSA_SHA256, "key not for mail"},
        {"sha1 only", BYTES("h=sha1; p=" RSA_1024), SIGNING_RSA_SHA256,
         "key not for this hash"},
        {"unknown type", BYTES("k=dsa; p=" RSA_1024), SIGNING_RSA_SHA256, OTHER_TYPE},
        {"ed25519 for RSA", BYTES("k=ed25519; p=" ED25519), SIGNING_RSA_SHA256, OTHER_TYPE},
        {"RSA for ed25519", BYTES("k=rsa; p=" RSA_1024), SIGNING_ED25519_SHA256, OTHER_TYPE},
        {"ed25519 without k=", BYTES("p=" ED25519), SIGNING_ED25519_SHA256, OTHER_TYPE},
        {"RSA that says ed25519", BYTES("k=ed25519; p=" RSA_1024), SIGNING_ED25519_SHA256,
         UNREADABLE},
        {"ed25519 that says RSA", BYTES("k=rsa; p=" ED25519), SIGNING_RSA_SHA256, UNREADABLE},
        {"whole ed25519 key that says RSA",
         BYTES("k=rsa; p=MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
         SIGNING_RSA_SHA256, OTHER_TYPE},
        {"no base64", BYTES("p=!!!!"), SIGNING_RSA_SHA256, UNREADABLE},
        {"blanks for a key", BYTES("p=\t ; n=x"), SIGNING_RSA_SHA256, "key revoked"},
        {"no key", BYTES("p=bm90aGluZw=="), SIGNING_RSA_SHA256, UNREADABLE},
        {"padding too much", BYTES("p=" RSA_1024 "=="), SIGNING_RSA_SHA256, UNREADABLE},
        {"octets behind", BYTES("p=" RSA_1024 "AAAA"), SIGNING_RSA_SHA256, UNREADABLE},
        {"ed25519 one octet short",
         BYTES("k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUQ=="),
         SIGNING_ED25519_SHA256, UNREADABLE},
        {"ed25519 one octet long",
         BYTES("k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURoA"),
         SIGNING_ED25519_SHA256, UNREADABLE},
    };
    struct dkim_key_cache *cache = dkim_key_cache_new();

    (void)state;
    for (int round = 0; round < 2; round++) { /* the second from the cache */
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            const char *why = "not set";
            struct verification_key *key =
                verification_key_read(cases[i].record, cases[i].algorithm, cache, &why);

            CHECK_TEXT(cases[i].name, why, cases[i].why);
            CHECK_TRUE(cases[i].name, (key != NULL) == (cases[i].why == NULL));
            verification_key_free(&key);
            CHECK_TRUE("freed", key == NULL);
        }
    }
    CHECK_TRUE("kept", dkim_key_cache_counts(cache).hits > 0);
    dkim_key_cache_free(&cache);
}

static struct verification_key *read_public(EVP_PKEY *key, const char *before,
                                            enum signing_algorithm algorithm,
                                            struct dkim_key_cache *cache, const char **why)
{
    struct verification_key *result;
    struct strbuf record;

    strbuf_init(&record, 8192);
    strbuf_add_text(&record, before);
    forge_public(key, &record);
    result = verification_key_read(strbuf_bytes(&record), algorithm, cache, why);
    strbuf_clear(&record);
    return result;
}

static void test_sizes(void **state)
{
    static const struct {
        size_t bits;
        const char *why;
    } cases[] = {
        {512, "key too small"}, {1016, "key too small"}, {1023, "key too small"}, {1024, NULL},
        {2048, NULL},
    };
    struct dkim_key_cache *cache = dkim_key_cache_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        EVP_PKEY *made = forge_key("RSA", cases[i].bits);
        const char *why;
        struct verification_key *key = read_public(made, "p=", SIGNING_RSA_SHA256, cache, &why);

        CHECK_TEXT("size", why, cases[i].why);
        verification_key_free(&key);
        EVP_PKEY_free(made);
    }
    dkim_key_cache_free(&cache);
}

static void test_large_exponent(void **state)
{
    struct dkim_key_cache *cache = dkim_key_cache_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *made = NULL;
    BIGNUM *exponent = NULL;
    const char *why;

    (void)state;
    CHECK_TRUE("e",
               BN_hex2bn(&exponent, "1000000000000000000000000000000000000000000000001") != 0);
    CHECK_INT("init", EVP_PKEY_keygen_init(context), 1);
    CHECK_INT("bits", EVP_PKEY_CTX_set_rsa_keygen_bits(context, 1024), 1);
    CHECK_INT("exponent", EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent), 1);
    CHECK_INT("make", EVP_PKEY_generate(context, &made), 1);
    CHECK_TRUE("refused", read_public(made, "p=", SIGNING_RSA_SHA256, cache, &why) == NULL);
    CHECK_TEXT("why", why, "key too large");
    EVP_PKEY_free(made);
    BN_free(exponent);
    EVP_PKEY_CTX_free(context);
    dkim_key_cache_free(&cache);
}

static void test_record_length(void **state)
{
    struct dkim_key_cache *cache = dkim_key_cache_new();
    struct verification_key *key;
    struct strbuf record;
    const char *why;

    (void)state;
    strbuf_init(&record, VERIFICATION_KEY_RECORD_LIMIT + 1);
    strbuf_add_text(&record, "p=" RSA_1024 "; n=");
    while (record.len < VERIFICATION_KEY_RECORD_LIMIT) {
        strbuf_add_char(&record, 'x');
    }
    key = verification_key_read(strbuf_bytes(&record), SIGNING_RSA_SHA256, cache, &why);
    CHECK_TEXT("longest", why, NULL);
    verification_key_free(&key);
    strbuf_add_char(&record, 'x');
    key = verification_key_read(strbuf_bytes(&record), SIGNING_RSA_SHA256, cache, &why);
    CHECK_TEXT("one more", why, "key record too long");
    CHECK_TRUE("none", key == NULL);
    strbuf_clear(&record);
    dkim_key_cache_free(&cache);
}

static void check_verify(const char *type, size_t bits, const char *before,
                         enum signing_algorithm algorithm)
{
    struct dkim_key_cache *cache = dkim_key_cache_new();
    struct arc_forge forge = {.key = forge_key(type, bits)};
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct strbuf text, signature;
    const char *why;
    struct verification_key *key = read_public(forge.key, before, algorithm, cache, &why);

    CHECK_TEXT(type, why, NULL);
    strbuf_init(&text, 1024);
    strbuf_init(&signature, 1024);
    forge_sign(&forge, BYTES("what is signed"), false, &text);
    CHECK_TRUE(type, encoding_base64_decode(strbuf_bytes(&text), &signature));
    SHA256((const unsigned char *)"what is signed", 14, digest);
    CHECK_TRUE(type, verification_key_verify(key, digest, strbuf_bytes(&signature)));
    CHECK_TRUE("again", verification_key_verify(key, digest, strbuf_bytes(&signature)));
    CHECK_TRUE("cut", !verification_key_verify(key, digest,
                                               bytes_first(strbuf_bytes(&signature), 10)));
    CHECK_TRUE("none", !verification_key_verify(key, digest, BYTES("")));
    signature.data[5] ^= 1;
    CHECK_TRUE("broken", !verification_key_verify(key, digest, strbuf_bytes(&signature)));
    signature.data[5] ^= 1;
    digest[0] ^= 1;
    CHECK_TRUE("another digest",
               !verification_key_verify(key, digest, strbuf_bytes(&signature)));
    strbuf_clear(&signature);
    strbuf_clear(&text);
    verification_key_free(&key);
    EVP_PKEY_free(forge.key);
    dkim_key_cache_free(&cache);
}

static void test_verify(void **state)
{
    (void)state;
    check_verify("RSA", 1024, "p=", SIGNING_RSA_SHA256);
    check_verify("RSA", 2048, "v=DKIM1; k=rsa; p=", SIGNING_RSA_SHA256);
    check_verify("ED25519", 0, "k=ed25519; p=", SIGNING_ED25519_SHA256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_large_exponent), cmocka_unit_test(test_record_length),
        cmocka_unit_test(test_verify),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
