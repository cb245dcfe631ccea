#include "support/check.h"

#include "forward/delivery_route.h"

static const struct delivery_route routes[] = {
    {.domain = {"a.org", 5}, .destination = {"smart.example:26", 16}, .hop_count = 1},
    {.domain = {"*", 1}, .destination = {"b.org", 5}, .hop_count = 1},
    {.domain = {"direct.org", 10}, .use_mx = true},
    {.domain = {"c.org", 5}, .destination = {"b.org", 5}, .hop_count = 1},
};
static const struct delivery_route_table with_default = {routes, COUNT_OF(routes)};
static const struct delivery_route_table without_default = {routes, 1};

static void test_find(void **state)
{
    static const struct {
        const char *name;
        const struct delivery_route_table *table;
        struct bytes domain;
        const struct delivery_route *want;
        struct bytes want_key;
    } cases[] = {
        {"exact", &with_default, BYTES("a.org"), &routes[0], BYTES("route:smart.example:26")},
        {"either case", &with_default, BYTES("A.Org"), &routes[0],
         BYTES("route:smart.example:26")},
        {"trailing dot", &with_default, BYTES("a.org."), &routes[0],
         BYTES("route:smart.example:26")},
        {"sub-domain is another domain", &without_default, BYTES("x.a.org"), NULL,
         BYTES("x.a.org")},
        {"default", &with_default, BYTES("other.org"), &routes[1], BYTES("route:b.org")},
        {"exact behind the default", &with_default, BYTES("c.org"), &routes[3],
         BYTES("route:b.org")},
        {"mx in spite of the default", &with_default, BYTES("Direct.org"), &routes[2],
         BYTES("direct.org")},
        {"none", &without_default, BYTES("B.ORG."), NULL, BYTES("b.org")},
        {"in UTF-8, by the name DNS knows", &without_default,
         BYTES("B\xc3\x9c"
               "cher.org"),
         NULL, BYTES("xn--bcher-kva.org")},
        {"no name at all", &without_default, BYTES("\xe2\x88\x80.org"), NULL,
         BYTES("\xe2\x88\x80.org")},
        {"literal", &without_default, BYTES("[192.0.2.1]"), NULL, BYTES("[192.0.2.1]")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new();

        CHECK_TRUE(cases[i].name,
                   delivery_route_find(cases[i].table, cases[i].domain) == cases[i].want);
        CHECK_BYTES(cases[i].name,
                    delivery_route_destination(cases[i].table, cases[i].domain, arena),
                    cases[i].want_key);
        arena_free(&arena);
    }
}

static void test_hop_read(void **state)
{
    static const struct {
        struct bytes text;
        enum route_hop_result want;
        struct bytes host;
        const char *address;
        unsigned port;
    } cases[] = {
        {BYTES("mail.example.net"), ROUTE_HOP_OK, BYTES("mail.example.net"), NULL, 0},
        {BYTES("mail.example.net:2525"), ROUTE_HOP_OK, BYTES("mail.example.net"), NULL, 2525},
        {BYTES("192.0.2.1"), ROUTE_HOP_OK, BYTES(""), "192.0.2.1", 0},
        {BYTES("192.0.2.1:26"), ROUTE_HOP_OK, BYTES(""), "192.0.2.1", 26},
        {BYTES("[192.0.2.1]:26"), ROUTE_HOP_OK, BYTES(""), "192.0.2.1", 26},
        {BYTES("[192.0.2.1]"), ROUTE_HOP_OK, BYTES(""), "192.0.2.1", 0},
        {BYTES("2001:db8::1"), ROUTE_HOP_OK, BYTES(""), "2001:db8::1", 0},
        {BYTES("[IPv6:2001:db8::1]"), ROUTE_HOP_OK, BYTES(""), "2001:db8::1", 0},
        {BYTES("[2001:db8::1]:25"), ROUTE_HOP_OK, BYTES(""), "2001:db8::1", 25},
        {BYTES("mail.example.net:0"), ROUTE_HOP_BAD_PORT, BYTES(""), NULL, 0},
        {BYTES("mail.example.net:65536"), ROUTE_HOP_BAD_PORT, BYTES(""), NULL, 0},
        {BYTES("mail.example.net:"), ROUTE_HOP_BAD_PORT, BYTES(""), NULL, 0},
        {BYTES("two words"), ROUTE_HOP_BAD_HOST, BYTES(""), NULL, 0},
        {BYTES(""), ROUTE_HOP_BAD_HOST, BYTES(""), NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = cases[i].text.data;
        struct route_hop hop;

        CHECK_INT(name, route_hop_read(cases[i].text, &hop), cases[i].want);
        if (cases[i].want == ROUTE_HOP_OK) {
            CHECK_BYTES(name, hop.host, cases[i].host);
            CHECK_INT(name, hop.port, cases[i].port);
            CHECK_INT(name, hop.address.family == IP_NONE, cases[i].address == NULL);
        }
        if (cases[i].want == ROUTE_HOP_OK && cases[i].address != NULL) {
            CHECK_TEXT(name, ip_address_text(&hop.address).text, cases[i].address);
        }
    }
}

static void test_by_destination(void **state)
{
    static const struct {
        const char *name;
        struct bytes key;
        const struct delivery_route *want;
        bool want_static;
    } cases[] = {
        {"static", BYTES("route:smart.example:26"), &routes[0], true},
        {"shared by two domains", BYTES("route:b.org"), &routes[1], true},
        {"the domain of the same name", BYTES("b.org"), NULL, false},
        {"route that is gone", BYTES("route:old.example"), NULL, true},
        {"use_mx has no key", BYTES("route:"), NULL, true},
        {"prefix only in part", BYTES("rout"), NULL, false},
        {"empty", BYTES(""), NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_TRUE(cases[i].name,
                   delivery_route_by_destination(&with_default, cases[i].key) == cases[i].want);
        CHECK_INT(cases[i].name, delivery_route_is_static_key(cases[i].key),
                  cases[i].want_static);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_hop_read),
        cmocka_unit_test(test_by_destination),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
