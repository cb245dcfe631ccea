#include "support/check.h"

#include "mail/hidden_address.h"

static void test_the_hidden_address_is_the_alias(void **state)
{
    static const struct {
        const char *name;
        struct bytes text, want;
    } cases[] = {
        {"as it is", BYTES("no bob@next.test here"), BYTES("no info@x.org here")},
        {"any case", BYTES("Bob@NEXT.test"), BYTES("info@x.org")},
        {"the local part in brackets", BYTES("<bob>: no"), BYTES("<info@x.org>: no")},
        {"only a part of a word", BYTES("bobby <bo>"), BYTES("bobby <bo>")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf out;

        strbuf_init(&out, 1000);
        hidden_address_add(&out, cases[i].text, BYTES("bob@next.test"), BYTES("info@x.org"));
        CHECK_BYTES(cases[i].name, strbuf_bytes(&out), cases[i].want);
        strbuf_clear(&out);
    }
}

static void test_names_are_for_the_log(void **state)
{
    static const struct {
        const char *name;
        struct bytes text, want;
        bool want_reply;
    } cases[] = {
        /* clang-format off */
        {"ours", BYTES("connect: refused [mx.next.test (192.0.2.1:25)]"), BYTES("connect: refused"), false},
        {"an IPv6 address", BYTES("connect: refused [mx.next.test ([2001:db8::1]:25)]"), BYTES("connect: refused"), false},
        {"cut where the spool cuts it", BYTES("connect: refused [mx.next"), BYTES("connect: refused"), false},
        {"without names", BYTES("given up by the operator"), BYTES("given up by the operator"), false},
        {"a reply", BYTES("550 5.7.1 blocked [192.0.2.1]"), BYTES("550 5.7.1 blocked [192.0.2.1]"), true},
        {"the code alone", BYTES("550"), BYTES("550"), true},
        {"of several lines", BYTES("550-a [b]"), BYTES("550-a [b]"), true},
        {"a number that is no code", BYTES("5000 [x]"), BYTES("5000"), false},
        {"too short", BYTES("55"), BYTES("55"), false},
        {"nothing", BYTES(""), BYTES(""), false},
        /* clang-format on */
    };
    struct strbuf out;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_BYTES(cases[i].name, hidden_names_without(cases[i].text), cases[i].want);
        CHECK_INT(cases[i].name, hidden_names_is_reply(cases[i].text), cases[i].want_reply);
    }
    strbuf_init(&out, 1000);
    strbuf_add_text(&out, "does not exist");
    hidden_names_add(&out, BYTES("next.test"));
    CHECK_BYTES("written", strbuf_bytes(&out), BYTES("does not exist [next.test]"));
    CHECK_BYTES("and read", hidden_names_without(strbuf_bytes(&out)), BYTES("does not exist"));
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hidden_address_is_the_alias),
        cmocka_unit_test(test_names_are_for_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
