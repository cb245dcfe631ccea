#include "auth/dkim_memory.h"

#include "base/memory.h"

#include <stdalign.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#define IS_SANITIZED __has_feature(address_sanitizer)
#else
#define IS_SANITIZED 0
#endif

enum { SMALLEST = 64, SIZES = 9 /* 64 octets to 16 KB */, SYSTEM = SIZES };

/* Before each block. */
struct block {
    struct block *next;
    unsigned size; /* its index, or SYSTEM */
    alignas(max_align_t) char data[];
};

struct dkim_memory {
    struct block *kept[SIZES];
    unsigned count[SIZES];
};

struct dkim_memory *dkim_memory_new(void)
{
    return memory_zero(sizeof(struct dkim_memory));
}

void dkim_memory_free(struct dkim_memory **memory)
{
    if (*memory == NULL) {
        return;
    }
    for (unsigned size = 0; size < SIZES; size++) {
        while ((*memory)->kept[size] != NULL) {
            struct block *block = (*memory)->kept[size];

            (*memory)->kept[size] = block->next;
            free(block);
        }
    }
    free(*memory);
    *memory = NULL;
}

static unsigned size_index(size_t octets)
{
    unsigned index = 0;

    while (index < SIZES && ((size_t)SMALLEST << index) < octets) {
        index++;
    }
    return index;
}

void *dkim_memory_take(void *closure, size_t size)
{
    struct dkim_memory *memory = closure;
    size_t octets = size + DKIM_MEMORY_PADDING;
    unsigned index = memory == NULL || IS_SANITIZED ? SYSTEM : size_index(octets);
    struct block *block;

    if (index < SIZES && memory->kept[index] != NULL) {
        block = memory->kept[index];
        memory->kept[index] = block->next;
        memory->count[index]--;
        return block->data;
    }
    if (index < SIZES) {
        octets = (size_t)SMALLEST << index;
    }
    block = memory_alloc(sizeof *block + octets);
    block->size = index;
    return block->data;
}

void dkim_memory_give(void *closure, void *data)
{
    struct dkim_memory *memory = closure;
    struct block *block;

    if (data == NULL) {
        return;
    }
    block = (struct block *)(void *)((char *)data - offsetof(struct block, data));
    if (block->size == SYSTEM ||
        memory->count[block->size] == DKIM_MEMORY_KEPT / ((size_t)SMALLEST << block->size)) {
        free(block);
        return;
    }
    block->next = memory->kept[block->size];
    memory->kept[block->size] = block;
    memory->count[block->size]++;
}
