/*
 * queue_route - where rows belong under the configuration that is in force now.
 *
 * Rows in the spool stand under the destination that was right when they were written. A reload may
 * have added, changed or removed the route since: the job that takes such rows writes them under
 * their new destination instead of trying the old one.
 */
#ifndef QUEUE_ROUTE_H
#define QUEUE_ROUTE_H

#include "queue_job.h"

/* The destination of an address, in the arena. */
struct bytes queue_route_destination(const struct queue *queue, struct bytes address,
                                     struct arena *arena);
/* Sets moved_to of the entries that belong elsewhere, and their results and those of the others;
 * false: all are where they belong, nothing is changed. */
bool queue_route_find_moved(struct queue_job *job);
/* The rows are where they belong now: their owners look for them. */
void queue_route_tell_owners(const struct queue_job *job);
/* New options: destinations that nothing leads to any more do not wait for the end of a pause. */
void queue_route_review(struct queue *queue);

#endif
