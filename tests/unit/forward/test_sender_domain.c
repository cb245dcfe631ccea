#include "support/check.h"

#include "forward/sender_domain.h"

static struct dns_facts *facts;

/* "ok", "null", "two" (a null MX beside another), "none" (NODATA), "gone" (NXDOMAIN), "!" */
static void put(uint16_t type, const char *word)
{
    struct dns_record records[2] = {{.type = type}, {.type = type}};
    struct dns_answer answer = {.status = DNS_OK, .records = records, .count = 1};

    if (strcmp(word, "gone") == 0) {
        answer = (struct dns_answer){.status = DNS_NXDOMAIN};
    } else if (strcmp(word, "none") == 0) {
        answer = (struct dns_answer){.status = DNS_NODATA};
    } else if (strcmp(word, "!") == 0) {
        answer = (struct dns_answer){.status = DNS_TEMPFAIL};
    } else if (type == DNS_TYPE_MX) {
        records[0].mx.host = strcmp(word, "ok") == 0 ? BYTES("mx.a.test") : BYTES("");
        records[1].mx.host = BYTES("mx.a.test");
        answer.count = strcmp(word, "two") == 0 ? 2 : 1;
    }
    dns_facts_put(facts, BYTES("a.test"), type, &answer);
}

static enum sender_domain_standing ask(const char *mx, const char *v4, const char *v6,
                                       size_t *asked)
{
    struct smtp_mailbox sender = {.local = BYTES("anna"), .domain = BYTES("a.test")};
    enum sender_domain_standing standing;

    dns_facts_reset(facts);
    while (sender_domain_check(&sender, facts, &standing) == AUTH_NEEDS_DNS) {
        size_t count;
        const struct dns_question *wanted = dns_facts_wanted(facts, &count);

        CHECK_INT("until then", standing, SENDER_DOMAIN_UNKNOWN);
        CHECK_TRUE("something is wanted", count > 0);
        put(wanted->type, wanted->type == DNS_TYPE_MX  ? mx
                          : wanted->type == DNS_TYPE_A ? v4
                                                       : v6);
    }
    *asked = dns_facts_count(facts);
    return standing;
}

static void test_standings(void **state)
{
    static const struct {
        const char *name, *mx, *v4, *v6;
        enum sender_domain_standing want;
        size_t asked;
    } cases[] = {
        {"MX", "ok", "", "", SENDER_DOMAIN_FINE, 1},
        {"null MX", "null", "", "", SENDER_DOMAIN_NULL_MX, 1},
        {"a null MX that is none", "two", "", "", SENDER_DOMAIN_FINE, 1},
        {"no such name", "gone", "", "", SENDER_DOMAIN_MISSING, 1},
        {"address", "none", "ok", "none", SENDER_DOMAIN_FINE, 3},
        {"IPv6 address", "none", "none", "ok", SENDER_DOMAIN_FINE, 3},
        {"an address, the other one unknown", "none", "!", "ok", SENDER_DOMAIN_FINE, 3},
        {"nothing", "none", "none", "none", SENDER_DOMAIN_NO_ADDRESS, 3},
        {"nothing known", "!", "", "", SENDER_DOMAIN_UNKNOWN, 1},
        {"no IPv4, IPv6 unknown", "none", "none", "!", SENDER_DOMAIN_UNKNOWN, 3},
        {"IPv4 unknown, no IPv6", "none", "!", "none", SENDER_DOMAIN_UNKNOWN, 3},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t asked;

        CHECK_INT(cases[i].name, ask(cases[i].mx, cases[i].v4, cases[i].v6, &asked),
                  cases[i].want);
        CHECK_INT(cases[i].name, asked, cases[i].asked);
    }
}

static void test_nobody_asked(void **state)
{
    static const struct smtp_mailbox senders[] = {
        {.local = {"", 0}},
        {.local = {"anna", 4}, .domain = {"192.0.2.1", 9}, .is_literal = true},
    };
    enum sender_domain_standing standing;

    (void)state;
    dns_facts_reset(facts);
    for (size_t i = 0; i < COUNT_OF(senders); i++) {
        CHECK_INT("done", sender_domain_check(&senders[i], facts, &standing), AUTH_DONE);
        CHECK_INT("fine", standing, SENDER_DOMAIN_FINE);
    }
    CHECK_INT("asked", dns_facts_count(facts), 0);
}

static int set_up(void **state)
{
    (void)state;
    facts = dns_facts_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dns_facts_free(&facts);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standings),
        cmocka_unit_test(test_nobody_asked),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
