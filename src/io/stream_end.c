#include "stream_end.h"

#include <errno.h>

enum stream_end stream_end_from_errno(int error)
{
    switch (error) {
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return STREAM_END_RESET;
    case ECONNREFUSED:
    case ENOENT: /* Unix sockets */
        return STREAM_END_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EACCES: /* a "prohibit" route or a firewall of ours */
    case EPERM:
        return STREAM_END_UNREACHABLE;
    case ETIMEDOUT:
        return STREAM_END_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL: /* connect: no free port */
    case EAGAIN:        /* the same; Unix sockets: backlog full */
        return STREAM_END_NO_RESOURCES;
    default:
        return STREAM_END_FAILED;
    }
}

const char *stream_end_text(enum stream_end end)
{
    switch (end) {
    case STREAM_END_EOF:
        return "closed";
    case STREAM_END_RESET:
        return "reset";
    case STREAM_END_REFUSED:
        return "refused";
    case STREAM_END_UNREACHABLE:
        return "unreachable";
    case STREAM_END_TIMEOUT:
        return "timeout";
    case STREAM_END_NO_RESOURCES:
        return "no-resources";
    case STREAM_END_TLS:
        return "tls";
    case STREAM_END_FAILED:
        return "failed";
    }
    return "failed";
}
