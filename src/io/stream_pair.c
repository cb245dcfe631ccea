#include "io/stream_pair.h"

#include <sys/socket.h>

bool stream_pair_open(struct stream_accepted *one, struct stream_accepted *other)
{
    int handles[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, handles) != 0) {
        return false;
    }
    *one = (struct stream_accepted){.handle = handles[0]};
    *other = (struct stream_accepted){.handle = handles[1]};
    return true;
}
