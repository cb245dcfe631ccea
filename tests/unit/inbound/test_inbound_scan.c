/* Scanners that answer, that do not, and that answer anything. */
#include "inbound_world.h"

#include "io/listener.h"
#include "io/memory_use.h"

#define MAIL "MAIL FROM:<s@far.test>\r\n"
#define RCPT "RCPT TO:<anna@own.test>\r\n"
#define HEAD "From: s@far.test\r\nSubject: x\r\n\r\n"
#define TAKEN "250/2.1.0 250/2.1.5 354"
#define CLEAN "stream: OK\0"
#define NO_ACTION "HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{\"action\":\"no action\"}\n"
#define WAIT_MS 100

enum { CALLS = 80 };

enum manner {
    ANSWERS,       /* when it has been asked the whole question */
    ANSWERS_EARLY, /* at once */
    CLOSES_AFTER,  /* its answer, whole or not */
    CLOSES,        /* when somebody connects */
    SAYS_NOTHING,
    NEVER_READS,
};

struct scanner;

struct scanner_call {
    struct scanner *scanner;
    struct stream *stream; /* NULL: over */
    struct strbuf question;
    bool is_answered;
};

struct scanner {
    struct event_loop *loop;
    struct listener *listener;
    bool is_clamd;
    enum manner manner;
    struct bytes reply;
    struct scanner_call calls[CALLS];
    size_t count, open, most_open;
    struct strbuf content; /* of the last question */
};

/* "zINSTREAM", pieces, the end; or a head and Content-Length octets. */
static bool read_question(struct scanner *scanner, struct bytes question)
{
    struct bytes rest = bytes_skip(question, 10);
    const char *length =
        question.data == NULL ? NULL : strstr(question.data, "Content-Length: ");
    size_t end = bytes_find_part(question, BYTES("\r\n\r\n"));

    strbuf_reset(&scanner->content);
    if (!scanner->is_clamd) {
        strbuf_add(&scanner->content, bytes_skip(question, end + 4));
        return end < question.len && length != NULL &&
               scanner->content.len == strtoul(length + 16, NULL, 10);
    }
    while (rest.len >= 4) {
        const unsigned char *head = (const unsigned char *)rest.data;
        size_t size =
            (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];

        if (size == 0 || rest.len < size + 4) {
            return size == 0;
        }
        strbuf_add(&scanner->content, bytes_between(rest, 4, size + 4));
        rest = bytes_skip(rest, size + 4);
    }
    return false;
}

static void end_call(struct scanner_call *call)
{
    if (call->stream != NULL) {
        call->scanner->open--;
        stream_close(&call->stream);
    }
}

static void answer(struct scanner_call *call)
{
    struct scanner *scanner = call->scanner;

    if (call->is_answered || call->stream == NULL) {
        return;
    }
    call->is_answered = true;
    stream_write(call->stream, scanner->reply);
    if (scanner->manner == CLOSES_AFTER) {
        scanner->open--;
        stream_finish(&call->stream);
    }
}

static void on_question(void *context)
{
    struct scanner_call *call = context;
    struct bytes input = stream_input(call->stream);

    if (call->scanner->manner == NEVER_READS) {
        return;
    }
    strbuf_add(&call->question, input);
    stream_consume(call->stream, input.len);
    if (read_question(call->scanner, strbuf_bytes(&call->question)) &&
        call->scanner->manner != SAYS_NOTHING) {
        answer(call);
    }
}

static void on_left(void *context, enum stream_end end)
{
    (void)end;
    end_call(context);
}

static void on_call(void *context, const struct stream_accepted *accepted)
{
    static const struct stream_callbacks callbacks = {.on_input = on_question,
                                                      .on_end = on_left};
    struct scanner *scanner = context;
    struct scanner_call *call = &scanner->calls[scanner->count++];

    assert_true(scanner->count < CALLS);
    call->scanner = scanner;
    strbuf_init(&call->question, HEARD_LIMIT);
    call->stream = stream_from_accepted(scanner->loop, accepted, &callbacks, call);
    scanner->open++;
    if (scanner->open > scanner->most_open) {
        scanner->most_open = scanner->open;
    }
    if (scanner->manner == CLOSES) {
        end_call(call);
    } else if (scanner->manner == ANSWERS_EARLY) {
        answer(call);
    }
}

static void scanner_open(struct scanner *scanner, struct world *world, bool is_clamd,
                         enum manner manner, struct bytes reply)
{
    struct ip_endpoint endpoint;
    struct strbuf why;
    struct scanner_place *place =
        is_clamd ? &world->options.scan.clamd : &world->options.scan.rspamd;

    strbuf_init(&why, 200);
    assert_true(ip_address_parse(BYTES("127.0.0.1"), &endpoint.address));
    endpoint.port = 0;
    *scanner = (struct scanner){
        .loop = world->loop, .is_clamd = is_clamd, .manner = manner, .reply = reply};
    strbuf_init(&scanner->content, HEARD_LIMIT);
    scanner->listener = listener_open(&endpoint, &why);
    assert_non_null(scanner->listener);
    listener_start(scanner->listener, world->loop, on_call, scanner);
    *place =
        (struct scanner_place){.is_set = true, .endpoint = listener_address(scanner->listener)};
    strbuf_clear(&why);
}

static void scanner_close(struct scanner *scanner)
{
    for (size_t i = 0; i < scanner->count; i++) {
        end_call(&scanner->calls[i]);
        strbuf_clear(&scanner->calls[i].question);
    }
    strbuf_clear(&scanner->content);
    listener_close(&scanner->listener);
}

static void scan_world_init(struct world *world)
{
    world_init(world);
    world->options.scan =
        (struct scan_options){.timeout_ms = 5000, .max_size = 1024 * 1024, .concurrency = 10};
    world->options.message_size = 1024 * 1024;
}

static void give_mail(struct world *world, struct client *client, const char *name,
                      const char *want)
{
    say(world, client, MAIL RCPT "DATA\r\n", TAKEN);
    say_bytes(world, client, name, BYTES(HEAD "hello\r\n.\r\n"), want);
}

/* ---- answers ------------------------------------------------------------------------------ */

#define RSPAMD(json) "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" json

static void test_answers(void **state)
{
    (void)state;
    static char huge[1024 * 1024];
    static const struct {
        const char *name;
        bool is_clamd;
        enum manner manner;
        struct bytes reply;
        struct scan_rules rules;
        const char *want;
        const char *field; /* in what is put on top, or NULL: nothing about it */
    } cases[] = {
        {"clean", true, ANSWERS, BYTES(CLEAN), {0}, "250/2.0.0", NULL},
        {"clean, and closed", true, CLOSES_AFTER, BYTES(CLEAN), {0}, "250/2.0.0", NULL},
        {"a virus", true, ANSWERS, BYTES("stream: Eicar FOUND\0"), {0}, "550/5.7.1", NULL},
        {"a virus, tagged",
         true,
         ANSWERS,
         BYTES("stream: Ei\"car FOUND\0"),
         {.virus = VIRUS_TAG},
         "250/2.0.0",
         "x-virus=fail policy.what=\"Ei?car\""},
        {"an error", true, ANSWERS, BYTES("stream: no memory ERROR\0"), {0}, "451/4.3.0", NULL},
        {"an error, and open",
         true,
         ANSWERS,
         BYTES("stream: no memory ERROR\0"),
         {.on_failure = SCAN_FAILURE_ACCEPT},
         "250/2.0.0",
         NULL},
        {"more than it takes",
         true,
         ANSWERS_EARLY,
         BYTES("INSTREAM size limit exceeded. ERROR\0"),
         {0},
         "250/2.0.0",
         NULL},
        {"more than it takes, and that is refused",
         true,
         ANSWERS_EARLY,
         BYTES("INSTREAM size limit exceeded. ERROR\0"),
         {.too_large = SCAN_LARGE_REFUSE},
         "552/5.3.4",
         NULL},
        {"garbage", true, ANSWERS, BYTES("220 hello\r\n\0"), {0}, "451/4.3.0", NULL},
        {"no end", true, CLOSES_AFTER, BYTES("stream: OK"), {0}, "451/4.3.0", NULL},
        {"nothing", true, CLOSES, BYTES(""), {0}, "451/4.3.0", NULL},
        {"nothing, and open",
         true,
         CLOSES,
         BYTES(""),
         {.on_failure = SCAN_FAILURE_ACCEPT},
         "250/2.0.0",
         NULL},
        {"a huge answer", true, ANSWERS, {huge, sizeof huge}, {0}, "451/4.3.0", NULL},
        {"no action", false, ANSWERS, BYTES(NO_ACTION), {0}, "250/2.0.0", NULL},
        {"spam",
         false,
         CLOSES_AFTER,
         BYTES(RSPAMD("{\"action\":\"reject\"}")),
         {0},
         "550/5.7.1",
         NULL},
        {"spam, tagged",
         false,
         CLOSES_AFTER,
         BYTES(RSPAMD("{\"action\":\"reject\",\"score\":16,\"required_score\":15}")),
         {.spam = SPAM_TAG},
         "250/2.0.0",
         "x-spam=fail policy.rule=reject policy.score=\"16.00/15.00\""},
        {"add header",
         false,
         CLOSES_AFTER,
         BYTES(RSPAMD("{\"action\":\"add header\"}")),
         {0},
         "250/2.0.0",
         "x-spam=fail policy.rule=add-header"},
        {"later",
         false,
         CLOSES_AFTER,
         BYTES(RSPAMD("{\"action\":\"soft reject\"}")),
         {0},
         "451/4.7.1",
         NULL},
        {"an error of HTTP",
         false,
         CLOSES_AFTER,
         BYTES("HTTP/1.1 500 No\r\n\r\n{\"action\":\"no action\"}"),
         {0},
         "451/4.3.0",
         NULL},
        {"half a header",
         false,
         CLOSES_AFTER,
         BYTES("HTTP/1.1 200 OK\r\nConte"),
         {0},
         "451/4.3.0",
         NULL},
        {"half a body",
         false,
         CLOSES_AFTER,
         BYTES("HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{\"action\":"),
         {0},
         "451/4.3.0",
         NULL},
        {"no JSON", false, CLOSES_AFTER, BYTES(RSPAMD("<html>")), {0}, "451/4.3.0", NULL},
        {"an answer in the greeting's place",
         false,
         ANSWERS,
         BYTES("220 hello\r\n"),
         {0},
         "451/4.3.0",
         NULL},
        {"a huge head", false, ANSWERS, {huge, sizeof huge}, {0}, "451/4.3.0", NULL},
        {"a huge body",
         false,
         ANSWERS,
         BYTES("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"),
         {0},
         "451/4.3.0",
         NULL},
    };

    memset(huge, 'x', sizeof huge);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct scanner scanner;
        struct world world;
        struct client *client;
        size_t before = memory_use_now();

        scan_world_init(&world);
        world.options.scan.rules = cases[i].rules;
        scanner_open(&scanner, &world, cases[i].is_clamd, cases[i].manner, cases[i].reply);
        client = world_greet(&world);
        give_mail(&world, client, cases[i].name, cases[i].want);
        CHECK_INT(cases[i].name, world.queue.submitted, cases[i].want[0] == '2');
        CHECK_INT(cases[i].name, scanner.count, 1);
        if (cases[i].manner == ANSWERS || cases[i].manner == CLOSES_AFTER) {
            CHECK_BYTES(cases[i].name, strbuf_bytes(&scanner.content), BYTES(HEAD "hello\r\n"));
        }
        if (cases[i].field != NULL) {
            CHECK_TRUE(cases[i].name, strstr(world.queue.prefix, cases[i].field) != NULL);
        } else {
            CHECK_TRUE(cases[i].name, strstr(world.queue.prefix, "x-") == NULL);
        }
        /* Nothing stays of it. */
        give_mail(&world, client, cases[i].name, cases[i].want);
        CHECK_INT(cases[i].name, scanner.count, 2);
        scanner_close(&scanner);
        world_clear(&world);
        CHECK_INT(cases[i].name, memory_use_now(), before);
    }
}

static void test_held_mail_goes_to_the_queue_as_such(void **state)
{
    (void)state;
    struct scanner scanner;
    struct world world;

    scan_world_init(&world);
    world.options.scan.rules.virus = VIRUS_HOLD;
    scanner_open(&scanner, &world, true, ANSWERS, BYTES("stream: Eicar FOUND\0"));
    give_mail(&world, world_greet(&world), "held", "250/2.0.0");
    CHECK_TEXT("why", world.queue.held_why, "held: a virus was found");
    scanner_close(&scanner);
    world_clear(&world);
}

static void test_an_answer_before_the_question_is_none(void **state)
{
    (void)state;
    struct scanner scanner;
    struct world world;
    struct strbuf mail;

    scan_world_init(&world);
    world.options.message_size = world.options.scan.max_size = HEARD_LIMIT;
    scanner_open(&scanner, &world, true, ANSWERS_EARLY, BYTES(CLEAN));
    strbuf_init(&mail, HEARD_LIMIT);
    strbuf_add_text(&mail, HEAD);
    /* More than the kernel takes at once. */
    while (mail.len < 14 * 1024 * 1024) {
        strbuf_add_text(&mail,
                        "0123456789012345678901234567890123456789012345678901234567890\r\n");
    }
    strbuf_add_text(&mail, ".\r\n");
    {
        struct client *client = world_greet(&world);

        say(&world, client, MAIL RCPT "DATA\r\n", TAKEN);
        say_bytes(&world, client, "early", strbuf_bytes(&mail), "451/4.3.0");
    }
    strbuf_clear(&mail);
    scanner_close(&scanner);
    world_clear(&world);
}

static void test_refused_connections(void **state)
{
    (void)state;
    struct scanner scanner;
    struct world world;

    scan_world_init(&world);
    scanner_open(&scanner, &world, true, ANSWERS, BYTES(CLEAN));
    scanner_close(&scanner);
    give_mail(&world, world_greet(&world), "nobody listens", "451/4.3.0");
    world.options.scan.clamd =
        (struct scanner_place){.is_set = true, .path = "/nowhere/at.all"};
    give_mail(&world, world_greet(&world), "no such socket", "451/4.3.0");
    world.options.scan.rules.on_failure = SCAN_FAILURE_ACCEPT;
    give_mail(&world, world_greet(&world), "and open", "250/2.0.0");
    world_clear(&world);
}

static void test_both_are_asked_at_once(void **state)
{
    (void)state;
    struct scanner clamd, rspamd;
    struct world world;
    struct client *client;
    size_t before;

    scan_world_init(&world);
    scanner_open(&clamd, &world, true, SAYS_NOTHING, BYTES(CLEAN));
    scanner_open(&rspamd, &world, false, SAYS_NOTHING, BYTES(NO_ACTION));
    client = world_greet(&world);
    say(&world, client, MAIL RCPT "DATA\r\n", TAKEN);
    before = memory_use_now();
    say_bytes(&world, client, "both are open", BYTES(HEAD "hello\r\n.\r\nNOOP\r\n"), "");
    some_turns(&world, 20);
    CHECK_TRUE("what they may take is counted",
               memory_use_now() - before >= 2 * STREAM_OUTPUT_HIGH);
    CHECK_INT("clamd", clamd.open, 1);
    CHECK_INT("rspamd", rspamd.open, 1);
    CHECK_TRUE("the client", strstr(strbuf_text(&rspamd.calls[0].question),
                                    "\r\nFrom: s@far.test\r\nRcpt: anna@own.test\r\n"
                                    "IP: 192.0.2.7\r\nHelo: client.test\r\n") != NULL);
    answer(&rspamd.calls[0]);
    some_turns(&world, 20);
    CHECK_INT("not before both have answered", world.queue.submitted, 0);
    answer(&clamd.calls[0]);
    hear(&world, client, "both have answered", "250/2.0.0 250/2.0.0");
    scanner_close(&clamd);
    scanner_close(&rspamd);
    world_clear(&world);
}

/* ---- size --------------------------------------------------------------------------------- */

static void test_large_content_comes_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16384, 16385, 300 * 1024, 900 * 1024};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct scanner clamd, rspamd;
        struct world world;
        struct client *client;
        struct strbuf mail;

        scan_world_init(&world);
        scanner_open(&clamd, &world, true, ANSWERS, BYTES(CLEAN));
        scanner_open(&rspamd, &world, false, ANSWERS, BYTES(NO_ACTION));
        strbuf_init(&mail, HEARD_LIMIT);
        strbuf_add_text(&mail, HEAD);
        while (mail.len < sizes[i]) {
            strbuf_addf(&mail, "%060zu\r\n", mail.len);
        }
        client = world_greet(&world);
        say(&world, client, MAIL RCPT "DATA\r\n", TAKEN);
        client_send(&world, client, strbuf_bytes(&mail));
        say_bytes(&world, client, "whole", BYTES(".\r\n"), "250/2.0.0");
        CHECK_BYTES("clamd", strbuf_bytes(&clamd.content), strbuf_bytes(&mail));
        CHECK_BYTES("rspamd", strbuf_bytes(&rspamd.content), strbuf_bytes(&mail));
        strbuf_clear(&mail);
        scanner_close(&clamd);
        scanner_close(&rspamd);
        world_clear(&world);
    }
}

static void test_what_is_too_large_is_not_shown(void **state)
{
    (void)state;
    struct scanner scanner;
    struct world world;

    scan_world_init(&world);
    world.options.scan.max_size = sizeof HEAD "hello\r\n" - 1;
    scanner_open(&scanner, &world, true, ANSWERS, BYTES(CLEAN));
    give_mail(&world, world_greet(&world), "just so", "250/2.0.0");
    CHECK_INT("shown", scanner.count, 1);
    world.options.scan.max_size--;
    give_mail(&world, world_greet(&world), "too large", "250/2.0.0");
    world.options.scan.rules.too_large = SCAN_LARGE_REFUSE;
    give_mail(&world, world_greet(&world), "too large, and refused", "552/5.3.4");
    CHECK_INT("not shown", scanner.count, 1);
    scanner_close(&scanner);
    world_clear(&world);
}

/* ---- time, and few places ----------------------------------------------------------------- */

static void test_scanners_that_never_answer(void **state)
{
    (void)state;
    static const enum manner manners[] = {SAYS_NOTHING, NEVER_READS};

    for (size_t i = 0; i < 2 * COUNT_OF(manners); i++) {
        struct scanner scanner;
        struct world world;
        struct client *client;
        uint64_t began_ms;

        scan_world_init(&world);
        world.options.scan.timeout_ms = WAIT_MS;
        scanner_open(&scanner, &world, i % 2 == 0, manners[i / 2], BYTES(CLEAN));
        client = world_greet(&world);
        began_ms = clock_now_ms();
        give_mail(&world, client, "time is up", "451/4.3.0");
        CHECK_TRUE("it had its time", clock_now_ms() - began_ms >= WAIT_MS - 1);
        some_turns(&world, 20);
        CHECK_INT("it was left", scanner.open, 0);
        scanner_close(&scanner);
        world_clear(&world);
    }
}

static struct client *begin_mail(struct world *world)
{
    struct client *client = world_greet(world);

    say(world, client, MAIL RCPT "DATA\r\n", TAKEN);
    say_bytes(world, client, "no answer yet", BYTES(HEAD "hello\r\n.\r\n"), "");
    some_turns(world, 10);
    return client;
}

static void test_places_are_few(void **state)
{
    (void)state;
    struct scanner scanner;
    struct world world;
    struct client *clients[4];

    scan_world_init(&world);
    world.options.scan.concurrency = 2;
    scanner_open(&scanner, &world, true, SAYS_NOTHING, BYTES(CLEAN));
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        world.options.data_timeout_ms = i == 0 ? WAIT_MS : 60000;
        clients[i] = begin_mail(&world);
    }
    CHECK_INT("no more than two", scanner.count, 2);
    answer(&scanner.calls[1]);
    hear(&world, clients[1], "the second is answered", "250/2.0.0");
    some_turns(&world, 20);
    CHECK_INT("the third has its place", scanner.count, 3);
    hear(&world, clients[0], "the first is sent away", "451/4.3.0 end");
    some_turns(&world, 20);
    CHECK_INT("who leaves gives it to the fourth", scanner.count, 4);
    scanner.manner = ANSWERS;
    answer(&scanner.calls[2]);
    answer(&scanner.calls[3]);
    hear(&world, clients[2], "the third", "250/2.0.0");
    hear(&world, clients[3], "the fourth", "250/2.0.0");
    CHECK_INT("never more than two", scanner.most_open, 2);
    give_mail(&world, clients[3], "all places are free", "250/2.0.0");
    scanner_close(&scanner);
    world_clear(&world);
}

static void test_who_waits_for_a_place_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct scanner scanner;
    struct world world;
    struct client *first, *second, *third;

    scan_world_init(&world);
    world.options.scan.concurrency = 1;
    scanner_open(&scanner, &world, true, SAYS_NOTHING, BYTES(CLEAN));
    first = begin_mail(&world);
    world.options.scan.timeout_ms = WAIT_MS;
    second = begin_mail(&world);
    third = begin_mail(&world);
    client_reset(third);
    hear(&world, second, "no place", "451/4.3.0");
    CHECK_INT("it was not shown", scanner.count, 1);
    answer(&scanner.calls[0]);
    hear(&world, first, "the first is answered", "250/2.0.0");
    scanner_close(&scanner);
    world_clear(&world);
}

static void test_the_end_while_scanners_are_asked(void **state)
{
    (void)state;
    struct scanner scanner;
    struct world world;

    scan_world_init(&world);
    world.options.scan.concurrency = 1;
    scanner_open(&scanner, &world, true, SAYS_NOTHING, BYTES(CLEAN));
    begin_mail(&world);
    begin_mail(&world);
    inbound_server_free(&world.server);
    some_turns(&world, 20);
    CHECK_INT("nobody took the place of the first", scanner.count, 1);
    scanner_close(&scanner);
    world_clear(&world);
}

/* It closed its side behind the dot, and still reads. */
static void test_a_client_that_only_listens(void **state)
{
    (void)state;
    struct scanner scanner;
    struct world world;
    struct client *client;

    scan_world_init(&world);
    scanner_open(&scanner, &world, true, SAYS_NOTHING, BYTES(CLEAN));
    client = begin_mail(&world);
    client_end(client);
    some_turns(&world, 20);
    answer(&scanner.calls[0]);
    hear(&world, client, "its answer", "250/2.0.0 end");
    scanner_close(&scanner);
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_held_mail_goes_to_the_queue_as_such),
        cmocka_unit_test(test_an_answer_before_the_question_is_none),
        cmocka_unit_test(test_refused_connections),
        cmocka_unit_test(test_both_are_asked_at_once),
        cmocka_unit_test(test_large_content_comes_whole),
        cmocka_unit_test(test_what_is_too_large_is_not_shown),
        cmocka_unit_test(test_scanners_that_never_answer),
        cmocka_unit_test(test_places_are_few),
        cmocka_unit_test(test_who_waits_for_a_place_does_not_wait_for_ever),
        cmocka_unit_test(test_the_end_while_scanners_are_asked),
        cmocka_unit_test(test_a_client_that_only_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
