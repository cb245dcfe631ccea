/*
 * Slow clients in every phase of a session (slowloris), in virtual time: each is cut off when its time is
 * up, whatever it trickles in or does not read, and meanwhile others are served at once.
 *
 * Half a handshake of TLS is in tests/e2e/test_slow_clients.py: the simulated world has no TLS.
 */
#include "support/check.h"

#include "support/io_sim/sim_daemon.h"
#include "support/io_sim/sim_peers.h"
#include "support/io_sim/sim_world.h"

#include "io/stream.h"

#include <stdlib.h>

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    COMMAND_MS = 5 * MINUTE_MS, /* as in sim_daemon.c */
    DATA_MS = 10 * MINUTE_MS,
    WAIT_MS = 15 * SECOND_MS,
    FINISH_MS = 65 * SECOND_MS, /* what a last reply that nobody reads may take */
    SLACK_MS = 10 * SECOND_MS,
    CROWD = 50,
};

#define ENVELOPE                                                                               \
    "EHLO slow.example\r\nMAIL FROM:<s@sender.example>\r\nRCPT TO:<info@fwd.example>\r\n"

struct slow_case {
    const char *name;
    const char *first; /* said at once */
    const char *drip;  /* said again and again; NULL: silence */
    uint64_t pace_ms;
    bool is_deaf;         /* reads nothing */
    uint64_t cut_ms;      /* it is gone by then ... */
    const char *farewell; /* ... having been told this; NULL: nothing it would read */
};

static const struct slow_case CASES[] = {
    {"silence after the banner", "", NULL, 0, false, COMMAND_MS, "421 4.4.2"},
    {"silence after a greeting", "EHLO a.example\r\n", NULL, 0, false, COMMAND_MS, "421 4.4.2"},
    {"half a command", "EHLO a.example\r\nMAIL FR", NULL, 0, false, COMMAND_MS, "421 4.4.2"},
    {"a command, an octet a second", "NOOP ", "x", SECOND_MS, false, COMMAND_MS, "421 4.4.2"},
    /* It is told once that its line is too long, and has the time of one command more. */
    {"a line without an end", "NOOP ", "xxxxxxxxxx", SECOND_MS, false, 2 * COMMAND_MS,
     "421 4.4.2"},
    {"silence after MAIL", "HELO a.example\r\nMAIL FROM:<s@sender.example>\r\n", NULL, 0, false,
     COMMAND_MS, "421 4.4.2"},
    {"silence after DATA", ENVELOPE "DATA\r\n", NULL, 0, false, DATA_MS, "421 4.4.2"},
    {"a header, an octet a second", ENVELOPE "DATA\r\nSubject: ", "x", SECOND_MS, false,
     DATA_MS + MINUTE_MS, "421 4.4.2"},
    {"a body, an octet a second", ENVELOPE "DATA\r\nSubject: x\r\n\r\n", "x", SECOND_MS, false,
     DATA_MS + MINUTE_MS, "421 4.4.2"},
    {"a body, a line now and then", ENVELOPE "DATA\r\nSubject: x\r\n\r\n", "a line of it\r\n",
     30 * SECOND_MS, false, DATA_MS + MINUTE_MS, "421 4.4.2"},
    {"half a dot", ENVELOPE "DATA\r\nSubject: x\r\n\r\n.", NULL, 0, false, DATA_MS,
     "421 4.4.2"},
    {"a chunk, an octet a second", ENVELOPE "BDAT 100000 LAST\r\n", "x", SECOND_MS, false,
     DATA_MS + MINUTE_MS, "421 4.4.2"},
    {"a chunk that is refused, an octet a second", "EHLO a.example\r\nBDAT 100000\r\n", "x",
     SECOND_MS, false, DATA_MS + MINUTE_MS, "421 4.4.2"},
    {"silence between chunks", ENVELOPE "BDAT 3\r\nS: ", NULL, 0, false, DATA_MS, "421 4.4.2"},
    {"silence after the dot", ENVELOPE "DATA\r\nSubject: slow\r\n\r\n.\r\n", NULL, 0, false,
     COMMAND_MS + MINUTE_MS, "421 4.4.2"},
    {"replies that are not read", "", "EHLO a.example\r\nEHLO b.example\r\n", 10, true,
     COMMAND_MS + FINISH_MS, NULL},
    {"silence, and nothing is read", "EHLO a.example\r\n", NULL, 0, true,
     COMMAND_MS + FINISH_MS, NULL},
};

struct slow_client {
    const struct slow_case *is;
    struct stream *stream; /* NULL: it has heard that it is cut off */
    struct loop_timer *timer;
    struct strbuf heard;
};

static void on_connected(void *context)
{
    struct slow_client *client = context;

    stream_write(client->stream, bytes_from_text(client->is->first));
    loop_timer_set(client->timer, client->is->pace_ms);
}

static void on_input(void *context)
{
    struct slow_client *client = context;

    if (!client->is->is_deaf) {
        strbuf_add(&client->heard, stream_input(client->stream));
        stream_consume(client->stream, stream_input(client->stream).len);
    }
}

static void on_end(void *context, enum stream_end end)
{
    struct slow_client *client = context;

    (void)end;
    stream_close(&client->stream);
}

static void drip(void *context)
{
    struct slow_client *client = context;

    if (client->is->drip != NULL && client->stream != NULL) {
        stream_write(client->stream, bytes_from_text(client->is->drip));
        loop_timer_set(client->timer, client->is->pace_ms);
    }
}

static void start_client(struct slow_client *client, const struct slow_case *is)
{
    static const struct stream_callbacks CALLBACKS = {on_connected, on_input, NULL, on_end};
    struct ip_endpoint to;

    *client = (struct slow_client){.is = is};
    strbuf_init(&client->heard, SIZE_MAX / 2);
    client->timer = loop_timer_new(sim_peer_loop(), drip, client);
    assert_true(ip_endpoint_parse(BYTES(SIM_DAEMON_ADDRESS), 0, &to));
    client->stream =
        stream_connect(sim_peer_loop(), &to, NULL, 30 * SECOND_MS, &CALLBACKS, client);
}

/* Somebody else's mail goes through at once. */
static void check_others(const struct slow_case *is, struct sim_hop *hop)
{
    struct sim_letter letter = {.sender = "carol@sender.example",
                                .recipients = {"info@fwd.example"},
                                .content = BYTES("Subject: quick\r\n\r\nbody\r\n")};
    uint64_t begun_ms = sim_world_now_ms();
    size_t before = sim_hop_count(hop, "Subject: quick");
    struct sim_client *client = sim_client_new(SIM_DAEMON_ADDRESS, &letter, 1, false);

    CHECK_TRUE(is->name, sim_world_run(sim_client_is_done, client, MINUTE_MS));
    sim_client_free(&client);
    CHECK_INT(is->name, letter.code, 250);
    CHECK_TRUE(is->name, letter.answered_ms - begun_ms < 5 * SECOND_MS);
    CHECK_INT(is->name, sim_hop_count(hop, "Subject: quick"), before + 1);
}

struct scene {
    struct slow_client clients[CROWD];
    struct sim_daemon *daemon;
    struct sim_hop hop;
};

/* As the daemon sees it: who reads nothing does not hear of its end. */
static bool are_all_gone(void *context)
{
    (void)context;
    return sim_network_open_count() == 0;
}

static void begin(struct scene *scene, uint64_t seed)
{
    struct sim_daemon_options options = sim_daemon_defaults();
    enum spool_status status;

    options.handoff_ms = WAIT_MS;
    sim_world_new(seed);
    sim_dns_add_mx("next.example", 10, "mx.next.example");
    sim_dns_add_address("mx.next.example", "203.0.113.10");
    sim_hop_open(&scene->hop, "203.0.113.10:25");
    scene->daemon = sim_daemon_start(&options, &status);
    assert_non_null(scene->daemon);
}

static void end(struct scene *scene)
{
    CHECK_TRUE("comes to rest", sim_daemon_stop(&scene->daemon));
    sim_hop_close(&scene->hop);
    sim_world_free();
}

static void check_client(struct slow_client *client)
{
    const struct slow_case *is = client->is;
    struct bytes heard = strbuf_bytes(&client->heard);

    if (is->farewell != NULL) {
        CHECK_TRUE(is->name, bytes_find_part(heard, bytes_from_text(is->farewell)) < heard.len);
    }
    stream_close(&client->stream);
    loop_timer_free(&client->timer);
    strbuf_clear(&client->heard);
}

static void check_case(const struct slow_case *is, uint64_t seed)
{
    struct scene scene;
    uint64_t begun_ms;

    begin(&scene, seed);
    begun_ms = sim_world_now_ms();
    for (size_t c = 0; c < CROWD; c++) {
        start_client(&scene.clients[c], is);
    }
    assert_true(sim_world_pass(MINUTE_MS));
    check_others(is, &scene.hop);
    assert_true(sim_world_pass(begun_ms + COMMAND_MS - SECOND_MS - sim_world_now_ms()));
    /* Not before its time; but commands that bring nothing are counted, too. */
    CHECK_TRUE(is->name,
               sim_network_open_count() == CROWD || (is->is_deaf && is->drip != NULL));
    CHECK_TRUE(is->name, sim_world_run(are_all_gone, &scene, 30 * MINUTE_MS));
    CHECK_TRUE(is->name, sim_world_now_ms() - begun_ms <= is->cut_ms + SLACK_MS);
    for (size_t c = 0; c < CROWD; c++) {
        check_client(&scene.clients[c]);
    }
    end(&scene);
}

static void test_each_phase(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        check_case(&CASES[i], i + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_phase)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
