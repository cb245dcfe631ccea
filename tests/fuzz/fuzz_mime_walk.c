/*
 * A message: what is found in it does not depend on how it is cut; memory stays small; a walk that was
 * too complex stays so.
 */
#include "mail/mime_walk.h"

#include <stdlib.h>

enum { MEMORY_LIMIT = 256 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* In a long line several readings are fed piece by piece: their findings may take turns. */
struct tally {
    uint64_t findings, octets, sum;
};

static void on_found(void *context, enum mime_finding finding, struct bytes text)
{
    struct tally *tally = context;
    uint64_t hash = 14695981039346656037u + finding;

    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (unsigned char)text.data[i]) * 1099511628211u;
    }
    tally->findings++;
    tally->octets += text.len;
    tally->sum += hash;
}

static enum mime_trouble walk_by(struct bytes message, size_t fixed_step, struct tally *tally)
{
    struct mime_walk *walk = mime_walk_new(on_found, tally);
    enum mime_trouble trouble = MIME_NO_TROUBLE;

    while (message.len > 0) {
        size_t step = fixed_step != 0 ? fixed_step : 1 + ((unsigned char)message.data[0] & 31);

        mime_walk_add(walk, bytes_first(message, step));
        message = bytes_skip(message, step);
        require(mime_walk_trouble(walk) >= trouble);
        trouble = mime_walk_trouble(walk);
        require((mime_walk_why(walk) == NULL) == (trouble == MIME_NO_TROUBLE));
        require(mime_walk_memory(walk) <= MEMORY_LIMIT);
    }
    mime_walk_end(walk);
    trouble = mime_walk_trouble(walk);
    mime_walk_free(&walk);
    return trouble;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t STEPS[] = {SIZE_MAX, 1, 0};
    struct tally tallies[3] = {{0}};
    enum mime_trouble troubles[3];

    for (int i = 0; i < 3; i++) {
        troubles[i] = walk_by(bytes_of(data, size), STEPS[i], &tallies[i]);
        require(troubles[i] == troubles[0]);
        if (troubles[0] != MIME_TOO_COMPLEX) {
            require(memcmp(&tallies[i], &tallies[0], sizeof tallies[0]) == 0);
        }
    }
    return 0;
}
