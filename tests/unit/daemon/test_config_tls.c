#include "config_files.h"

#include "daemon/config_dump.h"
#include "daemon/config_schema.h"
#include "support/tls_certificates.h"

static int make_files(void **state)
{
    struct test_certificate good, other, old;

    config_files_make(state);
    make_certificate(&good, "DNS:mx.example", NULL, false, 24 * 60);
    make_certificate(&other, "DNS:other.example", NULL, false, 24 * 60);
    make_certificate(&old, "DNS:old.example", NULL, false, 0);
    config_files_write("cert", strbuf_bytes(&good.chain), 0644);
    config_files_write("key", strbuf_bytes(&good.key_text), 0600);
    config_files_write("open", strbuf_bytes(&good.key_text), 0604);
    config_files_write("other", strbuf_bytes(&other.key_text), 0600);
    config_files_write("old", strbuf_bytes(&old.chain), 0600);
    config_files_write("old.key", strbuf_bytes(&old.key_text), 0600);
    config_files_write("none", BYTES("nothing\n"), 0600);
    clear_certificate(&good);
    clear_certificate(&other);
    clear_certificate(&old);
    return 0;
}

static struct config *load(const char *top, const char *delivery, struct config_errors *errors)
{
    char text[4096];

    snprintf(
        text, sizeof text,
        "hostname mx.example\nsrs {\nsecret-file secret\n}\n"
        "domain example.org {\nforward postmaster to a@x.test\nforward abuse to a@x.test\n}\n"
        "delivery {\n%s\n}\n%s\n",
        delivery, top);
    return config_files_load(text, errors);
}

static void test_values(void **state)
{
    struct config_errors *errors = config_errors_new();
    struct config *config = load("", "", errors);

    (void)state;
    CHECK_TRUE("loads", config != NULL);
    CHECK_INT("usual", config->delivery.tls_policies.usual, TLS_LEVEL_OPPORTUNISTIC);
    CHECK_INT("no rules", config->delivery.tls_policies.count, 0);
    CHECK_TRUE("context", config->delivery.tls_context != NULL);
    config_free(&config);

    config = load("", "tls off", errors);
    CHECK_TRUE("off: no context", config != NULL && config->delivery.tls_context == NULL);
    CHECK_INT("no REQUIRETLS", config->requiretls, false);
    config_free(&config);

    config = load("tls {\nrequiretls yes\n}", "tls off", errors);
    CHECK_TRUE("REQUIRETLS needs one", config != NULL && config->delivery.tls_context != NULL);
    CHECK_INT("REQUIRETLS", config->requiretls, true);
    config_free(&config);

    config = load("delivery-tls Bank.Example. verified\ndelivery-tls 2001:DB8:0::1 off\n"
                  "delivery-tls a.example opportunistic",
                  "tls off\ntls-ca cert\ntls-certificate cert\ntls-key key", errors);
    CHECK_TRUE("loads", config != NULL);
    CHECK_INT("usual", config->delivery.tls_policies.usual, TLS_LEVEL_OFF);
    CHECK_INT("rules", config->delivery.tls_policies.count, 3);
    CHECK_BYTES("domain", config->delivery.tls_policies.rules[0].domain, BYTES("bank.example"));
    CHECK_INT("level", config->delivery.tls_policies.rules[0].level, TLS_LEVEL_VERIFIED);
    CHECK_BYTES("address", config->delivery.tls_policies.rules[1].domain, BYTES("2001:db8::1"));
    CHECK_INT("level", config->delivery.tls_policies.rules[2].level, TLS_LEVEL_OPPORTUNISTIC);
    CHECK_TRUE("a rule wants it", config->delivery.tls_context != NULL);
    CHECK_TRUE("nothing to say", config_errors_count(errors, CONFIG_WARNING) == 0);
    config_free(&config);
    config_errors_free(&errors);
}

static void test_messages(void **state)
{
    static const struct {
        const char *name, *top, *delivery, *want;
        bool is_error;
    } cases[] = {
        {"unknown level", "", "tls always", "unknown word \"always\"", true},
        {"missing file", "", "tls-ca missing", "missing", true},
        {"no authority", "", "tls-ca none",
         "no certificate in PEM form in the file of authorities", true},
        {"no key", "", "tls-certificate cert", "this certificate has no key", true},
        {"no certificate", "", "tls-key key", "this key has no certificate", true},
        {"key of another", "", "tls-certificate cert\ntls-key other",
         "the key is not the one of the certificate", true},
        {"no PEM", "", "tls-certificate none\ntls-key key",
         "no certificate in PEM form in the certificate file", true},
        {"key no PEM", "", "tls-certificate cert\ntls-key none", "no private key in PEM form",
         true},
        {"expired", "", "tls-certificate old\ntls-key old.key", "this certificate has expired",
         false},
        {"open key", "", "tls-certificate cert\ntls-key open",
         "everybody on this machine can read", false},
        {"looked at though off", "", "tls off\ntls-certificate cert\ntls-key other",
         "the key is not the one of the certificate", true},
        {"rule without level", "delivery-tls a.test", "", "the level is missing", true},
        {"rule without domain", "delivery-tls", "", "needs a value", true},
        {"rule with more", "delivery-tls a.test off off", "", "this word is too much", true},
        {"rule of unknown level", "delivery-tls a.test never", "", "unknown word \"never\"",
         true},
        {"rule for what is no domain", "delivery-tls a..test off", "", "not a domain", true},
        {"rule for all", "delivery-tls * off", "", "not a domain", true},
        {"two rules", "delivery-tls a.test off\ndelivery-tls A.test. off", "", "a second rule",
         true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config_errors *errors = config_errors_new();
        struct config *config = load(cases[i].top, cases[i].delivery, errors);
        struct strbuf text;

        strbuf_init(&text, 100000);
        config_errors_print(errors, &text);
        CHECK_INT(cases[i].name, config == NULL, cases[i].is_error);
        if (strstr(strbuf_text(&text), cases[i].want) == NULL) {
            fail_msg("%s: got \"%s\", want \"%s\"", cases[i].name, strbuf_text(&text),
                     cases[i].want);
        }
        strbuf_clear(&text);
        config_free(&config);
        config_errors_free(&errors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_messages),
    };

    return cmocka_run_group_tests(tests, make_files, config_files_remove);
}
