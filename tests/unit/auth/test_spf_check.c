#include "support/check.h"

#include "auth/spf_check.h"
#include "auth/spf_record.h"
#include "support/spf_zone.h"

#include <time.h>

static const struct spf_watcher watcher = {.on_library_text = spf_require_closed};

/* One world for each test: everything a check needs. */
struct world {
    struct spf_checker *checker;
    struct dns_facts *facts;
    struct arena *arena;
    struct spf_zone zone;
    struct spf_identity identity;
    struct spf_verdict verdict;
    unsigned rounds;
};

static void world_init(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->checker = spf_checker_new();
    spf_checker_watch(world->checker, &watcher);
    world->facts = dns_facts_new();
    world->arena = arena_new();
    world->identity = (struct spf_identity){
        .helo = BYTES("mail.example.com"),
        .sender = {.local = BYTES("user"), .domain = BYTES("example.com")},
        .receiver = BYTES("mx.example.org"),
        .unix_seconds = 1700000000};
    ip_address_parse(BYTES("192.0.2.1"), &world->identity.client);
}

static void world_clear(struct world *world)
{
    spf_checker_free(&world->checker);
    dns_facts_free(&world->facts);
    arena_free(&world->arena);
}

static void evaluate(struct world *world, enum spf_scope scope, size_t a_round)
{
    dns_facts_reset(world->facts);
    world->rounds = spf_zone_replay(&world->zone, world->checker, &world->identity, scope,
                                    a_round, world->facts, world->arena, &world->verdict);
}

/* All at once, one by one, and from facts alone: the same verdict each time. */
static void check_verdict(const char *name, struct world *world, enum auth_result want)
{
    struct spf_verdict first;

    evaluate(world, SPF_MAIL_FROM, 0);
    CHECK_TEXT(name, auth_result_text(world->verdict.result), auth_result_text(want));
    first = world->verdict;
    spf_check(world->checker, &world->identity, SPF_MAIL_FROM, world->facts, world->arena,
              &world->verdict);
    CHECK_INT(name, world->verdict.result, want);
    CHECK_BYTES(name, world->verdict.explanation, first.explanation);
    evaluate(world, SPF_MAIL_FROM, 1);
    CHECK_INT(name, world->verdict.result, want);
    CHECK_BYTES(name, world->verdict.explanation, first.explanation);
    CHECK_BYTES(name, world->verdict.mechanism, first.mechanism);
    CHECK_INT(name, world->verdict.terms, first.terms);
}

/* What libspf2 on its own answers otherwise, or dies of (docs/decisions/libspf2.md), and
 * neighbours. */
static void test_defects(void **state)
{
    static const struct {
        const char *name, *client;
        enum auth_result want;
        const char *mechanism, *zone;
    } cases[] = {
        /* clang-format off */
        {"loopback client", "127.0.0.1", AUTH_FAIL, "-all", "example.com TXT v=spf1 -all"},
        {"IPv6 loopback client", "::1", AUTH_FAIL, "-all", "example.com TXT v=spf1 -all"},
        {"loopback without a record", "127.0.0.1", AUTH_NONE, "", ""},
        {"IPv4-mapped client", "::ffff:192.0.2.1", AUTH_PASS, "ip4:192.0.2.1",
         "example.com TXT v=spf1 ip4:192.0.2.1 -all"},
        {"include loop", "192.0.2.1", AUTH_PERMERROR, "",
         "example.com TXT v=spf1 include:b.example -all\n"
         "b.example TXT v=spf1 include:c.example -all\nc.example TXT v=spf1 include:b.example -all"},
        {"include of itself", "192.0.2.1", AUTH_PERMERROR, "",
         "example.com TXT v=spf1 include:example.com -all"},
        {"redirect loop", "192.0.2.1", AUTH_PERMERROR, "",
         "example.com TXT v=spf1 redirect=b.example\nb.example TXT v=spf1 redirect=example.com"},
        {"PTR fails", "192.0.2.1", AUTH_FAIL, "-all",
         "example.com TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR !"},
        {"PTR host fails", "192.0.2.1", AUTH_PASS, "ptr",
         "example.com TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR bad.example.com\n"
         "1.2.0.192.in-addr.arpa PTR good.example.com\nbad.example.com A !\n"
         "good.example.com A 192.0.2.1"},
        {"PTR in another domain", "192.0.2.1", AUTH_FAIL, "-all",
         "example.com TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR badexample.com\n"
         "badexample.com A 192.0.2.1"},
        {"delimiters , and /", "192.0.2.1", AUTH_PASS, "exists:%{l,/}.x.example",
         "example.com TXT v=spf1 exists:%{l,/}.x.example -all\nuser.x.example A 127.0.0.2"},
        {"delimiter |", "192.0.2.1", AUTH_PERMERROR, "",
         "example.com TXT v=spf1 exists:%{l|}.x.example -all"},
        {"more labels than there are", "192.0.2.1", AUTH_PASS, "a:%{d129}",
         "example.com TXT v=spf1 a:%{d129} -all\nexample.com A 192.0.2.1"},
        {"bad macro in exists", "192.0.2.1", AUTH_PERMERROR, "",
         "example.com TXT v=spf1 exists:%{x} -all"},
        {"a fails", "192.0.2.1", AUTH_TEMPERROR, "",
         "example.com TXT v=spf1 a:x.example -all\nx.example A !"},
        {"mx fails", "192.0.2.1", AUTH_TEMPERROR, "",
         "example.com TXT v=spf1 mx -all\nexample.com MX !"},
        {"MX host fails", "192.0.2.1", AUTH_TEMPERROR, "",
         "example.com TXT v=spf1 mx -all\nexample.com MX x.example\nx.example A !"},
        {"include fails", "192.0.2.1", AUTH_TEMPERROR, "",
         "example.com TXT v=spf1 include:x.example -all\nx.example TXT !"},
        {"redirect fails", "192.0.2.1", AUTH_TEMPERROR, "",
         "example.com TXT v=spf1 redirect=x.example\nx.example TXT !"},
        {"record fails", "192.0.2.1", AUTH_TEMPERROR, "", "example.com TXT !"},
        {"decided before the failure", "192.0.2.1", AUTH_PASS, "a",
         "example.com TXT v=spf1 a include:x.example -all\nexample.com A 192.0.2.1\nx.example TXT !"},
        {"null MX", "192.0.2.1", AUTH_FAIL, "-all",
         "example.com TXT v=spf1 mx -all\nexample.com MX "},
        {"hosts without IPv6 are no void look-ups", "2001:db8::1", AUTH_FAIL, "-all",
         "example.com TXT v=spf1 mx -all\nexample.com MX a.example\nexample.com MX b.example\n"
         "example.com MX c.example\na.example A 192.0.2.7\nb.example A 192.0.2.8\nc.example A 192.0.2.9"},
        {"two void look-ups", "192.0.2.1", AUTH_FAIL, "-all",
         "example.com TXT v=spf1 a:x.example exists:y.example -all"},
        {"three void look-ups", "192.0.2.1", AUTH_PERMERROR, "",
         "example.com TXT v=spf1 a:x.example exists:y.example mx:z.example -all"},
        {"voids count across includes", "192.0.2.1", AUTH_PERMERROR, "",
         "example.com TXT v=spf1 a:x.example include:i.example -all\n"
         "i.example TXT v=spf1 a:y.example a:z.example -all"},
        {"any address, /0", "192.0.2.1", AUTH_PASS, "a/0",
         "example.com TXT v=spf1 a/0 -all\nexample.com A 198.51.100.1"},
        {"any IPv6 network, IPv4 client", "192.0.2.1", AUTH_FAIL, "-all",
         "example.com TXT v=spf1 ip6:::/0 -all"},
        {"mapped network, IPv4 client", "192.0.2.1", AUTH_FAIL, "-all",
         "example.com TXT v=spf1 ip6:::ffff:192.0.2.1/96 -all"},
        {"include fails softly", "192.0.2.1", AUTH_SOFTFAIL, "~all",
         "example.com TXT v=spf1 include:x.example ~all\nx.example TXT v=spf1 -all"},
        {"include passes", "192.0.2.1", AUTH_FAIL, "-include:x.example",
         "example.com TXT v=spf1 -include:x.example ~all\nx.example TXT v=spf1 redirect=y.example\n"
         "y.example TXT v=spf1 a ~all\ny.example A 192.0.2.1"},
        {"nothing matches", "192.0.2.1", AUTH_NEUTRAL, "default",
         "example.com TXT v=spf1 ip4:198.51.100.1"},
        {"mechanism of the redirect", "192.0.2.1", AUTH_PASS, "MX/24",
         "example.com TXT v=spf1 ip4:198.51.100.1 redirect=x.example\n"
         "x.example TXT v=spf1 MX/24 -all\nx.example MX h.example\nh.example A 192.0.2.77"},
        {"two records", "192.0.2.1", AUTH_PERMERROR, "",
         "example.com TXT v=spf1 +all\nexample.com TXT v=spf1"},
        {"other TXT records", "192.0.2.1", AUTH_PASS, "+all",
         "example.com TXT other\nexample.com TXT v=spf1 +all\nexample.com TXT v=spf2.0/pra -all"},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;

        world_init(&world);
        spf_zone_read(&world.zone, world.arena, cases[i].zone);
        ip_address_parse(bytes_from_text(cases[i].client), &world.identity.client);
        check_verdict(cases[i].name, &world, cases[i].want);
        CHECK_BYTES(cases[i].name, world.verdict.mechanism,
                    bytes_from_text(cases[i].mechanism));
        CHECK_TRUE(cases[i].name,
                   (world.verdict.why == NULL) == (cases[i].mechanism[0] != '\0'));
        world_clear(&world);
    }
}

static void test_explanation(void **state)
{
    static const struct {
        const char *name;
        struct bytes text;
        const char *want;
    } cases[] = {
        {"plain", BYTES("See http://x.example/%{S} for %{c}"),
         "See http://x.example/user%40example.com for 192.0.2.1"},
        {"CR LF", BYTES("no\r\n250 ok"), ""},
        {"NUL", BYTES("no\0yes"), ""},
        {"8-bit", BYTES("no \xc3\xa9"), ""},
        {"DEL", BYTES("no \x7f"), ""},
        {"bad macro", BYTES("no %{x}"), ""},
        {"8-bit from the sender", BYTES("no %{l}"), "no user"},
        {"all letters", BYTES("%{s} %{l} %{o} %{d} %{i} %{p} %{v} %{h} %{c} %{r} %{t}"),
         "user@example.com user example.com example.com 192.0.2.1 unknown in-addr "
         "mail.example.com 192.0.2.1 mx.example.org 1700000000"},
        {"empty", BYTES(""), ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;

        world_init(&world);
        spf_zone_read(&world.zone, world.arena,
                      "example.com TXT v=spf1 exp-text=wrong -all exp=e.example");
        spf_zone_add(&world.zone,
                     (struct spf_zone_row){"e.example", DNS_TYPE_TXT, cases[i].text, DNS_OK});
        check_verdict(cases[i].name, &world, AUTH_FAIL);
        CHECK_BYTES(cases[i].name, world.verdict.explanation, bytes_from_text(cases[i].want));
        world_clear(&world);
    }
}

/* A sender with octets that may not stand in a reply; a softfail; an explanation that fails. */
static void test_no_explanation(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    spf_zone_read(&world.zone, world.arena,
                  "example.com TXT v=spf1 ?ip4:192.0.2.7 -all exp=e.example\n"
                  "e.example TXT for %{l}\nx.example TXT v=spf1 -all exp=f.example\n"
                  "f.example TXT !\ny.example TXT v=spf1 -all exp-text=wrong");
    world.identity.sender.local = BYTES("us\xc3\xa9r\r\n");
    check_verdict("8-bit sender", &world, AUTH_FAIL);
    CHECK_BYTES("8-bit sender", world.verdict.explanation, BYTES(""));
    ip_address_parse(BYTES("192.0.2.7"), &world.identity.client);
    check_verdict("neutral", &world, AUTH_NEUTRAL);
    CHECK_BYTES("neutral", world.verdict.explanation, BYTES(""));
    world.identity.sender.domain = BYTES("x.example");
    check_verdict("explanation fails", &world, AUTH_FAIL);
    CHECK_BYTES("explanation fails", world.verdict.explanation, BYTES(""));
    world.identity.sender.domain = BYTES("y.example");
    check_verdict("exp-text", &world, AUTH_FAIL);
    CHECK_BYTES("exp-text", world.verdict.explanation, BYTES(""));
    world_clear(&world);
}

/* libspf2 drops what follows 511 compiled octets; here the last term always decides. */
static void test_long_records(void **state)
{
    static const struct {
        const char *name, *client, *format;
        unsigned networks;
        enum auth_result want;
    } cases[] = {
        {"64 ip4", "192.0.2.1", "ip4:10.0.%u.0/24", 64, AUTH_FAIL},
        {"26 ip6", "2001:db8::1", "ip6:2001:db9:%x::/48", 26, AUTH_FAIL},
        {"450 ip4", "192.0.2.1", "ip4:10.0.%u.0/24", 450, AUTH_FAIL},
        {"the other family", "192.0.2.1", "ip6:2001:db9:%x::/48", 350, AUTH_FAIL},
        {"350 ip6", "2001:db8::1", "ip6:2001:db9:%x::/48", 350, AUTH_FAIL},
        {"many short ip6", "2001:db8::1", "ip6:%x::/17", 650, AUTH_FAIL},
        {"8 KB", "192.0.2.1", "ip4:10.0.%u.0/24", 600, AUTH_PERMERROR},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct strbuf text;

        world_init(&world);
        strbuf_init(&text, 100000);
        strbuf_add_text(&text, "v=spf1");
        for (unsigned j = 0; j < cases[i].networks; j++) {
            strbuf_add_char(&text, ' ');
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            strbuf_addf(&text, cases[i].format, j % 256);
#pragma GCC diagnostic pop
        }
        strbuf_add_text(&text, " -all");
        spf_zone_add(&world.zone, (struct spf_zone_row){"example.com", DNS_TYPE_TXT,
                                                        strbuf_bytes(&text), DNS_OK});
        ip_address_parse(bytes_from_text(cases[i].client), &world.identity.client);
        check_verdict(cases[i].name, &world, cases[i].want);
        strbuf_clear(&text);
        world_clear(&world);
    }
}

/* The records and explanations that end a process that gives them to libspf2 (CVE-2023-42118),
 * and their kin. */
static void test_crashing_records(void **state)
{
    static const struct {
        const char *name, *start, *part;
        unsigned times;
        const char *end;
        unsigned padding;
    } cases[] = {
        {"exp text", "", "a%{i}", 42, "%{i}A", 0},
        {"a", "v=spf1 a:", "a%{i}", 42, "%{i}A", 3650},
        {"unknown modifier", "v=spf1 z=", "a%{i}", 42, "%{i}A", 3650},
        {"redirect", "v=spf1 redirect=", "a%{i}", 42, "%{i}A", 3650},
        {"exp text of 2021", "", "%{i}", 126, "abcdefg", 0},
        {"20 KB", "v=spf1 a:", "a%{i}", 42, "%{i}A", 20000},
        {"reverse and escape", "", "%{Lr-}", 100, "", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct strbuf text;

        world_init(&world);
        strbuf_init(&text, 100000);
        strbuf_add_text(&text, cases[i].start);
        for (unsigned j = 0; j < cases[i].times; j++) {
            strbuf_add_text(&text, cases[i].part);
        }
        strbuf_add_text(&text, cases[i].end);
        for (unsigned j = 0; j < cases[i].padding; j++) {
            strbuf_add_char(&text, 'A');
        }
        if (cases[i].start[0] == '\0') {
            spf_zone_read(&world.zone, world.arena,
                          "example.com TXT v=spf1 -all exp=e.example");
        }
        spf_zone_add(&world.zone, (struct spf_zone_row){
                                      cases[i].start[0] == '\0' ? "e.example" : "example.com",
                                      DNS_TYPE_TXT, strbuf_bytes(&text), DNS_OK});
        world.identity.sender.local =
            BYTES("a-bbbbbbbbbbbb-\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff-cccccc");
        evaluate(&world, SPF_MAIL_FROM, 0);
        CHECK_TRUE(cases[i].name, world.verdict.result == AUTH_PERMERROR ||
                                      world.verdict.result == AUTH_NEUTRAL ||
                                      world.verdict.result == AUTH_FAIL);
        CHECK_TRUE(cases[i].name, world.verdict.explanation.len <= SPF_EXPLANATION_LIMIT);
        strbuf_clear(&text);
        world_clear(&world);
    }
}

static void test_identities(void **state)
{
    static const struct {
        const char *name;
        enum spf_scope scope;
        struct bytes helo, local, domain;
        enum auth_result want;
        struct bytes want_domain, want_explanation;
    } cases[] = {
        /* clang-format off */
        {"sender", SPF_MAIL_FROM, BYTES("h.example"), BYTES("u"), BYTES("s.example"), AUTH_FAIL, BYTES("s.example"), BYTES("u@s.example h.example")},
        {"helo", SPF_HELO, BYTES("h.example"), BYTES("u"), BYTES("s.example"), AUTH_FAIL, BYTES("h.example"), BYTES("postmaster@h.example h.example")},
        {"null sender", SPF_MAIL_FROM, BYTES("h.example"), BYTES(""), BYTES(""), AUTH_FAIL, BYTES("h.example"), BYTES("postmaster@h.example h.example")},
        {"no local part", SPF_MAIL_FROM, BYTES("h.example"), BYTES(""), BYTES("s.example"), AUTH_FAIL, BYTES("s.example"), BYTES("postmaster@s.example h.example")},
        {"final dot", SPF_HELO, BYTES("h.example."), BYTES("u"), BYTES("s.example"), AUTH_FAIL, BYTES("h.example"), BYTES("postmaster@h.example h.example.")},
        {"case", SPF_MAIL_FROM, BYTES("h.example"), BYTES("U"), BYTES("S.Example"), AUTH_FAIL, BYTES("S.Example"), BYTES("U@S.Example h.example")},
        {"helo is an address", SPF_HELO, BYTES("[192.0.2.1]"), BYTES("u"), BYTES("s.example"), AUTH_NONE, BYTES(""), BYTES("")},
        {"helo with @", SPF_MAIL_FROM, BYTES("x@s.example"), BYTES(""), BYTES(""), AUTH_NONE, BYTES(""), BYTES("")},
        {"helo without a dot", SPF_HELO, BYTES("example"), BYTES("u"), BYTES("s.example"), AUTH_NONE, BYTES(""), BYTES("")},
        {"helo with NUL", SPF_HELO, BYTES("a\0.s.example"), BYTES("u"), BYTES("s.example"), AUTH_NONE, BYTES(""), BYTES("")},
        {"no helo", SPF_HELO, BYTES(""), BYTES("u"), BYTES("s.example"), AUTH_NONE, BYTES(""), BYTES("")},
        {"empty label", SPF_MAIL_FROM, BYTES("h.example"), BYTES("u"), BYTES("a..s.example"), AUTH_NONE, BYTES(""), BYTES("")},
        {"8-bit domain", SPF_MAIL_FROM, BYTES("h.example"), BYTES("u"), BYTES("\xc3\xa9.example"), AUTH_NONE, BYTES(""), BYTES("")},
        {"bare postmaster", SPF_MAIL_FROM, BYTES("h.example"), BYTES("postmaster"), BYTES(""), AUTH_NONE, BYTES(""), BYTES("")},
        /* clang-format on */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;

        world_init(&world);
        spf_zone_read(&world.zone, world.arena,
                      "h.example TXT v=spf1 -all exp=e.example\n"
                      "s.example TXT v=spf1 -all exp=e.example\ne.example TXT %{s} %{h}");
        world.identity.helo = cases[i].helo;
        world.identity.sender.local = cases[i].local;
        world.identity.sender.domain = cases[i].domain;
        evaluate(&world, cases[i].scope, 0);
        CHECK_INT(cases[i].name, world.verdict.result, cases[i].want);
        CHECK_BYTES(cases[i].name, world.verdict.domain, cases[i].want_domain);
        CHECK_BYTES(cases[i].name, world.verdict.explanation, cases[i].want_explanation);
        CHECK_INT(cases[i].name, world.rounds, cases[i].want == AUTH_NONE ? 1 : 3);
        world_clear(&world);
    }
}

static void test_literal_sender(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.identity.sender.domain = BYTES("192.0.2.1");
    world.identity.sender.is_literal = true;
    evaluate(&world, SPF_MAIL_FROM, 0);
    CHECK_INT("literal", world.verdict.result, AUTH_NONE);
    CHECK_INT("literal", world.rounds, 1);
    world_clear(&world);
}

/* `count` hosts for the client's address as MX or PTR; only host `right` has its address. */
static void add_hosts(struct world *world, uint16_t type, unsigned count, unsigned right)
{
    for (unsigned i = 1; i <= count; i++) {
        struct strbuf name;
        struct bytes host;

        strbuf_init(&name, 100);
        strbuf_addf(&name, "h%02u.example.com", i);
        host = bytes_from_text(arena_copy_text(world->arena, strbuf_bytes(&name)));
        strbuf_clear(&name);
        spf_zone_add(&world->zone,
                     (struct spf_zone_row){type == DNS_TYPE_MX ? "example.com"
                                                               : "1.2.0.192.in-addr.arpa",
                                           type, host, DNS_OK});
        spf_zone_add(&world->zone,
                     (struct spf_zone_row){host.data, DNS_TYPE_A,
                                           i == right ? BYTES("192.0.2.1") : BYTES("10.0.0.1"),
                                           DNS_OK});
    }
}

static void test_host_limits(void **state)
{
    static const struct {
        const char *name, *record;
        uint16_t type;
        unsigned count, right;
        enum auth_result want;
    } cases[] = {
        {"10 MX, last right", "example.com TXT v=spf1 mx -all", DNS_TYPE_MX, 10, 10, AUTH_PASS},
        {"10 MX, none right", "example.com TXT v=spf1 mx -all", DNS_TYPE_MX, 10, 0, AUTH_FAIL},
        {"11 MX, tenth right", "example.com TXT v=spf1 mx -all", DNS_TYPE_MX, 11, 10,
         AUTH_PASS},
        {"11 MX, last right", "example.com TXT v=spf1 mx -all", DNS_TYPE_MX, 11, 11,
         AUTH_PERMERROR},
        {"10 PTR, last right", "example.com TXT v=spf1 ptr -all", DNS_TYPE_PTR, 10, 10,
         AUTH_PASS},
        {"11 PTR, last right", "example.com TXT v=spf1 ptr -all", DNS_TYPE_PTR, 11, 11,
         AUTH_FAIL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;

        world_init(&world);
        spf_zone_read(&world.zone, world.arena, cases[i].record);
        add_hosts(&world, cases[i].type, cases[i].count, cases[i].right);
        check_verdict(cases[i].name, &world, cases[i].want);
        world_clear(&world);
    }
}

/* 10^7 steps for libspf2, which counts to ten anew in every include; ten for us. */
static void test_include_tree(void **state)
{
    struct world world;
    clock_t start = clock();

    (void)state;
    world_init(&world);
    for (char letter = 'a'; letter < 'm'; letter++) {
        char *text = arena_alloc(world.arena, 400);
        char name[2] = {letter, '\0'};

        strcpy(text, "v=spf1");
        for (int i = 0; i < 10; i++) {
            sprintf(text + strlen(text), " include:%d.%c.example", i, letter + 1);
        }
        for (int i = 0; i < 10; i++) {
            char *full = arena_alloc(world.arena, 40);

            sprintf(full, "%d.%s.example", i, name);
            spf_zone_add(&world.zone, (struct spf_zone_row){full, DNS_TYPE_TXT,
                                                            bytes_from_text(text), DNS_OK});
        }
    }
    world.identity.sender.domain = BYTES("0.a.example");
    check_verdict("tree", &world, AUTH_PERMERROR);
    CHECK_INT("terms", world.verdict.terms, 11);
    CHECK_TEXT("why", world.verdict.why, "more than 10 terms that need DNS");
    CHECK_TRUE("time", clock() - start < CLOCKS_PER_SEC);
    world_clear(&world);
}

/* "<number>.example" with 8 KB of `part`, and an include of the next. */
static void add_heavy_record(struct world *world, unsigned number, const char *part)
{
    bool is_macro = part[0] == '%';
    char *name = arena_alloc(world->arena, 20);
    struct strbuf text;

    sprintf(name, "%u.example", number);
    strbuf_init(&text, SPF_RECORD_LIMIT);
    strbuf_add_text(&text, is_macro ? "v=spf1 exists:" : "v=spf1");
    while (text.len < 8100) {
        strbuf_add_text(&text, part);
    }
    strbuf_addf(&text, "%s include:%u.example -all", is_macro ? ".h1.example.com" : " mx",
                number + 1);
    assert_false(text.overflowed);
    spf_zone_add(&world->zone,
                 (struct spf_zone_row){name, DNS_TYPE_TXT,
                                       arena_copy(world->arena, strbuf_bytes(&text)), DNS_OK});
    strbuf_clear(&text);
}

/* A chain of records with what costs most to look at, one answer a round. */
static void test_heavy_records(void **state)
{
    static const char *const parts[] = {" ip4:10.0.0.1", " ip6:::", " a", "%{l1.-+,/_=}",
                                        "%{p}"};
    static const char local[] =
        "================================================================";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        clock_t start = clock();
        struct world world;

        world_init(&world);
        world.identity.sender = (struct smtp_mailbox){.local = bytes_from_text(local),
                                                      .domain = BYTES("0.example")};
        add_hosts(&world, DNS_TYPE_PTR, 10, 1);
        for (unsigned j = 0; j < 12; j++) {
            add_heavy_record(&world, j, parts[i]);
        }
        check_verdict(parts[i], &world, AUTH_PERMERROR);
        CHECK_TRUE(parts[i], clock() - start < CLOCKS_PER_SEC);
        world_clear(&world);
    }
}

struct walk {
    struct strbuf text;
};

static void on_record(void *context, unsigned depth, struct bytes domain, struct bytes record)
{
    struct walk *walk = context;

    strbuf_addf(&walk->text, "%u " BYTES_FMT " " BYTES_FMT "\n", depth, BYTES_ARG(domain),
                BYTES_ARG(record));
}

/* A chain as the large providers publish it: everything a record names comes in one round. */
static void test_chain(void **state)
{
    struct walk walk;
    struct spf_watcher watch = {.context = &walk, .on_record = on_record};
    struct world world;

    (void)state;
    world_init(&world);
    strbuf_init(&walk.text, 10000);
    spf_zone_read(&world.zone, world.arena,
                  "example.com TXT v=spf1 redirect=_spf.x.example\n"
                  "_spf.x.example TXT v=spf1 include:_1.x.example include:_2.x.example ~all\n"
                  "_1.x.example TXT v=spf1 ip4:198.51.100.0/24 ~all\n"
                  "_2.x.example TXT v=spf1 ip4:192.0.2.0/24 ~all");
    evaluate(&world, SPF_MAIL_FROM, 0);
    CHECK_INT("chain", world.verdict.result, AUTH_PASS);
    CHECK_INT("rounds", world.rounds, 4);
    CHECK_INT("terms", world.verdict.terms, 3);
    CHECK_BYTES("mechanism", world.verdict.mechanism, BYTES("include:_2.x.example"));
    spf_checker_watch(world.checker, &watch);
    spf_check(world.checker, &world.identity, SPF_MAIL_FROM, world.facts, world.arena,
              &world.verdict);
    CHECK_TEXT("walk", strbuf_text(&walk.text),
               "0 example.com v=spf1 redirect=_spf.x.example\n"
               "0 _spf.x.example v=spf1 include:_1.x.example include:_2.x.example ~all\n"
               "1 _1.x.example v=spf1 ip4:198.51.100.0/24 ~all\n"
               "1 _2.x.example v=spf1 ip4:192.0.2.0/24 ~all\n");
    strbuf_clear(&walk.text);
    world_clear(&world);
}

/* NUL in a record is no end of a text. */
static void test_nul_in_record(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    spf_zone_add(&world.zone,
                 (struct spf_zone_row){"example.com", DNS_TYPE_TXT,
                                       BYTES("v=spf1 a:x.example\0 -all"), DNS_OK});
    check_verdict("NUL", &world, AUTH_PERMERROR);
    CHECK_TEXT("why", world.verdict.why, "syntax error in an SPF record");
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defects),
        cmocka_unit_test(test_explanation),
        cmocka_unit_test(test_no_explanation),
        cmocka_unit_test(test_long_records),
        cmocka_unit_test(test_crashing_records),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_literal_sender),
        cmocka_unit_test(test_host_limits),
        cmocka_unit_test(test_include_tree),
        cmocka_unit_test(test_heavy_records),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_nul_in_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
