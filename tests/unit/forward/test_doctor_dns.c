#include "support/check.h"

#include "forward/doctor_dns.h"
#include "forward/doctor_mx.h"
#include "support/spf_zone.h"

enum { TEXT_LIMIT = 65536 };

enum subject { HOST, RETURN, DOMAIN, KEY };

static struct arena *arena;
static struct dns_facts *facts;
static struct signing_key *key;
static struct ip_address sending[2], receiving[2];
static const struct doctor_names names = {.hostname = {"mx.example.org", 14},
                                          .helo = {"mx.example.org", 14},
                                          .sending = sending,
                                          .sending_count = 2,
                                          .receiving = receiving,
                                          .receiving_count = 2};
static const struct doctor_names unknown_names = {.hostname = {"mx.example.org", 14},
                                                  .helo = {"mx.example.org", 14}};
/* Names its own addresses. */
static const struct doctor_names inner_names = {.hostname = {"in.example.org", 14},
                                                .helo = {"mx.example.org", 14},
                                                .receiving = receiving,
                                                .receiving_count = 2};

static enum auth_status check(enum subject subject, const struct doctor_names *who,
                              struct findings *findings)
{
    const struct publish_key ours = {
        .selector = BYTES("s1"), .domain = BYTES("example.org"), .key = key};

    switch (subject) {
    case HOST:
        return doctor_dns_host(who, facts, findings);
    case RETURN:
        return doctor_dns_return(who, BYTES("srs.example.org"), facts, findings);
    case DOMAIN:
        return doctor_dns_domain(who, BYTES("example.org"), facts, findings);
    case KEY:
        return doctor_dns_key(&ours, facts, findings);
    }
    return AUTH_DONE;
}

/* One answer a round when slow: what is found may not depend on what came first. */
static void run(enum subject subject, const struct doctor_names *who, const char *zone_text,
                bool is_slow, struct findings *findings)
{
    struct spf_zone zone = {.count = 0};
    size_t rounds = 0;

    spf_zone_read(&zone, arena, zone_text);
    dns_facts_reset(facts);
    findings_init(findings, arena);
    findings_begin(findings, "domain", BYTES("example.org"));
    while (check(subject, who, findings) == AUTH_NEEDS_DNS) {
        size_t count;

        (void)dns_facts_wanted(facts, &count);
        CHECK_TRUE("waits for something, and not for ever", count > 0 && ++rounds < 300);
        CHECK_TRUE("nothing is said before all is known", findings->first == NULL);
        for (count = is_slow ? 1 : count; count > 0; count--) {
            size_t left;
            struct dns_question question = dns_facts_wanted(facts, &left)[0];
            spf_zone_answer(&zone, facts, &question);
        }
    }
}

/* "error address: mx.example.org has no A record": what is not ok, a line each. */
static void add_lines(struct strbuf *text, const struct findings *findings)
{
    for (const struct finding *at = findings->first; at != NULL; at = at->next) {
        if (at->severity != FINDING_OK) {
            strbuf_addf(text, "%s %s: " BYTES_FMT "\n", finding_severity_text(at->severity),
                        at->check, BYTES_ARG(at->found));
            CHECK_TRUE(at->check, at->why != NULL);
        }
    }
}

#define ADDRESSES "mx.example.org A 192.0.2.25\nmx.example.org AAAA 2001:db8::25\n"
#define V6 "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
#define REVERSE "25.2.0.192.in-addr.arpa PTR mx.example.org\n" V6 " PTR mx.example.org\n"
#define HOST_SPF "mx.example.org TXT v=spf1 a -all\n"
#define SRS_MX "srs.example.org MX mx.example.org\n"
#define SRS_SPF "srs.example.org TXT v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all\n"
#define DOMAIN_MX "example.org MX mx.example.org\n"
#define DMARC "_dmarc.example.org TXT v=DMARC1; p=reject\n"

static void test_what_is_found(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        enum subject subject;
        const struct doctor_names *who;
        const char *zone, *found, *fix; /* the fix of the first */
    } cases[] = {
        {"host, all well", HOST, &names, ADDRESSES REVERSE HOST_SPF, "", ""},
        {"host, address not known", HOST, &unknown_names, "",
         "unknown address: under which address the world sees this host cannot be known from here\n",
         "postilion doctor --address ADDRESS, or doctor { address ADDRESS } for the daemon"},
        {"host, one address not in DNS", HOST, &names, "mx.example.org A 192.0.2.25\n" REVERSE HOST_SPF,
         "error address: mx.example.org has no AAAA record\n"
         "error reverse-name: 2001:db8::25 has a name that leads nowhere\n"
         "warning helo-spf: mx.example.org has TXT v=spf1 a -all\n",
         "mx.example.org. IN AAAA 2001:db8::25"},
        {"host, no PTR", HOST, &names, ADDRESSES V6 " PTR mx.example.org\n" HOST_SPF,
         "error reverse-name: 192.0.2.25 has no reverse name\n",
         "25.2.0.192.in-addr.arpa. IN PTR mx.example.org.\n(whoever gave you the address publishes it)"},
        {"host, another name", HOST, &names, ADDRESSES "25.2.0.192.in-addr.arpa PTR a.example\n" V6 " PTR mx.example.org\na.example A 192.0.2.25\n" HOST_SPF,
         "note reverse-name: 192.0.2.25 is a.example, both ways, while we say that we are mx.example.org\n",
         "25.2.0.192.in-addr.arpa. IN PTR mx.example.org.\n(whoever gave you the address publishes it)"},
        {"host, no answer", HOST, &names, "mx.example.org A 192.0.2.25\nmx.example.org AAAA !\n" V6 " PTR !\n25.2.0.192.in-addr.arpa PTR mx.example.org\n" "mx.example.org TXT !\n",
         "unknown address: mx.example.org: no answer from DNS\n"
         "unknown reverse-name: 2001:db8::25: no answer from DNS\n"
         "unknown helo-spf: mx.example.org: no answer from DNS\n", ""},

        {"return, all well", RETURN, &names, SRS_MX SRS_SPF ADDRESSES, "", ""},
        {"return, no SPF", RETURN, &names, SRS_MX ADDRESSES, "error srs-spf: srs.example.org has no TXT record\n",
         "srs.example.org. IN TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all\""},
        {"return, SPF of one address", RETURN, &names, SRS_MX "srs.example.org TXT v=spf1 ip4:192.0.2.25 ~all\n" ADDRESSES,
         "error srs-spf: srs.example.org has TXT v=spf1 ip4:192.0.2.25 ~all\n",
         "srs.example.org. IN TXT \"v=spf1 ip6:2001:db8::25 ip4:192.0.2.25 ~all\"\n(in the place of the record that stands there)"},
        {"return, SPF for everybody", RETURN, &names, SRS_MX "srs.example.org TXT v=spf1 +all\n" ADDRESSES,
         "warning srs-spf: srs.example.org lets everybody send: v=spf1 +all\n", "let the record end in -all instead"},
        {"return, addresses not known", RETURN, &unknown_names, SRS_MX SRS_SPF ADDRESSES,
         "unknown srs-spf: under which address the world sees this host cannot be known from here\n",
         "postilion doctor --address ADDRESS, or doctor { address ADDRESS } for the daemon"},
        {"return, MX elsewhere, addresses not known", RETURN, &unknown_names, "srs.example.org MX a.example\na.example A 192.0.2.7\n",
         "unknown srs-mx: srs.example.org has MX 0 a.example: whether that is here cannot be known\n"
         "unknown srs-spf: under which address the world sees this host cannot be known from here\n",
         "postilion doctor --address ADDRESS"},

        {"domain, all well", DOMAIN, &names, DOMAIN_MX DMARC ADDRESSES, "", ""},
        {"domain, by address", DOMAIN, &inner_names, "example.org MX front.example\nfront.example A 192.0.2.25\n" DMARC, "", ""},
        {"domain, nothing", DOMAIN, &names, "", "error mx: example.org has no MX record\nwarning dmarc: example.org has no DMARC record\n",
         "example.org. IN MX 10 mx.example.org."},
        {"domain, web server", DOMAIN, &names, "example.org A 192.0.2.80\n" DMARC, "error mx: example.org has no MX record\n",
         "example.org. IN MX 10 mx.example.org."},
        {"domain, implicit MX", DOMAIN, &names, "example.org A 192.0.2.25\n" DMARC,
         "note mx: example.org has no MX record, its own address leads here\n", "example.org. IN MX 10 mx.example.org."},
        {"domain, null MX", DOMAIN, &names, "example.org MX \n" DMARC, "error mx: example.org says that it takes no mail (MX 0 .)\n",
         "example.org. IN MX 10 mx.example.org.\n(in the place of the record that stands there)"},
        {"domain, MX elsewhere", DOMAIN, &names, "example.org MX a.example\na.example A 192.0.2.7\n" DMARC,
         "error mx: example.org has MX 0 a.example, not us\n",
         "example.org. IN MX 10 mx.example.org.\n(in the place of what stands there, or before it)"},
        {"domain, MX nobody knows", DOMAIN, &names, "example.org MX a.example\na.example A !\n" DMARC,
         "unknown mx: example.org: the addresses of its MX hosts have no answer from DNS\n", ""},
        {"domain, our MX host without address", DOMAIN, &names, DOMAIN_MX DMARC,
         "error mx-host: MX host mx.example.org of example.org has no address\n",
         "give it an A or AAAA record, or take it out of the MX records"},
        {"domain, private MX", DOMAIN, &names, DOMAIN_MX "example.org MX in.example\nin.example A 192.168.1.2\n" DMARC ADDRESSES,
         "warning mx-host: MX host in.example of example.org has an address that nobody outside can reach\n",
         "let it have only addresses that the world can reach"},
        {"domain, MX has no answer", DOMAIN, &names, "example.org MX !\n" DMARC, "unknown mx: example.org: no answer from DNS\n", ""},
        {"DMARC, p=none", DOMAIN, &names, DOMAIN_MX ADDRESSES "_dmarc.example.org TXT v=DMARC1; p=none\n",
         "note dmarc: example.org has p=none\n", ""},
        {"DMARC, two", DOMAIN, &names, DOMAIN_MX ADDRESSES DMARC DMARC, "error dmarc: example.org has 2 DMARC records\n", "remove all but one"},
        {"DMARC, no policy", DOMAIN, &names, DOMAIN_MX ADDRESSES "_dmarc.example.org TXT v=DMARC1; p=maybe\n",
         "warning dmarc: the record of example.org asks for nothing that can be read\n",
         "_dmarc.example.org. IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@example.org\""},
        {"DMARC, no answer", DOMAIN, &names, DOMAIN_MX ADDRESSES "_dmarc.example.org TXT !\n",
         "unknown dmarc: example.org: no answer from DNS\n", ""},

        {"key, no record", KEY, &names, "", "warning key: s1._domainkey.example.org is not in DNS\n", NULL},
        {"key, other", KEY, &names, "s1._domainkey.example.org TXT v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n",
         "error key: s1._domainkey.example.org has another key\n", NULL},
        {"key, revoked", KEY, &names, "s1._domainkey.example.org TXT v=DKIM1; p=\n",
         "error key: s1._domainkey.example.org says that this key is revoked (p= is empty)\n", NULL},
        {"key, no answer", KEY, &names, "s1._domainkey.example.org TXT !\n", "unknown key: s1._domainkey.example.org: no answer from DNS\n", ""},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (unsigned is_slow = 0; is_slow < 2; is_slow++) {
            struct findings findings;
            const struct finding *bad;
            struct strbuf text;

            run(cases[i].subject, cases[i].who, cases[i].zone, is_slow != 0, &findings);
            strbuf_init(&text, TEXT_LIMIT);
            add_lines(&text, &findings);
            CHECK_TEXT(cases[i].name, strbuf_text(&text), cases[i].found);
            for (bad = findings.first; bad != NULL && bad->severity == FINDING_OK;
                 bad = bad->next) {
            }
            if (cases[i].fix != NULL && bad != NULL) {
                CHECK_BYTES(cases[i].name, bad->fix, bytes_from_text(cases[i].fix));
            }
            strbuf_clear(&text);
        }
    }
}

/* What is printed for a key is what makes it good. */
static void test_a_key(void **state)
{
    struct findings findings;
    struct strbuf zone;

    (void)state;
    strbuf_init(&zone, TEXT_LIMIT);
    strbuf_add_text(&zone, "s1._domainkey.example.org TXT ");
    signing_key_add_record(key, &zone);
    strbuf_add_char(&zone, '\n');
    run(KEY, &names, strbuf_text(&zone), false, &findings);
    CHECK_INT("good", findings.counts[FINDING_OK], 1);
    strbuf_add_text(&zone, "s1._domainkey.example.org TXT hello\n");
    run(KEY, &names, strbuf_text(&zone), false, &findings);
    CHECK_INT("one too many", findings.counts[FINDING_WARNING], 1);
    strbuf_clear(&zone);
}

static void test_names_of_ours(void **state)
{
    struct findings findings;
    struct bytes hosts[2];

    (void)state;
    run(DOMAIN, &names,
        "example.org MX other.example\nexample.org MX in.example\nexample.org MX "
        "mx.example.org\n"
        "in.example A 192.0.2.25\nother.example A 192.0.2.9\n",
        false, &findings);
    CHECK_INT("count",
              doctor_dns_own_hosts(&names, BYTES("example.org"), facts, arena, hosts, 2), 2);
    CHECK_BYTES("first", hosts[0], BYTES("in.example"));
    CHECK_BYTES("second", hosts[1], BYTES("mx.example.org"));
    CHECK_INT("at most one",
              doctor_dns_own_hosts(&names, BYTES("example.org"), facts, arena, hosts, 1), 1);
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    facts = dns_facts_new();
    key = signing_key_make(SIGNING_ED25519_SHA256);
    return ip_address_parse(BYTES("192.0.2.25"), &sending[0]) &&
                   ip_address_parse(BYTES("2001:db8::25"), &sending[1]) &&
                   ip_address_parse(BYTES("192.0.2.25"), &receiving[0]) &&
                   ip_address_parse(BYTES("2001:db8::25"), &receiving[1])
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    signing_key_free(&key);
    dns_facts_free(&facts);
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_found),
        cmocka_unit_test(test_a_key),
        cmocka_unit_test(test_names_of_ours),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
