#include "support/check.h"

#include "auth/dkim_key_cache.h"
#include "base/strbuf.h"

#include <openssl/err.h>
#include <openssl/x509.h>

/* That libopendkim really calls what is tested here: test_dkim_verify, test_keys_are_kept. */

static int set_up(void **state)
{
    *state = dkim_key_cache_new();
    return 0;
}

static int tear_down(void **state)
{
    struct dkim_key_cache *cache = *state;

    dkim_key_cache_leave();
    dkim_key_cache_free(&cache);
    CHECK_TRUE("gone", cache == NULL);
    dkim_key_cache_free(&cache);
    return 0;
}

/* An elliptic curve key: quickly made, as many as wanted. */
static void make_der(struct strbuf *der)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    unsigned char *octets = NULL;
    int len = i2d_PUBKEY(key, &octets);

    CHECK_TRUE("made", len > 0);
    strbuf_init(der, 2048);
    strbuf_add(der, bytes_of((char *)octets, (size_t)len));
    OPENSSL_free(octets);
    EVP_PKEY_free(key);
}

static EVP_PKEY *parse(struct bytes der, int *left)
{
    BIO *input = BIO_new_mem_buf(der.data, (int)der.len);
    EVP_PKEY *key = d2i_PUBKEY_bio(input, NULL);

    *left = (int)BIO_pending(input);
    BIO_free(input);
    return key;
}

static void check_counts(const char *name, struct dkim_key_cache *cache, size_t keys,
                         size_t hits, size_t misses)
{
    struct dkim_key_cache_counts counts = dkim_key_cache_counts(cache);

    CHECK_INT(name, counts.keys, keys);
    CHECK_INT(name, counts.hits, hits);
    CHECK_INT(name, counts.misses, misses);
}

static void test_found_again(void **state)
{
    struct dkim_key_cache *cache = *state;
    struct strbuf der;
    EVP_PKEY *first, *second, *other;
    int left;

    make_der(&der);
    dkim_key_cache_enter(cache);
    first = parse(strbuf_bytes(&der), &left);
    check_counts("parsed", cache, 1, 0, 1);
    second = parse(strbuf_bytes(&der), &left);
    check_counts("found", cache, 1, 1, 1);
    CHECK_TRUE("the same", first != NULL && first == second);
    CHECK_INT("consumed", left, 0);
    dkim_key_cache_leave();
    other = parse(strbuf_bytes(&der), &left);
    CHECK_TRUE("outside: one of its own", other != NULL && other != first);
    CHECK_INT("outside: equal", EVP_PKEY_eq(other, first), 1);
    check_counts("outside: not counted", cache, 1, 1, 1);
    EVP_PKEY_free(first);
    EVP_PKEY_free(second);
    EVP_PKEY_free(other);
    strbuf_clear(&der);
}

/* A key is the caller's own reference, whatever becomes of the cache. */
static void test_outlives_the_cache(void **state)
{
    struct dkim_key_cache *cache = dkim_key_cache_new();
    struct strbuf der;
    EVP_PKEY *key;
    int left;

    (void)state;
    make_der(&der);
    dkim_key_cache_enter(cache);
    EVP_PKEY_free(parse(strbuf_bytes(&der), &left));
    key = parse(strbuf_bytes(&der), &left);
    dkim_key_cache_leave();
    dkim_key_cache_free(&cache);
    CHECK_INT("bits", EVP_PKEY_get_bits(key), 256);
    EVP_PKEY_free(key);
    strbuf_clear(&der);
}

/* libcrypto's contract for the second argument: what was there is given back, the new one set. */
static void test_target(void **state)
{
    struct dkim_key_cache *cache = *state;
    struct strbuf der;
    EVP_PKEY *target = NULL;

    make_der(&der);
    dkim_key_cache_enter(cache);
    for (int i = 0; i < 3; i++) {
        BIO *input = BIO_new_mem_buf(der.data, (int)der.len);
        EVP_PKEY *key = d2i_PUBKEY_bio(input, &target);

        CHECK_TRUE("set", key != NULL && key == target);
        BIO_free(input);
    }
    check_counts("found twice", cache, 1, 2, 1);
    EVP_PKEY_free(target);
    strbuf_clear(&der);
}

/* What does not parse is refused each time, as outside: no trace of it stays. */
static void test_not_a_key(void **state)
{
    static const struct {
        const char *name;
        struct bytes der;
    } cases[] = {
        {"empty", BYTES("")},
        {"rubbish", BYTES("rubbish")},
        {"a sequence of nothing", BYTES("\x30\x00")},
        {"cut", BYTES("\x30\x59\x30\x13")},
    };
    struct dkim_key_cache *cache = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int left_inside, left_outside;
        unsigned long error;

        ERR_clear_error();
        CHECK_TRUE(cases[i].name, parse(cases[i].der, &left_outside) == NULL);
        error = ERR_get_error();
        for (int turn = 0; turn < 2; turn++) {
            ERR_clear_error();
            dkim_key_cache_enter(cache);
            CHECK_TRUE(cases[i].name, parse(cases[i].der, &left_inside) == NULL);
            dkim_key_cache_leave();
            CHECK_INT(cases[i].name, left_inside, left_outside);
            CHECK_INT(cases[i].name, ERR_get_error(), error);
        }
        CHECK_INT(cases[i].name, dkim_key_cache_counts(cache).keys, 0);
        CHECK_INT(cases[i].name, dkim_key_cache_counts(cache).hits, 0);
    }
    ERR_clear_error();
}

/* What stands behind a key is left in the BIO, and such a key is not kept. */
static void test_something_behind(void **state)
{
    struct dkim_key_cache *cache = *state;
    struct strbuf der;

    make_der(&der);
    strbuf_add_text(&der, "behind");
    dkim_key_cache_enter(cache);
    for (int i = 0; i < 2; i++) {
        int left;
        EVP_PKEY *key = parse(strbuf_bytes(&der), &left);

        CHECK_TRUE("parsed", key != NULL);
        CHECK_INT("left", left, 6);
        EVP_PKEY_free(key);
    }
    check_counts("not kept", cache, 0, 0, 2);
    strbuf_clear(&der);
}

static void test_limit(void **state)
{
    enum { MORE = 3, ALL = DKIM_KEY_CACHE_LIMIT + MORE };
    static struct strbuf ders[ALL];
    struct dkim_key_cache *cache = *state;
    int left;

    dkim_key_cache_enter(cache);
    for (size_t i = 0; i < ALL; i++) {
        make_der(&ders[i]);
        EVP_PKEY_free(parse(strbuf_bytes(&ders[i]), &left));
        EVP_PKEY_free(parse(strbuf_bytes(&ders[0]), &left)); /* always in use */
    }
    check_counts("full", cache, DKIM_KEY_CACHE_LIMIT, ALL, ALL);
    EVP_PKEY_free(parse(strbuf_bytes(&ders[MORE]), &left));
    check_counts("gone: the longest unused", cache, DKIM_KEY_CACHE_LIMIT, ALL, ALL + 1);
    EVP_PKEY_free(parse(strbuf_bytes(&ders[MORE + 2]), &left));
    check_counts("kept: used later", cache, DKIM_KEY_CACHE_LIMIT, ALL + 1, ALL + 1);
    for (size_t i = 0; i < ALL; i++) {
        strbuf_clear(&ders[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outlives_the_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_target, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_something_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
