#include "support/check.h"

#include "forward/doctor_lists.h"
#include "forward/doctor_resolver.h"
#include "support/spf_zone.h"

static struct arena *arena;
static struct dns_facts *facts;

static void answer_all(const struct spf_zone *zone, bool is_secure)
{
    size_t count;

    (void)dns_facts_wanted(facts, &count);
    assert_true(count > 0);
    for (; count > 0; count--) {
        size_t left;
        struct dns_question question = dns_facts_wanted(facts, &left)[0];
        struct dns_answer secure = {.status = DNS_OK, .is_secure = true};

        if (is_secure && question.type == DNS_TYPE_SOA) {
            dns_facts_put(facts, question.name, question.type, &secure);
        } else {
            spf_zone_answer(zone, facts, &question);
        }
    }
}

static void check_first(const char *name, const struct findings *findings, const char *want)
{
    struct strbuf text;

    strbuf_init(&text, 10000);
    for (const struct finding *at = findings->first; at != NULL; at = at->next) {
        strbuf_addf(&text, "%s: " BYTES_FMT "%s" BYTES_FMT "\n",
                    finding_severity_text(at->severity), BYTES_ARG(at->found),
                    at->remedy == FINDING_NO_REMEDY ? "" : " | ", BYTES_ARG(at->fix));
    }
    CHECK_TEXT(name, strbuf_text(&text), want);
    strbuf_clear(&text);
}

#define TEST "2.0.0.127.bl.example A 127.0.0.2\n"

static void test_lists(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *zone, *want;
    } cases[] = {
        {"clear", TEST, "ok: 192.0.2.1 is not in bl.example\n"},
        {"listed", TEST "1.2.0.192.bl.example A 127.0.0.4\n1.2.0.192.bl.example TXT spam, see https://bl.example/\n",
         "warning: 192.0.2.1 is listed in bl.example (127.0.0.4): spam, see https://bl.example/ | "
         "end the cause, then ask the operators of bl.example to remove it\n"},
        {"no test entry", "1.2.0.192.bl.example A 127.0.0.4\n",
         "unknown: bl.example has not even its own test entry: its listing of us counts for nothing (asked about 192.0.2.1)\n"},
        {"names everybody", TEST "1.2.0.192.bl.example A 127.0.0.4\n1.0.0.127.bl.example A 127.0.0.4\n",
         "unknown: bl.example names everybody: it has probably gone (asked about 192.0.2.1)\n"},
        {"refused", TEST "1.2.0.192.bl.example A 127.255.255.254\n",
         "unknown: bl.example does not let our resolver ask (public resolvers are refused) (asked about 192.0.2.1)\n"},
        {"no answer", "1.2.0.192.bl.example A !\n", "unknown: bl.example did not answer (asked about 192.0.2.1)\n"},
    };
    /* clang-format on */
    const struct dns_list list = {.zone = BYTES("bl.example"), .subject = DNS_LIST_CLIENT};
    struct doctor_list ours = doctor_lists_own(&list);
    struct ip_address address;

    (void)state;
    assert_true(ip_address_parse(BYTES("192.0.2.1"), &address));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct spf_zone zone = {.count = 0};
        struct findings findings;

        findings_init(&findings, arena);
        dns_facts_reset(facts);
        spf_zone_read(&zone, arena, cases[i].zone);
        while (doctor_lists_check(&ours, &address, facts, &findings) == AUTH_NEEDS_DNS) {
            assert_null(findings.first);
            answer_all(&zone, false);
        }
        check_first(cases[i].name, &findings, cases[i].want);
    }
}

/* Each has what an operator needs, and is known again in a configuration. */
static void test_public_lists(void **state)
{
    struct doctor_list list;
    size_t count = 0;

    (void)state;
    while (doctor_lists_public(count, &list)) {
        struct doctor_list own = doctor_lists_own(&list.list);
        struct dns_name name;

        CHECK_TRUE("zone", dns_name_read(list.list.zone, &name));
        CHECK_TRUE("removal",
                   list.removal != NULL && strncmp(list.removal, "https://", 8) == 0);
        CHECK_TRUE("severity",
                   list.severity == FINDING_ERROR || list.severity == FINDING_WARNING);
        CHECK_TRUE("the same", own.removal == list.removal && own.severity == list.severity);
        count++;
    }
    CHECK_TRUE("some", count > 3);
}

#define FAR                                                                                    \
    "note: resolver 192.0.2.53:53 is not on this machine: its word crosses the network "       \
    "unprotected\n"
#define INSTALL " | apt install unbound, then in postilion.conf: resolver 127.0.0.1:53\n"

static void test_resolver(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name, *zone;
        bool is_secure;
        const char *server, *want;
    } cases[] = {
        {"validates", "broken.example A !\n", true, "127.0.0.1", "ok: it answers\nok: the resolver validates, and refuses a broken signature\n"},
        {"validates, far away", "broken.example A !\n", true, "192.0.2.53", "ok: it answers\nok: the resolver validates, and refuses a broken signature\n" FAR},
        {"says so only", "broken.example A 192.0.2.9\n", true, "127.0.0.1",
         "ok: it answers\nwarning: the resolver says that it validates, and lets a broken signature pass" INSTALL},
        {"does not", "signed.example TXT x\nbroken.example A 192.0.2.9\n", false, "127.0.0.1",
         "ok: it answers\nnote: the resolver does not validate signatures" INSTALL},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip_endpoint server;
        struct doctor_resolver resolver = {.signed_name = BYTES("signed.example"),
                                           .broken_name = BYTES("broken.example"),
                                           .servers = &server,
                                           .server_count = 1};
        struct spf_zone zone = {.count = 0};
        struct findings findings;

        assert_true(ip_endpoint_parse(bytes_from_text(cases[i].server), 53, &server));
        findings_init(&findings, arena);
        dns_facts_reset(facts);
        spf_zone_read(&zone, arena, cases[i].zone);
        while (doctor_resolver_check(&resolver, facts, &findings) == AUTH_NEEDS_DNS) {
            answer_all(&zone, cases[i].is_secure);
        }
        check_first(cases[i].name, &findings, cases[i].want);
    }
}

static void test_a_silent_resolver(void **state)
{
    const struct dns_answer silence = {.status = DNS_TEMPFAIL, .why = "timeout"};
    const struct dns_answer nothing = {.status = DNS_NXDOMAIN};
    const struct doctor_resolver resolver = {.broken_name = BYTES(""),
                                             .own_name = BYTES("mx.example")};

    (void)state;
    for (unsigned knows_us = 0; knows_us < 2; knows_us++) {
        struct findings findings;

        findings_init(&findings, arena);
        dns_facts_reset(facts);
        CHECK_INT("asks", doctor_resolver_check(&resolver, facts, &findings), AUTH_NEEDS_DNS);
        dns_facts_put(facts, BYTES(""), DNS_TYPE_SOA, &silence);
        CHECK_INT("the root", doctor_resolver_check(&resolver, facts, &findings),
                  AUTH_NEEDS_DNS);
        dns_facts_put(facts, BYTES("mx.example"), DNS_TYPE_A,
                      knows_us != 0 ? &nothing : &silence);
        CHECK_INT("our name", doctor_resolver_check(&resolver, facts, &findings), AUTH_DONE);
        check_first("silent", &findings,
                    knows_us != 0
                        ? "ok: it answers\nunknown: no answer about \".\" SOA: timeout\n"
                        : "error: no answer about \".\" SOA: timeout | dig . SOA\n");
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
    dns_facts_free(&facts);
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_public_lists),
        cmocka_unit_test(test_resolver),
        cmocka_unit_test(test_a_silent_resolver),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
