/*
 * The DNS of a case is a line of words: "NAME TYPE VALUE[,VALUE...]", entries separated by ";
 * ". VALUE is an address, "PREFERENCE HOST" for MX with "=" for the blank, or one of nx, none,
 * fail. What a case does not name is unknown, and the result must then be "needs DNS".
 */
#include "support/check.h"

#include "forward/next_hop_order.h"

#include <stdlib.h>

static const struct ip_endpoint own_addresses[] = {
    {{IP_V4, {203, 0, 113, 5}}, 25},
    {{IP_V4, {0}}, 25},
    {{IP_V6, {0x20, 1, 0xd, 0xb8, [15] = 5}}, 25},
};
static const struct ip_network loopback = {{IP_V4, {127}}, 8};

static struct next_hop_options usual_options(void)
{
    return (struct next_hop_options){
        .own_names = {BYTES("mx.us.example"), BYTES("Us.Example.")},
        .own_name_count = 2,
        .own_addresses = own_addresses,
        .own_address_count = COUNT_OF(own_addresses),
        .port = 25,
        .use_ipv6 = true,
        .use_ipv4 = true,
    };
}

static void read_value(struct bytes value, uint16_t type, struct dns_answer *answer)
{
    struct dns_record *record = &answer->records[answer->count++];
    uint64_t preference = 0;
    struct bytes host = value;

    *record = (struct dns_record){.type = type, .ttl = 300};
    if (type == DNS_TYPE_MX) {
        assert_true(bytes_to_u64(bytes_cut(&host, '='), &preference));
        record->mx.preference = (uint16_t)preference;
        record->mx.host = host;
    } else {
        assert_true(ip_address_parse(value, &record->address));
    }
}

static void put_entry(struct dns_facts *facts, struct bytes entry)
{
    struct bytes name = bytes_cut(&entry, ' ');
    struct bytes type_text = bytes_cut(&entry, ' ');
    uint16_t type = bytes_equal(type_text, BYTES("MX"))  ? DNS_TYPE_MX
                    : bytes_equal(type_text, BYTES("A")) ? DNS_TYPE_A
                                                         : DNS_TYPE_AAAA;
    struct dns_record records[64];
    struct dns_answer answer = {.status = DNS_OK, .ttl = 300, .records = records};

    if (bytes_equal(entry, BYTES("nx"))) {
        answer.status = DNS_NXDOMAIN;
    } else if (bytes_equal(entry, BYTES("none"))) {
        answer.status = DNS_NODATA;
    } else if (bytes_equal(entry, BYTES("fail"))) {
        answer = (struct dns_answer){.status = DNS_TEMPFAIL, .why = "servfail"};
    } else {
        while (entry.len > 0) {
            read_value(bytes_cut(&entry, ','), type, &answer);
        }
    }
    dns_facts_put(facts, name, type, &answer);
}

static void put_all(struct dns_facts *facts, const char *text)
{
    struct bytes rest = bytes_from_text(text);

    while (rest.len > 0) {
        struct bytes entry = bytes_trim(bytes_cut(&rest, ';'));

        if (entry.len > 0) {
            put_entry(facts, entry);
        }
    }
}

/* "host=endpoint host=endpoint", with " ..." when there are more in trouble, or "5.1.10 null-mx: text" or "needs ..." */
static void describe(enum next_hop_status status, const struct next_hop_list *list,
                     const struct dns_facts *facts, struct strbuf *out)
{
    const struct dns_question *wanted;
    size_t count;

    switch (status) {
    case NEXT_HOP_FOUND:
        for (size_t i = 0; i < list->count; i++) {
            struct ip_text text = ip_endpoint_text(&list->hops[i].endpoint);

            strbuf_addf(out, "%s" BYTES_FMT "=%s", i > 0 ? " " : "",
                        BYTES_ARG(list->hops[i].host), text.text);
        }
        strbuf_add_text(out, list->is_partial ? " ..." : "");
        return;
    case NEXT_HOP_NEEDS_DNS:
        strbuf_add_text(out, "needs");
        wanted = dns_facts_wanted(facts, &count);
        for (size_t i = 0; i < count; i++) {
            strbuf_addf(out, " " BYTES_FMT "/%s", BYTES_ARG(wanted[i].name),
                        dns_type_text(wanted[i].type));
        }
        return;
    case NEXT_HOP_FAILED:
        CHECK_INT("no hops when failed", list->count, 0);
        strbuf_addf(out, "%s %u %s %s: " BYTES_FMT,
                    list->failure.disposition == DECISION_DEFER ? "defer" : "refuse",
                    list->failure.code, list->failure.enhanced, list->failure.why,
                    BYTES_ARG(list->failure.text));
        return;
    }
}

static void check_order(const char *name, const struct next_hop_options *options,
                        const char *domain, const struct delivery_route *route, const char *dns,
                        const char *want)
{
    struct dns_facts *facts = dns_facts_new();
    struct arena *arena = arena_new();
    struct next_hop_list list;
    struct strbuf got;
    enum next_hop_status status;

    strbuf_init(&got, 4000);
    put_all(facts, dns);
    status = next_hop_order(options, bytes_from_text(domain), route, facts, 7, arena, &list);
    describe(status, &list, facts, &got);
    CHECK_TEXT(name, strbuf_text(&got), want);
    strbuf_clear(&got);
    arena_free(&arena);
    dns_facts_free(&facts);
}

struct order_case {
    const char *name, *domain, *dns, *want;
};

/* clang-format off */
static const struct order_case mx_cases[] = {
    {"MX first", "d.org", "", "needs d.org/MX"},
    {"then all addresses at once", "d.org", "d.org MX 20=b.org,10=a.org",
     "needs a.org/AAAA a.org/A b.org/AAAA b.org/A"},
    {"only what is missing", "d.org", "d.org MX 20=b.org,10=a.org; a.org A 192.0.2.1; b.org AAAA none",
     "needs a.org/AAAA b.org/A"},
    {"by preference", "d.org",
     "d.org MX 20=b.org,10=a.org; a.org A 192.0.2.1; a.org AAAA none; b.org A 192.0.2.2; b.org AAAA none",
     "a.org=192.0.2.1:25 b.org=192.0.2.2:25"},
    {"families by turns", "d.org",
     "d.org MX 10=a.org; a.org A 192.0.2.1,192.0.2.2,192.0.2.3; a.org AAAA 2001:db8::1,2001:db8::2",
     "a.org=[2001:db8::1]:25 a.org=192.0.2.1:25 a.org=[2001:db8::2]:25 a.org=192.0.2.2:25 a.org=192.0.2.3:25"},
    {"more of IPv6", "d.org",
     "d.org MX 10=a.org; a.org A 192.0.2.1; a.org AAAA 2001:db8::1,2001:db8::2,2001:db8::3",
     "a.org=[2001:db8::1]:25 a.org=192.0.2.1:25 a.org=[2001:db8::2]:25 a.org=[2001:db8::3]:25"},
    {"no address twice", "d.org",
     "d.org MX 10=a.org,20=b.org; a.org A 192.0.2.1,192.0.2.1; a.org AAAA none; b.org A 192.0.2.1,192.0.2.2; b.org AAAA none",
     "a.org=192.0.2.1:25 b.org=192.0.2.2:25"},
    {"eight of one host", "d.org",
     "d.org MX 10=a.org,20=b.org; a.org A 192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6,192.0.2.7,192.0.2.8,192.0.2.9;"
     "a.org AAAA none; b.org A 192.0.2.99; b.org AAAA none",
     "a.org=192.0.2.1:25 a.org=192.0.2.2:25 a.org=192.0.2.3:25 a.org=192.0.2.4:25 a.org=192.0.2.5:25 a.org=192.0.2.6:25 "
     "a.org=192.0.2.7:25 a.org=192.0.2.8:25 b.org=192.0.2.99:25"},
    {"a host without address is passed over", "d.org",
     "d.org MX 10=a.org,20=b.org; a.org A nx; a.org AAAA nx; b.org A 192.0.2.2; b.org AAAA none", "b.org=192.0.2.2:25"},
    {"so is one in trouble", "d.org",
     "d.org MX 10=a.org,20=b.org; a.org A fail; a.org AAAA fail; b.org A 192.0.2.2; b.org AAAA none", "b.org=192.0.2.2:25 ..."},
    {"one family in trouble", "d.org", "d.org MX 10=a.org; a.org A 192.0.2.1; a.org AAAA fail", "a.org=192.0.2.1:25 ..."},
    {"trailing dot", "d.org.", "d.org MX 10=a.org; a.org A 192.0.2.1; a.org AAAA none", "a.org=192.0.2.1:25"},

    {"implicit MX", "d.org", "d.org MX none; d.org A 192.0.2.1; d.org AAAA none", "d.org=192.0.2.1:25"},
    {"implicit MX asks for both", "d.org", "d.org MX none", "needs d.org/AAAA d.org/A"},
    {"implicit MX without address", "d.org", "d.org MX none; d.org A none; d.org AAAA none",
     "refuse 550 5.1.2 no-mail-host: the domain it leads to has no mail exchanger and no address [d.org]"},
    {"no implicit MX beside a dead MX", "d.org", "d.org MX 10=a.org; a.org A nx; a.org AAAA nx; d.org A 192.0.2.1",
     "refuse 550 5.4.4 no-mail-host: no mail exchanger has an address [d.org]"},

    {"null MX", "d.org", "d.org MX 0=", "refuse 556 5.1.10 null-mx: the domain it leads to does not accept mail (null MX) [d.org]"},
    {"null MX twice", "d.org", "d.org MX 0=,10=", "refuse 556 5.1.10 null-mx: the domain it leads to does not accept mail (null MX) [d.org]"},
    {"null MX with another", "d.org", "d.org MX 0=,10=a.org; a.org A 192.0.2.1; a.org AAAA none", "a.org=192.0.2.1:25"},
    {"no such domain", "d.org", "d.org MX nx", "refuse 550 5.1.2 no-such-domain: the domain it leads to does not exist [d.org]"},
    {"no DNS name", "a..b", "", "refuse 550 5.1.2 no-such-domain: the domain it leads to does not exist [a..b]"},
    {"MX in trouble", "d.org", "d.org MX fail",
     "defer 451 4.4.3 dns-trouble: temporary DNS trouble with the mail exchangers (servfail) [d.org]"},
    {"all hosts in trouble", "d.org", "d.org MX 10=a.org; a.org A fail; a.org AAAA none",
     "defer 451 4.4.3 dns-trouble: temporary DNS trouble with the mail hosts (servfail) [d.org]"},
    {"trouble beats no address", "d.org", "d.org MX 10=a.org,20=b.org; a.org A nx; a.org AAAA nx; b.org A none; b.org AAAA fail",
     "defer 451 4.4.3 dns-trouble: temporary DNS trouble with the mail hosts (servfail) [d.org]"},
    {"implicit MX in trouble", "d.org", "d.org MX none; d.org A fail; d.org AAAA none",
     "defer 451 4.4.3 dns-trouble: temporary DNS trouble with the mail hosts (servfail) [d.org]"},
    {"route key without its route", "route:old.example", "",
     "defer 451 4.3.5 route-is-gone: the destination is no longer configured [route:old.example]"},
};

static const struct order_case own_cases[] = {
    {"we are the best: loop", "d.org", "d.org MX 10=mx.us.example,20=b.org",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [d.org]"},
    {"case and dot of our names", "d.org", "d.org MX 10=US.example",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [d.org]"},
    {"we are the back-up: only better ones", "d.org",
     "d.org MX 10=a.org,20=mx.us.example,20=c.org,30=b.org; a.org A 192.0.2.1; a.org AAAA none", "a.org=192.0.2.1:25"},
    {"equal to us is dropped", "d.org", "d.org MX 20=mx.us.example,20=c.org",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [d.org]"},
    {"implicit MX is us", "us.example", "us.example MX none",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [us.example]"},
    {"by address", "d.org", "d.org MX 10=a.org; a.org A 203.0.113.5; a.org AAAA none",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [d.org]"},
    {"by IPv6 address", "d.org", "d.org MX 10=a.org; a.org A none; a.org AAAA 2001:db8::5",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [d.org]"},
    {"by one of its addresses", "d.org", "d.org MX 10=a.org; a.org A 192.0.2.1,203.0.113.5; a.org AAAA none",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [d.org]"},
    {"by address, better ones stay", "d.org",
     "d.org MX 10=a.org,20=b.org,30=c.org; a.org A 192.0.2.1; a.org AAAA none; b.org A 203.0.113.5; b.org AAAA none; c.org A 192.0.2.3; c.org AAAA none",
     "a.org=192.0.2.1:25"},
    {"wildcard listener: loopback is us", "d.org", "d.org MX 10=a.org; a.org A 127.0.0.9; a.org AAAA none",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [d.org]"},
    {"wildcard listener: 0.0.0.0 is us", "d.org", "d.org MX 10=a.org; a.org A 0.0.0.0; a.org AAAA none",
     "refuse 554 5.4.6 loops-back: the mail would loop back to this host [d.org]"},
    {"literal of us", "[203.0.113.5]", "", "refuse 554 5.4.6 loops-back: the mail would loop back to this host [[203.0.113.5]]"},
};

static const struct order_case forbidden_cases[] = {
    {"loopback", "d.org", "d.org MX 10=a.org; a.org A 127.0.0.1; a.org AAAA none",
     "refuse 550 5.4.4 forbidden-next-hop: the mail hosts have only addresses that are not for mail [d.org]"},
    {"IPv6 loopback", "d.org", "d.org MX 10=a.org; a.org A none; a.org AAAA ::1",
     "refuse 550 5.4.4 forbidden-next-hop: the mail hosts have only addresses that are not for mail [d.org]"},
    {"IPv4-mapped", "d.org", "d.org MX 10=a.org; a.org A none; a.org AAAA ::ffff:127.0.0.1",
     "refuse 550 5.4.4 forbidden-next-hop: the mail hosts have only addresses that are not for mail [d.org]"},
    {"link-local, multicast, this network, broadcast", "d.org",
     "d.org MX 10=a.org; a.org A 169.254.169.254,224.0.0.1,0.1.2.3,255.255.255.255; a.org AAAA fe80::1,ff02::1",
     "refuse 550 5.4.4 forbidden-next-hop: the mail hosts have only addresses that are not for mail [d.org]"},
    {"the others are used", "d.org", "d.org MX 10=a.org,20=b.org; a.org A 127.0.0.1,192.0.2.1; a.org AAAA none; b.org A 10.0.0.1; b.org AAAA ::1",
     "a.org=192.0.2.1:25 b.org=10.0.0.1:25"},
    {"trouble beats forbidden", "d.org", "d.org MX 10=a.org; a.org A 127.0.0.1; a.org AAAA fail",
     "defer 451 4.4.3 dns-trouble: temporary DNS trouble with the mail hosts (servfail) [d.org]"},
    {"literal", "[127.0.0.1]", "",
     "refuse 550 5.4.4 forbidden-next-hop: the mail hosts have only addresses that are not for mail [[127.0.0.1]]"},
    {"good literal", "[IPv6:2001:db8::9]", "", "2001:db8::9=[2001:db8::9]:25"},
    {"good IPv4 literal", "[192.0.2.9]", "", "192.0.2.9=192.0.2.9:25"},
    {"bad literal", "[x]", "", "refuse 550 5.1.3 bad-address-literal: not an address literal [[x]]"},
    {"literal without end", "[192.0.2.9", "", "refuse 550 5.1.3 bad-address-literal: not an address literal [[192.0.2.9]"},
};
/* clang-format on */

static void check_cases(const struct next_hop_options *options, const struct order_case *cases,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_order(cases[i].name, options, cases[i].domain, NULL, cases[i].dns, cases[i].want);
    }
}

static void test_mx(void **state)
{
    struct next_hop_options options = usual_options();

    (void)state;
    check_cases(&options, mx_cases, COUNT_OF(mx_cases));
}

static void test_ourselves(void **state)
{
    struct next_hop_options options = usual_options();

    (void)state;
    check_cases(&options, own_cases, COUNT_OF(own_cases));
    options.port = 2525;
    check_order("another port is not us", &options, "[203.0.113.5]", NULL, "",
                "203.0.113.5=203.0.113.5:2525");
    options.port = 25;
    options.allowed = &loopback;
    options.allowed_count = 1;
    check_order(
        "allowed, but us", &options, "[127.0.0.1]", NULL, "",
        "refuse 554 5.4.6 loops-back: the mail would loop back to this host [[127.0.0.1]]");
}

static void test_forbidden(void **state)
{
    struct next_hop_options options = usual_options();

    (void)state;
    options.own_address_count = 0;
    check_cases(&options, forbidden_cases, COUNT_OF(forbidden_cases));
    options.allowed = &loopback;
    options.allowed_count = 1;
    check_order("allowed", &options, "d.org", NULL,
                "d.org MX 10=a.org; a.org A 127.0.0.1,169.254.0.1; a.org AAAA ::1",
                "a.org=127.0.0.1:25");
}

static void test_families(void **state)
{
    struct next_hop_options options = usual_options();

    (void)state;
    options.use_ipv6 = false;
    check_order("no IPv6 questions", &options, "d.org", NULL, "d.org MX 10=a.org",
                "needs a.org/A");
    options.use_ipv6 = true;
    options.use_ipv4 = false;
    check_order("no IPv4 questions", &options, "d.org", NULL, "d.org MX 10=a.org",
                "needs a.org/AAAA");
    check_order("mapped is IPv4", &options, "d.org", NULL,
                "d.org MX 10=a.org; a.org AAAA ::ffff:192.0.2.1",
                "refuse 550 5.4.4 no-mail-host: no mail exchanger has an address [d.org]");
}

static void test_static_route(void **state)
{
    struct next_hop_options options = usual_options();
    struct delivery_route route = {
        .domain = BYTES("d.org"),
        .destination = BYTES("smart.example:26 [127.0.0.1]:2525"),
        .hops = {{.host = BYTES("smart.example"), .port = 26},
                 {.address = {IP_V4, {127, 0, 0, 1}}, .port = 2525},
                 {.host = BYTES("mx.us.example")}},
        .hop_count = 2,
    };

    (void)state;
    check_order("no MX question", &options, "d.org", &route, "",
                "needs smart.example/AAAA smart.example/A");
    check_order("in order, loopback is allowed", &options, "d.org", &route,
                "smart.example A 192.0.2.1,127.0.0.2; smart.example AAAA none",
                "smart.example=192.0.2.1:26 smart.example=127.0.0.2:26 "
                "127.0.0.1=127.0.0.1:2525");
    route.hop_count = 3;
    check_order("usual port, named by the operator", &options, "d.org", &route,
                "smart.example A nx; smart.example AAAA nx; mx.us.example A 203.0.113.5; "
                "mx.us.example AAAA none",
                "127.0.0.1=127.0.0.1:2525 mx.us.example=203.0.113.5:25");
    route.hop_count = 1;
    check_order("no address is temporary", &options, "d.org", &route,
                "smart.example A nx; smart.example AAAA nx",
                "defer 451 4.4.4 route-has-no-address: no host of the configured route "
                "has an address [smart.example:26 [127.0.0.1]:2525]");
    check_order("trouble", &options, "d.org", &route,
                "smart.example A fail; smart.example AAAA nx",
                "defer 451 4.4.3 dns-trouble: temporary DNS trouble with the mail hosts "
                "(servfail) [smart.example:26 [127.0.0.1]:2525]");
    route.use_mx = true;
    check_order("route to mx", &options, "d.org", &route, "", "needs d.org/MX");
}

/* Each of three equal hosts comes first about as often as the others; the better one stays. */
static void test_shuffle(void **state)
{
    static const char dns[] =
        "d.org MX 10=a.org,20=b.org,20=c.org,20=e.org; a.org A 192.0.2.1; b.org A 192.0.2.2;"
        "c.org A 192.0.2.3; e.org A 192.0.2.4";
    struct next_hop_options options = usual_options();
    struct dns_facts *facts = dns_facts_new();
    struct arena *arena = arena_new();
    int second[256] = {0};

    (void)state;
    options.use_ipv6 = false;
    put_all(facts, dns);
    for (uint32_t random = 0; random < 3000; random++) {
        struct next_hop_list list, again;

        (void)next_hop_order(&options, BYTES("d.org"), NULL, facts, random, arena, &list);
        (void)next_hop_order(&options, BYTES("d.org"), NULL, facts, random, arena, &again);
        CHECK_INT("all", list.count, 4);
        CHECK_BYTES("best first", list.hops[0].host, BYTES("a.org"));
        CHECK_BYTES("same number, same order", list.hops[1].host, again.hops[1].host);
        second[(uint8_t)list.hops[1].host.data[0]]++;
    }
    CHECK_TRUE("b", second['b'] > 850 && second['b'] < 1150);
    CHECK_TRUE("c", second['c'] > 850 && second['c'] < 1150);
    CHECK_TRUE("e", second['e'] > 850 && second['e'] < 1150);
    arena_free(&arena);
    dns_facts_free(&facts);
}

static void test_limits_and_ttl(void **state)
{
    struct next_hop_options options = usual_options();
    struct dns_facts *facts = dns_facts_new();
    struct arena *arena = arena_new();
    struct dns_record records[40];
    struct dns_record address = {.type = DNS_TYPE_A, .ttl = 50};
    struct dns_answer mx = {.ttl = 90, .records = records, .count = 40, .is_secure = true};
    struct dns_answer a = {.ttl = 50, .records = &address, .count = 1};
    char names[40][16];
    struct next_hop_list list;
    size_t wanted;

    (void)state;
    options.use_ipv6 = false;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "h%u.org", i);
        records[i] = (struct dns_record){
            .type = DNS_TYPE_MX, .mx = {(uint16_t)(100 - i), bytes_from_text(names[i])}};
    }
    dns_facts_put(facts, BYTES("d.org"), DNS_TYPE_MX, &mx);
    CHECK_INT("asks", next_hop_order(&options, BYTES("d.org"), NULL, facts, 1, arena, &list),
              NEXT_HOP_NEEDS_DNS);
    (void)dns_facts_wanted(facts, &wanted);
    CHECK_INT("for so many hosts", wanted, NEXT_HOP_LIMIT);
    for (unsigned i = 0; i < 40; i++) {
        address.address = (struct ip_address){IP_V4, {192, 0, 2, (uint8_t)i}};
        dns_facts_put(facts, bytes_from_text(names[i]), DNS_TYPE_A, &a);
    }
    CHECK_INT("found", next_hop_order(&options, BYTES("d.org"), NULL, facts, 1, arena, &list),
              NEXT_HOP_FOUND);
    CHECK_INT("limit", list.count, NEXT_HOP_LIMIT);
    CHECK_BYTES("best of all", list.hops[0].host, BYTES("h39.org"));
    CHECK_INT("lowest ttl", list.ttl, 50);
    CHECK_TRUE("secure", list.is_mx_secure);
    arena_free(&arena);
    dns_facts_free(&facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mx),
        cmocka_unit_test(test_ourselves),
        cmocka_unit_test(test_forbidden),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_static_route),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_limits_and_ttl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
