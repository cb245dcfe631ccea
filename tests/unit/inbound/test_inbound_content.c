/* Content: what is taken, what is refused, to whom it goes, and what the queue's answers become. */
#include "inbound_world.h"

#include "mail/trace_field.h"

static const char MAIL_INFO[] = "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nDATA\r\n";
static const char MAIL_INFO_WANT[] = "250/2.1.0 250/2.1.5 354";

static struct client *begin_content(struct world *world)
{
    struct client *client = world_greet(world);

    say(world, client, MAIL_INFO, MAIL_INFO_WANT);
    return client;
}

/* Nothing of the message is left: the same session takes a new one, from MAIL on. */
static void check_fresh(struct world *world, struct client *client, const char *name)
{
    say_bytes(world, client, name, BYTES("RCPT TO:<info@own.test>\r\nDATA\r\n"),
              "503/5.5.1 503/5.5.1");
    world->queue.verdict = QUEUE_SAFE;
    say_bytes(world, client, name, bytes_from_text(MAIL_INFO), MAIL_INFO_WANT);
    say_bytes(world, client, name, BYTES("Subject: fresh\r\n\r\n.\r\n"), "250/2.0.0");
    CHECK_TEXT(name, strbuf_text(&world->queue.content), "Subject: fresh\r\n\r\n");
}

/* clang-format off */
static const struct {
    const char *name;
    struct bytes octets;
    enum queue_verdict status;
    const char *want;
} CONTENTS[] = {
    {"plain", BYTES("S: x\r\n\r\nHello\r\n.\r\n"), QUEUE_SAFE, "250/2.0.0"},
    {"empty", BYTES(".\r\n"), QUEUE_SAFE, "250/2.0.0"},
    {"no body", BYTES("S: x\r\n.\r\n"), QUEUE_SAFE, "250/2.0.0"},
    {"no header", BYTES("\r\nHello\r\n.\r\n"), QUEUE_SAFE, "250/2.0.0"},
    {"NUL in the body", BYTES("S: x\r\n\r\n\0\r\n.\r\n"), QUEUE_SAFE, "250/2.0.0"},
    {"hops at the limit", BYTES("Received: a\r\nreceived: b\r\nRECEIVED: c\r\n\r\n.\r\n"), QUEUE_SAFE, "250/2.0.0"},
    {"hops in the body", BYTES("Received: a\r\nReceived: b\r\n\r\nReceived: c\r\nReceived: d\r\n.\r\n"), QUEUE_SAFE, "250/2.0.0"},
    {"one hop too many", BYTES("Received: a\r\nreceived: b\r\nRECEIVED: c\r\nReceived : d\r\n\r\n.\r\n"), QUEUE_SAFE, "554/5.4.6"},
    {"disk full", BYTES("S: x\r\n\r\n.\r\n"), QUEUE_FULL, "452/4.3.1"},
    {"delivered", BYTES("S: x\r\n\r\n.\r\n"), QUEUE_DELIVERED, "250/2.0.0"},
    {"refused by the next hop", BYTES("S: x\r\n\r\n.\r\n"), QUEUE_REFUSED, "550/5.1.1"},
    {"disk broken", BYTES("S: x\r\n\r\n.\r\n"), QUEUE_FAILED, "451/4.3.0"},
};
/* clang-format on */

static void test_contents(void **state)
{
    (void)state;
    for (int bytewise = 0; bytewise <= 1; bytewise++) {
        for (size_t i = 0; i < COUNT_OF(CONTENTS); i++) {
            struct world world;
            struct client *client;
            world_init(&world);
            client = begin_content(&world);
            world.is_bytewise = bytewise != 0;
            world.queue.verdict = CONTENTS[i].status;
            say_bytes(&world, client, CONTENTS[i].name, CONTENTS[i].octets, CONTENTS[i].want);
            check_fresh(&world, client, CONTENTS[i].name);
            world_clear(&world);
        }
    }
}

/* Read to its true end, refused, and then the connection is closed: nothing behind it counts. */
static void test_bare_line_ends(void **state)
{
    static const struct bytes cases[] = {
        BYTES("S: x\n\r\n.\r\nNOOP\r\n"),
        BYTES("S: x\r\n\r\n\n.\r\nMAIL FROM:<x@x.test>\r\n.\r\nNOOP\r\n"),
        BYTES("S: x\r\n\r\n.\nMAIL FROM:<x@x.test>\r\n.\r\nNOOP\r\n"),
        BYTES("S: x\r\n\r\n\n.\nMAIL FROM:<x@x.test>\r\n.\r\nNOOP\r\n"),
        BYTES("S: x\r\n\r\n\r.\rMAIL FROM:<x@x.test>\r\n.\r\nNOOP\r\n"),
        BYTES("S: x\r\n\r\n.\rMAIL FROM:<x@x.test>\r\n.\r\nNOOP\r\n"),
        BYTES("S: x\r\n\r\na\r\r\n.\r\nNOOP\r\n"),
    };

    (void)state;
    for (int bytewise = 0; bytewise <= 1; bytewise++) {
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct world world;
            struct client *client;
            world_init(&world);
            client = begin_content(&world);
            world.is_bytewise = bytewise != 0;
            say_bytes(&world, client, "bare", cases[i], "550/5.6.11 end");
            CHECK_INT("bare", world.queue.submitted, 0);
            world_quiet(&world, "bare");
            world_clear(&world);
        }
    }
}

static void add_repeated(struct strbuf *out, const char *line, size_t octets)
{
    while (octets >= strlen(line)) {
        strbuf_add_text(out, line);
        octets -= strlen(line);
    }
    if (octets > 2) { /* a line of the rest */
        while (octets-- > 2) {
            strbuf_add_char(out, 'r');
        }
        strbuf_add_text(out, "\r\n");
    }
}

/* `header` octets, with the empty line behind it, and `body` octets. */
static void test_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t header, body;
        const char *want;
    } cases[] = {
        {"message at its limit", 100, 3996, "250/2.0.0"},
        {"message one over", 100, 3997, "552/5.3.4"},
        {"message twice as big", 100, 8000, "552/5.3.4"},
        {"header at its limit", 1026, 10, "250/2.0.0"},
        {"header one over", 1027, 10, "552/5.3.4"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        struct strbuf text;
        world_init(&world);
        client = begin_content(&world);
        strbuf_init(&text, 100000);
        strbuf_add_text(&text, "X: ");
        while (strbuf_bytes(&text).len < cases[i].header - 4) {
            strbuf_add_char(&text, 'h');
        }
        strbuf_add_text(&text, "\r\n\r\n");
        add_repeated(&text, "0123456789abcdef0123456789abcdef\r\n", cases[i].body);
        CHECK_INT(cases[i].name, strbuf_bytes(&text).len, cases[i].header + cases[i].body);
        strbuf_add_text(&text, ".\r\n");
        say_bytes(&world, client, cases[i].name, strbuf_bytes(&text), cases[i].want);
        check_fresh(&world, client, cases[i].name);
        strbuf_clear(&text);
        world_clear(&world);
    }
}

/* The limit is about what the client means, without the dots that are there for the wire. */
static void test_stuffed_dots_do_not_count(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;

    (void)state;
    world_init(&world);
    client = begin_content(&world);
    strbuf_init(&text, 100000);
    strbuf_add_text(&text, "S: x\r\n\r\n");
    for (size_t octets = 8; octets < 4096; octets += 4) {
        strbuf_add_text(&text, "...\r\n"); /* ".." and its end */
    }
    strbuf_add_text(&text, ".\r\n");
    say_bytes(&world, client, "dots", strbuf_bytes(&text), "250/2.0.0");
    CHECK_INT("dots", world.queue.content.len, 4096);
    strbuf_clear(&text);
    world_clear(&world);
}

/* Too big for memory: kept in a file, header checks and content are the same. */
static void test_big_message(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;

    (void)state;
    world_init(&world);
    world.options.message_size = 1024 * 1024;
    for (int has_big_header = 0; has_big_header <= 1; has_big_header++) {
        client = begin_content(&world);
        strbuf_init(&text, 2 * 1024 * 1024);
        strbuf_add_text(&text, "S: x\r\nAuto-Submitted: auto-replied\r\n");
        if (!has_big_header) {
            strbuf_add_text(&text, "\r\n");
        }
        add_repeated(&text, "F: 0123456789abcdef0123456789abcdef\r\n", 600000);
        say_bytes(&world, client, "big", strbuf_bytes(&text), "");
        say(&world, client, ".\r\n", has_big_header ? "552/5.3.4" : "250/2.0.0");
        if (!has_big_header) {
            CHECK_BYTES("big", strbuf_bytes(&world.queue.content), strbuf_bytes(&text));
            CHECK_TRUE("big", strstr(world.queue.envelope, "auto=1") != NULL);
        }
        check_fresh(&world, client, "big");
        strbuf_clear(&text);
    }
    world_clear(&world);
}

/* What does not end is not read for ever. */
static void test_endless_message(void **state)
{
    struct world world;
    struct client *client;
    char line[4096];
    bool has_ended = false;

    (void)state;
    world_init(&world);
    client = begin_content(&world);
    memset(line, 'x', sizeof line);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    for (unsigned i = 0; i < 100 && !has_ended; i++) {
        client_send(&world, client, bytes_of(line, sizeof line));
        some_turns(&world, 2);
        has_ended = inbound_session_count(world.server) == 0;
    }
    hear(&world, client, "endless", "552/5.3.4 end");
    CHECK_TRUE("endless", has_ended);
    world_clear(&world);
}

static void test_unwritable_directory(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;

    (void)state;
    world_init(&world);
    world.options.message_size = 1024 * 1024;
    world.options.spool_directory = "/proc/nothing/here";
    client = begin_content(&world);
    strbuf_init(&text, 2 * 1024 * 1024);
    strbuf_add_text(&text, "S: x\r\n\r\n");
    add_repeated(&text, "0123456789abcdef0123456789abcdef\r\n", 600000);
    strbuf_add_text(&text, ".\r\n");
    say_bytes(&world, client, "no directory", strbuf_bytes(&text), "451/4.3.0");
    check_fresh(&world, client, "no directory");
    strbuf_clear(&text);
    world_clear(&world);
}

/* -- to whom -- */

/* clang-format off */
static const struct {
    const char *name;
    const char *text; /* up to and with the content */
    const char *want;
    const char *deliveries; /* NULL: nothing reaches the queue */
} RECIPIENTS[] = {
    {"two targets", "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n",
     "250/2.1.0 250/2.1.5 354 250/2.0.0",
     "anna@x.test for info@own.test at x.test srs\nbob@Y.test for info@own.test at y.test srs\n"},
    {"the same target twice", "MAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test>\r\nRCPT TO:<info@own.test>\r\n",
     "250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0",
     "anna@x.test for anna@own.test at x.test srs\nbob@Y.test for info@own.test at y.test srs\n"},
    {"the same target in another case", "MAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test>\r\nRCPT TO:<case@own.test>\r\n",
     "250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0",
     "anna@x.test for anna@own.test at x.test srs\n"},
    {"the same recipient twice", "MAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test>\r\nRCPT TO:<Anna@OWN.test>\r\n",
     "250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0",
     "anna@x.test for anna@own.test at x.test srs\n"},
    {"one of all kinds", "MAIL FROM:<s@far.test>\r\nRCPT TO:<no@own.test>\r\nRCPT TO:<later@own.test>\r\n"
     "RCPT TO:<void@own.test>\r\nRCPT TO:<anna@own.test>\r\nRCPT TO:<nobody@own.test>\r\n",
     "250/2.1.0 553/5.7.27 450/4.2.1 250/2.1.5 250/2.1.5 550/5.1.1 354 250/2.0.0",
     "anna@x.test for anna@own.test at x.test srs\n"},
    {"everything discarded", "MAIL FROM:<s@far.test>\r\nRCPT TO:<void@own.test>\r\n",
     "250/2.1.0 250/2.1.5 354 250/2.0.0", NULL},
    {"null sender", "MAIL FROM:<>\r\nRCPT TO:<anna@own.test>\r\n",
     "250/2.1.0 250/2.1.5 354 250/2.0.0", "anna@x.test for anna@own.test at x.test\n"},
    {"sender of our own", "MAIL FROM:<a@own.test>\r\nRCPT TO:<anna@own.test>\r\n",
     "250/2.1.0 250/2.1.5 354 250/2.0.0", "anna@x.test for anna@own.test at x.test\n"},
    {"sender no bounce could reach", "MAIL FROM:<a@[192.0.2.1]>\r\nRCPT TO:<anna@own.test>\r\n",
     "250/2.1.0 553/5.1.8 554/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1", NULL},
};
/* clang-format on */

static void test_recipients(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(RECIPIENTS); i++) {
        struct world world;
        struct client *client;
        char text[1024];
        world_init(&world);
        world.options.recipients = 10;
        client = world_greet(&world);
        snprintf(text, sizeof text, "%sDATA\r\nS: x\r\n\r\n.\r\n", RECIPIENTS[i].text);
        say_bytes(&world, client, RECIPIENTS[i].name, bytes_from_text(text),
                  RECIPIENTS[i].want);
        if (RECIPIENTS[i].deliveries == NULL) {
            CHECK_INT(RECIPIENTS[i].name, world.queue.submitted, 0);
        } else {
            CHECK_TEXT(RECIPIENTS[i].name, world.queue.deliveries, RECIPIENTS[i].deliveries);
        }
        world_clear(&world);
    }
}

static void test_envelope_and_trace(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    client = world_greet(&world);
    say(&world, client,
        "MAIL FROM:<s@far.test> BODY=8BITMIME\r\nRCPT TO:<anna@own.test>\r\nDATA\r\n"
        "Auto-Submitted: (why) auto-generated\r\n\r\n..x\r\n.\r\n",
        "250/2.1.0 250/2.1.5 354 250/2.0.0");
    CHECK_TEXT("envelope", world.queue.envelope,
               "from=s@far.test forward 8bit=1 auto=1 utf8=00 ret=0 envid= ip=192.0.2.7 "
               "helo=client.test");
    CHECK_TRUE("trace", strstr(world.queue.prefix, "for <anna@own.test>") != NULL);
    CHECK_TRUE("trace", strstr(world.queue.prefix, "with ESMTP") != NULL);
    CHECK_TRUE("trace",
               strstr(world.queue.prefix, message_id_text(world.queue.id).text) != NULL);
    CHECK_TRUE("the reply names it", strstr(strbuf_text(&client->heard),
                                            message_id_text(world.queue.id).text) != NULL);
    CHECK_TEXT("unstuffed", strbuf_text(&world.queue.content),
               "Auto-Submitted: (why) auto-generated\r\n\r\n.x\r\n");
    say(&world, client,
        "HELO other\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test>\r\n"
        "RCPT TO:<postmaster>\r\nDATA\r\n\r\n.\r\n",
        "250 250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0");
    CHECK_TEXT(
        "envelope", world.queue.envelope,
        "from=s@far.test forward 8bit=0 auto=0 utf8=00 ret=0 envid= ip=192.0.2.7 helo=other");
    CHECK_TRUE("two recipients: none is told", strstr(world.queue.prefix, "for <") == NULL);
    CHECK_TRUE("trace", strstr(world.queue.prefix, "with SMTP") != NULL);
    world_clear(&world);
}

/* -- loops -- */

static void test_loop_marks(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;
    struct loop_mark anna, info;

    (void)state;
    world_init(&world);
    anna = trace_field_loop_mark(world.options.loop_secret, BYTES("anna@own.test"));
    info = trace_field_loop_mark(world.options.loop_secret, BYTES("info@own.test"));
    client = world_greet(&world);
    strbuf_init(&text, 10000);
    strbuf_addf(&text,
                "MAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test>\r\nDATA\r\n"
                "X-Postilion-Loop: mx.test %s\r\n\r\n.\r\n",
                anna.text);
    say_bytes(&world, client, "back again", strbuf_bytes(&text),
              "250/2.1.0 250/2.1.5 354 554/5.4.6");
    CHECK_INT("back again", world.queue.submitted, 0);
    strbuf_reset(&text);
    strbuf_addf(&text,
                "MAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test>\r\nDATA\r\n"
                "X-Postilion-Loop: mx.test %s\r\n\r\n.\r\n",
                info.text);
    say_bytes(&world, client, "another alias", strbuf_bytes(&text),
              "250/2.1.0 250/2.1.5 354 250/2.0.0");
    strbuf_reset(&text);
    strbuf_addf(&text,
                "MAIL FROM:<s@far.test>\r\nRCPT TO:<anna@own.test>\r\nRCPT TO:<info@own.test>"
                "\r\nDATA\r\nX-Postilion-Loop: mx.test %s\r\n\r\n.\r\n",
                anna.text);
    say_bytes(&world, client, "one of two", strbuf_bytes(&text),
              "250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0");
    CHECK_TEXT("one of two", world.queue.deliveries,
               "anna@x.test for info@own.test at x.test srs\n"
               "bob@Y.test for info@own.test at y.test srs\n");
    strbuf_clear(&text);
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_bare_line_ends),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_stuffed_dots_do_not_count),
        cmocka_unit_test(test_big_message),
        cmocka_unit_test(test_endless_message),
        cmocka_unit_test(test_unwritable_directory),
        cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_envelope_and_trace),
        cmocka_unit_test(test_loop_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
