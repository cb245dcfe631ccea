#include "sim_world.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "sim_internal.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t UNIX_START_MS = 1767225600000; /* 2026-01-01 */
enum { MONOTONIC_START_MS = 5000 };

static struct {
    bool exists;
    uint64_t chance;        /* state of the generator */
    int64_t clock_error_ms; /* of the wall clock */
    uint64_t now_us, events, armed;
    struct sim_event **agenda;
    size_t count, capacity;
    bool is_power_off;
    uint64_t cut_at; /* number of the event; 0: never */
    enum sim_host at_work;
    struct event_loop *peer_loop;
    struct strbuf log;
    bool is_traced;
} world;

/* ---- chance ---- */

/* splitmix64 */
uint64_t sim_random_u64(void)
{
    uint64_t mixed = (world.chance += 0x9e3779b97f4a7c15U);

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
}

uint32_t sim_random(uint32_t below)
{
    return (uint32_t)(sim_random_u64() % below);
}

bool sim_chance(uint32_t one_in)
{
    return sim_random(one_in) == 0;
}

void entropy_fill(void *data, size_t len)
{
    unsigned char *octets = data;

    for (size_t i = 0; i < len; i++) {
        octets[i] = (unsigned char)sim_random_u64();
    }
}

uint32_t entropy_u32(void)
{
    return (uint32_t)sim_random_u64();
}

struct siphash_key entropy_hash_key(void)
{
    struct siphash_key key;

    entropy_fill(&key, sizeof key);
    return key;
}

/* ---- time ---- */

uint64_t sim_now_us(void)
{
    return world.now_us;
}

uint64_t clock_now_ms(void)
{
    return MONOTONIC_START_MS + world.now_us / 1000;
}

uint64_t sim_world_now_ms(void)
{
    return world.now_us / 1000;
}

int64_t clock_unix_ms(void)
{
    return UNIX_START_MS + (int64_t)(world.now_us / 1000) + world.clock_error_ms;
}

void sim_clock_jump(int64_t ms)
{
    world.clock_error_ms += ms;
}

int64_t clock_unix_seconds(void)
{
    return clock_unix_ms() / 1000;
}

/* ---- agenda: a binary heap by (when_us, order) ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->when_us != b->when_us ? a->when_us < b->when_us : a->order < b->order;
}

static void put_at(size_t index, struct sim_event *event)
{
    world.agenda[index] = event;
    event->place = index + 1;
}

static void sift_up(size_t index, struct sim_event *event)
{
    while (index > 0 && is_before(event, world.agenda[(index - 1) / 2])) {
        put_at(index, world.agenda[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put_at(index, event);
}

static void sift_down(size_t index, struct sim_event *event)
{
    for (;;) {
        size_t child = 2 * index + 1;

        if (child + 1 < world.count &&
            is_before(world.agenda[child + 1], world.agenda[child])) {
            child++;
        }
        if (child >= world.count || !is_before(world.agenda[child], event)) {
            break;
        }
        put_at(index, world.agenda[child]);
        index = child;
    }
    put_at(index, event);
}

void sim_event_stop(struct sim_event *event)
{
    size_t index = event->place - 1;
    struct sim_event *last;

    if (event->place == 0) {
        return;
    }
    event->place = 0;
    last = world.agenda[--world.count];
    if (last == event) {
        return;
    }
    if (is_before(last, event)) {
        sift_up(index, last);
    } else {
        sift_down(index, last);
    }
}

void sim_event_set(struct sim_event *event, uint64_t when_us)
{
    sim_event_stop(event);
    if (world.count == world.capacity) {
        world.capacity = world.capacity == 0 ? 256 : 2 * world.capacity;
        world.agenda = memory_resize(world.agenda, world.capacity, sizeof *world.agenda);
    }
    event->when_us = when_us > world.now_us ? when_us : world.now_us;
    event->order = world.armed++;
    sift_up(world.count++, event);
}

void sim_event_after(struct sim_event *event, uint64_t delay_us)
{
    sim_event_set(event, world.now_us + delay_us);
}

/* ---- running ---- */

static void run_next(void)
{
    struct sim_event *event = world.agenda[0];
    struct event_loop *loop = event->loop;

    world.now_us = event->when_us > world.now_us ? event->when_us : world.now_us + 1;
    sim_event_stop(event);
    if (++world.events == world.cut_at) {
        world.cut_at = 0;
        sim_power_cut();
    }
    if (loop != NULL && !sim_host_is_on(sim_loop_host(loop))) {
        return;
    }
    if (loop != NULL) {
        sim_loop_enter(loop);
    }
    event->run(event->context); /* the event may be gone after this */
    if (loop != NULL) {
        sim_loop_leave(loop);
    }
}

bool sim_world_run(bool (*is_done)(void *context), void *context, uint64_t limit_ms)
{
    uint64_t limit_us = world.now_us + limit_ms * 1000;
    bool was_on = !world.is_power_off;

    for (;;) {
        if (was_on && world.is_power_off) {
            return false;
        }
        if (is_done != NULL && is_done(context)) {
            return true;
        }
        if (world.count == 0 || world.agenda[0]->when_us > limit_us) {
            world.now_us = limit_us;
            return false;
        }
        run_next();
    }
}

bool sim_world_pass(uint64_t ms)
{
    bool was_on = !world.is_power_off;

    sim_world_run(NULL, NULL, ms);
    return !was_on || !world.is_power_off;
}

uint64_t sim_world_events(void)
{
    return world.events;
}

/* ---- hosts and power ---- */

enum sim_host sim_host_at_work(void)
{
    return world.at_work;
}

bool sim_host_is_on(enum sim_host host)
{
    return host != SIM_DAEMON || !world.is_power_off;
}

bool sim_power_is_on(void)
{
    return !world.is_power_off;
}

void sim_world_cut_at(uint64_t events)
{
    world.cut_at = events == 0 ? 0 : world.events + events;
}

void sim_power_cut(void)
{
    if (!world.is_power_off) {
        world.is_power_off = true;
        sim_network_cut();
    }
}

void sim_power_restore(void)
{
    if (world.is_power_off) {
        sim_disk_restore();
        world.is_power_off = false;
    }
}

/* ---- log ---- */

long sim_log_write(int handle, const void *data, size_t size)
{
    (void)handle;
    if (!world.is_power_off) {
        strbuf_add(&world.log, bytes_of(data, size));
        if (world.is_traced) {
            fprintf(stderr, "%.*s", (int)size, (const char *)data);
        }
    }
    return (long)size;
}

struct bytes sim_world_log(void)
{
    return strbuf_bytes(&world.log);
}

size_t sim_log_count(const char *text)
{
    struct bytes rest = strbuf_bytes(&world.log);
    size_t count = 0;

    while (rest.len > 0) {
        struct bytes line = bytes_cut(&rest, '\n');

        count += bytes_find_part(line, bytes_from_text(text)) < line.len;
    }
    return count;
}

/* ---- life ---- */

struct event_loop *sim_peer_loop(void)
{
    return world.peer_loop;
}

void sim_world_new(uint64_t seed)
{
    assert(!world.exists);
    memset(&world, 0, sizeof world);
    world.exists = true;
    world.chance = seed * 0x2545f4914f6cdd1dU + 1;
    world.is_traced = getenv("SIM_TRACE") != NULL;
    strbuf_init(&world.log, SIZE_MAX / 2);
    /* SQLite draws the salts of its log from a generator of its own, one for the process. */
    sqlite3_initialize();
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(seed % 1000000) + 1, NULL);
    sim_disk_begin();
    sim_network_begin();
    sim_dns_begin();
    sim_state_begin();
    sim_spool_set_witness(NULL, NULL);
    world.at_work = SIM_PEERS;
    world.peer_loop = event_loop_new();
    world.at_work = SIM_DAEMON;
}

void sim_world_free(void)
{
    sim_network_end();
    event_loop_free(&world.peer_loop);
    sim_state_end();
    sim_dns_end();
    sim_disk_end();
    assert(world.count == 0 || world.agenda != NULL);
    free(world.agenda);
    strbuf_clear(&world.log);
    world.exists = false;
}
