#include "support/check.h"

#include "outbound/destination_pool.h"

static struct ip_endpoint endpoint_of(unsigned number)
{
    return (struct ip_endpoint){
        .address = {.family = IP_V4, .octets = {192, 0, 2, (uint8_t)number}}, .port = 25};
}

static void remember(struct destination_pool *pool, struct destination *destination,
                     uint32_t ttl)
{
    struct next_hops *hops = next_hops_new();

    hops->list.ttl = ttl;
    hops->list.count = 1;
    destination_remember(pool, destination, hops);
    next_hops_drop(&hops);
}

static void test_next_hops(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct destination_pool *pool = destination_pool_new(loop);
    struct destination *destination = destination_pool_hold(pool, BYTES("a.example"));
    struct destination *same = destination_pool_hold(pool, BYTES("a.example"));
    struct next_hops *hops;

    (void)state;
    CHECK_TRUE("one destination", destination == same);
    CHECK_TRUE("nothing yet", destination_next_hops(pool, destination) == NULL);
    remember(pool, destination, 0);
    CHECK_TRUE("TTL 0", destination_next_hops(pool, destination) == NULL);
    remember(pool, destination, 300);
    hops = destination_next_hops(pool, destination);
    CHECK_TRUE("remembered", hops != NULL);
    destination_pool_forget(pool);
    CHECK_TRUE("forgotten", destination_next_hops(pool, destination) == NULL);
    CHECK_INT("ours still", hops->list.count, 1);
    next_hops_drop(&hops);
    remember(pool, destination, 300);
    destination_pool_release(pool, &destination);
    destination_pool_release(pool, &same);
    destination = destination_pool_hold(pool, BYTES("a.example"));
    hops = destination_next_hops(pool, destination);
    CHECK_TRUE("outlives its users", hops != NULL);
    next_hops_drop(&hops);
    destination_pool_release(pool, &destination);
    destination_pool_free(&pool);
    event_loop_free(&loop);
}

static void test_limit(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct destination_pool *pool = destination_pool_new(loop);
    struct destination *held = destination_pool_hold(pool, BYTES("held.example"));
    struct destination *destination;
    struct next_hops *hops;
    char name[32];

    (void)state;
    remember(pool, held, 300);
    for (int i = 0; i <= DESTINATIONS_KEPT; i++) {
        snprintf(name, sizeof name, "d%d.example", i);
        destination = destination_pool_hold(pool, bytes_from_text(name));
        remember(pool, destination, 300);
        destination_pool_release(pool, &destination);
    }
    destination = destination_pool_hold(pool, BYTES("d0.example"));
    CHECK_TRUE("longest unused", destination_next_hops(pool, destination) == NULL);
    destination_pool_release(pool, &destination);
    destination = destination_pool_hold(pool, BYTES("d2.example"));
    hops = destination_next_hops(pool, destination);
    CHECK_TRUE("kept", hops != NULL);
    next_hops_drop(&hops);
    destination_pool_release(pool, &destination);
    hops = destination_next_hops(pool, held);
    CHECK_TRUE("held", hops != NULL);
    next_hops_drop(&hops);
    destination_pool_release(pool, &held);
    destination_pool_free(&pool);
    event_loop_free(&loop);
}

static void test_failures(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct destination_pool *pool = destination_pool_new(loop);
    struct destination *destination = destination_pool_hold(pool, BYTES("a.example"));
    struct ip_endpoint first = endpoint_of(0), other_port = endpoint_of(0);

    (void)state;
    other_port.port = 26;
    remember(pool, destination, 300);
    destination_note_failure(destination, &first);
    CHECK_TRUE("failed", destination_has_failed(destination, &first));
    CHECK_TRUE("not the other", !destination_has_failed(destination, &other_port));
    destination_note_success(destination, &first);
    CHECK_TRUE("works again", !destination_has_failed(destination, &first));
    for (unsigned i = 0; i < NEXT_HOP_LIMIT + 5; i++) {
        struct ip_endpoint endpoint = endpoint_of(i);

        destination_note_failure(destination, &endpoint);
        CHECK_TRUE("bounded", destination_has_failed(destination, &endpoint));
    }
    destination_pool_release(pool, &destination);
    destination_pool_free(&pool);
    event_loop_free(&loop);
}

static void test_first_of_equal_hosts_had_all_the_load(void **state)
{
    static const struct next_hop hops[] = {
        {.host = BYTES("a"), .preference = 10}, {.host = BYTES("a"), .preference = 10},
        {.host = BYTES("b"), .preference = 10}, {.host = BYTES("c"), .preference = 10},
        {.host = BYTES("d"), .preference = 20},
    };
    static const char *const want[] = {"01234", "23014", "30124", "01234"};
    struct event_loop *loop = event_loop_new();
    struct destination_pool *pool = destination_pool_new(loop);
    struct destination *destination = destination_pool_hold(pool, BYTES("a.example"));
    struct next_hop_list list = {.count = COUNT_OF(hops)};

    (void)state;
    memcpy(list.hops, hops, sizeof hops);
    for (size_t turn = 0; turn < COUNT_OF(want); turn++) {
        uint8_t order[NEXT_HOP_LIMIT];
        char got[COUNT_OF(hops) + 1] = "";

        destination_order_hops(destination, &list, order);
        for (size_t i = 0; i < COUNT_OF(hops); i++) {
            got[i] = (char)('0' + order[i]);
        }
        CHECK_TEXT("order", got, want[turn]);
    }
    destination_pool_release(pool, &destination);
    destination_pool_free(&pool);
    event_loop_free(&loop);
}

static void remember_hosts(struct destination_pool *pool, struct destination *destination,
                           const struct next_hop *list, size_t count)
{
    struct next_hops *hops = next_hops_new();

    hops->list.ttl = 300;
    hops->list.count = count;
    memcpy(hops->list.hops, list, count * sizeof *list);
    destination_remember(pool, destination, hops);
    next_hops_drop(&hops);
}

static void test_destinations_with_the_same_hosts_share_them(void **state)
{
    static const struct next_hop ab[] = {{.host = BYTES("a"), .endpoint = {.port = 25}},
                                         {.host = BYTES("b"), .endpoint = {.port = 25}}};
    static const struct next_hop ba[] = {{.host = BYTES("b"), .endpoint = {.port = 25}},
                                         {.host = BYTES("b"), .endpoint = {.port = 25}},
                                         {.host = BYTES("a"), .endpoint = {.port = 25}}};
    static const struct next_hop ranked[] = {
        {.host = BYTES("b"), .preference = 10, .endpoint = {.port = 25}},
        {.host = BYTES("a"), .preference = 20, .endpoint = {.port = 25}}};
    struct event_loop *loop = event_loop_new();
    struct destination_pool *pool = destination_pool_new(loop);
    struct destination *one = destination_pool_hold(pool, BYTES("one.example"));
    struct destination *two = destination_pool_hold(pool, BYTES("two.example"));
    struct ip_endpoint endpoint = endpoint_of(1);

    (void)state;
    CHECK_BYTES("unknown", destination_hosts(one), BYTES(""));
    remember_hosts(pool, one, ab, COUNT_OF(ab));
    remember_hosts(pool, two, ba, COUNT_OF(ba));
    CHECK_BYTES("one", destination_hosts(one), BYTES("a:25,b:25"));
    CHECK_BYTES("two", destination_hosts(two), BYTES("a:25,b:25"));
    destination_note_failure(one, &endpoint);
    CHECK_TRUE("what one finds out the other knows", destination_has_failed(two, &endpoint));
    remember_hosts(pool, two, ranked, COUNT_OF(ranked));
    CHECK_BYTES("another order", destination_hosts(two), BYTES("b:25;a:25"));
    CHECK_TRUE("others now", !destination_has_failed(two, &endpoint));
    CHECK_TRUE("one is as before", destination_has_failed(one, &endpoint));
    destination_pool_forget(pool);
    CHECK_BYTES("forgotten", destination_hosts(one), BYTES(""));
    destination_pool_release(pool, &one);
    destination_pool_release(pool, &two);
    destination_pool_free(&pool);
    event_loop_free(&loop);
}

static void test_a_host_that_fails_again_is_left_alone_longer(void **state)
{
    static const struct {
        const char *name;
        uint64_t want_ms;
    } pauses[] = {{"first", 60000},   {"second", 120000},    {"third", 240000},
                  {"fourth", 480000}, {"fifth", 960000},     {"sixth", 1800000},
                  {"most", 1800000},  {"most, too", 1800000}};
    size_t total = 0;
    struct host_group *group = host_group_new(BYTES("a:25"), 1, &total);
    struct ip_endpoint endpoint = endpoint_of(1);
    uint64_t now_ms = 1000;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pauses); i++) {
        host_group_note_failure(group, &endpoint, now_ms);
        now_ms += pauses[i].want_ms;
        CHECK_TRUE(pauses[i].name, host_group_has_failed(group, &endpoint, now_ms - 1));
        CHECK_TRUE(pauses[i].name, !host_group_has_failed(group, &endpoint, now_ms));
    }
    host_group_note_try(group, &endpoint, now_ms);
    CHECK_TRUE("one tries it, the others do not",
               host_group_has_failed(group, &endpoint, now_ms));
    CHECK_TRUE("the next one after a while",
               !host_group_has_failed(group, &endpoint, now_ms + HOST_PROBE_MS));
    host_group_note_success(group, &endpoint);
    CHECK_TRUE("it greets", !host_group_has_failed(group, &endpoint, now_ms));
    host_group_note_try(group, &endpoint, now_ms);
    CHECK_TRUE("no probes of what works", !host_group_has_failed(group, &endpoint, now_ms));
    host_group_note_failure(group, &endpoint, now_ms);
    CHECK_TRUE("and begins anew", !host_group_has_failed(group, &endpoint, now_ms + 60000));
    host_group_free(&group, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_hops),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_first_of_equal_hosts_had_all_the_load),
        cmocka_unit_test(test_destinations_with_the_same_hosts_share_them),
        cmocka_unit_test(test_a_host_that_fails_again_is_left_alone_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
