#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(void)
{
    fputs("postilion: out of memory\n", stderr);
    abort();
}

void *memory_alloc(size_t size)
{
    void *data = malloc(size == 0 ? 1 : size);

    if (data == NULL) {
        die();
    }
    return data;
}

void *memory_zero(size_t size)
{
    void *data = calloc(1, size == 0 ? 1 : size);

    if (data == NULL) {
        die();
    }
    return data;
}

void *memory_resize(void *old, size_t count, size_t size)
{
    void *data;

    if (size != 0 && count > SIZE_MAX / size) {
        die();
    }
    data = realloc(old, count * size == 0 ? 1 : count * size);
    if (data == NULL) {
        die();
    }
    return data;
}

void memory_wipe(void *data, size_t size)
{
    explicit_bzero(data, size);
}
