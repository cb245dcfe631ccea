/* What takes time: deadlines, the queue, the state store, the drain, clients that go meanwhile. */
#include "inbound_world.h"

static const char MESSAGE[] = "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nDATA\r\n"
                              "S: x\r\n\r\n.\r\n";
/* Up to the answer of the queue. */
static const char MESSAGE_WANT[] = "250/2.1.0 250/2.1.5 354";

/* Its SRS address has no room for it. */
#define LONG_SENDER                                                                            \
    "a-very-long-local-part-of-sixty-three-octets-for-the-token-test@"                         \
    "a-long-domain-name-of-the-sender.test"

/* -- the queue -- */

static void test_input_while_the_queue_works(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.queue.is_held = true;
    client = world_greet(&world);
    say(&world, client, MESSAGE, MESSAGE_WANT);
    say(&world, client, "NOOP\r\nMAIL FROM:<t@far.test>\r\n", "");
    answer_queue(&world.queue, QUEUE_SAFE);
    hear(&world, client, "answered", "250/2.0.0 250/2.0.0 250/2.1.0");
    say(&world, client, "RSET\r\n", "250/2.0.0");
    say(&world, client, MESSAGE, MESSAGE_WANT);
    say(&world, client, "QUIT\r\n", "");
    answer_queue(&world.queue, QUEUE_FULL);
    hear(&world, client, "full", "452/4.3.1 221/2.0.0 end");
    world_clear(&world);
}

/* It said all it had to say and closed its side: it still hears the answer. */
static void test_reply_to_a_client_that_closed_its_side(void **state)
{
    static const struct {
        enum queue_verdict status;
        const char *want;
    } cases[] = {{QUEUE_SAFE, "250/2.0.0 end"}, {QUEUE_FULL, "452/4.3.1 end"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        world_init(&world);
        world.queue.is_held = true;
        client = world_greet(&world);
        say(&world, client, MESSAGE, MESSAGE_WANT);
        CHECK_INT("may wait", world.queue.hurried, 0);
        client_end(client);
        some_turns(&world, 5);
        CHECK_INT("waits", world.queue.abandoned, 0);
        CHECK_INT("for what is safe, not for next hops", world.queue.hurried, 1);
        answer_queue(&world.queue, cases[i].status);
        hear(&world, client, "half closed", cases[i].want);
        world_quiet(&world, "half closed");
        world_clear(&world);
    }
}

/* Everything at once, then its side closed: `printf ... | nc`. */
static void test_whole_session_at_once(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    client = world_connect(&world);
    assert_true(send(client->fd, "EHLO c\r\n", 8, 0) == 8);
    assert_true(send(client->fd, MESSAGE, strlen(MESSAGE), 0) > 0);
    assert_true(send(client->fd, MESSAGE, strlen(MESSAGE), 0) > 0);
    client_end(client);
    hear(&world, client, "at once",
         "220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0 end");
    CHECK_INT("at once", world.queue.submitted, 2);
    world_quiet(&world, "at once");
    world_clear(&world);
}

static void test_client_gone_while_the_queue_works(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.queue.is_held = true;
    client = world_greet(&world);
    say(&world, client, MESSAGE, MESSAGE_WANT);
    client_reset(client);
    some_turns(&world, 5);
    if (inbound_session_count(world.server) > 0) {
        /* A peer that closes is not told from one that closes its side only; the answer shows. */
        answer_queue(&world.queue, QUEUE_SAFE);
    }
    world_quiet(&world, "gone");
    world_clear(&world);
}

static void test_queue_that_never_answers(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.options.data_timeout_ms = 30;
    world.queue.is_held = true;
    client = world_greet(&world);
    say(&world, client, MESSAGE, MESSAGE_WANT);
    hear(&world, client, "never", "451/4.3.0 end");
    CHECK_INT("never", world.queue.abandoned, 1);
    world_quiet(&world, "never");
    answer_queue(&world.queue, QUEUE_SAFE); /* too late: nobody hears it */
    world_clear(&world);
}

/* -- the state store -- */

static struct client *begin_long(struct world *world)
{
    struct client *client = world_greet(world);

    say(world, client,
        "MAIL FROM:<" LONG_SENDER ">\r\nRCPT TO:<info@own.test>\r\n"
        "RCPT TO:<postmaster>\r\nRCPT TO:<void@own.test>\r\nDATA\r\n",
        "250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 354");
    return client;
}

static void test_long_sender_is_stored_first(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.state.is_held = true;
    client = begin_long(&world);
    say(&world, client, "S: x\r\n\r\n.\r\nNOOP\r\n", "");
    CHECK_INT("not before it is safe", world.queue.submitted, 0);
    CHECK_INT("one for each that needs it", world.state.puts, 2);
    state_answer(&world.state);
    hear(&world, client, "stored", "250/2.0.0 250/2.0.0");
    CHECK_TEXT("stored", world.state.value, LONG_SENDER);
    CHECK_TRUE("as an SRS address", strstr(world.queue.deliveries, "x.test srs\n") != NULL);
    world_clear(&world);
}

static void test_long_sender_that_cannot_be_stored(void **state)
{
    static const enum state_status cases[] = {STATE_FULL, STATE_FAILED};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        world_init(&world);
        world.state.status = cases[i];
        client = begin_long(&world);
        say(&world, client, "S: x\r\n\r\n.\r\nNOOP\r\n", "451/4.3.0 250/2.0.0");
        CHECK_INT("not stored", world.queue.submitted, 0);
        world_clear(&world);
    }
}

static void test_client_gone_while_senders_are_stored(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.state.is_held = true;
    world.options.data_timeout_ms = 20;
    client = begin_long(&world);
    say(&world, client, "S: x\r\n\r\n.\r\n", "");
    hear(&world, client, "timeout", "451/4.3.0 end");
    world_quiet(&world, "timeout");
    state_answer(&world.state);
    CHECK_INT("nobody wants it", world.queue.submitted, 0);
    world_clear(&world);
}

/* The server ends while the store still works: its answer comes when nobody is there. */
static void test_end_while_senders_are_stored(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.state.is_held = true;
    client = begin_long(&world);
    say(&world, client, "S: x\r\n\r\n.\r\n", "");
    world_clear(&world);
}

static void make_token_address(struct world *world, char *out, size_t room, char *key)
{
    struct arena *arena = arena_new();
    struct smtp_mailbox sender, made;
    struct bytes token;

    assert_int_equal(smtp_mailbox_parse(BYTES(LONG_SENDER), false, false, arena, &sender),
                     SMTP_PATH_OK);
    srs_forward_stored(&world->srs, world->options.routes.srs_domain,
                       (uint32_t)(clock_unix_seconds() / 86400), &sender, arena, &made, &token);
    snprintf(out, room, BYTES_FMT "@" BYTES_FMT, BYTES_ARG(made.local), BYTES_ARG(made.domain));
    snprintf(key, 256, BYTES_FMT, BYTES_ARG(token));
    arena_free(&arena);
}

static void test_bounce_to_a_token(void **state)
{
    static const struct {
        const char *name;
        bool is_known;
        enum state_status status;
        const char *want;
    } cases[] = {
        {"known", true, STATE_OK, "250/2.1.5 452/4.5.3 354 250/2.0.0"},
        {"unknown", false, STATE_OK, "550/5.1.6 250/2.1.5 354 250/2.0.0"},
        {"store broken", true, STATE_FAILED, "451/4.3.0 250/2.1.5 354 250/2.0.0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        char address[512], text[1024];
        world_init(&world);
        make_token_address(&world, address, sizeof address, world.state.key);
        if (!cases[i].is_known) {
            world.state.key[0] = '\0';
        }
        strcpy(world.state.value, LONG_SENDER);
        world.state.status = cases[i].status;
        client = world_greet(&world);
        say(&world, client, "MAIL FROM:<>\r\n", "250/2.1.0");
        snprintf(text, sizeof text,
                 "RCPT TO:<%s>\r\nRCPT TO:<anna@own.test>\r\nDATA\r\n\r\n.\r\n", address);
        say_bytes(&world, client, cases[i].name, bytes_from_text(text), cases[i].want);
        CHECK_INT(cases[i].name, strstr(world.queue.deliveries, LONG_SENDER) != NULL,
                  cases[i].is_known && cases[i].status == STATE_OK);
        world_clear(&world);
    }
}

static void make_return_address(struct world *world, char *out, size_t room)
{
    struct arena *arena = arena_new();
    struct smtp_mailbox sender = {.local = BYTES("anna"), .domain = BYTES("sender.test")}, made;

    assert_int_equal(srs_forward(&world->srs, world->options.routes.srs_domain,
                                 (uint32_t)(clock_unix_seconds() / 86400), &sender, arena,
                                 &made),
                     SRS_OK);
    snprintf(out, room, BYTES_FMT "@" BYTES_FMT, BYTES_ARG(made.local), BYTES_ARG(made.domain));
    arena_free(&arena);
}

/* How often a return address may be used is asked when the message is whole, not before. */
static void test_uses_of_a_return_address(void **state)
{
    static const struct {
        const char *name;
        uint64_t rate, uses;
        const char *counted; /* the kind that has been counted so often: */
        uint64_t count;
        enum state_status status;
        unsigned want_counts;
        const char *want;
    } cases[] = {
        {"first", 2, 3, "hour ", 0, STATE_OK, 2, "354 250/2.0.0"},
        {"last of this hour", 2, 3, "hour ", 1, STATE_OK, 2, "354 250/2.0.0"},
        {"one too many", 2, 3, "hour ", 2, STATE_OK, 1, "354 450/4.7.1"},
        {"last of all", 2, 3, "uses ", 2, STATE_OK, 2, "354 250/2.0.0"},
        {"used up", 2, 3, "uses ", 3, STATE_OK, 2, "354 550/5.7.1"},
        {"nobody counts the hours", 0, 3, "uses ", 3, STATE_OK, 1, "354 550/5.7.1"},
        {"nobody counts at all", 0, 0, "uses ", 9, STATE_OK, 0, "354 250/2.0.0"},
        {"the store has failed", 2, 3, "hour ", 9, STATE_FAILED, 2, "354 250/2.0.0"},
        {"the store is full", 2, 3, "hour ", 9, STATE_FULL, 2, "354 250/2.0.0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        char address[512], text[1024];
        world_init(&world);
        world.options.return_rate = cases[i].rate;
        world.options.return_uses = cases[i].uses;
        world.state.status = cases[i].status;
        world.state.count = cases[i].count;
        strcpy(world.state.counted, cases[i].counted);
        make_return_address(&world, address, sizeof address);
        client = world_greet(&world);
        say(&world, client, "MAIL FROM:<>\r\n", "250/2.1.0");
        snprintf(text, sizeof text, "RCPT TO:<%s>\r\n", address);
        say_bytes(&world, client, cases[i].name, bytes_from_text(text), "250/2.1.5");
        CHECK_INT("asking is free", world.state.counts, 0);
        say_bytes(&world, client, cases[i].name, BYTES("DATA\r\n\r\n.\r\n"), cases[i].want);
        CHECK_INT(cases[i].name, world.state.counts, cases[i].want_counts);
        CHECK_INT(cases[i].name, world.queue.submitted,
                  strstr(cases[i].want, "250/2.0.0") != NULL);
        world_clear(&world);
    }
}

static void test_client_gone_while_a_use_is_counted(void **state)
{
    struct world world;
    struct client *client;
    char address[512], text[1024];

    (void)state;
    world_init(&world);
    world.options.return_rate = 1;
    world.state.is_held = true;
    make_return_address(&world, address, sizeof address);
    client = world_greet(&world);
    snprintf(text, sizeof text, "MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\n", address);
    say_bytes(&world, client, "up to the content", bytes_from_text(text),
              "250/2.1.0 250/2.1.5 354");
    say(&world, client, "\r\n.\r\n", "");
    world_clear(&world);
}

static void test_client_gone_while_a_token_is_looked_up(void **state)
{
    struct world world;
    struct client *client;
    char address[512], text[1024];

    (void)state;
    world_init(&world);
    world.state.is_held = true;
    world.options.data_timeout_ms = 30;
    make_token_address(&world, address, sizeof address, world.state.key);
    client = world_greet(&world);
    snprintf(text, sizeof text, "MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\n", address);
    say_bytes(&world, client, "token", bytes_from_text(text), "250/2.1.0");
    hear(&world, client, "timeout", "451/4.3.0 end");
    world_quiet(&world, "timeout");
    state_answer(&world.state);
    world_clear(&world);
}

/* -- deadlines -- */

static void test_silent_client(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        const char *want;
    } cases[] = {
        {"from the start", "", "220 421/4.4.2 end"},
        {"after a command", "EHLO c\r\n", "220 250 421/4.4.2 end"},
        {"inside a command", "EHLO c\r\nMAIL FR", "220 250 421/4.4.2 end"},
        {"inside an endless line", NULL, "220 500/5.5.2 421/4.4.2 end"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        char text[3000];
        world_init(&world);
        world.options.command_timeout_ms = 30;
        client = world_connect(&world);
        memset(text, 'x', sizeof text);
        client_send(&world, client,
                    cases[i].text == NULL ? bytes_of(text, sizeof text)
                                          : bytes_from_text(cases[i].text));
        hear(&world, client, cases[i].name, cases[i].want);
        world_quiet(&world, cases[i].name);
        world_clear(&world);
    }
}

/* An octet now and then is no progress: a command has one deadline, however it comes. */
static void test_octet_by_octet(void **state)
{
    struct world world;
    struct client *client;
    uint64_t started_ms;

    (void)state;
    world_init(&world);
    world.options.command_timeout_ms = 60;
    client = world_greet(&world);
    started_ms = clock_now_ms();
    while (inbound_session_count(world.server) > 0 && clock_now_ms() < started_ms + 2000) {
        send(client->fd, "N", 1, MSG_NOSIGNAL);
        run_for(world.loop, 5);
    }
    hear(&world, client, "slowly", "421/4.4.2 end");
    CHECK_TRUE("in time", clock_now_ms() < started_ms + 500);
    world_clear(&world);
}

static struct client *begin_content(struct world *world)
{
    struct client *client = world_greet(world);

    say(world, client, "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\nDATA\r\n",
        MESSAGE_WANT);
    return client;
}

/* What it sent quickly before does not pay for silence later. */
static void test_silence_inside_a_message(void **state)
{
    struct world world;
    struct client *client;
    uint64_t started_ms;
    char line[2048];

    (void)state;
    world_init(&world);
    world.options.data_timeout_ms = 50; /* shorter than that for commands: it counts at once */
    world.options.min_rate = 1;
    client = begin_content(&world);
    started_ms = clock_now_ms();
    memset(line, 'x', sizeof line);
    client_send(&world, client, bytes_of(line, sizeof line));
    hear(&world, client, "silence", "421/4.4.2 end");
    CHECK_TRUE("in time", clock_now_ms() < started_ms + 1000);
    world_clear(&world);
}

/* Never silent, and still too slow. */
static void test_message_too_slow(void **state)
{
    struct world world;
    struct client *client;
    uint64_t started_ms;

    (void)state;
    world_init(&world);
    world.options.data_timeout_ms = 60;
    world.options.min_rate = 1000000;
    client = begin_content(&world);
    started_ms = clock_now_ms();
    while (inbound_session_count(world.server) > 0 && clock_now_ms() < started_ms + 2000) {
        send(client->fd, "x", 1, MSG_NOSIGNAL);
        run_for(world.loop, 5);
    }
    hear(&world, client, "slowly", "421/4.4.2 end");
    CHECK_TRUE("in time", clock_now_ms() < started_ms + 500);
    world_clear(&world);
}

/* Without a least rate only silence ends it. */
static void test_slow_message_without_least_rate(void **state)
{
    struct world world;
    struct client *client;
    uint64_t started_ms;

    (void)state;
    world_init(&world);
    world.options.data_timeout_ms = 60;
    world.options.min_rate = 0;
    client = begin_content(&world);
    started_ms = clock_now_ms();
    while (clock_now_ms() < started_ms + 200) {
        assert_int_equal(send(client->fd, "x", 1, MSG_NOSIGNAL), 1);
        run_for(world.loop, 5);
    }
    say(&world, client, "\r\n.\r\n", "250/2.0.0");
    world_clear(&world);
}

/* What is over the size limit buys no time. */
static void test_excess_earns_no_time(void **state)
{
    struct world world;
    struct client *client;
    uint64_t started_ms;
    char line[100];

    (void)state;
    world_init(&world);
    world.options.message_size = 100;
    world.options.data_timeout_ms = 60;
    world.options.min_rate = 2000;
    client = begin_content(&world);
    memset(line, 'x', sizeof line);
    started_ms = clock_now_ms();
    for (unsigned i = 0; i < 3; i++) {
        client_send(&world, client, bytes_of(line, sizeof line));
    }
    while (inbound_session_count(world.server) > 0 && clock_now_ms() < started_ms + 2000) {
        send(client->fd, "x", 1, MSG_NOSIGNAL);
        run_for(world.loop, 15);
    }
    hear(&world, client, "excess", "421/4.4.2 end");
    CHECK_TRUE("in time", clock_now_ms() < started_ms + 150); /* 60 + 50, not 60 + 150 */
    world_clear(&world);
}

/* It sends commands and never reads: we stop reading them, and it does not live for ever. */
static void test_client_that_never_reads(void **state)
{
    struct world world;
    struct client *client;
    struct strbuf text;
    size_t sent = 0;

    (void)state;
    world_init(&world);
    world.options.recipients = 100000; /* no limit but the one tested */
    world.options.command_timeout_ms = 200;
    client = world_greet(&world);
    client->is_deaf = true;
    strbuf_init(&text, 1024 * 1024);
    for (unsigned i = 0; i < 150000; i++) {
        strbuf_add_text(&text, "HELP\r\n");
    }
    while (inbound_session_count(world.server) > 0) {
        struct bytes rest = bytes_skip(strbuf_bytes(&text), sent);
        ssize_t some = send(client->fd, rest.data, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += some > 0 ? (size_t)some : 0;
        run_for(world.loop, 2);
    }
    CHECK_TRUE("most was never taken", sent < 600000);
    world_quiet(&world, "deaf");
    strbuf_clear(&text);
    world_clear(&world);
}

/* -- drain and configuration -- */

static void note_idle(void *context)
{
    struct world *world = context;

    world->idle++;
}

static bool is_idle(void *context)
{
    struct world *world = context;

    return world->idle > 0;
}

static void test_drain_between_messages(void **state)
{
    struct world world;
    struct client *silent, *greeted, *late;

    (void)state;
    world_init(&world);
    silent = world_connect(&world);
    hear(&world, silent, "banner", "220");
    greeted = world_greet(&world);
    say(&world, greeted, "MAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n",
        "250/2.1.0 250/2.1.5");
    inbound_drain(world.server, note_idle, &world);
    hear(&world, silent, "drain", "421/4.3.2 end");
    hear(&world, greeted, "drain", "421/4.3.2 end");
    CHECK_TRUE("idle", turn_until(world.loop, is_idle, &world));
    late = world_connect(&world);
    hear(&world, late, "late", "421/4.3.2 end");
    some_turns(&world, 5);
    CHECK_INT("told once", world.idle, 1);
    world_clear(&world);
}

static void test_drain_with_nobody_there(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    inbound_drain(world.server, note_idle, &world);
    CHECK_INT("not from inside", world.idle, 0);
    CHECK_TRUE("idle", turn_until(world.loop, is_idle, &world));
    world_clear(&world);
}

/* What is open is finished; then it is over, whatever has come behind it. */
static void test_drain_inside_a_message(void **state)
{
    struct world world;
    struct client *sending, *waiting;

    (void)state;
    world_init(&world);
    world.queue.is_held = true;
    sending = begin_content(&world);
    waiting = begin_content(&world);
    say(&world, waiting, "S: x\r\n\r\n.\r\n", "");
    inbound_drain(world.server, note_idle, &world);
    say(&world, waiting, "MAIL FROM:<t@far.test>\r\n", "");
    say(&world, sending, "S: y\r\n", "");
    answer_queue(&world.queue, QUEUE_SAFE);
    hear(&world, waiting, "waiting", "250/2.0.0 421/4.3.2 end");
    say(&world, sending, "\r\n.\r\nMAIL FROM:<t@far.test>\r\n", "");
    CHECK_INT("not yet", world.idle, 0);
    answer_queue(&world.queue, QUEUE_SAFE);
    hear(&world, sending, "sending", "250/2.0.0 421/4.3.2 end");
    CHECK_TRUE("idle", turn_until(world.loop, is_idle, &world));
    CHECK_INT("both were taken", world.queue.submitted, 2);
    world_clear(&world);
}

static void test_drain_while_a_token_is_looked_up(void **state)
{
    struct world world;
    struct client *client;
    char address[512], text[1024];

    (void)state;
    world_init(&world);
    world.state.is_held = true;
    make_token_address(&world, address, sizeof address, world.state.key);
    strcpy(world.state.value, LONG_SENDER);
    client = world_greet(&world);
    snprintf(text, sizeof text, "MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\n", address);
    say_bytes(&world, client, "token", bytes_from_text(text), "250/2.1.0");
    inbound_drain(world.server, note_idle, &world);
    some_turns(&world, 2);
    state_answer(&world.state);
    hear(&world, client, "token", "250/2.1.5 421/4.3.2 end");
    CHECK_TRUE("idle", turn_until(world.loop, is_idle, &world));
    world_clear(&world);
}

/* A message is judged by the configuration it began with, the next one by the new one. */
static void test_new_configuration_during_a_session(void **state)
{
    struct world world;
    struct client *client;
    struct inbound_options before;
    static struct inbound_options after;
    struct shared snapshot;

    (void)state;
    world_init(&world);
    shared_init(&snapshot, keep_snapshot);
    before = world.options;
    client = begin_content(&world);
    after = before;
    after.snapshot = &snapshot;
    after.recipients = 1;
    inbound_server_set_options(world.server, &after);
    CHECK_INT("the session holds the old one", atomic_load(&world.snapshot.holders), 2);
    say(&world, client,
        "S: x\r\n\r\n.\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<info@own.test>\r\n"
        "RCPT TO:<anna@own.test>\r\n",
        "250/2.0.0 250/2.1.0 250/2.1.5 452/4.5.3");
    CHECK_INT("nobody holds the old one", atomic_load(&world.snapshot.holders), 1);
    CHECK_INT("test, server and session", atomic_load(&snapshot.holders), 3);
    world_clear(&world);
    CHECK_INT("nobody holds the new one", atomic_load(&snapshot.holders), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_while_the_queue_works),
        cmocka_unit_test(test_reply_to_a_client_that_closed_its_side),
        cmocka_unit_test(test_whole_session_at_once),
        cmocka_unit_test(test_client_gone_while_the_queue_works),
        cmocka_unit_test(test_queue_that_never_answers),
        cmocka_unit_test(test_long_sender_is_stored_first),
        cmocka_unit_test(test_long_sender_that_cannot_be_stored),
        cmocka_unit_test(test_client_gone_while_senders_are_stored),
        cmocka_unit_test(test_end_while_senders_are_stored),
        cmocka_unit_test(test_bounce_to_a_token),
        cmocka_unit_test(test_uses_of_a_return_address),
        cmocka_unit_test(test_client_gone_while_a_use_is_counted),
        cmocka_unit_test(test_client_gone_while_a_token_is_looked_up),
        cmocka_unit_test(test_silent_client),
        cmocka_unit_test(test_octet_by_octet),
        cmocka_unit_test(test_silence_inside_a_message),
        cmocka_unit_test(test_message_too_slow),
        cmocka_unit_test(test_slow_message_without_least_rate),
        cmocka_unit_test(test_excess_earns_no_time),
        cmocka_unit_test(test_client_that_never_reads),
        cmocka_unit_test(test_drain_between_messages),
        cmocka_unit_test(test_drain_with_nobody_there),
        cmocka_unit_test(test_drain_inside_a_message),
        cmocka_unit_test(test_drain_while_a_token_is_looked_up),
        cmocka_unit_test(test_new_configuration_during_a_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
