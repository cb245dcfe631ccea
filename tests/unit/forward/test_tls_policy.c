#include "support/check.h"

#include "forward/tls_policy.h"

#define OFF TLS_LEVEL_OFF
#define MAY TLS_LEVEL_OPPORTUNISTIC
#define MUST TLS_LEVEL_REQUIRED
#define VERIFIED TLS_LEVEL_VERIFIED

static const struct delivery_route routes[] = {
    {.domain = {"a.org", 5}, .destination = {"relay.example:26", 16}, .hop_count = 1},
    {.domain = {"b.org", 5}, .destination = {"relay.example:26", 16}, .hop_count = 1},
    {.domain = {"mx.org", 6}, .use_mx = true},
    {.domain = {"c.org", 5}, .destination = {"other.example", 13}, .hop_count = 1},
    {.domain = {"*", 1}, .destination = {"smart.example", 13}, .hop_count = 1},
};
static const struct delivery_route_table table_of_routes = {routes, COUNT_OF(routes)};

static void test_find(void **state)
{
    static const struct tls_rule rules[] = {
        {{"bank.org", 8}, VERIFIED},  {{"old.org", 7}, OFF},
        {{"a.org", 5}, MUST},         {{"b.org", 5}, VERIFIED},
        {{"other.example", 13}, OFF}, {{"elsewhere.org", 13}, MUST},
        {{"mx.org", 6}, MUST},        {{"mx.bank.example", 15}, OFF},
    };
    static const struct tls_policy_table table = {MAY, rules, COUNT_OF(rules)};
    static const struct {
        const char *name;
        struct bytes destination, host;
        enum tls_level want;
    } cases[] = {
        {"no rule", BYTES("x.org"), BYTES("mx.x.org"), MAY},
        {"of the domain", BYTES("bank.org"), BYTES("mx.bank.org"), VERIFIED},
        {"in capitals", BYTES("BANK.org"), BYTES("mx.bank.org"), VERIFIED},
        {"off", BYTES("old.org"), BYTES("mx.old.org"), OFF},
        {"a sub-domain is another one", BYTES("x.bank.org"), BYTES("mx.bank.org"), MAY},
        {"the name of an MX host proves nothing", BYTES("bank.org"), BYTES("mx.bank.example"),
         VERIFIED},
        {"nor does it without a rule", BYTES("x.org"), BYTES("mx.bank.example"), MAY},
        {"strictest of those who take the route", BYTES("route:relay.example:26"),
         BYTES("relay.example"), VERIFIED},
        {"host of a route", BYTES("route:other.example"), BYTES("other.example"), OFF},
        {"host in capitals", BYTES("route:other.example"), BYTES("Other.Example"), OFF},
        {"by the default route", BYTES("route:smart.example"), BYTES("smart.example"),
         VERIFIED},
        {"route to mx", BYTES("mx.org"), BYTES("a.mx.org"), MUST},
        {"route that is gone", BYTES("route:gone.example"), BYTES("gone.example"), MAY},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(
            cases[i].name,
            tls_policy_find(&table, &table_of_routes, cases[i].destination, cases[i].host),
            cases[i].want);
    }
    CHECK_INT("no routes", tls_policy_find(&table, NULL, BYTES("bank.org"), BYTES("x")),
              VERIFIED);
    CHECK_INT("no routes", tls_policy_find(&table, NULL, BYTES("route:x"), BYTES("x")), MAY);
}

static void test_steps(void **state)
{
    static const struct {
        const char *name;
        enum tls_level level;
        struct tls_circumstances now;
        enum tls_step want;
        const char *want_why;
    } cases[] = {
        {"off", OFF, {true, false, false}, TLS_STEP_CLEAR, NULL},
        {"may, offered", MAY, {true, false, false}, TLS_STEP_START, NULL},
        {"may, not offered", MAY, {false, false, false}, TLS_STEP_CLEAR, NULL},
        {"may, refused", MAY, {true, true, false}, TLS_STEP_CLEAR, NULL},
        {"may, failed", MAY, {true, false, true}, TLS_STEP_CLEAR, NULL},
        {"must, offered", MUST, {true, false, false}, TLS_STEP_START, NULL},
        {"must, not offered",
         MUST,
         {false, false, false},
         TLS_STEP_GIVE_UP,
         "TLS required but not offered"},
        {"must, refused",
         MUST,
         {true, true, false},
         TLS_STEP_GIVE_UP,
         "TLS required but STARTTLS was refused"},
        {"must, failed", MUST, {true, false, true}, TLS_STEP_START, NULL},
        {"verified, offered", VERIFIED, {true, false, false}, TLS_STEP_START, NULL},
        {"verified, not offered",
         VERIFIED,
         {false, false, true},
         TLS_STEP_GIVE_UP,
         "TLS required but not offered"},
        {"verified, refused",
         VERIFIED,
         {true, true, false},
         TLS_STEP_GIVE_UP,
         "TLS required but STARTTLS was refused"},
        {"verified, failed", VERIFIED, {true, false, true}, TLS_STEP_START, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *why = NULL;

        CHECK_INT(cases[i].name, tls_policy_next_step(cases[i].level, cases[i].now, &why),
                  cases[i].want);
        CHECK_TEXT(cases[i].name, why, cases[i].want_why);
    }
}

static void test_levels(void **state)
{
    static const struct {
        enum tls_level level;
        const char *text;
        bool may_fall_back, wants_name;
    } cases[] = {{OFF, "off", false, false},
                 {MAY, "opportunistic", true, false},
                 {MUST, "required", false, false},
                 {VERIFIED, "verified", false, true}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_TEXT("text", tls_level_text(cases[i].level), cases[i].text);
        CHECK_INT("falls back", tls_policy_may_fall_back(cases[i].level),
                  cases[i].may_fall_back);
        CHECK_INT("name", tls_policy_wants_name(cases[i].level), cases[i].wants_name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
