#include "io/notice_pipe.h"

#include "base/memory.h"
#include "loop_internal.h"

#include <assert.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { NOTICES_A_TURN = 64 };

struct notice_pipe {
    int ends[2]; /* to read, to write */
    struct event_loop *loop;
    struct event *event; /* NULL: nobody listens */
    void (*on_notice)(void *context, char notice);
    void *context;
};

struct notice_pipe *notice_pipe_new(void)
{
    struct notice_pipe *pipe = memory_zero(sizeof *pipe);
    int result = pipe2(pipe->ends, O_CLOEXEC | O_NONBLOCK);

    assert(result == 0); /* no descriptors: nothing else would work, either */
    (void)result;
    return pipe;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct notice_pipe *pipe = context;
    struct event_loop *loop = pipe->loop;
    char notices[NOTICES_A_TURN];
    ssize_t count;

    (void)what;
    event_loop_enter(loop);
    count = read(fd, notices, sizeof notices);
    for (ssize_t i = 0; i < count; i++) {
        pipe->on_notice(pipe->context, notices[i]);
    }
    if (count == 0) {
        event_del(pipe->event); /* the child has ended */
    }
    event_loop_leave(loop);
}

void notice_pipe_listen(struct notice_pipe *pipe, struct event_loop *loop,
                        void (*on_notice)(void *context, char notice), void *context)
{
    close(pipe->ends[1]);
    pipe->ends[1] = -1;
    pipe->loop = loop;
    pipe->on_notice = on_notice;
    pipe->context = context;
    pipe->event = event_new(event_loop_base(loop), pipe->ends[0], EV_READ | EV_PERSIST,
                            on_readable, pipe);
    assert(pipe->event != NULL);
    event_add(pipe->event, NULL);
}

void notice_pipe_send(struct notice_pipe *pipe, char notice)
{
    ssize_t written = write(pipe->ends[1], &notice, 1);

    (void)written;
}

int notice_pipe_sending_handle(const struct notice_pipe *pipe)
{
    return pipe->ends[1];
}

void notice_pipe_free(struct notice_pipe **pipe_place)
{
    struct notice_pipe *pipe = *pipe_place;

    if (pipe == NULL) {
        return;
    }
    if (pipe->event != NULL) {
        event_free(pipe->event);
    }
    close(pipe->ends[0]);
    if (pipe->ends[1] >= 0) {
        close(pipe->ends[1]);
    }
    free(pipe);
    *pipe_place = NULL;
}
