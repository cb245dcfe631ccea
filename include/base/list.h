/*
 * list - doubly linked, intrusive: the node is a member of what it links.
 *
 * Use     a list head is a node that points to itself; list_owner() finds the struct around a
 *         node. Removing a node twice is safe (it points to itself after removal).
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

#define list_owner(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_insert(struct list *where, struct list *node)
{
    node->next = where->next;
    node->previous = where;
    where->next->previous = node;
    where->next = node;
}

static inline void list_append(struct list *list, struct list *node)
{
    list_insert(list->previous, node);
}

static inline void list_remove(struct list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

#endif
