#include "config_files.h"

/* `told`: what the loader says about it. */
static struct config *load(const char *lines, struct strbuf *told)
{
    struct config *config;
    struct strbuf text;

    strbuf_init(&text, 100000);
    strbuf_init(told, 100000);
    strbuf_addf(&text, CONFIG_FILES_HEAD "%s", lines);
    config = config_files_load_telling(strbuf_text(&text), told);
    strbuf_clear(&text);
    return config;
}

static void test_defaults(void **state)
{
    struct strbuf told;
    struct config *config = load("", &told);

    (void)state;
    CHECK_TEXT("nothing to say", strbuf_text(&told), "");
    CHECK_INT("nobody is asked", config->verify.count, 0);
    CHECK_INT("timeout", config->verify.timeout_ms, 10000);
    CHECK_INT("positive", config->verify.positive_ms, 3600 * 1000);
    CHECK_INT("negative", config->verify.negative_ms, 600 * 1000);
    CHECK_INT("defer", config->verify_on_failure, VERIFY_DEFER);
    strbuf_clear(&told);
    config_free(&config);
}

static void test_rules(void **state)
{
    static const struct {
        const char *domain;
        enum verify_failure want;
    } cases[] = {
        {"one.test", VERIFY_ACCEPT},
        {"TWO.test", VERIFY_ACCEPT},
        {"three.test", VERIFY_DEFER},
        {"xn--bcher-kva.test", VERIFY_ACCEPT},
    };
    struct strbuf told;
    struct config *config = load("verify-recipients One.test two.test\n"
                                 "verify-recipients three.test defer\n"
                                 "verify-recipients b\xc3\xbc"
                                 "cher.test accept\n"
                                 "verify {\n on-failure accept\n timeout 3s\n positive 0s\n"
                                 " negative 2m\n}\n",
                                 &told);

    (void)state;
    CHECK_TEXT("nothing to say", strbuf_text(&told), "");
    CHECK_INT("rules", config->verify.count, COUNT_OF(cases));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct verify_rule *rule =
            recipient_check_rule(&config->verify, bytes_from_text(cases[i].domain));

        assert_non_null(rule);
        CHECK_INT(cases[i].domain, rule->on_failure, cases[i].want);
    }
    CHECK_TRUE("no other", recipient_check_rule(&config->verify, BYTES("four.test")) == NULL);
    CHECK_INT("timeout", config->verify.timeout_ms, 3000);
    CHECK_INT("positive", config->verify.positive_ms, 0);
    CHECK_INT("negative", config->verify.negative_ms, 120 * 1000);
    strbuf_clear(&told);
    config_free(&config);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *lines, *want;
        bool want_config;
    } cases[] = {
        {"verify-recipients\n", "verify-recipients needs a value", false},
        {"verify-recipients defer\n", "no domain is named", false},
        {"verify-recipients -bad-.test\n", "this is not a domain", false},
        {"verify-recipients a.test A.TEST\n", "this domain is there twice", false},
        {"verify-recipients a.test\nverify-recipients a.test accept\n",
         "this domain is there twice", false},
        {"verify-recipients own.test\n", "a domain of ours has no effect here", true},
        {"verify {\n on-failure refuse\n}\n", "unknown word \"refuse\"", false},
        {"verify {\n timeout 5m\n}\n", "the value is too large", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf told;
        struct config *config = load(cases[i].lines, &told);

        CHECK_TRUE(cases[i].lines, bytes_find_part(strbuf_bytes(&told),
                                                   bytes_from_text(cases[i].want)) < told.len);
        CHECK_INT(cases[i].lines, config != NULL, cases[i].want_config);
        strbuf_clear(&told);
        config_free(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, config_files_make, config_files_remove);
}
