/*
 * config_fixed - what a running daemon cannot change: options whose `is_reloadable` is false.
 *
 * Use     after a reload: the fresh configuration gets the running one's values for them, so that a
 *         spool directory that moved in the file does not split the spool, and `changed` is called
 *         for each that differs, every time, until the daemon is restarted or the file is as before.
 */
#ifndef DAEMON_CONFIG_FIXED_H
#define DAEMON_CONFIG_FIXED_H

#include "daemon/config.h"
#include "daemon/config_schema.h"

/* `changed` may be NULL. */
void config_keep_fixed(struct config *fresh, const struct config *running,
                       void (*changed)(void *context, const struct config_option *option),
                       void *context);

#endif
