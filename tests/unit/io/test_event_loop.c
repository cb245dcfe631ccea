#include "support/check.h"

#include "../../../src/io/loop_internal.h"

#include "io/clock.h"
#include "io/entropy.h"
#include "io/event_loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct fixture {
    struct event_loop *loop;
    char trace[64];
    size_t trace_len;
    uint64_t started_ms;
};

struct mark {
    struct fixture *fixture;
    struct loop_task task;
    struct loop_task *then; /* deferred by this one */
    char name;
    bool stops;
};

static void run_mark(void *context)
{
    struct mark *mark = context;
    struct fixture *fixture = mark->fixture;

    fixture->trace[fixture->trace_len++] = mark->name;
    if (mark->then != NULL) {
        event_loop_defer(fixture->loop, mark->then);
    }
    if (mark->stops) {
        event_loop_stop(fixture->loop);
    }
}

static struct mark make_mark(struct fixture *fixture, char name)
{
    return (struct mark){.fixture = fixture, .name = name};
}

static void use_mark(struct mark *mark)
{
    mark->task = (struct loop_task){.run = run_mark, .context = mark};
}

static void test_deferred_tasks_run_in_order(void **state)
{
    struct fixture fixture = {.loop = event_loop_new()};
    struct mark a = make_mark(&fixture, 'a'), b = make_mark(&fixture, 'b'),
                c = make_mark(&fixture, 'c');

    (void)state;
    use_mark(&a), use_mark(&b), use_mark(&c);
    a.then = &c.task;
    c.stops = true;
    event_loop_defer(fixture.loop, &a.task);
    event_loop_defer(fixture.loop, &b.task);
    CHECK_INT("nothing runs from inside the call", fixture.trace_len, 0);
    event_loop_run(fixture.loop);
    CHECK_TEXT("order", fixture.trace, "abc");
    event_loop_free(&fixture.loop);
    CHECK_TRUE("set to NULL", fixture.loop == NULL);
}

static void test_tasks_posted_by_the_loop_itself(void **state)
{
    struct fixture fixture = {.loop = event_loop_new()};
    struct mark a = make_mark(&fixture, 'a'), b = make_mark(&fixture, 'b');

    (void)state;
    use_mark(&a), use_mark(&b);
    b.stops = true;
    event_loop_post(fixture.loop, &a.task);
    event_loop_post(fixture.loop, &b.task);
    event_loop_run(fixture.loop);
    CHECK_TEXT("order", fixture.trace, "ab");
    event_loop_free(&fixture.loop);
}

static void test_timers_run_in_time_and_order(void **state)
{
    static const unsigned delays[] = {30, 10, 20, 10, 0};
    struct fixture fixture = {.loop = event_loop_new()};
    struct mark marks[COUNT_OF(delays)];
    struct loop_timer *timers[COUNT_OF(delays)];
    uint64_t start = clock_now_ms();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        marks[i] = make_mark(&fixture, (char)('a' + i));
        timers[i] = loop_timer_new(fixture.loop, run_mark, &marks[i]);
        loop_timer_set(timers[i], delays[i]);
    }
    marks[0].stops = true;
    event_loop_run(fixture.loop);
    CHECK_TEXT("by deadline, then by arming", fixture.trace, "ebdca");
    CHECK_TRUE("not early", clock_now_ms() - start >= 30);
    CHECK_TRUE("not late", clock_now_ms() - start < 1000);
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        loop_timer_free(&timers[i]);
    }
    event_loop_free(&fixture.loop);
}

static void test_timer_moved_stopped_freed(void **state)
{
    struct fixture fixture = {.loop = event_loop_new()};
    struct mark late = make_mark(&fixture, 'L'), early = make_mark(&fixture, 'E'),
                stopped = make_mark(&fixture, 'S'), freed = make_mark(&fixture, 'F'),
                end = make_mark(&fixture, '.');
    struct loop_timer *timers[5] = {loop_timer_new(fixture.loop, run_mark, &late),
                                    loop_timer_new(fixture.loop, run_mark, &early),
                                    loop_timer_new(fixture.loop, run_mark, &stopped),
                                    loop_timer_new(fixture.loop, run_mark, &freed),
                                    loop_timer_new(fixture.loop, run_mark, &end)};

    (void)state;
    loop_timer_set(timers[0], 5);
    loop_timer_set(timers[0], 40); /* moved back */
    loop_timer_set(timers[1], 3600 * 1000);
    loop_timer_set(timers[1], 20); /* moved forward */
    loop_timer_set(timers[2], 5);
    loop_timer_stop(timers[2]);
    loop_timer_set(timers[3], 5);
    loop_timer_free(&timers[3]);
    loop_timer_free(&timers[3]);
    loop_timer_set(timers[4], 60);
    end.stops = true;
    event_loop_run(fixture.loop);
    CHECK_TEXT("ran", fixture.trace, "EL.");
    for (size_t i = 0; i < 5; i++) {
        loop_timer_free(&timers[i]);
    }
    event_loop_free(&fixture.loop);
}

struct repeat {
    struct event_loop *loop;
    struct loop_timer *timer;
    unsigned runs;
};

static void run_again(void *context)
{
    struct repeat *repeat = context;

    loop_timer_set(repeat->timer, 0);
    if (++repeat->runs == 1000) {
        event_loop_stop(repeat->loop);
    }
}

/* A timer that is always due must not keep the loop from its other work. */
static void test_timer_that_is_always_due(void **state)
{
    struct repeat repeat = {.loop = event_loop_new()};

    (void)state;
    repeat.timer = loop_timer_new(repeat.loop, run_again, &repeat);
    loop_timer_set(repeat.timer, 0);
    event_loop_run(repeat.loop);
    CHECK_INT("runs", repeat.runs, 1000);
    loop_timer_free(&repeat.timer);
    event_loop_free(&repeat.loop);
}

enum { RANDOM_TIMERS = 2000 };

struct random_timer {
    struct loop_timer *timer;
    uint64_t deadline_ms; /* 0: must not run */
    unsigned *left;
    struct event_loop *loop;
};

static void run_random(void *context)
{
    struct random_timer *random = context;

    CHECK_TRUE("armed", random->deadline_ms != 0);
    CHECK_TRUE("not early", clock_now_ms() >= random->deadline_ms);
    random->deadline_ms = 0;
    if (--*random->left == 0) {
        event_loop_stop(random->loop);
    }
}

static void test_many_random_timers(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct random_timer *all = calloc(RANDOM_TIMERS, sizeof *all);
    unsigned left = 0;

    (void)state;
    for (size_t i = 0; i < RANDOM_TIMERS; i++) {
        all[i] = (struct random_timer){.left = &left, .loop = loop};
        all[i].timer = loop_timer_new(loop, run_random, &all[i]);
    }
    for (size_t round = 0; round < 5 * RANDOM_TIMERS; round++) {
        struct random_timer *random = &all[entropy_u32() % RANDOM_TIMERS];
        unsigned delay = entropy_u32() % 100;

        left -= random->deadline_ms != 0;
        random->deadline_ms = 0;
        if (delay == 99) {
            loop_timer_free(&random->timer);
            random->timer = loop_timer_new(loop, run_random, random);
        } else if (delay > 90) {
            loop_timer_stop(random->timer);
        } else {
            random->deadline_ms = event_loop_now_ms(loop) + delay;
            loop_timer_set(random->timer, delay);
            left++;
        }
    }
    event_loop_run(loop);
    for (size_t i = 0; i < RANDOM_TIMERS; i++) {
        CHECK_INT("all ran", all[i].deadline_ms, 0);
        loop_timer_free(&all[i].timer);
    }
    free(all);
    event_loop_free(&loop);
}

enum { POSTERS = 4, POSTS = 20000 };

struct poster {
    pthread_t thread;
    struct event_loop *loop;
    struct loop_task *tasks;
    unsigned done;
    unsigned *total;
};

static void count_post(void *context)
{
    struct poster *poster = context;

    poster->done++;
    if (++*poster->total == POSTERS * POSTS) {
        event_loop_stop(poster->loop);
    }
}

static void *post_all(void *context)
{
    struct poster *poster = context;

    for (size_t i = 0; i < POSTS; i++) {
        poster->tasks[i] = (struct loop_task){.run = count_post, .context = poster};
        event_loop_post(poster->loop, &poster->tasks[i]);
        if (i % 1000 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void test_posts_from_many_threads(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct poster posters[POSTERS];
    unsigned total = 0;

    (void)state;
    for (size_t i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = loop, .total = &total};
        posters[i].tasks = calloc(POSTS, sizeof *posters[i].tasks);
        pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
    }
    event_loop_run(loop);
    for (size_t i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        CHECK_INT("all ran", posters[i].done, POSTS);
        free(posters[i].tasks);
    }
    event_loop_free(&loop);
}

/* Two loops that send one task to and fro: each post meets a loop that is falling asleep. */
struct ping {
    struct event_loop *loops[2];
    struct loop_task task;
    unsigned count;
};

static void bounce(void *context)
{
    struct ping *ping = context;

    if (++ping->count == 20000) {
        event_loop_stop(ping->loops[0]);
        event_loop_stop(ping->loops[1]);
        return;
    }
    event_loop_post(ping->loops[ping->count % 2], &ping->task);
}

static void *run_loop(void *context)
{
    event_loop_run(context);
    return NULL;
}

static void test_no_wake_up_is_lost(void **state)
{
    struct ping ping = {.loops = {event_loop_new(), event_loop_new()}};
    pthread_t other;

    (void)state;
    ping.task = (struct loop_task){.run = bounce, .context = &ping};
    pthread_create(&other, NULL, run_loop, ping.loops[1]);
    event_loop_post(ping.loops[0], &ping.task);
    event_loop_run(ping.loops[0]);
    pthread_join(other, NULL);
    CHECK_INT("to and fro", ping.count, 20000);
    event_loop_free(&ping.loops[0]);
    event_loop_free(&ping.loops[1]);
}

/* Seen by the leak checker at the end of the process (make asan). */
static void test_tasks_left_at_a_hard_stop_were_called_a_leak(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct event_loop *loop = event_loop_new();
        struct mark *posted = calloc(1, sizeof *posted),
                    *deferred = calloc(1, sizeof *deferred);

        event_loop_post(loop, &posted->task);
        event_loop_defer(loop, &deferred->task);
        event_loop_free(&loop);
        CHECK_TRUE("gone", loop == NULL);
    }
}

/* ---- heavy work ---- */

struct turns {
    struct fixture *fixture;
    struct loop_task task; /* once a turn */
    struct loop_heavy work[4];
    bool is_first_light;
};

static void count_turn(void *context)
{
    struct turns *turns = context;
    struct fixture *fixture = turns->fixture;

    fixture->trace[fixture->trace_len++] = '|';
    if (fixture->trace_len < 12) {
        event_loop_post(fixture->loop, &turns->task);
    } else {
        event_loop_stop(fixture->loop);
    }
}

static void work_hard(void *context)
{
    struct fixture *fixture = context;

    fixture->trace[fixture->trace_len++] = 'h';
}

static void begin_work(void *context)
{
    struct turns *turns = context;
    struct event_loop *loop = turns->fixture->loop;

    turns->is_first_light = event_loop_may_be_heavy(loop);
    CHECK_TRUE("one a turn", !event_loop_may_be_heavy(loop));
    for (size_t i = 0; i < COUNT_OF(turns->work); i++) {
        turns->work[i] = (struct loop_heavy){.run = work_hard, .context = turns->fixture};
        event_loop_wait_in_line(loop, &turns->work[i]);
    }
    list_remove(&turns->work[1].link); /* whoever goes, goes out of the line */
    CHECK_TRUE("nobody overtakes", !event_loop_may_be_heavy(loop));
    event_loop_post(loop, &turns->task);
}

static void test_heavy_work_takes_turns(void **state)
{
    struct fixture fixture = {.loop = event_loop_new()};
    struct turns turns = {.fixture = &fixture};
    struct loop_timer *timer = loop_timer_new(fixture.loop, begin_work, &turns);

    (void)state;
    turns.task = (struct loop_task){.run = count_turn, .context = &turns};
    loop_timer_set(timer, 1);
    event_loop_run(fixture.loop);
    fixture.trace[fixture.trace_len] = '\0';
    CHECK_TRUE("at once when nobody waits", turns.is_first_light);
    CHECK_TEXT("everybody else in between", fixture.trace, "||h|h|h|||||");
    loop_timer_free(&timer);
    event_loop_free(&fixture.loop);
}

static void test_entropy_differs(void **state)
{
    struct siphash_key a = entropy_hash_key(), b = entropy_hash_key();

    (void)state;
    CHECK_TRUE("keys differ", memcmp(&a, &b, sizeof a) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deferred_tasks_run_in_order),
        cmocka_unit_test(test_tasks_posted_by_the_loop_itself),
        cmocka_unit_test(test_timers_run_in_time_and_order),
        cmocka_unit_test(test_timer_moved_stopped_freed),
        cmocka_unit_test(test_timer_that_is_always_due),
        cmocka_unit_test(test_many_random_timers),
        cmocka_unit_test(test_posts_from_many_threads),
        cmocka_unit_test(test_no_wake_up_is_lost),
        cmocka_unit_test(test_tasks_left_at_a_hard_stop_were_called_a_leak),
        cmocka_unit_test(test_heavy_work_takes_turns),
        cmocka_unit_test(test_entropy_differs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
