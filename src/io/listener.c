#include "io/listener.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/process.h"
#include "loop_internal.h"
#include "socket_address.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BACKLOG = 4096, /* the system cuts it at net.core.somaxconn */
    ACCEPTS_A_TURN = 64,
    PROBE_EVERY = 8,
    PAUSE_MS = 100,
    TRY_AGAIN_MS = 50,
};

struct listener {
    int fd;
    struct ip_endpoint address; /* IP_NONE: a Unix socket */
    bool is_any_address;
    char *path; /* Unix socket, bound by us: removed at close */
    int spare;  /* given up for a moment when descriptors run out */

    struct event_loop *loop; /* while accepting */
    void (*on_accept)(void *context, const struct stream_accepted *accepted);
    void (*on_shortage)(void *context, const struct ip_endpoint *peer); /* or NULL */
    void *context;
    struct event event;
    struct loop_timer pause;
    bool is_accepting;
    unsigned since_probe; /* wake-ups since a second accept was tried */
    unsigned generation;  /* counts starts and stops: a callback may do either */
};

static const struct bytes LAST_WORDS =
    BYTES("421 4.3.2 Too many connections, try again later\r\n");

static struct listener *fail(struct strbuf *why, const char *step, const char *what, int fd)
{
    int error = errno;

    strbuf_addf(why, "%s %s: %s", step, what, strerror(error));
    if (fd >= 0) {
        close(fd);
    }
    errno = error; /* whether to try again depends on it */
    return NULL;
}

/* After a failure: is it worth another try? Then some time has passed, and *why is empty. */
static bool may_try_again(uint64_t until_ms, struct strbuf *why)
{
    if (errno != EADDRINUSE || clock_now_ms() >= until_ms) {
        return false;
    }
    strbuf_reset(why);
    process_pause_ms(TRY_AGAIN_MS);
    return true;
}

static bool is_any(const struct ip_address *address)
{
    static const uint8_t ZERO[16];

    return memcmp(address->octets, ZERO, address->family == IP_V4 ? 4 : 16) == 0;
}

struct listener *listener_from_handle(int handle)
{
    struct listener *listener = memory_zero(sizeof *listener);

    listener->fd = handle;
    listener->address = socket_address_of_local_end(handle);
    listener->is_any_address = is_any(&listener->address.address);
    listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return listener;
}

struct listener *listener_from_unix_handle(int handle, const char *path)
{
    struct listener *listener = listener_from_handle(handle);

    if (path != NULL) {
        listener->path = memory_alloc(strlen(path) + 1);
        memcpy(listener->path, path, strlen(path) + 1);
    }
    return listener;
}

struct listener *listener_open(const struct ip_endpoint *address, struct strbuf *why)
{
    static const int ON = 1;
    struct ip_text text = ip_endpoint_text(address);
    struct socket_address bound;
    int fd;

    if (!socket_address_from_endpoint(address, &bound)) {
        errno = EAFNOSUPPORT;
        return fail(why, "listen on", text.text, -1);
    }
    fd = socket(bound.as.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(why, "make a socket for", text.text, -1);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &ON, sizeof ON);
    /* Accepted sockets inherit it (Linux): no system call for each of them. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &ON, sizeof ON);
    if (address->address.family == IP_V6) {
        /* [::]:25 beside 0.0.0.0:25, whatever net.ipv6.bindv6only says. */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ON, sizeof ON);
    }
    if (bind(fd, &bound.as.any, bound.len) != 0) {
        return fail(why, "bind to", text.text, fd);
    }
    if (listen(fd, BACKLOG) != 0) {
        return fail(why, "listen on", text.text, fd);
    }
    return listener_from_handle(fd);
}

/* A socket file nobody listens on any more is in the way: it is removed. */
static bool remove_dead_socket(const char *path, const struct socket_address *address)
{
    struct stat status;
    int fd;
    bool is_alive;

    if (lstat(path, &status) != 0) {
        return errno == ENOENT;
    }
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    is_alive = connect(fd, &address->as.any, address->len) == 0 || errno != ECONNREFUSED;
    close(fd);
    if (is_alive) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(path) == 0;
}

struct listener *listener_open_unix(const char *path, unsigned mode, struct strbuf *why)
{
    struct socket_address address;
    mode_t mask;
    int fd, status;

    if (!socket_address_from_path(path, &address)) {
        errno = ENAMETOOLONG;
        return fail(why, "bind to", path, -1);
    }
    if (!remove_dead_socket(path, &address)) {
        return fail(why, "bind to", path, -1);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(why, "make a socket for", path, -1);
    }
    /* Never open to others, not even between bind and chmod. */
    mask = umask(0777);
    status = bind(fd, &address.as.any, address.len);
    umask(mask);
    if (status != 0) {
        return fail(why, "bind to", path, fd);
    }
    if (chmod(path, (mode_t)mode) != 0) {
        return fail(why, "set the mode of", path, fd);
    }
    if (listen(fd, BACKLOG) != 0) {
        return fail(why, "listen on", path, fd);
    }
    return listener_from_unix_handle(fd, path);
}

struct listener *listener_open_patiently(const struct ip_endpoint *address,
                                         uint64_t patience_ms, struct strbuf *why)
{
    uint64_t until_ms = clock_now_ms() + patience_ms;
    struct listener *listener;

    do {
        listener = listener_open(address, why);
    } while (listener == NULL && may_try_again(until_ms, why));
    return listener;
}

struct listener *listener_open_unix_patiently(const char *path, unsigned mode,
                                              uint64_t patience_ms, struct strbuf *why)
{
    uint64_t until_ms = clock_now_ms() + patience_ms;
    struct listener *listener;

    do {
        listener = listener_open_unix(path, mode, why);
    } while (listener == NULL && may_try_again(until_ms, why));
    return listener;
}

/* ---- accepting ---- */

static void pause_accepting(struct listener *listener)
{
    event_del(&listener->event);
    loop_timer_set(&listener->pause, PAUSE_MS);
}

static void end_pause(void *context)
{
    struct listener *listener = context;

    if (listener->spare < 0) {
        listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    event_add(&listener->event, NULL);
}

/* No descriptor left: one client gets an answer instead of a silent wait, then others wait. */
static void refuse_one(struct listener *listener)
{
    struct socket_address peer = {.len = sizeof peer.as};
    struct stream_accepted accepted = {.handle = -1};

    if (listener->spare >= 0) {
        close(listener->spare);
        accepted.handle =
            accept4(listener->fd, &peer.as.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted.handle >= 0) {
            stream_accepted_drop(&accepted, LAST_WORDS);
        }
        listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    pause_accepting(listener);
    if (accepted.handle >= 0 && listener->on_shortage != NULL) {
        accepted.peer = socket_address_endpoint(&peer);
        listener->on_shortage(listener->context, &accepted.peer);
    }
}

/* False: nothing waits, or accepting has ended. */
static bool accept_one(struct listener *listener)
{
    struct socket_address peer = {.len = sizeof peer.as};
    struct stream_accepted accepted;
    unsigned generation = listener->generation;

    peer.as.any.sa_family = AF_UNSPEC;
    accepted.handle =
        accept4(listener->fd, &peer.as.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted.handle < 0) {
        switch (errno) {
        case EAGAIN:
            return false;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            refuse_one(listener);
            return false;
        case ECONNABORTED: /* that one went before it was taken */
        case EINTR:
        case EPERM: /* a firewall rule */
        case EPROTO:
        case ENETDOWN: /* accept(2): errors of the network come up here, go on with the next */
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENOPROTOOPT:
        case ENONET:
            return true;
        default:
            pause_accepting(listener);
            return false;
        }
    }
    accepted.peer = socket_address_endpoint(&peer);
    accepted.local = listener->address;
    if (listener->is_any_address) {
        accepted.local.address.family = IP_NONE; /* stream_local asks the socket */
    }
    listener->on_accept(listener->context, &accepted);
    return listener->is_accepting && listener->generation == generation;
}

/* Looking for a second connection costs a system call that is mostly in vain when connections
 * come one by one, and saves a turn of the loop when they come in bursts: after a try in vain
 * the next few wake-ups do without. */
static void accept_some(struct listener *listener)
{
    if (!accept_one(listener)) {
        return;
    }
    if (listener->since_probe > 0 && ++listener->since_probe < PROBE_EVERY) {
        return;
    }
    for (unsigned i = 1; i < ACCEPTS_A_TURN; i++) {
        if (!accept_one(listener)) {
            if (listener->is_accepting) {
                listener->since_probe = i == 1;
            }
            return;
        }
    }
    listener->since_probe = 0;
}

static void on_acceptable(evutil_socket_t fd, short what, void *context)
{
    struct listener *listener = context;
    struct event_loop *loop = listener->loop;

    (void)fd, (void)what;
    event_loop_enter(loop);
    accept_some(listener);
    event_loop_leave(loop);
}

void listener_start(struct listener *listener, struct event_loop *loop,
                    void (*on_accept)(void *context, const struct stream_accepted *accepted),
                    void *context)
{
    listener_stop(listener);
    listener->loop = loop;
    listener->on_accept = on_accept;
    listener->context = context;
    listener->is_accepting = true;
    listener->since_probe = 0;
    loop_timer_init(&listener->pause, loop, end_pause, listener);
    event_assign(&listener->event, event_loop_base(loop), listener->fd, EV_READ | EV_PERSIST,
                 on_acceptable, listener);
    event_add(&listener->event, NULL);
}

void listener_on_shortage(struct listener *listener,
                          void (*on_shortage)(void *context, const struct ip_endpoint *peer))
{
    listener->on_shortage = on_shortage;
}

void listener_stop(struct listener *listener)
{
    listener->generation++;
    if (listener->is_accepting) {
        listener->is_accepting = false;
        event_del(&listener->event);
        loop_timer_clear(&listener->pause);
    }
}

void listener_close(struct listener **listener_place)
{
    struct listener *listener = *listener_place;

    if (listener == NULL) {
        return;
    }
    listener_stop(listener);
    close(listener->fd);
    if (listener->spare >= 0) {
        close(listener->spare);
    }
    if (listener->path != NULL) {
        unlink(listener->path);
    }
    free(listener->path);
    free(listener);
    *listener_place = NULL;
}

struct ip_endpoint listener_address(const struct listener *listener)
{
    return listener->address;
}

int listener_handle(const struct listener *listener)
{
    return listener->fd;
}

size_t listener_handles(const struct listener *listener, int handles[2])
{
    handles[0] = listener->fd;
    handles[1] = listener->spare;
    return listener->spare >= 0 ? 2 : 1;
}
