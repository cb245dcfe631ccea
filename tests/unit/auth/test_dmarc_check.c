#include "support/check.h"

#include "auth/dmarc_check.h"
#include "base/strbuf.h"

#include <stdlib.h>

enum {
    NONE = DMARC_POLICY_NONE,
    QUARANTINE = DMARC_POLICY_QUARANTINE,
    REJECT = DMARC_POLICY_REJECT
};

static struct arena *arena;
static struct dns_facts *facts;
static size_t rounds, questions;

/* A zone is text: "NAME value|value, NAME ..." with value a record's text, or "!" for no
 * answer, "+" for a name that exists with nothing asked for, ">" for NXDOMAIN behind a CNAME.
 * A name that is not in it does not exist. */
static struct bytes zone_value(const char *zone, struct bytes name)
{
    struct bytes rest = bytes_from_text(zone);

    while (rest.len != 0) {
        struct bytes entry = bytes_trim(bytes_cut(&rest, ','));

        if (bytes_equal(bytes_cut(&entry, ' '), name)) {
            return entry;
        }
    }
    return bytes_of(NULL, 0);
}

static void answer_question(const char *zone, struct dns_question question)
{
    struct bytes value = zone_value(zone, question.name);
    struct dns_record records[4];
    struct dns_answer answer = {.status = DNS_NXDOMAIN, .owner = question.name};

    if (bytes_equal(value, BYTES("!"))) {
        answer = (struct dns_answer){.status = DNS_TEMPFAIL, .why = "servfail"};
    } else if (bytes_equal(value, BYTES("+"))) {
        answer.status = DNS_NODATA;
    } else if (bytes_equal(value, BYTES(">"))) {
        answer.owner = BYTES("target.example");
    } else if (value.len != 0) {
        answer.status = DNS_OK;
        answer.records = records;
        while (value.len != 0) {
            records[answer.count++] =
                (struct dns_record){.type = DNS_TYPE_TXT, .text = bytes_cut(&value, '|')};
        }
    }
    dns_facts_put(facts, question.name, question.type, &answer);
}

/* One answer a round in the slow mode: the verdict may not depend on what came first. */
static void run_check(const char *zone, const struct dmarc_input *input, bool one_by_one,
                      struct dmarc_verdict *verdict)
{
    dns_facts_reset(facts);
    questions = 0;
    for (rounds = 0; dmarc_check(input, facts, arena, verdict) == AUTH_NEEDS_DNS; rounds++) {
        struct dns_question asked[DNS_FACTS_LIMIT];
        const struct dns_question *wanted;
        size_t count;

        CHECK_INT("until then", verdict->result, AUTH_TEMPERROR);
        wanted = dns_facts_wanted(facts, &count);
        CHECK_TRUE("asks for something", count > 0 && rounds < 200);
        count = one_by_one ? 1 : count;
        memcpy(asked, wanted, count * sizeof *asked);
        questions += count;
        for (size_t i = 0; i < count; i++) {
            answer_question(zone, asked[i]);
        }
    }
}

/* "spf:pass:example.org dkim:temperror:example.org" */
static size_t read_identifiers(const char *text, struct dmarc_identifier *identifiers)
{
    static const enum auth_result results[] = {AUTH_PASS, AUTH_FAIL, AUTH_TEMPERROR, AUTH_NONE};
    struct bytes rest = bytes_from_text(text);
    size_t count = 0;

    while (rest.len != 0) {
        struct bytes word = bytes_cut(&rest, ' ');
        struct dmarc_identifier *identifier = &identifiers[count++];
        struct bytes result;

        identifier->method =
            bytes_equal(bytes_cut(&word, ':'), BYTES("spf")) ? DMARC_BY_SPF : DMARC_BY_DKIM;
        result = bytes_cut(&word, ':');
        identifier->result = AUTH_PERMERROR;
        for (size_t i = 0; i < COUNT_OF(results); i++) {
            if (bytes_equal(result, bytes_from_text(auth_result_text(results[i])))) {
                identifier->result = results[i];
            }
        }
        identifier->domain = word;
    }
    return count;
}

struct dmarc_case {
    const char *name, *zone, *authors, *identifiers;
    enum auth_result result;
    int policy, published;
    const char *record_domain;
    const char *aligned; /* "spf example.org", or "" */
};

static void check_case(const struct dmarc_case *one, bool one_by_one)
{
    struct dmarc_identifier identifiers[16];
    struct bytes authors[8];
    struct dmarc_input input = {.authors = authors, .identifiers = identifiers};
    struct dmarc_verdict verdict;
    struct bytes rest = bytes_from_text(one->authors);
    char aligned[300] = "";

    input.identifier_count = read_identifiers(one->identifiers, identifiers);
    while (rest.len != 0) {
        authors[input.author_count++] = bytes_cut(&rest, ' ');
    }
    run_check(one->zone, &input, one_by_one, &verdict);
    CHECK_TEXT(one->name, auth_result_text(verdict.result), auth_result_text(one->result));
    CHECK_INT(one->name, verdict.policy, one->policy);
    CHECK_INT(one->name, verdict.published, one->published);
    CHECK_BYTES(one->name, verdict.record_domain, bytes_from_text(one->record_domain));
    if (verdict.aligned_by != DMARC_BY_NOTHING) {
        (void)snprintf(aligned, sizeof aligned, "%s " BYTES_FMT,
                       verdict.aligned_by == DMARC_BY_SPF ? "spf" : "dkim",
                       BYTES_ARG(verdict.aligned_domain));
    }
    CHECK_TEXT(one->name, aligned, one->aligned);
    CHECK_TRUE(one->name, verdict.why != NULL);
    arena_reset(arena);
}

static void check_cases(const struct dmarc_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_case(&cases[i], false);
        if (rounds > 3) {
            fail_msg("%s: %zu rounds", cases[i].name, rounds);
        }
        check_case(&cases[i], true);
    }
}

#define DEEP "a.b.c.d.e.f.g.h.i.j.k.example.com"

/* RFC 9989 appendix B: the examples of alignment (B.1), of what domain owners publish (B.2), of a
 * receiver (B.3) and of organizations (B.4) */
static void test_appendix_b(void **state)
{
    static const char one[] = "_dmarc.example.com v=DMARC1; p=reject";
    static const char strict[] = "_dmarc.example.com v=DMARC1; p=reject; aspf=s; adkim=s";
    static const char monitor[] =
        "_dmarc.example.com v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; "
        "ruf=mailto:auth-reports@thirdparty.example.net,"
        "example.com._report._dmarc.thirdparty.example.net v=DMARC1;, test.example.com +";
    static const char testing[] = "_dmarc.test.example.com v=DMARC1; p=quarantine; "
                                  "rua=mailto:dmarc-feedback@example.com; t=y, example.com +";
    static const char tested[] = "_dmarc.test.example.com v=DMARC1; p=reject; "
                                 "rua=mailto:dmarc-feedback@example.com, example.com +";
    static const char receiver[] = "_dmarc.example.com v=DMARC1; p=reject; aspf=r; "
                                   "rua=mailto:dmarc-feedback@example.com";
    static const char two[] =
        "_dmarc.example.com v=DMARC1; p=reject, _dmarc.signing.example.com v=DMARC1; p=none";
    static const char bank[] = "_dmarc.bank.example v=DMARC1; p=none; psd=y,"
                               "_dmarc.giant.bank.example v=DMARC1; p=quarantine";
    /* clang-format off */
    static const struct dmarc_case cases[] = {
        {"B.1.1 example 1: SPF, strict", strict, "example.com", "spf:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf example.com"},
        {"B.1.1 example 2: SPF, relaxed", one, "example.com", "spf:pass:child.example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf child.example.com"},
        {"B.1.1 example 2, were it strict", strict, "example.com", "spf:pass:child.example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.1.1 example 2, the other way round", one, "child.example.com", "spf:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf example.com"},
        {"B.1.1 example 3: SPF, not aligned", one, "child.example.com", "spf:pass:example.net", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.1.1 no pass, no alignment", one, "example.com", "spf:fail:example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.1.2 example 1: DKIM, strict", strict, "example.com", "dkim:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim example.com"},
        {"B.1.2 example 2: DKIM, relaxed", one, "child.example.com", "dkim:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim example.com"},
        {"B.1.2 example 2, were it strict", strict, "child.example.com", "dkim:pass:example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.1.2 example 3: DKIM, not aligned", one, "child.example.com", "dkim:pass:example.net", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.1.2 no pass, no alignment", one, "example.com", "dkim:fail:example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.2.1 to B.2.4 monitoring", monitor, "example.com", "spf:fail:example.com", AUTH_FAIL, NONE, NONE, "example.com", ""},
        {"B.2.1 to B.2.4 monitoring, passes", monitor, "example.com", "dkim:pass:example.com", AUTH_PASS, NONE, NONE, "example.com", "dkim example.com"},
        {"B.2.1 the whole organization", monitor, "test.example.com", "", AUTH_FAIL, NONE, NONE, "example.com", ""},
        {"B.2.5 a subdomain that tests", testing, "test.example.com", "", AUTH_FAIL, NONE, QUARANTINE, "test.example.com", ""},
        {"B.2.5 a subdomain that tests, passes", testing, "test.example.com", "spf:pass:test.example.com", AUTH_PASS, NONE, QUARANTINE, "test.example.com", "spf test.example.com"},
        {"B.2.5 only the subdomain", testing, "example.com", "", AUTH_NONE, NONE, NONE, "", ""},
        {"B.2.5 after the test", tested, "test.example.com", "", AUTH_FAIL, REJECT, REJECT, "test.example.com", ""},
        {"B.3.1 both aligned", receiver, "example.com", "spf:pass:mail.example.com dkim:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim example.com"},
        {"B.3.1 SPF alone", receiver, "example.com", "spf:pass:mail.example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf mail.example.com"},
        {"B.3.1 none aligned", receiver, "example.com", "spf:pass:mail.example.net dkim:pass:example.net", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.3.1 the network failed", "_dmarc.example.com !", "example.com", "spf:pass:mail.example.com", AUTH_TEMPERROR, REJECT, NONE, "", ""},
        {"B.4.1 SPF", two, "example.com", "spf:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf example.com"},
        {"B.4.1 DKIM", two, "example.com", "dkim:pass:signing.example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim signing.example.com"},
        {"B.4.1 nothing passes", two, "example.com", "spf:fail:example.com dkim:fail:signing.example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.4.2 SPF", two, DEEP, "spf:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf example.com"},
        {"B.4.2 DKIM", two, DEEP, "dkim:pass:signing.example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim signing.example.com"},
        {"B.4.2 nothing passes", two, DEEP, "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"B.4.3 SPF", bank, "giant.bank.example", "spf:pass:mail.giant.bank.example", AUTH_PASS, NONE, QUARANTINE, "giant.bank.example", "spf mail.giant.bank.example"},
        {"B.4.3 DKIM", bank, "giant.bank.example", "dkim:pass:mail.mega.bank.example", AUTH_FAIL, QUARANTINE, QUARANTINE, "giant.bank.example", ""},
        {"B.4.3 both", bank, "giant.bank.example", "spf:pass:mail.giant.bank.example dkim:pass:mail.mega.bank.example", AUTH_PASS, NONE, QUARANTINE, "giant.bank.example", "spf mail.giant.bank.example"},
        {"B.4.3 nothing passes", bank, "giant.bank.example", "spf:fail:mail.giant.bank.example", AUTH_FAIL, QUARANTINE, QUARANTINE, "giant.bank.example", ""},
    };
    /* clang-format on */

    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

/* The examples in the text: 4.4 alignment, 4.10.2 organizations, 5.1.8 a zone cut too deep */
static void test_examples_of_the_text(void **state)
{
    static const char org[] = "_dmarc.example.com v=DMARC1; p=reject";
    static const char strict[] = "_dmarc.example.com v=DMARC1; p=reject; adkim=s; aspf=s";
    static const char both[] =
        "_dmarc.mail.example.com v=DMARC1; p=none, _dmarc.example.com v=DMARC1; p=reject,"
        "a.mail.example.com +";
    static const char cut[] = "_dmarc.mail.example.com v=DMARC1; p=quarantine; psd=n,"
                              "_dmarc.example.com v=DMARC1; p=reject, a.mail.example.com +";
    static const char suffix[] = "_dmarc.com v=DMARC1; p=none; sp=quarantine; np=reject; psd=y,"
                                 "a.mail.example.com +";
    static const char deep_cut[] = "_dmarc.example.com v=DMARC1; p=reject,"
                                   "_dmarc.b.c.d.e.f.g.example.com v=DMARC1; p=none; psd=n";
    static const char own[] = "_dmarc.example.com v=DMARC1; p=reject,"
                              "_dmarc.mail.a.b.c.d.e.f.g.example.com v=DMARC1; p=none";
    /* clang-format off */
    static const struct dmarc_case cases[] = {
        {"4.4.1 relaxed", org, "news.example.com", "dkim:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim example.com"},
        {"4.4.1 strict", strict, "news.example.com", "dkim:pass:example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"4.4.1 d=com never", org, "news.example.com", "dkim:pass:com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"4.4.1 one of several", org, "example.com", "dkim:fail:example.com dkim:pass:example.net dkim:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim example.com"},
        {"4.4.2 relaxed", org, "example.com", "spf:pass:cbg.bounces.example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf cbg.bounces.example.com"},
        {"4.4.2 strict", strict, "example.com", "spf:pass:cbg.bounces.example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"4.10.2 same name, own record: it is the organization", both, "mail.example.com", "spf:pass:mail.example.com", AUTH_PASS, NONE, NONE, "mail.example.com", "spf mail.example.com"},
        {"4.10.2 the fewest labels", both, "a.mail.example.com", "spf:pass:b.example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf b.example.com"},
        {"4.10.2 psd=n", cut, "a.mail.example.com", "spf:pass:mail.example.com", AUTH_PASS, NONE, QUARANTINE, "mail.example.com", "spf mail.example.com"},
        {"4.10.2 psd=n, beyond it", cut, "a.mail.example.com", "spf:pass:b.example.com", AUTH_FAIL, QUARANTINE, QUARANTINE, "mail.example.com", ""},
        {"4.10.2 psd=y of com", suffix, "a.mail.example.com", "spf:pass:example.com", AUTH_PASS, NONE, QUARANTINE, "com", "spf example.com"},
        {"4.10.2 psd=y of com, a neighbour", suffix, "a.mail.example.com", "spf:pass:other.com", AUTH_FAIL, QUARANTINE, QUARANTINE, "com", ""},
        {"4.10.2 psd=y of com, no such name", suffix, "b.mail.example.com", "", AUTH_FAIL, REJECT, REJECT, "com", ""},
        {"5.1.8 the record at the cut is not seen", deep_cut, "mail.a.b.c.d.e.f.g.example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"5.1.8 the author's own is", own, "mail.a.b.c.d.e.f.g.example.com", "", AUTH_FAIL, NONE, NONE, "mail.a.b.c.d.e.f.g.example.com", ""},
    };
    /* clang-format on */

    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

/* The names that 4.10, 5.1.8 and B.4.2 list, in the order that nobody has answers to. */
static void test_walked_names(void **state)
{
    static const struct {
        const char *name, *author;
        const char *want[8];
    } cases[] = {
        {"4.10",
         "a.b.c.d.e.f.g.h.i.j.mail.example.com",
         {"a.b.c.d.e.f.g.h.i.j.mail.example.com", "g.h.i.j.mail.example.com",
          "h.i.j.mail.example.com", "i.j.mail.example.com", "j.mail.example.com",
          "mail.example.com", "example.com", "com"}},
        {"4.10 step 3",
         "a.mail.example.com",
         {"a.mail.example.com", "mail.example.com", "example.com", "com"}},
        {"5.1.8",
         "mail.a.b.c.d.e.f.g.example.com",
         {"mail.a.b.c.d.e.f.g.example.com", "c.d.e.f.g.example.com", "d.e.f.g.example.com",
          "e.f.g.example.com", "f.g.example.com", "g.example.com", "example.com", "com"}},
        {"B.4.2",
         DEEP,
         {DEEP, "g.h.i.j.k.example.com", "h.i.j.k.example.com", "i.j.k.example.com",
          "j.k.example.com", "k.example.com", "example.com", "com"}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes author = bytes_from_text(cases[i].author);
        struct dmarc_input input = {&author, 1, NULL, 0};
        struct dmarc_verdict verdict;
        const struct dns_question *wanted;
        size_t count, found = 0, expected = 0;

        dns_facts_reset(facts);
        CHECK_INT(cases[i].name, dmarc_check(&input, facts, arena, &verdict), AUTH_NEEDS_DNS);
        wanted = dns_facts_wanted(facts, &count);
        for (; expected < 8 && cases[i].want[expected] != NULL; expected++) {
            char name[80];

            (void)snprintf(name, sizeof name, "_dmarc.%s", cases[i].want[expected]);
            for (size_t k = 0; k < count; k++) {
                found += bytes_equal(wanted[k].name, bytes_from_text(name));
            }
        }
        CHECK_INT(cases[i].name, found, expected);
        CHECK_INT(cases[i].name, count, expected);
        arena_reset(arena);
    }
}

static void test_discovery(void **state)
{
    /* clang-format off */
    static const struct dmarc_case cases[] = {
        {"no record", "", "a.b.example.com", "spf:pass:a.b.example.com", AUTH_NONE, NONE, NONE, "", "spf a.b.example.com"},
        {"no record, parent's name", "", "a.example.com", "spf:pass:example.com", AUTH_NONE, NONE, NONE, "", ""},
        {"own record before the parent's", "_dmarc.a.example.com v=DMARC1; p=none, _dmarc.example.com v=DMARC1; p=reject", "a.example.com", "", AUTH_FAIL, NONE, NONE, "a.example.com", ""},
        {"a record in between is no policy", "_dmarc.b.example.com v=DMARC1; p=reject, _dmarc.example.com v=DMARC1; p=quarantine", "a.b.example.com", "", AUTH_FAIL, QUARANTINE, QUARANTINE, "example.com", ""},
        {"psd=n in between is the organization", "_dmarc.b.example.com v=DMARC1; p=reject; psd=n, _dmarc.example.com v=DMARC1; p=none", "a.b.example.com", "", AUTH_FAIL, REJECT, REJECT, "b.example.com", ""},
        {"two records are none", "_dmarc.a.example.com v=DMARC1; p=none|v=DMARC1; p=none, _dmarc.example.com v=DMARC1; p=reject", "a.example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"two records and no more", "_dmarc.example.com v=DMARC1; p=reject|v=DMARC1; p=none", "example.com", "", AUTH_NONE, NONE, NONE, "", ""},
        {"other TXT records do not count", "_dmarc.example.com v=spf1 -all|v=DMARC1; p=reject|v=dmarc1; p=none", "example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"an empty name below", "_dmarc.a.example.com +, _dmarc.example.com v=DMARC1; p=reject", "a.example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"the suffix speaks for names without a record", "_dmarc.bank.example v=DMARC1; p=none; sp=reject; psd=y, x.giant.bank.example +", "x.giant.bank.example", "", AUTH_FAIL, REJECT, REJECT, "bank.example", ""},
        {"the suffix is silent when the organization speaks", "_dmarc.bank.example v=DMARC1; p=reject; psd=y, _dmarc.giant.bank.example v=DMARC1; p=none", "x.giant.bank.example", "", AUTH_FAIL, NONE, NONE, "giant.bank.example", ""},
        {"the suffix as author", "_dmarc.bank.example v=DMARC1; p=quarantine; sp=reject; psd=y", "bank.example", "", AUTH_FAIL, QUARANTINE, QUARANTINE, "bank.example", ""},
        {"beyond the suffix nothing counts", "_dmarc.bank.example v=DMARC1; p=none; psd=y, _dmarc.example !", "giant.bank.example", "", AUTH_FAIL, NONE, NONE, "bank.example", ""},
        {"a record eight labels up of nine is jumped over", "_dmarc.b.c.d.e.f.g.example.com v=DMARC1; p=reject; psd=n", "a.b.c.d.e.f.g.example.com", "", AUTH_NONE, NONE, NONE, "", ""},
        {"seven labels of nine are not", "_dmarc.c.d.e.f.g.example.com v=DMARC1; p=reject", "a.b.c.d.e.f.g.example.com", "", AUTH_FAIL, REJECT, REJECT, "c.d.e.f.g.example.com", ""},
        {"eight labels", "_dmarc.c.d.e.f.g.example.com v=DMARC1; p=reject", "b.c.d.e.f.g.example.com", "", AUTH_FAIL, REJECT, REJECT, "c.d.e.f.g.example.com", ""},
        {"no policy in the record", "_dmarc.example.com v=DMARC1; sp=reject", "example.com", "dkim:pass:example.com", AUTH_NONE, NONE, NONE, "example.com", "dkim example.com"},
        {"no policy, but reports wanted", "_dmarc.example.com v=DMARC1; rua=mailto:a@example.com", "example.com", "", AUTH_FAIL, NONE, NONE, "example.com", ""},
        {"pct is nothing", "_dmarc.example.com v=DMARC1; p=reject; pct=0", "example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"odd case, internationalised", "_dmarc.xn--bcher-kva.example v=DMARC1; p=reject", "XN--Bcher-KVA.example", "spf:pass:b\xc3\xbc" "cher.example", AUTH_PASS, NONE, REJECT, "xn--bcher-kva.example", "spf xn--bcher-kva.example"},
        {"single label", "_dmarc.localhost v=DMARC1; p=reject", "localhost", "spf:pass:localhost", AUTH_PASS, NONE, REJECT, "localhost", "spf localhost"},
    };
    /* clang-format on */

    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void test_subdomains(void **state)
{
    static const char all[] = "_dmarc.example.com v=DMARC1; p=reject; sp=none; np=quarantine,"
                              "here.example.com +, alias.example.com >, down.example.com !";
    /* clang-format off */
    static const struct dmarc_case cases[] = {
        {"p for itself", all, "example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"sp for what exists", all, "here.example.com", "", AUTH_FAIL, NONE, NONE, "example.com", ""},
        {"np for what does not", all, "gone.example.com", "", AUTH_FAIL, QUARANTINE, QUARANTINE, "example.com", ""},
        {"a CNAME exists", all, "alias.example.com", "", AUTH_FAIL, NONE, NONE, "example.com", ""},
        {"nobody knows whether it exists", all, "down.example.com", "", AUTH_TEMPERROR, QUARANTINE, QUARANTINE, "example.com", ""},
        {"np falls back to sp", "_dmarc.example.com v=DMARC1; p=none; sp=reject, gone.example.com !", "gone.example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"sp falls back to p", "_dmarc.example.com v=DMARC1; p=reject; np=none, here.example.com +", "here.example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"np alone", "_dmarc.example.com v=DMARC1; p=none; np=reject", "gone.example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"own record: np and sp are for others", "_dmarc.a.example.com v=DMARC1; p=none; sp=reject; np=reject", "a.example.com", "", AUTH_FAIL, NONE, NONE, "a.example.com", ""},
        {"t=y takes one step", "_dmarc.example.com v=DMARC1; p=reject; t=y", "example.com", "", AUTH_FAIL, QUARANTINE, REJECT, "example.com", ""},
        {"t=y on quarantine", "_dmarc.example.com v=DMARC1; p=quarantine; t=y", "example.com", "", AUTH_FAIL, NONE, QUARANTINE, "example.com", ""},
        {"t=y on none", "_dmarc.example.com v=DMARC1; p=none; t=y", "example.com", "", AUTH_FAIL, NONE, NONE, "example.com", ""},
        {"t=y passes as any", "_dmarc.example.com v=DMARC1; p=reject; t=y", "example.com", "dkim:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim example.com"},
    };
    /* clang-format on */

    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void test_alignment(void **state)
{
    static const char relaxed[] = "_dmarc.example.com v=DMARC1; p=reject";
    static const char strict[] = "_dmarc.example.com v=DMARC1; p=reject; adkim=s; aspf=s";
    static const char flat[] = "_dmarc.com v=DMARC1; p=reject, a.com +, x.a.com +";
    /* clang-format off */
    static const struct dmarc_case cases[] = {
        {"sibling", relaxed, "a.example.com", "dkim:pass:b.example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim b.example.com"},
        {"child", relaxed, "example.com", "spf:pass:bounce.example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf bounce.example.com"},
        {"a longer name is another name", relaxed, "example.com", "spf:pass:badexample.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"DKIM before SPF", relaxed, "example.com", "spf:pass:example.com dkim:pass:x.example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim x.example.com"},
        {"only pass counts", relaxed, "example.com", "spf:fail:example.com dkim:none:example.com dkim:bad:example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"strict: equal", strict, "example.com", "dkim:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim example.com"},
        {"strict: child, DKIM", strict, "example.com", "dkim:pass:a.example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"strict: child, SPF", strict, "example.com", "spf:pass:a.example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"strict: parent", strict, "a.example.com", "dkim:pass:example.com spf:pass:example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"strict for one of two", "_dmarc.example.com v=DMARC1; p=reject; adkim=s", "example.com", "dkim:pass:a.example.com spf:pass:a.example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf a.example.com"},
        {"a child with psd=n is another organization", "_dmarc.example.com v=DMARC1; p=reject, _dmarc.b.example.com v=DMARC1; p=none; psd=n", "example.com", "dkim:pass:b.example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"a parent without a record is another organization", "_dmarc.a.example.com v=DMARC1; p=reject", "a.example.com", "dkim:pass:example.com", AUTH_FAIL, REJECT, REJECT, "a.example.com", ""},
        {"below the jump", relaxed, DEEP, "dkim:pass:x." DEEP, AUTH_PASS, NONE, REJECT, "example.com", "dkim x." DEEP},
        {"psd=y far up, names that were jumped over", "_dmarc.c.d.e.f.g.h.com v=DMARC1; p=reject; psd=y", "a.b.c.d.e.f.g.h.com", "dkim:pass:x.b.c.d.e.f.g.h.com", AUTH_PASS, NONE, REJECT, "c.d.e.f.g.h.com", "dkim x.b.c.d.e.f.g.h.com"},
        /* our own rule: no single label is an organization */
        {"a top-level domain that forgot psd=y", flat, "a.com", "dkim:pass:b.com", AUTH_FAIL, REJECT, REJECT, "com", ""},
        {"the same, below an organization", "_dmarc.com v=DMARC1; p=none, _dmarc.a.com v=DMARC1; p=reject", "x.a.com", "dkim:pass:a.com", AUTH_PASS, NONE, REJECT, "a.com", "dkim a.com"},
        {"the same, within one name", flat, "x.a.com", "dkim:pass:a.com", AUTH_PASS, NONE, REJECT, "com", "dkim a.com"},
        {"the top-level domain itself proves nobody", flat, "a.com", "dkim:pass:com", AUTH_FAIL, REJECT, REJECT, "com", ""},
        {"nor with psd=n", "_dmarc.com v=DMARC1; p=reject; psd=n, a.com +", "a.com", "dkim:pass:b.com", AUTH_FAIL, REJECT, REJECT, "com", ""},
        {"names that are none", relaxed, "example.com", "dkim:pass:..example.com spf:pass:", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"the fifth walk is not made", relaxed, "example.com", "dkim:pass:a.b.example.com dkim:pass:c.example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim a.b.example.com"},
    };
    /* clang-format on */

    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void test_temporary(void **state)
{
    static const char relaxed[] = "_dmarc.example.com v=DMARC1; p=reject";
    static const char down[] = "_dmarc.example.com v=DMARC1; p=reject, _dmarc.m.example.com !";
    /* clang-format off */
    static const struct dmarc_case cases[] = {
        {"no answer at the author", "_dmarc.example.com !", "example.com", "", AUTH_TEMPERROR, REJECT, NONE, "", ""},
        {"no answer on the way up", "_dmarc.com !", "example.com", "", AUTH_TEMPERROR, REJECT, NONE, "", ""},
        {"no answer, but the name is proven", "_dmarc.example.com !", "example.com", "dkim:pass:example.com", AUTH_TEMPERROR, NONE, NONE, "", "dkim example.com"},
        {"own record, no answer above, nothing proven", "_dmarc.example.com v=DMARC1; p=reject, _dmarc.com !", "example.com", "", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"own record, no answer above, relaxed", "_dmarc.example.com v=DMARC1; p=reject, _dmarc.com !", "example.com", "dkim:pass:m.example.com", AUTH_TEMPERROR, REJECT, REJECT, "example.com", ""},
        {"no answer about the signer", down, "example.com", "dkim:pass:m.example.com", AUTH_TEMPERROR, REJECT, REJECT, "example.com", ""},
        {"no answer about the signer, SPF settles it", down, "example.com", "dkim:pass:m.example.com spf:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "spf example.com"},
        {"strict needs no answer about the signer", "_dmarc.example.com v=DMARC1; p=reject; adkim=s, _dmarc.m.example.com !", "example.com", "dkim:pass:m.example.com", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"a key that could not be had", relaxed, "example.com", "dkim:temperror:example.com", AUTH_TEMPERROR, REJECT, REJECT, "example.com", ""},
        {"a key that could not be had, relaxed", relaxed, "example.com", "dkim:temperror:x.example.com", AUTH_TEMPERROR, REJECT, REJECT, "example.com", ""},
        {"a stranger's key that could not be had", relaxed, "example.com", "dkim:temperror:example.net", AUTH_FAIL, REJECT, REJECT, "example.com", ""},
        {"SPF without an answer", relaxed, "example.com", "spf:temperror:example.com dkim:fail:example.com", AUTH_TEMPERROR, REJECT, REJECT, "example.com", ""},
        {"SPF without an answer, DKIM passes", relaxed, "example.com", "spf:temperror:example.com dkim:pass:example.com", AUTH_PASS, NONE, REJECT, "example.com", "dkim example.com"},
        {"unsettled with p=none", "_dmarc.example.com v=DMARC1; p=none", "example.com", "spf:temperror:example.com", AUTH_TEMPERROR, NONE, NONE, "example.com", ""},
    };
    /* clang-format on */

    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void test_authors(void **state)
{
    static const char zone[] = "_dmarc.strict.example v=DMARC1; p=reject,"
                               "_dmarc.soft.example v=DMARC1; p=quarantine,"
                               "_dmarc.none.example v=DMARC1; p=none, _dmarc.down.example !";
    /* clang-format off */
    static const struct dmarc_case cases[] = {
        {"nobody", zone, "", "spf:pass:a.example", AUTH_NONE, NONE, NONE, "", ""},
        {"a pass covers only itself", zone, "soft.example strict.example", "dkim:pass:soft.example", AUTH_FAIL, REJECT, REJECT, "strict.example", ""},
        {"the other way round", zone, "strict.example soft.example", "dkim:pass:soft.example", AUTH_FAIL, REJECT, REJECT, "strict.example", ""},
        {"pass and nothing published", zone, "strict.example free.example", "dkim:pass:strict.example", AUTH_NONE, NONE, NONE, "", ""},
        {"both pass", zone, "strict.example soft.example", "dkim:pass:strict.example spf:pass:soft.example", AUTH_PASS, NONE, REJECT, "strict.example", "dkim strict.example"},
        {"unknown before quarantine", zone, "soft.example down.example", "", AUTH_TEMPERROR, REJECT, NONE, "", ""},
        {"reject before unknown", zone, "down.example strict.example", "", AUTH_FAIL, REJECT, REJECT, "strict.example", ""},
        {"none before pass", zone, "strict.example none.example", "dkim:pass:strict.example", AUTH_FAIL, NONE, NONE, "none.example", ""},
        {"four", zone, "a.example b.example c.example d.example", "", AUTH_PERMERROR, REJECT, NONE, "", ""},
        {"no domain", zone, "..", "", AUTH_PERMERROR, REJECT, NONE, "", ""},
    };
    /* clang-format on */

    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

/* Whether a later try might prove every author, published or not. */
static void test_unsettled(void **state)
{
    static const char zone[] =
        "_dmarc.strict.example v=DMARC1; p=reject, _dmarc.down.example !";
    /* clang-format off */
    static const struct {
        const char *name, *authors, *identifiers;
        bool is_proven, is_unsettled;
    } cases[] = {
        {"proven", "strict.example", "dkim:pass:strict.example", true, false},
        {"proven, one key missing", "strict.example", "dkim:temperror:strict.example spf:pass:strict.example", true, false},
        {"not proven", "strict.example", "dkim:fail:strict.example", false, false},
        {"key missing", "strict.example", "dkim:temperror:strict.example", false, true},
        {"key missing, nothing published", "free.example", "spf:temperror:free.example", false, true},
        {"proven, nothing published", "free.example", "spf:pass:free.example", true, false},
        {"a stranger's key missing", "free.example", "dkim:temperror:strict.example", false, false},
        {"record missing", "down.example", "", false, true},
        {"record missing, proven", "down.example", "dkim:pass:down.example", true, false},
        {"one of two is hopeless", "free.example strict.example", "spf:temperror:free.example", false, false},
        {"one of two is proven", "free.example strict.example", "spf:temperror:free.example dkim:pass:strict.example", false, true},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dmarc_identifier identifiers[4];
        struct bytes authors[4], rest = bytes_from_text(cases[i].authors);
        struct dmarc_input input = {authors, 0, identifiers, 0};
        struct dmarc_verdict verdict;

        input.identifier_count = read_identifiers(cases[i].identifiers, identifiers);
        while (rest.len != 0) {
            authors[input.author_count++] = bytes_cut(&rest, ' ');
        }
        run_check(zone, &input, false, &verdict);
        CHECK_INT(cases[i].name, verdict.is_every_author_proven, cases[i].is_proven);
        CHECK_INT(cases[i].name, verdict.is_unsettled, cases[i].is_unsettled);
    }
}

/* What is asked, and that it stays bounded whatever the message says. */
static void test_questions(void **state)
{
    static const char one[] = "_dmarc.example.com v=DMARC1; p=reject";
    struct dmarc_identifier identifiers[12];
    struct bytes author = BYTES("example.com");
    struct dmarc_input input = {&author, 1, identifiers, 0};
    struct dmarc_verdict verdict;
    char names[12][64];

    (void)state;
    input.identifier_count = read_identifiers("dkim:pass:example.com", identifiers);
    run_check(one, &input, false, &verdict);
    CHECK_INT("own signature: one question", questions, 1);
    CHECK_TRUE("proven", verdict.is_every_author_proven);
    input.identifier_count = read_identifiers("dkim:pass:mailer.example", identifiers);
    run_check(one, &input, false, &verdict);
    CHECK_INT("a stranger's name is not walked", questions, 2);
    CHECK_TRUE("not proven", !verdict.is_every_author_proven);
    for (size_t i = 0; i < 12; i++) {
        (void)snprintf(names[i], sizeof names[i], "x.x.x.x.x.x.x.n%zu.example.com", i);
        identifiers[i] =
            (struct dmarc_identifier){DMARC_BY_DKIM, AUTH_PASS, bytes_from_text(names[i])};
    }
    input.identifier_count = 12;
    run_check(
        "_dmarc.example.com v=DMARC1; p=reject; psd=n, _dmarc.n0.example.com v=DMARC1; psd=n,"
        "_dmarc.n1.example.com v=DMARC1; psd=n, _dmarc.n2.example.com v=DMARC1; psd=n,"
        "_dmarc.n3.example.com v=DMARC1; psd=n",
        &input, false, &verdict);
    CHECK_INT("four walks and no more", verdict.result, AUTH_FAIL);
    CHECK_TRUE("four walks and no more", questions <= 8 * 5);
    CHECK_INT("in one round", rounds, 1);
    author = BYTES(DEEP);
    input.identifier_count = 0;
    run_check("", &input, false, &verdict);
    CHECK_INT("eight questions at most", questions, 8);
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
        cmocka_unit_test(test_appendix_b),   cmocka_unit_test(test_examples_of_the_text),
        cmocka_unit_test(test_walked_names), cmocka_unit_test(test_discovery),
        cmocka_unit_test(test_subdomains),   cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_temporary),    cmocka_unit_test(test_authors),
        cmocka_unit_test(test_unsettled),    cmocka_unit_test(test_questions),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
