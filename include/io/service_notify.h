/*
 * service_notify - what a service manager wants to hear (sd_notify(3)), and how often.
 *
 * Use     the main process; without NOTIFY_SOCKET in the environment nothing is sent. Both kinds of sockets:
 *         a path, and a name in the abstract space behind '@'.
 * Errors  none: nobody else could be told.
 */
#ifndef IO_SERVICE_NOTIFY_H
#define IO_SERVICE_NOTIFY_H

#include <stdint.h>

/* Lines of NAME=VALUE: "READY=1\nSTATUS=..." */
void service_notify(const char *text);
/* A configuration is being read: until READY=1. With the time of now, which Type=notify-reload wants. */
void service_notify_reloading(void);
/* WATCHDOG=1 is expected so often at least; 0: nobody waits for it. */
uint64_t service_watchdog_ms(void);

#endif
