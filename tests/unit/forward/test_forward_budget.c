#include "support/check.h"

#include "forward/forward_budget.h"

#include <stdio.h>

#define HOUR_MS (UINT64_C(3600) * 1000)

static const struct siphash_key hash_key = {{1, 2}};

static bool send_on(struct forward_budget *budget, const char *key,
                    struct forward_limits limits, uint64_t now_ms)
{
    bool has_room = forward_budget_has(budget, bytes_from_text(key), limits, now_ms);

    if (has_room) {
        forward_budget_take(budget, bytes_from_text(key), limits, now_ms);
    }
    return has_room;
}

static unsigned run(struct forward_budget *budget, const char *key,
                    struct forward_limits limits, uint64_t from_ms, uint64_t until_ms)
{
    unsigned sent = 0;

    for (uint64_t now_ms = from_ms; now_ms < until_ms; now_ms += 10000) {
        sent += send_on(budget, key, limits, now_ms);
    }
    return sent;
}

static void test_an_hour_and_a_day(void **state)
{
    static const struct {
        const char *name;
        struct forward_limits limits;
        unsigned want_hour, want_day; /* one tried every ten seconds */
    } cases[] = {
        {"no limit", {0, 0}, 360, 8640},
        {"an hour", {20, 0}, 39, 499},
        {"a day", {0, 100}, 104, 199},
        {"both", {20, 100}, 39, 199},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct forward_budget *budget = forward_budget_new(hash_key, 10);
        CHECK_INT(cases[i].name, run(budget, "a", cases[i].limits, 0, HOUR_MS),
                  cases[i].want_hour);
        CHECK_TRUE(cases[i].name, send_on(budget, "b", cases[i].limits, HOUR_MS));
        CHECK_INT(cases[i].name,
                  cases[i].want_hour + run(budget, "a", cases[i].limits, HOUR_MS, 24 * HOUR_MS),
                  cases[i].want_day);
        forward_budget_free(&budget);
    }
}

/* To ask is free, and leaves nothing behind. */
static void test_only_what_is_sent_counts(void **state)
{
    struct forward_limits limits = {1, 0};
    struct forward_budget *budget = forward_budget_new(hash_key, 10);

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        CHECK_TRUE("asked", forward_budget_has(budget, BYTES("a"), limits, 0));
    }
    CHECK_INT("nothing kept", forward_budget_count(budget), 0);
    CHECK_TRUE("sent", send_on(budget, "a", limits, 0));
    CHECK_TRUE("and no more", !send_on(budget, "a", limits, HOUR_MS - 1));
    CHECK_TRUE("in any case", !send_on(budget, "A", limits, HOUR_MS - 1));
    CHECK_TRUE("an hour later", send_on(budget, "a", limits, HOUR_MS));
    forward_budget_free(&budget);
}

static void test_more_than_there_is_room(void **state)
{
    struct forward_limits limits = {1, 0};
    struct forward_budget *budget = forward_budget_new(hash_key, 10);
    char key[32];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key %u", i);
        CHECK_TRUE(key, send_on(budget, key, limits, 0));
    }
    CHECK_INT("bounded", forward_budget_count(budget), 10);
    CHECK_TRUE("the last ones are known", !send_on(budget, "key 999", limits, 0));
    CHECK_TRUE("the first are not", send_on(budget, "key 0", limits, 0));
    forward_budget_free(&budget);
}

static void test_what_counts_together(void **state)
{
    static const struct {
        const char *name, *own, *local, *domain;
        struct forward_limits limits;
        bool want; /* as the first */
    } cases[] = {
        {"itself", "own.test", "anna", "x.test", {1, 2}, true},
        {"another domain of ours", "other.test", "anna", "x.test", {1, 2}, false},
        {"another mailbox", "own.test", "bob", "x.test", {1, 2}, false},
        {"another destination", "own.test", "anna", "y.test", {1, 2}, false},
        {"other limits", "own.test", "anna", "x.test", {12, 0}, false},
    };
    struct strbuf first, key;

    (void)state;
    strbuf_init(&first, FORWARD_KEY_LIMIT);
    strbuf_init(&key, FORWARD_KEY_LIMIT);
    forward_budget_add_mailbox_key(&first, BYTES("own.test"), BYTES("anna"), BYTES("x.test"),
                                   cases[0].limits);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        strbuf_reset(&key);
        forward_budget_add_mailbox_key(&key, bytes_from_text(cases[i].own),
                                       bytes_from_text(cases[i].local),
                                       bytes_from_text(cases[i].domain), cases[i].limits);
        CHECK_INT(cases[i].name, bytes_equal(strbuf_bytes(&key), strbuf_bytes(&first)),
                  cases[i].want);
    }
    strbuf_clear(&first);
    strbuf_clear(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_hour_and_a_day),
        cmocka_unit_test(test_only_what_is_sent_counts),
        cmocka_unit_test(test_more_than_there_is_room),
        cmocka_unit_test(test_what_counts_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
