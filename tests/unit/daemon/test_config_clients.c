#include "config_files.h"

#include "daemon/config_dump.h"
#include "daemon/config_schema.h"

static struct config *load(const char *lines, struct config_errors *errors)
{
    struct strbuf text;
    struct config *config;

    strbuf_init(&text, 100000);
    strbuf_addf(&text, CONFIG_FILES_HEAD "%s", lines);
    config = config_files_load(strbuf_text(&text), errors);
    strbuf_clear(&text);
    return config;
}

static struct config *load_good(const char *lines)
{
    struct strbuf text;
    struct config *config;

    strbuf_init(&text, 100000);
    strbuf_addf(&text, CONFIG_FILES_HEAD "%s", lines);
    config = config_files_load_good(strbuf_text(&text));
    strbuf_clear(&text);
    return config;
}

static void test_defaults(void **state)
{
    struct config *config = load_good("");

    (void)state;
    for (size_t i = 0; i < CLIENT_CONTROLS; i++) {
        CHECK_INT(client_control_text((enum client_control)i),
                  config->client_rules.of[i].action,
                  i == CLIENT_EARLY_TALKER ? CLIENT_REFUSE : CLIENT_OFF);
    }
    CHECK_INT("tag", config->client_rules.tag_at, 5);
    CHECK_INT("defer", config->client_rules.defer_at, 0);
    CHECK_INT("refuse", config->client_rules.refuse_at, 10);
    CHECK_INT("timeout", config->lists_timeout_ms, 5000);
    CHECK_INT("lists", config->blocklists.count + config->allowlists.count, 0);
    CHECK_INT("networks", config->allowed_clients.count, 0);
    CHECK_INT("wait", config->doors[0].banner_wait_ms, 0);
    config_free(&config);
}

static void test_rules(void **state)
{
    struct config *config =
        load_good("client {\n helo refuse\n helo-local 3\n reverse-name tag\n"
                  " sender-domain defer\n early-talker off\n pipelining 1000\n"
                  " lists-timeout 2s\n tag-at never\n defer-at 4\n refuse-at 7\n}\n");
    const struct client_rules *rules = &config->client_rules;

    (void)state;
    CHECK_INT("helo", rules->of[CLIENT_HELO].action, CLIENT_REFUSE);
    CHECK_INT("helo-local", rules->of[CLIENT_HELO_LOCAL].action, CLIENT_POINTS);
    CHECK_INT("helo-local", rules->of[CLIENT_HELO_LOCAL].points, 3);
    CHECK_INT("reverse-name", rules->of[CLIENT_REVERSE_NAME].action, CLIENT_TAG);
    CHECK_INT("sender-domain", rules->of[CLIENT_SENDER_DOMAIN].action, CLIENT_DEFER);
    CHECK_INT("early-talker", rules->of[CLIENT_EARLY_TALKER].action, CLIENT_OFF);
    CHECK_INT("pipelining", rules->of[CLIENT_PIPELINING].points, 1000);
    CHECK_INT("timeout", config->lists_timeout_ms, 2000);
    CHECK_INT("tag", rules->tag_at, 0);
    CHECK_INT("defer", rules->defer_at, 4);
    CHECK_INT("refuse", rules->refuse_at, 7);
    config_free(&config);
}

static void test_lists(void **state)
{
    struct config *config = load_good(
        "blocklist BL.example.net\n"
        "blocklist bl2.example.net weight 6 match 127.0.0.2-127.0.0.9 &0.0.0.64 for client\n"
        "blocklist bl2.example.net match 127.0.0.10 tag\n"
        "blocklist names.example.net defer for sender\n"
        "blocklist b\xc3\xbc"
        "cher.example for helo weight 5\n"
        "allowlist wl.example.net match 127.0.0.2-127.0.255.255\n"
        "allowlist 192.0.2.0/24 2001:db8::/32\n"
        "allowlist 198.51.100.7\n");
    const struct dns_list *block = config->blocklists.items;

    (void)state;
    CHECK_INT("block lists", config->blocklists.count, 5);
    CHECK_BYTES("lower case", block[0].zone, BYTES("bl.example.net"));
    CHECK_INT("refuses", block[0].rule.action, CLIENT_REFUSE);
    CHECK_INT("any answer", block[0].match_count, 0);
    CHECK_INT("weight", block[1].rule.points, 6);
    CHECK_INT("matches", block[1].match_count, 2);
    CHECK_INT("range", block[1].matches[0].last, 0x7f000009);
    CHECK_INT("bits", block[1].matches[1].bits, 64);
    CHECK_INT("tag", block[2].rule.action, CLIENT_TAG);
    CHECK_INT("defer", block[3].rule.action, CLIENT_DEFER);
    CHECK_INT("sender", block[3].subject, DNS_LIST_SENDER);
    CHECK_BYTES("A-label", block[4].zone, BYTES("xn--bcher-kva.example"));
    CHECK_INT("helo", block[4].subject, DNS_LIST_HELO);
    CHECK_INT("allow lists", config->allowlists.count, 1);
    CHECK_INT("networks", config->allowed_clients.count, 3);
    CHECK_INT("the last network", config->allowed_clients.items[2].prefix_bits, 32);
    config_free(&config);
}

static void test_what_a_listener_has_for_itself(void **state)
{
    struct config *config =
        load_good("listen 127.0.0.1:25\n"
                  "listen 127.0.0.1:26 127.0.0.1:27 {\n banner-wait 3s\n "
                  "connections 7\n connection-rate 8\n message-rate 9\n recipient-rate 10\n}\n"
                  "listen 127.0.0.1:28\n");
    struct strbuf dump;

    (void)state;
    CHECK_INT("first", config->doors[0].banner_wait_ms, 0);
    CHECK_INT("second", config->doors[1].banner_wait_ms, 3000);
    CHECK_INT("third", config->doors[2].banner_wait_ms, 3000);
    CHECK_INT("last", config->doors[3].banner_wait_ms, 0);
    CHECK_INT("none at the first", config->doors[0].connections, 0);
    CHECK_INT("connections", config->doors[2].connections, 7);
    CHECK_INT("a minute", config->doors[1].connection_rate, 8);
    CHECK_INT("messages a minute", config->doors[1].message_rate, 9);
    CHECK_INT("recipients a minute", config->doors[2].recipient_rate, 10);
    CHECK_INT("none at the last", config->doors[3].connection_rate, 0);
    strbuf_init(&dump, 100000);
    config_dump(config, &dump);
    CHECK_TRUE("dump", strstr(strbuf_text(&dump), "    banner-wait 3s") != NULL);
    strbuf_clear(&dump);
    config_free(&config);
}

static void test_what_is_wrong(void **state)
{
    static const struct {
        const char *lines, *want;
    } cases[] = {
        {"client {\n helo maybe\n}\n", "helo does not know this word"},
        {"client {\n helo 0\n}\n", "helo does not know this word"},
        {"client {\n helo 1001\n}\n", "helo does not know this word"},
        {"client {\n helo tag refuse\n}\n", "helo takes one value"},
        {"client {\n lists-timeout 2m\n}\n", "the value is too large"},
        {"client {\n refuse-at 0\n}\n", "the value is too small"},
        {"blocklist\n", "blocklist needs a value"},
        {"blocklist example\n", "this is not the zone of a list"},
        {"blocklist 192.0.2.1/24\n", "this is not the zone of a list"},
        {"blocklist -.example.net..\n", "this is not the zone of a list"},
        {"blocklist bl.test weight\n", "this is not a weight"},
        {"blocklist bl.test weight 0\n", "this is not a weight"},
        {"blocklist bl.test match\n", "no answers are named"},
        {"blocklist bl.test match tag\n", "no answers are named"},
        {"blocklist bl.test match 192.0.2.1\n", "this is not an answer of a list"},
        {"blocklist bl.test for all\n", "a list is about one of these"},
        {"blocklist bl.test for\n", "a list is about one of these"},
        {"blocklist bl.test heavy\n", "this word has no meaning here"},
        {"allowlist wl.test weight 4\n", "this word has no meaning here"},
        {"allowlist 192.0.2.1/24\n", "this is not a network"},
        {"allowlist 192.0.2.1 wl.test\n", "this is not a network"},
        {"listen 127.0.0.1:25 {\n banner-wait 2m\n}\n", "the value is too large"},
        {"client {\n helo 4\n}\n", "all points together are 4, which has no effect"},
        {"blocklist bl.test weight 4\n", "all points together are 4, which has no effect"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config_errors *errors = config_errors_new();
        struct config *config = load(cases[i].lines, errors);
        struct strbuf text;

        strbuf_init(&text, 100000);
        config_errors_print(errors, &text);
        if (strstr(strbuf_text(&text), cases[i].want) == NULL) {
            fail_msg("%s: got \"%s\", want \"%s\"", cases[i].lines, strbuf_text(&text),
                     cases[i].want);
        }
        strbuf_clear(&text);
        config_free(&config);
        config_errors_free(&errors);
    }
}

static void test_too_many_lists(void **state)
{
    struct config_errors *errors = config_errors_new();
    struct strbuf lines, text;
    struct config *config;

    (void)state;
    strbuf_init(&lines, 100000);
    strbuf_init(&text, 100000);
    for (int i = 0; i <= DNS_LIST_LIMIT; i++) {
        strbuf_addf(&lines, "blocklist bl%d.test\n", i);
    }
    config = load(strbuf_text(&lines), errors);
    config_errors_print(errors, &text);
    CHECK_TRUE("told", strstr(strbuf_text(&text), "more than 32 lists") != NULL);
    CHECK_TRUE("refused", config == NULL);
    strbuf_clear(&text);
    strbuf_clear(&lines);
    config_errors_free(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_what_a_listener_has_for_itself),
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_too_many_lists),
    };

    return cmocka_run_group_tests(tests, config_files_make, config_files_remove);
}
