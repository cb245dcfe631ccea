#include "support/check.h"

#include "io/tls_context.h"
#include "support/tls_certificates.h"

#include <time.h>

static struct test_certificate authority, ecdsa, rsa, other;

static int make_all(void **state)
{
    (void)state;
    make_certificate(&authority, NULL, NULL, false, 24);
    make_certificate(&ecdsa, "DNS:mx.example", &authority, false, 12);
    make_certificate(&rsa, "DNS:mx.example", &authority, true, 10);
    make_certificate(&other, "DNS:other.example", NULL, false, 24);
    return 0;
}

static int clear_all(void **state)
{
    (void)state;
    clear_certificate(&authority);
    clear_certificate(&ecdsa);
    clear_certificate(&rsa);
    clear_certificate(&other);
    return 0;
}

static struct bytes text_of(const struct strbuf *text)
{
    return strbuf_bytes(text);
}

/* "" when it is made; else why not. */
static void try_options(const char *name, const struct tls_context_options *options,
                        const char *want)
{
    struct strbuf why;
    struct tls_context *context;

    strbuf_init(&why, 1000);
    context = tls_context_new(options, &why);
    CHECK_INT(name, context != NULL, want[0] == '\0');
    if (bytes_find_part(strbuf_bytes(&why), bytes_from_text(want)) == why.len &&
        want[0] != '\0') {
        fail_msg("%s: got \"%s\", want \"%s\"", name, strbuf_text(&why), want);
    }
    tls_context_drop(&context);
    strbuf_clear(&why);
}

static void test_certificates(void **state)
{
    struct bytes chain = text_of(&ecdsa.chain), key = text_of(&ecdsa.key_text);
    static const char locked[] =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
        "AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    const struct {
        const char *name;
        struct tls_certificate pair;
        const char *want;
    } cases[] = {
        {"good", {chain, key}, ""},
        {"key of another", {chain, text_of(&other.key_text)}, "is not the one"},
        {"no certificate", {BYTES("hello\n"), key}, "no certificate in PEM form"},
        {"empty", {BYTES(""), key}, "no certificate in PEM form"},
        {"key as certificate", {key, key}, "no certificate in PEM form"},
        {"no key", {chain, chain}, "no private key"},
        {"locked key", {chain, bytes_from_text(locked)}, "pass phrase"},
        {"cut", {bytes_first(chain, chain.len / 2), key}, "certificate"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (enum tls_role role = TLS_CLIENT; role <= TLS_SERVER; role++) {
            struct tls_context_options options = {
                .role = role, .certificates = &cases[i].pair, .certificate_count = 1};

            try_options(cases[i].name, &options, cases[i].want);
        }
    }
}

static void test_trusted(void **state)
{
    struct tls_context_options options = {.role = TLS_CLIENT};
    struct strbuf two;

    (void)state;
    try_options("the system's", &options, "");
    options.trusted = text_of(&authority.chain);
    try_options("one", &options, "");
    options.trusted = BYTES("# nothing\n");
    try_options("none", &options, "no certificate in PEM form in the file of authorities");
    strbuf_init(&two, 100000);
    strbuf_add(&two, text_of(&authority.chain));
    strbuf_add(&two, bytes_first(text_of(&other.chain), 100));
    options.trusted = strbuf_bytes(&two);
    try_options("the second is cut", &options, "damaged");
    strbuf_clear(&two);
    options = (struct tls_context_options){.role = TLS_SERVER};
    try_options("server without", &options, "needs a certificate");
}

static void test_two_kinds(void **state)
{
    struct tls_certificate pairs[] = {{text_of(&ecdsa.chain), text_of(&ecdsa.key_text)},
                                      {text_of(&rsa.chain), text_of(&rsa.key_text)}};
    struct tls_context_options options = {
        .role = TLS_SERVER, .certificates = pairs, .certificate_count = 2};
    struct strbuf why;
    struct tls_context *context, *second;

    (void)state;
    strbuf_init(&why, 1000);
    context = tls_context_new(&options, &why);
    CHECK_TRUE("made", context != NULL);
    CHECK_TRUE("the first end", tls_context_expires(context) < time(NULL) + 11 * 3600);
    CHECK_TRUE("the first end", tls_context_expires(context) > time(NULL) + 9 * 3600);
    second = tls_context_hold(context);
    tls_context_drop(&context);
    CHECK_TRUE("gone", context == NULL);
    tls_context_drop(&second);
    tls_context_drop(&second);
    strbuf_clear(&why);
}

static void add_all(struct strbuf *chain, const struct test_certificate *const *parts)
{
    strbuf_init(chain, 100000);
    for (; *parts != NULL; parts++) {
        strbuf_add(chain, text_of(&(*parts)->chain));
    }
}

static void test_look(void **state)
{
    const struct {
        const char *name;
        const struct test_certificate *parts[4];
        const char *asked;
        enum tls_chain want;
        bool has_name;
    } cases[] = {
        {"whole", {&ecdsa, &authority}, "mx.example", TLS_CHAIN_GOOD, true},
        {"another name", {&ecdsa, &authority}, "other.example", TLS_CHAIN_GOOD, false},
        {"upper case", {&ecdsa, &authority}, "MX.Example", TLS_CHAIN_GOOD, true},
        {"no name", {&ecdsa, &authority}, "", TLS_CHAIN_GOOD, false},
        {"alone", {&ecdsa}, "mx.example", TLS_CHAIN_ALONE, true},
        {"signed by itself", {&other}, "other.example", TLS_CHAIN_GOOD, true},
        {"a stranger in it",
         {&ecdsa, &other, &authority},
         "mx.example",
         TLS_CHAIN_DISORDERED,
         true},
        {"a stranger at its end",
         {&ecdsa, &authority, &other},
         "mx.example",
         TLS_CHAIN_DISORDERED,
         true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tls_certificate_facts facts;
        struct tls_certificate pair;
        struct strbuf chain, why;

        add_all(&chain, cases[i].parts);
        strbuf_init(&why, 1000);
        pair = (struct tls_certificate){strbuf_bytes(&chain),
                                        text_of(&cases[i].parts[0]->key_text)};
        CHECK_TRUE(cases[i].name,
                   tls_certificate_look(&pair, bytes_from_text(cases[i].asked), &facts, &why));
        CHECK_INT(cases[i].name, facts.chain, cases[i].want);
        CHECK_INT(cases[i].name, facts.has_name, cases[i].has_name);
        CHECK_TRUE(cases[i].name, facts.begins < time(NULL) && facts.expires > time(NULL));
        pair.key = text_of(&authority.key_text);
        CHECK_TRUE(cases[i].name, !tls_certificate_look(&pair, BYTES(""), &facts, &why));
        CHECK_TEXT(cases[i].name, strbuf_text(&why),
                   "the key is not the one of the certificate");
        strbuf_clear(&why);
        strbuf_clear(&chain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_two_kinds),
        cmocka_unit_test(test_look),
    };

    return cmocka_run_group_tests(tests, make_all, clear_all);
}
