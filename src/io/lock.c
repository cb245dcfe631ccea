#include "io/lock.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>

void lock_init(struct lock *lock)
{
    pthread_mutex_t *mutex = memory_alloc(sizeof *mutex);

    pthread_mutex_init(mutex, NULL);
    lock->mutex = mutex;
}

void lock_clear(struct lock *lock)
{
    pthread_mutex_destroy(lock->mutex);
    free(lock->mutex);
    lock->mutex = NULL;
}

void lock_take(struct lock *lock)
{
    pthread_mutex_lock(lock->mutex);
}

void lock_give(struct lock *lock)
{
    pthread_mutex_unlock(lock->mutex);
}
