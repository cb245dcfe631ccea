#include "support/check.h"

#include "base/siphash.h"

/* The vectors of the authors' reference code (vectors.h, SipHash-2-4 with 64 bits): the key is
 * 00 01 ... 0f, the input 00 01 02 ... of as many octets as the index says. */
static const unsigned char WANT[][8] = {
    {0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72},
    {0xfd, 0x67, 0xdc, 0x93, 0xc5, 0x39, 0xf8, 0x74},
    {0x5a, 0x4f, 0xa9, 0xd9, 0x09, 0x80, 0x6c, 0x0d},
    {0x2d, 0x7e, 0xfb, 0xd7, 0x96, 0x66, 0x67, 0x85},
    {0xb7, 0x87, 0x71, 0x27, 0xe0, 0x94, 0x27, 0xcf},
    {0x8d, 0xa6, 0x99, 0xcd, 0x64, 0x55, 0x76, 0x18},
    {0xce, 0xe3, 0xfe, 0x58, 0x6e, 0x46, 0xc9, 0xcb},
    {0x37, 0xd1, 0x01, 0x8b, 0xf5, 0x00, 0x02, 0xab},
    {0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93},
    {0xb0, 0xe4, 0xa9, 0x0b, 0xdf, 0x82, 0x00, 0x9e},
    {0xf3, 0xb9, 0xdd, 0x94, 0xc5, 0xbb, 0x5d, 0x7a},
    {0xa7, 0xad, 0x6b, 0x22, 0x46, 0x2f, 0xb3, 0xf4},
    {0xfb, 0xe5, 0x0e, 0x86, 0xbc, 0x8f, 0x1e, 0x75},
    {0x90, 0x3d, 0x84, 0xc0, 0x27, 0x56, 0xea, 0x14},
    {0xee, 0xf2, 0x7a, 0x8e, 0x90, 0xca, 0x23, 0xf7},
    {0xe5, 0x45, 0xbe, 0x49, 0x61, 0xca, 0x29, 0xa1},
};
static const struct siphash_key KEY = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

static void vectors_of_the_authors(void **state)
{
    unsigned char input[16];

    (void)state;
    for (size_t len = 0; len < COUNT_OF(WANT); len++) {
        uint64_t want = 0;

        for (int i = 7; i >= 0; i--) {
            want = want << 8 | WANT[len][i];
        }
        CHECK_TRUE("vector", siphash(&KEY, bytes_of(input, len)) == want);
        input[len] = (unsigned char)len;
    }
}

static void case_is_folded_on_request(void **state)
{
    (void)state;
    CHECK_TRUE("same", siphash_nocase(&KEY, BYTES("Mail.EXAMPLE.org")) ==
                           siphash_nocase(&KEY, BYTES("mail.example.ORG")));
    CHECK_TRUE("lower case is the plain hash",
               siphash_nocase(&KEY, BYTES("mail.EXAMPLE.org")) ==
                   siphash(&KEY, BYTES("mail.example.org")));
    CHECK_TRUE("case counts otherwise",
               siphash(&KEY, BYTES("Mail")) != siphash(&KEY, BYTES("mail")));
    CHECK_TRUE("letters only",
               siphash_nocase(&KEY, BYTES("[")) != siphash_nocase(&KEY, BYTES("{")));
}

/* Eight octets are folded at once: each at each place, and none changes its neighbours. */
static void every_octet_is_folded_by_itself(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 11; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned value = 0; value < 256; value++) {
                char input[11], want[11];
                memset(input, value % 2 == 0 ? 'Z' : '@', sizeof input);
                memset(want, value % 2 == 0 ? 'z' : '@', sizeof want);
                input[at] = want[at] = (char)value;
                if (value >= 'A' && value <= 'Z') {
                    want[at] = (char)(value + 'a' - 'A');
                }
                CHECK_TRUE("folded", siphash_nocase(&KEY, bytes_of(input, len)) ==
                                         siphash(&KEY, bytes_of(want, len)));
            }
        }
    }
}

static void the_key_counts(void **state)
{
    struct siphash_key other = KEY;

    (void)state;
    other.words[1] ^= 1;
    CHECK_TRUE("key", siphash(&KEY, BYTES("a")) != siphash(&other, BYTES("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_authors),
        cmocka_unit_test(case_is_folded_on_request),
        cmocka_unit_test(every_octet_is_folded_by_itself),
        cmocka_unit_test(the_key_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
