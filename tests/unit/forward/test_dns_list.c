#include "support/check.h"

#include "base/strbuf.h"
#include "forward/dns_list.h"

static struct arena *arena;
static struct dns_facts *facts;

/* "NAME value ..., NAME ...": addresses for A, words with " for TXT, "!" for no answer. A name that
 * begins with "*" stands for all that end so. */
static void answer_question(const char *zone, struct dns_question question)
{
    struct dns_answer answer = {.status = DNS_NXDOMAIN, .owner = question.name};
    struct dns_record records[16];
    struct bytes rest = bytes_from_text(zone);

    while (rest.len != 0 && answer.status == DNS_NXDOMAIN) {
        struct bytes entry = bytes_trim(bytes_cut(&rest, ','));
        struct bytes name = bytes_cut(&entry, ' ');

        if (!bytes_equal(name, question.name) &&
            !(bytes_starts_with(name, BYTES("*")) &&
              bytes_ends_with_nocase(question.name, bytes_skip(name, 1)))) {
            continue;
        }
        answer = (struct dns_answer){.status = DNS_NODATA, .records = records};
        while (entry.len != 0) {
            struct bytes word = bytes_cut(&entry, ' ');
            struct dns_record *record = &records[answer.count];

            *record = (struct dns_record){.type = question.type};
            if (bytes_equal(word, BYTES("!"))) {
                answer.status = DNS_TEMPFAIL;
            } else if (word.data[0] == '"') {
                record->text = bytes_skip(word, 1);
                answer.count += question.type == DNS_TYPE_TXT;
            } else if (question.type == DNS_TYPE_A) {
                CHECK_TRUE(zone, ip_address_parse(word, &record->address));
                answer.count++;
            }
        }
        answer.status = answer.count != 0 ? DNS_OK : answer.status;
    }
    dns_facts_put(facts, question.name, question.type, &answer);
}

static size_t run_check(const char *zone, const struct dns_list *list,
                        const struct dns_list_identity *identity, bool one_by_one,
                        struct dns_list_verdict *verdict)
{
    size_t rounds = 0;

    dns_facts_reset(facts);
    while (dns_list_check(list, identity, facts, arena, verdict) == AUTH_NEEDS_DNS) {
        struct dns_question asked[DNS_FACTS_LIMIT];
        const struct dns_question *wanted;
        size_t count;

        CHECK_INT("until then", verdict->standing, DNS_LIST_UNANSWERED);
        wanted = dns_facts_wanted(facts, &count);
        CHECK_TRUE(zone, count != 0 && ++rounds < 20);
        count = one_by_one ? 1 : count;
        memcpy(asked, wanted, count * sizeof *asked);
        for (size_t i = 0; i < count; i++) {
            answer_question(zone, asked[i]);
        }
    }
    return rounds;
}

static void add_matches(struct dns_list *list, const char *words)
{
    struct bytes rest = bytes_from_text(words);

    list->match_count = 0;
    while (rest.len > 0) {
        CHECK_TRUE(words, dns_list_match_parse(bytes_cut(&rest, ' '),
                                               &list->matches[list->match_count++]));
    }
}

#define TEST "2.0.0.127.bl.test 127.0.0.2"
#define HIT "1.2.0.192.bl.test "
#define V6 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test "
#define V6_TEST                                                                                \
    "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test 127.0.0.2"
#define V6_NOBODY                                                                              \
    "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test 127.0.0.2"

static void test_verdicts(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *matches, *client, *zone;
        enum dns_list_standing want;
        uint32_t code;
        const char *text;
    } cases[] = {
        {"not in it", "", "192.0.2.1", TEST, DNS_LIST_CLEAR, 0, ""},
        {"listed", "", "192.0.2.1", TEST "," HIT "127.0.0.3", DNS_LIST_LISTED, 0x7f000003, ""},
        {"with its words", "", "192.0.2.1", TEST "," HIT "127.0.0.3 \"see_bl.test", DNS_LIST_LISTED, 0x7f000003, "see_bl.test"},
        {"words that end a line", "", "192.0.2.1", TEST "," HIT "127.0.0.3 \"a\r\nQUIT\xff", DNS_LIST_LISTED, 0x7f000003, "a??QUIT?"},
        {"no answer about it", "", "192.0.2.1", TEST "," HIT "!", DNS_LIST_UNANSWERED, 0, ""},
        {"a code that is wanted", "127.0.0.3", "192.0.2.1", TEST "," HIT "127.0.0.3", DNS_LIST_LISTED, 0x7f000003, ""},
        {"a code that is not", "127.0.0.4", "192.0.2.1", TEST "," HIT "127.0.0.3", DNS_LIST_CLEAR, 0, ""},
        {"in the range", "127.0.0.2-127.0.0.9", "192.0.2.1", TEST "," HIT "127.0.0.9", DNS_LIST_LISTED, 0x7f000009, ""},
        {"one above the range", "127.0.0.2-127.0.0.9", "192.0.2.1", TEST "," HIT "127.0.0.10", DNS_LIST_CLEAR, 0, ""},
        {"the second match", "127.0.0.4 127.0.0.10-127.0.0.11", "192.0.2.1", TEST "," HIT "127.0.0.11", DNS_LIST_LISTED, 0x7f00000b, ""},
        {"the second code", "127.0.0.4", "192.0.2.1", TEST "," HIT "127.0.0.3 127.0.0.4", DNS_LIST_LISTED, 0x7f000004, ""},
        {"a bit", "&0.0.0.6", "192.0.2.1", TEST "," HIT "127.0.0.5", DNS_LIST_LISTED, 0x7f000005, ""},
        {"none of the bits", "&0.0.0.6", "192.0.2.1", TEST "," HIT "127.0.0.9", DNS_LIST_CLEAR, 0, ""},
        {"the test entry need not match", "127.0.0.10", "192.0.2.1", TEST "," HIT "127.0.0.10", DNS_LIST_LISTED, 0x7f00000a, ""},
        {"outside of 127/8", "", "192.0.2.1", TEST "," HIT "192.0.2.1", DNS_LIST_CLEAR, 0, ""},
        {"a parked domain answers for everything", "", "192.0.2.1", "*bl.test 203.0.113.9", DNS_LIST_CLEAR, 0, ""},
        {"it has everybody", "", "192.0.2.1", "*bl.test 127.0.0.2", DNS_LIST_HAS_EVERYBODY, 0x7f000002, ""},
        {"it has no test entry", "", "192.0.2.1", HIT "127.0.0.3", DNS_LIST_HAS_NO_TEST, 0x7f000003, ""},
        {"a test entry of rubbish", "", "192.0.2.1", "2.0.0.127.bl.test 192.0.2.9," HIT "127.0.0.3", DNS_LIST_HAS_NO_TEST, 0x7f000003, ""},
        {"no answer about the test entry", "", "192.0.2.1", "2.0.0.127.bl.test !," HIT "127.0.0.3", DNS_LIST_UNANSWERED, 0x7f000003, ""},
        {"no answer about what must not be", "", "192.0.2.1", TEST ",1.0.0.127.bl.test !," HIT "127.0.0.3", DNS_LIST_UNANSWERED, 0x7f000003, ""},
        {"no answer about the words", "", "192.0.2.1", TEST "," HIT "127.0.0.3 !", DNS_LIST_LISTED, 0x7f000003, ""},
        {"query refused: typing error", "", "192.0.2.1", TEST "," HIT "127.255.255.252", DNS_LIST_REFUSED, 0x7ffffffc, ""},
        {"query refused: public resolver", "", "192.0.2.1", "*bl.test 127.255.255.254", DNS_LIST_REFUSED, 0x7ffffffe, ""},
        {"query refused: too many", "127.0.0.0-127.255.255.255", "192.0.2.1", TEST "," HIT "127.0.0.4 127.255.255.255", DNS_LIST_REFUSED, 0x7fffffff, ""},
        {"query refused, the other way", "", "192.0.2.1", TEST "," HIT "127.0.0.1", DNS_LIST_REFUSED, 0x7f000001, ""},
        {"IPv6", "", "2001:db8::1", V6_TEST "," V6 "127.0.0.3", DNS_LIST_LISTED, 0x7f000003, ""},
        {"IPv6, the test entry of IPv4", "", "2001:db8::1", TEST "," V6 "127.0.0.3", DNS_LIST_LISTED, 0x7f000003, ""},
        {"IPv6, everybody", "", "2001:db8::1", V6_TEST "," V6_NOBODY "," V6 "127.0.0.3", DNS_LIST_HAS_EVERYBODY, 0x7f000003, ""},
        {"IPv6, no test entry", "", "2001:db8::1", V6 "127.0.0.3", DNS_LIST_HAS_NO_TEST, 0x7f000003, ""},
        {"IPv6, not in it", "", "2001:db8::2", V6_TEST "," V6 "127.0.0.3", DNS_LIST_CLEAR, 0, ""},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            struct dns_list list = {.zone = BYTES("bl.test")};
            struct dns_list_identity identity = {.sender = BYTES("")};
            struct dns_list_verdict verdict;

            add_matches(&list, cases[i].matches);
            CHECK_TRUE(cases[i].name,
                       ip_address_parse(bytes_from_text(cases[i].client), &identity.client));
            run_check(cases[i].zone, &list, &identity, one_by_one, &verdict);
            CHECK_INT(cases[i].name, verdict.standing, cases[i].want);
            CHECK_INT(cases[i].name, verdict.code, cases[i].code);
            CHECK_BYTES(cases[i].name, verdict.text, bytes_from_text(cases[i].text));
        }
    }
}

static void test_names_of_domains(void **state)
{
    static const struct {
        const char *name;
        enum dns_list_subject subject;
        const char *sender, *helo, *zone;
        enum dns_list_standing want;
    } cases[] = {
        {"sender", DNS_LIST_SENDER, "Spam.test", "x.test",
         "test.bl.test 127.0.0.2,spam.test.bl.test 127.0.0.2", DNS_LIST_LISTED},
        {"HELO", DNS_LIST_HELO, "good.test", "spam.test.",
         "test.bl.test 127.0.0.2,spam.test.bl.test 127.0.0.2", DNS_LIST_LISTED},
        {"another sender", DNS_LIST_SENDER, "good.test", "spam.test",
         "test.bl.test 127.0.0.2,spam.test.bl.test 127.0.0.2", DNS_LIST_CLEAR},
        {"null sender", DNS_LIST_SENDER, "", "spam.test", "*bl.test 127.0.0.2", DNS_LIST_CLEAR},
        {"literal in HELO", DNS_LIST_HELO, "spam.test", "", "*bl.test 127.0.0.2",
         DNS_LIST_CLEAR},
        {"everybody", DNS_LIST_SENDER, "good.test", "", "*bl.test 127.0.0.2",
         DNS_LIST_HAS_EVERYBODY},
        {"no test entry", DNS_LIST_SENDER, "good.test", "", "good.test.bl.test 127.0.0.2",
         DNS_LIST_HAS_NO_TEST},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dns_list list = {.zone = BYTES("bl.test"), .subject = cases[i].subject};
        struct dns_list_identity identity = {.sender = bytes_from_text(cases[i].sender),
                                             .helo = bytes_from_text(cases[i].helo)};
        struct dns_list_verdict verdict;

        run_check(cases[i].zone, &list, &identity, false, &verdict);
        CHECK_INT(cases[i].name, verdict.standing, cases[i].want);
    }
}

/* Nobody who is in no list costs more than one question; the rest comes when it is needed. */
static void test_what_is_asked(void **state)
{
    struct dns_list list = {.zone = BYTES("bl.test")};
    struct dns_list_identity identity = {.sender = BYTES("")};
    struct dns_list_verdict verdict;

    (void)state;
    CHECK_TRUE("client", ip_address_parse(BYTES("192.0.2.1"), &identity.client));
    CHECK_INT("clear", run_check(TEST, &list, &identity, false, &verdict), 1);
    CHECK_INT("clear", dns_facts_count(facts), 1);
    CHECK_INT("listed", run_check(TEST "," HIT "127.0.0.2", &list, &identity, false, &verdict),
              2);
    CHECK_INT("listed: A, TXT and two of the test", dns_facts_count(facts), 4);
}

static void test_long_names(void **state)
{
    struct dns_list list = {.zone = BYTES("bl.test"), .subject = DNS_LIST_SENDER};
    char name[300];
    struct dns_name out;

    (void)state;
    for (size_t len = 1; len < sizeof name; len++) {
        struct dns_list_identity identity = {.sender = bytes_of(name, len)};

        for (size_t i = 0; i < len; i++) {
            name[i] = i % 64 == 63 ? '.' : 'a';
        }
        if (name[len - 1] == '.') {
            continue;
        }
        CHECK_INT("fits", dns_list_name(&list, &identity, &out), len + 8 <= DNS_NAME_LIMIT);
    }
    for (size_t len = 1; len < 200; len++) { /* the longest address under a long zone */
        struct dns_list_identity identity = {.client = {.family = IP_V6}};

        list.subject = DNS_LIST_CLIENT;
        list.zone = bytes_of(name, len);
        for (size_t i = 0; i < len; i++) {
            name[i] = i % 64 == 63 ? '.' : 'a';
        }
        if (name[len - 1] != '.') {
            CHECK_INT("fits", dns_list_name(&list, &identity, &out),
                      len + 64 <= DNS_NAME_LIMIT);
        }
    }
}

static void test_matches(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {"127.0.0.2", true},
        {"127.0.0.2-127.0.0.9", true},
        {"127.0.0.2-127.0.0.2", true},
        {"&0.0.0.6", true},
        {"127.0.0.9-127.0.0.2", false},
        {"192.0.2.1", false},
        {"127.0.0.2-", false},
        {"-127.0.0.2", false},
        {"127.0.0.2-192.0.2.1", false},
        {"126.0.0.2-127.0.0.9", false},
        {"&", false},
        {"&0.0.0.0", false},
        {"", false},
        {"127.0.0", false},
        {"::1", false},
        {"::ffff:127.0.0.2", false},
        {"127.0.0.2-127.0.0.3-127.0.0.4", false},
    };
    struct dns_list_match match;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].text, dns_list_match_parse(bytes_from_text(cases[i].text), &match),
                  cases[i].want);
    }
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    facts = dns_facts_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    dns_facts_free(&facts);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),      cmocka_unit_test(test_names_of_domains),
        cmocka_unit_test(test_what_is_asked), cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_matches),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
