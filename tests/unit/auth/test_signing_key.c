#include "support/check.h"

#include "auth/signing_key.h"
#include "base/encoding.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>

enum { TEXT_LIMIT = 65536, THREADS = 4, SIGNATURES = 60 };

static const unsigned char digest[SIGNING_DIGEST_OCTETS] = "a digest has thirty-two octets";

/* ---- keys made with libcrypto ---- */

static EVP_PKEY *make_rsa(size_t bits, size_t primes)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pair = NULL;

    CHECK_INT("rsa", EVP_PKEY_keygen_init(context), 1);
    CHECK_INT("rsa", EVP_PKEY_CTX_set_rsa_keygen_bits(context, (int)bits), 1);
    CHECK_INT("rsa", EVP_PKEY_CTX_set_rsa_keygen_primes(context, (int)primes), 1);
    CHECK_INT("rsa", EVP_PKEY_generate(context, &pair), 1);
    EVP_PKEY_CTX_free(context);
    return pair;
}

enum pem_kind { PKCS8, PKCS8_ENCRYPTED, TRADITIONAL, TRADITIONAL_ENCRYPTED, PUBLIC };

static void add_pem(struct strbuf *out, EVP_PKEY *pair, enum pem_kind kind)
{
    BIO *output = BIO_new(BIO_s_mem());
    char *text;
    long len;
    int is_written = 0;

    switch (kind) {
    case PKCS8:
        is_written = PEM_write_bio_PKCS8PrivateKey(output, pair, NULL, NULL, 0, NULL, NULL);
        break;
    case PKCS8_ENCRYPTED:
        is_written = PEM_write_bio_PKCS8PrivateKey(output, pair, EVP_aes_128_cbc(), "secret", 6,
                                                   NULL, NULL);
        break;
    case TRADITIONAL:
        is_written =
            PEM_write_bio_PrivateKey_traditional(output, pair, NULL, NULL, 0, NULL, NULL);
        break;
    case TRADITIONAL_ENCRYPTED:
        is_written = PEM_write_bio_PrivateKey_traditional(
            output, pair, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL);
        break;
    case PUBLIC:
        is_written = PEM_write_bio_PUBKEY(output, pair);
        break;
    }
    CHECK_INT("pem", is_written, 1);
    len = BIO_get_mem_data(output, &text);
    strbuf_add(out, bytes_of(text, (size_t)len));
    BIO_free(output);
}

/* One octet of the modulus is another. */
static void add_damaged_pem(struct strbuf *out)
{
    EVP_PKEY *pair = make_rsa(2048, 2);
    unsigned char *octets = NULL;
    int len = i2d_PrivateKey(pair, &octets);
    struct strbuf text;

    strbuf_init(&text, TEXT_LIMIT);
    octets[100] ^= 0x10;
    encoding_base64_add(&text, bytes_of(octets, (size_t)len));
    strbuf_add_text(out, "-----BEGIN RSA PRIVATE KEY-----\n");
    for (size_t at = 0; at < text.len; at += 64) {
        strbuf_add(out, bytes_between(strbuf_bytes(&text), at, at + 64));
        strbuf_add_char(out, '\n');
    }
    strbuf_add_text(out, "-----END RSA PRIVATE KEY-----\n");
    strbuf_clear(&text);
    OPENSSL_free(octets);
    EVP_PKEY_free(pair);
}

/* ---- reading ---- */

static void check_read(const char *name, struct strbuf *pem, const char *want_why)
{
    const char *why = NULL;
    struct signing_key *key = signing_key_read(strbuf_bytes(pem), &why);

    if (want_why == NULL) {
        if (key == NULL) {
            fail_msg("%s: refused: %s", name, why);
        }
    } else {
        CHECK_TRUE(name, key == NULL);
        if (strstr(why, want_why) == NULL) {
            fail_msg("%s: \"%s\" has no \"%s\"", name, why, want_why);
        }
    }
    CHECK_INT(name, ERR_peek_error(), 0);
    signing_key_free(&key);
    signing_key_free(&key);
    strbuf_reset(pem);
}

static void test_kinds(void **state)
{
    struct {
        const char *name;
        EVP_PKEY *pair;
        enum pem_kind kind;
        const char *why;
    } cases[] = {
        {"RSA 2048", make_rsa(2048, 2), PKCS8, NULL},
        {"RSA 2048, PKCS #1", make_rsa(2048, 2), TRADITIONAL, NULL},
        {"RSA 3072", make_rsa(3072, 3), PKCS8, NULL},
        {"Ed25519", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), PKCS8, NULL},
        {"RSA 2048, encrypted", make_rsa(2048, 2), PKCS8_ENCRYPTED, "encrypted"},
        {"RSA 2048, PKCS #1, encrypted", make_rsa(2048, 2), TRADITIONAL_ENCRYPTED, "encrypted"},
        {"public only", make_rsa(2048, 2), PUBLIC, "public"},
        {"RSA 1024", make_rsa(1024, 2), PKCS8, "2048"},
        {"RSA 2040", make_rsa(2040, 2), TRADITIONAL, "2048"},
        {"RSA 4104", make_rsa(4104, 4), PKCS8, "4096"},
        {"EC", EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), PKCS8, "neither"},
        {"EC, its own form", EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), TRADITIONAL,
         "neither"},
        {"Ed448", EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), PKCS8, "neither"},
    };
    struct strbuf pem;

    (void)state;
    strbuf_init(&pem, TEXT_LIMIT);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        add_pem(&pem, cases[i].pair, cases[i].kind);
        check_read(cases[i].name, &pem, cases[i].why);
        EVP_PKEY_free(cases[i].pair);
    }
    strbuf_clear(&pem);
}

static void test_bad_text(void **state)
{
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct strbuf pem;

    (void)state;
    strbuf_init(&pem, TEXT_LIMIT * 4);
    check_read("empty", &pem, "PEM");
    strbuf_add_text(&pem, "v=DKIM1; k=rsa; p=AAAA");
    check_read("garbage", &pem, "PEM");
    strbuf_add_text(&pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    check_read("no key inside", &pem, "PEM");
    strbuf_add_text(&pem,
                    "-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n");
    check_read("an empty sequence", &pem, "PEM");
    add_pem(&pem, pair, PKCS8);
    strbuf_truncate(&pem, pem.len / 2);
    check_read("half of one", &pem, "PEM");
    add_pem(&pem, pair, PKCS8);
    add_pem(&pem, pair, PKCS8);
    check_read("two of them", &pem, "behind");
    add_pem(&pem, pair, PKCS8);
    strbuf_add_text(&pem, "\nx\n");
    check_read("a word behind it", &pem, "behind");
    strbuf_add_text(&pem, "the key of mx.example.org\n\n");
    add_pem(&pem, pair, PKCS8);
    strbuf_add_text(&pem, "\r\n  \n");
    check_read("a word before it, blanks behind it", &pem, NULL);
    strbuf_add_text(&pem, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    check_read("a certificate", &pem, "certificate");
    add_damaged_pem(&pem);
    check_read("a damaged one", &pem, "damaged");
    while (pem.len < TEXT_LIMIT) {
        strbuf_add_text(&pem, "many words before the key\n");
    }
    add_pem(&pem, pair, PKCS8);
    check_read("too long", &pem, "PEM");
    strbuf_clear(&pem);
    EVP_PKEY_free(pair);
}

/* PKCS #8 itself may hold more than the key: octets behind the key's sequence. */
static void test_octets_behind(void **state)
{
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pair);
    unsigned char *der = NULL;
    int len = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    struct strbuf octets, pem;

    (void)state;
    strbuf_init(&octets, TEXT_LIMIT);
    strbuf_init(&pem, TEXT_LIMIT);
    for (size_t extra = 0; extra < 4; extra += 3) {
        strbuf_reset(&octets);
        strbuf_add(&octets, bytes_of(der, (size_t)len));
        strbuf_add(&octets, bytes_of("\0\0\0", extra));
        strbuf_add_text(&pem, "-----BEGIN PRIVATE KEY-----\n");
        encoding_base64_add(&pem, strbuf_bytes(&octets));
        strbuf_add_text(&pem, "\n-----END PRIVATE KEY-----\n");
        check_read("octets behind", &pem, extra == 0 ? NULL : "PEM");
    }
    strbuf_clear(&pem);
    strbuf_clear(&octets);
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(info);
    EVP_PKEY_free(pair);
}

/* ---- signing ---- */

static EVP_PKEY *pair_of(const struct signing_key *key)
{
    struct strbuf pem;
    EVP_PKEY *pair;
    BIO *input;

    strbuf_init(&pem, TEXT_LIMIT);
    signing_key_add_pem(key, &pem);
    CHECK_TRUE("PKCS #8",
               bytes_starts_with(strbuf_bytes(&pem), BYTES("-----BEGIN PRIVATE KEY-----\n")));
    input = BIO_new_mem_buf(pem.data, (int)pem.len);
    pair = PEM_read_bio_PrivateKey(input, NULL, NULL, NULL);
    CHECK_TRUE("pem", pair != NULL);
    BIO_free(input);
    strbuf_clear(&pem);
    return pair;
}

static bool verifies(EVP_PKEY *pair, enum signing_algorithm algorithm,
                     const unsigned char *signed_digest, struct bytes signature)
{
    bool is_rsa = algorithm == SIGNING_RSA_SHA256;
    EVP_PKEY_CTX *rsa = EVP_PKEY_CTX_new(pair, NULL);
    EVP_MD_CTX *other = EVP_MD_CTX_new();
    const unsigned char *octets = (const unsigned char *)signature.data;
    int result;

    if (is_rsa) {
        CHECK_INT("verify", EVP_PKEY_verify_init(rsa), 1);
        CHECK_INT("verify", EVP_PKEY_CTX_set_rsa_padding(rsa, RSA_PKCS1_PADDING), 1);
        CHECK_INT("verify", EVP_PKEY_CTX_set_signature_md(rsa, EVP_sha256()), 1);
        result =
            EVP_PKEY_verify(rsa, octets, signature.len, signed_digest, SIGNING_DIGEST_OCTETS);
    } else {
        CHECK_INT("verify", EVP_DigestVerifyInit(other, NULL, NULL, NULL, pair), 1);
        result = EVP_DigestVerify(other, octets, signature.len, signed_digest,
                                  SIGNING_DIGEST_OCTETS);
    }
    ERR_clear_error();
    EVP_PKEY_CTX_free(rsa);
    EVP_MD_CTX_free(other);
    return result == 1;
}

static const enum signing_algorithm algorithms[] = {SIGNING_RSA_SHA256, SIGNING_ED25519_SHA256};

static void test_sign(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        struct signing_key *key = signing_key_make(algorithms[i]);
        const char *name = signing_algorithm_text(algorithms[i]);
        unsigned char other[SIGNING_DIGEST_OCTETS] = {0};
        EVP_PKEY *pair = pair_of(key);
        struct strbuf text, octets;

        strbuf_init(&text, TEXT_LIMIT);
        strbuf_init(&octets, TEXT_LIMIT);
        CHECK_INT(name, signing_key_algorithm(key), algorithms[i]);
        CHECK_INT(name, EVP_PKEY_get_bits(pair), i == 0 ? SIGNING_RSA_BITS : 256);
        strbuf_add_text(&text, "b=");
        CHECK_TRUE(name, signing_key_sign(key, digest, &text));
        CHECK_TRUE(name, bytes_starts_with(strbuf_bytes(&text), BYTES("b=")));
        CHECK_TRUE(name, encoding_base64_decode(bytes_skip(strbuf_bytes(&text), 2), &octets));
        CHECK_INT(name, octets.len, i == 0 ? 256 : 64);
        CHECK_TRUE(name, verifies(pair, algorithms[i], digest, strbuf_bytes(&octets)));
        CHECK_TRUE(name, !verifies(pair, algorithms[i], other, strbuf_bytes(&octets)));
        strbuf_clear(&octets);
        strbuf_clear(&text);
        EVP_PKEY_free(pair);
        signing_key_free(&key);
    }
    CHECK_TEXT("text", signing_algorithm_text(SIGNING_RSA_SHA256), "rsa-sha256");
    CHECK_TEXT("text", signing_algorithm_text(SIGNING_ED25519_SHA256), "ed25519-sha256");
}

struct thread_job {
    const struct signing_key *key;
    EVP_PKEY *pair;
    unsigned char first; /* octet of the digests this thread signs */
    int good;
};

static void *sign_many(void *context)
{
    struct thread_job *job = context;
    unsigned char own[SIGNING_DIGEST_OCTETS] = {job->first};
    struct strbuf text, octets;

    strbuf_init(&text, TEXT_LIMIT);
    strbuf_init(&octets, TEXT_LIMIT);
    for (int i = 0; i < SIGNATURES; i++) {
        own[1] = (unsigned char)i;
        strbuf_reset(&text);
        strbuf_reset(&octets);
        job->good +=
            signing_key_sign(job->key, own, &text) &&
            encoding_base64_decode(strbuf_bytes(&text), &octets) &&
            verifies(job->pair, signing_key_algorithm(job->key), own, strbuf_bytes(&octets));
    }
    strbuf_clear(&octets);
    strbuf_clear(&text);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        struct signing_key *key = signing_key_make(algorithms[i]);
        EVP_PKEY *pair = pair_of(key);
        struct thread_job jobs[THREADS];
        pthread_t threads[THREADS];

        for (size_t k = 0; k < THREADS; k++) {
            jobs[k] = (struct thread_job){key, pair, (unsigned char)k, 0};
            CHECK_INT("thread", pthread_create(&threads[k], NULL, sign_many, &jobs[k]), 0);
        }
        for (size_t k = 0; k < THREADS; k++) {
            CHECK_INT("thread", pthread_join(threads[k], NULL), 0);
            CHECK_INT(signing_algorithm_text(algorithms[i]), jobs[k].good, SIGNATURES);
        }
        EVP_PKEY_free(pair);
        signing_key_free(&key);
    }
}

/* ---- the record ---- */

/* The record of RFC 8463 A.2; its private key is the one of RFC 8032 7.1, test 1. */
static const char rfc_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
static const char rfc_p[] = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

static void test_record(void **state)
{
    const char *why;
    struct signing_key *key = signing_key_read(bytes_from_text(rfc_key), &why);
    EVP_PKEY *pair, *published;
    struct strbuf record, der;
    const unsigned char *at;

    (void)state;
    strbuf_init(&record, TEXT_LIMIT);
    strbuf_init(&der, TEXT_LIMIT);
    CHECK_TRUE("rfc", key != NULL);
    signing_key_add_record(key, &record);
    CHECK_TEXT("ed25519", record.data,
               "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    signing_key_free(&key);
    strbuf_reset(&record);
    key = signing_key_make(SIGNING_RSA_SHA256);
    signing_key_add_record(key, &record);
    CHECK_TRUE("rsa", bytes_starts_with(strbuf_bytes(&record), BYTES("v=DKIM1; k=rsa; p=")));
    CHECK_TRUE("rsa", encoding_base64_decode(bytes_skip(strbuf_bytes(&record), 18), &der));
    at = (const unsigned char *)der.data;
    published = d2i_PUBKEY(NULL, &at, (long)der.len);
    pair = pair_of(key);
    CHECK_INT("rsa", EVP_PKEY_eq(published, pair), 1);
    CHECK_INT("rsa", signing_key_compare(key, strbuf_bytes(&record)), KEY_PUBLISHED);
    EVP_PKEY_free(published);
    EVP_PKEY_free(pair);
    signing_key_free(&key);
    strbuf_clear(&der);
    strbuf_clear(&record);
}

/* What stands in quotes, joined; the longest string in *longest. */
static void join_strings(struct bytes line, struct strbuf *out, size_t *longest)
{
    struct bytes text;

    *longest = 0;
    (void)bytes_cut(&line, '"');
    while (line.len > 0) {
        text = bytes_cut(&line, '"');
        strbuf_add(out, text);
        *longest = text.len > *longest ? text.len : *longest;
        (void)bytes_cut(&line, '"');
    }
}

static void test_zone_line(void **state)
{
    const char *why;
    struct signing_key *key = signing_key_read(bytes_from_text(rfc_key), &why);
    struct strbuf line, joined, record;
    size_t longest;

    (void)state;
    strbuf_init(&line, TEXT_LIMIT);
    strbuf_init(&joined, TEXT_LIMIT);
    strbuf_init(&record, TEXT_LIMIT);
    signing_key_add_zone_line(key, BYTES("s1"), BYTES("example.org"), &line);
    CHECK_TEXT("ed25519", line.data,
               "s1._domainkey.example.org. IN TXT ( \"v=DKIM1; k=ed25519; "
               "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\" )");
    strbuf_reset(&line);
    signing_key_add_zone_line(key, BYTES("s1"), BYTES(""), &line);
    CHECK_TRUE("relative",
               bytes_starts_with(strbuf_bytes(&line), BYTES("s1._domainkey IN TXT ( \"v=")));
    signing_key_free(&key);
    key = signing_key_make(SIGNING_RSA_SHA256);
    strbuf_reset(&line);
    signing_key_add_zone_line(key, BYTES("s1"), BYTES("example.org"), &line);
    signing_key_add_record(key, &record);
    join_strings(strbuf_bytes(&line), &joined, &longest);
    CHECK_BYTES("rsa", strbuf_bytes(&joined), strbuf_bytes(&record));
    CHECK_INT("longest string", longest, 255);
    signing_key_free(&key);
    strbuf_clear(&record);
    strbuf_clear(&joined);
    strbuf_clear(&line);
}

/* "%s" stands for the key. */
static const struct {
    const char *record;
    enum key_publication want;
} comparisons[] = {
    {"v=DKIM1; k=ed25519; p=%s", KEY_PUBLISHED},
    {" v = DKIM1 ;\tk = ed25519 ; p = %s ;", KEY_PUBLISHED},
    {"k=ed25519; p=%s", KEY_PUBLISHED},
    {"p=%s; k=ed25519; n=notes; t=y:s", KEY_PUBLISHED},
    {"v=DKIM1; k=ed25519; h=sha1:sha256; s=email; p=%s", KEY_PUBLISHED},
    {"v=DKIM1; k=ed25519; h= sha256 ; s= tlsrpt : * ; p=%s", KEY_PUBLISHED},
    {"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo", KEY_PUBLISHED},
    {"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQ HOg7hcvPapiMlrwIaaPcHURo=", KEY_PUBLISHED},
    {"v=DKIM1; k=ed25519; h=sha1; p=%s", KEY_RESTRICTED},
    {"v=DKIM1; k=ed25519; h=; p=%s", KEY_RESTRICTED},
    {"v=DKIM1; k=ed25519; s=tlsrpt; p=%s", KEY_RESTRICTED},
    {"v=DKIM1; k=rsa; p=%s", KEY_RESTRICTED},
    {"v=DKIM1; p=%s", KEY_RESTRICTED},
    {"v=DKIM1; k=ed25519; p=21qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", KEY_OTHER},
    {"v=DKIM1; k=rsa; p=MIGf", KEY_OTHER},
    {"v=DKIM1; k=ed25519; p=", KEY_REVOKED},
    {"v=DKIM1; p= ;", KEY_REVOKED},
    {"v=DKIM1; k=ed25519; p=not*base64", KEY_NOT_A_RECORD},
    {"v=DKIM1; k=ed25519", KEY_NOT_A_RECORD},
    {"v=DKIM2; k=ed25519; p=%s", KEY_NOT_A_RECORD},
    {"k=ed25519; v=DKIM1; p=%s", KEY_NOT_A_RECORD},
    {"v=DKIM1; k=ed25519; p=%s; p=%s", KEY_NOT_A_RECORD},
    {"v=spf1 -all", KEY_NOT_A_RECORD},
    {"", KEY_NOT_A_RECORD},
};

static void test_compare(void **state)
{
    const char *why;
    struct signing_key *key = signing_key_read(bytes_from_text(rfc_key), &why);
    struct strbuf record;

    (void)state;
    strbuf_init(&record, TEXT_LIMIT);
    for (size_t i = 0; i < COUNT_OF(comparisons); i++) {
        struct bytes rest = bytes_from_text(comparisons[i].record);
        strbuf_reset(&record);
        while (rest.len > 0) {
            size_t at = bytes_find_part(rest, BYTES("%s"));
            strbuf_add(&record, bytes_first(rest, at));
            strbuf_add_text(&record, at < rest.len ? rfc_p : "");
            rest = bytes_skip(rest, at + 2);
        }
        CHECK_INT(comparisons[i].record, signing_key_compare(key, strbuf_bytes(&record)),
                  comparisons[i].want);
    }
    strbuf_clear(&record);
    signing_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),         cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_octets_behind), cmocka_unit_test(test_sign),
        cmocka_unit_test(test_threads),       cmocka_unit_test(test_record),
        cmocka_unit_test(test_compare),       cmocka_unit_test(test_zone_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
