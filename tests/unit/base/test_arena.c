#include "support/check.h"

#include "base/arena.h"

#include <stdalign.h>

static void memory_is_aligned_clear_and_apart(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (int round = 0; round < 3; round++) {
        unsigned char *before = NULL;
        size_t before_size = 0;

        for (size_t size = 0; size < 3000; size += 37) {
            unsigned char *data = arena_alloc(arena, size);

            CHECK_INT("aligned", (uintptr_t)data % alignof(max_align_t), 0);
            for (size_t i = 0; i < size; i++) {
                CHECK_INT("clear", data[i], 0);
            }
            memset(data, 0xff, size);
            for (size_t i = 0; i < before_size; i++) {
                CHECK_INT("the one before is untouched", before[i], 0xff);
            }
            before = data;
            before_size = size;
        }
        CHECK_TRUE("counted", arena_used(arena) > 100000);
        arena_reset(arena);
        CHECK_INT("given back", arena_used(arena), 0);
    }
    arena_free(&arena);
    assert_null(arena);
    arena_free(&arena);
}

static void copies_are_their_own(void **state)
{
    struct arena *arena = arena_new();
    char text[] = "a\0b";
    struct bytes copy = arena_copy(arena, bytes_of(text, 3));
    char *terminated = arena_copy_text(arena, BYTES("xyz"));

    (void)state;
    text[0] = '?';
    CHECK_BYTES("copy", copy, BYTES("a\0b"));
    CHECK_TEXT("text", terminated, "xyz");
    CHECK_INT("empty copy", arena_copy(arena, (struct bytes){NULL, 0}).len, 0);
    CHECK_TEXT("empty text", arena_copy_text(arena, (struct bytes){NULL, 0}), "");
    arena_free(&arena);
}

static void large_blocks_fit(void **state)
{
    struct arena *arena = arena_new();
    char *large = arena_alloc(arena, 1000000);

    (void)state;
    memset(large, 1, 1000000);
    assert_non_null(arena_alloc(arena, 1));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_clear_and_apart),
        cmocka_unit_test(copies_are_their_own),
        cmocka_unit_test(large_blocks_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
