#include "base/arena.h"

#include "base/memory.h"

#include <stdalign.h>
#include <stdlib.h>

/* The first blocks are of a size that malloc keeps ready; most arenas need no others. */
enum { SMALL_BLOCK = 1024 - 32, BLOCK = 8 * 1024 - 32, SMALL_USE = 3 * SMALL_BLOCK };

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) char data[];
};

struct arena {
    struct arena_block *blocks; /* newest first; the last one is the first made */
    size_t used;
};

struct arena *arena_new(void)
{
    return memory_zero(sizeof(struct arena));
}

void arena_free(struct arena **arena)
{
    if (*arena == NULL) {
        return;
    }
    for (struct arena_block *block = (*arena)->blocks; block != NULL;) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    free(*arena);
    *arena = NULL;
}

void arena_free_wiped(struct arena **arena)
{
    if (*arena != NULL) {
        for (struct arena_block *block = (*arena)->blocks; block != NULL; block = block->next) {
            memory_wipe(block->data, block->used);
        }
        arena_free(arena);
    }
}

void arena_reset(struct arena *arena)
{
    while (arena->blocks != NULL && arena->blocks->next != NULL) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    if (arena->blocks != NULL) {
        arena->blocks->used = 0;
    }
    arena->used = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t size)
{
    size_t usual = arena->used < SMALL_USE ? SMALL_BLOCK : BLOCK;
    struct arena_block *block;

    if (size < usual) {
        size = usual;
    }
    block = memory_alloc(sizeof *block + size);
    *block = (struct arena_block){.next = arena->blocks, .size = size};
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *block = arena->blocks;
    void *data;

    if (rounded == 0) {
        rounded = alignof(max_align_t);
    }
    if (block == NULL || block->size - block->used < rounded) {
        block = add_block(arena, rounded);
    }
    data = block->data + block->used;
    block->used += rounded;
    arena->used += rounded;
    memset(data, 0, size);
    return data;
}

struct bytes arena_copy(struct arena *arena, struct bytes view)
{
    return bytes_of(arena_copy_text(arena, view), view.len);
}

struct bytes arena_copy_lower(struct arena *arena, struct bytes view)
{
    char *copy = arena_copy_text(arena, view);

    bytes_fold(copy, view);
    return bytes_of(copy, view.len);
}

char *arena_copy_text(struct arena *arena, struct bytes view)
{
    char *copy = arena_alloc(arena, view.len + 1);

    if (view.len > 0) {
        memcpy(copy, view.data, view.len);
    }
    return copy;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
