#include "config_files.h"

#include "daemon/config_dump.h"
#include "daemon/config_schema.h"

static int make_files(void **state)
{
    config_files_make(state);
    config_files_write("bad", BYTES("-----BEGIN PRIVATE KEY-----\nsecret octets\n"), 0600);
    config_files_write_key("rsa", SIGNING_RSA_SHA256, 0600);
    config_files_write_key("rsa2", SIGNING_RSA_SHA256, 0600);
    config_files_write_key("ed", SIGNING_ED25519_SHA256, 0600);
    config_files_write_key("open", SIGNING_ED25519_SHA256, 0604);
    config_files_write_key("changing", SIGNING_ED25519_SHA256, 0600);
    return 0;
}

#define HEAD "hostname mx.test\nsrs {\n secret-file secret\n domain srs.test\n}\n" /* 1 to 5 */
#define OWN "domain own.test {\n forward /postmaster|abuse/ to a@x.test\n"         /* 6 and 7 */
#define KEY "selector s1\n key-file rsa\n"
#define SEAL "seal {\n " KEY "}\n" /* four lines */

static void test_none(void **state)
{
    struct config *config = config_files_load_good(HEAD OWN "}\n");

    (void)state;
    CHECK_TRUE("own", config_seal_for(config, BYTES("own.test")) == NULL);
    CHECK_TRUE("other", config_seal_for(config, BYTES("x.test")) == NULL);
    CHECK_INT("all", config->seal_count, 0);
    CHECK_INT("trust", config->arc_trust.count, 0);
    CHECK_INT("doomed", config->policy.doomed, DOOMED_REFUSE);
    CHECK_INT("doomed-quarantine", config->policy.doomed_quarantine, DOOMED_QUARANTINE_FORWARD);
    CHECK_INT("munge-from", config->policy.munge_from, MUNGE_NEVER);
    config_free(&config);
}

static const char SEVERAL[] = HEAD "domain usual.test {\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "}\n"
                                   "domain Own.test {\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "    seal {\n"
                                   "        selector new\n"
                                   "        key-file rsa\n"
                                   "        selector ed\n"
                                   "        key-file ed\n"
                                   "        dkim yes\n"
                                   "    }\n"
                                   "}\n"
                                   "domain off.test {\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "    seal {\n"
                                   "    }\n"
                                   "}\n"
                                   "domain same.test {\n"
                                   "    seal {\n"
                                   "        domain SRS.test\n"
                                   "        arc yes\n"
                                   "        selector S1\n"
                                   "        key-file rsa\n"
                                   "    }\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "}\n"
                                   "domain b\xc3\xbc"
                                   "cher.test {\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "    seal {\n"
                                   "        arc no\n"
                                   "        selector ed\n"
                                   "        key-file ed\n"
                                   "    }\n"
                                   "}\n"
                                   "domain signed.test {\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "    seal {\n"
                                   "        domain srs.test\n"
                                   "        selector s1\n"
                                   "        key-file rsa\n"
                                   "        dkim yes\n"
                                   "    }\n"
                                   "}\n"
                                   "seal {\n"
                                   "    selector s1\n"
                                   "    key-file rsa\n"
                                   "}\n"
                                   "policy {\n"
                                   "    arc-trust Lists.test b\xc3\xbc"
                                   "cher.test\n"
                                   "    arc-trust mx.test\n"
                                   "}\n";

static void check_several(const struct config *config)
{
    const struct seal *usual = config_seal_for(config, BYTES("usual.test"));
    const struct seal *own = config_seal_for(config, BYTES("OWN.TEST"));
    const struct seal *idn = config_seal_for(config, BYTES("b\xc3\xbc"
                                                           "cher.test"));

    CHECK_BYTES("usual d=", usual->domain, BYTES("srs.test"));
    CHECK_INT("usual keys", usual->key_count, 1);
    CHECK_INT("usual arc", usual->with_arc, true);
    CHECK_INT("usual dkim", usual->with_dkim, false);
    CHECK_TRUE("not ours", config_seal_for(config, BYTES("x.test")) == usual);
    CHECK_TRUE("equal", config_seal_for(config, BYTES("same.test")) == usual);
    CHECK_TRUE("off", config_seal_for(config, BYTES("off.test")) == NULL);
    CHECK_BYTES("own d=", own->domain, BYTES("own.test"));
    CHECK_INT("own keys", own->key_count, 2);
    CHECK_BYTES("first", own->keys[0].selector, BYTES("new"));
    CHECK_BYTES("second", own->keys[1].selector, BYTES("ed"));
    CHECK_INT("second", signing_key_algorithm(own->keys[1].key), SIGNING_ED25519_SHA256);
    CHECK_INT("own dkim", own->with_dkim, true);
    CHECK_TRUE("a file is read once", own->keys[0].key == usual->keys[0].key);
    CHECK_BYTES("A-labels", idn->domain, BYTES("xn--bcher-kva.test"));
    CHECK_INT("no arc", idn->with_arc, false);
    CHECK_TRUE("nearly equal", config_seal_for(config, BYTES("signed.test")) != usual);
    CHECK_INT("all", config->seal_count, 4);
    CHECK_TRUE("the first", config->seals[0] == usual);
    CHECK_INT("trust", config->arc_trust.count, 3);
    CHECK_BYTES("trust", config->arc_trust.domains[0], BYTES("lists.test"));
    CHECK_BYTES("trust", config->arc_trust.domains[1], BYTES("xn--bcher-kva.test"));
    CHECK_BYTES("trust", config->arc_trust.domains[2], BYTES("mx.test"));
}

/* The dump says the same, without a word of a key. */
static void test_several(void **state)
{
    struct config *config = config_files_load_good(SEVERAL), *again;
    struct strbuf dump;

    (void)state;
    check_several(config);
    strbuf_init(&dump, 100000);
    config_dump(config, &dump);
    CHECK_TRUE("no key", strstr(strbuf_text(&dump), "PRIVATE") == NULL);
    CHECK_TRUE("usual domain", strstr(strbuf_text(&dump), "    domain srs.test  ") != NULL);
    CHECK_TRUE("own domain", strstr(strbuf_text(&dump), "        domain own.test  ") != NULL);
    CHECK_TRUE("default", strstr(strbuf_text(&dump), "        arc yes  ") != NULL);
    again = config_files_load_good(strbuf_text(&dump));
    check_several(again);
    strbuf_clear(&dump);
    config_free(&again);
    config_free(&config);
}

static void test_mistakes(void **state)
{
    /* clang-format off */
    static const struct {
        const char *name;
        const char *text;
        const char *want; /* LINE:COLUMN severity message; a part of it */
        const char *hint;
    } cases[] = {
        {"no file", HEAD OWN "}\nseal {\n selector s1\n key-file nothing\n}\n", "11:11 error cannot read ", "key make"},
        {"bad key", HEAD OWN "}\nseal {\n selector s1\n key-file bad\n}\n", "11:11 error cannot use the key in ", "key make"},
        {"not a key at all", HEAD OWN "}\nseal {\n selector s1\n key-file secret\n}\n", "11:11 error cannot use the key in ", NULL},
        {"open to others", HEAD OWN "}\nseal {\n arc no\n selector s1\n key-file open\n}\n", "12:11 warning everybody on this machine can read ", "chmod 640"},
        {"no selector", HEAD OWN "}\nseal {\n key-file rsa\n}\n", "10:11 error this key has no selector", "before it"},
        {"two files", HEAD OWN "}\nseal {\n selector s1\n key-file rsa\n key-file rsa2\n}\n", "12:11 error this key has no selector", NULL},
        {"no file behind it", HEAD OWN "}\nseal {\n selector s1\n}\n", "10:11 error this selector has no key", "key-file follows"},
        {"two selectors", HEAD OWN "}\nseal {\n selector s1\n selector s2\n key-file rsa\n}\n", "10:11 error this selector has no key", NULL},
        {"no selector", HEAD OWN "}\nseal {\n selector a_;b\n key-file rsa\n}\n", "10:11 error this is not a selector", "letters"},
        {"no domain", HEAD OWN "}\nseal {\n domain a..b\n selector s1\n key-file rsa\n}\n", "10:9 error this is not a domain", NULL},
        {"empty file name", HEAD OWN "}\nseal {\n selector s1\n key-file \"\"\n}\n", "11:11 error key-file is empty", NULL},
        {"two values", HEAD OWN "}\nseal {\n selector s1 s2\n key-file rsa\n}\n", "10:14 error selector takes one value", NULL},
        {"unknown word", HEAD OWN "}\nseal {\n arc maybe\n " KEY "}\n", "10:6 error unknown word \"maybe\"", "no or yes"},
        {"no key", HEAD OWN "}\nseal {\n dkim yes\n}\n", "9:1 error this seal has no key", "selector NAME"},
        {"no RSA key", HEAD OWN "}\nseal {\n selector s1\n key-file ed\n}\n", "9:1 error ARC needs an RSA key", "arc no"},
        {"no RSA key, in a domain", HEAD OWN " seal {\n  selector s1\n  key-file ed\n }\n}\n", "8:2 error ARC needs an RSA key", "arc no"},
        {"twice", HEAD OWN "}\nseal {\n " KEY " selector S1\n key-file rsa2\n}\n", "12:11 error this selector is there twice", "of its own"},
        {"twice, the same key", HEAD OWN "}\nseal {\n " KEY " " KEY "}\n", "12:11 error this selector is there twice", NULL},
        {"twice in all", HEAD OWN " seal {\n  domain srs.test\n  selector s1\n  key-file rsa2\n }\n}\n" SEAL,
         "10:12 error two different keys for s1._domainkey.srs.test", NULL},
        {"block twice", HEAD OWN "}\n" SEAL SEAL, "13:1 error seal is set twice", NULL},
        {"block twice in a domain", HEAD OWN " seal {\n }\n seal {\n }\n}\n", "10:2 error seal is set twice", NULL},
        {"domain twice", HEAD OWN "}\nseal {\n domain a.test\n domain b.test\n " KEY "}\n", "11:2 error domain is set twice", NULL},
        {"without a block", HEAD OWN "}\nseal yes\n", "9:1 error seal needs a block in braces", NULL},
        {"outside", HEAD OWN "}\nselector s1\n", "9:1 error \"selector\" is not known here", "seal { ... }"},
        {"unknown option", HEAD OWN "}\nseal {\n selecter s1\n}\n", "10:2 error unknown option \"selecter\"", "selector"},

        {"trust all", HEAD OWN "}\npolicy {\n arc-trust *\n}\n", "10:12 error this is not the name of a domain", "d="},
        {"trust below", HEAD OWN "}\npolicy {\n arc-trust a.test *.a.test\n}\n", "10:19 error this is not the name of a domain", NULL},
        {"trust a label", HEAD OWN "}\npolicy {\n arc-trust test\n}\n", "10:12 error this is not the name of a domain", NULL},
        {"trust an address", HEAD OWN "}\npolicy {\n arc-trust 192.0.2.1\n}\n", "10:12 error this is not the name of a domain", NULL},
        {"trust in a domain", HEAD OWN " policy {\n  arc-trust a.test\n }\n}\n", "9:3 error arc-trust cannot be set for a domain alone", "outside"},
        {"trust nobody", HEAD OWN "}\npolicy {\n arc-trust\n}\n", "10:2 error arc-trust needs a value", NULL},

        {"munge, never", HEAD OWN "}\n" SEAL "policy {\n doomed munge\n}\n", "14:2 error \"munge\" says nothing while munge-from is never", "when-needed"},
        {"munge quarantine, never", HEAD OWN "}\n" SEAL "policy {\n doomed-quarantine munge\n}\n", "14:2 error \"munge\" says nothing", NULL},
        {"munge, never, in a domain", HEAD OWN " policy {\n  doomed munge\n }\n}\n" SEAL, "9:3 error \"munge\" says nothing", NULL},
        {"never, in a domain", HEAD OWN " policy {\n  munge-from never\n }\n seal {\n  " KEY " }\n}\npolicy {\n doomed munge\n munge-from when-needed\n}\n",
         "9:3 error \"munge\" says nothing", NULL},
        {"munge, never, for an address", HEAD OWN " policy-for abuse {\n  doomed munge\n }\n}\n" SEAL, "9:3 error \"munge\" says nothing", NULL},
        {"munge without a key", HEAD OWN "}\npolicy {\n doomed munge\n munge-from when-needed\n}\n", "10:2 error mail to own.test cannot be munged without a key", "seal {"},
        {"munge with a key of others", HEAD OWN "}\n" SEAL "policy {\n doomed munge\n munge-from when-needed\n}\n",
         "14:2 error mail to own.test cannot be munged: it is signed as srs.test", "seal block of its own"},
        {"nearly below", HEAD OWN "}\nseal {\n domain town.test\n " KEY "}\npolicy {\n doomed munge\n munge-from when-needed\n}\n",
         "15:2 error mail to own.test cannot be munged: it is signed as town.test", NULL},
        {"told once for all domains", HEAD OWN "}\ndomain b.test {\n forward /postmaster|abuse/ to a@x.test\n}\n" SEAL "policy {\n doomed munge\n}\n",
         "17:2 error \"munge\" says nothing", NULL},
        {"told for the domain, not for its addresses", HEAD OWN " policy-for abuse {\n  iprev off\n }\n policy {\n  doomed munge\n }\n}\n" SEAL,
         "12:3 error \"munge\" says nothing", NULL},
        {"munge nothing", HEAD OWN "}\n" SEAL "policy {\n munge-from when-needed\n}\n", "14:2 warning nothing is munged", "doomed munge"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config_errors *errors = config_errors_new();
        struct config *config = config_files_load(cases[i].text, errors);
        const struct config_error *error = config_errors_get(errors, 0);
        bool is_warning = strstr(cases[i].want, " warning ") != NULL;
        char got[600];

        CHECK_TRUE(cases[i].name, error != NULL);
        CHECK_TRUE(cases[i].name, (config != NULL) == is_warning);
        CHECK_INT(cases[i].name,
                  config_errors_count(errors, CONFIG_ERROR) +
                      config_errors_count(errors, CONFIG_WARNING),
                  1);
        snprintf(got, sizeof got, "%u:%u %s %s", error->line, error->column,
                 error->severity == CONFIG_ERROR ? "error" : "warning", error->message);
        got[strlen(got) > strlen(cases[i].want) ? strlen(cases[i].want) : strlen(got)] = '\0';
        CHECK_TEXT(cases[i].name, got, cases[i].want);
        CHECK_TRUE(cases[i].name,
                   cases[i].hint == NULL ||
                       (error->hint != NULL && strstr(error->hint, cases[i].hint) != NULL));
        CHECK_TRUE("no octet of a key",
                   bytes_find_part(error->text, BYTES("secret octets")) == error->text.len);
        config_free(&config);
        config_errors_free(&errors);
    }
}

/* Munging that can be: a key of the domain, above it or below it; where it is not meant, no key. */
static void test_munging(void **state)
{
    static const char *const cases[] = {
        HEAD OWN " seal {\n " KEY "}\n}\npolicy {\n doomed munge\n munge-from when-needed\n}\n",
        HEAD OWN "}\nseal {\n domain own.test\n " KEY
                 "}\npolicy {\n doomed-quarantine munge\n munge-from when-needed\n}\n",
        HEAD OWN "}\nseal {\n domain test\n " KEY
                 "}\npolicy {\n doomed munge\n munge-from when-needed\n}\n",
        HEAD OWN "}\nseal {\n domain srs.own.test\n " KEY
                 "}\npolicy {\n doomed munge\n munge-from when-needed\n}\n",
        HEAD OWN " policy {\n munge-from when-needed\n }\n seal {\n " KEY
                 "}\n}\npolicy {\n doomed munge\n}\n",
        HEAD OWN " policy {\n doomed munge\n munge-from when-needed\n }\n seal {\n " KEY
                 "}\n}\n"
                 "domain other.test {\n forward /postmaster|abuse/ to a@x.test\n}\n",
        HEAD OWN
        " policy-for abuse {\n doomed munge\n munge-from when-needed\n }\n seal {\n " KEY
        "}\n}\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config *config = config_files_load_good(cases[i]);
        config_free(&config);
    }
}

/* A key that changes changes the state of the files; it is not read again by itself. */
static void test_changed_key(void **state)
{
    struct config *config = config_files_load_good(
        HEAD OWN "}\nseal {\n arc no\n selector s1\n key-file changing\n}\n");
    uint64_t before = config_files_now(config);

    (void)state;
    CHECK_TRUE("steady", config_files_now(config) == before);
    config_files_write("changing",
                       BYTES("something else that is longer than before, and no key\n"), 0600);
    CHECK_TRUE("changed", config_files_now(config) != before);
    CHECK_INT("not by itself", config_is_stale(config), false);
    for (const struct config_file *file = config->files; file != NULL; file = file->next) {
        CHECK_TRUE("wiped", strstr(file->name, "changing") == NULL || file->text.len == 0);
    }
    config_free(&config);
}

static void test_explained(void **state)
{
    struct strbuf text;

    (void)state;
    strbuf_init(&text, 10000);
    CHECK_TRUE("known", config_schema_explain(BYTES("seal.arc"), &text));
    CHECK_TRUE("default", strstr(strbuf_text(&text), "default   yes\n") != NULL);
    CHECK_TRUE("domain's", config_schema_explain(BYTES("domain.seal"), &text));
    CHECK_TRUE("trust", config_schema_explain(BYTES("arc-trust"), &text));
    strbuf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),        cmocka_unit_test(test_several),
        cmocka_unit_test(test_mistakes),    cmocka_unit_test(test_munging),
        cmocka_unit_test(test_changed_key), cmocka_unit_test(test_explained),
    };

    return cmocka_run_group_tests(tests, make_files, config_files_remove);
}
