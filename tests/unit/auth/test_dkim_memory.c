#include "support/check.h"

#include "auth/dkim_memory.h"

/* What is kept or not, the sanitizers see: every octet is written, and nothing may stay behind. */

static const size_t sizes[] = {
    0, 1, 47, 48, 49, 1000, 4080, DKIM_MEMORY_BLOCK - 16, DKIM_MEMORY_BLOCK - 15, 100000};

enum { BLOCKS = 10000 };

/* As many blocks of each size as have so many octets together, or one. */
static void take_and_give(struct dkim_memory *memory, size_t octets)
{
    static char *blocks[BLOCKS];

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t count = octets / (sizes[i] + 64) + 1;

        CHECK_TRUE("enough room here", count <= BLOCKS);
        for (size_t j = 0; j < count; j++) {
            blocks[j] = dkim_memory_take(memory, sizes[i]);
            CHECK_INT("aligned", (uintptr_t)blocks[j] % _Alignof(max_align_t), 0);
            memset(blocks[j], (int)j, sizes[i] + DKIM_MEMORY_PADDING);
        }
        for (size_t j = 0; j < count; j++) {
            CHECK_INT("one's own", blocks[j][sizes[i] + DKIM_MEMORY_PADDING - 1], (char)j);
            dkim_memory_give(memory, blocks[j]);
        }
    }
}

static void test_more_than_is_kept(void **state)
{
    struct dkim_memory *memory = dkim_memory_new();

    (void)state;
    take_and_give(memory, 2 * DKIM_MEMORY_KEPT);
    take_and_give(memory, 1);
    take_and_give(memory, DKIM_MEMORY_KEPT);
    dkim_memory_free(&memory);
    CHECK_TRUE("gone", memory == NULL);
    dkim_memory_free(&memory);
}

static void test_without_a_memory(void **state)
{
    (void)state;
    take_and_give(NULL, 3000);
    dkim_memory_give(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_than_is_kept),
        cmocka_unit_test(test_without_a_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
