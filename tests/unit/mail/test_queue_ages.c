#include "support/check.h"

#include "mail/queue_ages.h"

#include <stdio.h>

static void add(struct queue_ages *ages, const char *name, size_t bucket, uint64_t count,
                uint64_t held)
{
    struct queue_ages_row row = {.destination = bytes_from_text(name), .held = held};

    row.due[bucket] = count;
    queue_ages_add(ages, &row);
}

static void as_text(void **state)
{
    struct queue_ages *ages = queue_ages_new(0);
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 10000);
    queue_ages_print(ages, &out, false);
    CHECK_TEXT("empty", strbuf_text(&out), "The queue is empty.\n");
    strbuf_reset(&out);
    add(ages, "few.example", 0, 1, 0);
    add(ages, "many.example", 9, 7, 2);
    queue_ages_print(ages, &out, false);
    CHECK_TEXT(
        "the most first", strbuf_text(&out),
        "                                       T       5      10      20      40      80"
        "     160     320     640    1280   1280+    held\n"
        "TOTAL                                 10       1       0       0       0       0"
        "       0       0       0       0       7       2\n"
        "many.example                           9       0       0       0       0       0"
        "       0       0       0       0       7       2\n"
        "few.example                            1       1       0       0       0       0"
        "       0       0       0       0       0       0\n");
    strbuf_clear(&out);
    queue_ages_free(&ages);
}

static void as_json(void **state)
{
    struct queue_ages *ages = queue_ages_new(0);
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 10000);
    queue_ages_print(ages, &out, true);
    CHECK_TEXT("empty", strbuf_text(&out), "");
    add(ages, "a\"b", 1, 3, 1);
    queue_ages_print(ages, &out, true);
    CHECK_TEXT(
        "one", strbuf_text(&out),
        "{\"destination\":\"a\\\"b\",\"total\":4,\"held\":1,\"due\":[0,3,0,0,0,0,0,0,0,0]}\n");
    strbuf_clear(&out);
    queue_ages_free(&ages);
}

/* However many there are, and in whatever order they come, those with the most stay. */
static void most_are_kept(void **state)
{
    struct queue_ages *ages = queue_ages_new(3);
    struct strbuf out;
    char name[20];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "d%03u.example", i);
        add(ages, name, 0, i * 7919 % 1000 + 1, 0);
    }
    strbuf_init(&out, 10000);
    queue_ages_print(ages, &out, false);
    CHECK_TRUE("all are counted", strstr(strbuf_text(&out), " 500500 ") != NULL);
    CHECK_TRUE("the most", strstr(strbuf_text(&out), "    1000    1000  ") != NULL);
    CHECK_TRUE("third", strstr(strbuf_text(&out), "     998     998  ") != NULL);
    CHECK_TRUE("no fourth", strstr(strbuf_text(&out), "     997     997  ") == NULL);
    CHECK_TRUE("said", strstr(strbuf_text(&out), "and 997 more destinations\n") != NULL);
    strbuf_clear(&out);
    queue_ages_free(&ages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_text),
        cmocka_unit_test(as_json),
        cmocka_unit_test(most_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
