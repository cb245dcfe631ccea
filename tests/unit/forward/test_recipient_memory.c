#include "support/check.h"

#include "forward/recipient_memory.h"

static const struct siphash_key key = {{1, 2}};

static const struct recipient_answer refused = {true, true, 550, "5.1.1", {"no such user", 12}};
static const struct recipient_answer accepted = {false, false, 250, "2.1.5", {"ok", 2}};

static void test_time(void **state)
{
    struct recipient_memory *memory = recipient_memory_new(key, 10);
    const struct recipient_answer *answer;

    (void)state;
    CHECK_TRUE("nothing yet", recipient_memory_get(memory, BYTES("a@x"), 0) == NULL);
    recipient_memory_put(memory, BYTES("a@x"), &refused, 1000);
    recipient_memory_put(memory, BYTES("b@x"), &accepted, 5000);
    answer = recipient_memory_get(memory, BYTES("a@x"), 999);
    assert_non_null(answer);
    CHECK_TRUE("refused", answer->is_refused);
    CHECK_INT("code", answer->code, 550);
    CHECK_TEXT("enhanced", answer->enhanced, "5.1.1");
    CHECK_BYTES("text", answer->text, BYTES("no such user"));
    CHECK_TRUE("over", recipient_memory_get(memory, BYTES("a@x"), 1000) == NULL);
    CHECK_INT("and gone", recipient_memory_count(memory), 1);
    CHECK_TRUE("case of the local part counts",
               recipient_memory_get(memory, BYTES("B@x"), 999) == NULL);
    answer = recipient_memory_get(memory, BYTES("b@x"), 4999);
    CHECK_TRUE("the other one is not", answer != NULL && !answer->is_refused);
    recipient_memory_put(memory, BYTES("b@x"), &refused, 9000);
    answer = recipient_memory_get(memory, BYTES("b@x"), 8000);
    CHECK_TRUE("replaced", answer != NULL && answer->is_refused);
    recipient_memory_forget(memory);
    CHECK_INT("forgotten", recipient_memory_count(memory), 0);
    recipient_memory_free(&memory);
    CHECK_TRUE("freed", memory == NULL);
}

static void test_the_longest_unused_goes(void **state)
{
    struct recipient_memory *memory = recipient_memory_new(key, 3);

    (void)state;
    recipient_memory_put(memory, BYTES("a@x"), &accepted, 1000);
    recipient_memory_put(memory, BYTES("b@x"), &accepted, 1000);
    recipient_memory_put(memory, BYTES("c@x"), &accepted, 1000);
    CHECK_TRUE("used", recipient_memory_get(memory, BYTES("a@x"), 1) != NULL);
    recipient_memory_put(memory, BYTES("d@x"), &accepted, 1000);
    CHECK_INT("no more than three", recipient_memory_count(memory), 3);
    CHECK_TRUE("b went", recipient_memory_get(memory, BYTES("b@x"), 1) == NULL);
    CHECK_TRUE("a stays", recipient_memory_get(memory, BYTES("a@x"), 1) != NULL);
    recipient_memory_put(memory, BYTES("d@x"), &refused, 1000);
    CHECK_TRUE("one that is known pushes nobody out",
               recipient_memory_get(memory, BYTES("c@x"), 1) != NULL);
    recipient_memory_free(&memory);
}

static void test_long_texts_are_cut(void **state)
{
    static char words[RECIPIENT_TEXT_KEPT + 50];
    struct recipient_answer answer = refused;
    struct recipient_memory *memory = recipient_memory_new(key, 3);

    (void)state;
    memset(words, 'w', sizeof words);
    answer.text = bytes_of(words, sizeof words);
    recipient_memory_put(memory, BYTES("a@x"), &answer, 1000);
    CHECK_INT("length", recipient_memory_get(memory, BYTES("a@x"), 1)->text.len,
              RECIPIENT_TEXT_KEPT);
    answer.text = BYTES("");
    recipient_memory_put(memory, BYTES("a@x"), &answer, 1000);
    CHECK_INT("none", recipient_memory_get(memory, BYTES("a@x"), 1)->text.len, 0);
    recipient_memory_free(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_the_longest_unused_goes),
        cmocka_unit_test(test_long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
