/*
 * notice_pipe - one-letter notices from a child process to its parent.
 *
 * Use     made before process_spawn; the parent calls notice_pipe_listen, the child sends. A notice that does
 *         not fit (nobody reads) is dropped: it would be repeated or is too late.
 */
#ifndef IO_NOTICE_PIPE_H
#define IO_NOTICE_PIPE_H

#include "io/event_loop.h"

struct notice_pipe;

struct notice_pipe *notice_pipe_new(void);
/* on_notice runs on the loop for each letter; it must not free the pipe. */
void notice_pipe_listen(struct notice_pipe *pipe, struct event_loop *loop,
                        void (*on_notice)(void *context, char notice), void *context);
/* In the child; any thread. */
void notice_pipe_send(struct notice_pipe *pipe, char notice);
int notice_pipe_sending_handle(const struct notice_pipe *pipe);
void notice_pipe_free(struct notice_pipe **pipe); /* in the parent; safe on NULL */

#endif
