/*
 * queue_outcome - makes the end of an attempt durable, then tells the log and the destination.
 */
#ifndef QUEUE_OUTCOME_H
#define QUEUE_OUTCOME_H

#include "queue_job.h"

/* The results stand in job->recipients. */
void queue_record_outcome(struct queue_job *job);
/* Nothing is to be kept: the client has had the answer of the next hops. Ends the job. */
void queue_record_nothing(struct queue_job *job);
/* The envelope cannot be read, or the content is gone: the rows are held for an operator. */
void queue_record_hold(struct queue_job *job);
/* The results say which rows belong elsewhere (queue_route). */
void queue_record_move(struct queue_job *job);
/* Tries all commits that failed again. */
void queue_record_again(struct queue *queue);

#endif
