#include "support/check.h"

#include "forward/publish_record.h"
#include "support/spf_zone.h"

enum { TEXT_LIMIT = 65536 };

static struct arena *arena;
static struct dns_facts *facts;
static struct signing_key *key;

static const struct bytes domains[] = {{"example.org", 11}};
static const struct bytes srs_domains[] = {{"srs.example.org", 15}};
static struct ip_address addresses[2];
static struct publish_key keys[1];
static struct publish_host host = {
    .hostname = {"mx.example.org", 14},
    .addresses = addresses,
    .address_count = 1,
    .domains = domains,
    .domain_count = 1,
    .srs_domains = srs_domains,
    .srs_domain_count = 1,
};

/* One answer a round when slow: what is said may not depend on what came first. */
static void run(const struct publish_host *input, const char *zone_text, bool is_slow,
                struct publish_list *list)
{
    struct spf_zone zone = {.count = 0};
    size_t rounds = 0;

    spf_zone_read(&zone, arena, zone_text);
    dns_facts_reset(facts);
    while (publish_records(input, facts, arena, list) == AUTH_NEEDS_DNS) {
        size_t count;
        (void)dns_facts_wanted(facts, &count);
        CHECK_TRUE("waits for something, and not for ever", count > 0 && ++rounds < 300);
        for (count = is_slow ? 1 : count; count > 0; count--) {
            size_t left;
            struct dns_question question = dns_facts_wanted(facts, &left)[0];
            spf_zone_answer(&zone, facts, &question);
        }
    }
    CHECK_TRUE("few rounds", is_slow || rounds <= 4);
}

static const struct publish_record *find(const struct publish_list *list,
                                         enum publish_kind kind)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->records[i].kind == kind) {
            return &list->records[i];
        }
    }
    fail_msg("no record of kind %d", (int)kind);
    return NULL;
}

static void test_what_stands_there(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *zone;
        enum publish_kind kind;
        const char *state, *value, *present;
    } cases[] = {
        {"no address", "", PUBLISH_HOST_ADDRESS, "missing", "192.0.2.25", ""},
        {"our address", "mx.example.org A 192.0.2.25\n", PUBLISH_HOST_ADDRESS, "right", "192.0.2.25", ""},
        {"another address", "mx.example.org A 192.0.2.7\n", PUBLISH_HOST_ADDRESS, "wrong", "192.0.2.25", "192.0.2.7"},
        {"no answer", "mx.example.org A !\n", PUBLISH_HOST_ADDRESS, "unknown", "192.0.2.25", ""},
        {"only IPv6", "mx.example.org AAAA 2001:db8::1\n", PUBLISH_HOST_ADDRESS, "missing", "192.0.2.25", ""},
        {"no reverse name", "", PUBLISH_REVERSE_NAME, "missing", "mx.example.org.", ""},
        {"reverse name", "25.2.0.192.in-addr.arpa PTR mx.example.org\n", PUBLISH_REVERSE_NAME, "right", "mx.example.org.", ""},
        {"the provider's name", "25.2.0.192.in-addr.arpa PTR static-25.isp.example\n", PUBLISH_REVERSE_NAME, "wrong", "mx.example.org.", "static-25.isp.example"},
        {"no MX", "", PUBLISH_DOMAIN_MX, "missing", "10 mx.example.org.", ""},
        {"our MX", "example.org MX mx.example.org\n", PUBLISH_DOMAIN_MX, "right", "10 mx.example.org.", ""},
        {"one of several", "example.org MX other.example\nexample.org MX mx.example.org\n", PUBLISH_DOMAIN_MX, "right", "10 mx.example.org.", ""},
        {"another name of ours", "example.org MX in.example.org\nin.example.org A 192.0.2.25\n", PUBLISH_DOMAIN_MX, "right", "10 mx.example.org.", ""},
        {"another host", "example.org MX mx.old.example\nmx.old.example A 192.0.2.1\n", PUBLISH_DOMAIN_MX, "wrong", "10 mx.example.org.", "0 mx.old.example"},
        {"a host nobody knows", "example.org MX mx.old.example\nmx.old.example A !\n", PUBLISH_DOMAIN_MX, "unknown", "10 mx.example.org.", ""},
        {"null MX", "example.org MX \n", PUBLISH_DOMAIN_MX, "wrong", "10 mx.example.org.", "0 ."},
        {"no MX, our address", "srs.example.org A 192.0.2.25\n", PUBLISH_RETURN_MX, "right", "10 mx.example.org.", ""},
        {"no MX, the web server's address", "srs.example.org A 192.0.2.80\n", PUBLISH_RETURN_MX, "missing", "10 mx.example.org.", ""},
        {"no SPF", "", PUBLISH_RETURN_SPF, "missing", "v=spf1 ip4:192.0.2.25 -all", ""},
        {"no SPF, other text", "srs.example.org TXT site-verification=1\n", PUBLISH_RETURN_SPF, "missing", "v=spf1 ip4:192.0.2.25 -all", ""},
        {"SPF in other words", "srs.example.org TXT v=spf1 mx -all\nsrs.example.org MX mx.example.org\nmx.example.org A 192.0.2.25\n",
         PUBLISH_RETURN_SPF, "right", "v=spf1 ip4:192.0.2.25 -all", ""},
        {"SPF of others", "srs.example.org TXT v=spf1 include:_spf.example ~all\n_spf.example TXT v=spf1 ip4:198.51.100.0/24 -all\n",
         PUBLISH_RETURN_SPF, "wrong", "v=spf1 ip4:192.0.2.25 include:_spf.example ~all", "v=spf1 include:_spf.example ~all"},
        {"SPF by include", "srs.example.org TXT v=spf1 include:_spf.example -all\n_spf.example TXT v=spf1 ip4:192.0.2.0/24 -all\n",
         PUBLISH_RETURN_SPF, "right", "v=spf1 ip4:192.0.2.25 -all", ""},
        {"SPF with an include nobody answers for", "srs.example.org TXT v=spf1 include:_spf.example -all\n_spf.example TXT !\n",
         PUBLISH_RETURN_SPF, "unknown", "v=spf1 ip4:192.0.2.25 -all", ""},
        {"two SPF records", "srs.example.org TXT v=spf1 ip4:192.0.2.25 -all\nsrs.example.org TXT v=spf1 mx -all\n",
         PUBLISH_RETURN_SPF, "wrong", "v=spf1 ip4:192.0.2.25 mx -all", "v=spf1 ip4:192.0.2.25 -all, v=spf1 mx -all"},
        {"SPF that nobody can read", "srs.example.org TXT v=spf1 ip4:192.0.2.25. -all\n",
         PUBLISH_RETURN_SPF, "wrong", "v=spf1 ip4:192.0.2.25 -all", "v=spf1 ip4:192.0.2.25. -all"},
        {"SPF of the host", "mx.example.org TXT v=spf1 a -all\nmx.example.org A 192.0.2.25\n", PUBLISH_HOST_SPF, "right", "v=spf1 ip4:192.0.2.25 -all", ""},
        {"no DMARC", "", PUBLISH_DMARC, "missing", "v=DMARC1; p=none", ""},
        {"DMARC", "_dmarc.example.org TXT v=DMARC1; p=reject\n", PUBLISH_DMARC, "right", "v=DMARC1; p=none", ""},
        {"no DMARC record", "_dmarc.example.org TXT v=dmarc1\n", PUBLISH_DMARC, "wrong", "v=DMARC1; p=none", "v=dmarc1"},
        {"DMARC: no answer", "_dmarc.example.org TXT !\n", PUBLISH_DMARC, "unknown", "v=DMARC1; p=none", ""},
        {"markup of strangers", "25.2.0.192.in-addr.arpa PTR \x1b[2Jboo\n", PUBLISH_REVERSE_NAME, "wrong", "mx.example.org.", "\\x1b[2Jboo"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int slow = 0; slow < 2; slow++) {
            struct publish_list list;
            const struct publish_record *record;

            run(&host, cases[i].zone, slow, &list);
            record = find(&list, cases[i].kind);
            CHECK_TEXT(cases[i].name, publish_state_text(record->state), cases[i].state);
            CHECK_BYTES(cases[i].name, record->value, bytes_from_text(cases[i].value));
            CHECK_BYTES(cases[i].name, record->present, bytes_from_text(cases[i].present));
            CHECK_TRUE(cases[i].name, record->why != NULL);
        }
        arena_reset(arena);
    }
}

/* What one sees of the key in DNS: strings split in any way, other tags, another key. */
static void test_keys(void **state)
{
    static const char *const zones[] = {"%s", "%s; t=s", "%s; s=other", "v=DKIM1; p="};
    static const enum publish_state wants[] = {PUBLISH_RIGHT, PUBLISH_RIGHT, PUBLISH_WRONG,
                                               PUBLISH_WRONG};
    struct publish_host input = host;
    struct strbuf record, zone;
    struct publish_list list;

    (void)state;
    input.keys = keys;
    input.key_count = 1;
    strbuf_init(&record, TEXT_LIMIT);
    strbuf_init(&zone, TEXT_LIMIT);
    signing_key_add_record(key, &record);
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        struct bytes before = bytes_from_text(zones[i]), after = before;

        before = bytes_first(before, bytes_find_part(before, BYTES("%s")));
        after = bytes_skip(after, before.len + 2);
        strbuf_reset(&zone);
        strbuf_addf(&zone, "s1._domainkey.srs.example.org TXT " BYTES_FMT, BYTES_ARG(before));
        if (bytes_starts_with(bytes_from_text(zones[i]), BYTES("%s"))) {
            strbuf_addf(&zone, "%s" BYTES_FMT, strbuf_text(&record), BYTES_ARG(after));
        }
        run(&input, strbuf_text(&zone), false, &list);
        CHECK_INT(zones[i], find(&list, PUBLISH_KEY)->state, wants[i]);
        CHECK_BYTES(zones[i], find(&list, PUBLISH_KEY)->value, strbuf_bytes(&record));
    }
    run(&input, "", false, &list);
    CHECK_INT("none", find(&list, PUBLISH_KEY)->state, PUBLISH_MISSING);
    strbuf_clear(&record);
    strbuf_clear(&zone);
}

static const struct bytes one_name[] = {{"mx.example.org", 14}};

static size_t count_name(const struct publish_list *list, const char *name, uint16_t type)
{
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        count += list->records[i].type == type &&
                 bytes_equal(list->records[i].name, bytes_from_text(name));
    }
    return count;
}

/* Without an SRS domain of its own the host's name is all of them; and a domain may be its own SRS domain. */
static void test_each_record_once(void **state)
{
    struct publish_host input = host;
    struct publish_list list;

    (void)state;
    input.srs_domains = one_name;
    input.address_count = 2;
    run(&input, "", false, &list);
    CHECK_INT("SPF", count_name(&list, "mx.example.org", DNS_TYPE_TXT), 1);
    CHECK_INT("MX", count_name(&list, "mx.example.org", DNS_TYPE_MX), 1);
    CHECK_INT("A", count_name(&list, "mx.example.org", DNS_TYPE_A), 1);
    CHECK_INT("AAAA", count_name(&list, "mx.example.org", DNS_TYPE_AAAA), 1);
    CHECK_INT("PTR", find(&list, PUBLISH_REVERSE_NAME)->type, DNS_TYPE_PTR);
    CHECK_INT("all", list.count, 8);
    input.srs_domains = domains;
    run(&input, "", false, &list);
    CHECK_INT("MX of both", count_name(&list, "example.org", DNS_TYPE_MX), 1);
    CHECK_INT("DMARC of both", count_name(&list, "_dmarc.example.org", DNS_TYPE_TXT), 1);
}

/* The record of a parent is enough; of a domain elsewhere it is not. */
static void test_dmarc_of_the_srs_domain(void **state)
{
    static const struct bytes elsewhere[] = {{"srs.example.net", 15}};
    struct publish_host input = host;
    struct publish_list list;

    (void)state;
    run(&input, "", false, &list);
    CHECK_INT("below a domain of ours",
              count_name(&list, "_dmarc.srs.example.org", DNS_TYPE_TXT), 0);
    input.srs_domains = elsewhere;
    run(&input, "_dmarc.example.org TXT v=DMARC1; p=none\n", false, &list);
    CHECK_INT("elsewhere", list.records[list.count - 1].state, PUBLISH_MISSING);
    CHECK_BYTES("elsewhere", list.records[list.count - 1].name,
                BYTES("_dmarc.srs.example.net"));
    run(&input, "_dmarc.example.net TXT v=DMARC1; p=reject\n", false, &list);
    CHECK_INT("at its parent", list.records[list.count - 1].state, PUBLISH_RIGHT);
}

static void test_without_dns(void **state)
{
    struct publish_list list;

    (void)state;
    CHECK_INT("done at once", publish_records(&host, NULL, arena, &list), AUTH_DONE);
    for (size_t i = 0; i < list.count; i++) {
        CHECK_INT("unknown", list.records[i].state, PUBLISH_UNKNOWN);
        CHECK_TRUE("what to publish", list.records[i].value.len > 0);
    }
    CHECK_INT("all", list.count, 7);
}

static void test_tlsa(void **state)
{
    static const unsigned char digest[PUBLISH_DIGEST_OCTETS] = {0xab, 0xcd};
    struct publish_host input = host;
    struct publish_list list;
    struct dns_record record = {.type = DNS_TYPE_TLSA};
    struct dns_answer answer = {
        .status = DNS_OK, .is_secure = true, .records = &record, .count = 1};
    char rdata[3 + PUBLISH_DIGEST_OCTETS] = "\3\1\1";

    (void)state;
    memcpy(rdata + 3, digest, sizeof digest);
    input.tlsa_digest = digest;
    run(&input, "", false, &list);
    CHECK_INT("none", find(&list, PUBLISH_TLSA)->state, PUBLISH_MISSING);
    CHECK_BYTES("value", bytes_first(find(&list, PUBLISH_TLSA)->value, 10),
                BYTES("3 1 1 abcd"));
    for (int octet = 0; octet < 2; octet++) {
        rdata[3] = octet == 0 ? (char)0xab : 0;
        record.rdata = bytes_of(rdata, sizeof rdata);
        dns_facts_reset(facts);
        (void)publish_records(&input, facts, arena, &list);
        dns_facts_put(facts, BYTES("_25._tcp.mx.example.org"), DNS_TYPE_TLSA, &answer);
        (void)publish_records(&input, facts, arena, &list);
        CHECK_INT("ours or not", find(&list, PUBLISH_TLSA)->state,
                  octet == 0 ? PUBLISH_RIGHT : PUBLISH_WRONG);
        CHECK_BYTES("what stands there", bytes_first(find(&list, PUBLISH_TLSA)->present, 10),
                    octet == 0 ? BYTES("") : BYTES("3 1 1 00cd"));
    }
}

static void test_the_zone(void **state)
{
    static const char zone[] =
        "mx.example.org A 192.0.2.25\n"
        "mx.example.org TXT v=spf1 a -all\n"
        "example.org MX mx.example.org\n"
        "srs.example.org MX mx.example.org\n"
        "srs.example.org TXT v=spf1 mx include:a.example \"quoted\" ~all\n"
        "_dmarc.example.org TXT v=DMARC1; p=none\n";
    struct publish_list list;
    struct strbuf out;

    (void)state;
    strbuf_init(&out, TEXT_LIMIT);
    run(&host, zone, false, &list);
    CHECK_INT("to publish", publish_list_add_zone(&out, &list), 2);
    CHECK_TEXT(
        "zone", strbuf_text(&out),
        "; the name of the address: without it big providers refuse everything\n"
        "; it is set where the address was rented, not in a zone of yours\n"
        ";25.2.0.192.in-addr.arpa. IN PTR mx.example.org.\n"
        "; forwarded mail leaves with senders of this domain: SPF passes at the next hop\n"
        "; now: v=spf1 mx include:a.example \"quoted\" ~all\n"
        "; in place of the record that stands there, not beside it\n"
        "srs.example.org. IN TXT \"v=spf1 ip4:192.0.2.25 -all\"\n");
    strbuf_clear(&out);
}

static void test_long_text_is_split(void **state)
{
    struct publish_record record = {.name = BYTES("a.example"), .type = DNS_TYPE_TXT};
    char text[300];
    struct strbuf out;

    (void)state;
    strbuf_init(&out, TEXT_LIMIT);
    memset(text, 'x', sizeof text);
    for (size_t len = 254; len <= 256; len++) {
        strbuf_reset(&out);
        record.value = bytes_of(text, len);
        publish_record_add_line(&out, &record);
        CHECK_INT("octets", out.len,
                  sizeof "a.example. IN TXT " - 1 + len + 2 + (len > 255 ? 3 : 0));
    }
    CHECK_TRUE("the rest", bytes_ends_with_nocase(strbuf_bytes(&out), BYTES("x\" \"x\"")));
    strbuf_reset(&out);
    record.value = BYTES("a\"b\\c\x80");
    publish_record_add_value(&out, &record);
    CHECK_TEXT("escaped", strbuf_text(&out), "\"a\\\"b\\\\c\\128\"");
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_stands_there),
                                       cmocka_unit_test(test_keys),
                                       cmocka_unit_test(test_each_record_once),
                                       cmocka_unit_test(test_dmarc_of_the_srs_domain),
                                       cmocka_unit_test(test_without_dns),
                                       cmocka_unit_test(test_tlsa),
                                       cmocka_unit_test(test_the_zone),
                                       cmocka_unit_test(test_long_text_is_split)};
    int failed;

    arena = arena_new();
    facts = dns_facts_new();
    key = signing_key_make(SIGNING_RSA_SHA256);
    keys[0] = (struct publish_key){BYTES("s1"), BYTES("srs.example.org"), key};
    (void)ip_address_parse(BYTES("192.0.2.25"), &addresses[0]);
    (void)ip_address_parse(BYTES("2001:db8::25"), &addresses[1]);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    signing_key_free(&key);
    dns_facts_free(&facts);
    arena_free(&arena);
    return failed;
}
