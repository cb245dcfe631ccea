#include "protocol/dns_facts.h"

#include "base/memory.h"

#include <stdlib.h>

struct fact {
    struct bytes name;
    uint32_t hash; /* only to compare fast: there are few, so a plain walk finds them */
    uint16_t type;
    const struct dns_answer *answer; /* NULL: wanted */
};

struct dns_facts {
    struct arena *arena;
    struct fact *facts;
    size_t count, capacity;
    struct dns_question *wanted;
    size_t wanted_count; /* room for as many as there are facts */
    dns_facts_source *source;
    void *source_context;
};

static const struct dns_answer no_such_name = {.status = DNS_NXDOMAIN};
static const struct dns_answer too_many = {.status = DNS_TEMPFAIL, .why = "too-many-questions"};

struct dns_facts *dns_facts_new(void)
{
    struct dns_facts *facts = memory_zero(sizeof *facts);

    facts->arena = arena_new();
    return facts;
}

void dns_facts_free(struct dns_facts **facts)
{
    if (*facts == NULL) {
        return;
    }
    arena_free(&(*facts)->arena);
    free((*facts)->facts);
    free((*facts)->wanted);
    free(*facts);
    *facts = NULL;
}

void dns_facts_reset(struct dns_facts *facts)
{
    arena_reset(facts->arena);
    facts->count = 0;
    facts->wanted_count = 0;
}

/* FNV-1a. Not keyed: strangers who make it collide gain nothing among DNS_FACTS_LIMIT names. */
static uint32_t hash_of(struct bytes name, uint16_t type)
{
    uint32_t hash = 2166136261u ^ type;

    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ (uint8_t)name.data[i]) * 16777619u;
    }
    return hash;
}

static struct fact *find_fact(const struct dns_facts *facts, struct bytes name, uint16_t type,
                              uint32_t hash)
{
    for (size_t i = 0; i < facts->count; i++) {
        struct fact *fact = &facts->facts[i];

        if (fact->hash == hash && fact->type == type && bytes_equal(fact->name, name)) {
            return fact;
        }
    }
    return NULL;
}

/* NULL: there are as many as there may be. */
static struct fact *add_fact(struct dns_facts *facts, struct bytes name, uint16_t type,
                             uint32_t hash)
{
    struct fact *fact;

    if (facts->count == DNS_FACTS_LIMIT) {
        return NULL;
    }
    if (facts->count == facts->capacity) {
        facts->capacity = facts->capacity == 0 ? 16 : facts->capacity * 2;
        facts->facts = memory_resize(facts->facts, facts->capacity, sizeof *facts->facts);
        facts->wanted = memory_resize(facts->wanted, facts->capacity, sizeof *facts->wanted);
    }
    fact = &facts->facts[facts->count++];
    *fact = (struct fact){
        .name = arena_copy(facts->arena, name), .type = type, .hash = hash, .answer = NULL};
    return fact;
}

static void keep_answer(struct dns_facts *facts, struct fact *fact,
                        const struct dns_answer *answer)
{
    struct dns_answer *copy = arena_alloc(facts->arena, sizeof *copy);

    dns_answer_copy(answer, arena_alloc(facts->arena, dns_answer_size(answer) + 1), copy);
    fact->answer = copy;
}

void dns_facts_set_source(struct dns_facts *facts, dns_facts_source *source, void *context)
{
    facts->source = source;
    facts->source_context = context;
}

const struct dns_answer *dns_facts_get(struct dns_facts *facts, struct bytes name,
                                       uint16_t type)
{
    struct dns_name normal;
    struct bytes key;
    uint32_t hash;
    struct fact *fact;
    struct dns_answer known;

    if (!dns_name_read(name, &normal)) {
        return &no_such_name;
    }
    key = bytes_of(normal.octets, normal.len);
    hash = hash_of(key, type);
    fact = find_fact(facts, key, type, hash);
    if (fact != NULL) {
        return fact->answer;
    }
    fact = add_fact(facts, key, type, hash);
    if (fact == NULL) {
        return &too_many;
    }
    if (facts->source != NULL && facts->source(facts->source_context, key, type, &known)) {
        keep_answer(facts, fact, &known);
        return fact->answer;
    }
    facts->wanted[facts->wanted_count++] = (struct dns_question){fact->name, type};
    return NULL;
}

const struct dns_question *dns_facts_wanted(const struct dns_facts *facts, size_t *count)
{
    *count = facts->wanted_count;
    return facts->wanted;
}

size_t dns_facts_count(const struct dns_facts *facts)
{
    return facts->count;
}

static void drop_wanted(struct dns_facts *facts, struct bytes name, uint16_t type)
{
    for (size_t i = 0; i < facts->wanted_count; i++) {
        if (facts->wanted[i].type == type && bytes_equal(facts->wanted[i].name, name)) {
            facts->wanted_count--;
            memmove(&facts->wanted[i], &facts->wanted[i + 1],
                    (facts->wanted_count - i) * sizeof *facts->wanted);
            return;
        }
    }
}

void dns_facts_put(struct dns_facts *facts, struct bytes name, uint16_t type,
                   const struct dns_answer *answer)
{
    struct dns_name normal;
    struct bytes key;
    uint32_t hash;
    struct fact *fact;

    if (!dns_name_read(name, &normal)) {
        return; /* dns_facts_get knows the answer without us */
    }
    key = bytes_of(normal.octets, normal.len);
    hash = hash_of(key, type);
    fact = find_fact(facts, key, type, hash);
    if (fact == NULL) {
        fact = add_fact(facts, key, type, hash);
    }
    if (fact == NULL) {
        return;
    }
    keep_answer(facts, fact, answer);
    drop_wanted(facts, key, type);
}
