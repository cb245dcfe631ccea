/*
 * Days of queue life: next hops that are down, that defer, that never come back. All of it in
 * virtual time.
 */
#include "support/check.h"

#include "support/io_sim/sim_daemon.h"
#include "support/io_sim/sim_peers.h"
#include "support/io_sim/sim_world.h"

#include <stdlib.h>
#include <time.h>

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS };

struct scene {
    struct sim_daemon *daemon;
    struct sim_hop hop, home;
    struct sim_letter letter;
    unsigned deferrals; /* transactions that the hop answers 4xx */
};

static void begin(struct scene *scene, uint64_t seed, const char *sender)
{
    struct sim_daemon_options options = sim_daemon_defaults();
    enum spool_status status;

    sim_world_new(seed);
    *scene =
        (struct scene){.letter = {.sender = sender,
                                  .recipients = {"info@fwd.example"},
                                  .content = BYTES("Subject: a letter\r\n\r\nIts text.\r\n")}};
    sim_dns_add_mx("next.example", 10, "mx.next.example");
    sim_dns_add_address("mx.next.example", "203.0.113.10");
    sim_dns_add_address("sender.example", "203.0.113.20");
    sim_hop_open(&scene->hop, "203.0.113.10:25");
    sim_hop_open(&scene->home, "203.0.113.20:25");
    scene->hop.context = scene;
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

static void send_letter(struct scene *scene)
{
    struct sim_client *client = sim_client_new(SIM_DAEMON_ADDRESS, &scene->letter, 1, true);

    CHECK_TRUE("client done", sim_world_run(sim_client_is_done, client, 10 * MINUTE_MS));
    CHECK_INT(scene->letter.reply, scene->letter.code, 250);
    sim_client_free(&client);
}

/* When the spool is empty, in virtual hours since the beginning. */
static double finish(struct scene *scene)
{
    CHECK_TRUE("comes to an end",
               sim_world_run(sim_daemon_is_empty, scene->daemon, 10 * (uint64_t)DAY_MS));
    return (double)sim_world_now_ms() / HOUR_MS;
}

/* ---- ways to be down ---- */

enum way { WAY_REFUSED, WAY_SILENT, WAY_UNREACHABLE, WAY_DNS, WAY_BANNER, WAY_MUTE, WAYS };

static const char *const WAY_NAMES[WAYS] = {"refused", "silent", "unreachable",
                                            "DNS",     "banner", "mute"};

static const char *say_not_now(void *context, enum sim_stage stage, struct bytes argument)
{
    (void)context, (void)argument;
    return stage == SIM_STAGE_BANNER ? "!421 4.3.2 not now\r\n" : NULL;
}

static const char *say_nothing(void *context, enum sim_stage stage, struct bytes argument)
{
    (void)context, (void)argument;
    return stage == SIM_STAGE_BANNER ? "-" : NULL;
}

static void set_down(struct scene *scene, enum way way, bool is_down)
{
    static const enum sim_reach REACHES[WAYS] = {
        [WAY_SILENT] = SIM_SILENT, [WAY_UNREACHABLE] = SIM_UNREACHABLE};

    switch (way) {
    case WAY_REFUSED:
        sim_hop_listen(&scene->hop, !is_down);
        break;
    case WAY_SILENT:
    case WAY_UNREACHABLE:
        sim_network_set_reach("203.0.113.10", is_down ? REACHES[way] : SIM_REACHED);
        break;
    case WAY_DNS:
        sim_dns_set_failing(is_down);
        break;
    case WAY_BANNER:
        scene->hop.answer = is_down ? say_not_now : NULL;
        break;
    case WAY_MUTE:
        scene->hop.answer = is_down ? say_nothing : NULL;
        break;
    case WAYS:
        abort();
    }
}

static void test_down_for_three_hours(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct scene scene;
            double hours;

            begin(&scene, seed, "carol@sender.example");
            set_down(&scene, way, true);
            send_letter(&scene);
            sim_world_pass(3 * HOUR_MS);
            CHECK_INT(WAY_NAMES[way], scene.hop.taken_count, 0);
            CHECK_TRUE(WAY_NAMES[way], sim_log_count("event=deferred") >= 4);
            set_down(&scene, way, false);
            hours = finish(&scene);
            CHECK_INT(WAY_NAMES[way], scene.hop.taken_count, 1);
            CHECK_INT(WAY_NAMES[way], scene.home.taken_count, 0);
            /* The pause that runs when it comes up again is two hours at most, and some. */
            CHECK_TRUE(WAY_NAMES[way], hours > 3 && hours < 5.6);
            end(&scene);
        }
    }
}

static void test_down_for_good(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            struct scene scene;
            struct bytes report;
            double hours;

            if (way == WAY_DNS) {
                continue; /* the bounce could not go out either */
            }
            begin(&scene, seed, "carol@sender.example");
            set_down(&scene, way, true);
            send_letter(&scene);
            hours = finish(&scene);
            CHECK_TRUE(WAY_NAMES[way], hours > 40 && hours < 49);
            CHECK_INT(WAY_NAMES[way], scene.hop.taken_count, 0);
            CHECK_INT(WAY_NAMES[way], scene.home.taken_count, 1);
            CHECK_BYTES(WAY_NAMES[way], strbuf_bytes(&scene.home.taken[0].sender), BYTES(""));
            CHECK_BYTES(WAY_NAMES[way], strbuf_bytes(&scene.home.taken[0].recipients),
                        BYTES("carol@sender.example"));
            report = strbuf_bytes(&scene.home.taken[0].content);
            CHECK_TRUE(WAY_NAMES[way],
                       bytes_find_part(report, BYTES("Action: failed")) < report.len);
            CHECK_TRUE(WAY_NAMES[way],
                       bytes_find_part(report, BYTES("\nStatus: 4.")) < report.len);
            end(&scene);
        }
    }
}

/* Nobody is told when a bounce cannot be delivered: it ends with its time. */
static void test_nothing_ever_works(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, 3, "carol@sender.example");
    set_down(&scene, WAY_DNS, true);
    send_letter(&scene);
    CHECK_TRUE("four days", finish(&scene) < 4 * 24 + 2);
    CHECK_INT("bounce", scene.home.taken_count, 0);
    end(&scene);
}

static void test_no_bounce_for_the_null_sender(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, 4, "");
    set_down(&scene, WAY_REFUSED, true);
    send_letter(&scene);
    CHECK_TRUE("two days", finish(&scene) < 49);
    CHECK_INT("bounce", scene.home.taken_count, 0);
    end(&scene);
}

static const char *defer_at_first(void *context, enum sim_stage stage, struct bytes argument)
{
    static const enum sim_stage STAGES[] = {SIM_STAGE_MAIL, SIM_STAGE_RCPT, SIM_STAGE_DATA,
                                            SIM_STAGE_DOT};
    struct scene *scene = context;

    (void)argument;
    if (scene->hop.transactions <= scene->deferrals &&
        stage == STAGES[scene->hop.transactions % COUNT_OF(STAGES)]) {
        return "450 4.2.0 greylisted, come back\r\n";
    }
    return NULL;
}

static void test_deferred_then_taken(void **state)
{
    (void)state;
    for (unsigned deferrals = 1; deferrals <= 12; deferrals++) {
        struct scene scene;

        begin(&scene, deferrals, "carol@sender.example");
        scene.deferrals = deferrals;
        scene.hop.answer = defer_at_first;
        send_letter(&scene);
        CHECK_TRUE("in time", finish(&scene) < 48);
        CHECK_INT("taken", scene.hop.taken_count, 1);
        CHECK_INT("bounce", scene.home.taken_count, 0);
        CHECK_INT("deferrals", sim_log_count("event=deferred"), deferrals);
        end(&scene);
    }
}

/* A daemon that is stopped and started finds its retries where they were. */
static void test_restarts_between_retries(void **state)
{
    struct sim_daemon_options options = sim_daemon_defaults();
    enum spool_status status;
    struct scene scene;

    (void)state;
    begin(&scene, 5, "carol@sender.example");
    set_down(&scene, WAY_REFUSED, true);
    send_letter(&scene);
    for (int i = 0; i < 20; i++) {
        sim_world_pass((uint64_t)20 * MINUTE_MS);
        CHECK_TRUE("rest", sim_daemon_stop(&scene.daemon));
        sim_world_pass((uint64_t)sim_random(30) * MINUTE_MS);
        scene.daemon = sim_daemon_start(&options, &status);
        CHECK_TRUE("started again", scene.daemon != NULL);
    }
    /* As many attempts as the schedule has, not one for each start. */
    CHECK_TRUE("attempts", sim_log_count("event=deferred") < 12);
    set_down(&scene, WAY_REFUSED, false);
    finish(&scene);
    CHECK_INT("taken", scene.hop.taken_count, 1);
    end(&scene);
}

static void test_takes_no_time(void **state)
{
    time_t begun = time(NULL);
    struct scene scene;

    (void)state;
    begin(&scene, 6, "carol@sender.example");
    sim_world_pass(300 * (uint64_t)DAY_MS);
    send_letter(&scene);
    finish(&scene);
    end(&scene);
    CHECK_TRUE("a year", time(NULL) - begun < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_down_for_three_hours),
        cmocka_unit_test(test_down_for_good),
        cmocka_unit_test(test_nothing_ever_works),
        cmocka_unit_test(test_no_bounce_for_the_null_sender),
        cmocka_unit_test(test_deferred_then_taken),
        cmocka_unit_test(test_restarts_between_retries),
        cmocka_unit_test(test_takes_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
