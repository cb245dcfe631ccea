/* Memory in all: what sessions hold is counted, and nothing begins when there is too much; nor does one
 * client keep the loop to itself. */
#include "inbound_world.h"

#include "io/memory_use.h"

#include <sys/ioctl.h>

#define MAIL "MAIL FROM:<s@far.test>\r\n"
#define RCPT "RCPT TO:<info@own.test>\r\n"
#define BODY "S: x\r\n\r\n.\r\n"

static void set_short(bool is_short)
{
    memory_use_set_limit(is_short ? 0 : SIZE_MAX);
}

static void test_nothing_begins(void **state)
{
    static const struct {
        const char *name;
        const char *before; /* while there is memory */
        const char *before_want;
        const char *text; /* when there is none */
        const char *want;
    } cases[] = {
        {"MAIL", "", "", MAIL RCPT "DATA\r\n", "452/4.3.1 503/5.5.1 503/5.5.1"},
        {"RCPT", MAIL, "250/2.1.0", RCPT "DATA\r\n", "452/4.3.1 554/5.5.1"},
        {"one RCPT more", MAIL RCPT, "250/2.1.0 250/2.1.5", RCPT, "452/4.3.1"},
        {"DATA", MAIL RCPT, "250/2.1.0 250/2.1.5", "DATA\r\n", "452/4.3.1"},
        {"chunks", MAIL RCPT, "250/2.1.0 250/2.1.5", "BDAT 3\r\nS: BDAT 5 LAST\r\nx\r\n\r\n",
         "452/4.3.1 503/5.5.1"},
        {"the last chunk", MAIL RCPT, "250/2.1.0 250/2.1.5", "BDAT 8 LAST\r\nS: x\r\n\r\n",
         "452/4.3.1"},
        {"what came before goes on", MAIL RCPT "DATA\r\n", "250/2.1.0 250/2.1.5 354", BODY,
         "250/2.0.0"},
        {"and nothing else is refused", "", "", "NOOP\r\nRSET\r\nEHLO b\r\n",
         "250/2.0.0 250/2.0.0 250"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct client *client;
        size_t before = memory_use_now();

        world_init(&world);
        client = world_greet(&world);
        say(&world, client, cases[i].before, cases[i].before_want);
        set_short(true);
        say_bytes(&world, client, cases[i].name, bytes_from_text(cases[i].text), cases[i].want);
        set_short(false);
        say(&world, client, "RSET\r\n" MAIL RCPT "DATA\r\n" BODY,
            "250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0");
        world_clear(&world);
        CHECK_INT(cases[i].name, memory_use_now(), before);
    }
}

static void say_much(struct world *world, struct client *client, const char *line, size_t size)
{
    struct strbuf text;

    strbuf_init(&text, size + 100);
    while (text.len < size) {
        strbuf_add_text(&text, line);
    }
    client_send(world, client, strbuf_bytes(&text));
    strbuf_clear(&text);
}

/* Ten thousand headers of 256 KiB would be 2.5 GiB. */
static void test_long_header_is_given_up(void **state)
{
    struct world world;
    struct client *client;

    (void)state;
    world_init(&world);
    world.options.header_size = 200 * 1024;
    world.options.message_size = 1024 * 1024;
    client = world_greet(&world);
    say(&world, client, MAIL RCPT "DATA\r\n", "250/2.1.0 250/2.1.5 354");
    say_much(&world, client, "X-Field: some text of it\r\n", 100 * 1024);
    CHECK_TRUE("it is counted", memory_use_now() > 100 * 1024);
    set_short(true);
    say_much(&world, client, "X-Field: some text of it\r\n", 1024);
    some_turns(&world, 2);
    CHECK_TRUE("it is given up", memory_use_now() < 64 * 1024);
    set_short(false);
    say(&world, client, "\r\n.\r\n", "452/4.3.1");
    say(&world, client, MAIL, "250/2.1.0");
    world_clear(&world);
}

static void test_routes_are_counted(void **state)
{
    struct world world;
    struct client *client;
    size_t before;

    (void)state;
    world_init(&world);
    world.options.recipients = 2000;
    client = world_greet(&world);
    before = memory_use_now();
    say(&world, client, MAIL, "250/2.1.0");
    client_send(&world, client, BYTES("NOOP\r\n"));
    client->told = 0;
    for (unsigned i = 0; i < 500; i++) {
        client_send(&world, client, BYTES(RCPT));
        listen_to(client);
    }
    some_turns(&world, 20);
    CHECK_TRUE("five hundred routes", memory_use_now() - before > 100 * 1000);
    client_send(&world, client, BYTES("RSET\r\n"));
    some_turns(&world, 20);
    CHECK_TRUE("are forgotten", memory_use_now() - before < 2048);
    client_reset(client);
    world_quiet(&world, "routes");
    world_clear(&world);
}

/* Others have their answer before a client that never stops sending has had much more than one read. */
static void test_a_stream_of_content_starves_nobody(void **state)
{
    static const char *const phases[] = {"DATA\r\nS: x\r\n\r\n",
                                         "BDAT 10000000\r\nS: x\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(phases); i++) {
        struct world world;
        struct client *loud, *quiet;
        const int size = 4 * 1024 * 1024;
        char *text = memory_alloc((size_t)size);
        ssize_t sent;
        int waits_before, waits;

        world_init(&world);
        world.options.message_size = 64 * 1024 * 1024;
        loud = world_greet(&world);
        quiet = world_greet(&world);
        setsockopt(loud->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
        setsockopt(loud->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        client_send(&world, loud, BYTES(MAIL RCPT));
        client_send(&world, loud, bytes_from_text(phases[i]));
        some_turns(&world, 3);
        memset(text, 'x', (size_t)size);
        sent = send(loud->fd, text, (size_t)size, MSG_DONTWAIT);
        assert_true(sent > 0);
        assert_int_equal(ioctl(loud->fd, TIOCOUTQ, &waits_before), 0);
        assert_true(waits_before > 3 * STREAM_INPUT_LIMIT);
        assert_int_equal(send(quiet->fd, "NOOP\r\n", 6, 0), 6);
        some_turns(&world, 1);
        assert_int_equal(ioctl(loud->fd, TIOCOUTQ, &waits), 0);
        /* The kernel counts what a buffer takes, not only what is in it. */
        CHECK_TRUE("so much a turn", waits > waits_before - 4 * STREAM_INPUT_LIMIT);
        hear(&world, quiet, "others", "250/2.0.0");
        free(text);
        world_clear(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_begins),
        cmocka_unit_test(test_long_header_is_given_up),
        cmocka_unit_test(test_routes_are_counted),
        cmocka_unit_test(test_a_stream_of_content_starves_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
