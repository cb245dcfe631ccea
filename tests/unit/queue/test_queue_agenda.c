#include "support/check.h"

#include "queue/queue_agenda.h"

enum { ITEMS = 200 };

/* A small generator: the same numbers in every run. */
static uint64_t next_number(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return *seed >> 40;
}

static void test_earliest_first(void **state)
{
    struct queue_agenda_item items[ITEMS] = {0};
    struct queue_agenda agenda;
    uint64_t seed = 1, before = 0;
    size_t taken = 0;

    (void)state;
    queue_agenda_init(&agenda);
    CHECK_TRUE("empty", queue_agenda_first(&agenda) == NULL);
    for (size_t i = 0; i < ITEMS; i++) {
        queue_agenda_set(&agenda, &items[i], next_number(&seed));
    }
    for (size_t i = 0; i < ITEMS; i += 3) {
        queue_agenda_set(&agenda, &items[i], next_number(&seed)); /* moved */
    }
    for (size_t i = 1; i < ITEMS; i += 3) {
        queue_agenda_remove(&agenda, &items[i]);
        queue_agenda_remove(&agenda, &items[i]); /* safe twice */
    }
    for (struct queue_agenda_item *item; (item = queue_agenda_first(&agenda)) != NULL;) {
        CHECK_TRUE("order", item->when_ms >= before);
        before = item->when_ms;
        queue_agenda_remove(&agenda, item);
        taken++;
    }
    CHECK_INT("all that were left", taken, ITEMS - (ITEMS + 1) / 3);
    queue_agenda_clear(&agenda);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_earliest_first),
    };

    return cmocka_run_group_tests_name("queue_agenda", tests, NULL, NULL);
}
