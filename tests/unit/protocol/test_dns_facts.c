#include "support/check.h"

#include "protocol/dns_facts.h"

static void test_ask_and_answer(void **state)
{
    struct dns_facts *facts = dns_facts_new();
    struct dns_record record = {.type = DNS_TYPE_MX, .mx = {10, BYTES("mx.example.org")}};
    struct dns_answer answer = {.status = DNS_OK,
                                .ttl = 60,
                                .records = &record,
                                .count = 1,
                                .owner = BYTES("example.org"),
                                .is_secure = true};
    const struct dns_question *wanted;
    const struct dns_answer *got;
    size_t count;

    (void)state;
    wanted = dns_facts_wanted(facts, &count);
    (void)wanted;
    CHECK_INT("nothing yet", count, 0);
    CHECK_TRUE("unknown", dns_facts_get(facts, BYTES("Example.ORG."), DNS_TYPE_MX) == NULL);
    CHECK_TRUE("again", dns_facts_get(facts, BYTES("example.org"), DNS_TYPE_MX) == NULL);
    CHECK_TRUE("type", dns_facts_get(facts, BYTES("example.org"), DNS_TYPE_A) == NULL);
    wanted = dns_facts_wanted(facts, &count);
    CHECK_INT("two questions", count, 2);
    CHECK_BYTES("first", wanted[0].name, BYTES("example.org"));
    CHECK_INT("first", wanted[0].type, DNS_TYPE_MX);
    CHECK_INT("second", wanted[1].type, DNS_TYPE_A);
    dns_facts_put(facts, BYTES("EXAMPLE.org"), DNS_TYPE_MX, &answer);
    record.mx.host = BYTES("changed");
    answer.count = 0;
    wanted = dns_facts_wanted(facts, &count);
    CHECK_INT("one left", count, 1);
    CHECK_INT("one left", wanted[0].type, DNS_TYPE_A);
    got = dns_facts_get(facts, BYTES("example.org"), DNS_TYPE_MX);
    assert_non_null(got);
    CHECK_INT("answer", got->count, 1);
    CHECK_BYTES("a copy", got->records[0].mx.host, BYTES("mx.example.org"));
    CHECK_TRUE("secure", got->is_secure);
    dns_facts_reset(facts);
    CHECK_TRUE("reset", dns_facts_get(facts, BYTES("example.org"), DNS_TYPE_MX) == NULL);
    dns_facts_free(&facts);
    CHECK_TRUE("freed", facts == NULL);
    dns_facts_free(&facts);
}

static void test_no_names(void **state)
{
    static const char *const names[] = {"a..b", "a b", "\xff.org", "x\\9"};
    struct dns_facts *facts = dns_facts_new();
    size_t count;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct dns_answer *got =
            dns_facts_get(facts, bytes_from_text(names[i]), DNS_TYPE_A);

        assert_non_null(got);
        CHECK_INT(names[i], got->status, DNS_NXDOMAIN);
    }
    (void)dns_facts_wanted(facts, &count);
    CHECK_INT("nobody is asked", count, 0);
    dns_facts_free(&facts);
}

static void test_put_first(void **state)
{
    struct dns_facts *facts = dns_facts_new();
    struct dns_answer answer = {.status = DNS_NODATA, .ttl = 5};
    const struct dns_answer *before, *after;
    size_t count;

    (void)state;
    dns_facts_put(facts, BYTES("a.org"), DNS_TYPE_A, &answer);
    before = dns_facts_get(facts, BYTES("a.org"), DNS_TYPE_A);
    assert_non_null(before);
    CHECK_INT("put unasked", before->status, DNS_NODATA);
    answer.status = DNS_NXDOMAIN;
    dns_facts_put(facts, BYTES("a.org"), DNS_TYPE_A, &answer);
    after = dns_facts_get(facts, BYTES("a.org"), DNS_TYPE_A);
    CHECK_INT("put again", after->status, DNS_NXDOMAIN);
    CHECK_INT("the old one stays readable", before->status, DNS_NODATA);
    (void)dns_facts_wanted(facts, &count);
    CHECK_INT("nothing wanted", count, 0);
    dns_facts_free(&facts);
}

static void test_limit(void **state)
{
    struct dns_facts *facts = dns_facts_new();
    struct dns_answer answer = {.status = DNS_NODATA};
    const struct dns_question *wanted;
    size_t count;
    char name[32];

    (void)state;
    for (int i = 0; i < DNS_FACTS_LIMIT; i++) {
        snprintf(name, sizeof name, "n%d.org", i);
        CHECK_TRUE(name, dns_facts_get(facts, bytes_from_text(name), DNS_TYPE_A) == NULL);
    }
    CHECK_INT("one more", dns_facts_get(facts, BYTES("more.org"), DNS_TYPE_A)->status,
              DNS_TEMPFAIL);
    CHECK_TEXT("one more", dns_facts_get(facts, BYTES("more.org"), DNS_TYPE_A)->why,
               "too-many-questions");
    dns_facts_put(facts, BYTES("more.org"), DNS_TYPE_A, &answer);
    wanted = dns_facts_wanted(facts, &count);
    CHECK_INT("wanted", count, DNS_FACTS_LIMIT);
    CHECK_BYTES("in order", wanted[255].name, BYTES("n255.org"));
    CHECK_TRUE("known ones go on", dns_facts_get(facts, BYTES("n7.org"), DNS_TYPE_A) == NULL);
    while ((wanted = dns_facts_wanted(facts, &count), count) > 0) {
        dns_facts_put(facts, wanted[0].name, wanted[0].type, &answer);
    }
    CHECK_INT("answered", dns_facts_get(facts, BYTES("n255.org"), DNS_TYPE_A)->status,
              DNS_NODATA);
    dns_facts_free(&facts);
}

/* A source that knows one name, and counts. */
static bool know_one(void *context, struct bytes name, uint16_t type, struct dns_answer *answer)
{
    unsigned *asked = context;

    (*asked)++;
    *answer = (struct dns_answer){.status = DNS_NODATA, .ttl = 7};
    return type == DNS_TYPE_A && bytes_equal(name, BYTES("known.org"));
}

static void test_a_source(void **state)
{
    struct dns_facts *facts = dns_facts_new();
    const struct dns_answer *got;
    unsigned asked = 0;
    size_t count;

    (void)state;
    dns_facts_set_source(facts, know_one, &asked);
    got = dns_facts_get(facts, BYTES("KNOWN.org."), DNS_TYPE_A);
    assert_non_null(got);
    CHECK_INT("at once", got->ttl, 7);
    CHECK_TRUE("the same", dns_facts_get(facts, BYTES("known.org"), DNS_TYPE_A) == got);
    CHECK_INT("asked once", asked, 1);
    CHECK_TRUE("not known", dns_facts_get(facts, BYTES("known.org"), DNS_TYPE_MX) == NULL);
    CHECK_TRUE("not known", dns_facts_get(facts, BYTES("known.org"), DNS_TYPE_MX) == NULL);
    CHECK_INT("once each", asked, 2);
    (void)dns_facts_wanted(facts, &count);
    CHECK_INT("what it does not know is wanted", count, 1);
    CHECK_INT("both count", dns_facts_count(facts), 2);
    dns_facts_set_source(facts, NULL, NULL);
    CHECK_TRUE("no more", dns_facts_get(facts, BYTES("other.org"), DNS_TYPE_A) == NULL);
    CHECK_INT("no more", asked, 2);
    dns_facts_free(&facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ask_and_answer), cmocka_unit_test(test_no_names),
        cmocka_unit_test(test_put_first),      cmocka_unit_test(test_limit),
        cmocka_unit_test(test_a_source),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
