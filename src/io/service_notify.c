#include "io/service_notify.h"

#include "base/bytes.h"
#include "base/strbuf.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void service_notify(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = name == NULL ? 0 : strlen(name);
    int fd;

    if (len < 2 || len >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@')) {
        return;
    }
    memcpy(address.sun_path, name, len);
    if (name[0] == '@') {
        address.sun_path[0] = '\0'; /* abstract */
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
        close(fd);
    }
}

void service_notify_reloading(void)
{
    struct timespec now;
    struct strbuf text;

    clock_gettime(CLOCK_MONOTONIC, &now);
    strbuf_init(&text, 200);
    strbuf_addf(&text, "RELOADING=1\nMONOTONIC_USEC=%llu",
                (unsigned long long)now.tv_sec * 1000000 +
                    (unsigned long long)now.tv_nsec / 1000);
    service_notify(strbuf_text(&text));
    strbuf_clear(&text);
}

static bool number_of(const char *name, uint64_t *number)
{
    const char *value = getenv(name);

    return value != NULL && bytes_to_u64(bytes_from_text(value), number);
}

uint64_t service_watchdog_ms(void)
{
    uint64_t interval_us, id = 0;

    if (!number_of("WATCHDOG_USEC", &interval_us) ||
        (getenv("WATCHDOG_PID") != NULL &&
         (!number_of("WATCHDOG_PID", &id) || id != (uint64_t)getpid()))) {
        return 0;
    }
    return interval_us / 1000;
}
