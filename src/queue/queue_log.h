/*
 * queue_log - the lines about deliveries (docs/LOGGING.md), written when the outcome is
 * durable.
 */
#ifndef QUEUE_LOG_H
#define QUEUE_LOG_H

#include "queue_job.h"

void queue_log_outcome(const struct queue_job *job); /* one line for each recipient */
void queue_log_bounce(const struct queue_job *job);  /* the bounce is in the queue */
void queue_log_unrecorded(const struct queue_job *job, enum spool_status status);
void queue_log_unread(const struct queue_job *job, enum spool_status status);

#endif
