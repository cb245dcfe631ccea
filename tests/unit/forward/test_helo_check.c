#include "support/check.h"

#include "forward/helo_check.h"

static const struct bytes own_names[] = {{"mx.own.test", 11}, {"id.own.test", 11}};

static enum helo_flaw ask(const char *helo, const char *client)
{
    struct ip_address own[2];
    struct helo_facts facts = {.helo = bytes_from_text(helo),
                               .own_names = own_names,
                               .own_name_count = COUNT_OF(own_names),
                               .own_addresses = own,
                               .own_address_count = 2};

    CHECK_TRUE(client, ip_address_parse(bytes_from_text(client), &facts.client));
    CHECK_TRUE(client, ip_address_parse(BYTES("198.51.100.25"), &own[0]));
    CHECK_TRUE(client, ip_address_parse(BYTES("2001:db8::25"), &own[1]));
    return helo_check(&facts);
}

static void test_flaws(void **state)
{
    static const struct {
        const char *name, *helo, *client;
        enum helo_flaw want;
    } cases[] = {
        {"a name", "mail.example.org", "192.0.2.1", HELO_FINE},
        {"digits in front", "4mail.example.org", "192.0.2.1", HELO_FINE},
        {"dot at the end", "mail.example.org.", "192.0.2.1", HELO_FINE},
        {"underscore", "my_mail.example.org", "192.0.2.1", HELO_FINE},
        {"U-label", "m\xc3\xa4il.example.org", "192.0.2.1", HELO_FINE},
        {"its own literal", "[192.0.2.1]", "192.0.2.1", HELO_FINE},
        {"its own literal, IPv6", "[IPv6:2001:DB8::1]", "2001:db8::1", HELO_FINE},
        {"the tag left out", "[2001:db8::1]", "2001:db8::1", HELO_FINE},
        {"mapped IPv4 in a literal", "[IPv6:::ffff:192.0.2.1]", "192.0.2.1", HELO_FINE},
        {"a domain that only ends as ours", "x.mx.own.test", "192.0.2.1", HELO_FINE},
        {"we ourselves", "mx.own.test", "198.51.100.25", HELO_FINE},
        {"we ourselves, literal", "[198.51.100.25]", "198.51.100.25", HELO_FINE},
        {"we ourselves, bare", "198.51.100.25", "198.51.100.25", HELO_BARE_ADDRESS},
        {"nothing", "", "192.0.2.1", HELO_MALFORMED},
        {"a blank in it", "a b.example", "192.0.2.1", HELO_MALFORMED},
        {"empty label", "a..example", "192.0.2.1", HELO_MALFORMED},
        {"only a dot", ".", "192.0.2.1", HELO_MALFORMED},
        {"markup", "<script>.example", "192.0.2.1", HELO_MALFORMED},
        {"no address in brackets", "[mail.example.org]", "192.0.2.1", HELO_MALFORMED},
        {"brackets alone", "[]", "192.0.2.1", HELO_MALFORMED},
        {"never closed", "[192.0.2.1", "192.0.2.1", HELO_MALFORMED},
        {"bare address", "192.0.2.1", "192.0.2.1", HELO_BARE_ADDRESS},
        {"bare address of another", "192.0.2.9", "192.0.2.1", HELO_BARE_ADDRESS},
        {"bare IPv6", "2001:db8::1", "192.0.2.1", HELO_BARE_ADDRESS},
        {"our name", "MX.own.TEST", "192.0.2.1", HELO_OUR_NAME},
        {"our name with a dot", "mx.own.test.", "192.0.2.1", HELO_OUR_NAME},
        {"our other name", "id.own.test", "192.0.2.1", HELO_OUR_NAME},
        {"our address", "[198.51.100.25]", "192.0.2.1", HELO_OUR_ADDRESS},
        {"our address, bare", "198.51.100.25", "192.0.2.1", HELO_OUR_ADDRESS},
        {"our IPv6 address", "[IPv6:2001:db8::25]", "192.0.2.1", HELO_OUR_ADDRESS},
        {"one label", "mail", "192.0.2.1", HELO_SINGLE_LABEL},
        {"localhost", "localhost", "192.0.2.1", HELO_SINGLE_LABEL},
        {"local", "exchange.corp.LOCAL", "192.0.2.1", HELO_LOCAL_NAME},
        {"localdomain", "localhost.localdomain", "192.0.2.1", HELO_LOCAL_NAME},
        {"behind NAT", "[10.0.0.5]", "192.0.2.1", HELO_OTHER_ADDRESS},
        {"behind NAT64", "[IPv6:fd00::5]", "192.0.2.1", HELO_OTHER_ADDRESS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_TEXT(cases[i].name, helo_flaw_text(ask(cases[i].helo, cases[i].client)),
                   helo_flaw_text(cases[i].want));
    }
}

/* What servers behind NAT and badly set up ones say is never of the grade that is refused. */
static void test_grades(void **state)
{
    (void)state;
    for (int flaw = HELO_FINE; flaw <= HELO_OTHER_ADDRESS; flaw++) {
        bool is_local = flaw >= HELO_SINGLE_LABEL;

        CHECK_INT(helo_flaw_text((enum helo_flaw)flaw),
                  helo_flaw_is_local((enum helo_flaw)flaw), is_local);
    }
}

static void test_names(void **state)
{
    (void)state;
    CHECK_BYTES("a name", helo_name(BYTES("mail.example.org.")), BYTES("mail.example.org"));
    CHECK_BYTES("a literal", helo_name(BYTES("[192.0.2.1]")), BYTES(""));
    CHECK_BYTES("an address", helo_name(BYTES("192.0.2.1")), BYTES(""));
    CHECK_BYTES("nothing", helo_name(BYTES("")), BYTES(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flaws),
        cmocka_unit_test(test_grades),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
