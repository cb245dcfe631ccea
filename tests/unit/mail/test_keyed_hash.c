#include "support/check.h"

#include "base/encoding.h"
#include "mail/keyed_hash.h"

/* Vectors of RFC 4231 (SHA-256) and RFC 2202 (SHA-1), as hexadecimal digests. */
static const struct {
    const char *name;
    char key_octet;
    size_t key_len;
    const char *text;
    const char *sha256;
    const char *sha1;
} cases[] = {
    {"case 1", 0x0b, 20, "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
     "b617318655057264e28bc0b6fb378c8ef146be00"},
    {"key longer than a block", (char)0xaa, 131,
     "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", NULL},
    {"key longer than a block, SHA-1", (char)0xaa, 80,
     "Test Using Larger Than Block-Size Key - Hash Key First", NULL,
     "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
};

static void encode(const char *hex, void (*add)(struct strbuf *, struct bytes),
                   struct strbuf *want)
{
    struct strbuf octets;

    strbuf_init(&octets, 100);
    strbuf_reset(want);
    CHECK_TRUE(hex, encoding_hex_decode(bytes_from_text(hex), &octets));
    add(want, strbuf_bytes(&octets));
    strbuf_clear(&octets);
}

static void test_vectors(void **state)
{
    struct strbuf want;

    (void)state;
    strbuf_init(&want, 200);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char key[200], got[KEYED_HASH_DIGITS];
        struct bytes secret = bytes_of(key, cases[i].key_len);
        struct bytes text = bytes_from_text(cases[i].text);

        memset(key, cases[i].key_octet, sizeof key);
        if (cases[i].sha256 != NULL) {
            encode(cases[i].sha256, encoding_base32_add, &want);
            keyed_hash_sha256_base32(secret, text, got, sizeof got);
            CHECK_BYTES(cases[i].name, bytes_of(got, sizeof got),
                        bytes_first(strbuf_bytes(&want), sizeof got));
        }
        if (cases[i].sha1 != NULL) {
            encode(cases[i].sha1, encoding_base64_add, &want);
            keyed_hash_sha1_base64(secret, text, got, sizeof got);
            CHECK_BYTES(cases[i].name, bytes_of(got, sizeof got),
                        bytes_first(strbuf_bytes(&want), sizeof got));
        }
    }
    strbuf_clear(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
