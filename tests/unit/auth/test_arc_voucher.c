#include "support/check.h"

#include "auth/arc_chain.h"

#define PASS "mx; dmarc=pass header.from=author.example"

static void test_results(void **state)
{
    static const struct {
        const char *name;
        struct bytes results;
        bool want; /* author.example is vouched for */
    } cases[] = {
        {"pass", BYTES(PASS), true},
        {"pass in any case", BYTES("mx; DMARC=PASS Header.From=AUTHOR.Example"), true},
        {"among others",
         BYTES("mx; spf=fail smtp.mailfrom=x@y; dmarc=pass (p=reject)\r\n\theader.from="
               "author.example; dkim=none"),
         true},
        {"quoted", BYTES("mx; dmarc=pass header.from=\"author.example\""), true},
        {"last dot", BYTES("mx; dmarc=pass header.from=author.example."), true},
        {"version", BYTES("mx; dmarc/1=pass header.from=author.example"), true},
        {"as others write it",
         BYTES("i.example 1; spf=pass (sender ip is 192.0.2.1) smtp.mailfrom=author.example; "
               "dmarc=pass (p=none sp=none pct=100) action=none "
               "header.from=author.example; dkim=pass header.d=author.example; arc=none"),
         true},
        {"two authors", BYTES(PASS "; dmarc=pass header.from=other.example"), true},
        {"fail", BYTES("mx; dmarc=fail header.from=author.example"), false},
        {"none", BYTES("mx; dmarc=none header.from=author.example"), false},
        {"best guess", BYTES("mx; dmarc=bestguesspass header.from=author.example"), false},
        {"quoted result", BYTES("mx; dmarc=\"pass\" header.from=author.example"), false},
        {"no author", BYTES("mx; dmarc=pass"), false},
        {"another author", BYTES("mx; dmarc=pass header.from=other.example"), false},
        {"a subdomain", BYTES("mx; dmarc=pass header.from=a.author.example"), false},
        {"the parent", BYTES("mx; dmarc=pass header.from=example"), false},
        {"an address", BYTES("mx; dmarc=pass header.from=a@author.example"), false},
        {"other property", BYTES("mx; dmarc=pass header.d=author.example"), false},
        {"author of another result", BYTES("mx; dmarc=pass; x=y header.from=author.example"),
         false},
        {"author twice",
         BYTES("mx; dmarc=pass header.from=author.example header.from=other.example"), false},
        {"pass and fail", BYTES(PASS "; dmarc=fail header.from=other.example"), false},
        {"fail and pass",
         BYTES("mx; dmarc=fail header.from=other.example; dmarc=pass "
               "header.from=author.example"),
         false},
        {"in a comment", BYTES("mx (; dmarc=pass header.from=author.example); spf=pass"),
         false},
        {"in a nested comment",
         BYTES("mx; spf=pass ((a); dmarc=pass header.from=author.example)"), false},
        {"in quotes",
         BYTES("mx; spf=pass smtp.mailfrom=\"; dmarc=pass header.from=author.example\""),
         false},
        {"behind a quoted quote",
         BYTES("mx; spf=pass x.y=\"\\\"; dmarc=pass header.from=author.example; z=\""), false},
        {"in the name", BYTES("\"; dmarc=pass header.from=author.example\"; none"), false},
        {"as another method's value", BYTES("mx; spf=dmarc=pass header.from=author.example"),
         false},
        {"readable up to there", BYTES(PASS "; (open"), false},
        {"no name", BYTES("dmarc=pass header.from=author.example"), false},
        {"nothing", BYTES(""), false},
    };
    struct bytes domain = BYTES("sealer.example");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arc_sealer sealer = {
            .instance = 1, .domain = domain, .results = cases[i].results};
        struct arc_verdict verdict = {
            .result = AUTH_PASS, .newest = 1, .sealers = &sealer, .sealer_count = 1};
        struct arc_trust trust = {.domains = &domain, .count = 1};
        const struct arc_sealer *found =
            arc_chain_voucher(&verdict, &trust, BYTES("author.example"));

        CHECK_TRUE(cases[i].name, found == (cases[i].want ? &sealer : NULL));
    }
}

static void test_names_in_unicode(void **state)
{
    static const struct {
        struct bytes results, author;
        bool want;
    } cases[] = {
        {BYTES("mx; dmarc=pass header.from=b\xc3\xbc"
               "cher.example"),
         BYTES("xn--bcher-kva.example"), true},
        {BYTES("mx; dmarc=pass header.from=xn--bcher-kva.example"),
         BYTES("xn--bcher-kva.example"), true},
        {BYTES("mx; dmarc=pass header.from=XN--Bcher-KVA.example"),
         BYTES("b\xc3\xbc"
               "cher.example"),
         true},
        {BYTES("mx; dmarc=pass header.from=bucher.example"), BYTES("xn--bcher-kva.example"),
         false},
        {BYTES("mx; dmarc=pass header.from=b\xff"
               "cher.example"),
         BYTES("bcher.example"), false},
        {BYTES("mx; dmarc=pass header.from=\"\""), BYTES(""), false},
    };
    struct bytes domain = BYTES("sealer.example");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arc_sealer sealer = {
            .instance = 1, .domain = domain, .results = cases[i].results};
        struct arc_verdict verdict = {
            .result = AUTH_PASS, .newest = 1, .sealers = &sealer, .sealer_count = 1};
        struct arc_trust trust = {.domains = &domain, .count = 1};

        CHECK_TRUE(cases[i].results.data,
                   (arc_chain_voucher(&verdict, &trust, cases[i].author) != NULL) ==
                       cases[i].want);
    }
}

/* Three sealers; which of them say pass, and who is trusted. */
static void test_trust(void **state)
{
    static const struct {
        const char *name;
        const char *says;  /* of 1, 2, 3: "p" pass, "-" not */
        const char *trust; /* instances */
        unsigned want;     /* instance, 0: nobody */
    } cases[] = {
        {"nobody is trusted", "ppp", "", 0},
        {"all, and the newest says it", "ppp", "123", 3},
        {"all, the middle says it", "pp-", "123", 2},
        {"all, the first says it", "p--", "123", 1},
        {"all, nobody says it", "---", "123", 0},
        {"the newest alone", "ppp", "3", 3},
        {"the newest alone does not say it", "pp-", "3", 0},
        {"the newest is not trusted", "ppp", "12", 0},
        {"the newest two", "p--", "23", 0},
        {"a gap in the middle", "p--", "13", 0},
        {"the first is a stranger and says it", "pp-", "23", 2},
    };
    struct bytes domains[] = {BYTES("one.example"), BYTES("two.example"),
                              BYTES("three.example")};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arc_sealer sealers[3];
        struct bytes trusted[3];
        struct arc_trust trust = {.domains = trusted};
        struct arc_verdict verdict = {
            .result = AUTH_PASS, .newest = 3, .sealers = sealers, .sealer_count = 3};
        const struct arc_sealer *found;

        for (unsigned j = 0; j < 3; j++) {
            sealers[j] = (struct arc_sealer){.instance = j + 1,
                                             .domain = domains[j],
                                             .results = cases[i].says[j] == 'p'
                                                            ? BYTES(PASS)
                                                            : BYTES("mx; dmarc=fail "
                                                                    "header.from="
                                                                    "author.example")};
            if (strchr(cases[i].trust, '1' + (int)j) != NULL) {
                trusted[trust.count++] = domains[j];
            }
        }
        found = arc_chain_voucher(&verdict, &trust, BYTES("author.example"));
        CHECK_INT(cases[i].name, found == NULL ? 0 : found->instance, cases[i].want);
    }
}

static void test_only_a_chain_that_passes(void **state)
{
    static const enum auth_result results[] = {AUTH_NONE, AUTH_FAIL, AUTH_TEMPERROR};
    struct bytes domain = BYTES("one.example");
    struct arc_trust trust = {.domains = &domain, .count = 1};
    struct arc_sealer sealer = {.instance = 1, .domain = domain, .results = BYTES(PASS)};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        struct arc_verdict verdict = {
            .result = results[i], .newest = 1, .sealers = &sealer, .sealer_count = 1};

        CHECK_TRUE("nobody",
                   arc_chain_voucher(&verdict, &trust, BYTES("author.example")) == NULL);
    }
    CHECK_TRUE("no sealer", arc_chain_voucher(&(struct arc_verdict){.result = AUTH_PASS},
                                              &trust, BYTES("author.example")) == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_names_in_unicode),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_only_a_chain_that_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
