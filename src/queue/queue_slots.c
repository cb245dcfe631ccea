/*
 * How many attempts are open at once, so that those that are slow keep nobody else waiting.
 *
 *   fresh  an attempt that has just begun takes one of QUEUE_ATTEMPTS places.
 *   slow   when it has been open for QUEUE_SLOW_MS it leaves that place to another one. So does, from its
 *          beginning, one that only looks whether a destination can be reached again. Of these there are
 *          QUEUE_ATTEMPTS_SLOW; what is more takes places from the others.
 *
 * A destination that nothing is known against waits for slow ones only when QUEUE_ATTEMPTS have begun within
 * QUEUE_SLOW_MS, or twice as many are open.
 */
#include "queue_job.h"

static size_t places_taken(const struct queue *queue)
{
    size_t slow =
        queue->slow_count < QUEUE_ATTEMPTS_SLOW ? queue->slow_count : QUEUE_ATTEMPTS_SLOW;

    return queue->job_count - slow;
}

bool queue_is_crowded(const struct queue *queue)
{
    return places_taken(queue) >= QUEUE_ATTEMPTS / 2;
}

static void become_slow(struct queue_job *job)
{
    list_remove(&job->fresh);
    job->is_slow = true;
    job->queue->slow_count++;
}

/* Whoever has been open for long enough makes place. When that is not enough the queue is woken for the
 * next one. */
static void review(struct queue *queue)
{
    uint64_t now = queue_now_ms(queue);

    while (!list_is_empty(&queue->fresh)) {
        struct queue_job *job = list_owner(queue->fresh.next, struct queue_job, fresh);
        if (now < job->began_ms + QUEUE_SLOW_MS) {
            if (places_taken(queue) >= QUEUE_ATTEMPTS) {
                queue_wake_at(queue, job->began_ms + QUEUE_SLOW_MS);
            }
            return;
        }
        become_slow(job);
    }
}

bool queue_has_slot(struct queue *queue)
{
    if (queue_is_crowded(queue)) {
        review(queue);
    }
    return places_taken(queue) < QUEUE_ATTEMPTS;
}

bool queue_has_slow_slot(struct queue *queue)
{
    return queue->slow_count < QUEUE_ATTEMPTS_SLOW && queue_has_slot(queue);
}

void queue_slot_take(struct queue_job *job)
{
    job->began_ms = queue_now_ms(job->queue);
    list_append(&job->queue->fresh, &job->fresh);
    if (job->destination->failures > 0) {
        become_slow(job);
    }
}

void queue_slot_leave(struct queue_job *job)
{
    list_remove(&job->fresh);
    if (job->is_slow) {
        job->is_slow = false;
        job->queue->slow_count--;
    }
}
