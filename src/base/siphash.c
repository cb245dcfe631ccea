#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return (word << bits) | (word >> (64 - bits));
}

static void rounds(struct state *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        s->v0 += s->v1;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v2 = rotate(s->v2, 32);
    }
}

/* ASCII letters to lower case, eight octets at a time: the two sums carry into an octet's top bit from
 * 'A' and from behind 'Z' on, and never into the next octet. */
static uint64_t lower_octets(uint64_t word)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t low = word & (0x7f * each);
    uint64_t from_a = low + (0x80 - 'A') * each;
    uint64_t behind_z = low + (0x7f - 'Z') * each;

    return word | ((from_a & ~behind_z & ~word & (0x80 * each)) >> 2);
}

static uint64_t load_whole(const char *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof word);
    return le64toh(word);
}

static uint64_t load_rest(const char *data, size_t len)
{
    uint64_t word = 0;

    for (size_t i = 0; i < len; i++) {
        word |= (uint64_t)(unsigned char)data[i] << (8 * i);
    }
    return word;
}

static uint64_t hash(const struct siphash_key *key, struct bytes input, bool fold)
{
    struct state s = {key->words[0] ^ 0x736f6d6570736575, key->words[1] ^ 0x646f72616e646f6d,
                      key->words[0] ^ 0x6c7967656e657261, key->words[1] ^ 0x7465646279746573};
    size_t whole = input.len & ~(size_t)7;
    uint64_t last = 0;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = load_whole(input.data + i);
        word = fold ? lower_octets(word) : word;
        s.v3 ^= word;
        rounds(&s, 2);
        s.v0 ^= word;
    }
    if (input.len > whole) {
        last = load_rest(input.data + whole, input.len - whole);
        last = fold ? lower_octets(last) : last;
    }
    last |= (uint64_t)input.len << 56;
    s.v3 ^= last;
    rounds(&s, 2);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash(const struct siphash_key *key, struct bytes input)
{
    return hash(key, input, false);
}

uint64_t siphash_nocase(const struct siphash_key *key, struct bytes input)
{
    return hash(key, input, true);
}
