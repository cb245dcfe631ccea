#include "support/check.h"

#include "protocol/ip_address.h"

static void addresses_are_parsed_and_written(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* NULL: refused */
    } CASES[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"256.0.0.1", NULL},
        {"1.2.3", NULL},
        {"1.2.3.4.5", NULL},
        {"1.2.3.4.", NULL},
        {".1.2.3.4", NULL},
        {"1..3.4", NULL},
        {"01.2.3.4", NULL},
        {"1.2.3.0x4", NULL},
        {" 1.2.3.4", NULL},
        {"", NULL},
        {":", NULL},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {":::", NULL},
        {"1::2::3", NULL},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"1:2:3:4:5:6:7", NULL},
        {"1:2:3:4:5:6:7:", NULL},
        {":2:3:4:5:6:7:8", NULL},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"1:2:3:4::5:6:7:8", NULL},
        {"2001:DB8::0001", "2001:db8::1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"12345::", NULL},
        {"g::", NULL},
        {"fe80::1%eth0", NULL},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::FFFF:c000:201", "192.0.2.1"},
        {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"1:2:3:4:5:6:7:1.2.3.4", NULL},
        {"::1.2.3", NULL},
        {"1.2.3.4::", NULL},
        {"::1.2.3.4:5", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ip_address address;
        bool is_parsed = ip_address_parse(bytes_from_text(CASES[i].text), &address);

        CHECK_INT(CASES[i].text, is_parsed, CASES[i].want != NULL);
        if (is_parsed) {
            CHECK_TEXT(CASES[i].text, ip_address_text(&address).text, CASES[i].want);
        } else {
            CHECK_INT(CASES[i].text, address.family, IP_NONE);
        }
    }
}

static void endpoints_are_parsed_and_written(void **state)
{
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *want;
    } CASES[] = {
        {"192.0.2.1:25", 0, "192.0.2.1:25"},
        {"192.0.2.1", 25, "192.0.2.1:25"},
        {"192.0.2.1", 0, NULL},
        {"192.0.2.1:", 25, NULL},
        {"192.0.2.1:65536", 0, NULL},
        {"192.0.2.1:25x", 0, NULL},
        {"[2001:db8::1]:25", 0, "[2001:db8::1]:25"},
        {"[2001:db8::1]", 2525, "[2001:db8::1]:2525"},
        {"2001:db8::1", 25, NULL},
        {"[2001:db8::1", 25, NULL},
        {"[192.0.2.1]:25", 0, "192.0.2.1:25"},
        {"[192.0.2.1:25", 0, NULL},
        {"[::]:0", 25, "[::]:0"},
        {"[::1]25", 25, NULL},
        {"", 25, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ip_endpoint endpoint;
        bool is_parsed =
            ip_endpoint_parse(bytes_from_text(CASES[i].text), CASES[i].default_port, &endpoint);

        CHECK_INT(CASES[i].text, is_parsed, CASES[i].want != NULL);
        if (is_parsed) {
            CHECK_TEXT(CASES[i].text, ip_endpoint_text(&endpoint).text, CASES[i].want);
        }
    }
}

static void networks_hold_their_addresses(void **state)
{
    static const struct {
        const char *network;
        const char *address;
        int want; /* -1: the network is refused */
    } CASES[] = {
        {"192.0.2.0/24", "192.0.2.255", 1},
        {"192.0.2.0/24", "192.0.3.0", 0},
        {"192.0.2.1", "192.0.2.1", 1},
        {"192.0.2.1", "192.0.2.2", 0},
        {"0.0.0.0/0", "8.8.8.8", 1},
        {"0.0.0.0/0", "2001:db8::1", 0},
        {"192.0.2.1/24", "192.0.2.1", -1},
        {"192.0.2.0/33", "192.0.2.1", -1},
        {"192.0.2.0/", "192.0.2.1", -1},
        {"10.0.0.0/9", "10.127.0.1", 1},
        {"10.0.0.0/9", "10.128.0.1", 0},
        {"2001:db8::/32", "2001:db8:ffff::1", 1},
        {"2001:db8::/33", "2001:db8:8000::", 0},
        {"2001:db8::1/64", "2001:db8::1", -1},
        {"::/0", "2001:db8::1", 1},
        {"::ffff:192.0.2.0/120", "192.0.2.9", 1},
        {"::ffff:0:0/95", "192.0.2.9", -1},
        {"2001:db8::1", "2001:db8::1", 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ip_network network;
        struct ip_address address;

        assert_true(ip_address_parse(bytes_from_text(CASES[i].address), &address));
        if (!ip_network_parse(bytes_from_text(CASES[i].network), &network)) {
            CHECK_INT(CASES[i].network, -1, CASES[i].want);
            continue;
        }
        CHECK_INT(CASES[i].network, ip_network_contains(&network, &address), CASES[i].want);
    }
}

static void literals_have_their_tag(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } CASES[] = {
        {"192.0.2.1", "[192.0.2.1]"},
        {"IPv6:2001:db8::1", "[IPv6:2001:db8::1]"},
        {"ipv6:::1", "[IPv6:::1]"},
        {"2001:db8::1", NULL},
        {"IPv6:192.0.2.1", NULL},
        {"x400:foo", NULL},
        {"", NULL},
        {"IPv6:::ffff:192.0.2.1", "[192.0.2.1]"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ip_address address;
        bool is_parsed = ip_literal_parse(bytes_from_text(CASES[i].text), &address);

        CHECK_INT(CASES[i].text, is_parsed, CASES[i].want != NULL);
        if (is_parsed) {
            CHECK_TEXT(CASES[i].text, ip_literal_text(&address).text, CASES[i].want);
        }
    }
}

static void never_a_next_hop(void **state)
{
    static const struct {
        const char *address;
        bool want_never;
        bool want_loopback;
    } CASES[] = {
        {"127.0.0.1", true, true},
        {"127.255.0.1", true, true},
        {"0.0.0.0", true, false},
        {"0.1.2.3", true, false},
        {"169.254.1.1", true, false},
        {"224.0.0.1", true, false},
        {"239.255.255.255", true, false},
        {"255.255.255.255", true, false},
        {"192.0.2.1", false, false},
        {"10.0.0.1", false, false},
        {"128.0.0.1", false, false},
        {"::", true, false},
        {"::1", true, true},
        {"::127.0.0.1", true, false},
        {"fe80::1", true, false},
        {"febf::1", true, false},
        {"fec0::1", false, false},
        {"ff02::1", true, false},
        {"2001:db8::1", false, false},
        {"::ffff:127.0.0.1", true, true},
        {"64:ff9b::127.0.0.1", true, false},
        {"64:ff9b::192.0.2.1", false, false},
        {"2002:7f00:1::", true, false},
        {"2002:c000:201::1", false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ip_address address;

        assert_true(ip_address_parse(bytes_from_text(CASES[i].address), &address));
        CHECK_INT(CASES[i].address, ip_address_is_never_next_hop(&address),
                  CASES[i].want_never);
        CHECK_INT(CASES[i].address, ip_address_is_loopback(&address), CASES[i].want_loopback);
    }
}

static void longest_texts_fit(void **state)
{
    struct ip_endpoint endpoint = {.address = {.family = IP_V6}, .port = 65535};

    (void)state;
    memset(endpoint.address.octets, 0xff, 16);
    CHECK_TEXT("endpoint", ip_endpoint_text(&endpoint).text,
               "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    CHECK_TEXT("literal", ip_literal_text(&endpoint.address).text,
               "[IPv6:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_parsed_and_written),
        cmocka_unit_test(endpoints_are_parsed_and_written),
        cmocka_unit_test(networks_hold_their_addresses),
        cmocka_unit_test(literals_have_their_tag),
        cmocka_unit_test(never_a_next_hop),
        cmocka_unit_test(longest_texts_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
