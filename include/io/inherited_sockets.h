/*
 * inherited_sockets - listening sockets that were there before this program: from a service manager
 * (sd_listen_fds(3)), or from the program we were before a restart.
 *
 * Use     inherited_sockets_find first of all, before other descriptors are closed; then each address asks for
 *         its socket by inherited_socket_take. What nobody took is closed by inherited_sockets_close.
 * Pass    inherited_sockets_pass writes them into the environment for the program of that process id; the
 *         descriptors then outlive an exec(). They keep their numbers.
 */
#ifndef IO_INHERITED_SOCKETS_H
#define IO_INHERITED_SOCKETS_H

#include "io/listener.h"

enum { INHERITED_MOST = 64 };

struct inherited_sockets {
    int handles[INHERITED_MOST]; /* -1: taken */
    size_t count;
    bool is_restart; /* from ourselves: the files of Unix sockets are ours to remove, too */
};

void inherited_sockets_find(struct inherited_sockets *sockets);
/* NULL: there is none for this address. Port 0 takes any port. */
struct listener *inherited_socket_take(struct inherited_sockets *sockets,
                                       const struct ip_endpoint *address);
struct listener *inherited_socket_take_unix(struct inherited_sockets *sockets,
                                            const char *path);
/* How many were closed. */
size_t inherited_sockets_close(struct inherited_sockets *sockets);

/* `on` false takes it back. */
void inherited_sockets_pass(const int *handles, size_t count, int process, bool on);

#endif
