/*
 * One message through the whole house in virtual time: client, DNS, next hop, and the bounce back
 * to the one who wrote it. No time passes on the real clock.
 */
#include "support/check.h"

#include "support/io_sim/sim_daemon.h"
#include "support/io_sim/sim_peers.h"
#include "support/io_sim/sim_world.h"

#include <stdlib.h>
#include <time.h>

enum { MINUTE_MS = 60 * 1000, WAIT_MS = 15 * 1000 };

static const char LETTER[] = "From: Carol <carol@sender.example>\r\n"
                             "To: info@fwd.example\r\n"
                             "Subject: a letter\r\n"
                             "Message-ID: <1@sender.example>\r\n"
                             "\r\n"
                             "First line.\r\n"
                             "..a line that began with a dot\r\n";

struct scene {
    struct sim_daemon *daemon;
    struct sim_hop hop, home; /* of the recipient, of the sender */
};

static void begin(struct scene *scene, uint64_t seed, uint64_t handoff_ms)
{
    struct sim_daemon_options options = sim_daemon_defaults();
    enum spool_status status;

    options.bounces = BOUNCE_ALL;
    options.handoff_ms = handoff_ms;
    sim_world_new(seed);
    sim_dns_add_mx("next.example", 10, "mx.next.example");
    sim_dns_add_address("mx.next.example", "203.0.113.10");
    sim_dns_add_mx("sender.example", 10, "mx.sender.example");
    sim_dns_add_address("mx.sender.example", "203.0.113.20");
    sim_hop_open(&scene->hop, "203.0.113.10:25");
    sim_hop_open(&scene->home, "203.0.113.20:25");
    scene->daemon = sim_daemon_start(&options, &status);
    CHECK_TRUE("started", scene->daemon != NULL);
}

static void end(struct scene *scene)
{
    CHECK_TRUE("comes to rest", sim_daemon_stop(&scene->daemon));
    sim_hop_close(&scene->hop);
    sim_hop_close(&scene->home);
    sim_world_free();
}

static void send_letter(struct scene *scene, struct sim_letter *letter, bool pipelined)
{
    struct sim_client *client = sim_client_new(SIM_DAEMON_ADDRESS, letter, 1, pipelined);

    CHECK_TRUE("client done", sim_world_run(sim_client_is_done, client, 10 * MINUTE_MS));
    sim_client_free(&client);
    CHECK_TRUE("all delivered",
               sim_world_run(sim_daemon_is_empty, scene->daemon, 10 * MINUTE_MS));
}

static bool contains(const struct strbuf *text, const char *part)
{
    return bytes_find_part(strbuf_bytes(text), bytes_from_text(part)) < text->len;
}

static void check_forward(struct scene *scene, const struct sim_letter *letter)
{
    struct sim_taken *taken = &scene->hop.taken[0];

    CHECK_INT(letter->reply, letter->code, 250);
    CHECK_INT("taken once", scene->hop.taken_count, 1);
    CHECK_TRUE("SRS sender", bytes_starts_with(strbuf_bytes(&taken->sender), BYTES("SRS0=")));
    CHECK_TRUE("of the sender",
               bytes_ends_with_nocase(strbuf_bytes(&taken->sender),
                                      BYTES("=sender.example=carol@srs.fwd.example")));
    CHECK_BYTES("recipient", strbuf_bytes(&taken->recipients), BYTES("anna@next.example"));
    CHECK_TRUE("Received", contains(&taken->content, "Received: from client.example"));
    CHECK_TRUE("unchanged", contains(&taken->content, "Message-ID: <1@sender.example>\r\n\r\n"
                                                      "First line.\r\n"
                                                      ".a line that began with a dot\r\n"));
}

static void forward_and_bounce(uint64_t seed, bool pipelined)
{
    struct scene scene;
    struct strbuf srs_sender;
    struct sim_letter letter = {.sender = "carol@sender.example",
                                .recipients = {"info@fwd.example"},
                                .content = bytes_of(LETTER, sizeof LETTER - 1)};
    struct sim_letter bounce = {
        .sender = "",
        .content = BYTES("From: <>\r\nSubject: it did not work\r\n\r\nThe bounce.\r\n")};

    begin(&scene, seed, seed % 3 == 0 ? 0 : WAIT_MS);
    send_letter(&scene, &letter, pipelined);
    check_forward(&scene, &letter);

    /* The next hop's own bounce, to the address it was given. */
    strbuf_init(&srs_sender, 1000);
    strbuf_add(&srs_sender, strbuf_bytes(&scene.hop.taken[0].sender));
    bounce.recipients[0] = strbuf_text(&srs_sender);
    send_letter(&scene, &bounce, pipelined);
    CHECK_INT(bounce.reply, bounce.code, 250);
    CHECK_INT("came home", scene.home.taken_count, 1);
    CHECK_BYTES("null stays null", strbuf_bytes(&scene.home.taken[0].sender), BYTES(""));
    CHECK_BYTES("to the original sender", strbuf_bytes(&scene.home.taken[0].recipients),
                BYTES("carol@sender.example"));
    CHECK_TRUE("its text", contains(&scene.home.taken[0].content, "\r\nThe bounce.\r\n"));
    strbuf_clear(&srs_sender);
    end(&scene);
}

static void test_forward_and_bounce(void **state)
{
    time_t begun = time(NULL);

    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        forward_and_bounce(seed, seed % 2 == 0);
    }
    CHECK_TRUE("no real time", time(NULL) - begun < 20);
}

/* A sender that does not fit into an SRS address is stored, and found again after a power cut. */
static void test_long_sender_comes_home(void **state)
{
    static const char SENDER[] =
        "a-very-long-list-name-bounces+and-a-token-0123456789abcdef@sender.example";

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_daemon_options options = sim_daemon_defaults();
        struct scene scene;
        enum spool_status status;
        struct strbuf srs_sender;
        struct sim_letter letter = {.sender = SENDER,
                                    .recipients = {"info@fwd.example"},
                                    .content = bytes_of(LETTER, sizeof LETTER - 1)};
        struct sim_letter bounce = {.sender = "", .content = BYTES("\r\nThe bounce.\r\n")};

        begin(&scene, seed, 0);
        send_letter(&scene, &letter, false);
        CHECK_INT(letter.reply, letter.code, 250);
        strbuf_init(&srs_sender, 1000);
        strbuf_add(&srs_sender, strbuf_bytes(&scene.hop.taken[0].sender));
        CHECK_TRUE("short", bytes_find(strbuf_bytes(&srs_sender), '@') <= 64);
        sim_power_cut();
        sim_daemon_crash(&scene.daemon);
        scene.daemon = sim_daemon_start(&options, &status);
        bounce.recipients[0] = strbuf_text(&srs_sender);
        send_letter(&scene, &bounce, false);
        CHECK_INT(bounce.reply, bounce.code, 250);
        CHECK_BYTES("home", strbuf_bytes(&scene.home.taken[0].recipients),
                    bytes_from_text(SENDER));
        strbuf_clear(&srs_sender);
        end(&scene);
    }
}

static const char *refuse_recipient(void *context, enum sim_stage stage, struct bytes argument)
{
    (void)context, (void)argument;
    return stage == SIM_STAGE_RCPT ? "550 5.1.1 no such user\r\n" : NULL;
}

/* Our own bounce: the next hop refuses for good after we have said 250. */
static void test_refused_later(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct scene scene;
        struct sim_letter letter = {.sender = "carol@sender.example",
                                    .recipients = {"info@fwd.example"},
                                    .content = bytes_of(LETTER, sizeof LETTER - 1)};

        begin(&scene, seed, 0);
        scene.hop.answer = refuse_recipient;
        send_letter(&scene, &letter, false);
        CHECK_INT(letter.reply, letter.code, 250);
        CHECK_INT("not taken", scene.hop.taken_count, 0);
        CHECK_INT("one bounce", scene.home.taken_count, 1);
        CHECK_BYTES("from nobody", strbuf_bytes(&scene.home.taken[0].sender), BYTES(""));
        CHECK_TRUE("a report", contains(&scene.home.taken[0].content,
                                        "Content-Type: message/delivery-status"));
        CHECK_TRUE("of what we refused", contains(&scene.home.taken[0].content, "5.1.1"));
        end(&scene);
    }
}

/* The client waits while the next hop is asked, and is told itself. */
static void test_refused_in_the_session(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct scene scene;
        struct sim_letter letter = {.sender = "carol@sender.example",
                                    .recipients = {"info@fwd.example"},
                                    .content = bytes_of(LETTER, sizeof LETTER - 1)};

        begin(&scene, seed, WAIT_MS);
        scene.hop.answer = refuse_recipient;
        send_letter(&scene, &letter, false);
        CHECK_INT(letter.reply, letter.code, 550);
        CHECK_INT("not taken", scene.hop.taken_count, 0);
        CHECK_INT("no bounce", scene.home.taken_count, 0);
        end(&scene);
    }
}

/* The same seed is the same world, octet by octet. */
static void test_same_seed_same_log(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct strbuf logs[2];

        for (int run = 0; run < 2; run++) {
            struct scene scene;
            struct sim_letter letter = {.sender = "carol@sender.example",
                                        .recipients = {"both@fwd.example"},
                                        .content = bytes_of(LETTER, sizeof LETTER - 1)};

            begin(&scene, seed, 0);
            send_letter(&scene, &letter, true);
            strbuf_init(&logs[run], SIZE_MAX / 2);
            strbuf_add(&logs[run], sim_world_log());
            strbuf_addf(&logs[run], "%llu events", (unsigned long long)sim_world_events());
            end(&scene);
        }
        CHECK_TRUE("something was logged", logs[0].len > 500);
        CHECK_BYTES("log", strbuf_bytes(&logs[1]), strbuf_bytes(&logs[0]));
        strbuf_clear(&logs[0]);
        strbuf_clear(&logs[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_and_bounce),
        cmocka_unit_test(test_long_sender_comes_home),
        cmocka_unit_test(test_refused_later),
        cmocka_unit_test(test_refused_in_the_session),
        cmocka_unit_test(test_same_seed_same_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
