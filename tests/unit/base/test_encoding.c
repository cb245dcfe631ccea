#include "support/check.h"

#include "base/encoding.h"

/* RFC 4648 §10 (without the padding for base32, which we do not write). */
static const struct {
    const char *octets, *base64, *base32, *hex;
} VECTORS[] = {
    {"", "", "", ""},
    {"f", "Zg==", "MY", "66"},
    {"fo", "Zm8=", "MZXQ", "666f"},
    {"foo", "Zm9v", "MZXW6", "666f6f"},
    {"foob", "Zm9vYg==", "MZXW6YQ", "666f6f62"},
    {"fooba", "Zm9vYmE=", "MZXW6YTB", "666f6f6261"},
    {"foobar", "Zm9vYmFy", "MZXW6YTBOI", "666f6f626172"},
};

static void check_both_ways(const char *octets, const char *text,
                            void (*add)(struct strbuf *, struct bytes),
                            bool (*decode)(struct bytes, struct strbuf *))
{
    struct strbuf out;

    strbuf_init(&out, 100);
    add(&out, bytes_from_text(octets));
    CHECK_TEXT(octets, strbuf_text(&out), text);
    strbuf_reset(&out);
    CHECK_TRUE(text, decode(bytes_from_text(text), &out));
    CHECK_TEXT(text, strbuf_text(&out), octets);
    strbuf_clear(&out);
}

static void vectors_of_the_standard(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(VECTORS); i++) {
        check_both_ways(VECTORS[i].octets, VECTORS[i].base64, encoding_base64_add,
                        encoding_base64_decode);
        check_both_ways(VECTORS[i].octets, VECTORS[i].base32, encoding_base32_add,
                        encoding_base32_decode);
        check_both_ways(VECTORS[i].octets, VECTORS[i].hex, encoding_hex_add,
                        encoding_hex_decode);
    }
}

static void every_octet_comes_back(void **state)
{
    char all[256];
    struct strbuf text, again;

    (void)state;
    for (int i = 0; i < 256; i++) {
        all[i] = (char)(i * 7);
    }
    strbuf_init(&text, 1000);
    strbuf_init(&again, 1000);
    for (size_t len = 0; len <= sizeof all; len++) {
        strbuf_reset(&text);
        strbuf_reset(&again);
        encoding_base64_add(&text, bytes_of(all, len));
        CHECK_TRUE("base64", encoding_base64_decode(strbuf_bytes(&text), &again));
        CHECK_BYTES("base64", strbuf_bytes(&again), bytes_of(all, len));
        strbuf_reset(&text);
        strbuf_reset(&again);
        encoding_base32_add(&text, bytes_of(all, len));
        CHECK_TRUE("base32", encoding_base32_decode(strbuf_bytes(&text), &again));
        CHECK_BYTES("base32", strbuf_bytes(&again), bytes_of(all, len));
    }
    strbuf_clear(&text);
    strbuf_clear(&again);
}

static void wrong_text_is_refused(void **state)
{
    static const struct {
        const char *text;
        bool base64, base32, hex; /* is it good? */
    } CASES[] = {
        {"Zg", false, false, false},     {"Zg=", false, false, false},
        {"Zh==", false, false, false},   {"Zg==Zg==", false, false, false},
        {"====", false, false, false},   {"Z===", false, false, false},
        {"Zm9v\n", false, false, false}, {"Zm-_", false, false, false},
        {"mzxq", true, true, false},     {"MZ", false, false, false},
        {"M", false, false, false},      {"MZXW6===", false, false, false},
        {"0", false, false, false},      {"aB", false, false, true},
        {"0g", false, false, false},     {"MY", false, true, false},
        {"M1", false, false, false},     {"zZz/", true, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct bytes text = bytes_from_text(CASES[i].text);
        struct strbuf out;

        strbuf_init(&out, 100);
        CHECK_INT(CASES[i].text, encoding_base64_decode(text, &out), CASES[i].base64);
        CHECK_INT(CASES[i].text, encoding_base32_decode(text, &out), CASES[i].base32);
        CHECK_INT(CASES[i].text, encoding_hex_decode(text, &out), CASES[i].hex);
        strbuf_clear(&out);
    }
}

static void a_full_buffer_is_no_success(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 2);
    CHECK_TRUE("base64", !encoding_base64_decode(BYTES("Zm9v"), &out));
    CHECK_TRUE("told", out.overflowed);
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_standard),
        cmocka_unit_test(every_octet_comes_back),
        cmocka_unit_test(wrong_text_is_refused),
        cmocka_unit_test(a_full_buffer_is_no_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
