/*
 * lock - for what several loops share and change, and hold for a moment only.
 *
 * Use   embedded. Nothing that waits, and no other lock, between take and give.
 */
#ifndef IO_LOCK_H
#define IO_LOCK_H

struct lock {
    void *mutex; /* private */
};

void lock_init(struct lock *lock);
void lock_clear(struct lock *lock);
void lock_take(struct lock *lock);
void lock_give(struct lock *lock);

#endif
