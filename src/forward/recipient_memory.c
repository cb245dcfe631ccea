#include "forward/recipient_memory.h"

#include "base/hash_table.h"
#include "base/list.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct known_recipient {
    struct list node; /* in memory->known, longest unused first */
    struct recipient_answer answer;
    uint64_t until_ms;
    char enhanced[12];
    struct bytes key; /* behind the struct, and the text behind it */
};

struct recipient_memory {
    struct hash_table *by_address;
    struct list known;
    size_t limit;
};

struct recipient_memory *recipient_memory_new(struct siphash_key key, size_t limit)
{
    struct recipient_memory *memory = memory_zero(sizeof *memory);

    memory->by_address = hash_table_new(key);
    memory->limit = limit;
    list_init(&memory->known);
    return memory;
}

static void drop(struct recipient_memory *memory, struct known_recipient *known)
{
    hash_table_remove(memory->by_address, known->key);
    list_remove(&known->node);
    free(known);
}

static struct known_recipient *longest_unused(struct recipient_memory *memory)
{
    return list_owner(memory->known.next, struct known_recipient, node);
}

void recipient_memory_forget(struct recipient_memory *memory)
{
    while (!list_is_empty(&memory->known)) {
        drop(memory, longest_unused(memory));
    }
}

void recipient_memory_free(struct recipient_memory **memory)
{
    if (*memory == NULL) {
        return;
    }
    recipient_memory_forget(*memory);
    hash_table_free(&(*memory)->by_address);
    free(*memory);
    *memory = NULL;
}

size_t recipient_memory_count(const struct recipient_memory *memory)
{
    return hash_table_count(memory->by_address);
}

void recipient_memory_put(struct recipient_memory *memory, struct bytes address,
                          const struct recipient_answer *answer, uint64_t until_ms)
{
    struct known_recipient *known = hash_table_get(memory->by_address, address);
    struct bytes text = bytes_first(answer->text, RECIPIENT_TEXT_KEPT);
    char *octets;

    if (known != NULL) {
        drop(memory, known);
    } else if (recipient_memory_count(memory) >= memory->limit) {
        drop(memory, longest_unused(memory));
    }
    known = memory_zero(sizeof *known + address.len + text.len + 1);
    octets = (char *)(known + 1);
    memcpy(octets, address.data, address.len);
    memcpy(octets + address.len, text.data, text.len);
    known->key = bytes_of(octets, address.len);
    known->answer = *answer;
    known->answer.text = bytes_of(octets + address.len, text.len);
    snprintf(known->enhanced, sizeof known->enhanced, "%s", answer->enhanced);
    known->answer.enhanced = known->enhanced;
    known->until_ms = until_ms;
    list_init(&known->node);
    list_append(&memory->known, &known->node);
    hash_table_put(memory->by_address, known->key, known);
}

const struct recipient_answer *recipient_memory_get(struct recipient_memory *memory,
                                                    struct bytes address, uint64_t now_ms)
{
    struct known_recipient *known = hash_table_get(memory->by_address, address);

    if (known == NULL) {
        return NULL;
    }
    if (known->until_ms <= now_ms) {
        drop(memory, known);
        return NULL;
    }
    list_remove(&known->node);
    list_append(&memory->known, &known->node);
    return &known->answer;
}
