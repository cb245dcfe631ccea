#include "config_files.h"

#include "daemon/config_dump.h"
#include "daemon/config_schema.h"

#define HEAD                                                                                   \
    "hostname mx.test\n"                                                                       \
    "srs {\n secret-file secret\n}\n"                                      /* lines 1 to 4 */
#define OWN "domain own.test {\n forward /postmaster|abuse/ to a@x.test\n" /* 5 and 6 */

static void test_defaults(void **state)
{
    struct config *config = config_files_load_good(HEAD OWN "}\n");
    const struct accept_policy *own =
        config_policy_for(config, BYTES("own.test"), BYTES("info"));

    (void)state;
    CHECK_INT("on", config->authenticate, true);
    CHECK_INT("received-spf", config->received_spf, false);
    CHECK_INT("spf", config->policy.spf_fail, SPF_FAIL_REFUSE_UNLESS_DKIM);
    CHECK_INT("reject", config->policy.dmarc_reject, DMARC_REJECT_REFUSE);
    CHECK_INT("quarantine", config->policy.dmarc_quarantine, DMARC_QUARANTINE_TAG);
    CHECK_INT("temperror", config->policy.auth_temperror, AUTH_TEMPERROR_DEFER);
    CHECK_INT("own", config->policy.own_domain_spoof, OWN_DOMAIN_REFUSE);
    CHECK_INT("iprev", config->policy.iprev, IPREV_TAG);
    CHECK_BYTES("authserv-id", config->authserv_id, BYTES("mx.test"));
    CHECK_TRUE("no own policy", own == &config->policy);
    config_free(&config);
}

/* Each word of each option is the value it says. */
static void test_words(void **state)
{
    /* clang-format off */
    static const struct {
        const char *line;
        size_t offset;
        int want;
    } cases[] = {
        {"authenticate on", offsetof(struct config, authenticate), true},
        {"authenticate off", offsetof(struct config, authenticate), false},
        {"received-spf yes", offsetof(struct config, received_spf), true},
        {"received-spf no", offsetof(struct config, received_spf), false},
        {"spf-fail refuse-unless-dkim", offsetof(struct config, policy.spf_fail), SPF_FAIL_REFUSE_UNLESS_DKIM},
        {"spf-fail refuse", offsetof(struct config, policy.spf_fail), SPF_FAIL_REFUSE},
        {"spf-fail tag", offsetof(struct config, policy.spf_fail), SPF_FAIL_TAG},
        {"dmarc-reject refuse", offsetof(struct config, policy.dmarc_reject), DMARC_REJECT_REFUSE},
        {"dmarc-reject tag", offsetof(struct config, policy.dmarc_reject), DMARC_REJECT_TAG},
        {"dmarc-quarantine tag", offsetof(struct config, policy.dmarc_quarantine), DMARC_QUARANTINE_TAG},
        {"dmarc-quarantine refuse", offsetof(struct config, policy.dmarc_quarantine), DMARC_QUARANTINE_REFUSE},
        {"dmarc-quarantine accept", offsetof(struct config, policy.dmarc_quarantine), DMARC_QUARANTINE_ACCEPT},
        {"auth-temperror defer", offsetof(struct config, policy.auth_temperror), AUTH_TEMPERROR_DEFER},
        {"auth-temperror accept", offsetof(struct config, policy.auth_temperror), AUTH_TEMPERROR_ACCEPT},
        {"own-domain-spoof refuse", offsetof(struct config, policy.own_domain_spoof), OWN_DOMAIN_REFUSE},
        {"own-domain-spoof tag", offsetof(struct config, policy.own_domain_spoof), OWN_DOMAIN_TAG},
        {"own-domain-spoof accept", offsetof(struct config, policy.own_domain_spoof), OWN_DOMAIN_ACCEPT},
        {"iprev off", offsetof(struct config, policy.iprev), IPREV_OFF},
        {"iprev tag", offsetof(struct config, policy.iprev), IPREV_TAG},
        {"iprev refuse", offsetof(struct config, policy.iprev), IPREV_REFUSE},
        {"doomed refuse", offsetof(struct config, policy.doomed), DOOMED_REFUSE},
        {"doomed forward", offsetof(struct config, policy.doomed), DOOMED_FORWARD},
        {"doomed hold", offsetof(struct config, policy.doomed), DOOMED_HOLD},
        {"doomed-quarantine forward", offsetof(struct config, policy.doomed_quarantine), DOOMED_QUARANTINE_FORWARD},
        {"doomed-quarantine refuse", offsetof(struct config, policy.doomed_quarantine), DOOMED_QUARANTINE_REFUSE},
        {"doomed-quarantine hold", offsetof(struct config, policy.doomed_quarantine), DOOMED_QUARANTINE_HOLD},
        {"munge-from never", offsetof(struct config, policy.munge_from), MUNGE_NEVER},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config *config;
        char text[1000];
        int got;

        snprintf(text, sizeof text, "%s}\ndelivery {\n bounce all\n}\npolicy {\n %s\n}\n",
                 HEAD OWN, cases[i].line);
        config = config_files_load_good(text);
        memcpy(&got, (const char *)config + cases[i].offset, sizeof got);
        CHECK_INT(cases[i].line, got, cases[i].want);
        config_free(&config);
    }
}

static const char SEVERAL[] = HEAD "authserv-id example.test\n"
                                   "domain plain.test {\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "}\n"
                                   "domain soft.test {\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "    policy {\n"
                                   "        spf-fail tag\n"
                                   "        own-domain-spoof tag\n"
                                   "    }\n"
                                   "}\n"
                                   "policy {\n"
                                   "    received-spf yes\n"
                                   "    dmarc-quarantine refuse\n"
                                   "}\n"
                                   "domain same.test {\n"
                                   "    policy {\n"
                                   "        own-domain-spoof tag\n"
                                   "        spf-fail tag\n"
                                   "    }\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "}\n"
                                   "domain usual.test {\n"
                                   "    forward /postmaster|abuse/ to a@x.test\n"
                                   "    policy {\n"
                                   "        iprev tag\n"
                                   "    }\n"
                                   "}\n";

static void check_several(const struct config *config)
{
    const struct accept_policy *soft =
        config_policy_for(config, BYTES("SOFT.test"), BYTES("info"));

    CHECK_BYTES("authserv-id", config->authserv_id, BYTES("example.test"));
    CHECK_INT("common", config->policy.spf_fail, SPF_FAIL_REFUSE_UNLESS_DKIM);
    CHECK_INT("common", config->policy.own_domain_spoof, OWN_DOMAIN_REFUSE);
    CHECK_INT("common", config->policy.dmarc_quarantine, DMARC_QUARANTINE_REFUSE);
    CHECK_INT("override", soft->spf_fail, SPF_FAIL_TAG);
    CHECK_INT("override", soft->own_domain_spoof, OWN_DOMAIN_TAG);
    CHECK_INT("inherited, from a block that comes later", soft->dmarc_quarantine,
              DMARC_QUARANTINE_REFUSE);
    CHECK_INT("inherited default", soft->iprev, IPREV_TAG);
    CHECK_TRUE("equal", config_policy_for(config, BYTES("same.test"), BYTES("info")) == soft);
    CHECK_TRUE("none", config_policy_for(config, BYTES("plain.test"), BYTES("info")) ==
                           &config->policy);
    CHECK_TRUE("nothing new", config_policy_for(config, BYTES("usual.test"), BYTES("info")) ==
                                  &config->policy);
    CHECK_TRUE("not ours",
               config_policy_for(config, BYTES("x.test"), BYTES("info")) == &config->policy);
}

static void test_domains(void **state)
{
    struct config *config = config_files_load_good(SEVERAL), *again;
    struct strbuf dump;

    (void)state;
    check_several(config);
    strbuf_init(&dump, 100000);
    config_dump(config, &dump);
    again = config_files_load_good(strbuf_text(&dump)); /* the dump says the same */
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
        unsigned line, column;
        const char *want;
        const char *hint;
    } cases[] = {
        {"unknown word", HEAD OWN "}\npolicy {\n spf-fail reject\n}\n", 9, 11, "unknown word \"reject\"",
         "refuse-unless-dkim, refuse or tag"},
        {"unknown word in a domain", HEAD OWN " policy {\n  iprev yes\n }\n}\n", 8, 9, "unknown word \"yes\"",
         "off, tag or refuse"},
        {"unknown option", HEAD OWN " policy {\n  spf-fall tag\n }\n}\n", 8, 3, "unknown option \"spf-fall\"",
         "did you mean \"spf-fail\"?"},
        {"not for a domain", HEAD OWN " policy {\n  authenticate off\n }\n}\n", 8, 3,
         "authenticate cannot be set for a domain alone", "outside of all domains"},
        {"not for a domain", HEAD OWN " policy {\n  received-spf yes\n }\n}\n", 8, 3,
         "received-spf cannot be set for a domain alone", "outside of all domains"},
        {"twice", HEAD OWN " policy {\n  iprev tag\n  iprev off\n }\n}\n", 9, 3, "iprev is set twice", NULL},
        {"block twice", HEAD OWN " policy {\n }\n policy {\n }\n}\n", 9, 2, "policy is set twice", NULL},
        {"without a block", HEAD OWN " policy tag\n}\n", 7, 2, "policy needs a block in braces", NULL},
        {"outside", HEAD OWN " spf-fail tag\n}\n", 7, 2, "\"spf-fail\" is not known in the block domain",
         "belongs into a block: policy"},
        {"one name only", HEAD OWN " policy-for * {\n  iprev off\n }\n}\n", 7, 13, "a policy is for one name", "before the @"},
        {"no regex", HEAD OWN " policy-for /a/ {\n }\n}\n", 7, 13, "a policy is for one name", NULL},
        {"no domain", HEAD OWN " policy-for abuse@own.test {\n }\n}\n", 7, 13, "a policy is for one name", NULL},
        {"two policies", HEAD OWN " policy-for abuse {\n }\n policy-for Abuse {\n }\n}\n", 9, 13, "this address has two policies", NULL},
        {"an option twice", HEAD OWN " policy-for abuse {\n  iprev off\n  iprev tag\n }\n}\n", 9, 3, "iprev is set twice", NULL},
        {"not for an address", HEAD OWN " policy-for abuse {\n  authenticate off\n }\n}\n", 8, 3,
         "authenticate cannot be set for a domain alone", NULL},
        {"outside of a domain", HEAD OWN "}\npolicy-for abuse {\n}\n", 8, 1, "\"policy-for\" is not known here", NULL},
        {"no name for a policy", HEAD OWN " policy-for {\n }\n}\n", 7, 2, "policy-for needs a value", NULL},
        {"no ending", HEAD OWN "}\ncontent {\n block-extension exe a/b\n}\n", 9, 22, "this is not the end of a name", "exe"},
        {"no ending behind the dot", HEAD OWN "}\ncontent {\n block-extension .\n}\n", 9, 18, "this is not the end of a name", NULL},
        {"no type", HEAD OWN "}\ncontent {\n block-type exe\n}\n", 9, 13, "this is not a media type", "application/"},
        {"no list for a domain", HEAD OWN " content {\n }\n}\n", 7, 2, "\"content\" is not known in the block domain", NULL},
        {"no name", HEAD OWN "}\nauthserv-id a;b\n", 8, 13, "this is not a host name", NULL},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config_errors *errors = config_errors_new();
        struct config *config = config_files_load(cases[i].text, errors);
        const struct config_error *error = config_errors_get(errors, 0);

        CHECK_TRUE(cases[i].name, config == NULL && error != NULL);
        CHECK_TEXT(cases[i].name, error->message, cases[i].want);
        CHECK_INT(cases[i].name, error->line, cases[i].line);
        CHECK_INT(cases[i].name, error->column, cases[i].column);
        CHECK_TRUE(cases[i].name,
                   cases[i].hint == NULL ||
                       (error->hint != NULL && strstr(error->hint, cases[i].hint) != NULL));
        config_errors_free(&errors);
    }
}

/* One address has a policy of its own: what it does not say is as for its domain. */
static void test_addresses(void **state)
{
    static const struct {
        const char *domain, *local;
        int spf_fail, iprev;
    } cases[] = {
        {"own.test", "abuse", SPF_FAIL_TAG, IPREV_REFUSE},
        {"OWN.test", "ABUSE", SPF_FAIL_TAG, IPREV_REFUSE},
        {"own.test", "abuse+tag", SPF_FAIL_TAG, IPREV_REFUSE},
        {"own.test", "abuse+other", SPF_FAIL_REFUSE, IPREV_REFUSE},
        {"own.test", "postmaster", SPF_FAIL_REFUSE_UNLESS_DKIM, IPREV_REFUSE},
        {"own.test", "", SPF_FAIL_REFUSE_UNLESS_DKIM, IPREV_REFUSE},
        {"other.test", "abuse", SPF_FAIL_REFUSE_UNLESS_DKIM, IPREV_TAG},
        {"x.test", "abuse", SPF_FAIL_REFUSE_UNLESS_DKIM, IPREV_TAG},
    };
    struct config *config = config_files_load_good(
        HEAD "domain other.test {\n forward /postmaster|abuse/ to a@x.test\n}\n" OWN
             " policy-for abuse+other {\n  spf-fail refuse\n }\n"
             " policy-for Abuse {\n  spf-fail tag\n }\n"
             " forward abuse+other to a@x.test\n"
             " policy {\n  iprev refuse\n }\n}\n");
    struct strbuf dump;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct accept_policy *policy = config_policy_for(
            config, bytes_from_text(cases[i].domain), bytes_from_text(cases[i].local));
        CHECK_INT(cases[i].local, policy->spf_fail, cases[i].spf_fail);
        CHECK_INT(cases[i].local, policy->iprev, cases[i].iprev);
    }
    strbuf_init(&dump, 100000);
    config_dump(config, &dump);
    CHECK_TRUE("dump", strstr(strbuf_text(&dump), "    policy-for Abuse {") != NULL &&
                           strstr(strbuf_text(&dump), "        spf-fail tag") != NULL);
    strbuf_clear(&dump);
    config_free(&config);
}

/* Blocks of listeners stand beside plain ones; trust says who is believed. */
static void test_content(void **state)
{
    struct config *usual = config_files_load_good(HEAD OWN "}\n");
    struct config *config = config_files_load_good(
        HEAD OWN " policy {\n  blocked-content hold\n }\n}\n"
                 "content {\n block-extension exe .SCR\n"
                 " block-extension *.Tar.gz\n block-type Video/*\n"
                 " fields 100\n field-size 4K\n}\n"
                 "policy {\n header-sanity refuse\n header-8bit tag\n}\n");
    const struct accept_policy *policy =
        config_policy_for(config, BYTES("own.test"), BYTES("abuse"));

    (void)state;
    CHECK_INT("no lists", usual->content.extensions.count + usual->content.types.count, 0);
    CHECK_INT("fields", usual->content.fields, 2000);
    CHECK_INT("field size", usual->content.field_size, 100 * 1024);
    CHECK_INT("blocked", usual->policy.blocked_content, BLOCKED_CONTENT_REFUSE);
    CHECK_INT("sanity", usual->policy.header_sanity, HEADER_SANITY_TAG);
    CHECK_INT("8bit", usual->policy.header_8bit, HEADER_8BIT_ACCEPT);
    CHECK_INT("extensions", config->content.extensions.count, 3);
    CHECK_BYTES("dot left out", config->content.extensions.items[1], BYTES("scr"));
    CHECK_BYTES("star left out", config->content.extensions.items[2], BYTES("tar.gz"));
    CHECK_INT("types", config->content.types.count, 1);
    CHECK_BYTES("lower case", config->content.types.items[0], BYTES("video/*"));
    CHECK_INT("fields", config->content.fields, 100);
    CHECK_INT("field size", config->content.field_size, 4096);
    CHECK_INT("of the domain", policy->blocked_content, BLOCKED_CONTENT_HOLD);
    CHECK_INT("of all", policy->header_sanity, HEADER_SANITY_REFUSE);
    CHECK_INT("of all", policy->header_8bit, HEADER_8BIT_TAG);
    config_free(&config);
    config_free(&usual);
}

static void test_scanners(void **state)
{
    static const char *const wrong[] = {"clamd clamd.ctl", "clamd 127.0.0.1",
                                        "rspamd 127.0.0.1:0", "rspamd localhost:11333",
                                        "clamd /a /b"};
    struct config *usual = config_files_load_good(HEAD OWN "}\n");
    struct config *config =
        config_files_load_good(HEAD OWN "}\nscan {\n clamd /run/clamd.ctl\n"
                                        " rspamd [::1]:11333\n timeout 3s\n virus hold\n"
                                        " spam tag\n on-failure accept\n max-size 1M\n"
                                        " too-large refuse\n concurrency 3\n}\n");
    struct config *off = config_files_load_good(HEAD OWN "}\nscan {\n clamd off\n}\n");

    (void)state;
    CHECK_TRUE("off", !usual->scan.clamd.is_set && !usual->scan.rspamd.is_set);
    CHECK_TRUE("off", !off->scan.clamd.is_set);
    CHECK_INT("timeout", usual->scan.timeout_ms, 20000);
    CHECK_INT("concurrency", usual->scan.concurrency, 10);
    CHECK_INT("closed", usual->scan.rules.on_failure, SCAN_FAILURE_DEFER);
    CHECK_INT("viruses", usual->scan.rules.virus, VIRUS_REFUSE);
    CHECK_TEXT("a path", config->scan.clamd.path, "/run/clamd.ctl");
    CHECK_TRUE("an address", config->scan.rspamd.is_set && config->scan.rspamd.path == NULL);
    CHECK_INT("its port", config->scan.rspamd.endpoint.port, 11333);
    CHECK_INT("timeout", config->scan.timeout_ms, 3000);
    CHECK_INT("viruses", config->scan.rules.virus, VIRUS_HOLD);
    CHECK_INT("spam", config->scan.rules.spam, SPAM_TAG);
    CHECK_INT("open", config->scan.rules.on_failure, SCAN_FAILURE_ACCEPT);
    CHECK_INT("large", config->scan.rules.too_large, SCAN_LARGE_REFUSE);
    CHECK_INT("size", config->scan.max_size, 1024 * 1024);
    CHECK_INT("concurrency", config->scan.concurrency, 3);
    config_free(&off);
    config_free(&config);
    config_free(&usual);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct config_errors *errors = config_errors_new();
        char text[1000];

        snprintf(text, sizeof text, HEAD OWN "}\nscan {\n %s\n}\n", wrong[i]);
        assert_null(config_files_load(text, errors));
        CHECK_INT(wrong[i], config_errors_count(errors, CONFIG_ERROR), 1);
        config_errors_free(&errors);
    }
}

static void test_listeners(void **state)
{
    struct config *config = config_files_load_good(
        HEAD OWN "}\n"
                 "listen 127.0.0.1:25 {\n proxy-protocol no\n}\n"
                 "listen 127.0.0.1:26 [::1]:26 {\n proxy-protocol yes\n}\n"
                 "listen [::1]:27 {\n tls off\n}\n"
                 "trust 10.0.0.0/8 ::1\n");
    struct strbuf dump;

    (void)state;
    CHECK_INT("all", config->listen.count, 4);
    CHECK_INT("the last", config->listen.items[3].port, 27);
    CHECK_INT("those of the second block", config->proxy_listeners, 6);
    CHECK_INT("TLS by default", config_listener_tls(config, 2), CONFIG_LISTENER_STARTTLS);
    CHECK_INT("none at the last", config_listener_tls(config, 3), CONFIG_LISTENER_OFF);
    CHECK_INT("trusted", config->trusted.count, 2);
    strbuf_init(&dump, 100000);
    config_dump(config, &dump);
    CHECK_TRUE("dump", strstr(strbuf_text(&dump), "listen 127.0.0.1:26 [::1]:26 {") != NULL &&
                           strstr(strbuf_text(&dump), "    proxy-protocol yes") != NULL);
    strbuf_clear(&dump);
    config_free(&config);
    config = config_files_load_good(HEAD OWN "}\n");
    CHECK_INT("none", config->proxy_listeners, 0);
    CHECK_INT("none", config->trusted.count, 0);
    CHECK_INT("the usual ones", config->listen.count, 2);
    config_free(&config);
}

static void test_explained(void **state)
{
    struct strbuf text;

    (void)state;
    strbuf_init(&text, 10000);
    CHECK_TRUE("known", config_schema_explain(BYTES("policy.spf-fail"), &text));
    CHECK_TRUE("default", strstr(strbuf_text(&text), "default   refuse-unless-dkim\n") != NULL);
    CHECK_TRUE("domain's", config_schema_explain(BYTES("domain.policy"), &text));
    strbuf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_words),
        cmocka_unit_test(test_domains),   cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_explained), cmocka_unit_test(test_content),
        cmocka_unit_test(test_scanners),  cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_addresses),
    };

    return cmocka_run_group_tests(tests, config_files_make, config_files_remove);
}
