#include "io/control_call.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct answer {
    void (*each)(void *context, struct bytes part);
    void *context;
    struct strbuf *last;
    bool at_line_start;
    bool in_last; /* a line with a sign: it goes to `last` */
    char sign;
};

static enum control_result say_why(struct strbuf *last, const char *step)
{
    strbuf_addf(last, "%s: %s", step, strerror(errno));
    return CONTROL_FAILED;
}

static enum control_result connect_to(const char *path, int *handle, struct strbuf *last)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *handle = -1;
    if (strlen(path) >= sizeof(address.sun_path)) {
        strbuf_addf(last, "%s: too long for a socket's path", path);
        return CONTROL_FAILED;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    *handle = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*handle < 0) {
        return say_why(last, "socket");
    }
    if (connect(*handle, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        return CONTROL_DONE;
    }
    if (errno == ENOENT || errno == ECONNREFUSED) {
        return CONTROL_NOBODY;
    }
    return say_why(last, path);
}

static bool send_line(int handle, struct bytes line)
{
    while (line.len > 0) {
        ssize_t sent = send(handle, line.data, line.len, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR) {
            return false;
        }
        line = bytes_skip(line, sent > 0 ? (size_t)sent : 0);
    }
    return true;
}

/* Lines with a sign are kept back, all others go out as they come. */
static void take(struct answer *answer, struct bytes octets)
{
    while (octets.len > 0) {
        size_t end = bytes_find(octets, '\n');
        bool is_whole = end < octets.len;
        struct bytes part = bytes_first(octets, is_whole ? end + 1 : end);

        if (answer->at_line_start) {
            answer->in_last = part.data[0] == '+' || part.data[0] == '-';
            answer->sign = answer->in_last ? part.data[0] : '\0';
        }
        if (answer->in_last) {
            struct bytes text = bytes_first(part, is_whole ? part.len - 1 : part.len);

            strbuf_add(answer->last, bytes_skip(text, answer->at_line_start ? 1 : 0));
        } else {
            answer->each(answer->context, part);
        }
        answer->at_line_start = is_whole;
        octets = bytes_skip(octets, part.len);
    }
}

static enum control_result receive(int handle, int wait_ms, struct answer *answer)
{
    char octets[16384];

    for (;;) {
        struct pollfd readable = {.fd = handle, .events = POLLIN};
        int ready = poll(&readable, 1, wait_ms);
        ssize_t got;

        if (ready == 0) {
            strbuf_add_text(answer->last, "no answer in time");
            return CONTROL_FAILED;
        }
        got = ready < 0 ? -1 : recv(handle, octets, sizeof(octets), 0);
        if (got < 0 && errno != EINTR) {
            return say_why(answer->last, "receive");
        }
        if (got == 0) {
            break;
        }
        take(answer, bytes_of(octets, got > 0 ? (size_t)got : 0));
    }
    if (answer->sign == '\0' || !answer->at_line_start) {
        strbuf_reset(answer->last);
        strbuf_add_text(answer->last, "the answer was cut short");
        return CONTROL_FAILED;
    }
    return answer->sign == '+' ? CONTROL_DONE : CONTROL_REFUSED;
}

enum control_result control_call(const char *path, struct bytes line, int wait_ms,
                                 void (*each)(void *context, struct bytes part), void *context,
                                 struct strbuf *last)
{
    struct answer answer = {
        .each = each, .context = context, .last = last, .at_line_start = true};
    int handle;
    enum control_result result = connect_to(path, &handle, last);

    if (result == CONTROL_DONE) {
        result =
            send_line(handle, line) ? receive(handle, wait_ms, &answer) : say_why(last, "send");
    }
    if (handle >= 0) {
        close(handle);
    }
    return result;
}
