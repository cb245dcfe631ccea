/*
 * recipient_memory - what servers said of recipients, for a while.
 *
 * Key     the address: local part as it is, domain in lower case (the caller sees to that).
 * Time    milliseconds of any clock that does not go back, given by the caller; an entry is good until its
 *         own end.
 * Limit   as many entries as recipient_memory_new says; the longest unused goes first. The hash is keyed:
 *         strangers choose the local parts.
 */
#ifndef FORWARD_RECIPIENT_MEMORY_H
#define FORWARD_RECIPIENT_MEMORY_H

#include "base/siphash.h"

enum { RECIPIENT_TEXT_KEPT = 300 };

struct recipient_answer {
    bool is_refused;      /* for good; otherwise it was accepted */
    bool is_unknown;      /* refused, because there is no such recipient */
    unsigned code;        /* of the reply */
    const char *enhanced; /* "5.1.1" */
    struct bytes text;    /* of the reply, without the codes; cut at RECIPIENT_TEXT_KEPT */
};

struct recipient_memory;

struct recipient_memory *recipient_memory_new(struct siphash_key key, size_t limit);
void recipient_memory_free(struct recipient_memory **memory); /* safe on NULL */
size_t recipient_memory_count(const struct recipient_memory *memory);
void recipient_memory_forget(struct recipient_memory *memory);

/* Replaces what was known of the address. */
void recipient_memory_put(struct recipient_memory *memory, struct bytes address,
                          const struct recipient_answer *answer, uint64_t until_ms);
/* NULL: nothing is known, or not any more. Good until the next call of any function here. */
const struct recipient_answer *recipient_memory_get(struct recipient_memory *memory,
                                                    struct bytes address, uint64_t now_ms);

#endif
