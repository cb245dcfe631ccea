#include "support/check.h"

#include "auth/reverse_name.h"
#include "base/strbuf.h"

#include <stdlib.h>

static struct arena *arena;
static struct dns_facts *facts;

/* "NAME value value, NAME ...": names for arpa, addresses for the rest, "!" for no answer. */
static void answer_question(const char *zone, struct dns_question question)
{
    struct dns_answer answer = {.status = DNS_NXDOMAIN, .owner = question.name};
    struct dns_record records[16];
    struct bytes rest = bytes_from_text(zone);

    while (rest.len != 0) {
        struct bytes entry = bytes_trim(bytes_cut(&rest, ','));

        if (!bytes_equal(bytes_cut(&entry, ' '), question.name)) {
            continue;
        }
        answer = (struct dns_answer){.status = DNS_NODATA, .records = records};
        while (entry.len != 0) {
            struct bytes word = bytes_cut(&entry, ' ');
            struct dns_record *record = &records[answer.count];
            struct ip_address address;

            record->type = question.type;
            record->ttl = 0;
            if (bytes_equal(word, BYTES("!"))) {
                answer.status = DNS_TEMPFAIL;
            } else if (question.type == DNS_TYPE_PTR) {
                record->name = word;
                answer.count++;
            } else if (ip_address_parse(word, &address) &&
                       (address.family == IP_V4) == (question.type == DNS_TYPE_A)) {
                record->address = address;
                answer.count++;
            }
        }
        answer.status = answer.count != 0 ? DNS_OK : answer.status;
    }
    dns_facts_put(facts, question.name, question.type, &answer);
}

static size_t run_check(const char *zone, const char *client, bool one_by_one,
                        struct reverse_name_verdict *verdict)
{
    struct ip_address address;
    size_t rounds = 0;

    CHECK_TRUE(client, ip_address_parse(bytes_from_text(client), &address));
    dns_facts_reset(facts);
    while (reverse_name_check(&address, facts, arena, verdict) == AUTH_NEEDS_DNS) {
        struct dns_question asked[DNS_FACTS_LIMIT];
        const struct dns_question *wanted;
        size_t count;

        CHECK_INT("until then", verdict->result, AUTH_TEMPERROR);
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

#define PTR4 "1.2.0.192.in-addr.arpa"
#define PTR6 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"

static void test_verdicts(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *client, *zone;
        enum auth_result want;
        const char *host;
        const char *why;
    } cases[] = {
        {"confirmed", "192.0.2.1", PTR4 " mx.example.org, mx.example.org 192.0.2.9 192.0.2.1", AUTH_PASS, "mx.example.org", "confirmed"},
        {"confirmed, IPv6", "2001:db8::1", PTR6 " mx.example.org, mx.example.org 2001:db8::1", AUTH_PASS, "mx.example.org", "confirmed"},
        {"mapped IPv4 is IPv4", "::ffff:192.0.2.1", PTR4 " mx.example.org, mx.example.org 192.0.2.1", AUTH_PASS, "mx.example.org", "confirmed"},
        {"first of two that lead back", "192.0.2.1", PTR4 " a.example b.example c.example, a.example 192.0.2.2, b.example 192.0.2.1, c.example 192.0.2.1", AUTH_PASS, "b.example", "confirmed"},
        {"no name", "192.0.2.1", "", AUTH_PERMERROR, "", "no-name"},
        {"no PTR record", "192.0.2.1", PTR4 "", AUTH_PERMERROR, "", "no-name"},
        {"no host name", "192.0.2.1", PTR4 " a..b -x.example \\032.example", AUTH_PERMERROR, "", "no-name"},
        {"name without address", "192.0.2.1", PTR4 " mx.example.org", AUTH_PERMERROR, "", "no-address"},
        {"name with the other family", "192.0.2.1", PTR4 " mx.example.org, mx.example.org 2001:db8::1", AUTH_PERMERROR, "", "no-address"},
        {"another address", "192.0.2.1", PTR4 " mx.example.org, mx.example.org 192.0.2.2", AUTH_FAIL, "", "mismatch"},
        {"no answer for the address", "192.0.2.1", PTR4 " !", AUTH_TEMPERROR, "", "dns"},
        {"no answer for one name", "192.0.2.1", PTR4 " a.example b.example, a.example !, b.example 192.0.2.2", AUTH_TEMPERROR, "", "dns"},
        {"no answer for one name, another leads back", "192.0.2.1", PTR4 " a.example b.example, a.example !, b.example 192.0.2.1", AUTH_PASS, "b.example", "confirmed"},
        {"the tenth name", "192.0.2.1", PTR4 " a b c d e f g h i j k, j 192.0.2.1", AUTH_PASS, "j", "confirmed"},
        {"the eleventh name", "192.0.2.1", PTR4 " a b c d e f g h i j k, a 192.0.2.2, k 192.0.2.1", AUTH_FAIL, "", "mismatch"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases) * 2; i++) {
        struct reverse_name_verdict verdict;
        const char *name = cases[i / 2].name;
        size_t rounds = run_check(cases[i / 2].zone, cases[i / 2].client, i % 2, &verdict);

        CHECK_TRUE(name, i % 2 != 0 || rounds <= 2);
        CHECK_TEXT(name, auth_result_text(verdict.result), auth_result_text(cases[i / 2].want));
        CHECK_BYTES(name, verdict.name, bytes_from_text(cases[i / 2].host));
        CHECK_TEXT(name, verdict.why, cases[i / 2].why);
    }
}

static void test_no_client(void **state)
{
    struct ip_address nobody = {.family = IP_NONE};
    struct reverse_name_verdict verdict;

    (void)state;
    CHECK_INT("done", reverse_name_check(&nobody, facts, arena, &verdict), AUTH_DONE);
    CHECK_INT("permerror", verdict.result, AUTH_PERMERROR);
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
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_no_client),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
