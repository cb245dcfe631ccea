/* What a header says of its way: every part lies in the arena's copy or is empty, indexes name hops. */
#include "base/memory.h"
#include "mail/hop_path.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct hop_path *path = memory_zero(sizeof *path);
    size_t known = 0;

    hop_path_read(bytes_of((const char *)data, size), arena, path);
    if (path->count > HOP_LIMIT || path->slowest > path->count ||
        (path->left_out > 0 && path->count != HOP_LIMIT)) {
        abort();
    }
    for (size_t i = 0; i < path->count; i++) {
        known += path->hops[i].has_time;
        if (path->hops[i].has_delay && (!path->hops[i].has_time || known < 2)) {
            abort();
        }
    }
    for (size_t i = 0; i < path->verdict_count; i++) {
        if (path->verdicts[i].hop >= (path->count == 0 ? 1 : path->count)) {
            abort();
        }
    }
    arena_free(&arena);
    free(path);
    return 0;
}
