/*
 * trace_queue - what the queue has of a message, as `queue show` says it.
 *
 * Private to room ctl.
 */
#ifndef CTL_TRACE_QUEUE_H
#define CTL_TRACE_QUEUE_H

#include "ctl/trace_command.h"
#include "mail/event_story.h"

/* Fills in queue and waiting; they live in the arena. */
void trace_queue_ask(const struct trace_command_options *options, struct bytes id,
                     struct arena *arena, struct story_input *input);

#endif
