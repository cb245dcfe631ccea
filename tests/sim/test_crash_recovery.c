/*
 * Power cuts at every operation of the disk, at every event, and at random among all other
 * troubles; with each way in which what was not synced can survive. Odd seeds ask the next hops
 * first (mode handoff).
 *
 *   kept       what was answered 250 is delivered to every recipient, octet by octet; or its sender
 *              is told that it was refused, if bounces go to everybody: none of them is proven
 *   refused    in the session only what nobody took, and then there is no bounce
 *   durable    after recovery the spool holds what was committed, and not what was closed
 *   failed     after a stop the spool does not hold what was answered as failed; unless the disk failed to
 *              the last
 *   doubled    at most one message for each connection that was open at a cut, one for each
 *              answer to the dot that never came, and what a client was waiting for at a cut (mode
 *              handoff: taken, and not recorded before the others have answered), and what came back
 *              from a disk that failed to the last
 */
#include "support/check.h"

#include "support/io_sim/sim_daemon.h"
#include "support/io_sim/sim_peers.h"
#include "support/io_sim/sim_world.h"

#include "base/memory.h"

#include <stdlib.h>

enum {
    LETTERS_MOST = 12,
    CLIENTS_MOST = 3,
    CHANGES_MOST = 1024,
    LARGE_SIZE = 300 * 1024,
    DAY_MS = 24 * 3600 * 1000,
    CUTS_MOST = 5,
    FLOOR = 1000,
    HANDOFF_MS = 15 * 1000,
};

struct key {
    uint64_t id;
    uint32_t number;
};

struct run {
    uint64_t seed;
    struct sim_daemon_options options;
    struct sim_daemon *daemon;
    struct sim_hop next, other, home; /* the last one is the senders' */
    struct sim_letter letters[LETTERS_MOST];
    char senders[LETTERS_MOST][40];
    struct strbuf contents[LETTERS_MOST];
    size_t letter_count;
    struct sim_client *clients[CLIENTS_MOST];
    size_t client_count;
    bool is_troubled;           /* next hops have their own troubles */
    unsigned stops_left;        /* orderly ones, at random */
    struct loop_timer *meddler; /* reloads, an operator's retries, a clock that is set */
    unsigned jumps_left;
    size_t doubles_allowed;
    /* the witness's: */
    struct key added[CHANGES_MOST], closed[CHANGES_MOST], closing[CHANGES_MOST];
    struct key adding[CHANGES_MOST]; /* since the last cut or look */
    size_t added_count, closed_count, closing_count, closed_at_cut, adding_count;
    bool may_come_back; /* what was answered as failed: the disk could not be told */
    bool is_answered, is_read;
    char name[80]; /* of this run, for failures */
};

/* ---- letters ---- */

enum alias { TO_ONE, TO_BOTH, TO_NOBODY };

static const char *const ALIASES[] = {[TO_ONE] = "info@fwd.example",
                                      [TO_BOTH] = "both@fwd.example",
                                      [TO_NOBODY] = "gone@fwd.example"};

static void write_letter(struct run *run, size_t index, bool is_large)
{
    struct sim_letter *letter = &run->letters[index];
    struct strbuf *content = &run->contents[index];

    snprintf(run->senders[index], sizeof run->senders[index], "u%zu@sender.example", index);
    strbuf_init(content, SIZE_MAX / 2);
    strbuf_addf(content, "Subject: letter\r\nX-Token: <token-%zu>\r\n\r\n", index);
    do {
        strbuf_addf(content, "A line of letter %zu, number %zu.\r\n", index, content->len);
    } while (content->len < (is_large ? LARGE_SIZE : 10 + sim_random(2000)));
    *letter = (struct sim_letter){.sender = run->senders[index],
                                  .recipients = {ALIASES[sim_random(COUNT_OF(ALIASES))]},
                                  .content = strbuf_bytes(content)};
}

static bool is_to(const struct sim_letter *letter, enum alias alias)
{
    return letter->recipients[0] == ALIASES[alias];
}

/* ---- next hops with troubles ---- */

/* Longer than any client waits. */
static const char *slow_answer(enum sim_stage stage)
{
    switch (stage) {
    case SIM_STAGE_BANNER:
        return "~220 hop.example ESMTP\r\n";
    case SIM_STAGE_EHLO:
        return "~250 hop\r\n";
    case SIM_STAGE_MAIL:
    case SIM_STAGE_RCPT:
    case SIM_STAGE_DOT:
        return "~250 2.0.0 ok\r\n";
    case SIM_STAGE_DATA:
        return "~354 go on\r\n";
    }
    return NULL;
}

static const char *hop_answer(void *context, enum sim_stage stage, struct bytes argument)
{
    struct run *run = context;

    if (stage == SIM_STAGE_RCPT && bytes_starts_with(argument, BYTES("gone@"))) {
        return "550 5.1.1 no such user\r\n";
    }
    if (!run->is_troubled || !sim_chance(12)) {
        return NULL;
    }
    if (sim_chance(5)) {
        return slow_answer(stage);
    }
    switch (stage) {
    case SIM_STAGE_BANNER:
        return sim_chance(2) ? "!421 4.3.2 not now\r\n" : ".";
    case SIM_STAGE_EHLO:
        return ".";
    case SIM_STAGE_MAIL:
    case SIM_STAGE_RCPT:
    case SIM_STAGE_DATA:
        return sim_chance(2) ? "451 4.3.0 later\r\n" : ".";
    case SIM_STAGE_DOT:
        run->doubles_allowed += 1;
        return sim_chance(2) ? SIM_TAKE_AND_CLOSE : sim_chance(2) ? "452 4.3.1 full\r\n" : ".";
    }
    return NULL;
}

/* ---- what is durable ---- */

static void keep_key(struct key *keys, size_t *count, uint64_t id, uint32_t number)
{
    assert_true(*count < CHANGES_MOST);
    keys[(*count)++] = (struct key){id, number};
}

static bool has_key(const struct key *keys, size_t count, uint64_t id, uint32_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].id == id && keys[i].number == number) {
            return true;
        }
    }
    return false;
}

static void keep_adding(struct run *run, const struct spool_change *add)
{
    for (size_t i = 0; i < add->delivery_count; i++) {
        if (!has_key(run->adding, run->adding_count, add->message->id,
                     add->deliveries[i].number)) {
            keep_key(run->adding, &run->adding_count, add->message->id,
                     add->deliveries[i].number);
        }
    }
}

static void witness(void *context, const struct spool_change *change, bool is_durable)
{
    struct run *run = context;

    if (!is_durable) {
        if (change->kind == SPOOL_ADD) {
            keep_adding(run, change);
        }
        if (change->kind == SPOOL_CLOSE &&
            !has_key(run->closing, run->closing_count, change->id, change->number)) {
            keep_key(run->closing, &run->closing_count, change->id, change->number);
        }
        return;
    }
    switch (change->kind) {
    case SPOOL_ADD:
        for (size_t i = 0; i < change->delivery_count; i++) {
            keep_key(run->added, &run->added_count, change->message->id,
                     change->deliveries[i].number);
        }
        break;
    case SPOOL_CLOSE:
        keep_key(run->closed, &run->closed_count, change->id, change->number);
        break;
    case SPOOL_UPDATE:
    case SPOOL_DELETE:
    case SPOOL_RETRY:
    case SPOOL_HOLD:
    case SPOOL_RELEASE:
    case SPOOL_GIVE_UP:
    case SPOOL_SET:
        break;
    }
}

static bool has_row(const struct spool_delivery *rows, size_t count, const struct key *key)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].message == key->id && rows[i].number == key->number) {
            return true;
        }
    }
    return false;
}

/* No commit is under way: what is not durable has failed. */
static void check_failed(struct run *run, const struct spool_delivery *rows, size_t count)
{
    for (size_t i = 0; i < run->adding_count; i++) {
        const struct key *key = &run->adding[i];

        if (has_key(run->added, run->added_count, key->id, key->number) ||
            !has_row(rows, count, key)) {
            continue;
        }
        if (!run->may_come_back) {
            fail_msg("%s: what was answered as failed came back", run->name);
        }
        run->doubles_allowed++;
    }
    run->adding_count = 0;
    run->may_come_back = false;
}

static void on_rows(void *context, enum spool_status status, const struct spool_delivery *rows,
                    size_t count)
{
    struct run *run = context;

    run->is_answered = true;
    if (status != SPOOL_OK) {
        return;
    }
    run->is_read = true;
    check_failed(run, rows, count);
    for (size_t i = 0; i < count; i++) {
        if (has_key(run->closed, run->closed_at_cut, rows[i].message, rows[i].number)) {
            fail_msg("%s: a closed delivery came back", run->name);
        }
    }
    for (size_t i = 0; i < run->added_count; i++) {
        const struct key *key = &run->added[i];

        if (!has_key(run->closing, run->closing_count, key->id, key->number) &&
            !has_row(rows, count, key)) {
            fail_msg("%s: a committed delivery is gone", run->name);
        }
    }
}

/* ---- running ---- */

static bool is_answered(void *context)
{
    return ((struct run *)context)->is_answered;
}

static bool is_all_over(void *context)
{
    struct run *run = context;

    for (size_t i = 0; i < run->client_count; i++) {
        if (!sim_client_is_done(run->clients[i])) {
            return false;
        }
    }
    return sim_daemon_is_empty(run->daemon);
}

static void begin(struct run *run, uint64_t seed, size_t letters, size_t clients)
{
    sim_world_new(seed);
    *run = (struct run){.seed = seed, .options = sim_daemon_defaults()};
    run->options.loops = 1 + sim_random(3);
    run->options.concurrency = sim_chance(2) ? 20 : 1 + sim_random(3);
    run->options.free_space_floor = FLOOR;
    run->options.handoff_ms = seed % 2 == 1 ? HANDOFF_MS : 0;
    run->options.bounces = seed % 5 == 0 ? BOUNCE_PROVEN : BOUNCE_ALL;
    run->options.aliases = "postmaster: anna@next.example\n"
                           "info: anna@next.example\n"
                           "both: anna@next.example, bob@other.example\n"
                           "gone: gone@next.example\n";
    sim_spool_set_witness(witness, run);
    sim_dns_add_mx("next.example", 10, "mx.next.example");
    sim_dns_add_address("mx.next.example", "203.0.113.10");
    sim_dns_add_address("other.example", "203.0.113.11");
    sim_dns_add_address("sender.example", "203.0.113.12");
    sim_hop_open(&run->home, "203.0.113.12:25");
    sim_hop_open(&run->next, "203.0.113.10:25");
    sim_hop_open(&run->other, "203.0.113.11:25");
    run->next.answer = run->other.answer = run->home.answer = hop_answer;
    run->next.context = run->other.context = run->home.context = run;
    run->letter_count = letters * clients;
    for (size_t i = 0; i < run->letter_count; i++) {
        write_letter(run, i, sim_chance(20));
    }
    run->client_count = clients;
    for (size_t i = 0; i < clients; i++) {
        run->clients[i] = sim_client_new(SIM_DAEMON_ADDRESS, &run->letters[i * letters],
                                         letters, sim_chance(2));
    }
}

static void end(struct run *run)
{
    for (size_t i = 0; i < run->client_count; i++) {
        sim_client_free(&run->clients[i]);
    }
    for (size_t i = 0; i < run->letter_count; i++) {
        strbuf_clear(&run->contents[i]);
    }
    sim_hop_close(&run->next);
    sim_hop_close(&run->other);
    sim_hop_close(&run->home);
    sim_world_free();
}

static void recover(struct run *run)
{
    run->doubles_allowed += run->next.open + run->other.open + run->home.open;
    if (run->options.handoff_ms > 0) {
        run->doubles_allowed += 2 * run->client_count;
    }
    run->closed_at_cut = run->closed_count;
    run->adding_count = 0; /* whatever the cut has left of them */
    run->may_come_back = false;
    sim_daemon_crash(&run->daemon);
}

/* The daemon runs, whatever it takes. */
static void start(struct run *run)
{
    enum spool_status status;

    sim_disk_fail_at(0, 0, DISK_OK); /* what was ordered for the life before */
    while (run->daemon == NULL) {
        run->daemon = sim_daemon_start(&run->options, &status);
        if (!sim_power_is_on()) {
            recover(run);
        } else if (run->daemon == NULL) {
            fail_msg("%s: the spool does not open: %s", run->name, spool_status_text(status));
        }
    }
}

/* A disk that fails may be asked again: the database is opened anew. */
static void check_spool(struct run *run)
{
    run->is_read = false;
    for (int i = 0; i < 10 && !run->is_read && sim_power_is_on(); i++) {
        run->is_answered = false;
        spool_read_all(sim_daemon_spool(run->daemon), sim_peer_loop(), NULL, 0, 0, 1000,
                       on_rows, run);
        sim_world_run(is_answered, run, DAY_MS);
        if (!run->is_read) {
            sim_world_pass(60 * 1000);
        }
    }
    if (!run->is_read && sim_power_is_on()) {
        fail_msg("%s: the spool does not answer", run->name);
    }
}

/* False: the power was cut. */
static bool stop_in_between(struct run *run)
{
    run->stops_left--;
    if (!sim_world_pass(sim_random(1500))) {
        return false;
    }
    sim_disk_set_free_space(UINT64_MAX);
    if (!sim_daemon_stop(&run->daemon) && sim_power_is_on()) {
        fail_msg("%s: does not come to rest", run->name);
    }
    run->may_come_back = sim_spool_has_failed_to_the_last();
    return sim_power_is_on();
}

/* From a start to a cut, a stop, or to the end (true). */
static bool live_once(struct run *run)
{
    check_spool(run);
    if (sim_power_is_on() && run->stops_left > 0) {
        stop_in_between(run);
        return false;
    }
    if (sim_power_is_on() && sim_world_run(is_all_over, run, 3 * (uint64_t)DAY_MS)) {
        return true;
    }
    if (sim_power_is_on()) {
        fail_msg("%s: it does not come to an end", run->name);
    }
    return false;
}

/* Until all is over, through all the cuts that have been ordered; `on_start` orders more. */
static void live(struct run *run, void (*on_start)(struct run *run))
{
    bool is_over = false;

    while (!is_over) {
        start(run);
        on_start(run);
        is_over = live_once(run);
        if (!sim_power_is_on()) {
            recover(run);
        }
    }
    sim_disk_cut_at(0);
    sim_disk_fail_at(0, 0, DISK_OK);
    sim_world_cut_at(0);
    if (!sim_daemon_stop(&run->daemon)) {
        fail_msg("%s: does not come to rest", run->name);
    }
}

/* ---- checking ---- */

static size_t count_taken(const struct sim_hop *hop, size_t index)
{
    struct strbuf token;
    size_t count;

    strbuf_init(&token, 100);
    strbuf_addf(&token, "<token-%zu>", index);
    count = sim_hop_count(hop, strbuf_text(&token));
    strbuf_clear(&token);
    return count;
}

static void check_whole(const struct run *run, const struct sim_hop *hop)
{
    for (size_t i = 0; i < hop->taken_count; i++) {
        struct bytes taken = strbuf_bytes(&hop->taken[i].content);
        size_t place = bytes_find_part(taken, BYTES("Subject: letter"));
        bool is_whole = false;

        for (size_t j = 0; j < run->letter_count && !is_whole; j++) {
            is_whole = bytes_equal(bytes_skip(taken, place), run->letters[j].content);
        }
        if (!is_whole) {
            fail_msg("%s: a next hop got something that nobody sent", run->name);
        }
    }
}

static size_t more_than_one(size_t count)
{
    return count > 1 ? count - 1 : 0;
}

/* Returns how many were doubled. */
static size_t check(const struct run *run)
{
    size_t doubles = 0;

    check_whole(run, &run->next);
    check_whole(run, &run->other);
    for (size_t i = 0; i < run->letter_count; i++) {
        const struct sim_letter *letter = &run->letters[i];
        size_t next = count_taken(&run->next, i), other = count_taken(&run->other, i);
        size_t home = count_taken(&run->home, i);
        bool is_told = run->options.bounces == BOUNCE_ALL;
        bool is_lost = is_to(letter, TO_NOBODY)
                           ? is_told && home == 0
                           : next == 0 || (is_to(letter, TO_BOTH) && other == 0);

        if (letter->code == 250 && is_lost) {
            fail_msg("%s: letter %zu was answered 250 and is lost", run->name, i);
        }
        if (home > 0 && (!is_to(letter, TO_NOBODY) || !is_told)) {
            fail_msg("%s: letter %zu bounced", run->name, i);
        }
        if (letter->code >= 500 && (letter->code != 550 || !is_to(letter, TO_NOBODY) ||
                                    home > 0 || run->options.handoff_ms == 0)) {
            fail_msg("%s: letter %zu was answered %s", run->name, i, letter->reply);
        }
        doubles += more_than_one(next) + more_than_one(other) + more_than_one(home);
    }
    if (doubles > run->doubles_allowed) {
        fail_msg("%s: %zu doubled, %zu allowed", run->name, doubles, run->doubles_allowed);
    }
    return doubles;
}

static uint64_t number_of(const char *variable, uint64_t usual)
{
    const char *text = getenv(variable);

    return text == NULL ? usual : strtoull(text, NULL, 10);
}

static uint64_t cut_operation, cut_event; /* of the run under way; 0: none */
static int cut_survival = -1;
static unsigned cut_count; /* of the test under way */

static void order_one_cut(struct run *run)
{
    (void)run;
    cut_count += cut_operation != 0 || cut_event != 0;
    sim_disk_set_survival(cut_survival);
    sim_disk_cut_at(cut_operation);
    sim_world_cut_at(cut_event);
    cut_operation = cut_event = 0;
}

struct length {
    uint64_t operations, events;
};

static struct length run_once(uint64_t seed, uint64_t operation, uint64_t event)
{
    struct run run;
    struct length length;

    begin(&run, seed, 3, 2);
    snprintf(run.name, sizeof run.name, "seed %llu, operation %llu, event %llu, survival %d",
             (unsigned long long)seed, (unsigned long long)operation, (unsigned long long)event,
             cut_survival);
    cut_operation = operation;
    cut_event = event;
    live(&run, order_one_cut);
    check(&run);
    length = (struct length){sim_disk_operations(), sim_world_events()};
    end(&run);
    return length;
}

static void test_every_operation(void **state)
{
    uint64_t first = number_of("SIM_FIRST", 1), seeds = number_of("SIM_CUT_SEEDS", 16);

    (void)state;
    cut_count = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        uint64_t operations = run_once(seed, 0, 0).operations;

        assert_true(operations > 20);
        for (uint64_t at = 1; at <= operations; at++) {
            for (cut_survival = 0; cut_survival < 4; cut_survival++) {
                run_once(seed, at, 0);
            }
        }
        cut_survival = -1;
    }
    print_message("%u crash states from SIM_FIRST=%llu\n", cut_count,
                  (unsigned long long)first);
    assert_true(cut_count > 100 * seeds);
}

static void test_every_event(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 12; seed++) {
        uint64_t events = run_once(seed, 0, 0).events;

        assert_true(events > 100);
        for (uint64_t at = 1; at <= events; at++) {
            run_once(seed, 0, at);
        }
    }
}

/* ---- a disk that fails ---- */

static enum disk_status failure; /* of the operation in cut_operation */
static uint64_t failures;
static unsigned answered_451, answered_452, answered_250;

static void order_one_failure(struct run *run)
{
    (void)run;
    sim_disk_fail_at(cut_operation, failures, failure);
    cut_operation = 0;
}

/* Nothing is lost, nothing at all is doubled, and it goes on by itself. */
static void run_with_failure(uint64_t seed, uint64_t operation)
{
    struct run run;

    begin(&run, seed, 3, 2);
    snprintf(run.name, sizeof run.name, "seed %llu, failure %d at %llu",
             (unsigned long long)seed, (int)failure, (unsigned long long)operation);
    cut_operation = operation;
    live(&run, order_one_failure);
    check(&run);
    for (size_t i = 0; i < run.letter_count; i++) {
        answered_250 += run.letters[i].code == 250;
        answered_451 += run.letters[i].code == 451;
        answered_452 += run.letters[i].code == 452;
    }
    end(&run);
}

static void test_every_failure(void **state)
{
    static const enum disk_status FAILURES[] = {DISK_FULL, DISK_FAILED};

    (void)state;
    for (uint64_t seed = 20; seed <= 25; seed++) {
        uint64_t operations = run_once(seed, 0, 0).operations;

        for (size_t i = 0; i < COUNT_OF(FAILURES); i++) {
            failure = FAILURES[i];
            for (uint64_t at = 1; at <= operations; at++) {
                failures = 1 + at % 3;
                run_with_failure(seed, at);
            }
        }
    }
    assert_true(answered_451 > 20 && answered_452 > 20);
    /* A failure costs the messages that wait for it, not those behind them. */
    assert_true(answered_250 > 9 * (answered_451 + answered_452));
}

/* ---- one connection, many messages ---- */

static void order_nothing(struct run *run)
{
    (void)run;
}

/* All wait for the next hop, then go over one connection; it must not be used again before the
 * outcome of the last message is durable. Returns how many operations that took. */
static uint64_t run_over_one_connection(uint64_t operation, size_t *doubles)
{
    struct run run;
    uint64_t begun;

    begin(&run, 7, LETTERS_MOST, 1);
    snprintf(run.name, sizeof run.name, "one connection, operation %llu",
             (unsigned long long)operation);
    run.options.concurrency = 1;
    run.options.handoff_ms = 0;
    run.options.bounces = BOUNCE_ALL;
    for (size_t i = 0; i < run.letter_count; i++) {
        run.letters[i].recipients[0] = ALIASES[TO_ONE];
    }
    sim_hop_listen(&run.next, false);
    start(&run);
    sim_world_run(sim_client_is_done, run.clients[0], DAY_MS);
    sim_hop_listen(&run.next, true);
    begun = sim_disk_operations();
    sim_disk_cut_at(operation);
    live(&run, order_nothing);
    *doubles += check(&run);
    if (run.doubles_allowed > 1) {
        fail_msg("%s: more than one connection", run.name);
    }
    begun = sim_disk_operations() - begun;
    end(&run);
    return begun;
}

static void test_one_double_a_connection(void **state)
{
    size_t doubles = 0;
    uint64_t operations = run_over_one_connection(0, &doubles);

    (void)state;
    assert_int_equal(doubles, 0);
    assert_true(operations > 2 * LETTERS_MOST);
    for (uint64_t at = 1; at <= operations; at++) {
        run_over_one_connection(at, &doubles);
    }
    assert_true(doubles > LETTERS_MOST / 2); /* the cut between its 250 and our commit */
}

/* ---- everything at once ---- */

static unsigned cuts_left;

/* What does not go by itself lasts until the next orderly stop at most. */
static void order_troubles(struct run *run)
{
    if (cuts_left > 0) {
        cuts_left--;
        if (sim_chance(2)) {
            sim_disk_cut_at(1 + sim_random(80));
        } else {
            sim_world_cut_at(1 + sim_random(800));
        }
    }
    if (sim_chance(3)) {
        sim_disk_fail_at(1 + sim_random(60), 1 + sim_random(4),
                         sim_chance(2) ? DISK_FULL : DISK_FAILED);
    }
    sim_disk_set_free_space(run->stops_left > 0 && sim_chance(4) ? FLOOR - 1 : UINT64_MAX);
    sim_dns_set_failing(run->stops_left > 0 && sim_chance(4));
}

static void meddle(void *context)
{
    struct run *run = context;

    if (run->daemon != NULL && sim_chance(3)) {
        sim_daemon_reload(run->daemon);
    } else if (run->daemon != NULL && sim_chance(3)) {
        sim_daemon_refresh(run->daemon);
    } else if (run->jumps_left > 0 && sim_chance(3)) {
        run->jumps_left--;
        sim_clock_jump((int64_t)(sim_random(20 * 3600) * 1000U) * (sim_chance(2) ? 1 : -1));
    }
    loop_timer_set(run->meddler, 100 + sim_random(sim_chance(2) ? 3000 : 1000 * 1000));
}

static void troubled_run(uint64_t seed, struct strbuf *log)
{
    struct run run;

    begin(&run, seed, 4, 3);
    snprintf(run.name, sizeof run.name, "SIM_SEED=%llu", (unsigned long long)seed);
    run.is_troubled = true;
    run.stops_left = sim_random(4);
    run.jumps_left = sim_random(2);
    run.meddler = loop_timer_new(sim_peer_loop(), meddle, &run);
    loop_timer_set(run.meddler, sim_random(5000));
    for (size_t i = 0; i < run.client_count; i++) {
        sim_client_set_rude(run.clients[i], 10);
    }
    cuts_left = sim_random(CUTS_MOST);
    live(&run, order_troubles);
    check(&run);
    if (log != NULL) {
        strbuf_add(log, sim_world_log());
        strbuf_addf(log, "%llu events", (unsigned long long)sim_world_events());
    }
    loop_timer_free(&run.meddler);
    end(&run);
}

/* SIM_SEEDS=n for more, SIM_FIRST=n to begin elsewhere, SIM_SEED=n for this one alone (SIM_TRACE=1
 * shows its log). */
static void test_many_seeds(void **state)
{
    uint64_t only = number_of("SIM_SEED", 0), first = number_of("SIM_FIRST", 1);
    uint64_t seeds = only != 0 ? 1 : number_of("SIM_SEEDS", 3000);

    (void)state;
    first = only != 0 ? only : first;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        troubled_run(seed, NULL);
    }
    print_message("%llu seeds from SIM_FIRST=%llu\n", (unsigned long long)seeds,
                  (unsigned long long)first);
}

static void test_same_seed_same_log(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct strbuf logs[2];

        for (int i = 0; i < 2; i++) {
            strbuf_init(&logs[i], SIZE_MAX / 2);
            troubled_run(seed, &logs[i]);
        }
        CHECK_BYTES("log", strbuf_bytes(&logs[1]), strbuf_bytes(&logs[0]));
        strbuf_clear(&logs[0]);
        strbuf_clear(&logs[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operation), cmocka_unit_test(test_every_event),
        cmocka_unit_test(test_every_failure),   cmocka_unit_test(test_one_double_a_connection),
        cmocka_unit_test(test_many_seeds),      cmocka_unit_test(test_same_seed_same_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
