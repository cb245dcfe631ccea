/* Commands: what each is answered, in which order they may come, and what a failed one leaves. */
#include "inbound_world.h"

enum phase { CONNECTED, GREETED, SENDER, RECIPIENT, PHASES };

static const char *const PHASE_NAMES[PHASES] = {"connected", "greeted", "sender", "recipient"};

static struct client *reach(struct world *world, enum phase phase)
{
    struct client *client = world_connect(world);

    hear(world, client, "banner", "220");
    if (phase >= GREETED) {
        say(world, client, "EHLO client.test\r\n", "250");
    }
    if (phase >= SENDER) {
        say(world, client, "MAIL FROM:<s@far.test>\r\n", "250/2.1.0");
    }
    if (phase >= RECIPIENT) {
        say(world, client, "RCPT TO:<info@own.test>\r\n", "250/2.1.5");
    }
    return client;
}

/* Commands that fail in some phase; what they are answered, phase by phase. NULL: they succeed. */
struct failing {
    const char *name;
    struct bytes octets;
    const char *want[PHASES];
};

#define EVERYWHERE(code)                                                                       \
    {                                                                                          \
        code, code, code, code                                                                 \
    }
#define FROM_GREETED(code)                                                                     \
    {                                                                                          \
        "503/5.5.1", code, "503/5.5.1", "503/5.5.1"                                            \
    }
#define FROM_SENDER(code)                                                                      \
    {                                                                                          \
        "503/5.5.1", "503/5.5.1", code, code                                                   \
    }

/* clang-format off */
static const struct failing FAILING[] = {
    {"unknown", BYTES("XYZ\r\n"), EVERYWHERE("500/5.5.1")},
    {"empty line", BYTES("\r\n"), EVERYWHERE("500/5.5.1")},
    {"bare LF", BYTES("NOOP\n"), EVERYWHERE("500/5.5.2")},
    {"bare CR", BYTES("NO\rOP\r\n"), EVERYWHERE("500/5.5.2")},
    {"NUL", BYTES("NOOP\0\r\n"), EVERYWHERE("500/5.5.2")},
    {"EHLO nobody", BYTES("EHLO\r\n"), EVERYWHERE("501/5.5.4")},
    {"HELO nobody", BYTES("HELO \r\n"), EVERYWHERE("501/5.5.4")},
    {"VRFY nobody", BYTES("VRFY\r\n"), EVERYWHERE("501/5.5.4")},
    {"QUIT with an argument", BYTES("QUIT now\r\n"), EVERYWHERE("501/5.5.4")},
    {"RSET with an argument", BYTES("RSET x\r\n"), EVERYWHERE("501/5.5.4")},
    {"EXPN", BYTES("EXPN list\r\n"), EVERYWHERE("502/5.5.1")},
    {"AUTH", BYTES("AUTH PLAIN AGEAYg==\r\n"), EVERYWHERE("500/5.5.1")},
    {"ETRN", BYTES("ETRN own.test\r\n"), EVERYWHERE("500/5.5.1")},
    {"TURN", BYTES("TURN\r\n"), EVERYWHERE("500/5.5.1")},
    {"STARTTLS", BYTES("STARTTLS\r\n"), FROM_GREETED("502/5.5.1")},
    {"BDAT too early", BYTES("BDAT 9 LAST\r\nNOOP\r\nX\r\n"), {"503/5.5.1", "503/5.5.1", "554/5.5.1", NULL}},
    {"BDAT of nothing, too early", BYTES("BDAT 0 LAST\r\n"), {"503/5.5.1", "503/5.5.1", "554/5.5.1", NULL}},
    {"MAIL without FROM", BYTES("MAIL <a@far.test>\r\n"), EVERYWHERE("501/5.5.4")},
    {"MAIL bad path", BYTES("MAIL FROM:<a@far.test\r\n"), EVERYWHERE("501/5.1.7")},
    {"MAIL without domain", BYTES("MAIL FROM:<a>\r\n"), EVERYWHERE("501/5.1.7")},
    {"RCPT in UTF-8", BYTES("RCPT TO:<\xc3\xa4@own.test>\r\n"), {"553/5.6.7", "503/5.5.1", "553/5.6.7", "553/5.6.7"}},
    {"MAIL in broken UTF-8", BYTES("MAIL FROM:<\xc3@far.test> SMTPUTF8\r\n"), EVERYWHERE("553/5.6.7")},
    {"MAIL SMTPUTF8 with a value", BYTES("MAIL FROM:<a@far.test> SMTPUTF8=1\r\n"), FROM_GREETED("501/5.5.4")},
    {"MAIL in a domain that is none", BYTES("MAIL FROM:<a@\xe2\x88\x80.test> SMTPUTF8\r\n"), {"553/5.6.7", "501/5.1.7", "553/5.6.7", "553/5.6.7"}},
    {"MAIL RET unknown", BYTES("MAIL FROM:<a@far.test> RET=SOME\r\n"), FROM_GREETED("501/5.5.4")},
    {"MAIL ENVID that is no xtext", BYTES("MAIL FROM:<a@far.test> ENVID=a+b\r\n"), FROM_GREETED("501/5.5.4")},
    {"MAIL with a parameter of RCPT", BYTES("MAIL FROM:<a@far.test> NOTIFY=NEVER\r\n"), FROM_GREETED("555/5.5.4")},
    {"RCPT NOTIFY unknown", BYTES("RCPT TO:<info@own.test> NOTIFY=NEVER,SUCCESS\r\n"), FROM_SENDER("501/5.5.4")},
    {"RCPT ORCPT without a type", BYTES("RCPT TO:<info@own.test> ORCPT=a@b.test\r\n"), FROM_SENDER("501/5.5.4")},
    {"RCPT ORCPT in UTF-8", BYTES("RCPT TO:<info@own.test> ORCPT=utf-8;\xc3\xa4@b.test\r\n"), {"501/5.5.4", "503/5.5.1", "501/5.5.4", "501/5.5.4"}},
    {"RCPT NOTIFY without a value", BYTES("RCPT TO:<info@own.test> NOTIFY\r\n"), FROM_SENDER("501/5.5.4")},
    {"MAIL in UTF-8", BYTES("MAIL FROM:<\xc3\xa4@far.test>\r\n"), EVERYWHERE("553/5.6.7")},
    {"MAIL SIZE without number", BYTES("MAIL FROM:<a@far.test> SIZE=x\r\n"), FROM_GREETED("501/5.5.4")},
    {"MAIL SIZE too big", BYTES("MAIL FROM:<a@far.test> SIZE=4097\r\n"), FROM_GREETED("552/5.3.4")},
    {"MAIL SIZE of 20 digits", BYTES("MAIL FROM:<a@far.test> SIZE=99999999999999999999\r\n"), FROM_GREETED("552/5.3.4")},
    {"MAIL SIZE of 21 digits", BYTES("MAIL FROM:<a@far.test> SIZE=999999999999999999999\r\n"), FROM_GREETED("501/5.5.4")},
    {"MAIL BODY unknown", BYTES("MAIL FROM:<a@far.test> BODY=9BIT\r\n"), FROM_GREETED("501/5.5.4")},
    {"MAIL BODY without lines", BYTES("MAIL FROM:<a@far.test> BODY=BINARYMIME\r\n"), FROM_GREETED("555/5.6.1")},
    {"MAIL parameter unknown", BYTES("MAIL FROM:<a@far.test> X=1\r\n"), FROM_GREETED("555/5.5.4")},
    {"MAIL parameter twice", BYTES("MAIL FROM:<a@far.test> SIZE=1 SIZE=2\r\n"), EVERYWHERE("501/5.5.4")},
    {"RCPT without TO", BYTES("RCPT <info@own.test>\r\n"), EVERYWHERE("501/5.5.4")},
    {"RCPT bad path", BYTES("RCPT TO:<info@own.test\r\n"), EVERYWHERE("501/5.1.3")},
    {"RCPT to nobody", BYTES("RCPT TO:<>\r\n"), EVERYWHERE("501/5.1.3")},
    {"RCPT parameter", BYTES("RCPT TO:<info@own.test> X=1\r\n"), FROM_SENDER("555/5.5.4")},
    {"RCPT unknown", BYTES("RCPT TO:<nobody@own.test>\r\n"), FROM_SENDER("550/5.1.1")},
    {"RCPT elsewhere", BYTES("RCPT TO:<info@far.test>\r\n"), FROM_SENDER("550/5.7.1")},
    {"RCPT at a literal", BYTES("RCPT TO:<info@[192.0.2.1]>\r\n"), FROM_SENDER("550/5.7.1")},
    {"RCPT refused", BYTES("RCPT TO:<no@own.test>\r\n"), FROM_SENDER("553/5.7.27")},
    {"RCPT deferred", BYTES("RCPT TO:<later@own.test>\r\n"), FROM_SENDER("450/4.2.1")},
    {"RCPT not from the null sender", BYTES("RCPT TO:<SRS0=aaaaaaaa=AA=x.test=a@srs.test>\r\n"), FROM_SENDER("550/5.7.1")},
    {"DATA with an argument", BYTES("DATA now\r\n"), EVERYWHERE("501/5.5.4")},
    {"DATA too early", BYTES("DATA\r\n"), {"503/5.5.1", "503/5.5.1", "554/5.5.1", NULL}},
    {"MAIL again or too early", BYTES("MAIL FROM:<b@far.test>\r\n"), {"503/5.5.1", NULL, "503/5.5.1", "503/5.5.1"}},
};

/* What shows which phase a session is in. */
static const struct {
    const char *text;
    const char *want[PHASES];
} PROBES[] = {
    {"MAIL FROM:<p@far.test>\r\n", {"503/5.5.1", "250/2.1.0", "503/5.5.1", "503/5.5.1"}},
    {"RCPT TO:<postmaster>\r\n", {"503/5.5.1", "503/5.5.1", "250/2.1.5", "250/2.1.5"}},
    {"DATA\r\n", {"503/5.5.1", "503/5.5.1", "554/5.5.1", "354"}},
};
/* clang-format on */

static void check_failing(struct world *world, const struct failing *failing, enum phase phase)
{
    char name[256];

    for (size_t probe = 0; probe < COUNT_OF(PROBES); probe++) {
        struct client *client = reach(world, phase);
        snprintf(name, sizeof name, "%s when %s", failing->name, PHASE_NAMES[phase]);
        say_bytes(world, client, name, failing->octets, failing->want[phase]);
        snprintf(name, sizeof name, "%.5s after %s when %s", PROBES[probe].text, failing->name,
                 PHASE_NAMES[phase]);
        say_bytes(world, client, name, bytes_from_text(PROBES[probe].text),
                  PROBES[probe].want[phase]);
        client_reset(client);
        world_quiet(world, name);
        strbuf_clear(&client->heard);
        world->client_count--;
    }
}

static void test_a_failed_command_changes_nothing(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < COUNT_OF(FAILING); i++) {
        for (enum phase phase = CONNECTED; phase < PHASES; phase++) {
            if (FAILING[i].want[phase] != NULL) {
                check_failing(&world, &FAILING[i], phase);
            }
        }
    }
    world_clear(&world);
}

/* clang-format off */
static const struct {
    const char *name;
    const char *text; /* after the greeting */
    const char *want;
} DIALOGUES[] = {
    {"commands of no consequence", "NOOP\r\nNOOP x\r\nRSET\r\nVRFY info\r\nHELP\r\nHELP me\r\n",
     "250/2.0.0 250/2.0.0 250/2.0.0 252/2.5.0 214/2.0.0 214/2.0.0"},
    {"case does not matter", "noop\r\nmail from:<a@far.test>\r\nRcPt To:<Info@OWN.test>\r\nrset\r\n",
     "250/2.0.0 250/2.1.0 250/2.1.5 250/2.0.0"},
    {"RSET ends the transaction", "MAIL FROM:<a@far.test>\r\nRCPT TO:<info@own.test>\r\nRSET\r\nDATA\r\nMAIL FROM:<>\r\n",
     "250/2.1.0 250/2.1.5 250/2.0.0 503/5.5.1 250/2.1.0"},
    {"EHLO ends the transaction", "MAIL FROM:<a@far.test>\r\nRCPT TO:<info@own.test>\r\nEHLO b\r\nRCPT TO:<info@own.test>\r\n",
     "250/2.1.0 250/2.1.5 250 503/5.5.1"},
    {"no parameters after HELO", "HELO c\r\nMAIL FROM:<a@far.test> SIZE=5\r\nMAIL FROM:<a@far.test>\r\n",
     "250 555/5.5.4 250/2.1.0"},
    {"no extensions of RCPT after HELO", "HELO c\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<info@own.test> NOTIFY=NEVER\r\nRCPT TO:<info@own.test>\r\n"
     "BDAT 4 LAST\r\nNOOPRSET\r\n", "250 250/2.1.0 555/5.5.4 250/2.1.5 503/5.5.1 250/2.0.0"},
    {"all extensions of MAIL", "MAIL FROM:<a@far.test> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q+2B\r\n", "250/2.1.0"},
    {"VRFY with SMTPUTF8", "VRFY info SMTPUTF8\r\nVRFY j\xc3\xb6rg SMTPUTF8\r\n", "252/2.5.0 252/2.5.0"},
    {"SMTPUTF8 ends with its transaction", "MAIL FROM:<\xc3\xa4@far.test> SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@own.test>\r\nRSET\r\n"
     "MAIL FROM:<\xc3\xa4@far.test>\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<j\xc3\xb6rg@own.test>\r\nRCPT TO:<nobody\xc3\xb6@own.test>\r\n",
     "250/2.1.0 250/2.1.5 250/2.0.0 553/5.6.7 250/2.1.0 553/5.6.7 553/5.6.7"},
    {"one more recipient than allowed",
     "MAIL FROM:<a@far.test>\r\nRCPT TO:<info@own.test>\r\nRCPT TO:<anna@own.test>\r\nRCPT TO:<case@own.test>\r\n"
     "RCPT TO:<postmaster>\r\nRCPT TO:<info@own.test>\r\nDATA\r\n",
     "250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 452/4.5.3 452/4.5.3 354"},
    {"exactly the size allowed", "MAIL FROM:<a@far.test> SIZE=4096 BODY=8BITMIME\r\n", "250/2.1.0"},
    {"source route", "MAIL FROM:<@b.test:a@far.test>\r\nRCPT TO:<@far.test:info@own.test>\r\n", "250/2.1.0 250/2.1.5"},
    {"QUIT, and nothing after it", "MAIL FROM:<a@far.test>\r\nQUIT\r\nNOOP\r\n", "250/2.1.0 221/2.0.0 end"},
};
/* clang-format on */

static void test_dialogues(void **state)
{
    (void)state;
    for (int bytewise = 0; bytewise <= 1; bytewise++) {
        for (size_t i = 0; i < COUNT_OF(DIALOGUES); i++) {
            struct world world;
            struct client *client;
            world_init(&world);
            client = world_greet(&world);
            world.is_bytewise = bytewise != 0;
            say_bytes(&world, client, DIALOGUES[i].name, bytes_from_text(DIALOGUES[i].text),
                      DIALOGUES[i].want);
            world_clear(&world);
        }
    }
}

static void test_extensions_offered(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    client = world_greet(&world);
    CHECK_TEXT(
        "all of it", strbuf_text(&client->heard),
        "220 mx.test ESMTP postilion\r\n250-mx.test\r\n250-PIPELINING\r\n250-SIZE 4096\r\n"
        "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-SMTPUTF8\r\n250-"
        "DSN\r\n250-LIMITS RCPTMAX=3\r\n250 HELP\r\n");
    world_clear(&world);
}

/* Lines up to the limit are commands; beyond it one answer, and reading goes on behind their end. */
static void test_long_lines(void **state)
{
    static const struct {
        const char *name;
        size_t length; /* with CRLF */
        const char *want;
    } cases[] = {
        {"at the limit", 2048, "250/2.0.0 250/2.0.0"},
        {"one over", 2049, "500/5.5.2 250/2.0.0"},
        {"much over", 60000, "500/5.5.2 250/2.0.0"},
        {"no end to it", 200000, "500/5.5.2 421/4.5.2 end"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        struct strbuf text;
        world_init(&world);
        client = world_greet(&world);
        strbuf_init(&text, 300000);
        strbuf_add_text(&text, "NOOP ");
        while (strbuf_bytes(&text).len < cases[i].length - 2) {
            strbuf_add_char(&text, 'x');
        }
        strbuf_add_text(&text, "\r\nNOOP\r\n");
        say_bytes(&world, client, cases[i].name, strbuf_bytes(&text), cases[i].want);
        strbuf_clear(&text);
        world_clear(&world);
    }
}

static void test_too_many_errors(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.options.errors = 3;
    client = world_greet(&world);
    say(&world, client, "X\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<later@own.test>\r\n",
        "500/5.5.1 250/2.1.0 450/4.2.1");
    say(&world, client, "RCPT TO:<x@own.test>\r\nRCPT TO:<y@own.test>\r\nNOOP\r\n",
        "550/5.1.1 550/5.1.1 421/4.7.0 end");
    world_quiet(&world, "errors");
    world_clear(&world);
}

/* A mailing list may name many more recipients than we take, in one go: it must come to its DATA. */
static void test_many_recipients_too_many(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text, want;

    (void)state;
    world_init(&world);
    client = world_greet(&world);
    strbuf_init(&text, 100000);
    strbuf_init(&want, 100000);
    strbuf_add_text(&text, "MAIL FROM:<a@far.test>\r\n");
    strbuf_add_text(&want, "250/2.1.0");
    for (unsigned i = 0; i < 900; i++) {
        strbuf_add_text(&text, "RCPT TO:<info@own.test>\r\n");
        strbuf_add_text(&want, i < 3 ? " 250/2.1.5" : " 452/4.5.3");
    }
    strbuf_add_text(&text, "DATA\r\nS: x\r\n\r\n.\r\n");
    strbuf_add_text(&want, " 354 250/2.0.0");
    say_bytes(&world, client, "recipients", strbuf_bytes(&text), strbuf_text(&want));
    strbuf_clear(&text);
    strbuf_clear(&want);
    world_clear(&world);
}

static void test_idling_has_an_end(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;
    char got[65536];

    (void)state;
    world_init(&world);
    client = world_greet(&world);
    strbuf_init(&text, 100000);
    for (unsigned i = 0; i < 3000; i++) {
        strbuf_add_text(&text, "NOOP\r\n");
    }
    client->want = 3000;
    client_send(&world, client, strbuf_bytes(&text));
    world_quiet(&world, "idling");
    listen_to(client);
    describe_replies(client, got, sizeof got);
    CHECK_TEXT("idling", got + strlen(got) - strlen("250/2.0.0 421/4.7.0 end"),
               "250/2.0.0 421/4.7.0 end");
    strbuf_clear(&text);
    world_clear(&world);
}

/* One who sends much at once does not keep the others waiting: each turn has its share. */
static void test_a_turn_has_its_share(void **state)
{
    struct world world;
    struct client *greedy, *modest;
    struct strbuf text;
    unsigned turns = 3;

    (void)state;
    world_init(&world);
    greedy = world_greet(&world);
    modest = world_greet(&world);
    strbuf_init(&text, 100000);
    for (unsigned i = 0; i < 900; i++) {
        strbuf_add_text(&text, "NOOP\r\n");
    }
    assert_int_equal(send(greedy->fd, strbuf_text(&text), strbuf_bytes(&text).len, 0),
                     strbuf_bytes(&text).len);
    assert_int_equal(send(modest->fd, "NOOP\r\n", 6, 0), 6);
    while (greedy->heard.len - greedy->told < 14 * 100 && turns++ < 1000) {
        event_loop_stop(world.loop);
        event_loop_run(world.loop);
        some_turns(&world, 0);
        listen_to(greedy);
        listen_to(modest);
        if (modest->heard.len > modest->told) {
            break;
        }
    }
    CHECK_TRUE("the modest one was answered", modest->heard.len > modest->told);
    CHECK_TRUE("before the greedy one had it all", greedy->heard.len - greedy->told < 900 * 14);
    greedy->want = 900;
    CHECK_TRUE("who got it all in the end", turn_until(world.loop, has_heard_enough, greedy));
    strbuf_clear(&text);
    world_clear(&world);
}

/* Closed by its own QUIT while more input waited for the next turn. */
static void test_quit_in_the_middle_of_much(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;

    (void)state;
    for (unsigned before = 60; before < 70; before++) {
        world_init(&world);
        client = world_greet(&world);
        strbuf_init(&text, 100000);
        for (unsigned i = 0; i < 100; i++) {
            strbuf_add_text(&text, i == before ? "QUIT\r\n" : "NOOP\r\n");
        }
        client_send(&world, client, strbuf_bytes(&text));
        world_quiet(&world, "quit");
        strbuf_clear(&text);
        world_clear(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failed_command_changes_nothing),
        cmocka_unit_test(test_dialogues),
        cmocka_unit_test(test_extensions_offered),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_too_many_errors),
        cmocka_unit_test(test_many_recipients_too_many),
        cmocka_unit_test(test_idling_has_an_end),
        cmocka_unit_test(test_a_turn_has_its_share),
        cmocka_unit_test(test_quit_in_the_middle_of_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
