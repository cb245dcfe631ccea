/*
 * queue_bounce - the message that tells a sender what has failed.
 *
 * Rules   forward/bounce_rule says whether there is one. It goes from the null sender to the
 *         envelope sender the message came in with (never to its SRS form), with the header of
 *         the original as it came in, and names aliases only.
 */
#ifndef QUEUE_BOUNCE_H
#define QUEUE_BOUNCE_H

#include "queue_job.h"

/* What the spool knows of earlier attempts, for a bounce that may follow. */
void queue_bounce_keep_history(struct queue_job *job, const struct spool_message *message);
/* Has something been delivered of which the sender wants to hear, and the next hop will say nothing? */
bool queue_bounce_has_relayed(const struct queue_job *job);
/* Is there to be one for the entries that have failed? job->why says why, or why not. */
bool queue_bounce_is_wanted(struct queue_job *job);
/* May the sender be told that its message is late? */
bool queue_bounce_may_warn(const struct queue_job *job);
/* For the entries of the job that have failed, are late, or were relayed. NULL: none is to be sent. job->why says why in
 * both cases. */
struct queue_message *queue_bounce_new(struct queue_job *job);
/* Is it about this entry, if there is one? */
bool queue_bounce_tells_of(const struct queue_job *job, size_t index);

#endif
