#include "support/check.h"

#include "base/crc32c.h"

static void vectors_of_the_standard(void **state)
{
    char octets[32];

    (void)state;
    CHECK_INT("nothing", crc32c(0, BYTES("")), 0);
    CHECK_INT("123456789", crc32c(0, BYTES("123456789")), 0xe3069283);
    /* RFC 3720 §B.4 */
    memset(octets, 0, sizeof octets);
    CHECK_INT("zeros", crc32c(0, bytes_of(octets, 32)), 0x8a9136aa);
    memset(octets, 0xff, sizeof octets);
    CHECK_INT("ones", crc32c(0, bytes_of(octets, 32)), 0x62a8ab43);
    for (int i = 0; i < 32; i++) {
        octets[i] = (char)i;
    }
    CHECK_INT("rising", crc32c(0, bytes_of(octets, 32)), 0x46dd794e);
}

static void parts_make_the_whole(void **state)
{
    struct bytes whole = BYTES("123456789");

    (void)state;
    for (size_t cut = 0; cut <= whole.len; cut++) {
        uint32_t before = crc32c(0, bytes_first(whole, cut));
        CHECK_INT("cut", crc32c(before, bytes_skip(whole, cut)), 0xe3069283);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_standard),
        cmocka_unit_test(parts_make_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
