#include "support/check.h"

#include "auth/dmarc_record.h"

enum {
    NONE = DMARC_POLICY_NONE,
    QUARANTINE = DMARC_POLICY_QUARANTINE,
    REJECT = DMARC_POLICY_REJECT
};

static void test_version(void **state)
{
    /* clang-format off */
    static const struct {
        struct bytes text;
        bool want;
    } cases[] = {
        {BYTES("v=DMARC1"), true},
        {BYTES("v=DMARC1;"), true},
        {BYTES("v \t= DMARC1 ; p=none"), true},
        {BYTES("V=DMARC1;p=none"), true},
        {BYTES("v=dmarc1; p=none"), false},
        {BYTES("v=DMARC2; p=none"), false},
        {BYTES("v=DMARC10; p=none"), false},
        {BYTES("v=DMARC1 p=none"), false},
        {BYTES(" v=DMARC1; p=none"), false},
        {BYTES(";v=DMARC1; p=none"), false},
        {BYTES("p=none; v=DMARC1"), false},
        {BYTES("p=none"), false},
        {BYTES("v=spf1 -all"), false},
        {BYTES("DMARC1"), false},
        {BYTES(""), false},
    };
    /* clang-format on */
    struct dmarc_record record;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].text.data, dmarc_record_parse(cases[i].text, &record),
                  cases[i].want);
    }
}

static void test_policies(void **state)
{
    /* clang-format off */
    static const struct {
        struct bytes tags;
        bool has_policy;
        int own, below, nowhere;
    } cases[] = {
        /* RFC 9989 B.2.1 to B.2.5, B.3.1: what domain owners publish */
        {BYTES("p=none; rua=mailto:dmarc-feedback@example.com"), true, NONE, NONE, NONE},
        {BYTES("p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@example.com"), true, NONE, NONE, NONE},
        {BYTES("p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@thirdparty.example.net"), true, NONE, NONE, NONE},
        {BYTES("p=quarantine; rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net; t=y"), true, QUARANTINE, QUARANTINE, QUARANTINE},
        {BYTES(" p=reject; rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net"), true, REJECT, REJECT, REJECT},
        {BYTES(" rua=mailto:aggregate-reports@thirdparty.example.net; ruf=mailto:failure-reports@thirdparty.example.net"), true, NONE, NONE, NONE},
        {BYTES(" p=reject; aspf=r; rua=mailto:dmarc-feedback@example.com"), true, REJECT, REJECT, REJECT},
        {BYTES("p=reject; sp=quarantine; np=none"), true, REJECT, QUARANTINE, NONE},
        {BYTES("np=reject; sp=none; p=quarantine"), true, QUARANTINE, NONE, REJECT},
        {BYTES("p=reject"), true, REJECT, REJECT, REJECT},
        {BYTES("p=none; sp=reject"), true, NONE, REJECT, REJECT},
        {BYTES("p=reject; np=none"), true, REJECT, REJECT, NONE},
        {BYTES(" P = Reject ;;; "), true, REJECT, REJECT, REJECT},
        {BYTES("p=reject; pct=0; rf=afrf; ri=1; foo=bar; =; x; =y"), true, REJECT, REJECT, REJECT},
        {BYTES("p=reject; p=none"), true, REJECT, REJECT, REJECT},
        /* what cannot be read */
        {BYTES(""), false, NONE, NONE, NONE},
        {BYTES("p="), false, NONE, NONE, NONE},
        {BYTES("p=r"), false, NONE, NONE, NONE},
        {BYTES("p=reject!"), false, NONE, NONE, NONE},
        {BYTES("sp=reject"), false, NONE, NONE, NONE},
        {BYTES("p=reject; sp=bogus"), false, NONE, NONE, NONE},
        {BYTES("p=reject; np="), false, NONE, NONE, NONE},
        {BYTES("p=bogus; rua=mailto:a@b.example"), true, NONE, NONE, NONE},
        {BYTES("sp=reject; rua=mailto:a@b.example"), true, NONE, NONE, NONE},
        {BYTES("p=reject; sp=x; rua=mailto:a@b.example!10m"), true, NONE, NONE, NONE},
        {BYTES("p=x; rua=a@b.example"), false, NONE, NONE, NONE},
        {BYTES("p=x; rua=, mailto:"), false, NONE, NONE, NONE},
        {BYTES("p=x; rua=mailto:a b"), false, NONE, NONE, NONE},
        {BYTES("p=x; rua=x, https://b.example/"), true, NONE, NONE, NONE},
    };
    /* clang-format on */
    char text[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = cases[i].tags.data;
        struct dmarc_record record;

        (void)snprintf(text, sizeof text, "v=DMARC1;%s", name);
        CHECK_TRUE(name, dmarc_record_parse(bytes_from_text(text), &record));
        CHECK_INT(name, record.has_policy, cases[i].has_policy);
        CHECK_INT(name, record.own, cases[i].own);
        CHECK_INT(name, record.below, cases[i].below);
        CHECK_INT(name, record.nowhere, cases[i].nowhere);
    }
}

static void test_other_tags(void **state)
{
    /* clang-format off */
    static const struct {
        struct bytes text;
        bool strict_dkim, strict_spf, testing;
        enum dmarc_psd psd;
    } cases[] = {
        {BYTES("v=DMARC1;p=none"), false, false, false, DMARC_PSD_UNKNOWN},
        {BYTES("v=DMARC1;p=none;adkim=s;aspf=r"), true, false, false, DMARC_PSD_UNKNOWN},
        {BYTES("v=DMARC1;p=none;adkim=r;aspf=S"), false, true, false, DMARC_PSD_UNKNOWN},
        {BYTES("v=DMARC1;p=none;adkim=strict;aspf="), false, false, false, DMARC_PSD_UNKNOWN},
        {BYTES("v=DMARC1;t=y;psd=y"), false, false, true, DMARC_PSD_YES},
        {BYTES("v=DMARC1;t=n;psd=n"), false, false, false, DMARC_PSD_NO},
        {BYTES("v=DMARC1;t=yes;psd=u"), false, false, false, DMARC_PSD_UNKNOWN},
        {BYTES("v=DMARC1;psd=maybe"), false, false, false, DMARC_PSD_UNKNOWN},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dmarc_record record;

        CHECK_TRUE(cases[i].text.data, dmarc_record_parse(cases[i].text, &record));
        CHECK_INT(cases[i].text.data, record.is_strict_dkim, cases[i].strict_dkim);
        CHECK_INT(cases[i].text.data, record.is_strict_spf, cases[i].strict_spf);
        CHECK_INT(cases[i].text.data, record.is_testing, cases[i].testing);
        CHECK_INT(cases[i].text.data, record.psd, cases[i].psd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_other_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
