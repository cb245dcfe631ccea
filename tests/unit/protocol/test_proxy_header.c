#include "support/check.h"

#include "protocol/proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4_BODY "\xc0\x00\x02\x01\xc6\x33\x64\x02\x1f\x90\x00\x19"
#define V6_CLIENT "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_SERVER "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x09"
#define PORTS "\x1f\x90\x00\x19"

/* clang-format off */
static const struct {
    const char *name;
    struct bytes input;
    enum proxy_header_result want;
    const char *client, *server; /* "" when nobody is named */
} CASES[] = {
    {"v1, IPv4", BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 8080 25\r\n"), PROXY_HEADER_READY, "192.0.2.1:8080", "198.51.100.2:25"},
    {"v1, IPv6", BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 8080 25\r\n"), PROXY_HEADER_READY, "[2001:db8::1]:8080", "[2001:db8::2]:25"},
    {"v1, IPv4 in IPv6", BYTES("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 25\r\n"), PROXY_HEADER_READY, "192.0.2.1:1", "[2001:db8::2]:25"},
    {"v1, all of it long", BYTES("PROXY TCP6 ffff:f000:ffff:ffff:ffff:ffff:ffff:ffff ffff:f000:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     PROXY_HEADER_READY, "[ffff:f000:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:f000:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {"v1, a health check", BYTES("PROXY UNKNOWN\r\n"), PROXY_HEADER_READY, "", ""},
    {"v1, unknown with more", BYTES("PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_HEADER_READY, "", ""},
    {"v1, family and address differ", BYTES("PROXY TCP4 2001:db8::1 2001:db8::2 8080 25\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, family and address differ", BYTES("PROXY TCP6 192.0.2.1 192.0.2.2 8080 25\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, mixed", BYTES("PROXY TCP4 192.0.2.1 2001:db8::2 8080 25\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, datagrams", BYTES("PROXY UDP4 192.0.2.1 192.0.2.2 8080 25\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, small letters", BYTES("proxy TCP4 192.0.2.1 192.0.2.2 8080 25\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, port too large", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, port with zero", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 08 25\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, no port", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 8080\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, a word more", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 8080 25 7\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, two blanks", BYTES("PROXY TCP4  192.0.2.1 192.0.2.2 8080 25\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, bare CR", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 8080 25\rEHLO"), PROXY_HEADER_MALFORMED, "", ""},
    {"v1, bare LF", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 8080 25\n"), PROXY_HEADER_NEED_MORE, "", ""},
    {"v1, endless", BYTES("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"),
     PROXY_HEADER_TOO_LONG, "", ""},
    {"v2, IPv4", BYTES(SIGNATURE "\x21\x11\x00\x0c" V4_BODY), PROXY_HEADER_READY, "192.0.2.1:8080", "198.51.100.2:25"},
    {"v2, IPv6", BYTES(SIGNATURE "\x21\x21\x00\x24" V6_CLIENT V6_SERVER PORTS), PROXY_HEADER_READY, "[2001:db8::1]:8080", "[2001:db8::2]:25"},
    {"v2, IPv4 in IPv6", BYTES(SIGNATURE "\x21\x21\x00\x24" MAPPED V6_SERVER PORTS), PROXY_HEADER_READY, "192.0.2.9:8080", "[2001:db8::2]:25"},
    {"v2, extensions", BYTES(SIGNATURE "\x21\x11\x00\x13" V4_BODY "\x04\x00\x04" "abcd"), PROXY_HEADER_READY, "192.0.2.1:8080", "198.51.100.2:25"},
    {"v2, a health check", BYTES(SIGNATURE "\x20\x00\x00\x00"), PROXY_HEADER_READY, "", ""},
    {"v2, local with addresses", BYTES(SIGNATURE "\x20\x11\x00\x0c" V4_BODY), PROXY_HEADER_READY, "", ""},
    {"v2, local of any family", BYTES(SIGNATURE "\x20\x77\x00\x01" "x"), PROXY_HEADER_READY, "", ""},
    {"v2, unspecified", BYTES(SIGNATURE "\x21\x00\x00\x02" "xy"), PROXY_HEADER_READY, "", ""},
    {"v2, too short for IPv4", BYTES(SIGNATURE "\x21\x11\x00\x0b" V4_BODY), PROXY_HEADER_MALFORMED, "", ""},
    {"v2, too short for IPv6", BYTES(SIGNATURE "\x21\x21\x00\x23" V6_CLIENT V6_SERVER PORTS), PROXY_HEADER_MALFORMED, "", ""},
    {"v2, datagrams", BYTES(SIGNATURE "\x21\x12\x00\x0c" V4_BODY), PROXY_HEADER_MALFORMED, "", ""},
    {"v2, Unix socket", BYTES(SIGNATURE "\x21\x31\x00\x00"), PROXY_HEADER_MALFORMED, "", ""},
    {"v2, other version", BYTES(SIGNATURE "\x11"), PROXY_HEADER_MALFORMED, "", ""},
    {"v2, other command", BYTES(SIGNATURE "\x22"), PROXY_HEADER_MALFORMED, "", ""},
    {"v2, 520 octets may come", BYTES(SIGNATURE "\x21\x11\x02\x08" V4_BODY), PROXY_HEADER_NEED_MORE, "", ""},
    {"v2, 521 may not", BYTES(SIGNATURE "\x21\x11\x02\x09"), PROXY_HEADER_TOO_LONG, "", ""},
    {"no header", BYTES("EHLO client.test\r\n"), PROXY_HEADER_MALFORMED, "", ""},
    {"nearly one", BYTES("PROXX"), PROXY_HEADER_MALFORMED, "", ""},
    {"nearly the other", BYTES("\r\n\r\n\0\r\nQUIX"), PROXY_HEADER_MALFORMED, "", ""},
    {"nothing", BYTES(""), PROXY_HEADER_NEED_MORE, "", ""},
};
/* clang-format on */

static const char *text_of(const struct ip_endpoint *endpoint, struct ip_text *text)
{
    text->text[0] = '\0';
    if (endpoint->address.family != IP_NONE) {
        *text = ip_endpoint_text(endpoint);
    }
    return text->text;
}

static void headers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct proxy_header header;
        struct ip_text text;
        size_t used = 0;

        CHECK_INT(CASES[i].name, proxy_header_parse(CASES[i].input, &header, &used),
                  CASES[i].want);
        CHECK_TEXT(CASES[i].name, text_of(&header.client, &text), CASES[i].client);
        CHECK_TEXT(CASES[i].name, text_of(&header.server, &text), CASES[i].server);
        if (CASES[i].want == PROXY_HEADER_READY) {
            CHECK_INT(CASES[i].name, used, CASES[i].input.len);
        }
    }
}

/* Octet by octet the answer is the same one, only later; what follows does not matter. */
static void cuts_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        enum proxy_header_result result = PROXY_HEADER_NEED_MORE;
        struct proxy_header header;
        char longer[1024];
        size_t used = 0, at = 0;

        while (at <= CASES[i].input.len && result == PROXY_HEADER_NEED_MORE) {
            result = proxy_header_parse(bytes_first(CASES[i].input, at++), &header, &used);
        }
        CHECK_INT(CASES[i].name, result, CASES[i].want);
        if (result == PROXY_HEADER_READY) {
            CHECK_INT(CASES[i].name, at - 1, CASES[i].input.len);
            memcpy(longer, CASES[i].input.data, CASES[i].input.len);
            memcpy(longer + CASES[i].input.len, "EHLO", 4);
            CHECK_INT(
                CASES[i].name,
                proxy_header_parse(bytes_of(longer, CASES[i].input.len + 4), &header, &used),
                PROXY_HEADER_READY);
            CHECK_INT(CASES[i].name, used, CASES[i].input.len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(cuts_do_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
