#include "queue/queue_agenda.h"

#include "base/memory.h"

#include <stdlib.h>

void queue_agenda_init(struct queue_agenda *agenda)
{
    *agenda = (struct queue_agenda){0};
}

void queue_agenda_clear(struct queue_agenda *agenda)
{
    free(agenda->items);
    queue_agenda_init(agenda);
}

/* Places count from 1, so that the children of n are 2n and 2n + 1. */
static void put(struct queue_agenda *agenda, size_t place, struct queue_agenda_item *item)
{
    agenda->items[place - 1] = item;
    item->place = place;
}

static struct queue_agenda_item *at(const struct queue_agenda *agenda, size_t place)
{
    return agenda->items[place - 1];
}

static void sift_up(struct queue_agenda *agenda, struct queue_agenda_item *item)
{
    size_t place = item->place;

    while (place > 1 && at(agenda, place / 2)->when_ms > item->when_ms) {
        put(agenda, place, at(agenda, place / 2));
        place /= 2;
    }
    put(agenda, place, item);
}

static void sift_down(struct queue_agenda *agenda, struct queue_agenda_item *item)
{
    size_t place = item->place;

    for (;;) {
        size_t child = place * 2;
        if (child > agenda->count) {
            break;
        }
        if (child < agenda->count &&
            at(agenda, child + 1)->when_ms < at(agenda, child)->when_ms) {
            child++;
        }
        if (at(agenda, child)->when_ms >= item->when_ms) {
            break;
        }
        put(agenda, place, at(agenda, child));
        place = child;
    }
    put(agenda, place, item);
}

void queue_agenda_set(struct queue_agenda *agenda, struct queue_agenda_item *item,
                      uint64_t when_ms)
{
    item->when_ms = when_ms;
    if (item->place == 0) {
        if (agenda->count == agenda->capacity) {
            agenda->capacity = agenda->capacity == 0 ? 64 : agenda->capacity * 2;
            agenda->items =
                memory_resize(agenda->items, agenda->capacity, sizeof *agenda->items);
        }
        agenda->count++;
        put(agenda, agenda->count, item);
    }
    sift_up(agenda, item);
    sift_down(agenda, item);
}

void queue_agenda_remove(struct queue_agenda *agenda, struct queue_agenda_item *item)
{
    if (item->place == 0) {
        return;
    }
    struct queue_agenda_item *last = at(agenda, agenda->count);

    agenda->count--;
    if (last != item) {
        put(agenda, item->place, last);
        sift_up(agenda, last);
        sift_down(agenda, last);
    }
    item->place = 0;
}

struct queue_agenda_item *queue_agenda_first(const struct queue_agenda *agenda)
{
    return agenda->count == 0 ? NULL : at(agenda, 1);
}
