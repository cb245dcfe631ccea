#include "config_files.h"

#include "daemon/check_command.h"
#include "daemon/config_dump.h"
#include "daemon/config_manual.h"
#include "daemon/config_schema.h"

#include <sysexits.h>

static void write_file(const char *name, const char *text)
{
    config_files_write(name, bytes_from_text(text), 0600);
}

static int make_files(void **state)
{
    config_files_make(state);
    write_file("secret", "first secret, 16+\n\n  second secret, 16+  \n");
    write_file("classic", "short\n");
    write_file("weak", "short\n");
    write_file("empty", "\n\n");
    write_file("list", "info: anna@x.test\r\nsales: bob@x.test\n");
    write_file("badlist", "info: anna@x.test\n info: b\n");
    write_file("one.conf", "forward one to a@x.test\nfrward two to a@x.test\n");
    write_file("two.conf", "forward three to a@x.test\n");
    write_file("self.conf", "include self.conf\n");
    config_files_write_key("key", SIGNING_RSA_SHA256, 0600);
    return 0;
}

#define HEAD "hostname mx.test\nsrs { \n secret-file secret\n }\n"            /* lines 1 to 4 */
#define DOMAIN "domain own.test {\n forward /postmaster|abuse/ to a@x.test\n" /* 5 and 6 */

/* One mistake each; `want` is "LINE:COLUMN severity message" and `hint` a part of the hint. */
static const struct {
    const char *name;
    const char *text;
    const char *want;
    const char *hint;
} mistakes[] = {
    /* the language */
    {"open block", HEAD DOMAIN, "5:17 error this block is never closed", "}"},
    {"open block, what follows is not blamed", HEAD DOMAIN "limits {\n hops 50\n}\nuser x\n",
     "5:17 error this block is never closed", "}"},
    {"closed once more", HEAD DOMAIN "}\n }\n", "8:2 error no block is open here", NULL},
    {"open quote", HEAD DOMAIN "}\nuser \"x\nworkers 2\n",
     "8:6 error this quote is never closed", "line it began on"},
    {"text behind a quote", HEAD DOMAIN "}\nuser \"x\"y\n",
     "8:9 error no blank behind the closing quote", "whole word in quotes"},
    {"brace without blank", HEAD DOMAIN "}\nlimits{\n}\n",
     "8:1 error a brace stands alone, with blanks around it", "srs {"},
    {"block without a name", HEAD DOMAIN "}\n{\n}\n", "8:1 error a block without a name",
     "name"},
    {"control character", HEAD DOMAIN "}\nuser a\001b\n", "8:7 error control character 0x01",
     NULL},
    {"column behind UTF-8", HEAD DOMAIN "}\nuser \xc3\xa4\xc3\xb6 x\n",
     "8:9 error user takes one value", "one directive a line"},
    /* the schema */
    {"unknown option", HEAD DOMAIN "}\nwrokers 2\n", "8:1 error unknown option \"wrokers\"",
     "did you mean \"workers\"?"},
    {"unknown and nothing near", HEAD DOMAIN "}\nfrobnicate 2\n",
     "8:1 error unknown option \"frobnicate\"", NULL},
    {"unknown in a block", HEAD DOMAIN "}\nlimits {\n prot 25\n}\n",
     "9:2 error unknown option \"prot\"", "explain-option port"},
    {"in the wrong block", HEAD DOMAIN "}\nlimits {\n port 25\n}\n",
     "9:2 error \"port\" is not known in the block limits", "belongs into a block: delivery"},
    {"in no block", HEAD DOMAIN "}\nport 25\n", "8:1 error \"port\" is not known here",
     "belongs into a block: delivery"},
    {"top option in a block", HEAD DOMAIN "}\nlog {\n user x\n}\n",
     "9:2 error \"user\" is not known in the block log", "outside of all blocks"},
    {"admin without a port", HEAD DOMAIN "}\nadmin 127.0.0.1\n",
     "8:7 error this is no address with a port", "unix:"},
    {"admin on a name", HEAD DOMAIN "}\nadmin localhost:80\n",
     "8:7 error this is no address with a port", NULL},
    {"admin on no path", HEAD DOMAIN "}\nadmin unix:\n",
     "8:7 error the path of the socket is missing", NULL},
    {"admin for everybody", HEAD DOMAIN "}\nadmin 0.0.0.0:8025\n",
     "8:7 warning whoever can reach this address can read the status page: it has no passwords "
     "and no TLS",
     "ssh -L"},
    {"history without a time", HEAD DOMAIN "}\nhistory\n", "8:1 error history needs a value",
     NULL},
    {"history for a while", HEAD DOMAIN "}\nhistory long\n", "8:9 error this is not a time",
     "history 14d 1G"},
    {"history for a minute", HEAD DOMAIN "}\nhistory 1m\n", "8:9 error the value is too small",
     "at least 1h"},
    {"history without bounds", HEAD DOMAIN "}\nhistory 20d much\n",
     "8:13 error this is not a size", "1G"},
    {"history too small to be one", HEAD DOMAIN "}\nhistory 20d 1M\n",
     "8:13 error the value is too small", "at least 16M"},
    {"history off, but of a size", HEAD DOMAIN "}\nhistory off 1G\n",
     "8:13 error off has no size", NULL},
    {"TLS without a certificate", HEAD DOMAIN "}\nlisten 0.0.0.0:25 {\n tls implicit\n}\n",
     "9:2 error there is no certificate for TLS", "add: tls {"},
    {"a word that is none", HEAD DOMAIN "}\nlisten 0.0.0.0:25 {\n tls on\n}\n",
     "9:6 error unknown word \"on\"", "tls takes starttls, implicit or off"},
    {"key first", HEAD DOMAIN "}\ntls {\n key /dev/null\n}\n",
     "9:6 error this key has no certificate", NULL},
    {"no key", HEAD DOMAIN "}\ntls {\n certificate /dev/null\n}\n",
     "9:14 error this certificate has no key", "key FILE"},
    {"listen twice", HEAD DOMAIN "}\nlisten 127.0.0.1:25\nlisten 127.0.0.1:25\n",
     "9:8 error this address is there twice", NULL},
    {"proxy without trust", HEAD DOMAIN "}\nlisten 127.0.0.1:25 {\n proxy-protocol yes\n}\n",
     "9:2 error nobody may send a PROXY header", "trust"},
    {"set twice", HEAD DOMAIN "}\nuser a\nuser b\n", "9:1 error user is set twice", NULL},
    {"block twice", HEAD DOMAIN "}\nsrs {\n}\n", "8:1 error srs is set twice", NULL},
    {"no value", HEAD DOMAIN "}\nuser\n", "8:1 error user needs a value", "write: user NAME"},
    {"no block", HEAD DOMAIN "}\nlimits 5\n", "8:1 error limits needs a block in braces",
     "write: limits"},
    {"block behind a value", HEAD DOMAIN "}\nuser x {\n}\n", "8:8 error user takes no block",
     NULL},
    {"word before a brace", HEAD DOMAIN "}\nlimits x {\n}\n", "8:8 error this word is too much",
     NULL},
    /* values */
    {"too small", HEAD DOMAIN "}\nlimits {\n hops 5\n}\n", "9:7 error the value is too small",
     "at least 10 and at most 1000"},
    {"too large", HEAD DOMAIN "}\nlimits {\n command-timeout 2h\n}\n",
     "9:18 error the value is too large", "at least 1s and at most 1h"},
    {"no number", HEAD DOMAIN "}\nworkers many\n", "8:9 error workers takes a number or auto",
     NULL},
    {"no unit", HEAD DOMAIN "}\nlimits {\n data-timeout 10\n}\n",
     "9:15 error this time has no unit", "5m"},
    {"no size", HEAD DOMAIN "}\nlimits {\n message-size big\n}\n",
     "9:15 error this is not a size", "50M"},
    {"unknown word", HEAD DOMAIN "}\nlog {\n level loud\n}\n",
     "9:8 error unknown word \"loud\"", "level takes debug, info, warning or error"},
    {"address without port", HEAD DOMAIN "}\nlisten 127.0.0.1\n",
     "8:8 error this is not an address with a port", "192.0.2.1:25"},
    {"address twice", HEAD DOMAIN "}\nlisten 127.0.0.1:25 127.0.0.1:25\n",
     "8:21 error this address is there twice", NULL},
    {"host bits", HEAD DOMAIN "}\nallow-next-hop 10.0.0.0/8 10.0.0.1/8\n",
     "8:27 error this is not a network", "bits are 0"},
    {"not a host name", HEAD DOMAIN "}\ndelivery {\n helo mx..test\n}\n",
     "9:7 error this is not a host name", NULL},
    {"address for a name", HEAD DOMAIN "}\ndelivery {\n helo 192.0.2.1\n}\n",
     "9:7 error a host name is wanted here, not an address", NULL},
    {"two sources", HEAD DOMAIN "}\ndelivery {\n source 192.0.2.1 192.0.2.2\n}\n",
     "9:19 error a second address of the same family", NULL},
    {"17 pauses",
     HEAD DOMAIN "}\ndelivery {\n retry 1m 1m 1m 1m 1m 1m 1m 1m 1m 1m 1m 1m 1m 1m "
                 "1m 1m 1m\n}\n",
     "9:56 error more than 16 pauses", "repeats"},
    {"route port", HEAD DOMAIN "}\nroute x.test to y.test:0\n", "8:17 error this is not a port",
     "65535"},
    {"route without to", HEAD DOMAIN "}\nroute x.test y.test\n",
     "8:14 error the word \"to\" is missing", "DOMAIN to HOST"},
    {"route to nowhere", HEAD DOMAIN "}\nroute x.test to\n",
     "8:14 error the route leads nowhere", "DOMAIN to HOST"},
    {"route twice", HEAD DOMAIN "}\nroute x.test to mx\nroute X.test to y.test\n",
     "9:7 error a second route for this domain", "one line"},
    {"mx and others", HEAD DOMAIN "}\nroute x.test to y.test mx\n",
     "8:24 error \"mx\" stands alone", NULL},
    {"environment", HEAD DOMAIN "}\nuser {env:NO_SUCH_NAME_HERE}\n",
     "8:6 error the environment has no NO_SUCH_NAME_HERE", NULL},
    /* what must be there */
    {"no hostname", "srs {\n secret-file secret\n}\n" DOMAIN "}\n",
     "0:0 error hostname is missing", "hostname mx.example.org"},
    {"no srs", "hostname mx.test\n" DOMAIN "}\n", "0:0 error SRS has no secret-file",
     "postilion srs secret --add"},
    {"no secret-file", "hostname mx.test\nsrs {\n}\n" DOMAIN "}\n",
     "2:1 error SRS has no secret-file", "postilion srs secret --add"},
    {"no domain", HEAD, "0:0 error no domain is configured, so no mail would be taken",
     "domain example.org {"},
    {"hostname without a dot", "hostname mx\nsrs { secret-file secret\n}\n" DOMAIN "}\n",
     "1:10 warning the name has no dot in it", NULL},
    /* aliases */
    {"no postmaster", HEAD "domain own.test {\n forward abuse to a@x.test\n}\n",
     "5:8 error nobody reads mail to postmaster here", "forward postmaster to"},
    {"no abuse", HEAD "domain own.test {\n forward postmaster to a@x.test\n}\n",
     "5:8 warning nobody reads mail to abuse here", "forward abuse to"},
    {"no to", HEAD DOMAIN " forward info a@x.test\n}\n",
     "7:15 error the address to forward to is missing", "forward NAME to ADDRESS"},
    {"bad target", HEAD DOMAIN " forward info to a@x.test b\n}\n",
     "7:27 error this is not a mail address", "name@domain"},
    {"action as target", HEAD DOMAIN " forward info to :discard:\n}\n",
     "7:18 error this is not a mail address", NULL},
    {"name twice", HEAD DOMAIN " forward info to a@x.test\n refuse INFO\n}\n",
     "8:9 error this name is set twice", "one name"},
    {"domain twice", HEAD DOMAIN "}\ndomain OWN.test {\n}\n",
     "8:8 error this domain is set twice", "one block"},
    {"not a domain", HEAD DOMAIN "}\ndomain @own {\n}\n", "8:8 error this is not a domain",
     NULL},
    {"catch-all", HEAD DOMAIN " forward * to a@x.test\n}\n",
     "7:10 warning a catch-all forwards everything that is sent to invented names", NULL},
    {"loop", HEAD DOMAIN " forward a to b@own.test\n forward b to a@own.test\n}\n",
     "8:10 error aliases go round in circles: a@own.test -> b@own.test -> a@own.test",
     "outside"},
    {"bad regex", HEAD DOMAIN " refuse /a(/\n}\n",
     "7:9 error bad regular expression: Unmatched ( or \\(", NULL},
    {"defer with 550", HEAD DOMAIN " defer info 550 no\n}\n", "7:13 error the code must be 4xx",
     "refuse"},
    {"discard with a text", HEAD DOMAIN " discard info now\n}\n",
     "7:15 error discard takes one name", NULL},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        struct config_errors *errors = config_errors_new();
        struct config *config = config_files_load(mistakes[i].text, errors);
        const struct config_error *error = config_errors_get(errors, 0);
        char got[500];
        CHECK_TRUE(mistakes[i].name, error != NULL);
        snprintf(got, sizeof got, "%u:%u %s %s", error->line, error->column,
                 error->severity == CONFIG_ERROR ? "error" : "warning", error->message);
        CHECK_TEXT(mistakes[i].name, got, mistakes[i].want);
        if (mistakes[i].hint != NULL) {
            CHECK_TRUE(mistakes[i].name, error->hint != NULL);
            CHECK_TRUE(error->hint, strstr(error->hint, mistakes[i].hint) != NULL);
        }
        if (config_errors_get(errors, 1) != NULL) {
            fail_msg("%s: a second error: %s", mistakes[i].name,
                     config_errors_get(errors, 1)->message);
        }
        CHECK_INT(mistakes[i].name, config == NULL, error->severity == CONFIG_ERROR);
        config_free(&config);
        config_errors_free(&errors);
    }
}

static void check_error(const char *name, const char *text, const char *want_file,
                        const char *want)
{
    struct config_errors *errors = config_errors_new();
    struct config *config = config_files_load(text, errors);
    struct strbuf out;

    strbuf_init(&out, 100000);
    config_errors_print(errors, &out);
    CHECK_TRUE(name, config == NULL);
    if (strstr(strbuf_text(&out), want_file) == NULL ||
        strstr(strbuf_text(&out), want) == NULL) {
        fail_msg("%s: want %s and %s in:\n%s", name, want_file, want, strbuf_text(&out));
    }
    strbuf_clear(&out);
    config_errors_free(&errors);
}

static void test_files(void **state)
{
    (void)state;
    check_error("missing secret", "srs {\n secret-file nowhere\n}\n", "test.conf:2:14: error",
                "nowhere: No such file or directory");
    check_error("weak secret", "srs {\n secret-file weak\n}\n", "test.conf:2:14: error",
                "has 5 octets, 16 are needed");
    check_error("empty secret", "srs {\n secret-file empty\n}\n", "test.conf:2:14: error",
                "there is no secret in");
    check_error("directory for a file", "srs {\n secret-file .\n}\n", "test.conf:2:14: error",
                "it is a directory");
    check_error("missing include", "include nowhere.conf\n", "test.conf:1:9: error",
                "nowhere.conf: no such file");
    check_error("include itself", "include self.conf\n", "self.conf:1:9: error",
                "files include each other more than 8 deep");
    check_error("error in an include", HEAD DOMAIN "include *o*.conf\n}\n",
                "/one.conf:2:1: error", "did you mean \"forward\"");
    check_error("error in an alias file", HEAD DOMAIN " aliases badlist\n}\n",
                "/badlist:2:8: error", "this is not a mail address");
    check_error("missing alias file", HEAD DOMAIN " aliases nolist\n}\n",
                "test.conf:7:10: error", "nolist: No such file");
}

static const char GOOD[] =
    "\xef\xbb\xbf"
    "hostname mx.test # comment\r\n"
    "user {env:TEST_CONFIG_USER}\n"
    "workers 3\n"
    "listen 127.0.0.1:0 [::1]:2525\n"
    "resolver 127.0.0.1 [::1]:5353\n"
    "spool \"with blank\"\n"
    "log { format json }\n"
    "srs {\n classic-secret-file classic\n secret-file secret\n domain srs.test\n"
    " separator +\n accept any\n long refuse\n max-age 10d\n}\n"
    "domain own.test {\n forward postmaster to a@x.test\n forward \"a b\" to a@x.test\n"
    " forward abuse to a@x.test\n refuse old \"553 5.1.6 gone # away\"\n defer later\n"
    " discard void\n aliases list\n srs-domain b.own.test\n include two.conf\n}\n"
    "domain second.test {\n forward * to *@own.test\n}\n"
    "route X.test to y.test:26 [::1]:27 192.0.2.1 mail.test [IPv6:::2]\n"
    "route * to mx\n"
    "allow-next-hop 127.0.0.0/8 ::1\n"
    "delivery {\n port 2500\n source 192.0.2.1 2001:db8::1\n retry 1s 1m30s\n expire 1h\n}\n"
    "limits {\n message-size 1M\n min-rate 0\n}\n";

static void check_good_values(const struct config *config)
{
    const struct delivery_route *route = &config->routes.routes[0];

    CHECK_TEXT("hostname", config->hostname.data, "mx.test");
    CHECK_TEXT("user", config->user.data, "somebody");
    CHECK_INT("workers", config->workers, 3);
    CHECK_INT("listen", config->listen.count, 2);
    CHECK_INT("listen port", config->listen.items[1].port, 2525);
    CHECK_INT("resolver port", config->resolvers.items[0].port, 53);
    CHECK_INT("resolver port", config->resolvers.items[1].port, 5353);
    CHECK_TRUE("spool", strstr(config->spool.data, "/with blank") != NULL);
    CHECK_TRUE("spool is absolute", config->spool.data[0] == '/');
    CHECK_INT("log", config->log.format, LOG_JSON);
    CHECK_INT("log", config->log.level, LOG_INFO);
    CHECK_BYTES("srs domain", config->srs_domain, BYTES("srs.test"));
    CHECK_INT("separator", config->srs.separator, '+');
    CHECK_INT("max-age", config->srs.max_age_days, 10);
    CHECK_INT("accept", config->srs_accept, CONFIG_SRS_ACCEPT_ANY);
    CHECK_INT("long", config->srs_long, LONG_SENDER_REFUSE);
    CHECK_INT("secrets", config->srs.secret_count, 3);
    CHECK_BYTES("first signs", config->srs.secrets[0].octets, BYTES("first secret, 16+"));
    CHECK_BYTES("second", config->srs.secrets[1].octets, BYTES("second secret, 16+"));
    CHECK_TRUE("classic last", config->srs.secrets[2].is_classic);
    CHECK_INT("routes", config->routes.count, 2);
    CHECK_BYTES("route", route->domain, BYTES("x.test"));
    CHECK_INT("hops", route->hop_count, 5);
    CHECK_BYTES("hop", route->hops[0].host, BYTES("y.test"));
    CHECK_INT("hop port", route->hops[0].port, 26);
    CHECK_INT("hop family", route->hops[1].address.family, IP_V6);
    CHECK_INT("hop port", route->hops[1].port, 27);
    CHECK_INT("default port", route->hops[2].port, 2500);
    CHECK_INT("default port", route->hops[3].port, 2500);
    CHECK_INT("literal", route->hops[4].address.family, IP_V6);
    CHECK_TRUE("mx", config->routes.routes[1].use_mx);
    CHECK_INT("networks", config->allowed_next_hops.count, 2);
    CHECK_INT("source", config->delivery.source_v6.family, IP_V6);
    CHECK_INT("pauses", config->delivery.retry.count, 2);
    CHECK_INT("pause", config->delivery.retry.pauses_seconds[1], 90);
    CHECK_INT("expire", config->delivery.retry.expire_seconds, 3600);
    CHECK_BYTES("helo", config->delivery.helo, BYTES("mx.test"));
    CHECK_INT("size", config->limits.message_size, 1048576);
    CHECK_INT("rate", config->limits.min_rate, 0);
    CHECK_INT("default", config->limits.command_timeout_ms, 300000);
}

static void check_good_aliases(const struct config *config)
{
    struct alias_match match;
    void *own = config->srs.own_domain_context;

    CHECK_INT("domains", alias_table_domain_count(config->aliases), 2);
    CHECK_INT("aliases", alias_table_entry_count(config->aliases), 10);
    CHECK_TRUE("quoted", alias_table_find(config->aliases, 0, BYTES("A b"), &match));
    CHECK_TRUE("file", alias_table_find(config->aliases, 0, BYTES("sales"), &match));
    CHECK_TRUE("include", alias_table_find(config->aliases, 0, BYTES("three"), &match));
    CHECK_TRUE("refuse", alias_table_find(config->aliases, 0, BYTES("old"), &match));
    CHECK_BYTES("refuse", match.line.reply, BYTES("553 5.1.6 gone # away"));
    CHECK_BYTES("srs", alias_table_srs_domain(config->aliases, 0), BYTES("b.own.test"));
    CHECK_TRUE("own", config->srs.is_own_domain(own, BYTES("SRS.test")));
    CHECK_TRUE("own", config->srs.is_own_domain(own, BYTES("mx.test")));
    CHECK_TRUE("own", config->srs.is_own_domain(own, BYTES("second.test")));
    CHECK_TRUE("not own", !config->srs.is_own_domain(own, BYTES("x.test")));
}

static void test_good(void **state)
{
    struct config_errors *errors = config_errors_new();
    struct config *config, *again;
    struct strbuf text;

    (void)state;
    setenv("TEST_CONFIG_USER", "somebody", 1);
    config = config_files_load(GOOD, errors);
    strbuf_init(&text, 100000);
    config_errors_print(errors, &text);
    if (config == NULL) {
        fail_msg("%s", strbuf_text(&text));
    }
    CHECK_INT("warnings", config_errors_count(errors, CONFIG_WARNING),
              1); /* the short secret */
    check_good_values(config);
    check_good_aliases(config);
    /* the dump is a configuration that says the same */
    strbuf_reset(&text);
    config_dump(config, &text);
    CHECK_TRUE("secret", strstr(strbuf_text(&text), "{env:TEST_CONFIG_USER}") != NULL);
    CHECK_TRUE("secret", strstr(strbuf_text(&text), "somebody") == NULL);
    CHECK_TRUE("origin", strstr(strbuf_text(&text), "test.conf:3\n") != NULL);
    again = config_files_load(strbuf_text(&text), errors);
    if (again == NULL) {
        fail_msg("the dump is not accepted:\n%s", strbuf_text(&text));
    }
    check_good_values(again);
    check_good_aliases(again);
    config_free(&again);
    config_free(&config);
    config_errors_free(&errors);
    strbuf_clear(&text);
}

static void test_stale(void **state)
{
    struct config_errors *errors = config_errors_new();
    struct config *config;
    uint64_t before;

    (void)state;
    config = config_files_load(HEAD DOMAIN " aliases list\n}\n", errors);
    assert_non_null(config);
    CHECK_TRUE("fresh", !config_is_stale(config));
    before = config_files_now(config);
    CHECK_TRUE("the same twice", config_files_now(config) == before);
    write_file("list", "info: anna@x.test\nsales: bob@x.test\nnew: c@x.test\n");
    CHECK_TRUE("stale", config_is_stale(config));
    CHECK_TRUE("another state", config_files_now(config) != before);
    write_file("list", "info: anna@x.test\r\nsales: bob@x.test\n");
    config_free(&config);
    config_errors_free(&errors);
}

/* Secrets and the configuration itself are read again only when somebody says so. */
static void test_not_stale_by_other_files(void **state)
{
    struct config_errors *errors = config_errors_new();
    struct config *config = config_files_load(HEAD DOMAIN " aliases list\n}\n", errors);
    uint64_t before;

    (void)state;
    assert_non_null(config);
    before = config_files_now(config);
    write_file("secret", "another secret, 16+\n");
    CHECK_TRUE("not stale", !config_is_stale(config));
    CHECK_TRUE("but another state", config_files_now(config) != before);
    write_file("secret", "first secret, 16+\n\n  second secret, 16+  \n");
    config_free(&config);
    config_errors_free(&errors);
}

/* The sample is a valid file, as it is and with all its examples switched on. */
static void test_sample(void **state)
{
    struct strbuf sample, plain, full;
    struct bytes rest;

    (void)state;
    strbuf_init(&sample, 100000);
    strbuf_init(&plain, 100000);
    strbuf_init(&full, 100000);
    config_schema_write_sample(&sample);
    rest = strbuf_bytes(&sample);
    while (rest.len > 0) {
        struct bytes line = bytes_cut(&rest, '\n'), words = bytes_trim(line);
        bool is_example = words.len > 1 && words.data[0] == '#' && words.data[1] != ' ';
        if (bytes_find_part(line, BYTES("#key-file ")) < line.len) {
            line = words = BYTES("#key-file key");
        } else if (bytes_find_part(line, BYTES("/etc/")) < line.len) {
            line = words = bytes_find_part(line, BYTES(" secret-file")) < line.len
                               ? BYTES("secret-file secret")
                               : BYTES("");
        }
        strbuf_add(&plain, line);
        strbuf_add_char(&plain, '\n');
        strbuf_add(&full, is_example && words.len > 0 ? bytes_skip(words, 1) : line);
        strbuf_add_char(&full, '\n');
    }
    for (int i = 0; i < 2; i++) {
        struct config_errors *errors = config_errors_new();
        struct config *config = config_files_load(strbuf_text(i == 0 ? &plain : &full), errors);
        strbuf_reset(&sample);
        config_errors_print(errors, &sample);
        if (config == NULL) {
            fail_msg("sample %d:\n%s", i, strbuf_text(&sample));
        }
        config_free(&config);
        config_errors_free(&errors);
    }
    strbuf_clear(&sample);
    strbuf_clear(&plain);
    strbuf_clear(&full);
}

/* The file in the tree is the one the table makes. */
static void check_is_current(const char *path, void (*write)(struct strbuf *out))
{
    FILE *file = fopen(path, "r");
    struct strbuf want;
    char got[131072];
    size_t len;

    if (file == NULL) {
        skip(); /* not run from the top of the tree */
    }
    len = fread(got, 1, sizeof got, file);
    fclose(file);
    strbuf_init(&want, sizeof got);
    write(&want);
    CHECK_BYTES(path, bytes_of(got, len), strbuf_bytes(&want));
    strbuf_clear(&want);
}

/* make sample */
static void test_sample_is_current(void **state)
{
    (void)state;
    check_is_current("conf/postilion.conf", config_schema_write_sample);
}

/* make sample, too */
static void test_manual_is_current(void **state)
{
    (void)state;
    check_is_current("docs/man5/postilion.conf.5", config_manual_write);
}

static int run_check(const char *text, char *output, size_t size)
{
    char path[256], command[] = "check";
    char *arguments[] = {command, NULL};
    FILE *out = tmpfile();
    size_t len;
    int status;

    snprintf(path, sizeof path, "%s/main.conf", directory);
    write_file("main.conf", text);
    assert_non_null(out);
    status = check_command_run(path, 1, arguments, out, out);
    rewind(out);
    len = fread(output, 1, size - 1, out);
    output[len] = '\0';
    fclose(out);
    return status;
}

static const char BROKEN[] = "hostname mx.test\n"
                             "srs {\n"
                             "\tsecret-file secret\n"
                             "\tmax-age 21 # days\n"
                             "}\n"
                             "user a\n"
                             "domain own.test {\n"
                             "    forward postmaster to a@x.test\n"
                             "}\n"
                             "user b\n"
                             "limits {\n"
                             "    recipents 5\n";

static const char BROKEN_WANT[] = "@/main.conf:4:10: error: this time has no unit\n"
                                  "    \tmax-age 21 # days\n"
                                  "    \t        ^~\n"
                                  "  hint: a number with ms, s, m, h, d or w behind it: 5m\n"
                                  "@/main.conf:7:8: warning: nobody reads mail to abuse here\n"
                                  "    domain own.test {\n"
                                  "           ^~~~~~~~\n"
                                  "  hint: add \"forward abuse to ADDRESS\" (RFC 2142)\n"
                                  "@/main.conf:10:1: error: user is set twice\n"
                                  "    user b\n"
                                  "    ^~~~\n"
                                  "@/main.conf:6:1: note: first set here\n"
                                  "    user a\n"
                                  "    ^~~~\n"
                                  "@/main.conf:11:8: error: this block is never closed\n"
                                  "    limits {\n"
                                  "           ^\n"
                                  "  hint: add a line with \"}\"\n"
                                  "@/main.conf:12:5: error: unknown option \"recipents\"\n"
                                  "        recipents 5\n"
                                  "        ^~~~~~~~~\n"
                                  "  hint: did you mean \"recipients\"?\n"
                                  "@/main.conf: 4 errors, 1 warning\n";

static void test_command(void **state)
{
    char output[8192], want[8192];
    size_t len = 0;

    (void)state;
    for (const char *c = BROKEN_WANT; *c != '\0'; c++) { /* "@" stands for the directory */
        if (*c == '@') {
            len += (size_t)snprintf(want + len, sizeof want - len, "%s", directory);
        } else {
            want[len++] = *c;
        }
    }
    want[len] = '\0';
    CHECK_INT("status", run_check(BROKEN, output, sizeof output), EX_CONFIG);
    CHECK_TEXT("output", output, want);
    CHECK_INT("status", run_check(HEAD DOMAIN "}\n", output, sizeof output), EX_OK);
    CHECK_TRUE(output, strstr(output, "main.conf: good, 1 domain, 1 alias\n") != NULL);
}

/* The first hundred are told, the rest is counted. */
static void test_many_errors(void **state)
{
    struct config_errors *errors = config_errors_new();
    struct strbuf text;

    (void)state;
    strbuf_init(&text, 100000);
    strbuf_add_text(&text, HEAD DOMAIN "}\n");
    for (int i = 0; i < 250; i++) {
        strbuf_add_text(&text, "nonsense\n");
    }
    assert_null(config_files_load(strbuf_text(&text), errors));
    CHECK_INT("counted", config_errors_count(errors, CONFIG_ERROR), 250);
    CHECK_TRUE("kept", config_errors_get(errors, 99) != NULL);
    CHECK_TRUE("not kept", config_errors_get(errors, 100) == NULL);
    strbuf_reset(&text);
    config_errors_print(errors, &text);
    CHECK_TRUE("said", strstr(strbuf_text(&text), "... and 150 more\n") != NULL);
    strbuf_clear(&text);
    config_errors_free(&errors);
}

static void test_history(void **state)
{
    static const uint64_t DAY = 86400000, MIB = 1048576;
    static const struct {
        const char *line;
        uint64_t span_ms, size;
    } cases[] = {
        {"", 14 * DAY, 1024 * MIB},
        {"history off", 0, 1024 * MIB},
        {"history 2d", 2 * DAY, 1024 * MIB},
        {"history 90d 20G", 90 * DAY, 20480 * MIB},
        {"history 1h 16M", DAY / 24, 16 * MIB},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config *config;
        char text[1000];

        snprintf(text, sizeof text, HEAD DOMAIN "}\n%s\n", cases[i].line);
        config = config_files_load_good(text);
        CHECK_INT(cases[i].line, config->history.span_ms, cases[i].span_ms);
        CHECK_INT(cases[i].line, config->history.size, cases[i].size);
        config_free(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_not_stale_by_other_files),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_many_errors),
        cmocka_unit_test(test_sample_is_current),
        cmocka_unit_test(test_manual_is_current),
    };

    return cmocka_run_group_tests(tests, make_files, config_files_remove);
}
