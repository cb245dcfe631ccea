#include "io/inherited_sockets.h"

#include "base/strbuf.h"
#include "socket_address.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* "PROCESS-ID:FD,FD": descriptors keep their numbers, so that a failed exec() has broken nothing. */
static const char RESTART_VARIABLE[] = "POSTILION_SOCKETS";

enum { FIRST_OF_SERVICE_MANAGER = 3 };

static bool is_listening(int handle)
{
    int value = 0;
    socklen_t len = sizeof value;

    return getsockopt(handle, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value != 0;
}

static void add(struct inherited_sockets *sockets, int handle)
{
    static const int ON = 1;

    if (sockets->count == INHERITED_MOST || !is_listening(handle)) {
        return;
    }
    fcntl(handle, F_SETFD, FD_CLOEXEC);
    fcntl(handle, F_SETFL, fcntl(handle, F_GETFL) | O_NONBLOCK);
    setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &ON, sizeof ON); /* fails on Unix sockets */
    sockets->handles[sockets->count++] = handle;
}

static void find_of_restart(struct inherited_sockets *sockets)
{
    const char *value = getenv(RESTART_VARIABLE);
    struct bytes list = bytes_from_text(value == NULL ? "" : value);
    uint64_t process, handle;

    if (!bytes_to_u64(bytes_cut(&list, ':'), &process) || process != (uint64_t)getpid()) {
        return;
    }
    sockets->is_restart = true;
    while (list.len > 0) {
        if (bytes_to_u64(bytes_cut(&list, ','), &handle) && handle <= INT32_MAX) {
            add(sockets, (int)handle);
        }
    }
}

static void find_of_service_manager(struct inherited_sockets *sockets)
{
    const char *process_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
    uint64_t process, count;

    if (process_text == NULL || count_text == NULL ||
        !bytes_to_u64(bytes_from_text(process_text), &process) ||
        !bytes_to_u64(bytes_from_text(count_text), &count) || process != (uint64_t)getpid()) {
        return;
    }
    for (uint64_t i = 0; i < count && i < INHERITED_MOST; i++) {
        add(sockets, FIRST_OF_SERVICE_MANAGER + (int)i);
    }
}

void inherited_sockets_find(struct inherited_sockets *sockets)
{
    *sockets = (struct inherited_sockets){.count = 0};
    find_of_restart(sockets);
    if (!sockets->is_restart) {
        find_of_service_manager(sockets);
    }
    /* Said once: whatever we start has none of them. */
    unsetenv(RESTART_VARIABLE);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool is_for(int handle, const struct ip_endpoint *wanted)
{
    struct ip_endpoint local = socket_address_of_local_end(handle);

    return local.address.family == wanted->address.family &&
           ip_address_equal(&local.address, &wanted->address) &&
           (wanted->port == 0 || wanted->port == local.port);
}

struct listener *inherited_socket_take(struct inherited_sockets *sockets,
                                       const struct ip_endpoint *address)
{
    for (size_t i = 0; i < sockets->count; i++) {
        int handle = sockets->handles[i];
        if (handle >= 0 && is_for(handle, address)) {
            sockets->handles[i] = -1;
            return listener_from_handle(handle);
        }
    }
    return NULL;
}

static bool is_for_path(int handle, const char *path)
{
    struct sockaddr_un local = {.sun_family = AF_UNSPEC};
    socklen_t len = sizeof local;

    return getsockname(handle, (struct sockaddr *)&local, &len) == 0 &&
           local.sun_family == AF_UNIX &&
           strncmp(local.sun_path, path, sizeof local.sun_path) == 0;
}

struct listener *inherited_socket_take_unix(struct inherited_sockets *sockets, const char *path)
{
    for (size_t i = 0; i < sockets->count; i++) {
        int handle = sockets->handles[i];
        if (handle >= 0 && is_for_path(handle, path)) {
            sockets->handles[i] = -1;
            return listener_from_unix_handle(handle, sockets->is_restart ? path : NULL);
        }
    }
    return NULL;
}

size_t inherited_sockets_close(struct inherited_sockets *sockets)
{
    size_t closed = 0;

    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->handles[i] >= 0) {
            close(sockets->handles[i]);
            closed++;
        }
    }
    sockets->count = 0;
    return closed;
}

void inherited_sockets_pass(const int *handles, size_t count, int process, bool on)
{
    struct strbuf value;

    strbuf_init(&value, 2000);
    strbuf_addf(&value, "%d:", process);
    for (size_t i = 0; i < count; i++) {
        strbuf_addf(&value, "%s%d", i == 0 ? "" : ",", handles[i]);
        fcntl(handles[i], F_SETFD, on ? 0 : FD_CLOEXEC);
    }
    if (on) {
        setenv(RESTART_VARIABLE, strbuf_text(&value), 1);
    } else {
        unsetenv(RESTART_VARIABLE);
    }
    strbuf_clear(&value);
}
