/*
 * queue_agenda - things by the time they want to be woken; the earliest first.
 *
 * Shape   a binary heap of items that are members of what they are about (*borrowed*); setting,
 *         moving and taking out cost log n and no allocation but the heap's own growth.
 */
#ifndef QUEUE_AGENDA_H
#define QUEUE_AGENDA_H

#include <stddef.h>
#include <stdint.h>

struct queue_agenda_item {
    uint64_t when_ms;
    size_t place; /* private: 1.. in the heap, 0: not in it */
};

struct queue_agenda {
    struct queue_agenda_item **items;
    size_t count, capacity;
};

void queue_agenda_init(struct queue_agenda *agenda);
void queue_agenda_clear(struct queue_agenda *agenda);
/* Puts it in or moves it. */
void queue_agenda_set(struct queue_agenda *agenda, struct queue_agenda_item *item,
                      uint64_t when_ms);
void queue_agenda_remove(struct queue_agenda *agenda, struct queue_agenda_item *item);
/* The earliest, or NULL. */
struct queue_agenda_item *queue_agenda_first(const struct queue_agenda *agenda);

#endif
